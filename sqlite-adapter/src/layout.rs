//! The tables, byte by byte.
//!
//! `application_id` is [`APPLICATION_ID`] ("rejn"), `user_version` is [`VERSION`]. Everything of ours is prefixed
//! `rejoin_`; other tables in the file are the app's own. Numbers of 64 unsigned bits are stored as the signed number
//! with the same bits. Ids are their bytes, most significant first. *Varint* is the codec's unsigned integer (LEB128).
//!
//! ## `rejoin_head`: one row, `one = 1`
//!
//! | column | content |
//! |---|---|
//! | `namespace`, `key` | id and key of the namespace, 16 bytes each |
//! | `replica`, `life` | who writes here, since when without a break |
//! | `counter`, `hlc` | counter and time of the last own transaction |
//! | `sequence` | the last position of the change order |
//! | `offered` | the highest own counter that may have left the file |
//! | `root` | fingerprint of all cells, 16 bytes, most significant first |
//! | `flushes` | counts durable commits that had nothing else to write; see [`SqliteStore`](crate::SqliteStore) |
//! | `follows` | 1 when a server decides what counts, so that commits keep what they replace |
//! | `tail` | the last steps of the change order, see below |
//! | `machine` | first 16 bytes of SHA-256 over `rejoin machine 1`, a zero byte, the machine's id; NULL where it has none |
//! | `device`, `inode`, `born` | of this file: device, inode, time of birth in nanoseconds since 1970; NULL where unknown |
//!
//! ## `rejoin_document`: one row per document, deleted ones included
//!
//! | column | content |
//! |---|---|
//! | `row` | the number by which the log names it; never reused |
//! | `collection` | number in `rejoin_collection` |
//! | `id` | 16 bytes |
//! | `data` | what the document shows, as JSON; NULL when it is deleted |
//! | `meta` | one byte: how many bytes at the end are spare, so that the row can grow in place; the codec's row, in which a payload `3f` is the value at the same path in `data`; the spare bytes |
//!
//! In `data`, nested maps are objects, sets arrays, counters numbers, flags true or false; bytes are
//! `{"$bytes": "00ff"}`, timestamps `{"$timestamp": ms}`, floats that are not finite `{"$float": "NaN"}`, the values of
//! a `manual` field in conflict `{"$conflict": […]}`. It is for reading: what an app writes there itself is not synced,
//! and [`SqliteStore::check`](crate::SqliteStore::check) reports it as damage.
//!
//! ## Dictionaries
//!
//! `rejoin_collection(number, name)`, `rejoin_replica(number, id)` and `rejoin_shape(number, shape)`: what rows name by
//! number. Numbers start at 0 without gaps; entries are never changed and never removed, and an index finds the number of
//! a replica. `shape` is the codec's shape.
//!
//! ## The change order: `rejoin_log` and `tail`
//!
//! Steps, one per transaction, one behind the other. The last ones are in `tail` of the head, which every transaction
//! writes anyway, so that a step costs no page of its own; when that exceeds 2,000 bytes, it is emptied into a new row of
//! `rejoin_log`. Rows of the log are never changed.
//!
//! | column | content |
//! |---|---|
//! | `last` | the position of the row's last step |
//! | `steps` | steps; each is its length in varint, and then what follows |
//!
//! A step: varint position; varint number of dots; per dot varint number of the replica and varint counter; then to its
//! end varint differences of the touched documents' `row`, ascending, the first one from 0.
//!
//! ## `rejoin_context`: what was seen of other replicas
//!
//! `replica` (16 bytes), `counter`, `sequence`: the position of the change order at which the counter rose, with an
//! index, so that "what rose since" costs what it returns.
//!
//! ## `rejoin_peer`, `rejoin_staged`, `rejoin_note`
//!
//! `rejoin_peer(life, replica, cursor, acked, scope, claimed)`; `rejoin_staged(peer, number, batch)`: batches that wait for their
//! checkpoint, numbered from 0 per peer (a life); `rejoin_note(key, note)`: what the core keeps beside the state, in its
//! own encoding: changes of peers that were refused, own changes that were, and what is needed to take one back. Under
//! `shown`, a zero byte and the name of a collection: the declaration under which its `data` was written, as text.

/// Says in the file's header that Rejoin keeps tables in it: "rejn".
pub const APPLICATION_ID: i32 = 0x7265_6a6e;

/// The format that this version writes: how many migrations were applied.
#[allow(clippy::cast_possible_truncation)] // there are few
pub const VERSION: u32 = MIGRATIONS.len() as u32;

/// What leads from each format to the next. Entries are only ever added.
pub(crate) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

const VERSION_1: &str = "
CREATE TABLE rejoin_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    namespace BLOB NOT NULL,
    key BLOB NOT NULL,
    replica BLOB NOT NULL,
    life INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    hlc INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    offered INTEGER NOT NULL,
    root BLOB NOT NULL,
    flushes INTEGER NOT NULL,
    machine BLOB,
    device INTEGER,
    inode INTEGER,
    born INTEGER,
    tail BLOB NOT NULL
) STRICT;
CREATE TABLE rejoin_document (
    row INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL,
    id BLOB NOT NULL,
    data TEXT,
    meta BLOB NOT NULL,
    UNIQUE (collection, id)
) STRICT;
CREATE TABLE rejoin_collection (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE rejoin_replica (number INTEGER PRIMARY KEY, id BLOB NOT NULL) STRICT;
CREATE TABLE rejoin_shape (number INTEGER PRIMARY KEY, shape BLOB NOT NULL) STRICT;
CREATE TABLE rejoin_log (last INTEGER PRIMARY KEY, steps BLOB NOT NULL) STRICT;
CREATE TABLE rejoin_context (
    replica BLOB PRIMARY KEY,
    counter INTEGER NOT NULL,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX rejoin_context_sequence ON rejoin_context (sequence);
CREATE TABLE rejoin_peer (
    life INTEGER PRIMARY KEY,
    replica BLOB NOT NULL,
    cursor INTEGER NOT NULL,
    acked INTEGER NOT NULL
) STRICT;
CREATE TABLE rejoin_staged (
    peer INTEGER NOT NULL,
    number INTEGER NOT NULL,
    batch BLOB NOT NULL,
    PRIMARY KEY (peer, number)
) STRICT;
";

/// Rights: what a cursor was moved under, and what was refused.
const VERSION_2: &str = "
ALTER TABLE rejoin_head ADD COLUMN follows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rejoin_peer ADD COLUMN scope INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rejoin_peer ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0;
CREATE TABLE rejoin_note (key BLOB PRIMARY KEY, note BLOB NOT NULL) STRICT, WITHOUT ROWID;
";

/// Replicas are looked up when they are needed, by id too, instead of read when the file is opened.
const VERSION_3: &str = "CREATE UNIQUE INDEX rejoin_replica_id ON rejoin_replica (id)";
