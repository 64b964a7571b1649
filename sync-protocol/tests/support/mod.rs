//! What the session tests share: replicas, edits, a small random generator.
#![allow(dead_code, missing_docs)] // not every test uses everything

use crdt_core::{
    Collection, DocumentId, DocumentMut, Durability, FieldType, Head, Life, MemoryStore, Namespace, Replica,
    ReplicaId, Store, TransactionError,
};

#[path = "../../../crdt-core/tests/tries/under_miri.rs"]
mod under_miri;

#[allow(unused_imports, reason = "not every test has something to make smaller")]
pub use under_miri::or_under_miri;

pub const START_MS: u64 = 1_790_000_000_000;

pub fn replica(number: u64) -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    declared(Replica::new(MemoryStore::new(head)))
}

pub fn declared(replica: Replica<MemoryStore>) -> Replica<MemoryStore> {
    declared_over(replica.into_store())
}

pub fn declared_over<S: Store>(store: S) -> Replica<S> {
    let mut replica = Replica::new(store);
    let tasks = Collection::new("tasks").field("notes", FieldType::Detect).field("votes", FieldType::Counter);
    replica.declare(tasks);
    replica
}

/// Commits edits of one document at a time after the start.
pub fn edit<S: Store>(replica: &mut Replica<S>, id: u64, ms: u64, edit: impl FnOnce(&mut DocumentMut<'_>)) {
    replica
        .commit(START_MS + ms, Durability::Visible, |tx| {
            edit(&mut tx.document("tasks", DocumentId::from_u64(id))?);
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

pub fn set(replica: &mut Replica<MemoryStore>, id: u64, ms: u64, field: &str, value: &str) {
    edit(replica, id, ms, |document| document.set(field, value).unwrap());
}

pub fn title(replica: &mut Replica<MemoryStore>, id: u64) -> Option<String> {
    let view = replica.read("tasks", DocumentId::from_u64(id)).unwrap();
    let value = view.get("title").unwrap();
    value.and_then(|value| value.as_str().map(str::to_owned))
}

pub fn assert_equal(a: &mut Replica<MemoryStore>, b: &mut Replica<MemoryStore>) {
    assert_eq!(a.canonical_bytes().unwrap(), b.canonical_bytes().unwrap());
    assert_eq!(a.head().unwrap().root, b.head().unwrap().root);
}

/// Letters without order, so that chunks of them stay large when they are packed.
pub fn noise(seed: u64, len: usize) -> String {
    let mut random = seed;
    let letter = |_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'A' + u8::try_from((random >> 33) % 58).expect("less than 58"))
    };
    (0..len).map(letter).collect()
}

/// `SplitMix64`: enough for tests, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
