//! Whatever the replicas of a random history reach is read back from JSON as it was written.

mod subjects;
mod tries;

use std::fmt::Debug;

use crdt_core::laws::Subject;
use crdt_core::{
    Clock, Document, Flag, Float, GCounter, GSet, Lattice, LwwRegister, Map, MvRegister, OrSet, PNCounter,
    ReplicaId, Value,
};
use quickcheck::{Arbitrary, Gen};
use serde::Serialize;
use serde::de::DeserializeOwned;
use subjects::{Documents, DocumentsWhereDeletesWin, Maps};

fn read_back<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let json = serde_json::to_string(value).expect("written");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// Two replicas; a step is (whose, whether the other is merged first, what).
fn states_are_read_back<S: Subject>(steps: Vec<(bool, bool, S::Operation)>) -> bool
where
    S::State: Serialize + DeserializeOwned,
{
    let mut clocks = [Clock::new(ReplicaId::from_u64(1)), Clock::new(ReplicaId::from_u64(2))];
    let mut states = [S::State::default(), S::State::default()];
    steps.into_iter().all(|(second, merge_first, operation)| {
        let at = usize::from(second);
        if merge_first {
            let other = states[1 - at].clone();
            states[at].merge(other);
        }
        let delta = S::mutate(&mut states[at], &operation, clocks[at].tick(3).expect("a short history"));
        read_back(&delta) == delta && read_back(&states[at]) == states[at]
    })
}

fn check<S: Subject>()
where
    S::State: Serialize + DeserializeOwned,
{
    let property = states_are_read_back::<S> as fn(Vec<(bool, bool, S::Operation)>) -> bool;
    tries::usually().rng(Gen::new(if cfg!(miri) { 6 } else { 20 })).quickcheck(property);
}

#[test]
fn every_state_of_every_type_is_read_back() {
    check::<GCounter>();
    check::<PNCounter>();
    check::<GSet<char>>();
    check::<OrSet<char>>();
    check::<Flag>();
    check::<LwwRegister<u8>>();
    check::<MvRegister<u8>>();
    check::<Maps>();
    check::<Documents>();
    check::<DocumentsWhereDeletesWin>();
}

#[test]
fn hostile_documents_are_errors() {
    let read = |json: &str| serde_json::from_str::<Document>(json);
    assert!(read(r#"{"presence":{},"fields":{}}"#).is_ok());
    for (fields, why) in [
        (r#""a":{}"#.to_owned(), "a field that was never written"),
        (r#""a":{"flag":{}},"a":{"flag":{}}"#.to_owned(), "a name that is repeated"),
        (r#""a":{"unknown":{}}"#.to_owned(), "a kind that is not known"),
        (r#""a":{"register":{"by":5}}"#.to_owned(), "a register of another form"),
    ] {
        let json = format!(r#"{{"presence":{{}},"fields":{{{fields}}}}}"#);
        assert!(read(&json).is_err(), "{why}: {json}");
    }
    let map = r#"{"deletion":{},"presence":{},"fields":{}}"#;
    assert!(read(map).is_ok() && serde_json::from_str::<Map>(map).is_err(), "a map has no deletion marks");
    let nested = |depth: usize| {
        let open = r#"{"presence":{},"fields":{"m":{"map":"#.repeat(depth);
        format!(r#"{open}{{"presence":{{}},"fields":{{}}}}{}"#, "}}}".repeat(depth))
    };
    assert!(read(&nested(100_000)).is_err());
}

#[derive(Clone, Debug)]
struct AnyValue(Value);

impl Arbitrary for AnyValue {
    fn arbitrary(random: &mut Gen) -> Self {
        Self(value(random, 4))
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match &self.0 {
            Value::Array(items) => Box::new(items.clone().into_iter().map(Self)),
            Value::Object(entries) => Box::new(entries.clone().into_values().map(Self)),
            _ => quickcheck::empty_shrinker(),
        }
    }
}

fn value(random: &mut Gen, levels: u8) -> Value {
    let few = 0..u8::arbitrary(random) % 4;
    match u8::arbitrary(random) % if levels == 0 { 7 } else { 9 } {
        0 => Value::Null,
        1 => bool::arbitrary(random).into(),
        2 => i64::arbitrary(random).into(),
        3 => Value::Float(Float::new(f64::arbitrary(random))),
        4 => Value::Timestamp(i64::arbitrary(random)),
        5 => String::arbitrary(random).into(),
        6 => Vec::<u8>::arbitrary(random).into(),
        7 => few.map(|_| value(random, levels - 1)).collect::<Vec<_>>().into(),
        _ => {
            let keys = ["$bytes", "$timestamp", "$float", "$object", "$", "a", ""];
            let key = |random: &mut Gen| (*random.choose(&keys).unwrap()).to_string();
            Value::Object(Box::new(few.map(|_| (key(random), value(random, levels - 1))).collect()))
        }
    }
}

#[test]
fn every_value_is_read_back() {
    fn property(AnyValue(value): AnyValue) -> bool {
        let tree = serde_json::to_value(&value).expect("written");
        read_back(&value) == value && serde_json::from_value::<Value>(tree).expect("read") == value
    }
    tries::times(3_000).quickcheck(property as fn(AnyValue) -> bool);
}

/// Any JSON at all is a value or an error; what is read is written and read back as the same.
#[test]
fn reading_is_a_projection() {
    const PIECES: [&str; 12] = [
        "{\"$bytes\":",
        "{\"$object\":",
        "{\"a\":",
        "[",
        "]",
        "}",
        ",",
        "\"00\"",
        "\"$float\":",
        "1",
        "1.0",
        "null",
    ];
    #[allow(clippy::needless_pass_by_value)] // quickcheck calls its properties by value
    fn property(picks: Vec<u8>) -> bool {
        let json: String = picks.iter().map(|pick| PIECES[usize::from(*pick) % PIECES.len()]).collect();
        serde_json::from_str::<Value>(&json).map_or(true, |value| read_back(&value) == value)
    }
    tries::times(20_000).rng(Gen::new(12)).quickcheck(property as fn(Vec<u8>) -> bool);
}
