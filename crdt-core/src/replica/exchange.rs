//! What a session asks of a replica: windows of its change order, differences, staging, checkpoints.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::merge::Merge;
use super::{Replica, transact};
use crate::codec::{DecodeError, Dictionary, Reader, decode_batch};
use crate::document::{Address, Document};
use crate::event::Origin;
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

/// The end of a run of batches from a peer: from here on its state is part of ours.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Whose.
    pub peer: Life,
    /// Under which id it writes.
    pub replica: ReplicaId,
    /// The position in its change order that the batches lead to.
    pub cursor: u64,
    /// What it has seen there and we may not have.
    pub context: Vec<Dot>,
    /// The batch that came with the checkpoint, after those that were staged.
    pub documents: Vec<(Address, Document)>,
}

/// What [`Replica::apply_run`] reads next.
#[derive(Clone, Debug)]
pub enum RunPart {
    /// Some of the cells.
    Batch(Vec<(Address, Document)>),
    /// The last of them, and what they lead to.
    End(Checkpoint),
}

/// What a checkpoint did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The position that it took in our change order; `None` when it brought nothing new.
    pub sequence: Option<u64>,
    /// Cells that changed.
    pub cells: u64,
}

impl<S: Store> Replica<S> {
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
            let mut dots = BTreeSet::new();
            let mut touched = BTreeSet::new();
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
                    dots.extend(step.dots);
                    touched.extend(fresh.iter().take(room).cloned());
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
            for address in touched {
                let Some(document) = store.document(&address)? else { continue };
                let changed = document.select(|dot| dots.contains(&dot));
                if !changed.is_empty() {
                    found.push((address, changed));
                }
            }
            // The context is claimed with the cells that it stands for, so it has to be of the same state.
            let context =
                if next.sequence >= head.sequence { store.context_after(context_since)? } else { Vec::new() };
            Ok(Window { documents: found, next, head, context })
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

    /// Puts a batch from a peer aside until its checkpoint comes. It is not part of the state, not shown and not sent on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stage(&mut self, peer: Life, batch: &[u8]) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| store.stage(peer, batch))
    }

    /// Forgets what was put aside for a peer, because it will be sent again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| store.clear_staged(peer))
    }

    /// Merges all that was staged for a peer and what came with the checkpoint, moves the cursor, and learns what the
    /// peer has seen: in one durable transaction, or not at all.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is changed.
    pub fn apply(&mut self, checkpoint: Checkpoint) -> Result<Applied, ApplyError> {
        let limits = self.limits;
        self.apply_with(|store, merge| {
            let (mut checkpoint, mut index) = (checkpoint, 0);
            while let Some(bytes) = store.staged(checkpoint.peer, index)? {
                let mut reader = Reader::new(&bytes);
                merge_all(store, merge, decode_batch(&mut reader, &mut Dictionary::new(), &limits)?)?;
                index += 1;
            }
            merge_all(store, merge, core::mem::take(&mut checkpoint.documents))?;
            if index > 0 {
                store.clear_staged(checkpoint.peer)?;
            }
            Ok(checkpoint)
        })
    }

    /// As [`Replica::apply`], with batches that are read one after the other within the transaction instead of staged
    /// before it: from a file, say. The checkpoint comes last. Nobody else can write to the store meanwhile.
    ///
    /// A checkpoint without context and with cursor 0 merges cells and claims nothing: for what came with a gap before it.
    ///
    /// # Errors
    /// Those of `next`, and [`ApplyError`]; nothing is changed.
    pub fn apply_run<E: From<ApplyError> + From<StoreError>>(
        &mut self,
        mut next: impl FnMut() -> Result<RunPart, E>,
    ) -> Result<Applied, E> {
        self.apply_with(|store, merge| {
            loop {
                match next()? {
                    RunPart::Batch(documents) => merge_all(store, merge, documents)?,
                    RunPart::End(mut checkpoint) => {
                        merge_all(store, merge, core::mem::take(&mut checkpoint.documents))?;
                        return Ok(checkpoint);
                    }
                }
            }
        })
    }

    /// Merges what `cells` gives to the merge, and then does what the checkpoint says that it returns.
    fn apply_with<E: From<ApplyError> + From<StoreError>>(
        &mut self,
        cells: impl FnOnce(&mut S, &mut Merge<'_>) -> Result<Checkpoint, E>,
    ) -> Result<Applied, E> {
        let Self { store, collections, events, .. } = self;
        let (applied, event) = transact(store, Access::Write, Durability::Durable, |store| {
            let mut head = store.head()?;
            let (own, life) = (Dot::new(head.replica, head.counter), head.life);
            let mut merge = Merge::new(&mut head, collections, events.is_some());
            let checkpoint = cells(store, &mut merge)?;
            if checkpoint.context.iter().any(|dot| dot.replica == own.replica && dot.counter > own.counter) {
                return Err(ApplyError::Forked.into());
            }
            let cells = merge.cells;
            let before = merge.sequence();
            let mut rose = false;
            for dot in checkpoint.context.iter().filter(|dot| dot.replica != own.replica) {
                rose |= store.raise_context(*dot, before + 1)?;
            }
            if rose && merge.is_empty() {
                merge.append(store)?;
            }
            let event = merge.finish(store, Origin::Peer(checkpoint.replica))?;
            let known = store.peer(checkpoint.peer)?;
            let (cursor, acked) = known.map_or((0, 0), |peer| (peer.cursor, peer.acked));
            let cursor = cursor.max(checkpoint.cursor);
            let (peer, replica) = (checkpoint.peer, checkpoint.replica);
            if peer != life {
                store.set_peer(&PeerRecord { life: peer, replica, cursor, acked })?;
            }
            store.set_head(&head)?;
            let sequence = (head.sequence > before).then_some(head.sequence);
            Ok::<_, E>((Applied { sequence, cells }, event))
        })?;
        if let (Some(events), Some(event)) = (events, event) {
            events.push(event);
        }
        Ok(applied)
    }

    /// What is remembered of a peer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| store.peer(life))
    }

    /// Notes how far into our change order a peer has said to have durably applied. It only moves up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acknowledged(&mut self, life: Life, replica: ReplicaId, sequence: u64) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            let known = store.peer(life)?.unwrap_or(PeerRecord { life, replica, cursor: 0, acked: 0 });
            let acked = known.acked.max(sequence.min(store.head()?.sequence));
            store.set_peer(&PeerRecord { replica, acked, ..known })
        })
    }
}

fn merge_all<S: Store>(
    store: &mut S,
    merge: &mut Merge<'_>,
    documents: Vec<(Address, Document)>,
) -> Result<(), StoreError> {
    // In the order of addresses, which is the order in which a database likes to be written.
    let mut sorted: BTreeMap<Address, Document> = BTreeMap::new();
    for (address, delta) in documents {
        let present = sorted.remove(&address);
        sorted.insert(address, present.map_or(delta.clone(), |present| present.merged(delta)));
    }
    for (address, delta) in sorted {
        let before = store.document(&address)?.unwrap_or_default();
        merge.document(store, &address, before, delta)?;
    }
    Ok(())
}

/// A checkpoint that was not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A staged batch is damaged: drop it and sync again.
    #[error("a batch that was put aside is damaged: {0}")]
    Staged(#[from] DecodeError),
    /// The peer has seen transactions of ours that we do not know: this store is a restored or copied one. Draw a new
    /// identity with [`Replica::renew_identity`] and sync again.
    #[error("the peer has seen more of this replica than it has itself; it needs a new identity")]
    Forked,
}
