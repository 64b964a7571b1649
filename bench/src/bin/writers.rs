//! Two SQLite databases that have met; then one change on one side. What does it cost after so many replicas have written?
//!
//! ```text
//! cargo xtask writers --writers 10000 --json
//! ```
//!
//! `bytes` is everything both sides send after the handshake, `handshake_bytes` what the side that sends more of it sends before
//! that; `seconds` is the median of both sides' time over several such syncs, and `cpu_seconds` what of it was computing (as
//! Linux tells): the rest is the disk.

use std::time::Instant;

use crdt_core::{
    DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId, Store, TransactionError,
};
use serde_json::json;
use sqlite_adapter::{OpenOptions, SqliteStore};
use sync_protocol::drive::exchange_in_memory;
use sync_protocol::{Config, Session};

const START_MS: u64 = 1_790_000_000_000;
const SYNCS: u64 = 101;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let (mut writers, mut as_json) = (vec![2u64, 100, 10_000], false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--writers" => writers = vec![arguments.next().ok_or("a number is missing")?.parse()?],
            "--json" => as_json = true,
            _ => return Err("writers [--writers N] [--json]".into()),
        }
    }
    for writers in writers {
        let measured = measure(writers)?;
        if as_json {
            println!("{measured}");
        } else {
            println!("{measured:#}");
        }
    }
    Ok(())
}

fn namespace() -> Namespace {
    Namespace::from_secret("writers")
}

fn in_memory(number: u64) -> Replica<MemoryStore> {
    Replica::new(MemoryStore::new(Head::new(namespace(), ReplicaId::from_u64(number), Life(number))))
}

fn set<S: Store>(replica: &mut Replica<S>, document: u64, ms: u64) -> Result<(), Failed> {
    replica.commit(START_MS + ms, Durability::Visible, |tx| {
        tx.document("tasks", DocumentId::from_u64(document))?.set("title", format!("at {ms}"))?;
        Ok::<_, TransactionError>(())
    })?;
    Ok(())
}

fn measure(writers: u64) -> Result<serde_json::Value, Failed> {
    let folder = tempfile::tempdir()?;
    let open = |name: &str| -> Result<_, Failed> {
        let opened = SqliteStore::open(folder.path().join(name), &OpenOptions::new(namespace()))?;
        Ok(Replica::new(opened.store))
    };
    let (mut a, mut b) = (open("a.db")?, open("b.db")?);
    // Gathers what all have written, so that the files do not have to sync to the disk for each.
    let mut gathers = in_memory(writers + 1);
    for writer in 1..=writers {
        let mut other = in_memory(writer);
        set(&mut other, writer % 50, writer)?;
        exchange_in_memory(&mut other, &mut gathers, START_MS)?;
    }
    exchange_in_memory(&mut gathers, &mut a, START_MS)?;
    exchange_in_memory(&mut a, &mut b, START_MS)?;
    let (mut bytes, mut handshake, mut seconds, mut cpu) = (0, 0, Vec::new(), Vec::new());
    for n in 0..SYNCS {
        set(&mut a, n % 50, 1_000_000 + n)?;
        let (began, computed) = (Instant::now(), cpu_seconds());
        (bytes, handshake) = sync(&mut a, &mut b, n)?;
        seconds.push(began.elapsed().as_secs_f64());
        cpu.push(cpu_seconds() - computed);
    }
    seconds.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    Ok(json!({
        "writers": writers,
        "bytes": bytes,
        "handshake_bytes": handshake,
        "seconds": seconds[seconds.len() / 2],
        "cpu_seconds": cpu[cpu.len() / 2],
    }))
}

/// What this process has computed so far; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|number| number.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// Bytes of both sides after the handshake, and of the handshake of the side that sends more.
fn sync<S: Store>(a: &mut Replica<S>, b: &mut Replica<S>, n: u64) -> Result<(usize, usize), Failed> {
    let nonce = |side| Config::new(2 * n + side);
    let (mut at_a, mut at_b) = (Session::new(nonce(0), START_MS), Session::new(nonce(1), START_MS));
    let (mut bytes, mut handshakes) = (0, [0, 0]);
    let mut count = |message: &[u8], side: usize| match message[0] {
        1 | 2 | 9 => handshakes[side] += message.len(),
        _ => bytes += message.len(),
    };
    loop {
        let mut said = false;
        while let Some(message) = at_a.transmit(a, START_MS)? {
            count(&message, 0);
            at_b.receive(b, &message, START_MS)?;
            said = true;
        }
        while let Some(message) = at_b.transmit(b, START_MS)? {
            count(&message, 1);
            at_a.receive(a, &message, START_MS)?;
            said = true;
        }
        if !said {
            break;
        }
    }
    if !at_a.is_settled() || a.head()?.root != b.head()?.root {
        return Err("the two did not become equal".into());
    }
    Ok((bytes, handshakes[0].max(handshakes[1])))
}
