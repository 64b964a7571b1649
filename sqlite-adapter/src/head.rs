//! The head row, and where the file was when it was written.

use crdt_core::{Fingerprint, Head, Hlc, Life, Namespace, ReplicaId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::Failure;
use crate::identity::Place;
use crate::log::Tail;

const SELECT: &str = "SELECT namespace, key, replica, life, counter, hlc, sequence, offered, root, tail, follows \
                      FROM rejoin_head WHERE one = 1";

const UPDATE: &str = "UPDATE rejoin_head SET namespace = ?, key = ?, replica = ?, life = ?, counter = ?, hlc = ?, \
                      sequence = ?, offered = ?, root = ?, follows = ?, tail = coalesce(?, tail) WHERE one = 1";

const INSERT: &str = "INSERT INTO rejoin_head (one, namespace, key, replica, life, counter, hlc, sequence, offered, \
                      root, flushes, machine, device, inode, born, tail) \
                      VALUES (1, ?, ?, ?, ?, 0, 0, 0, 0, ?, 0, ?, ?, ?, ?, x'')";

fn read(row: &Row<'_>) -> rusqlite::Result<Head> {
    let bits = |at| row.get(at).map(i64::cast_unsigned);
    Ok(Head {
        namespace: Namespace::from_parts(row.get(0)?, row.get(1)?),
        replica: ReplicaId::from_bytes(row.get(2)?),
        life: Life(bits(3)?),
        counter: bits(4)?,
        hlc: Hlc::from_bits(bits(5)?),
        sequence: bits(6)?,
        offered: bits(7)?,
        root: Fingerprint(u128::from_be_bytes(row.get(8)?)),
        follows: row.get(10)?,
    })
}

/// The head; `None` in a file that was not set up to its end. The end of the change order comes along.
pub(crate) fn get(connection: &Connection, tail: &mut Tail) -> Result<Option<Head>, Failure> {
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    tail.take(row.get_ref(9)?.as_blob().map_err(rusqlite::Error::from)?);
    Ok(Some(read(row)?))
}

/// The namespace, in a file of any format; `None` in one that was not set up to its end.
pub(crate) fn namespace(connection: &Connection) -> Result<Option<Namespace>, Failure> {
    let mut select = connection.prepare("SELECT namespace, key FROM rejoin_head WHERE one = 1")?;
    let read = |row: &Row<'_>| Ok(Namespace::from_parts(row.get(0)?, row.get(1)?));
    Ok(select.query_one([], read).optional()?)
}

/// Writes the head, and the end of the change order if that has changed.
pub(crate) fn set(connection: &Connection, head: &Head, tail: &mut Tail) -> Result<(), Failure> {
    connection.prepare_cached(UPDATE)?.execute((
        head.namespace.id(),
        head.namespace.key(),
        head.replica.as_bytes(),
        head.life.0.cast_signed(),
        head.counter.cast_signed(),
        head.hlc.to_bits().cast_signed(),
        head.sequence.cast_signed(),
        head.offered.cast_signed(),
        head.root.0.to_be_bytes(),
        head.follows,
        tail.changed(),
    ))?;
    tail.written();
    Ok(())
}

/// Writes the end of the change order alone.
pub(crate) fn set_tail(connection: &Connection, tail: &mut Tail) -> Result<(), Failure> {
    let mut update =
        connection.prepare_cached("UPDATE rejoin_head SET tail = coalesce(?, tail) WHERE one = 1")?;
    update.execute([tail.changed()])?;
    tail.written();
    Ok(())
}

/// The head of a new file.
pub(crate) fn create(connection: &Connection, head: &Head, place: &Place) -> Result<(), Failure> {
    connection.prepare_cached(INSERT)?.execute((
        head.namespace.id(),
        head.namespace.key(),
        head.replica.as_bytes(),
        head.life.0.cast_signed(),
        head.root.0.to_be_bytes(),
        place.machine,
        place.device,
        place.inode,
        place.born,
    ))?;
    Ok(())
}

/// Where the file was when its identity was drawn.
pub(crate) fn place(connection: &Connection) -> Result<Place, Failure> {
    let sql = "SELECT machine, device, inode, born FROM rejoin_head WHERE one = 1";
    Ok(connection.query_one(sql, [], |row| {
        Ok(Place { machine: row.get(0)?, device: row.get(1)?, inode: row.get(2)?, born: row.get(3)? })
    })?)
}

pub(crate) fn set_place(connection: &Connection, place: &Place) -> Result<(), Failure> {
    let sql = "UPDATE rejoin_head SET machine = ?, device = ?, inode = ?, born = ? WHERE one = 1";
    connection.execute(sql, (place.machine, place.device, place.inode, place.born))?;
    Ok(())
}

/// Makes the transaction write something, so that its commit syncs.
pub(crate) fn count_flush(connection: &Connection) -> Result<(), Failure> {
    let sql = "UPDATE rejoin_head SET flushes = (flushes + 1) & 0xffff WHERE one = 1";
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
