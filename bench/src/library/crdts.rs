//! The crate `crdts`: types to build with, so this file makes of them what an app would.
//!
//! Records are `Map<id, Map<field, MVReg>>`, the nesting that its documentation shows (of its registers only `MVReg` can be in a map).
//! It has no transactions: a field is an op with a dot of its own. Ids are 16 bytes, replicas numbers. A snapshot is the map in postcard, through serde, as are ops. Changes
//! as they are made are ops; replicas that have met keep their ops and send each other those that are new; those that have not met send their states.

use crdts::{CmRDT as _, CvRDT as _, MVReg, Map, PNCounter};
use serde::{Deserialize, Serialize};

use super::{Counting, Library, Wire};
use crate::data::{Key, Record, Value, mixed};

type Fields = Map<String, MVReg<Value, u64>, u64>;
type Records = Map<[u8; 16], Fields, u64>;
type Op = crdts::map::Op<[u8; 16], Fields, u64>;

/// A replica, and the ops that it has made, as far as they may be asked for.
pub struct Crdts {
    records: Records,
    replica: u64,
    keeps_ops: bool,
    ops: Vec<Op>,
}

fn encode(what: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(what).expect("into memory")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> T {
    postcard::from_bytes(bytes).expect("what was encoded")
}

impl Crdts {
    fn apply(&mut self, op: Op) {
        if self.keeps_ops {
            self.ops.push(op.clone());
        }
        self.records.apply(op);
    }

    fn write(&mut self, writer: u64, id: [u8; 16], field: &str, value: &Value) -> Op {
        let context = self.records.read_ctx().derive_add_ctx(mixed(writer));
        self.records.update(id, context, |fields, context| {
            fields.update(field, context, |register, context| register.write(value.clone(), context))
        })
    }
}

impl Library for Crdts {
    const NAME: &'static str = "crdts";
    type Link = ();
    /// How many ops of each side the other one has, once they have met.
    type Met = Option<(usize, usize)>;

    fn new(replica: u64) -> Self {
        Self { records: Map::new(), replica, keeps_ops: false, ops: Vec::new() }
    }

    fn will_sync(&mut self) {
        self.keeps_ops = true;
    }

    fn insert(&mut self, records: &[Record]) {
        for record in records {
            for (field, value) in &record.fields {
                let op = self.write(self.replica, record.key.id, field, value);
                self.apply(op);
            }
        }
    }

    fn set(&mut self, key: &Key, fields: &[(&str, Value)]) {
        for (field, value) in fields {
            let op = self.write(self.replica, key.id, field, value);
            self.apply(op);
        }
    }

    fn delete(&mut self, key: &Key) {
        let context = self.records.read_ctx().derive_rm_ctx();
        let op = self.records.rm(key.id, context);
        self.apply(op);
    }

    fn read(&mut self, fields: &[&str], each: &mut dyn FnMut(&str, &str, Value)) {
        for record in self.records.iter() {
            let (id, record) = record.val;
            let key = Key::from_id(*id);
            for field in fields {
                // Of several concurrent values the first in the order of their text, so that replicas agree.
                let register = record.get(&(*field).to_owned()).val;
                let values = register.map(|register| register.read().val).unwrap_or_default();
                if let Some(value) = values.into_iter().max_by_key(|value| format!("{value:?}")) {
                    each(&key.text, field, value);
                }
            }
        }
    }

    fn snapshot(&mut self) -> Vec<u8> {
        encode(&self.records)
    }

    fn load(replica: u64, snapshot: &[u8]) -> Self {
        Self { records: decode(snapshot), ..Self::new(replica) }
    }

    fn sync(a: &mut Self, b: &mut Self, met: &mut Self::Met) -> Wire {
        let (there, back) = if let Some((of_a, of_b)) = *met {
            let (there, back) = (encode(&a.ops[of_a..].to_vec()), encode(&b.ops[of_b..].to_vec()));
            for (ops, to) in [(&there, &mut *b), (&back, &mut *a)] {
                for op in decode::<Vec<Op>>(ops) {
                    to.records.apply(op);
                }
            }
            (there, back)
        } else {
            let (there, back) = (encode(&a.records), encode(&b.records));
            b.records.merge(decode(&there));
            a.records.merge(decode(&back));
            (there, back)
        };
        *met = Some((a.ops.len(), b.ops.len()));
        Wire { handshake: 0, changes: there.len() + back.len() }
    }

    fn connect(a: &mut Self, _: &mut Self) -> ((), ()) {
        a.keeps_ops = true;
        ((), ())
    }

    fn message(&mut self, (): &mut ()) -> Vec<u8> {
        encode(&self.ops.pop().expect("an op"))
    }

    fn receive(&mut self, (): &mut (), message: &[u8]) {
        self.records.apply(decode(message));
    }

    /// The writer has seen what there is, as after a sync.
    fn insert_as(&mut self, writer: u64, record: &Record) {
        for (field, value) in &record.fields {
            let op = self.write(writer, record.key.id, field, value);
            self.apply(op);
        }
    }

    fn heads(&mut self, edits: &[(Key, Value)], field: &str) -> (Self, (), Vec<Vec<u8>>) {
        let receiver = self.copy(1_000_002);
        let messages = edits.iter().enumerate().map(|(n, (key, value))| {
            // An op that is not applied here: the next writer does not see it.
            encode(&self.write(2_000_000 + n as u64, key.id, field, value))
        });
        let messages = messages.collect();
        (receiver, (), messages)
    }
}

/// A `PNCounter`.
pub struct Counter {
    counter: PNCounter<u64>,
    replica: u64,
}

impl Counting for Counter {
    const NAME: &'static str = "crdts";

    fn new(replica: u64) -> Self {
        Self { counter: PNCounter::new(), replica: mixed(replica) }
    }

    fn count(&mut self, times: u64) {
        for _ in 0..times {
            let op = self.counter.inc(self.replica);
            self.counter.apply(op);
        }
    }

    fn encode(&mut self) -> Vec<u8> {
        encode(&self.counter)
    }

    fn merge(&mut self, encoded: &[u8]) {
        self.counter.merge(decode(encoded));
    }

    fn value(&mut self) -> i64 {
        i64::try_from(self.counter.read()).expect("a small number")
    }
}
