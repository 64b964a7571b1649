//! What was seen of other replicas, what is remembered of peers, and what waits for a checkpoint.

use crdt_core::{Dot, Life, PeerRecord, ReplicaId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::documents::saturated;
use crate::error::Failure;

fn read_dot(row: &Row<'_>) -> rusqlite::Result<Dot> {
    Ok(Dot::new(ReplicaId::from_bytes(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned()))
}

/// What was seen, in the order of replicas.
pub(crate) fn context(connection: &Connection) -> Result<Vec<Dot>, Failure> {
    let mut select =
        connection.prepare_cached("SELECT replica, counter FROM rejoin_context ORDER BY replica")?;
    Ok(select.query_map([], read_dot)?.collect::<Result<_, _>>()?)
}

pub(crate) fn context_of(connection: &Connection, replica: ReplicaId) -> Result<u64, Failure> {
    let mut select = connection.prepare_cached("SELECT counter FROM rejoin_context WHERE replica = ?")?;
    let counter = select.query_one([replica.as_bytes()], |row| row.get::<_, i64>(0)).optional()?;
    Ok(counter.map_or(0, i64::cast_unsigned))
}

pub(crate) fn context_after(connection: &Connection, sequence: u64) -> Result<Vec<Dot>, Failure> {
    let sql = "SELECT replica, counter FROM rejoin_context WHERE sequence > ? ORDER BY replica";
    let mut select = connection.prepare_cached(sql)?;
    Ok(select.query_map([saturated(sequence)], read_dot)?.collect::<Result<_, _>>()?)
}

pub(crate) fn raise_context(connection: &Connection, dot: Dot, sequence: u64) -> Result<bool, Failure> {
    let replica = dot.replica.as_bytes();
    // Compared here, because a counter may use all 64 bits.
    if context_of(connection, dot.replica)? >= dot.counter {
        return Ok(false);
    }
    let sql = "INSERT INTO rejoin_context (replica, counter, sequence) VALUES (?1, ?2, ?3) \
               ON CONFLICT (replica) DO UPDATE SET counter = ?2, sequence = ?3";
    connection.prepare_cached(sql)?.execute((replica, dot.counter.cast_signed(), saturated(sequence)))?;
    Ok(true)
}

fn read_peer(row: &Row<'_>) -> rusqlite::Result<PeerRecord> {
    Ok(PeerRecord {
        life: Life(row.get::<_, i64>(0)?.cast_unsigned()),
        replica: ReplicaId::from_bytes(row.get(1)?),
        cursor: row.get::<_, i64>(2)?.cast_unsigned(),
        acked: row.get::<_, i64>(3)?.cast_unsigned(),
        scope: row.get::<_, i64>(4)?.cast_unsigned(),
        claimed: row.get::<_, i64>(5)?.cast_unsigned(),
    })
}

pub(crate) fn get(connection: &Connection, life: Life) -> Result<Option<PeerRecord>, Failure> {
    let sql = "SELECT life, replica, cursor, acked, scope, claimed FROM rejoin_peer WHERE life = ?";
    Ok(connection.prepare_cached(sql)?.query_one([life.0.cast_signed()], read_peer).optional()?)
}

/// All peers, in the order of their lives.
pub(crate) fn all(connection: &Connection) -> Result<Vec<PeerRecord>, Failure> {
    let mut select =
        connection.prepare_cached("SELECT life, replica, cursor, acked, scope, claimed FROM rejoin_peer")?;
    let mut peers: Vec<_> = select.query_map([], read_peer)?.collect::<Result<_, _>>()?;
    peers.sort_by_key(|peer| peer.life);
    Ok(peers)
}

pub(crate) fn set(connection: &Connection, peer: &PeerRecord) -> Result<(), Failure> {
    let sql = "INSERT INTO rejoin_peer (life, replica, cursor, acked, scope, claimed) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (life) \
               DO UPDATE SET replica = ?2, cursor = ?3, acked = ?4, scope = ?5, claimed = ?6";
    connection.prepare_cached(sql)?.execute((
        peer.life.0.cast_signed(),
        peer.replica.as_bytes(),
        peer.cursor.cast_signed(),
        peer.acked.cast_signed(),
        peer.scope.cast_signed(),
        peer.claimed.cast_signed(),
    ))?;
    Ok(())
}

pub(crate) fn stage(connection: &Connection, peer: Life, batch: &[u8]) -> Result<(), Failure> {
    let sql = "INSERT INTO rejoin_staged (peer, number, batch) \
               VALUES (?1, (SELECT coalesce(max(number) + 1, 0) FROM rejoin_staged WHERE peer = ?1), ?2)";
    connection.prepare_cached(sql)?.execute((peer.0.cast_signed(), batch))?;
    Ok(())
}

pub(crate) fn staged(connection: &Connection, peer: Life, index: u64) -> Result<Option<Vec<u8>>, Failure> {
    let sql = "SELECT batch FROM rejoin_staged WHERE peer = ? AND number = ?";
    let mut select = connection.prepare_cached(sql)?;
    Ok(select.query_one((peer.0.cast_signed(), saturated(index)), |row| row.get(0)).optional()?)
}

pub(crate) fn clear_staged(connection: &Connection, peer: Life) -> Result<(), Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM rejoin_staged WHERE peer = ?")?;
    delete.execute([peer.0.cast_signed()])?;
    Ok(())
}
