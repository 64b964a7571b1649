//! [`Oracle`]: what a replica ought to show, straight from the causal history.
//!
//! The oracle keeps every committed transaction of a history: who made it, with which stamp, and exactly which earlier
//! transactions its author had seen. It has no cells, no merge and no sync. What the user did is written down as
//! *facts*, of two sorts: something was put (a value, an element, a step, a switch, a touch, a condemnation), or
//! something was taken away. A put stands for a reader unless the reader also knows a take that saw the put:
//!
//! - a transaction sees what its author had seen, and its own earlier facts;
//! - a set has the elements of the adds that stand, a flag is on and a container present while a switch or touch
//!   stands, a counter is the sum of the steps that stand;
//! - a register that keeps siblings shows the writes that stand; every write takes those it saw;
//! - an `lww` register shows the write with the greatest stamp, standing or not, and is empty when it does not stand:
//!   a take empties the place that it saw and leaves it where it is in the order of stamps;
//! - a document is there while its presence is; with `delete wins`, when it was ever touched and no condemnation stands;
//! - a container is shown when it and everything around it is there.
//!
//! What an edit does depends on what its author saw. An edit writes **nothing** when
//!
//! - it is refused: the field is declared as another type, would shrink though it only grows, or is a `manual` field in
//!   conflict that is set or removed without `resolve`;
//! - a register is set to the only value that it has already (equal concurrent values are one), or removed while it has
//!   none; without a declaration, or with that of a register, `remove` is a write of "absent" *and* takes the rest;
//! - any other field is removed, reset, switched off or has an element taken, and shows nothing of the kind;
//! - a counter is counted by 0, or an element is added to a grow-only set that has it;
//! - a document is deleted that is not there. `erase` deletes and takes everything beneath, shown or hidden.
//!
//! Every other edit first re-creates when it finds its document or a map around it dead (the condemnations and
//! everything beneath the outermost dead container are taken), then touches all containers around it, then writes. An
//! `ensure` is such an edit without a field. Delete and erase touch nothing. A transaction that put and took nothing
//! takes no dot.

mod author;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{Change, ReplicaId, Stamp, Value};

use crate::words::{Doc, Edit, Leaf, Outcome, PATHS, Path, Schema, Shown, Vector};
use author::Author;
use reading::Reader;

/// A set of transactions, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(Vec<u64>);

impl Seen {
    pub fn contains(&self, transaction: usize) -> bool {
        self.0.get(transaction / 64).is_some_and(|bits| bits >> (transaction % 64) & 1 == 1)
    }

    pub fn insert(&mut self, transaction: usize) {
        if self.0.len() <= transaction / 64 {
            self.0.resize(transaction / 64 + 1, 0);
        }
        self.0[transaction / 64] |= 1 << (transaction % 64);
    }

    pub fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    pub fn covers(&self, other: &Self) -> bool {
        let beyond = other.0.iter().skip(self.0.len()).all(|bits| *bits == 0);
        beyond && self.0.iter().zip(&other.0).all(|(mine, theirs)| theirs & !mine == 0)
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len() * 64).filter(|transaction| self.contains(*transaction))
    }
}

struct Transaction {
    replica: ReplicaId,
    counter: u64,
    stamp: Stamp,
    past: Seen,
}

struct Fact {
    transaction: usize,
    what: What,
}

enum What {
    /// A register was written; `None` is "absent". `keeps` as siblings, else as the one `lww` value.
    Wrote {
        leaf: Leaf,
        keeps: bool,
        value: Option<Value>,
    },
    Counted {
        leaf: Leaf,
        step: i64,
    },
    Added {
        leaf: Leaf,
        element: Value,
    },
    SwitchedOn {
        leaf: Leaf,
    },
    Touched(Path),
    /// Deleted where deletes win.
    Condemned,
    Took(Taken),
}

/// What a take takes, of all that it saw.
enum Taken {
    Siblings(Leaf),
    /// Siblings and the `lww` value.
    Register(Leaf),
    Element(Leaf, Value),
    Elements(Leaf),
    Switches(Leaf),
    Steps(Leaf),
    Presence(Path),
    Condemnations,
    /// Everything in a container, and the presence of those within it.
    Beneath(Path),
}

impl Taken {
    fn includes(&self, what: &What) -> bool {
        match (self, what) {
            (Self::Siblings(at), What::Wrote { leaf, keeps, .. }) => *keeps && at == leaf,
            (Self::Register(at), What::Wrote { leaf, .. })
            | (Self::Elements(at), What::Added { leaf, .. })
            | (Self::Switches(at), What::SwitchedOn { leaf })
            | (Self::Steps(at), What::Counted { leaf, .. }) => at == leaf,
            (Self::Element(at, taken), What::Added { leaf, element }) => at == leaf && taken == element,
            (Self::Presence(at), What::Touched(path)) => at == path,
            (Self::Condemnations, What::Condemned) => true,
            (
                Self::Beneath(path),
                What::Wrote { leaf, .. }
                | What::Added { leaf, .. }
                | What::SwitchedOn { leaf }
                | What::Counted { leaf, .. },
            ) => leaf.0.starts_with(path),
            (Self::Beneath(outer), What::Touched(path)) => {
                path.len() > outer.len() && path.starts_with(outer)
            }
            _ => false,
        }
    }
}

/// What a transaction ought to have come to.
pub struct Expected {
    pub outcomes: Vec<Outcome>,
    /// Its number, when it wrote anything.
    pub transaction: Option<usize>,
    /// The greatest stamp among the values that it replaced.
    pub exceeds: Option<Stamp>,
    /// How many cells it takes to say it, for transactions that only set `lww` fields of documents that were there:
    /// one per field and one per container, however many writers the fields have.
    pub cells: Option<usize>,
}

/// The causal history.
#[derive(Default)]
pub struct Oracle {
    transactions: Vec<Transaction>,
    facts: BTreeMap<Doc, Vec<Fact>>,
}

impl Oracle {
    /// Writes down a transaction that a replica made having seen `past`. Without a stamp it is said to have written
    /// nothing; then nothing is written down, and the answer tells whether that is right.
    pub fn commit(
        &mut self,
        past: &Seen,
        schema: &Schema,
        edits: &[Edit],
        change: Option<(Stamp, u64)>,
    ) -> Expected {
        let transaction = self.transactions.len();
        let (stamp, counter) = change.unwrap_or((reading::LAST_STAMP, 0));
        self.transactions.push(Transaction { replica: stamp.replica, counter, stamp, past: past.clone() });
        let mut seen = past.clone();
        seen.insert(transaction);
        let mut author = Author {
            oracle: self,
            schema,
            transaction,
            seen,
            exceeds: None,
            wrote: false,
            cells: Some(BTreeSet::new()),
        };
        let outcomes = edits.iter().map(|edit| author.edit(edit)).collect();
        let Author { exceeds, wrote, cells, .. } = author;
        if change.is_none() || !wrote {
            self.transactions.pop();
            self.facts.values_mut().for_each(|facts| facts.retain(|fact| fact.transaction != transaction));
        }
        let cells = cells.filter(|_| wrote).map(|cells| cells.len());
        Expected { outcomes, transaction: wrote.then_some(transaction), exceeds, cells }
    }

    /// What a replica that has seen so much ought to show of a document.
    pub fn shown(&self, seen: &Seen, schema: &Schema, doc: Doc) -> Shown {
        self.reader(seen, doc).shown(schema.of(doc), &[])
    }

    /// True when something lies beneath a container that is not there: it does not show, and an edit there takes it away.
    #[allow(dead_code, reason = "not every reader of this asks")]
    pub fn hides(&self, seen: &Seen, schema: &Schema, doc: Doc) -> bool {
        let (reader, declared) = (self.reader(seen, doc), schema.of(doc));
        let dead = |path: &Path| reader.outermost_dead(declared, path).is_some();
        PATHS.into_iter().any(|path| dead(&path) && reader.anything_beneath(path))
    }

    /// The replica that made some transactions goes on under another id, and so do they; `fork` is its counter before them.
    /// Their stamps are raised as a write's over another's with the same time.
    pub fn rename(&mut self, transactions: &[usize], to: ReplicaId, fork: u64) -> Option<Stamp> {
        for transaction in transactions {
            let Transaction { replica, counter, stamp, .. } = &mut self.transactions[*transaction];
            let mut change = Change { stamp: Stamp { replica: to, ..*stamp }, counter: *counter - fork };
            change.exceed(stamp).expect("the clocks of histories are far from the end of time");
            (*replica, *counter, *stamp) = (to, change.counter, change.stamp);
        }
        transactions.last().map(|last| self.transactions[*last].stamp)
    }

    /// The transactions seen, as the last one of every replica.
    pub fn vector(&self, seen: &Seen) -> Vector {
        let mut vector = Vector::new();
        for transaction in seen.iter() {
            let Transaction { replica, counter, .. } = self.transactions[transaction];
            let last = vector.entry(replica).or_default();
            *last = counter.max(*last);
        }
        vector
    }

    /// The transactions that a vector names; `None` when it names an unknown one or leaves out what one of them saw.
    /// Where one dot names two, `skip` says which is not meant.
    pub fn named_by(&self, vector: &Vector, skip: impl Fn(usize, ReplicaId, u64) -> bool) -> Option<Seen> {
        let mut seen = Seen::default();
        for (transaction, Transaction { replica, counter, .. }) in self.transactions.iter().enumerate() {
            let named = vector.get(replica).is_some_and(|last| counter <= last);
            if named && !skip(transaction, *replica, *counter) {
                seen.insert(transaction);
            }
        }
        let closed = seen.iter().all(|transaction| seen.covers(&self.transactions[transaction].past));
        Some(seen).filter(|seen| closed && self.vector(seen) == *vector)
    }

    fn reader<'o>(&'o self, seen: &'o Seen, doc: Doc) -> Reader<'o> {
        let facts = self.facts.get(&doc).map(Vec::as_slice).unwrap_or_default();
        Reader { facts, transactions: &self.transactions, seen }
    }
}
