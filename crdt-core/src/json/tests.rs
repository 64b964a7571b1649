use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt::Debug;

use serde::de::value::Error as PlainError;
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::{from_str, to_string};

use crate::{
    Change, Clock, Dot, Flag, Float, GCounter, GSet, Hlc, Lattice, LwwRegister, MvRegister, OrSet, PNCounter,
    ReplicaId, Stamp, Value, VersionVector,
};

const A: &str = "00000000-0000-0000-0000-000000000001";
const B: &str = "00000000-0000-0000-0000-000000000002";

fn clocks() -> (Clock, Clock) {
    (Clock::new(ReplicaId::from_u64(1)), Clock::new(ReplicaId::from_u64(2)))
}

/// Writes `A` and `B` out, and takes the layout away.
fn expand(json: &str) -> String {
    let json = json.replace("<A>", &format!("\"{A}\"")).replace("<B>", &format!("\"{B}\""));
    json.chars().filter(|c| !c.is_whitespace()).collect()
}

/// The value is written as this very JSON, and read back from it.
#[track_caller]
fn is_written<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
    assert_eq!(to_string(value).unwrap(), expand(json));
    assert_eq!(&from_str::<T>(&expand(json)).unwrap(), value);
}

/// Reading is an error that says why.
#[track_caller]
fn is_refused<T: DeserializeOwned + Debug>(json: &str, why: &str) {
    let error = from_str::<T>(&expand(json)).unwrap_err().to_string();
    assert!(error.contains(why), "another error: {error}");
}

#[test]
fn times_and_changes() {
    let mut change = clocks().0.tick(1_700_000_000_000).unwrap();
    is_written(&change, r#"{"replica": <A>, "counter": 1, "ms": 1700000000000}"#);
    change.stamp.hlc = change.stamp.hlc.next().unwrap();
    change.stamp.epoch = 3;
    is_written(&change, r#"{"replica": <A>, "counter": 1, "ms": 1700000000000, "tick": 1, "epoch": 3}"#);
    is_written(&change.stamp, r#"{"replica": <A>, "ms": 1700000000000, "tick": 1, "epoch": 3}"#);
    is_written(&change.stamp.hlc, r#"{"ms": 1700000000000, "tick": 1}"#);
    is_written(&Hlc::from_bits(u64::MAX), r#"{"ms": 281474976710655, "tick": 65535}"#);
    is_written(&change.dot(), r#"{"replica": <A>, "counter": 1}"#);
}

#[test]
fn hostile_times_and_changes() {
    is_refused::<Hlc>(r#"{"ms": 281474976710656}"#, "48 bits");
    is_refused::<Hlc>(r#"{"ms": 18446744073709551616}"#, "invalid type");
    is_refused::<Hlc>(r#"{"ms": -1}"#, "invalid value");
    is_refused::<Hlc>(r#"{"ms": 1, "tick": 65536}"#, "u16");
    is_refused::<Hlc>("1", "invalid type");
    is_refused::<Stamp>(r#"{"replica": <A>, "ms": 1, "epoch": 4294967296}"#, "u32");
    is_refused::<Stamp>(r#"{"replica": <A>, "ms": 1, "when": 0}"#, "unknown field");
    is_refused::<Change>(r#"{"replica": <A>, "counter": 0, "ms": 1}"#, "nonzero");
    is_refused::<Change>(r#"{"replica": <A>, "counter": 18446744073709551616, "ms": 1}"#, "invalid type");
    is_refused::<Change>(r#"{"replica": <A>, "counter": 1, "ms": 1, "ms": 2}"#, "duplicate field");
    is_refused::<Change>(r#"{"replica": "me", "counter": 1, "ms": 1}"#, "UUID");
    is_refused::<Change>(r#"{"counter": 1, "ms": 1}"#, "missing field `replica`");
    is_refused::<Dot>(r#"{"replica": <A>, "counter": 0}"#, "nonzero");
    is_refused::<Dot>(r#"{"replica": <A>, "counter": 1, "n": 1}"#, "unknown field");
}

#[test]
fn counts_by_replica() {
    let mut counter = GCounter::new();
    is_written(&counter, "{}");
    counter.increment(ReplicaId::from_u64(2), u64::MAX).unwrap();
    counter.increment(ReplicaId::from_u64(1), 5).unwrap();
    is_written(&counter, r"{<A>: 5, <B>: 18446744073709551615}");
    let seen: VersionVector = [Dot::new(ReplicaId::from_u64(1), 7)].into_iter().collect();
    is_written(&seen, r"{<A>: 7}");

    is_refused::<GCounter>(r"{<A>: 0}", "nonzero");
    is_refused::<GCounter>(r"{<A>: -1}", "nonzero");
    is_refused::<GCounter>(r"{<A>: 1.5}", "nonzero");
    is_refused::<GCounter>(r"{<A>: 1, <A>: 2}", "repeated");
    is_refused::<GCounter>(r#"{<A>: 1, "00000000000000000000000000000001": 2}"#, "repeated");
    is_refused::<GCounter>("[]", "invalid type");
    is_refused::<VersionVector>(r"{<A>: 0}", "nonzero");
    is_refused::<VersionVector>(r"{<A>: 1, <A>: 1}", "repeated");
}

#[test]
fn pn_counter() {
    let (mut at_a, mut at_b) = clocks();
    let mut counter = PNCounter::new();
    is_written(&counter, r#"{"counts": {}, "resets": {}}"#);
    counter.add(at_a.tick(10).unwrap(), 5).unwrap();
    counter.reset(at_b.tick(20).unwrap());
    counter.add(at_a.tick(10).unwrap(), -2).unwrap();
    let json = r#"{
        "counts": {<A>: {"counter": 2, "ms": 10, "tick": 1, "up": 5, "down": 2}},
        "resets": {<A>: {"counter": 1, "up": 5, "down": 0, "by": {"replica": <B>, "counter": 1, "ms": 20}}}
    }"#;
    is_written(&counter, json);

    is_refused::<PNCounter>(&json.replace("\"counter\": 2", "\"counter\": 0"), "nonzero");
    is_refused::<PNCounter>(&json.replace("\"ms\": 10", "\"ms\": 281474976710656"), "48 bits");
    is_refused::<PNCounter>(&json.replace("\"up\": 5", "\"up\": -5"), "u64");
    is_refused::<PNCounter>(&json.replace("\"up\": 5", "\"up\": 1e30"), "u64");
    is_refused::<PNCounter>(&json.replace("\"down\": 2", "\"sideways\": 2"), "unknown field");
    is_refused::<PNCounter>(r#"{"counts": {}}"#, "missing field `resets`");
    is_refused::<PNCounter>(r#"{"counts": {}, "counts": {}, "resets": {}}"#, "duplicate field");
    is_refused::<PNCounter>("5", "invalid type");
}

#[test]
fn extreme_counters_are_values_too() {
    let json = expand(
        r#"{"counts": {<A>: {"counter": 18446744073709551615, "ms": 0, "up": 0, "down": 18446744073709551615},
                       <B>: {"counter": 1, "ms": 0, "up": 0, "down": 18446744073709551615}},
            "resets": {<B>: {"counter": 1, "up": 18446744073709551615, "down": 0,
                             "by": {"replica": <B>, "counter": 1, "ms": 0}}}}"#,
    );
    let counter: PNCounter = from_str(&json).unwrap();
    assert_eq!(counter.value(), -3 * i128::from(u64::MAX));
    let mut twice = counter.clone();
    assert!(!twice.merge(counter), "merge of hostile cells is still a merge");
    assert!(twice.add(clocks().0.tick(0).unwrap(), -1).is_err(), "the own total is full");
}

#[test]
fn flag() {
    let (mut at_a, mut at_b) = clocks();
    let mut flag = Flag::new();
    is_written(&flag, "{}");
    flag.enable(at_a.tick(10).unwrap());
    flag.disable(at_b.tick(20).unwrap());
    flag.enable(at_b.tick(20).unwrap());
    is_written(
        &flag,
        r#"{<A>: {"counter": 1, "removed": {"replica": <B>, "counter": 1, "ms": 20}},
            <B>: {"counter": 2, "ms": 20, "tick": 1}}"#,
    );
}

#[test]
fn hostile_marks() {
    let removed = r#""removed": {"replica": <B>, "counter": 1, "ms": 20}"#;
    let either = "either `ms`";
    is_refused::<Flag>(r#"{<A>: {"counter": 1}}"#, either);
    is_refused::<Flag>(&format!(r#"{{<A>: {{"counter": 1, "ms": 1, {removed}}}}}"#), either);
    is_refused::<Flag>(&format!(r#"{{<A>: {{"counter": 1, "tick": 1, {removed}}}}}"#), either);
    is_refused::<Flag>(&format!(r#"{{<A>: {{"counter": 0, {removed}}}}}"#), "nonzero");
    is_refused::<Flag>(r#"{<A>: {"counter": 1, "ms": null}}"#, "invalid type");
    is_refused::<Flag>(r#"{<A>: {"counter": 1, "ms": 281474976710656}}"#, "48 bits");
    is_refused::<Flag>(r#"{<A>: {"counter": 1, "ms": 1, "value": null}}"#, "no value");
    is_refused::<Flag>(r#"{<A>: {"counter": 1, "ms": 1, "replica": <B>}}"#, "unknown field");
    is_refused::<Flag>(r#"{<A>: {"counter": 1, "ms": 1}, <A>: {"counter": 2, "ms": 1}}"#, "repeated");
    is_refused::<Flag>(r#"{"me": {"counter": 1, "ms": 1}}"#, "UUID");
    is_refused::<Flag>("true", "invalid type");
}

#[test]
fn mv_register() {
    let (mut at_a, mut at_b) = clocks();
    let (mut register, mut other) = (MvRegister::new(), MvRegister::new());
    is_written(&register, "{}");
    register.write(at_a.tick(10).unwrap(), Value::Null);
    other.write(at_b.tick(20).unwrap(), Value::from(100));
    register.merge(other);
    is_written(
        &register,
        r#"{<A>: {"counter": 1, "ms": 10, "value": null}, <B>: {"counter": 1, "ms": 20, "value": 100}}"#,
    );
    register.write(at_b.tick(30).unwrap(), Value::from("x"));
    is_written(
        &register,
        r#"{<A>: {"counter": 1, "removed": {"replica": <B>, "counter": 2, "ms": 30}},
            <B>: {"counter": 2, "ms": 30, "value": "x"}}"#,
    );
    is_refused::<MvRegister<Value>>(r#"{<A>: {"counter": 1, "ms": 10}}"#, "missing field `value`");
    is_refused::<MvRegister<Value>>(
        r#"{<A>: {"counter": 1, "value": 1, "removed": {"replica": <B>, "counter": 2, "ms": 30}}}"#,
        "either `ms`",
    );
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    is_refused::<MvRegister<Value>>(
        &format!(r#"{{<A>: {{"counter": 1, "ms": 1, "value": {deep}}}}}"#),
        "64 levels",
    );
    // Inside other types, null is what the value's own type says.
    let mut optional = MvRegister::new();
    optional.write(at_a.tick(30).unwrap(), None::<u8>);
    is_written(&optional, r#"{<A>: {"counter": 2, "ms": 30, "value": null}}"#);
}

#[test]
fn lww_register() {
    let (mut at_a, mut at_b) = clocks();
    let mut register = LwwRegister::<Value>::new();
    is_written(&register, "{}");
    register.write(at_a.tick(10).unwrap(), Value::from("final"));
    is_written(&register, r#"{"value": "final", "written": {"replica": <A>, "counter": 1, "ms": 10}}"#);
    register.close(at_b.tick(20).unwrap());
    let json = r#"{"written": {"replica": <A>, "counter": 1, "ms": 10},
                   "closed": {"replica": <B>, "counter": 1, "ms": 20}}"#;
    is_written(&register, json);
    register.write(at_b.tick(20).unwrap(), Value::Null);
    is_written(
        &register,
        r#"{"value": null, "written": {"replica": <B>, "counter": 2, "ms": 20, "tick": 1}}"#,
    );

    let empty = "or is empty";
    is_refused::<LwwRegister<Value>>(r#"{"value": 1}"#, empty);
    is_refused::<LwwRegister<Value>>(r#"{"written": {"replica": <A>, "counter": 1, "ms": 10}}"#, empty);
    is_refused::<LwwRegister<Value>>(&json.replacen('{', r#"{"value": 1, "#, 1), empty);
    is_refused::<LwwRegister<Value>>(r#"{"closed": null}"#, "invalid type");
    is_refused::<LwwRegister<Value>>("null", "invalid type");
}

#[test]
fn sets() {
    let (mut at_a, mut at_b) = clocks();
    let mut set = OrSet::<String>::new();
    is_written(&set, "[]");
    set.add(at_a.tick(10).unwrap(), "rice".into());
    set.add(at_b.tick(10).unwrap(), "rice".into());
    set.remove(at_b.tick(20).unwrap(), &"rice".into());
    set.add(at_b.tick(20).unwrap(), "milk".into());
    let json = r#"[
        {"element": "milk", "marks": {<B>: {"counter": 3, "ms": 20, "tick": 1}}},
        {"element": "rice", "marks": {
            <A>: {"counter": 1, "removed": {"replica": <B>, "counter": 2, "ms": 20}},
            <B>: {"counter": 1, "removed": {"replica": <B>, "counter": 2, "ms": 20}}
        }}
    ]"#;
    is_written(&set, json);
    let mut growing = GSet::<String>::new();
    growing.add(at_a.tick(20).unwrap(), "intro".into());
    is_written(&growing, r#"[{"element": "intro", "marks": {<A>: {"counter": 2, "ms": 20}}}]"#);

    is_refused::<GSet<String>>(json, "grow-only");
    is_refused::<OrSet<String>>(&json.replace("milk", "rice"), "repeated");
    is_refused::<OrSet<String>>(&json.replacen("<A>", "<B>", 1), "repeated");
    is_refused::<OrSet<String>>(r#"[{"element": "milk", "marks": {}}]"#, "without marks");
    is_refused::<OrSet<String>>(r#"[{"element": "milk"}]"#, "missing field `marks`");
    is_refused::<OrSet<u8>>(json, "invalid type");
    is_refused::<OrSet<String>>(r#"["milk"]"#, "invalid type");
    is_refused::<OrSet<String>>("{}", "invalid type");
}

fn object(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::from(entries.into_iter().map(|(k, v)| (k.to_string(), v)).collect::<BTreeMap<_, _>>())
}

#[test]
fn values() {
    is_written(&Value::Null, "null");
    is_written(&Value::from(true), "true");
    is_written(&Value::from(1), "1");
    is_written(&Value::from(1.0), "1.0");
    is_written(&Value::from(i64::MIN), "-9223372036854775808");
    is_written(&Value::from(1e300), "1e+300");
    is_written(&Value::from(5e-324), "5e-324");
    is_written(&Value::from(0.1 + 0.2), "0.30000000000000004");
    is_written(&Value::from("caf\u{e9}\u{0}"), "\"caf\u{e9}\\u0000\"");
    is_written(&Value::from(vec![0x00_u8, 0xab]), r#"{"$bytes": "00ab"}"#);
    is_written(&Value::from(Vec::<u8>::new()), r#"{"$bytes": ""}"#);
    is_written(&Value::Timestamp(-5), r#"{"$timestamp": -5}"#);
    is_written(&Value::from(f64::NAN), r#"{"$float": "NaN"}"#);
    is_written(&Value::from(f64::INFINITY), r#"{"$float": "Infinity"}"#);
    is_written(&Value::from(f64::NEG_INFINITY), r#"{"$float": "-Infinity"}"#);
    is_written(&Value::from(vec![Value::from(1), Value::from(1.5)]), "[1, 1.5]");
    is_written(&object([("b", Value::Null), ("a", Value::from(1))]), r#"{"a": 1, "b": null}"#);
}

#[test]
fn objects_that_look_like_tags_are_escaped() {
    let one = || Value::from(1);
    is_written(&object([("$ref", one())]), r#"{"$object": {"$ref": 1}}"#);
    is_written(&object([("$bytes", Value::from("00"))]), r#"{"$object": {"$bytes": "00"}}"#);
    is_written(&object([("$object", one())]), r#"{"$object": {"$object": 1}}"#);
    let twice = object([("$object", object([("$object", Value::from(vec![1_u8]))]))]);
    is_written(&twice, r#"{"$object": {"$object": {"$object": {"$object": {"$bytes": "01"}}}}}"#);
    // Two keys are no tag, whichever comes first.
    is_written(&object([("$bytes", one()), ("$x", one())]), r#"{"$bytes": 1, "$x": 1}"#);
    let inner = object([("$bytes", Value::from("zz"))]);
    is_written(
        &object([("$object", inner), ("a", one())]),
        r#"{"$object": {"$object": {"$bytes": "zz"}}, "a": 1}"#,
    );
    assert_eq!(
        from_str::<Value>(r#"{"$object": {"a": 1}}"#).unwrap(),
        object([("a", one())]),
        "needless, harmless"
    );
}

#[test]
fn whole_numbers_beyond_an_i64_are_floats() {
    for (json, number) in [
        ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ("-9223372036854775809", -9_223_372_036_854_775_808.0),
        ("1e3", 1000.0),
    ] {
        assert_eq!(from_str::<Value>(json).unwrap(), Value::Float(Float::new(number)), "{json}");
    }
    assert_eq!(from_str::<Value>("-0.0").unwrap(), Value::from(0.0), "one zero");
}

#[test]
fn hostile_values() {
    is_refused::<Value>(r#"{"a": 1, "a": 2}"#, "repeated");
    is_refused::<Value>(r#"{"$bytes": "00", "$bytes": "00"}"#, "repeated");
    is_refused::<Value>(r#"{"$bytes": "0"}"#, "hex");
    is_refused::<Value>(r#"{"$bytes": "0A"}"#, "hex");
    is_refused::<Value>("{\"$bytes\": \"\u{e9}\"}", "hex");
    is_refused::<Value>(r#"{"$bytes": 0}"#, "wrong type");
    is_refused::<Value>(r#"{"$timestamp": 1.0}"#, "wrong type");
    is_refused::<Value>(r#"{"$timestamp": 9223372036854775808}"#, "wrong type");
    is_refused::<Value>(r#"{"$float": "nan"}"#, "NaN");
    is_refused::<Value>(r#"{"$float": 1.0}"#, "wrong type");
    is_refused::<Value>(r#"{"$object": []}"#, "wrong type");
    is_refused::<Value>(r#"{"$object": {"$bytes": "00"}, "$object": 1}"#, "repeated");
    is_refused::<Value>(r#"{"$ref": 1}"#, "$object");
    is_refused::<Value>(r#"{"$": 1}"#, "$object");
    is_refused::<Value>("1e999", "out of range");
    is_refused::<Value>("NaN", "expected value");
}

fn nested(levels: usize, innermost: Value, wrap: fn(Value) -> Value) -> Value {
    (0..levels).fold(innermost, |value, _| wrap(value))
}

#[test]
fn values_nest_64_levels_deep_both_ways() {
    let array = |value| Value::from(vec![value]);
    let deepest = nested(64, Value::from(vec![1_u8]), array);
    assert_eq!(deepest.depth(), super::value::MAX_DEPTH);
    assert_eq!(from_str::<Value>(&to_string(&deepest).unwrap()).unwrap(), deepest);
    assert!(to_string(&array(deepest)).unwrap_err().to_string().contains("64 levels"));
    is_refused::<Value>(&format!("{}{}", "[".repeat(65), "]".repeat(65)), "64 levels");
    is_refused::<Value>(&format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65)), "64 levels");
    // Escapes are JSON levels, not levels of the value.
    let escaped = nested(60, Value::Null, |value| object([("$x", value)]));
    assert_eq!(from_str::<Value>(&to_string(&escaped).unwrap()).unwrap(), escaped);
    let everything = nested(64, Value::Timestamp(1), |value| object([("$object", value)]));
    let tree = serde_json::to_value(&everything).unwrap();
    assert_eq!(Value::deserialize(tree).unwrap(), everything, "where the format's own reader has no limit");
}

/// A reader of a format without any limit of its own, which says the same for ever.
struct Endless {
    key: Option<&'static str>,
}

impl<'de> Deserializer<'de> for &Endless {
    type Error = PlainError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PlainError> {
        if self.key.is_some() { visitor.visit_map(self) } else { visitor.visit_seq(self) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for &Endless {
    type Error = PlainError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, PlainError> {
        seed.deserialize(*self).map(Some)
    }
}

impl<'de> MapAccess<'de> for &Endless {
    type Error = PlainError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, PlainError> {
        let key = self.key.unwrap_or_default();
        seed.deserialize(serde::de::value::StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, PlainError> {
        seed.deserialize(*self)
    }
}

#[test]
fn endless_nesting_is_an_error_and_no_stack_overflow() {
    for key in [None, Some("a"), Some("$object")] {
        let error = Value::deserialize(&Endless { key }).unwrap_err();
        assert!(error.to_string().contains("64 levels"), "{error}");
    }
}
