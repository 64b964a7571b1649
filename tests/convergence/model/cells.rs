//! Keys and cells of the model, and their one order.

use std::collections::BTreeMap;
use std::fmt;

use crdt_core::{ReplicaId, Stamp, Value};

use crate::machine::{Dot, describe};
use crate::words::{Doc, Field, Leaf, Path};

/// The cells of one document.
pub type Cells = BTreeMap<Key, Cell>;

/// What distinguishes the cells of a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub path: Path,
    /// `None` for what is about a container as a whole.
    pub field: Option<Field>,
    pub slot: Slot,
}

impl Key {
    pub const fn leaf((path, field): Leaf, slot: Slot) -> Self {
        Self { path, field: Some(field), slot }
    }

    pub const fn container(path: Path, slot: Slot) -> Self {
        Self { path, field: None, slot }
    }

    pub fn is_of(&self, leaf: Leaf) -> bool {
        self.field == Some(leaf.1) && self.path == leaf.0
    }
}

/// The kind of a cell and the rest of its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    Register,
    Sibling(ReplicaId),
    /// By writer; some mutants have one for all writers.
    Element(Value, Option<ReplicaId>),
    Flag(ReplicaId),
    Tally(ReplicaId),
    Base(ReplicaId),
    Presence(ReplicaId),
    Deletion(ReplicaId),
}

/// The transaction that set a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct By {
    pub stamp: Stamp,
    pub n: u64,
}

impl By {
    pub const fn dot(&self) -> Dot {
        (self.stamp.replica, self.n)
    }
}

/// The place of a cell in the order of its key. The derived orders are those of the design's table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// An `lww` value: when it was written, and by whom it was closed, if it was.
    Written { at: By, closed: Option<By> },
    /// The writer's transaction, and who took it away, if someone did.
    Marked { n: u64, dead: Option<By> },
    /// A tally, or the tally that a reset saw.
    Counted { n: u64, p: u64, m: u64 },
    /// Of the mutant: how often an element was put in and taken out.
    Length(u64),
    /// Of the mutant: every writer's mark, not an order at all.
    Product(BTreeMap<ReplicaId, (u64, bool)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub rank: Rank,
    pub by: By,
    /// Of a register: the value, where `None` is "absent".
    pub content: Option<Value>,
    /// Of the mutant: the siblings that this one replaced.
    pub replaced: Vec<Dot>,
}

impl Cell {
    pub const fn new(rank: Rank, by: By) -> Self {
        Self { rank, by, content: None, replaced: Vec::new() }
    }

    pub const fn live(by: By) -> Self {
        Self::new(Rank::Marked { n: by.n, dead: None }, by)
    }

    pub fn holding(mut self, content: Option<Value>) -> Self {
        self.content = content;
        self
    }

    pub const fn is_live(&self) -> bool {
        matches!(&self.rank, Rank::Marked { dead: None, .. } | Rank::Written { closed: None, .. })
    }

    /// The same, taken away.
    pub fn killed(&self, by: By) -> Self {
        let rank = match &self.rank {
            Rank::Marked { n, .. } => Rank::Marked { n: *n, dead: Some(by) },
            Rank::Written { at, .. } => Rank::Written { at: *at, closed: Some(by) },
            other => other.clone(),
        };
        Self::new(rank, by)
    }

    /// Keeps the greater; true when that is the other one.
    pub fn merge(&mut self, other: &Self) -> bool {
        if let (Rank::Product(mine), Rank::Product(theirs)) = (&mut self.rank, &other.rank) {
            let before = mine.clone();
            for (writer, mark) in theirs {
                let present = mine.entry(*writer).or_default();
                *present = (*mark).max(*present);
            }
            let changed = *mine != before;
            if changed {
                self.by = self.by.max(other.by);
            }
            return changed;
        }
        let greater = (&other.rank, other.by) > (&self.rank, self.by);
        if greater {
            *self = other.clone();
        }
        greater
    }
}

impl Cell {
    /// See [`machine::describe`](crate::machine::describe).
    pub fn describe(&self, doc: Doc, key: &Key) -> String {
        let path: Vec<&str> = key.path.iter().chain(&key.field).copied().collect();
        let order = match &self.rank {
            Rank::Written { at, closed: None } => format!("written {}", at.n),
            Rank::Written { at, closed: Some(_) } => format!("closed {} at {:?}", at.n, at.stamp.hlc),
            Rank::Marked { n, dead } => format!("{} {n}", if dead.is_none() { "live" } else { "dead" }),
            Rank::Counted { n, p, m } => format!("counted {n} +{p} -{m}"),
            other => format!("{other:?}"),
        };
        let content = self.is_live() && matches!(key.slot, Slot::Register | Slot::Sibling(_));
        let content = content.then_some(&self.content);
        describe(format_args!("{doc} {path:?} {}", key.slot), order, (self.by.stamp, self.by.n), content)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register => write!(f, "register"),
            Self::Sibling(w) => write!(f, "sibling of {w:?}"),
            Self::Element(element, w) => write!(f, "element {element:?} of {w:?}"),
            Self::Flag(w) => write!(f, "flag of {w:?}"),
            Self::Tally(w) => write!(f, "tally of {w:?}"),
            Self::Base(w) => write!(f, "base of {w:?}"),
            Self::Presence(w) => write!(f, "presence of {w:?}"),
            Self::Deletion(w) => write!(f, "deletion of {w:?}"),
        }
    }
}

/// Gives new dots to the transactions of a replica after the offered one: what one of the mutants does.
pub trait Redot {
    fn redotted(self, old: ReplicaId, new: ReplicaId, offered: u64) -> Self;
}

impl Redot for By {
    fn redotted(self, old: ReplicaId, new: ReplicaId, offered: u64) -> Self {
        if self.stamp.replica == old && self.n > offered {
            return Self { stamp: Stamp { replica: new, ..self.stamp }, n: self.n - offered };
        }
        self
    }
}

impl Redot for (Key, Cell) {
    fn redotted(self, old: ReplicaId, new: ReplicaId, offered: u64) -> Self {
        let (mut key, mut cell) = self;
        let by = |by: By| by.redotted(old, new, offered);
        cell.by = by(cell.by);
        let (Slot::Sibling(w)
        | Slot::Element(_, Some(w))
        | Slot::Flag(w)
        | Slot::Tally(w)
        | Slot::Base(w)
        | Slot::Presence(w)
        | Slot::Deletion(w)) = &mut key.slot
        else {
            if let Rank::Written { at, closed } = &mut cell.rank {
                (*at, *closed) = (by(*at), closed.map(by));
            }
            return (key, cell);
        };
        if let Rank::Marked { dead, .. } = &mut cell.rank {
            *dead = dead.map(by);
        }
        if let Rank::Marked { n, .. } | Rank::Counted { n, .. } = &mut cell.rank
            && *w == old
            && *n > offered
        {
            (*w, *n) = (new, *n - offered);
        }
        (key, cell)
    }
}
