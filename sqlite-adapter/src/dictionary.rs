//! [`Numbers`]: what rows name by number, kept in memory and in step with the file.
//!
//! Entries are only ever added, so what is known stays right; what another connection added is read at the start of the
//! next transaction, and what an abandoned transaction added is forgotten.

use std::collections::HashMap;

use crdt_core::codec::{Dictionary, DictionaryEntry, Reader, Shape};
use crdt_core::{Collection, Document, Name, ReplicaId};
use rusqlite::Connection;

use crate::documents::saturated;
use crate::error::{Failure, corrupt};
use crate::row::{self, Both, Row};

/// Collections, replicas and shapes by number.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    dictionary: Dictionary,
    /// How many replicas and shapes are in the file, as this transaction sees it.
    stored: (usize, usize),
    collections: Vec<Name>,
    by_name: HashMap<Name, i64>,
    /// The file's `data_version` when everything was known; another one says that another connection has written.
    version: Option<i64>,
    /// Sizes at the start of the transaction.
    began: ((usize, usize), usize),
}

/// Another number than before says that another connection has written.
fn version(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0))?)
}

impl Numbers {
    /// Starts a transaction. True when another connection may have written since the last one.
    pub(crate) fn begin(&mut self, connection: &Connection) -> Result<bool, Failure> {
        let version = version(connection)?;
        let written = self.version != Some(version);
        if written {
            self.load(connection)?;
            self.version = Some(version);
        }
        self.began = (self.stored, self.collections.len());
        Ok(written)
    }

    /// True when another connection may have written since the last transaction began.
    pub(crate) fn is_behind(&self, connection: &Connection) -> Result<bool, Failure> {
        Ok(self.version != Some(version(connection)?))
    }

    /// Forgets what the transaction added.
    pub(crate) fn rollback(&mut self) {
        if self.began != (self.dictionary.size(), self.collections.len()) {
            *self = Self::default();
        }
    }

    /// Reads what is not known yet.
    fn load(&mut self, connection: &Connection) -> Result<(), Failure> {
        let mut replicas =
            connection.prepare_cached("SELECT id FROM rejoin_replica WHERE number >= ? ORDER BY number")?;
        let mut rows = replicas.query([saturated(self.stored.0)])?;
        while let Some(row) = rows.next()? {
            self.restore(DictionaryEntry::Replica(ReplicaId::from_bytes(row.get(0)?)), (1, 0))?;
        }
        let mut shapes =
            connection.prepare_cached("SELECT shape FROM rejoin_shape WHERE number >= ? ORDER BY number")?;
        let mut rows = shapes.query([saturated(self.stored.1)])?;
        while let Some(row) = rows.next()? {
            let mut reader = Reader::new(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
            let shape = Shape::read(&mut reader, &row::LIMITS)?;
            reader.finish()?;
            self.restore(DictionaryEntry::Shape(shape), (0, 1))?;
        }
        let sql = "SELECT name FROM rejoin_collection WHERE number >= ? ORDER BY number";
        let mut collections = connection.prepare_cached(sql)?;
        let mut rows = collections.query([saturated(self.collections.len())])?;
        while let Some(row) = rows.next()? {
            self.add_collection(row.get::<_, String>(0)?.into());
        }
        Ok(())
    }

    fn restore(&mut self, entry: DictionaryEntry, (replicas, shapes): (usize, usize)) -> Result<(), Failure> {
        self.dictionary.restore(entry);
        self.stored = (self.stored.0 + replicas, self.stored.1 + shapes);
        if self.dictionary.size() == self.stored {
            return Ok(());
        }
        *self = Self::default();
        Err(corrupt("a dictionary has an entry twice").into())
    }

    fn add_collection(&mut self, name: Name) -> i64 {
        let number = saturated(self.collections.len());
        self.collections.push(name.clone());
        self.by_name.insert(name, number);
        number
    }

    /// Stores what the dictionary gained.
    fn store_new(&mut self, connection: &Connection) -> Result<(), Failure> {
        if self.dictionary.size() == self.stored {
            return Ok(());
        }
        let mut replica =
            connection.prepare_cached("INSERT INTO rejoin_replica (number, id) VALUES (?, ?)")?;
        let mut shape =
            connection.prepare_cached("INSERT INTO rejoin_shape (number, shape) VALUES (?, ?)")?;
        let (mut replicas, mut shapes) = self.stored;
        for entry in self.dictionary.entries_since(self.stored) {
            match entry {
                DictionaryEntry::Replica(id) => {
                    replica.execute((saturated(replicas), id.as_bytes()))?;
                    replicas += 1;
                }
                DictionaryEntry::Shape(cells) => {
                    let mut bytes = Vec::new();
                    cells.put(&mut bytes);
                    shape.execute((saturated(shapes), bytes))?;
                    shapes += 1;
                }
            }
        }
        self.stored = (replicas, shapes);
        Ok(())
    }

    /// The number of a collection that was ever written to, or shown.
    pub(crate) fn collection(&self, name: &str) -> Option<i64> {
        self.by_name.get(name).copied()
    }

    /// The number of a collection, given to it if it has none.
    pub(crate) fn collection_or_new(&mut self, connection: &Connection, name: &Name) -> Result<i64, Failure> {
        if let Some(number) = self.collection(name) {
            return Ok(number);
        }
        let number = self.add_collection(name.clone());
        let mut insert =
            connection.prepare_cached("INSERT INTO rejoin_collection (number, name) VALUES (?, ?)")?;
        insert.execute((number, &**name))?;
        Ok(number)
    }

    /// The collection of a number.
    pub(crate) fn name(&self, number: i64) -> Result<&Name, Failure> {
        let name = usize::try_from(number).ok().and_then(|at| self.collections.get(at));
        Ok(name.ok_or_else(|| corrupt("a document of a collection without a name"))?)
    }

    /// All collections, in the order of their names.
    pub(crate) fn names(&self) -> Vec<Name> {
        let mut names = self.collections.clone();
        names.sort();
        names
    }

    /// The number of a replica, given to it if it has none.
    pub(crate) fn replica(&mut self, connection: &Connection, replica: ReplicaId) -> Result<u64, Failure> {
        let number = self.dictionary.number_of(replica);
        self.store_new(connection)?;
        Ok(number)
    }

    /// The replica of a number.
    pub(crate) fn replica_numbered(&self, number: u64) -> Result<ReplicaId, Failure> {
        Ok(self.dictionary.replica_numbered(number)?)
    }

    /// Makes a row of a document.
    pub(crate) fn encode(
        &mut self,
        connection: &Connection,
        row: &mut Row,
        document: Both<'_>,
        collection: &Collection,
        present: Option<usize>,
    ) -> Result<(), Failure> {
        row.encode(document, collection, &mut self.dictionary, present);
        self.store_new(connection)
    }

    /// Makes a document of a row.
    pub(crate) fn decode(&mut self, data: Option<&str>, meta: &[u8]) -> Result<Document, Failure> {
        let document = row::decode(data, meta, &mut self.dictionary);
        if self.dictionary.size() != self.stored {
            // Rows announce nothing; this one is damaged, and what it announced is in no table.
            *self = Self::default();
            return Err(corrupt("a row with an entry that is not in the dictionary").into());
        }
        Ok(document?)
    }
}
