use alloc::vec;

use crdt_core::{DocumentId, Durability, Head, Life, MemoryStore, Namespace, ReplicaId, TransactionError};

use super::*;
use crate::under_miri::or_under_miri;

fn replica(number: u64, documents: u64) -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    let mut replica = Replica::new(MemoryStore::new(head));
    let written = replica.commit(1, Durability::Visible, |tx| {
        for id in 0..documents {
            tx.document("tasks", DocumentId::from_u64(number << 32 | id))?.set("title", "x")?;
        }
        Ok::<_, TransactionError>(())
    });
    written.unwrap();
    replica
}

/// An initiator that has sent its first sketch, and what it sent.
fn begun(replica: &mut Replica<MemoryStore>) -> (Reconcile, message::Sketch) {
    let mut initiator = Reconcile::new(1, 2);
    initiator.begin(true, false);
    let (message, outcome) = initiator.next_message(replica).unwrap().unwrap();
    assert!(outcome.is_none());
    let Ok(Message::Reconciling(Reconciling::Sketch(sketch))) = Message::decode(&message) else {
        panic!("a sketch")
    };
    (initiator, sketch)
}

fn more(round: u64, total: usize) -> More {
    More { round, salt: 0, total }
}

#[test]
fn giving_up_reaches_both() {
    let (mut a, mut b) = (replica(1, or_under_miri(400, 40)), replica(2, 3));
    let (mut initiator, sketch) = begun(&mut a);
    let mut responder = Reconcile::new(2, 1);
    responder.begin(true, false);
    responder.sketched(sketch).unwrap();
    // As if that had been the last of the sketches that are allowed.
    responder.cost.sketches = MAX_SKETCHES;
    let (message, outcome) = responder.next_message(&mut b).unwrap().unwrap();
    assert!(matches!(outcome, Some(Outcome::TooLarge { since: 1 })) && responder.take_wish());
    let Ok(Message::Reconciling(Reconciling::More(asked))) = Message::decode(&message) else {
        panic!("a request")
    };
    assert_eq!(asked.total, 0);
    assert!(matches!(initiator.asked(&asked).unwrap(), Some(Outcome::TooLarge { since: 1 })));
    assert!(!initiator.under_way() && !responder.under_way());
    assert!(initiator.cost().gave_up && responder.cost().gave_up);
}

#[test]
fn a_wish_for_sketches_has_an_end() {
    let mut a = replica(1, or_under_miri(40, 15));
    let (mut initiator, _) = begun(&mut a);
    assert!(initiator.asked(&more(1, MAX_SYMBOLS + 1)).is_err());
    assert!(initiator.asked(&more(2, 20)).is_err(), "another round");
    for asked in 1..MAX_SKETCHES {
        assert!(initiator.asked(&more(1, 20)).unwrap().is_none(), "{asked}");
        assert!(initiator.asked(&more(1, 20)).is_err(), "before it was answered");
        initiator.next_message(&mut a).unwrap().unwrap();
    }
    assert!(initiator.asked(&more(1, 20)).is_err());
}

#[test]
fn sketches_of_other_lengths_are_errors() {
    let (mut a, mut b) = (replica(1, or_under_miri(400, 40)), replica(2, 3));
    let (_, sketch) = begun(&mut a);
    let mut responder = Reconcile::new(2, 1);
    for wrong in [
        message::Sketch { total: FIRST + 1, ..sketch.clone() },
        message::Sketch { total: usize::MAX, ..sketch.clone() },
        message::Sketch { symbols: vec![Symbol::default(); FIRST + 1], ..sketch.clone() },
    ] {
        assert!(responder.sketched(wrong).is_err());
    }
    responder.sketched(sketch.clone()).unwrap();
    assert!(responder.sketched(sketch.clone()).is_err(), "another one before it was compared");
    responder.next_message(&mut b).unwrap().unwrap();
    assert!(responder.sketched(sketch).is_err(), "not the length that was asked for");
}

#[test]
fn differences_that_the_sketch_cannot_hold_are_errors() {
    let mut a = replica(1, or_under_miri(40, 15));
    let differ = |slots: Vec<Slot>, last| Differ {
        round: 1,
        last,
        holdings: vec![Holding::Nothing; slots.len()],
        slots,
    };
    let (mut initiator, _) = begun(&mut a);
    assert!(initiator.differ(Differ { round: 2, ..differ(vec![1], true) }).is_err());
    assert!(initiator.differ(differ((0..=10).collect(), true)).is_err(), "more than there were symbols");
    assert!(initiator.differ(differ(vec![5, 6], false)).unwrap().is_none());
    assert!(initiator.differ(differ(vec![6, 7], false)).is_err(), "out of order");
    assert!(initiator.asked(&more(1, 20)).is_err(), "in the middle of the answer");
    assert!(initiator.differ(differ(vec![7], true)).unwrap().is_some());
    assert!(initiator.differ(differ(vec![8], true)).is_err(), "after the end");
}

#[test]
fn what_is_held_has_to_be_told_once_for_each_slot() {
    let mut responder = Reconcile::new(2, 1);
    let waiting = || State::AwaitHeld { slots: vec![1, 2, 3], held: Kept::default() };
    let held = |count, last| Held { round: 0, last, holdings: vec![Holding::Something; count] };
    for (count, last) in [(4, true), (2, true), (3, false)] {
        responder.state = waiting();
        assert!(responder.held(held(count, last)).is_err(), "{count}, {last}");
    }
    responder.state = waiting();
    assert!(responder.held(held(1, false)).unwrap().is_none());
    assert!(responder.held(held(2, true)).unwrap().is_some());
    assert!(!responder.under_way());
}

#[test]
fn too_many_dots_are_not_kept() {
    let dots: Vec<_> = (0..256).map(|n| crdt_core::Dot::new(ReplicaId::from_u64(1), n + 1)).collect();
    let mut kept = Kept::default();
    (0..MAX_KEPT / 256 + 2).for_each(|_| kept.take(vec![Holding::Document { check: 0, dots: dots.clone() }]));
    assert_eq!(kept.held.iter().filter(|holding| **holding == Holding::Something).count(), 2);
}
