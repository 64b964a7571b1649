//! Partial replicas: what a replica subscribes to, and how it lets go of the rest.
//!
//! Three things are known *for a scope* and for nothing beyond it: a cursor (how far into a peer's change order everything
//! in the scope was applied), the context (which transactions were seen in the scope), and the claim that every own
//! transaction is held. When the scope changes, each is kept for what is in the old and the new one; a claim that does not
//! reach as far as the new scope is given up, because nobody may believe it.
//!
//! A document outside the scope is *evicted*: taken out of the store, and told to nobody. Not before a durable peer whose
//! scope has it has acknowledged all of its cells, in a session that began after this replica said that it will not keep
//! them: so of two replicas, only one relies on the other.
//!
//! Notes: under `scope`, the subscription; under the same, a zero byte and a scope's number, that scope, as long as a
//! cursor is kept for it; under `outside`, a zero byte, an id and a collection, a document to evict; under `sweep`, where to
//! go on looking for more of these; under `tally`, a zero byte, an id and a collection, what a replica counted in a document
//! that it evicted: its next count goes on from there.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::refuse::damaged;
use super::{Replica, loading, park, transact};
use crate::codec::{Dictionary, Reader, decode_batch, encode_batch, put_bytes, put_unsigned};
use crate::document::{Address, CellKind, Document, DocumentId};
use crate::event::{ChangeEvent, ChangeKind, DocumentChange, Origin};
use crate::limits::{LimitExceeded, Limits};
use crate::reconcile::Summary;
use crate::scope::Scope;
use crate::small_map::SmallSet;
use crate::store::{Access, Durability, Head, Life, LogRecord, PeerRecord, Store, StoreError};
use crate::{Name, ReplicaId};

const SCOPE: &[u8] = b"scope";
const OF_CURSOR: &[u8] = b"scope\0";
const OUTSIDE: &[u8] = b"outside\0";
const SWEEP: &[u8] = b"sweep";
const TALLY: &[u8] = b"tally\0";

/// Documents looked at in one transaction.
const PAGE: usize = 256;
/// Steps since the last acknowledgement beyond which the next one is waited for.
const UNACKNOWLEDGED_STEPS: usize = 1024;

/// What a replica subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Counts the changes: a session that began under another one is over.
    pub generation: u64,
    /// What it wants to hold.
    pub scope: Scope,
    /// In this part of it, every own transaction is there. Never more than the scope.
    pub vouched: Scope,
    /// Entries of the context that rose up to this position of the change order say nothing of the present scope.
    pub(super) context_since: u64,
    /// Counts the transactions that evicted something.
    pub(super) evictions: u64,
}

impl Default for Subscription {
    fn default() -> Self {
        let (scope, vouched) = (Scope::everything(), Scope::everything());
        Self { generation: 0, scope, vouched, context_since: 0, evictions: 0 }
    }
}

impl Subscription {
    /// Every own transaction is held as far as the scope reaches.
    pub fn vouches_for_own(&self) -> bool {
        self.vouched.includes(&self.scope)
    }

    pub(super) fn read<S: Store + ?Sized>(store: &mut S) -> Result<Self, StoreError> {
        let Some(note) = store.note(SCOPE)? else { return Ok(Self::default()) };
        let mut reader = Reader::new(&note);
        let mut read = || {
            let generation = reader.unsigned("a subscription")?;
            let (context_since, evictions) =
                (reader.unsigned("a position")?, reader.unsigned("a number of evictions")?);
            let vouched = Scope::decode(reader.bytes("a scope", Scope::MAX_BYTES)?)?;
            let scope = Scope::decode(reader.bytes("a scope", Scope::MAX_BYTES)?)?;
            Ok(Self { generation, scope, vouched, context_since, evictions })
        };
        read().map_err(damaged)
    }

    /// Writes under a new id, of which everything there is is held.
    pub(super) fn renewed<S: Store>(&mut self, store: &mut S) -> Result<(), StoreError> {
        self.vouched = self.scope.clone();
        self.generation += 1;
        self.write(store)
    }

    fn write<S: Store>(&self, store: &mut S) -> Result<(), StoreError> {
        let mut note = Vec::new();
        put_unsigned(&mut note, self.generation);
        put_unsigned(&mut note, self.context_since);
        put_unsigned(&mut note, self.evictions);
        put_bytes(&mut note, &self.vouched.encode());
        put_bytes(&mut note, &self.scope.encode());
        store.set_note(SCOPE, Some(&note))
    }
}

/// A subscription that was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The scope names too much: use ranges, prefixes or whole collections.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

/// What is asked of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What we subscribe to.
    pub subscription: Subscription,
    /// The number under which the cursor is kept: of the scope, and of what the peer lets us read.
    pub number: u64,
    /// How far into the peer's change order everything in `known` was applied; 0 without a cursor.
    pub cursor: u64,
    /// What the cursor stands for, when that is less than the scope.
    pub known: Option<Scope>,
    /// A first sync of ours has not come to its end.
    pub loading: bool,
}

impl<S: Store> Replica<S> {
    /// Changes which part of the namespace this replica holds. False when it is the part that it has subscribed to already.
    ///
    /// Open sessions end, and the next ones fetch what is new in the scope. What is not in it any more stays until a peer
    /// that keeps it has durably acknowledged all of it, and is then evicted. So are documents outside the scope that are
    /// written here all the same.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(&mut self, scope: Scope) -> Result<bool, SubscribeError> {
        LimitExceeded::check("bytes of a scope", scope.encode().len(), Scope::MAX_BYTES)?;
        transact(&mut self.store, Access::Write, Durability::Durable, |store| {
            let mut ours = Subscription::read(store)?;
            if ours.scope == scope {
                return Ok(false);
            }
            ours.generation += 1;
            // Own transactions that were evicted are not there when their documents come into the scope again, and what
            // was seen was seen in the old scope.
            ours.vouched = ours.vouched.intersection(&scope);
            if !ours.scope.includes(&scope) {
                ours.context_since = store.head()?.sequence;
            }
            if !scope.includes(&ours.scope) {
                store.set_note(SWEEP, Some(&[]))?;
            }
            ours.scope = scope;
            ours.write(store)?;
            if loading::is_under_way(store)? {
                // What peers claim is kept for the end, and was said of the old scope.
                for peer in store.peers()? {
                    store.set_peer(&PeerRecord { cursor: 0, ..peer })?;
                }
                loading::begin_anew(store)?;
            }
            trim_cursors(store, &ours.scope)?;
            Ok(true)
        })
    }

    /// Which part of the namespace this replica holds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn subscription(&mut self) -> Result<Subscription, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| Subscription::read(store))
    }

    /// A durable peer that keeps all of a scope has acknowledged everything in it up to a position of our change order, in a
    /// session that began under this generation of our subscription: evicts what is outside our own scope and in that one.
    /// Tells how many documents went.
    ///
    /// # Errors
    /// [`StoreError`]; what was evicted before stays so.
    pub fn evict(&mut self, kept: &Scope, acked: u64, generation: u64) -> Result<u64, StoreError> {
        let (mut evicted, mut after) = (0, Vec::new());
        loop {
            let Self { store, collections, events, .. } = self;
            let listening = events.is_some();
            let page = transact(store, Access::Write, Durability::Visible, |store| {
                let ours = Subscription::read(store)?;
                if ours.generation != generation || loading::is_under_way(store)? {
                    return Ok(None);
                }
                // What changed since may be known to nobody else.
                let steps = store.log_after(acked, UNACKNOWLEDGED_STEPS)?;
                if steps.len() == UNACKNOWLEDGED_STEPS {
                    return Ok(None);
                }
                let mut unacked = SmallSet::new();
                for address in steps.into_iter().flat_map(|step| step.documents) {
                    unacked.insert(address, ());
                }
                let Some(candidates) = next_outside(store, &ours.scope, &mut after)? else { return Ok(None) };
                let (mut head, mut changes, mut count) = (store.head()?, Vec::new(), 0);
                for address in candidates {
                    if !kept.contains(&address) || unacked.contains_key(&address) {
                        store.set_note(&address_key(OUTSIDE, &address), Some(&[]))?;
                        continue;
                    }
                    let deletes_win = collections.get(&address.collection).deletes_win();
                    let Some(gone) = evict(store, &mut head, &address)? else { continue };
                    count += 1;
                    if listening && gone.is_alive(deletes_win) {
                        let (kind, fields) = (ChangeKind::Disappeared, Vec::new());
                        changes.push(DocumentChange { address, kind, fields });
                    }
                }
                if count > 0 {
                    // Sums of a part are compared with nobody; those of everything are made anew.
                    Summary::void(store)?;
                    append_empty(store, &mut head)?;
                    let evictions = ours.evictions + 1;
                    Subscription { evictions, ..ours }.write(store)?;
                }
                let (sequence, origin) =
                    (head.sequence, Origin::Local(crate::Dot::new(head.replica, head.counter)));
                let event = ChangeEvent { sequence, origin, documents: changes, and_more: false };
                Ok::<_, StoreError>(Some((count, event)))
            })?;
            let Some((count, event)) = page else { return Ok(evicted) };
            evicted += count;
            if let Some(events) = events.as_mut().filter(|_| !event.documents.is_empty()) {
                events.add(Some(event));
            }
        }
    }

    /// The number under which a cursor is kept of a peer that lets everything be read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn scope_number(&mut self, peer: Life) -> Result<u64, StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            let record = store.peer(peer)?;
            Ok(asked(store, record.as_ref(), 0)?.number)
        })
    }

    /// Whether there are documents outside the scope that wait to be evicted. Right after a narrowing: whether there may be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_outside(&mut self) -> Result<bool, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            // What was outside a scope that is left again is forgotten when it is next looked at.
            Ok(!Subscription::read(store)?.scope.is_everything()
                && (store.note(SWEEP)?.is_some() || !store.notes_after(OUTSIDE, &[], 1)?.is_empty()))
        })
    }
}

/// The next documents outside the scope: those that are known to be, then those that a look at all finds.
fn next_outside<S: Store>(
    store: &mut S,
    scope: &Scope,
    after: &mut Vec<u8>,
) -> Result<Option<Vec<Address>>, StoreError> {
    if let Some(note) = store.note(SWEEP)? {
        let from = if note.is_empty() { None } else { Some(read_address(&note)?) };
        let page = store.documents_after(from.as_ref(), PAGE)?;
        match page.last() {
            Some((last, _)) => store.set_note(SWEEP, Some(&address_key(&[], last)))?,
            None => store.set_note(SWEEP, None)?,
        }
        let outside = page.into_iter().map(|(address, _)| address).filter(|address| !scope.contains(address));
        return Ok(Some(outside.collect()));
    }
    let notes = store.notes_after(OUTSIDE, after, PAGE)?;
    let Some((last, _)) = notes.last() else { return Ok(None) };
    after.clone_from(last);
    let mut outside = Vec::new();
    for (key, _) in notes {
        let address = read_address(&key[OUTSIDE.len()..])?;
        // It is noted anew if it has to stay.
        store.set_note(&key, None)?;
        if !scope.contains(&address) {
            outside.push(address);
        }
    }
    Ok(Some(outside))
}

/// Takes a document out of the store, as if it had never been there; but what was counted here is kept. Gives what it
/// showed.
fn evict<S: Store>(
    store: &mut S,
    head: &mut Head,
    address: &Address,
) -> Result<Option<Arc<Document>>, StoreError> {
    let Some(document) = store.document(address)? else { return Ok(None) };
    let (shown, _) = park::shown(store, address, &document)?;
    head.root = head.root.minus(document.fingerprint(&head.namespace, address));
    if let Some(counted) = counted_here(&document, head.replica) {
        let mut note = Vec::new();
        encode_batch(&mut note, &mut Dictionary::new(), [(address, &counted)]);
        store.set_note(&address_key(TALLY, address), Some(&note))?;
    }
    park::forget(store, address)?;
    store.remove_document(address)?;
    Ok(Some(shown))
}

/// What this replica counted in a document; and what tells that the document is there, or its next count would take it for
/// dead and begin with a reset.
fn counted_here(document: &Document, own: ReplicaId) -> Option<Document> {
    let (mut kept, mut counts) = (Document::new(), false);
    document.visit(&mut |path, cell| {
        let counted = cell.kind() == CellKind::Tally && cell.set_by().dot().replica == own;
        counts |= counted;
        if counted || matches!(cell.kind(), CellKind::Presence | CellKind::Deletion) {
            kept.merge_cell(path, cell.to_owned());
        }
    });
    counts.then_some(kept)
}

/// What this replica had counted in a document that it evicted.
pub(crate) fn counted<S: Store + ?Sized>(
    store: &mut S,
    address: &Address,
) -> Result<Option<Document>, StoreError> {
    let Some(note) = store.note(&address_key(TALLY, address))? else { return Ok(None) };
    let batch = decode_batch(&mut Reader::new(&note), &mut Dictionary::new(), &Limits::DEFAULT);
    Ok(batch.map_err(damaged)?.pop().map(|(_, document)| document))
}

/// A document was written here, or given back by a server that refused what was: it waits to be evicted if it is outside.
pub(super) fn written<S: Store>(store: &mut S, scope: &Scope, address: &Address) -> Result<(), StoreError> {
    if scope.contains(address) { Ok(()) } else { store.set_note(&address_key(OUTSIDE, address), Some(&[])) }
}

/// Takes what was counted, to put it back.
pub(super) fn take_counted<S: Store>(
    store: &mut S,
    address: &Address,
) -> Result<Option<Document>, StoreError> {
    let counted = counted(store, address)?;
    if counted.is_some() {
        store.set_note(&address_key(TALLY, address), None)?;
    }
    Ok(counted)
}

/// Whether something is noted that was counted in a document that is not there.
pub(super) fn any_counted<S: Store>(store: &mut S) -> Result<bool, StoreError> {
    Ok(!store.notes_after(TALLY, &[], 1)?.is_empty())
}

/// Whether something may have been evicted here; remembers the answer.
pub(super) fn was_partial<S: Store>(store: &mut S, known: &mut Option<bool>) -> Result<bool, StoreError> {
    match *known {
        Some(known) => Ok(known),
        None => Ok(*known.insert(store.note(SCOPE)?.is_some())),
    }
}

/// Every cursor is kept for what is in the scope: what is not may be evicted at any time from now on.
fn trim_cursors<S: Store>(store: &mut S, scope: &Scope) -> Result<(), StoreError> {
    let mut in_use = SmallSet::new();
    for peer in store.peers()? {
        if peer.cursor == 0 {
            continue;
        }
        let (rights, known) = cursor_scope(store, peer.scope)?;
        let known = known.intersection(scope);
        let number = known.number(rights);
        in_use.insert(number, ());
        if known.is_nothing() {
            store.set_peer(&PeerRecord { cursor: 0, scope: number, ..peer })?;
        } else if number != peer.scope {
            let mut note = rights.to_be_bytes().to_vec();
            note.extend_from_slice(&known.encode());
            store.set_note(&number_key(number), Some(&note))?;
            store.set_peer(&PeerRecord { scope: number, ..peer })?;
        }
    }
    let mut last = Vec::new();
    while let Some((key, _)) = store.notes_after(OF_CURSOR, &last, 1)?.pop() {
        let used = in_use.iter().any(|(number, ())| number_key(*number) == key);
        if !used {
            store.set_note(&key, None)?;
        }
        last = key;
    }
    Ok(())
}

/// What to ask of a peer: within the transaction that begins a session with it.
pub(super) fn asked<S: Store>(
    store: &mut S,
    peer: Option<&PeerRecord>,
    rights: u64,
) -> Result<Asked, StoreError> {
    let subscription = Subscription::read(store)?;
    let number = subscription.scope.number(rights);
    let (mut cursor, mut known) = (0, None);
    if let Some(peer) = peer.filter(|peer| peer.cursor > 0) {
        let (of_rights, of_scope) = cursor_scope(store, peer.scope)?;
        if peer.scope == number {
            cursor = peer.cursor;
        } else if of_rights == rights && !of_scope.is_nothing() {
            (cursor, known) = (peer.cursor, Some(of_scope));
        }
    }
    if number != rights {
        let mut note = rights.to_be_bytes().to_vec();
        note.extend_from_slice(&subscription.scope.encode());
        store.set_note(&number_key(number), Some(&note))?;
    }
    let loading = loading::is_under_way(store)?;
    Ok(Asked { subscription, number, cursor, known, loading })
}

/// What a cursor stands for that is kept under a number: what the peer let us read, and our scope.
fn cursor_scope<S: Store>(store: &mut S, number: u64) -> Result<(u64, Scope), StoreError> {
    let Some(note) = store.note(&number_key(number))? else { return Ok((number, Scope::everything())) };
    let mut reader = Reader::new(&note);
    let rights = u64::from_be_bytes(reader.array("a scope").map_err(damaged)?);
    Ok((rights, Scope::decode(reader.rest()).map_err(damaged)?))
}

fn append_empty<S: Store>(store: &mut S, head: &mut Head) -> Result<(), StoreError> {
    head.sequence += 1;
    store.append_log(LogRecord { sequence: head.sequence, dots: Vec::new(), documents: Vec::new() })?;
    store.set_head(head)
}

fn number_key(number: u64) -> Vec<u8> {
    [OF_CURSOR, &number.to_be_bytes()].concat()
}

fn address_key(prefix: &[u8], address: &Address) -> Vec<u8> {
    [prefix, address.id.as_bytes(), address.collection.as_bytes()].concat()
}

fn read_address(bytes: &[u8]) -> Result<Address, StoreError> {
    let mut reader = Reader::new(bytes);
    let id = DocumentId::from_bytes(reader.array("a document id").map_err(damaged)?);
    let collection = core::str::from_utf8(reader.rest());
    let collection =
        collection.map_err(|_| damaged(crate::codec::DecodeError::Invalid("a collection name")))?;
    Ok(Address { collection: Name::from(collection), id })
}
