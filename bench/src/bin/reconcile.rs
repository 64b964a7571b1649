//! Two databases that have never met hold nearly the same: what does it cost to find out in what they differ?
//!
//! ```text
//! cargo xtask reconcile --cells 1000000 --differ 100 --json
//! ```
//!
//! Both are SQLite files of documents with eight fields (nine cells each). One side has so many cells that the other lacks:
//! in half as many documents one field was changed, which sets two cells (the field, and the mark that the document exists).
//! Beside it, negentropy on the fingerprints of the very same cells, with the time of each cell's change, which it sorts by.
//!
//! `bytes` is everything both sides send after the handshake (hello, proof, want), without the cells themselves and without
//! the context entries; `seconds` is the time of both sides from the handshake to the end, applying the cells included;
//! `peak_bytes` is what both together allocate beyond what was in use before (SQLite's page cache, a few MB, not counted).

use std::path::Path;
use std::time::Instant;

use bench::heap::{self, Counted};
use crdt_core::codec::Reader;
use crdt_core::{
    Address, DocumentId, Durability, Fingerprint, Fingerprints, Namespace, Replica, Store, TransactionError,
};
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use serde_json::{Value, json};
use sqlite_adapter::{OpenOptions, SqliteStore};
use sync_protocol::{Config, Session};

#[global_allocator]
static HEAP: Counted = Counted;

const START_MS: u64 = 1_790_000_000_000;
const FIELDS: u64 = 8;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let (mut cells, mut differ, mut as_json) = (1_000_000u64, vec![0u64, 1, 100, 10_000], false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number =
            || arguments.next().ok_or("a number is missing")?.parse::<u64>().map_err(Failed::from);
        match &*argument {
            "--cells" => cells = number()?,
            "--differ" => differ = vec![number()?],
            "--json" => as_json = true,
            _ => return Err("reconcile [--cells N] [--differ D] [--json]".into()),
        }
    }
    for differ in differ {
        let measured = measure(cells, differ)?;
        if as_json {
            println!("{measured}");
        } else {
            println!("{measured:#}");
        }
    }
    Ok(())
}

fn measure(cells: u64, differ: u64) -> Result<Value, Failed> {
    let folder = tempfile::tempdir()?;
    let documents = cells.div_ceil(FIELDS + 1);
    if differ.div_ceil(2) > documents {
        return Err("there are fewer documents than are to differ".into());
    }
    let (mut a, first_sums_seconds) = origin(&folder.path().join("a.db"), documents)?;
    let path = folder.path().join("b.db");
    a.store_mut().backup(&path)?;
    let mut b = Replica::new(open(&path)?);
    edit(&mut a, documents, differ.div_ceil(2))?;
    let (items_a, items_b) = (items(&mut a)?, items(&mut b)?);
    let ours = sync(&mut a, &mut b)?;
    let theirs = negentropy(&items_a, &items_b)?;
    Ok(json!({
        "cells": documents * (FIELDS + 1),
        "differ": differ,
        "bytes": ours.bytes,
        "round_trips": ours.round_trips,
        "seconds": ours.seconds,
        "peak_bytes": ours.peak_bytes,
        "handshake_bytes": ours.handshake_bytes,
        "payload_bytes": ours.payload_bytes,
        "first_sums_seconds": first_sums_seconds,
        "negentropy": theirs,
    }))
}

fn open(path: &Path) -> Result<SqliteStore, Failed> {
    Ok(SqliteStore::open(path, &OpenOptions::new(namespace()))?.store)
}

fn namespace() -> Namespace {
    Namespace::from_secret("reconcile")
}

/// Documents whose ids are spread like random ones, in transactions of 1,000; and how long the very first sums took.
fn origin(path: &Path, documents: u64) -> Result<(Replica<SqliteStore>, f64), Failed> {
    let mut replica = Replica::new(open(path)?);
    for from in (0..documents).step_by(1000) {
        replica.commit(START_MS + from, Durability::Visible, |tx| {
            for n in from..documents.min(from + 1000) {
                let mut document = tx.document("contacts", id(n))?;
                for field in 0..FIELDS {
                    document.set(format!("field{field}"), format!("value {n} {field}"))?;
                }
            }
            Ok::<_, TransactionError>(())
        })?;
    }
    let began = Instant::now();
    replica.sums(0, 1)?;
    Ok((replica, began.elapsed().as_secs_f64()))
}

fn id(n: u64) -> DocumentId {
    DocumentId::from_key("contacts", &n.to_string())
}

/// One field of so many documents, one transaction each.
fn edit(replica: &mut Replica<SqliteStore>, documents: u64, differ: u64) -> Result<(), Failed> {
    let stride = documents.checked_div(differ).unwrap_or(1);
    for n in 0..differ {
        replica.commit(START_MS * 2 + n, Durability::Visible, |tx| {
            tx.document("contacts", id(n * stride))?.set("field3", format!("changed {n}"))?;
            Ok::<_, TransactionError>(())
        })?;
    }
    Ok(())
}

/// The fingerprints of all cells, with the time of each cell's change.
fn items(replica: &mut Replica<SqliteStore>) -> Result<Vec<(u64, Fingerprint)>, Failed> {
    let mut items = Vec::new();
    let mut after: Option<Address> = None;
    loop {
        let page = replica.difference(&crdt_core::VersionVector::new(), after.as_ref(), 4096)?;
        for (address, document) in &page.documents {
            let mut fingerprints = Fingerprints::new(&namespace(), address);
            document.visit(&mut |path, cell| {
                items.push((cell.set_by().stamp.hlc.ms(), fingerprints.of(path, &cell)));
            });
        }
        after = page.after;
        if after.is_none() {
            return Ok(items);
        }
    }
}

#[derive(Default)]
struct Cost {
    bytes: usize,
    handshake_bytes: usize,
    payload_bytes: usize,
    round_trips: u32,
    seconds: f64,
    peak_bytes: usize,
}

impl Cost {
    fn count(&mut self, message: &[u8]) {
        let payload = match message[0] {
            1 | 2 | 9 => {
                self.handshake_bytes += message.len();
                return;
            }
            CHUNK | PACKED => message.len() - SEAL - 1,
            CHECKPOINT => cells_of_checkpoint(&message[1..message.len() - SEAL]),
            _ => 0,
        };
        self.payload_bytes += payload;
        self.bytes += message.len() - payload;
    }
}

const SEAL: usize = 3;
const CHUNK: u8 = 3;
const CHECKPOINT: u8 = 4;
const PACKED: u8 = 20;

/// What of a checkpoint is cells and context entries: all after its position and root.
fn cells_of_checkpoint(body: &[u8]) -> usize {
    let mut reader = Reader::new(body);
    let read = reader.unsigned("a position").and_then(|_| reader.take(16, "a root"));
    read.map_or(0, |_| reader.remaining())
}

/// Each side says all it has to say, in turns; a turn that finds something out is half a round trip.
fn sync<S: Store>(a: &mut Replica<S>, b: &mut Replica<S>) -> Result<Cost, Failed> {
    let (mut at_a, mut at_b) =
        (Session::new(Config::new(1), START_MS), Session::new(Config::new(2), START_MS));
    let mut cost = Cost::default();
    let before = heap::reset();
    let began = Instant::now();
    let mut half_trips = 0;
    loop {
        let (mut said, mut finds) = (false, false);
        while let Some(message) = at_a.transmit(a, START_MS)? {
            (said, finds) = (true, finds || (15..=17).contains(&message[0]));
            cost.count(&message);
            at_b.receive(b, &message, START_MS)?;
        }
        half_trips += u32::from(std::mem::take(&mut finds));
        while let Some(message) = at_b.transmit(b, START_MS)? {
            (said, finds) = (true, finds || (15..=17).contains(&message[0]));
            cost.count(&message);
            at_a.receive(a, &message, START_MS)?;
        }
        half_trips += u32::from(finds);
        if !said {
            break;
        }
    }
    cost.round_trips = half_trips.div_ceil(2);
    cost.seconds = began.elapsed().as_secs_f64();
    cost.peak_bytes = heap::peak() - before;
    if !at_a.is_settled() || !at_b.is_settled() || a.head()?.root != b.head()?.root {
        return Err("the two did not become equal".into());
    }
    Ok(cost)
}

fn negentropy(a: &[(u64, Fingerprint)], b: &[(u64, Fingerprint)]) -> Result<Value, Failed> {
    let before = heap::reset();
    let began = Instant::now();
    let storage = |items: &[(u64, Fingerprint)]| -> Result<NegentropyStorageVector, Failed> {
        let mut storage = NegentropyStorageVector::new();
        for (ms, fingerprint) in items {
            let mut id = [0; 32];
            id[..16].copy_from_slice(&fingerprint.0.to_le_bytes());
            storage.insert(*ms, Id::from_byte_array(id))?;
        }
        storage.seal()?;
        Ok(storage)
    };
    let (ours, theirs) = (storage(a)?, storage(b)?);
    let load_seconds = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let (mut client, mut server) = (Negentropy::borrowed(&ours, 0)?, Negentropy::borrowed(&theirs, 0)?);
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let mut query = client.initiate()?;
    let (mut bytes, mut round_trips) = (0, 0);
    loop {
        bytes += query.len();
        round_trips += 1;
        let answer = server.reconcile(&query)?;
        bytes += answer.len();
        match client.reconcile_with_ids(&answer, &mut have, &mut need)? {
            Some(next) => query = next,
            None => break,
        }
    }
    Ok(json!({
        "version": "0.5.3",
        "bytes": bytes,
        "round_trips": round_trips,
        "seconds": began.elapsed().as_secs_f64(),
        "load_seconds": load_seconds,
        "peak_bytes": heap::peak() - before,
        "found": have.len() + need.len(),
    }))
}
