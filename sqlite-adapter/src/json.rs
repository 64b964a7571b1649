//! The JSON in the column `data`: written and read here, in this one form.
//!
//! | value | JSON |
//! |---|---|
//! | null, true, false, text, array, object | the same |
//! | whole number | digits, all 64 bits |
//! | float | the shortest digits that read back as the same bits, always with a point or an exponent |
//! | bytes | `{"$bytes": "00ff"}` |
//! | timestamp | `{"$timestamp": 1700000000000}` |
//! | a float that is not finite | `{"$float": "NaN"}`, `"Infinity"`, `"-Infinity"` |
//!
//! Objects are written as they are, also an app's own `{"$bytes": …}`: a query should find what was put in. Such a one
//! does not read back as itself, and [`reads_back`] says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crdt_core::Value;

const BYTES: &str = "$bytes";
const TIMESTAMP: &str = "$timestamp";
const FLOAT: &str = "$float";
const NOT_FINITE: [(&str, f64); 3] =
    [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

/// Deeper than any document: maps and the values in them nest 64 deep each.
const MAX_DEPTH: usize = 256;

/// Appends the JSON of a value.
pub(crate) fn put(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => put_display(out, number),
        Value::Float(number) if number.get().is_finite() => {
            put_display(out, format_args!("{:?}", number.get()));
        }
        Value::Float(number) => {
            let name = NOT_FINITE.iter().find(|(_, named)| Value::from(*named) == Value::Float(*number));
            put_tagged(out, FLOAT, |out| put_text(out, name.map_or("NaN", |(name, _)| name)));
        }
        Value::Timestamp(ms) => put_tagged(out, TIMESTAMP, |out| put_display(out, ms)),
        Value::Text(text) => put_text(out, text),
        Value::Bytes(bytes) => put_tagged(out, BYTES, |out| {
            out.push('"');
            bytes.iter().for_each(|byte| put_display(out, format_args!("{byte:02x}")));
            out.push('"');
        }),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(out, at);
                put(out, item);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (at, (key, entry)) in entries.iter().enumerate() {
                separate(out, at);
                put_text(out, key);
                out.push(':');
                put(out, entry);
            }
            out.push('}');
        }
    }
}

fn put_display(out: &mut String, content: impl std::fmt::Display) {
    write!(out, "{content}").expect("a String takes any text");
}

fn put_tagged(out: &mut String, tag: &str, content: impl FnOnce(&mut String)) {
    out.push_str("{\"");
    out.push_str(tag);
    out.push_str("\":");
    content(out);
    out.push('}');
}

fn separate(out: &mut String, at: usize) {
    if at > 0 {
        out.push(',');
    }
}

fn put_text(out: &mut String, text: &str) {
    out.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[written..at]);
        written = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => put_display(out, format_args!("\\u{control:04x}")),
        }
    }
    out.push_str(&text[written..]);
    out.push('"');
}

/// True when what [`put`] writes is read as the same value again.
pub(crate) fn reads_back(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(reads_back),
        Value::Object(entries) => !looks_tagged(entries) && entries.values().all(reads_back),
        _ => true,
    }
}

/// True for an object that a reader may take for something else.
pub(crate) fn looks_tagged(entries: &BTreeMap<String, Value>) -> bool {
    entries.len() == 1 && entries.keys().all(|key| key.starts_with('$'))
}

/// Reads the JSON of a value; `None` when it is not JSON, or too deep.
pub(crate) fn read(text: &str) -> Option<Value> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes the byte if it comes next, after white space.
    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())?;
        Some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'"' => Some(Value::from(self.string()?.as_ref())),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        if self.takes(b']') {
            return Some(Value::from(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.takes(b']') {
                return Some(Value::from(items));
            }
            self.takes(b',').then_some(())?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut entries = BTreeMap::new();
        if self.takes(b'}') {
            return Some(Value::from(entries));
        }
        loop {
            self.space();
            let key = self.string()?.into_owned();
            self.takes(b':').then_some(())?;
            entries.insert(key, self.value(depth + 1)?);
            if self.takes(b'}') {
                return Some(untag(entries));
            }
            self.takes(b',').then_some(())?;
        }
    }

    fn number(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let len =
            rest.bytes().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let digits = &rest[..len];
        self.at += len;
        if digits.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
            return digits.parse().ok().map(|number: f64| Value::from(number));
        }
        digits.parse().ok().map(Value::Int)
    }

    fn string(&mut self) -> Option<std::borrow::Cow<'t, str>> {
        (self.peek()? == b'"').then(|| self.at += 1)?;
        let start = self.at;
        let mut unescaped: Option<String> = None;
        let mut copied = start;
        loop {
            match self.peek()? {
                b'"' => {
                    let last = &self.text[copied..self.at];
                    self.at += 1;
                    return Some(match unescaped {
                        None => last.into(),
                        Some(text) => (text + last).into(),
                    });
                }
                b'\\' => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    let escaped = self.escaped()?;
                    unescaped.get_or_insert_default().push(escaped);
                    copied = self.at;
                }
                _ => self.at += 1,
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let escape = self.peek()?;
        self.at += 1;
        Some(match escape {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit);
                }
                self.word("\\u", Value::Null)?;
                let low = self.unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low);
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }
}

fn untag(entries: BTreeMap<String, Value>) -> Value {
    let tagged = looks_tagged(&entries).then(|| entries.first_key_value()).flatten();
    let value = tagged.and_then(|(tag, content)| match (tag.as_str(), content) {
        (BYTES, Value::Text(text)) => from_hex(text).map(Value::from),
        (TIMESTAMP, Value::Int(ms)) => Some(Value::Timestamp(*ms)),
        (FLOAT, Value::Text(text)) => {
            NOT_FINITE.iter().find(|(name, _)| **name == **text).map(|(_, number)| Value::from(*number))
        }
        _ => None,
    });
    value.unwrap_or_else(|| Value::from(entries))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> String {
        let mut out = String::new();
        put(&mut out, value);
        out
    }

    #[track_caller]
    fn check(value: impl Into<Value>, json: &str) {
        let value = value.into();
        assert_eq!(written(&value), json);
        assert!(reads_back(&value));
        assert_eq!(read(json), Some(value));
    }

    #[test]
    fn values_are_written_plainly_and_read_back() {
        check(Value::Null, "null");
        check(i64::MIN, "-9223372036854775808");
        check(i64::MAX, "9223372036854775807");
        check(1.0, "1.0");
        check(0.1 + 0.2, "0.30000000000000004");
        check(1e300, "1e300");
        check(5e-324, "5e-324");
        check(f64::NAN, r#"{"$float":"NaN"}"#);
        check(f64::NEG_INFINITY, r#"{"$float":"-Infinity"}"#);
        check(Value::Timestamp(-5), r#"{"$timestamp":-5}"#);
        check(vec![0u8, 0xff], r#"{"$bytes":"00ff"}"#);
        check("tab\t \"quoted\" \\ \u{1} é 🦀 \0", r#""tab\t \"quoted\" \\ \u0001 é 🦀 \u0000""#);
        check(vec![Value::from(1), Value::Array([].into())], "[1,[]]");
        check(
            BTreeMap::from([("a".into(), Value::Null), ("b".into(), true.into())]),
            r#"{"a":null,"b":true}"#,
        );
    }

    #[test]
    fn an_object_that_looks_like_a_tag_is_written_as_it_is_and_known_not_to_read_back() {
        for (tag, content) in [("$bytes", Value::from("00")), ("$timestamp", 5.into()), ("$other", 1.into())]
        {
            let value = Value::from(BTreeMap::from([(tag.to_owned(), content)]));
            assert!(!reads_back(&value));
            assert!(!reads_back(&vec![value].into()));
        }
        assert_eq!(read(r#"{"$bytes":"0"}"#), Some(BTreeMap::from([("$bytes".into(), "0".into())]).into()));
    }

    #[test]
    fn json_of_others_is_read_and_what_is_none_is_not() {
        assert_eq!(
            read(" [ 1 , \"\\u00e9\\ud83e\\udd80\\/\" ] "),
            Some(vec![Value::from(1), "é🦀/".into()].into())
        );
        for bad in
            ["", "nul", "[1", "[1,]", "{\"a\"}", "\"\\ud83e\"", "\"\\u12", "1 2", "--1", "{1:2}", "\"\\x\""]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&"[".repeat(1 << 20)), None);
    }
}
