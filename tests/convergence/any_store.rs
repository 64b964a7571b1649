//! [`AnyStore`]: lets the replicas of one history keep their state in different stores.

use std::sync::Arc;

use crdt_core::{
    Access, Address, Collection, Document, DocumentId, Dot, Durability, Head, Life, LogRecord, MemoryStore,
    Name, Note, PeerRecord, ReplicaId, Store, StoreError, VersionVector,
};
use sqlite_adapter::SqliteStore;

use crate::sqlite_file::SqliteFile;

/// Of 100 stores, so many are real files: they are slower by far.
const FILES: u64 = 1;

/// A store that a history can be run on.
pub trait TestStore: Store + Send {
    /// A copy of the file as it is on disk.
    fn backup(&mut self) -> AnyStore;

    /// What is left after the process ended and the file was opened again.
    fn reopen(self: Box<Self>) -> AnyStore;
}

/// Any store.
pub struct AnyStore(pub Box<dyn TestStore>);

impl AnyStore {
    /// The store of a replica: the one place to mix in further stores. `choice` is any number.
    pub fn create(head: Head, choice: u64) -> Self {
        if choice % 100 < FILES {
            return Self(Box::new(SqliteFile::create(&head)));
        }
        Self(Box::new(MemoryStore::new(head)))
    }
}

impl TestStore for MemoryStore {
    fn backup(&mut self) -> AnyStore {
        AnyStore(Box::new(self.clone()))
    }

    fn reopen(self: Box<Self>) -> AnyStore {
        AnyStore(self)
    }
}

/// Passes every call on to what a store consists of.
macro_rules! pass_on {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {$(
        fn $name(&mut self $(, $argument: $type)*) -> $result {
            self.inner().$name($($argument),*)
        }
    )*};
}

impl AnyStore {
    fn inner(&mut self) -> &mut dyn TestStore {
        &mut *self.0
    }
}

impl SqliteFile {
    fn inner(&mut self) -> &mut SqliteStore {
        self.store()
    }
}

macro_rules! store {
    ($type:ty) => {
impl Store for $type {
    pass_on! {
        fn put_shown(&mut self, address: &Address, document: Arc<Document>, shown: &Document, collection: &Collection) -> Result<(), StoreError>;
        fn has_parked(&mut self) -> Result<bool, StoreError>;
        fn begin(&mut self, access: Access, durability: Durability) -> Result<(), StoreError>;
        fn commit(&mut self) -> Result<(), StoreError>;
        fn rollback(&mut self) -> ();
        fn head(&mut self) -> Result<Head, StoreError>;
        fn present_head(&mut self) -> Result<Head, StoreError>;
        fn set_head(&mut self, head: &Head) -> Result<(), StoreError>;
        fn document(&mut self, address: &Address) -> Result<Option<Arc<Document>>, StoreError>;
        fn put_document(&mut self, address: &Address, document: Arc<Document>, collection: &Collection)
            -> Result<(), StoreError>;
        fn remove_document(&mut self, address: &Address) -> Result<(), StoreError>;
        fn document_estimate(&mut self) -> Result<u64, StoreError>;
        fn documents_after(&mut self, after: Option<&Address>, limit: usize)
            -> Result<Vec<(Address, Arc<Document>)>, StoreError>;
        fn collection_after(&mut self, collection: &Name, after: Option<DocumentId>, limit: usize)
            -> Result<Vec<(DocumentId, Arc<Document>)>, StoreError>;
        fn number_of(&mut self, address: &Address) -> Result<Option<u64>, StoreError>;
        fn address_numbered(&mut self, number: u64) -> Result<Option<Address>, StoreError>;
        fn append_log(&mut self, record: LogRecord) -> Result<(), StoreError>;
        fn log_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<LogRecord>, StoreError>;
        fn context(&mut self) -> Result<VersionVector, StoreError>;
        fn context_of(&mut self, replica: ReplicaId) -> Result<u64, StoreError>;
        fn context_after(&mut self, sequence: u64) -> Result<Vec<Dot>, StoreError>;
        fn raise_context(&mut self, dot: Dot, sequence: u64) -> Result<bool, StoreError>;
        fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError>;
        fn peers(&mut self) -> Result<Vec<PeerRecord>, StoreError>;
        fn set_peer(&mut self, peer: &PeerRecord) -> Result<(), StoreError>;
        fn stage(&mut self, peer: Life, batch: &[u8]) -> Result<(), StoreError>;
        fn staged(&mut self, peer: Life, index: u64) -> Result<Option<Vec<u8>>, StoreError>;
        fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError>;
        fn note(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
        fn set_note(&mut self, key: &[u8], note: Option<&[u8]>) -> Result<(), StoreError>;
        fn notes_after(&mut self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Note>, StoreError>;
    }
}
    };
}

store!(AnyStore);
store!(SqliteFile);
