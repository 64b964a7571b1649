//! The door: who is let in, what each peer may read and write, and what becomes of what was refused.
#![allow(missing_docs)]

mod support;

use std::sync::Arc;

use crdt_core::{
    DocumentId, DocumentView, Durability, Head, Life, MemoryStore, Namespace, ReceiveBound, Refusal, Replica,
    ReplicaId, TransactionError,
};
use support::{START_MS, assert_equal, declared, edit, or_under_miri, replica, set, title};
use sync_protocol::door::{Applicant, Authenticate, Reads, Right, Rules, Terms};
use sync_protocol::drive::{exchange_in_memory, pump};
use sync_protocol::{Config, EndReason, Session, SessionError, SessionEvent, Way};

type Memory = Replica<MemoryStore>;

/// The session of a hub that lets everybody do the same.
fn hub_session(nonce: u64, rules: &Rules) -> Session {
    let rules = rules.clone();
    let guard = move |_: &Applicant<'_>| Ok(rules.clone());
    Session::new(Config::new(nonce), START_MS).guarded_by(Arc::new(guard))
}

fn client_session(nonce: u64) -> Session {
    Session::new(Config::new(nonce), START_MS).obeying()
}

/// One sync of a client with a guarded hub. Returns the client's session.
fn sync(hub: &mut Memory, rules: &Rules, client: &mut Memory) -> Session {
    sync_both(hub, rules, client).1
}

fn sync_both(hub: &mut Memory, rules: &Rules, client: &mut Memory) -> (Session, Session) {
    let (mut at_hub, mut at_client) = (hub_session(1, rules), client_session(2));
    pump(&mut at_client, client, &mut at_hub, hub, START_MS).unwrap();
    assert!(at_client.is_settled() && at_hub.is_settled());
    (at_hub, at_client)
}

fn events(session: &mut Session) -> Vec<SessionEvent> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// Edits one document of each of some collections in one transaction.
fn set_in(replica: &mut Memory, collections: &[&str], id: u64, ms: u64, value: &str) {
    replica
        .commit(START_MS + ms, Durability::Visible, |tx| {
            for collection in collections {
                tx.document(*collection, DocumentId::from_u64(id))?.set("title", value)?;
            }
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

fn text(view: &DocumentView, field: &str) -> Option<String> {
    view.get(field).unwrap().and_then(|value| value.as_str().map(str::to_owned))
}

fn title_in(replica: &mut Memory, collection: &str, id: u64) -> Option<String> {
    text(&replica.read(collection, DocumentId::from_u64(id)).unwrap(), "title")
}

/// A replica that knows the namespace by name and has another key.
fn impostor(number: u64) -> Memory {
    let namespace = Namespace::from_parts(*Namespace::from_secret("test").id(), [7; 16]);
    let head = Head::new(namespace, ReplicaId::from_u64(number), Life(number));
    declared(Replica::new(MemoryStore::new(head)))
}

#[test]
fn a_wrong_key_gets_nowhere_on_either_side() {
    let (mut hub, mut stranger, mut member) = (replica(1), impostor(2), replica(3));
    set(&mut hub, 1, 0, "title", "secret");
    set(&mut stranger, 1, 0, "title", "forged");
    let (mut beside, _) = exchange_in_memory(&mut hub, &mut member, START_MS).unwrap();
    let before = hub.canonical_bytes().unwrap();

    let (mut at_hub, mut at_stranger) = (Session::new(Config::new(1), 0), Session::new(Config::new(2), 0));
    let hello = at_stranger.transmit(&mut stranger, 0).unwrap().unwrap();
    at_hub.receive(&mut hub, &hello, 0).unwrap();
    let greeting: Vec<_> = std::iter::from_fn(|| at_hub.transmit(&mut hub, 0).unwrap()).collect();
    assert_eq!(greeting.len(), 2, "a hello and a proof, and nothing before the stranger's proof");
    at_stranger.receive(&mut stranger, &greeting[0], 0).unwrap();
    let proof = at_stranger.transmit(&mut stranger, 0).unwrap().unwrap();
    assert!(matches!(at_hub.receive(&mut hub, &proof, 0), Err(SessionError::Unauthenticated)));
    let refused = at_stranger.receive(&mut stranger, &greeting[1], 0);
    assert!(matches!(refused, Err(SessionError::Unauthenticated)));
    assert!(at_hub.transmit(&mut hub, 0).unwrap().is_none(), "nothing more is said to it");
    assert!(!at_hub.is_settled() && events(&mut at_hub).is_empty());
    assert_eq!(hub.canonical_bytes().unwrap(), before);

    // The member's session goes on as if nothing had been.
    set(&mut hub, 1, 10, "title", "next");
    let mut at_member = None;
    while let Some(message) = beside.transmit(&mut hub, START_MS).unwrap() {
        at_member = Some(message);
    }
    assert!(at_member.is_some_and(|message| message.len() < 100), "a live change");
}

#[test]
fn without_a_proof_no_message_is_taken() {
    let (mut hub, mut member) = (replica(1), replica(2));
    set(&mut member, 1, 0, "title", "from a member");
    let (mut at_hub, mut at_member) = (Session::new(Config::new(1), 0), Session::new(Config::new(2), 0));
    let hello = at_member.transmit(&mut member, 0).unwrap().unwrap();
    at_hub.receive(&mut hub, &hello, 0).unwrap();
    while let Some(message) = at_hub.transmit(&mut hub, 0).unwrap() {
        at_member.receive(&mut member, &message, 0).unwrap();
    }
    let _proof = at_member.transmit(&mut member, 0).unwrap().unwrap();
    let want = at_member.transmit(&mut member, 0).unwrap().unwrap();
    // Even a member's: its seal shows that the proof is missing before it.
    let early = at_hub.receive(&mut hub, &want, 0);
    assert!(matches!(early, Err(SessionError::Missing { messages: 1 })), "{early:?}");
    for junk in [vec![], vec![9], vec![0; 40], vec![9; 21], vec![2; 30], vec![4; 300]] {
        assert!(at_hub.receive(&mut hub, &junk, 0).is_err());
    }
    assert_eq!(hub.head().unwrap().sequence, 0);
}

#[test]
fn a_replayed_handshake_proves_nothing() {
    let (mut hub, mut member) = (replica(1), replica(2));
    set(&mut member, 1, 0, "title", "one");
    let (mut at_hub, mut at_member) = (client_session(1), client_session(2));
    let mut recorded = Vec::new();
    loop {
        let mut moved = false;
        while let Some(message) = at_member.transmit(&mut member, START_MS).unwrap() {
            at_hub.receive(&mut hub, &message, START_MS).unwrap();
            recorded.push(message);
            moved = true;
        }
        while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
            at_member.receive(&mut member, &message, START_MS).unwrap();
            moved = true;
        }
        if !moved {
            break;
        }
    }
    set(&mut hub, 2, 5, "title", "later");
    let (before, head) = (hub.canonical_bytes().unwrap(), hub.head().unwrap());
    let mut next = client_session(3);
    next.receive(&mut hub, &recorded[0], START_MS).unwrap();
    let mut said = 0;
    while next.transmit(&mut hub, START_MS).unwrap().is_some() {
        said += 1;
    }
    assert_eq!(said, 2, "hello and proof");
    for (number, message) in recorded.iter().enumerate().skip(1) {
        match (number, next.receive(&mut hub, message, START_MS)) {
            (1, Err(SessionError::Unauthenticated)) | (2.., Err(SessionError::Damaged)) => {}
            (_, other) => panic!("message {number}: {other:?}"),
        }
        assert!(next.transmit(&mut hub, START_MS).unwrap().is_none());
    }
    assert_eq!((hub.canonical_bytes().unwrap(), hub.head().unwrap()), (before, head));
}

#[test]
fn a_reflected_greeting_is_recognised() {
    let mut hub = replica(1);
    let mut session = client_session(1);
    let hello = session.transmit(&mut hub, START_MS).unwrap().unwrap();
    assert!(matches!(session.receive(&mut hub, &hello, START_MS), Err(SessionError::Echo)));
}

/// Knows two people by their tokens.
fn doorkeeper() -> Arc<dyn Authenticate> {
    Arc::new(|applicant: &Applicant<'_>| match applicant.token {
        Some(b"manager") => Ok(Rules::all(Right::ReadWrite)),
        Some(b"clerk") => Ok(Rules::all(Right::Read)),
        Some(_) => Err(Refusal::new(401, "unknown token")),
        None => Err(Refusal::new(401, "a token is needed")),
    })
}

#[test]
fn without_a_token_that_the_guard_knows_nobody_is_let_in() {
    let (mut hub, mut client) = (replica(1), replica(2));
    set(&mut hub, 1, 0, "title", "for members with a token");
    set(&mut client, 2, 0, "title", "from outside");
    let (before, head) = (hub.canonical_bytes().unwrap(), hub.head().unwrap());
    for (token, reason) in [(None, "a token is needed"), (Some("stolen"), "unknown token")] {
        let mut at_hub = Session::new(Config::new(1), START_MS).guarded_by(doorkeeper());
        let mut at_client = client_session(2);
        if let Some(token) = token {
            at_client = at_client.with_token(token);
        }
        pump(&mut at_client, &mut client, &mut at_hub, &mut hub, START_MS).unwrap();
        let refusal = Refusal::new(401, reason);
        for session in [&mut at_client, &mut at_hub] {
            assert_eq!(session.ended(), Some(EndReason::NotAdmitted));
            assert_eq!(session.refusal(), Some(&refusal));
            assert!(events(session).contains(&SessionEvent::NotAdmitted(refusal.clone())));
        }
        assert!(at_client.status().traffic.bytes_received < 250, "hello, proof and goodbye");
    }
    assert_eq!((hub.canonical_bytes().unwrap(), hub.head().unwrap()), (before, head));
    assert!(hub.peers().unwrap().is_empty());
    assert_eq!(title(&mut client, 1), None);

    let mut at_hub = Session::new(Config::new(3), START_MS).guarded_by(doorkeeper());
    let mut at_client = client_session(4).with_token("manager");
    pump(&mut at_client, &mut client, &mut at_hub, &mut hub, START_MS).unwrap();
    assert!(events(&mut at_client).contains(&SessionEvent::Admitted(Terms::OPEN)));
    assert_equal(&mut hub, &mut client);
}

#[test]
fn a_token_is_shown_only_to_a_guard_that_proved_the_key() {
    let token = "a very secret token";
    let contains = |message: &[u8]| message.windows(token.len()).any(|window| window == token.as_bytes());
    // To an impostor with a guard.
    let (mut stranger, mut client) = (impostor(1), replica(2));
    let mut at_stranger = Session::new(Config::new(1), 0).guarded_by(doorkeeper());
    let mut at_client = client_session(2).with_token(token);
    let mut said = Vec::new();
    for _ in 0..3 {
        while let Some(message) = at_client.transmit(&mut client, 0).unwrap() {
            let _ = at_stranger.receive(&mut stranger, &message, 0);
            said.push(message);
        }
        while let Some(message) = at_stranger.transmit(&mut stranger, 0).unwrap() {
            let _ = at_client.receive(&mut client, &message, 0);
        }
    }
    assert_eq!(said.len(), 2);
    // To a member without one.
    let (mut member, mut at_member) = (replica(3), Session::new(Config::new(3), 0));
    let mut at_client = client_session(4).with_token(token);
    loop {
        let before = said.len();
        while let Some(message) = at_client.transmit(&mut client, 0).unwrap() {
            at_member.receive(&mut member, &message, 0).unwrap();
            said.push(message);
        }
        while let Some(message) = at_member.transmit(&mut member, 0).unwrap() {
            at_client.receive(&mut client, &message, 0).unwrap();
        }
        if said.len() == before {
            break;
        }
    }
    assert!(at_client.is_settled() && !said.iter().any(|message| contains(message)));
}

#[test]
fn a_change_where_one_may_only_read_comes_back_as_rejected() {
    let (mut hub, mut client, mut other) = (replica(1), replica(2), replica(3));
    let read_only = Rules::all(Right::Read);
    set(&mut hub, 1, 0, "title", "the hub's");
    edit(&mut hub, 1, 1, |task| task.increment("votes", 3).unwrap());
    sync(&mut hub, &read_only, &mut client);
    let before = hub.canonical_bytes().unwrap();

    set(&mut client, 1, 10, "title", "not allowed");
    edit(&mut client, 1, 11, |task| {
        task.increment("votes", 10).unwrap();
        task.set("notes", "mine").unwrap();
    });
    set(&mut client, 2, 12, "title", "nor this");
    client.collect_events(true);
    let mut session = sync(&mut hub, &read_only, &mut client);
    let events = events(&mut session);
    let refused = events.iter().filter_map(|event| match event {
        SessionEvent::ChangeRefused { dot, refusal, withdrawn: true } => Some((dot.counter, refusal.code())),
        _ => None,
    });
    assert_eq!(refused.collect::<Vec<_>>(), [(1, 403), (2, 403), (3, 403)]);
    assert!(!events.iter().any(|event| matches!(event, SessionEvent::RootsDiffer { .. })), "{events:?}");
    assert_eq!(hub.canonical_bytes().unwrap(), before, "the hub is as it was");
    assert_equal(&mut hub, &mut client);
    assert_eq!(title(&mut client, 1).as_deref(), Some("the hub's"));
    let view = client.read("tasks", DocumentId::from_u64(1)).unwrap();
    assert_eq!((view.counter("votes"), view.get("notes").unwrap()), (3, None));
    assert!(!client.read("tasks", DocumentId::from_u64(2)).unwrap().exists());
    assert!(!client.take_events().is_empty(), "the app hears that its documents changed");

    // Nothing is lost: each change is kept with what the user saw.
    let rejected = client.rejected().unwrap();
    assert_eq!(rejected.len(), 3);
    assert_eq!(rejected[0].refusal.reason(), "no right to write tasks");
    assert_eq!(rejected[0].by, ReplicaId::from_u64(1));
    let (address, seen) = &rejected[1].documents[0];
    let seen = client.view(&address.collection, seen.clone());
    assert_eq!((seen.counter("votes"), text(&seen, "notes").as_deref()), (13, Some("mine")));
    assert_eq!(rejected[1].cells().count(), 1);

    // It is told once; and what is refused does not travel on.
    let again = sync(&mut hub, &read_only, &mut client).status();
    // A guarded side does not tell its root before it knows who asks, so it is found out by the cursor.
    assert_eq!((again.way, again.traffic.bytes_sent < 250), (Some(Way::Resume), true));
    assert_eq!(hub.last_refusal(Life(2)).unwrap(), 0);
    exchange_in_memory(&mut client, &mut other, START_MS).unwrap();
    assert_equal(&mut hub, &mut other);

    // The app decides: one is dropped, one is written elsewhere, in one transaction with forgetting it.
    assert!(
        client.drop_rejected(rejected[0].dot).unwrap() && !client.drop_rejected(rejected[0].dot).unwrap()
    );
    let elsewhere = client.commit(START_MS + 20, Durability::Durable, |tx| {
        tx.document("drafts", DocumentId::from_u64(1))?.set("notes", "mine")?;
        tx.drop_rejected(rejected[1].dot)?;
        Ok::<_, TransactionError>(())
    });
    elsewhere.unwrap();
    assert_eq!(client.rejected().unwrap().iter().map(|r| r.dot).collect::<Vec<_>>(), [rejected[2].dot]);
    let drafts = Rules::all(Right::Read).collection("drafts", Right::ReadWrite);
    sync(&mut hub, &drafts, &mut client);
    assert_equal(&mut hub, &mut client);
}

#[test]
fn a_transaction_is_refused_whole_and_the_next_one_is_taken() {
    let (mut hub, mut client) = (replica(1), replica(2));
    let rules = Rules::all(Right::ReadWrite).collection("salaries", Right::Read);
    sync(&mut hub, &rules, &mut client);
    set_in(&mut client, &["tasks", "salaries"], 1, 10, "both or nothing");
    set_in(&mut client, &["tasks"], 2, 11, "allowed");
    sync(&mut hub, &rules, &mut client);
    assert_equal(&mut hub, &mut client);
    assert_eq!(title_in(&mut hub, "tasks", 1), None);
    assert_eq!(title_in(&mut hub, "tasks", 2).as_deref(), Some("allowed"));
    assert_eq!(client.rejected().unwrap()[0].documents.len(), 2);

    // Also when it is so large that it comes in many messages, and the forbidden part is in the last.
    let (documents, repeated) = or_under_miri((3_000, 10), (2, 1_500));
    let many = client.commit(START_MS + 20, Durability::Visible, |tx| {
        for id in 0..documents {
            let text = "long enough for chunks ".repeat(repeated);
            tx.document("tasks", DocumentId::from_u64(100 + id))?.set("title", text)?;
        }
        tx.document("tasks", DocumentId::from_u64(2))?.set("title", "overwritten")?;
        tx.document("salaries", DocumentId::from_u64(2))?.set("title", "forbidden")?;
        Ok::<_, TransactionError>(())
    });
    many.unwrap();
    set_in(&mut client, &["tasks"], 3, 21, "allowed too");
    let before = hub.list("tasks", None, usize::MAX).unwrap().len();
    sync(&mut hub, &rules, &mut client);
    assert_equal(&mut hub, &mut client);
    assert_eq!(hub.list("tasks", None, usize::MAX).unwrap().len(), before + 1);
    assert_eq!(title_in(&mut client, "tasks", 2).as_deref(), Some("allowed"), "what it replaced is back");
    let rejected = client.rejected().unwrap();
    assert_eq!((rejected.len(), rejected[1].documents.len() as u64), (2, documents + 2));
}

#[test]
fn live_changes_are_judged_too() {
    let (mut hub, mut client) = (replica(1), replica(2));
    let rules = Rules::all(Right::ReadWrite).collection("salaries", Right::Read);
    let (mut at_hub, mut at_client) = (hub_session(1, &rules), client_session(2));
    let mut carry = |hub: &mut Memory, client: &mut Memory| {
        pump(&mut at_client, client, &mut at_hub, hub, START_MS).unwrap();
        assert!(at_client.is_settled() && at_hub.is_settled());
        assert_equal(hub, client);
    };
    carry(&mut hub, &mut client);
    for n in 0..or_under_miri(20, 6) {
        let collection = if n % 2 == 0 { "tasks" } else { "salaries" };
        set_in(&mut client, &[collection], n, n * 10, "live");
        carry(&mut hub, &mut client);
        set_in(&mut hub, &["salaries", "tasks"], n, n * 10 + 1, "the hub may");
        carry(&mut hub, &mut client);
    }
    assert_eq!(client.rejected().unwrap().len(), or_under_miri(10, 3));
    assert_eq!(title_in(&mut client, "salaries", or_under_miri(7, 3)).as_deref(), Some("the hub may"));
}

/// The hub wrote into the document of the refused change, and into others by the same transaction, which it has not told yet.
#[test]
fn what_is_held_instead_of_a_refused_change_is_no_half_of_a_transaction() {
    let (mut hub, mut client) = (replica(1), replica(2));
    let rules = Rules::all(Right::ReadWrite).collection("wages", Right::Read);
    let (mut at_hub, mut at_client) = sync_both(&mut hub, &rules, &mut client);
    set_in(&mut client, &["tasks", "wages"], 1, 10, "mine");
    set_in(&mut hub, &["notes", "tasks", "letters"], 1, 20, "the hub's");
    while let Some(message) = at_client.transmit(&mut client, START_MS).unwrap() {
        at_hub.receive(&mut hub, &message, START_MS).unwrap();
    }
    let mut messages = 0;
    while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
        messages += 1;
        at_client.receive(&mut client, &message, START_MS).unwrap();
        let shown = ["notes", "tasks", "letters"].map(|collection| title_in(&mut client, collection, 1));
        let of_hub = shown.iter().filter(|title| title.as_deref() == Some("the hub's")).count();
        assert!([0, 3].contains(&of_hub), "after {messages} messages: {shown:?}");
    }
    assert_eq!(client.rejected().unwrap().len(), 1);
    pump(&mut at_client, &mut client, &mut at_hub, &mut hub, START_MS).unwrap();
    assert_equal(&mut hub, &mut client);
}

/// The refused change was pushed in a slow session, and another session tells of the refusal first. What is under way in the
/// slow one by then was sent before the client heard there, and is not taken; and the session goes on.
#[test]
fn a_refusal_that_was_heard_in_another_session_ends_no_session() {
    for told_before in [false, true] {
        let (mut hub, mut client) = (replica(1), replica(2));
        let rules = Rules::all(Right::ReadWrite).collection("wages", Right::Read);
        let (mut slow_hub, mut slow_client) = sync_both(&mut hub, &rules, &mut client);
        let all = |session: &mut Session, replica: &mut Memory| -> Vec<Vec<u8>> {
            std::iter::from_fn(|| session.transmit(replica, START_MS).unwrap()).collect()
        };

        set_in(&mut client, &["wages"], 1, 10, "mine");
        for message in all(&mut slow_client, &mut client) {
            slow_hub.receive(&mut hub, &message, START_MS).unwrap();
        }
        let mut under_way = if told_before { all(&mut slow_hub, &mut hub) } else { Vec::new() };
        let fast = sync(&mut hub, &rules, &mut client);
        assert!(fast.is_settled() && title_in(&mut client, "wages", 1).is_none());
        under_way.extend(all(&mut slow_hub, &mut hub));

        set_in(&mut client, &["notes"], 1, 20, "next");
        for message in all(&mut slow_client, &mut client) {
            slow_hub.receive(&mut hub, &message, START_MS).unwrap();
        }
        for message in under_way {
            slow_client.receive(&mut client, &message, START_MS).unwrap();
        }
        pump(&mut slow_client, &mut client, &mut slow_hub, &mut hub, START_MS).unwrap();
        assert!(slow_client.is_settled() && slow_hub.is_settled(), "told before: {told_before}");
        assert_eq!(title_in(&mut hub, "notes", 1).as_deref(), Some("next"));
        assert_equal(&mut hub, &mut client);
        assert_eq!(client.rejected().unwrap().len(), 1);
    }
}

/// A document is compared, and while that is under way, all of it is refused in another session: then nothing is held there.
#[test]
fn what_is_refused_while_it_is_compared_is_nothing() {
    const SKETCH: u8 = 15;
    let (mut hub, mut client) = (replica(1), replica(2));
    let rules = Rules::all(Right::ReadWrite).collection("wages", Right::Read);
    set_in(&mut hub, &["tasks"], 1, 0, "known to both");
    sync(&mut hub, &rules, &mut client);
    // Without a cursor they compare sums.
    hub.renew_identity(ReplicaId::from_u64(8), Life(8)).unwrap();
    set_in(&mut hub, &["tasks"], 2, 5, "of the hub");
    set_in(&mut client, &["wages"], 1, 10, "mine");
    // The lower nonce begins.
    let (mut slow_hub, mut slow_client) = (hub_session(3, &rules), client_session(2));
    let mut under_way = Vec::new();
    while under_way.is_empty() {
        while let Some(message) = slow_client.transmit(&mut client, START_MS).unwrap() {
            if message[0] == SKETCH || !under_way.is_empty() {
                under_way.push(message);
            } else {
                slow_hub.receive(&mut hub, &message, START_MS).unwrap();
            }
        }
        while let Some(message) = slow_hub.transmit(&mut hub, START_MS).unwrap() {
            slow_client.receive(&mut client, &message, START_MS).unwrap();
        }
    }
    let (mut fast_hub, mut fast_client) = (hub_session(5, &rules), client_session(4));
    while title_in(&mut client, "wages", 1).is_some() {
        while let Some(message) = fast_client.transmit(&mut client, START_MS).unwrap() {
            fast_hub.receive(&mut hub, &message, START_MS).unwrap();
        }
        let message = fast_hub.transmit(&mut hub, START_MS).unwrap().expect("it will be refused");
        fast_client.receive(&mut client, &message, START_MS).unwrap();
    }
    set_in(&mut hub, &["wages"], 1, 20, "of the hub");
    for message in under_way {
        slow_hub.receive(&mut hub, &message, START_MS).unwrap();
    }
    pump(&mut slow_client, &mut client, &mut slow_hub, &mut hub, START_MS).unwrap();
    assert!(slow_client.is_settled() && slow_hub.is_settled());
    assert_eq!(title_in(&mut client, "wages", 1).as_deref(), Some("of the hub"));
    assert_equal(&mut hub, &mut client);
}

#[test]
fn what_a_peer_may_not_read_never_leaves() {
    let (mut hub, mut client) = (replica(1), replica(2));
    let rules = Rules::all(Right::ReadWrite).collection("salaries", Right::Write);
    let secret = b"TOP-SECRET";
    let (mut at_hub, mut at_client) = (hub_session(1, &rules), client_session(2));
    let mut leaked = 0;
    let mut carry = |hub: &mut Memory, client: &mut Memory| loop {
        let mut moved = false;
        while let Some(message) = at_hub.transmit(hub, START_MS).unwrap() {
            leaked += usize::from(message.windows(secret.len()).any(|window| window == secret));
            leaked += usize::from(message.windows(8).any(|window| window == b"salaries"));
            at_client.receive(client, &message, START_MS).unwrap();
            moved = true;
        }
        while let Some(message) = at_client.transmit(client, START_MS).unwrap() {
            at_hub.receive(hub, &message, START_MS).unwrap();
            moved = true;
        }
        if !moved {
            assert!(at_client.is_settled() && at_hub.is_settled());
            break;
        }
    };
    set_in(&mut hub, &["tasks", "salaries"], 1, 0, "TOP-SECRET".replace("TOP", "not").as_str());
    set_in(&mut hub, &["salaries"], 1, 1, "TOP-SECRET in the first run");
    carry(&mut hub, &mut client);
    set_in(&mut hub, &["salaries"], 2, 2, "TOP-SECRET in a live change");
    carry(&mut hub, &mut client);
    set_in(&mut hub, &["tasks"], 2, 3, "public");
    carry(&mut hub, &mut client);
    // It may put something in without seeing what is there.
    set_in(&mut client, &["salaries"], 1, 4, "a letter");
    carry(&mut hub, &mut client);
    assert_eq!(leaked, 0);
    assert_eq!(title_in(&mut client, "tasks", 2).as_deref(), Some("public"));
    assert_eq!(client.list("salaries", None, 10).unwrap().len(), 1, "its own letter only");
    assert_eq!(title_in(&mut hub, "salaries", 1).as_deref(), Some("a letter"));
    // The hub's counters and what it has seen stand for what was withheld too, so they were not told.
    assert!(client.seen().unwrap().get(ReplicaId::from_u64(1)) == 0);
    let events = events(&mut at_client);
    assert!(matches!(events[1], SessionEvent::Admitted(Terms { reads: Reads::Scope(_), writes_all: true })));
    assert!(!events.iter().any(|event| matches!(event, SessionEvent::RootsDiffer { .. })));
}

#[test]
fn what_was_withheld_comes_when_the_rights_do() {
    let (mut hub, mut client) = (replica(1), replica(2));
    let narrow =
        Rules::all(Right::ReadWrite).collection("salaries", Right::None).collection("plans", Right::None);
    for n in 0..or_under_miri(50, 4) {
        set_in(&mut hub, &["tasks", "salaries"], n, n, "before");
    }
    sync(&mut hub, &narrow, &mut client);
    let (at_hub, _) = sync_both(&mut hub, &narrow, &mut client);
    assert_eq!(at_hub.status().way, Some(Way::Resume));
    set_in(&mut hub, &["salaries"], 99, 60, "while narrow");
    sync(&mut hub, &narrow, &mut client);
    assert_eq!(client.list("salaries", None, 100).unwrap().len(), 0);
    set_in(&mut hub, &["plans"], 1, 61, "not yet");
    sync(&mut hub, &narrow.clone().collection("salaries", Right::Read), &mut client);
    assert_eq!(client.list("salaries", None, 100).unwrap().len(), or_under_miri(51, 5));
    assert_eq!(client.list("plans", None, 100).unwrap().len(), 0);
    sync(&mut hub, &Rules::all(Right::ReadWrite), &mut client);
    assert_equal(&mut hub, &mut client);
    // And back: what is there stays, what is new does not come.
    set_in(&mut hub, &["tasks", "salaries"], 100, 70, "narrow again");
    sync(&mut hub, &narrow, &mut client);
    assert_eq!(client.list("salaries", None, 100).unwrap().len(), or_under_miri(51, 5));
    assert_eq!(title_in(&mut client, "tasks", 100).as_deref(), Some("narrow again"));
    sync(&mut hub, &Rules::all(Right::ReadWrite), &mut client);
    assert_equal(&mut hub, &mut client);
}

/// Nor may such a peer find out by a guess, or by being asked, what it is not told.
#[test]
fn a_partial_reader_is_not_told_that_it_guessed_right_nor_what_was_seen() {
    let rules = Rules::all(Right::ReadWrite).collection("salaries", Right::None);
    let mut hub = replica(1);
    set_in(&mut hub, &["tasks", "salaries"], 1, 0, "guessed");
    // It holds byte for byte what the hub holds, so it knows the root.
    let mut guesser = declared(Replica::new(hub.store_mut().clone()));
    guesser.renew_identity(ReplicaId::from_u64(2), Life(2)).unwrap();
    assert_eq!(guesser.head().unwrap().root, hub.head().unwrap().root);
    let (mut at_hub, mut at_guesser) = (hub_session(1, &rules), client_session(2));
    pump(&mut at_guesser, &mut guesser, &mut at_hub, &mut hub, START_MS).unwrap();
    assert_ne!(at_hub.status().way, Some(Way::InSync));
    // How it finds out what the hub misses shows whether the hub said what it had seen.
    let mut client = replica(3);
    set_in(&mut client, &["tasks"], 2, 1, "mine");
    assert_eq!(sync(&mut hub, &rules, &mut client).status().way, Some(Way::Full));
    assert_eq!(title_in(&mut hub, "tasks", 2).as_deref(), Some("mine"));
}

/// A peer that reads a part must not make a peer that reads all believe that it has all.
#[test]
fn a_partial_reader_vouches_for_nothing() {
    let (mut hub, mut partial, mut whole) = (replica(1), replica(2), replica(3));
    let narrow = Rules::all(Right::ReadWrite).collection("salaries", Right::None);
    set_in(&mut hub, &["tasks", "salaries"], 1, 0, "from the hub");
    sync(&mut hub, &narrow, &mut partial);
    set_in(&mut hub, &["salaries"], 2, 1, "and more");
    set_in(&mut hub, &["tasks"], 2, 2, "and more");
    sync(&mut hub, &narrow, &mut partial);
    exchange_in_memory(&mut partial, &mut whole, START_MS).unwrap();
    assert_eq!(title_in(&mut whole, "tasks", 2).as_deref(), Some("and more"));
    sync(&mut hub, &Rules::all(Right::ReadWrite), &mut whole);
    assert_equal(&mut hub, &mut whole);
}

/// What one who may not write passes on for one who may still arrives when the author comes.
#[test]
fn a_refused_messenger_does_not_silence_the_author() {
    let (mut hub, mut author, mut messenger) = (replica(1), replica(2), replica(3));
    set(&mut author, 1, 0, "title", "the author's");
    exchange_in_memory(&mut author, &mut messenger, START_MS).unwrap();
    sync(&mut hub, &Rules::all(Right::Read), &mut messenger);
    assert_eq!(title(&mut hub, 1), None);
    assert_equal(&mut hub, &mut messenger);
    assert_eq!(messenger.rejected().unwrap().len(), 1);
    // With a right less than all, so that nobody looks at everything again because the roots differ.
    sync(&mut hub, &Rules::all(Right::ReadWrite).collection("salaries", Right::None), &mut author);
    assert_equal(&mut hub, &mut author);
    assert_eq!(title(&mut hub, 1).as_deref(), Some("the author's"));
    sync(&mut hub, &Rules::all(Right::Read), &mut messenger);
    assert_equal(&mut hub, &mut messenger);
}

#[test]
fn a_refusal_survives_every_cut() {
    let rules = Rules::all(Right::Read);
    for cut in (0..).step_by(or_under_miri(1, 5)) {
        let (mut hub, mut client) = (replica(1), replica(2));
        set(&mut hub, 1, 0, "title", "the hub's");
        sync(&mut hub, &rules, &mut client);
        set(&mut client, 1, 10, "title", "not allowed");
        let (mut at_hub, mut at_client) = (hub_session(1, &rules), client_session(2));
        let mut left = cut;
        'line: loop {
            let mut moved = false;
            while let Some(message) = at_client.transmit(&mut client, START_MS).unwrap() {
                if left == 0 {
                    break 'line;
                }
                (left, moved) = (left - 1, true);
                at_hub.receive(&mut hub, &message, START_MS).unwrap();
            }
            while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
                if left == 0 {
                    break 'line;
                }
                (left, moved) = (left - 1, true);
                at_client.receive(&mut client, &message, START_MS).unwrap();
            }
            if !moved {
                assert!(cut > 10, "a sync of {cut} messages");
                return;
            }
        }
        // What was not heard in this session is heard in the next.
        sync(&mut hub, &rules, &mut client);
        assert_equal(&mut hub, &mut client);
        assert_eq!(title(&mut client, 1).as_deref(), Some("the hub's"), "cut at {cut}");
        let rejected = client.rejected().unwrap();
        assert_eq!(rejected.len(), 1, "cut at {cut}");
        let (address, seen) = &rejected[0].documents[0];
        let seen = client.view(&address.collection, seen.clone());
        assert_eq!(text(&seen, "title").as_deref(), Some("not allowed"), "cut at {cut}");
        assert_eq!(hub.last_refusal(Life(2)).unwrap(), 0, "cut at {cut}");
    }
}

/// Among equals nobody's refusal changes what one holds.
#[test]
fn a_refusal_of_a_peer_that_is_not_obeyed_is_only_told() {
    let (mut guarded, mut free) = (replica(1), replica(2));
    set(&mut free, 1, 0, "title", "mine");
    for round in 0..3 {
        let mut at_guarded = hub_session(1, &Rules::all(Right::Read));
        let mut at_free = Session::new(Config::new(2), START_MS);
        pump(&mut at_free, &mut free, &mut at_guarded, &mut guarded, START_MS).unwrap();
        assert!(at_free.is_settled() && at_guarded.is_settled());
        let told = events(&mut at_free)
            .iter()
            .any(|event| matches!(event, SessionEvent::ChangeRefused { withdrawn: false, .. }));
        assert_eq!(told, round == 0, "told once");
    }
    assert_eq!((title(&mut free, 1).as_deref(), title(&mut guarded, 1)), (Some("mine"), None));
    assert!(free.rejected().unwrap().is_empty());
}

#[test]
#[cfg_attr(miri, ignore = "as many refusals as there may be, a hundred thousand documents: hours under Miri")]
fn refusals_that_nobody_listens_to_do_not_pile_up_for_ever() {
    let (mut hub, mut deaf) = (replica(1), replica(2));
    let rules = Rules::all(Right::Read);
    let ended = (0..10u64).find_map(|round| {
        let many = deaf.commit(START_MS + round, Durability::Visible, |tx| {
            for id in 0..40_000 {
                tx.document("tasks", DocumentId::from_u64(round * 40_000 + id))?.set("n", 1)?;
            }
            Ok::<_, TransactionError>(())
        });
        many.unwrap();
        let (mut at_hub, mut at_deaf) = (hub_session(1, &rules), Session::new(Config::new(2), START_MS));
        loop {
            while let Some(message) = at_deaf.transmit(&mut deaf, START_MS).unwrap() {
                if let Err(error) = at_hub.receive(&mut hub, &message, START_MS) {
                    let bye = at_hub.transmit(&mut hub, START_MS).unwrap().unwrap();
                    at_deaf.receive(&mut deaf, &bye, START_MS).unwrap();
                    return Some((round, error, at_deaf.ended()));
                }
            }
            // It reads what it needs to go on, and never a refusal: it leaves when the hub has applied.
            if at_deaf.is_settled() || hub.last_refusal(Life(2)).unwrap() > round {
                return None;
            }
            while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
                at_deaf.receive(&mut deaf, &message, START_MS).unwrap();
            }
        }
    });
    let (round, error, told) = ended.expect("it has to end");
    assert!(matches!(error, SessionError::TooManyRefusals), "{error}");
    assert_eq!((round, told), (2, Some(EndReason::TooManyRefusals)));
    assert_eq!(hub.list("tasks", None, 1).unwrap().len(), 0);
}

/// The client's clock was set back in between, and what it writes then has to exceed what is there again. By that clock all
/// of that is from the future; but it was there before.
#[test]
fn what_a_refused_change_replaced_is_shown_again_whatever_the_clock_says() {
    const BACK_MS: u64 = 600 * 24 * 60 * 60 * 1_000;
    let (mut hub, mut client) = (replica(1), replica(2));
    client.keep_time(ReceiveBound { ahead_ms: 60_000 });
    client.tick(START_MS).unwrap();
    let rules = Rules::all(Right::ReadWrite).collection("wages", Right::Read);
    for ms in [10, 20] {
        edit(&mut hub, 1, ms, |document| {
            document.map("m").unwrap().set("title", "the hub's").unwrap();
        });
    }
    let (mut at_hub, mut at_client) = sync_both(&mut hub, &rules, &mut client);
    client
        .commit(START_MS + 30, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(1))?.erase()?;
            tx.document("wages", DocumentId::from_u64(1))?.set("title", "more")?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
    let there = |replica: &mut Memory| replica.read("tasks", DocumentId::from_u64(1)).unwrap().exists();
    assert!(!there(&mut client));
    client.tick(START_MS - BACK_MS).unwrap();
    let carry = |hub: &mut Memory, client: &mut Memory, at_hub: &mut Session, at_client: &mut Session| {
        let mut moved = true;
        while core::mem::take(&mut moved) {
            while let Some(message) = at_client.transmit(client, START_MS - BACK_MS).unwrap() {
                moved = true;
                at_hub.receive(hub, &message, START_MS).unwrap();
            }
            while let Some(message) = at_hub.transmit(hub, START_MS).unwrap() {
                moved = true;
                at_client.receive(client, &message, START_MS - BACK_MS).unwrap();
            }
        }
    };
    carry(&mut hub, &mut client, &mut at_hub, &mut at_client);
    assert_eq!(client.rejected().unwrap().len(), 1);
    assert!(there(&mut client) && there(&mut hub), "it was refused");
    assert_eq!(client.parked_count().unwrap(), 0);
    client
        .commit(START_MS - BACK_MS, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(1))?.delete();
            Ok::<_, TransactionError>(())
        })
        .unwrap();
    carry(&mut hub, &mut client, &mut at_hub, &mut at_client);
    assert_equal(&mut hub, &mut client);
    assert!(!there(&mut client) && !there(&mut hub));
}
