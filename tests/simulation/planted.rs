//! [`Bug`]: one planted bug per promise, and [`Planted`], the store with which most of them are planted.
//!
//! The library itself is not touched: a bug is put in at its seams, where it meets the disk, the app and the network. A
//! check that none of these bugs sets off checks nothing.

use std::sync::Arc;

use crdt_core::codec::{Dictionary, Reader, decode_batch};
use crdt_core::{
    Access, Address, Collection, Document, DocumentId, Dot, Durability, Fingerprint, Head, Life, Limits,
    LogRecord, Name, Note, PeerRecord, ReplicaId, Store, StoreError, VersionVector,
};

use crate::disk::Disk;

/// What is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    NoFlush,
    DurableLost,
    AckBeforeDurable,
    CursorApart,
    ContextByChunk,
    ContextAhead,
    OwnOnly,
    ChunksShown,
    HalfTransaction,
    SameIdAfterRestore,
    OneBadCell,
    UndeclaredDropped,
    RootOfPeer,
    WeakFingerprint,
    ContextForgets,
    TrustsBytes,
    WaitsForEver,
    NewerIsDamage,
    Replaces,
    CellDropped,
    HalfCommit,
    AbsenceMeansDeleted,
    ClockDecides,
    CursorLies,
    GuardSleeps,
    RefusedForgotten,
}

impl Bug {
    /// With the promises that they break: `S` for the invariants of sync, `M` for those of the state model, and in words
    /// what goes wrong.
    pub const ALL: [(Self, &str, &str); 26] = [
        (Self::NoFlush, "S1", "the sender does not flush before sending"),
        (Self::DurableLost, "S1", "a commit is called durable and is not"),
        (Self::AckBeforeDurable, "S2", "what was received is acknowledged before it is durable"),
        (Self::CursorApart, "S2", "the cursor is durable before what it stands for"),
        (Self::ContextByChunk, "S3", "a chunk raises the context"),
        (Self::ContextAhead, "S3", "a context claims a transaction too many"),
        (Self::OwnOnly, "S4", "what came from others is not in the stream"),
        (Self::ChunksShown, "S6", "chunks are shown before their checkpoint"),
        (Self::HalfTransaction, "S6", "a transaction is applied in half"),
        (Self::SameIdAfterRestore, "S7", "an id is used again after a restore"),
        (Self::OneBadCell, "S8", "one bad document stops the stream"),
        (Self::UndeclaredDropped, "S9", "what no schema declares is dropped"),
        (Self::RootOfPeer, "S10", "a root is answered that is not the state's"),
        (Self::WeakFingerprint, "S11", "fingerprints collide"),
        (Self::ContextForgets, "S12", "an entry of the version vector is dropped"),
        (Self::TrustsBytes, "S13", "damaged bytes panic"),
        (Self::WaitsForEver, "progress", "a session waits for ever for an answer"),
        (Self::NewerIsDamage, "versions", "a newer protocol is taken for damage"),
        (Self::Replaces, "M1", "a received document replaces the one that is there"),
        (Self::CellDropped, "M2", "a received document is dropped now and then"),
        (Self::HalfCommit, "M3", "a commit stores its first two documents and forgets the others"),
        (Self::AbsenceMeansDeleted, "M4", "what is deleted is forgotten, so that absence means deleted"),
        (Self::ClockDecides, "M5", "what comes from the future is not stored"),
        (Self::CursorLies, "causality", "the cursor is one step further than what was applied"),
        (Self::GuardSleeps, "guard", "a guard lets through what it refuses"),
        (Self::RefusedForgotten, "guard", "what was refused is not kept for its author"),
    ];
}

/// A store with a bug, or without.
pub struct Planted {
    pub disk: Disk,
    pub bug: Option<Bug>,
    /// The device's clock, for the bug that looks at it.
    pub now_ms: u64,
    /// The open transaction is the app's own and not something received.
    pub local: bool,
    open: Open,
    puts: u64,
    /// Records of peers that were written since the disk was last durable.
    peers: Vec<PeerRecord>,
}

/// What the open transaction has done.
#[derive(Default)]
struct Open {
    puts: u64,
    peers: Vec<PeerRecord>,
    offers: bool,
    writes: bool,
}

impl Planted {
    pub fn new(mut disk: Disk, bug: Option<Bug>) -> Self {
        disk.pretends =
            matches!(bug, Some(Bug::NoFlush | Bug::DurableLost | Bug::AckBeforeDurable | Bug::CursorApart));
        Self { disk, bug, now_ms: 0, local: false, open: Open::default(), puts: 0, peers: Vec::new() }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// What the crash of a device with the bug leaves.
    pub fn crash(self, namespace: crdt_core::Namespace) -> Self {
        let (bug, peers) = (self.bug, self.peers);
        let mut left = Self::new(self.disk.crash(namespace), bug);
        if bug == Some(Bug::CursorApart) {
            let disk = &mut left.disk;
            let write = |disk: &mut Disk| -> Result<(), StoreError> {
                disk.begin(Access::Write, Durability::Durable)?;
                peers.iter().try_for_each(|peer| disk.set_peer(peer))?;
                disk.commit()
            };
            write(disk).expect("the disk of the simulation does not fail");
        }
        left
    }

    /// Whether the transaction that is being committed is to be only said to be durable.
    fn pretends(&self) -> bool {
        let received = self.open.puts > 0 && !self.open.peers.is_empty();
        match self.bug {
            Some(Bug::NoFlush) => self.open.offers && self.open.puts == 0,
            Some(Bug::DurableLost) => self.local && self.open.puts > 0,
            Some(Bug::AckBeforeDurable | Bug::CursorApart) => received,
            _ => false,
        }
    }

    /// A received document, as far as the bug lets it through.
    fn lets_through(&mut self, address: &Address, document: &Document) -> Result<bool, StoreError> {
        Ok(match self.bug {
            Some(Bug::HalfTransaction) => self.open.puts != 2,
            Some(Bug::CellDropped) => self.puts % 12 != 5,
            Some(Bug::UndeclaredDropped) => *address.collection != *"loose",
            Some(Bug::ClockDecides) => {
                let (latest, mut from_future) = (self.now_ms + 60_000, false);
                document.visit(&mut |_, cell| from_future |= cell.set_by().stamp.hlc.ms() > latest);
                !from_future
            }
            Some(Bug::OneBadCell) if *address.collection == *"tasks" => {
                let detail = "a cell that nobody expected".into();
                return Err(StoreError::Corrupt { detail });
            }
            _ => true,
        })
    }

    fn stage_wrongly(&mut self, batch: &[u8]) -> Result<(), StoreError> {
        let documents = decode_batch(&mut Reader::new(batch), &mut Dictionary::new(), &Limits::DEFAULT)
            .unwrap_or_default();
        for (address, received) in documents {
            if self.has(Bug::ContextByChunk) {
                let (mut dots, head) = (Vec::new(), self.disk.head()?);
                received.visit(&mut |_, cell| dots.push(cell.set_by().dot()));
                for dot in dots.into_iter().filter(|dot| dot.replica != head.replica) {
                    self.disk.raise_context(dot, head.sequence)?;
                }
            } else {
                let present = self.disk.document(&address)?.unwrap_or_default();
                let merged = (*present).clone().merged(received);
                let collection = Collection::new(address.collection.clone());
                self.disk.put_document(&address, Arc::new(merged), &collection)?;
            }
        }
        Ok(())
    }
}

macro_rules! pass_on {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {$(
        fn $name(&mut self $(, $argument: $type)*) -> $result {
            self.disk.$name($($argument),*)
        }
    )*};
}

impl Store for Planted {
    fn begin(&mut self, access: Access, durability: Durability) -> Result<(), StoreError> {
        self.open = Open { writes: access == Access::Write, ..Open::default() };
        self.disk.begin(access, durability)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        // Only a bug changes what the disk believes.
        let believed = self.disk.pretends;
        if believed {
            self.disk.pretends = self.pretends();
        }
        let done = self.disk.commit();
        if self.open.writes && !self.disk.pretends {
            self.peers.clear();
        }
        self.disk.pretends = believed;
        self.peers.append(&mut self.open.peers);
        done
    }

    fn rollback(&mut self) {
        self.disk.rollback();
    }

    fn head(&mut self) -> Result<Head, StoreError> {
        let mut head = self.disk.head()?;
        match self.bug {
            Some(Bug::WeakFingerprint) => head.root = Fingerprint(head.root.0 & 1),
            Some(Bug::RootOfPeer) => head.root = Fingerprint::EMPTY,
            _ => {}
        }
        Ok(head)
    }

    fn set_head(&mut self, head: &Head) -> Result<(), StoreError> {
        self.open.offers |= head.offered == head.counter;
        self.disk.set_head(head)
    }

    fn document(&mut self, address: &Address) -> Result<Option<Arc<Document>>, StoreError> {
        if self.has(Bug::Replaces) && !self.local && self.open.writes {
            return Ok(None);
        }
        self.disk.document(address)
    }

    fn put_document(
        &mut self,
        address: &Address,
        document: Arc<Document>,
        collection: &Collection,
    ) -> Result<(), StoreError> {
        self.open.puts += 1;
        if !self.local && self.open.writes {
            self.puts += 1;
            if !self.lets_through(address, &document)? {
                return Ok(());
            }
        }
        if self.has(Bug::HalfCommit) && self.local && self.open.puts == 3 {
            return Ok(());
        }
        let dead = !document.is_alive(collection.deletes_win());
        let document = if self.has(Bug::AbsenceMeansDeleted) && dead { Arc::default() } else { document };
        self.disk.put_document(address, document, collection)
    }

    fn log_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<LogRecord>, StoreError> {
        let mut records = self.disk.log_after(sequence, limit)?;
        if self.has(Bug::OwnOnly) {
            let replica = self.disk.head()?.replica;
            for record in &mut records {
                if !record.dots.iter().any(|dot| dot.replica == replica) {
                    (record.dots, record.documents) = (Vec::new(), Vec::new());
                }
            }
        }
        Ok(records)
    }

    fn context(&mut self) -> Result<VersionVector, StoreError> {
        self.disk.context()
    }

    fn context_after(&mut self, sequence: u64) -> Result<Vec<Dot>, StoreError> {
        let mut context = self.disk.context_after(sequence)?;
        if self.has(Bug::ContextAhead) {
            for dot in &mut context {
                dot.counter += 1;
            }
        }
        if self.has(Bug::ContextForgets) {
            context.truncate(context.len().saturating_sub(1));
        }
        Ok(context)
    }

    fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError> {
        let lies = u64::from(self.has(Bug::CursorLies));
        let known = self.disk.peer(life)?;
        Ok(known.map(|peer| PeerRecord { cursor: peer.cursor + lies, ..peer }))
    }

    fn set_peer(&mut self, peer: &PeerRecord) -> Result<(), StoreError> {
        self.open.peers.push(*peer);
        self.disk.set_peer(peer)
    }

    fn set_note(&mut self, key: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        if self.has(Bug::RefusedForgotten) && key.starts_with(b"rejected") {
            return Ok(());
        }
        self.disk.set_note(key, note)
    }

    fn stage(&mut self, peer: Life, batch: &[u8]) -> Result<(), StoreError> {
        if self.has(Bug::ChunksShown) || self.has(Bug::ContextByChunk) {
            self.stage_wrongly(batch)?;
        }
        self.disk.stage(peer, batch)
    }

    pass_on! {
        fn documents_after(&mut self, after: Option<&Address>, limit: usize)
            -> Result<Vec<(Address, Arc<Document>)>, StoreError>;
        fn collection_after(&mut self, collection: &Name, after: Option<DocumentId>, limit: usize)
            -> Result<Vec<(DocumentId, Arc<Document>)>, StoreError>;
        fn append_log(&mut self, record: LogRecord) -> Result<(), StoreError>;
        fn has_parked(&mut self) -> Result<bool, StoreError>;
        fn remove_document(&mut self, address: &Address) -> Result<(), StoreError>;
        fn document_estimate(&mut self) -> Result<u64, StoreError>;
        fn context_of(&mut self, replica: ReplicaId) -> Result<u64, StoreError>;
        fn number_of(&mut self, address: &Address) -> Result<Option<u64>, StoreError>;
        fn address_numbered(&mut self, number: u64) -> Result<Option<Address>, StoreError>;
        fn raise_context(&mut self, dot: Dot, sequence: u64) -> Result<bool, StoreError>;
        fn peers(&mut self) -> Result<Vec<PeerRecord>, StoreError>;
        fn staged(&mut self, peer: Life, index: u64) -> Result<Option<Vec<u8>>, StoreError>;
        fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError>;
        fn note(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
        fn notes_after(&mut self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Note>, StoreError>;
    }
}
