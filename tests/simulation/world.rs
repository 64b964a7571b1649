//! [`World`]: plays a plot. Everything happens at a moment of virtual time, one thing after the other, on one thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::checker::{Checked, Checker, Promise, Report, Sight, Violation};
use crate::device::{Device, JOURNAL, Writes};
use crate::faults::{Fault, Strikes};
use crate::folder::Folder;
use crate::guard::SERVER;
use crate::link::Link;
use crate::planted::Bug;
use crate::plot::{Commit, Event, Plot, Span, Who};
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
pub enum Due {
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
    pub links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u64, u64, Due)>>,
    order: u64,
    /// Who is on one side of each partition.
    pub partitions: Vec<u32>,
    /// What was last told of each device.
    told: Vec<Vec<usize>>,
    /// Whose clock was ahead at some time.
    pub was_ahead: Vec<bool>,
    /// Counts the files that each device has had.
    pub files: Vec<u64>,
    identities: u64,
    pub random: Random,
    pub bug: Option<Bug>,
    /// The faults have ended.
    pub faultless: bool,
    /// Where real files are.
    _folder: Option<Folder>,
}

/// A clock that is further ahead than this is wrong.
const AHEAD_MS: i64 = 60_000;

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
            $world.tells(&what);
        }
    };
}
pub(crate) use tell;

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
            let judged = plot.guarded && at != SERVER;
            let writes = if judged { Writes::AreJudged } else { Writes::Count };
            Device::new(cast, path, number, bug, (crashes(at), writes))
        });
        let devices: Vec<Device> = devices.collect();
        let mut world = Self {
            plot,
            checker: Checker::new(plot.cast.iter().map(|cast| cast.schema.clone()), plot.guarded),
            tally: Tally::default(),
            now_ms: 0,
            tale: listens.then(Vec::new),
            links: Vec::new(),
            queue: BinaryHeap::new(),
            order: 0,
            partitions: Vec::new(),
            was_ahead: plot.cast.iter().map(|cast| cast.skew_ms > AHEAD_MS).collect(),
            told: vec![Vec::new(); devices.len()],
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
        if plot.guarded {
            tell!(world, "{} is a server that refuses transactions 1, 5, 9 … of others", Who(SERVER));
        }
        plot.scenes.iter().enumerate().for_each(|(number, scene)| world.due(scene.at_ms, Due::Scene(number)));
        world
    }

    pub fn tells(&mut self, what: &str) {
        let line = format!("{:>6}.{:03} s  {what}", self.now_ms / 1_000, self.now_ms % 1_000);
        self.tale.get_or_insert_default().push(line);
    }

    pub fn due(&mut self, at_ms: u64, what: Due) {
        self.order += 1;
        self.queue.push(Reverse((at_ms, self.order, what)));
    }

    pub fn strike(&mut self, fault: Fault) {
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
            Event::Look { at } if up(*at) => self.looks(*at, true).map(|_| ()),
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
                self.was_ahead[*at] |= *by_ms > AHEAD_MS;
            }
            Event::Freeze { at, for_ms } => {
                self.strike(Fault::Freeze);
                self.devices[*at].clock.freeze(self.now_ms);
                self.due(self.now_ms + for_ms, Due::Thaws(*at));
            }
            Event::Correct { at } => {
                self.strike(Fault::Correction);
                self.devices[*at].clock.correct();
            }
            Event::Stranger { at } if self.devices[*at].up => return self.stranger(*at),
            Event::Leave { at } => {
                self.strike(Fault::Leave);
                self.abandon(*at);
                self.devices[*at].leave();
                // With its file, what it has acknowledged.
                self.files[*at] += 1;
                self.checker.left(*at);
            }
            _ => {}
        }
        Ok(())
    }

    pub fn commit(&mut self, commit: &Commit) -> Checked {
        let (at, number) = (commit.at, self.checker.next_number());
        self.tally.steps += 1;
        if self.checker.is_unsure_of(at, &commit.edits) {
            // What is there now is what its user sees, and edits.
            self.looks(at, true)?;
        }
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
        // Not every time all, because that costs more than everything else.
        let whole = self.random.below(100) < 4;
        self.looks(at, whole).map(|_| ())
    }

    /// Looks at a device, if at all documents or only at the journal, and has it checked.
    pub fn looks(&mut self, at: usize, whole: bool) -> Checked<Sight> {
        let device = &mut self.devices[at];
        let sight =
            if whole { device.whole_sight(&self.plot.docs, self.now_ms) } else { device.sight(self.now_ms) }?;
        if self.tale.is_some() && self.told[at] != sight.journal {
            let shown: Vec<String> = sight.journal.iter().map(ToString::to_string).collect();
            self.tells(&format!("    {} shows transactions {}", Who(at), shown.join(" ")));
            self.told[at].clone_from(&sight.journal);
        }
        self.checker.saw(at, &sight)?;
        Ok(sight)
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

    pub fn next_identity(&mut self) -> u64 {
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
        let writes_as = self.devices[to].head(self.now_ms)?.replica;
        self.checker.replaced(of, to, (!noticed).then_some(writes_as));
        self.sees(to)
    }
}
