//! What the worst messages make a decoder hold. Each is a message of the kind that the limits in PROTOCOL.md are there
//! for: few bytes that ask for much memory. Under Miri they are the same messages, far from the limits: what is held is little,
//! and what is looked for is what the allocations do.
#![allow(unsafe_code, reason = "an allocator that counts can only be written with it")]

#[allow(dead_code, reason = "the other binary uses all of it")]
#[path = "codec/seeds.rs"]
mod seeds;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crdt_core::codec::{
    DecodeError, Dictionary, Reader, Shape, decode_batch, decode_row, put_bytes, put_signed, put_unsigned,
    read_value,
};
use crdt_core::{Address, Document, Limits};
use seeds::{each_case, or_under_miri};

/// What reading a message of so many bytes may hold at its worst, result and dictionary included: what PROTOCOL.md says.
const fn bound(message_bytes: usize) -> usize {
    (64 << 20) + 4 * message_bytes
}

struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// Every call goes to the system's allocator unchanged; only the sizes are noted on the way. What grows counts twice while
// it is moved, as the trait's own `realloc` does it.
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

/// Runs something and tells how much more than before this thread held at its worst.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let result = work();
    (result, PEAK.with(Cell::get).saturating_sub(before))
}

fn decode(bytes: &[u8]) -> Result<Vec<(Address, Document)>, DecodeError> {
    decode_batch(&mut Reader::new(bytes), &mut Dictionary::new(), &Limits::DEFAULT)
}

/// How much the messages ask for.
const MESSAGE_BYTES: usize = or_under_miri(Limits::DEFAULT.message_bytes, 300);
const VALUE_BYTES: usize = or_under_miri(Limits::DEFAULT.value_bytes, 140);
const CELLS: u64 = or_under_miri(Limits::DEFAULT.cells_per_message as u64, 64);
const REGISTER: u8 = 0;
const FLAG: u8 = 6;

/// A batch that starts anew: so many changes of the first replica, then so many documents.
fn batch(changes: u64, documents: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_unsigned(&mut out, changes << 1 | 1);
    for change in 0..changes {
        out.push(0);
        if change == 0 {
            out.extend_from_slice(&[1; 16]);
        }
        put_signed(&mut out, 1);
    }
    put_unsigned(&mut out, documents);
    out
}

/// Announces the document of a number, in the first collection.
fn announce(out: &mut Vec<u8>, document: u64) {
    put_unsigned(out, document);
    put_unsigned(out, 0);
    if document == 0 {
        put_bytes(out, b"tasks");
    }
    out.extend_from_slice(&u128::from(document).to_be_bytes());
}

/// Announces the first shape: presence is implied, all cells have one change.
fn shape(out: &mut Vec<u8>, cells: u64) {
    put_unsigned(out, 0);
    out.push(3);
    put_unsigned(out, cells);
}

fn cell(out: &mut Vec<u8>, form: u8, shared: u64, names: &[Vec<u8>]) {
    out.push(form);
    put_unsigned(out, shared);
    put_unsigned(out, names.len() as u64);
    for name in names {
        put_bytes(out, name);
    }
}

/// Nothing but changes, two bytes each.
fn many_changes() -> Vec<u8> {
    let mut out = batch(MESSAGE_BYTES as u64 / 2 - 20, 0);
    out.truncate(MESSAGE_BYTES);
    out
}

/// Documents without cells, two bytes each.
fn empty_documents() -> Vec<u8> {
    let count = MESSAGE_BYTES as u64 / 2 - 40;
    let mut out = batch(1, count);
    announce(&mut out, 0);
    shape(&mut out, 0);
    for _ in 1..count {
        out.extend_from_slice(&[0, 0]);
    }
    out
}

/// One shape of 64 flags, named again and again for the same document: two bytes for 64 cells so many names deep.
fn one_shape_again_and_again(depth: usize) -> Vec<u8> {
    let count = CELLS / 64;
    let mut out = batch(1, count);
    announce(&mut out, 0);
    shape(&mut out, 64);
    for first in 0..64u8 {
        let names = vec![vec![first]; depth];
        cell(&mut out, FLAG, 0, &names);
    }
    for _ in 1..count {
        out.extend_from_slice(&[0, 0]);
    }
    out
}

/// As many names in a message as may be, in as few and as deep paths as may be, each cell in a change of its own replica, so
/// that as much presence as possible is implied.
fn deep_paths(depth: usize, names: usize) -> Vec<u8> {
    let cells = names / depth;
    let mut out = Vec::new();
    put_unsigned(&mut out, (cells as u64) << 1 | 1);
    for replica in 0..cells as u64 {
        put_unsigned(&mut out, replica << 3);
        out.extend_from_slice(&u128::from(replica).to_be_bytes());
        put_signed(&mut out, 1);
    }
    put_unsigned(&mut out, 1);
    announce(&mut out, 0);
    put_unsigned(&mut out, 1); // a shape that is not to be remembered
    out.push(1); // presence is implied
    put_unsigned(&mut out, cells as u64);
    for first in 0..u32::try_from(cells).unwrap() {
        cell(&mut out, FLAG, 0, &vec![first.to_string().into_bytes(); depth]);
    }
    (0..cells as u64).for_each(|change| put_unsigned(&mut out, change));
    out
}

/// Registers with values that repeat a few bytes, as large as values may be, as many as the message holds.
fn large_values(repeated: &[u8]) -> Vec<u8> {
    let items = (VALUE_BYTES - 100) / repeated.len();
    let count = MESSAGE_BYTES / VALUE_BYTES;
    let mut out = batch(1, 1);
    announce(&mut out, 0);
    shape(&mut out, count as u64);
    (0..count).for_each(|field| cell(&mut out, REGISTER, 0, &[field.to_string().into_bytes()]));
    for _ in 0..count {
        out.push(9);
        put_unsigned(&mut out, items as u64);
        out.extend_from_slice(&repeated.repeat(items));
    }
    out
}

fn nested_objects(depth: usize) -> Vec<u8> {
    let mut value = [10, 1, 0].repeat(depth);
    value.push(1);
    value
}

/// As many replicas as a message can announce: each killed a mark, in a change of its own.
fn many_replicas() -> Vec<u8> {
    let cells = CELLS;
    let mut out = Vec::new();
    put_unsigned(&mut out, cells << 1 | 1);
    for replica in 0..cells {
        put_unsigned(&mut out, replica << 3);
        out.extend_from_slice(&u128::from(replica).to_be_bytes());
        put_signed(&mut out, 1);
    }
    put_unsigned(&mut out, 1);
    announce(&mut out, 0);
    put_unsigned(&mut out, 1);
    out.push(0);
    put_unsigned(&mut out, cells);
    (0..cells).for_each(|_| cell(&mut out, FLAG + 1, 0, &[b"a".to_vec()]));
    (0..cells).for_each(|change| put_unsigned(&mut out, change));
    for replica in cells..2 * cells {
        put_unsigned(&mut out, replica);
        out.extend_from_slice(&u128::from(replica).to_be_bytes());
        put_unsigned(&mut out, 1);
    }
    out
}

/// As many documents as may be, each in a collection of its own with as long a name as may be, or as fits.
fn many_documents() -> Vec<u8> {
    let count = CELLS;
    let mut out = batch(1, count);
    for document in 0..count {
        put_unsigned(&mut out, document);
        put_unsigned(&mut out, document);
        put_bytes(&mut out, format!("{document:0200}").as_bytes());
        out.extend_from_slice(&u128::from(document).to_be_bytes());
        put_unsigned(&mut out, 0);
        if document == 0 {
            out.push(3);
            put_unsigned(&mut out, 1);
            cell(&mut out, FLAG, 0, &[b"a".to_vec()]);
        }
    }
    out
}

/// A shape for each document, each of which is to be remembered.
fn many_shapes() -> Vec<u8> {
    let count = CELLS / 64;
    let mut out = batch(1, count);
    announce(&mut out, 0);
    for shape in 0..count {
        if shape > 0 {
            out.push(0);
        }
        put_unsigned(&mut out, shape);
        out.push(3);
        put_unsigned(&mut out, 64);
        (0..64)
            .for_each(|field| cell(&mut out, FLAG, 0, &[format!("{shape:0100}{field:0100}").into_bytes()]));
    }
    out
}

/// All at once: the most cells, names and values, and bytes that are nothing but bytes.
fn everything_at_once() -> Vec<u8> {
    let registers = 8;
    let replicas = or_under_miri(16_000, 20);
    let mut out = Vec::new();
    put_unsigned(&mut out, replicas << 1 | 1);
    for replica in 0..replicas {
        put_unsigned(&mut out, replica << 3);
        out.extend_from_slice(&u128::from(replica).to_be_bytes());
        put_signed(&mut out, 1);
    }
    put_unsigned(&mut out, 1);
    announce(&mut out, 0);
    put_unsigned(&mut out, 1);
    out.push(1);
    put_unsigned(&mut out, replicas);
    (0..registers).for_each(|field| cell(&mut out, REGISTER, 0, &[vec![field]]));
    (registers.into()..replicas).for_each(|field| cell(&mut out, FLAG, 0, &[field.to_string().into_bytes()]));
    (0..replicas).for_each(|change| put_unsigned(&mut out, change));
    let objects = or_under_miri(65_000 / 8 / 63, 1);
    for _ in 0..registers {
        out.push(9);
        put_unsigned(&mut out, objects + 1);
        (0..objects).for_each(|_| out.extend_from_slice(&nested_objects(62)));
        out.push(8);
        put_bytes(&mut out, &vec![7; or_under_miri(350_000, 50)]);
    }
    out
}

/// Every message that was thought of, by its name.
fn attacks() -> Vec<(String, Vec<u8>)> {
    let mut all =
        vec![("many changes".into(), many_changes()), ("empty documents".into(), empty_documents())];
    for depth in [1, 2, 8, 65].into_iter().step_by(or_under_miri(1, 4)) {
        all.push((format!("one shape of {depth} names a path"), one_shape_again_and_again(depth)));
        for names in [or_under_miri(1 << 14, 1 << 6), or_under_miri(1 << 16, 1 << 8)] {
            all.push((format!("{names} names, {depth} a path"), deep_paths(depth, names)));
        }
    }
    all.push(("many replicas".into(), many_replicas()));
    all.push(("many documents".into(), many_documents()));
    all.push(("many shapes".into(), many_shapes()));
    all.push(("everything at once".into(), everything_at_once()));
    all.push(("arrays of nulls".into(), large_values(&[1])));
    all.push(("arrays of empty texts".into(), large_values(&[0x80])));
    all.push(("arrays of empty arrays".into(), large_values(&[9, 0])));
    all.push(("arrays of arrays of one".into(), large_values(&[9, 1, 1])));
    for depth in [1, 2, 62] {
        all.push((format!("objects {depth} deep"), large_values(&nested_objects(depth))));
    }
    all
}

#[test]
fn no_message_makes_a_decoder_hold_more_than_the_bound() {
    for (name, message) in attacks() {
        assert!(message.len() <= Limits::DEFAULT.message_bytes, "{name}: {} bytes", message.len());
        let (result, held) = peak(|| decode(&message));
        let outcome = result.map(|documents| documents.len());
        println!("{name}: {} bytes, {held} held, {outcome:?}", message.len());
        assert!(held <= bound(message.len()), "{name}: {held} bytes held for {}, {outcome:?}", message.len());
    }
}

/// The bound is not one that nothing comes near: at the limits themselves, decoders hold a good part of it.
#[test]
fn the_worst_messages_within_the_limits_are_read() {
    for message in [
        deep_paths(64, or_under_miri(1 << 14, 1 << 7)),
        many_replicas(),
        many_documents(),
        many_shapes(),
        everything_at_once(),
    ] {
        let (result, held) = peak(|| decode(&message));
        assert!(result.is_ok(), "{result:?}");
        assert!(held > bound(message.len()) / 20 || cfg!(miri), "{held}");
    }
}

#[test]
fn damaged_attacks_hold_no_more_than_the_bound() {
    let small: Vec<_> = attacks().into_iter().filter(|(_, message)| message.len() < 10_000).collect();
    assert!(!small.is_empty());
    each_case(60, |random| {
        let (name, mut message) = random.one_of(&small);
        for _ in 0..=random.below(2) {
            let at = random.below(message.len());
            message[at] = random.one_of(&[0, 1, 2, 0x7f, 0x80, 0xff, random.clone().byte()]);
        }
        let (_, held) = peak(|| decode(&message));
        assert!(held <= bound(message.len()), "{name}: {held} bytes held for {}", message.len());
    });
}

#[test]
fn counts_and_lengths_beyond_the_input_hold_nothing() {
    for first in [0u64, 1] {
        for count in [u64::MAX >> 1, u64::from(u32::MAX), 1 << 20] {
            let mut message = Vec::new();
            put_unsigned(&mut message, count << 1 | first);
            message.extend_from_slice(&[0; 40]);
            let (result, held) = peak(|| decode(&message));
            assert!(result.is_err() && held < 1 << 10, "{held} bytes held");
        }
    }
    for huge in [u64::MAX, 1 << 40, 1 << 20] {
        for tag in [7u8, 8, 9, 10] {
            let mut value = vec![tag];
            put_unsigned(&mut value, huge);
            let (result, held) = peak(|| read_value(&mut Reader::new(&value), &Limits::DEFAULT));
            assert!(result.is_err() && held < 1 << 10, "{held} bytes held");
        }
        let mut shape = vec![0];
        put_unsigned(&mut shape, huge);
        let (result, held) = peak(|| Shape::read(&mut Reader::new(&shape), &Limits::DEFAULT));
        assert!(result.is_err() && held < 1 << 10, "{held} bytes held");
        let mut row = Vec::new();
        put_unsigned(&mut row, huge);
        let decode = || decode_row(&row, &mut Dictionary::new(), &Limits::DEFAULT, &|_| None);
        let (result, held) = peak(decode);
        assert!(result.is_err() && held < 1 << 10, "{held} bytes held");
    }
}

/// A peer that never starts its dictionary anew does not make ours grow for ever.
#[test]
#[cfg_attr(miri, ignore = "twenty-one thousand documents, and the bound of a dictionary is fixed")]
fn the_dictionary_of_a_session_is_bounded() {
    let (mut dictionary, mut next) = (Dictionary::new(), 0u64);
    let mut message = |first: u64| {
        let (mut out, count) = (Vec::new(), 7000);
        put_unsigned(&mut out, 1 << 1 | first);
        out.push(0);
        if next == 0 {
            out.extend_from_slice(&[1; 16]);
        }
        put_signed(&mut out, 1);
        put_unsigned(&mut out, count);
        for document in next..next + count {
            announce(&mut out, document);
            put_unsigned(&mut out, 0);
            if document == 0 {
                out.extend_from_slice(&[3, 1, FLAG, 0, 1, 1, b'a']);
            }
        }
        next += count;
        out
    };
    let mut read = |bytes: &[u8]| {
        decode_batch(&mut Reader::new(bytes), &mut dictionary, &Limits::DEFAULT)
            .map(|documents| documents.len())
    };
    assert_eq!(read(&message(1)), Ok(7000));
    assert_eq!(read(&message(0)), Ok(7000));
    assert_eq!(read(&message(0)), Ok(7000));
    for _ in 0..3 {
        let refused = read(&message(0));
        assert_eq!(refused, Err(DecodeError::Invalid("a batch that goes on with a full dictionary")));
    }
}
