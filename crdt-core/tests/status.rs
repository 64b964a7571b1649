//! What is said of peers: for how long each has been behind.
#![allow(missing_docs)]

use crdt_core::{
    DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId, TransactionError,
};

const START_MS: u64 = 1_700_000_000_000;

#[test]
fn a_peer_is_behind_for_as_long_as_the_oldest_change_that_it_lacks_is_there() {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(1), Life(1));
    let mut replica = Replica::new(MemoryStore::new(head));
    let seconds = [0_u64, 10, 20, 30];
    for second in seconds {
        let done = replica.commit(START_MS + second * 1_000, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(1))?.set("seconds", second.cast_signed())?;
            Ok::<_, TransactionError>(())
        });
        done.unwrap();
    }
    for (acknowledged, behind_ms) in [(1, Some(50_000)), (2, Some(40_000)), (3, Some(30_000)), (4, None)] {
        replica.acknowledged(Life(9), ReplicaId::from_u64(9), acknowledged).unwrap();
        let [peer] = &replica.status(START_MS + 60_000).unwrap().peers[..] else { panic!("one peer") };
        assert_eq!((peer.missing_there, peer.behind_ms), (4 - acknowledged, behind_ms));
    }
}
