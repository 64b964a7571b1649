//! Loading: the first sync of a replica that holds nothing of others yet.
//!
//! Each part of it is merged at once, in a transaction of its own, together with how far that has come. So neither memory
//! nor a transaction grows with the database, and what is cut goes on where it stopped. The price: between the first part
//! and the first checkpoint the state holds halves of transactions. Until then the replica is *loading*: it claims nothing
//! of what it loads as seen, and the steps that load it are empty in the change order, so nothing of it is passed on. At
//! the checkpoint all of it is there at once for others: whoever has a cursor before that position is given a look at
//! every document instead.
//!
//! Notes: under `loading`, how many documents were loaded and of how many; under the same, a zero byte and the life of a
//! peer, how far its run has come; under `loaded`, the position before which the change order does not tell everything.

use alloc::vec::Vec;

use super::beyond::any_beyond;
use super::contact;
use super::exchange::{Applied, ApplyError, Arrival, check_own, check_session, scope_under};
use super::merge::Merge;
use super::refuse::damaged;
use super::reject::may_be_refused;
use super::scoped::Subscription;
use super::{Replica, transact};
use crate::codec::{DecodeError, Reader, put_bytes, put_unsigned};
use crate::document::{Address, Document, DocumentId};
use crate::event::Origin;
use crate::reconcile::Summary;
use crate::store::{Access, Durability, Life, Store, StoreError};
use crate::{Dot, Name, ReplicaId};

const LOADING: &[u8] = b"loading";
const LOADED: &[u8] = b"loaded";

/// Documents that a replica may hold and still be new.
const HARDLY_ANY: usize = 16;

/// How far the look at every document has come that a first sync begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// It has not begun.
    Nothing,
    /// All documents up to this one.
    Through(Address),
    /// All of them: what is left are the steps of the change order since.
    Everything,
}

/// How far a first sync has come: where the sender goes on when it was cut. It means something to this sender only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The documents that were looked at hold all that they held at this position of the sender's change order.
    pub sequence: u64,
    /// Which documents were looked at.
    pub scanned: Scanned,
}

impl Progress {
    /// Where a first sync begins.
    pub const fn start(sequence: u64) -> Self {
        Self { sequence, scanned: Scanned::Nothing }
    }

    /// Appends its bytes.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.sequence);
        match &self.scanned {
            Scanned::Nothing => out.push(0),
            Scanned::Through(address) => {
                out.push(1);
                put_bytes(out, address.collection.as_bytes());
                out.extend_from_slice(address.id.as_bytes());
            }
            Scanned::Everything => out.push(2),
        }
    }

    /// Reads its bytes; a collection's name may have so many.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>, name_bytes: usize) -> Result<Self, DecodeError> {
        let sequence = reader.unsigned("a position")?;
        let scanned = match reader.byte("what was scanned")? {
            0 => Scanned::Nothing,
            1 => {
                let collection = Name::from(reader.text("a collection name", name_bytes)?);
                let id = DocumentId::from_bytes(reader.array("a document id")?);
                Scanned::Through(Address { collection, id })
            }
            2 => Scanned::Everything,
            tag => return Err(DecodeError::UnknownTag { what: "what was scanned", tag: tag.into() }),
        };
        Ok(Self { sequence, scanned })
    }
}

/// A first sync that has not come to its first checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loading {
    /// Documents that came.
    pub documents: u64,
    /// About how many there are to come in all; 0 when the peer did not say.
    pub of: u64,
}

/// What a replica that has yet to load says when it asks a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSync {
    /// Where it stopped when it was cut.
    pub resume: Option<Progress>,
}

/// A part of a first sync.
#[derive(Clone, Debug)]
pub struct Part {
    /// Whose.
    pub peer: Life,
    /// Under which id it writes.
    pub replica: ReplicaId,
    /// What the peer lets us read, as it numbers it.
    pub scope: u64,
    /// The number that the session [began](Replica::begin_session) with.
    pub session: u64,
    /// How far the run has come with this part.
    pub progress: Progress,
    /// About how many documents there are to come in all; 0 when the peer did not say.
    pub of: u64,
    /// The cells.
    pub documents: Vec<(Address, Document)>,
}

/// What a replica has to serve to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serves {
    /// It is loading: nothing but its change order, and no root.
    pub loading: bool,
    /// A cursor before this position does not tell what its holder has: it has to be given a look at every document.
    pub scan_before: u64,
    /// Which [`Subscription`](super::Subscription) this was under.
    pub generation: u64,
    /// Counts the transactions that evicted something: a step of the change order may have lost documents then.
    pub evictions: u64,
}

impl<S: Store> Replica<S> {
    /// What to ask a peer for on whose change order there is no cursor; `None` when it is not a first sync: the replica
    /// holds something of others, or follows a server and the peer is another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn first_sync(&mut self, peer: Life, scope: u64) -> Result<Option<FirstSync>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let head = store.head()?;
            let loads = state(store)?.is_some() || is_new(store)?;
            if !loads || may_be_refused(store, head.follows, peer)? {
                return Ok(None);
            }
            let resume = progress(store, peer)?.filter(|(known, _)| *known == scope);
            Ok(Some(FirstSync { resume: resume.map(|(_, progress)| progress) }))
        })
    }

    /// Merges a part of a first sync, and notes how far it has come: in one transaction, or not at all. `None`, and
    /// nothing is changed, when the replica came to a checkpoint meanwhile: then the part has to wait for its own.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is changed.
    pub fn load(&mut self, part: Part, arrival: &Arrival) -> Result<Option<(Applied, Loading)>, ApplyError> {
        let horizon = self.horizon();
        let Self { store, collections, events, present, twice, .. } = self;
        let (peer, mut learned) = (part.peer, None);
        let loaded = transact(store, Access::Write, Durability::Visible, |store| {
            check_session(store, part.peer, part.session)?;
            let scope = scope_under(store, arrival.generation)?;
            let known = state(store)?;
            if known.is_none() && !is_new(store)? {
                return Ok(None);
            }
            let mut loading = Loading { of: part.of, ..known.unwrap_or_default() };
            let mut head = store.head()?;
            let own = Dot::new(head.replica, head.counter);
            if any_beyond(own, &part.documents) {
                return Err(ApplyError::Forked);
            }
            let mut merge = Merge::new(&mut head, collections, events.is_some(), horizon);
            for (address, delta) in part.documents.into_iter().filter(|(address, _)| scope.contains(address))
            {
                let before = store.document(&address)?.unwrap_or_default();
                loading.documents += u64::from(before.is_empty());
                merge.document(store, &address, before, delta)?;
            }
            check_own(store, &merge, own, twice)?;
            learned = contact::heard(store, present.get(&peer), peer, true, &arrival.trail)?;
            let (cells, before, recalled) = (merge.cells, merge.sequence(), merge.recalled);
            let event = merge.finish_untold(store, Origin::Peer(part.replica))?;
            store.set_head(&head)?;
            let mut note = part.scope.to_be_bytes().to_vec();
            part.progress.put(&mut note);
            store.set_note(&progress_key(part.peer), Some(&note))?;
            set_state(store, loading)?;
            let sequence = (head.sequence > before && !recalled).then_some(head.sequence);
            Ok::<_, ApplyError>(Some((Applied { sequence, cells, ..Applied::default() }, loading, event)))
        })?;
        let Some((applied, loading, event)) = loaded else { return Ok(None) };
        contact::has_heard(present.get_mut(&peer), learned, 0);
        if let Some(events) = events {
            events.add(event);
        }
        Ok(Some((applied, loading)))
    }

    /// The first sync that has begun and not come to its checkpoint, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn loading(&mut self) -> Result<Option<Loading>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, state)
    }

    /// Waits no longer for the rest of a first sync, because the peer that had it is gone for good, say: what was loaded
    /// is taken as it is, halves of transactions included, and passed on from now on. False when nothing was loading.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stop_loading(&mut self) -> Result<bool, StoreError> {
        let collections = &self.collections;
        transact(&mut self.store, Access::Write, Durability::Durable, |store| {
            let loads = state(store)?.is_some();
            if loads {
                let mut head = store.head()?;
                conclude(store, &mut Merge::new(&mut head, collections, false, None))?;
                store.set_head(&head)?;
            }
            Ok(loads)
        })
    }

    /// About how many documents there are, deleted ones included; 0 where that is not cheap to say.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn document_estimate(&mut self) -> Result<u64, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, Store::document_estimate)
    }

    /// What there is to serve to others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn serves(&mut self) -> Result<Serves, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, serves)
    }
}

/// What there is to serve, within a transaction.
pub(super) fn serves<S: Store>(store: &mut S) -> Result<Serves, StoreError> {
    let scan_before = match store.note(LOADED)? {
        Some(note) => Reader::new(&note).unsigned("a position").map_err(damaged)?,
        None => 0,
    };
    let Subscription { generation, evictions, .. } = Subscription::read(store)?;
    Ok(Serves { loading: store.note(LOADING)?.is_some(), scan_before, generation, evictions })
}

/// A checkpoint of a peer is about to be applied. When it ends the loading, it says where in the change order, and whether
/// all that was loaded came from this peer.
pub(super) fn end<S: Store>(
    store: &mut S,
    merge: &mut Merge<'_>,
    peer: Life,
) -> Result<Option<(u64, bool)>, StoreError> {
    // A peer that has so little that it sent no part does not stand for the one that is being loaded from.
    if state(store)?.is_none() || progress(store, peer)?.is_none() {
        return Ok(None);
    }
    let alone = store.notes_after(&progress_prefix(), &[], 2)?.len() < 2;
    Ok(Some((conclude(store, merge)?, alone)))
}

/// Whether a first sync has begun and not come to its checkpoint.
pub(super) fn is_under_way<S: Store>(store: &mut S) -> Result<bool, StoreError> {
    Ok(store.note(LOADING)?.is_some())
}

fn conclude<S: Store>(store: &mut S, merge: &mut Merge<'_>) -> Result<u64, StoreError> {
    forget_progress(store)?;
    // What was loaded is not in the steps by which sums are kept.
    Summary::void(store)?;
    store.set_note(LOADING, None)?;
    merge.append(store)?;
    let mut note = Vec::new();
    put_unsigned(&mut note, merge.sequence());
    store.set_note(LOADED, Some(&note))?;
    Ok(merge.sequence())
}

/// How far runs have come, which begin anew then: what is loaded already stays.
pub(super) fn forget_progress<S: Store>(store: &mut S) -> Result<(), StoreError> {
    while let Some((key, _)) = store.notes_after(&progress_prefix(), &[], 1)?.pop() {
        store.set_note(&key, None)?;
    }
    Ok(())
}

/// Nothing of others was ever taken over, and there is hardly anything of one's own that halves of transactions could
/// show beside.
fn is_new<S: Store>(store: &mut S) -> Result<bool, StoreError> {
    Ok(store.peers()?.iter().all(|peer| peer.cursor == 0)
        && store.context()?.is_empty()
        && store.documents_after(None, HARDLY_ANY + 1)?.len() <= HARDLY_ANY)
}

fn state<S: Store>(store: &mut S) -> Result<Option<Loading>, StoreError> {
    let Some(note) = store.note(LOADING)? else { return Ok(None) };
    let mut reader = Reader::new(&note);
    let mut read = || reader.unsigned("a number of documents").map_err(damaged);
    Ok(Some(Loading { documents: read()?, of: read()? }))
}

fn set_state<S: Store>(store: &mut S, loading: Loading) -> Result<(), StoreError> {
    let mut note = Vec::new();
    put_unsigned(&mut note, loading.documents);
    put_unsigned(&mut note, loading.of);
    store.set_note(LOADING, Some(&note))
}

/// The scope and the progress of a peer's run.
fn progress<S: Store>(store: &mut S, peer: Life) -> Result<Option<(u64, Progress)>, StoreError> {
    let Some(note) = store.note(&progress_key(peer))? else { return Ok(None) };
    let mut reader = Reader::new(&note);
    let scope = u64::from_be_bytes(reader.array("a scope").map_err(damaged)?);
    Ok(Some((scope, Progress::read(&mut reader, usize::MAX).map_err(damaged)?)))
}

/// Up to which position of a peer's change order its first sync has told us something; 0 when none is under way.
pub(super) fn reached<S: Store>(store: &mut S, peer: Life) -> Result<u64, StoreError> {
    Ok(progress(store, peer)?.map_or(0, |(_, progress)| progress.sequence))
}

fn progress_prefix() -> Vec<u8> {
    [LOADING, b"\0"].concat()
}

fn progress_key(peer: Life) -> Vec<u8> {
    [LOADING, b"\0", &peer.0.to_be_bytes()].concat()
}
