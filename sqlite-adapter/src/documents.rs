//! Document rows.

use std::collections::HashMap;
use std::sync::Arc;

use crdt_core::{Address, Collection, Document, DocumentId, Name};
use rusqlite::{Connection, OptionalExtension as _};

use crate::dictionary::Numbers;
use crate::error::{Failure, Misuse};
use crate::row::{Both, Row};

/// Beyond this the map of a large transaction is dropped instead of cleared.
const KEPT_CAPACITY: usize = 4096;

/// Document rows, and what is known of them within a transaction.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// Each document that the transaction has met; `None` when it has no row.
    rows: HashMap<(i64, DocumentId), Option<Known>>,
    /// Filled anew for each document that is written.
    row: Row,
}

/// What a transaction knows of a document's row.
#[derive(Clone, Copy, Debug)]
struct Known {
    row: i64,
    /// The length of `meta`.
    meta: usize,
}

/// A signed SQL number that is not less than any limit.
pub(crate) fn saturated(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

impl Documents {
    /// Starts a transaction.
    pub(crate) fn begin(&mut self) {
        if self.rows.capacity() > KEPT_CAPACITY {
            self.rows = HashMap::new();
        }
        self.rows.clear();
    }

    pub(crate) fn get(
        &mut self,
        connection: &Connection,
        numbers: &mut Numbers,
        address: &Address,
    ) -> Result<Option<Arc<Document>>, Failure> {
        let Some(collection) = numbers.collection(&address.collection) else { return Ok(None) };
        let key = (collection, address.id);
        let mut select;
        let mut rows = match self.rows.get(&key) {
            Some(None) => return Ok(None),
            Some(Some(Known { row, .. })) => {
                select =
                    connection.prepare_cached("SELECT row, data, meta FROM rejoin_document WHERE row = ?")?;
                select.query([row])?
            }
            None => {
                let sql = "SELECT row, data, meta FROM rejoin_document WHERE collection = ? AND id = ?";
                select = connection.prepare_cached(sql)?;
                select.query((collection, address.id.as_bytes()))?
            }
        };
        let Some(found) = rows.next()? else {
            self.rows.insert(key, None);
            return Ok(None);
        };
        let meta = found.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?.len();
        self.rows.insert(key, Some(Known { row: found.get(0)?, meta }));
        Ok(Some(Arc::new(decode(connection, numbers, found, 1)?)))
    }

    pub(crate) fn put(
        &mut self,
        connection: &Connection,
        numbers: &mut Numbers,
        address: &Address,
        document: Both<'_>,
        schema: &Collection,
    ) -> Result<(), Failure> {
        let collection = numbers.collection_or_new(connection, &address.collection)?;
        let present = self.find(connection, collection, address.id)?;
        numbers.encode(connection, &mut self.row, document, schema, present.map(|present| present.meta))?;
        let (data, meta) = (self.row.data(), self.row.meta());
        let row = if let Some(Known { row, .. }) = present {
            let mut update =
                connection.prepare_cached("UPDATE rejoin_document SET data = ?, meta = ? WHERE row = ?")?;
            update.execute((data, meta, row))?;
            row
        } else {
            let sql = "INSERT INTO rejoin_document (collection, id, data, meta) VALUES (?, ?, ?, ?)";
            connection.prepare_cached(sql)?.insert((collection, address.id.as_bytes(), data, meta))?
        };
        self.rows.insert((collection, address.id), Some(Known { row, meta: meta.len() }));
        Ok(())
    }

    /// Takes a document out. Its row's number may be given to another one later: a step that names it then finds cells of
    /// the other that have the step's dots, which belong to that step, or none.
    pub(crate) fn remove(
        &mut self,
        connection: &Connection,
        numbers: &Numbers,
        address: &Address,
    ) -> Result<(), Failure> {
        let Some(collection) = numbers.collection(&address.collection) else { return Ok(()) };
        let sql = "DELETE FROM rejoin_document WHERE collection = ? AND id = ?";
        connection.prepare_cached(sql)?.execute((collection, address.id.as_bytes()))?;
        self.rows.insert((collection, address.id), None);
        Ok(())
    }

    fn find(
        &mut self,
        connection: &Connection,
        collection: i64,
        id: DocumentId,
    ) -> Result<Option<Known>, Failure> {
        if let Some(known) = self.rows.get(&(collection, id)) {
            return Ok(*known);
        }
        let sql = "SELECT row, length(meta) FROM rejoin_document WHERE collection = ? AND id = ?";
        let mut select = connection.prepare_cached(sql)?;
        let found = select.query_one((collection, id.as_bytes()), |found| known(found, 0)).optional()?;
        self.rows.insert((collection, id), found);
        Ok(found)
    }

    /// The row of a document that is stored.
    pub(crate) fn row_of(
        &mut self,
        connection: &Connection,
        numbers: &Numbers,
        address: &Address,
    ) -> Result<i64, Failure> {
        let collection = numbers.collection(&address.collection).ok_or(Misuse::UnknownDocument)?;
        Ok(self.find(connection, collection, address.id)?.ok_or(Misuse::UnknownDocument)?.row)
    }

    /// The row of a document; `None` when it is not stored.
    pub(crate) fn number_of(
        &mut self,
        connection: &Connection,
        numbers: &Numbers,
        address: &Address,
    ) -> Result<Option<u64>, Failure> {
        let Some(collection) = numbers.collection(&address.collection) else { return Ok(None) };
        Ok(self.find(connection, collection, address.id)?.map(|known| known.row.cast_unsigned()))
    }

    /// The document that is stored in a row; `None` when the row does not exist.
    pub(crate) fn address_of(
        &mut self,
        connection: &Connection,
        numbers: &Numbers,
        row: i64,
    ) -> Result<Option<Address>, Failure> {
        let sql = "SELECT row, length(meta), collection, id FROM rejoin_document WHERE row = ?";
        let mut select = connection.prepare_cached(sql)?;
        let mut rows = select.query([row])?;
        let Some(found) = rows.next()? else { return Ok(None) };
        let address = address(numbers, found, 2)?;
        self.rows.insert((found.get(2)?, address.id), Some(known(found, 0)?));
        Ok(Some(address))
    }
}

/// Reads what a transaction remembers of a row from the column `row` on.
fn known(found: &rusqlite::Row<'_>, row: usize) -> rusqlite::Result<Known> {
    let meta: i64 = found.get(row + 1)?;
    Ok(Known { row: found.get(row)?, meta: usize::try_from(meta).unwrap_or(0) })
}

/// The next documents of a collection, in the order of ids.
pub(crate) fn after(
    connection: &Connection,
    numbers: &mut Numbers,
    collection: &Name,
    after: Option<DocumentId>,
    limit: usize,
) -> Result<Vec<(DocumentId, Arc<Document>)>, Failure> {
    let Some(collection) = numbers.collection(collection) else { return Ok(Vec::new()) };
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let mut select = connection.prepare_cached(
        "SELECT id, data, meta FROM rejoin_document WHERE collection = ? AND id > ? ORDER BY id LIMIT ?",
    )?;
    let mut rows = select.query((collection, after, saturated(limit)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((DocumentId::from_bytes(row.get(0)?), Arc::new(decode(connection, numbers, row, 1)?)));
    }
    Ok(found)
}

/// About how many there are: the last row's number, which is found at once, where counting would read an index.
pub(crate) fn estimate(connection: &Connection) -> Result<u64, Failure> {
    let mut select = connection.prepare_cached("SELECT ifnull(max(row), 0) FROM rejoin_document")?;
    let rows: i64 = select.query_one([], |row| row.get(0))?;
    Ok(rows.cast_unsigned())
}

/// Reads the two columns of an address from the one at `collection` on.
pub(crate) fn address(
    numbers: &Numbers,
    row: &rusqlite::Row<'_>,
    collection: usize,
) -> Result<Address, Failure> {
    let name = numbers.name(row.get(collection)?)?.clone();
    Ok(Address { collection: name, id: DocumentId::from_bytes(row.get(collection + 1)?) })
}

/// Reads the two columns of a document from the one at `data` on.
pub(crate) fn decode(
    connection: &Connection,
    numbers: &mut Numbers,
    row: &rusqlite::Row<'_>,
    data: usize,
) -> Result<Document, Failure> {
    let meta = row.get_ref(data + 1)?.as_blob().map_err(rusqlite::Error::from)?;
    let data = row.get_ref(data)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    numbers.decode(connection, data, meta)
}
