//! Cells in our own name that we never wrote: whoever brings them knows of transactions that this store has lost, or made
//! them up. Merged, they would win over what is written here next, because its counter is lower.

use crate::Dot;
use crate::cells::{Base, Mark, Written};
use crate::document::{Address, CellRef, Document};

/// Whether a cell belongs to a transaction of ours beyond our last one, or marks what such a one wrote.
pub(super) fn is_beyond(own: Dot, cell: &CellRef<'_>) -> bool {
    let beyond = |dot: Dot| dot.replica == own.replica && dot.counter > own.counter;
    let marked = match cell {
        CellRef::Sibling(w, Mark::Dead { n, .. }) | CellRef::Base(w, Base { n, .. }) => Some((*w, *n)),
        CellRef::Element(_, w, mark)
        | CellRef::Flag(w, mark)
        | CellRef::Presence(w, mark)
        | CellRef::Deletion(w, mark) => match mark {
            Mark::Dead { n, .. } => Some((*w, *n)),
            Mark::Live { .. } => None,
        },
        CellRef::Register(Written::Closed { written, .. }) => Some((written.replica(), written.counter)),
        _ => None,
    };
    beyond(cell.set_by().dot()) || marked.is_some_and(|(w, n)| beyond(Dot::new(w, n)))
}

/// Whether any cell of some documents is.
pub(super) fn any_beyond(own: Dot, documents: &[(Address, Document)]) -> bool {
    let mut found = false;
    for (_, document) in documents {
        document.visit(&mut |_, cell| found |= is_beyond(own, &cell));
    }
    found
}
