//! What this replica had counted when a run began, and when a peer that keeps what it gets had all of it last: needed if it
//! turns out that the history forked there, because a counter's cell is one total for all that its writer ever counted.
//!
//! Notes, per run and counter that was counted in it: under `total`, a zero byte, the number of the run (8), 0 for its
//! start or 1 for the last time since then that everything had been acknowledged, *bytes* of the
//! collection, the document's id (16), the names of the path, each as *bytes*: nothing, or time (8), epoch (4), *unsigned*
//! counter, p and m of the own tally at the start of the run.

use alloc::vec::Vec;

use super::refuse::damaged;
use super::runs::{Fork, Runs};
use crate::cells::Tally;
use crate::codec::{DecodeError, Reader, put_bytes, put_unsigned};
use crate::document::{Address, CellRef, Document, Path};
use crate::store::{Store, StoreError};
use crate::{Change, Dot, Hlc, Name, ReplicaId, Stamp};

const PREFIX: &[u8] = b"total\0";

/// Before a commit: keeps the totals of counters that are counted for the first time in this run, or since a durable peer had
/// everything. `own` is the dot of the cells that are written, `kept` is how many own transactions it had.
pub(super) fn keep<S: Store>(
    store: &mut S,
    own: Dot,
    kept: u64,
    address: &Address,
    before: &Document,
    after: &Document,
) -> Result<(), StoreError> {
    let mut counted: Vec<Path> = Vec::new();
    after.visit(&mut |path, cell| {
        if matches!(cell, CellRef::Tally(_, tally) if tally.by.dot() == own) {
            counted.push(path.clone());
        }
    });
    if counted.is_empty() {
        return Ok(());
    }
    let runs = Runs::of(store)?;
    let Some(began) = runs.began() else { return Ok(()) };
    for path in counted {
        let total = own_tally(before, &path, own.replica);
        if total.is_none_or(|total| total.by.counter <= began) {
            put(store, (runs.present(), false), address, &path, total)?;
        } else if total.is_some_and(|total| total.by.counter <= kept) {
            put(store, (runs.present(), true), address, &path, total)?;
        }
    }
    Ok(())
}

/// Notes a total of the start of a run, or of a later moment of it.
pub(super) fn put<S: Store>(
    store: &mut S,
    run: (u64, bool),
    address: &Address,
    path: &[Name],
    total: Option<&Tally>,
) -> Result<(), StoreError> {
    let mut note = Vec::new();
    if let Some(Tally { by: Change { stamp, counter }, p, m }) = total {
        note.extend_from_slice(&stamp.hlc.to_bits().to_be_bytes());
        note.extend_from_slice(&stamp.epoch.to_be_bytes());
        for number in [counter, p, m] {
            put_unsigned(&mut note, *number);
        }
    }
    store.set_note(&key(run, address, path), Some(&note))
}

fn own_tally<'d>(document: &'d Document, path: &[Name], own: ReplicaId) -> Option<&'d Tally> {
    let (name, enclosing) = path.split_last()?;
    document.root().descend(enclosing)?.field(name)?.counter()?.tallies.get(&own)
}

/// What a counter's own tally was when a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Total {
    /// This; `None` when it had never been counted.
    Was(Option<Tally>),
    /// It was not kept.
    Unknown,
}

/// What was kept of a counter where the history forked: the first note since then says it.
pub(super) fn at<S: Store>(
    store: &mut S,
    fork: Fork,
    own: ReplicaId,
    address: &Address,
    path: &[Name],
) -> Result<Total, StoreError> {
    for run in fork.run..=Runs::of(store)?.present() {
        // Within a run, the later moment is the one that counts.
        for within in [true, false] {
            if within && (run > fork.run || !fork.within) {
                continue;
            }
            if let Some(note) = store.note(&key((run, within), address, path))? {
                let total = decode(&note, own).map_err(damaged)?;
                let known = total.is_none_or(|total| total.by.counter <= fork.counter);
                return Ok(if known { Total::Was(total) } else { Total::Unknown });
            }
        }
    }
    Ok(Total::Unknown)
}

/// Forgets what was kept for the runs before one.
pub(super) fn forget<S: Store>(store: &mut S, before: u64) -> Result<(), StoreError> {
    let end = [PREFIX, &before.to_be_bytes()].concat();
    while let Some((key, _)) = store.notes_after(PREFIX, &[], 1)?.pop() {
        if key[..] >= end[..] && before < u64::MAX {
            break;
        }
        store.set_note(&key, None)?;
    }
    Ok(())
}

fn decode(note: &[u8], own: ReplicaId) -> Result<Option<Tally>, DecodeError> {
    if note.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader::new(note);
    let hlc = Hlc::from_bits(u64::from_be_bytes(reader.array("a total")?));
    let epoch = u32::from_be_bytes(reader.array("a total")?);
    let counter = reader.unsigned("a total")?;
    let (p, m) = (reader.unsigned("a total")?, reader.unsigned("a total")?);
    reader.finish()?;
    Ok(Some(Tally { by: Change { stamp: Stamp { epoch, hlc, replica: own }, counter }, p, m }))
}

fn key((run, within): (u64, bool), address: &Address, path: &[Name]) -> Vec<u8> {
    let mut key = PREFIX.to_vec();
    key.extend_from_slice(&run.to_be_bytes());
    key.push(within.into());
    put_bytes(&mut key, address.collection.as_bytes());
    key.extend_from_slice(address.id.as_bytes());
    for name in path {
        put_bytes(&mut key, name.as_bytes());
    }
    key
}
