//! [`Tx`]: a transaction of a database.

use crdt_core::{DocumentId, DocumentMut, DocumentView, Dot, Name, Transaction};
use uuid::Uuid;

use crate::Error;

/// Edits that become visible together, here and on every other device. Later edits see earlier ones.
#[derive(Debug)]
pub struct Tx<'t, 'r>(pub(crate) &'t mut Transaction<'r>);

impl Tx<'_, '_> {
    /// Creates a document with a new random id, which is also roughly in the order of creation (a UUIDv7).
    ///
    /// # Errors
    /// [`Error::Limit`] for too many documents in one transaction.
    pub fn create(&mut self, collection: impl Into<Name>) -> Result<DocumentMut<'_>, Error> {
        self.ensure(collection.into(), Uuid::now_v7().into())
    }

    /// Creates the document that a key of yours names, or opens it if it is there: two devices that create "the same"
    /// thing offline create one document, whose fields merge.
    ///
    /// # Errors
    /// As [`Tx::create`].
    pub fn create_with_key(
        &mut self,
        collection: impl Into<Name>,
        key: &str,
    ) -> Result<DocumentMut<'_>, Error> {
        let collection = collection.into();
        let id = DocumentId::from_key(&collection, key);
        self.ensure(collection, id)
    }

    fn ensure(&mut self, collection: Name, id: DocumentId) -> Result<DocumentMut<'_>, Error> {
        let mut document = self.0.document(collection, id)?;
        document.ensure()?;
        Ok(document)
    }

    /// Opens a document for editing. One that is not there comes into being with the first edit.
    ///
    /// # Errors
    /// As [`Tx::create`].
    pub fn open(&mut self, collection: impl Into<Name>, id: DocumentId) -> Result<DocumentMut<'_>, Error> {
        Ok(self.0.document(collection, id)?)
    }

    /// Deletes a document; see [`DocumentMut::delete`].
    ///
    /// # Errors
    /// As [`Tx::create`].
    pub fn delete(&mut self, collection: impl Into<Name>, id: DocumentId) -> Result<(), Error> {
        self.0.document(collection, id)?.delete();
        Ok(())
    }

    /// Forgets a change that a server refused, together with the edits of this transaction, which stand for it. False when
    /// there is none of that name; see [`Database::rejected`](crate::Database::rejected).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn drop_rejected(&mut self, change: Dot) -> Result<bool, Error> {
        Ok(self.0.drop_rejected(change)?)
    }

    /// Reads a document as this transaction sees it; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn get(
        &mut self,
        collection: impl Into<Name>,
        id: DocumentId,
    ) -> Result<Option<DocumentView>, Error> {
        Ok(Some(self.0.read(collection, id)?).filter(DocumentView::exists))
    }
}
