//! Partial and loading replicas beside everything else that a session does: reconciling, healing, parking.
#![allow(missing_docs)]

mod support;

use std::sync::Arc;

use crdt_core::{
    Address, Arrival, Checkpoint, Dot, Life, MemoryStore, Part, Progress, ReceiveBound, Refusal, Replica,
    ReplicaId, Scanned, Scope, Spare, VersionVector, Withdrawal,
};
use support::{START_MS, assert_equal, declared_over, edit, replica, set, title};
use sync_protocol::door::{Applicant, Right, Rules};
use sync_protocol::drive::{exchange_in_memory, pump};
use sync_protocol::{Config, Session, SessionEvent, Way};

type Memory = Replica<MemoryStore>;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Writes as an app's store does, in runs.
fn running(number: u64) -> Memory {
    let mut replica = replica(number);
    replica.begin_run(number);
    replica
}

fn even() -> Scope {
    let ids = (0..400).step_by(2).map(crdt_core::DocumentId::from_u64);
    Scope::nothing().documents("tasks", ids)
}

/// A session in which both may heal; `nonce` decides who draws the lower one.
fn meet(a: &mut Memory, b: &mut Memory, nonces: (u64, u64)) -> (Session, Session) {
    let config = |nonce: u64| {
        let id = nonce + 1_000;
        Config::new(nonce).spare(Spare { replica: ReplicaId::from_u64(id), life: Life(id) })
    };
    let mut at_a = Session::new(config(nonces.0), START_MS);
    let mut at_b = Session::new(config(nonces.1), START_MS);
    pump(&mut at_a, a, &mut at_b, b, START_MS).unwrap();
    assert!(at_a.is_settled() && at_b.is_settled(), "{:?} {:?}", at_a.status(), at_b.status());
    (at_a, at_b)
}

fn events(session: &mut Session) -> Vec<SessionEvent> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

#[test]
fn own_changes_that_come_back_to_a_wider_scope_are_no_fork() {
    let (mut a, mut b) = (running(1), running(2));
    (0..40).for_each(|id| set(&mut b, id, id, "title", "by b"));
    meet(&mut a, &mut b, (1, 2));
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (3, 4));
    assert_eq!(title(&mut b, 1), None, "it was evicted");
    b.subscribe(Scope::everything()).unwrap();
    let (_, mut at_b) = meet(&mut a, &mut b, (5, 6));
    assert_equal(&mut a, &mut b);
    assert_eq!(b.head().unwrap().replica, ReplicaId::from_u64(2), "{:?}", events(&mut at_b));
}

#[test]
fn a_copy_of_a_partial_store_heals_and_loses_nothing() {
    let (mut a, mut b) = (running(1), running(2));
    (0..40).for_each(|id| set(&mut a, id, id, "title", "by a"));
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (1, 2));
    (0..10).for_each(|id| edit(&mut b, id, 100, |document| document.increment("votes", 1).unwrap()));
    meet(&mut a, &mut b, (3, 4));
    let mut copy = declared_over(b.store_mut().clone());
    copy.begin_run(77);
    set(&mut b, 2, 200, "by b", "b");
    set(&mut copy, 2, 200, "by the copy", "copy");
    set(&mut copy, 3, 200, "outside", "copy");
    meet(&mut a, &mut b, (5, 6));
    meet(&mut a, &mut copy, (7, 8));
    assert_eq!(copy.head().unwrap().replica, ReplicaId::from_u64(1_008));
    let had = copy.head().unwrap();
    meet(&mut a, &mut copy, (9, 10));
    assert_eq!(copy.head().unwrap().replica, had.replica, "once is enough");
    meet(&mut a, &mut b, (11, 12));
    for (one, nonce) in [(&mut b, 13), (&mut copy, 15)] {
        assert!(one.loading().unwrap().is_none());
        one.subscribe(Scope::everything()).unwrap();
        meet(&mut a, one, (nonce, nonce + 1));
        assert_equal(&mut a, one);
    }
    for (id, field) in [(2, "by b"), (2, "by the copy"), (3, "outside")] {
        let view = a.read("tasks", crdt_core::DocumentId::from_u64(id)).unwrap();
        assert!(view.get(field).unwrap().is_some(), "{field}");
    }
}

/// A peer that does not heed what it was told, or lies, could fill a small device with what nobody ever lets go of.
#[test]
fn what_comes_from_outside_the_scope_is_left_out() {
    let mut a = running(1);
    (0..10).for_each(|id| set(&mut a, id, id, "title", "by a"));
    let all = a.difference(&VersionVector::new(), None, 100).unwrap().documents;
    let checkpoint = |documents| Checkpoint {
        peer: Life(1),
        replica: ReplicaId::from_u64(1),
        cursor: 10,
        context: Vec::new(),
        documents,
        scope: 0,
        session: 0,
    };
    let part = Part {
        peer: Life(1),
        replica: ReplicaId::from_u64(1),
        scope: 0,
        session: 0,
        progress: Progress { sequence: 10, scanned: Scanned::Everything },
        of: 10,
        documents: all.clone(),
    };
    for loads in [false, true] {
        let mut b = running(2);
        b.subscribe(even()).unwrap();
        if loads {
            let (_, loading) = b.load(part.clone(), &Arrival::default()).unwrap().unwrap();
            assert_eq!(loading.documents, 5);
            b.apply(checkpoint(Vec::new())).unwrap();
        } else {
            b.apply(checkpoint(all.clone())).unwrap();
        }
        let held = b.list("tasks", None, 100).unwrap();
        assert_eq!(held.len(), 5, "loads: {loads}");
        assert!(held.iter().all(|(id, _)| even().contains(&Address::new("tasks", *id))));
    }
}

/// A server says with its refusal what it holds instead, wherever the change was: that is let go of like what was written
/// there.
#[test]
fn what_a_server_holds_instead_of_a_refused_change_is_let_go_of() {
    let (mut a, mut b) = (running(1), running(2));
    (0..10).for_each(|id| set(&mut a, id, id, "title", "by a"));
    b.follow().unwrap();
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (1, 2));
    let let_go = |b: &mut Memory| {
        let acked = b.head().unwrap().sequence;
        b.evict(&Scope::everything(), acked, 1).unwrap()
    };
    assert_eq!(let_go(&mut b), 0);
    let documents = a.difference(&VersionVector::new(), None, 100).unwrap().documents;
    let refused = [(Dot::new(ReplicaId::from_u64(2), 1), Refusal::new(403, "no"))].into();
    let (peer, replica, session) = (Life(1), ReplicaId::from_u64(1), 0);
    b.withdraw(Withdrawal { peer, session, replica, refused, documents }).unwrap();
    assert_eq!(b.list("tasks", None, 100).unwrap().len(), 10);
    assert_eq!(let_go(&mut b), 5);
}

/// The acknowledgement was under way when the scope was changed: what it says of the peer's change order holds for the old
/// scope.
#[test]
fn an_acknowledgement_moves_no_cursor_into_another_scope() {
    let (mut a, mut b) = (running(1), running(2));
    let (mut at_a, mut at_b) = meet(&mut a, &mut b, (1, 2));
    set(&mut b, 1, 1, "title", "by b");
    while let Some(push) = at_b.transmit(&mut b, START_MS).unwrap() {
        at_a.receive(&mut a, &push, START_MS).unwrap();
    }
    b.subscribe(even()).unwrap();
    while let Some(ack) = at_a.transmit(&mut a, START_MS).unwrap() {
        at_b.receive(&mut b, &ack, START_MS).unwrap();
    }
    assert_eq!(b.begin_session(Life(1), ReplicaId::from_u64(1), 0, 99).unwrap().asked.cursor, 0);
    meet(&mut a, &mut b, (3, 4));
    assert_eq!(title(&mut b, 1), None, "it was evicted");
    b.subscribe(Scope::everything()).unwrap();
    meet(&mut a, &mut b, (5, 6));
    assert_equal(&mut a, &mut b);
}

/// Two that have met others, and not each other; one holds a part, or both do.
#[test]
fn sums_pass_only_where_both_hold_everything() {
    for (nonces, scopes) in [(1, 2), (2, 1)].into_iter().flat_map(|nonces| {
        [(false, false), (false, true), (true, false), (true, true)].map(|scopes| (nonces, scopes))
    }) {
        let (mut a, mut b, mut other) = (running(1), running(2), running(3));
        (0..100).for_each(|id| set(&mut other, id, id, "title", "of the other"));
        for (one, scope) in [(&mut a, scopes.0), (&mut b, scopes.1)] {
            exchange_in_memory(one, &mut other, START_MS).unwrap();
            let own = u64::from(one.head().unwrap().replica.as_bytes()[15]);
            let id = 200 + 2 * own;
            set(one, id, 300, "title", "of its own");
            if scope {
                one.subscribe(even()).unwrap();
            }
        }
        let (mut at_a, mut at_b) = meet(&mut a, &mut b, nonces);
        let whole = scopes == (false, false);
        let reconciled = [&mut at_a, &mut at_b]
            .map(|session| events(session).iter().any(|event| matches!(event, SessionEvent::Reconciled(_))));
        assert_eq!(reconciled, [whole; 2], "{nonces:?} {scopes:?}");
        assert_eq!(at_a.status().way == Some(Way::Reconcile), whole);
        // Each has what the other wrote, as far as its scope reaches.
        for (one, other) in [(&mut a, 2), (&mut b, 1)] {
            let documents = one.list("tasks", None, 1_000).unwrap();
            let wrote = crdt_core::DocumentId::from_u64(200 + 2 * other);
            assert!(documents.iter().any(|(id, _)| *id == wrote), "{nonces:?} {scopes:?}");
        }
        if whole {
            assert_equal(&mut a, &mut b);
        }
    }
}

#[test]
fn sums_know_what_was_loaded_and_not_what_was_evicted() {
    let (mut a, mut b) = (running(1), running(2));
    (0..400).for_each(|id| set(&mut a, id, id, "title", &support::noise(id, 900)));
    set(&mut b, 1_000, 0, "title", "its own");
    b.sums(0, 10).unwrap();
    let (_, mut at_b) = meet(&mut a, &mut b, (1, 2));
    let parts =
        events(&mut at_b).iter().filter(|event| matches!(event, SessionEvent::Progress { .. })).count();
    assert!(parts > 2, "{parts}");
    assert_equal(&mut a, &mut b);
    let same = |a: &mut Memory, b: &mut Memory| {
        let of = |replica: &mut Memory| replica.sums(0, 20).unwrap().sketch.symbols().to_vec();
        assert_eq!(of(a), of(b));
    };
    same(&mut a, &mut b);
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (3, 4));
    assert_eq!(title(&mut b, 1), None);
    b.subscribe(Scope::everything()).unwrap();
    meet(&mut a, &mut b, (5, 6));
    assert_equal(&mut a, &mut b);
    same(&mut a, &mut b);
}

#[test]
fn what_a_first_sync_brings_from_the_future_is_parked_and_forgotten_with_its_document() {
    let (mut a, mut b) = (running(1), running(2));
    (0..200).for_each(|id| set(&mut a, id, id, "title", &support::noise(id, 900)));
    (0..10).for_each(|id| set(&mut a, id, DAY_MS, "title", "from tomorrow"));
    b.keep_time(ReceiveBound { ahead_ms: 60_000 });
    b.tick(START_MS).unwrap();
    let (_, mut at_b) = meet(&mut a, &mut b, (1, 2));
    assert!(events(&mut at_b).iter().any(|event| matches!(event, SessionEvent::Progress { .. })));
    assert_eq!(a.head().unwrap().root, b.head().unwrap().root);
    assert_eq!(b.parked_count().unwrap(), 10);
    assert_ne!(title(&mut b, 1).as_deref(), Some("from tomorrow"));
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (3, 4));
    assert_eq!(b.parked_count().unwrap(), 5, "those in documents that stay");
    b.tick(START_MS + 2 * DAY_MS).unwrap();
    assert_eq!(b.parked_count().unwrap(), 0);
    assert_eq!(title(&mut b, 2).as_deref(), Some("from tomorrow"));
    assert_eq!(title(&mut b, 1), None);
}

/// What it counted in a document is put back with what tells that the document is there; and some of that is withheld.
#[test]
fn what_is_put_back_of_an_evicted_document_is_its_state_and_not_what_it_shows() {
    let (mut a, mut b) = (running(1), running(2));
    b.keep_time(ReceiveBound { ahead_ms: 60_000 });
    b.tick(START_MS).unwrap();
    edit(&mut b, 1, 0, |document| document.increment("votes", 3).unwrap());
    set(&mut a, 1, DAY_MS, "title", "from tomorrow");
    meet(&mut a, &mut b, (1, 2));
    assert_eq!(b.parked_count().unwrap(), 1);
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (3, 4));
    b.subscribe(Scope::everything()).unwrap();
    meet(&mut a, &mut b, (5, 6));
    assert_equal(&mut a, &mut b);
    assert_eq!(b.parked_count().unwrap(), 1);
}

/// All that a replica holds, as one part of a first sync.
fn all_of(replica: &mut Memory) -> Part {
    let head = replica.head().unwrap();
    let documents = replica.difference(&VersionVector::new(), None, 100).unwrap().documents;
    let progress = Progress { sequence: head.sequence, scanned: Scanned::Everything };
    let of = documents.len() as u64;
    Part { peer: head.life, replica: head.replica, scope: 0, session: 0, progress, of, documents }
}

/// The first half of what a replica holds, as the part that a first sync was cut after.
fn half_of(replica: &mut Memory) -> Part {
    let mut part = all_of(replica);
    part.documents.truncate(part.documents.len() / 2);
    part.progress.scanned = Scanned::Through(part.documents.last().unwrap().0.clone());
    part
}

/// Half of it was loaded before, in a step that tells nobody: whoever is told of the other half must not be told that it is all.
#[test]
fn what_another_brings_during_a_first_sync_is_claimed_at_its_end() {
    let (mut a, mut b, mut c, mut d) = (running(1), running(2), running(3), running(4));
    (0..5).for_each(|id| set(&mut a, id, id, "title", "by a"));
    meet(&mut a, &mut c, (1, 2));
    (0..10).for_each(|id| set(&mut a, id, 10 + id, "title", "by a, and later"));
    b.load(half_of(&mut a), &Arrival::default()).unwrap();
    // It has less than was loaded, and it comes to its checkpoint.
    let (mut at_b, mut at_c) = meet(&mut b, &mut c, (3, 4));
    assert!(b.loading().unwrap().is_some());
    assert!(b.seen().unwrap().is_empty());
    let known = b.peer(Life(3)).unwrap().unwrap();
    assert_eq!(known.cursor, c.head().unwrap().sequence, "what it brought need not come again");
    // Nor is anything of it passed on, or claimed.
    meet(&mut b, &mut d, (5, 6));
    assert!(d.seen().unwrap().is_empty() && d.list("tasks", None, 10).unwrap().is_empty());

    // The first sync ends: what the other one brought is claimed as well, and what it still brings follows on.
    set(&mut c, 21, 20, "title", "by c");
    pump(&mut at_b, &mut b, &mut at_c, &mut c, START_MS).unwrap();
    assert_eq!(title(&mut b, 21).as_deref(), Some("by c"), "it shows all the same");
    assert!(b.seen().unwrap().is_empty());
    let (_, mut at_b_of_a) = meet(&mut a, &mut b, (7, 8));
    assert!(b.loading().unwrap().is_none());
    assert_equal(&mut a, &mut b);
    assert!(!events(&mut at_b_of_a).iter().any(|event| matches!(event, SessionEvent::RootsDiffer { .. })));
    assert_eq!(b.seen_of(ReplicaId::from_u64(1)).unwrap(), 15);
    assert_eq!(b.seen_of(ReplicaId::from_u64(3)).unwrap(), 1);
    set(&mut c, 22, 20, "title", "by c");
    pump(&mut at_b, &mut b, &mut at_c, &mut c, START_MS).unwrap();
    assert_eq!(title(&mut b, 22).as_deref(), Some("by c"));
    assert_equal(&mut b, &mut c);
    meet(&mut b, &mut d, (9, 10));
    for (other, nonces) in [(&mut c, (11, 12)), (&mut d, (13, 14))] {
        meet(&mut b, other, nonces);
        assert_equal(&mut b, other);
        let claims =
            |replica: &mut Memory| [1, 3].map(|id| replica.seen_of(ReplicaId::from_u64(id)).unwrap());
        assert_eq!(claims(other)[0], 15);
        assert!(claims(other)[1] == 2, "{:?}", claims(other));
    }
}

/// Whoever it was cut from may be gone for good.
#[test]
fn a_first_sync_ends_with_any_peer_that_has_all_that_was_loaded() {
    let (mut a, mut b, mut c) = (running(1), running(2), running(3));
    (0..10).for_each(|id| set(&mut a, id, id, "title", "by a"));
    meet(&mut a, &mut c, (1, 2));
    b.load(half_of(&mut a), &Arrival::default()).unwrap();
    meet(&mut b, &mut c, (3, 4));
    assert!(b.loading().unwrap().is_none());
    assert_equal(&mut b, &mut c);
    assert_eq!(b.seen_of(ReplicaId::from_u64(1)).unwrap(), 10);
}

/// No transaction of the one that was cut shows in half by what a third one is told, whoever comes between.
#[test]
fn a_peer_that_has_less_does_not_end_a_first_sync() {
    let (mut a, mut b, mut c) = (running(1), running(2), running(3));
    set(&mut c, 30, 0, "title", "by c");
    (0..10).for_each(|id| set(&mut a, id, id, "title", "by a"));
    b.load(half_of(&mut a), &Arrival::default()).unwrap();
    for nonce in [1, 3] {
        meet(&mut b, &mut c, (nonce, nonce + 1));
        assert!(b.loading().unwrap().is_some());
        assert_eq!(title(&mut c, 1), None);
    }
    // What it writes meanwhile goes, as a part of its own.
    set(&mut b, 31, 0, "title", "by b");
    meet(&mut b, &mut c, (5, 6));
    assert_eq!(title(&mut c, 31).as_deref(), Some("by b"));
    // Once the other has it all, that is enough.
    meet(&mut a, &mut c, (7, 8));
    meet(&mut b, &mut c, (9, 10));
    assert!(b.loading().unwrap().is_none());
    assert_equal(&mut b, &mut c);
}

/// What peers claimed was said of the scope of then.
#[test]
fn a_scope_that_changes_during_a_first_sync_begins_it_anew() {
    let (mut a, mut b, mut c) = (running(1), running(2), running(3));
    (0..10).for_each(|id| set(&mut a, id, id, "title", "by a"));
    (0..10).for_each(|id| set(&mut c, 100 + id, id, "title", "by c"));
    b.subscribe(even()).unwrap();
    let mut part = half_of(&mut a);
    part.scope = b.scope_number(part.peer).unwrap();
    b.load(part, &Arrival::default()).unwrap();
    meet(&mut b, &mut c, (1, 2));
    assert!(b.loading().unwrap().is_some());
    b.subscribe(Scope::everything()).unwrap();
    assert_eq!(b.peer(Life(3)).unwrap().unwrap().cursor, 0);
    meet(&mut a, &mut b, (3, 4));
    assert!(b.loading().unwrap().is_none(), "the other one has not begun anew");
    meet(&mut b, &mut c, (5, 6));
    for one in [&mut a, &mut c] {
        meet(&mut b, one, (7, 8));
        assert_equal(&mut b, one);
    }
    assert_eq!([1, 3].map(|id| b.seen_of(ReplicaId::from_u64(id)).unwrap()), [10, 10]);
}

/// What the first one brought is not in the change order, and while the second one is under way nothing else is served.
#[test]
fn a_second_first_sync_after_one_that_was_given_up_does_not_keep_a_session_busy_for_ever() {
    let (mut a, mut b, mut c) = (running(1), running(2), running(3));
    (0..10).for_each(|id| set(&mut a, id, id, "title", "by a"));
    b.load(all_of(&mut a), &Arrival::default()).unwrap();
    assert!(b.stop_loading().unwrap());
    set(&mut a, 11, 11, "title", "and one more");
    b.load(all_of(&mut a), &Arrival::default()).unwrap();
    set(&mut b, 20, 20, "title", "by b");
    meet(&mut b, &mut c, (1, 2));
    assert_eq!(title(&mut c, 20).as_deref(), Some("by b"));
    assert_eq!(title(&mut c, 1), None);
    assert!(b.stop_loading().unwrap());
    meet(&mut b, &mut c, (3, 4));
    assert_equal(&mut b, &mut c);
}

/// It wants more than its cursor stands for, and who it asks has no look at every document to offer.
#[test]
fn a_wider_scope_is_filled_by_one_that_loads_too() {
    let (mut a, mut b, mut c) = (running(1), running(2), running(3));
    (0..10).for_each(|id| set(&mut c, id, id, "title", "by c"));
    let part = all_of(&mut c);
    a.load(part, &Arrival::default()).unwrap();
    set(&mut a, 21, 0, "title", "by a");
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (1, 2));
    b.subscribe(Scope::everything()).unwrap();
    meet(&mut a, &mut b, (3, 4));
    assert!(a.loading().unwrap().is_some());
    assert_eq!(title(&mut b, 21).as_deref(), Some("by a"));
    meet(&mut a, &mut c, (5, 6));
    meet(&mut a, &mut b, (7, 8));
    assert_equal(&mut a, &mut b);
}

/// A server that holds a part acknowledges what it was never told of, and decides about it once it holds more.
#[test]
fn what_a_partial_server_acknowledged_can_still_be_taken_back() {
    let (mut server, mut follower) = (running(1), running(2));
    let rules = Rules::all(Right::ReadWrite).collection("tasks", Right::Read);
    let guard = Arc::new(move |_: &Applicant<'_>| Ok::<_, Refusal>(rules.clone()));
    let meet = |server: &mut Memory, follower: &mut Memory, nonce: u64| {
        let mut at_server = Session::new(Config::new(nonce), START_MS).guarded_by(guard.clone());
        let mut at_follower = Session::new(Config::new(nonce + 1), START_MS).obeying();
        pump(&mut at_server, server, &mut at_follower, follower, START_MS).unwrap();
        assert!(at_follower.is_settled(), "{:?}", at_follower.status());
    };
    follower.follow().unwrap();
    server.subscribe(Scope::nothing().collection("letters")).unwrap();
    set(&mut follower, 1, 1, "title", "first");
    set(&mut follower, 1, 2, "title", "second");
    meet(&mut server, &mut follower, 1);
    server.subscribe(Scope::everything()).unwrap();
    meet(&mut server, &mut follower, 3);
    assert_eq!(title(&mut follower, 1), None);
    let rejected: Vec<u64> = follower.rejected().unwrap().iter().map(|one| one.dot.counter).collect();
    assert_eq!(rejected, [1, 2], "both are kept");
}

/// What it has seen was seen of its part, and whoever imports the file may want all.
#[test]
fn a_bundle_of_a_part_claims_nothing() {
    let (mut a, mut b, mut c) = (running(1), running(2), running(3));
    (0..10).for_each(|id| set(&mut a, id, id, "title", "by a"));
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (1, 2));
    set(&mut b, 2, 20, "title", "by b");
    assert_eq!(b.seen_of(ReplicaId::from_u64(1)).unwrap(), 10);
    let mut file = Vec::new();
    sync_protocol::bundle::export(&mut b, &sync_protocol::bundle::For::Anyone, &mut file, START_MS).unwrap();
    sync_protocol::bundle::import(&mut c, &file[..]).unwrap();
    assert_eq!(c.list("tasks", None, 100).unwrap().len(), 5);
    assert_eq!([1, 2].map(|id| c.seen_of(ReplicaId::from_u64(id)).unwrap()), [0, 0]);
    meet(&mut a, &mut c, (3, 4));
    assert_eq!(c.list("tasks", None, 100).unwrap().len(), 10);
}

/// What the sender loaded is not in its change order, so the order alone does not fill a wider scope.
#[test]
fn a_wider_scope_is_filled_by_one_that_has_loaded() {
    let (mut a, mut b, mut c) = (running(1), running(2), running(3));
    (0..10).for_each(|id| set(&mut c, id, id, "title", "by c"));
    meet(&mut c, &mut a, (1, 2));
    set(&mut a, 11, 11, "title", "by a");
    b.subscribe(even()).unwrap();
    meet(&mut a, &mut b, (3, 4));
    b.subscribe(Scope::everything()).unwrap();
    meet(&mut a, &mut b, (5, 6));
    assert_equal(&mut a, &mut b);
}

/// It would be gone, or with nobody who can be asked for all of it.
#[test]
fn nothing_is_let_go_of_for_a_peer_that_does_not_keep_all_of_it() {
    let no_secrets = |_: &Applicant<'_>| Ok(Rules::all(Right::ReadWrite).collection("secret", Right::None));
    let read_only = |_: &Applicant<'_>| Ok(Rules::all(Right::Read));
    for (case, left) in [("keeps", 5), ("forgets", 10), ("reads a part", 10), ("takes a part", 10)] {
        let (mut a, mut b) = (running(1), running(2));
        (0..10).for_each(|id| set(&mut a, id, id, "title", "by a"));
        meet(&mut a, &mut b, (1, 2));
        b.subscribe(even()).unwrap();
        let config = Config { durable: case != "forgets", ..Config::new(3) };
        let (mut at_a, mut at_b) = (Session::new(config, START_MS), Session::new(Config::new(4), START_MS));
        match case {
            "reads a part" => at_b = at_b.guarded_by(Arc::new(no_secrets)),
            "takes a part" => at_a = at_a.guarded_by(Arc::new(read_only)),
            _ => {}
        }
        pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
        // Whatever there is to acknowledge has been, also of what is written now.
        set(&mut b, 2, 50, "other", "by b");
        pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
        assert_eq!(b.list("tasks", None, 100).unwrap().len(), left, "{case}");
        let told = events(&mut at_b).into_iter().filter_map(|event| match event {
            SessionEvent::Evicted { documents } => Some(documents),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), if left == 5 { vec![5] } else { vec![] }, "{case}");
    }
}
