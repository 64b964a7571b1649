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
//! | `exchange.rs` | what a session asks: windows of the change order, staging, checkpoints |
//! | `beyond.rs` | cells in our own name that we never wrote |
//! | `refuse.rs` | changes of a peer that are not taken |
//! | `reject.rs` | own changes that were not taken |
//! | `undo.rs` | what it takes to take an own change back |

mod beyond;
mod exchange;
mod merge;
mod refuse;
mod reject;
mod undo;

pub use exchange::{
    Applied, ApplyError, Checkpoint, Difference, Judgement, Position, Refusals, RunPart, Window,
};
pub use reject::Withdrawal;
pub(crate) use reject::drop_rejected;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::codec::{Dictionary, encode_batch};
use crate::document::{Address, Document, DocumentId, DocumentView};
use crate::event::{ChangeEvent, Origin};
use crate::limits::Limits;
use crate::schema::Collections;
use crate::store::{Access, Durability, Head, Life, PeerRecord, Store, StoreError};
use crate::transaction::Transaction;
use crate::{Clock, ClockError, Collection, Dot, Name, ReplicaId, VersionVector};
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
    events: Option<Vec<ChangeEvent>>,
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
        Self { store, collections: Collections::default(), limits: Limits::DEFAULT, events: None }
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
        transact(&mut self.store, Access::Read, Durability::Visible, Store::head)
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
        let Self { store, collections, limits, events } = self;
        let commit = |store: &mut S| -> Result<_, CommitError<E>> {
            let mut head = store.head()?;
            let mut clock = Clock::restore(head.replica, head.counter, head.hlc);
            let mut transaction = Transaction::new(store, collections, limits, clock.tick(now_ms)?);
            let value = edit(&mut transaction).map_err(CommitError::Aborted)?;
            let (change, written) = transaction.finish();
            if written.is_empty() {
                return Ok((Committed { value, dot: None, durability }, None));
            }
            clock.adopt(&change);
            (head.counter, head.hlc) = (clock.counter(), clock.hlc());
            let follows = head.follows;
            let mut merge = Merge::new(&mut head, collections, events.is_some());
            if follows {
                merge.keep_replaced();
            }
            for one in written {
                let after = merge.document(store, &one.address, one.before, one.delta)?;
                debug_assert_eq!(*after, one.after, "a local write is the merge of its delta");
            }
            let replaced = merge.take_replaced();
            let event = merge.finish(store, Origin::Local(change.dot()))?;
            undo::keep(store, head.sequence, &replaced)?;
            store.set_head(&head)?;
            Ok((Committed { value, dot: Some(change.dot()), durability }, event))
        };
        let (committed, event) = transact(store, Access::Write, durability, commit)?;
        if let (Some(events), Some(event)) = (events, event) {
            events.push(event);
        }
        Ok(committed)
    }

    /// Reads a document; [`DocumentView::exists`] tells whether it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&mut self, collection: impl Into<Name>, id: DocumentId) -> Result<DocumentView, StoreError> {
        let address = Address { collection: collection.into(), id };
        let found =
            transact(&mut self.store, Access::Read, Durability::Visible, |store| store.document(&address))?;
        Ok(DocumentView::new(found.unwrap_or_default(), self.collections.get_shared(&address.collection)))
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
            // Deleted documents are skipped, so it may take more than one look.
            while found.len() < limit {
                let next = store.collection_after(&name, after, limit - found.len())?;
                let Some((last, _)) = next.last() else { break };
                after = Some(*last);
                let views =
                    next.into_iter().map(|(id, state)| (id, DocumentView::new(state, schema.clone())));
                found.extend(views.filter(|(_, view)| view.exists()));
            }
            Ok(found)
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

    /// Everything seen: the context and one's own transactions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn seen(&mut self) -> Result<VersionVector, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let (seen, head) = (store.context()?, store.head()?);
            let mut context: Vec<Dot> = seen.iter().collect();
            reject::vouched_for(store, &mut context)?;
            let mut seen: VersionVector = context.into_iter().collect();
            if head.counter > 0 {
                seen.raise(Dot::new(head.replica, head.counter));
            }
            Ok(seen)
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
        })
    }

    /// Starts or stops collecting events.
    pub fn collect_events(&mut self, collect: bool) {
        self.events = collect.then(|| self.events.take().unwrap_or_default());
    }

    /// The events since the last call, in order.
    pub fn take_events(&mut self) -> Vec<ChangeEvent> {
        self.events.as_mut().map(core::mem::take).unwrap_or_default()
    }
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
    if head.counter > 0 {
        // What was one's own is now something seen, at a position of its own, so that peers hear of it.
        head.sequence += 1;
        store.raise_context(Dot::new(head.replica, head.counter), head.sequence)?;
        store.append_log(crate::LogRecord {
            sequence: head.sequence,
            dots: Vec::new(),
            documents: Vec::new(),
        })?;
    }
    // What peers have acknowledged is counted in the change order of the life that ends here.
    for peer in store.peers()?.into_iter().filter(|peer| peer.acked > 0) {
        store.set_peer(&PeerRecord { acked: 0, ..peer })?;
    }
    (head.replica, head.life, head.counter, head.offered) = (replica, life, 0, 0);
    store.set_head(head)
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
