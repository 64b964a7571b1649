//! Parking: the state ignores clocks, the view does not, and nobody is ever stuck.
#![allow(missing_docs)]

mod corrections;
mod histories;
mod model;
mod order;
mod stories;
#[path = "../tries/under_miri.rs"]
mod under_miri;
mod world;
