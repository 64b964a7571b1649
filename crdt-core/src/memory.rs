//! [`MemoryStore`]: a store in memory. The reference that every other store is tested against.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::document::{Address, Document, DocumentId};
use crate::small_map::SmallMap;
use crate::store::{Access, Durability, Head, Life, LogRecord, Note, PeerRecord, Store, StoreError};
use crate::{Collection, Dot, Name, ReplicaId, VersionVector};

/// Keeps everything in memory. It has no durability: a process that ends takes it along, so the embedding layer draws a
/// new [`ReplicaId`] each time.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    state: State,
    /// What undoes the open transaction, the latest last.
    undo: Vec<Undo>,
}

#[derive(Clone, Debug)]
struct State {
    head: Head,
    documents: SmallMap<Address, Arc<Document>>,
    log: Vec<LogRecord>,
    context: SmallMap<ReplicaId, (u64, u64)>,
    peers: SmallMap<Life, PeerRecord>,
    staged: SmallMap<Life, Vec<Vec<u8>>>,
    notes: SmallMap<Vec<u8>, Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Undo {
    Head(Head),
    Document(Address, Option<Arc<Document>>),
    Log(usize),
    Context(ReplicaId, Option<(u64, u64)>),
    Peer(Life, Option<PeerRecord>),
    Stage(Life),
    Staged(Life, Vec<Vec<u8>>),
    Note(Vec<u8>, Option<Vec<u8>>),
}

impl MemoryStore {
    /// An empty store.
    pub const fn new(head: Head) -> Self {
        let state = State {
            head,
            documents: SmallMap::new(),
            log: Vec::new(),
            context: SmallMap::new(),
            peers: SmallMap::new(),
            staged: SmallMap::new(),
            notes: SmallMap::new(),
        };
        Self { state, undo: Vec::new() }
    }
}

impl Store for MemoryStore {
    fn begin(&mut self, _: Access, _: Durability) -> Result<(), StoreError> {
        self.undo.clear();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.undo.clear();
        Ok(())
    }

    fn rollback(&mut self) {
        let state = &mut self.state;
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Head(head) => state.head = head,
                Undo::Document(address, Some(document)) => {
                    state.documents.insert(address, document);
                }
                Undo::Document(address, None) => {
                    state.documents.remove(&address);
                }
                Undo::Log(len) => state.log.truncate(len),
                Undo::Context(replica, Some(entry)) => {
                    state.context.insert(replica, entry);
                }
                Undo::Context(replica, None) => {
                    state.context.remove(&replica);
                }
                Undo::Peer(life, Some(peer)) => {
                    state.peers.insert(life, peer);
                }
                Undo::Peer(life, None) => {
                    state.peers.remove(&life);
                }
                Undo::Stage(life) => {
                    state.staged.get_mut(&life).map(Vec::pop);
                }
                Undo::Staged(life, batches) => {
                    state.staged.insert(life, batches);
                }
                Undo::Note(key, Some(note)) => {
                    state.notes.insert(key, note);
                }
                Undo::Note(key, None) => {
                    state.notes.remove(&key);
                }
            }
        }
    }

    fn head(&mut self) -> Result<Head, StoreError> {
        Ok(self.state.head.clone())
    }

    fn set_head(&mut self, head: &Head) -> Result<(), StoreError> {
        self.undo.push(Undo::Head(core::mem::replace(&mut self.state.head, head.clone())));
        Ok(())
    }

    fn document(&mut self, address: &Address) -> Result<Option<Arc<Document>>, StoreError> {
        Ok(self.state.documents.get(address).cloned())
    }

    fn put_document(
        &mut self,
        address: &Address,
        document: Arc<Document>,
        _: &Collection,
    ) -> Result<(), StoreError> {
        let before = self.state.documents.insert(address.clone(), document);
        self.undo.push(Undo::Document(address.clone(), before));
        Ok(())
    }

    fn documents_after(
        &mut self,
        after: Option<&Address>,
        limit: usize,
    ) -> Result<Vec<(Address, Arc<Document>)>, StoreError> {
        let documents = &self.state.documents;
        let next = after.map_or_else(|| documents.iter(), |after| documents.iter_from(after));
        let next = next.skip_while(|(address, _)| Some(*address) == after).take(limit);
        Ok(next.map(|(address, document)| (address.clone(), document.clone())).collect())
    }

    fn collection_after(
        &mut self,
        collection: &Name,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<(DocumentId, Arc<Document>)>, StoreError> {
        let id = after.unwrap_or(DocumentId::from_u64(0));
        let next = self.state.documents.iter_from(&Address { collection: collection.clone(), id });
        let next = next.skip_while(|(address, _)| Some(address.id) == after);
        let next = next.take_while(|(address, _)| address.collection == *collection).take(limit);
        Ok(next.map(|(address, document)| (address.id, document.clone())).collect())
    }

    fn append_log(&mut self, record: LogRecord) -> Result<(), StoreError> {
        self.undo.push(Undo::Log(self.state.log.len()));
        self.state.log.push(record);
        Ok(())
    }

    fn log_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<LogRecord>, StoreError> {
        let start = self.state.log.partition_point(|record| record.sequence <= sequence);
        Ok(self.state.log[start..].iter().take(limit).cloned().collect())
    }

    fn context(&mut self) -> Result<VersionVector, StoreError> {
        Ok(self.state.context.iter().map(|(replica, (counter, _))| Dot::new(*replica, *counter)).collect())
    }

    fn context_len(&mut self) -> Result<usize, StoreError> {
        Ok(self.state.context.len())
    }

    fn context_after(&mut self, sequence: u64) -> Result<Vec<Dot>, StoreError> {
        let risen = self.state.context.iter().filter(|(_, (_, at))| *at > sequence);
        Ok(risen.map(|(replica, (counter, _))| Dot::new(*replica, *counter)).collect())
    }

    fn raise_context(&mut self, dot: Dot, sequence: u64) -> Result<bool, StoreError> {
        let before = self.state.context.get(&dot.replica).copied();
        let rises = before.is_none_or(|(counter, _)| counter < dot.counter);
        if rises {
            self.state.context.insert(dot.replica, (dot.counter, sequence));
            self.undo.push(Undo::Context(dot.replica, before));
        }
        Ok(rises)
    }

    fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError> {
        Ok(self.state.peers.get(&life).copied())
    }

    fn peers(&mut self) -> Result<Vec<PeerRecord>, StoreError> {
        Ok(self.state.peers.iter().map(|(_, peer)| *peer).collect())
    }

    fn set_peer(&mut self, peer: &PeerRecord) -> Result<(), StoreError> {
        let before = self.state.peers.insert(peer.life, *peer);
        self.undo.push(Undo::Peer(peer.life, before));
        Ok(())
    }

    fn stage(&mut self, peer: Life, batch: &[u8]) -> Result<(), StoreError> {
        self.state.staged.or_default(peer).push(batch.to_vec());
        self.undo.push(Undo::Stage(peer));
        Ok(())
    }

    fn staged(&mut self, peer: Life, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let batches = self.state.staged.get(&peer);
        Ok(batches.and_then(|batches| batches.get(usize::try_from(index).ok()?).cloned()))
    }

    fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError> {
        if let Some(batches) = self.state.staged.remove(&peer) {
            self.undo.push(Undo::Staged(peer, batches));
        }
        Ok(())
    }

    fn note(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state.notes.get(key).cloned())
    }

    fn set_note(&mut self, key: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        let before = match note {
            Some(note) => self.state.notes.insert(key.to_vec(), note.to_vec()),
            None => self.state.notes.remove(key),
        };
        self.undo.push(Undo::Note(key.to_vec(), before));
        Ok(())
    }

    fn notes_after(&mut self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Note>, StoreError> {
        let next = self.state.notes.iter_from(prefix.max(after));
        let next = next.skip_while(|(key, _)| after >= prefix && key[..] == *after);
        let next = next.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(next.map(|(key, note)| (key.clone(), note.clone())).collect())
    }
}
