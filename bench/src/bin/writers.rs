//! Two SQLite databases that have met; then one change on one side. What does it cost, and what does that depend on?
//!
//! ```text
//! cargo xtask writers                                  the standard worlds, side by side
//! cargo xtask writers --writers 10000 --documents 50   one world beside the plain one
//! ```
//!
//! A *world* is a pair of databases with a past: so many documents, in so many changes by so many replicas, and so many
//! peers that one side has met. Every round plays one sync in every world, in turn, so whatever else the machine does
//! meets all of them; what is told is medians over the rounds, and how a world compares with the plain one is the median
//! of the rounds' quotients. `*_cpu_us` is processor time of this process (both sides, user and system), `*_us` is wall
//! time; the difference is the disk. `bytes` is everything both sides send after the handshake, `handshake_bytes` what
//! the side that sends more of it sends before that.
//!
//! `cargo xtask writers --instructions` runs world after world under callgrind, which counts the instructions of
//! `measured_sync` alone: those of this process, without the system's, and the same on a machine that is busy.

use std::time::{Duration, Instant};

use bench::cpu;
use crdt_core::{
    Acknowledged, Checkpoint, DocumentId, Dot, Durability, Head, Life, Meeting, MemoryStore, Namespace,
    Position, Replica, ReplicaId, SessionEnd, Store, TransactionError,
};
use serde_json::json;
use sqlite_adapter::{OpenOptions, SqliteStore};
use sync_protocol::drive::exchange_in_memory;
use sync_protocol::{Config, Session};

const START_MS: u64 = 1_790_000_000_000;

/// Commits that write more than the 4,000 pages at which a write-ahead log is moved into its database.
const FILLING: u64 = 2_000;

type Failed = Box<dyn std::error::Error>;

/// What happened before.
#[derive(Clone, Copy, Debug)]
struct Past {
    /// Replicas that have written.
    writers: u64,
    /// Their changes, all together.
    changes: u64,
    /// Documents that these are spread over.
    documents: u64,
    /// Peers that the side with the change has met.
    peers: u64,
}

const PLAIN: Past = Past { writers: 2, changes: 10_000, documents: 1_000, peers: 1 };

const STANDARD: [Past; 5] = [
    PLAIN,
    Past { writers: 10_000, ..PLAIN },
    // 200 replicas have edited each document.
    Past { writers: 10_000, documents: 50, ..PLAIN },
    Past { changes: 100_000, documents: 100_000, ..PLAIN },
    Past { peers: 10_000, ..PLAIN },
];

fn main() -> Result<(), Failed> {
    let (mut pasts, mut rounds, mut as_json, mut alone) = (STANDARD.to_vec(), 201, false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number =
            || -> Result<u64, Failed> { Ok(arguments.next().ok_or("a number is missing")?.parse()?) };
        let mut own = |set: &dyn Fn(&mut Past, u64)| -> Result<(), Failed> {
            if pasts.len() > 2 {
                pasts = vec![PLAIN, PLAIN];
            }
            let number = number()?;
            pasts.iter_mut().skip(1).for_each(|past| set(past, number));
            Ok(())
        };
        match &*argument {
            "--writers" => own(&|past, writers| past.writers = writers)?,
            "--changes" => own(&|past, changes| past.changes = changes)?,
            "--documents" => own(&|past, documents| past.documents = documents)?,
            "--peers" => own(&|past, peers| past.peers = peers)?,
            "--rounds" => rounds = number()?,
            // One world and nothing beside it, for a profiler.
            "--alone" => alone = true,
            "--json" => as_json = true,
            _ => return Err("writers [--writers N] [--changes N] [--documents N] [--peers N] [--rounds N] [--alone] [--json]".into()),
        }
    }
    if alone {
        pasts.drain(..pasts.len() - 1);
    }
    let mut worlds = pasts.into_iter().map(World::new).collect::<Result<Vec<_>, _>>()?;
    for round in 0..rounds + 10 {
        // The first rounds fill caches, and are forgotten.
        let keep = round >= 10;
        for at in 0..worlds.len() {
            let turn = (at + usize::try_from(round)?) % worlds.len();
            worlds[turn].round(round, keep)?;
        }
    }
    let (plain, all) = (&worlds[0], &worlds);
    for world in all {
        let told = world.tell(plain);
        if as_json { println!("{told}") } else { println!("{told:#}") }
    }
    Ok(())
}

fn namespace() -> Namespace {
    Namespace::from_secret("writers")
}

/// Ids as they are drawn in life: in no order.
fn id(number: u64) -> ReplicaId {
    ReplicaId::from_u64(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[inline(never)]
fn set<S: Store>(replica: &mut Replica<S>, document: u64, ms: u64) -> Result<Dot, Failed> {
    let committed = replica.commit(START_MS + ms, Durability::Visible, |tx| {
        tx.document("tasks", DocumentId::from_u64(document))?.set("title", format!("at {ms}"))?;
        Ok::<_, TransactionError>(())
    })?;
    Ok(committed.dot.ok_or("nothing was written")?)
}

/// A pair of databases, and what was measured with them.
struct World {
    past: Past,
    a: Replica<SqliteStore>,
    b: Replica<SqliteStore>,
    folder: tempfile::TempDir,
    commits: Vec<Cost>,
    syncs: Vec<Cost>,
    opens: Vec<Cost>,
    /// After the handshake; of the handshake.
    bytes: (usize, usize),
}

#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu: Duration,
    wall: Duration,
}

impl Cost {
    fn of<T>(work: impl FnOnce() -> Result<T, Failed>) -> Result<(T, Self), Failed> {
        let (began, computed) = (Instant::now(), cpu::time());
        let done = work()?;
        let cpu = cpu::time().saturating_sub(computed);
        Ok((done, Self { cpu, wall: began.elapsed() }))
    }
}

impl World {
    fn new(past: Past) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let (mut a, mut b) = (open(&folder, "a.db")?, open(&folder, "b.db")?);
        exchange_in_memory(&mut everything_written(past)?, &mut a, START_MS)?;
        exchange_in_memory(&mut a, &mut b, START_MS)?;
        for peer in 1..past.peers {
            meet(&mut a, peer)?;
        }
        // Until both have filled a write-ahead log once, and write over it from then on: appending to a file costs the
        // system more, and a larger past would look cheaper.
        for n in 0..FILLING {
            set(&mut a, n % past.documents.min(50), 1_000_000 + 2 * n)?;
            set(&mut b, n % past.documents.min(50), 1_000_001 + 2 * n)?;
        }
        exchange_in_memory(&mut a, &mut b, START_MS)?;
        let (commits, syncs, opens) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { past, a, b, folder, commits, syncs, opens, bytes: (0, 0) })
    }

    fn round(&mut self, n: u64, keep: bool) -> Result<(), Failed> {
        let document = n % self.past.documents.min(50);
        let (_, commit) = Cost::of(|| set(&mut self.a, document, 10_000_000 + n))?;
        let (bytes, sync) = Cost::of(|| measured_sync(&mut self.a, &mut self.b, n))?;
        let (opened, opens) = Cost::of(|| {
            let mut opened = open(&self.folder, "b.db")?;
            opened.read("tasks", DocumentId::from_u64(document))?;
            Ok(opened)
        })?;
        drop(opened);
        if keep {
            self.bytes = bytes;
            self.commits.push(commit);
            self.syncs.push(sync);
            self.opens.push(opens);
        }
        Ok(())
    }

    fn tell(&self, plain: &Self) -> serde_json::Value {
        let Past { writers, changes, documents, peers } = self.past;
        let us = |costs: &[Cost], of: fn(&Cost) -> Duration| {
            (median(costs.iter().map(|cost| of(cost).as_secs_f64())) * 1e7).round() / 10.0
        };
        let times = |own: &[Cost], other: &[Cost]| {
            let quotients =
                own.iter().zip(other).map(|(own, other)| own.cpu.as_secs_f64() / other.cpu.as_secs_f64());
            (median(quotients) * 1e3).round() / 1e3
        };
        json!({
            "writers": writers, "changes": changes, "documents": documents, "peers": peers,
            "bytes": self.bytes.0, "handshake_bytes": self.bytes.1,
            "sync_cpu_us": us(&self.syncs, |cost| cost.cpu), "sync_us": us(&self.syncs, |cost| cost.wall),
            "commit_cpu_us": us(&self.commits, |cost| cost.cpu),
            "open_cpu_us": us(&self.opens, |cost| cost.cpu),
            "times_plain": {
                "sync": times(&self.syncs, &plain.syncs),
                "commit": times(&self.commits, &plain.commits),
                "open": times(&self.opens, &plain.opens),
            },
        })
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn open(folder: &tempfile::TempDir, name: &str) -> Result<Replica<SqliteStore>, Failed> {
    let opened = SqliteStore::open(folder.path().join(name), &OpenOptions::new(namespace()))?;
    Ok(Replica::new(opened.store))
}

/// A replica that has what all have written; in memory, so that the disk need not wait for each.
fn everything_written(past: Past) -> Result<Replica<MemoryStore>, Failed> {
    let in_memory =
        |number: u64| Replica::new(MemoryStore::new(Head::new(namespace(), id(number), Life(number))));
    let mut gathers = in_memory(past.writers + 1);
    for writer in 1..=past.writers {
        let mut other = in_memory(writer);
        let mut last = None;
        for change in (writer - 1..past.changes).step_by(usize::try_from(past.writers)?) {
            last = Some(set(&mut other, change % past.documents, change)?);
        }
        let documents = other.window(Position::default(), usize::MAX)?.documents;
        gathers.apply(Checkpoint {
            peer: Life(writer),
            replica: id(writer),
            cursor: other.head()?.sequence,
            context: last.into_iter().collect(),
            documents,
            scope: 0,
            session: 0,
        })?;
    }
    Ok(gathers)
}

/// Leaves what a session with a peer leaves, without its messages.
fn meet<S: Store>(replica: &mut Replica<S>, peer: u64) -> Result<(), Failed> {
    let (life, id) = (Life((1_000_000 + peer).wrapping_mul(0x9e37_79b9_7f4a_7c15)), id(1_000_000 + peer));
    let now_ms = START_MS + peer;
    let sequence = replica.head()?.sequence;
    replica.begin_session(life, id, 0, peer)?;
    replica.met(life, peer, Meeting { replica: id, durable: true, offset_ms: 0, sequence: 7, now_ms })?;
    let acked = Acknowledged { sequence, own: 0, now_ms, ..Acknowledged::default() };
    replica.acknowledged_at(life, id, acked)?;
    replica.parted(life, peer, SessionEnd::Closed, now_ms)?;
    Ok(())
}

/// Bytes of both sides after the handshake, and of the handshake of the side that sends more.
#[inline(never)]
fn measured_sync(
    a: &mut Replica<SqliteStore>,
    b: &mut Replica<SqliteStore>,
    n: u64,
) -> Result<(usize, usize), Failed> {
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
