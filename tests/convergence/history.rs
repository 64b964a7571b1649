//! [`History`]: what happens to a few replicas, step by step. Everything is in the steps, so that a failing history can
//! be made smaller by leaving steps out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::random::Random;
use crate::schemas::{schemas, some_edit};
use crate::words::{COLLECTIONS, Doc, Edit, START_MS, Schema};

/// A few replicas and what happens to them.
#[derive(Clone, Debug)]
pub struct History {
    pub seed: u64,
    /// What each replica declares.
    pub schemas: Vec<Schema>,
    pub docs: Vec<Doc>,
    pub steps: Vec<Step>,
    /// Machines of two kinds play it, so whoever is set back is told so at once.
    pub comparable: bool,
}

#[derive(Clone, Debug)]
pub enum Step {
    Commit(Commit),
    Sync(Sync),
    /// What was delayed, arrives: at its receiver, or passed on to a third replica. It may arrive again later.
    Deliver {
        which: usize,
        to: Option<usize>,
    },
    /// The process ends and starts again.
    Restart(usize),
    /// The file is copied.
    Backup(usize),
    /// The file is replaced by its last copy.
    Restore(usize),
    /// The view is compared with the oracle's.
    Look(usize),
}

/// A transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    pub at: usize,
    /// The wall clock of the replica, which need not be right.
    pub now_ms: u64,
    pub edits: Vec<Edit>,
    /// The closure fails at its end.
    pub abort: bool,
}

/// A one-way exchange.
#[derive(Clone, Debug)]
pub struct Sync {
    pub from: usize,
    pub to: usize,
    pub way: SyncWay,
    pub fault: Fault,
    /// What is committed while batches are under way, one transaction after each batch.
    pub between: Vec<Commit>,
}

/// How a replica gets what another has.
#[derive(Clone, Copy, Debug)]
pub enum SyncWay {
    /// The change order from the stored cursor on, so many documents a batch.
    Windows { documents: usize },
    /// What the receiver's version vector does not cover, then the change order from where that began.
    Difference { documents: usize },
    /// Every cell.
    Everything,
    /// A session of the protocol, both ways, over a connection that loses, repeats and damages things as the seed says.
    /// Ignores [`Fault`]. A machine without sessions takes `Windows` instead.
    Session { seed: u64 },
}

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection is cut after so many batches, before the checkpoint.
    CutAfter(usize),
    /// Everything arrives twice.
    Twice,
    /// It does not arrive now; see [`Step::Deliver`].
    Delayed,
}

impl History {
    /// The history of a seed.
    pub fn generate(seed: u64, steps: usize) -> Self {
        let mut random = Random::new(seed);
        let replicas = 2 + random.below(6);
        let schemas = schemas(&mut random, replicas);
        let ids = 1 + random.below(2) as u64;
        let docs =
            COLLECTIONS.into_iter().flat_map(|collection| (1..=ids).map(move |id| Doc { collection, id }));
        let mut history = Self { seed, schemas, docs: docs.collect(), steps: Vec::new(), comparable: false };
        let mut clocks: Vec<WallClock> = (0..replicas).map(|_| WallClock::some(&mut random)).collect();
        for _ in 0..steps {
            let step = history.some_step(&mut random, &mut clocks);
            history.steps.push(step);
        }
        history
    }

    /// The same without what depends on how a machine cuts its batches, for two kinds of machines to be compared:
    /// windows for sessions, commits before the exchange and not amid it, no exchange cut.
    pub fn comparable(mut self) -> Self {
        let whole = |step| match step {
            Step::Sync(Sync { from, to, way, fault, between }) => {
                let way =
                    if let SyncWay::Session { .. } = way { SyncWay::Windows { documents: 1 } } else { way };
                let fault = if let Fault::CutAfter(_) = fault { Fault::None } else { fault };
                let sync = Step::Sync(Sync { from, to, way, fault, between: Vec::new() });
                between.into_iter().map(Step::Commit).chain([sync]).collect()
            }
            step => vec![step],
        };
        self.steps = self.steps.into_iter().flat_map(whole).collect();
        self.comparable = true;
        self
    }

    pub fn replicas(&self) -> usize {
        self.schemas.len()
    }

    fn some_step(&self, random: &mut Random, clocks: &mut [WallClock]) -> Step {
        let at = random.below(self.replicas());
        match random.below(100) {
            0..46 => Step::Commit(self.some_commit(random, clocks, at)),
            46..86 => Step::Sync(self.some_sync(random, clocks)),
            86..92 => Step::Deliver { which: random.below(64), to: random.chance(40).then_some(at) },
            92..94 => Step::Restart(at),
            94..96 => Step::Backup(at),
            96 => Step::Restore(at),
            _ => Step::Look(at),
        }
    }

    fn some_commit(&self, random: &mut Random, clocks: &mut [WallClock], at: usize) -> Commit {
        for clock in clocks.iter_mut() {
            clock.elapse(random);
        }
        let count = random.weighted(&[(1, 0), (50, 1), (25, 2), (15, 3), (9, 5)]);
        let edits = (0..count).map(|_| {
            let doc = random.pick(&self.docs);
            some_edit(random, &self.schemas[at], doc)
        });
        Commit { at, edits: edits.collect(), now_ms: clocks[at].now_ms(), abort: random.chance(3) }
    }

    fn some_sync(&self, random: &mut Random, clocks: &mut [WallClock]) -> Sync {
        let from = random.below(self.replicas());
        let to = (from + 1 + random.below(self.replicas() - 1)) % self.replicas();
        let documents = random.weighted(&[(3, 1), (2, 2), (1, 3), (2, 1000)]);
        let way = random.weighted(&[
            (40, SyncWay::Windows { documents }),
            (35, SyncWay::Difference { documents }),
            (10, SyncWay::Everything),
            (15, SyncWay::Session { seed: 0 }),
        ]);
        let way = match way {
            SyncWay::Session { .. } => SyncWay::Session { seed: random.next() },
            way => way,
        };
        let cut = Fault::CutAfter(1 + random.below(3));
        let fault = random.weighted(&[(66, Fault::None), (12, cut), (8, Fault::Twice), (14, Fault::Delayed)]);
        let count = random.weighted(&[(6, 0), (2, 1), (2, 3)]);
        let between = (0..count).map(|_| {
            // Mostly by the two who talk: that is what can go wrong.
            let other = random.below(self.replicas());
            let at = random.pick(&[from, to, other]);
            self.some_commit(random, clocks, at)
        });
        Sync { from, to, way, fault, between: between.collect() }
    }
}

/// A wall clock, which may be wrong.
struct WallClock {
    true_ms: u64,
    offset_ms: i64,
    frozen: bool,
}

impl WallClock {
    const WRONG_BY_MS: [i64; 7] = [0, 0, 40, -900, 130_000, -86_400_000, 86_400_000];

    fn some(random: &mut Random) -> Self {
        Self { true_ms: START_MS, offset_ms: random.pick(&Self::WRONG_BY_MS), frozen: random.chance(15) }
    }

    fn elapse(&mut self, random: &mut Random) {
        if !self.frozen {
            self.true_ms += random.weighted(&[(3, 0), (2, 1), (2, 250), (1, 30_000)]);
        }
        if random.chance(2) {
            self.offset_ms = random.pick(&Self::WRONG_BY_MS);
            self.frozen = random.chance(15);
        }
    }

    fn now_ms(&self) -> u64 {
        self.true_ms.saturating_add_signed(self.offset_ms)
    }
}

/// What replicas are called in a story.
pub struct Who(pub usize);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["ada", "bob", "cy", "dot", "eve", "flo", "gus"][self.0 % 7])
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = self.now_ms.cast_signed() - START_MS.cast_signed();
        write!(f, "{} at {clock:+} ms {}", Who(self.at), if self.abort { "aborts" } else { "commits" })?;
        self.edits
            .iter()
            .enumerate()
            .try_for_each(|(n, edit)| write!(f, "{} {edit}", if n == 0 { ":" } else { ";" }))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(commit) => commit.fmt(f),
            Self::Sync(Sync { from, to, way, fault, between }) => {
                write!(f, "{} sends to {}: {way:?}", Who(*from), Who(*to))?;
                if *fault != Fault::None {
                    write!(f, ", {fault:?}")?;
                }
                between.iter().try_for_each(|commit| write!(f, "\n          meanwhile {commit}"))
            }
            Self::Deliver { which, to: None } => write!(f, "delayed delivery {which} arrives"),
            Self::Deliver { which, to: Some(to) } => {
                write!(f, "delayed delivery {which} is passed on to {}", Who(*to))
            }
            Self::Restart(at) => write!(f, "{} restarts", Who(*at)),
            Self::Backup(at) => write!(f, "{} makes a backup", Who(*at)),
            Self::Restore(at) => write!(f, "{} goes back to the backup", Who(*at)),
            Self::Look(at) => write!(f, "{} looks", Who(*at)),
        }
    }
}

impl Step {
    /// The replicas that take part, and the transactions.
    fn cast(&self) -> (Vec<usize>, Vec<&Commit>) {
        match self {
            Self::Commit(commit) => (vec![commit.at], vec![commit]),
            Self::Sync(Sync { from, to, between, .. }) => {
                let meanwhile = between.iter().map(|commit| commit.at);
                ([*from, *to].into_iter().chain(meanwhile).collect(), between.iter().collect())
            }
            Self::Deliver { to, .. } => (to.iter().copied().collect(), Vec::new()),
            Self::Restart(at) | Self::Backup(at) | Self::Restore(at) | Self::Look(at) => {
                (vec![*at], Vec::new())
            }
        }
    }
}

impl fmt::Display for History {
    /// The story: who declares what, as far as it plays a part, and the steps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cast = self.steps.iter().map(Step::cast);
        let (who, commits): (Vec<_>, Vec<_>) = cast.unzip();
        let who: BTreeSet<usize> = who.into_iter().flatten().collect();
        let edited: BTreeSet<(&str, &str)> = commits
            .iter()
            .flatten()
            .flat_map(|commit| &commit.edits)
            .flat_map(|edit| {
                edit.at.iter().copied().chain(edit.action.field()).map(|name| (edit.doc.collection, name))
            })
            .collect();
        let mut declarations: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for at in who {
            for (name, declared) in &self.schemas[at].collections {
                let declared = declared.only(|field| edited.contains(&(name, field)));
                if edited.iter().any(|(collection, _)| collection == name) {
                    declarations.entry(format!("{name}: {declared}")).or_default().push(Who(at).to_string());
                }
            }
        }
        for (declaration, who) in declarations {
            writeln!(f, "  {} declare {declaration}", who.join(", "))?;
        }
        self.steps.iter().enumerate().try_for_each(|(n, step)| writeln!(f, "  {n:>4}. {step}"))
    }
}
