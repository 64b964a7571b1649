//! What JavaScript hands to the WebAssembly module: requests, and whole states. A file of the target `wasm` and of the
//! tests of `rejoin-wasm`, because both have the modules that it uses.

use alloc::vec::Vec;

use crdt_core::{Durability, Head, Life, Limits, MemoryStore, Namespace, ReplicaId, TransactionError};
use siphasher::sip128::SipHasher24;

use crate::bridge::{self, Request};
use crate::replica::Replica;
use crate::state;

/// The first byte says what the rest is.
pub fn wasm(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => request(rest),
        1 => value(rest),
        2 => import(rest, false),
        _ => import(rest, true),
    }
}

fn value(bytes: &[u8]) {
    if let Ok(value) = bridge::read(bytes, &Limits::DEFAULT) {
        assert_eq!(bridge::encode(&value), bytes, "a value has one form");
    }
}

fn request(bytes: &[u8]) {
    let takes: [fn(&mut Request) -> bool; 5] = [
        |request| request.name().is_ok(),
        |request| request.names().is_ok(),
        |request| request.int().is_ok(),
        |request| request.dot().is_ok(),
        |request| request.value().is_ok(),
    ];
    for take in takes {
        let Ok(mut request) = Request::read(bytes) else { return };
        while !request.is_empty() && take(&mut request) {}
    }
}

fn replica(number: u64, follows: bool) -> Replica {
    let head = Head::new(Namespace::from_secret("fuzz"), ReplicaId::from_u64(number), Life(number));
    let mut replica = Replica::new(MemoryStore::new(head));
    if follows {
        replica.follow().expect("memory");
    } else {
        let committed = replica.commit(1, Durability::Visible, |tx| {
            tx.document("tasks", crdt_core::DocumentId::from_u64(1))?.set("a", "mine")?;
            Ok::<_, TransactionError>(())
        });
        committed.expect("memory");
    }
    replica
}

/// All that a state says beyond what stands at its start.
const CONTENT_AT: usize = 3 + 1 + 16;

/// A whole state with this content.
pub fn sealed(content: &[u8]) -> Vec<u8> {
    let namespace = Namespace::from_secret("fuzz");
    let mut state = b"rjs\x01".to_vec();
    state.extend_from_slice(namespace.id());
    state.extend_from_slice(content);
    let seal = SipHasher24::new_with_key(namespace.key()).hash(&state).as_u128().to_le_bytes();
    state.extend_from_slice(&seal);
    state
}

/// An import is all or nothing, and what it led to can be exported and imported elsewhere.
fn import(content: &[u8], follows: bool) {
    let bytes = sealed(content);
    let mut here = replica(1, follows);
    let all = |replica: &mut Replica| {
        let (head, cells) = (replica.head().expect("memory"), replica.canonical_bytes().expect("memory"));
        (head, cells, replica.carried().expect("memory"), replica.seen().expect("memory"))
    };
    let before = all(&mut here);
    if state::import(&mut here, &bytes).is_err() {
        assert_eq!(all(&mut here), before, "an import that failed changed something");
        return;
    }
    here.rejected().expect("what was taken is read");
    // Whatever is held can leave again, unless it is too much.
    let Ok(exported) = state::export(&mut here) else { return };
    let mut there = replica(0xdead_beef, true);
    state::import(&mut there, &exported).expect("what is exported is imported");
    let roots = [here, there].map(|mut replica| replica.head().expect("memory").root);
    assert_eq!(roots[0], roots[1]);
    assert!(exported.len() > CONTENT_AT);
}
