//! [`Replica`]: the only writer. A local commit and a remote merge meet here and go the same way.
//!
//! ```text
//! commit(edits)   → Transaction → deltas ┐
//!                                        ├→ Merge → Store (documents, log, head, context) → ChangeEvent
//! apply(checkpoint) → decoded cells ─────┘
//! ```
//!
//! | file | subject |
//! |---|---|
//! | `mod.rs` | commit, read, the transaction guard |
//! | `merge.rs` | the one way in: merge, fingerprint, log, events |
//! | `exchange.rs` | what a session asks: windows of the change order, differences |
//! | `apply.rs` | what comes from peers: staging, checkpoints |
//! | `loading/` | the first sync, part by part |
//! | `reconcile.rs` | what a session asks without a cursor: sketches, and what one side misses of some documents |
//! | `beyond.rs` | cells in our own name that we never wrote |
//! | `refuse.rs` | changes of a peer that are not taken |
//! | `reject.rs` | own changes that were not taken |
//! | `scoped.rs` | the part of the namespace that is held, and letting go of the rest |
//! | `undo.rs` | what it takes to take an own change back |
//! | `park.rs` | cells that are part of the state and not of what is shown |
//! | `clocks.rs` | what time it is, and what is shown when it comes |
//! | `offsets.rs` | whose clock is wrong |
//! | `repair.rs` | what a wrong clock spoiled is written again |
//! | `runs.rs`, `totals.rs` | finding out that the history forked, and where; what had been counted there |
//! | `heal.rs`, `renewals.rs` | going on under another id after that |
//! | `contact.rs`, `marks.rs`, `status.rs` | how the sessions with peers went, and how far everybody is |

mod apply;
mod beyond;
mod clocks;
mod contact;
mod exchange;
mod heal;
mod loading;
mod marks;
mod merge;
mod offsets;
mod park;
mod reconcile;
mod refuse;
mod reject;
mod renewals;
mod repair;
mod runs;
mod scoped;
mod status;
mod totals;
mod undo;

pub use apply::{Applied, ApplyError, Arrival, Checkpoint, Judgement, RunPart};
pub use clocks::{ParkReason, ParkedChange};
pub use contact::{Acknowledged, Meeting, Roots, SessionEnd};
pub use exchange::{Acquaintance, Difference, Position, Refusals, Window};
pub use loading::{FirstSync, Loading, Part, Progress, Scanned, Serves};
pub use offsets::{ClockStatus, ClockVerdict, PeerClock};
pub(crate) use park::shown;
pub use park::shown_instead;
pub use reconcile::{Holding, Sums};
pub use reject::Withdrawal;
pub(crate) use reject::drop_rejected;
pub use renewals::{Renewal, Spare};
pub use repair::{Repair, RepairError};
pub use runs::{Fork, Memory, Trail};
pub(crate) use scoped::counted;
pub use scoped::{Asked, SubscribeError, Subscription};
pub use status::{PeerState, PeerStatus, ReplicaStatus};

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::codec::{Dictionary, encode_batch};
use crate::document::{Address, Document, DocumentId, DocumentView};
use crate::event::{ChangeEvent, Events, Origin};
use crate::limits::Limits;
use crate::schema::Collections;
use crate::small_map::SmallMap;
use crate::store::{Access, Durability, Head, Life, PeerRecord, Store, StoreError};
use crate::transaction::{Outcome, Transaction, Written};
use crate::{Change, Clock, ClockError, Collection, Dot, Hlc, Name, ReplicaId, VersionVector};
use clocks::Time;
use merge::Merge;

/// A replica of a namespace over any [`Store`].
///
/// It reads no clock and draws no random numbers: the time comes in with each commit, ids with the store.
///
/// ```
/// use crdt_core::{Collection, DocumentId, Durability, FieldType, Head, Life, MemoryStore, Namespace, Replica, ReplicaId};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let head = Head::new(Namespace::from_secret("team 42"), ReplicaId::from_u64(1), Life(1));
/// let mut replica = Replica::new(MemoryStore::new(head));
/// replica.declare(Collection::new("tasks").field("votes", FieldType::Counter));
///
/// let id = DocumentId::from_u64(1);
/// replica.commit(1_700_000_000_000, Durability::Visible, |tx| {
///     let mut task = tx.document("tasks", id)?;
///     task.set("title", "Buy milk")?;
///     task.increment("votes", 2)?;
///     Ok::<_, crdt_core::TransactionError>(())
/// })?;
/// assert_eq!(replica.read("tasks", id)?.counter("votes"), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Replica<S> {
    store: S,
    collections: Collections,
    limits: Limits,
    /// What happened since the last [`Replica::take_events`]; `None` while nobody asks.
    events: Option<Events>,
    /// `None` for a replica that asks nobody for the time, and parks nothing.
    time: Option<Time>,
    /// The run that has begun, until it is written down.
    run: Option<u64>,
    /// No run has begun that is not durable: peers may be told of what is there.
    run_is_durable: bool,
    /// The first own transaction that came in with other content, if that is why something was not applied.
    twice: Option<u64>,
    /// The peers with whom a session is open here.
    present: SmallMap<Life, contact::Present>,
    /// Own transactions that a durable peer has acknowledged to this process.
    kept: u64,
    /// When the time of a commit was marked last.
    marked_ms: Option<u64>,
}

/// A commit that took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the closure returned.
    pub value: T,
    /// The transaction's name; `None` when it changed nothing, and so wrote nothing.
    pub dot: Option<Dot>,
    /// How sure it is.
    pub durability: Durability,
}

/// What a transaction comes to.
struct Plan<T> {
    value: T,
    change: Change,
    /// What the clock says afterwards.
    clock: Hlc,
    written: Vec<Written>,
}

/// A commit that did not take effect. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<E> {
    /// The closure returned an error.
    #[error("the transaction was not committed: {0}")]
    Aborted(E),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See there.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

impl<S: Store> Replica<S> {
    /// A replica of what the store holds.
    pub fn new(store: S) -> Self {
        Self {
            store,
            collections: Collections::default(),
            limits: Limits::DEFAULT,
            events: None,
            time: None,
            run: None,
            run_is_durable: true,
            twice: None,
            present: SmallMap::new(),
            kept: 0,
            marked_ms: None,
        }
    }

    /// Declares a collection, or declares it anew. Stored state does not change.
    pub fn declare(&mut self, collection: Collection) {
        self.collections.declare(collection);
    }

    /// The limits of the namespace.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The store, for what only it can do.
    pub const fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Ends the replica and gives its store back.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The head as it is now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn head(&mut self) -> Result<Head, StoreError> {
        self.store.present_head()
    }

    /// Commits what the closure edits, all or nothing, as one dot. A closure that fails or panics leaves no trace.
    ///
    /// # Errors
    /// [`CommitError::Aborted`] with the closure's error; nothing is changed then, nor in any other case.
    pub fn commit<T, E>(
        &mut self,
        now_ms: u64,
        durability: Durability,
        edit: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<Committed<T>, CommitError<E>> {
        self.tick(now_ms)?;
        let horizon = self.horizon();
        let now_ms = horizon.map_or(now_ms, |horizon| horizon.now_ms);
        self.write(durability, now_ms, |store, collections, limits, head| {
            let mut clock = Clock::restore(head.replica, head.counter, head.hlc);
            let began = clock.tick(now_ms)?;
            let latest = horizon.map_or(Hlc::MAX, |horizon| horizon.bound.latest(began.stamp.hlc));
            let was_partial = scoped::was_partial(store, &mut None)?;
            let mut transaction = Transaction::new(store, collections, limits, began, latest, was_partial);
            let value = edit(&mut transaction).map_err(CommitError::Aborted)?;
            let (change, written) = transaction.finish()?;
            // A stamp that had to follow others beyond the bound is this transaction's alone.
            let clock = if change.stamp.hlc <= latest { change.stamp.hlc } else { began.stamp.hlc };
            Ok(Plan { value, change, clock, written })
        })
    }

    /// Writes what `plan` says, as one transaction, or nothing if that is nothing.
    fn write<T, E: From<StoreError>>(
        &mut self,
        durability: Durability,
        now_ms: u64,
        plan: impl FnOnce(&mut S, &Collections, &Limits, &Head) -> Result<Plan<T>, E>,
    ) -> Result<Committed<T>, E> {
        let Self { store, collections, limits, events, run, kept, marked_ms, .. } = self;
        let marks = marked_ms.is_none_or(|last| now_ms.abs_diff(last) >= marks::APART_MS);
        let write = |store: &mut S| -> Result<_, E> {
            let mut head = store.head()?;
            let Plan { value, change, clock, written } = plan(store, collections, limits, &head)?;
            if written.is_empty() {
                return Ok((Committed { value, dot: None, durability }, None));
            }
            if let Some(run) = *run {
                runs::enter(store, &head, run)?;
            }
            (head.counter, head.hlc) = (change.counter, clock);
            let follows = head.follows;
            let mut merge = Merge::new(&mut head, collections, events.is_some(), None);
            if follows {
                merge.keep_replaced();
            }
            let ours = Subscription::read(store)?;
            let partial = (ours.generation > 0).then_some(ours.scope);
            for Written { address, before, outcome, is_restored } in written {
                if is_restored {
                    merge.document(store, &address, Arc::default(), Document::new())?;
                }
                if let Some(scope) = &partial {
                    scoped::written(store, scope, &address)?;
                }
                match outcome {
                    Outcome::Edited(after) => {
                        totals::keep(store, change.dot(), *kept, &address, &before, &after)?;
                        merge.edited(store, &address, &before, after, change.dot())?;
                    }
                    Outcome::Delta { delta, shows } => {
                        totals::keep(store, change.dot(), *kept, &address, &before, &delta)?;
                        let shown = merge.document(store, &address, before, delta)?;
                        debug_assert!(
                            shows.is_none_or(|shows| shows == *shown),
                            "what a local write shows is the merge of its delta"
                        );
                    }
                }
            }
            if merge.is_empty() {
                // All of it lost against what is parked. The dot is taken all the same, and peers have to hear of it.
                merge.append(store)?;
            }
            let replaced = merge.take_replaced();
            let event = merge.finish(store, Origin::Local(change.dot()))?;
            undo::keep(store, head.sequence, &replaced)?;
            if marks {
                marks::set(store, head.sequence, now_ms)?;
            }
            store.set_head(&head)?;
            Ok((Committed { value, dot: Some(change.dot()), durability }, event))
        };
        let (committed, event) = transact(store, Access::Write, durability, write)?;
        if committed.dot.is_some() {
            *run = None;
            if marks {
                *marked_ms = Some(now_ms);
            }
        }
        if let Some(events) = events {
            events.add(event);
        }
        Ok(committed)
    }

    /// Reads a document; [`DocumentView::exists`] tells whether it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&mut self, collection: impl Into<Name>, id: DocumentId) -> Result<DocumentView, StoreError> {
        let address = Address { collection: collection.into(), id };
        let (found, parked) = transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let state = store.document(&address)?.unwrap_or_default();
            let (shown, parked) = park::shown(store, &address, &state)?;
            Ok::<_, StoreError>((shown, parked.map(|parked| (state, parked))))
        })?;
        let view = DocumentView::new(found, self.collections.get_shared(&address.collection));
        Ok(self.withholding(view, parked))
    }

    /// Reads a state that is kept elsewhere as a document of a collection.
    pub fn view(&self, collection: &Name, state: Document) -> DocumentView {
        DocumentView::new(Arc::new(state), self.collections.get_shared(collection))
    }

    /// The next existing documents of a collection after an id, in the order of ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(
        &mut self,
        collection: impl Into<Name>,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<(DocumentId, DocumentView)>, StoreError> {
        let name = collection.into();
        let schema = self.collections.get_shared(&name);
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let (mut found, mut after) = (Vec::new(), after);
            let anything_parked = store.has_parked()?;
            // Deleted documents are skipped, so it may take more than one look.
            while found.len() < limit {
                let next = store.collection_after(&name, after, limit - found.len())?;
                let Some((last, _)) = next.last() else { break };
                after = Some(*last);
                for (id, state) in next {
                    let mut parked = None;
                    let mut shown = state.clone();
                    if anything_parked {
                        let address = Address { collection: name.clone(), id };
                        (shown, parked) = park::shown(store, &address, &state)?;
                    }
                    let view = DocumentView::new(shown, schema.clone());
                    if view.exists() {
                        found.push((id, view, parked.map(|parked| (state, parked))));
                    }
                }
            }
            Ok(found)
        })
        .map(|found: Vec<_>| {
            let views = found.into_iter();
            views.map(|(id, view, parked)| (id, self.withholding(view, parked))).collect()
        })
    }

    /// All cells in canonical bytes: equal states give equal bytes on every platform. Linear in the size of the state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn canonical_bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let documents = store.documents_after(None, usize::MAX)?;
            let mut out = Vec::new();
            // A document of which everything was withdrawn is as if it had never been.
            let held = documents.iter().filter(|(_, document)| !document.is_empty());
            let pairs = held.map(|(address, document)| (address, &**document));
            encode_batch(&mut out, &mut Dictionary::new(), pairs);
            Ok(out)
        })
    }

    /// Everything seen, as far as the [scope](Replica::subscribe) reaches: the context and one's own transactions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn seen(&mut self) -> Result<VersionVector, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let (ours, head) = (Subscription::read(store)?, store.head()?);
            let mut context = store.context_after(ours.context_since)?;
            reject::vouched_for(store, &mut context)?;
            let mut seen: VersionVector = context.into_iter().collect();
            if head.counter > 0 && ours.vouches_for_own() {
                seen.raise(Dot::new(head.replica, head.counter));
            }
            Ok(seen)
        })
    }

    /// The last transaction of a replica that was seen with all before it; 0 for none. [`Replica::seen`] for one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn seen_of(&mut self, replica: ReplicaId) -> Result<u64, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let head = store.head()?;
            seen_of(store, &head, replica)
        })
    }

    /// Everything that is remembered of peers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn peers(&mut self) -> Result<Vec<PeerRecord>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, Store::peers)
    }

    /// Goes on under a new id and life, because the history up to here may exist twice. Nothing that was written changes
    /// its author; new writes get the new id.
    ///
    /// # Errors
    /// [`StoreError`]; the identity is the old one then.
    pub fn renew_identity(&mut self, replica: ReplicaId, life: Life) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Durable, |store| {
            let mut head = store.head()?;
            renew_identity(store, &mut head, replica, life)
        })?;
        self.start_again();
        Ok(())
    }

    /// Nothing that open sessions were told of the life that ended is told of the one that begins.
    fn start_again(&mut self) {
        self.kept = 0;
        self.present.values_mut().for_each(|present| present.contact.start_again());
    }

    /// Starts or stops collecting events.
    pub fn collect_events(&mut self, collect: bool) {
        self.events = collect.then(|| self.events.take().unwrap_or_default());
    }

    /// The events since the last call, in order. At most some thousand are kept: what happens beyond is only told of, by
    /// [`ChangeEvent::and_more`] of the last one.
    pub fn take_events(&mut self) -> Vec<ChangeEvent> {
        self.events.as_mut().map(Events::take).unwrap_or_default()
    }
}

/// See [`Replica::seen_of`].
fn seen_of<S: Store>(store: &mut S, head: &Head, replica: ReplicaId) -> Result<u64, StoreError> {
    if head.replica == replica {
        return Ok(head.counter);
    }
    let mut seen = alloc::vec![Dot::new(replica, store.context_of(replica)?)];
    reject::vouched_for(store, &mut seen)?;
    Ok(seen.first().map_or(0, |dot| dot.counter))
}

/// Goes on under a new id and life, within a transaction; see [`Replica::renew_identity`].
///
/// # Errors
/// [`StoreError`].
pub fn renew_identity<S: Store>(
    store: &mut S,
    head: &mut Head,
    replica: ReplicaId,
    life: Life,
) -> Result<(), StoreError> {
    let mut ours = Subscription::read(store)?;
    if head.counter > 0 && ours.vouches_for_own() {
        // What was one's own is now something seen, at a position of its own, so that peers hear of it.
        head.sequence += 1;
        store.raise_context(Dot::new(head.replica, head.counter), head.sequence)?;
        store.append_log(crate::LogRecord {
            sequence: head.sequence,
            dots: Vec::new(),
            documents: Vec::new(),
        })?;
    }
    if ours.generation > 0 {
        ours.renewed(store)?;
    }
    // What peers have acknowledged is counted in the change order of the life that ends here.
    for peer in store.peers()?.into_iter().filter(|peer| peer.acked > 0) {
        store.set_peer(&PeerRecord { acked: 0, ..peer })?;
    }
    let was = head.replica;
    (head.replica, head.life, head.counter, head.offered) = (replica, life, 0, 0);
    store.set_head(head)?;
    contact::start_again(store)?;
    runs::start_again(store, head)?;
    renewals::note(store, Renewal { was, now: replica, at_ms: None, reissued: 0, miscounted: false })
}

/// Runs `work` in a transaction: committed when it succeeds, rolled back when it fails or panics.
fn transact<S: Store, T, E: From<StoreError>>(
    store: &mut S,
    access: Access,
    durability: Durability,
    work: impl FnOnce(&mut S) -> Result<T, E>,
) -> Result<T, E> {
    struct RollBack<'s, S: Store>(&'s mut S);

    impl<S: Store> Drop for RollBack<'_, S> {
        fn drop(&mut self) {
            self.0.rollback();
        }
    }

    store.begin(access, durability)?;
    let open = RollBack(store);
    let result = work(open.0)?;
    open.0.commit()?;
    core::mem::forget(open);
    Ok(result)
}
