//! Being refused: the change is taken out of the state, and kept for the app to decide.
//!
//! Notes, per change: under `rejected`, a zero byte, the replica and the counter, who refused it and why; under the same
//! with a number from 1 on behind it, the documents as they were, in batches.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::apply::{Applied, ApplyError, check_session, staged};
use super::beyond::any_beyond;
use super::merge::Merge;
use super::refuse::damaged;
use super::scoped::Subscription;
use super::{Replica, scoped, shown_instead, transact, undo};
use crate::codec::{DecodeError, Dictionary, Reader, decode_batch, encode_batch, put_refusal, read_refusal};
use crate::document::{Address, Document};
use crate::event::Origin;
use crate::limits::Limits;
use crate::refusal::{Refusal, Rejected};
use crate::small_map::{SmallMap, SmallSet};
use crate::store::{Access, Durability, Life, Note, Store, StoreError};
use crate::{Change, Dot, ReplicaId};

/// About how much of the documents goes into one note.
const NOTE_WEIGHT: usize = 64 << 10;

/// What a peer refused, and what it holds instead.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    /// The peer.
    pub peer: Life,
    /// The number that the session began with; 0 for none.
    pub session: u64,
    /// Under which id it writes.
    pub replica: ReplicaId,
    /// The changes, and why.
    pub refused: BTreeMap<Dot, Refusal>,
    /// The documents that they changed with the peer's cells, if any, beside those that were staged.
    pub documents: Vec<(Address, Document)>,
}

impl<S: Store> Replica<S> {
    /// Takes refused changes out of the state, keeps them as [`Rejected`], and merges what the peer holds instead: in one
    /// durable transaction, or not at all. What other replicas took of the changes meanwhile stays there.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is changed.
    pub fn withdraw(&mut self, withdrawal: Withdrawal) -> Result<Applied, ApplyError> {
        let horizon = self.horizon();
        let Self { store, collections, limits, events, .. } = self;
        let (applied, event) = transact(store, Access::Write, Durability::Durable, |store| {
            if store.staged(withdrawal.peer, 0)?.is_some() {
                check_session(store, withdrawal.peer, withdrawal.session)?;
            }
            let mut head = store.head()?;
            let (before, own, latest) = (head.sequence, head.replica, head.hlc);
            let last = Dot::new(own, head.counter);
            let mut merge = Merge::new(&mut head, collections, events.is_some(), horizon);
            let mut instead: SmallMap<Address, Document> = SmallMap::new();
            let mut index = 0;
            while let Some(documents) = staged(store, withdrawal.peer, index, limits)? {
                if any_beyond(last, &documents) {
                    return Err(ApplyError::Forked);
                }
                collect(&mut instead, documents);
                index += 1;
            }
            if index > 0 {
                store.clear_staged(withdrawal.peer)?;
            }
            if any_beyond(last, &withdrawal.documents) {
                return Err(ApplyError::Forked);
            }
            collect(&mut instead, withdrawal.documents);
            // The peer has not taken what is restored; it belongs to earlier steps, which the peer has yet to ask for.
            let undone = undo::withdraw(store, &withdrawal.refused)?;
            let mut restored = undone.restored;
            for (address, _) in restored.iter() {
                instead.or_default(address);
            }

            let scope = Subscription::read(store)?.scope;
            let mut kept: SmallMap<Dot, Vec<(Address, Arc<Document>)>> = SmallMap::new();
            for (address, delta) in instead {
                let state = store.document(&address)?.unwrap_or_default();
                let mut dots = SmallSet::new();
                let mut seek = |document: &Document| {
                    document.visit(&mut |_, cell| {
                        let dot = cell.set_by().dot();
                        if withdrawal.refused.contains_key(&dot) {
                            dots.insert(dot, ());
                        }
                    });
                };
                seek(&state);
                // What is shown in place of something parked is in no state.
                if let Some(shown) = shown_instead(store, &address, &state)? {
                    seek(&shown);
                }
                for (dot, ()) in dots.iter() {
                    kept.or_default(dot).push((address.clone(), state.clone()));
                }
                // It may not have been here, or not any more.
                scoped::written(store, &scope, &address)?;
                // What stood there when it was replaced, at the latest by our own clock, was shown: it is shown again, also
                // where a clock that was set back meanwhile would take it for something from the future.
                let again = restored.remove(&address).unwrap_or_default();
                let was_shown = |change: &Change| change.stamp.hlc <= latest;
                let shown = again.filter(&mut |change| was_shown(change));
                merge.admitting(|merge| merge.replace(store, &address, state, &dots, shown))?;
                let delta = delta.merged(again.filter(&mut |change| !was_shown(change)));
                if !delta.is_empty() {
                    let state = store.document(&address)?.unwrap_or_default();
                    merge.document(store, &address, state, delta)?;
                }
            }
            for (dot, documents) in undone.overwritten {
                // What a later change has replaced is in no document any more.
                let of_change = kept.or_default(&dot);
                for (address, cells) in documents {
                    match of_change.iter_mut().find(|(known, _)| *known == address) {
                        Some((_, document)) => *document = Arc::new((**document).clone().merged(cells)),
                        None => of_change.push((address, Arc::new(cells))),
                    }
                }
            }
            for (dot, refusal) in &withdrawal.refused {
                let documents = kept.remove(dot).unwrap_or_default();
                // Heard of before, and nothing of it is here any more: what was kept then says it all.
                if !documents.is_empty() || store.note(&key(*dot, None))?.is_none() {
                    keep(store, *dot, withdrawal.replica, refusal, &documents)?;
                }
                if dot.replica != own {
                    store.set_note(&unsure_key(dot.replica), Some(&[]))?;
                }
            }
            let cells = merge.cells;
            let event = merge.finish(store, Origin::Peer(withdrawal.replica))?;
            store.set_head(&head)?;
            let sequence = (head.sequence > before).then_some(head.sequence);
            Ok::<_, ApplyError>((Applied { sequence, cells, ..Applied::default() }, event))
        })?;
        if let Some(events) = events {
            events.add(event);
        }
        Ok(applied)
    }

    /// From now on a server decides what counts: commits keep what they replace, until it has taken them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn follow(&mut self) -> Result<(), StoreError> {
        if self.head()?.follows {
            return Ok(());
        }
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            let mut head = store.head()?;
            head.follows = true;
            store.set_head(&head)
        })
    }

    /// The same, and says which store the server's is: what comes from there was decided, and need not be taken back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn follow_server(&mut self, life: Life) -> Result<(), StoreError> {
        self.follow()?;
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            store.set_note(SERVER, Some(&life.0.to_be_bytes()))
        })
    }

    /// The server has applied everything up to a position of our change order, and told of all that it refused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn confirmed(&mut self, sequence: u64) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| undo::confirm(store, sequence))
    }

    /// What has to go along when the state is carried to another store that goes on from it: refused changes, and what it
    /// takes to take one back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn carried(&mut self) -> Result<Vec<Note>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let mut notes = store.notes_after(PREFIX, &[], usize::MAX)?;
            notes.extend(undo::all(store)?);
            Ok(notes)
        })
    }

    /// Takes over what came along with a state, all or nothing. Twice is harmless.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for anything that [`Replica::carried`] does not give; nothing is changed.
    pub fn carry(&mut self, notes: &[Note]) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Durable, |store| {
            for (key, note) in notes {
                let Some(rest) = key.strip_prefix(PREFIX) else { continue };
                let sound = match rest.len() {
                    DOT_BYTES => read_header(rest, note).is_ok(),
                    _ => rest.len() == DOT_BYTES + 4 && read_part(note).is_ok(),
                };
                if !sound {
                    return Err(damaged(DecodeError::Invalid("a refused change")));
                }
                store.set_note(key, Some(note))?;
            }
            for note in notes.iter().filter(|(key, _)| !key.starts_with(PREFIX)) {
                if !undo::adopt(store, note)? {
                    return Err(damaged(DecodeError::Invalid("what a change replaced")));
                }
            }
            Ok(())
        })
    }

    /// The changes that were refused and about which the app has not decided yet, in the order of dots.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rejected(&mut self) -> Result<Vec<Rejected>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let mut last = Vec::new();
            let mut rejected: Vec<Rejected> = Vec::new();
            while let Some((key, note)) = store.notes_after(PREFIX, &last, 1)?.pop() {
                if key.len() == PREFIX.len() + DOT_BYTES {
                    rejected.push(read_header(&key[PREFIX.len()..], &note)?);
                } else if let Some(rejected) = rejected.last_mut() {
                    for (address, part) in read_part(&note)? {
                        match rejected.documents.last_mut() {
                            Some((last, document)) if *last == address => {
                                *document = core::mem::take(document).merged(part);
                            }
                            _ => rejected.documents.push((address, part)),
                        }
                    }
                }
                last = key;
            }
            Ok(rejected)
        })
    }

    /// Forgets a refused change. False when there is none of that name.
    ///
    /// # Errors
    /// [`StoreError`]; it is still there then.
    pub fn drop_rejected(&mut self, dot: Dot) -> Result<bool, StoreError> {
        transact(&mut self.store, Access::Write, Durability::Durable, |store| drop_rejected(store, dot))
    }
}

const PREFIX: &[u8] = b"rejected\0";
const DOT_BYTES: usize = 16 + 8;

fn key(dot: Dot, part: Option<u32>) -> Vec<u8> {
    let mut key = PREFIX.to_vec();
    key.extend_from_slice(dot.replica.as_bytes());
    key.extend_from_slice(&dot.counter.to_be_bytes());
    key.extend(part.into_iter().flat_map(u32::to_be_bytes));
    key
}

/// Of these replicas changes were taken out that had been seen: nothing more is vouched for of them.
const UNSURE: &[u8] = b"unsure\0";

fn unsure_key(replica: ReplicaId) -> Vec<u8> {
    [UNSURE, replica.as_bytes()].concat()
}

/// Takes out of a context what is not vouched for.
pub(super) fn vouched_for<S: Store>(store: &mut S, context: &mut Vec<Dot>) -> Result<(), StoreError> {
    if !context.is_empty() && store.head()?.follows {
        let unsure = store.notes_after(UNSURE, &[], usize::MAX)?;
        context
            .retain(|dot| !unsure.iter().any(|(key, _)| key[UNSURE.len()..] == dot.replica.as_bytes()[..]));
    }
    Ok(())
}

/// Under this key: the life of the server that decides.
const SERVER: &[u8] = b"server";

/// Whether what comes from a peer may have to be taken back: when the server is another one.
pub(super) fn may_be_refused<S: Store>(store: &mut S, follows: bool, peer: Life) -> Result<bool, StoreError> {
    Ok(follows && store.note(SERVER)?.as_deref() != Some(&peer.0.to_be_bytes()[..]))
}

fn collect(into: &mut SmallMap<Address, Document>, documents: impl IntoIterator<Item = (Address, Document)>) {
    for (address, delta) in documents {
        let present = into.remove(&address).unwrap_or_default();
        into.insert(address, present.merged(delta));
    }
}

fn keep<S: Store>(
    store: &mut S,
    dot: Dot,
    by: ReplicaId,
    refusal: &Refusal,
    documents: &[(Address, Arc<Document>)],
) -> Result<(), StoreError> {
    // Refused before and brought back by someone who still had it: what was kept then stays.
    let mut kept: SmallMap<Address, Document> = SmallMap::new();
    while let Some((part, note)) = store.notes_after(&key(dot, None), &key(dot, None), 1)?.pop() {
        collect(&mut kept, read_part(&note)?);
        store.set_note(&part, None)?;
    }
    collect(&mut kept, documents.iter().map(|(address, document)| (address.clone(), (**document).clone())));
    let mut header = by.as_bytes().to_vec();
    put_refusal(&mut header, refusal);
    store.set_note(&key(dot, None), Some(&header))?;
    let mut number = 0;
    for (address, document) in kept {
        for part in document.split(NOTE_WEIGHT) {
            let mut note = Vec::new();
            encode_batch(&mut note, &mut Dictionary::new(), [(&address, &part)]);
            number += 1;
            store.set_note(&key(dot, Some(number)), Some(&note))?;
        }
    }
    Ok(())
}

fn read_part(note: &[u8]) -> Result<Vec<(Address, Document)>, StoreError> {
    let batch = decode_batch(&mut Reader::new(note), &mut Dictionary::new(), &Limits::DEFAULT);
    batch.map_err(damaged)
}

fn read_header(dot: &[u8], note: &[u8]) -> Result<Rejected, StoreError> {
    let mut of_key = Reader::new(dot);
    let replica = ReplicaId::from_bytes(of_key.array("a replica id").map_err(damaged)?);
    let counter = u64::from_be_bytes(of_key.array("a counter").map_err(damaged)?);
    let mut reader = Reader::new(note);
    let by = ReplicaId::from_bytes(reader.array("a replica id").map_err(damaged)?);
    let refusal = read_refusal(&mut reader).map_err(damaged)?;
    Ok(Rejected { dot: Dot::new(replica, counter), refusal, by, documents: Vec::new() })
}

/// Forgets a refused change, within a transaction; false when there is none of that name.
pub(crate) fn drop_rejected<S: Store + ?Sized>(store: &mut S, dot: Dot) -> Result<bool, StoreError> {
    let prefix = key(dot, None);
    let mut found = false;
    while let Some((key, _)) = store.notes_after(&prefix, &[], 1)?.pop() {
        store.set_note(&key, None)?;
        found = true;
    }
    Ok(found)
}
