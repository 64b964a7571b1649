//! Any bytes get an answer: a document or a typed error, never a panic, and after an error all is as it was.

use std::cell::Cell;

use crdt_core::codec::{
    DecodeError, Dictionary, Reader, Shape, decode_row, encode_row, put_unsigned, put_value, read_payload,
    read_value,
};
use crdt_core::{CellKind, Limits};

use crate::documents::{any_document, value};
use crate::seeds::{Random, each_case, or_under_miri};
use crate::{Batch, address, decode, encode};

/// Damages bytes in one to three ways: what a wire, a disk or a malicious peer may make of them.
fn damage(random: &mut Random, bytes: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let (at, to) = (random.below(damaged.len()), random.below(damaged.len()));
        let (start, end) = (at.min(to), at.max(to));
        match random.below(9) {
            0 => damaged.truncate(at),
            1 => drop(damaged.drain(start..end)),
            2 => damaged.insert(at, random.byte()),
            3 => {
                let part = damaged[start..end].to_vec();
                drop(damaged.splice(at..at, part)); // again
            }
            4 => {
                let other = &others[random.below(others.len())];
                let part = other[random.below(other.len())..].to_vec();
                drop(damaged.splice(at..at, part));
            }
            5 => {
                let mut huge = Vec::new();
                put_unsigned(&mut huge, u64::MAX >> random.below(64));
                let end = damaged.len().min(at + random.below(2));
                drop(damaged.splice(at..end, huge));
            }
            6 if !damaged.is_empty() => damaged[at] ^= 1 << random.below(8),
            7 if !damaged.is_empty() => damaged[at] = damaged[at].wrapping_add(1),
            _ if damaged.is_empty() => {}
            _ => damaged[at] = random.byte(),
        }
    }
    damaged
}

/// A run of a session: batches that go on from each other.
fn session(random: &mut Random) -> (Vec<Batch>, Vec<Vec<u8>>) {
    let batches: Vec<Batch> = (0..4)
        .map(|_| {
            (0..=random.below(2)).map(|_| (address(random.below(5) as u64), any_document(random))).collect()
        })
        .collect();
    let mut dictionary = Dictionary::new();
    let messages = batches.iter().map(|batch| encode(&mut dictionary, batch)).collect();
    (batches, messages)
}

#[test]
fn a_refused_batch_leaves_the_dictionary_as_it_was() {
    let tally = Cell::new((0, 0));
    each_case(40, |random| {
        let (batches, messages) = session(random);
        let mut dictionary = Dictionary::new();
        for (batch, message) in batches.iter().zip(&messages) {
            for _ in 0..or_under_miri(60, 5) {
                let damaged = damage(random, message, &messages);
                // What happens to be read moves the dictionary on, so the next good one needs the one before.
                let mut trial = dictionary.clone();
                let (refused, taken) = tally.get();
                if let Ok(other) = decode(&damaged, &mut trial) {
                    tally.set((refused, taken + 1));
                    // Whatever is read can be written and read again.
                    let again = encode(&mut Dictionary::new(), &other);
                    assert_eq!(decode(&again, &mut Dictionary::new()), Ok(other));
                } else {
                    tally.set((refused + 1, taken));
                    assert_eq!(decode(message, &mut trial).as_ref(), Ok(batch));
                }
            }
            decode(message, &mut dictionary).unwrap();
        }
    });
    let (refused, taken) = tally.get();
    assert!(refused > 20 && taken > or_under_miri(2, 0), "both happen: {refused} refused, {taken} taken");
}

#[test]
fn every_prefix_of_a_batch_or_row_is_refused() {
    each_case(20, |random| {
        let (batches, messages) = session(random);
        for cut in (0..messages[0].len()).step_by(or_under_miri(1, 29)) {
            let refused = decode(&messages[0][..cut], &mut Dictionary::new());
            assert!(refused.is_err(), "{cut} of {}: {refused:?}", messages[0].len());
        }
        let (mut dictionary, mut row) = (Dictionary::new(), Vec::new());
        encode_row(&mut row, &mut dictionary, &batches[0][0].1, &|_, _| false);
        for cut in (0..row.len()).step_by(or_under_miri(1, 29)) {
            decode_row(&row[..cut], &mut dictionary, &Limits::DEFAULT, &|_| None).unwrap_err();
        }
    });
}

#[test]
fn bytes_after_the_end_are_refused() {
    each_case(20, |random| {
        let (batches, mut messages) = session(random);
        let mut dictionary = Dictionary::new();
        for (batch, message) in batches.iter().zip(&mut messages) {
            message.push(0);
            assert_eq!(decode(message, &mut dictionary), Err(DecodeError::TrailingBytes(1)));
            message.pop();
            assert_eq!(decode(message, &mut dictionary).as_ref(), Ok(batch), "the dictionary was left alone");
        }
    });
}

#[test]
fn damaged_rows_are_refused_or_other_documents() {
    each_case(40, |random| {
        let mut dictionary = Dictionary::new();
        let rows: Vec<Vec<u8>> = (0..4)
            .map(|_| {
                let mut row = Vec::new();
                encode_row(&mut row, &mut dictionary, &any_document(random), &|_, _| false);
                row
            })
            .collect();
        for row in &rows {
            for _ in 0..or_under_miri(60, 5) {
                let damaged = damage(random, row, &rows);
                let mut trial = dictionary.clone();
                let Ok(other) = decode_row(&damaged, &mut trial, &Limits::DEFAULT, &|_| None) else {
                    continue;
                };
                let mut again = Vec::new();
                encode_row(&mut again, &mut trial, &other, &|_, _| false);
                assert_eq!(decode_row(&again, &mut trial, &Limits::DEFAULT, &|_| None), Ok(other));
            }
        }
    });
}

#[test]
fn damaged_shapes_and_values_are_refused_or_others() {
    each_case(60, |random| {
        let mut dictionary = Dictionary::new();
        encode_row(&mut Vec::new(), &mut dictionary, &any_document(random), &|_, _| false);
        let (mut bytes, mut written) = (Vec::new(), Vec::new());
        put_value(&mut written, &value(random, 4));
        bytes.push(written);
        for entry in dictionary.entries_since((0, 0)) {
            if let crdt_core::codec::DictionaryEntry::Shape(shape) = entry {
                let mut written = Vec::new();
                shape.put(&mut written);
                bytes.push(written);
            }
        }
        for original in &bytes {
            for _ in 0..or_under_miri(60, 5) {
                any_answer(&damage(random, original, &bytes));
            }
        }
    });
}

/// A replica is announced by the next number and no other, so that a message has one form.
#[test]
fn a_replica_that_is_announced_out_of_turn_is_refused() {
    let read = |number: u64| {
        let mut batch = vec![3, 0]; // anew, one change, of replica 0
        batch.extend_from_slice(&[1; 16]);
        batch.extend_from_slice(&[2, 1, 0, 0, 1, b't']); // counter 1; one document in collection 0
        batch.extend_from_slice(&[7; 16]);
        // A shape that is not remembered: one dead flag.
        batch.extend_from_slice(&[1, 0, 1, (CellKind::Flag as u8) << 1 | 1, 0, 1, 1, b'a', 0]);
        put_unsigned(&mut batch, number);
        batch.extend_from_slice(&[9; 16]);
        batch.push(1);
        decode(&batch, &mut Dictionary::new())
    };
    assert_eq!(read(1).unwrap().len(), 1);
    assert_eq!(read(2), Err(DecodeError::UnknownEntry { what: "replica", index: 2 }));
}

/// A reader that took them would make cells that no replica can have, and that no document has a place for.
#[test]
fn cells_where_none_can_be_are_refused() {
    // One cell: its form, nothing shared, so many names.
    let read = |form: u8, names: &[&[u8]]| {
        let mut shape = vec![0, 1, form, 0, u8::try_from(names.len()).unwrap()];
        for name in names {
            shape.push(u8::try_from(name.len()).unwrap());
            shape.extend_from_slice(name);
        }
        Shape::read(&mut Reader::new(&shape), &Limits::DEFAULT)
    };
    for kind in CellKind::ALL {
        let (live, dead) = ((kind as u8) << 1, (kind as u8) << 1 | 1);
        let (at_top, in_field) = (read(live, &[]), read(live, &[b"a"]));
        match kind {
            CellKind::Presence => assert!(at_top.is_ok() && in_field.is_ok()),
            CellKind::Deletion => assert!(at_top.is_ok() && in_field.is_err(), "{in_field:?}"),
            _ => assert!(at_top.is_err() && in_field.is_ok(), "{kind:?}: {at_top:?}"),
        }
        let counts = matches!(kind, CellKind::Tally | CellKind::Base);
        let place: &[&[u8]] = if kind == CellKind::Deletion { &[] } else { &[b"a"] };
        assert_eq!(read(dead, place).is_err(), counts, "{kind:?}: a total cannot be dead");
    }
    assert!(read(16, &[b"a"]).is_err(), "no such kind");
}

#[test]
fn noise_gets_an_answer() {
    each_case(10_000, |random| {
        let noise: Vec<u8> = (0..random.below(80)).map(|_| random.byte()).collect();
        any_answer(&noise);
        // The head of a batch is rarely right by chance.
        let mut batch = vec![3, 0];
        batch.extend_from_slice(&[1; 16]);
        batch.extend_from_slice(&noise);
        any_answer(&batch);
    });
}

/// Every decoder takes the bytes; what a value or a shape was read from is what it is written as.
fn any_answer(bytes: &[u8]) {
    let limits = &Limits::DEFAULT;
    let _ = decode(bytes, &mut Dictionary::new());
    let _ = decode_row(bytes, &mut Dictionary::new(), limits, &|_| None);
    let _ = read_payload(&mut Reader::new(bytes), limits);
    let mut reader = Reader::new(bytes);
    if let Ok(value) = read_value(&mut reader, limits) {
        let mut again = Vec::new();
        put_value(&mut again, &value);
        assert_eq!(again, bytes[..bytes.len() - reader.remaining()], "a value has one form");
    }
    if let Ok(shape) = Shape::read(&mut Reader::new(bytes), limits) {
        let mut again = Vec::new();
        shape.put(&mut again);
        assert_eq!(Shape::read(&mut Reader::new(&again), limits), Ok(shape));
    }
}
