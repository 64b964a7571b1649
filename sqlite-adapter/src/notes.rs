//! What the core keeps beside the state.

use crdt_core::Note;
use rusqlite::{Connection, OptionalExtension as _};

use crate::documents::saturated;
use crate::error::Failure;

pub(crate) fn get(connection: &Connection, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let mut select = connection.prepare_cached("SELECT note FROM rejoin_note WHERE key = ?")?;
    Ok(select.query_one([key], |row| row.get(0)).optional()?)
}

pub(crate) fn set(connection: &Connection, key: &[u8], note: Option<&[u8]>) -> Result<(), Failure> {
    match note {
        Some(note) => {
            let sql = "INSERT INTO rejoin_note (key, note) VALUES (?1, ?2) \
                       ON CONFLICT (key) DO UPDATE SET note = ?2";
            connection.prepare_cached(sql)?.execute((key, note))?;
        }
        None => {
            connection.prepare_cached("DELETE FROM rejoin_note WHERE key = ?")?.execute([key])?;
        }
    }
    Ok(())
}

/// The next notes under a prefix, in the order of keys.
pub(crate) fn after(
    connection: &Connection,
    prefix: &[u8],
    after: &[u8],
    limit: usize,
) -> Result<Vec<Note>, Failure> {
    // Keys that begin with the prefix follow each other, so the first that does not is the end.
    let sql = "SELECT key, note FROM rejoin_note WHERE key >= ?1 AND key > ?2 ORDER BY key LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let mut found = Vec::new();
    // No key is empty, so nothing is left out before the prefix.
    let mut rows = select.query((prefix, after, saturated(limit as u64)))?;
    while let Some(row) = rows.next()? {
        let key: Vec<u8> = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        found.push((key, row.get(1)?));
    }
    Ok(found)
}
