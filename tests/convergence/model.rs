//! [`Model`]: a compact second implementation of the state model, as a machine of its own.
//!
//! State is a flat map key → cell and nothing else is clever: windows are found by looking at every cell, documents are
//! copied for every transaction. It shares no code with the library. Unchanged it has to pass every check, which makes
//! it a second opinion on the library and on the oracle. With a [`Mutant`] it takes one of the wrong turns that the
//! design names, at the few places that ask for it; then the checks have to fail.

mod cells;
mod edit;
mod fields;
mod view;
mod wrong_turns;

use std::collections::BTreeMap;
use std::convert::Infallible;

use crdt_core::{Hlc, Life, ReplicaId, Trail};

use crate::history::Commit;
use crate::machine::{
    Answer, Checkpoint, Committed, Dot, Head, Heard, Identity, Machine, Told, Window, Written,
};
use crate::random::Random;
use crate::words::{Doc, START_MS, Schema, Shown, Vector};
use cells::{Cell, Cells, Key};

/// A wrong turn. All but the last four are about cells; those are about sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// No wrong turn.
    None,
    /// A set's element is one cell for all writers, and merge blends.
    ProductElement,
    /// An element is removed by not being there while the context covers it.
    RemovalByAbsence,
    /// An element is a number: odd is in, even is out, the greater wins.
    CausalLength,
    /// A register of siblings keeps the dots that its last write replaced, not a mark on each.
    ReplacedDots,
    /// A counter is reset by counting down what it shows.
    ResetByMinusTotal,
    /// An `lww` field is kept as siblings of which the last shows.
    LwwAsSiblings,
    /// A re-create writes "absent" instead of closing what it saw.
    RecreateByAbsent,
    /// An edit of a dead document does not clear what lies beneath.
    NoRecreate,
    /// What a removal observes is what was there before the transaction.
    ObservedBefore,
    /// A container is not touched while the own touch is live.
    TouchSkipped,
    /// Batches are merged when they come, not at their checkpoint.
    VisibleChunks,
    /// A batch claims the transactions that it has a part of.
    ClaimsByPart,
    /// What comes from the future is kept outside the state until it is due.
    ParkedOutside,
    /// After a restore, what seems not to have been sent is given new dots.
    Redotted,
}

/// How far ahead of its clock a replica takes what comes in, if it parks.
const AHEAD_MS: u64 = 60_000;

pub type Sent = Vec<(Doc, Key, Cell)>;

#[derive(Clone)]
pub struct Model {
    mutant: Mutant,
    schema: Schema,
    identity: Identity,
    docs: BTreeMap<Doc, Cells>,
    /// The position in the change order at which each cell came or was replaced.
    arrived: BTreeMap<(Doc, Key), u64>,
    counter: u64,
    hlc: Hlc,
    now_ms: u64,
    sequence: u64,
    offered: u64,
    /// Of others: the last transaction seen, and the position at which that rose.
    context: BTreeMap<ReplicaId, (u64, u64)>,
    cursors: BTreeMap<Life, u64>,
    staged: BTreeMap<Life, Vec<Sent>>,
    parked: Sent,
}

/// What was read of a change order: everything up to a position, and something beyond.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    all: u64,
    last: Option<(u64, Doc)>,
}

impl Model {
    /// Merges one cell as part of the next step of the change order; true when it won.
    fn merge(&mut self, (doc, key, cell): (Doc, Key, Cell)) -> bool {
        let cells = self.docs.entry(doc).or_default();
        let won = match cells.get_mut(&key) {
            Some(present) => present.merge(&cell),
            None => cells.insert(key.clone(), cell).is_none(),
        };
        if won {
            self.arrived.insert((doc, key), self.sequence + 1);
        }
        won
    }

    /// Merges cells from a peer. True when any won.
    fn receive(&mut self, cells: Sent) -> bool {
        let mut won = false;
        for sent in cells {
            let early = sent.2.by.stamp.hlc.ms() > self.now_ms + AHEAD_MS
                && sent.2.by.dot().0 != self.identity.replica;
            if self.mutant == Mutant::ParkedOutside && early {
                self.parked.push(sent);
            } else {
                won |= self.merge(sent);
            }
        }
        won
    }

    /// Takes in what was parked and is due now.
    fn admit(&mut self) {
        let parked = std::mem::take(&mut self.parked);
        if self.receive(parked) {
            self.sequence += 1;
        }
    }

    fn raise(&mut self, context: &[Dot]) -> bool {
        let mut rose = false;
        for (replica, counter) in context.iter().filter(|(replica, _)| *replica != self.identity.replica) {
            let entry = self.context.entry(*replica).or_default();
            if entry.0 < *counter {
                *entry = (*counter, self.sequence + 1);
                rose = true;
            }
        }
        rose
    }
}

impl Machine for Model {
    type Batch = Sent;
    type Place = Place;
    type Talk = Infallible;
    type State = BTreeMap<Doc, Cells>;
    type Settings = Mutant;

    fn new(identity: Identity, schema: &Schema, mutant: Mutant, _: &mut Random) -> Self {
        Self {
            mutant,
            schema: schema.clone(),
            identity,
            docs: BTreeMap::new(),
            arrived: BTreeMap::new(),
            counter: 0,
            hlc: Hlc::default(),
            now_ms: START_MS,
            sequence: 0,
            offered: 0,
            context: BTreeMap::new(),
            cursors: BTreeMap::new(),
            staged: BTreeMap::new(),
            parked: Vec::new(),
        }
    }

    fn head(&mut self) -> Answer<Head> {
        Ok(Head { identity: self.identity, sequence: self.sequence })
    }

    fn commit(&mut self, commit: &Commit) -> Answer<Option<Committed>> {
        self.now_ms = commit.now_ms;
        self.admit();
        if commit.abort {
            return Ok(None);
        }
        let first = self.hlc.next().ok_or("the clock is at its end")?.max(Hlc::from_ms(commit.now_ms));
        let done = edit::transact(self, commit, first);
        if done.written.is_empty() {
            return Ok(Some(Committed { outcomes: done.outcomes, written: None }));
        }
        (self.counter, self.hlc) = (done.by.n, done.by.stamp.hlc);
        for (doc, key) in done.dropped {
            self.docs.entry(doc).or_default().remove(&key);
            self.arrived.remove(&(doc, key));
        }
        let cells = done.written.len();
        for ((doc, key), cell) in done.written {
            self.merge((doc, key, cell));
        }
        self.sequence += 1;
        let written = Written { dot: done.by.dot(), stamp: done.by.stamp, cells };
        Ok(Some(Committed { outcomes: done.outcomes, written: Some(written) }))
    }

    fn place(sequence: u64) -> Place {
        Place { all: sequence, last: None }
    }

    fn window(&mut self, from: &Place, known: u64, documents: usize) -> Answer<Window<Self>> {
        self.offered = self.counter;
        let unread = |at: &(u64, Doc)| at.0 > from.all && Some(*at) > from.last;
        let mut steps: BTreeMap<(u64, Doc), Vec<&Key>> = BTreeMap::new();
        for ((doc, key), sequence) in &self.arrived {
            if unread(&(*sequence, *doc)) {
                steps.entry((*sequence, *doc)).or_default().push(key);
            }
        }
        let read: Vec<_> = steps.iter().take(documents).collect();
        let last = read.last().map(|(at, _)| **at).or(from.last);
        let cells = read.iter().flat_map(|(at, keys)| keys.iter().map(move |key| (at.1, *key)));
        let batch = cells.map(|(doc, key)| (doc, key.clone(), self.docs[&doc][key].clone())).collect();
        let context = self.context.iter().filter(|(_, (_, rose))| *rose > known);
        let context = context.map(|(replica, (counter, _))| (*replica, *counter));
        let own = Some((self.identity.replica, self.counter)).filter(|(_, counter)| *counter > 0);
        let head = (read.len() == steps.len()).then(|| (self.sequence, context.chain(own).collect()));
        Ok(Window { batch, next: Place { all: from.all, last }, head })
    }

    fn difference(
        &mut self,
        seen: &Vector,
        after: Option<Doc>,
        documents: usize,
    ) -> Answer<(Sent, Option<Doc>)> {
        self.offered = self.counter;
        let page: Vec<_> = self.docs.iter().filter(|(doc, _)| Some(**doc) > after).take(documents).collect();
        let mut missed = Sent::new();
        for (doc, cells) in &page {
            for (key, cell) in *cells {
                let (replica, counter) = cell.by.dot();
                if seen.get(&replica).is_none_or(|last| *last < counter) {
                    missed.push((**doc, key.clone(), cell.clone()));
                }
            }
        }
        Ok((missed, page.last().map(|(doc, _)| **doc)))
    }

    fn everything(&mut self) -> Answer<Sent> {
        Ok(self.difference(&Vector::new(), None, usize::MAX)?.0)
    }

    fn cursor(&mut self, peer: Identity) -> Answer<u64> {
        Ok(self.cursors.get(&peer.life).copied().unwrap_or_default())
    }

    fn stage(&mut self, peer: Identity, batch: &Sent) -> Answer<()> {
        match self.mutant {
            Mutant::VisibleChunks => {
                if self.receive(batch.clone()) {
                    self.sequence += 1;
                }
            }
            Mutant::ClaimsByPart => {
                let claims: Vec<Dot> = batch.iter().map(|(_, _, cell)| cell.by.dot()).collect();
                if self.raise(&claims) | self.receive(batch.clone()) {
                    self.sequence += 1;
                }
            }
            _ => self.staged.entry(peer.life).or_default().push(batch.clone()),
        }
        Ok(())
    }

    fn clear_staged(&mut self, peer: Identity) -> Answer<()> {
        self.staged.remove(&peer.life);
        Ok(())
    }

    fn apply(&mut self, checkpoint: &Checkpoint<Sent>) -> Answer<bool> {
        let staged = self.staged.remove(&checkpoint.from.life).unwrap_or_default();
        let all: Sent = staged.into_iter().flatten().chain(checkpoint.batch.iter().cloned()).collect();
        if self.mutant == Mutant::RemovalByAbsence {
            self.drop_absent(&all, &checkpoint.context);
        }
        let changed = self.receive(all) | self.raise(&checkpoint.context);
        self.sequence += u64::from(changed);
        let cursor = self.cursors.entry(checkpoint.from.life).or_default();
        *cursor = checkpoint.cursor.max(*cursor);
        Ok(changed)
    }

    fn greet(&mut self, _: u64, _: Identity) -> Option<Infallible> {
        None
    }

    fn say(&mut self, talk: &mut Infallible) -> Answer<Option<Vec<u8>>> {
        match *talk {}
    }

    fn hear(&mut self, talk: &mut Infallible, _: &[u8]) -> Answer<Heard> {
        match *talk {}
    }

    fn is_settled(talk: &Infallible) -> bool {
        match *talk {}
    }

    fn shown(&mut self, doc: Doc) -> Answer<Shown> {
        let none = Cells::new();
        let cells = self.docs.get(&doc).unwrap_or(&none);
        Ok(view::View { cells, mutant: self.mutant, declared: self.schema.of(doc) }.shown(&[]))
    }

    fn seen(&mut self) -> Answer<Vector> {
        let mut seen: Vector =
            self.context.iter().map(|(replica, (counter, _))| (*replica, *counter)).collect();
        if self.counter > 0 {
            seen.insert(self.identity.replica, self.counter);
        }
        Ok(seen)
    }

    fn state(&mut self) -> Answer<Self::State> {
        Ok(self
            .docs
            .iter()
            .filter(|(_, cells)| !cells.is_empty())
            .map(|(doc, c)| (*doc, c.clone()))
            .collect())
    }

    fn census(&mut self) -> Answer<Vec<String>> {
        let of_doc = |(doc, cells): (&Doc, &Cells)| -> Vec<String> {
            cells.iter().map(|(key, cell)| cell.describe(*doc, key)).collect()
        };
        let mut census: Vec<String> = self.docs.iter().flat_map(of_doc).collect();
        census.sort();
        Ok(census)
    }

    fn audit(&mut self) -> Answer<()> {
        let seen = self.seen()?;
        for (doc, cells) in &self.docs {
            for (key, cell) in cells {
                let (replica, counter) = cell.by.dot();
                if seen.get(&replica).is_none_or(|last| *last < counter) {
                    return Err(format!("{doc} {key:?} is in the state and not in what was seen"));
                }
            }
        }
        Ok(())
    }

    fn told(&mut self) -> Answer<Option<Vec<Told>>> {
        Ok(None)
    }

    fn restart(self) -> Self {
        self
    }

    fn backup(&mut self) -> Self {
        self.clone()
    }

    fn renew(&mut self, identity: Identity) -> Answer<()> {
        if self.mutant == Mutant::Redotted {
            self.redot(identity);
        } else if self.counter > 0 {
            self.sequence += 1;
            self.context.insert(self.identity.replica, (self.counter, self.sequence));
            self.counter = 0;
        }
        (self.identity, self.offered) = (identity, 0);
        Ok(())
    }

    fn begin_run(&mut self, _: u64) {}

    fn trail(&mut self) -> Answer<Trail> {
        Ok(Trail::default())
    }

    fn would_notice(&mut self, _: &mut Self) -> Answer<bool> {
        Ok(false)
    }

    fn heal(&mut self, identity: Identity) -> Answer<()> {
        self.renew(identity)
    }

    fn keeps_books(&self) -> bool {
        !matches!(self.mutant, Mutant::Redotted | Mutant::ClaimsByPart)
    }
}
