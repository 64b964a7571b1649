//! [`World`]: plays a plot. Everything happens at a moment of virtual time, one thing after the other, on one thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sync_protocol::{Config, Session, SessionError, SessionEvent};

use crate::checker::{Checked, Checker, Promise, Report, Violation};
use crate::device::{Device, JOURNAL};
use crate::faults::{Fault, Strikes};
use crate::folder::Folder;
use crate::link::{End, Link};
use crate::planted::Bug;
use crate::plot::{Commit, Event, Meet, Plot, Span, Who};
use crate::random::Random;
use crate::words::{Action, Doc, Edit, Outcome};

/// What a history came to beside its checks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Messages delivered, transactions, faults and whatever else happened.
    pub steps: u64,
    pub strikes: Strikes,
}

/// Something that is due.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Scene(usize),
    /// A message reaches an end of a link.
    Arrival {
        link: usize,
        end: usize,
        message: Vec<u8>,
    },
    /// A session has waited long enough.
    Timer {
        link: usize,
        end: usize,
    },
    /// A connection ends by itself.
    HangUp {
        link: usize,
    },
    PartitionEnds(u32),
    Starts(usize),
    Thaws(usize),
}

pub struct World<'p> {
    pub plot: &'p Plot,
    pub devices: Vec<Device>,
    pub checker: Checker,
    pub tally: Tally,
    pub now_ms: u64,
    /// What is told of it, if anybody listens.
    pub tale: Option<Vec<String>>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u64, u64, Due)>>,
    order: u64,
    /// Who is on one side of each partition.
    partitions: Vec<u32>,
    files: Vec<u64>,
    identities: u64,
    random: Random,
    bug: Option<Bug>,
    /// The faults have ended.
    pub faultless: bool,
    /// Where real files are.
    _folder: Option<Folder>,
}

/// A transaction with the document of its number.
fn with_entry(commit: &Commit, number: usize) -> Vec<Edit> {
    let doc = Doc { collection: JOURNAL, id: number as u64 };
    let entry = Edit { doc, at: &[], action: Action::Ensure };
    commit.edits.iter().cloned().chain([entry]).collect()
}

/// Tells something, if anybody listens.
macro_rules! tell {
    ($world:expr, $($what:tt)*) => {
        if $world.tale.is_some() {
            let what = format!($($what)*);
            $world.tells(what);
        }
    };
}

impl<'p> World<'p> {
    pub fn new(plot: &'p Plot, bug: Option<Bug>, listens: bool) -> Self {
        let crashes = |at: usize| {
            let crash = |event: &Event| matches!(event, Event::Crash { at: who, .. } if *who == at);
            plot.scenes.iter().any(|scene| crash(&scene.event))
        };
        let folder = plot.cast.iter().any(|cast| cast.sqlite).then(Folder::new);
        let devices = plot.cast.iter().enumerate().map(|(at, cast)| {
            let number = at as u64 + 1;
            let path = folder.as_ref().filter(|_| cast.sqlite).map(|folder| folder.file(number));
            Device::new(cast, path, number, bug, crashes(at))
        });
        let devices: Vec<Device> = devices.collect();
        let mut world = Self {
            plot,
            checker: Checker::new(plot.cast.iter().map(|cast| cast.schema.clone())),
            tally: Tally::default(),
            now_ms: 0,
            tale: listens.then(Vec::new),
            links: Vec::new(),
            queue: BinaryHeap::new(),
            order: 0,
            partitions: Vec::new(),
            files: vec![0; devices.len()],
            identities: devices.len() as u64,
            random: Random::new(!plot.seed),
            bug,
            faultless: false,
            _folder: folder,
            devices,
        };
        for (at, cast) in plot.cast.iter().enumerate().filter(|(_, cast)| cast.skew_ms != 0) {
            world.strike(Fault::Skew);
            tell!(world, "the clock of {} is wrong by {}", Who(at), Span(cast.skew_ms));
        }
        plot.scenes.iter().enumerate().for_each(|(number, scene)| world.due(scene.at_ms, Due::Scene(number)));
        world
    }

    pub fn tells(&mut self, what: String) {
        let line = format!("{:>9.3} s  {what}", self.now_ms as f64 / 1_000.0);
        self.tale.iter_mut().for_each(|tale| tale.push(line.clone()));
    }

    fn due(&mut self, at_ms: u64, what: Due) {
        self.order += 1;
        self.queue.push(Reverse((at_ms, self.order, what)));
    }

    fn strike(&mut self, fault: Fault) {
        self.tally.strikes.count(fault);
        self.tally.steps += 1;
    }

    /// Does what is due until nothing is left.
    pub fn run(&mut self) -> Checked {
        while let Some(Reverse((at_ms, _, what))) = self.queue.pop() {
            self.now_ms = self.now_ms.max(at_ms);
            match what {
                Due::Scene(number) => self.scene(number)?,
                Due::Arrival { link, end, message } => self.arrives(link, end, &message)?,
                Due::Timer { link, end } => self.timer(link, end)?,
                Due::HangUp { link } => self.hang_up(link)?,
                Due::PartitionEnds(side) => {
                    if let Some(at) = self.partitions.iter().position(|other| *other == side) {
                        self.partitions.remove(at);
                    }
                }
                Due::Starts(at) => self.devices[at].up = self.devices[at].present,
                Due::Thaws(at) => self.devices[at].clock.thaw(self.now_ms),
            }
        }
        Ok(())
    }

    fn scene(&mut self, number: usize) -> Checked {
        let plot = self.plot;
        let event = &plot.scenes[number].event;
        if !event.actors().iter().all(|at| self.devices[*at].present || matches!(event, Event::Clone { .. }))
        {
            return Ok(());
        }
        let up = |at: usize| self.devices[at].up;
        match event {
            Event::Commit(commit) if up(commit.at) => {
                tell!(self, "{commit}");
                self.commit(commit)
            }
            Event::Meet(meet) if up(meet.ends[0]) && up(meet.ends[1]) => {
                tell!(self, "{event}");
                self.meet(meet)
            }
            Event::Look { at } if up(*at) => self.look(*at),
            Event::Commit(_) | Event::Meet(_) | Event::Look { .. } => Ok(()),
            _ => {
                tell!(self, "{event}");
                self.accident(event)
            }
        }
    }

    fn accident(&mut self, event: &Event) -> Checked {
        match event {
            Event::Partition { side, for_ms } => {
                self.strike(Fault::Partition);
                self.partitions.push(*side);
                self.due(self.now_ms + for_ms, Due::PartitionEnds(*side));
            }
            Event::Crash { at, down_ms } => return self.crash(*at, *down_ms),
            Event::Copy { at } if self.devices[*at].up => {
                self.devices[*at].make_copy(self.now_ms)?;
                self.sees(*at)?;
                self.checker.copied(*at);
            }
            Event::Restore { at, noticed } => return self.restore(*at, *at, *noticed),
            Event::Clone { of, to, noticed } if !self.devices[*to].present => {
                return self.restore(*of, *to, *noticed);
            }
            Event::Jump { at, by_ms } => {
                self.strike(Fault::Jump);
                self.devices[*at].clock.jump(*by_ms);
            }
            Event::Freeze { at, for_ms } => {
                self.strike(Fault::Freeze);
                self.devices[*at].clock.freeze(self.now_ms);
                self.due(self.now_ms + for_ms, Due::Thaws(*at));
            }
            Event::Stranger { at } if self.devices[*at].up => return self.stranger(*at),
            Event::Leave { at } => {
                self.strike(Fault::Leave);
                self.abandon(*at);
                self.devices[*at].leave();
            }
            _ => {}
        }
        Ok(())
    }

    pub fn commit(&mut self, commit: &Commit) -> Checked {
        let (at, number) = (commit.at, self.checker.next_number());
        self.tally.steps += 1;
        let done = self.devices[at].commit(commit, number as u64, self.now_ms)?;
        match (commit.abort, &done) {
            (false, Some(written)) => self.checker.committed(
                at,
                &Report {
                    edits: &with_entry(commit, number),
                    outcomes: &[&written.outcomes[..], &[Outcome::Done]].concat(),
                    dot: written.dot,
                    stamp: written.stamp,
                    durable: commit.durable,
                },
            )?,
            (true, None) => {}
            (false, None) => return Err(Violation::new(Promise::RightOutcome, "the commit was aborted")),
            (true, Some(_)) => {
                return Err(Violation::new(Promise::RightOutcome, "the aborted commit took effect"));
            }
        }
        if done.is_some() {
            tell!(self, "    it is transaction {number}");
        }
        self.sees(at)?;
        self.push(at)
    }

    /// Looks at what a device shows of the journal.
    pub fn sees(&mut self, at: usize) -> Checked {
        let sight = if self.random.below(100) < 4 {
            self.devices[at].whole_sight(&self.plot.docs, self.now_ms)?
        } else {
            self.devices[at].sight(self.now_ms)?
        };
        self.checker.saw(at, &sight)
    }

    fn look(&mut self, at: usize) -> Checked {
        let sight = self.devices[at].whole_sight(&self.plot.docs, self.now_ms)?;
        self.checker.saw(at, &sight)
    }

    /// The faults end: nothing is under way, everybody who is left is up, and all clocks are right.
    pub fn calm(&mut self) {
        self.queue.clear();
        self.partitions.clear();
        self.links.clear();
        self.faultless = true;
        for device in self.devices.iter_mut().filter(|device| device.present) {
            device.up = true;
            device.clock.correct();
        }
        tell!(self, "the faults end");
    }

    fn next_identity(&mut self) -> u64 {
        self.identities += 1;
        self.identities
    }

    fn crash(&mut self, at: usize, down_ms: u64) -> Checked {
        if !self.devices[at].up {
            return Ok(());
        }
        self.strike(Fault::Crash);
        self.abandon(at);
        self.devices[at].crash();
        self.checker.crashed(at);
        self.due(self.now_ms + down_ms, Due::Starts(at));
        self.sees(at)
    }

    /// The last copy of a file becomes that of the same device or of a new one.
    fn restore(&mut self, of: usize, to: usize, noticed: bool) -> Checked {
        let Some(copy) = self.devices[of].copy.clone() else { return Ok(()) };
        if of == to && !self.devices[to].up {
            return Ok(());
        }
        self.strike(match (noticed, of == to) {
            (false, _) => Fault::Rollback,
            (true, true) => Fault::Restore,
            (true, false) => Fault::Clone,
        });
        self.abandon(to);
        self.files[to] += 1;
        let number = self.next_identity();
        self.devices[to].adopt(&copy, noticed, number, of != to)?;
        self.checker.replaced(of, to);
        self.sees(to)
    }

    /// A peer of a newer protocol says hello, and has to be told that this is the matter.
    fn stranger(&mut self, at: usize) -> Checked {
        self.strike(Fault::Versions);
        let nonce = self.random.next();
        let now_ms = self.devices[at].clock.shows(self.now_ms);
        let replica = self.devices[at].replica(self.now_ms);
        let root = replica.head().map_err(|error| error.to_string())?;
        let mut its = Session::new(Config::new(nonce), now_ms);
        let mut hello = its.transmit(replica, now_ms).ok().flatten().unwrap_or_default();
        // The version follows the two letters of the protocol.
        hello[3] = hello[3].wrapping_add(1);
        let mut ours = Session::new(Config::new(!nonce), now_ms);
        let mut refused = ours.receive(replica, &hello, now_ms);
        if self.bug == Some(Bug::NewerIsDamage) {
            refused = refused.map_err(|_| SessionError::Damaged);
        }
        if !matches!(refused, Err(SessionError::Version { .. })) {
            let what = format!("{} answers a newer protocol with {refused:?}", Who(at));
            return Err(Violation::new(Promise::Refusal, what));
        }
        if replica.head().map_err(|error| error.to_string())? != root {
            return Err(Violation::new(Promise::Refusal, "a refused hello changed the store"));
        }
        Ok(())
    }

    fn parted(&self, one: usize, other: usize) -> bool {
        self.partitions.iter().any(|side| (side >> one ^ side >> other) & 1 == 1)
    }

    /// Connects two devices.
    pub fn meet(&mut self, meet: &Meet) -> Checked {
        self.tally.steps += 1;
        let [one, other] = meet.ends;
        if one == other || self.parted(one, other) {
            return Ok(());
        }
        let ends = meet.ends.map(|at| {
            let now_ms = self.devices[at].clock.shows(self.now_ms);
            let session = Session::new(Config::new(self.random.next()), now_ms);
            End::new(at, self.devices[at].run, self.files[at], session)
        });
        let link = self.links.len();
        let mut connection = Link::new(meet, ends);
        connection.must_settle = self.faultless;
        self.links.push(connection);
        self.due(self.now_ms + meet.for_ms, Due::HangUp { link });
        self.speak(link, 0)?;
        self.speak(link, 1)
    }

    /// The device at an end is still in the run in which the session began.
    fn is_alive(&self, link: usize, end: usize) -> bool {
        let end = &self.links[link].ends[end];
        let device = &self.devices[end.at];
        device.up && device.run == end.run
    }

    /// A device's sessions vanish with its process; nobody tells the other end.
    fn abandon(&mut self, at: usize) {
        for link in &mut self.links {
            if link.ends.iter().any(|end| end.at == at) {
                link.disturbed = true;
            }
        }
    }

    /// New changes of a device go out over all its connections.
    fn push(&mut self, at: usize) -> Checked {
        for link in 0..self.links.len() {
            for end in 0..2 {
                if self.links[link].open && self.links[link].ends[end].at == at {
                    self.speak(link, end)?;
                }
            }
        }
        Ok(())
    }

    /// An end sends what it has to say, as far as there is room.
    fn speak(&mut self, link: usize, end: usize) -> Checked {
        let to = 1 - end;
        while self.links[link].open && self.is_alive(link, end) && self.links[link].has_room(to) {
            let at = self.links[link].ends[end].at;
            let now_ms = self.devices[at].clock.shows(self.now_ms);
            let replica = self.devices[at].replica(self.now_ms);
            let said = self.links[link].ends[end].session.transmit(replica, now_ms);
            self.hear_events(link, end)?;
            match said {
                Ok(Some(message)) => self.send(link, to, message)?,
                Ok(None) => break,
                Err(error) => return self.broken(link, end, &error),
            }
        }
        if self.links[link].ends[end].session.ended().is_some() && self.is_alive(link, end) {
            self.close(link);
        }
        self.set_timer(link, end);
        Ok(())
    }

    fn send(&mut self, link: usize, to: usize, message: Vec<u8>) -> Checked {
        let ends = &self.links[link].ends;
        let (from, receiver, length) = (Who(ends[1 - to].at), Who(ends[to].at), message.len());
        if self.parted(ends[0].at, ends[1].at) {
            self.links[link].disturbed = true;
            tell!(self, "{from} sends {length} bytes to {receiver}, who is cut off");
            return Ok(());
        }
        let carried = self.links[link].carry(to, message, self.now_ms, &mut self.tally.strikes);
        tell!(self, "{from} sends {length} bytes to {receiver}{}", carried.accident);
        for (at_ms, message) in carried.arrivals {
            self.due(at_ms, Due::Arrival { link, end: to, message });
        }
        if carried.cut {
            tell!(self, "the connection of {from} and {receiver} is cut");
            self.close(link);
        }
        Ok(())
    }

    fn arrives(&mut self, link: usize, end: usize, message: &[u8]) -> Checked {
        self.links[link].ends[end].arriving -= 1;
        if !self.links[link].open {
            return Ok(());
        }
        if !self.is_alive(link, end) {
            // Nobody is there: whoever sent it will hear of that, or not.
            self.links[link].disturbed = true;
            return Ok(());
        }
        self.tally.steps += 1;
        let at = self.links[link].ends[end].at;
        let now_ms = self.devices[at].clock.shows(self.now_ms);
        let replica = self.devices[at].replica(self.now_ms);
        let heard = self.links[link].ends[end].session.receive(replica, message, now_ms);
        tell!(
            self,
            "{} receives {} bytes{}",
            Who(at),
            message.len(),
            match &heard {
                Ok(()) => String::new(),
                Err(error) => format!(": {error}"),
            }
        );
        if self.bug == Some(Bug::TrustsBytes) && matches!(heard, Err(SessionError::Damaged)) {
            heard.as_ref().expect("nobody damages messages");
        }
        let applied = self.hear_events(link, end)?;
        if let Err(error) = heard {
            return self.broken(link, end, &error);
        }
        // A chunk must not show, so it is looked at too.
        if applied || message.len() > 1_000 {
            self.sees(at)?;
        }
        if applied {
            self.checker.is_durable(at);
            self.push(at)?;
        } else {
            self.speak(link, end)?;
        }
        // There is room again for who sent it.
        self.speak(link, 1 - end)
    }

    /// What a session tells. True when something was applied.
    fn hear_events(&mut self, link: usize, end: usize) -> Checked<bool> {
        let mut applied = false;
        while let Some(event) = self.links[link].ends[end].session.poll_event() {
            match event {
                SessionEvent::Applied { .. } => applied = true,
                SessionEvent::Acknowledged { sequence } => {
                    let [of, by] = [end, 1 - end]
                        .map(|end| (self.links[link].ends[end].at, &self.links[link].ends[end]));
                    if self.files[by.0] == by.1.file {
                        self.checker.acknowledged(by.0, of.0, sequence)?;
                    }
                }
                _ => {}
            }
        }
        Ok(applied)
    }

    /// A session failed. What an app does then: it repairs what it is told to repair, and connects again another time.
    fn broken(&mut self, link: usize, end: usize, error: &SessionError) -> Checked {
        let at = self.links[link].ends[end].at;
        match error {
            SessionError::Forked | SessionError::SameLife => {
                tell!(self, "{} takes a new identity: {error}", Who(at));
                let number = self.next_identity();
                self.devices[at].renew_identity(number)?;
                self.sees(at)?;
            }
            SessionError::Superseded | SessionError::IdentityChanged => {}
            // The other end failed and said so.
            SessionError::Ended(_) => {}
            error if self.links[link].disturbed => {
                tell!(self, "the session ends at {}: {error}", Who(at));
            }
            error => {
                let what = format!("the session of {} failed over a good connection: {error}", Who(at));
                return Err(Violation::new(Promise::NoError, what));
            }
        }
        self.close(link);
        Ok(())
    }

    /// A connection ends: what is on its way is lost.
    fn close(&mut self, link: usize) {
        self.links[link].open = false;
    }

    /// A connection ends by itself. If nothing happened to it, both ends have said all, or why not.
    fn hang_up(&mut self, link: usize) -> Checked {
        let connection = &mut self.links[link];
        let rests = connection.ends.iter().all(|end| end.session.is_settled());
        if connection.open && connection.must_settle && !connection.disturbed && !rests {
            let [one, other] = [Who(connection.ends[0].at), Who(connection.ends[1].at)];
            let what = format!("the session of {one} and {other} comes to no end over a good connection");
            return Err(Violation::new(Promise::Progress, what));
        }
        self.close(link);
        Ok(())
    }

    fn set_timer(&mut self, link: usize, end: usize) {
        if self.links[link].ends[end].timer || !self.links[link].open {
            return;
        }
        let at = self.links[link].ends[end].at;
        let Some(deadline_ms) = self.links[link].ends[end].session.next_timeout_ms() else { return };
        let shows_ms = self.devices[at].clock.shows(self.now_ms);
        let wait_ms = deadline_ms.saturating_sub(shows_ms).clamp(1, 60_000);
        self.links[link].ends[end].timer = true;
        self.due(self.now_ms + wait_ms, Due::Timer { link, end });
    }

    fn timer(&mut self, link: usize, end: usize) -> Checked {
        self.links[link].ends[end].timer = false;
        if !self.links[link].open || !self.is_alive(link, end) {
            return Ok(());
        }
        let at = self.links[link].ends[end].at;
        let now_ms = self.devices[at].clock.shows(self.now_ms);
        let session = &mut self.links[link].ends[end].session;
        let patient = self.bug == Some(Bug::WaitsForEver);
        if !patient && session.expire(now_ms) {
            tell!(self, "{} has waited long enough", Who(at));
            self.close(link);
            return Ok(());
        }
        if session.next_timeout_ms().is_some_and(|deadline_ms| deadline_ms + 90_000 < now_ms) {
            let what = format!("{} waits for ever", Who(at));
            return Err(Violation::new(Promise::Progress, what));
        }
        self.set_timer(link, end);
        Ok(())
    }
}
