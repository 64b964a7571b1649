//! What the measurements share.

pub mod cpu;
pub mod heap;
