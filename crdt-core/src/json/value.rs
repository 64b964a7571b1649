//! [`Value`], which can say more than JSON: what JSON lacks is an object with a single key that starts with `$`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{self, Serialize, SerializeMap as _, Serializer};

use crate::{Float, Value};

/// How deep a value may nest in JSON, in both directions; a reader's stack is finite.
pub(super) const MAX_DEPTH: usize = 64;

const BYTES: &str = "$bytes";
const TIMESTAMP: &str = "$timestamp";
const FLOAT: &str = "$float";
const OBJECT: &str = "$object";

/// True for objects that a reader would take for one of the tags, and that are therefore wrapped in `$object`.
fn looks_like_a_tag(entries: &BTreeMap<String, Value>) -> bool {
    entries.len() == 1 && entries.keys().all(|key| key.starts_with('$'))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        At { depth: 0, value: self }.serialize(serializer)
    }
}

/// Something to write, with so many containers around it.
struct At<T> {
    depth: usize,
    value: T,
}

const TOO_DEEP: &str = "a value may nest 64 levels deep, no more";

/// The depth inside one more container.
fn deeper<E>(depth: usize, error: fn(&str) -> E) -> Result<usize, E> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(error(TOO_DEEP)) }
}

impl Serialize for At<&Value> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let depth = self.depth;
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) if number.get().is_finite() => serializer.serialize_f64(number.get()),
            Value::Float(number) => tagged(serializer, FLOAT, not_finite(*number)),
            Value::Timestamp(ms) => tagged(serializer, TIMESTAMP, ms),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => tagged(serializer, BYTES, &hex(bytes)),
            Value::Array(items) => {
                let depth = deeper(depth, |why| <S::Error as ser::Error>::custom(why))?;
                serializer.collect_seq(items.iter().map(|value| At { depth, value }))
            }
            Value::Object(entries) if looks_like_a_tag(entries) => {
                tagged(serializer, OBJECT, &At { depth, value: &**entries })
            }
            Value::Object(entries) => At { depth, value: &**entries }.serialize(serializer),
        }
    }
}

impl Serialize for At<&BTreeMap<String, Value>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let depth = deeper(self.depth, |why| <S::Error as ser::Error>::custom(why))?;
        serializer.collect_map(self.value.iter().map(|(key, value)| (key, At { depth, value })))
    }
}

fn tagged<S: Serializer, T: Serialize + ?Sized>(
    serializer: S,
    tag: &str,
    content: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, content)?;
    map.end()
}

const NOT_FINITE: [(&str, f64); 3] =
    [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

fn not_finite(number: Float) -> &'static str {
    let name = NOT_FINITE.iter().find(|(_, named)| Float::new(*named) == number);
    name.expect("a float that is not finite is one of three").0
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of lower-case hex: one text for one value.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Plain { left: MAX_JSON_DEPTH }.deserialize(deserializer)?;
        interpret(&mut value, 0)?;
        Ok(value)
    }
}

/// Replaces every tag by what it stands for. Only here is it known that an object's key is its single one, and whether
/// `$object` around it says that it is meant literally.
fn interpret<E: Error>(value: &mut Value, depth: usize) -> Result<(), E> {
    match value {
        Value::Array(items) => {
            let depth = deeper(depth, |why| E::custom(why))?;
            items.iter_mut().try_for_each(|item| interpret(item, depth))
        }
        Value::Object(entries) if looks_like_a_tag(entries) => {
            let (tag, content) = entries.pop_first().expect("one entry");
            *value = untagged(&tag, content, depth)?;
            Ok(())
        }
        Value::Object(entries) => interpret_all(entries, depth),
        _ => Ok(()),
    }
}

fn interpret_all<E: Error>(entries: &mut BTreeMap<String, Value>, depth: usize) -> Result<(), E> {
    let depth = deeper(depth, |why| E::custom(why))?;
    entries.values_mut().try_for_each(|value| interpret(value, depth))
}

/// The value that a tag and its content stand for.
fn untagged<E: Error>(tag: &str, content: Value, depth: usize) -> Result<Value, E> {
    match (tag, content) {
        (BYTES, Value::Text(text)) => {
            from_hex(&text).map(Value::from).ok_or_else(|| E::custom("`$bytes` takes lower-case hex"))
        }
        (TIMESTAMP, Value::Int(ms)) => Ok(Value::Timestamp(ms)),
        (FLOAT, Value::Text(text)) => {
            let named = NOT_FINITE.iter().find(|(name, _)| **name == *text);
            let (_, number) = named.ok_or_else(|| E::custom("`$float` takes NaN, Infinity or -Infinity"))?;
            Ok(Value::from(*number))
        }
        (OBJECT, Value::Object(mut entries)) => {
            interpret_all(&mut entries, depth)?;
            Ok(Value::Object(entries))
        }
        (BYTES | TIMESTAMP | FLOAT | OBJECT, _) => {
            Err(E::custom(format_args!("`{tag}` holds something of the wrong type")))
        }
        _ => Err(E::custom("an object with a single key that starts with `$` is written {\"$object\": {…}}")),
    }
}

/// JSON levels that a value may take: each of its own may be escaped, and a tag may stand innermost.
const MAX_JSON_DEPTH: usize = 2 * MAX_DEPTH + 1;

/// Reads JSON as it stands, tags and all, with so many levels left.
#[derive(Clone, Copy)]
struct Plain {
    left: usize,
}

impl Plain {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom(TOO_DEEP))?;
        Ok(Self { left })
    }
}

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        #[allow(clippy::cast_precision_loss)] // documented: a whole number that is no i64 becomes a float
        Ok(i64::try_from(number).map_or_else(|_| Value::from(number as f64), Value::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        // The announced size is not believed: memory follows what arrives.
        let mut values: Vec<Value> = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            values.push(item);
        }
        Ok(Value::from(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.insert(key, map.next_value_seed(inner)?).is_some() {
                return Err(A::Error::custom("a key is repeated"));
            }
        }
        Ok(Value::from(entries))
    }
}
