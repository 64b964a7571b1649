//! [`MemoryStore`]: a store in memory. The reference that every other store is tested against.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::document::{Address, Document, DocumentId};
use crate::small_map::SmallMap;
use crate::store::{
    Access, Durability, Head, Life, LogRecord, Note, PARKED_NOTES, PeerRecord, Store, StoreError,
};
use crate::{Collection, Dot, Name, ReplicaId, VersionVector};

/// Keeps everything in memory. It has no durability: a process that ends takes it along, so the embedding layer draws a
/// new [`ReplicaId`] each time.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    head: Head,
    log: Vec<LogRecord>,
    /// All else, in one map, as a database would have it: what undoes a transaction is one list then.
    rows: SmallMap<Key, Row>,
    /// The head and the length of the log as they were when the open transaction began.
    before: Option<(Head, usize)>,
    /// The rows that it replaced, the latest last.
    replaced: Vec<(Key, Option<Row>)>,
    /// The last number that was given to a document.
    numbered: u64,
    /// Whether anything is parked; unknown until it is asked.
    has_parked: Option<bool>,
}

/// What a row is found by. Rows of a kind lie together, in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Document(Address),
    Context(ReplicaId),
    /// At which position of the change order the entry of a replica rose to what it is.
    Risen(u64, ReplicaId),
    Peer(Life),
    /// The batches staged for a peer, by their number.
    Staged(Life, u64),
    Note(Vec<u8>),
    /// The number of a document, and the document of a number, once somebody has asked for it.
    NumberOf(Address),
    Numbered(u64),
}

#[derive(Clone, Debug)]
enum Row {
    Document(Arc<Document>),
    /// A counter, and the position in the change order at which it was reached.
    Context(u64, u64),
    /// Boxed, for it is large and there are few.
    Peer(Box<PeerRecord>),
    /// A staged batch or a note.
    Bytes(Vec<u8>),
    Number(u64),
    Address(Box<Address>),
}

impl MemoryStore {
    /// An empty store.
    pub const fn new(head: Head) -> Self {
        Self {
            head,
            log: Vec::new(),
            rows: SmallMap::new(),
            before: None,
            replaced: Vec::new(),
            numbered: 0,
            has_parked: None,
        }
    }

    fn put(&mut self, key: Key, row: Row) {
        let before = self.rows.insert(key.clone(), row);
        self.replaced.push((key, before));
    }

    fn remove(&mut self, key: Key) {
        let before = self.rows.remove(&key);
        self.replaced.push((key, before));
    }

    /// From the first whose address is not less than one.
    fn documents(&self, from: Address) -> impl Iterator<Item = (&Address, &Arc<Document>)> {
        self.rows.iter_from(&Key::Document(from)).map_while(|row| match row {
            (Key::Document(address), Row::Document(document)) => Some((address, document)),
            _ => None,
        })
    }

    /// Of each replica, its last dot and the position at which it was reached.
    fn seen(&self) -> impl Iterator<Item = (Dot, u64)> {
        let first = Key::Context(ReplicaId::from_bytes([0; 16]));
        self.rows.iter_from(&first).map_while(|row| match row {
            (Key::Context(replica), Row::Context(counter, at)) => Some((Dot::new(*replica, *counter), *at)),
            _ => None,
        })
    }

    fn bytes(&self, key: &Key) -> Option<Vec<u8>> {
        match self.rows.get(key) {
            Some(Row::Bytes(bytes)) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl MemoryStore {
    /// How many batches are staged for a peer.
    fn staged_for(&self, peer: Life) -> u64 {
        let staged = self.rows.iter_from(&Key::Staged(peer, 0));
        staged.take_while(|(key, _)| matches!(key, Key::Staged(life, _) if *life == peer)).count() as u64
    }
}

impl Store for MemoryStore {
    fn begin(&mut self, _: Access, _: Durability) -> Result<(), StoreError> {
        self.before = Some((self.head.clone(), self.log.len()));
        self.replaced.clear();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.before = None;
        self.replaced.clear();
        Ok(())
    }

    fn rollback(&mut self) {
        let Some((head, steps)) = self.before.take() else { return };
        self.has_parked = None;
        self.head = head;
        self.log.truncate(steps);
        while let Some((key, before)) = self.replaced.pop() {
            match before {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }

    fn head(&mut self) -> Result<Head, StoreError> {
        Ok(self.head.clone())
    }

    fn set_head(&mut self, head: &Head) -> Result<(), StoreError> {
        self.head = head.clone();
        Ok(())
    }

    fn document(&mut self, address: &Address) -> Result<Option<Arc<Document>>, StoreError> {
        match self.rows.get(&Key::Document(address.clone())) {
            Some(Row::Document(document)) => Ok(Some(document.clone())),
            _ => Ok(None),
        }
    }

    fn put_document(
        &mut self,
        address: &Address,
        document: Arc<Document>,
        _: &Collection,
    ) -> Result<(), StoreError> {
        self.put(Key::Document(address.clone()), Row::Document(document));
        Ok(())
    }

    fn remove_document(&mut self, address: &Address) -> Result<(), StoreError> {
        self.remove(Key::Document(address.clone()));
        let numbered = Key::NumberOf(address.clone());
        if let Some(Row::Number(number)) = self.rows.get(&numbered) {
            let number = *number;
            self.remove(Key::Numbered(number));
            self.remove(numbered);
        }
        Ok(())
    }

    fn documents_after(
        &mut self,
        after: Option<&Address>,
        limit: usize,
    ) -> Result<Vec<(Address, Arc<Document>)>, StoreError> {
        let first = || Address { collection: Name::from(""), id: DocumentId::from_u64(0) };
        let next = self.documents(after.cloned().unwrap_or_else(first));
        let next = next.filter(|(address, _)| Some(*address) != after).take(limit);
        Ok(next.map(|(address, document)| (address.clone(), document.clone())).collect())
    }

    fn collection_after(
        &mut self,
        collection: &Name,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<(DocumentId, Arc<Document>)>, StoreError> {
        let id = after.unwrap_or(DocumentId::from_u64(0));
        let next = self.documents(Address { collection: collection.clone(), id });
        let next = next.take_while(|(address, _)| address.collection == *collection);
        let next = next.filter(|(address, _)| Some(address.id) != after).take(limit);
        Ok(next.map(|(address, document)| (address.id, document.clone())).collect())
    }

    fn document_estimate(&mut self) -> Result<u64, StoreError> {
        let first = Address { collection: Name::from(""), id: DocumentId::from_u64(0) };
        Ok(self.documents(first).count() as u64)
    }

    fn number_of(&mut self, address: &Address) -> Result<Option<u64>, StoreError> {
        let key = Key::NumberOf(address.clone());
        if let Some(Row::Number(number)) = self.rows.get(&key) {
            return Ok(Some(*number));
        }
        if !self.rows.contains_key(&Key::Document(address.clone())) {
            return Ok(None);
        }
        self.numbered += 1;
        self.put(key, Row::Number(self.numbered));
        self.put(Key::Numbered(self.numbered), Row::Address(Box::new(address.clone())));
        Ok(Some(self.numbered))
    }

    fn address_numbered(&mut self, number: u64) -> Result<Option<Address>, StoreError> {
        match self.rows.get(&Key::Numbered(number)) {
            Some(Row::Address(address)) => Ok(Some((**address).clone())),
            _ => Ok(None),
        }
    }

    fn append_log(&mut self, record: LogRecord) -> Result<(), StoreError> {
        self.log.push(record);
        Ok(())
    }

    fn log_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<LogRecord>, StoreError> {
        let start = self.log.partition_point(|record| record.sequence <= sequence);
        Ok(self.log[start..].iter().take(limit).cloned().collect())
    }

    fn context(&mut self) -> Result<VersionVector, StoreError> {
        Ok(self.seen().map(|(dot, _)| dot).collect())
    }

    fn context_of(&mut self, replica: ReplicaId) -> Result<u64, StoreError> {
        match self.rows.get(&Key::Context(replica)) {
            Some(Row::Context(counter, _)) => Ok(*counter),
            _ => Ok(0),
        }
    }

    fn context_after(&mut self, sequence: u64) -> Result<Vec<Dot>, StoreError> {
        let Some(after) = sequence.checked_add(1) else { return Ok(Vec::new()) };
        let first = Key::Risen(after, ReplicaId::from_bytes([0; 16]));
        let risen = self.rows.iter_from(&first).map_while(|(key, _)| match key {
            Key::Risen(_, replica) => Some(*replica),
            _ => None,
        });
        let mut found = SmallMap::new();
        for replica in risen {
            if let Some(Row::Context(counter, _)) = self.rows.get(&Key::Context(replica)) {
                found.insert(Dot::new(replica, *counter), ());
            }
        }
        Ok(found.into_keys())
    }

    fn raise_context(&mut self, dot: Dot, sequence: u64) -> Result<bool, StoreError> {
        if self.context_of(dot.replica)? >= dot.counter {
            return Ok(false);
        }
        let key = Key::Context(dot.replica);
        if let Some(Row::Context(_, at)) = self.rows.get(&key) {
            let risen = Key::Risen(*at, dot.replica);
            self.remove(risen);
        }
        self.put(key, Row::Context(dot.counter, sequence));
        self.put(Key::Risen(sequence, dot.replica), Row::Number(dot.counter));
        Ok(true)
    }

    fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError> {
        match self.rows.get(&Key::Peer(life)) {
            Some(Row::Peer(peer)) => Ok(Some(**peer)),
            _ => Ok(None),
        }
    }

    fn peers(&mut self) -> Result<Vec<PeerRecord>, StoreError> {
        let peers = self.rows.iter_from(&Key::Peer(Life(0))).map_while(|row| match row {
            (Key::Peer(_), Row::Peer(peer)) => Some(**peer),
            _ => None,
        });
        Ok(peers.collect())
    }

    fn set_peer(&mut self, peer: &PeerRecord) -> Result<(), StoreError> {
        self.put(Key::Peer(peer.life), Row::Peer(Box::new(*peer)));
        Ok(())
    }

    fn stage(&mut self, peer: Life, batch: &[u8]) -> Result<(), StoreError> {
        let staged = self.staged_for(peer);
        self.put(Key::Staged(peer, staged), Row::Bytes(batch.to_vec()));
        Ok(())
    }

    fn staged(&mut self, peer: Life, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.bytes(&Key::Staged(peer, index)))
    }

    fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError> {
        for index in 0..self.staged_for(peer) {
            self.remove(Key::Staged(peer, index));
        }
        Ok(())
    }

    fn note(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.bytes(&Key::Note(key.to_vec())))
    }

    fn set_note(&mut self, key: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        if key.starts_with(PARKED_NOTES) {
            self.has_parked = None;
        }
        let key = Key::Note(key.to_vec());
        match note {
            Some(note) => self.put(key, Row::Bytes(note.to_vec())),
            None => self.remove(key),
        }
        Ok(())
    }

    fn has_parked(&mut self) -> Result<bool, StoreError> {
        if let Some(known) = self.has_parked {
            return Ok(known);
        }
        let any = !self.notes_after(PARKED_NOTES, &[], 1)?.is_empty();
        self.has_parked = Some(any);
        Ok(any)
    }

    fn notes_after(&mut self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Note>, StoreError> {
        let next = self.rows.iter_from(&Key::Note(prefix.max(after).to_vec())).map_while(|row| match row {
            (Key::Note(key), Row::Bytes(note)) if key.starts_with(prefix) => Some((key, note)),
            _ => None,
        });
        // From the prefix on when that comes later, and then with the note under the prefix itself.
        let next = next.filter(|(key, _)| after < prefix || **key != after).take(limit);
        Ok(next.map(|(key, note)| (key.clone(), note.clone())).collect())
    }
}
