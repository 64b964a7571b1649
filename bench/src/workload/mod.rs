//! The workloads: each is written once for all libraries, and runs once in a process of its own.

mod changes;
mod counters;
mod documents;
mod reconcile;
mod runways;
mod writers;

use crate::library::Library;
use crate::library::automerge::{self, Automerge};
use crate::library::crdts::{self, Crdts};
use crate::library::loro::{self, Loro};
use crate::library::rejoin::{self, Rejoin};
use crate::library::yrs::Yrs;
use crate::measured::Measured;
use crate::{growth, sqlite};

/// A workload or library that there is not.
#[derive(Debug)]
pub struct Unknown(String);

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no {}", self.0)
    }
}

impl std::error::Error for Unknown {}

/// Runs a workload with a library.
///
/// # Errors
/// [`Unknown`].
pub fn run(workload: &str, library: &str, size: u64, counted: bool) -> Result<Measured, Unknown> {
    let mut measured = Measured::new(workload, library, size, counted);
    let unknown = || Unknown(format!("library \"{library}\" for the workload \"{workload}\""));
    match workload {
        "W6" => match library {
            "rejoin" => counters::run::<rejoin::Counter>(&mut measured, size),
            "rejoin-type" => counters::run::<rejoin::CounterType>(&mut measured, size),
            "automerge" => counters::run::<automerge::Counter>(&mut measured, size),
            "loro" => counters::run::<loro::Counter>(&mut measured, size),
            "crdts" => counters::run::<crdts::Counter>(&mut measured, size),
            _ => return Err(unknown()),
        },
        workload if workload.starts_with("sqlite-") => {
            sqlite::run(&mut measured, workload, library, size).ok_or_else(unknown)?;
        }
        "growth" | "growth-writers" | "open" => growth::run(&mut measured, workload, size),
        "reconcile" => reconcile::run(&mut measured, size),
        _ => match library {
            "rejoin" => documents_of::<Rejoin<crdt_core::MemoryStore>>(&mut measured, workload, size)?,
            "rejoin-sqlite" => {
                documents_of::<Rejoin<sqlite_adapter::SqliteStore>>(&mut measured, workload, size)?;
            }
            "automerge" => documents_of::<Automerge>(&mut measured, workload, size)?,
            "yrs" => documents_of::<Yrs>(&mut measured, workload, size)?,
            "loro" => documents_of::<Loro>(&mut measured, workload, size)?,
            "crdts" => documents_of::<Crdts>(&mut measured, workload, size)?,
            _ => return Err(unknown()),
        },
    }
    Ok(measured)
}

fn documents_of<L: Library>(measured: &mut Measured, workload: &str, size: u64) -> Result<(), Unknown> {
    match workload {
        "W1" => documents::write::<L>(measured, size),
        "W2" => changes::overwrite::<L>(measured, size),
        "W3" => changes::both_offline::<L>(measured, size),
        "W4" => documents::never_met::<L>(measured, size, 0),
        "W4-history" => documents::never_met::<L>(measured, size, size),
        "W5" => writers::one_change::<L>(measured, size),
        "W5-heads" => writers::heads::<L>(measured, size),
        "first-sync" => documents::first_sync::<L>(measured, size),
        "runways" => runways::replay::<L>(measured, size),
        _ => return Err(Unknown(format!("workload \"{workload}\""))),
    }
    Ok(())
}

/// The fields of the notes.
const FIELDS: [&str; 5] = ["author", "body", "done", "rank", "title"];

/// A replica that has inserted notes, one in a transaction, as in W1.
fn filled<L: Library>(replica: u64, notes: u64) -> L {
    let mut filled = L::new(replica);
    (0..notes).for_each(|number| filled.insert(&[crate::data::note(number)]));
    filled
}
