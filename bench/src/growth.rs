//! How Rejoin's database grows: what a commit, a sync of one change, and opening cost with more documents, and after more
//! devices have written.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crdt_core::{DocumentId, Durability, MemoryStore, Replica};
use rejoin::{Collection, Database, OpenOptions};
use sqlite_adapter::SqliteStore;
use sync_protocol::drive::exchange_in_memory;

use crate::data::{Key, Value, mixed, note, notes};
use crate::library::Library;
use crate::library::rejoin::{Rejoin, START_MS, namespace};
use crate::measured::Measured;

type File = Rejoin<SqliteStore>;

/// Runs one of these workloads.
pub fn run(measured: &mut Measured, workload: &str, size: u64) {
    match workload {
        "open" => open(measured, size),
        "growth" => grow(measured, size, 2),
        _ => grow(measured, 1_000, size),
    }
}

/// How often each is measured; the median counts.
const ROUNDS: usize = 101;

fn median_ms(mut work: impl FnMut(u64)) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS as u64)
        .map(|round| {
            let began = Instant::now();
            work(round);
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

/// Two files with so many documents, in which so many devices have written, and that have met.
fn grow(measured: &mut Measured, documents: u64, writers: u64) {
    let mut a = File::new(1);
    for from in (0..documents).step_by(1000) {
        a.insert(&notes(from..documents.min(from + 1000)));
    }
    // What the others have written comes by way of one that has met them all.
    let mut gathers: Rejoin<MemoryStore> = Rejoin::new(2_000_000);
    for writer in 0..writers {
        gathers.insert_as(1_000 + writer, &note(writer % documents));
    }
    a.meet(&mut gathers);
    let mut b = a.copied();
    File::sync(&mut a, &mut b, &mut ());
    let key = |round: u64| Key::of(mixed(round) % documents);
    let title = |round: u64| [("title", Value::Text(format!("round {round}")))];
    // The first ones pay for what the building has left to be done.
    median_ms(|round| a.set(&key(round), &title(round + 1_000)));
    measured.figure("commit ms", median_ms(|round| a.set(&key(round), &title(round))));
    let mut sent = 0;
    let mut handshake = 0;
    measured.figure(
        "commit and sync of one change ms",
        median_ms(|round| {
            a.set(&key(round), &title(round + 2_000));
            let wire = File::sync(&mut a, &mut b, &mut ());
            (sent, handshake) = (wire.changes, wire.handshake);
        }),
    );
    measured.bytes("sent after handshake", sent);
    measured.bytes("handshake, both ways", handshake);
    assert!(a.holds_the_same(&mut b), "both hold the same");
}

/// A file is opened that another process has filled, and single documents of it are read and written.
fn open(measured: &mut Measured, documents: u64) {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = folder.path().join("notes.db");
    let this = std::env::current_exe().expect("this program");
    let filled = Command::new(this).arg("fill").arg(&path).arg(documents.to_string()).status();
    assert!(filled.expect("this program").success(), "the file was filled");
    measured.bytes("file", std::fs::metadata(&path).expect("the file").len() as usize);
    let before = resident_bytes();
    let database = measured.phase("open", || {
        let database = options().open(&path).expect("the file");
        database.declare(Collection::new("notes")).expect("a view of that name");
        database
    });
    measured.bytes("resident after opening", resident_bytes() - before);
    let id = |n: u64| DocumentId::from_bytes(Key::of(mixed(n) % documents).id);
    measured.phase("read 1,000 documents", || {
        for n in 0..1_000 {
            let document = database.get("notes", id(n)).expect("the file").expect("the document");
            assert!(document.get("title").expect("no conflict").is_some());
        }
    });
    measured.phase("write 1,000 documents", || {
        for n in 0..1_000 {
            let set = |tx: &mut rejoin::Tx<'_, '_>| {
                Ok(tx.open("notes", id(n))?.set("title", format!("new {n}"))?)
            };
            database.commit(set).expect("the commit");
        }
    });
    measured.bytes("resident at last", resident_bytes());
    measured.bytes("resident at most", status_bytes("VmHWM"));
}

fn options() -> OpenOptions {
    OpenOptions::new().durability(Durability::Visible)
}

/// Fills a file with documents: what [`open`] lets another process do, so that its memory is not counted.
///
/// # Errors
/// [`rejoin::Error`].
pub fn fill(path: &Path, documents: u64) -> Result<(), rejoin::Error> {
    let database: Database = options().open(path)?;
    database.declare(Collection::new("notes"))?;
    for from in (0..documents).step_by(1000) {
        database.commit(|tx| {
            for note in notes(from..documents.min(from + 1000)) {
                let mut document = tx.open("notes", DocumentId::from_bytes(note.key.id))?;
                for (field, value) in &note.fields {
                    match value {
                        Value::Text(text) => document.set(*field, text.as_str())?,
                        Value::Int(number) => document.set(*field, *number)?,
                        Value::Bool(truth) => document.set(*field, *truth)?,
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What this process has in memory, as Linux tells; 0 elsewhere.
fn resident_bytes() -> usize {
    status_bytes("VmRSS")
}

fn status_bytes(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let kilobytes: Option<usize> = line.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

impl File {
    /// Syncs with one in memory.
    fn meet(&mut self, other: &mut Rejoin<MemoryStore>) {
        exchange_in_memory(self.replica_mut(), other.replica_mut(), START_MS).expect("both have everything");
    }

    /// Another database, with an identity of its own, of a copy of this one's file.
    fn copied(&mut self) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the file");
        let path = folder.path().join("copy.db");
        self.replica_mut().store_mut().backup(&path).expect("a copy");
        let opened = SqliteStore::open(&path, &sqlite_adapter::OpenOptions::new(namespace()));
        Self::over(Replica::new(opened.expect("the copy").store), Some(folder))
    }

    fn holds_the_same(&mut self, other: &mut Self) -> bool {
        let root = |file: &mut Self| file.replica_mut().head().expect("the head").root;
        root(self) == root(other)
    }
}
