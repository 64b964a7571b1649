//! Loro: one `LoroDoc` for all records.
//!
//! Its root map `notes` has a nested `LoroMap` for each record, whose fields are plain values. Every transaction is a
//! `commit()`. A snapshot is `ExportMode::Snapshot`: state and history. Changes as they are made come from `subscribe_local_update`; syncs
//! exchange version vectors and `ExportMode::updates`.

use std::sync::{Arc, Mutex};

use loro::{ExportMode, LoroDoc, LoroMap, LoroValue, Subscription, ValueOrContainer, VersionVector};

use super::{Counting, Library, Wire};
use crate::data::{Key, Record, Value, mixed};

/// A replica.
pub struct Loro {
    doc: LoroDoc,
    notes: LoroMap,
}

/// Takes what the document says of its own commits.
pub struct Updates {
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    _subscription: Option<Subscription>,
}

impl Updates {
    fn of(doc: Option<&LoroDoc>) -> Self {
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let into = heard.clone();
        let listen = move |update: &Vec<u8>| {
            into.lock().expect("one thread").push(update.clone());
            true
        };
        let subscription = doc.map(|doc| doc.subscribe_local_update(Box::new(listen)));
        Self { heard, _subscription: subscription }
    }
}

fn plain(value: &Value) -> LoroValue {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
    }
}

fn shown(value: ValueOrContainer) -> Value {
    match value {
        ValueOrContainer::Value(LoroValue::String(text)) => Value::Text(text.to_string()),
        ValueOrContainer::Value(LoroValue::I64(number)) => Value::Int(number),
        ValueOrContainer::Value(LoroValue::Bool(truth)) => Value::Bool(truth),
        other => panic!("no workload writes {other:?}"),
    }
}

impl Loro {
    fn of(doc: LoroDoc, replica: u64) -> Self {
        doc.set_peer_id(mixed(replica)).expect("no transaction is open");
        let notes = doc.get_map("notes");
        Self { doc, notes }
    }

    fn record(&self, key: &Key) -> LoroMap {
        match self.notes.get(&key.text) {
            Some(ValueOrContainer::Container(loro::Container::Map(record))) => record,
            other => panic!("the record is {other:?}"),
        }
    }
}

impl Library for Loro {
    const NAME: &'static str = "loro";
    type Link = Updates;
    type Met = ();

    fn new(replica: u64) -> Self {
        Self::of(LoroDoc::new(), replica)
    }

    fn insert(&mut self, records: &[Record]) {
        for record in records {
            let map = self.notes.insert_container(&record.key.text, LoroMap::new()).expect("a map");
            for (field, value) in &record.fields {
                map.insert(field, plain(value)).expect("a field");
            }
        }
        self.doc.commit();
    }

    fn set(&mut self, key: &Key, fields: &[(&str, Value)]) {
        let map = self.record(key);
        for (field, value) in fields {
            map.insert(field, plain(value)).expect("a field");
        }
        self.doc.commit();
    }

    fn delete(&mut self, key: &Key) {
        self.notes.delete(&key.text).expect("a map");
        self.doc.commit();
    }

    fn read(&mut self, fields: &[&str], each: &mut dyn FnMut(&str, &str, Value)) {
        self.notes.for_each(|key, record| {
            let ValueOrContainer::Container(loro::Container::Map(record)) = record else {
                panic!("records are maps")
            };
            for field in fields {
                if let Some(value) = record.get(field) {
                    each(key, field, shown(value));
                }
            }
        });
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.doc.export(ExportMode::Snapshot).expect("a snapshot")
    }

    fn load(replica: u64, snapshot: &[u8]) -> Self {
        Self::of(LoroDoc::from_snapshot(snapshot).expect("what was exported"), replica)
    }

    fn sync(a: &mut Self, b: &mut Self, (): &mut ()) -> Wire {
        let mut wire = Wire::default();
        let [seen_by_a, seen_by_b] = [&*a, &*b].map(|side| {
            let seen = side.doc.oplog_vv().encode();
            wire.handshake += seen.len();
            VersionVector::decode(&seen).expect("what was encoded")
        });
        let there = a.doc.export(ExportMode::updates(&seen_by_b)).expect("updates");
        let back = b.doc.export(ExportMode::updates(&seen_by_a)).expect("updates");
        wire.changes = there.len() + back.len();
        b.doc.import(&there).expect("the updates are taken");
        a.doc.import(&back).expect("the updates are taken");
        wire
    }

    fn connect(a: &mut Self, _: &mut Self) -> (Updates, Updates) {
        (Updates::of(Some(&a.doc)), Updates::of(None))
    }

    fn message(&mut self, link: &mut Updates) -> Vec<u8> {
        link.heard.lock().expect("one thread").pop().expect("an update")
    }

    fn receive(&mut self, _: &mut Updates, message: &[u8]) {
        self.doc.import(message).expect("the update is taken");
    }

    /// The writer has seen what there is, as after a sync.
    fn insert_as(&mut self, writer: u64, record: &Record) {
        let own = self.doc.peer_id();
        self.doc.set_peer_id(mixed(writer)).expect("no transaction is open");
        self.insert(std::slice::from_ref(record));
        self.doc.set_peer_id(own).expect("no transaction is open");
    }

    fn heads(&mut self, edits: &[(Key, Value)], field: &str) -> (Self, Updates, Vec<Vec<u8>>) {
        let snapshot = self.snapshot();
        let receiver = Self::load(1_000_002, &snapshot);
        let messages = edits.iter().enumerate().map(|(n, (key, value))| {
            let mut writer = Self::load(2_000_000 + n as u64, &snapshot);
            let mut updates = Updates::of(Some(&writer.doc));
            writer.set(key, &[(field, value.clone())]);
            writer.message(&mut updates)
        });
        (receiver, Updates::of(None), messages.collect())
    }
}

/// A `LoroCounter` at the root.
pub struct Counter(LoroDoc);

impl Counting for Counter {
    const NAME: &'static str = "loro";

    fn new(replica: u64) -> Self {
        let doc = LoroDoc::new();
        doc.set_peer_id(mixed(replica)).expect("no transaction is open");
        Self(doc)
    }

    fn count(&mut self, times: u64) {
        let counter = self.0.get_counter("n");
        for from in (0..times).step_by(1000) {
            for _ in from..times.min(from + 1000) {
                counter.increment(1.0).expect("a counter");
            }
            self.0.commit();
        }
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.export(ExportMode::all_updates()).expect("updates")
    }

    fn merge(&mut self, encoded: &[u8]) {
        self.0.import(encoded).expect("the updates are taken");
    }

    fn value(&mut self) -> i64 {
        self.0.get_counter("n").get() as i64
    }
}
