//! Refusing: what is not taken, and the notes of it until the peer has heard.
//!
//! Notes, per peer: under `refused`, a zero byte and the life, the last number and how many documents the open refusals
//! name; under the same with a number behind it, the refusal of that number.

use alloc::vec::Vec;

use super::Judgement;
use super::beyond::is_beyond;
use crate::codec::{DecodeError, Reader, put_bytes, put_refusal, put_unsigned, read_refusal};
use crate::document::{Address, Document, DocumentId};
use crate::refusal::{Judge, Proposal, Refusal, RefusedChange};
use crate::small_map::{SmallMap, SmallSet};
use crate::store::{Life, Store, StoreError};
use crate::{Dot, Name, ReplicaId};

/// Documents that the refusals name that one peer has not heard of yet.
pub(crate) const MAX_REFUSED_DOCUMENTS: u64 = 100_000;

/// The code of the refusal of a change that stands in our own name, or marks one that does, and is none of ours.
const NOT_OURS: u16 = 409;

/// What was decided of the changes of a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    refused: SmallMap<Dot, Refusal>,
    /// The documents in which every change has cells.
    documents: SmallMap<Dot, SmallSet<Address>>,
}

impl Verdicts {
    /// Asks about every cell that would change the state. What is held already is held, and not asked about where the peer
    /// can see it.
    pub(super) fn judge<S: Store>(
        &mut self,
        store: &mut S,
        Judgement { judge, may_read, .. }: Judgement<'_>,
        documents: &[(Address, Document)],
    ) -> Result<(), StoreError> {
        let head = store.head()?;
        let own = Dot::new(head.replica, head.counter);
        for (address, delta) in documents {
            let visible = may_read(address);
            let mut present = SmallSet::new();
            delta.visit(&mut |_, cell| {
                let dot = cell.set_by().dot();
                present.insert(dot, ());
                // From a peer that is not believed it proves nothing of us, so it is no reason to stop.
                if is_beyond(own, &cell) {
                    self.refused.insert(
                        dot,
                        Refusal::new(NOT_OURS, "it is in the name of the server, which never wrote it"),
                    );
                }
            });
            for (dot, ()) in present.iter() {
                self.documents.or_default(dot).insert(address.clone(), ());
            }
            if !visible {
                self.ask(judge, address, delta, present);
                continue;
            }
            let mut state = store.document(address)?.map(|state| (*state).clone()).unwrap_or_default();
            let mut dots = SmallSet::new();
            state.merge_observed(delta.clone(), &mut |_, _, after| {
                dots.insert(after.set_by().dot(), ());
            });
            self.ask(judge, address, delta, dots);
        }
        Ok(())
    }

    fn ask(&mut self, judge: &Judge<'_>, address: &Address, delta: &Document, dots: SmallSet<Dot>) {
        for (dot, ()) in dots {
            if self.refused.contains_key(&dot) {
                continue;
            }
            let cells = delta.select(|of| of == dot);
            if let Err(refusal) = judge(&Proposal { dot, address, cells: &cells }) {
                self.refused.insert(dot, refusal);
            }
        }
    }

    pub(super) fn any(&self) -> bool {
        !self.refused.is_empty()
    }

    /// What is left of a batch without the refused changes.
    pub(super) fn admitted(&self, documents: Vec<(Address, Document)>) -> Vec<(Address, Document)> {
        if self.refused.is_empty() {
            return documents;
        }
        let admit = |(address, delta): (Address, Document)| {
            (address, delta.select(|dot| !self.refused.contains_key(&dot)))
        };
        documents.into_iter().map(admit).filter(|(_, delta)| !delta.is_empty()).collect()
    }

    /// Notes the refusals for the peer. False when it has left too many unheard.
    pub(super) fn note<S: Store>(self, store: &mut S, peer: Life) -> Result<bool, StoreError> {
        if self.refused.is_empty() {
            return Ok(true);
        }
        Ok(self.note_until(store, peer, u64::MAX)? <= MAX_REFUSED_DOCUMENTS)
    }

    /// Notes at least one refusal, and no more than there is room for.
    pub(super) fn note_some<S: Store>(self, store: &mut S, peer: Life) -> Result<(), StoreError> {
        self.note_until(store, peer, MAX_REFUSED_DOCUMENTS).map(|_| ())
    }

    fn note_until<S: Store>(mut self, store: &mut S, peer: Life, room: u64) -> Result<u64, StoreError> {
        let mut open = Open::of(store, peer)?;
        for (dot, refusal) in self.refused {
            if open.documents >= room {
                break;
            }
            let documents = self.documents.remove(&dot).unwrap_or_default().into_keys();
            open.last += 1;
            open.documents = open.documents.saturating_add(documents.len() as u64);
            let change = RefusedChange { number: open.last, dot, refusal, documents };
            store.set_note(&key(peer, Some(open.last)), Some(&encode(&change)))?;
        }
        open.put(store, peer)?;
        Ok(open.documents)
    }
}

/// The refusals that a peer has not heard of.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// The number of the last one; 0 when there is none.
    last: u64,
    documents: u64,
}

impl Open {
    fn of<S: Store>(store: &mut S, peer: Life) -> Result<Self, StoreError> {
        let Some(note) = store.note(&key(peer, None))? else { return Ok(Self::default()) };
        let mut reader = Reader::new(&note);
        let mut read = || reader.unsigned("the open refusals");
        let (last, documents) = (read().map_err(damaged)?, read().map_err(damaged)?);
        Ok(Self { last, documents })
    }

    fn put<S: Store>(self, store: &mut S, peer: Life) -> Result<(), StoreError> {
        let mut note = Vec::new();
        put_unsigned(&mut note, self.last);
        put_unsigned(&mut note, self.documents);
        store.set_note(&key(peer, None), Some(&note))
    }
}

/// The number of the last refusal for a peer that it has not heard of; 0 when there is none.
pub(super) fn last<S: Store>(store: &mut S, peer: Life) -> Result<u64, StoreError> {
    let open = Open::of(store, peer)?;
    Ok(if open.documents == 0 { 0 } else { open.last })
}

/// The next refusals for a peer after a number: at least one if there is any, and about so many documents.
pub(super) fn after<S: Store>(
    store: &mut S,
    peer: Life,
    number: u64,
    documents: usize,
) -> Result<Vec<RefusedChange>, StoreError> {
    let (mut found, mut named, mut last) = (Vec::new(), 0, number);
    while named < documents {
        let next = store.notes_after(&key(peer, None), &key(peer, Some(last)), 1)?;
        let Some((_, note)) = next.first() else { break };
        let change = decode(note).map_err(damaged)?;
        (last, named) = (change.number, named + change.documents.len().max(1));
        found.push(change);
    }
    Ok(found)
}

/// The peer has heard of all refusals up to a number.
pub(super) fn heard<S: Store>(store: &mut S, peer: Life, through: u64) -> Result<(), StoreError> {
    let mut open = Open::of(store, peer)?;
    while let Some(change) = after(store, peer, 0, 1)?.pop() {
        if change.number > through {
            return open.put(store, peer);
        }
        store.set_note(&key(peer, Some(change.number)), None)?;
        open.documents = open.documents.saturating_sub(change.documents.len() as u64);
    }
    // Numbers go on from here: a peer that repeats itself must not be understood to speak of later refusals.
    Open { documents: 0, ..open }.put(store, peer)
}

fn key(peer: Life, number: Option<u64>) -> Vec<u8> {
    let mut key = b"refused\0".to_vec();
    key.extend_from_slice(&peer.0.to_be_bytes());
    key.extend(number.into_iter().flat_map(u64::to_be_bytes));
    key
}

fn encode(change: &RefusedChange) -> Vec<u8> {
    let mut note = Vec::new();
    put_unsigned(&mut note, change.number);
    note.extend_from_slice(change.dot.replica.as_bytes());
    put_unsigned(&mut note, change.dot.counter);
    put_refusal(&mut note, &change.refusal);
    put_unsigned(&mut note, change.documents.len() as u64);
    for address in &change.documents {
        put_bytes(&mut note, address.collection.as_bytes());
        note.extend_from_slice(address.id.as_bytes());
    }
    note
}

fn decode(note: &[u8]) -> Result<RefusedChange, DecodeError> {
    let mut reader = Reader::new(note);
    let number = reader.unsigned("a refusal")?;
    let replica = ReplicaId::from_bytes(reader.array("a refusal")?);
    let dot = Dot::new(replica, reader.unsigned("a refusal")?);
    let refusal = read_refusal(&mut reader)?;
    let mut documents = Vec::new();
    for _ in 0..reader.count("refused documents")? {
        let collection = Name::from(reader.text("a collection name", usize::MAX)?);
        documents.push(Address { collection, id: DocumentId::from_bytes(reader.array("a document id")?) });
    }
    reader.finish()?;
    Ok(RefusedChange { number, dot, refusal, documents })
}

pub(super) fn damaged(error: DecodeError) -> StoreError {
    StoreError::Corrupt { detail: alloc::format!("a note of a refusal: {error}") }
}
