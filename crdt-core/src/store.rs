//! [`Store`]: what a replica needs of whatever keeps its state. Implemented by the in-memory store, by SQLite, by the
//! browser's storage.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::document::{Address, Document, DocumentId};
use crate::{Collection, Dot, Fingerprint, Hlc, Name, Namespace, ReplicaId, VersionVector};

/// One unbroken run of a store's history: 64 random bits, drawn anew whenever the history may have forked.
///
/// A cursor is kept per life: it counts positions in one change order, and a copy that went its own way has another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life(pub u64);

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "life-{:016x}", self.0)
    }
}

/// The small facts that change with every transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What is replicated.
    pub namespace: Namespace,
    /// Who writes here.
    pub replica: ReplicaId,
    /// Since when without a break.
    pub life: Life,
    /// The counter of the last own transaction; 0 before the first.
    pub counter: u64,
    /// The time of the last own transaction.
    pub hlc: Hlc,
    /// The last position in the local change order, in which own commits and applied checkpoints follow each other.
    pub sequence: u64,
    /// The highest own counter that may have left this store; never more than what is durable.
    pub offered: u64,
    /// The fingerprint of all cells.
    pub root: Fingerprint,
    /// A server decides what counts: commits keep what they replace until it has taken them.
    pub follows: bool,
}

impl Head {
    /// A store that holds nothing yet.
    pub const fn new(namespace: Namespace, replica: ReplicaId, life: Life) -> Self {
        Self {
            namespace,
            replica,
            life,
            counter: 0,
            hlc: Hlc::from_bits(0),
            sequence: 0,
            offered: 0,
            root: Fingerprint::EMPTY,
            follows: false,
        }
    }
}

/// One step of the local change order: which documents it touched, and the dots of the cells that it changed.
///
/// The cells of a step are the touched documents' cells with these dots; a cell that was overwritten since has another
/// dot, and belongs to a later step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The position.
    pub sequence: u64,
    /// In order, each once.
    pub dots: Vec<Dot>,
    /// In order, each once.
    pub documents: Vec<Address>,
}

/// What is remembered of another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Which history.
    pub life: Life,
    /// Under which id it wrote when we last heard of it.
    pub replica: ReplicaId,
    /// How far into its change order we have durably applied.
    pub cursor: u64,
    /// How far into our change order it has said to have durably applied.
    pub acked: u64,
    /// What it let us read while the cursor moved, as the peer numbers it; 0 for everything. A cursor says nothing about
    /// what was not to be read.
    pub scope: u64,
    /// The highest counter that it has claimed for its own transactions, so that it can be told when it has lost some.
    /// Unlike the context it promises nothing: some of them may have been refused.
    pub claimed: u64,
}

/// How sure a commit is when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Every reader of the store sees it. A power failure may take it back; then it has never left the store either.
    Visible,
    /// It survives a power failure.
    Durable,
}

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Sees one state until it ends.
    Read,
    /// Is alone in writing, among all processes that have the store open.
    Write,
}

/// Keeps the state of one replica.
///
/// Calls come in transactions: [`begin`](Store::begin), any of the others, then [`commit`](Store::commit) or
/// [`rollback`](Store::rollback). All that a transaction reads is of one state, its own writes included. Nothing is
/// cached beyond a transaction that another process could change.
pub trait Store {
    /// Starts a transaction, and says how sure its writes have to be when its commit returns: a database may have to
    /// know that before the first of them.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another writer does not finish in time.
    fn begin(&mut self, access: Access, durability: Durability) -> Result<(), StoreError>;

    /// Ends a transaction. When this returns, its writes are at least as sure as was asked; if that was
    /// [`Durability::Durable`], then so is all that was committed before, by whichever process, also when the
    /// transaction wrote nothing.
    ///
    /// # Errors
    /// Nothing was written then.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Ends a transaction without effect. Does nothing outside one.
    fn rollback(&mut self);

    /// The head.
    ///
    /// # Errors
    /// [`StoreError`].
    fn head(&mut self) -> Result<Head, StoreError>;

    /// The head as it is now, outside a transaction. Sessions look at it with every message, so a store that can tell
    /// without a transaction does.
    ///
    /// # Errors
    /// [`StoreError`].
    fn present_head(&mut self) -> Result<Head, StoreError> {
        self.begin(Access::Read, Durability::Visible)?;
        let head = self.head().and_then(|head| self.commit().map(|()| head));
        if head.is_err() {
            self.rollback();
        }
        head
    }

    /// Replaces the head.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_head(&mut self, head: &Head) -> Result<(), StoreError>;

    /// A document's state, deleted ones included.
    ///
    /// # Errors
    /// [`StoreError`].
    fn document(&mut self, address: &Address) -> Result<Option<Arc<Document>>, StoreError>;

    /// Replaces a document's state. The collection says how it shows in queries.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_document(
        &mut self,
        address: &Address,
        document: Arc<Document>,
        collection: &Collection,
    ) -> Result<(), StoreError>;

    /// Takes a document out, as if it had never been there. Steps of the change order may go on to name it: then
    /// [`Store::log_after`] leaves it out, or [`Store::document`] does not find it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove_document(&mut self, address: &Address) -> Result<(), StoreError>;

    /// As [`Store::put_document`], for a document that does not show its state: cells of it are parked. A store that shows
    /// documents to others (in a column for queries, say) shows `shown`; [`Store::document`] gives the state.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_shown(
        &mut self,
        address: &Address,
        document: Arc<Document>,
        shown: &Document,
        collection: &Collection,
    ) -> Result<(), StoreError> {
        let _ = shown;
        self.put_document(address, document, collection)
    }

    /// Whether anything is parked, that is, whether there is any note under [`PARKED_NOTES`]. It is asked in every
    /// transaction, so a store for which a look is dear remembers the answer, and forgets it when notes under that prefix
    /// may have changed: by this transaction, by its rollback, by another process.
    ///
    /// # Errors
    /// [`StoreError`].
    fn has_parked(&mut self) -> Result<bool, StoreError> {
        Ok(!self.notes_after(PARKED_NOTES, &[], 1)?.is_empty())
    }

    /// The next documents after one, in the order of addresses; deleted ones included.
    ///
    /// # Errors
    /// [`StoreError`].
    fn documents_after(
        &mut self,
        after: Option<&Address>,
        limit: usize,
    ) -> Result<Vec<(Address, Arc<Document>)>, StoreError>;

    /// The next documents of one collection after an id, in the order of ids; deleted ones included.
    ///
    /// # Errors
    /// [`StoreError`].
    fn collection_after(
        &mut self,
        collection: &Name,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<(DocumentId, Arc<Document>)>, StoreError>;

    /// About how many documents there are, deleted ones included, if that is cheap to say; 0 when it is not.
    ///
    /// # Errors
    /// [`StoreError`].
    fn document_estimate(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// A number by which [`Store::address_numbered`] finds a document again for as long as it is stored; `None` when it is
    /// not. Asked in a transaction for writing, because a store may give the number now.
    ///
    /// # Errors
    /// [`StoreError`].
    fn number_of(&mut self, address: &Address) -> Result<Option<u64>, StoreError>;

    /// The document of a number.
    ///
    /// # Errors
    /// [`StoreError`].
    fn address_numbered(&mut self, number: u64) -> Result<Option<Address>, StoreError>;

    /// Adds a step to the end of the change order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn append_log(&mut self, record: LogRecord) -> Result<(), StoreError>;

    /// The next steps of the change order after a position.
    ///
    /// # Errors
    /// [`StoreError`].
    fn log_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<LogRecord>, StoreError>;

    /// What was seen of *other* replicas. What was seen of one's own is the head's counter.
    ///
    /// # Errors
    /// [`StoreError`].
    fn context(&mut self) -> Result<VersionVector, StoreError>;

    /// The entry of one replica in [`Store::context`]; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn context_of(&mut self, replica: ReplicaId) -> Result<u64, StoreError>;

    /// The entries of the context that rose after a position of the change order. At its very start: all.
    ///
    /// # Errors
    /// [`StoreError`].
    fn context_after(&mut self, sequence: u64) -> Result<Vec<Dot>, StoreError>;

    /// Raises an entry of the context, at a position of the change order. False, and nothing happens, when the present
    /// counter is not lower.
    ///
    /// # Errors
    /// [`StoreError`].
    fn raise_context(&mut self, dot: Dot, sequence: u64) -> Result<bool, StoreError>;

    /// What is remembered of a peer.
    ///
    /// # Errors
    /// [`StoreError`].
    fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError>;

    /// Everything that is remembered of peers.
    ///
    /// # Errors
    /// [`StoreError`].
    fn peers(&mut self) -> Result<Vec<PeerRecord>, StoreError>;

    /// Replaces what is remembered of a peer. Cursor and ack only move up: that is the caller's business.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_peer(&mut self, peer: &PeerRecord) -> Result<(), StoreError>;

    /// Puts a received batch aside, after those that are there for this peer.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stage(&mut self, peer: Life, batch: &[u8]) -> Result<(), StoreError>;

    /// A batch that was put aside; they count from 0.
    ///
    /// # Errors
    /// [`StoreError`].
    fn staged(&mut self, peer: Life, index: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Drops what was put aside for a peer.
    ///
    /// # Errors
    /// [`StoreError`].
    fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError>;

    /// A note: something small that the core keeps beside the state, under a key of its own making.
    ///
    /// # Errors
    /// [`StoreError`].
    fn note(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces a note, or removes it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_note(&mut self, key: &[u8], note: Option<&[u8]>) -> Result<(), StoreError>;

    /// The next notes whose keys begin with `prefix` and are greater than `after`, in the order of keys, with their keys.
    ///
    /// # Errors
    /// [`StoreError`].
    fn notes_after(&mut self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Note>, StoreError>;
}

/// What the keys of the notes begin with that say what is parked.
pub const PARKED_NOTES: &[u8] = b"parked\0";

/// The key of a note, and the note.
pub type Note = (Vec<u8>, Vec<u8>);

/// A store that could not do what it was asked. The transaction has no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Try again later, or close what holds it.
    #[error("the database is locked by another writer; try again")]
    Busy,
    /// Free some space; everything committed is safe.
    #[error("the disk is full; free some space and try again")]
    Full,
    /// Restore a copy, or start anew and sync.
    #[error("the database is damaged: {detail}; restore a backup or start a new one and sync")]
    Corrupt {
        /// What was found.
        detail: String,
    },
    /// Update the program.
    #[error(
        "the database was written by a newer version (format {found}, this one reads {supported}); update"
    )]
    Newer {
        /// The format of the file.
        found: u32,
        /// The newest that this version reads.
        supported: u32,
    },
    /// Open it for writing.
    #[error("the database was opened read-only")]
    ReadOnly,
    /// Open it with the secret that it was created with.
    #[error("the database was created with another secret, or with none: open it with that one")]
    WrongNamespace,
    /// Anything else; see the source.
    #[error("the database failed: {0}")]
    Backend(#[source] Box<dyn core::error::Error + Send + Sync>),
}
