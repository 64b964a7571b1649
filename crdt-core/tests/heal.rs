//! Healing a forked history: what is claimed after it, what peers are asked and told, and that everything means the same.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use crdt_core::{
    Acknowledged, Address, Checkpoint, Collection, Document, DocumentId, DocumentMut, DocumentView, Dot,
    Durability, FieldType, Head, Life, Meeting, Memory, MemoryStore, Namespace, Position, Refusal, Renewal,
    Replica, ReplicaId, Scope, Spare, Trail, TransactionError, Value, VersionVector, Withdrawal,
};

const OLD: ReplicaId = ReplicaId::from_u64(1);
const NEW: ReplicaId = ReplicaId::from_u64(2);
const SERVER: (Life, ReplicaId) = (Life(9), ReplicaId::from_u64(9));

fn replica() -> Replica<MemoryStore> {
    let mut replica = Replica::new(MemoryStore::new(Head::new(Namespace::from_secret("test"), OLD, Life(1))));
    replica.declare(Collection::new("tasks").field("votes", FieldType::Counter));
    replica.begin_run(7);
    replica
}

fn edit(replica: &mut Replica<MemoryStore>, edit: impl FnOnce(&mut DocumentMut<'_>)) -> Dot {
    let done = replica.commit(1_000, Durability::Visible, |tx| {
        edit(&mut tx.document("tasks", DocumentId::from_u64(1))?);
        Ok::<_, TransactionError>(())
    });
    done.unwrap().dot.unwrap()
}

fn title(text: &str) -> impl FnOnce(&mut DocumentMut<'_>) + '_ {
    move |document| document.set("title", text).unwrap()
}

fn shown(replica: &mut Replica<MemoryStore>) -> DocumentView {
    replica.read("tasks", DocumentId::from_u64(1)).unwrap()
}

/// What is written from here on may exist elsewhere with other content.
fn fork(replica: &mut Replica<MemoryStore>) {
    replica.begin_run(8);
}

/// A peer remembers another run than the second one.
fn heal(replica: &mut Replica<MemoryStore>) -> Renewal {
    let memory = Memory { trail: Trail { number: 2, runs: vec![19, 7] }, ..Memory::default() };
    let fork = replica.fork(&memory, 0).unwrap().expect("another run");
    assert!(fork.is_exact());
    replica.heal(fork, Spare { replica: NEW, life: Life(2) }, 1_000).unwrap()
}

fn state(replica: &mut Replica<MemoryStore>) -> Vec<(Address, Document)> {
    replica.difference(&VersionVector::new(), None, 10).unwrap().documents
}

/// What one shows who had what was common, and gets the rest.
fn beside(common: Vec<(Address, Document)>, healed: &mut Replica<MemoryStore>) -> DocumentView {
    let mut both = Document::new();
    for (_, document) in common.into_iter().chain(state(healed)) {
        both = both.merged(document);
    }
    healed.view(&"tasks".into(), both)
}

#[test]
fn what_was_common_is_claimed_under_the_old_id_in_a_step_of_its_own() {
    for written_since in [0, 2] {
        let mut replica = replica();
        for n in 0..3 {
            edit(&mut replica, title(&n.to_string()));
        }
        fork(&mut replica);
        for n in 0..written_since {
            edit(&mut replica, title(&format!("since {n}")));
        }
        // Also without a transaction a run is written down, when a session begins.
        replica.introduction().unwrap();
        let before = replica.head().unwrap();
        heal(&mut replica);
        let head = replica.head().unwrap();
        assert_eq!((head.replica, head.life, head.counter, head.offered), (NEW, Life(2), written_since, 0));
        assert_eq!(head.sequence, before.sequence + 1, "after {written_since} transactions");
        let since = Position { sequence: before.sequence, documents: 0 };
        let told = replica.window_for_peer(since, 10, before.sequence, |_| false).unwrap();
        assert_eq!(told.context, [Dot::new(OLD, 3)], "after {written_since} transactions");
        assert_eq!(told.documents.len() as u64, written_since.min(1));
    }
}

#[test]
fn peers_are_asked_for_everything_again() {
    let mut replica = replica();
    edit(&mut replica, title("common"));
    replica.acknowledged(SERVER.0, SERVER.1, 1).unwrap();
    let documents = Vec::new();
    let (peer, of) = SERVER;
    let came = Checkpoint { peer, replica: of, cursor: 5, context: vec![], documents, scope: 0, session: 0 };
    replica.apply(came).unwrap();
    fork(&mut replica);
    edit(&mut replica, title("since"));
    let [known] = replica.peers().unwrap()[..] else { panic!("one peer") };
    assert_eq!((known.acked, known.cursor), (1, 5));
    heal(&mut replica);
    let [known] = replica.peers().unwrap()[..] else { panic!("one peer") };
    assert_eq!((known.acked, known.cursor), (0, 0));
}

/// The removal covered what the old id had added. Under the new id it has to cover that still, and nothing that is added later.
#[test]
fn what_was_removed_since_the_fork_stays_removed_and_can_be_added_again() {
    let apple = || Value::from("apple");
    for added_since in [false, true] {
        let mut replica = replica();
        edit(&mut replica, |document| document.add_to("tags", apple()).unwrap());
        let common = state(&mut replica);
        fork(&mut replica);
        if added_since {
            edit(&mut replica, |document| document.add_to("tags", apple()).unwrap());
        }
        edit(&mut replica, |document| document.remove_from("tags", apple()).unwrap());
        heal(&mut replica);
        assert!(!beside(common.clone(), &mut replica).fields().contains("tags", &apple()));
        for _ in 0..2 {
            edit(&mut replica, |document| document.add_to("tags", apple()).unwrap());
            assert!(beside(common.clone(), &mut replica).fields().contains("tags", &apple()));
            assert!(shown(&mut replica).fields().contains("tags", &apple()));
            edit(&mut replica, |document| document.remove_from("tags", apple()).unwrap());
            assert!(!shown(&mut replica).fields().contains("tags", &apple()));
        }
    }
}

fn others_votes() -> Checkpoint {
    let id = ReplicaId::from_u64(3);
    let mut other = Replica::new(MemoryStore::new(Head::new(Namespace::from_secret("test"), id, Life(3))));
    for _ in 0..20 {
        edit(&mut other, |document| document.increment("votes", 100).unwrap());
    }
    let documents = state(&mut other);
    Checkpoint { peer: Life(3), replica: id, cursor: 20, context: vec![], documents, scope: 0, session: 0 }
}

#[test]
fn what_was_counted_before_and_after_a_reset_is_the_same() {
    for (common, since) in [(&[5, 7][..], &[3][..]), (&[5], &[]), (&[], &[4, 2])] {
        let mut replica = replica();
        edit(&mut replica, title("counts"));
        // Another one's, with more transactions than there are here.
        replica.apply(others_votes()).unwrap();
        let count = |replica: &mut Replica<MemoryStore>, steps: &[i64]| {
            for step in steps {
                edit(replica, |document| document.increment("votes", *step).unwrap());
            }
        };
        count(&mut replica, common);
        let state_of_common = state(&mut replica);
        fork(&mut replica);
        count(&mut replica, since);
        edit(&mut replica, |document| document.reset("votes").unwrap());
        edit(&mut replica, |document| document.increment("votes", 11).unwrap());
        heal(&mut replica);
        assert_eq!(shown(&mut replica).counter("votes"), 11, "{common:?} {since:?}");
        let both = beside(state_of_common, &mut replica);
        assert_eq!(both.counter("votes"), 11, "{common:?} {since:?}");
    }
}

/// What a change replaced is kept under its dot, and that is another one now.
#[test]
fn what_was_issued_again_can_still_be_taken_back() {
    let mut replica = replica();
    replica.follow().unwrap();
    for text in ["first", "second", "common"] {
        edit(&mut replica, title(text));
    }
    fork(&mut replica);
    edit(&mut replica, title("since"));
    edit(&mut replica, title("refused"));
    heal(&mut replica);
    let address = Address::new("tasks", DocumentId::from_u64(1));
    let refused = BTreeMap::from([(Dot::new(NEW, 2), Refusal::new(403, "no"))]);
    let documents = vec![(address, Document::new())];
    let (peer, server) = SERVER;
    replica.withdraw(Withdrawal { peer, session: 0, replica: server, refused, documents }).unwrap();
    assert_eq!(shown(&mut replica).get("title").unwrap().unwrap().as_str(), Some("since"));
}

#[test]
fn a_new_identity_has_seen_what_was_written_under_the_old_one() {
    for written in [0, 3] {
        let mut replica = replica();
        for n in 0..written {
            edit(&mut replica, title(&n.to_string()));
        }
        replica.acknowledged(SERVER.0, SERVER.1, written).unwrap();
        replica.renew_identity(NEW, Life(2)).unwrap();
        let (head, taken) = (replica.head().unwrap(), u64::from(written > 0));
        assert_eq!((head.replica, head.counter, head.sequence), (NEW, 0, written + taken));
        assert_eq!(replica.seen_of(OLD).unwrap(), written);
        let told = replica.window_for_peer(Position::default(), 10, written, |_| false).unwrap();
        let claimed = Some(Dot::new(OLD, written)).filter(|_| written > 0);
        assert_eq!(
            told.context,
            claimed.into_iter().collect::<Vec<_>>(),
            "to whoever had all that was written"
        );
        assert!(replica.peers().unwrap().iter().all(|peer| peer.acked == 0));
    }
}

/// What is known to be kept elsewhere is common, unless the peer that has gone another way never heard of as much.
#[test]
fn what_a_durable_peer_has_is_not_issued_again() {
    for (claimed, reissued) in [(0, 2), (3, 6), (4, 2), (5, 2)] {
        let mut replica = replica();
        for n in 0..6 {
            edit(&mut replica, title(&n.to_string()));
        }
        let (peer, of) = SERVER;
        let meeting = Meeting { replica: of, durable: true, offset_ms: 0, sequence: 0, now_ms: 1_000 };
        replica.met(peer, 1, meeting).unwrap();
        let acknowledged = Acknowledged { sequence: 4, own: 4, ..Acknowledged::default() };
        assert!(replica.acknowledged_at(peer, of, acknowledged).unwrap());
        let memory = Memory { trail: Trail { number: 1, runs: vec![7] }, claimed, cursor: 0 };
        let fork = replica.fork(&memory, 7).unwrap().expect("more than there is");
        replica.heal(fork, Spare { replica: NEW, life: Life(2) }, 1_000).unwrap();
        assert_eq!(replica.head().unwrap().counter, reissued, "claimed {claimed}");
    }
}

#[test]
fn what_may_have_been_let_go_of_is_not_claimed_under_the_old_id() {
    let mut replica = replica();
    edit(&mut replica, title("common"));
    replica.subscribe(Scope::nothing()).unwrap();
    replica.subscribe(Scope::everything()).unwrap();
    fork(&mut replica);
    edit(&mut replica, title("since"));
    heal(&mut replica);
    assert_eq!(replica.seen_of(OLD).unwrap(), 0);
}
