//! Values: one tag byte, then the content. Short texts and small whole numbers share a byte with their tag.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::bytes::{DecodeError, Reader, put_bytes, put_signed, put_unsigned};
use crate::document::Payload;
use crate::limits::{LimitExceeded, Limits};
use crate::{Float, Value};

const ABSENT: u8 = 0;
const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const INT: u8 = 4;
const FLOAT: u8 = 5;
const TIMESTAMP: u8 = 6;
const TEXT: u8 = 7;
const BYTES: u8 = 8;
const ARRAY: u8 = 9;
const OBJECT: u8 = 10;
/// Tags from here: the whole numbers 0 to 63.
const SMALL_INT: u8 = 0x40;
/// Tags from here: texts of 0 to 127 bytes.
const SHORT_TEXT: u8 = 0x80;

/// Appends a payload.
pub fn put_payload(out: &mut Vec<u8>, payload: &Payload) {
    match payload {
        Payload::Absent => out.push(ABSENT),
        Payload::Present(value) => put_value(out, value),
    }
}

/// Appends a value in canonical form.
pub fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Int(number) => match u8::try_from(*number) {
            Ok(small) if small < 64 => out.push(SMALL_INT | small),
            _ => {
                out.push(INT);
                put_signed(out, *number);
            }
        },
        Value::Float(number) => {
            out.push(FLOAT);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Value::Timestamp(ms) => {
            out.push(TIMESTAMP);
            put_signed(out, *ms);
        }
        Value::Text(text) => put_text(out, text),
        Value::Bytes(bytes) => {
            out.push(BYTES);
            put_bytes(out, bytes);
        }
        Value::Array(items) => {
            out.push(ARRAY);
            put_unsigned(out, items.len() as u64);
            items.iter().for_each(|item| put_value(out, item));
        }
        Value::Object(entries) => {
            out.push(OBJECT);
            put_unsigned(out, entries.len() as u64);
            for (key, entry) in entries.iter() {
                put_bytes(out, key.as_bytes());
                put_value(out, entry);
            }
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(short) if short < 128 => {
            out.push(SHORT_TEXT | short);
            out.extend_from_slice(text.as_bytes());
        }
        _ => {
            out.push(TEXT);
            put_bytes(out, text.as_bytes());
        }
    }
}

/// How many bytes [`put_value`] appends.
pub fn value_len(value: &Value) -> usize {
    // Texts and bytes can be large and need no encoding to be measured.
    match value {
        Value::Text(text) if text.len() < 128 => 1 + text.len(),
        Value::Text(text) => 1 + unsigned_len(text.len()) + text.len(),
        Value::Bytes(bytes) => 1 + unsigned_len(bytes.len()) + bytes.len(),
        _ => {
            let mut out = Vec::new();
            put_value(&mut out, value);
            out.len()
        }
    }
}

/// How many bytes [`put_unsigned`] appends.
fn unsigned_len(number: usize) -> usize {
    (number.checked_ilog2().unwrap_or(0) / 7 + 1) as usize
}

/// Reads a payload within the limits.
///
/// # Errors
/// [`DecodeError`] for anything that [`put_payload`] does not write.
pub fn read_payload(reader: &mut Reader<'_>, limits: &Limits) -> Result<Payload, DecodeError> {
    if reader.rest().first() == Some(&ABSENT) {
        reader.byte("a payload")?;
        return Ok(Payload::Absent);
    }
    read_value(reader, limits).map(Payload::Present)
}

/// Reads a value within the limits.
///
/// # Errors
/// [`DecodeError`] for anything that [`put_value`] does not write.
pub fn read_value(reader: &mut Reader<'_>, limits: &Limits) -> Result<Value, DecodeError> {
    let before = reader.remaining();
    let value = read_nested(reader, limits, 0)?;
    LimitExceeded::check("bytes of a value", before - reader.remaining(), limits.value_bytes)?;
    Ok(value)
}

fn read_nested(reader: &mut Reader<'_>, limits: &Limits, depth: usize) -> Result<Value, DecodeError> {
    let tag = reader.byte("a value")?;
    reader.count_value(limits)?;
    if matches!(tag, ARRAY | OBJECT) {
        LimitExceeded::check("nesting of a value", depth + 1, limits.depth)?;
    }
    Ok(match tag {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => match reader.signed("an integer value")? {
            0..=63 => return Err(DecodeError::Invalid("a small integer in its long form")),
            number => Value::Int(number),
        },
        FLOAT => {
            let number = f64::from_bits(u64::from_le_bytes(reader.array("a float value")?));
            let canonical = Float::new(number);
            if canonical.to_bits() != number.to_bits() {
                return Err(DecodeError::Invalid("a float that is not canonical"));
            }
            Value::Float(canonical)
        }
        TIMESTAMP => Value::Timestamp(reader.signed("a timestamp value")?),
        TEXT => match reader.text("bytes of a text value", limits.value_bytes)? {
            short if short.len() < 128 => return Err(DecodeError::Invalid("a short text in its long form")),
            text => Value::Text(text.into()),
        },
        BYTES => Value::Bytes(reader.bytes("bytes of a bytes value", limits.value_bytes)?.into()),
        ARRAY => {
            let count = reader.count("an array")?;
            let mut items = Vec::new();
            for _ in 0..count {
                items.push(read_nested(reader, limits, depth + 1)?);
            }
            Value::Array(items.into())
        }
        OBJECT => {
            let count = reader.count("an object")?;
            let mut entries = BTreeMap::<String, Value>::new();
            for _ in 0..count {
                let key = reader.text("bytes of an object key", limits.value_bytes)?;
                if entries.last_key_value().is_some_and(|(last, _)| last.as_str() >= key) {
                    return Err(DecodeError::Invalid("object keys that are not in order"));
                }
                entries.insert(key.into(), read_nested(reader, limits, depth + 1)?);
            }
            Value::Object(Box::new(entries))
        }
        SMALL_INT..SHORT_TEXT => Value::Int((tag - SMALL_INT).into()),
        SHORT_TEXT.. => {
            let bytes = reader.take((tag - SHORT_TEXT).into(), "a text value")?;
            Value::Text(core::str::from_utf8(bytes).map_err(|_| DecodeError::BadText)?.into())
        }
        _ => return Err(DecodeError::UnknownTag { what: "value tag", tag: tag.into() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tries::or_under_miri;
    use alloc::vec;

    fn round_trip(value: &Value) -> Result<Value, DecodeError> {
        let mut out = Vec::new();
        put_value(&mut out, value);
        assert_eq!(value_len(value), out.len());
        let mut reader = Reader::new(&out);
        let back = read_value(&mut reader, &Limits::DEFAULT)?;
        reader.finish()?;
        for cut in (0..out.len()).step_by(or_under_miri(1, 17)) {
            assert!(read_value(&mut Reader::new(&out[..cut]), &Limits::DEFAULT).is_err(), "cut at {cut}");
        }
        Ok(back)
    }

    #[test]
    fn every_kind_of_value_round_trips() {
        let object =
            BTreeMap::from([(String::new(), Value::Null), ("k".into(), Value::from(vec![Value::from(1.5)]))]);
        let values = vec![
            Value::Null,
            Value::from(true),
            Value::from(0),
            Value::from(63),
            Value::from(64),
            Value::from(-1),
            Value::from(i64::MIN),
            Value::from(f64::NAN),
            Value::from(-0.0),
            Value::Timestamp(-5),
            Value::from(""),
            Value::from("x".repeat(127)),
            Value::from("x".repeat(128)),
            Value::from(vec![0u8, 255]),
            Value::from(object),
        ];
        for value in &values {
            assert_eq!(round_trip(value).as_ref(), Ok(value));
        }
        assert_eq!(round_trip(&Value::from(values.clone())), Ok(Value::from(values)));
    }

    #[test]
    fn nesting_is_taken_at_the_limit_and_refused_one_past_it() {
        let nested =
            |depth: usize| (1..depth).fold(Value::Array(Box::new([])), |inner, _| Value::from(vec![inner]));
        let at_limit = nested(Limits::DEFAULT.depth);
        assert_eq!(at_limit.depth(), Limits::DEFAULT.depth);
        assert_eq!(round_trip(&at_limit), Ok(at_limit));
        assert!(matches!(round_trip(&nested(Limits::DEFAULT.depth + 1)), Err(DecodeError::Limit(_))));
        let objects = |depth: usize| {
            (0..depth).fold(Value::Null, |inner, _| Value::from(BTreeMap::from([(String::new(), inner)])))
        };
        let at_limit = objects(Limits::DEFAULT.depth);
        assert_eq!(round_trip(&at_limit), Ok(at_limit));
        assert!(matches!(round_trip(&objects(Limits::DEFAULT.depth + 1)), Err(DecodeError::Limit(_))));
        for nesting in [&[ARRAY, 1][..], &[OBJECT, 1, 0]] {
            let mut bomb = nesting.repeat(or_under_miri(1 << 20, 1 << 10));
            bomb.push(NULL);
            let read = read_value(&mut Reader::new(&bomb), &Limits::DEFAULT);
            assert!(matches!(read, Err(DecodeError::Limit(_))), "{read:?}");
        }
    }

    #[test]
    fn other_forms_of_the_same_value_are_refused() {
        let refused = |bytes: &[u8]| read_value(&mut Reader::new(bytes), &Limits::DEFAULT).unwrap_err();
        assert!(matches!(refused(&[INT, 2]), DecodeError::Invalid(_)));
        assert!(matches!(refused(&[TEXT, 1, b'x']), DecodeError::Invalid(_)));
        let mut minus_zero = vec![FLOAT];
        minus_zero.extend((-0.0f64).to_bits().to_le_bytes());
        assert!(matches!(refused(&minus_zero), DecodeError::Invalid(_)));
        assert!(matches!(refused(&[OBJECT, 2, 1, b'b', NULL, 1, b'a', NULL]), DecodeError::Invalid(_)));
        assert!(matches!(refused(&[0x3f]), DecodeError::UnknownTag { .. }));
    }
}
