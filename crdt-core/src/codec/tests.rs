//! Round trips and sizes of batches and rows, and hostile bytes.

use alloc::vec::Vec;

use super::*;
use crate::document::{Address, Document};
use crate::limits::Limits;
use crate::tries::or_under_miri;
use crate::{
    Collection, DocumentId, Durability, FieldType, Fields, Head, Life, MemoryStore, Namespace, Position,
    Replica, ReplicaId, TransactionError,
};

const START_MS: u64 = 1_790_000_000_000;

fn replica(number: u64) -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    let mut replica = Replica::new(MemoryStore::new(head));
    let inner = Fields::from([("city".into(), FieldType::Lww)]);
    let outer = Fields::from([("home".into(), FieldType::Map(inner))]);
    let tasks =
        Collection::new("tasks").field("notes", FieldType::Detect).field("address", FieldType::Map(outer));
    replica.declare(tasks);
    replica
}

/// The bytes of what changed since a position, with a dictionary that goes on.
fn changes(replica: &mut Replica<MemoryStore>, from: u64, dictionary: &mut Dictionary) -> Vec<u8> {
    let window = replica.window(Position { sequence: from, documents: 0 }, 1000).unwrap();
    let mut out = Vec::new();
    encode_batch(
        &mut out,
        dictionary,
        window.documents.iter().map(|(address, document)| (address, document)),
    );
    out
}

fn all(replica: &mut Replica<MemoryStore>) -> Vec<(Address, Document)> {
    replica.window(Position::default(), usize::MAX).unwrap().documents
}

fn edit(replica: &mut Replica<MemoryStore>, ms: u64, edit: impl FnOnce(&mut crate::DocumentMut<'_>)) {
    let id = DocumentId::from_u64(7);
    replica
        .commit(START_MS + ms, Durability::Visible, |tx| {
            edit(&mut tx.document("tasks", id)?);
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

/// A document with every kind and form of cell.
fn everything() -> Vec<(Address, Document)> {
    let mut replica = replica(1);
    edit(&mut replica, 0, |d| {
        d.set("title", "first").unwrap();
        d.set("notes", "one").unwrap();
        d.increment("votes", 5).unwrap();
        d.add_to("tags", "a").unwrap();
        d.add_to("tags", "b").unwrap();
        d.enable("done").unwrap();
        d.enable("late").unwrap();
        d.map("address").unwrap().map("home").unwrap().set("city", "Graz").unwrap();
    });
    edit(&mut replica, 1, |d| {
        d.remove_from("tags", "a").unwrap();
        d.reset("votes").unwrap();
        d.disable("done").unwrap();
        d.set("gone", 1).unwrap();
    });
    edit(&mut replica, 2, |d| {
        d.delete();
    });
    edit(&mut replica, 3, |d| d.set("title", "second").unwrap());
    all(&mut replica)
}

#[test]
fn every_kind_of_cell_round_trips_in_batches_and_rows() {
    let documents = everything();
    let mut out = Vec::new();
    encode_batch(&mut out, &mut Dictionary::new(), documents.iter().map(|(a, d)| (a, d)));
    let mut reader = Reader::new(&out);
    let back = decode_batch(&mut reader, &mut Dictionary::new(), &Limits::DEFAULT).unwrap();
    assert_eq!(reader.finish(), Ok(()));
    assert_eq!(back, documents);

    let (_, document) = &documents[0];
    let mut dictionary = Dictionary::new();
    let mut row = Vec::new();
    encode_row(&mut row, &mut dictionary, document, &|_, _| false);
    let mut restored = Dictionary::new();
    dictionary.entries_since((0, 0)).for_each(|entry| restored.restore(entry));
    let back = decode_row(&row, &mut restored, &Limits::DEFAULT, &|_| None);
    assert_eq!(back.as_ref(), Ok(document));

    let title = document.root().field("title").unwrap().winner().unwrap().value.clone();
    row.clear();
    encode_row(&mut row, &mut dictionary, document, &|path, _| path.len() == 1 && &*path[0] == "title");
    let back = decode_row(&row, &mut restored, &Limits::DEFAULT, &|_| Some(title.clone()));
    assert_eq!(back.as_ref(), Ok(document), "a payload that is kept elsewhere");
}

#[test]
fn cut_or_flipped_batches_are_errors_or_other_states_but_never_panics() {
    let documents = everything();
    let mut out = Vec::new();
    encode_batch(&mut out, &mut Dictionary::new(), documents.iter().map(|(a, d)| (a, d)));
    for cut in (0..out.len()).step_by(or_under_miri(1, 53)) {
        let mut reader = Reader::new(&out[..cut]);
        decode_batch(&mut reader, &mut Dictionary::new(), &Limits::DEFAULT).unwrap_err();
    }
    for bit in (0..8 * out.len()).step_by(or_under_miri(1, 301)) {
        let mut flipped = out.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = decode_batch(&mut Reader::new(&flipped), &mut Dictionary::new(), &Limits::DEFAULT);
    }
}

#[test]
fn a_damaged_message_leaves_the_dictionary_as_it_was() {
    let mut sender = replica(1);
    let (mut to, mut from) = (Dictionary::new(), Dictionary::new());
    let mut read = |bytes: &[u8]| decode_batch(&mut Reader::new(bytes), &mut from, &Limits::DEFAULT);
    edit(&mut sender, 0, |d| d.set("title", "one").unwrap());
    read(&changes(&mut sender, 0, &mut to)).unwrap();
    edit(&mut sender, 5, |d| d.set("other", "two").unwrap());
    let second = changes(&mut sender, 1, &mut to);
    for cut in (0..second.len()).step_by(or_under_miri(1, 5)) {
        read(&second[..cut]).unwrap_err();
    }
    let documents = read(&second).unwrap();
    assert_eq!(documents[0].1.root().field("other").unwrap().winner().unwrap().value, &"two".into());
}

/// The sizes that design and PROTOCOL.md speak of; a change here is a change of the format.
#[test]
fn a_warm_change_of_a_twenty_byte_value_is_small() {
    let mut sender = replica(1);
    let mut dictionary = Dictionary::new();
    let value = |n: u64| alloc::format!("value {n:014}");
    edit(&mut sender, 0, |d| d.set("title", value(0)).unwrap());
    let first_mention = changes(&mut sender, 0, &mut dictionary).len();
    let mut warm = |ms, sequence, change: &dyn Fn(&mut crate::DocumentMut<'_>)| {
        edit(&mut sender, ms, change);
        changes(&mut sender, sequence, &mut dictionary).len()
    };
    let again = warm(4_000, 1, &|d| d.set("title", value(1)).unwrap());
    warm(8_000, 2, &|d| d.map("address").unwrap().map("home").unwrap().set("city", value(2)).unwrap());
    let two_deep =
        warm(9_000, 3, &|d| d.map("address").unwrap().map("home").unwrap().set("city", value(3)).unwrap());
    assert_eq!((first_mention, again, two_deep), (82, 28, 28));
}
