//! [`CellRef`] and [`Cell`]: one cell of a document, whatever its kind.

use crate::cells::{Base, Chain, Mark, Tally, Written};
use crate::codec::value_len;
use crate::document::Payload;
use crate::{Change, ReplicaId, Stamp, Value};

/// The kinds of cells. The kind is part of a cell's key: a counter and a register never merge.
///
/// The numbers are those of the encoding and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CellKind {
    /// An `lww` field.
    Register = 0,
    /// One writer's value of a `detect`, `manual` or `custom` field.
    Sibling = 1,
    /// One writer's add of a set element.
    Element = 2,
    /// One writer's enable of a flag.
    Flag = 3,
    /// What one writer counted.
    Tally = 4,
    /// What a reset saw of one writer's tally.
    Base = 5,
    /// One writer's touch of a document or nested map.
    Presence = 6,
    /// One writer's deletion of a document in a `delete wins` collection.
    Deletion = 7,
}

impl CellKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Register,
        Self::Sibling,
        Self::Element,
        Self::Flag,
        Self::Tally,
        Self::Base,
        Self::Presence,
        Self::Deletion,
    ];
}

/// A cell of a document by reference, with the rest of its key (beyond the path).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellRef<'a> {
    /// See [`CellKind::Register`].
    Register(&'a Written<Payload>),
    /// See [`CellKind::Sibling`].
    Sibling(ReplicaId, &'a Mark<Payload>),
    /// See [`CellKind::Element`].
    Element(&'a Value, ReplicaId, &'a Mark<()>),
    /// See [`CellKind::Flag`].
    Flag(ReplicaId, &'a Mark<()>),
    /// See [`CellKind::Tally`].
    Tally(ReplicaId, &'a Tally),
    /// See [`CellKind::Base`].
    Base(ReplicaId, &'a Base),
    /// See [`CellKind::Presence`].
    Presence(ReplicaId, &'a Mark<()>),
    /// See [`CellKind::Deletion`].
    Deletion(ReplicaId, &'a Mark<()>),
}

impl CellRef<'_> {
    /// The kind.
    pub const fn kind(&self) -> CellKind {
        match self {
            Self::Register(_) => CellKind::Register,
            Self::Sibling(..) => CellKind::Sibling,
            Self::Element(..) => CellKind::Element,
            Self::Flag(..) => CellKind::Flag,
            Self::Tally(..) => CellKind::Tally,
            Self::Base(..) => CellKind::Base,
            Self::Presence(..) => CellKind::Presence,
            Self::Deletion(..) => CellKind::Deletion,
        }
    }

    /// The change that set the cell.
    pub fn set_by(&self) -> &Change {
        match self {
            Self::Register(cell) => cell.set_by(),
            Self::Sibling(_, cell) => cell.set_by(),
            Self::Element(_, _, cell)
            | Self::Flag(_, cell)
            | Self::Presence(_, cell)
            | Self::Deletion(_, cell) => cell.set_by(),
            Self::Tally(_, cell) => cell.set_by(),
            Self::Base(_, cell) => cell.set_by(),
        }
    }

    /// The stamp that a write in this cell's place has to exceed.
    pub(crate) fn greatest_stamp(&self) -> Stamp {
        match self {
            Self::Register(cell) => cell.written().stamp.max(cell.set_by().stamp),
            cell => cell.set_by().stamp,
        }
    }

    /// The writer in the key; registers have none.
    pub const fn writer(&self) -> Option<ReplicaId> {
        match self {
            Self::Register(_) => None,
            Self::Sibling(writer, _)
            | Self::Element(_, writer, _)
            | Self::Flag(writer, _)
            | Self::Tally(writer, _)
            | Self::Base(writer, _)
            | Self::Presence(writer, _)
            | Self::Deletion(writer, _) => Some(*writer),
        }
    }

    /// The same mark, taken away by a change; nothing for what is no mark.
    pub(crate) fn killed_by(&self, by: Change) -> Option<Cell> {
        Some(match *self {
            Self::Sibling(writer, mark) => Cell::Sibling(writer, mark.killed_by(by)),
            Self::Element(element, writer, mark) => {
                Cell::Element(element.clone(), writer, mark.killed_by(by))
            }
            Self::Flag(writer, mark) => Cell::Flag(writer, mark.killed_by(by)),
            Self::Presence(writer, mark) => Cell::Presence(writer, mark.killed_by(by)),
            Self::Deletion(writer, mark) => Cell::Deletion(writer, mark.killed_by(by)),
            Self::Register(_) | Self::Tally(..) | Self::Base(..) => return None,
        })
    }

    /// Whether two cells of one path are of one key.
    pub(crate) fn has_key_of(&self, other: &CellRef<'_>) -> bool {
        let same_element = match (self, other) {
            (Self::Element(one, ..), CellRef::Element(other, ..)) => one == other,
            _ => true,
        };
        self.kind() == other.kind() && self.writer() == other.writer() && same_element
    }

    /// About how many bytes the cell takes in an encoding.
    pub fn weight(&self) -> usize {
        let content = match self {
            Self::Register(Written::Open { content, .. }) | Self::Sibling(_, Mark::Live { content, .. }) => {
                content.value().map_or(0, value_len)
            }
            Self::Element(element, ..) => value_len(element),
            _ => 0,
        };
        content + 8
    }

    /// A copy that owns its content.
    pub fn to_owned(&self) -> Cell {
        match *self {
            Self::Register(cell) => Cell::Register(cell.clone()),
            Self::Sibling(writer, cell) => Cell::Sibling(writer, cell.clone()),
            Self::Element(element, writer, cell) => Cell::Element(element.clone(), writer, cell.clone()),
            Self::Flag(writer, cell) => Cell::Flag(writer, cell.clone()),
            Self::Tally(writer, cell) => Cell::Tally(writer, *cell),
            Self::Base(writer, cell) => Cell::Base(writer, *cell),
            Self::Presence(writer, cell) => Cell::Presence(writer, cell.clone()),
            Self::Deletion(writer, cell) => Cell::Deletion(writer, cell.clone()),
        }
    }
}

/// A cell of a document with the rest of its key (beyond the path); see [`CellRef`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the variants are those of CellRef
pub enum Cell {
    Register(Written<Payload>),
    Sibling(ReplicaId, Mark<Payload>),
    Element(Value, ReplicaId, Mark<()>),
    Flag(ReplicaId, Mark<()>),
    Tally(ReplicaId, Tally),
    Base(ReplicaId, Base),
    Presence(ReplicaId, Mark<()>),
    Deletion(ReplicaId, Mark<()>),
}

impl Cell {
    /// The cell by reference.
    pub(crate) const fn by_ref(&self) -> CellRef<'_> {
        match self {
            Self::Register(cell) => CellRef::Register(cell),
            Self::Sibling(writer, cell) => CellRef::Sibling(*writer, cell),
            Self::Element(element, writer, cell) => CellRef::Element(element, *writer, cell),
            Self::Flag(writer, cell) => CellRef::Flag(*writer, cell),
            Self::Tally(writer, cell) => CellRef::Tally(*writer, cell),
            Self::Base(writer, cell) => CellRef::Base(*writer, cell),
            Self::Presence(writer, cell) => CellRef::Presence(*writer, cell),
            Self::Deletion(writer, cell) => CellRef::Deletion(*writer, cell),
        }
    }
}
