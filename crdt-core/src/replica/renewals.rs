//! Under which ids this store has written before, and why it does not any more.
//!
//! Note `renewals`: *unsigned* count, per renewal, the latest last: the id until then (16) and from then on (16),
//! *unsigned* time in milliseconds since 1970 (0: unknown), *unsigned* transactions that were issued again, and 1 if
//! increments may be miscounted, else 0.

use alloc::vec::Vec;

use super::refuse::damaged;
use crate::ReplicaId;
use crate::codec::{DecodeError, Reader, put_unsigned};
use crate::store::{Life, Store, StoreError};

const NOTE: &[u8] = b"renewals";

/// Renewals that are remembered.
const KEPT: usize = 8;

/// Who a replica goes on as when its history has forked: random bits from outside, used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spare {
    /// The id.
    pub replica: ReplicaId,
    /// The life.
    pub life: Life,
}

/// That a store goes on under another id: it was copied, restored or rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The id until then. What had been written before the fork keeps it.
    pub was: ReplicaId,
    /// The id from then on.
    pub now: ReplicaId,
    /// When it was noticed, in milliseconds since 1970; `None` when a file was opened at another place than before.
    pub at_ms: Option<u64>,
    /// Own transactions since the fork that were issued again.
    pub reissued: u64,
    /// Increments that had already left under the old id, or of which it is not known whether they had, may be counted
    /// twice or not at all.
    pub miscounted: bool,
}

pub(super) fn all<S: Store>(store: &mut S) -> Result<Vec<Renewal>, StoreError> {
    let Some(note) = store.note(NOTE)? else { return Ok(Vec::new()) };
    decode(&note).map_err(damaged)
}

fn decode(note: &[u8]) -> Result<Vec<Renewal>, DecodeError> {
    let mut reader = Reader::new(note);
    let mut renewals = Vec::new();
    for _ in 0..reader.count("renewals")? {
        let was = ReplicaId::from_bytes(reader.array("a renewal")?);
        let now = ReplicaId::from_bytes(reader.array("a renewal")?);
        let at_ms = Some(reader.unsigned("a renewal")?).filter(|at_ms| *at_ms > 0);
        let reissued = reader.unsigned("a renewal")?;
        renewals.push(Renewal { was, now, at_ms, reissued, miscounted: reader.byte("a renewal")? == 1 });
    }
    reader.finish()?;
    Ok(renewals)
}

/// Notes one more.
pub(super) fn note<S: Store>(store: &mut S, renewal: Renewal) -> Result<(), StoreError> {
    let mut renewals = all(store)?;
    renewals.push(renewal);
    let old = renewals.len().saturating_sub(KEPT);
    // A warning does not expire with the renewal that it belongs to.
    let warned = renewals.drain(..old).any(|renewal| renewal.miscounted);
    renewals[0].miscounted |= warned;
    let mut note = Vec::new();
    put_unsigned(&mut note, renewals.len() as u64);
    for Renewal { was, now, at_ms, reissued, miscounted } in renewals {
        note.extend_from_slice(was.as_bytes());
        note.extend_from_slice(now.as_bytes());
        put_unsigned(&mut note, at_ms.unwrap_or(0));
        put_unsigned(&mut note, reissued);
        note.push(miscounted.into());
    }
    store.set_note(NOTE, Some(&note))
}
