//! The whole state of a replica as bytes, for apps that store or carry it themselves.
//!
//! # Format, version 1
//!
//! *unsigned*, *signed* and batches are those of `PROTOCOL.md`.
//!
//! | field | bytes |
//! |---|---|
//! | magic, version | `72 6a 73` ("rjs"), `01` |
//! | namespace id | 16 |
//! | whose | replica id (16), life (8, most significant first), *unsigned* head sequence |
//! | context | *unsigned* count; per entry replica id (16) and *unsigned* counter: all that was seen, the own transactions included |
//! | peers | *unsigned* count, at most 256; per entry life (8), replica id (16), *unsigned* cursor, scope (8): how far into whose change order this state reaches, of what was to be read |
//! | notes | *unsigned* count; per note *bytes* key and *bytes* note: refused changes, and what it takes to take one back; none unless the exporter follows a server |
//! | pages | per page *unsigned* length, not 0, and a batch with an empty dictionary |
//! | end of pages | `00` |
//! | seal | 16: SipHash-2-4 with 128 bits, little-endian, under the namespace's key, of all bytes before it |
//!
//! It is what a session sends to a peer that has nothing, in one piece, and merging it is applying that peer's checkpoint:
//! the importer then knows how far into the exporter's change order it has come, and how far into those of its peers, so that
//! later sessions resume instead of looking at everything. The change order itself is not in it.
//!
//! The identity of the exporter is never taken over. Whoever starts from exported bytes writes under an id of its own,
//! because the bytes may be opened twice.

use alloc::vec::Vec;
use crdt_core::codec::{
    DecodeError, Dictionary, Reader, decode_batch, encode_batch, put_bytes, put_unsigned,
};
use crdt_core::{
    Address, Checkpoint, Document, Dot, Life, LimitExceeded, Limits, Namespace, Note, PeerRecord, ReplicaId,
    VersionVector,
};
use siphasher::sip128::SipHasher24;

use crate::error::Error;
use crate::replica::Replica;

const MAGIC: [u8; 3] = *b"rjs";
const VERSION: u8 = 1;
const SEAL_BYTES: usize = 16;
/// Larger states belong into a database.
const MAX_BYTES: usize = 256 << 20;
/// What bounds the memory of a state whose cells take no byte of their own.
const MAX_CELLS: usize = 4 << 20;
/// Peers whose cursors are kept; those beyond cost their next session a look at everything.
const MAX_PEERS: usize = 256;
/// Documents read at a time.
const PAGE: usize = 256;
/// About how many bytes of cells go into one page: as in a session's messages, so a page is within the limits of one.
const PAGE_WEIGHT: usize = 64 << 10;

/// Encodes everything that a replica holds.
///
/// # Errors
/// `limit` when it could not be imported again.
pub(crate) fn export(replica: &mut Replica) -> Result<Vec<u8>, Error> {
    replica.offer()?;
    let head = replica.head()?;
    let mut out = MAGIC.to_vec();
    out.push(VERSION);
    out.extend_from_slice(head.namespace.id());
    out.extend_from_slice(head.replica.as_bytes());
    out.extend_from_slice(&head.life.0.to_be_bytes());
    put_unsigned(&mut out, head.sequence);
    put_context(&mut out, &replica.seen()?);
    put_peers(&mut out, replica.peers()?);
    let mut notes = if head.follows { replica.carried()? } else { Vec::new() };
    notes.extend(replica.carried_parked()?);
    put_notes(&mut out, &notes);
    put_pages(&mut out, replica)?;
    let seal = seal(&head.namespace, &out);
    out.extend_from_slice(&seal);
    LimitExceeded::check("bytes of a state", out.len(), MAX_BYTES)?;
    Ok(out)
}

/// Merges an exported state, all or nothing; gives the number of cells that changed.
///
/// # Errors
/// `wrong-namespace`, `damaged`, `newer-format`, `decode`, `limit`, and `forked` when the exporter has seen more of this replica
/// than it has itself; nothing is changed.
pub(crate) fn import(replica: &mut Replica, bytes: &[u8]) -> Result<u64, Error> {
    LimitExceeded::check("bytes of a state", bytes.len(), MAX_BYTES)?;
    let head = replica.head()?;
    let state = State::read(&head.namespace, bytes)?;
    if state.life == head.life {
        // Our own: whatever is in it, we have it or something newer.
        return Ok(0);
    }
    let (parked, carried): (Vec<Note>, Vec<Note>) =
        state.notes.into_iter().partition(|(key, _)| key.starts_with(PARKED));
    // Only who starts from a state goes on from it: elsewhere, what was refused there is not one's own to decide about.
    let starts = head.sequence == 0;
    if head.follows && starts {
        replica.carry(&carried)?;
    }
    if starts {
        replica.carry_parked(&parked)?;
    }
    let applied = replica.apply(Checkpoint {
        peer: state.life,
        replica: state.replica,
        cursor: state.sequence,
        context: state.context,
        documents: state.documents,
        // All that the exporter holds, whatever it was let to read elsewhere.
        scope: 0,
        session: 0,
    })?;
    if !starts {
        for held in Replica::held_in(&parked)? {
            // It changes no state: each of these cells was overwritten, by something that is not shown yet.
            replica.apply(Checkpoint {
                peer: state.life,
                replica: state.replica,
                cursor: 0,
                context: Vec::new(),
                documents: Vec::from([held]),
                scope: 0,
                session: 0,
            })?;
        }
    }
    for peer in state.peers.into_iter().filter(|peer| peer.life != head.life) {
        let PeerRecord { life, replica: id, cursor, scope, .. } = peer;
        let (context, documents) = (Vec::new(), Vec::new());
        replica.apply(Checkpoint {
            peer: life,
            replica: id,
            cursor,
            context,
            documents,
            scope,
            session: 0,
        })?;
    }
    Ok(applied.cells)
}

/// Keys of notes of what is parked begin with this.
const PARKED: &[u8] = b"held\0";

fn put_context(out: &mut Vec<u8>, seen: &VersionVector) {
    put_unsigned(out, seen.len() as u64);
    for dot in seen.iter() {
        out.extend_from_slice(dot.replica.as_bytes());
        put_unsigned(out, dot.counter);
    }
}

fn put_peers(out: &mut Vec<u8>, mut peers: Vec<PeerRecord>) {
    peers.retain(|peer| peer.cursor > 0);
    // Those of whom the most is known stay: it would cost the most to look at it again.
    while peers.len() > MAX_PEERS {
        let least = (0..peers.len()).min_by_key(|at| peers[*at].cursor).unwrap_or(0);
        peers.remove(least);
    }
    put_unsigned(out, peers.len() as u64);
    for peer in peers {
        out.extend_from_slice(&peer.life.0.to_be_bytes());
        out.extend_from_slice(peer.replica.as_bytes());
        put_unsigned(out, peer.cursor);
        out.extend_from_slice(&peer.scope.to_be_bytes());
    }
}

fn put_notes(out: &mut Vec<u8>, notes: &[Note]) {
    put_unsigned(out, notes.len() as u64);
    for (key, note) in notes {
        put_bytes(out, key);
        put_bytes(out, note);
    }
}

fn put_pages(out: &mut Vec<u8>, replica: &mut Replica) -> Result<(), Error> {
    let (mut page, mut weight, mut cells) = (Vec::new(), 0, 0);
    let (mut after, nothing) = (None, VersionVector::new());
    loop {
        let next = replica.difference(&nothing, after.as_ref(), PAGE)?;
        for (address, document) in next.documents {
            cells += document.cell_count();
            LimitExceeded::check("cells of a state", cells, MAX_CELLS)?;
            for part in document.split(PAGE_WEIGHT) {
                let part_weight = part.weight() + 20;
                if weight > 0 && weight + part_weight > PAGE_WEIGHT {
                    put_page(out, &core::mem::take(&mut page));
                    weight = 0;
                }
                weight += part_weight;
                page.push((address.clone(), part));
            }
        }
        after = next.after;
        if after.is_none() {
            break;
        }
    }
    if !page.is_empty() {
        put_page(out, &page);
    }
    out.push(0);
    Ok(())
}

fn put_page(out: &mut Vec<u8>, page: &[(Address, Document)]) {
    let mut batch = Vec::new();
    let pairs = page.iter().map(|(address, document)| (address, document));
    encode_batch(&mut batch, &mut Dictionary::new(), pairs);
    put_bytes(out, &batch);
}

fn seal(namespace: &Namespace, bytes: &[u8]) -> [u8; SEAL_BYTES] {
    SipHasher24::new_with_key(namespace.key()).hash(bytes).as_u128().to_le_bytes()
}

/// A state that was read.
struct State {
    replica: ReplicaId,
    life: Life,
    sequence: u64,
    context: Vec<Dot>,
    peers: Vec<PeerRecord>,
    notes: Vec<Note>,
    documents: Vec<(Address, Document)>,
}

impl State {
    fn read(namespace: &Namespace, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(open(namespace, bytes)?);
        let replica = ReplicaId::from_bytes(reader.array("the exporter")?);
        let life = Life(u64::from_be_bytes(reader.array("the exporter's life")?));
        let sequence = reader.unsigned("the head sequence")?;
        let context = read_context(&mut reader)?;
        let peers = read_peers(&mut reader)?;
        let notes = read_notes(&mut reader)?;
        let documents = read_pages(&mut reader)?;
        reader.finish()?;
        Ok(Self { replica, life, sequence, context, peers, notes, documents })
    }
}

/// Checks what surrounds the content, and gives the content.
fn open<'a>(namespace: &Namespace, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
    let damaged = || Error::new("damaged", "the state is damaged: its bytes were cut or changed");
    let rest = bytes
        .strip_prefix(&MAGIC)
        .ok_or_else(|| Error::new("damaged", "these bytes are not an exported state"))?;
    let (version, rest) = rest.split_first().ok_or_else(damaged)?;
    if *version != VERSION {
        return Err(Error::new(
            "newer-format",
            "the state was exported by another version of this library; update",
        ));
    }
    let rest = rest.strip_prefix(namespace.id()).ok_or_else(|| match rest.len() {
        0..16 => damaged(),
        _ => Error::new("wrong-namespace", "the state was exported with another secret"),
    })?;
    let end = rest.len().checked_sub(SEAL_BYTES).ok_or_else(damaged)?;
    let (sealed, found) = bytes.split_at(bytes.len() - SEAL_BYTES);
    if seal(namespace, sealed) != found {
        return Err(damaged());
    }
    Ok(&rest[..end])
}

fn read_context(reader: &mut Reader<'_>) -> Result<Vec<Dot>, DecodeError> {
    let mut context = Vec::new();
    for _ in 0..reader.count("the context")? {
        let replica = ReplicaId::from_bytes(reader.array("a replica of the context")?);
        let counter = reader.unsigned("a counter of the context")?;
        if counter == 0 {
            return Err(DecodeError::Invalid("a counter of 0"));
        }
        context.push(Dot::new(replica, counter));
    }
    Ok(context)
}

fn read_peers(reader: &mut Reader<'_>) -> Result<Vec<PeerRecord>, DecodeError> {
    let count = reader.count("the peers")?;
    LimitExceeded::check("peers of a state", count, MAX_PEERS)?;
    let mut peers = Vec::new();
    for _ in 0..count {
        let life = Life(u64::from_be_bytes(reader.array("the life of a peer")?));
        let replica = ReplicaId::from_bytes(reader.array("the id of a peer")?);
        let cursor = reader.unsigned("a cursor")?;
        let scope = u64::from_be_bytes(reader.array("a scope")?);
        peers.push(PeerRecord { life, replica, cursor, acked: 0, scope, claimed: 0 });
    }
    Ok(peers)
}

fn read_notes(reader: &mut Reader<'_>) -> Result<Vec<Note>, DecodeError> {
    let mut notes = Vec::new();
    for _ in 0..reader.count("the notes")? {
        let key = reader.bytes("bytes of the key of a note", 2 * Limits::DEFAULT.name_bytes)?.to_vec();
        notes.push((key, reader.bytes("bytes of a note", MAX_BYTES)?.to_vec()));
    }
    Ok(notes)
}

fn read_pages(reader: &mut Reader<'_>) -> Result<Vec<(Address, Document)>, DecodeError> {
    let (mut documents, mut cells) = (Vec::new(), 0);
    loop {
        let batch = reader.bytes("bytes of a page", Limits::DEFAULT.message_bytes)?;
        if batch.is_empty() {
            return Ok(documents);
        }
        let page = decode_batch(&mut Reader::new(batch), &mut Dictionary::new(), &Limits::DEFAULT)?;
        cells += page.iter().map(|(_, document)| document.cell_count()).sum::<usize>();
        LimitExceeded::check("cells of a state", cells, MAX_CELLS)?;
        documents.extend(page);
    }
}
