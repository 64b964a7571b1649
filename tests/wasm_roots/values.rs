//! Values of every kind, and how they stand in the file: as JSON where JSON says all of it, else as an object with one
//! key. An object of ours is always `{"$object": [[key, value], …]}`.

use std::collections::BTreeMap;

use crdt_core::Value;
use serde_json::{Value as Json, json};

use crate::names::hex;
use crate::random::Random;

const TEXTS: [&str; 10] = [
    "",
    "x",
    "Grüße, \u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "e\u{301} is not \u{e9}",
    "nul \0, escape \u{1b}, line \u{2028}, \u{feff}, \u{ffff}, \u{10ffff}",
    "\"\\\n\t</script>",
    "مرحبا \u{202e}abc",
    "$bytes",
    "a text that is longer than the sixteen bytes of a digest would be",
    "日本語",
];
const KEYS: [&str; 9] = ["a", "__proto__", "constructor", "7", "10", "$bytes", "", "ключ", "length"];
const WHOLE: [i64; 10] = [
    0,
    1,
    -1,
    127,
    9_007_199_254_740_991,
    9_007_199_254_740_992,
    -9_007_199_254_740_993,
    i64::MAX,
    i64::MIN,
    -300,
];
/// None of them is a whole number that JavaScript has exactly: it would be written as one.
const FLOATS: [f64; 10] = [
    0.1,
    -0.5,
    5e-324,
    1.797_693_134_862_315_7e308,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e16,
    -1e300,
    1.0 / 3.0,
];
const TIMES_MS: [i64; 7] = [
    0,
    1_700_000_000_123,
    -62_135_596_800_000,
    8_640_000_000_000_000,
    8_640_000_000_000_001,
    i64::MIN,
    i64::MAX,
];

/// Something small enough for several writers to hit upon.
pub fn element(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::from(&[0u8, 255][..]),
        1 => Value::from(0.1),
        2 => Value::Timestamp(-1),
        3 => Value::Int(i64::MIN),
        4 => Value::from(vec![Value::Null, Value::Bool(false)]),
        5 => Value::Object(Box::new(BTreeMap::from([("__proto__".to_owned(), Value::Int(1))]))),
        _ => Value::from(random.pick(&TEXTS)),
    }
}

pub fn value(random: &mut Random) -> Value {
    let depth = random.weighted(&[(40, 2), (10, 4), (1, 60)]);
    some(random, depth)
}

fn some(random: &mut Random, depth: usize) -> Value {
    let container = depth > 0 && (depth > 4 || random.chance(30));
    // A value that is to be deep goes down in one place.
    let len = if depth > 4 { 1 } else { random.below(4) };
    match random.below(if container { 2 } else { 8 }) {
        0 if container => Value::from((0..len).map(|_| some(random, depth - 1)).collect::<Vec<_>>()),
        1 if container => {
            let entry = |_| (random.pick(&KEYS).to_owned(), some(random, depth - 1));
            Value::from((0..len).map(entry).collect::<BTreeMap<_, _>>())
        }
        0 => Value::Null,
        1 => Value::Bool(random.chance(50)),
        2 | 3 => Value::Int(random.pick(&WHOLE)),
        4 => Value::from(random.pick(&FLOATS)),
        5 => Value::Timestamp(random.pick(&TIMES_MS)),
        6 => {
            let len = random.pick(&[0, 1, 5, 33]);
            Value::from((0..len).map(|_| random.next().to_le_bytes()[0]).collect::<Vec<u8>>())
        }
        _ => Value::from(random.pick(&TEXTS)),
    }
}

pub fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => json!({ "$int": number.to_string() }),
        Value::Float(number) => json!({ "$float": format!("{:016x}", number.to_bits()) }),
        Value::Timestamp(ms) => json!({ "$timestamp": ms.to_string() }),
        Value::Text(text) => json!(&**text),
        Value::Bytes(bytes) => json!({ "$bytes": hex(bytes) }),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| json!([key, json(value)]));
            json!({ "$object": entries.collect::<Vec<_>>() })
        }
    }
}
