//! The same calls on the in-memory store and on a file, with rollbacks and reopening in between: every answer is equal.

mod common;

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use common::{Folder, START_MS, collections, declared, open};
use crdt_core::{
    Access, Address, Collection, Document, DocumentId, Dot, Durability, Fingerprint, Head, Hlc, Life,
    LogRecord, MemoryStore, PeerRecord, Replica, ReplicaId, Store, StoreError, TransactionError, Value,
};
use quickcheck::{Arbitrary, Gen, QuickCheck};
use sqlite_adapter::SqliteStore;

/// One call, with small numbers that are made into arguments.
#[derive(Clone, Debug)]
enum Call {
    Head,
    SetHead(u64),
    Document(u8),
    Put(u8, u8),
    Number(u8),
    DocumentsAfter(Option<u8>, u8),
    CollectionAfter(u8, Option<u8>, u8),
    AppendLog(Vec<u8>, Vec<u8>),
    LogAfter(u8, u8),
    Context,
    ContextAfter(u8),
    Raise(u8, u64, u8),
    Peers(u8),
    SetPeer(u8, u64),
    Stage(u8, Vec<u8>),
    Staged(u8, u8),
    ClearStaged(u8),
    Notes(Vec<u8>, Vec<u8>, u8),
    SetNote(Vec<u8>, Option<Vec<u8>>),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    Rollback,
    /// The process ends in the middle of the transaction.
    Reopen,
    CommitAndReopen,
}

#[derive(Clone, Debug)]
struct Step {
    durable: bool,
    calls: Vec<Call>,
    end: End,
}

impl Arbitrary for Call {
    fn arbitrary(g: &mut Gen) -> Self {
        fn some<T: Arbitrary>(g: &mut Gen) -> T {
            T::arbitrary(g)
        }
        match u8::arbitrary(g) % 25 {
            0 => Self::Head,
            1 => Self::SetHead(some(g)),
            2 => Self::Document(some(g)),
            3..=6 => Self::Put(some(g), some(g)),
            7 => Self::DocumentsAfter(some(g), some(g)),
            8 => Self::CollectionAfter(some(g), some(g), some(g)),
            9 | 10 => Self::AppendLog(some(g), some(g)),
            11 => Self::LogAfter(some(g), some(g)),
            12 => Self::Context,
            13 => Self::ContextAfter(some(g)),
            14 => Self::Raise(some(g), some(g), some(g)),
            15 => Self::Peers(some(g)),
            16 => Self::SetPeer(some(g), some(g)),
            17 => Self::Stage(some(g), some(g)),
            18 => Self::Staged(some(g), some(g)),
            19 => Self::ClearStaged(some(g)),
            20 => Self::Notes(some(g), some(g), some(g)),
            21 => Self::Number(some(g)),
            _ => Self::SetNote(some(g), some(g)),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(std::iter::empty())
    }
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let end =
            *g.choose(&[End::Commit, End::Commit, End::Rollback, End::Reopen, End::CommitAndReopen]).unwrap();
        let calls = (0..u8::arbitrary(g) % 12).map(|_| Call::arbitrary(g)).collect();
        Self { durable: bool::arbitrary(g), calls, end }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let this = self.clone();
        Box::new(self.calls.shrink().map(move |calls| Self { calls, ..this }))
    }
}

const COLLECTIONS: [&str; 4] = ["full", "a \"hostile\"; name\0", "", "undeclared"];

fn address(number: u8) -> Address {
    Address::new(COLLECTIONS[usize::from(number % 4)], DocumentId::from_u64(u64::from(number / 4 % 6)))
}

fn life(number: u8) -> Life {
    // The numbers of lives use all 64 bits.
    Life(u64::from(number % 3).wrapping_sub(1))
}

/// A short key of few bytes, so that keys meet and are prefixes of each other.
fn note_key(bytes: &[u8]) -> Vec<u8> {
    let first = 1 + bytes.first().map_or(0, |byte| byte % 2);
    std::iter::once(first).chain(bytes.iter().skip(1).take(3).map(|byte| byte % 3 * 127)).collect()
}

/// States of many shapes: what one document went through in three replicas' hands.
fn states() -> Vec<Arc<Document>> {
    let id = DocumentId::from_u64(1);
    let mut states: Vec<Arc<Document>> = vec![Arc::default()];
    for number in 1..4u64 {
        let head = Head::new(common::namespace(), ReplicaId::from_u64(number), Life(number));
        let mut replica = declared(Replica::new(MemoryStore::new(head)));
        for step in 0..6u64 {
            let done = replica.commit(START_MS + step, Durability::Visible, |tx| {
                let mut document = tx.document("full", id)?;
                match step {
                    0 => document.set("lww", 0.1 + 0.2)?,
                    1 => document.map("map")?.set("city", format!("city {number}"))?,
                    2 => document.set("detect", vec![Value::Timestamp(5), Value::from(vec![1u8, 2])])?,
                    3 => document.increment("counter", 7)?,
                    4 => document.delete(),
                    _ if number > 1 => document.enable("flag")?,
                    // More cells than a shape that is shared.
                    _ => (0..70u64).try_for_each(|n| document.add_to("set", format!("element {n}")))?,
                }
                Ok::<_, TransactionError>(())
            });
            done.unwrap();
            let state = replica.read("full", id).unwrap().state().clone();
            let merged = state.clone().merged((**states.last().unwrap()).clone());
            states.extend([Arc::new(state), Arc::new(merged)]);
        }
    }
    states
}

struct World {
    states: &'static [Arc<Document>],
    schema: Collection,
    /// Never more than what is in the change order.
    sequence: u64,
}

impl World {
    fn new() -> Self {
        static STATES: OnceLock<Vec<Arc<Document>>> = OnceLock::new();
        let [schema, ..] = collections();
        Self { states: STATES.get_or_init(states), schema, sequence: 0 }
    }

    /// Makes the call and tells what it answered.
    fn call<S: Store>(&self, store: &mut S, call: &Call) -> String {
        fn tell<T: Debug>(answer: Result<T, StoreError>) -> String {
            format!("{:?}", answer.unwrap())
        }
        match call {
            Call::Head => tell(store.head()),
            Call::SetHead(n) => tell(store.head().and_then(|mut head| {
                head.counter = *n;
                head.hlc = Hlc::from_bits(n.rotate_left(9));
                head.offered = n / 2;
                head.follows = n % 2 == 1;
                head.root = Fingerprint(u128::from(*n) << 61);
                store.set_head(&head)
            })),
            Call::Document(a) => tell(store.document(&address(*a))),
            Call::Put(a, state) => {
                let state = self.states[usize::from(*state) % self.states.len()].clone();
                tell(store.put_document(&address(*a), state, &self.schema))
            }
            // The numbers themselves are each store's own.
            Call::Number(a) => tell(store.number_of(&address(*a)).and_then(|number| match number {
                Some(number) => store.address_numbered(number),
                None => Ok(None),
            })),
            Call::DocumentsAfter(a, limit) => {
                let after = a.map(address);
                tell(store.documents_after(after.as_ref(), usize::from(*limit)))
            }
            Call::CollectionAfter(c, after, limit) => {
                let after = after.map(|after| DocumentId::from_u64(u64::from(after % 6)));
                tell(store.collection_after(&address(*c).collection, after, usize::from(*limit)))
            }
            Call::AppendLog(dots, documents) => {
                let mut dots: Vec<Dot> = dots
                    .iter()
                    .map(|dot| Dot::new(ReplicaId::from_u64(u64::from(dot % 5)), u64::from(*dot)))
                    .collect();
                dots.sort();
                dots.dedup();
                let mut documents: Vec<Address> = documents.iter().map(|a| address(*a)).collect();
                documents.sort();
                documents.dedup();
                documents.retain(|address| store.document(address).unwrap().is_some());
                tell(store.append_log(LogRecord { sequence: self.sequence, dots, documents }))
            }
            Call::LogAfter(sequence, limit) => {
                tell(store.log_after(u64::from(sequence % 40), (*limit).into()))
            }
            Call::Context => {
                tell(store.context()) + &tell(store.context_of(ReplicaId::from_u64(self.sequence % 6)))
            }
            Call::ContextAfter(sequence) => tell(store.context_after((sequence % 40).into())),
            Call::Raise(replica, counter, sequence) => {
                let dot = Dot::new(ReplicaId::from_u64(u64::from(replica % 5)), *counter);
                tell(store.raise_context(dot, (sequence % 40).into()))
            }
            Call::Peers(number) => tell(store.peer(life(*number))) + &tell(store.peers()),
            Call::SetPeer(number, n) => {
                let replica = ReplicaId::from_u64(*n);
                tell(store.set_peer(&PeerRecord {
                    life: life(*number),
                    replica,
                    cursor: *n,
                    acked: n / 3,
                    scope: n % 4,
                    claimed: n / 5,
                }))
            }
            Call::Stage(number, batch) => tell(store.stage(life(*number), batch)),
            Call::Staged(number, index) => tell(store.staged(life(*number), (index % 4).into())),
            Call::ClearStaged(number) => tell(store.clear_staged(life(*number))),
            Call::Notes(prefix, after, limit) => {
                let (prefix, after) = (note_key(prefix), note_key(after));
                tell(store.note(&prefix)) + &tell(store.notes_after(&prefix, &after, (*limit).into()))
            }
            Call::SetNote(key, note) => tell(store.set_note(&note_key(key), note.as_deref())),
        }
    }

    fn transaction<S: Store>(&mut self, store: &mut S, step: &Step, first: u64) -> Vec<String> {
        self.sequence = first;
        let durability = if step.durable { Durability::Durable } else { Durability::Visible };
        store.begin(Access::Write, durability).unwrap();
        let mut answers = Vec::new();
        for call in &step.calls {
            self.sequence += u64::from(matches!(call, Call::AppendLog(..)));
            answers.push(self.call(store, call));
        }
        match step.end {
            End::Commit | End::CommitAndReopen => store.commit().unwrap(),
            End::Rollback | End::Reopen => store.rollback(),
        }
        answers
    }
}

/// Everything there is.
fn everything<S: Store>(world: &World, store: &mut S) -> Vec<String> {
    store.begin(Access::Read, Durability::Visible).unwrap();
    let calls = [
        Call::Head,
        Call::DocumentsAfter(None, 255),
        Call::LogAfter(0, 255),
        Call::Context,
        Call::ContextAfter(0),
        Call::Peers(0),
        Call::Notes(vec![0], vec![], 255),
        Call::Notes(vec![1], vec![], 255),
    ];
    let answers = calls.iter().map(|call| world.call(store, call)).collect();
    store.commit().unwrap();
    answers
}

#[allow(clippy::needless_pass_by_value)] // quickcheck hands values over
fn the_file_answers_like_the_memory(steps: Vec<Step>) -> bool {
    let folder = Folder::new();
    let path = folder.file("model.db");
    let mut world = World::new();
    let mut file: SqliteStore = open(&path).store;
    file.begin(Access::Read, Durability::Visible).unwrap();
    let mut memory = MemoryStore::new(file.head().unwrap());
    file.commit().unwrap();
    let mut sequence = 0;
    for step in &steps {
        let expected = world.transaction(&mut memory, step, sequence);
        if let End::Reopen = step.end {
            // Dropped within the transaction.
            let cut = Step { end: End::Commit, ..step.clone() };
            file.begin(Access::Write, Durability::Visible).unwrap();
            world.sequence = sequence;
            for (call, expected) in cut.calls.iter().zip(expected) {
                world.sequence += u64::from(matches!(call, Call::AppendLog(..)));
                assert_eq!(world.call(&mut file, call), expected, "{call:?}");
            }
        } else {
            let answers = world.transaction(&mut file, step, sequence);
            for ((answer, expected), call) in answers.iter().zip(&expected).zip(&step.calls) {
                assert_eq!(answer, expected, "{call:?}");
            }
        }
        match step.end {
            End::Commit => sequence = world.sequence,
            End::Rollback => {}
            End::CommitAndReopen => {
                sequence = world.sequence;
                drop(file);
                file = open(&path).store;
            }
            End::Reopen => {
                drop(file);
                file = open(&path).store;
            }
        }
        assert_eq!(everything(&world, &mut file), everything(&world, &mut memory));
    }
    true
}

#[test]
fn every_answer_is_that_of_the_memory_store() {
    QuickCheck::new().tests(30).quickcheck(the_file_answers_like_the_memory as fn(Vec<Step>) -> bool);
}
