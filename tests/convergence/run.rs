//! [`play`]: runs a history on machines beside the oracle, and holds every property against it.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::AtomicU64;

use crdt_core::{ReplicaId, Stamp};

use crate::failure::{Failure, Property, compare};
use crate::history::{Commit, Fault, History, Step, Sync, SyncWay, Who};
use crate::machine::{Committed, Identity, Machine};
use crate::oracle::{Oracle, Seen};
use crate::random::Random;
use crate::sync::Package;
use crate::words::Shown;

/// How closely a run is watched. Nothing is left out of the last look in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Events and views are compared after some of the steps.
    Sampled,
    /// After all of them, so that a history fails as early as it can.
    Always,
}

pub type Checked<T = ()> = Result<T, Failure>;

/// How often a replica found out in a session that its file had been set back: histories in which none does test less than
/// they say.
pub static FOUND_OUT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What a panic said while a history is played on this thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static PLAYING: Cell<bool> = const { Cell::new(false) };
}

/// Lets a panic of a machine be reported with its history, and not before.
pub fn catch_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if PLAYING.get() {
            PANIC.set(Some(info.to_string()));
        } else {
            usual(info);
        }
    }));
}

/// Runs a history on machines of one kind, and returns every cell that they had in the end. A panic on the way is a
/// failure too.
pub fn play<M: Machine>(history: &History, settings: M::Settings, watch: Watch) -> Checked<Vec<String>> {
    let play = AssertUnwindSafe(|| {
        let mut run = Run::<M>::new(history, settings, watch);
        for (number, step) in history.steps.iter().enumerate() {
            run.step(step).map_err(|failure| failure.at(format!("step {number}, {step}")))?;
        }
        run.finish().map_err(|failure| failure.at("after the last step"))
    });
    PLAYING.set(true);
    let played = panic::catch_unwind(play);
    PLAYING.set(false);
    played.unwrap_or_else(|_| Err(Failure::new(Property::NoPanic, PANIC.take().unwrap_or_default())))
}

/// What is known of one replica beside what it says itself.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub seen: Seen,
    /// Of the last own transaction under the present id.
    counter: u64,
    stamp: Option<Stamp>,
    /// The file was set back, and the machine was not told.
    doubt: Option<Doubt>,
}

/// What was done since a file was set back.
#[derive(Clone, Debug)]
struct Doubt {
    /// The id and own counter then.
    replica: ReplicaId,
    counter: u64,
    /// The run that began then.
    run: u64,
    transactions: Vec<usize>,
}

pub struct Run<'h, M: Machine> {
    pub history: &'h History,
    pub machines: Vec<M>,
    pub books: Vec<Books>,
    pub packages: Vec<Package<M>>,
    pub oracle: Oracle,
    settings: M::Settings,
    backups: Vec<Option<(M, Books)>>,
    identities: u64,
    random: Random,
    watch: Watch,
}

impl<'h, M: Machine> Run<'h, M> {
    fn new(history: &'h History, settings: M::Settings, watch: Watch) -> Self {
        let mut random = Random::new(!history.seed);
        let numbered = history.schemas.iter().zip(1..);
        let machines =
            numbered.map(|(schema, n)| M::new(Identity::numbered(n), schema, settings, &mut random));
        Self {
            history,
            machines: machines.collect(),
            books: vec![Books::default(); history.replicas()],
            packages: Vec::new(),
            oracle: Oracle::default(),
            settings,
            backups: history.schemas.iter().map(|_| None).collect(),
            identities: history.replicas() as u64,
            random,
            watch,
        }
    }

    fn step(&mut self, step: &Step) -> Checked {
        match step {
            Step::Commit(commit) => self.commit(commit),
            Step::Sync(sync) => self.sync(sync),
            Step::Deliver { which, to } => self.deliver_again(*which, *to),
            Step::Restart(at) => {
                let mut machine = self.machines.remove(*at).restart();
                // Whoever is told what it wrote since it was set back is told of the last run, so that is to be the only one.
                let run = self.books[*at].doubt.as_ref().map(|doubt| doubt.run);
                machine.begin_run(run.unwrap_or_else(|| self.random.next()));
                self.machines.insert(*at, machine);
                Ok(())
            }
            Step::Backup(at) => {
                self.settle_doubt(*at)?;
                self.backups[*at] = Some((self.machines[*at].backup(), self.books[*at].clone()));
                Ok(())
            }
            Step::Restore(at) => self.restore(*at),
            Step::Look(at) => self.look(*at),
        }
    }

    /// Commits on the machine and in the oracle, and compares what came of it.
    pub fn commit(&mut self, commit: &Commit) -> Checked {
        let before = self.watch(commit.at)?;
        let committed = self.machines[commit.at].commit(commit)?;
        let wrote = match (commit.abort, committed) {
            (false, Some(committed)) => self.write_down(commit, &committed)?,
            (true, None) => false,
            (false, None) => return Err(Failure::new(Property::RightOutcome, "the commit was aborted")),
            (true, Some(_)) => {
                return Err(Failure::new(Property::RightOutcome, "the aborted commit took effect"));
            }
        };
        self.check_events(commit.at, before, wrote)
    }

    fn write_down(&mut self, commit: &Commit, committed: &Committed) -> Checked<bool> {
        let broken = |property, what: String| Err(Failure::new(property, what));
        let books = &mut self.books[commit.at];
        let change = committed.written.as_ref().map(|written| (written.stamp, written.dot.1));
        let schema = &self.history.schemas[commit.at];
        let expected = self.oracle.commit(&books.seen, schema, &commit.edits, change);
        if expected.outcomes != committed.outcomes {
            let (expected, told) = (expected.outcomes, &committed.outcomes);
            return broken(
                Property::RightOutcome,
                format!("the user should be told {expected:?}, and is {told:?}"),
            );
        }
        let (transaction, written) = match (expected.transaction, &committed.written) {
            (Some(transaction), Some(written)) => (transaction, written),
            (None, None) => return Ok(false),
            (Some(_), None) => {
                return broken(Property::NoEmptyDots, "something changed and nothing was written".into());
            }
            (None, Some(_)) => {
                return broken(Property::NoEmptyDots, "nothing changed and something was written".into());
            }
        };
        if self.machines[commit.at].keeps_books() && written.dot.1 != books.counter + 1 {
            return broken(Property::Claims, format!("dot {} follows {}", written.dot.1, books.counter));
        }
        let overwritten = expected.exceeds.into_iter().chain(books.stamp).max();
        if overwritten.is_some_and(|overwritten| written.stamp <= overwritten) {
            let stamp = written.stamp;
            return broken(
                Property::StampsExceed,
                format!("the stamp {stamp:?} does not exceed {overwritten:?}"),
            );
        }
        if expected.cells.is_some_and(|cells| written.cells > cells) {
            let (cells, should) = (written.cells, expected.cells.unwrap_or_default());
            return broken(
                Property::Cost,
                format!("the edit should take at most {should} cells, and took {cells}"),
            );
        }
        books.seen.insert(transaction);
        if let Some(doubt) = &mut books.doubt {
            doubt.transactions.push(transaction);
        }
        (books.counter, books.stamp) = (written.dot.1, Some(written.stamp));
        Ok(true)
    }

    /// Puts the backup in the place of the file. Whoever heals is not told: it has to find out.
    fn restore(&mut self, at: usize) -> Checked {
        if self.backups[at].is_none() {
            return Ok(());
        }
        if let Some(Doubt { counter, transactions, .. }) = self.books[at].doubt.take() {
            // They are gone, and their dots will be used once more.
            let nobody = self.new_identity().replica;
            self.oracle.rename(&transactions, nobody, counter);
        }
        let Some((backup, books)) = &mut self.backups[at] else { return Ok(()) };
        self.machines[at] = backup.backup();
        self.books[at] = books.clone();
        let run = self.random.next();
        self.machines[at].begin_run(run);
        let replica = self.machines[at].head()?.identity.replica;
        self.books[at].doubt =
            Some(Doubt { replica, counter: self.books[at].counter, run, transactions: Vec::new() });
        if !M::heals() || self.history.comparable {
            let identity = self.new_identity();
            self.machines[at].renew(identity)?;
            (self.books[at].counter, self.books[at].doubt) = (0, None);
        }
        // What was on its way was made for the file that is gone: for one who had seen more.
        self.packages.retain(|package| package.to != at);
        Ok(())
    }

    pub fn new_identity(&mut self) -> Identity {
        self.identities += 1;
        Identity::numbered(self.identities)
    }

    /// True when a replica was set back and does not know it.
    pub fn is_in_doubt(&self, at: usize) -> bool {
        self.books[at].doubt.is_some()
    }

    /// True for a transaction that has its dot by a fork, and that this replica cannot have seen: one of another that was set
    /// back, or the one that it has itself made again since it was.
    pub fn is_of_other_branch(&self, at: usize, number: usize, replica: ReplicaId, counter: u64) -> bool {
        self.books.iter().enumerate().any(|(of, books)| {
            let Some(doubt) = &books.doubt else { return false };
            let since = doubt.transactions.contains(&number);
            if of == at { doubt.replica == replica && counter > doubt.counter && !since } else { since }
        })
    }

    /// Tells a replica that was set back what nobody else can tell it now.
    pub fn settle_doubt(&mut self, at: usize) -> Checked {
        if !self.is_in_doubt(at) {
            return Ok(());
        }
        let identity = self.new_identity();
        self.machines[at].heal(identity)?;
        self.renamed(at)
    }

    /// Notices when a replica goes on under another id: then so do the transactions that it made since it was set back, and
    /// nothing else is different.
    pub fn renamed(&mut self, at: usize) -> Checked {
        let Some(Doubt { counter, transactions, .. }) = self.books[at].doubt.take() else {
            return Err(Failure::new(Property::Claims, "it was not set back, and took another id"));
        };
        let identity = self.machines[at].head()?.identity;
        let stamp = self.oracle.rename(&transactions, identity.replica, counter);
        let books = &mut self.books[at];
        books.counter -= counter;
        books.stamp = stamp.or(books.stamp);
        self.look(at)
    }

    /// Compares what a replica shows and claims with the oracle.
    pub fn look(&mut self, at: usize) -> Checked {
        let name = |failure: Failure| failure.at(format!("looking at {}", Who(at)));
        for doc in &self.history.docs {
            let expected = self.oracle.shown(&self.books[at].seen, &self.history.schemas[at], *doc);
            compare(*doc, &expected, &self.machines[at].shown(*doc)?).map_err(name)?;
        }
        let (claimed, seen) = (self.machines[at].seen()?, self.oracle.vector(&self.books[at].seen));
        if self.machines[at].keeps_books() && claimed != seen {
            let what = format!("it has seen {seen:?} and says {claimed:?}");
            return Err(name(Failure::new(Property::Claims, what)));
        }
        Ok(())
    }

    /// Everything that is shown, when this step is to be watched.
    pub fn watch(&mut self, at: usize) -> Checked<Option<Vec<Shown>>> {
        let watched = self.watch == Watch::Always || self.random.chance(15);
        Ok(if watched { Some(self.all_shown(at)?) } else { None })
    }

    fn all_shown(&mut self, at: usize) -> Checked<Vec<Shown>> {
        Ok(self.history.docs.iter().map(|doc| self.machines[at].shown(*doc)).collect::<Result<_, _>>()?)
    }

    /// Compares the events with what is shown before and after, and that with the oracle.
    pub fn check_events(&mut self, at: usize, before: Option<Vec<Shown>>, changed: bool) -> Checked {
        let broken = |what: String| Err(Failure::new(Property::Events, what));
        let told = self.machines[at].told()?;
        if told.as_ref().is_some_and(|told| !changed && !told.is_empty()) {
            return broken("nothing changed, and an event tells of something".into());
        }
        let Some(before) = before else { return Ok(()) };
        let after = self.all_shown(at)?;
        for (doc, (before, after)) in self.history.docs.iter().zip(before.iter().zip(&after)) {
            let Some(told) = &told else { break };
            match told.iter().find(|told| told.doc == *doc) {
                None if before != after => return broken(format!("no event tells of {doc}")),
                Some(told) if (told.was_there, told.is_there) != (before.is_some(), after.is_some()) => {
                    return broken(format!("{doc}: the event is wrong about whether it was, or is, there"));
                }
                _ => {}
            }
        }
        self.look(at)
    }

    /// Everyone gets everything; then all must be the same, and stay it. Returns every cell.
    fn finish(&mut self) -> Checked<Vec<String>> {
        // Late arrivals first: they may hold what a file had that was replaced by its backup.
        for which in 0..self.packages.len() {
            self.deliver_again(which, None)?;
        }
        let last = self.machines.len() - 1;
        let up = (0..last).map(|at| (at, at + 1));
        let down = (0..last).rev().map(|at| (at + 1, at));
        for (from, to) in up.chain(down) {
            let documents = self.random.pick(&[1, 2, 1000]);
            let way = self.random.pick(&[SyncWay::Windows { documents }, SyncWay::Difference { documents }]);
            self.sync(&Sync { from, to, way, fault: Fault::None, between: Vec::new() })?;
        }
        let first = self.machines[0].state()?;
        for at in 0..self.machines.len() {
            self.look(at)?;
            self.machines[at].audit().map_err(|what| Failure::new(Property::Books, what))?;
            if self.machines[at].state()? != first {
                let what = format!("{} and {} have seen everything and differ", Who(0), Who(at));
                return Err(Failure::new(Property::Convergence, what));
            }
        }
        let census = self.machines[0].census()?;
        self.repeat(&first)?;
        self.newcomer(&first)?;
        Ok(census)
    }

    /// Whatever comes again changes nothing.
    fn repeat(&mut self, state: &M::State) -> Checked {
        for which in 0..self.packages.len() {
            self.deliver_again(which, None)?;
        }
        for to in 0..self.machines.len() {
            let from = (to + 1) % self.machines.len();
            self.sync(&Sync {
                from,
                to,
                way: SyncWay::Everything,
                fault: Fault::Twice,
                between: Vec::new(),
            })?;
            if self.machines[to].state()? != *state {
                let what = format!("{} changed when everything came again", Who(to));
                return Err(Failure::new(Property::Idempotence, what));
            }
        }
        Ok(())
    }

    /// Someone new, who learns everything at once, is like all others.
    fn newcomer(&mut self, state: &M::State) -> Checked {
        self.identities += 1;
        let identity = Identity::numbered(self.identities);
        self.machines[1] = M::new(identity, &self.history.schemas[1], self.settings, &mut self.random);
        self.books[1] = Books::default();
        self.packages.clear();
        let documents = self.random.pick(&[1, 3, 1000]);
        let windows = SyncWay::Windows { documents };
        let way = self.random.pick(&[windows, SyncWay::Difference { documents }, SyncWay::Everything]);
        self.sync(&Sync { from: 0, to: 1, way, fault: Fault::None, between: Vec::new() })?;
        self.look(1)?;
        if self.machines[1].state()? != *state {
            return Err(Failure::new(Property::Convergence, format!("a newcomer differs, by {way:?}")));
        }
        Ok(())
    }
}
