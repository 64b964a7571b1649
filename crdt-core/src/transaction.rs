//! [`Transaction`]: any number of edits of any number of documents, committed as one dot.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::document::{Address, Document, DocumentId, DocumentMut, DocumentView, EditError, Path, Working};
use crate::limits::{LimitExceeded, Limits};
use crate::replica::{counted, drop_rejected, shown};
use crate::schema::Collections;
use crate::small_map::{SmallMap, SmallSet};
use crate::store::{Store, StoreError};
use crate::{Change, ClockError, Dot, Hlc, Name};

/// Edits that become visible together, here and on every other replica.
///
/// Later edits see earlier ones. Whatever is not committed, because the closure failed or panicked, never happened.
pub struct Transaction<'r> {
    store: &'r mut dyn Store,
    collections: &'r Collections,
    limits: &'r Limits,
    change: Change,
    /// The change as it began, to see whether its stamp had to be raised.
    began: Change,
    /// Stamps after this one are not followed but exceeded by an epoch.
    latest: Hlc,
    documents: SmallMap<Address, Opened>,
    /// This replica has evicted documents, or may have.
    was_partial: bool,
    /// Documents that are not there, but what was counted here before they went is known.
    restored: SmallSet<Address>,
}

/// A document that a transaction has opened.
#[derive(Default)]
struct Opened {
    /// The state before, which is more than what is shown where cells are parked.
    before: Arc<Document>,
    hides: bool,
    /// What is shown, and edited.
    working: Working,
}

/// What a transaction wrote into one document.
pub(crate) struct Written {
    pub(crate) address: Address,
    pub(crate) before: Arc<Document>,
    pub(crate) outcome: Outcome,
    /// What was before is not stored: it is what was counted in a document that is not there.
    pub(crate) is_restored: bool,
}

/// What became of a document.
pub(crate) enum Outcome {
    /// It is this now. What was written are the cells that bear the transaction's dot.
    Edited(Document),
    /// This has to be merged into it.
    Delta {
        /// What was written.
        delta: Document,
        /// What the document has to show then; `None` for what is not the outcome of edits.
        shows: Option<Document>,
    },
}

/// A document that a transaction cannot open. Nothing was changed; the transaction can go on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many documents for one transaction, or too long a name.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

impl<'r> Transaction<'r> {
    pub(crate) fn new(
        store: &'r mut dyn Store,
        collections: &'r Collections,
        limits: &'r Limits,
        change: Change,
        latest: Hlc,
        was_partial: bool,
    ) -> Self {
        let (documents, restored) = (SmallMap::new(), SmallSet::new());
        Self { store, collections, limits, change, began: change, latest, documents, was_partial, restored }
    }

    /// Opens a document for editing, whether it exists or not. Nothing is written before the first edit.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn document(
        &mut self,
        collection: impl Into<Name>,
        id: DocumentId,
    ) -> Result<DocumentMut<'_>, OpenError> {
        let address = Address { collection: collection.into(), id };
        LimitExceeded::check("bytes of a collection name", address.collection.len(), self.limits.name_bytes)?;
        let collection = self.collections.get(&address.collection);
        if !self.documents.contains_key(&address) {
            let (open, limit) = (self.documents.len(), self.limits.documents_per_transaction);
            LimitExceeded::check("documents of a transaction", open + 1, limit)?;
            let before = self.before(&address)?;
            let (shown, parked) = shown(self.store, &address, &before)?;
            let working = Working { state: (*shown).clone(), is_edited: false };
            self.documents.insert(address.clone(), Opened { before, hides: parked.is_some(), working });
        }
        // It is there by now.
        let Opened { before, hides, working } = self.documents.or_default(&address);
        Ok(DocumentMut {
            working,
            hidden: hides.then_some(&**before),
            latest: self.latest,
            change: &mut self.change,
            collection,
            limits: self.limits,
            id,
            path: Path::new(),
        })
    }

    /// The document as it is; or what was counted here before it went.
    fn before(&mut self, address: &Address) -> Result<Arc<Document>, StoreError> {
        if let Some(document) = self.store.document(address)? {
            return Ok(document);
        }
        let counted = if self.was_partial { counted(self.store, address)? } else { None };
        if counted.is_some() {
            self.restored.insert(address.clone(), ());
        }
        Ok(Arc::new(counted.unwrap_or_default()))
    }

    /// Reads a document as this transaction sees it, its own edits included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&mut self, collection: impl Into<Name>, id: DocumentId) -> Result<DocumentView, StoreError> {
        let address = Address { collection: collection.into(), id };
        let state = if let Some(opened) = self.documents.get(&address) {
            Arc::new(opened.working.state.clone())
        } else {
            let state = self.store.document(&address)?.unwrap_or_default();
            shown(self.store, &address, &state)?.0
        };
        Ok(DocumentView::new(state, self.collections.get_shared(&address.collection)))
    }

    /// Forgets a change that was refused, together with the edits of this transaction: they stand for it. False when
    /// there is none of that name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_rejected(&mut self, dot: Dot) -> Result<bool, StoreError> {
        drop_rejected(self.store, dot)
    }

    /// The change with its final stamp, and what was written.
    ///
    /// What is written over a parked cell has to win against it: that takes the next epoch, for the whole transaction.
    ///
    /// # Errors
    /// [`ClockError`].
    pub(crate) fn finish(self) -> Result<(Change, Vec<Written>), ClockError> {
        let (began, mut change, restored) = (self.began, self.change, self.restored);
        let written_into = |state: &Document| state.select(|dot| dot == began.dot());
        for (_, Opened { before, working, .. }) in self.documents.iter().filter(|(_, opened)| opened.hides) {
            let mut parked = Ok(());
            written_into(&working.state).merge_observed((**before).clone(), &mut |_, written, winner| {
                if written.is_some() && parked.is_ok() {
                    parked = change.exceed_by_epoch(&winner.greatest_stamp());
                }
            });
            parked?;
        }
        let written = self.documents.into_iter().filter(|(_, opened)| opened.working.is_edited);
        let written = written.map(|(address, Opened { before, hides, working })| {
            let state = working.finish(&began, &change).state;
            let is_restored = restored.contains_key(&address);
            // What is shown, and was edited, may be less than the state; or more than is stored.
            let outcome = if hides || is_restored {
                Outcome::Delta { delta: written_into(&state), shows: Some(state) }
            } else {
                Outcome::Edited(state)
            };
            Written { address, before, outcome, is_restored }
        });
        Ok((change, written.collect()))
    }
}

impl core::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Transaction").field("change", &self.change).finish_non_exhaustive()
    }
}

/// An edit that failed for either reason: what most closures given to a commit return.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// A document could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An edit could not be made.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
