//! The JSON of the public types: natural to read, exact both ways, strict on the way in.
//!
//! Each type's documentation shows its JSON. What holds for all of it:
//! - What is written is read back equal, bit for bit.
//! - A repeated key or element, an unknown key, a counter of 0 and a time beyond 48 bits are errors: a document that
//!   two readers could understand differently is not read at all. Nothing that is read panics.
//! - What a key says is not said again inside: the mark under a writer's key belongs to that writer by construction.

mod change;
mod document;
mod mark;
mod types;
mod unique;
mod value;

pub(crate) use change::{ChangeJson, HlcJson, StampJson, counter};
pub(crate) use unique::{counters, positive};

#[cfg(test)]
mod tests;
