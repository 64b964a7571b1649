//! [`SqliteStore`]: transactions, and the way from each call of [`Store`] to its table.

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt_core::{
    Access, Address, Collection, Document, DocumentId, Dot, Durability, Head, Life, LogRecord, Name, Note,
    PARKED_NOTES, PeerRecord, ReplicaId, Store, StoreError, VersionVector, renew_identity,
};
use rusqlite::Connection;

use crate::dictionary::Numbers;
use crate::documents::{self, Documents};
use crate::error::{Failure, Misuse, corrupt};
use crate::identity::{self, Place};
use crate::log::Tail;
use crate::row::Both;
use crate::{head, notes, peers};

/// Statements that stay prepared: more than this crate has.
const STATEMENTS: usize = 64;

/// A replica's state in an SQLite file.
///
/// # Durability
///
/// The file is in WAL mode. A [`Durability::Visible`] transaction commits at `synchronous = NORMAL`: its frames are in
/// the log, and a power failure may take them back. A [`Durability::Durable`] one commits at `FULL`: the log is synced
/// after its last frame, before the commit returns. A sync is of the file, so it takes along all frames before, also
/// those of other processes; what is no longer in the log was synced into the database by the checkpoint that moved it.
///
/// SQLite syncs only when there are frames to write, and an update that changes no byte makes none. So a durable
/// transaction that left the head as it was counts itself in the head, and with that there always are.
///
/// # Several processes
///
/// A write transaction takes the only write lock at its start (`BEGIN IMMEDIATE`), waiting up to the busy timeout. What
/// is kept in memory between transactions is the dictionaries, which only grow, and, for those that only read, the head.
/// Each transaction looks whether another connection has written, and then for new entries and a new head; one that
/// writes always reads the head anew.
#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) connection: Connection,
    read_only: bool,
    /// What `PRAGMA synchronous` is set to. It cannot change within a transaction.
    synchronous: Durability,
    pub(crate) numbers: Numbers,
    pub(crate) documents: Documents,
    /// The declaration under which documents of a collection are written here, as far as that was looked at.
    pub(crate) noted: BTreeMap<Name, String>,
    pub(crate) tail: Tail,
    /// The head as this connection last saw or wrote it; `None` when another may have written since.
    seen: Option<Head>,
    /// Whether anything is parked, if that is known.
    has_parked: Option<bool>,
    transaction: Option<Open>,
}

/// A transaction that was begun.
#[derive(Debug)]
struct Open {
    access: Access,
    durability: Durability,
    /// The head as the transaction has it, once it was asked for.
    head: Option<Head>,
    head_changed: bool,
}

impl SqliteStore {
    /// Over a connection that is at `synchronous = FULL`, to a file whose tables are there.
    pub(crate) fn new(connection: Connection, read_only: bool) -> Self {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Self {
            connection,
            read_only,
            synchronous: Durability::Durable,
            numbers: Numbers::default(),
            documents: Documents::default(),
            noted: BTreeMap::new(),
            tail: Tail::default(),
            seen: None,
            has_parked: None,
            transaction: None,
        }
    }

    /// Goes on under a new id and life, for an app that knows that the file was copied or restored. Returns the new id.
    ///
    /// # Errors
    /// [`StoreError`]; the identity is the old one then.
    pub fn renew_identity(&mut self) -> Result<ReplicaId, StoreError> {
        self.renew(None)
    }

    /// Goes on under a new id and life, and notes where the file is now.
    pub(crate) fn renew(&mut self, place: Option<&Place>) -> Result<ReplicaId, StoreError> {
        let (replica, life) = identity::draw()?;
        self.transact(Access::Write, Durability::Durable, |store| {
            let mut head = store.head()?;
            renew_identity(store, &mut head, replica, life)?;
            if let Some(place) = place {
                head::set_place(&store.connection, place)?;
            }
            Ok(())
        })?;
        Ok(replica)
    }

    /// A number that is another one whenever another connection has changed the file since this store last looked: poll
    /// it to hear of what other processes commit. It says nothing about this store's own commits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn data_version(&mut self) -> Result<i64, StoreError> {
        let version =
            || self.connection.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0));
        Ok(version().map_err(Failure::from)?)
    }

    /// Runs `work` in a transaction.
    pub(crate) fn transact<T>(
        &mut self,
        access: Access,
        durability: Durability,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.begin(access, durability)?;
        let result = work(self).map_err(StoreError::from).and_then(|done| self.commit().map(|()| done));
        if result.is_err() {
            self.rollback();
        }
        result
    }

    fn run(&self, sql: &str) -> Result<(), Failure> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn start(&mut self, access: Access, durability: Durability) -> Result<(), Failure> {
        match access {
            Access::Read => self.run("BEGIN")?,
            Access::Write => {
                if self.read_only {
                    return Err(StoreError::ReadOnly.into());
                }
                if self.synchronous != durability {
                    let level = if durability == Durability::Durable { "FULL" } else { "NORMAL" };
                    self.connection.pragma_update(None, "synchronous", level)?;
                    self.synchronous = durability;
                }
                self.run("BEGIN IMMEDIATE")?;
            }
        }
        self.documents.begin();
        if self.numbers.begin(&self.connection)? {
            (self.seen, self.has_parked) = (None, None);
        }
        // What a transaction writes follows from what the row says while nobody else can write, never from memory. So one
        // that is given up leaves nothing in memory either.
        if access == Access::Write {
            self.seen = None;
        }
        self.tail.begin(self.seen.is_some());
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let open = self.transaction.as_ref().ok_or(Misuse::NoTransaction)?;
        if open.access == Access::Write && open.durability == Durability::Durable && !open.head_changed {
            head::count_flush(&self.connection)?;
        }
        if self.tail.changed().is_some() {
            head::set_tail(&self.connection, &mut self.tail)?;
        }
        self.run("COMMIT")?;
        self.seen = self.transaction.take().and_then(|open| open.head).or_else(|| self.seen.take());
        Ok(())
    }

    fn reading(&mut self) -> Result<&mut Open, Failure> {
        Ok(self.transaction.as_mut().ok_or(Misuse::NoTransaction)?)
    }

    fn writing(&mut self) -> Result<&mut Open, Failure> {
        match self.reading()? {
            Open { access: Access::Read, .. } => Err(Misuse::NotForWriting.into()),
            open => Ok(open),
        }
    }

    fn put(&mut self, address: &Address, document: Both<'_>, collection: &Collection) -> Result<(), Failure> {
        self.writing()?;
        self.about_to_write(&address.collection, collection)?;
        self.documents.put(&self.connection, &mut self.numbers, address, document, collection)
    }

    fn all_after(
        &mut self,
        after: Option<&Address>,
        limit: usize,
    ) -> Result<Vec<(Address, Arc<Document>)>, Failure> {
        self.reading()?;
        let mut found = Vec::new();
        for collection in self.numbers.names() {
            let from = match after {
                Some(after) if collection < after.collection => continue,
                Some(after) if collection == after.collection => Some(after.id),
                _ => None,
            };
            let room = limit - found.len();
            if room == 0 {
                break;
            }
            let next = documents::after(&self.connection, &mut self.numbers, &collection, from, room)?;
            found.extend(next.into_iter().map(|(id, document)| (Address::new(&collection, id), document)));
        }
        Ok(found)
    }

    fn read_head(&mut self) -> Result<Head, Failure> {
        if let Some(known) = &self.reading()?.head {
            return Ok(known.clone());
        }
        let head = match &self.seen {
            Some(seen) => seen.clone(),
            None => {
                head::get(&self.connection, &mut self.tail)?.ok_or_else(|| corrupt("the head is missing"))?
            }
        };
        self.reading()?.head = Some(head.clone());
        Ok(head)
    }

    fn look_at_head(&mut self) -> Result<Head, StoreError> {
        if self.transaction.is_none()
            && let Some(seen) = &self.seen
            && !self.numbers.is_behind(&self.connection)?
        {
            return Ok(seen.clone());
        }
        self.transact(Access::Read, Durability::Visible, Self::read_head)
    }

    fn write_head(&mut self, head: &Head) -> Result<(), Failure> {
        let open = self.writing()?;
        open.head_changed |= open.head.as_ref().is_some_and(|before| before != head);
        open.head = Some(head.clone());
        head::set(&self.connection, head, &mut self.tail)
    }
}

impl Store for SqliteStore {
    fn begin(&mut self, access: Access, durability: Durability) -> Result<(), StoreError> {
        if self.transaction.is_some() {
            return Err(Failure::from(Misuse::Nested).into());
        }
        self.transaction = Some(Open { access, durability, head: None, head_changed: false });
        self.start(access, durability).map_err(|failure| {
            self.rollback();
            failure.into()
        })
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        // A commit that fails leaves the transaction open, or SQLite has ended it: the caller rolls back in any case.
        Ok(self.finish()?)
    }

    fn rollback(&mut self) {
        if self.transaction.take().is_some() {
            self.numbers.rollback();
            self.noted.clear();
            self.has_parked = None;
        }
        if !self.connection.is_autocommit() {
            // When even this fails, so does the next begin, and says why.
            let _ = self.run("ROLLBACK");
        }
    }

    fn head(&mut self) -> Result<Head, StoreError> {
        Ok(self.read_head()?)
    }

    fn present_head(&mut self) -> Result<Head, StoreError> {
        self.look_at_head()
    }

    fn set_head(&mut self, head: &Head) -> Result<(), StoreError> {
        Ok(self.write_head(head)?)
    }

    fn document(&mut self, address: &Address) -> Result<Option<Arc<Document>>, StoreError> {
        self.reading()?;
        Ok(self.documents.get(&self.connection, &mut self.numbers, address)?)
    }

    fn put_document(
        &mut self,
        address: &Address,
        document: Arc<Document>,
        collection: &Collection,
    ) -> Result<(), StoreError> {
        Ok(self.put(address, (&*document).into(), collection)?)
    }

    fn put_shown(
        &mut self,
        address: &Address,
        document: Arc<Document>,
        shown: &Document,
        collection: &Collection,
    ) -> Result<(), StoreError> {
        Ok(self.put(address, Both { state: &document, shown }, collection)?)
    }

    fn has_parked(&mut self) -> Result<bool, StoreError> {
        if let Some(known) = self.has_parked {
            return Ok(known);
        }
        let found = !self.notes_after(PARKED_NOTES, &[], 1)?.is_empty();
        self.has_parked = Some(found);
        Ok(found)
    }

    fn remove_document(&mut self, address: &Address) -> Result<(), StoreError> {
        self.writing()?;
        Ok(self.documents.remove(&self.connection, &self.numbers, address)?)
    }

    fn documents_after(
        &mut self,
        after: Option<&Address>,
        limit: usize,
    ) -> Result<Vec<(Address, Arc<Document>)>, StoreError> {
        Ok(self.all_after(after, limit)?)
    }

    fn collection_after(
        &mut self,
        collection: &Name,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<(DocumentId, Arc<Document>)>, StoreError> {
        self.reading()?;
        Ok(documents::after(&self.connection, &mut self.numbers, collection, after, limit)?)
    }

    fn document_estimate(&mut self) -> Result<u64, StoreError> {
        self.reading()?;
        Ok(documents::estimate(&self.connection)?)
    }

    fn number_of(&mut self, address: &Address) -> Result<Option<u64>, StoreError> {
        self.reading()?;
        Ok(self.documents.number_of(&self.connection, &self.numbers, address)?)
    }

    fn address_numbered(&mut self, number: u64) -> Result<Option<Address>, StoreError> {
        self.reading()?;
        let row = number.cast_signed();
        Ok(self.documents.address_of(&self.connection, &self.numbers, row)?)
    }

    fn append_log(&mut self, record: LogRecord) -> Result<(), StoreError> {
        self.writing()?;
        Ok(self.tail.append(&self.connection, &mut self.numbers, &mut self.documents, &record)?)
    }

    fn log_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<LogRecord>, StoreError> {
        self.reading()?;
        Ok(self.tail.after(&self.connection, &mut self.numbers, &mut self.documents, sequence, limit)?)
    }

    fn context(&mut self) -> Result<VersionVector, StoreError> {
        self.reading()?;
        Ok(peers::context(&self.connection)?.into_iter().collect())
    }

    fn context_of(&mut self, replica: ReplicaId) -> Result<u64, StoreError> {
        self.reading()?;
        Ok(peers::context_of(&self.connection, replica)?)
    }

    fn context_after(&mut self, sequence: u64) -> Result<Vec<Dot>, StoreError> {
        self.reading()?;
        Ok(peers::context_after(&self.connection, sequence)?)
    }

    fn raise_context(&mut self, dot: Dot, sequence: u64) -> Result<bool, StoreError> {
        self.writing()?;
        Ok(peers::raise_context(&self.connection, dot, sequence)?)
    }

    fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError> {
        self.reading()?;
        Ok(peers::get(&self.connection, life)?)
    }

    fn peers(&mut self) -> Result<Vec<PeerRecord>, StoreError> {
        self.reading()?;
        Ok(peers::all(&self.connection)?)
    }

    fn set_peer(&mut self, peer: &PeerRecord) -> Result<(), StoreError> {
        self.writing()?;
        Ok(peers::set(&self.connection, peer)?)
    }

    fn stage(&mut self, peer: Life, batch: &[u8]) -> Result<(), StoreError> {
        self.writing()?;
        Ok(peers::stage(&self.connection, peer, batch)?)
    }

    fn staged(&mut self, peer: Life, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading()?;
        Ok(peers::staged(&self.connection, peer, index)?)
    }

    fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError> {
        self.writing()?;
        Ok(peers::clear_staged(&self.connection, peer)?)
    }

    fn note(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading()?;
        Ok(notes::get(&self.connection, key)?)
    }

    fn set_note(&mut self, key: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        self.writing()?;
        if key.starts_with(PARKED_NOTES) {
            self.has_parked = None;
        }
        Ok(notes::set(&self.connection, key, note)?)
    }

    fn notes_after(&mut self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Note>, StoreError> {
        self.reading()?;
        Ok(notes::after(&self.connection, prefix, after, limit)?)
    }
}
