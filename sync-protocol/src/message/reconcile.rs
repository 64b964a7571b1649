//! The messages with which two sides find out in what they differ; see `session/reconcile.rs`.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crdt_core::codec::{DecodeError, Reader, put_unsigned};
use crdt_core::reconcile::{Estimate, Slot, Symbol};
use crdt_core::{Dot, Holding, LimitExceeded, ReplicaId};

use super::{MAX_ENTRIES, read_bool};

/// Symbols in one message.
pub(crate) const MAX_SYMBOLS_PER_MESSAGE: usize = 4096;
/// Slots in one message.
pub(crate) const MAX_SLOTS_PER_MESSAGE: usize = 1024;
/// Dots that are listed of one document. What has more is sent whole.
pub(crate) const MAX_DOTS_PER_SLOT: usize = 256;

const SKETCH: u8 = 15;
const MORE: u8 = 16;
const DIFFER: u8 = 17;
const HELD: u8 = 18;

/// One of these messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reconciling {
    Sketch(Sketch),
    More(More),
    Differ(Differ),
    Held(Held),
}

impl Reconciling {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sketch(sketch) => {
                out.push(SKETCH);
                sketch.encode(out);
            }
            Self::More(more) => {
                out.push(MORE);
                more.encode(out);
            }
            Self::Differ(differ) => {
                out.push(DIFFER);
                differ.encode(out);
            }
            Self::Held(held) => {
                out.push(HELD);
                held.encode(out);
            }
        }
    }

    /// After the byte that says which; `None` when it is none of these.
    pub(super) fn decode(kind: u8, reader: &mut Reader<'_>) -> Option<Result<Self, DecodeError>> {
        Some(match kind {
            SKETCH => Sketch::decode(reader).map(Self::Sketch),
            MORE => More::decode(reader).map(Self::More),
            DIFFER => Differ::decode(reader).map(Self::Differ),
            HELD => Held::decode(reader).map(Self::Held),
            _ => return None,
        })
    }
}

/// Sums over all that the sender holds, or the next part of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sketch {
    pub(crate) round: u64,
    pub(crate) salt: u64,
    /// How many symbols there are in all.
    pub(crate) total: usize,
    pub(crate) estimate: Option<Box<[u8; Estimate::BYTES]>>,
    pub(crate) symbols: Vec<Symbol>,
}

/// The sums were too few: so many are needed. None: it is too much, everything has to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct More {
    pub(crate) round: u64,
    pub(crate) salt: u64,
    pub(crate) total: usize,
}

/// In these slots the two differ, and this is what the sender holds there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Differ {
    pub(crate) round: u64,
    pub(crate) last: bool,
    /// Ascending.
    pub(crate) slots: Vec<Slot>,
    pub(crate) holdings: Vec<Holding>,
}

/// What the sender holds in the slots that the addressee named, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) round: u64,
    pub(crate) last: bool,
    pub(crate) holdings: Vec<Holding>,
}

impl Sketch {
    fn encode(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.round);
        put_unsigned(out, self.salt);
        put_unsigned(out, self.total as u64);
        out.push(self.estimate.is_some().into());
        if let Some(estimate) = &self.estimate {
            out.extend_from_slice(&estimate[..]);
        }
        self.symbols.iter().for_each(|symbol| out.extend_from_slice(&symbol.to_bytes()));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (round, salt) = (reader.unsigned("a round")?, reader.unsigned("a salt")?);
        let total = read_total(reader)?;
        let estimate = if read_bool(reader)? { Some(Box::new(reader.array("an estimate")?)) } else { None };
        let count = reader.remaining().div_ceil(Symbol::BYTES);
        LimitExceeded::check("symbols of a message", count, MAX_SYMBOLS_PER_MESSAGE)?;
        let mut symbols = Vec::with_capacity(count);
        for _ in 0..count {
            let symbol = Symbol::from_bytes(reader.array("a symbol")?);
            symbols.push(symbol.ok_or(DecodeError::Invalid("a sum beyond its field"))?);
        }
        Ok(Self { round, salt, total, estimate, symbols })
    }
}

impl More {
    fn encode(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.round);
        put_unsigned(out, self.salt);
        put_unsigned(out, self.total as u64);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (round, salt) = (reader.unsigned("a round")?, reader.unsigned("a salt")?);
        Ok(Self { round, salt, total: read_total(reader)? })
    }
}

impl Differ {
    fn encode(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.round);
        out.push(self.last.into());
        put_unsigned(out, self.slots.len() as u64);
        let mut last = 0;
        for slot in &self.slots {
            put_unsigned(out, (slot - last).into());
            last = *slot;
        }
        put_holdings(out, &self.holdings);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (round, last) = (reader.unsigned("a round")?, read_bool(reader)?);
        let count = read_slot_count(reader)?;
        let mut slots: Vec<Slot> = Vec::with_capacity(count);
        for _ in 0..count {
            let gap = reader.unsigned("a slot")?;
            let before = slots.last().copied();
            let slot = gap.checked_add(before.unwrap_or(0).into()).and_then(|slot| Slot::try_from(slot).ok());
            let slot = slot.filter(|slot| before.is_none_or(|before| before < *slot));
            slots.push(slot.ok_or(DecodeError::Invalid("slots that do not ascend"))?);
        }
        Ok(Self { round, last, holdings: read_holdings(reader, count)?, slots })
    }
}

impl Held {
    fn encode(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.round);
        out.push(self.last.into());
        put_unsigned(out, self.holdings.len() as u64);
        put_holdings(out, &self.holdings);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (round, last) = (reader.unsigned("a round")?, read_bool(reader)?);
        let count = read_slot_count(reader)?;
        Ok(Self { round, last, holdings: read_holdings(reader, count)? })
    }
}

fn read_total(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let total = reader.unsigned("a number of symbols")?;
    usize::try_from(total).map_err(|_| DecodeError::Invalid("more symbols than there can be"))
}

fn read_slot_count(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let count = reader.count("slots")?;
    LimitExceeded::check("slots of a message", count, MAX_SLOTS_PER_MESSAGE)?;
    Ok(count)
}

/// The replicas of all dots, ascending; then per holding 0: nothing, 1: something that is not listed, else the number of
/// dots and one, the check, and per dot the number of its replica and its counter.
fn put_holdings(out: &mut Vec<u8>, holdings: &[Holding]) {
    let mut replicas: Vec<ReplicaId> = Vec::new();
    for holding in holdings {
        if let Holding::Document { dots, .. } = holding {
            for dot in dots {
                if let Err(at) = replicas.binary_search(&dot.replica) {
                    replicas.insert(at, dot.replica);
                }
            }
        }
    }
    put_unsigned(out, replicas.len() as u64);
    for replica in &replicas {
        out.extend_from_slice(replica.as_bytes());
    }
    for holding in holdings {
        match holding {
            Holding::Nothing => out.push(0),
            Holding::Something => out.push(1),
            Holding::Document { check, dots } => {
                put_unsigned(out, dots.len() as u64 + 1);
                out.push(*check);
                for dot in dots {
                    let number = replicas.binary_search(&dot.replica).unwrap_or_default();
                    put_unsigned(out, number as u64);
                    put_unsigned(out, dot.counter);
                }
            }
        }
    }
}

fn read_holdings(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Holding>, DecodeError> {
    let known = reader.count("replicas")?;
    if known > MAX_ENTRIES {
        return Err(DecodeError::Invalid("more replicas than a message may have"));
    }
    let mut replicas = Vec::new();
    for _ in 0..known {
        replicas.push(ReplicaId::from_bytes(reader.array("a replica id")?));
    }
    if !replicas.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Invalid("replicas that do not ascend"));
    }
    let mut holdings = Vec::with_capacity(count);
    let mut mentioned = vec![false; replicas.len()];
    for _ in 0..count {
        holdings.push(match reader.unsigned("what is held")? {
            0 => Holding::Nothing,
            1 => Holding::Something,
            dots => {
                let dots = usize::try_from(dots - 1).unwrap_or(usize::MAX);
                LimitExceeded::check("dots of a document", dots, MAX_DOTS_PER_SLOT)?;
                let check = reader.byte("the check of a document")?;
                Holding::Document { check, dots: read_dots(reader, &replicas, &mut mentioned, dots)? }
            }
        });
    }
    if mentioned.contains(&false) {
        return Err(DecodeError::Invalid("a replica of which no dot is listed"));
    }
    Ok(holdings)
}

fn read_dots(
    reader: &mut Reader<'_>,
    replicas: &[ReplicaId],
    mentioned: &mut [bool],
    count: usize,
) -> Result<Vec<Dot>, DecodeError> {
    let mut dots = Vec::with_capacity(count);
    for _ in 0..count {
        let (index, counter) = (reader.unsigned("a dot")?, reader.unsigned("a dot")?);
        let at = usize::try_from(index).ok().filter(|at| *at < replicas.len());
        let at = at.ok_or(DecodeError::UnknownEntry { what: "replica", index })?;
        mentioned[at] = true;
        dots.push(Dot::new(replicas[at], counter));
    }
    if !dots.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Invalid("dots that do not ascend"));
    }
    Ok(dots)
}
