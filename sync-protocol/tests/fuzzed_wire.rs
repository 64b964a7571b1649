//! The messages that the fuzzers make up, without a session of this crate at their end: a well-behaved peer of their own
//! making gets through the handshake, and what it sends is applied. If it does not, the layout of a message has changed,
//! and `fuzz/src/wire.rs` has to follow.
#![allow(dead_code, reason = "the targets use all of it")]

#[path = "../../fuzz/src/audit.rs"]
mod audit;
#[path = "../../fuzz/src/bundle.rs"]
mod bundle;
#[path = "../../fuzz/src/decoders.rs"]
mod decoders;
#[path = "../../fuzz/src/forged.rs"]
mod forged;
#[path = "../../fuzz/src/hostile.rs"]
mod hostile;
#[path = "../../fuzz/src/input.rs"]
mod input;
#[path = "../../fuzz/src/partial.rs"]
mod partial;
#[path = "../../fuzz/src/wire.rs"]
mod wire;

use audit::{Memory, audit, documents};
use bundle::namespace;
use crdt_core::codec::Dictionary;
use crdt_core::{
    DocumentId, Dot, Durability, Fingerprint, Head, Life, Loading, MemoryStore, Progress, ReceiveBound,
    Replica, ReplicaId, Scanned, Scope, Spare, Trail, TransactionError,
};
use decoders::encode;
use hostile::START_MS;
use input::Input;
use sync_protocol::drive::exchange_in_memory;
use sync_protocol::{Config, Session, SessionEvent};
use wire::{Said, Seal, by, kind};

const OUR_NONCE: u64 = 77;

fn replica(number: u64) -> Memory {
    let head = Head::new(namespace(), ReplicaId::from_u64(number), Life(number));
    let mut replica = Replica::new(MemoryStore::new(head));
    replica.begin_run(number);
    replica
}

fn write(replica: &mut Memory, id: u64, now_ms: u64) {
    let written = replica.commit(now_ms, Durability::Visible, |tx| {
        tx.document("tasks", DocumentId::from_u64(id))?
            .set("x", "a text that repeats itself, repeats itself")?;
        Ok::<_, TransactionError>(())
    });
    written.unwrap();
}

/// A session of the victim with a peer that is nothing but messages.
struct Talk {
    victim: Memory,
    at_victim: Session,
    seal: Seal,
    /// Bodies that the victim has said since they were last looked at.
    heard: Vec<Vec<u8>>,
}

impl Talk {
    /// Greets, with what `peer` holds.
    fn with(mut victim: Memory, peer: &mut Memory, victims_nonce: u64) -> Self {
        let spare = Spare { replica: ReplicaId::from_u64(1001), life: Life(1001) };
        let mut at_victim = Session::new(Config::new(victims_nonce).spare(spare), START_MS);
        let theirs = at_victim.transmit(&mut victim, START_MS).unwrap().unwrap();
        let ours = wire::hello(&namespace(), &said(peer), OUR_NONCE, START_MS, true);
        let ours = Seal::of_greeting(&namespace(), 0).close(&ours);
        at_victim.receive(&mut victim, &ours, START_MS).unwrap();
        let proof = wire::proof(&namespace(), &ours, &theirs, 0);
        let proof = Seal::of_greeting(&namespace(), 1).close(&proof);
        at_victim.receive(&mut victim, &proof, START_MS).unwrap();
        let seal = Seal::of_session(&namespace(), OUR_NONCE, wire::nonce(&theirs));
        let mut talk = Self { victim, at_victim, seal, heard: Vec::new() };
        talk.hear();
        talk
    }

    fn say(&mut self, body: &[u8]) {
        let message = self.seal.close(body);
        self.at_victim.receive(&mut self.victim, &message, START_MS).unwrap();
        self.hear();
    }

    /// Something that has no place here: an error, and nothing has changed.
    fn say_in_vain(&mut self, body: &[u8]) {
        let before = self.victim.canonical_bytes().unwrap();
        let message = self.seal.close(body);
        let taken = self.at_victim.receive(&mut self.victim, &message, START_MS);
        assert!(taken.is_err(), "{body:x?} was taken");
        assert_eq!(self.victim.canonical_bytes().unwrap(), before, "{body:x?}");
    }

    fn hear(&mut self) {
        while let Some(message) = self.at_victim.transmit(&mut self.victim, START_MS).unwrap() {
            self.heard.push(wire::unpacked(wire::body(&message)));
        }
    }

    /// What kinds of messages the victim has said since.
    fn kinds(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard).iter().map(|body| body[0]).collect()
    }
}

fn said(replica: &mut Memory) -> Said {
    let (head, trail) = replica.introduction().unwrap();
    Said { replica: head.replica, life: head.life, root: head.root, sequence: head.sequence, trail }
}

/// All that a replica holds, as the last message of a run.
fn checkpoint(peer: &mut Memory) -> Vec<u8> {
    let head = peer.head().unwrap();
    let batch = encode(&mut Dictionary::new(), &documents(peer));
    wire::checkpoint(head.sequence, head.root, &[Dot::new(head.replica, head.counter)], &batch)
}

fn want(by: u8) -> Vec<u8> {
    wire::want(0, 0, &crdt_core::Memory::default(), by)
}

#[test]
fn a_run_is_applied_and_one_is_got() {
    for packed in [false, true] {
        let (mut victim, mut peer) = (replica(1), replica(2));
        write(&mut peer, 2, START_MS);
        write(&mut victim, 1, START_MS);
        let mut talk = Talk::with(victim, &mut peer, 1);
        assert_eq!(talk.kinds(), [kind::PROOF, kind::LOAD, kind::WANT]);
        talk.say(&want(by::CURSOR));
        assert_eq!(talk.kinds(), [kind::CHECKPOINT]);
        let run = checkpoint(&mut peer);
        talk.say(&if packed { wire::pack(&run) } else { run });
        assert_eq!(talk.kinds(), [kind::ACK]);
        assert_eq!(talk.victim.seen_of(ReplicaId::from_u64(2)).unwrap(), 1);
        assert!(talk.victim.read("tasks", DocumentId::from_u64(2)).unwrap().exists());
        write(&mut peer, 3, START_MS);
        let new =
            documents(&mut peer).into_iter().filter(|(address, _)| address.id == DocumentId::from_u64(3));
        talk.say(&wire::push(1, 1, &[], &encode(&mut Dictionary::new(), &new.collect())));
        assert_eq!(talk.kinds(), [kind::ACK]);
        assert!(talk.victim.read("tasks", DocumentId::from_u64(3)).unwrap().exists());
        let all = talk.victim.head().unwrap().sequence;
        talk.say(&wire::ack(all, 0, None, 0));
        audit(&mut talk.victim);
    }
}

/// With no choices left, forged sums are right ones.
#[test]
fn both_sides_of_a_reconciliation_are_understood() {
    let nothing = || Input::new(&[]);
    // It has met somebody, or it would ask for everything.
    let replica = |number| {
        let (mut replica, mut other) = (replica(number), replica(3));
        write(&mut other, 3, START_MS);
        exchange_in_memory(&mut replica, &mut other, START_MS).unwrap();
        replica
    };
    // The victim asks, and we find the difference.
    let (mut victim, mut peer) = (replica(1), replica(2));
    write(&mut peer, 2, START_MS);
    write(&mut victim, 1, START_MS);
    let mut talk = Talk::with(victim, &mut peer, 1);
    talk.say(&want(by::RECONCILING));
    assert_eq!(talk.kinds(), [kind::PROOF, kind::WANT, kind::SKETCH]);
    talk.say(&wire::more(1, 5, 40));
    assert_eq!(talk.kinds(), [kind::SKETCH]);
    // The first document of all is the victim's; we hold nothing there.
    talk.say(&forged::differ(&mut Input::new(&[0, 0, 1])));
    assert_eq!(talk.kinds(), [kind::HELD, kind::CHECKPOINT]);

    // We ask, and the victim finds it.
    let (mut victim, mut peer) = (replica(1), replica(2));
    write(&mut peer, 2, START_MS);
    write(&mut victim, 1, START_MS);
    let mut talk = Talk::with(victim, &mut peer, 100);
    assert_eq!(talk.kinds(), [kind::PROOF, kind::WANT]);
    talk.say(&want(by::RECONCILING));
    talk.say(&forged::sketch(&mut nothing(), &mut peer));
    assert_eq!(talk.kinds(), [kind::DIFFER]);
    // Two slots, in which we hold nothing, they hear.
    talk.say(&forged::held(&mut Input::new(&[0, 0, 2])));
    assert_eq!(talk.kinds(), [kind::CHECKPOINT]);

    // Suspicion is answered with suspicion.
    let mut victim = replica(1);
    write(&mut victim, 1, START_MS);
    let mut talk = Talk::with(victim, &mut self::replica(2), 1);
    talk.kinds();
    talk.say(&want(by::SUSPICION));
    assert_eq!(talk.kinds(), [kind::WANT, kind::SKETCH]);
}

#[test]
fn a_first_sync_in_parts_is_taken_and_goes_on_where_it_was_cut() {
    let (mut victim, mut peer) = (replica(1), replica(2));
    write(&mut peer, 2, START_MS);
    write(&mut peer, 3, START_MS);
    write(&mut victim, 1, START_MS);
    let all = documents(&mut peer);
    let progress = Progress { sequence: 2, scanned: Scanned::Through(all[0].0.clone()) };
    let of_first = encode(&mut Dictionary::new(), &all[..1].to_vec());

    let mut talk = Talk::with(victim, &mut peer, 1);
    assert_eq!(talk.heard[1], partial::load(None));
    talk.say(&partial::part(2, &progress, &of_first));
    assert_eq!(talk.victim.loading().unwrap(), Some(Loading { documents: 1, of: 2 }));
    assert!(talk.victim.read("tasks", DocumentId::from_u64(2)).unwrap().exists());

    let mut talk = Talk::with(talk.victim, &mut peer, 1);
    let nothing_held = partial::scope_told(&[], &[], 1, None);
    assert_eq!(talk.heard[1..3], [nothing_held, partial::load(Some(&progress))]);
    talk.say(&partial::part(2, &Progress { sequence: 2, scanned: Scanned::Everything }, &of_first));
    talk.say(&checkpoint(&mut peer));
    assert_eq!(talk.victim.loading().unwrap(), None);
    assert!(talk.victim.read("tasks", DocumentId::from_u64(3)).unwrap().exists());
}

#[test]
fn a_first_sync_is_given_in_parts() {
    let mut victim = replica(1);
    let written = victim.commit(START_MS, Durability::Visible, |tx| {
        for id in (1..=3).map(DocumentId::from_u64) {
            tx.document("tasks", id)?.set("x", "x".repeat(30_000))?;
        }
        Ok::<_, TransactionError>(())
    });
    written.unwrap();
    let all = documents(&mut victim);
    let mut talk = Talk::with(victim, &mut replica(2), 1);
    talk.kinds();
    talk.say(&partial::load(None));
    talk.say(&want(by::CURSOR));
    // The first two documents, of three, at the first position of the change order; the third goes with the checkpoint.
    let through = |at: usize| Progress { sequence: 1, scanned: Scanned::Through(all[at].0.clone()) };
    let first = partial::part(3, &through(1), &encode(&mut Dictionary::new(), &all[..2].to_vec()));
    assert_eq!(talk.heard[0], first);
    assert_eq!(talk.kinds(), [kind::PART, kind::CHECKPOINT]);

    // And to one that has the first already.
    let mut talk = Talk::with(talk.victim, &mut replica(2), 1);
    talk.kinds();
    talk.say(&partial::load(Some(&through(0))));
    talk.say(&want(by::CURSOR));
    assert_eq!(talk.kinds(), [kind::CHECKPOINT]);
}

#[test]
fn parts_are_told_and_heeded() {
    let (mut victim, mut peer) = (replica(1), replica(2));
    (1..=2).for_each(|id| write(&mut victim, id, START_MS));
    write(&mut peer, 5, START_MS);
    let scope = Scope::nothing().documents("tasks", [2, 5].map(DocumentId::from_u64)).collection("wages");
    victim.subscribe(scope.clone()).unwrap();
    let mut talk = Talk::with(victim, &mut peer, 1);
    assert_eq!(talk.heard[1], partial::scope_told(&scope.encode(), &scope.encode(), 0, None));
    // Somebody who wants the first document only.
    let first = Scope::nothing().documents("tasks", [DocumentId::from_u64(1)]).encode();
    talk.say(&partial::scope_told(&first, &first, 0, None));
    talk.heard.clear();
    talk.say(&want(by::CURSOR));
    let of_first = documents(&mut talk.victim).swap_remove(0);
    let batch = encode(&mut Dictionary::new(), &vec![of_first]);
    assert!(talk.heard[0].ends_with(&batch), "{:?}", talk.heard);
    assert_eq!(talk.kinds(), [kind::CHECKPOINT]);
    // It has all of what is outside of ours, so that goes.
    talk.say(&checkpoint(&mut peer));
    let all = talk.victim.head().unwrap().sequence;
    talk.say(&wire::ack(all, 0, None, 0));
    assert!(!talk.victim.read("tasks", DocumentId::from_u64(1)).unwrap().exists());
    audit(&mut talk.victim);
}

#[test]
fn a_memory_that_proves_a_fork_is_believed_and_a_restart_answered() {
    let mut victim = replica(1);
    write(&mut victim, 1, START_MS);
    let mut talk = Talk::with(victim, &mut replica(2), 1);
    talk.kinds();
    let trail = Trail { number: 1, runs: vec![9] };
    let memory = crdt_core::Memory { trail, claimed: 1, cursor: 1 };
    talk.say(&wire::want(0, 0, &memory, by::CURSOR));
    assert_eq!(talk.victim.head().unwrap().replica, ReplicaId::from_u64(1001));
    assert_eq!(talk.kinds(), [kind::RESTART]);
    // Somewhere else, somebody answers.
    talk.say(&wire::restart(&said(&mut replica(2))));
    assert_eq!(talk.kinds(), [kind::WANT]);
    // And another one goes on under another id itself.
    talk.say(&wire::restart(&Said { root: Fingerprint(5), ..said(&mut replica(3)) }));
    assert_eq!(talk.kinds(), [kind::RESTART, kind::WANT]);
    // An answer that answers nothing is not answered; or two would do nothing else any more.
    talk.say(&wire::restart(&said(&mut replica(3))));
    assert_eq!(talk.kinds(), []);
    audit(&mut talk.victim);
}

#[test]
fn what_is_from_the_future_is_parked() {
    let (mut victim, mut peer) = (replica(1), replica(2));
    victim.keep_time(ReceiveBound::default());
    write(&mut peer, 2, START_MS + 3_600_000);
    let mut talk = Talk::with(victim, &mut peer, 1);
    talk.say(&checkpoint(&mut peer));
    assert_eq!(talk.victim.parked_count().unwrap(), 1);
    assert!(!talk.victim.read("tasks", DocumentId::from_u64(2)).unwrap().exists());
    assert_eq!(talk.victim.head().unwrap().root, peer.head().unwrap().root);
}

/// Whoever knows the key can say anything at any time. Nobody falls over it, or believes it.
#[test]
fn what_has_no_place_in_a_session_is_refused() {
    let mut peer = replica(2);
    let hello = wire::hello(&namespace(), &said(&mut peer), OUR_NONCE, START_MS, true);
    let proof = wire::proof(&namespace(), &hello, &hello, 0);
    let token = [&[kind::TOKEN][..], b"let me in"].concat();
    for body in [
        &hello[..],
        &proof,
        &token,
        &wire::welcome(true, 0, 0),
        &wire::refused(1, &[Dot::new(ReplicaId::from_u64(1), 1)], &[]),
        &wire::numbered(kind::HEARD, 1),
        &wire::ack(9, 0, None, 0),
        &[99],
    ] {
        let mut victim = replica(1);
        write(&mut victim, 1, START_MS);
        let mut talk = Talk::with(victim, &mut peer, 1);
        talk.say_in_vain(body);
        let mut talk = Talk::with(talk.victim, &mut peer, 1);
        talk.say(&want(by::CURSOR));
        talk.say_in_vain(body);
        if body[0] != kind::ACK {
            talk.say_in_vain(&want(by::CURSOR));
        }
    }
}

#[test]
fn an_acknowledgement_is_news_once() {
    let mut victim = replica(1);
    write(&mut victim, 1, START_MS);
    let mut talk = Talk::with(victim, &mut replica(2), 1);
    talk.say(&want(by::CURSOR));
    let all = talk.victim.head().unwrap().sequence;
    for news in [1, 0] {
        talk.say(&wire::ack(all, 0, None, 0));
        let events = std::iter::from_fn(|| talk.at_victim.poll_event());
        let told = events.filter(|event| matches!(event, SessionEvent::Acknowledged { .. })).count();
        assert_eq!(told, news);
    }
}
