//! Rejoin's database beside plain SQLite: the same rows, in files with the same settings.
//!
//! Both are in WAL mode, with checkpoints after 4,000 pages and SQLite's other settings as they come. Plain is what an app would write
//! itself: a table with a rowid, a unique id of 16 bytes and a column for each of the eight fields, prepared statements, edits by id. It
//! keeps no history and cannot be merged. *NORMAL* and *FULL* are `synchronous`, of both sides: in WAL mode NORMAL does not wait for the
//! disk, and a power failure may take back the last commits; FULL waits.

use std::path::Path;

use rejoin::{Collection, Database, DocumentId, Durability, OpenOptions};
use rusqlite::{Connection, params_from_iter};

use crate::data::{Key, Record, Value, digest, mixed, row};
use crate::library::Library;
use crate::library::rejoin::Rejoin;
use crate::measured::Measured;

/// A file of rows.
trait Table: Sized {
    fn create(path: &Path, durability: Durability) -> Self;
    /// In one transaction.
    fn insert(&mut self, rows: &[Record]);
    /// The field `field3` of some rows, in one transaction.
    fn update(&mut self, edits: &[(Key, String)]);
    /// The value of `field3`.
    fn read(&mut self, key: &Key) -> String;
}

/// Runs a workload; `None` if there is no such library or workload.
pub fn run(measured: &mut Measured, workload: &str, library: &str, size: u64) -> Option<()> {
    let (durability, batch) = match workload {
        "sqlite-batch" => (Durability::Visible, 1_000),
        "sqlite-normal" => (Durability::Visible, 1),
        "sqlite-full" => (Durability::Durable, 1),
        "sqlite-changes" => return changes(measured, library, size),
        _ => return None,
    };
    match library {
        "rejoin-sqlite" => rows::<Database>(measured, size, durability, batch),
        "plain" => rows::<Plain>(measured, size, durability, batch),
        _ => return None,
    }
    Some(())
}

/// Rows inserted, then one field of as many updated, in random order, so many in a transaction.
fn rows<T: Table>(measured: &mut Measured, size: u64, durability: Durability, batch: usize) {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = folder.path().join("rows.db");
    let records: Vec<_> = (0..size).map(row).collect();
    let edits = edits(size, size);
    let mut table = T::create(&path, durability);
    measured.phase("insert", || records.chunks(batch).for_each(|rows| table.insert(rows)));
    drop(table);
    measured.bytes("file after inserts", file(&path));
    let mut table = T::create(&path, durability);
    measured.phase("update", || edits.chunks(batch).for_each(|edits| table.update(edits)));
    let last: std::collections::HashMap<_, _> = edits.iter().map(|(key, value)| (key, value)).collect();
    for (key, value) in last {
        assert_eq!(table.read(key), *value, "what was written is read");
    }
    drop(table);
    measured.bytes("file after updates", file(&path));
}

/// As long as the connection is closed, everything is in this one file.
fn file(path: &Path) -> usize {
    std::fs::metadata(path).expect("the file").len() as usize
}

/// One field of rows, in random order.
fn edits(count: u64, of: u64) -> Vec<(Key, String)> {
    (0..count).map(|n| (Key::of(mixed(n ^ 0x5eed) % of), format!("other{:06}", n % 1_000_000))).collect()
}

/// Two files with so many rows that have met; then 10,000 rows of one are updated, and it syncs. Beside it, the same updates in plain SQLite, in one
/// transaction, in the order of the keys.
fn changes(measured: &mut Measured, library: &str, size: u64) -> Option<()> {
    const CHANGES: u64 = 10_000;
    let edits = edits(CHANGES, size);
    let records: Vec<_> = (0..size).map(row).collect();
    match library {
        "rejoin-sqlite" => {
            type File = Rejoin<sqlite_adapter::SqliteStore>;
            let (mut a, mut b) = (File::new(1), File::new(2));
            records.chunks(1000).for_each(|rows| a.insert(rows));
            File::sync(&mut a, &mut b, &mut ());
            for (key, value) in &edits {
                a.set(key, &[("field3", Value::Text(value.clone()))]);
            }
            let (messages, received) = a.send_and_receive(&mut b, measured);
            measured.bytes("changes sent", messages);
            assert!(received > 0, "something was received");
            assert!(a.contents(&["field3"]) == b.contents(&["field3"]), "both hold the same");
            measured.digest = Some(digest(&b.contents(&["field3"])));
        }
        "plain" => {
            let folder = tempfile::tempdir().expect("a folder for the file");
            let mut table = Plain::create(&folder.path().join("rows.db"), Durability::Durable);
            records.chunks(1000).for_each(|rows| table.insert(rows));
            let mut sorted: Vec<_> = edits
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<std::collections::BTreeMap<_, _>>()
                .into_iter()
                .collect();
            sorted.sort();
            measured.phase("apply", || table.update(&sorted));
        }
        _ => return None,
    }
    Some(())
}

impl Table for Database {
    fn create(path: &Path, durability: Durability) -> Self {
        let database = OpenOptions::new().durability(durability).open(path).expect("the file");
        database.declare(Collection::new("rows")).expect("a view of that name");
        database
    }

    fn insert(&mut self, rows: &[Record]) {
        let insert = |tx: &mut rejoin::Tx<'_, '_>| {
            for row in rows {
                let mut document = tx.open("rows", DocumentId::from_bytes(row.key.id))?;
                for (field, value) in &row.fields {
                    document.set(*field, text(value))?;
                }
            }
            Ok(())
        };
        self.commit(insert).expect("the commit");
    }

    fn update(&mut self, edits: &[(Key, String)]) {
        let update = |tx: &mut rejoin::Tx<'_, '_>| {
            for (key, value) in edits {
                tx.open("rows", DocumentId::from_bytes(key.id))?.set("field3", value.as_str())?;
            }
            Ok(())
        };
        self.commit(update).expect("the commit");
    }

    fn read(&mut self, key: &Key) -> String {
        let document = self.get("rows", DocumentId::from_bytes(key.id)).expect("the file").expect("the row");
        let value = document.get("field3").expect("no conflict").expect("the field");
        value.as_str().expect("text").to_owned()
    }
}

fn text(value: &Value) -> &str {
    let Value::Text(text) = value else { panic!("rows are text") };
    text
}

/// Plain SQLite.
struct Plain(Connection);

impl Table for Plain {
    fn create(path: &Path, durability: Durability) -> Self {
        let connection = Connection::open(path).expect("the file");
        let synchronous = if durability == Durability::Durable { "FULL" } else { "NORMAL" };
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA synchronous = {synchronous};
                CREATE TABLE IF NOT EXISTS rows (row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, field0 TEXT, field1 TEXT,
                field2 TEXT, field3 TEXT, field4 TEXT, field5 TEXT, field6 TEXT, field7 TEXT);"
            ))
            .expect("the table");
        Self(connection)
    }

    fn insert(&mut self, rows: &[Record]) {
        let transaction = self.0.transaction().expect("a transaction");
        for row in rows {
            let insert = "INSERT INTO rows (id, field0, field1, field2, field3, field4, field5, field6, field7) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let mut insert = transaction.prepare_cached(insert).expect("a statement");
            insert.raw_bind_parameter(1, row.key.id.as_slice()).expect("a parameter");
            for (at, (_, value)) in row.fields.iter().enumerate() {
                insert.raw_bind_parameter(at + 2, text(value)).expect("a parameter");
            }
            insert.raw_execute().expect("the row");
        }
        transaction.commit().expect("the commit");
    }

    fn update(&mut self, edits: &[(Key, String)]) {
        let transaction = self.0.transaction().expect("a transaction");
        for (key, value) in edits {
            let update = "UPDATE rows SET field3 = ? WHERE id = ?";
            let mut update = transaction.prepare_cached(update).expect("a statement");
            update.execute((value, key.id.as_slice())).expect("the row");
        }
        transaction.commit().expect("the commit");
    }

    fn read(&mut self, key: &Key) -> String {
        let select = "SELECT field3 FROM rows WHERE id = ?";
        let mut select = self.0.prepare_cached(select).expect("a statement");
        select.query_row(params_from_iter([key.id.as_slice()]), |row| row.get(0)).expect("the row")
    }
}
