//! Hostile bytes: every decoder takes anything, never panics, and never allocates beyond a stated bound.
#![allow(missing_docs)]
#![allow(unsafe_code)] // an allocator that counts can only be written with it

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crdt_core::codec::{
    DecodeError, Dictionary, DictionaryEntry, Reader, Shape, decode_batch, decode_row, encode_batch,
    encode_row, put_bytes, put_unsigned, read_value,
};
use crdt_core::{
    Address, Clock, Collection, Document, DocumentId, DocumentMut, EditError, FieldType, Fields, Limits,
    ReplicaId, Value,
};

/// What a message may make a decoder hold at once, beyond a small multiple of its length: what the limits on cells and
/// names in PROTOCOL.md amount to.
const MOST_BYTES: usize = 64 << 20;

struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// Every call goes to the system's allocator unchanged; only the sizes are noted on the way.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = HELD.try_with(|held| {
            held.set(held.get() + layout.size());
            PEAK.with(|peak| peak.set(peak.get().max(held.get())));
        });
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = HELD.try_with(|held| held.set(held.get().saturating_sub(layout.size())));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Runs something and tells how much more than before it held at its worst.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let result = work();
    (result, PEAK.with(Cell::get).saturating_sub(before))
}

fn decode(bytes: &[u8], dictionary: &mut Dictionary) -> Result<Vec<(Address, Document)>, DecodeError> {
    decode_batch(&mut Reader::new(bytes), dictionary, &Limits::DEFAULT)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

fn schema() -> Collection {
    let inner = Fields::from([("city".into(), FieldType::Detect)]);
    Collection::new("tasks").field("notes", FieldType::Detect).field("address", FieldType::Map(inner))
}

/// Documents that two writers edited in every way, and the batches that carried it.
fn samples() -> Vec<Vec<u8>> {
    let tasks = schema();
    let (mut clocks, mut random) = ([1, 2].map(|n| Clock::new(ReplicaId::from_u64(n))), Random(7));
    let mut documents = vec![(Address::new("tasks", DocumentId::from_u64(1)), Document::new()); 1];
    documents.push((Address::new("tasks", DocumentId::from_u64(2)), Document::new()));
    let (mut dictionary, mut batches) = (Dictionary::new(), Vec::new());
    for step in 0..60 {
        let (address, document) = &mut documents[random.below(2)];
        let change = clocks[random.below(2)].tick(1_790_000_000_000 + step).unwrap();
        let edited = document.edit(change, address.id, &tasks, |d| edit(d, &mut random)).unwrap();
        for clock in &mut clocks {
            if clock.replica() == edited.change.replica() {
                clock.adopt(&edited.change);
            }
        }
        let mut batch = Vec::new();
        encode_batch(&mut batch, &mut dictionary, [(&*address, &edited.delta)]);
        batches.push(batch);
    }
    let mut whole = Vec::new();
    encode_batch(
        &mut whole,
        &mut Dictionary::new(),
        documents.iter().map(|(address, document)| (address, document)),
    );
    batches.push(whole);
    batches
}

fn edit(document: &mut DocumentMut<'_>, random: &mut Random) -> Result<(), EditError> {
    let number = i64::try_from(random.below(100)).unwrap();
    match random.below(10) {
        0 => document.set("title", format!("title {number}")),
        1 => document.set("notes", number),
        2 => document.increment("votes", number - 50),
        3 => document.reset("votes"),
        4 => document.add_to("tags", number % 5),
        5 => document.remove_from("tags", number % 5),
        6 => document.enable("done"),
        7 => document.disable("done"),
        8 => document.map("address")?.set("city", Value::from(vec![Value::from(number), Value::Null])),
        _ => {
            document.delete();
            Ok(())
        }
    }
}

#[test]
fn damaged_batches_never_panic_nor_hold_too_much_and_leave_the_dictionary_usable() {
    let batches = samples();
    let (mut dictionary, mut random) = (Dictionary::new(), Random(1));
    for batch in &batches {
        for _ in 0..300 {
            let mut damaged = batch.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len());
                match random.below(6) {
                    0 => damaged.truncate(at),
                    1 => damaged.insert(at, random.next().to_le_bytes()[0]),
                    2 => damaged.extend_from_slice(&batches[random.below(batches.len())]),
                    3 => drop(damaged.splice(at..at, [0xff; 9])),
                    _ if damaged.is_empty() => {}
                    _ => damaged[at] = random.next().to_le_bytes()[0],
                }
            }
            // A batch that starts anew, or that happens to be read, would replace what the next good one goes on from.
            let mut trial = dictionary.clone();
            let (result, held) = peak(|| decode(&damaged, &mut trial));
            assert!(held < MOST_BYTES, "{held} bytes for {}", damaged.len());
            if result.is_err() {
                let next = decode(batch, &mut trial);
                assert!(next.is_ok(), "the dictionary is not what it was: {next:?}");
            }
        }
        decode(batch, &mut dictionary).unwrap();
    }
}

#[test]
fn noise_never_panics() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        let len = random.below(80);
        let bytes: Vec<u8> = (0..len).map(|_| random.next().to_le_bytes()[0]).collect();
        let _ = decode(&bytes, &mut Dictionary::new());
        let _ = read_value(&mut Reader::new(&bytes), &Limits::DEFAULT);
        let _ = Shape::read(&mut Reader::new(&bytes), &Limits::DEFAULT);
        let _ = decode_row(&bytes, &mut Dictionary::new(), &Limits::DEFAULT, &|_| None);
    }
}

#[test]
fn damaged_rows_never_panic() {
    let (mut dictionary, mut random, mut clock) =
        (Dictionary::new(), Random(5), Clock::new(ReplicaId::from_u64(1)));
    let mut document = Document::new();
    for step in 0..40 {
        let change = clock.tick(1_790_000_000_000 + step).unwrap();
        document.edit(change, DocumentId::from_u64(1), &schema(), |d| edit(d, &mut random)).unwrap();
        let mut row = Vec::new();
        encode_row(&mut row, &mut dictionary, &document, &|_, _| false);
        for _ in 0..200 {
            let mut damaged = row.clone();
            let at = random.below(damaged.len());
            damaged[at] = random.next().to_le_bytes()[0];
            damaged.truncate(random.below(damaged.len() * 2));
            let _ = decode_row(&damaged, &mut dictionary.clone(), &Limits::DEFAULT, &|_| None);
        }
        let back = decode_row(&row, &mut dictionary.clone(), &Limits::DEFAULT, &|_| None);
        assert_eq!(back.as_ref(), Ok(&document));
    }
    let entries: Vec<DictionaryEntry> = dictionary.entries_since((0, 0)).collect();
    assert!(!entries.is_empty());
}

/// The most that a few bytes can ask for: a shape of 64 cells at the end of long paths, named again and again. Its cells
/// are flags, which need no bytes of their own.
#[test]
fn a_small_message_cannot_make_a_decoder_hold_much() {
    for depth in [1, 2, 16, 65] {
        let mut message = vec![1 << 1 | 1]; // one change, with a dictionary that starts anew
        message.extend_from_slice(&[0]); // its head: the first replica
        message.extend_from_slice(&[1; 16]);
        put_unsigned(&mut message, 2); // a millisecond
        put_unsigned(&mut message, 100_000); // documents
        for document in 0..100_000u64 {
            put_unsigned(&mut message, document);
            put_unsigned(&mut message, 0);
            if document == 0 {
                put_bytes(&mut message, b"tasks");
            }
            message.extend_from_slice(&u128::from(document).to_be_bytes());
            put_unsigned(&mut message, 0);
            if document == 0 {
                message.push(3); // presence is implied, one change
                put_unsigned(&mut message, 64);
                for cell in 0..64u8 {
                    message.push(6); // a flag
                    put_unsigned(&mut message, 0);
                    put_unsigned(&mut message, depth);
                    (0..depth).for_each(|_| put_bytes(&mut message, &[cell]));
                }
            }
        }
        let (result, held) = peak(|| decode(&message, &mut Dictionary::new()));
        assert!(matches!(result, Err(DecodeError::Limit(_))), "depth {depth}: {result:?}");
        assert!(held < MOST_BYTES + message.len(), "depth {depth}: {held} bytes held");
    }
}

#[test]
fn counts_and_lengths_beyond_the_input_hold_nothing() {
    for first in [0u64, 1] {
        for count in [u64::MAX >> 1, u64::from(u32::MAX), 1 << 20] {
            let mut message = Vec::new();
            put_unsigned(&mut message, count << 1 | first);
            message.extend_from_slice(&[0; 40]);
            let (result, held) = peak(|| decode(&message, &mut Dictionary::new()));
            assert!(result.is_err() && held < 1 << 20, "{held} bytes held");
        }
    }
    for tag in [7u8, 8, 9, 10] {
        let mut value = vec![tag];
        put_unsigned(&mut value, 1 << 40);
        let (result, held) = peak(|| read_value(&mut Reader::new(&value), &Limits::DEFAULT));
        assert!(result.is_err() && held < 1 << 10);
    }
}
