//! What the measurements share.

pub mod heap;
