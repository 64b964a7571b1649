//! Cells: the smallest things that merge on their own.
//!
//! State is a map key → cell, and merge is pointwise. Every cell's lattice is a *total order*, a chain: merge selects
//! the greater of two cells and never blends them. So a state is its own decomposition, and "what does this peer miss"
//! is a selection of cells. Each cell carries the dot and the stamp of the change that set its value: whoever has seen
//! that dot has that value or a greater one.
//!
//! | cell | order, the greatest wins |
//! |---|---|
//! | [`Written`] | stamp, open < closed, stamp of the closer |
//! | [`Mark`] | n, live < dead, stamp of the killer |
//! | [`Tally`] | n, p, m |
//! | [`Base`] | n observed, p, m, stamp of the resetter |
//!
//! Every order ends in the dot's counter and the content, so that even two writers that share an id by mistake agree.

mod mark;
mod pointwise;
mod tally;
mod written;

pub use mark::Mark;
pub use pointwise::Cells;
pub use tally::{Base, Tally};
pub use written::Written;

use core::cmp::Ordering;

use crate::Change;

/// A cell: a value from a totally ordered set that knows which change set it.
pub trait Chain: Clone + PartialEq {
    /// Position in the total order. `Equal` only for equal cells.
    fn order(&self, other: &Self) -> Ordering;

    /// The change that set this value.
    fn set_by(&self) -> &Change;

    /// Gives every mark that change `counter` of its replica left in this cell that change's final stamp.
    ///
    /// A transaction learns its stamp at its end: it must exceed all that it overwrites.
    fn restamp(&mut self, change: &Change);
}

/// Replaces the stamp of an uncommitted change by its final one.
fn restamp(change: &mut Change, last: &Change) {
    if change.dot() == last.dot() {
        *change = *last;
    }
}
