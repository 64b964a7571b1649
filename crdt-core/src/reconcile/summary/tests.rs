//! The sums that are kept up, held against sums that are made anew from every document, in other words than the code's.

use alloc::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::store::{Access, Durability};
use crate::tries::or_under_miri;
use crate::{Head, Life, MemoryStore, Replica, ReplicaId, TransactionError};

const PRIME: u128 = (1 << 61) - 1;
/// Enough for leaves to be halved three times; under Miri once.
const DOCUMENTS: u64 = or_under_miri(400, 100);
const DEPTH: u32 = or_under_miri(3, 1);

fn edit(replica: &mut Replica<MemoryStore>, id: u64, value: &str) {
    replica
        .commit(1, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(id))?.set("title", value)?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

/// A replica that wrote so many documents, one in a transaction.
fn filled(documents: u64) -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("sums"), ReplicaId::from_u64(1), Life(1));
    let mut replica = Replica::new(MemoryStore::new(head));
    (0..documents).for_each(|id| edit(&mut replica, id, "first"));
    replica
}

/// What each slot holds, and the addresses there, as PROTOCOL.md has it.
fn expected(store: &mut MemoryStore) -> BTreeMap<Slot, (u128, BTreeSet<Address>)> {
    let namespace = store.head().unwrap().namespace;
    let mut slots = BTreeMap::new();
    for (address, document) in store.documents_after(None, usize::MAX).unwrap() {
        let mut fingerprints = Fingerprints::new(&namespace, &address);
        let slot = u32::try_from(fingerprints.of_address().0 % (1 << 32)).unwrap();
        let (sum, there): &mut (u128, BTreeSet<Address>) = slots.entry(slot).or_default();
        document.visit(&mut |path, cell| *sum += fingerprints.of(path, &cell).0 % (1 << 64));
        *sum %= PRIME;
        there.insert(address);
    }
    slots
}

/// Takes everything in, so many documents at a time, and tells in how many steps.
fn advance(store: &mut MemoryStore, documents: usize) -> u32 {
    let mut steps = 1;
    while !Summary::load(store).unwrap().advance(store, documents).unwrap() {
        steps += 1;
    }
    steps
}

fn check(store: &mut MemoryStore) {
    let (summary, expected) = (Summary::load(store).unwrap(), expected(store));
    let kept = summary.sketch(store, 0, KEPT).unwrap();
    let sums = expected.iter().fold((0, 0), |(values, products), (slot, (sum, _))| {
        ((values + sum) % PRIME, (products + sum * u128::from(*slot)) % PRIME)
    });
    // Everything maps to the first symbol.
    let first = kept.symbols()[0];
    assert_eq!((u128::from(first.values.to_bits()), u128::from(first.products.to_bits())), sums);
    let from_leaves = summary.sketch(store, 0, KEPT + 1).unwrap();
    assert_eq!((kept.symbols().len(), from_leaves.symbols().len()), (KEPT, KEPT + 1));
    assert_eq!(kept.symbols(), &from_leaves.symbols()[..KEPT]);
    assert_eq!(summary.sketch(store, 0, 9).unwrap().symbols(), &kept.symbols()[..9]);
    let mut salted = Sketch::new(7, 30);
    let mut estimate = Estimate::default();
    for (slot, (sum, _)) in &expected {
        let value = Element::new(u64::try_from(*sum).unwrap());
        salted.add(*slot, value);
        estimate.add(*slot, value);
    }
    assert_eq!(summary.sketch(store, 7, 30).unwrap(), salted);
    assert_eq!(summary.estimate(), &estimate);

    assert_eq!(summary.documents, expected.values().map(|(_, there)| there.len() as u64).sum::<u64>());
    let slots: Vec<Slot> = expected.keys().copied().collect();
    let mut found = BTreeSet::new();
    let mut visit = |_: &mut MemoryStore, at: usize, address: Address| {
        found.insert((slots[at], address));
        Ok(())
    };
    summary.documents(store, &slots, &mut visit).unwrap();
    let all = expected.into_iter().flat_map(|(slot, (_, there))| there.into_iter().map(move |at| (slot, at)));
    assert_eq!(found, all.collect());
}

/// Within a transaction that writes, as all of it is.
fn writing<T>(replica: &mut Replica<MemoryStore>, work: impl FnOnce(&mut MemoryStore) -> T) -> T {
    let store = replica.store_mut();
    store.begin(Access::Write, Durability::Visible).unwrap();
    let done = work(store);
    store.commit().unwrap();
    done
}

#[test]
fn sums_that_are_made_in_steps_and_kept_up_are_those_of_everything() {
    let mut replica = filled(DOCUMENTS);
    writing(&mut replica, |store| {
        // A last step finds that there are no more.
        assert_eq!(u64::from(advance(store, 10)), DOCUMENTS / 10 + 1);
        check(store);
        let summary = Summary::load(store).unwrap();
        assert_eq!((summary.depth, summary.through), (DEPTH, DOCUMENTS));
        assert_eq!(summary.scanned, Scanned::Everything);
        assert_eq!(advance(store, 10), 1, "nothing is new");
    });
    (0..30).for_each(|id| edit(&mut replica, id, "second"));
    (0..5).for_each(|id| edit(&mut replica, DOCUMENTS + id, "new"));
    writing(&mut replica, |store| {
        assert_eq!(advance(store, 10), 4, "35 steps");
        check(store);
    });
}

#[test]
fn what_changes_while_all_documents_are_looked_at_is_not_missed() {
    let mut replica = filled(50);
    let first_steps = |store: &mut MemoryStore| {
        for _ in 0..3 {
            assert!(!Summary::load(store).unwrap().advance(store, 10).unwrap());
        }
    };
    writing(&mut replica, first_steps);
    // Among those that were looked at, those that were not, and new ones.
    for id in [0, 20, 29, 30, 49, 50, 51] {
        edit(&mut replica, id, "meanwhile");
    }
    writing(&mut replica, |store| {
        advance(store, 10);
        check(store);
    });
}

#[test]
fn a_slot_and_its_check_are_the_lowest_bits_of_the_address() {
    let (namespace, address) = (Namespace::from_secret("s"), Address::new("tasks", DocumentId::from_u64(7)));
    let hash = Fingerprints::new(&namespace, &address).of_address().0;
    let (slot, check) = slot_of(&namespace, &address);
    assert_eq!(u128::from(slot) + (u128::from(check) << 32), hash % (1 << 40));
    assert_ne!(check, 0, "the test sees something");
}

#[test]
fn what_is_taken_out_is_taken_out_of_the_sums() {
    let mut replica = filled(3);
    writing(&mut replica, |store| {
        advance(store, 10);
        let (address, document) = store.documents_after(None, 1).unwrap().remove(0);
        let namespace = store.head().unwrap().namespace;
        let mut gone = Leaf::new();
        note_value(store, &namespace, &address, &document, &mut gone).unwrap();
        let key = *gone.iter().next().unwrap().0;
        gone.insert(key, Element::ZERO);
        let (mut summary, mut again) = (Summary::load(store).unwrap(), Leaf::new());
        for _ in 0..2 {
            summary.take(store, gone.clone()).unwrap();
            assert_eq!(summary.documents, 2, "the second time it is gone already");
        }
        note_value(store, &namespace, &address, &document, &mut again).unwrap();
        for _ in 0..2 {
            summary.take(store, again.clone()).unwrap();
            assert_eq!(summary.documents, 3, "the second time it is there already");
        }
        store.set_note(HEADER, Some(&summary.encode())).unwrap();
        check(store);
    });
}

#[test]
fn sums_are_read_as_they_were_written_and_forgotten_whole() {
    let same = |summary: &Summary| {
        let read = Summary::decode(&summary.encode()).unwrap();
        assert_eq!((read.through, &read.scanned), (summary.through, &summary.scanned));
        assert_eq!((read.depth, read.documents), (summary.depth, summary.documents));
        assert_eq!((&read.sketch, &read.estimate), (&summary.sketch, &summary.estimate));
    };
    same(&Summary::new());
    let address = Address::new("tasks", DocumentId::from_u64(7));
    same(&Summary { scanned: Scanned::UpTo(address), through: 9, depth: 31, ..Summary::new() });
    assert!(Summary::decode(&Summary { depth: 32, ..Summary::new() }.encode()).is_err());

    let mut replica = filled(120);
    writing(&mut replica, |store| {
        advance(store, usize::MAX);
        assert!(!store.notes_after(b"sum", &[], usize::MAX).unwrap().is_empty());
        Summary::void(store).unwrap();
        assert_eq!(store.notes_after(b"sum", &[], usize::MAX).unwrap(), []);
        advance(store, usize::MAX);
        check(store);
    });
}
