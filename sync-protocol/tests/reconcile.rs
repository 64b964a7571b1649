//! Finding out what each side lacks without a cursor: complete, minimal, and at a cost that follows the difference.
#![allow(missing_docs)]

mod support;

use std::collections::BTreeSet;

use crdt_core::reconcile::Sketch;
use crdt_core::{Cell, DocumentId, Durability, Life, MemoryStore, Namespace, Replica, ReplicaId, Value};
use support::{Random, START_MS, assert_equal, declared, edit, or_under_miri, replica, set};
use sync_protocol::drive::{exchange_in_memory, pump};
use sync_protocol::{Config, Session, SessionEvent, Way};

type Memory = Replica<MemoryStore>;

/// The same state in another store, which has never met anybody.
fn copy(replica: &mut Memory, number: u64) -> Memory {
    let mut copy = declared(Replica::new(replica.store_mut().clone()));
    copy.renew_identity(ReplicaId::from_u64(number), Life(number)).unwrap();
    copy
}

/// Some edit of any kind.
fn scribble(replica: &mut Memory, random: &mut Random, documents: u64, ms: u64) {
    let (id, kind, value) = (random.below(documents), random.below(9), random.below(5).cast_signed());
    edit(replica, id, ms, |document| match kind {
        0 => document.increment("votes", value).unwrap(),
        1 => document.set("notes", value).unwrap(),
        2 => document.add_to("tags", Value::Int(value)).unwrap(),
        3 => document.delete(),
        4 => document.map("place").unwrap().set("city", value).unwrap(),
        5 => document.remove("title").unwrap(),
        _ => document.set("title", value).unwrap(),
    });
}

/// Less than so many edits are made apart.
const LATER: u64 = or_under_miri(80, 12);

/// Two that share a history and then went their own ways, and have never met.
fn strangers(seed: u64) -> (Memory, Memory) {
    let mut random = Random(seed);
    let mut origin = replica(1);
    let documents = 1 + random.below(or_under_miri(200, 20));
    (0..=random.below(or_under_miri(300, 30)))
        .for_each(|ms| scribble(&mut origin, &mut random, documents, ms));
    let (mut a, mut b) = (copy(&mut origin, 2), copy(&mut origin, 3));
    for (replica, edits) in [(&mut a, random.below(LATER)), (&mut b, random.below(LATER))] {
        (0..edits).for_each(|ms| scribble(replica, &mut random, documents * 2, 1000 + ms));
    }
    (a, b)
}

/// Every cell, in words.
fn cells(replica: &mut Memory) -> BTreeSet<String> {
    let mut cells = BTreeSet::new();
    let everything = replica.difference(&crdt_core::VersionVector::new(), None, usize::MAX).unwrap();
    for (address, document) in everything.documents {
        document.visit(&mut |path, cell| {
            let cell: Cell = cell.to_owned();
            cells.insert(format!("{address:?} {path:?} {cell:?}"));
        });
    }
    cells
}

#[test]
fn strangers_end_equal_and_get_exactly_what_they_lack() {
    let seeds = match std::env::var("RECONCILE_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (0..or_under_miri(300, 1)).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        let (mut a, mut b) = strangers(seed);
        let (before_a, before_b) = (cells(&mut a), cells(&mut b));
        let (at_a, at_b) = exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
        let again = format!("again: RECONCILE_SEED={seed} cargo test -p sync-protocol --test reconcile");
        assert_eq!(a.canonical_bytes().unwrap(), b.canonical_bytes().unwrap(), "{again}");
        assert_eq!(a.head().unwrap().root, b.head().unwrap().root, "{again}");
        if before_a == before_b {
            continue;
        }
        for (session, before, theirs) in [(at_a, &before_a, &before_b), (at_b, &before_b, &before_a)] {
            assert_eq!(session.status().way, Some(Way::Reconcile), "{again}");
            // What the peer sent and we had is what the sums did not tell apart.
            let (came, lacked) = (received(session), theirs.difference(before).count() as u64);
            assert!(came <= lacked, "{came} cells changed, {lacked} were lacking; {again}");
        }
    }
}

/// Cells that changed with the checkpoints of a session.
fn received(mut session: Session) -> u64 {
    let mut cells = 0;
    while let Some(event) = session.poll_event() {
        if let SessionEvent::Applied { cells: more, .. } = event {
            cells += more;
        }
    }
    cells
}

#[test]
fn the_cost_follows_the_difference_and_not_the_size() {
    let usually = [(1, 1_100), (20, 4_000), (100, 12_000)];
    for (differing, bound) in usually.into_iter().take(or_under_miri(3, 1)) {
        let mut costs = Vec::new();
        for size in or_under_miri([2_000, 8_000], [10, 20]) {
            let mut origin = replica(1);
            (0..size).for_each(|n| set(&mut origin, n, n, "title", "something to have"));
            let (mut a, mut b) = (copy(&mut origin, 2), copy(&mut origin, 3));
            (0..differing).for_each(|n| set(&mut a, n * 7, 90_000 + n, "title", "twenty bytes exactly"));
            let (at_a, at_b) = exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
            assert_equal(&mut a, &mut b);
            let cost = at_b.status().reconciled.unwrap();
            assert_eq!(cost.differing as u64, differing);
            assert!(cost.sketches <= 2, "{cost:?}");
            costs.push(at_a.status().traffic.bytes_sent + at_b.status().traffic.bytes_sent);
        }
        assert!(costs.iter().all(|cost| *cost < bound), "{differing}: {costs:?} bytes, handshake included");
        assert!(costs[1] < costs[0] * 3 / 2, "{differing}: {costs:?}");
    }
}

#[test]
fn only_one_side_lost_its_place() {
    let (mut a, mut b) = (replica(2), replica(3));
    (0..or_under_miri(300, 20)).for_each(|n| set(&mut a, n, n, "title", "something to have"));
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    set(&mut b, 7, 1_000, "title", "b knows where a was");
    set(&mut a, 8, 1_001, "title", "a does not");
    // A copy of a that forgot its peers: b knows nothing of its life.
    for (first, second) in [(1, 2), (2, 1)] {
        let mut forgot = copy(&mut a, 9 + first);
        let mut other = declared(Replica::new(b.store_mut().clone()));
        let mut at_forgot = Session::new(Config::new(first), START_MS);
        let mut at_other = Session::new(Config::new(second), START_MS);
        pump(&mut at_forgot, &mut forgot, &mut at_other, &mut other, START_MS).unwrap();
        assert!(at_forgot.is_settled() && at_other.is_settled());
        assert_eq!(forgot.canonical_bytes().unwrap(), other.canonical_bytes().unwrap());
        // The copy still has its cursor in b's change order; b has none in the copy's.
        assert_eq!(
            (at_other.status().way, at_forgot.status().way),
            (Some(Way::Resume), Some(Way::Reconcile))
        );
    }
}

#[test]
fn who_holds_nothing_gets_everything_unasked() {
    let (mut a, mut empty) = (replica(1), replica(3));
    (0..or_under_miri(300, 20)).for_each(|n| set(&mut a, n, n, "title", "something to have"));
    let (at_a, _) = exchange_in_memory(&mut a, &mut empty, START_MS).unwrap();
    assert_eq!((at_a.status().way, at_a.status().reconciled), (Some(Way::Full), None));
    assert_equal(&mut a, &mut empty);
}

#[test]
fn commits_meanwhile_are_part_of_the_run() {
    for at in (0..40).step_by(or_under_miri(1, 15)) {
        let (mut a, mut b) = strangers(77);
        let (mut at_a, mut at_b) =
            (Session::new(Config::new(1), START_MS), Session::new(Config::new(2), START_MS));
        let mut count = 0;
        loop {
            let mut moved = false;
            for turn in 0..2 {
                let (from, session, to, other) = if turn == 0 {
                    (&mut a, &mut at_a, &mut b, &mut at_b)
                } else {
                    (&mut b, &mut at_b, &mut a, &mut at_a)
                };
                if count == at {
                    set(from, 3, 5_000, "title", "meanwhile");
                    set(from, 5_000, 5_001, "title", "a new document");
                }
                count += 1;
                if let Some(message) = session.transmit(from, START_MS).unwrap() {
                    other.receive(to, &message, START_MS).unwrap();
                    moved = true;
                }
            }
            if !moved && count > at {
                break;
            }
        }
        assert!(at_a.is_settled() && at_b.is_settled(), "a commit before message {at}");
        assert_equal(&mut a, &mut b);
    }
}

/// The sums that are kept up equal those that are made from a look at everything.
#[test]
fn sums_that_were_kept_up_are_those_of_a_fresh_look() {
    for seed in 0..or_under_miri(30, 1) {
        let mut random = Random(seed);
        let mut replica = replica(1);
        for round in 0..or_under_miri(6, 2) {
            let edits = random.below(or_under_miri(400, 20));
            (0..edits).for_each(|ms| scribble(&mut replica, &mut random, 500, round * 1000 + ms));
            let (kept, salted) = (replica.sums(0, 100).unwrap(), replica.sums(9, 500).unwrap());
            replica.forget_sums().unwrap();
            let (fresh, fresh_salted) = (replica.sums(0, 100).unwrap(), replica.sums(9, 500).unwrap());
            assert_eq!(kept.sketch, fresh.sketch, "seed {seed}, round {round}");
            assert_eq!(salted.sketch, fresh_salted.sketch, "seed {seed}, round {round}");
            assert_eq!(kept.estimate, fresh.estimate, "seed {seed}, round {round}");
        }
    }
}

#[test]
fn a_sum_of_nothing_is_nothing() {
    let mut empty = replica(1);
    assert_eq!(empty.sums(0, 40).unwrap().sketch, Sketch::new(0, 40));
}

/// One dot with two contents on the two sides, and cursors that say that nothing is missing.
#[test]
fn contents_that_differ_under_one_dot_are_found_by_the_sums() {
    let mut origin = replica(1);
    // More than what a replica may hold that has its first sync yet to come.
    (0..or_under_miri(50, 20)).for_each(|n| set(&mut origin, n, n, "title", "something to have"));
    let (mut a, mut b) = (declared(Replica::new(origin.store_mut().clone())), replica(2));
    let mut twin = declared(Replica::new(origin.store_mut().clone()));
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    // Both write as the same replica: the same dot, two contents.
    set(&mut a, 7, 1_000, "title", "one");
    set(&mut twin, 8, 1_001, "title", "the other");
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    let (mut at_twin, mut at_b) =
        (Session::new(Config::new(1), START_MS), Session::new(Config::new(2), START_MS));
    pump(&mut at_twin, &mut twin, &mut at_b, &mut b, START_MS).unwrap();
    assert_equal(&mut twin, &mut b);
    let mut repaired = false;
    while let Some(event) = at_twin.poll_event() {
        repaired |= matches!(event, SessionEvent::Reconciled(cost) if cost.differing == 2 && !cost.gave_up);
    }
    assert!(repaired, "{:?}", at_twin.status());
}

/// Documents that share a slot are sent whole, and nothing of them is lost. Slots are 32 bits, so it takes a search.
#[test]
fn documents_in_one_slot() {
    let (mut a, mut b) = (replica(1), replica(2));
    let secret = Namespace::from_secret("test");
    let slot = |id: u64| {
        let address = crdt_core::Address::new("tasks", DocumentId::from_u64(id));
        crdt_core::Fingerprints::new(&secret, &address).of_address().0 & 0xffff_ffff
    };
    // Under Miri only the outcome of the search.
    let (one, other) = or_under_miri(None, Some((5_656, 74_983))).unwrap_or_else(|| {
        let mut seen = std::collections::BTreeMap::new();
        let pair = (0..400_000u64).find_map(|id| seen.insert(slot(id), id).map(|other| (other, id)));
        pair.expect("a birthday")
    });
    assert_eq!(slot(one), slot(other));
    // Both by one transaction of a third, of which each has one document: a dot says nothing about the other's.
    let mut c = replica(3);
    c.commit(START_MS, Durability::Visible, |tx| {
        for id in [one, other] {
            tx.document("tasks", DocumentId::from_u64(id))?.set("title", "together")?;
        }
        Ok::<_, crdt_core::TransactionError>(())
    })
    .unwrap();
    set(&mut a, 1, 5, "title", "a");
    set(&mut b, 2, 6, "title", "b");
    exchange_in_memory(&mut c, &mut a, START_MS).unwrap();
    // Whoever holds nothing of others yet does not compare, but loads.
    let mut other_peer = replica(5);
    set(&mut other_peer, 3, 7, "title", "of somebody else");
    exchange_in_memory(&mut other_peer, &mut b, START_MS).unwrap();
    edit(&mut a, one, 10, |document| document.set("title", "changed").unwrap());
    let (at_a, _) = exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    assert_eq!(at_a.status().way, Some(Way::Reconcile));
    assert_equal(&mut a, &mut b);
    let mut d = copy(&mut c, 4);
    exchange_in_memory(&mut d, &mut b, START_MS).unwrap();
    assert_equal(&mut d, &mut b);
}
