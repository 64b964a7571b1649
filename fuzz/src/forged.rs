//! Messages that the adversary makes up about what is held and who is who: sketches, differences, packed bodies,
//! restarts, wants that claim a memory. They keep to the form, and mostly close to what is so, or they would be refused at
//! the first byte. Of an input that has ended (zeros) they make what an honest peer would say.

use crdt_core::reconcile::{Estimate, Slot, Symbol};
use crdt_core::{
    DocumentId, Dot, Fingerprint, Fingerprints, Head, Holding, Life, Memory as Remembered, Trail,
};

use super::audit::Memory;
use super::bundle::namespace;
use super::hostile::{self, COLLECTIONS};
use super::input::Input;
use super::wire::{self, Said, kind};

/// Symbols of a first sketch.
const FIRST: u64 = 10;
/// One more than a message may have.
const MANY: u64 = 4097;

/// Small as a rule: reconciliations are numbered from 1.
fn round(input: &mut Input<'_>) -> u64 {
    input.number().wrapping_add(1)
}

/// A sketch of what somebody holds, or of nothing, or of what nobody does.
pub fn sketch(input: &mut Input<'_>, of: &mut Memory) -> Vec<u8> {
    let round = round(input);
    let salt = if input.flag() { input.number() } else { 0 };
    let total = match input.below(4) {
        0 | 1 => FIRST,
        2 => input.byte().into(),
        _ => input.number(),
    };
    let len = usize::try_from(total.min(MANY)).expect("at most 4097");
    let sums = of.sums(salt, len).expect("memory");
    let mut symbols: Vec<[u8; Symbol::BYTES]> =
        sums.sketch.symbols().iter().map(|symbol| symbol.to_bytes()).collect();
    match input.below(4) {
        1 => symbols.fill([0; Symbol::BYTES]),
        2 => {
            for symbol in &mut symbols {
                symbol[..8].copy_from_slice(&input.number().to_le_bytes());
                symbol[8..].copy_from_slice(&input.number().to_le_bytes());
            }
        }
        3 => {
            symbols.truncate(input.byte().into());
            if let Some(symbol) = symbols.last_mut() {
                symbol[input.below(Symbol::BYTES)] ^= input.byte();
            }
        }
        _ => {}
    }
    let estimate = match input.below(4) {
        0 => Some(sums.estimate.to_bytes()),
        1 => Some([input.byte(); Estimate::BYTES]),
        2 => Some([0; Estimate::BYTES]),
        _ => None,
    };
    wire::sketch([round, salt, total], estimate.as_ref(), &symbols)
}

/// Asks for more symbols: a few, very many, none.
pub fn more(input: &mut Input<'_>) -> Vec<u8> {
    let (round, salt) = (round(input), input.number());
    let total = match input.below(4) {
        0 => 20 + input.below(200) as u64,
        1 => 0,
        2 => 1 << 18,
        _ => input.number(),
    };
    wire::more(round, salt, total)
}

/// The slot and the check of every document that there may be.
fn places() -> Vec<(Slot, u8)> {
    let mut places = Vec::new();
    for collection in COLLECTIONS {
        for id in 1..=3 {
            let address = crdt_core::Address::new(collection, DocumentId::from_u64(id));
            let bytes = Fingerprints::new(&namespace(), &address).of_address().0.to_le_bytes();
            places.push((u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]), bytes[4]));
        }
    }
    places
}

fn holding(input: &mut Input<'_>, check: u8) -> Holding {
    match input.below(4) {
        0 => Holding::Nothing,
        1 => Holding::Something,
        how => {
            let check = if how == 2 { check } else { input.byte() };
            let mut dots: Vec<Dot> = (0..input.below(6)).map(|_| hostile::dot(input)).collect();
            dots.sort_unstable();
            dots.dedup();
            Holding::Document { check, dots }
        }
    }
}

/// The slots in which the two differ, it says.
pub fn differ(input: &mut Input<'_>) -> Vec<u8> {
    let (round, last) = (round(input), !input.flag());
    let chosen = u16::from_le_bytes([input.byte(), input.byte()]);
    let mut found: Vec<(Slot, u8)> = places()
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| chosen >> bit & 1 == 1)
        .map(|(_, at)| at)
        .collect();
    for _ in 0..input.below(3) {
        let slot = u32::try_from(input.number()).unwrap_or(u32::MAX);
        found.push((slot, input.byte()));
    }
    found.sort_unstable();
    found.dedup_by_key(|(slot, _)| *slot);
    let slots: Vec<Slot> = found.iter().map(|(slot, _)| *slot).collect();
    let holdings: Vec<Holding> = found.into_iter().map(|(_, check)| holding(input, check)).collect();
    wire::differ(round, last, &slots, &holdings)
}

/// What it holds there, it says.
pub fn held(input: &mut Input<'_>) -> Vec<u8> {
    let (round, last) = (round(input), !input.flag());
    let (count, place) = (input.below(20), places()[input.below(15)]);
    let holdings: Vec<Holding> = (0..count).map(|_| holding(input, place.1)).collect();
    wire::held(round, last, &holdings)
}

/// The runs of somebody, as they are, or as they might have been.
fn trail(input: &mut Input<'_>, real: &Trail) -> Trail {
    let mut trail = real.clone();
    match input.below(6) {
        0 => {}
        1 => trail = Trail::default(),
        2 => trail.number = input.number(),
        3 if !trail.runs.is_empty() => {
            let at = input.below(trail.runs.len());
            trail.runs[at] ^= u32::from(input.byte());
        }
        // Somebody went on from there.
        4 => {
            trail.number = trail.number.saturating_add(1);
            trail.runs.insert(0, input.byte().into());
        }
        _ => {
            let runs = (0..input.below(6)).map(|_| input.byte().into()).collect();
            trail = Trail { number: input.number(), runs };
        }
    }
    trail
}

/// What is so, or a little more, or anything.
pub fn near(input: &mut Input<'_>, real: u64) -> u64 {
    match input.below(4) {
        0 => real,
        1 => real.saturating_add(1 + input.below(4) as u64),
        2 => 0,
        _ => input.number(),
    }
}

/// A want: by a cursor, by reconciling, out of suspicion; with a memory of the victim that may prove a fork.
pub fn want(input: &mut Input<'_>, head: &Head, of_victim: &Trail) -> Vec<u8> {
    let by = input.byte() % 4;
    let cursor = near(input, head.sequence);
    let seen_of_you = near(input, head.counter);
    let trail = trail(input, of_victim);
    let memory = Remembered { trail, claimed: near(input, head.counter), cursor: near(input, head.sequence) };
    wire::want(cursor, seen_of_you, &memory, by)
}

/// Somebody goes on under another id: the peer, or whoever claims to be it.
pub fn restart(input: &mut Input<'_>, victim: &Head, peer: &Head, runs: &Trail) -> Vec<u8> {
    let said = Said {
        replica: if input.flag() { hostile::replica(input) } else { peer.replica },
        life: match input.below(4) {
            0 => peer.life,
            1 => victim.life,
            _ => Life(input.number()),
        },
        root: match input.below(3) {
            0 => peer.root,
            1 => victim.root,
            _ => Fingerprint(input.number().into()),
        },
        sequence: near(input, peer.sequence),
        trail: trail(input, runs),
    };
    wire::restart(&said)
}

/// A body with cells, packed as it should be, or not.
pub fn packed(input: &mut Input<'_>, cells: &[u8]) -> Vec<u8> {
    match input.below(8) {
        0 | 1 => wire::pack(cells),
        2 => wire::packed(input.number(), &lz4_flex::block::compress(cells)),
        // A few bytes that stand for many.
        3 => {
            let mut bomb = vec![input.byte(); 1 << (10 + input.below(13))];
            bomb[0] = [kind::CHUNK, kind::CHECKPOINT, kind::PUSH, kind::PUSH_OWN, kind::PART][input.below(5)];
            wire::pack(&bomb)
        }
        4 => wire::pack(&wire::pack(cells)),
        5 => wire::packed(input.number(), input.piece()),
        6 => {
            let mut packed = wire::pack(cells);
            hostile::damage(&mut packed, &[], input);
            packed
        }
        _ => wire::pack(&[&[input.byte()], cells].concat()),
    }
}
