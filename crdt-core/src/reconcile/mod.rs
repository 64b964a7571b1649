//! Finding out in what two replicas differ, at a cost that follows the difference.
//!
//! | file | subject |
//! |---|---|
//! | `field.rs` | numbers that sums are made of, and divided in |
//! | `mapping.rs` | which sums a document goes into |
//! | `sketch.rs` | sums from which the difference is read |
//! | `estimate.rs` | about how large it is |
//! | `summary.rs` | the sums that are kept in the store |

mod estimate;
mod field;
mod mapping;
mod sketch;
mod summary;

pub use estimate::{Estimate, symbols_for};
pub use sketch::{Sketch, Slot, Symbol};
pub(crate) use summary::{Summary, slot_of};
