//! [`Transaction`]: any number of edits of any number of documents, committed as one dot.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::document::{Address, Document, DocumentId, DocumentMut, DocumentView, EditError, Path, Working};
use crate::limits::{LimitExceeded, Limits};
use crate::replica::{counted, drop_rejected};
use crate::schema::Collections;
use crate::small_map::{SmallMap, SmallSet};
use crate::store::{Store, StoreError};
use crate::{Change, Dot, Name};

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
    documents: SmallMap<Address, (Arc<Document>, Working)>,
    /// This replica has evicted documents, or may have.
    was_partial: bool,
    /// Documents that are not there, but what was counted here before they went is known.
    restored: SmallSet<Address>,
}

/// What a transaction wrote into one document.
pub(crate) struct Written {
    pub(crate) address: Address,
    pub(crate) before: Arc<Document>,
    pub(crate) delta: Document,
    /// What the edits made of the document; the merge of the delta has to come to the same.
    pub(crate) after: Document,
    /// What was before is not stored: it is what was counted in a document that is not there.
    pub(crate) restored: bool,
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
        was_partial: bool,
    ) -> Self {
        let (documents, restored) = (SmallMap::new(), SmallSet::new());
        Self { store, collections, limits, change, began: change, documents, was_partial, restored }
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
            let working = Working { state: (*before).clone(), delta: Document::new() };
            self.documents.insert(address.clone(), (before, working));
        }
        // It is there by now.
        let (_, working) = self.documents.or_default(&address);
        Ok(DocumentMut {
            working,
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
        let state = match self.documents.get(&address) {
            Some((_, working)) => Arc::new(working.state.clone()),
            None => self.store.document(&address)?.unwrap_or_default(),
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
    pub(crate) fn finish(self) -> (Change, Vec<Written>) {
        let (began, change, restored) = (self.began, self.change, self.restored);
        let written = self.documents.into_iter().filter(|(_, (_, working))| !working.delta.is_empty());
        let written = written.map(|(address, (before, working))| {
            let Working { state, delta } = working.finish(&began, &change);
            let restored = restored.contains_key(&address);
            Written { address, before, delta, after: state, restored }
        });
        (change, written.collect())
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
