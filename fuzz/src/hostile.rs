//! What an adversary who knows the key may say: cells beyond all that an edit makes, and messages that were damaged
//! before they were sealed.

use crdt_core::cells::{Base, Mark, Tally, Written};
use crdt_core::codec::{Dictionary, put_unsigned};
use crdt_core::{
    Address, Cell, CellKind, Change, Document, DocumentId, Dot, Hlc, Name, Path, Payload, ReplicaId, Stamp,
    Value,
};

use super::decoders::{Batch, encode};
use super::input::Input;

/// What the clocks of sessions say at the start.
pub const START_MS: u64 = 1_790_000_000_000;

/// Collections that all targets know.
pub const COLLECTIONS: [&str; 5] = ["tasks", "wages", "letters", "secret", ""];

/// One of a few replicas: the victim (1), the peer (2), the rest (3 to 6).
pub fn replica(input: &mut Input<'_>) -> ReplicaId {
    match input.below(6) {
        0 => input.victim,
        other => ReplicaId::from_u64(1 + other as u64),
    }
}

/// Any dot.
pub fn dot(input: &mut Input<'_>) -> Dot {
    Dot::new(replica(input), input.number().max(1))
}

/// A few dots.
pub fn dots(input: &mut Input<'_>) -> Vec<Dot> {
    (0..input.below(4)).map(|_| dot(input)).collect()
}

/// One of a few documents.
pub fn address(input: &mut Input<'_>) -> Address {
    Address::new(COLLECTIONS[input.below(COLLECTIONS.len())], DocumentId::from_u64(1 + input.below(3) as u64))
}

/// A batch with an empty dictionary, or nothing.
pub fn batch(input: &mut Input<'_>) -> Vec<u8> {
    let mut batch = Batch::new();
    for _ in 0..input.below(4) {
        let (address, mut document) = (address(input), Document::new());
        for _ in 0..=input.below(4) {
            let (path, cell) = cell(input);
            document.merge_cell(&path, cell);
        }
        batch.push((address, document));
    }
    if batch.is_empty() { Vec::new() } else { encode(&mut Dictionary::new(), &batch) }
}

fn cell(input: &mut Input<'_>) -> (Path, Cell) {
    let (by, other) = (change(input), change(input));
    let (n, p, m) = (input.number().max(1), input.number(), input.number());
    let gone = input.flag();
    // The key of a live mark or tally names its change's replica; that of a dead mark or a base anyone's.
    let (own, victim) = (by.replica(), other.replica());
    let mark = || if gone { (victim, Mark::Dead { n, by }) } else { (own, Mark::Live { by, content: () }) };
    let cell = match CellKind::ALL[input.below(CellKind::ALL.len())] {
        CellKind::Register if gone => Cell::Register(Written::Closed { written: other, by }),
        CellKind::Register => Cell::Register(Written::Open { by, content: payload(input) }),
        CellKind::Sibling if gone => Cell::Sibling(victim, Mark::Dead { n, by }),
        CellKind::Sibling => Cell::Sibling(own, Mark::Live { by, content: payload(input) }),
        CellKind::Element => Cell::Element(Value::from(i64::from(input.byte())), mark().0, mark().1),
        CellKind::Flag => Cell::Flag(mark().0, mark().1),
        CellKind::Tally => Cell::Tally(own, Tally { by, p, m }),
        CellKind::Base => Cell::Base(victim, Base { n, p, m, by }),
        CellKind::Presence => Cell::Presence(mark().0, mark().1),
        CellKind::Deletion => return (Path::new(), Cell::Deletion(mark().0, mark().1)),
    };
    let shortest = usize::from(cell_needs_a_field(&cell));
    let path = (0..shortest + input.below(3)).map(|_| name(input)).collect();
    (path, cell)
}

const fn cell_needs_a_field(cell: &Cell) -> bool {
    !matches!(cell, Cell::Presence(..) | Cell::Deletion(..))
}

fn name(input: &mut Input<'_>) -> Name {
    ["a", "b", "c", "n", "s", "f", "x", "m"][input.below(8)].into()
}

fn change(input: &mut Input<'_>) -> Change {
    let replica = replica(input);
    let epoch = u32::try_from(input.number()).unwrap_or(u32::MAX);
    let hlc = match input.number() {
        // Times of these days: from now on, as the clocks of the targets go, up to some minutes ahead.
        minutes @ 128..=200 => Hlc::from_ms(START_MS + (minutes - 128) * 15_000),
        bits => Hlc::from_bits(bits),
    };
    Change { stamp: Stamp { epoch, hlc, replica }, counter: input.number().max(1) }
}

fn payload(input: &mut Input<'_>) -> Payload {
    match input.byte() {
        0 => Payload::Absent,
        byte => Payload::Present(Value::from(i64::from(byte))),
    }
}

/// Damages a body in one to four ways.
pub fn damage(body: &mut Vec<u8>, others: &[Vec<u8>], input: &mut Input<'_>) {
    for _ in 0..=input.below(4) {
        let at = usize::try_from(input.number()).unwrap_or(usize::MAX) % (body.len() + 1);
        match input.below(8) {
            0 => body.truncate(at),
            1 => body.insert(at, input.byte()),
            2 => {
                let mut number = Vec::new();
                put_unsigned(&mut number, input.number());
                let end = body.len().min(at + input.below(3));
                drop(body.splice(at..end, number));
            }
            3 if !others.is_empty() => {
                let other = &others[input.below(others.len())];
                let from = other.len().min(input.below(256));
                drop(body.splice(at.., other[from..].iter().copied()));
            }
            4 if at < body.len() => drop(body.remove(at)),
            5 if at < body.len() => body[at] = input.byte(),
            _ if at < body.len() => body[at] ^= 1 << input.below(8),
            _ => body.extend_from_slice(input.piece()),
        }
    }
}
