//! What is sent of a slot to a peer that says what it holds there: what it lacks, and nothing is left out by mistake.
#![allow(missing_docs)]

use crdt_core::{
    Address, Document, DocumentId, Durability, Fingerprints, Head, Holding, Life, MemoryStore, Namespace,
    Replica, ReplicaId, TransactionError, VersionVector,
};

/// Two documents in one slot, found by a search.
const ONE_SLOT: [u64; 2] = [5_656, 74_983];

fn namespace() -> Namespace {
    Namespace::from_secret("test")
}

fn replica() -> Replica<MemoryStore> {
    let head = Head::new(namespace(), ReplicaId::from_u64(1), Life(1));
    Replica::new(MemoryStore::new(head))
}

fn write(replica: &mut Replica<MemoryStore>, id: u64, field: &str) {
    replica
        .commit(1_000, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(id))?.set(field, "some")?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

fn slot(id: u64) -> u32 {
    let address = Address::new("tasks", DocumentId::from_u64(id));
    let hash = Fingerprints::new(&namespace(), &address).of_address().0;
    u32::try_from(hash & 0xffff_ffff).unwrap()
}

/// The sums tell which documents are in a slot.
fn holdings(replica: &mut Replica<MemoryStore>, slots: &[u32]) -> Vec<Holding> {
    replica.sums(0, 1).unwrap();
    replica.holdings(slots).unwrap()
}

fn all(replica: &mut Replica<MemoryStore>) -> Vec<(Address, Document)> {
    replica.difference(&VersionVector::new(), None, 10).unwrap().documents
}

#[test]
fn a_peer_gets_the_cells_that_it_does_not_list() {
    let mut replica = replica();
    write(&mut replica, 1, "title");
    let held = holdings(&mut replica, &[slot(1)]);
    assert!(replica.lacking(&[slot(1)], &held).unwrap().is_empty());
    write(&mut replica, 1, "other");
    replica.sums(0, 1).unwrap();
    let lacking = replica.lacking(&[slot(1)], &held).unwrap();
    let [(_, document)] = &lacking[..] else { panic!("one document") };
    let all_of_it = all(&mut replica);
    assert!(document.cell_count() < all_of_it[0].1.cell_count(), "not what it has");
    assert_eq!(all_of_it[0].1.clone().merged(document.clone()), all_of_it[0].1);
    assert!(holdings(&mut replica, &[slot(1)]) != held);
    // With nothing, something, or another document there, all of it.
    let Holding::Document { check, dots } = held[0].clone() else { panic!("one document is listed") };
    let another = Holding::Document { check: check ^ 1, dots };
    for held in [Holding::Nothing, Holding::Something, another] {
        assert_eq!(replica.lacking(&[slot(1)], &[held]).unwrap(), all_of_it);
    }
    assert_eq!(replica.lacking(&[slot(1)], &[]).unwrap(), all_of_it, "where nothing is said of a slot");
}

/// Of two documents only one would be listed, and dots do not tell of which.
#[test]
fn documents_that_share_a_slot_are_sent_whole() {
    let [one, other] = ONE_SLOT;
    assert_eq!(slot(one), slot(other));
    let held_of = |id: u64| {
        let mut peer = replica();
        write(&mut peer, id, "title");
        holdings(&mut peer, &[slot(id)])
    };
    let mut replica = replica();
    write(&mut replica, one, "title");
    write(&mut replica, other, "title");
    assert_eq!(holdings(&mut replica, &[slot(one)]), [Holding::Something]);
    for id in ONE_SLOT {
        let lacking = replica.lacking(&[slot(one)], &held_of(id)).unwrap();
        assert_eq!(lacking, all(&mut replica), "to one that holds {id}");
    }
    // Beside one that is alone in its slot.
    write(&mut replica, 1, "title");
    let slots = if slot(1) < slot(one) { [slot(1), slot(one)] } else { [slot(one), slot(1)] };
    let held = holdings(&mut replica, &slots);
    let lacking = replica.lacking(&slots, &held).unwrap();
    assert_eq!(lacking.len(), 2, "the one that is listed is there");
}

#[test]
fn sums_that_were_forgotten_are_made_anew() {
    let mut replica = replica();
    write(&mut replica, 1, "title");
    let known = holdings(&mut replica, &[slot(1)]);
    replica.forget_sums().unwrap();
    assert_eq!(replica.holdings(&[slot(1)]).unwrap(), [Holding::Nothing]);
    assert_eq!(holdings(&mut replica, &[slot(1)]), known);
}
