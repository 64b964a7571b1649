//! Rejoin beside other libraries: the same work, in fresh processes, in turn.
//!
//! | | |
//! |---|---|
//! | [`data`] | the records, the same for all, from fixed seeds |
//! | [`library`] | what a workload asks of a library, and a file for each library that says how records become its structure |
//! | [`workload`] | the workloads, each written once for all libraries; [`sqlite`]: those of tables; [`growth`]: Rejoin alone |
//! | [`measured`], [`heap`], [`cpu`] | what a process measures |
//! | [`report`] | runs all of it and writes `docs/benchmarks.md` |

pub mod cpu;
pub mod data;
pub mod growth;
pub mod heap;
pub mod library;
pub mod measured;
pub mod report;
pub mod sqlite;
pub mod workload;
