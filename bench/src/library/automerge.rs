//! Automerge: one document for all records, as its documentation has it for data that is synced together.
//!
//! The root is a map from keys to maps, one for each record, whose fields are scalars: texts are `ScalarValue::Str`, which is
//! a register, not the `Text` that merges by characters. Every transaction is one `AutoCommit::commit`. A snapshot is `save()`, which
//! deflates its columns. Changes as they are made are the change's own chunk; a replica takes them in with `apply_changes`. Syncs are
//! the sync protocol, with the state that it remembers for a peer that it has met.

use automerge::sync::{State, SyncDoc as _};
use automerge::transaction::Transactable as _;
use automerge::{ActorId, AutoCommit, Change, ObjId, ObjType, ROOT, ReadDoc as _, ScalarValue};

use super::{Counting, Library, Wire};
use crate::data::{Key, Record, Value};

/// A replica.
pub struct Automerge(AutoCommit);

fn actor(replica: u64) -> ActorId {
    // As long as the UUIDs that it draws itself.
    ActorId::from(Key::of(replica).id)
}

fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
    }
}

fn shown(value: &automerge::Value<'_>) -> Value {
    match value.as_scalar() {
        Some(ScalarValue::Str(text)) => Value::Text(text.to_string()),
        Some(ScalarValue::Int(number)) => Value::Int(*number),
        Some(ScalarValue::Boolean(truth)) => Value::Bool(*truth),
        other => panic!("no workload writes {other:?}"),
    }
}

impl Automerge {
    fn record(&self, key: &Key) -> ObjId {
        self.0.get(ROOT, &key.text).expect("the root is a map").expect("the record is there").1
    }

    /// One message of the sync protocol, if there is anything to say; how long it is.
    fn tell(&mut self, other: &mut Self, state: &mut State, theirs: &mut State) -> Option<usize> {
        let bytes = self.0.sync().generate_sync_message(state)?.encode();
        let message = automerge::sync::Message::decode(&bytes).expect("what was encoded");
        other.0.sync().receive_sync_message(theirs, message).expect("the message is taken");
        Some(bytes.len())
    }
}

impl Library for Automerge {
    const NAME: &'static str = "automerge";
    type Link = ();
    type Met = (State, State);

    fn new(replica: u64) -> Self {
        Self(AutoCommit::new().with_actor(actor(replica)))
    }

    fn insert(&mut self, records: &[Record]) {
        for record in records {
            let map = self.0.put_object(ROOT, &record.key.text, ObjType::Map).expect("a map");
            for (field, value) in &record.fields {
                self.0.put(&map, *field, scalar(value)).expect("a field");
            }
        }
        self.0.commit();
    }

    fn set(&mut self, key: &Key, fields: &[(&str, Value)]) {
        let map = self.record(key);
        for (field, value) in fields {
            self.0.put(&map, *field, scalar(value)).expect("a field");
        }
        self.0.commit();
    }

    fn delete(&mut self, key: &Key) {
        self.0.delete(ROOT, &key.text).expect("the root is a map");
        self.0.commit();
    }

    fn read(&mut self, fields: &[&str], each: &mut dyn FnMut(&str, &str, Value)) {
        for item in self.0.map_range(ROOT, ..) {
            let map = item.id();
            for field in fields {
                if let Some((value, _)) = self.0.get(&map, *field).expect("a map") {
                    each(&item.key, field, shown(&value));
                }
            }
        }
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.0.save()
    }

    fn load(replica: u64, snapshot: &[u8]) -> Self {
        Self(AutoCommit::load(snapshot).expect("what was saved").with_actor(actor(replica)))
    }

    fn sync(a: &mut Self, b: &mut Self, (at_a, at_b): &mut (State, State)) -> Wire {
        let mut wire = Wire::default();
        loop {
            let there = a.tell(b, at_a, at_b);
            let back = b.tell(a, at_b, at_a);
            wire.changes += there.unwrap_or(0) + back.unwrap_or(0);
            if there.is_none() && back.is_none() {
                return wire;
            }
        }
    }

    fn connect(_: &mut Self, _: &mut Self) -> ((), ()) {
        ((), ())
    }

    fn message(&mut self, (): &mut ()) -> Vec<u8> {
        self.0.get_last_local_change().expect("a change").raw_bytes().to_vec()
    }

    fn receive(&mut self, (): &mut (), message: &[u8]) {
        let change = Change::from_bytes(message.to_vec()).expect("a change");
        self.0.apply_changes([change]).expect("the change is taken");
    }

    /// The writer has seen what there is, as after a sync.
    fn insert_as(&mut self, writer: u64, record: &Record) {
        let own = self.0.get_actor().clone();
        self.0.set_actor(actor(writer));
        self.insert(std::slice::from_ref(record));
        self.0.set_actor(own);
    }

    fn heads(&mut self, edits: &[(Key, Value)], field: &str) -> (Self, (), Vec<Vec<u8>>) {
        let receiver = self.copy(1_000_002);
        let messages = edits.iter().enumerate().map(|(n, (key, value))| {
            let mut writer = Self(self.0.fork().with_actor(actor(2_000_000 + n as u64)));
            writer.set(key, &[(field, value.clone())]);
            writer.message(&mut ())
        });
        (receiver, (), messages.collect())
    }
}

/// A counter in the root, made by the first replica and merged into the others before they count.
pub struct Counter(AutoCommit);

impl Counting for Counter {
    const NAME: &'static str = "automerge";

    fn new(replica: u64) -> Self {
        let mut origin = AutoCommit::new().with_actor(actor(1_000_000));
        origin.put(ROOT, "n", ScalarValue::counter(0)).expect("a counter");
        origin.commit();
        Self(origin.with_actor(actor(replica)))
    }

    fn count(&mut self, times: u64) {
        for from in (0..times).step_by(1000) {
            for _ in from..times.min(from + 1000) {
                self.0.increment(ROOT, "n", 1).expect("a counter");
            }
            self.0.commit();
        }
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.save()
    }

    fn merge(&mut self, encoded: &[u8]) {
        self.0.load_incremental(encoded).expect("what was saved");
    }

    fn value(&mut self) -> i64 {
        let (value, _) = self.0.get(ROOT, "n").expect("a map").expect("the counter is there");
        value.as_i64().expect("a counter")
    }
}
