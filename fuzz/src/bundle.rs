//! Bundles: the input is a list of frames, whose checks are made right unless the input says otherwise.

use std::hash::Hasher as _;

use crdt_core::codec::put_unsigned;
use crdt_core::{DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use sync_protocol::bundle::import;

use super::audit::{Memory, Written, audit, cells_of, nothing_is_lost};
use super::input::Input;

const START: [u8; 9] = *b"\x89rjb\r\n\x1a\n\x01";

/// The secret of all targets.
pub fn namespace() -> Namespace {
    Namespace::from_secret("fuzz")
}

/// A replica that has committed once.
pub fn importer(written: &mut Written) -> Memory {
    let head = Head::new(namespace(), ReplicaId::from_u64(1), Life(1));
    let mut replica = Replica::new(MemoryStore::new(head));
    let committed = replica.commit(1, Durability::Visible, |tx| {
        tx.document("tasks", DocumentId::from_u64(1))?.set("a", "mine")?;
        Ok::<_, crdt_core::TransactionError>(())
    });
    let dot = committed.expect("memory").dot.expect("something was written");
    let cells = cells_of(&mut replica, dot);
    written.insert(dot, cells);
    replica
}

/// A file of these frames (kind and body), with right checks.
pub fn file<'b>(frames: impl IntoIterator<Item = (u8, &'b [u8])>) -> Vec<u8> {
    let mut last = [0; 16];
    last[..START.len()].copy_from_slice(&START);
    let mut out = START.to_vec();
    for (number, (kind, body)) in (0u64..).zip(frames) {
        let mut hasher = SipHasher24::new_with_key(namespace().key());
        hasher.write(&last);
        hasher.write(&number.to_le_bytes());
        hasher.write(&[kind]);
        hasher.write(body);
        last = hasher.finish128().as_u128().to_le_bytes();
        out.push(kind);
        put_unsigned(&mut out, body.len() as u64);
        out.extend_from_slice(body);
        out.extend_from_slice(&last);
    }
    out
}

/// The frames of a file, for seeds.
pub fn frames(mut file: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    file = &file[START.len()..];
    while let Some((kind, rest)) = file.split_first() {
        let mut reader = crdt_core::codec::Reader::new(rest);
        let body = reader.bytes("a frame", usize::MAX).expect("a whole file").to_vec();
        file = &reader.rest()[16..];
        frames.push((*kind, body));
    }
    frames
}

/// Imports what the input says, twice: an error leaves everything as it was, and a second time nothing is new.
pub fn bundle(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let raw = input.byte();
    let file = if raw == 0xff {
        input.rest().to_vec()
    } else {
        let mut parts = Vec::new();
        while !input.is_empty() {
            parts.push((input.byte(), input.piece()));
        }
        let mut whole = file(parts);
        if raw & 0xf0 == 0xf0 {
            // Damaged somewhere.
            let at = usize::try_from(input.number()).unwrap_or(usize::MAX) % whole.len();
            whole[at] ^= 1 << (raw & 7);
        }
        whole
    };
    let mut written = Written::new();
    let mut replica = importer(&mut written);
    let before = (replica.head().expect("memory"), replica.canonical_bytes().expect("memory"));
    if let Ok(first) = import(&mut replica, file.as_slice()) {
        audit(&mut replica);
        nothing_is_lost(&mut replica, &written, &Vec::new());
        let again = import(&mut replica, file.as_slice()).expect("what was taken once is taken again");
        assert_eq!((again.cells, again.sequence), (0, first.sequence), "a second import changes nothing");
    } else {
        let after = (replica.head().expect("memory"), replica.canonical_bytes().expect("memory"));
        assert_eq!(before, after, "an import that failed changed something");
    }
}
