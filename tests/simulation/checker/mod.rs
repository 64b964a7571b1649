//! [`Checker`]: whether what was seen of a history is what was promised.
//!
//! It stands apart from the world that plays the history and from the books of the library. It hears what was committed
//! and how sure that was, what each device showed and when, who acknowledged what, and what happened to files. From that
//! it knows which transactions a device has to show (each leaves a document with its number), and from the oracle, which
//! is the causal history and nothing else, what they come to.

mod forks;
mod violation;
mod weaker;

pub use violation::{Checked, Promise, Violation};

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{Fingerprint, ReplicaId, Stamp};

use crate::failure::compare;
use crate::guard;
use crate::oracle::{Oracle, Seen};
use crate::plot::Who;
use crate::words::{Action, Doc, Edit, Outcome, Schema, Shown, Vector};
use forks::Forks;

/// What the library calls a transaction: who wrote it, and how many that one had written then.
pub type Name = (ReplicaId, u64);

/// What a device showed at one moment.
pub struct Sight {
    /// The numbers of the transactions that are shown.
    pub journal: Vec<usize>,
    /// Of those that are there and are not shown.
    pub withheld: Vec<usize>,
    /// The dots under which it has each transaction. There is more than one for what was issued again after it had left.
    pub names: Vec<(usize, Name)>,
    /// The same, of those with the stamp of a later epoch.
    pub later_names: Vec<(usize, Name)>,
    /// The least of what its clock says, of what the device believes the time to be because others say so, and of the true
    /// time. Others can be wrong, and a clock that was put right while nobody asked it looks like one that went on; so what
    /// it believes is looked at in the end, when all have met whose clocks are right.
    pub clock_ms: u64,
    /// By how much what it believes is wrong.
    pub wrong_ms: u64,
    /// What it says that it has seen.
    pub claims: Vector,
    /// A first sync has not come to its end, so it claims nothing of what that brought.
    pub loads: bool,
    /// Under which id it writes.
    pub replica: ReplicaId,
    /// The position of its change order.
    pub sequence: u64,
    pub root: Fingerprint,
    /// All documents, if they were looked at.
    pub documents: Option<Vec<(Doc, Shown)>>,
    /// Then also where something is not shown, and of when that is.
    pub hidden: Vec<(Doc, Stamp)>,
    /// Then also the numbers of the transactions that it keeps because they were refused.
    pub rejected: Vec<usize>,
}

/// A transaction as its author saw it.
pub struct Report<'r> {
    pub edits: &'r [Edit],
    pub outcomes: &'r [Outcome],
    pub dot: Name,
    pub stamp: Stamp,
    pub durable: bool,
}

pub struct Checker {
    oracle: Oracle,
    /// The first device judges what the others bring.
    guarded: bool,
    transactions: Vec<Transaction>,
    dots: BTreeMap<Name, usize>,
    devices: Vec<Watched>,
    forks: Forks,
    /// Documents with values that the library has written again because a clock was wrong. They have other stamps than their
    /// transactions, and what somebody else has taken away meanwhile may be there again.
    issued: BTreeSet<Doc>,
    /// Documents that somebody edited who did not see what the transactions come to that he saw; see [`Watched::unlike`].
    /// And those that somebody edited on top of a transaction that is refused.
    unclear: BTreeSet<Doc>,
    /// Transactions of which somebody who gave up waiting may have a half, and nobody who is left the whole: nobody claims
    /// them, and what they come to is not known.
    torn: Seen,
}

struct Transaction {
    author: usize,
    name: Name,
    stamp: Stamp,
    docs: Vec<Doc>,
    /// Those of them that it deletes.
    deletes: Vec<Doc>,
    past: Seen,
    /// A crash took it back.
    taken_back: bool,
}

/// What is known of one device.
struct Watched {
    schema: Schema,
    /// What it had last: shown, or withheld with a reason.
    has: Seen,
    /// What of it it showed.
    shown: Seen,
    /// Documents of which it showed something else than what the transactions come to that it shows: something is withheld
    /// that had replaced a value before that came here. The state has one cell per key, so whoever gets the later value first
    /// never gets the earlier one, and shows neither until the time of the later one comes. That cannot be seen where the
    /// earlier one would not show anyway, beneath something that was deleted; but an edit there would have to exceed it.
    ///
    /// And documents that a deletion that was written again has taken, though the transactions brought them back.
    unlike: BTreeSet<Doc>,
    /// Something was withheld.
    withholds: bool,
    /// Its first sync had not come to its end.
    loads: bool,
    /// What it had beside what its first sync has brought so far: that it passes on, and vouches for.
    firm: Seen,
    /// What it has to show whatever happens to the process: durable, or acknowledged.
    floor: Seen,
    /// Under which dots it had it.
    names: Vec<(usize, Name)>,
    /// What it showed at positions of its change order.
    steps: Vec<(u64, Seen)>,
    /// What is in the copy of its file.
    copy: Option<Seen>,
    next: Next,
}

/// From further ahead than this, nothing is shown: by the library's default, in milliseconds.
pub const BOUND_MS: u64 = 60_000;

/// How the next sight relates to the last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Grows,
    /// It may have lost what was not durable.
    Crashed,
    /// Its file was replaced: it shows exactly what was set down.
    Replaced,
}

fn broken<T>(promise: Promise, what: impl Into<String>) -> Checked<T> {
    Err(Violation::new(promise, what))
}

fn numbers(seen: &Seen, transactions: usize) -> String {
    let numbers: Vec<String> =
        (0..transactions).filter(|number| seen.contains(*number)).map(|number| number.to_string()).collect();
    numbers.join(" ")
}

impl Checker {
    pub fn new(schemas: impl Iterator<Item = Schema>, guarded: bool) -> Self {
        let watched = |schema| Watched {
            schema,
            has: Seen::default(),
            shown: Seen::default(),
            unlike: BTreeSet::new(),
            withholds: false,
            loads: false,
            firm: Seen::default(),
            floor: Seen::default(),
            names: Vec::new(),
            steps: Vec::new(),
            copy: None,
            next: Next::Grows,
        };
        Self {
            oracle: Oracle::default(),
            guarded,
            transactions: Vec::new(),
            dots: BTreeMap::new(),
            devices: schemas.map(watched).collect(),
            forks: Forks::default(),
            issued: BTreeSet::new(),
            unclear: BTreeSet::new(),
            torn: Seen::default(),
        }
    }

    /// What a device shows of what it is going to edit has to be looked at before: it may have changed without anything
    /// having happened but time, or not be what the transactions come to.
    pub fn is_unsure_of(&self, at: usize, edits: &[Edit]) -> bool {
        self.devices[at].withholds || edits.iter().any(|edit| self.issued.contains(&edit.doc))
    }

    /// The library has written values again, in these documents.
    pub fn issued(&mut self, docs: &[Doc]) {
        self.issued.extend(docs);
    }

    /// The number of the next transaction.
    pub const fn next_number(&self) -> usize {
        self.transactions.len()
    }

    /// Whether the server takes a transaction.
    fn refuses(&self, number: usize) -> bool {
        self.guarded && guard::refuses(number) && self.transactions[number].author != guard::SERVER
    }

    /// Whether all is there that has to be: what is refused goes.
    fn covers(&self, these: &Seen, those: &Seen) -> bool {
        these.covers(those) || (self.guarded && self.missing(these, those).is_empty())
    }

    fn missing(&self, from: &Seen, of: &Seen) -> String {
        let missing = (0..self.transactions.len()).filter(|n| of.contains(*n) && !from.contains(*n));
        let missing = missing.filter(|n| !self.refuses(*n));
        missing.map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// A transaction was committed by a device that showed what it showed last.
    pub fn committed(&mut self, at: usize, report: &Report<'_>) -> Checked {
        let number = self.transactions.len();
        // What nobody has under a name leaves it free: a crash took it back, an older copy took its file's place, or it was
        // issued again under another one before it had left.
        let mut names = self.devices.iter().flat_map(|device| &device.names);
        let twin = names.find(|(_, name)| *name == report.dot).map(|(twin, _)| *twin);
        self.dots.insert(report.dot, number);
        let docs: Vec<Doc> = report.edits.iter().map(|edit| edit.doc).collect();
        let deletes =
            report.edits.iter().filter(|edit| matches!(edit.action, Action::Delete | Action::Erase));
        let deletes = deletes.map(|edit| edit.doc).collect();
        if self.forks.ids.contains(&report.dot.0) {
            self.forks.docs.extend(&docs);
        } else if let Some(other) = twin {
            let dot = report.dot;
            return broken(Promise::Identity, format!("transactions {other} and {number} are both {dot:?}"));
        }
        let watched = &self.devices[at];
        // Who loads sees halves of transactions, and edits those.
        self.unclear.extend(docs.iter().filter(|doc| watched.loads || watched.unlike.contains(doc)));
        let refused: Vec<usize> =
            (0..number).filter(|n| self.refuses(*n) && watched.shown.contains(*n)).collect();
        // What a refused one had taken away stands again, though its author has not taken it himself, because it was gone.
        let builds_on = |doc: &&Doc| refused.iter().any(|n| self.transactions[*n].docs.contains(doc));
        self.unclear.extend(docs.iter().filter(builds_on));
        let change = Some((report.stamp, report.dot.1));
        let expected = self.oracle.commit(&watched.shown, &watched.schema, report.edits, change);
        // What was forked may show more than the oracle knows.
        let is_exact = |doc: &Doc| {
            ![&self.forks.docs, &self.issued, &self.unclear].iter().any(|docs| docs.contains(doc))
        };
        let exact = docs.iter().all(is_exact);
        if exact && expected.outcomes != report.outcomes {
            let (right, told) = (expected.outcomes, report.outcomes);
            return broken(
                Promise::RightOutcome,
                format!("the user should be told {right:?} and is told {told:?}"),
            );
        }
        if expected.transaction != Some(number) {
            return broken(Promise::RightOutcome, "the transaction should have written nothing");
        }
        let overwritten = expected.exceeds;
        if exact && overwritten.is_some_and(|overwritten| report.stamp <= overwritten) {
            let stamp = report.stamp;
            return broken(Promise::Stamps, format!("{stamp:?} does not exceed {overwritten:?}"));
        }
        // What is written while a first sync is under way goes on its own.
        let past = if watched.loads { watched.firm.clone() } else { watched.shown.clone() };
        self.transactions.push(Transaction {
            author: at,
            name: report.dot,
            stamp: report.stamp,
            docs,
            deletes,
            past,
            taken_back: false,
        });
        let watched = &mut self.devices[at];
        watched.has.insert(number);
        watched.shown.insert(number);
        watched.firm.insert(number);
        if report.durable {
            watched.floor = watched.has.clone();
        }
        Ok(())
    }

    /// A device was looked at.
    pub fn saw(&mut self, at: usize, sight: &Sight) -> Checked {
        let (mut has, mut shown) = (Seen::default(), Seen::default());
        for number in &sight.withheld {
            has.insert(*number);
        }
        for number in &sight.journal {
            shown.insert(*number);
        }
        has.extend(&shown);
        let there = || sight.journal.iter().chain(&sight.withheld).copied();
        if let Some(number) = there().find(|number| *number >= self.transactions.len()) {
            let what = format!("{} shows transaction {number}, which was never committed", Who(at));
            return broken(Promise::WholeTransactions, what);
        }
        self.check_withheld(at, sight)?;
        self.check_growth(at, &has)?;
        // Until a first sync has come to its end, halves of transactions are there.
        let has_loaded = self.devices[at].loads && !sight.loads;
        for number in there() {
            let arrives = !self.devices[at].has.contains(number);
            if !sight.loads && (arrives || has_loaded) {
                self.check_past(at, number, &has)?;
            }
            if arrives {
                self.check_arrival(at, number)?;
            }
        }
        self.check_claims(at, sight, &has)?;
        let watched = &mut self.devices[at];
        // What the library wrote again in a later epoch may stand for several transactions; what was committed in one does not.
        let own = sight.later_names.iter().filter(|(number, name)| self.transactions[*number].name == *name);
        let names: Vec<_> = sight.names.iter().chain(own).copied().collect();
        let before = sight.later_names.iter().map(|(number, _)| (*number, self.transactions[*number].name));
        let before: Vec<_> = before.filter(|_| self.forks.any).collect();
        self.forks.take_names(at, (&watched.names, &names), &before, &self.transactions)?;
        watched.names = names;
        watched.steps.retain(|(sequence, _)| *sequence < sight.sequence);
        if !sight.loads {
            watched.firm.clone_from(&has);
        }
        watched.steps.push((sight.sequence, watched.firm.clone()));
        (watched.has, watched.shown, watched.next) = (has, shown, Next::Grows);
        (watched.withholds, watched.loads) = (!sight.withheld.is_empty(), sight.loads);
        // Until a first sync has come to its end, halves of transactions may show.
        if let Some(documents) = sight.documents.as_ref().filter(|_| !sight.loads) {
            watched.withholds |= !sight.hidden.is_empty();
            self.check_documents(at, documents, &sight.hidden)?;
        }
        Ok(())
    }

    /// A device claims to have seen what it has, unless it is loading that, and nothing that it has not. What the library
    /// issues itself is no transaction of an app, and left out.
    fn check_claims(&self, at: usize, Sight { claims, loads, .. }: &Sight, has: &Seen) -> Checked {
        if self.forks.any {
            return Ok(());
        }
        for ((replica, counter), number) in &self.dots {
            let claimed = claims.get(replica).is_some_and(|last| counter <= last);
            let expected = !self.transactions[*number].taken_back && !self.refuses(*number);
            // Who loads claims nothing of it yet; a server does not believe what a peer that it judges claims, so it does too,
            // and so do the others.
            let less = (*loads || self.torn.contains(*number) || self.guarded) && !claimed;
            if claimed != has.contains(*number) && expected && !less {
                let (who, verb) = (Who(at), if claimed { "lacks" } else { "has" });
                let what = format!("{who} {verb} transaction {number} and claims {claims:?}");
                return broken(Promise::Claims, what);
            }
        }
        Ok(())
    }

    /// Only what comes from a time that has not come yet is not shown.
    fn check_withheld(&self, at: usize, sight: &Sight) -> Checked {
        let soon_ms = sight.clock_ms + BOUND_MS / 2;
        let hidden =
            sight.withheld.iter().find(|number| self.transactions[**number].stamp.hlc.ms() <= soon_ms);
        let also = sight.hidden.iter().find(|(_, stamp)| stamp.hlc.ms() <= soon_ms);
        if let Some((doc, stamp)) = also {
            let what =
                format!("{} does not show all of {doc}, though the time of {stamp:?} has come", Who(at));
            return broken(Promise::Clocks, what);
        }
        match hidden {
            Some(number) => broken(
                Promise::Clocks,
                format!("{} has transaction {number}, does not show it, and its time has come", Who(at)),
            ),
            None => Ok(()),
        }
    }

    /// What a device has now beside what it had last.
    fn check_growth(&mut self, at: usize, shown: &Seen) -> Checked {
        let watched = &self.devices[at];
        let (who, before) = (Who(at), &watched.has);
        match watched.next {
            Next::Grows if !self.covers(shown, before) => {
                let lost = self.missing(shown, before);
                broken(Promise::MonotonicReads, format!("{who} does not show transactions {lost} any more"))
            }
            Next::Crashed if !self.covers(shown, &watched.floor) => {
                let lost = self.missing(shown, &watched.floor);
                broken(Promise::NothingLost, format!("after the crash, {who} lacks transactions {lost}"))
            }
            Next::Crashed | Next::Replaced if !before.covers(shown) => {
                let new = self.missing(before, shown);
                broken(Promise::MonotonicReads, format!("{who} came up with transactions {new}"))
            }
            Next::Replaced if !shown.covers(before) => {
                let lost = self.missing(shown, before);
                broken(Promise::NothingLost, format!("the copy of {who} lacks transactions {lost}"))
            }
            Next::Crashed => {
                for (number, transaction) in self.transactions.iter_mut().enumerate() {
                    let lost = before.contains(number) && !shown.contains(number);
                    transaction.taken_back |= lost && transaction.author == at;
                }
                Ok(())
            }
            Next::Grows | Next::Replaced => Ok(()),
        }
    }

    /// A transaction is shown beside others: those that its author had seen.
    fn check_past(&self, at: usize, number: usize, shown: &Seen) -> Checked {
        let Transaction { author, past, .. } = &self.transactions[number];
        if self.covers(shown, past) || self.torn.contains(number) {
            return Ok(());
        }
        let (who, by, lacks) = (Who(at), Who(*author), self.missing(shown, past));
        broken(
            Promise::Causality,
            format!("{who} shows transaction {number} of {by}, and not {lacks}, which {by} had seen"),
        )
    }

    /// A transaction is shown somewhere for the first time.
    fn check_arrival(&mut self, at: usize, number: usize) -> Checked {
        let Transaction { author, taken_back, .. } = &self.transactions[number];
        let (who, by) = (Who(at), Who(*author));
        if *taken_back {
            return broken(
                Promise::DurableBeforeItLeaves,
                format!("{who} shows transaction {number}, which {by} lost in a crash"),
            );
        }
        if self.refuses(number) {
            return broken(
                Promise::Guard,
                format!("{who} shows transaction {number} of {by}, which is refused"),
            );
        }
        // It has left its author, so there it is durable.
        let author = &mut self.devices[*author];
        if author.has.contains(number) {
            author.floor.insert(number);
        }
        Ok(())
    }

    /// The documents that a device shows beside what the transactions that it shows come to.
    fn check_documents(&mut self, at: usize, documents: &[(Doc, Shown)], hidden: &[(Doc, Stamp)]) -> Checked {
        let mut unlike = BTreeSet::new();
        for (doc, shown) in documents {
            let watched = &self.devices[at];
            let expected = self.oracle.shown(&watched.shown, &watched.schema, *doc);
            let (who, seen) = (Who(at), || numbers(&watched.shown, self.transactions.len()));
            if self.forks.may_lose(*doc) {
                continue;
            }
            let exact = compare(*doc, &expected, shown);
            if hidden.iter().any(|(at, _)| at == doc) {
                if exact.is_err() || self.oracle.hides(&watched.shown, &watched.schema, *doc) {
                    unlike.insert(*doc);
                }
            } else if self.forks.docs.contains(doc) || self.issued.contains(doc) {
                // A deletion that was written again is concurrent with what brought the document back, and wins where deletes do.
                let deleted =
                    self.issued.contains(doc) && watched.schema.of(*doc).delete_wins && shown.is_none();
                if deleted && expected.is_some() {
                    unlike.insert(*doc);
                }
                let clear = !deleted && !self.unclear.contains(doc);
                let declares_otherwise = |stamp: &Stamp| {
                    let by = self.transactions.iter().find(|one| one.stamp == *stamp);
                    by.is_none_or(|by| self.devices[by.author].schema.of(*doc) != watched.schema.of(*doc))
                };
                if let Err(what) =
                    weaker::nothing_lost(&doc.to_string(), &expected, shown, &declares_otherwise)
                    && clear
                {
                    let what = format!("{who} shows transactions {}, of a forked history; {what}", seen());
                    return broken(Promise::Identity, what);
                }
            } else if let Err(failure) = exact
                && !self.unclear.contains(doc)
            {
                let what = format!("{who} shows transactions {}; {}", seen(), failure.what);
                return broken(Promise::WholeTransactions, what);
            }
        }
        self.devices[at].unlike = unlike;
        Ok(())
    }

    /// All that a device shows is durable.
    pub fn is_durable(&mut self, at: usize) {
        let watched = &mut self.devices[at];
        watched.floor = watched.has.clone();
    }

    /// `by`, whose file is the one that it was then, told `of` that it has durably applied its changes up to a position.
    pub fn acknowledged(&mut self, by: usize, of: usize, sequence: u64) -> Checked {
        let promised = self.devices[of].steps.iter().rev().find(|(at, _)| *at <= sequence);
        let Some((_, promised)) = promised.cloned() else { return Ok(()) };
        if !self.covers(&self.devices[by].has, &promised) {
            let lacks = self.missing(&self.devices[by].has, &promised);
            return broken(
                Promise::NothingLost,
                format!("{} acknowledged transactions {lacks} to {} and lacks them", Who(by), Who(of)),
            );
        }
        self.devices[by].floor.extend(&promised);
        Ok(())
    }

    pub fn crashed(&mut self, at: usize) {
        let watched = &mut self.devices[at];
        watched.next = Next::Crashed;
    }

    /// A device waits no longer for the rest of its first sync, after all who are left have met: that left with somebody, or
    /// was in a file that an older copy took the place of.
    pub fn gave_up(&mut self, at: usize, sight: &Sight) {
        let (mut held, claims) = (Seen::default(), &sight.claims);
        for device in &self.devices {
            held.extend(&device.has);
        }
        for (number, Transaction { name: (replica, counter), docs, .. }) in
            self.transactions.iter().enumerate()
        {
            let claimed = claims.get(replica).is_some_and(|last| counter <= last);
            if (self.devices[at].has.contains(number) && !claimed) || !held.contains(number) {
                self.torn.insert(number);
                self.unclear.extend(docs);
            }
        }
    }

    /// A device left for good, with its file.
    pub fn left(&mut self, at: usize) {
        let watched = &mut self.devices[at];
        (watched.has, watched.shown) = (Seen::default(), Seen::default());
        watched.names.clear();
    }

    /// The file was copied; what is in a copy may leave, so it is durable.
    pub fn copied(&mut self, at: usize) {
        self.is_durable(at);
        let watched = &mut self.devices[at];
        watched.copy = Some(watched.has.clone());
    }

    /// The copy of one device's file became the file of another, or of itself. If nobody noticed, it goes on under the id
    /// that it had.
    pub fn replaced(&mut self, of: usize, at: usize, forked: Option<ReplicaId>) {
        let copy = self.devices[of].copy.clone().unwrap_or_default();
        if let Some(id) = forked {
            self.forks.any = true;
            self.forks.ids.insert(id);
            let since = self.transactions.iter().enumerate();
            let since = since.filter(|(number, one)| one.name.0 == id && !copy.contains(*number));
            self.forks.docs.extend(since.flat_map(|(_, one)| &one.docs));
        }
        let watched = &mut self.devices[at];
        (watched.floor, watched.has, watched.shown) = (copy.clone(), copy.clone(), copy);
        watched.steps.clear();
        watched.next = Next::Replaced;
    }

    /// All have met: nobody writes under an id that another one writes under.
    pub fn healed(&mut self) {
        self.forks.ids.clear();
    }

    /// The faults have ended: all that anybody shows who is left.
    pub fn everything(&self, left: &[usize]) -> Seen {
        let mut all = Seen::default();
        for at in left {
            all.extend(&self.devices[*at].has);
        }
        all
    }

    /// Everybody who is left was looked at when nothing was left to say.
    pub fn finished(&self, everything: &Seen, sights: &[(usize, Sight)]) -> Checked {
        let Some((first, one)) = sights.first() else { return Ok(()) };
        for (at, sight) in sights {
            let shown = &self.devices[*at].has;
            if !self.covers(shown, everything) {
                let lost = self.missing(shown, everything);
                return broken(
                    Promise::NothingLost,
                    format!("in the end, {} lacks transactions {lost}", Who(*at)),
                );
            }
            if *shown != self.devices[*first].has {
                let what =
                    format!("in the end, {} and {} show different transactions", Who(*first), Who(*at));
                return broken(Promise::Convergence, what);
            }
            if sight.wrong_ms > BOUND_MS && sights.len() > 1 {
                let (who, wrong_s) = (Who(*at), sight.wrong_ms / 1_000);
                let what = format!(
                    "in the end all clocks are right, and {who} believes in one that is {wrong_s} s off"
                );
                return broken(Promise::Clocks, what);
            }
            if sight.root != one.root {
                let what = format!("in the end, {} and {} have different roots", Who(*first), Who(*at));
                return broken(Promise::Convergence, what);
            }
        }
        self.check_refused(sights)?;
        let mut ids: BTreeMap<ReplicaId, usize> = BTreeMap::new();
        for (at, sight) in sights {
            if let Some(other) = ids.insert(sight.replica, *at) {
                let what = format!("in the end, {} and {} write under one id", Who(other), Who(*at));
                return broken(Promise::Identity, what);
            }
        }
        self.same_documents(sights)
    }

    /// What is refused is nowhere any more, and its author keeps it.
    fn check_refused(&self, sights: &[(usize, Sight)]) -> Checked {
        for number in (0..self.transactions.len()).filter(|number| self.refuses(*number)) {
            let Transaction { author, taken_back, .. } = self.transactions[number];
            if let Some((at, _)) = sights.iter().find(|(at, _)| self.devices[*at].has.contains(number)) {
                let what = format!("in the end, {} has transaction {number}, which is refused", Who(*at));
                return broken(Promise::Guard, what);
            }
            let mut of_author = sights.iter().filter(|(at, _)| *at == author && !taken_back);
            if of_author.any(|(_, sight)| !sight.rejected.contains(&number)) {
                let what = format!("{} does not keep transaction {number}, which was refused", Who(author));
                return broken(Promise::Guard, what);
            }
        }
        Ok(())
    }

    /// Devices of one schema show the same, whatever the oracle says.
    fn same_documents(&self, sights: &[(usize, Sight)]) -> Checked {
        for (index, (at, sight)) in sights.iter().enumerate() {
            let mine = &self.devices[*at];
            let alike = |other: &&(usize, Sight)| {
                let other = &self.devices[other.0];
                // What one withholds and another one does not makes them differ.
                other.schema == mine.schema && other.shown == mine.shown
            };
            let Some((other, before)) = sights[..index].iter().rfind(alike) else { continue };
            // Nor do those of whom one had seen a value before it was replaced by what both withhold.
            let all = |one: &Sight| {
                one.documents
                    .iter()
                    .flatten()
                    .filter(|(doc, _)| {
                        ![&before.hidden, &sight.hidden]
                            .iter()
                            .any(|hidden| hidden.iter().any(|(at, _)| at == doc))
                    })
                    .cloned()
                    .collect::<Vec<_>>()
            };
            if all(before) != all(sight) {
                let what = format!("in the end, {} and {} show different documents", Who(*other), Who(*at));
                return broken(Promise::Convergence, what);
            }
        }
        Ok(())
    }
}
