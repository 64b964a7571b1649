//! Undo: what changes replaced, kept until the server has taken them.
//!
//! Cells are overwritten where they are, so a change that is taken back would leave a hole where an earlier change of the
//! same device stood that has not left it yet. A replica that follows a server therefore notes what each commit replaced,
//! and what was replaced by what it got from anybody else, which the server may refuse when it is brought there: under `undo`, a zero byte and the position in the change order, the dot and the cells, in batches of which each has a
//! note with a number from 0 on behind the position.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::merge::Replaced;
use super::refuse::damaged;
use crate::codec::{Dictionary, Reader, decode_batch, encode_batch, put_unsigned};
use crate::document::{Address, Document};
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::small_map::SmallMap;
use crate::store::{Note, Store, StoreError};
use crate::{Dot, ReplicaId};

const PREFIX: &[u8] = b"undo\0";

/// About how much goes into one note.
const NOTE_WEIGHT: usize = 64 << 10;

/// Notes what the changes of one step replaced.
pub(super) fn keep<S: Store>(store: &mut S, sequence: u64, replaced: &Replaced) -> Result<(), StoreError> {
    let mut part = 0;
    for (dot, documents) in replaced.iter() {
        part = keep_change(store, sequence, part, *dot, documents)?;
    }
    Ok(())
}

fn keep_change<S: Store>(
    store: &mut S,
    sequence: u64,
    mut part: u32,
    dot: Dot,
    replaced: &SmallMap<Address, Document>,
) -> Result<u32, StoreError> {
    let (mut batch, mut weight) = (Vec::new(), 0);
    for (address, document) in replaced.iter() {
        for piece in document.clone().split(NOTE_WEIGHT) {
            weight += piece.weight() + 20;
            batch.push((address, piece));
            if weight >= NOTE_WEIGHT {
                put(store, &key(sequence, part), dot, &batch)?;
                (part, weight) = (part + 1, 0);
                batch.clear();
            }
        }
    }
    if !batch.is_empty() {
        put(store, &key(sequence, part), dot, &batch)?;
        part += 1;
    }
    Ok(part)
}

/// What the notes say of refused changes.
#[derive(Debug, Default)]
pub(super) struct Undone {
    /// The cells that they had replaced.
    pub(super) restored: SmallMap<Address, Document>,
    /// Cells of theirs that later changes had replaced.
    pub(super) overwritten: Replaced,
}

/// Takes back what is kept of refused changes: their cells out of all notes, and what they had replaced in their place.
pub(super) fn withdraw<S: Store>(
    store: &mut S,
    refused: &BTreeMap<Dot, Refusal>,
) -> Result<Undone, StoreError> {
    let (mut undone, mut last) = (Undone::default(), Vec::new());
    while let Some((key, note)) = store.notes_after(PREFIX, &last, 1)?.pop() {
        let (dot, documents) = read(&note)?;
        let (mut kept, mut changed) = (Vec::new(), false);
        for (address, document) in documents {
            let mut left = document.select(|dot| !refused.contains_key(&dot));
            if left.cell_count() < document.cell_count() {
                document.visit(&mut |path, cell| {
                    let dot = cell.set_by().dot();
                    if refused.contains_key(&dot) {
                        let of_change = undone.overwritten.or_default(&dot);
                        of_change.or_default(&address).merge_cell(path, cell.to_owned());
                    }
                });
                // What stood before the refused change stood before this one too.
                left = left.merged(undone.restored.get(&address).cloned().unwrap_or_default());
                changed = true;
            }
            kept.push((address, left));
        }
        if refused.contains_key(&dot) {
            store.set_note(&key, None)?;
            for (address, document) in kept {
                let known = undone.restored.remove(&address).unwrap_or_default();
                undone.restored.insert(address, known.merged(document));
            }
        } else if changed {
            let batch: Vec<_> = kept.iter().map(|(address, document)| (address, document.clone())).collect();
            put(store, &key, dot, &batch)?;
        }
        last = key;
    }
    Ok(undone)
}

/// The server has decided about everything up to a position: it need not be taken back any more.
pub(super) fn confirm<S: Store>(store: &mut S, sequence: u64) -> Result<(), StoreError> {
    while let Some((key, _)) = store.notes_after(PREFIX, &[], 1)?.pop() {
        if key[..] > self::key(sequence, u32::MAX)[..] {
            break;
        }
        store.set_note(&key, None)?;
    }
    Ok(())
}

/// Says all notes anew: the changes and cells of some have another name from now on.
pub(super) fn rename<S: Store>(
    store: &mut S,
    mut name: impl FnMut(&mut S, Dot, Vec<(Address, Document)>) -> Result<Noted, StoreError>,
) -> Result<(), StoreError> {
    let mut last = Vec::new();
    while let Some((key, note)) = store.notes_after(PREFIX, &last, 1)?.pop() {
        let (dot, documents) = read(&note)?;
        let (dot, documents) = name(store, dot, documents)?;
        let batch: Vec<_> = documents.iter().map(|(address, document)| (address, document.clone())).collect();
        put(store, &key, dot, &batch)?;
        last = key;
    }
    Ok(())
}

/// All notes, to be carried to a store that goes on from this one's state.
pub(super) fn all<S: Store>(store: &mut S) -> Result<Vec<Note>, StoreError> {
    store.notes_after(PREFIX, &[], usize::MAX)
}

/// Takes over a note of another store, before all of our own: its positions mean nothing here, only the order does.
/// False when it is none.
pub(super) fn adopt<S: Store>(store: &mut S, (key, note): &Note) -> Result<bool, StoreError> {
    if !key.starts_with(PREFIX) || read(note).is_err() {
        return Ok(false);
    }
    let mut part = 0;
    while store.note(&self::key(0, part))?.is_some() {
        part += 1;
    }
    store.set_note(&self::key(0, part), Some(note))?;
    Ok(true)
}

fn key(sequence: u64, part: u32) -> Vec<u8> {
    let mut key = PREFIX.to_vec();
    key.extend_from_slice(&sequence.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

fn put<S: Store>(
    store: &mut S,
    key: &[u8],
    dot: Dot,
    batch: &[(&Address, Document)],
) -> Result<(), StoreError> {
    let mut note = dot.replica.as_bytes().to_vec();
    put_unsigned(&mut note, dot.counter);
    let documents = batch.iter().map(|(address, document)| (*address, document));
    encode_batch(&mut note, &mut Dictionary::new(), documents);
    store.set_note(key, Some(&note))
}

/// A change, and the cells that it replaced.
pub(super) type Noted = (Dot, Vec<(Address, Document)>);

fn read(note: &[u8]) -> Result<Noted, StoreError> {
    let mut reader = Reader::new(note);
    let replica = ReplicaId::from_bytes(reader.array("a replica id").map_err(damaged)?);
    let dot = Dot::new(replica, reader.unsigned("a counter").map_err(damaged)?);
    let batch = decode_batch(&mut reader, &mut Dictionary::new(), &Limits::DEFAULT).map_err(damaged)?;
    Ok((dot, batch))
}
