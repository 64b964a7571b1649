//! Parking: cells that are part of the state and not of what is shown.
//!
//! A change from beyond the receive bound is merged, fingerprinted, logged and passed on like any other: the *state*
//! never depends on a clock. What is *shown* does. A document shows the merge of all that was admissible when it came,
//! so for each key whose cell in the state is parked it shows the greatest admissible cell that was seen, the *held* one,
//! or nothing. State and view are both joins, of all that came and of a part of it, and so a view is made by merging too.
//!
//! Notes, kept only while something is parked:
//!
//! | key | note |
//! |---|---|
//! | `held`, a zero byte, the collection, the 16 bytes of the id | the parked changes of the document, and the held cells |
//! | `parked`, a zero byte, then of a change: HLC, replica, counter, epoch | when it was parked |
//! | the same, then the collection and the 16 bytes of a document's id | nothing: the change has parked cells there |
//!
//! The second kind is in the order of HLCs, the order in which changes are admitted.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::merge::is_of_field;
use crate::clock::ReceiveBound;
use crate::codec::{DecodeError, Dictionary, Reader, decode_batch, encode_batch, put_unsigned};
use crate::document::{Address, CellRef, Document, DocumentId, Path};
use crate::limits::Limits;
use crate::small_map::SmallSet;
use crate::store::{Note, PARKED_NOTES, Store, StoreError};
use crate::{Change, Collection, Dot, Hlc, Name, ReplicaId, Stamp};

const HELD_NOTES: &[u8] = b"held\0";

/// Bytes of a change in a key.
const CHANGE_BYTES: usize = 8 + 16 + 8 + 4;

/// The point in time from which on what comes is parked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// What the clock says, corrected.
    pub(super) now_ms: u64,
    pub(super) bound: ReceiveBound,
}

impl Horizon {
    /// Whether a change is shown when it comes now. One's own always is: what the user wrote does not vanish.
    pub(super) fn admits(&self, change: &Change, own: ReplicaId) -> bool {
        change.replica() == own || self.bound.admits(&change.stamp, self.now_ms)
    }
}

/// What is parked in one document, and what is held in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parked {
    /// All cells of the state that were set by one of these are hidden.
    changes: SmallSet<Change>,
    /// For keys whose cells are hidden; some have none.
    held: Document,
}

impl Parked {
    /// What a document shows.
    pub(crate) fn shown(&self, state: &Document) -> Document {
        state.filter(&mut |change| !self.changes.contains_key(change)).merged(self.held.clone())
    }

    /// What is shown in place of what is hidden.
    pub(super) const fn held(&self) -> &Document {
        &self.held
    }

    /// What has to be remembered so that a state shows as `shown`, of which it is the merge with what is parked.
    pub(super) fn between(state: &Document, shown: &Document) -> Self {
        let mut parked = Self::default();
        shown.clone().merge_observed(state.clone(), &mut |path, before, after| {
            parked.changes.insert(*after.set_by(), ());
            if let Some(before) = before {
                parked.held.merge_cell(path, before.to_owned());
            }
        });
        parked
    }

    /// Without the changes that are admitted by now.
    pub(super) fn admit(&mut self, horizon: &Horizon, own: ReplicaId) {
        for change in core::mem::take(&mut self.changes).into_keys() {
            if !horizon.admits(&change, own) {
                self.changes.insert(change, ());
            }
        }
    }

    /// Calls `visit` for every parked cell of the state.
    pub(crate) fn visit<'a>(&self, state: &'a Document, visit: &mut dyn FnMut(&Path, CellRef<'a>)) {
        state.visit(&mut |path, cell| {
            if self.changes.contains_key(cell.set_by()) {
                visit(path, cell);
            }
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// What the merge of a delta means for what is shown, where something is parked before or after it.
pub(super) struct Aside {
    before: Parked,
    /// What was shown.
    pub(super) shown_before: Document,
    /// What is shown now.
    pub(super) shown: Document,
    /// The fields of which that shows something else.
    pub(super) fields: Vec<Path>,
}

impl Aside {
    /// `None` where nothing is parked: state and view are the same then.
    pub(super) fn of<S: Store>(
        store: &mut S,
        (address, state): (&Address, &Document),
        withdrawn: &SmallSet<Dot>,
        delta: &Document,
        (horizon, own): (Option<Horizon>, ReplicaId),
    ) -> Result<Option<Self>, StoreError> {
        let known = of(store, address)?;
        let is_late = |change: &Change| horizon.is_some_and(|horizon| !horizon.admits(change, own));
        let mut any_late = false;
        if horizon.is_some() {
            delta.visit(&mut |_, cell| any_late |= is_late(cell.set_by()));
        }
        if known.is_none() && !any_late {
            return Ok(None);
        }
        let before = known.unwrap_or_default();
        let shown_before = before.shown(state);
        // What was admitted once is not parked because a clock was set back.
        let mut admitted = SmallSet::new();
        if any_late {
            shown_before.visit(&mut |_, cell| {
                admitted.insert(*cell.set_by(), ());
            });
        }
        let admissible = delta.filter(&mut |change| {
            !before.changes.contains_key(change) && (!is_late(change) || admitted.contains_key(change))
        });
        let mut fields = Vec::new();
        let mut shown = shown_before.clone();
        if !withdrawn.is_empty() {
            shown = shown.select(|dot| !withdrawn.contains_key(&dot));
        }
        shown.merge_observed(admissible, &mut |path, _, after| {
            if is_of_field(&after) && fields.last() != Some(path) {
                fields.push(path.clone());
            }
        });
        Ok(Some(Self { before, shown_before, shown, fields }))
    }

    /// Stores a document and how it shows. True when it shows something else than before.
    pub(super) fn put<S: Store>(
        &self,
        store: &mut S,
        (address, state): (&Address, &Arc<Document>),
        collection: &Collection,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let after = Parked::between(state, &self.shown);
        replace(store, (address, state), (&self.before, &after), &self.shown, collection, now_ms)?;
        Ok(self.shown != self.shown_before)
    }
}

/// The parked changes of a document, and what is held in their place.
type Noted = (SmallSet<Change>, Vec<(Address, Document)>);

/// What is parked in a document; `None` when nothing is.
pub(crate) fn of<S: Store + ?Sized>(store: &mut S, address: &Address) -> Result<Option<Parked>, StoreError> {
    if !store.has_parked()? {
        return Ok(None);
    }
    let note = store.note(&held_key(address))?;
    note.map(|note| read(&note).map_err(damaged)).transpose()
}

/// What a document shows, and what of it is parked.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn shown<S: Store + ?Sized>(
    store: &mut S,
    address: &Address,
    state: &Arc<Document>,
) -> Result<(Arc<Document>, Option<Parked>), StoreError> {
    let parked = of(store, address)?;
    let shown = parked.as_ref().map_or_else(|| state.clone(), |parked| Arc::new(parked.shown(state)));
    Ok((shown, parked))
}

/// What a document shows instead of its state, for a store that shows it to others; `None` when that is the same.
///
/// # Errors
/// [`StoreError`].
pub fn shown_instead<S: Store>(
    store: &mut S,
    address: &Address,
    state: &Document,
) -> Result<Option<Document>, StoreError> {
    Ok(of(store, address)?.map(|parked| parked.shown(state)))
}

/// Stores a document with what is parked in it from now on.
pub(super) fn replace<S: Store>(
    store: &mut S,
    (address, state): (&Address, &Arc<Document>),
    (before, after): (&Parked, &Parked),
    shown: &Document,
    collection: &Collection,
    now_ms: u64,
) -> Result<(), StoreError> {
    note_change(store, address, (before, after), now_ms)?;
    if after.is_empty() {
        store.put_document(address, state.clone(), collection)
    } else {
        store.put_shown(address, state.clone(), shown, collection)
    }
}

/// Forgets what is parked in a document, because the document goes.
pub(super) fn forget<S: Store>(store: &mut S, address: &Address) -> Result<(), StoreError> {
    match of(store, address)? {
        Some(parked) => note_change(store, address, (&parked, &Parked::default()), 0),
        None => Ok(()),
    }
}

/// Notes what is parked in a document from now on.
fn note_change<S: Store>(
    store: &mut S,
    address: &Address,
    (before, after): (&Parked, &Parked),
    now_ms: u64,
) -> Result<(), StoreError> {
    if before != after {
        let note = (!after.is_empty()).then(|| write(address, after));
        store.set_note(&held_key(address), note.as_deref())?;
    }
    for (change, ()) in before.changes.iter().filter(|(change, ())| !after.changes.contains_key(change)) {
        store.set_note(&entry_key(change, address), None)?;
        let of_change = change_key(change);
        if store.notes_after(&of_change, &of_change, 1)?.is_empty() {
            store.set_note(&of_change, None)?;
        }
    }
    for (change, ()) in after.changes.iter().filter(|(change, ())| !before.changes.contains_key(change)) {
        enter(store, change, address, now_ms)?;
    }
    Ok(())
}

/// The parked changes after one, each with when it was parked.
pub(super) fn changes_after<S: Store>(
    store: &mut S,
    after: Option<&Change>,
) -> Result<Option<(Change, u64)>, StoreError> {
    // No name contains that byte, so it comes after all documents of the change.
    let after = after.map_or_else(Vec::new, |change| [&change_key(change)[..], &[0xff]].concat());
    let Some((key, note)) = store.notes_after(PARKED_NOTES, &after, 1)?.pop() else { return Ok(None) };
    let mut reader = Reader::new(&note);
    let change = read_change(&mut Reader::new(&key[PARKED_NOTES.len()..])).map_err(damaged)?;
    Ok(Some((change, reader.unsigned("when it was parked").map_err(damaged)?)))
}

/// The documents in which a change has parked cells, after one.
pub(super) fn documents_of<S: Store>(
    store: &mut S,
    change: &Change,
    after: Option<&Address>,
    limit: usize,
) -> Result<Vec<Address>, StoreError> {
    let of_change = change_key(change);
    let after = after.map_or_else(|| of_change.clone(), |address| entry_key(change, address));
    let mut found = Vec::new();
    for (key, _) in store.notes_after(&of_change, &after, limit)? {
        let address = key[of_change.len()..].split_last_chunk().and_then(|(collection, id)| {
            let collection = Name::from(core::str::from_utf8(collection).ok()?);
            Some(Address { collection, id: DocumentId::from_bytes(*id) })
        });
        found.push(address.ok_or_else(|| damaged(DecodeError::Invalid("a parked document")))?);
    }
    Ok(found)
}

/// All notes of what is parked in documents.
pub(super) fn notes<S: Store>(store: &mut S) -> Result<Vec<Note>, StoreError> {
    store.notes_after(HELD_NOTES, &[], usize::MAX)
}

/// Takes over a note of another store whose state is merged next.
pub(super) fn adopt<S: Store>(store: &mut S, (key, note): &Note, now_ms: u64) -> Result<(), StoreError> {
    let (changes, batch) = read_batch(note).map_err(damaged)?;
    let Some((address, _)) = batch.first().filter(|(address, _)| held_key(address) == *key) else {
        return Err(damaged(DecodeError::Invalid("what is held")));
    };
    for (change, ()) in changes.iter() {
        enter(store, change, address, now_ms)?;
    }
    store.set_note(key, Some(note))
}

/// The held cells that a note tells of.
pub(super) fn held_in((_, note): &Note) -> Result<Vec<(Address, Document)>, StoreError> {
    let (_, batch) = read_batch(note).map_err(damaged)?;
    Ok(batch.into_iter().filter(|(_, held)| !held.is_empty()).collect())
}

/// Lists a change under its time.
fn enter<S: Store>(store: &mut S, change: &Change, address: &Address, now_ms: u64) -> Result<(), StoreError> {
    if store.note(&change_key(change))?.is_none() {
        let mut since = Vec::new();
        put_unsigned(&mut since, now_ms);
        store.set_note(&change_key(change), Some(&since))?;
    }
    store.set_note(&entry_key(change, address), Some(&[]))
}

fn held_key(address: &Address) -> Vec<u8> {
    [HELD_NOTES, address.collection.as_bytes(), address.id.as_bytes()].concat()
}

fn change_key(change: &Change) -> Vec<u8> {
    let mut key = Vec::with_capacity(PARKED_NOTES.len() + CHANGE_BYTES);
    key.extend_from_slice(PARKED_NOTES);
    key.extend_from_slice(&change.stamp.hlc.to_bits().to_be_bytes());
    key.extend_from_slice(change.replica().as_bytes());
    key.extend_from_slice(&change.counter.to_be_bytes());
    key.extend_from_slice(&change.stamp.epoch.to_be_bytes());
    key
}

fn entry_key(change: &Change, address: &Address) -> Vec<u8> {
    [&change_key(change)[..], address.collection.as_bytes(), address.id.as_bytes()].concat()
}

fn put_change(out: &mut Vec<u8>, change: &Change) {
    out.extend_from_slice(&change_key(change)[PARKED_NOTES.len()..]);
}

fn read_change(reader: &mut Reader<'_>) -> Result<Change, DecodeError> {
    let what = "a parked change";
    let hlc = Hlc::from_bits(u64::from_be_bytes(reader.array(what)?));
    let replica = ReplicaId::from_bytes(reader.array(what)?);
    let counter = u64::from_be_bytes(reader.array(what)?);
    let epoch = u32::from_be_bytes(reader.array(what)?);
    Ok(Change { stamp: Stamp { epoch, hlc, replica }, counter })
}

fn write(address: &Address, parked: &Parked) -> Vec<u8> {
    let mut note = Vec::new();
    put_unsigned(&mut note, parked.changes.len() as u64);
    parked.changes.iter().for_each(|(change, ())| put_change(&mut note, change));
    encode_batch(&mut note, &mut Dictionary::new(), [(address, &parked.held)]);
    note
}

fn read(note: &[u8]) -> Result<Parked, DecodeError> {
    let (changes, batch) = read_batch(note)?;
    Ok(Parked { changes, held: batch.into_iter().map(|(_, held)| held).next().unwrap_or_default() })
}

fn read_batch(note: &[u8]) -> Result<Noted, DecodeError> {
    let (mut reader, mut changes) = (Reader::new(note), SmallSet::new());
    for _ in 0..reader.count("parked changes")? {
        changes.insert(read_change(&mut reader)?, ());
    }
    Ok((changes, decode_batch(&mut reader, &mut Dictionary::new(), &Limits::STORED)?))
}

fn damaged(error: DecodeError) -> StoreError {
    StoreError::Corrupt { detail: alloc::format!("a note of what is parked: {error}") }
}
