//! The JSON in the column `data`.

use crdt_core::codec::{Reader, read_value};
use crdt_core::{Limits, Value};

#[allow(dead_code, reason = "the adapter uses all of it")]
#[path = "../../sqlite-adapter/src/json.rs"]
mod column;

/// Text that is read as JSON is written and read again; a value that says it reads back does.
pub fn sqlite_json(bytes: &[u8]) {
    if let Some(value) = core::str::from_utf8(bytes).ok().and_then(column::read) {
        written(&value);
    }
    if let Ok(value) = read_value(&mut Reader::new(bytes), &Limits::DEFAULT) {
        written(&value);
    }
}

fn written(value: &Value) {
    let mut text = String::new();
    column::put(&mut text, value);
    let back = column::read(&text);
    if column::reads_back(value) {
        assert_eq!(back.as_ref(), Some(value), "{text}");
    } else {
        assert!(back.is_some(), "what is written is JSON: {text}");
    }
    // SQLite and everybody else have to be able to read it.
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
}
