//! Rejoin beside other libraries: the same work, in fresh processes, in turn.

pub mod data;
pub mod growth;
pub mod heap;
pub mod library;
pub mod measured;
pub mod report;
pub mod sqlite;
pub mod workload;
