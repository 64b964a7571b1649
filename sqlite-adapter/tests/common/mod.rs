//! What the tests share: folders that go away, replicas in files, syncing without a session.
#![allow(dead_code)] // not every test uses all of it

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crdt_core::{
    Checkpoint, Collection, Document, DocumentId, DocumentMut, Dot, Durability, EditError, FieldType, Fields,
    Namespace, Position, Replica, Resolver, Store, TransactionError, Value,
};
use rusqlite::Connection;
use sqlite_adapter::{OpenOptions, Opened, SqliteStore};

pub const START_MS: u64 = 1_790_000_000_000;

pub fn namespace() -> Namespace {
    Namespace::from_secret("sqlite-adapter tests")
}

pub fn options() -> OpenOptions {
    OpenOptions::new(namespace())
}

/// A folder of its own, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rejoin-sqlite-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn open(path: &Path) -> Opened {
    SqliteStore::open(path, &options()).unwrap()
}

pub fn replica(path: &Path) -> Replica<SqliteStore> {
    declared(Replica::new(open(path).store))
}

/// A plain connection of somebody else.
pub fn plain(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

/// Every type of field.
pub fn collections() -> [Collection; 3] {
    let highest = Resolver::new("highest", 1, |siblings| {
        siblings.iter().filter_map(|s| s.value.value()).max().cloned()
    });
    let inner = Fields::from([
        ("city".into(), FieldType::Lww),
        ("visits".into(), FieldType::Counter),
        ("deeper".into(), FieldType::Map(Fields::from([("tags".into(), FieldType::Set)]))),
    ]);
    let full = |name: &str| {
        Collection::new(name)
            .field("lww", FieldType::Lww)
            .field("detect", FieldType::Detect)
            .field("manual", FieldType::Manual)
            .field("custom", FieldType::Custom(highest.clone()))
            .field("counter", FieldType::Counter)
            .field("grows", FieldType::GrowCounter)
            .field("set", FieldType::Set)
            .field("growing", FieldType::GrowSet)
            .field("flag", FieldType::Flag)
            .field("map", FieldType::Map(inner.clone()))
    };
    [full("full"), full("fragile").delete_wins(), Collection::new("plain")]
}

pub fn declared<S: Store>(mut replica: Replica<S>) -> Replica<S> {
    for collection in collections() {
        replica.declare(collection);
    }
    replica
}

pub fn edit<S: Store>(
    replica: &mut Replica<S>,
    collection: &str,
    id: u64,
    edit: impl FnOnce(&mut DocumentMut<'_>) -> Result<(), EditError>,
) -> Option<Dot> {
    commit(replica, START_MS, Durability::Visible, collection, id, edit)
}

pub fn commit<S: Store>(
    replica: &mut Replica<S>,
    now_ms: u64,
    durability: Durability,
    collection: &str,
    id: u64,
    edit: impl FnOnce(&mut DocumentMut<'_>) -> Result<(), EditError>,
) -> Option<Dot> {
    let committed = replica.commit(now_ms, durability, |tx| {
        edit(&mut tx.document(collection, DocumentId::from_u64(id))?)?;
        Ok::<_, TransactionError>(())
    });
    committed.unwrap().dot
}

/// All that `from` has for `to`, as a checkpoint.
pub fn checkpoint<S: Store>(from: &mut Replica<S>, position: u64) -> Checkpoint {
    let mut documents: Vec<(crdt_core::Address, Document)> = Vec::new();
    let mut next = Position { sequence: position, documents: 0 };
    let head = loop {
        let window = from.window(next, 3).unwrap();
        documents.extend(window.documents.iter().cloned());
        next = window.next;
        if window.reaches_head() {
            break window.head;
        }
    };
    let context = from.seen().unwrap().iter().collect();
    Checkpoint {
        peer: head.life,
        replica: head.replica,
        cursor: head.sequence,
        context,
        documents,
        scope: 0,
        session: 0,
    }
}

/// What a value should be in `data`, by another JSON library.
pub fn as_json(value: &Value) -> serde_json::Value {
    use serde_json::{Value as Json, json};
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => json!(number),
        Value::Float(number) if number.get().is_nan() => json!({"$float": "NaN"}),
        Value::Float(number) if number.get() == f64::INFINITY => json!({"$float": "Infinity"}),
        Value::Float(number) if number.get() == f64::NEG_INFINITY => json!({"$float": "-Infinity"}),
        Value::Float(number) => json!(number.get()),
        Value::Timestamp(ms) => json!({"$timestamp": ms}),
        Value::Text(text) => json!(&**text),
        Value::Bytes(bytes) => {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"$bytes": hex.concat()})
        }
        Value::Array(items) => items.iter().map(as_json).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), as_json(value))).collect(),
    }
}

/// Checks that `data` says of every document what its view says.
pub fn check_data(path: &Path, replica: &mut Replica<SqliteStore>) {
    let connection = plain(path);
    let sql = "SELECT c.name, d.id, d.data, json_valid(d.data) FROM rejoin_document AS d \
               JOIN rejoin_collection AS c ON c.number = d.collection";
    let mut select = connection.prepare(sql).unwrap();
    let rows = select.query_map([], |row| {
        let id = DocumentId::from_bytes(row.get(1)?);
        Ok((row.get::<_, String>(0)?, id, row.get::<_, Option<String>>(2)?, row.get::<_, Option<bool>>(3)?))
    });
    for row in rows.unwrap() {
        let (collection, id, data, valid) = row.unwrap();
        let shown = replica.read(collection.as_str(), id).unwrap().to_value();
        let read = data.map(|data| serde_json::from_str::<serde_json::Value>(&data).unwrap());
        assert_eq!(read, shown.as_ref().map(as_json), "{collection}/{id}");
        assert!(valid != Some(false));
    }
}
