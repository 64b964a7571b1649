//! Yrs: one `Doc` for all records.
//!
//! Its root map `notes` has a nested map for each record, whose fields are plain values (`Any`). Every transaction is a
//! `TransactionMut`. A snapshot is the whole state as an update, in encoding v1, as `encode_state_as_update_v1` gives it: the encoding of its
//! documentation's examples and of the sync protocol of its providers. Changes as they are made are the transaction's own update. Syncs
//! exchange state vectors and differences.

use std::sync::Arc;

use yrs::any::Number;
use yrs::updates::decoder::Decode as _;
use yrs::updates::encoder::Encode as _;
use yrs::{
    Any, ClientID, Doc, Map as _, MapPrelim, MapRef, Options, Out, ReadTxn as _, StateVector, Transact as _,
    Update,
};

use super::{Library, Wire};
use crate::data::{Key, Record, Value, mixed};

/// A replica, and the update of its last transaction.
pub struct Yrs {
    doc: Doc,
    notes: MapRef,
    keeps_updates: bool,
    last_update: Vec<u8>,
}

fn any(value: &Value) -> Any {
    match value {
        Value::Text(text) => Any::String(Arc::from(text.as_str())),
        Value::Int(number) => Any::Number(Number::Int(*number)),
        Value::Bool(truth) => Any::Bool(*truth),
    }
}

fn shown(value: &Out) -> Value {
    match value {
        Out::Any(Any::String(text)) => Value::Text(text.to_string()),
        Out::Any(Any::Number(Number::Int(number))) => Value::Int(*number),
        Out::Any(Any::Bool(truth)) => Value::Bool(*truth),
        other => panic!("no workload writes {other:?}"),
    }
}

impl Yrs {
    fn commit(&mut self, edit: impl FnOnce(&MapRef, &mut yrs::TransactionMut<'_>)) {
        let mut transaction = self.doc.transact_mut();
        edit(&self.notes, &mut transaction);
        if self.keeps_updates {
            self.last_update = transaction.encode_update_v1();
        }
    }

    fn apply(&mut self, update: &[u8]) {
        let update = Update::decode_v1(update).expect("what was encoded");
        self.doc.transact_mut().apply_update(update).expect("the update is taken");
    }
}

impl Library for Yrs {
    const NAME: &'static str = "yrs";
    type Link = ();
    type Met = ();

    fn new(replica: u64) -> Self {
        let doc = Doc::with_options(Options::with_client_id(ClientID::new(mixed(replica) >> 11)));
        let notes = doc.get_or_insert_map("notes");
        Self { doc, notes, keeps_updates: false, last_update: Vec::new() }
    }

    fn insert(&mut self, records: &[Record]) {
        self.commit(|notes, transaction| {
            for record in records {
                let fields = record.fields.iter().map(|(field, value)| (*field, any(value)));
                notes.insert(transaction, record.key.text.as_str(), fields.collect::<MapPrelim>());
            }
        });
    }

    fn set(&mut self, key: &Key, fields: &[(&str, Value)]) {
        self.commit(|notes, transaction| {
            let Some(Out::YMap(record)) = notes.get(transaction, &key.text) else { panic!("no such record") };
            for (field, value) in fields {
                record.insert(transaction, *field, any(value));
            }
        });
    }

    fn delete(&mut self, key: &Key) {
        self.commit(|notes, transaction| {
            notes.remove(transaction, &key.text);
        });
    }

    fn read(&mut self, fields: &[&str], each: &mut dyn FnMut(&str, &str, Value)) {
        let transaction = self.doc.transact();
        for (key, record) in self.notes.iter(&transaction) {
            let Out::YMap(record) = record else { panic!("records are maps") };
            for field in fields {
                if let Some(value) = record.get(&transaction, field) {
                    each(key, field, shown(&value));
                }
            }
        }
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    fn load(replica: u64, snapshot: &[u8]) -> Self {
        let mut loaded = Self::new(replica);
        loaded.apply(snapshot);
        loaded
    }

    fn sync(a: &mut Self, b: &mut Self, (): &mut ()) -> Wire {
        let mut wire = Wire::default();
        let [seen_by_a, seen_by_b] = [&*a, &*b].map(|side| {
            let seen = side.doc.transact().state_vector().encode_v1();
            wire.handshake += seen.len();
            StateVector::decode_v1(&seen).expect("what was encoded")
        });
        let there = a.doc.transact().encode_diff_v1(&seen_by_b);
        let back = b.doc.transact().encode_diff_v1(&seen_by_a);
        wire.changes = there.len() + back.len();
        b.apply(&there);
        a.apply(&back);
        wire
    }

    fn connect(a: &mut Self, _: &mut Self) -> ((), ()) {
        a.keeps_updates = true;
        ((), ())
    }

    fn message(&mut self, (): &mut ()) -> Vec<u8> {
        std::mem::take(&mut self.last_update)
    }

    fn receive(&mut self, (): &mut (), message: &[u8]) {
        self.apply(message);
    }

    fn insert_as(&mut self, writer: u64, record: &Record) {
        let mut other = Self::new(writer);
        other.insert(std::slice::from_ref(record));
        let update = other.snapshot();
        self.apply(&update);
    }

    fn heads(&mut self, edits: &[(Key, Value)], field: &str) -> (Self, (), Vec<Vec<u8>>) {
        let snapshot = self.snapshot();
        let receiver = Self::load(1_000_002, &snapshot);
        let messages = edits.iter().enumerate().map(|(n, (key, value))| {
            let mut writer = Self::load(2_000_000 + n as u64, &snapshot);
            writer.keeps_updates = true;
            writer.set(key, &[(field, value.clone())]);
            writer.message(&mut ())
        });
        (receiver, (), messages.collect())
    }
}
