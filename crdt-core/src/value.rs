//! [`Value`]: what a field holds. JSON, and what JSON lacks: bytes, whole 64 bit integers, timestamps.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

/// What a field holds.
///
/// Values are cheap to clone (text and bytes are shared) and totally ordered. An object or an array is one value: it is
/// replaced as a whole. What should merge inside is opened as a nested map instead.
///
/// With the feature `serde`, a value is JSON as you would write it, at most 64 levels deep: `1` is whole and `1.0` is
/// not, and a whole number that is no `i64` is read as a float. What JSON lacks is an object with a single key that
/// starts with `$`; an object that really looks like that is written inside `$object`. So every value is read back as
/// it was written (with `serde_json`, floats to the last bit need its feature `float_roundtrip`; its reader stops at 127
/// JSON levels):
///
/// | value | in JSON |
/// |---|---|
/// | bytes | `{"$bytes": "00ff"}`, lower-case hex |
/// | timestamp | `{"$timestamp": 1700000000000}` |
/// | a float that is not finite | `{"$float": "NaN"}`, `"Infinity"`, `"-Infinity"` |
/// | the object `{"$ref": 1}` | `{"$object": {"$ref": 1}}` |
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// JSON null. Not the same as a field that is absent.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(Float),
    /// Milliseconds since 1970, UTC; negative before.
    Timestamp(i64),
    /// Unicode text, compared by its bytes: texts that differ only in normalisation are different.
    Text(Arc<str>),
    /// Any bytes.
    Bytes(Arc<[u8]>),
    /// An array, replaced as a whole.
    Array(Box<[Value]>),
    /// An object, replaced as a whole.
    Object(Box<BTreeMap<String, Value>>),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, whole or not, if it is one; large whole numbers round.
    #[allow(clippy::cast_precision_loss)] // said in the doc comment, and what a caller of as_f64 asks for
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(number.get()),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The bytes, if it is bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// How deep arrays and objects nest: 0 for a scalar, 1 for `[]`.
    pub fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(entries) => 1 + entries.values().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// How many values: this one, and all within it.
    pub(crate) fn count(&self) -> usize {
        1 + match self {
            Self::Array(items) => items.iter().map(Self::count).sum(),
            Self::Object(entries) => entries.values().map(Self::count).sum(),
            _ => 0,
        }
    }
}

/// A float in one canonical form: a single NaN, and no −0. So equal numbers are equal bytes everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Float(f64);

impl Float {
    /// Makes the number canonical: every NaN becomes one NaN, −0 becomes 0.
    pub fn new(number: f64) -> Self {
        if number.is_nan() {
            Self(f64::NAN)
        } else if number == 0.0 {
            Self(0.0)
        } else {
            Self(number)
        }
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Canonical bits: what is encoded, hashed and compared for equality.
    pub fn to_bits(self) -> u64 {
        if self.0.is_nan() { 0x7ff8_0000_0000_0000 } else { self.0.to_bits() }
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        f64::from_bits(self.to_bits()).total_cmp(&f64::from_bits(other.to_bits()))
    }
}

impl core::hash::Hash for Float {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => number.get().fmt(f),
            Self::Timestamp(ms) => write!(f, "{ms}ms"),
            Self::Text(text) => text.fmt(f),
            Self::Bytes(bytes) => write!(f, "bytes{bytes:02x?}"),
            Self::Array(items) => items.fmt(f),
            Self::Object(entries) => entries.fmt(f),
        }
    }
}

macro_rules! value_from {
    ($($source:ty, $input:ident => $value:expr;)*) => {$(
        impl From<$source> for Value {
            fn from($input: $source) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    bool, truth => Self::Bool(truth);
    i64, number => Self::Int(number);
    i32, number => Self::Int(number.into());
    u32, number => Self::Int(number.into());
    f64, number => Self::Float(Float::new(number));
    &str, text => Self::Text(text.into());
    String, text => Self::Text(text.into());
    &String, text => Self::Text(text.as_str().into());
    &[u8], bytes => Self::Bytes(bytes.into());
    Vec<u8>, bytes => Self::Bytes(bytes.into());
    Vec<Value>, items => Self::Array(items.into());
    BTreeMap<String, Value>, entries => Self::Object(Box::new(entries));
    &Value, value => value.clone();
}

impl<T: Into<Value>> From<Option<T>> for Value {
    /// `None` is JSON null.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn floats_are_canonical() {
        assert_eq!(Float::new(-0.0).to_bits(), Float::new(0.0).to_bits());
        assert_eq!(Float::new(-f64::NAN).to_bits(), Float::new(f64::NAN).to_bits());
        assert_eq!(Float::new(f64::from_bits(0xfff0_0000_dead_beef)), Float::new(f64::NAN));
        assert!(Float::new(f64::NAN) > Float::new(f64::INFINITY));
    }

    #[test]
    fn texts_that_differ_in_normalisation_are_different() {
        assert_ne!(Value::from("\u{e9}"), Value::from("e\u{301}"));
    }

    #[test]
    fn depth_counts_containers() {
        assert_eq!(Value::from(1).depth(), 0);
        assert_eq!(Value::Array(Box::new([])).depth(), 1);
        assert_eq!(Value::from(vec![Value::from(vec![Value::Null])]).depth(), 2);
        let object = |value| Value::from(BTreeMap::from([("k".into(), value)]));
        assert_eq!((object(Value::Null).depth(), object(object(vec![0; 3].into())).depth()), (1, 2));
        assert_eq!(object(vec![object(Value::Null), Value::Null].into()).count(), 5);
    }

    #[test]
    fn a_value_is_read_as_what_it_is_and_as_nothing_else() {
        type Read = (Option<String>, Option<i64>, Option<f64>, Option<bool>, Option<Vec<u8>>);
        let read = |value: &Value| -> Read {
            let (text, bytes) = (value.as_str().map(String::from), value.as_bytes().map(Vec::from));
            (text, value.as_i64(), value.as_f64(), value.as_bool(), bytes)
        };
        let nothing: Read = (None, None, None, None, None);
        assert_eq!(read(&"x".into()), (Some("x".into()), None, None, None, None));
        assert_eq!(read(&7.into()), (None, Some(7), Some(7.0), None, None));
        assert_eq!(read(&1.5.into()), (None, None, Some(1.5), None, None));
        for truth in [true, false] {
            assert_eq!(read(&truth.into()), (None, None, None, Some(truth), None));
        }
        assert_eq!(read(&vec![0u8, 9].into()), (None, None, None, None, Some(vec![0, 9])));
        for other in [Value::Null, Value::Timestamp(7), vec![Value::from(7)].into(), BTreeMap::new().into()] {
            assert_eq!(read(&other), nothing, "{other:?}");
        }
    }
}
