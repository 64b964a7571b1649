//! [`Link`]: a connection between two devices, the sessions at its ends, and what happens to messages on it.

use sync_protocol::Session;

use crate::faults::{Fault, Strikes};
use crate::plot::{Meet, Weather};
use crate::random::Random;

/// A connection.
pub struct Link {
    pub ends: [End; 2],
    weather: Weather,
    random: Random,
    /// Messages sent, both ways.
    sent: u64,
    /// Something happened to a message that may end a session.
    pub disturbed: bool,
    pub open: bool,
    /// Both ends have to have said all before it ends.
    pub must_settle: bool,
}

/// One end of it.
pub struct End {
    pub at: usize,
    /// The run of the app that the session belongs to.
    pub run: u64,
    /// Counts the files that the device has had.
    pub file: u64,
    pub session: Session,
    /// Messages on their way to it.
    pub arriving: usize,
    /// When the last of them arrives; those after it come later.
    last_ms: u64,
    /// A timer is set.
    pub timer: bool,
}

impl End {
    pub const fn new(at: usize, run: u64, file: u64, session: Session) -> Self {
        Self { at, run, file, session, arriving: 0, last_ms: 0, timer: false }
    }
}

/// What became of a message.
pub struct Carried {
    /// When it arrives, and what of it; none when it is lost.
    pub arrivals: Vec<(u64, Vec<u8>)>,
    /// What happened to it, for the story.
    pub accident: &'static str,
    /// The connection ends with it.
    pub cut: bool,
}

impl Link {
    pub fn new(meet: &Meet, ends: [End; 2]) -> Self {
        Self {
            ends,
            weather: meet.weather.clone(),
            random: Random::new(meet.seed),
            sent: 0,
            disturbed: false,
            open: true,
            must_settle: false,
        }
    }

    /// There is room for one more message to an end.
    pub const fn has_room(&self, to: usize) -> bool {
        self.ends[to].arriving < self.weather.room
    }

    /// Takes a message on its way to an end.
    pub fn carry(&mut self, to: usize, mut message: Vec<u8>, at_ms: u64, strikes: &mut Strikes) -> Carried {
        let Weather {
            latency_ms, loss, duplication, reordering, corruption, cut_after, reads_late_ms, ..
        } = self.weather;
        self.sent += 1;
        let cut = cut_after.is_some_and(|messages| self.sent > messages);
        let mut carried = Carried { arrivals: Vec::new(), accident: "", cut };
        if cut {
            strikes.count(Fault::Cut);
            return carried;
        }
        if loss > 0 && self.random.chance(loss) {
            self.disturbed = true;
            strikes.count(Fault::Loss);
            carried.accident = ", and it is lost";
            return carried;
        }
        if corruption > 0 && self.random.chance(corruption) {
            self.damage(&mut message);
            strikes.count(Fault::Corruption);
            carried.accident = ", and it is damaged";
        }
        let late_ms = if to == 1 { reads_late_ms } else { 0 };
        if late_ms > 0 {
            strikes.count(Fault::Slow);
        }
        let end = &mut self.ends[to];
        let arrives_ms = end.last_ms.max(at_ms + latency_ms) + late_ms;
        if reordering > 0 && self.random.chance(reordering) {
            self.disturbed = true;
            strikes.count(Fault::Reordering);
            carried.accident = ", and is overtaken";
            // Later than what follows it, which does not wait for it.
            carried.arrivals.push((arrives_ms + latency_ms + 100, message));
        } else {
            if duplication > 0 && self.random.chance(duplication) {
                strikes.count(Fault::Duplication);
                carried.accident = ", and comes twice";
                let again_ms = arrives_ms + self.random.next() % (3 * latency_ms + 2);
                carried.arrivals.push((again_ms, message.clone()));
            }
            end.last_ms = arrives_ms;
            carried.arrivals.push((arrives_ms, message));
        }
        self.ends[to].arriving += carried.arrivals.len();
        carried
    }

    fn damage(&mut self, message: &mut Vec<u8>) {
        self.disturbed = true;
        if self.random.chance(20) {
            message.truncate(self.random.below(message.len()));
        } else {
            let at = self.random.below(message.len());
            message[at] ^= 1 << self.random.below(8);
        }
    }
}
