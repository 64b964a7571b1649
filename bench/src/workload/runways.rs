//! The runways of the world's airports, as they were really edited from 2021 to 2026: see `examples/data/README.md`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use flate2::read::GzDecoder;

use super::documents::on_the_wire;
use crate::data::{Key, Record, Value, digest};
use crate::heap;
use crate::library::Library;
use crate::measured::Measured;

/// So many edits there are.
const ALL: usize = 34_643;

/// One edit.
enum Edit {
    Insert(Record),
    Update(Key, Vec<(&'static str, Value)>),
    Delete(Key),
}

impl Edit {
    const fn key(&self) -> &Key {
        match self {
            Self::Insert(Record { key, .. }) | Self::Update(key, _) | Self::Delete(key) => key,
        }
    }
}

fn open(name: &str) -> GzDecoder<File> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/data").join(name);
    GzDecoder::new(File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// What people typed is kept: all values are text, and an empty one is none.
fn fields(columns: &[&'static str], cells: impl Iterator<Item = String>) -> Vec<(&'static str, Value)> {
    let cells = columns.iter().copied().zip(cells).filter(|(_, text)| !text.is_empty());
    cells.map(|(column, text)| (column, Value::Text(text))).collect()
}

/// The first version of all records, and the names of their columns.
fn base() -> (Vec<&'static str>, Vec<Record>) {
    let mut text = String::new();
    open("runways.base.csv.gz").read_to_string(&mut text).expect("text");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().expect("headers").iter().map(|name| &*String::leak(name.to_owned()));
    let columns: Vec<&'static str> = columns.collect();
    let id = columns.iter().position(|name| *name == "id").expect("a column of ids");
    let records = reader.records().map(|record| {
        let record = record.expect("a record");
        let key = Key::of(record[id].parse().expect("a number"));
        Record { key, fields: fields(&columns, record.iter().map(str::to_owned)) }
    });
    let records = records.collect();
    (columns, records)
}

fn edits(columns: &[&'static str], at_most: usize) -> Vec<Edit> {
    let names: HashMap<&str, &'static str> = columns.iter().map(|name| (*name, *name)).collect();
    let lines = BufReader::new(open("runways.edits.jsonl.gz")).lines().take(at_most);
    let edit = |line: String| {
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let number = |name: &str| match &line[name] {
            serde_json::Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        let set = || -> Vec<(&'static str, Value)> {
            let set = line["set"].as_object().expect("columns");
            let cell = |(name, value): (&String, &serde_json::Value)| {
                (names[name.as_str()], Value::Text(value.as_str().expect("text").to_owned()))
            };
            set.iter().map(cell).collect()
        };
        if let Some(id) = number("insert") {
            let mut fields = set();
            fields.retain(|(_, value)| !matches!(value, Value::Text(text) if text.is_empty()));
            Edit::Insert(Record { key: Key::of(id), fields })
        } else if let Some(id) = number("update") {
            Edit::Update(Key::of(id), set())
        } else {
            Edit::Delete(Key::of(number("delete").expect("an edit")))
        }
    };
    lines.map(|line| edit(line.expect("text"))).collect()
}

/// The records are loaded, 1,000 in a transaction; then so many edits are replayed, one transaction each, and a replica that has
/// the records syncs once.
pub fn replay<L: Library>(measured: &mut Measured, size: u64) {
    let (columns, mut records) = base();
    let edits = edits(&columns, usize::try_from(size).expect("a small number"));
    if edits.len() < ALL {
        // A short run: only the records that are edited.
        let edited: HashSet<&Key> = edits.iter().map(Edit::key).collect();
        records.retain(|record| edited.contains(&record.key));
    }
    let before = heap::in_use();
    let mut a = L::new(1);
    measured.phase("load", || records.chunks(1000).for_each(|some| a.insert(some)));
    let base = a.snapshot();
    measured.bytes("snapshot before", base.len());
    let mut b = L::load(2, &base);
    a.will_sync();
    b.will_sync();
    let mut met = L::Met::default();
    L::sync(&mut a, &mut b, &mut met);
    measured.phase("replay", || {
        for edit in &edits {
            match edit {
                Edit::Insert(record) => a.insert(std::slice::from_ref(record)),
                Edit::Update(key, fields) => a.set(key, fields),
                Edit::Delete(key) => a.delete(key),
            }
        }
    });
    measured.bytes("snapshot after", a.snapshot().len());
    let wire = measured.phase("sync", || L::sync(&mut a, &mut b, &mut met));
    on_the_wire(measured, "sync", wire);
    let contents = a.contents(&columns);
    assert!(contents == b.contents(&columns), "both hold the same");
    if measured.counted && L::ON_HEAP {
        drop(b);
        measured.bytes("heap", heap::in_use().saturating_sub(before));
    }
    measured.digest = Some(digest(&contents));
}
