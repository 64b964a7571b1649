//! [`Shape`]: which cells a document has, apart from their content.
//!
//! Documents of a collection mostly have the same cells: the shape is sent once and then named by its number, so what
//! is left per document is its id, its change and its values.

use alloc::vec::Vec;

use super::bytes::{DecodeError, Reader, put_bytes, put_unsigned};
use crate::Name;
use crate::cells::{Mark, Written};
use crate::document::{CellKind, CellRef, Path};
use crate::limits::{LimitExceeded, Limits};

/// A kind of cell and which of its two states it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form {
    /// The kind.
    pub kind: CellKind,
    /// Closed or dead. Tallies and bases have one state only.
    pub gone: bool,
}

impl Form {
    /// The form of a cell.
    pub const fn of(cell: &CellRef<'_>) -> Self {
        let gone = match cell {
            CellRef::Register(cell) => matches!(cell, Written::Closed { .. }),
            CellRef::Sibling(_, mark) => matches!(mark, Mark::Dead { .. }),
            CellRef::Element(_, _, mark)
            | CellRef::Flag(_, mark)
            | CellRef::Presence(_, mark)
            | CellRef::Deletion(_, mark) => matches!(mark, Mark::Dead { .. }),
            CellRef::Tally(..) | CellRef::Base(..) => false,
        };
        Self { kind: cell.kind(), gone }
    }

    const fn number(self) -> u8 {
        (self.kind as u8) << 1 | self.gone as u8
    }

    fn from_number(number: u64) -> Result<Self, DecodeError> {
        let unknown = DecodeError::UnknownTag { what: "cell form", tag: number };
        let kind =
            usize::try_from(number >> 1).ok().and_then(|kind| CellKind::ALL.get(kind)).ok_or(unknown)?;
        let gone = number & 1 == 1;
        match kind {
            CellKind::Tally | CellKind::Base if gone => Err(unknown),
            kind => Ok(Self { kind: *kind, gone }),
        }
    }
}

/// The forms and paths of a document's cells in their order, and what is left out because it follows from the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Live presence marks that follow from the other cells are left out; `cells.rs` says which.
    pub implied_presence: bool,
    /// All cells were set by one change, which is named once.
    pub one_change: bool,
    /// The cells.
    pub cells: Vec<(Form, Path)>,
}

impl Shape {
    /// Shapes with more cells than this are written out each time.
    pub(super) const SHARED: usize = 64;

    /// How many names the paths have.
    pub(super) fn names(&self) -> usize {
        self.cells.iter().map(|(_, path)| path.len()).sum()
    }

    /// How many bytes these names have.
    pub(super) fn name_bytes(&self) -> usize {
        self.cells.iter().flat_map(|(_, path)| path).map(|name| name.len()).sum()
    }

    /// Appends the shape.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.implied_presence) | u8::from(self.one_change) << 1);
        put_unsigned(out, self.cells.len() as u64);
        let mut last: &[Name] = &[];
        for (form, path) in &self.cells {
            let shared = path.iter().zip(last).take_while(|(a, b)| a == b).count();
            out.push(form.number());
            put_unsigned(out, shared as u64);
            put_unsigned(out, (path.len() - shared) as u64);
            path[shared..].iter().for_each(|name| put_bytes(out, name.as_bytes()));
            last = path;
        }
    }

    /// Reads a shape.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Shape::put`] does not write.
    pub fn read(reader: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        let flags = reader.byte("a shape")?;
        if flags > 3 {
            return Err(DecodeError::UnknownTag { what: "shape flags", tag: flags.into() });
        }
        let count = reader.count("the cells of a shape")?;
        LimitExceeded::check("cells of a document", count, limits.cells_per_message)?;
        let mut cells: Vec<(Form, Path)> = Vec::new();
        // A path is sent as what differs from the one before; this bounds what it unfolds to.
        let mut names = 0;
        for _ in 0..count {
            let form = Form::from_number(reader.unsigned("a cell form")?)?;
            let last: &[Name] = cells.last().map_or(&[], |(_, path)| path);
            let shared = usize::try_from(reader.unsigned("a path")?).unwrap_or(usize::MAX);
            let mut path =
                last.get(..shared).ok_or(DecodeError::Invalid("a path that shares too much"))?.to_vec();
            let fresh = reader.count("a path")?;
            LimitExceeded::check("nesting of maps", shared + fresh, limits.depth + 1)?;
            for _ in 0..fresh {
                path.push(reader.text("bytes of a field name", limits.name_bytes)?.into());
            }
            names += path.len();
            LimitExceeded::check("names in the paths of a shape", names, limits.names_per_message)?;
            let top_level = path.is_empty();
            match form.kind {
                CellKind::Deletion if !top_level => {
                    return Err(DecodeError::Invalid("a deletion mark in a field"));
                }
                CellKind::Presence | CellKind::Deletion => {}
                _ if top_level => return Err(DecodeError::Invalid("a field's cell without a field")),
                _ => {}
            }
            cells.push((form, path));
        }
        Ok(Self { implied_presence: flags & 1 == 1, one_change: flags & 2 == 2, cells })
    }
}
