//! How values cross between JavaScript and Rust: as canonical encodings.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crdt_core::codec::{Reader, put_value, read_value};
use crdt_core::{Dot, Limits, Name, ReplicaId, Value};

use crate::error::Error;

/// For requests, which wrap a value into a list: what is within has limits of its own.
const REQUEST: Limits = Limits {
    depth: Limits::DEFAULT.depth + 8,
    values: Limits::DEFAULT.values + 256,
    value_bytes: usize::MAX,
    ..Limits::DEFAULT
};

/// Encodes a value for JavaScript.
pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_value(&mut out, value);
    out
}

/// Encodes what may not be there: nothing is no bytes, which JavaScript reads as `undefined`.
pub(crate) fn encode_option(value: Option<&Value>) -> Vec<u8> {
    value.map(encode).unwrap_or_default()
}

/// Reads one value that fills the bytes.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Value, Error> {
    let mut reader = Reader::new(bytes);
    let value = read_value(&mut reader, limits)?;
    reader.finish()?;
    Ok(value)
}

/// An object of the entries that are there.
pub(crate) fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    put_together(Vec::from(entries))
}

/// For any number of entries at once, and one by one: collecting them would compile a sort for every number of them.
fn put_together(entries: Vec<(&str, Option<Value>)>) -> Value {
    let mut object = BTreeMap::new();
    for (name, value) in entries {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    }
    Value::Object(Box::new(object))
}

/// A list.
pub(crate) fn list(items: &mut dyn Iterator<Item = Value>) -> Value {
    let mut list = Vec::new();
    for item in items {
        list.push(item);
    }
    Value::Array(list.into())
}

/// A number that JavaScript gets as a `number` or, when that is not exact, as a `bigint`; beyond 2^63 − 1 as that.
pub(crate) fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The name of a transaction.
pub(crate) fn dot(dot: Dot) -> Value {
    object([("replica", Some(uuid(dot.replica.as_bytes()).into())), ("counter", Some(number(dot.counter)))])
}

/// An id in the usual text form of a UUID.
pub(crate) fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        push_hex(&mut text, *byte);
    }
    text
}

/// Reads an id in any text form of a UUID. Without saying what is wrong with one that is none, which would be a
/// kilobyte to load.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    uuid::Uuid::try_parse(text).ok().map(uuid::Uuid::into_bytes)
}

/// Bytes in hex, most significant first.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        push_hex(&mut text, *byte);
    }
    text
}

fn push_hex(text: &mut String, byte: u8) {
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
    }
}

/// The arguments of a request, in order. One that is missing or of another type is a fault of the JavaScript half.
pub(crate) struct Request(alloc::vec::IntoIter<Value>);

impl Request {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        Self::of(read(bytes, &REQUEST)?)
    }

    pub(crate) fn of(value: Value) -> Result<Self, Error> {
        match value {
            Value::Array(items) => Ok(Self(items.into_vec().into_iter())),
            _ => Err(Error::argument("a request has to be a list")),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(crate) fn value(&mut self) -> Result<Value, Error> {
        self.0.next().ok_or_else(|| Error::argument("an argument is missing"))
    }

    pub(crate) fn name(&mut self) -> Result<Name, Error> {
        match self.value()? {
            Value::Text(text) => Ok(Name::from(&*text)),
            _ => Err(Error::argument("an argument has to be a text")),
        }
    }

    pub(crate) fn names(&mut self) -> Result<Vec<Name>, Error> {
        let mut names = Self::of(self.value()?)?;
        let mut all = Vec::with_capacity(names.0.len());
        while !names.is_empty() {
            all.push(names.name()?);
        }
        Ok(all)
    }

    pub(crate) fn int(&mut self) -> Result<i64, Error> {
        match self.value()? {
            Value::Int(number) => Ok(number),
            _ => Err(Error::argument("an argument has to be a whole number")),
        }
    }

    /// A dot, as `[replica, counter]`.
    pub(crate) fn dot(&mut self) -> Result<Dot, Error> {
        let (replica, counter) = (self.name()?, self.int()?);
        match (parse_uuid(&replica), u64::try_from(counter)) {
            (Some(replica), Ok(counter)) => Ok(Dot::new(ReplicaId::from_bytes(replica), counter)),
            _ => Err(Error::argument("a dot has the id of a replica and a counter")),
        }
    }
}
