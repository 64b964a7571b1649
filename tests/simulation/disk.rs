//! [`Disk`]: where a device keeps its state, in memory or in a real SQLite file, and what a power failure leaves of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crdt_core::{
    Access, Address, Collection, Document, DocumentId, Dot, Durability, Head, Life, LogRecord, MemoryStore,
    Name, Namespace, Note, PeerRecord, ReplicaId, Store, StoreError, VersionVector,
};
use sqlite_adapter::{OpenOptions, SqliteStore};

/// The store of a device.
pub struct Disk {
    kept: Kept,
    /// It may crash, so what is durable has to be known.
    may_crash: bool,
    /// What is durable, when that is less than what is there.
    durable: Option<Image>,
    open: Option<(Access, Durability)>,
    /// For a planted bug: the open transaction does not become durable, whatever is said.
    pub pretends: bool,
}

enum Kept {
    Memory(Box<MemoryStore>),
    File(Box<SqliteStore>, PathBuf),
}

/// A copy of what is on a disk.
#[derive(Clone)]
pub enum Image {
    Memory(Box<MemoryStore>),
    File { database: Vec<u8>, log: Vec<u8> },
}

/// The same call on whichever store it is.
macro_rules! kept {
    ($disk:expr, $store:ident => $call:expr) => {
        match &mut $disk.kept {
            Kept::Memory($store) => $call,
            Kept::File($store, _) => $call,
        }
    };
}

fn log_of(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

fn open(path: &Path, namespace: Namespace) -> Box<SqliteStore> {
    let opened = SqliteStore::open(path, &OpenOptions::new(namespace));
    Box::new(opened.expect("a file of the simulation opens").store)
}

impl Disk {
    /// An empty one; in a file, if there is a path.
    pub fn new(head: Head, path: Option<PathBuf>, may_crash: bool) -> Self {
        let kept = match path {
            None => Kept::Memory(Box::new(MemoryStore::new(head))),
            Some(path) => Kept::File(open(&path, head.namespace), path),
        };
        Self { kept, may_crash, durable: None, open: None, pretends: false }
    }

    /// From a copy: at a new place, so that a file notices at its opening, or exactly where it was.
    pub fn from_image(image: &Image, path: Option<PathBuf>, namespace: Namespace, may_crash: bool) -> Self {
        let kept = match (image, path) {
            (Image::Memory(store), _) => Kept::Memory(store.clone()),
            (Image::File { database, log }, Some(path)) => {
                fs::write(&path, database).expect("the folder of the simulation can be written");
                fs::write(log_of(&path), log).expect("the folder of the simulation can be written");
                let _ = fs::remove_file(path.with_extension("db-shm"));
                Kept::File(open(&path, namespace), path)
            }
            (Image::File { .. }, None) => unreachable!("the copy of a file has a place to go"),
        };
        Self { kept, may_crash, durable: None, open: None, pretends: false }
    }

    /// What is there now, durable or not.
    pub fn image(&mut self) -> Image {
        match &self.kept {
            Kept::Memory(store) => Image::Memory(store.clone()),
            Kept::File(_, path) => Image::File {
                database: fs::read(path).expect("the file is there"),
                log: fs::read(log_of(path)).unwrap_or_default(),
            },
        }
    }

    /// Where it is, if it is a file.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.kept {
            Kept::Memory(_) => None,
            Kept::File(_, path) => Some(path.clone()),
        }
    }

    /// The process ends, and what was not durable is gone.
    pub fn crash(mut self, namespace: Namespace) -> Self {
        let (path, may_crash) = (self.path(), self.may_crash);
        let left = self.durable.take().unwrap_or_else(|| self.image());
        // A closing connection tidies up, which a crash does not: so it goes first, and then the file is as it was left.
        drop(self);
        Self::from_image(&left, path, namespace, may_crash)
    }
}

macro_rules! pass_on {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {$(
        fn $name(&mut self $(, $argument: $type)*) -> $result {
            kept!(self, store => store.$name($($argument),*))
        }
    )*};
}

impl Store for Disk {
    fn begin(&mut self, access: Access, durability: Durability) -> Result<(), StoreError> {
        let writes = self.may_crash && access == Access::Write;
        if writes && self.durable.is_none() {
            // A commit that is durable when it returns makes this superfluous, unless it only says so.
            if durability == Durability::Visible || self.pretends {
                self.durable = Some(self.image());
            }
        }
        self.open = Some((access, durability));
        kept!(self, store => store.begin(access, durability))
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        kept!(self, store => store.commit())?;
        if self.open.take() == Some((Access::Write, Durability::Durable)) && !self.pretends {
            self.durable = None;
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.open = None;
        kept!(self, store => store.rollback());
    }

    pass_on! {
        fn head(&mut self) -> Result<Head, StoreError>;
        fn present_head(&mut self) -> Result<Head, StoreError>;
        fn set_head(&mut self, head: &Head) -> Result<(), StoreError>;
        fn document(&mut self, address: &Address) -> Result<Option<Arc<Document>>, StoreError>;
        fn put_document(&mut self, address: &Address, document: Arc<Document>, collection: &Collection)
            -> Result<(), StoreError>;
        fn put_shown(&mut self, address: &Address, document: Arc<Document>, shown: &Document, collection: &Collection)
            -> Result<(), StoreError>;
        fn has_parked(&mut self) -> Result<bool, StoreError>;
        fn remove_document(&mut self, address: &Address) -> Result<(), StoreError>;
        fn document_estimate(&mut self) -> Result<u64, StoreError>;
        fn documents_after(&mut self, after: Option<&Address>, limit: usize)
            -> Result<Vec<(Address, Arc<Document>)>, StoreError>;
        fn collection_after(&mut self, collection: &Name, after: Option<DocumentId>, limit: usize)
            -> Result<Vec<(DocumentId, Arc<Document>)>, StoreError>;
        fn append_log(&mut self, record: LogRecord) -> Result<(), StoreError>;
        fn log_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<LogRecord>, StoreError>;
        fn context(&mut self) -> Result<VersionVector, StoreError>;
        fn context_of(&mut self, replica: ReplicaId) -> Result<u64, StoreError>;
        fn number_of(&mut self, address: &Address) -> Result<Option<u64>, StoreError>;
        fn address_numbered(&mut self, number: u64) -> Result<Option<Address>, StoreError>;
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
