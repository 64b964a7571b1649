//! What a session asks of a replica before and while it sends: windows of its change order, differences, refusals.

use alloc::vec::Vec;

use super::loading::{self, Serves};
use super::refuse;
use super::reject::vouched_for;
use super::runs::{self, Memory};
use super::scoped::{self, Asked, Subscription};
use super::{Replica, transact};
use crate::document::{Address, Document};
use crate::refusal::RefusedChange;
use crate::small_map::SmallSet;
use crate::store::{Access, Durability, Head, Life, PeerRecord, Store, StoreError};
use crate::{Dot, ReplicaId, VersionVector};

/// How far a reader of the change order has come: all steps up to `sequence`, and of the next one so many documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The last step that was read to its end.
    pub sequence: u64,
    /// Documents read of the step after it.
    pub documents: usize,
}

/// Some steps of the change order, read from one state.
#[derive(Clone, Debug)]
pub struct Window {
    /// The changed cells of the touched documents, in the order of addresses.
    pub documents: Vec<(Address, Document)>,
    /// Where to go on.
    pub next: Position,
    /// The head of the state that was read. The window reaches it when `next` is its sequence.
    pub head: Head,
    /// What had been seen of *other* replicas in that state, when the window reaches the head.
    pub context: Vec<Dot>,
    /// What there was to serve in that state.
    pub serves: Serves,
}

impl Window {
    /// True when nothing was left to read: the next thing to send is a checkpoint.
    pub const fn reaches_head(&self) -> bool {
        self.next.sequence >= self.head.sequence
    }
}

/// Some of the documents of which a peer misses cells.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The missed cells, in the order of addresses.
    pub documents: Vec<(Address, Document)>,
    /// Where to go on; `None` at the end.
    pub after: Option<Address>,
}

/// What a store knows of a peer when a session with it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquaintance {
    /// The head.
    pub head: Head,
    /// What is remembered of the peer.
    pub record: Option<PeerRecord>,
    /// What to ask it for.
    pub asked: Asked,
    /// The last transaction of the replica under which it writes that was seen with all before it; 0 for none.
    pub seen: u64,
    /// What the peer is told of itself, to hold against what it knows.
    pub memory: Memory,
}

/// Changes of a peer that were refused, and what is held instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// The changes, in the order of their numbers.
    pub changes: Vec<RefusedChange>,
    /// Every document that they would have changed, with the cells that the peer may read; some have none.
    pub documents: Vec<(Address, Document)>,
    /// The position of the change order in the state that was read.
    pub sequence: u64,
}

impl<S: Store> Replica<S> {
    /// Begins a session with a peer that writes under this id, and lets us read what it numbers as `rights`: forgets what was
    /// put aside for it, because it will be sent again, and ends any other session with it, so that what two of them put
    /// aside does not mix. Says what is known of the peer: all that a session asks before it says what it wants, from one
    /// state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin_session(
        &mut self,
        peer: Life,
        replica: ReplicaId,
        rights: u64,
        session: u64,
    ) -> Result<Acquaintance, StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            let (head, record) = (store.head()?, store.peer(peer)?);
            let seen = super::seen_of(store, &head, replica)?;
            let memory = runs::remembered(store, peer, record.as_ref())?;
            let asked = scoped::asked(store, record.as_ref(), rights)?;
            store.clear_staged(peer)?;
            store.set_note(&session_key(peer), Some(&session.to_be_bytes()))?;
            Ok(Acquaintance { head, record, asked, seen, memory })
        })
    }

    /// Makes sure that everything committed here is durable, and notes that it may now leave. To be called before bytes
    /// with own cells leave by any way.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing may leave.
    pub fn offer(&mut self) -> Result<(), StoreError> {
        if self.head().is_ok_and(|head| head.offered >= head.counter) {
            return Ok(());
        }
        transact(&mut self.store, Access::Write, Durability::Durable, |store| {
            let mut head = store.head()?;
            head.offered = head.offered.max(head.counter);
            store.set_head(&head)
        })
    }

    /// Makes everything durable that was applied or committed here. To be called before a position of the change order is told
    /// while a [first sync](Replica::loading) is under way, whose parts are not: if a power failure took it back, whoever
    /// was told would know of more than there is, as of a copy.
    ///
    /// # Errors
    /// [`StoreError`]; then the position may not be told.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Durable, |_| Ok(()))
    }

    /// Reads the change order from a position, until about so many documents are found.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn window(&mut self, from: Position, documents: usize) -> Result<Window, StoreError> {
        self.window_for_peer(from, documents, 0, |_| false)
    }

    /// As [`Replica::window`], without the steps that `skip` names (those that came from the very peer they would go to),
    /// and with the entries of the context that rose after `context_since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn window_for_peer(
        &mut self,
        from: Position,
        documents: usize,
        context_since: u64,
        skip: impl Fn(u64) -> bool,
    ) -> Result<Window, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let head = store.head()?;
            let mut dots = SmallSet::new();
            let mut touched = SmallSet::new();
            let mut next = from;
            'steps: while touched.len() < documents {
                let steps = store.log_after(next.sequence, 64)?;
                if steps.is_empty() {
                    next = Position { sequence: next.sequence.max(head.sequence), documents: 0 };
                    break;
                }
                for step in steps {
                    if skip(step.sequence) {
                        next = Position { sequence: step.sequence, documents: 0 };
                        continue;
                    }
                    let fresh = step.documents.get(next.documents..).unwrap_or_default();
                    let room = documents - touched.len();
                    for dot in step.dots {
                        dots.insert(dot, ());
                    }
                    for address in fresh.iter().take(room) {
                        touched.insert(address.clone(), ());
                    }
                    if fresh.len() > room {
                        next.documents += room;
                        break 'steps;
                    }
                    next = Position { sequence: step.sequence, documents: 0 };
                    if touched.len() >= documents {
                        break 'steps;
                    }
                }
            }
            let mut found = Vec::new();
            for (address, ()) in touched {
                let Some(document) = store.document(&address)? else { continue };
                let changed = document.select(|dot| dots.contains_key(&dot));
                if !changed.is_empty() {
                    found.push((address, changed));
                }
            }
            // The context is claimed with the cells that it stands for, so it has to be of the same state.
            let since = context_since.max(Subscription::read(store)?.context_since);
            let mut context =
                if next.sequence >= head.sequence { store.context_after(since)? } else { Vec::new() };
            vouched_for(store, &mut context)?;
            let serves = loading::serves(store)?;
            Ok(Window { documents: found, next, head, context, serves })
        })
    }

    /// Reads some documents, and of each the cells that a peer has not seen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn difference(
        &mut self,
        seen: &VersionVector,
        after: Option<&Address>,
        documents: usize,
    ) -> Result<Difference, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let page = store.documents_after(after, documents)?;
            let last = page.last().map(|(address, _)| address.clone());
            let missed =
                page.into_iter().map(|(address, state)| (address, state.select(|dot| !seen.contains(dot))));
            Ok(Difference {
                documents: missed.filter(|(_, missed)| !missed.is_empty()).collect(),
                after: last,
            })
        })
    }

    /// The number of the last refusal that a peer has not heard of; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_refusal(&mut self, peer: Life) -> Result<u64, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| refuse::last(store, peer))
    }

    /// The next refusals that a peer has not heard of, after a number, until they name about so many documents; and of
    /// those documents what `readable` lets it read, empty ones included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn refusals(
        &mut self,
        peer: Life,
        after: u64,
        documents: usize,
        readable: impl Fn(&Address) -> bool,
    ) -> Result<Refusals, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let changes = refuse::after(store, peer, after, documents)?;
            let mut addresses = SmallSet::new();
            for address in changes.iter().flat_map(|change| &change.documents) {
                addresses.insert(address.clone(), ());
            }
            let mut found = Vec::new();
            for (address, ()) in addresses {
                let state = if readable(&address) { store.document(&address)? } else { None };
                found.push((address, state.map(|state| (*state).clone()).unwrap_or_default()));
            }
            Ok(Refusals { changes, documents: found, sequence: store.head()?.sequence })
        })
    }

    /// A peer has heard of all refusals up to a number: they need not be remembered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn refusals_heard(&mut self, peer: Life, through: u64) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            refuse::heard(store, peer, through)
        })
    }

    /// What is remembered of a peer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| store.peer(life))
    }
}

/// Under this key: the number of the session with a peer that began last.
pub(super) fn session_key(peer: Life) -> Vec<u8> {
    [&b"session\0"[..], &peer.0.to_be_bytes()].concat()
}
