//! What time it is, and what is shown when it comes.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::merge::{describe, is_of_field};
use super::park::{self, Horizon, Parked};
use super::{Replica, transact};
use crate::clock::ReceiveBound;
use crate::document::{Address, Document, DocumentView, Withheld};
use crate::event::{ChangeEvent, DocumentChange, Origin};
use crate::schema::Collections;
use crate::small_map::SmallSet;
use crate::store::{Access, Durability, Note, Store, StoreError};
use crate::{Change, ReplicaId};

/// How long it may take until it is noticed that another process has parked something, or measured a clock.
const LOOK_MS: u64 = 1_000;

/// Documents that are read at once.
const PAGE: usize = 256;

/// Why something is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParkReason {
    /// The author's clock was ahead by more than the receive bound. It is shown when that time comes; or sooner when the
    /// author corrects its clock, when somebody writes to the field, or by [`Replica::repair`].
    FromTheFuture {
        /// When it is shown at the latest, in milliseconds since 1970.
        until_ms: u64,
    },
}

/// A transaction that is part of the state, passed on to everybody, and not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedChange {
    /// Its dot, its author, and the time that it claims.
    pub change: Change,
    /// Why it is not shown.
    pub reason: ParkReason,
    /// When it was parked, by our clock, in milliseconds since 1970; 0 when that is not known.
    pub since_ms: u64,
    /// Documents of which cells are hidden, at most [`ParkedChange::LISTED`].
    pub documents: Vec<Address>,
    /// There are more documents than are listed.
    pub and_more: bool,
}

impl ParkedChange {
    /// Documents that are listed of one change.
    pub const LISTED: usize = 1_000;
}

/// What a replica knows of the time.
#[derive(Debug)]
pub(super) struct Time {
    pub(super) bound: ReceiveBound,
    /// The wall clock when it was last told; `None` before.
    pub(super) wall_ms: Option<u64>,
    /// What is added to the wall clock.
    pub(super) correction_ms: i64,
    /// When the store has to be looked at again, by the wall clock.
    look_ms: u64,
}

impl Time {
    pub(super) fn corrected(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_add_signed(self.correction_ms)
    }

    fn horizon(&self) -> Option<Horizon> {
        self.wall_ms.map(|wall_ms| Horizon { now_ms: self.corrected(wall_ms), bound: self.bound })
    }

    /// When a change is admitted.
    fn until_ms(&self, change: &Change) -> u64 {
        change.stamp.hlc.ms().saturating_sub(self.bound.ahead_ms)
    }
}

impl<S: Store> Replica<S> {
    /// From now on the replica keeps the time: changes from more than `bound` ahead of it are parked until their time
    /// comes. [`Replica::tick`] tells the time; sessions and commits do so too. A replica that was never told parks nothing.
    pub fn keep_time(&mut self, bound: ReceiveBound) {
        self.time = Some(Time { bound, wall_ms: None, correction_ms: 0, look_ms: 0 });
    }

    /// Tells what the wall clock says, and shows the parked changes whose time has come. It costs next to nothing when
    /// there are none. Without [`Replica::keep_time`] it does nothing.
    ///
    /// # Errors
    /// [`StoreError`]; what could not be shown now is shown at a later call.
    pub fn tick(&mut self, wall_ms: u64) -> Result<(), StoreError> {
        let Some(time) = &mut self.time else { return Ok(()) };
        let before_ms = time.wall_ms.replace(wall_ms);
        if wall_ms < time.look_ms && before_ms.is_none_or(|before_ms| before_ms <= wall_ms) {
            return Ok(());
        }
        self.notice_setting(before_ms, wall_ms)?;
        self.look(wall_ms)
    }

    /// From when on what comes is parked.
    pub(super) fn horizon(&self) -> Option<Horizon> {
        self.time.as_ref().and_then(Time::horizon)
    }

    /// The wall clock as it was last told, with its correction; `None` for a replica that keeps no time.
    pub fn now_ms(&self) -> Option<u64> {
        self.horizon().map(|horizon| horizon.now_ms)
    }

    /// Looks at what is parked, and shows what is due.
    pub(super) fn look(&mut self, wall_ms: u64) -> Result<(), StoreError> {
        let read = |store: &mut S| {
            let first = if store.has_parked()? { park::changes_after(store, None)? } else { None };
            Ok::<_, StoreError>((super::offsets::correction(store)?, first, store.head()?.replica))
        };
        let (correction_ms, mut first, own) =
            transact(&mut self.store, Access::Read, Durability::Visible, read)?;
        let Some(time) = &mut self.time else { return Ok(()) };
        time.correction_ms = correction_ms;
        let Some(horizon) = time.horizon() else { return Ok(()) };
        if first.as_ref().is_some_and(|(change, _)| horizon.admits(change, own)) {
            self.admit(&horizon)?;
            first = transact(&mut self.store, Access::Read, Durability::Visible, |store| {
                park::changes_after(store, None)
            })?;
        }
        let Some(time) = &mut self.time else { return Ok(()) };
        let due = first.map_or(u64::MAX, |(change, _)| {
            // It is compared with the corrected clock then, so the correction is taken out here.
            let until = i128::from(time.until_ms(&change)) - i128::from(time.correction_ms);
            u64::try_from(until.max(0)).unwrap_or(u64::MAX)
        });
        time.look_ms = due.min(wall_ms.saturating_add(LOOK_MS));
        Ok(())
    }

    /// Shows what is due.
    fn admit(&mut self, horizon: &Horizon) -> Result<(), StoreError> {
        let Self { store, collections, events, .. } = self;
        let listening = events.is_some();
        let event = transact(store, Access::Write, Durability::Visible, |store| {
            let head = store.head()?;
            let mut changes = Vec::new();
            for (address, ()) in due(store, horizon, head.replica)? {
                let changed = admit_document(store, collections, &address, horizon, head.replica)?;
                changes.extend(changed.filter(|_| changes.len() <= ChangeEvent::LISTED));
            }
            let and_more = changes.len() > ChangeEvent::LISTED;
            changes.truncate(ChangeEvent::LISTED);
            let event =
                ChangeEvent { sequence: head.sequence, origin: Origin::Clock, documents: changes, and_more };
            Ok::<_, StoreError>((listening && !event.documents.is_empty()).then_some(event))
        })?;
        if let Some(events) = events {
            events.add(event);
        }
        Ok(())
    }

    /// What is parked, after a change that was listed before: the soonest first, so many at most. For each there is a
    /// choice: wait, write to the fields, or [repair](Replica::repair) it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn parked(&mut self, after: Option<&Change>, limit: usize) -> Result<Vec<ParkedChange>, StoreError> {
        let bound = self.time.as_ref().map_or(ReceiveBound::default(), |time| time.bound);
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let (mut found, mut after) = (Vec::new(), after.copied());
            while found.len() < limit {
                let Some((change, since_ms)) = park::changes_after(store, after.as_ref())? else { break };
                let mut documents = park::documents_of(store, &change, None, ParkedChange::LISTED + 1)?;
                let and_more = documents.len() > ParkedChange::LISTED;
                documents.truncate(ParkedChange::LISTED);
                let until_ms = change.stamp.hlc.ms().saturating_sub(bound.ahead_ms);
                let reason = ParkReason::FromTheFuture { until_ms };
                found.push(ParkedChange { change, reason, since_ms, documents, and_more });
                after = Some(change);
            }
            Ok(found)
        })
    }

    /// What is parked, and what is shown instead: what has to go along when the state is carried elsewhere. Of most states
    /// that is nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn carried_parked(&mut self) -> Result<Vec<Note>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, park::notes)
    }

    /// Takes over what is parked in a state that is about to be merged into this replica, which has to be empty: it goes on
    /// from there, and shows what was shown there.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for anything that [`Replica::carried_parked`] does not give; nothing is changed.
    pub fn carry_parked(&mut self, notes: &[Note]) -> Result<(), StoreError> {
        let now_ms = self.now_ms().unwrap_or(0);
        transact(&mut self.store, Access::Write, Durability::Durable, |store| {
            notes.iter().try_for_each(|note| park::adopt(store, note, now_ms))
        })
    }

    /// The values that are shown in the place of parked ones, as [`Replica::carried_parked`] tells of them: to be merged into
    /// a replica that is not empty, after the state.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn held_in(notes: &[Note]) -> Result<Vec<(Address, Document)>, StoreError> {
        let mut held = Vec::new();
        for note in notes {
            held.extend(park::held_in(note)?);
        }
        Ok(held)
    }

    /// How many changes are parked. Linear in that number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn parked_count(&mut self) -> Result<u64, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let (mut count, mut after) = (0, None);
            while let Some((change, _)) = park::changes_after(store, after.as_ref())? {
                (count, after) = (count + 1, Some(change));
            }
            Ok(count)
        })
    }

    /// Notes in a view what it does not show.
    pub(super) fn withholding(
        &self,
        view: DocumentView,
        parked: Option<(Arc<Document>, Parked)>,
    ) -> DocumentView {
        let Some((state, parked)) = parked else { return view };
        let bound = self.time.as_ref().map_or(ReceiveBound::default(), |time| time.bound);
        let mut withheld = Vec::new();
        parked.visit(&state, &mut |path, cell| {
            let by = *cell.set_by();
            let until_ms = by.stamp.hlc.ms().saturating_sub(bound.ahead_ms);
            let reason = ParkReason::FromTheFuture { until_ms };
            withheld.push(Withheld { path: path.clone(), kind: cell.kind(), by, reason });
        });
        view.with_withheld(withheld)
    }
}

/// The documents of changes that are due.
fn due<S: Store>(store: &mut S, horizon: &Horizon, own: ReplicaId) -> Result<SmallSet<Address>, StoreError> {
    let (mut addresses, mut after) = (SmallSet::new(), None);
    while let Some((change, _)) = park::changes_after(store, after.as_ref())? {
        if !horizon.admits(&change, own) {
            break;
        }
        let mut last: Option<Address> = None;
        loop {
            let page = park::documents_of(store, &change, last.as_ref(), PAGE)?;
            let Some(end) = page.last() else { break };
            last = Some(end.clone());
            for address in page {
                addresses.insert(address, ());
            }
        }
        after = Some(change);
    }
    Ok(addresses)
}

fn admit_document<S: Store>(
    store: &mut S,
    collections: &Collections,
    address: &Address,
    horizon: &Horizon,
    own: ReplicaId,
) -> Result<Option<DocumentChange>, StoreError> {
    let Some(before) = park::of(store, address)? else { return Ok(None) };
    let state = store.document(address)?.unwrap_or_default();
    let mut shown = before.shown(&state);
    let collection = collections.get(&address.collection);
    let existed = shown.is_alive(collection.deletes_win());
    let mut rest = before.clone();
    rest.admit(horizon, own);
    let mut fields = Vec::new();
    shown.merge_observed(rest.shown(&state), &mut |path, _, after| {
        if is_of_field(&after) && fields.last() != Some(path) {
            fields.push(path.clone());
        }
    });
    let after = Parked::between(&state, &shown);
    park::replace(store, (address, &state), (&before, &after), &shown, collection, horizon.now_ms)?;
    Ok(Some(describe(address, collection, existed, &shown, fields)))
}
