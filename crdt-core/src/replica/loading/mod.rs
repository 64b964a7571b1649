//! Loading: the first sync of a replica that holds nothing of others yet.
//!
//! Each part of it is merged at once, in a transaction of its own, together with how far that has come. So neither memory
//! nor a transaction grows with the database, and what is cut goes on where it stopped. The price: between the first part
//! and the end the state holds halves of transactions. Until then the replica is *loading*: it claims nothing of what
//! comes as seen, and the steps that bring it are empty in the change order, so nothing of it is passed on. At the end all
//! of it is there at once for others: whoever has a cursor before that position is given a look at every document instead.
//!
//! It ends with a checkpoint after which nothing is there in half: when each peer that sent parts has come to its own, or
//! when those that have claim everything that was loaded. What checkpoints claim until then is kept for the end.

mod books;
mod progress;

use alloc::vec::Vec;

use super::apply::{Applied, ApplyError, Arrival, check_own, check_session, scope_under};
use super::beyond::any_beyond;
use super::contact;
use super::merge::Merge;
use super::refuse::damaged;
use super::reject::may_be_refused;
use super::scoped::Subscription;
use super::{Replica, transact};
use crate::codec::Reader;
use crate::document::{Address, Document};
use crate::event::Origin;
use crate::store::{Access, Durability, Life, Store, StoreError};
use crate::{Dot, ReplicaId};

pub(super) use books::{Found, arrived, begin_anew, brought, hold, is_under_way, reached};
use books::{LOADED, State, conclude, is_new, progress};
pub use progress::{Progress, Scanned};

/// A first sync that has not come to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loading {
    /// Documents that came.
    pub documents: u64,
    /// About how many there are to come in all; 0 when the peer did not say.
    pub of: u64,
}

impl Loading {
    /// How long the rest of a first sync that was cut is waited for when the peer that has it is not met: a week.
    pub const PATIENCE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
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
            let loads = is_under_way(store)? || is_new(store)?;
            if !loads || may_be_refused(store, head.follows, peer)? {
                return Ok(None);
            }
            let resume = progress(store, peer)?.filter(|(known, _)| *known == scope);
            Ok(Some(FirstSync { resume: resume.map(|(_, progress)| progress) }))
        })
    }

    /// Merges a part of a first sync, and notes how far it has come: in one transaction, or not at all. `None`, and
    /// nothing is changed, when the first sync has come to its end meanwhile: then the part has to wait for its checkpoint.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is changed.
    pub fn load(&mut self, part: Part, arrival: &Arrival) -> Result<Option<(Applied, Loading)>, ApplyError> {
        let horizon = self.horizon();
        let Self { store, collections, events, present, twice, .. } = self;
        let peer = part.peer;
        let loaded = transact(store, Access::Write, Durability::Visible, |store| {
            check_session(store, part.peer, part.session)?;
            let scope = scope_under(store, arrival.generation)?;
            let mut state = match State::of(store)? {
                Some(known) => known,
                None if is_new(store)? => State::new(),
                None => return Ok(None),
            };
            state.loading.of = part.of;
            let mut head = store.head()?;
            let own = Dot::new(head.replica, head.counter);
            if any_beyond(own, &part.documents) {
                return Err(ApplyError::Forked);
            }
            let mut merge = Merge::new(&mut head, collections, events.is_some(), horizon);
            for (address, delta) in part.documents.into_iter().filter(|(address, _)| scope.contains(address))
            {
                let before = store.document(&address)?.unwrap_or_default();
                state.loading.documents += u64::from(before.is_empty());
                merge.document(store, &address, before, delta)?;
            }
            check_own(store, &merge, own, twice)?;
            contact::heard(store, present.get(&peer), peer, true, &arrival.trail)?;
            let (cells, before, recalled) = (merge.cells, merge.sequence(), merge.recalled);
            state.part(store, &merge, (peer, part.scope, &part.progress))?;
            let event = merge.finish_untold(store, Origin::Peer(part.replica))?;
            store.set_head(&head)?;
            let sequence = (head.sequence > before && !recalled).then_some(head.sequence);
            let applied = Applied { sequence, cells, ..Applied::default() };
            Ok::<_, ApplyError>(Some((applied, state.loading, event)))
        })?;
        let Some((applied, loading, event)) = loaded else { return Ok(None) };
        contact::has_heard(present.get_mut(&peer), 0);
        if let Some(events) = events {
            events.add(event);
        }
        Ok(Some((applied, loading)))
    }

    /// The first sync that has begun and not come to its end, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn loading(&mut self) -> Result<Option<Loading>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            Ok(State::of(store)?.map(|state| state.loading))
        })
    }

    /// Waits no longer for the rest of a first sync, because the peer that had it is gone for good, say: what was loaded
    /// is taken as it is, halves of transactions included, and passed on from now on. False when nothing was loading.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stop_loading(&mut self) -> Result<bool, StoreError> {
        let collections = &self.collections;
        transact(&mut self.store, Access::Write, Durability::Durable, |store| {
            let loads = is_under_way(store)?;
            if loads {
                let mut head = store.head()?;
                conclude(store, &mut Merge::new(&mut head, collections, false, None))?;
                store.set_head(&head)?;
            }
            Ok(loads)
        })
    }

    /// The same, if no peer that has the rest was met for [so long](Loading::PATIENCE_MS). To be called when a session begins:
    /// so a device whose first peer is gone does not keep for itself for ever what it got.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stop_waiting(&mut self, now_ms: u64) -> Result<bool, StoreError> {
        let since_ms = now_ms.saturating_sub(Loading::PATIENCE_MS);
        let read = |store: &mut S| books::was_met(store, since_ms);
        let waits = transact(&mut self.store, Access::Read, Durability::Visible, read)?;
        if waits { Ok(false) } else { self.stop_loading() }
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
    Ok(Serves { loading: is_under_way(store)?, scan_before, generation, evictions })
}
