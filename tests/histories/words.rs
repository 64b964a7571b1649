//! The words of a history: documents, fields, edits, schemas, and what is shown. Plain data that the oracle and every
//! machine read; nothing here knows how any of it comes about.

use std::collections::BTreeMap;
use std::fmt;

use crdt_core::{ReplicaId, Stamp, Value};

pub type Field = &'static str;

/// The third is never declared.
pub const COLLECTIONS: [&str; 3] = ["notes", "tasks", "loose"];

/// When a history begins, by a clock that is right.
pub const START_MS: u64 = 1_700_000_000_000;

/// The names of the maps that lead to a map; empty for the document itself.
pub type Path = &'static [Field];

/// A field, by the map that it is in and its name.
pub type Leaf = (Path, Field);

/// The document and its maps: two beside each other, and one within.
pub const PATHS: [Path; 4] = [&[], &["k"], &["m"], &["m", "n"]];

/// The fields of a map. `m`, `k` and `n` may be opened as maps.
pub fn fields_of(path: Path) -> &'static [Field] {
    match path {
        [] => &["a", "b", "c", "d", "k", "m"],
        ["m"] => &["a", "b", "n"],
        _ => &["a", "b"],
    }
}

/// The path of a field that may be opened as a map.
pub fn path_of((path, field): Leaf) -> Option<Path> {
    PATHS.into_iter().find(|child| child.split_last() == Some((&field, path)))
}

/// The path of an enclosing container: the first so many names.
pub fn prefix(path: Path, depth: usize) -> Path {
    &path[..depth]
}

/// A document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doc {
    pub collection: &'static str,
    pub id: u64,
}

/// One call of a user, in one document, within the map that `at` leads to.
#[derive(Clone, Debug)]
pub struct Edit {
    pub doc: Doc,
    pub at: Path,
    pub action: Action,
}

/// What the user calls.
#[derive(Clone, Debug)]
pub enum Action {
    Set(Field, Value),
    Resolve(Field, Value),
    Remove(Field),
    Increment(Field, i64),
    Reset(Field),
    Add(Field, Value),
    Take(Field, Value),
    Enable(Field),
    Disable(Field),
    Ensure,
    /// Of the whole document, as is the next.
    Delete,
    Erase,
}

impl Action {
    pub const fn field(&self) -> Option<Field> {
        match self {
            Self::Set(field, _)
            | Self::Resolve(field, _)
            | Self::Remove(field)
            | Self::Increment(field, _)
            | Self::Reset(field)
            | Self::Add(field, _)
            | Self::Take(field, _)
            | Self::Enable(field)
            | Self::Disable(field) => Some(*field),
            Self::Ensure | Self::Delete | Self::Erase => None,
        }
    }
}

/// What the user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, even if it changed nothing.
    Done,
    WrongType,
    OnlyGrows,
    Unresolved,
}

/// How a field is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Lww,
    Detect,
    Manual,
    /// Shows all concurrent values as an array, the latest last: an order that replicas must agree on.
    Custom,
    Counter,
    GrowCounter,
    Set,
    GrowSet,
    Flag,
    Map,
}

impl Type {
    pub const fn keeps_siblings(self) -> bool {
        matches!(self, Self::Detect | Self::Manual | Self::Custom)
    }

    pub const fn is_register(self) -> bool {
        matches!(self, Self::Lww) || self.keeps_siblings()
    }
}

/// What one replica declares of one collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    pub types: BTreeMap<Leaf, Type>,
    pub delete_wins: bool,
}

impl Declared {
    /// The type of a field, if it and every map on the way to it are declared.
    pub fn type_of(&self, (path, field): Leaf) -> Option<Type> {
        let open = (0..path.len())
            .all(|depth| self.types.get(&(prefix(path, depth), path[depth])) == Some(&Type::Map));
        self.types.get(&(path, field)).copied().filter(|_| open)
    }
}

impl Declared {
    /// As far as it is about some fields.
    pub fn only(&self, fields: impl Fn(Field) -> bool) -> Self {
        let types = self.types.iter().filter(|((_, field), _)| fields(field));
        Self {
            types: types.map(|(leaf, declared)| (*leaf, *declared)).collect(),
            delete_wins: self.delete_wins,
        }
    }
}

/// What one replica declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub collections: BTreeMap<&'static str, Declared>,
    undeclared: Declared,
}

impl Schema {
    pub fn of(&self, doc: Doc) -> &Declared {
        self.collections.get(doc.collection).unwrap_or(&self.undeclared)
    }
}

/// All that can be read of a document or map; `None` when it is not there.
pub type Shown = Option<BTreeMap<Field, ShownField>>;

/// All that can be read under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownField {
    pub reading: Reading,
    /// Value (`None` is absent) and stamp of every concurrent write, when there are several.
    pub conflicts: Vec<(Option<Value>, Stamp)>,
    pub counter: i128,
    pub elements: Vec<Value>,
    pub on: bool,
    pub map: Shown,
}

/// What a register shows under its policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    Absent,
    Value(Value),
    Conflict(Vec<Option<Value>>),
}

impl ShownField {
    /// True when there is nothing to see.
    pub fn is_blank(&self) -> bool {
        self.reading == Reading::Absent
            && self.conflicts.is_empty()
            && self.counter == 0
            && self.elements.is_empty()
            && !self.on
            && self.map.is_none()
    }
}

/// Per replica id, the last transaction seen.
pub type Vector = BTreeMap<ReplicaId, u64>;

impl fmt::Display for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.id)
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.doc)?;
        self.at.iter().try_for_each(|name| write!(f, ".{name}"))?;
        match &self.action {
            Action::Set(field, value) => write!(f, ".{field} = {value:?}"),
            Action::Resolve(field, value) => write!(f, ".{field} resolved to {value:?}"),
            Action::Remove(field) => write!(f, ".{field} removed"),
            Action::Increment(field, step) => write!(f, ".{field} {step:+}"),
            Action::Reset(field) => write!(f, ".{field} reset"),
            Action::Add(field, element) => write!(f, ".{field} add {element:?}"),
            Action::Take(field, element) => write!(f, ".{field} take {element:?}"),
            Action::Enable(field) => write!(f, ".{field} on"),
            Action::Disable(field) => write!(f, ".{field} off"),
            Action::Ensure => write!(f, " ensured"),
            Action::Delete => write!(f, " deleted"),
            Action::Erase => write!(f, " erased"),
        }
    }
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wins = if self.delete_wins { "delete wins" } else { "edit wins" };
        write!(f, "{wins};")?;
        for ((path, field), declared) in &self.types {
            f.write_str(" ")?;
            path.iter().chain([field]).try_for_each(|name| write!(f, ".{name}"))?;
            write!(f, " {declared:?}")?;
        }
        Ok(())
    }
}
