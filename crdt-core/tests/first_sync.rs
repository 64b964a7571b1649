//! The books of a first sync: when it ends, what is claimed then, and who has what it brought.
#![allow(missing_docs)]

use crdt_core::{
    Address, Applied, Arrival, Checkpoint, Document, DocumentId, Dot, Durability, Head, Life, Loading,
    MemoryStore, Namespace, Part, Progress, Replica, ReplicaId, Scanned, TransactionError, VersionVector,
};

type Memory = Replica<MemoryStore>;

fn replica(number: u64) -> Memory {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    Replica::new(MemoryStore::new(head))
}

/// One that has written some documents, each in a transaction of its own.
fn filled(number: u64, ids: std::ops::Range<u64>) -> Memory {
    let mut replica = replica(number);
    ids.for_each(|id| write(&mut replica, id));
    replica
}

fn write(replica: &mut Memory, id: u64) {
    replica
        .commit(1_000, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(id))?.set("title", "some")?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

fn all(of: &mut Memory) -> Vec<(Address, Document)> {
    of.difference(&VersionVector::new(), None, 1_000).unwrap().documents
}

fn part(of: &mut Memory) -> Part {
    let head = of.head().unwrap();
    let documents = all(of);
    let progress = Progress { sequence: head.sequence, scanned: Scanned::Everything };
    let of = documents.len() as u64;
    Part { peer: head.life, replica: head.replica, scope: 0, session: 0, progress, of, documents }
}

/// That it has seen everything of some replicas up to a transaction, and what it holds.
fn checkpoint(of: &mut Memory, claims: &[(u64, u64)]) -> Checkpoint {
    let head = of.head().unwrap();
    let context = claims.iter().map(|(id, counter)| Dot::new(ReplicaId::from_u64(*id), *counter)).collect();
    let (peer, replica, cursor) = (head.life, head.replica, head.sequence);
    Checkpoint { peer, replica, cursor, context, documents: all(of), scope: 0, session: 0 }
}

fn load(into: &mut Memory, part: Part) -> Option<(Applied, Loading)> {
    into.load(part, &Arrival::default()).unwrap()
}

fn loads(replica: &mut Memory) -> bool {
    replica.loading().unwrap().is_some()
}

fn seen(replica: &mut Memory, ids: [u64; 3]) -> [u64; 3] {
    ids.map(|id| replica.seen_of(ReplicaId::from_u64(id)).unwrap())
}

#[test]
fn a_part_names_its_step_and_how_far_its_sender_has_come() {
    let (mut a, mut b) = (filled(1, 0..3), replica(2));
    let (applied, loading) = load(&mut b, part(&mut a)).unwrap();
    assert_eq!((applied.sequence, applied.cells), (Some(1), 6));
    assert_eq!(loading, Loading { documents: 3, of: 3 });
    // If the sender is set back to before that, the next session finds out.
    assert_eq!(b.remembered(Life(1)).unwrap().cursor, 3);
    let (again, loading) = load(&mut b, part(&mut a)).unwrap();
    assert_eq!((again.sequence, again.cells), (None, 0));
    assert_eq!(loading.documents, 3, "none of them is new");
}

/// It would show halves of transactions, and take them for what is to come all at once.
#[test]
fn a_replica_that_holds_something_takes_no_parts() {
    let (mut a, mut b, mut c) = (filled(1, 0..3), replica(2), filled(3, 10..12));
    b.apply(checkpoint(&mut c, &[(3, 2)])).unwrap();
    assert!(load(&mut b, part(&mut a)).is_none());
    assert_eq!((all(&mut b).len(), loads(&mut b)), (2, false));
    // Nor does one that has written more by itself than hardly anything.
    for (own, asks) in [(16, true), (17, false)] {
        let mut b = filled(2, 20..20 + own);
        assert_eq!(b.first_sync(Life(1), 0).unwrap().is_some(), asks, "{own} documents");
        assert_eq!(load(&mut b, part(&mut a)).is_some(), asks, "{own} documents");
    }
}

#[test]
fn what_all_came_from_one_peer_need_not_be_shown_to_it() {
    for other_brings in [false, true] {
        let (mut a, mut b) = (filled(1, 0..3), replica(2));
        let mut c = filled(3, 10..10 + u64::from(other_brings));
        load(&mut b, part(&mut a)).unwrap();
        load(&mut b, part(&mut a)).unwrap();
        let meanwhile = b.apply(checkpoint(&mut c, &[(3, u64::from(other_brings))])).unwrap();
        assert!(meanwhile.loaded.is_none() && loads(&mut b));
        let end = b.apply(checkpoint(&mut a, &[(1, 3)])).unwrap();
        assert!(end.loaded.is_some());
        assert_eq!(end.loaded_from_others, other_brings);
    }
}

/// However much it has written itself: what it has seen of others is another count.
#[test]
fn the_number_of_own_transactions_says_nothing_of_what_is_loaded() {
    let (mut a, mut b, mut c) = (filled(1, 0..3), filled(2, 20..30), filled(3, 10..11));
    load(&mut b, part(&mut a)).unwrap();
    b.apply(checkpoint(&mut c, &[(3, 1)])).unwrap();
    assert!(loads(&mut b), "the other one has nothing of it");
    assert_eq!(seen(&mut b, [1, 2, 3]), [0, 10, 0]);
}

#[test]
fn a_part_is_waited_for_by_all_who_wrote_it() {
    let (mut a, mut b, mut c) = (filled(1, 0..3), replica(2), filled(3, 10..12));
    a.apply(checkpoint(&mut c, &[(3, 2)])).unwrap();
    load(&mut b, part(&mut a)).unwrap();
    b.apply(checkpoint(&mut c, &[(3, 2)])).unwrap();
    assert!(loads(&mut b), "what the first one wrote is claimed by nobody");
    let mut d = replica(4);
    b.apply(checkpoint(&mut d, &[(1, 2)])).unwrap();
    assert!(loads(&mut b), "nor is the last of it");
    b.apply(checkpoint(&mut d, &[(1, 3)])).unwrap();
    assert!(!loads(&mut b));
}

#[test]
fn what_several_peers_claim_together_ends_a_first_sync() {
    let (mut a, mut b) = (filled(1, 0..3), replica(2));
    let (mut c, mut d) = (filled(3, 10..12), filled(4, 20..21));
    load(&mut b, part(&mut a)).unwrap();
    load(&mut b, part(&mut c)).unwrap();
    b.apply(checkpoint(&mut d, &[(1, 3), (4, 1)])).unwrap();
    assert!(loads(&mut b), "what the second one brought is claimed by nobody");
    assert_eq!(seen(&mut b, [1, 3, 4]), [0, 0, 0]);
    let mut e = replica(5);
    b.apply(checkpoint(&mut e, &[(3, 2)])).unwrap();
    assert!(!loads(&mut b));
    assert_eq!(seen(&mut b, [1, 3, 4]), [3, 2, 1]);
}

/// It holds for the cursor that comes with it, and that is given up.
#[test]
fn what_was_claimed_before_the_scope_changed_is_not_claimed_after() {
    let (mut a, mut b, mut c) = (filled(1, 0..3), replica(2), filled(3, 10..12));
    b.subscribe(crdt_core::Scope::nothing().collection("tasks")).unwrap();
    let scope = b.scope_number(Life(1)).unwrap();
    load(&mut b, Part { scope, ..part(&mut a) }).unwrap();
    b.apply(checkpoint(&mut c, &[(3, 2)])).unwrap();
    assert!(loads(&mut b));
    b.subscribe(crdt_core::Scope::everything()).unwrap();
    assert_eq!(b.first_sync(Life(1), 0).unwrap().expect("it still loads").resume, None);
    b.apply(checkpoint(&mut a, &[(1, 3)])).unwrap();
    assert!(!loads(&mut b));
    assert_eq!(seen(&mut b, [1, 2, 3]), [3, 0, 0]);
}
