//! [`Numbers`]: what rows name by number, kept in memory and in step with the file.
//!
//! Entries are only ever added, so what is known stays right; what another connection added is read at the start of the
//! next transaction, and what an abandoned transaction added is forgotten. Collections and shapes are few and all known;
//! of the replicas, of which a file may know very many, only those that rows in use have named.

use std::collections::HashMap;

use crdt_core::codec::{Dictionary, DictionaryEntry, Lacking, Reader, Shape};
use crdt_core::{Collection, Document, Name, ReplicaId};
use rusqlite::{Connection, OptionalExtension as _};

use crate::documents::saturated;
use crate::error::{Failure, corrupt};
use crate::row::{self, Both, Row};

/// When a transaction begins with more replicas than this in memory, some two megabytes, they are forgotten.
const KNOWN_REPLICAS: usize = 32_768;

/// Collections, replicas and shapes by number.
#[derive(Debug)]
pub(crate) struct Numbers {
    dictionary: Dictionary,
    /// How many shapes are in the file, as this transaction sees it.
    stored: usize,
    collections: Vec<Name>,
    by_name: HashMap<Name, i64>,
    /// The file's `data_version` when everything was known; another one says that another connection has written.
    version: Option<i64>,
    /// Shapes and collections at the start of the transaction.
    began: (usize, usize),
    /// The transaction has given a number to a replica.
    named: bool,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            dictionary: Dictionary::with_replicas_elsewhere(),
            stored: 0,
            collections: Vec::new(),
            by_name: HashMap::new(),
            version: None,
            began: (0, 0),
            named: false,
        }
    }
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
        if self.dictionary.known() > KNOWN_REPLICAS {
            self.dictionary.forget_replicas();
        }
        (self.began, self.named) = ((self.stored, self.collections.len()), false);
        Ok(written)
    }

    /// True when another connection may have written since the last transaction began.
    pub(crate) fn is_behind(&self, connection: &Connection) -> Result<bool, Failure> {
        Ok(self.version != Some(version(connection)?))
    }

    /// Forgets what the transaction added.
    pub(crate) fn rollback(&mut self) {
        if self.began != (self.dictionary.size().1, self.collections.len()) {
            *self = Self::default();
        } else if self.named {
            self.dictionary.forget_replicas();
        }
    }

    /// Reads what is not known yet.
    fn load(&mut self, connection: &Connection) -> Result<(), Failure> {
        let mut shapes =
            connection.prepare_cached("SELECT shape FROM rejoin_shape WHERE number >= ? ORDER BY number")?;
        let mut rows = shapes.query([saturated(self.stored)])?;
        while let Some(row) = rows.next()? {
            let mut reader = Reader::new(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
            let shape = Shape::read(&mut reader, &row::LIMITS)?;
            reader.finish()?;
            self.restore(shape)?;
        }
        let sql = "SELECT name FROM rejoin_collection WHERE number >= ? ORDER BY number";
        let mut collections = connection.prepare_cached(sql)?;
        let mut rows = collections.query([saturated(self.collections.len())])?;
        while let Some(row) = rows.next()? {
            self.add_collection(row.get::<_, String>(0)?.into());
        }
        Ok(())
    }

    fn restore(&mut self, shape: Shape) -> Result<(), Failure> {
        self.dictionary.restore(DictionaryEntry::Shape(shape));
        self.stored += 1;
        if self.dictionary.size().1 == self.stored {
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
        if self.dictionary.size().1 == self.stored {
            return Ok(());
        }
        let mut insert =
            connection.prepare_cached("INSERT INTO rejoin_shape (number, shape) VALUES (?, ?)")?;
        for entry in self.dictionary.entries_since((0, self.stored)) {
            if let DictionaryEntry::Shape(shape) = entry {
                let mut bytes = Vec::new();
                shape.put(&mut bytes);
                insert.execute((saturated(self.stored), bytes))?;
                self.stored += 1;
            }
        }
        Ok(())
    }

    /// Looks up the replicas that a row named and that were not known, and gives new ones a number. True when there were
    /// any: then the row has to be read or written again. A number that is in no table stays unknown.
    fn look_up(&mut self, connection: &Connection) -> Result<bool, Failure> {
        let Lacking { numbers, replicas } = self.dictionary.take_lacking();
        if numbers.is_empty() && replicas.is_empty() {
            return Ok(false);
        }
        let mut select = connection.prepare_cached("SELECT id FROM rejoin_replica WHERE number = ?")?;
        for number in &numbers {
            if let Some(id) = select.query_one([saturated(*number)], |row| row.get(0)).optional()? {
                self.dictionary.know(*number, ReplicaId::from_bytes(id));
            }
        }
        for replica in &replicas {
            let number = self.number_of(connection, *replica)?;
            self.dictionary.know(number, *replica);
        }
        Ok(true)
    }

    /// The number of a replica in the file, given to it if it has none.
    fn number_of(&mut self, connection: &Connection, replica: ReplicaId) -> Result<u64, Failure> {
        let mut select = connection.prepare_cached("SELECT number FROM rejoin_replica WHERE id = ?")?;
        let known = select.query_one([replica.as_bytes()], |row| row.get::<_, i64>(0)).optional()?;
        if let Some(number) = known {
            return Ok(number.cast_unsigned());
        }
        let sql = "INSERT INTO rejoin_replica (number, id) \
                   VALUES ((SELECT coalesce(max(number) + 1, 0) FROM rejoin_replica), ?)";
        self.named = true;
        Ok(connection.prepare_cached(sql)?.insert([replica.as_bytes()])?.cast_unsigned())
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
        if self.look_up(connection)? { Ok(self.dictionary.number_of(replica)) } else { Ok(number) }
    }

    /// The replica of a number.
    pub(crate) fn replica_numbered(
        &mut self,
        connection: &Connection,
        number: u64,
    ) -> Result<ReplicaId, Failure> {
        let replica = self.dictionary.replica_numbered(number)?;
        if !self.look_up(connection)? {
            return Ok(replica);
        }
        let replica = self.dictionary.replica_numbered(number)?;
        if self.dictionary.take_lacking().is_empty() {
            return Ok(replica);
        }
        Err(corrupt("a replica that is not in the dictionary").into())
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
        if self.look_up(connection)? {
            row.encode(document, collection, &mut self.dictionary, present);
        }
        self.store_new(connection)
    }

    /// Makes a document of a row.
    pub(crate) fn decode(
        &mut self,
        connection: &Connection,
        data: Option<&str>,
        meta: &[u8],
    ) -> Result<Document, Failure> {
        let mut document = row::decode(data, meta, &mut self.dictionary);
        if self.look_up(connection)? {
            document = row::decode(data, meta, &mut self.dictionary);
            self.dictionary.take_lacking();
        }
        if self.dictionary.size().1 != self.stored {
            // Rows announce nothing; this one is damaged, and what it announced is in no table.
            *self = Self::default();
            return Err(corrupt("a row with an entry that is not in the dictionary").into());
        }
        Ok(document?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MIGRATIONS;
    use crate::migrate::migrate;

    fn file() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        connection
    }

    #[test]
    fn replicas_are_known_once_they_were_asked_for() {
        let connection = file();
        let mut numbers = Numbers::default();
        numbers.begin(&connection).unwrap();
        for replica in 0..500 {
            let replica = ReplicaId::from_u64(replica * 7 % 500);
            numbers.replica(&connection, replica).unwrap();
        }
        let mut fresh = Numbers::default();
        fresh.begin(&connection).unwrap();
        assert_eq!(fresh.dictionary.known(), 0, "a file is opened without looking at who has written");
        assert_eq!(fresh.replica_numbered(&connection, 3).unwrap(), ReplicaId::from_u64(21));
        assert_eq!(fresh.replica(&connection, ReplicaId::from_u64(7)).unwrap(), 1);
        assert_eq!(fresh.dictionary.known(), 2);
        assert_eq!(fresh.replica(&connection, ReplicaId::from_u64(500)).unwrap(), 500, "a new one");
        assert_eq!(fresh.replica_numbered(&connection, 500).unwrap(), ReplicaId::from_u64(500));
        assert!(matches!(fresh.replica_numbered(&connection, 501), Err(Failure::Store(_))));
        assert_eq!(fresh.replica_numbered(&connection, 0).unwrap(), ReplicaId::from_u64(0), "and it goes on");
    }

    #[test]
    fn no_more_replicas_are_remembered_than_there_is_room_for() {
        let connection = file();
        let mut numbers = Numbers::default();
        numbers.begin(&connection).unwrap();
        for number in 0..=KNOWN_REPLICAS as u64 {
            numbers.dictionary.know(number, ReplicaId::from_u64(number));
        }
        numbers.begin(&connection).unwrap();
        assert_eq!(numbers.dictionary.known(), 0);
    }

    #[test]
    fn the_number_of_an_abandoned_transaction_is_given_again() {
        let connection = file();
        let mut numbers = Numbers::default();
        let (one, other) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
        connection.execute_batch("BEGIN").unwrap();
        numbers.begin(&connection).unwrap();
        assert_eq!(numbers.replica(&connection, one).unwrap(), 0);
        connection.execute_batch("ROLLBACK").unwrap();
        numbers.rollback();
        numbers.begin(&connection).unwrap();
        assert_eq!(numbers.replica(&connection, other).unwrap(), 0);
        assert_eq!(numbers.replica(&connection, one).unwrap(), 1);
    }
}
