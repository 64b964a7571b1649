//! Rejoin, through the crates that the database handle is made of: a replica over a store in memory, or over an SQLite file.
//!
//! A record is a document of the collection `notes`, its key the document's id, its fields `lww` fields. A snapshot is a
//! bundle for anyone. Syncs are sessions, all messages counted; changes as they are made are what a session pushes. SQLite
//! commits with `Durability::Visible` (`synchronous = NORMAL`); where it was asked to send something, it syncs to the disk
//! first, as always.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crdt_core::{
    Clock, DocumentId, Durability, Head, Hlc, Lattice as _, Life, MemoryStore, Namespace, PNCounter, Replica,
    ReplicaId, Store, TransactionError, Value as Stored,
};
use sqlite_adapter::{OpenOptions, SqliteStore};
use sync_protocol::bundle::{For, export, import};
use sync_protocol::{Config, Session};
use tempfile::TempDir;

use super::{Counting, Library, Wire};
use crate::data::{Key, Record, Value, mixed};

/// When the workloads play, in milliseconds since 1970.
pub const START_MS: u64 = 1_790_000_000_000;
const COLLECTION: &str = "notes";

/// Two sessions are never begun with the same number.
static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// A replica and its clock.
pub struct Rejoin<S> {
    replica: Replica<S>,
    now_ms: u64,
    /// Where the file is, for a store in one.
    _folder: Option<TempDir>,
}

/// A store of its own for each replica.
pub trait OwnStore: Store + Sized {
    /// As on the command line.
    const NAME: &'static str;
    /// See [`Library::ON_HEAP`].
    const ON_HEAP: bool;
    /// Makes one that is empty.
    fn make(replica: u64) -> (Self, Option<TempDir>);
}

/// The namespace of all workloads.
pub fn namespace() -> Namespace {
    Namespace::from_secret("bench")
}

impl OwnStore for MemoryStore {
    const NAME: &'static str = "rejoin";
    const ON_HEAP: bool = true;

    fn make(replica: u64) -> (Self, Option<TempDir>) {
        (Self::new(Head::new(namespace(), named(replica), Life(mixed(replica)))), None)
    }
}

impl OwnStore for SqliteStore {
    const NAME: &'static str = "rejoin-sqlite";
    const ON_HEAP: bool = false;

    fn make(_: u64) -> (Self, Option<TempDir>) {
        let folder = tempfile::tempdir().expect("a folder for the file");
        let opened = Self::open(folder.path().join("notes.db"), &OpenOptions::new(namespace()));
        (opened.expect("a new file").store, Some(folder))
    }
}

fn stored(value: &Value) -> Stored {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
    }
}

fn shown(value: &Stored) -> Value {
    match value {
        Stored::Text(text) => Value::Text(text.to_string()),
        Stored::Int(number) => Value::Int(*number),
        Stored::Bool(truth) => Value::Bool(*truth),
        other => panic!("no workload writes {other:?}"),
    }
}

const fn id(key: &Key) -> DocumentId {
    DocumentId::from_bytes(key.id)
}

/// As good as random.
fn named(replica: u64) -> ReplicaId {
    ReplicaId::from_bytes(Key::of(replica).id)
}

fn session(now_ms: u64) -> Session {
    Session::new(Config::new(mixed(SESSIONS.fetch_add(1, Ordering::Relaxed))), now_ms)
}

impl<S: OwnStore> Rejoin<S> {
    /// One over a replica that is there.
    pub fn over(replica: Replica<S>, folder: Option<TempDir>) -> Self {
        Self { replica, now_ms: START_MS + 100_000_000, _folder: folder }
    }

    /// For what is not part of every library.
    pub const fn replica_mut(&mut self) -> &mut Replica<S> {
        &mut self.replica
    }

    fn commit(&mut self, edit: impl FnOnce(&mut crdt_core::Transaction<'_>) -> Result<(), TransactionError>) {
        self.now_ms += 1;
        self.replica.commit(self.now_ms, Durability::Visible, edit).expect("the commit");
    }

    /// Carries messages until neither side has any more.
    fn pump(at_a: &mut Session, a: &mut Self, at_b: &mut Session, b: &mut Self) -> Wire {
        let mut wire = Wire::default();
        let now_ms = a.now_ms.max(b.now_ms);
        let mut count = |message: &[u8]| match message[0] {
            // hello, want, proof
            1 | 2 | 9 => wire.handshake += message.len(),
            _ => wire.changes += message.len(),
        };
        loop {
            let mut said = false;
            while let Some(message) = at_a.transmit(&mut a.replica, now_ms).expect("a message") {
                count(&message);
                at_b.receive(&mut b.replica, &message, now_ms).expect("a message is taken");
                said = true;
            }
            while let Some(message) = at_b.transmit(&mut b.replica, now_ms).expect("a message") {
                count(&message);
                at_a.receive(&mut a.replica, &message, now_ms).expect("a message is taken");
                said = true;
            }
            if !said {
                assert!(at_a.is_settled() && at_b.is_settled(), "both sides have everything");
                return wire;
            }
        }
    }
}

impl<S: OwnStore> Library for Rejoin<S> {
    const NAME: &'static str = S::NAME;
    const ON_HEAP: bool = S::ON_HEAP;
    type Link = Session;
    /// The stores remember.
    type Met = ();

    fn new(replica: u64) -> Self {
        let (store, folder) = S::make(replica);
        Self { replica: Replica::new(store), now_ms: START_MS, _folder: folder }
    }

    fn insert(&mut self, records: &[Record]) {
        self.commit(|tx| {
            for record in records {
                let mut document = tx.document(COLLECTION, id(&record.key))?;
                for (field, value) in &record.fields {
                    document.set(*field, stored(value))?;
                }
            }
            Ok(())
        });
    }

    fn set(&mut self, key: &Key, fields: &[(&str, Value)]) {
        self.commit(|tx| {
            let mut document = tx.document(COLLECTION, id(key))?;
            fields.iter().try_for_each(|(field, value)| document.set(*field, stored(value)))?;
            Ok(())
        });
    }

    fn delete(&mut self, key: &Key) {
        self.commit(|tx| {
            tx.document(COLLECTION, id(key))?.delete();
            Ok(())
        });
    }

    fn read(&mut self, fields: &[&str], each: &mut dyn FnMut(&str, &str, Value)) {
        let mut after = None;
        loop {
            let page = self.replica.list(COLLECTION, after, 256).expect("a page");
            let Some((last, _)) = page.last() else { return };
            after = Some(*last);
            for (id, document) in &page {
                let key = Key::from_id(*id.as_bytes());
                for field in fields {
                    if let Some(value) = document.get(field).expect("no conflicts here") {
                        each(&key.text, field, shown(&value));
                    }
                }
            }
        }
    }

    fn snapshot(&mut self) -> Vec<u8> {
        let mut bundle = Vec::new();
        export(&mut self.replica, &For::Anyone, &mut bundle, self.now_ms).expect("a bundle");
        bundle
    }

    fn load(replica: u64, snapshot: &[u8]) -> Self {
        let mut loaded = Self::new(replica);
        let imported = import(&mut loaded.replica, snapshot).expect("the bundle is good");
        assert!(imported.in_sync, "the same as the bundle's writer");
        // Later than anything in it.
        loaded.now_ms = START_MS + 10_000_000 * replica;
        loaded
    }

    fn sync(a: &mut Self, b: &mut Self, (): &mut ()) -> Wire {
        let (mut at_a, mut at_b) = (session(a.now_ms), session(b.now_ms));
        let wire = Self::pump(&mut at_a, a, &mut at_b, b);
        at_a.finish(&mut a.replica, a.now_ms);
        at_b.finish(&mut b.replica, b.now_ms);
        wire
    }

    fn connect(a: &mut Self, b: &mut Self) -> (Session, Session) {
        let (mut at_a, mut at_b) = (session(a.now_ms), session(b.now_ms));
        Self::pump(&mut at_a, a, &mut at_b, b);
        (at_a, at_b)
    }

    fn message(&mut self, link: &mut Session) -> Vec<u8> {
        let message = link.transmit(&mut self.replica, self.now_ms).expect("a message");
        message.expect("there is something to say")
    }

    fn receive(&mut self, link: &mut Session, message: &[u8]) {
        link.receive(&mut self.replica, message, self.now_ms).expect("the message is taken");
    }

    fn insert_as(&mut self, writer: u64, record: &Record) {
        let mut other = Rejoin::<MemoryStore>::new(writer);
        other.insert(std::slice::from_ref(record));
        let bundle = other.snapshot();
        import(&mut self.replica, &*bundle).expect("the bundle is good");
    }

    /// The messages come from a hub that has met every writer, and is connected to the replica.
    fn heads(&mut self, edits: &[(Key, Value)], field: &str) -> (Self, Session, Vec<Vec<u8>>) {
        let bundle = self.snapshot();
        let (mut hub, mut receiver) = (Rejoin::<S>::load(1_000_001, &bundle), Self::load(1_000_002, &bundle));
        let (mut at_hub, at_receiver) = Self::connect(&mut hub, &mut receiver);
        let mut messages = Vec::with_capacity(edits.len());
        for (n, (key, value)) in edits.iter().enumerate() {
            let mut writer = Rejoin::<MemoryStore>::load(2_000_000 + n as u64, &bundle);
            // Concurrent: all at about the same time.
            writer.now_ms = START_MS + 1_000_000 + n as u64;
            writer.set(key, &[(field, value.clone())]);
            let change = writer.replica.seen().expect("what was seen");
            let mut since = change.iter().collect::<Vec<_>>();
            since.retain(|dot| dot.replica != named(2_000_000 + n as u64));
            let mut bundle = Vec::new();
            let audience = For::Holder(since.into_iter().collect());
            export(&mut writer.replica, &audience, &mut bundle, writer.now_ms).expect("a bundle");
            import(&mut hub.replica, &*bundle).expect("the bundle is good");
            messages.push(hub.message(&mut at_hub));
        }
        (receiver, at_receiver, messages)
    }
}

/// A counter field of one document.
pub struct Counter(Rejoin<MemoryStore>);

impl Counting for Counter {
    const NAME: &'static str = "rejoin";

    fn new(replica: u64) -> Self {
        Self(Rejoin::new(replica))
    }

    fn count(&mut self, times: u64) {
        let id = DocumentId::from_u64(1);
        for from in (0..times).step_by(1000) {
            self.0.commit(|tx| {
                let mut document = tx.document("counters", id)?;
                (from..times.min(from + 1000)).try_for_each(|_| document.increment("n", 1))?;
                Ok(())
            });
        }
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.snapshot()
    }

    fn merge(&mut self, encoded: &[u8]) {
        import(&mut self.0.replica, encoded).expect("the bundle is good");
    }

    fn value(&mut self) -> i64 {
        let document = self.0.replica.read("counters", DocumentId::from_u64(1)).expect("the document");
        let value = document.get("n").expect("no conflicts here");
        value.and_then(|value| value.as_i64()).unwrap_or(0)
    }
}

/// The type `PNCounter` on its own, for those who hold their own data, with a clock; in JSON, as such types are stored.
pub struct CounterType {
    counter: PNCounter,
    clock: Clock,
}

impl Counting for CounterType {
    const NAME: &'static str = "rejoin-type";

    fn new(replica: u64) -> Self {
        Self { counter: PNCounter::new(), clock: Clock::restore(named(replica), 0, Hlc::default()) }
    }

    fn count(&mut self, times: u64) {
        for n in 0..times {
            let change = self.clock.tick(START_MS + n / 1000).expect("there is time left");
            self.counter.add(change, 1).expect("far from overflow");
        }
    }

    fn encode(&mut self) -> Vec<u8> {
        serde_json::to_vec(&self.counter).expect("into memory")
    }

    fn merge(&mut self, encoded: &[u8]) {
        self.counter.merge(serde_json::from_slice(encoded).expect("what was encoded"));
    }

    fn value(&mut self) -> i64 {
        i64::try_from(self.counter.value()).expect("a small number")
    }
}

impl<S: OwnStore> Rejoin<S> {
    /// A sync with one that has been met, of which this side's part and the other's are measured apart: reading changes and
    /// taking them in. Returns bytes and messages sent.
    pub fn send_and_receive(
        &mut self,
        other: &mut Self,
        measured: &mut crate::measured::Measured,
    ) -> (usize, usize) {
        let (mut at_a, mut at_b) = (session(self.now_ms), session(other.now_ms));
        let now_ms = self.now_ms.max(other.now_ms);
        // The handshake, and what the other side has to say.
        let (mut messages, mut read_ms) = (Vec::new(), 0.0);
        while messages.is_empty() {
            while let Some(message) = at_b.transmit(&mut other.replica, now_ms).expect("a message") {
                at_a.receive(&mut self.replica, &message, now_ms).expect("a message is taken");
            }
            let began = Instant::now();
            let message = at_a.transmit(&mut self.replica, now_ms).expect("a message");
            let took_ms = began.elapsed().as_secs_f64() * 1e3;
            let message = message.expect("there are changes to send");
            if matches!(message[0], 1 | 2 | 9) {
                at_b.receive(&mut other.replica, &message, now_ms).expect("a message is taken");
            } else {
                messages.push(message);
                read_ms = took_ms;
            }
        }
        measured.phase("read", || {
            while let Some(message) = at_a.transmit(&mut self.replica, now_ms).expect("a message") {
                messages.push(message);
            }
        });
        if let Some(read) = measured.phases.get_mut("read") {
            read.ms += read_ms;
        }
        measured.phase("apply", || {
            for message in &messages {
                at_b.receive(&mut other.replica, message, now_ms).expect("a message is taken");
            }
        });
        Self::pump(&mut at_a, self, &mut at_b, other);
        (messages.iter().map(Vec::len).sum(), messages.len())
    }
}
