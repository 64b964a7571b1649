//! The one way in: whatever changes state, a commit or a checkpoint, goes through [`Merge`].

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::park::{Aside, Horizon};
use super::scoped;
use crate::document::{Address, CellKind, CellRef, Document, MapView, Path};
use crate::event::{ChangeEvent, ChangeKind, DocumentChange, FieldChange, Origin};
use crate::fingerprint::Fingerprints;
use crate::schema::Collections;
use crate::small_map::{SmallMap, SmallSet};
use crate::store::{Head, LogRecord, Store, StoreError};
use crate::{Collection, Dot, Fingerprint, Lattice as _, ReplicaId};

/// The cells that were replaced, by the change that replaced them.
pub(super) type Replaced = SmallMap<Dot, SmallMap<Address, Document>>;

/// Merges deltas into the store within one transaction and keeps the books: root, log, events.
pub(super) struct Merge<'m> {
    head: &'m mut Head,
    collections: &'m Collections,
    listening: bool,
    /// From when on what comes is parked; `None` for what is one's own, and without a clock.
    horizon: Option<Horizon>,
    dots: SmallSet<Dot>,
    documents: SmallSet<Address>,
    changes: Vec<DocumentChange>,
    /// What was replaced, if anybody may want it back.
    replaced: Option<Replaced>,
    pub(super) cells: u64,
    /// This replica may have evicted documents; unknown until it is asked.
    was_partial: Option<bool>,
    /// Something came back that was counted here, and that whoever sent the rest may not know.
    pub(super) recalled: bool,
}

impl<'m> Merge<'m> {
    pub(super) fn new(
        head: &'m mut Head,
        collections: &'m Collections,
        listening: bool,
        horizon: Option<Horizon>,
    ) -> Self {
        let (dots, documents) = (SmallSet::new(), SmallSet::new());
        let (changes, replaced) = (Vec::new(), None);
        Self {
            head,
            collections,
            listening,
            horizon,
            dots,
            documents,
            changes,
            replaced,
            cells: 0,
            was_partial: None,
            recalled: false,
        }
    }

    /// Keeps what is replaced from now on.
    pub(super) fn keep_replaced(&mut self) {
        self.replaced = Some(SmallMap::new());
    }

    /// Parks nothing of what this merges.
    pub(super) fn admitting<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let horizon = self.horizon.take();
        let done = work(self);
        self.horizon = horizon;
        done
    }

    /// The cells that were replaced.
    pub(super) fn take_replaced(&mut self) -> Replaced {
        self.replaced.take().unwrap_or_default()
    }

    /// Merges a delta into a document, stores it if that changed anything, and returns what it shows now.
    pub(super) fn document<S: Store>(
        &mut self,
        store: &mut S,
        address: &Address,
        before: Arc<Document>,
        delta: Document,
    ) -> Result<Arc<Document>, StoreError> {
        self.replace(store, address, before, &SmallSet::new(), delta)
    }

    /// The same, and first takes out the cells of some changes: the only thing that ever makes a state smaller.
    pub(super) fn replace<S: Store>(
        &mut self,
        store: &mut S,
        address: &Address,
        before: Arc<Document>,
        withdrawn: &SmallSet<Dot>,
        delta: Document,
    ) -> Result<Arc<Document>, StoreError> {
        let before = self.recall(store, address, before)?;
        let collection = self.collections.get(&address.collection);
        let listing = self.listening && self.changes.len() <= ChangeEvent::LISTED;
        let aside =
            Aside::of(store, (address, &before), withdrawn, &delta, (self.horizon, self.head.replica))?;
        let shown_before = aside.as_ref().map_or(&*before, |aside| &aside.shown_before);
        let existed = shown_before.is_alive(collection.deletes_win());
        let mut fields: Vec<Path> = Vec::new();
        let mut document = before;
        let mut fingerprints = Fingerprints::new(&self.head.namespace, address);
        if !withdrawn.is_empty() {
            document.visit(&mut |path, cell| {
                if withdrawn.contains_key(&cell.set_by().dot()) {
                    self.head.root = self.head.root.minus(fingerprints.of(path, &cell));
                    self.cells += 1;
                    if listing && is_of_field(&cell) {
                        fields.push(path.clone());
                    }
                }
            });
            document = Arc::new(document.select(|dot| !withdrawn.contains_key(&dot)));
        }
        let merged = Arc::make_mut(&mut document).merge_observed(delta, &mut |path, before, after| {
            self.enter(address, &mut fingerprints, path, before, after);
            if listing && is_of_field(&after) && fields.last() != Some(path) {
                fields.push(path.clone());
            }
        });
        let mut changed = merged || !withdrawn.is_empty();
        if changed {
            self.documents.insert(address.clone(), ());
        }
        let shown = match aside {
            None => {
                if changed {
                    store.put_document(address, document.clone(), collection)?;
                }
                document
            }
            Some(aside) => {
                // What is shown can change where the state does not.
                let now_ms = self.horizon.map_or(0, |horizon| horizon.now_ms);
                changed |= aside.put(store, (address, &document), collection, now_ms)?;
                fields.extend(aside.fields);
                Arc::new(aside.shown)
            }
        };
        if changed && listing {
            self.changes.push(describe(address, collection, existed, &shown, fields));
        }
        Ok(shown)
    }

    /// Stores what a transaction of our own has made of a document: it is what the merge of the cells that bear its dot would
    /// come to, so nothing has to be merged once more. Nothing is parked in the document.
    pub(super) fn edited<S: Store>(
        &mut self,
        store: &mut S,
        address: &Address,
        before: &Document,
        after: Document,
        dot: Dot,
    ) -> Result<(), StoreError> {
        debug_assert!(
            before.clone().merged(after.select(|by| by == dot)) == after,
            "what a local write makes of a document is the merge of its delta"
        );
        let collection = self.collections.get(&address.collection);
        let listing = self.listening && self.changes.len() <= ChangeEvent::LISTED;
        let mut fingerprints = Fingerprints::new(&self.head.namespace, address);
        let mut fields: Vec<Path> = Vec::new();
        after.visit(&mut |path, cell| {
            if cell.set_by().dot() == dot {
                self.enter(address, &mut fingerprints, path, before.cell_like(path, &cell), cell);
                if listing && is_of_field(&cell) && fields.last() != Some(path) {
                    fields.push(path.clone());
                }
            }
        });
        self.documents.insert(address.clone(), ());
        if listing {
            let existed = before.is_alive(collection.deletes_win());
            self.changes.push(describe(address, collection, existed, &after, fields));
        }
        store.put_document(address, Arc::new(after), collection)
    }

    /// Enters into the books that a cell was replaced by another.
    fn enter(
        &mut self,
        address: &Address,
        fingerprints: &mut Fingerprints,
        path: &Path,
        before: Option<CellRef<'_>>,
        after: CellRef<'_>,
    ) {
        if let Some(before) = before {
            self.head.root = self.head.root.minus(fingerprints.of(path, &before));
            if let Some(replaced) = &mut self.replaced {
                let by = replaced.or_default(&after.set_by().dot());
                by.or_default(address).merge_cell(path, before.to_owned());
            }
        }
        self.head.root = self.head.root.plus(fingerprints.of(path, &after));
        self.dots.insert(after.set_by().dot(), ());
        self.cells += 1;
    }

    /// The first transaction of a replica of which a cell has changed something.
    pub(super) fn first_of(&self, replica: ReplicaId) -> Option<u64> {
        let (next, ()) = self.dots.iter_from(&Dot::new(replica, 0)).next()?;
        (next.replica == replica).then_some(next.counter)
    }

    /// Of each replica of which a cell has changed something, the last transaction.
    pub(super) fn last_dots(&self) -> impl Iterator<Item = Dot> {
        let mut dots = self.dots.iter().map(|(dot, ())| *dot).peekable();
        core::iter::from_fn(move || {
            let mut last = dots.next()?;
            while let Some(next) = dots.next_if(|next| next.replica == last.replica) {
                last = next;
            }
            Some(last)
        })
    }

    /// A document that comes back after it was evicted: what was counted in it here comes first, because what a peer sends
    /// may be older.
    fn recall<S: Store>(
        &mut self,
        store: &mut S,
        address: &Address,
        document: Arc<Document>,
    ) -> Result<Arc<Document>, StoreError> {
        if !document.is_empty() || !scoped::was_partial(store, &mut self.was_partial)? {
            return Ok(document);
        }
        match scoped::take_counted(store, address)? {
            Some(counted) => {
                self.recalled = true;
                self.replace(store, address, document, &SmallSet::new(), counted)?;
                // What that gives is what is shown, without what is parked.
                Ok(store.document(address)?.unwrap_or_default())
            }
            None => Ok(document),
        }
    }

    /// The last position of the change order.
    pub(super) const fn sequence(&self) -> u64 {
        self.head.sequence
    }

    /// True until something changed.
    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Appends the step to the change order, when anything changed, and describes it.
    pub(super) fn finish<S: Store>(
        mut self,
        store: &mut S,
        origin: Origin,
    ) -> Result<Option<ChangeEvent>, StoreError> {
        if !self.documents.is_empty() {
            self.append(store)?;
        } else if self.changes.is_empty() {
            return Ok(None);
        }
        Ok(self.event(origin))
    }

    /// As [`Merge::finish`], but the step that it appends is empty: what changed is told to no peer by the change order.
    pub(super) fn finish_untold<S: Store>(
        mut self,
        store: &mut S,
        origin: Origin,
    ) -> Result<Option<ChangeEvent>, StoreError> {
        if self.recalled || self.documents.is_empty() {
            return self.finish(store, origin);
        }
        (self.dots, self.documents) = (SmallSet::new(), SmallSet::new());
        self.append(store)?;
        Ok(self.event(origin))
    }

    /// A document that was merged from several batches is listed once per batch; the last one tells its state.
    fn event(mut self, origin: Origin) -> Option<ChangeEvent> {
        let and_more = self.changes.len() > ChangeEvent::LISTED;
        self.changes.truncate(ChangeEvent::LISTED);
        let event = ChangeEvent { sequence: self.head.sequence, origin, documents: self.changes, and_more };
        self.listening.then_some(event)
    }

    /// Takes the next position of the change order, also when only the context rose.
    pub(super) fn append<S: Store>(&mut self, store: &mut S) -> Result<(), StoreError> {
        self.head.sequence += 1;
        store.append_log(LogRecord {
            sequence: self.head.sequence,
            dots: core::mem::take(&mut self.dots).into_keys(),
            documents: core::mem::take(&mut self.documents).into_keys(),
        })
    }
}

pub(super) fn is_of_field(cell: &CellRef<'_>) -> bool {
    !matches!(cell.kind(), CellKind::Presence | CellKind::Deletion)
}

pub(super) fn describe(
    address: &Address,
    collection: &Collection,
    existed: bool,
    document: &Document,
    written: Vec<Path>,
) -> DocumentChange {
    let kind = match (existed, document.is_alive(collection.deletes_win())) {
        (false, true) => ChangeKind::Appeared,
        (true, true) => ChangeKind::Updated,
        (true, false) => ChangeKind::Disappeared,
        (false, false) => ChangeKind::Hidden,
    };
    let mut fields: Vec<Path> = Vec::new();
    // Nearly in order already; and a sort of their own would weigh in a browser.
    for path in written {
        if let Err(at) = fields.binary_search(&path) {
            fields.insert(at, path);
        }
    }
    let conflicted = |path: &Path| {
        let Some((name, enclosing)) = path.split_last() else { return false };
        !MapView::of(document, collection, enclosing).conflicts(name).is_empty()
    };
    let fields = fields.into_iter().map(|path| FieldChange { conflicted: conflicted(&path), path }).collect();
    DocumentChange { address: address.clone(), kind, fields }
}

impl Document {
    /// The fingerprint of all cells of a document, summed anew: what the books must agree with.
    pub fn fingerprint(&self, namespace: &crate::Namespace, address: &Address) -> Fingerprint {
        let (mut fingerprints, mut sum) = (Fingerprints::new(namespace, address), Fingerprint::EMPTY);
        self.visit(&mut |path, cell| sum = sum.plus(fingerprints.of(path, &cell)));
        sum
    }

    /// The merge of two states.
    pub fn merged(mut self, other: Self) -> Self {
        self.merge(other);
        self
    }
}
