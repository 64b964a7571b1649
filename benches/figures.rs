//! The table of docs/figures.md: `cargo xtask figures`. Every ratio is between two sides measured in this run.

#![allow(clippy::cast_precision_loss)] // figures are rounded anyway

use std::path::Path;
use std::time::Instant;

use rejoin::core::{
    DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId, TransactionError,
};
use rejoin::protocol::drive::exchange_in_memory;
use rejoin::{Collection, Database, OpenOptions};
use rusqlite::{Connection, params};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const NOW_MS: u64 = 1_790_000_000_000;
const DOCUMENTS: u64 = 20_000;
const SINGLE: u64 = 2_000;
const FIELDS: usize = 8;
/// Each side is measured so often, in turn; the median counts.
const ROUNDS: usize = 3;

fn main() -> Outcome<()> {
    println!("| what | figure |\n|---|---|");
    in_memory()?;
    merging()?;
    bytes()?;
    let folder = tempfile::tempdir()?;
    for (name, batch, count, durability) in [
        ("insert, 1,000 a transaction", 1_000, DOCUMENTS, Durability::Visible),
        ("insert, one a transaction, NORMAL", 1, SINGLE, Durability::Visible),
        ("insert, one a transaction, FULL", 1, SINGLE, Durability::Durable),
    ] {
        let work = Work { batch, count, durability, update: false };
        compare(folder.path(), name, work)?;
    }
    for (name, batch, count, durability) in [
        ("update of a field, 1,000 a transaction", 1_000, DOCUMENTS, Durability::Visible),
        ("update of a field, one a transaction, NORMAL", 1, SINGLE, Durability::Visible),
        ("update of a field, one a transaction, FULL", 1, SINGLE, Durability::Durable),
    ] {
        compare(folder.path(), name, Work { batch, count, durability, update: true })?;
    }
    Ok(())
}

fn memory(number: u64) -> Replica<MemoryStore> {
    let team = Namespace::from_secret("figures");
    Replica::new(MemoryStore::new(Head::new(team, ReplicaId::from_u64(number), Life(number))))
}

fn field(number: usize) -> String {
    format!("field{number}")
}

fn value(document: u64, field: usize) -> String {
    format!("value{:06}", (document * 31 + field as u64 * 7) % 1_000_000)
}

fn fill(replica: &mut Replica<MemoryStore>, documents: u64, at_once: u64) -> Outcome<()> {
    for page in 0..documents / at_once {
        replica.commit(NOW_MS + page, Durability::Visible, |tx| {
            for number in page * at_once..(page + 1) * at_once {
                let mut document =
                    tx.document("records", DocumentId::from_key("records", &number.to_string()))?;
                (0..FIELDS).try_for_each(|f| document.set(field(f), value(number, f)))?;
            }
            Ok::<_, TransactionError>(())
        })?;
    }
    Ok(())
}

fn in_memory() -> Outcome<()> {
    let mut replica = memory(1);
    let start = Instant::now();
    fill(&mut replica, DOCUMENTS, 1)?;
    row("in memory: commits of a new 8-field document", &rate(DOCUMENTS, start));
    let start = Instant::now();
    for number in 0..DOCUMENTS {
        let id = DocumentId::from_key("records", &number.to_string());
        replica.commit(NOW_MS + number, Durability::Visible, |tx| {
            tx.document("records", id)?.set("field3", "another value")?;
            Ok::<_, TransactionError>(())
        })?;
    }
    row("in memory: commits of one field", &rate(DOCUMENTS, start));
    Ok(())
}

fn merging() -> Outcome<()> {
    let (mut a, mut b) = (memory(1), memory(2));
    fill(&mut a, DOCUMENTS, 100)?;
    let cells = DOCUMENTS * (FIELDS as u64 + 1);
    let start = Instant::now();
    let (session, _) = exchange_in_memory(&mut a, &mut b, NOW_MS)?;
    row("in memory: cells read, sent and merged", &rate(cells, start));
    let per_cell = session.status().traffic.bytes_sent as f64 / cells as f64;
    row("first sync, bytes per cell of 11 B values", &format!("{per_cell:.1} B"));
    let folder = tempfile::tempdir()?;
    let db = Database::open(folder.path().join("merge.db"))?;
    let source = Database::open(folder.path().join("source.db"))?;
    source.commit(|tx| {
        for number in 0..DOCUMENTS {
            let mut document = tx.create_with_key("records", &number.to_string())?;
            (0..FIELDS).try_for_each(|f| document.set(field(f), value(number, f)))?;
        }
        Ok(())
    })?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (address, server) = (listener.local_addr()?, source.clone());
    let start = Instant::now();
    let serving = std::thread::spawn(move || server.serve(&mut listener.accept()?.0));
    db.sync(&mut std::net::TcpStream::connect(address)?)?;
    row("SQLite to SQLite over TCP: cells read, sent and merged", &rate(cells, start));
    serving.join().expect("the server does not panic")?;
    Ok(())
}

/// Sizes on the wire, with the length that a stream puts before each message.
fn bytes() -> Outcome<()> {
    let (mut a, mut b) = (memory(1), memory(2));
    let set = |replica: &mut Replica<MemoryStore>, id, ms, text: &str| {
        replica.commit(NOW_MS + ms, Durability::Visible, |tx| {
            tx.document("records", DocumentId::from_u64(id))?.set("title", text)?;
            Ok::<_, TransactionError>(())
        })
    };
    set(&mut a, 1, 0, "something")?;
    let (mut at_a, mut at_b) = exchange_in_memory(&mut a, &mut b, NOW_MS)?;
    let mut sizes = Vec::new();
    for (id, ms, text) in
        [(1, 1_000, "first"), (2, 3_000, "twenty bytes exactly"), (2, 6_000, "twenty bytes, other!")]
    {
        set(&mut a, id, ms, text)?;
        let message = at_a.transmit(&mut a, NOW_MS)?.ok_or("nothing to send")?;
        sizes.push(message.len() + 1);
        at_b.receive(&mut b, &message, NOW_MS)?;
    }
    row("live change of a 20 B value, document known", &format!("{} B", sizes[2]));
    row("the same at the document's first mention", &format!("{} B", sizes[1]));
    set(&mut a, 1, 9_000, "twenty bytes, changed")?;
    let (again, _) = exchange_in_memory(&mut a, &mut b, NOW_MS)?;
    let traffic = again.status().traffic;
    let sum = traffic.bytes_sent + traffic.bytes_received;
    row("two that have met: one small change, both directions in all", &format!("{sum} B"));
    Ok(())
}

#[derive(Clone, Copy)]
struct Work {
    batch: u64,
    count: u64,
    durability: Durability,
    update: bool,
}

/// The same records in our file and in a plain table with an id and a JSON text.
fn compare(folder: &Path, name: &str, work: Work) -> Outcome<()> {
    let (mut ours, mut plain, mut sizes) = (Vec::new(), Vec::new(), (0, 0));
    for round in 0..ROUNDS {
        let path = folder.join(format!("{round}-{}.db", name.len()));
        let (time, size) = rejoin_side(&path.with_extension("ours"), work)?;
        ours.push(time);
        sizes.0 = size;
        let (time, size) = plain_side(&path.with_extension("plain"), work)?;
        plain.push(time);
        sizes.1 = size;
    }
    let (ours, plain) = (median(ours), median(plain));
    let per_second = work.count as f64 / ours;
    let files = sizes.0 as f64 / sizes.1 as f64;
    let file = if work.batch > 1 { format!("; file {files:.2} ×") } else { String::new() };
    row(
        &format!("SQLite: {name}"),
        &format!("{per_second:.0} documents/s, {:.2} × the time of plain SQLite{file}", ours / plain),
    );
    Ok(())
}

fn rejoin_side(path: &Path, work: Work) -> Outcome<(f64, u64)> {
    let db = OpenOptions::new().durability(work.durability).open(path)?;
    db.declare(Collection::new("records"))?;
    let write = |all: bool| -> Outcome<()> {
        for page in 0..work.count / work.batch {
            db.commit(|tx| {
                for number in page * work.batch..(page + 1) * work.batch {
                    let mut document =
                        tx.open("records", DocumentId::from_key("records", &number.to_string()))?;
                    let fields = if all { 0..FIELDS } else { 3..4 };
                    fields
                        .into_iter()
                        .try_for_each(|f| document.set(field(f), value(number + u64::from(!all), f)))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    };
    if work.update {
        db.commit(|tx| {
            for number in 0..work.count {
                let mut document =
                    tx.open("records", DocumentId::from_key("records", &number.to_string()))?;
                (0..FIELDS).try_for_each(|f| document.set(field(f), value(number, f)))?;
            }
            Ok(())
        })?;
    }
    let start = Instant::now();
    write(!work.update)?;
    let time = start.elapsed().as_secs_f64();
    drop(db);
    Ok((time, std::fs::metadata(path)?.len()))
}

fn plain_side(path: &Path, work: Work) -> Outcome<(f64, u64)> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if work.durability == Durability::Durable { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(
        "CREATE TABLE records (row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, data TEXT NOT NULL)",
    )?;
    let json = |number: u64| {
        let fields: Vec<_> =
            (0..FIELDS).map(|f| format!("\"{}\":\"{}\"", field(f), value(number, f))).collect();
        format!("{{{}}}", fields.join(","))
    };
    let id = |number: u64| *DocumentId::from_key("records", &number.to_string()).as_bytes();
    let insert = "INSERT INTO records (id, data) VALUES (?1, ?2)";
    if work.update {
        let transaction = connection.transaction()?;
        for number in 0..work.count {
            transaction.prepare_cached(insert)?.execute(params![id(number), json(number)])?;
        }
        transaction.commit()?;
    }
    let start = Instant::now();
    for page in 0..work.count / work.batch {
        let transaction = connection.transaction()?;
        for number in page * work.batch..(page + 1) * work.batch {
            if work.update {
                let update = "UPDATE records SET data = json_set(data, '$.field3', ?2) WHERE id = ?1";
                transaction.prepare_cached(update)?.execute(params![id(number), value(number + 1, 3)])?;
            } else {
                transaction.prepare_cached(insert)?.execute(params![id(number), json(number)])?;
            }
        }
        transaction.commit()?;
    }
    let time = start.elapsed().as_secs_f64();
    drop(connection);
    Ok((time, std::fs::metadata(path)?.len()))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn rate(count: u64, start: Instant) -> String {
    let per_second = count as f64 / start.elapsed().as_secs_f64();
    format!("{:.0},000/s", (per_second / 1_000.0).round())
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}
