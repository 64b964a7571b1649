//! The replicated types, one per file, with the laws that each is checked against. Each is usable on its own; what it
//! takes to add one is in `CONTRIBUTING.md`.
//!
//! All are at the root of the crate too: `crdt_core::OrSet`.

mod flag;
mod g_counter;
mod g_set;
mod lww_register;
mod mv_register;
mod or_set;
mod pn_counter;

pub use flag::Flag;
pub use g_counter::GCounter;
pub use g_set::GSet;
pub use lww_register::LwwRegister;
pub(crate) use mv_register::distinct;
pub use mv_register::{MvRegister, Sibling};
pub use or_set::OrSet;
pub use pn_counter::PNCounter;

/// Writes [`Lattice`](crate::Lattice) for a type that is a wrapper of cells.
macro_rules! lattice_by_cells {
    ($type:ident $(<$param:ident>)?, $cells:ident $(where $($bound:tt)*)?) => {
        impl$(<$param: Ord + Clone>)? crate::Lattice for $type$(<$param>)? {
            fn merge(&mut self, other: Self) -> bool {
                self.$cells.merge(other.$cells)
            }

            fn decompose(&self) -> alloc::vec::Vec<Self> {
                self.$cells.decompose().into_iter().map(|$cells| Self { $cells }).collect()
            }

            fn difference(&self, seen: &crate::CausalContext) -> Self {
                Self { $cells: self.$cells.difference(seen) }
            }
        }
    };
}
use lattice_by_cells;

/// A counter that would leave 64 bits. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this replica's total would exceed 64 bits (it is {total}, the step {step}); reset or split the counter"
)]
pub struct CounterOverflow {
    /// What this replica has counted so far in that direction.
    pub total: u64,
    /// What was to be added.
    pub step: u64,
}
