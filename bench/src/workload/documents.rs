//! W1, W4, first sync: documents written, stored, loaded, and sent to somebody new.

use std::io::Write as _;

use super::{FIELDS, filled};
use crate::data::{self, digest, retitled};
use crate::heap;
use crate::library::{Library, Wire};
use crate::measured::Measured;

/// W1: notes written, one transaction each; then stored in bytes, loaded and read.
pub fn write<L: Library>(measured: &mut Measured, size: u64) {
    let notes = data::notes(0..size);
    let before = heap::in_use();
    let mut library = L::new(1);
    measured.phase("write", || notes.iter().for_each(|note| library.insert(std::slice::from_ref(note))));
    if measured.counted && L::ON_HEAP {
        measured.bytes("heap", heap::in_use().saturating_sub(before));
    }
    let snapshot = measured.phase("snapshot", || library.snapshot());
    measured.bytes("snapshot", snapshot.len());
    measured.bytes("snapshot deflated", deflated(&snapshot));
    let values: usize = notes.iter().flat_map(|note| &note.fields).map(|(_, value)| weight(value)).sum();
    measured.bytes("values", values);
    drop(library);
    let mut read = 0usize;
    // Some libraries load only what is read.
    let mut loaded = measured.phase("load and read", || {
        let mut loaded = L::load(2, &snapshot);
        loaded.read(&FIELDS, &mut |_, _, value| read += weight(&value));
        loaded
    });
    assert_eq!(read, values, "everything is read");
    measured.digest = Some(digest(&loaded.contents(&FIELDS)));
}

/// W4: two replicas that got the same notes from a third one, and never met; then one field is set on one side. And the
/// same again, now that they have met.
pub fn never_met<L: Library>(measured: &mut Measured, size: u64, earlier_edits: u64) {
    let mut origin: L = filled(1, size);
    for edit in 0..earlier_edits {
        let (note, title) = retitled(edit, size, 1);
        origin.set(&data::Key::of(note), &[("title", title)]);
    }
    let snapshot = origin.snapshot();
    drop(origin);
    let (mut a, mut b) = (L::load(2, &snapshot), L::load(3, &snapshot));
    a.will_sync();
    b.will_sync();
    let mut met = L::Met::default();
    for (name, edit) in [("never met", 1), ("met", 2)] {
        let (note, title) = retitled(edit, size, 2);
        a.set(&data::Key::of(note), &[("title", title)]);
        let wire = measured.phase(name, || L::sync(&mut a, &mut b, &mut met));
        on_the_wire(measured, name, wire);
    }
    let contents = b.contents(&FIELDS);
    assert!(contents == a.contents(&FIELDS), "both hold the same");
    measured.digest = Some(digest(&contents));
}

/// An empty replica syncs with a full one.
pub fn first_sync<L: Library>(measured: &mut Measured, size: u64) {
    let mut full: L = filled(1, size);
    let mut empty = L::new(2);
    full.will_sync();
    empty.will_sync();
    let mut met = L::Met::default();
    let wire = measured.phase("sync", || L::sync(&mut full, &mut empty, &mut met));
    on_the_wire(measured, "sync", wire);
    measured.digest = Some(digest(&empty.contents(&FIELDS)));
}

/// Notes what was sent.
pub fn on_the_wire(measured: &mut Measured, name: &str, wire: Wire) {
    measured.bytes(&format!("{name} sent"), wire.handshake + wire.changes);
    measured.bytes(&format!("{name} sent after handshake"), wire.changes);
}

const fn weight(value: &data::Value) -> usize {
    match value {
        data::Value::Text(text) => text.len(),
        data::Value::Int(_) => 8,
        data::Value::Bool(_) => 1,
    }
}

/// So many bytes are left when it is deflated once more, to compare what is compressed already with what is not.
fn deflated(bytes: &[u8]) -> usize {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory").len()
}
