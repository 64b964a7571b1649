//! The records that all libraries hold, from fixed seeds.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A document: 16 bytes of id, and fields.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name.
    pub key: Key,
    /// Names of fields, and values.
    pub fields: Vec<(&'static str, Value)>,
}

/// The name of a document: 16 random bytes, and the same in 22 characters for libraries whose keys are text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The bytes.
    pub id: [u8; 16],
    /// In base64url.
    pub text: String,
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
}

/// Some bits that depend on all bits of a number (`SplitMix64`).
pub fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Key {
    /// The key of a number: as good as random.
    pub fn of(number: u64) -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&mixed(number).to_le_bytes());
        id[8..].copy_from_slice(&mixed(number ^ (1 << 63)).to_le_bytes());
        Self::from_id(id)
    }

    /// The key of an id.
    pub fn from_id(id: [u8; 16]) -> Self {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let number = u128::from_be_bytes(id);
        let digit = |place: u32| {
            let six_bits = if place < 21 { number >> (122 - 6 * place) } else { number << 4 };
            char::from(DIGITS[usize::from(six_bits as u8 & 63)])
        };
        Self { id, text: (0..22).map(digit).collect() }
    }
}

const WORDS: [&str; 64] = [
    "about", "after", "again", "apple", "around", "because", "before", "between", "bridge", "bring",
    "change", "city", "clear", "close", "country", "customer", "deliver", "door", "early", "east", "every",
    "field", "first", "floor", "garden", "glass", "green", "ground", "harbour", "house", "inspect", "island",
    "kitchen", "large", "later", "letter", "light", "meeting", "morning", "north", "number", "office",
    "order", "paper", "people", "place", "question", "repair", "river", "school", "second", "small",
    "station", "street", "summer", "table", "through", "under", "village", "water", "window", "winter",
    "work", "yellow",
];

fn words(seed: u64, count: u64) -> String {
    let chosen: Vec<_> =
        (0..count).map(|n| WORDS[(mixed(seed.wrapping_mul(31).wrapping_add(n)) % 64) as usize]).collect();
    chosen.join(" ")
}

/// A note of five fields, about 100 bytes of values: what W1 to W5 hold.
pub fn note(number: u64) -> Record {
    let seed = number.wrapping_mul(1_000_003);
    let fields = vec![
        ("author", Value::Text(format!("{} {}", words(seed + 1, 1), mixed(seed) % 100))),
        ("body", Value::Text(words(seed + 2, 8))),
        ("done", Value::Bool(mixed(seed + 3).is_multiple_of(3))),
        ("rank", Value::Int((mixed(seed + 4) % 1_000_000).cast_signed())),
        ("title", Value::Text(words(seed + 5, 4))),
    ];
    Record { key: Key::of(number), fields }
}

/// Several notes.
pub fn notes(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(note).collect()
}

/// An edit of one field of one of so many notes: which note, and the new title, about 20 bytes.
pub fn retitled(edit: u64, of: u64, by: u64) -> (u64, Value) {
    let seed = mixed(edit ^ (by << 48));
    let mut title = words(seed, 3);
    title.truncate(20);
    (seed % of, Value::Text(format!("{title}{}", edit % 10)))
}

/// A row of eight fields of eleven bytes: what the SQLite workloads hold.
pub fn row(number: u64) -> Record {
    const FIELDS: [&str; 8] =
        ["field0", "field1", "field2", "field3", "field4", "field5", "field6", "field7"];
    let value = |field: u64| Value::Text(format!("value{:06}", mixed(number * 8 + field) % 1_000_000));
    Record { key: Key::of(number), fields: FIELDS.into_iter().zip((0..8).map(value)).collect() }
}

/// All that a library holds in the end, in order.
pub type Contents = BTreeMap<String, BTreeMap<String, Value>>;

/// Equal for equal contents.
pub fn digest(contents: &Contents) -> String {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_in_base64url() {
        assert_eq!(Key::from_id([0; 16]).text, "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Key::from_id([0xff; 16]).text, "_____________________w");
        let id =
            [0x00, 0x10, 0x83, 0x10, 0x51, 0x87, 0x20, 0x92, 0x8b, 0x30, 0xd3, 0x8f, 0x41, 0x14, 0x93, 0x51];
        assert_eq!(Key::from_id(id).text, "ABCDEFGHIJKLMNOPQRSTUQ");
    }

    #[test]
    fn a_digest_sees_every_value() {
        let mut contents = Contents::new();
        contents.entry("a".to_owned()).or_default().insert("title".to_owned(), Value::Int(1));
        let one = digest(&contents);
        contents.entry("a".to_owned()).or_default().insert("title".to_owned(), Value::Int(2));
        assert_ne!(one, digest(&contents));
    }
}
