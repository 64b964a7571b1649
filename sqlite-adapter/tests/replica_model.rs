//! Whole replicas, in memory and in files, do the same things: commits of every type of field, deletions, conflicts,
//! exchange, reopening. State, root, windows, lists and the JSON in `data` are equal at every step.

mod common;

use std::path::PathBuf;

use common::{Folder, START_MS, as_json, check_data, checkpoint, collections, commit, declared, open, plain};
use crdt_core::codec::{Dictionary, encode_batch};
use crdt_core::{
    Collection, DocumentMut, Durability, EditError, FieldType, Head, MemoryStore, Position, ReceiveBound,
    Replica, Store, Value,
};
use quickcheck::{Arbitrary, Gen, QuickCheck};
use sqlite_adapter::SqliteStore;

const HOUR_MS: u64 = 3_600_000;

#[derive(Clone, Debug)]
enum Act {
    Edit { at: u8, collection: u8, id: u8, edit: u8, value: u8 },
    Merge { from: u8, to: u8, staged: bool },
    Reopen(u8),
    Redeclare,
}

impl Arbitrary for Act {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 16 {
            0..=11 => Self::Edit {
                at: u8::arbitrary(g) % 2,
                collection: u8::arbitrary(g) % 3,
                id: u8::arbitrary(g) % 3,
                edit: u8::arbitrary(g),
                value: u8::arbitrary(g),
            },
            12 | 13 => {
                let from = u8::arbitrary(g) % 2;
                Self::Merge { from, to: 1 - from, staged: bool::arbitrary(g) }
            }
            14 => Self::Reopen(u8::arbitrary(g) % 2),
            _ => Self::Redeclare,
        }
    }
}

/// Values of every kind, hostile ones among them.
fn value(number: u8) -> Value {
    let object =
        |key: &str, value: Value| Value::from(std::collections::BTreeMap::from([(key.to_owned(), value)]));
    match number % 16 {
        0 => Value::Null,
        1 => true.into(),
        2 => i64::from(number).into(),
        3 => i64::MIN.into(),
        4 => 1.0.into(),
        5 => (f64::from(number) / 7.0).into(),
        6 => f64::NAN.into(),
        7 => f64::NEG_INFINITY.into(),
        8 => Value::Timestamp(-7),
        9 => vec![number, 0, 255].into(),
        10 => "plain".into(),
        11 => "\"\\\0\u{7f}é\u{2028}🦀'".into(),
        12 => vec![Value::from(1), Value::from(vec![2u8])].into(),
        13 => object("key", object("inner", 1.5.into())),
        14 => object("$bytes", "00".into()),
        _ => object("$timestamp", 1.into()),
    }
}

fn apply(document: &mut DocumentMut<'_>, edit: u8, number: u8) -> Result<(), EditError> {
    let step = i64::from(number) - 100;
    let field = ["lww", "detect", "manual", "custom", "$bytes"][usize::from(number) % 5];
    match edit % 22 {
        0..=3 => document.set(field, value(number)),
        4 => document.resolve("manual", value(number)),
        5 => document.increment("counter", step),
        6 => document.increment("grows", step.abs()),
        7 => document.reset("counter"),
        8 | 9 => document.add_to("set", value(number)),
        10 => document.remove_from("set", value(number)),
        11 => document.add_to("growing", value(number)),
        12 => document.enable("flag"),
        13 => document.disable("flag"),
        14 => document.map("map")?.set("city", value(number)),
        15 => document.map("map")?.increment("visits", step),
        16 => document.map("map")?.map("deeper")?.add_to("tags", value(number)),
        17 => document.map("$timestamp")?.set("$bytes", value(number)),
        18 => document.remove(["map", "lww", "set", "counter", "detect"][usize::from(number) % 5]),
        19 => {
            document.delete();
            Ok(())
        }
        20 => document.erase(),
        _ => document.ensure(),
    }
}

/// One replica in memory and in a file.
struct Pair {
    path: PathBuf,
    memory: Replica<MemoryStore>,
    file: Option<Replica<SqliteStore>>,
    /// How far it has read the other one.
    cursor: u64,
}

impl Pair {
    fn new(path: PathBuf) -> Self {
        let mut file = declared(Replica::new(open(&path).store));
        let head = file.head().unwrap();
        let memory =
            declared(Replica::new(MemoryStore::new(Head::new(head.namespace, head.replica, head.life))));
        Self { path, memory, file: Some(file), cursor: 0 }
    }

    /// Both keep the time, from the first call on.
    fn tick(&mut self, now_ms: u64) {
        let Self { memory, file, .. } = self;
        let file = file.as_mut().unwrap();
        if file.now_ms().is_none() {
            file.keep_time(ReceiveBound::default());
            memory.keep_time(ReceiveBound::default());
        }
        file.tick(now_ms).unwrap();
        memory.tick(now_ms).unwrap();
    }

    fn file(&mut self) -> &mut Replica<SqliteStore> {
        self.file.as_mut().unwrap()
    }
}

/// An edit that cannot be made is none, on both.
fn tolerant<S: Store>(replica: &mut Replica<S>, now_ms: u64, act: (&str, u64, u8, u8)) -> String {
    let (collection, id, edit, number) = act;
    let durability = if number % 8 == 0 { Durability::Durable } else { Durability::Visible };
    let mut refused = None;
    let dot = commit(replica, now_ms, durability, collection, id, |document| {
        refused = apply(document, edit, number).err();
        Ok(())
    });
    format!("{dot:?} {refused:?}")
}

fn same_state(pair: &mut Pair) {
    let Pair { memory, file, .. } = pair;
    let file = file.as_mut().unwrap();
    assert_eq!(file.head().unwrap(), memory.head().unwrap());
    assert_eq!(file.canonical_bytes().unwrap(), memory.canonical_bytes().unwrap());
    assert_eq!(file.seen().unwrap(), memory.seen().unwrap());
    assert_eq!(file.peers().unwrap(), memory.peers().unwrap());
    assert_eq!(file.parked(None, 99).unwrap(), memory.parked(None, 99).unwrap());
    for from in [0, memory.head().unwrap().sequence / 2] {
        let (a, b) = (Position { sequence: from, documents: 0 }, 2);
        let (a, b) = (file.window(a, b).unwrap(), memory.window(a, b).unwrap());
        assert_eq!((a.documents, a.next, a.head), (b.documents, b.next, b.head));
    }
    for collection in collections() {
        let listed = |list: Vec<(_, crdt_core::DocumentView)>| -> Vec<_> {
            list.into_iter().map(|(id, view)| (id, view.to_value())).collect()
        };
        let (a, b) = (file.list(collection.name(), None, 9), memory.list(collection.name(), None, 9));
        assert_eq!(listed(a.unwrap()), listed(b.unwrap()));
    }
}

#[allow(clippy::needless_pass_by_value)] // quickcheck hands values over
fn files_are_like_memory(acts: Vec<Act>) -> bool {
    run(&acts, None)
}

/// The second one's clock is a day fast, so the first parks what it gets of it, and shows it when its time has come.
#[allow(clippy::needless_pass_by_value)] // quickcheck hands values over
fn files_are_like_memory_with_a_fast_clock(acts: Vec<Act>) -> bool {
    run(&acts, Some([0, 24 * HOUR_MS]))
}

/// With clocks, an hour passes with every act.
fn run(acts: &[Act], clocks: Option<[u64; 2]>) -> bool {
    let step_ms = if clocks.is_some() { HOUR_MS } else { 1 };
    let folder = Folder::new();
    let mut pairs = [Pair::new(folder.file("a.db")), Pair::new(folder.file("b.db"))];
    let mut redeclared = false;
    for (steps, act) in (0..).zip(acts) {
        let times = clocks.unwrap_or_default().map(|ahead_ms| START_MS + steps * step_ms + ahead_ms);
        if clocks.is_some() {
            pairs.iter_mut().zip(times).for_each(|(pair, time)| pair.tick(time));
        }
        match *act {
            Act::Edit { at, collection, id, edit, value } => {
                let (pair, time) = (&mut pairs[usize::from(at)], times[usize::from(at)]);
                let collection = ["full", "fragile", "plain"][usize::from(collection)];
                let act = (collection, id.into(), edit, value);
                let told = tolerant(pair.file(), time, act);
                assert_eq!(told, tolerant(&mut pair.memory, time, act));
            }
            Act::Merge { from, to, staged } => {
                let [from, to] = pairs.get_disjoint_mut([usize::from(from), usize::from(to)]).unwrap();
                from.file().offer().unwrap();
                from.memory.offer().unwrap();
                let mut checkpoint = checkpoint(from.file(), to.cursor);
                if staged {
                    let mut batch = Vec::new();
                    let documents = checkpoint.documents.iter().map(|(a, d)| (a, d));
                    encode_batch(&mut batch, &mut Dictionary::new(), documents);
                    to.file().stage(checkpoint.peer, 0, &batch).unwrap();
                    to.memory.stage(checkpoint.peer, 0, &batch).unwrap();
                    checkpoint.documents.clear();
                }
                to.cursor = checkpoint.cursor;
                let applied = to.file().apply(checkpoint.clone()).unwrap();
                assert_eq!(applied, to.memory.apply(checkpoint).unwrap());
            }
            Act::Reopen(at) => {
                let pair = &mut pairs[usize::from(at)];
                pair.file = None;
                pair.file = Some(declared(Replica::new(open(&pair.path).store)));
                if redeclared {
                    redeclare(pair);
                }
            }
            Act::Redeclare => {
                redeclared = true;
                pairs.iter_mut().for_each(redeclare);
            }
        }
        pairs.iter_mut().for_each(same_state);
    }
    for pair in &mut pairs {
        let Pair { path, file, .. } = pair;
        let file = file.as_mut().unwrap();
        // `data` shows what the schema was when it was written.
        if !redeclared {
            check_data(path, file);
        }
        assert_eq!(file.store_mut().check().unwrap().problems, []);
    }
    if clocks.is_some() {
        for pair in &mut pairs {
            pair.tick(START_MS + 1_000_000 * HOUR_MS);
            same_state(pair);
            assert!(pair.file().parked(None, 1).unwrap().is_empty());
            if !redeclared {
                check_data(&pair.path.clone(), pair.file());
            }
        }
    }
    true
}

/// Every field becomes something else.
fn redeclare(pair: &mut Pair) {
    let other = Collection::new("full")
        .field("lww", FieldType::Detect)
        .field("detect", FieldType::Lww)
        .field("counter", FieldType::Lww)
        .field("map", FieldType::Manual)
        .field("set", FieldType::Flag)
        .delete_wins();
    pair.memory.declare(other.clone());
    pair.file().declare(other);
}

#[test]
fn replicas_in_files_are_like_replicas_in_memory() {
    QuickCheck::new().tests(45).quickcheck(files_are_like_memory as fn(Vec<Act>) -> bool);
}

#[test]
fn replicas_in_files_are_like_replicas_in_memory_when_a_clock_is_fast() {
    QuickCheck::new().tests(45).quickcheck(files_are_like_memory_with_a_fast_clock as fn(Vec<Act>) -> bool);
}

/// Long enough for rows of the log beside the tail in the head.
#[test]
fn a_long_change_order_reads_like_that_of_the_memory() {
    let folder = Folder::new();
    let mut pair = Pair::new(folder.file("long.db"));
    for n in 0..1_000u64 {
        let act = (["full", "plain"][usize::from(n % 3 == 0)], n * 7 % 400, 0, 10 + (n % 2) as u8);
        let told = tolerant(pair.file(), START_MS + n, act);
        assert_eq!(told, tolerant(&mut pair.memory, START_MS + n, act));
    }
    let rows: i64 =
        plain(&pair.path).query_row("SELECT count(*) FROM rejoin_log", [], |row| row.get(0)).unwrap();
    assert!(rows > 2, "{rows}");
    for page in [1, 7, 1000] {
        let mut next = Position::default();
        while next.sequence < pair.memory.head().unwrap().sequence {
            let (a, b) = (pair.file().window(next, page).unwrap(), pair.memory.window(next, page).unwrap());
            assert_eq!((a.documents, a.next), (b.documents, b.next));
            next = if page == 1 { Position { sequence: b.next.sequence + 90, documents: 0 } } else { b.next };
        }
    }
    assert_eq!(pair.file().store_mut().check().unwrap().problems, []);
}

/// A document or map with a single field of such a name looks in JSON like bytes, a timestamp or a float.
#[test]
fn fields_named_like_tags_read_back() {
    let folder = Folder::new();
    let path = folder.file("tags.db");
    let mut replica = common::replica(&path);
    let tagged = [("$bytes", Value::from("00")), ("$timestamp", 5.into()), ("$float", "NaN".into())];
    for (id, (name, value)) in (1..).zip(&tagged) {
        common::edit(&mut replica, "plain", id, |document| document.set(*name, value));
        common::edit(&mut replica, "full", id, |document| document.map("map")?.set(*name, value));
    }
    let before = replica.canonical_bytes().unwrap();
    check_data(&path, &mut replica);
    drop(replica);
    assert_eq!(common::replica(&path).canonical_bytes().unwrap(), before);
}

/// How much of `meta` is values: a shown value is stored once.
#[test]
fn a_shown_value_is_stored_once() {
    let folder = Folder::new();
    let path = folder.file("once.db");
    let mut replica = common::replica(&path);
    let long = "a long text ".repeat(50);
    common::edit(&mut replica, "full", 1, |document| {
        document.set("lww", &long)?;
        document.set("detect", &long)?;
        document.map("map")?.set("city", &long)
    });
    let (data, meta): (String, Vec<u8>) = plain(&path)
        .query_row("SELECT data, meta FROM rejoin_document", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert!(meta.len() < 40, "{} bytes", meta.len());
    let shown: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(shown["map"]["city"], as_json(&long.into()));
}
