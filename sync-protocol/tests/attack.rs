//! Attacks on the door, each of which succeeded once.
#![allow(missing_docs)]

mod support;

use std::sync::Arc;

use crdt_core::{
    Checkpoint, DocumentId, Dot, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId,
    TransactionError, VersionVector,
};
use support::{START_MS, declared, or_under_miri, replica};
use sync_protocol::door::{Applicant, Right, Rules};
use sync_protocol::drive::{exchange_in_memory, pump};
use sync_protocol::{Config, Session, SessionError, SessionEvent};

type Memory = Replica<MemoryStore>;

fn guarded(nonce: u64, rules: &Rules) -> Session {
    let rules = rules.clone();
    let guard = move |_: &Applicant<'_>| Ok(rules.clone());
    Session::new(Config::new(nonce), START_MS).guarded_by(Arc::new(guard))
}

fn obeying(nonce: u64) -> Session {
    Session::new(Config::new(nonce), START_MS).obeying()
}

fn follower(number: u64) -> Memory {
    let mut replica = replica(number);
    replica.follow().unwrap();
    replica
}

fn sync(hub: &mut Memory, rules: &Rules, client: &mut Memory) -> (Session, Session) {
    let (mut at_hub, mut at_client) = (guarded(1, rules), obeying(2));
    pump(&mut at_client, client, &mut at_hub, hub, START_MS).unwrap();
    assert!(at_client.is_settled() && at_hub.is_settled(), "settled");
    (at_hub, at_client)
}

/// Sets a field of documents (collection, id, field) in one transaction.
fn write(replica: &mut Memory, ms: u64, places: &[(&str, u64, &str)], value: &str) -> Dot {
    let done = replica.commit(START_MS + ms, Durability::Visible, |tx| {
        for (collection, id, field) in places {
            tx.document(*collection, DocumentId::from_u64(*id))?.set(*field, value)?;
        }
        Ok::<_, TransactionError>(())
    });
    done.unwrap().dot.unwrap()
}

fn read(replica: &mut Memory, collection: &str, id: u64, field: &str) -> Option<String> {
    let view = replica.read(collection, DocumentId::from_u64(id)).unwrap();
    view.get(field).unwrap().and_then(|value| value.as_str().map(str::to_owned))
}

#[allow(clippy::unnecessary_wraps)] // to be compared with what is read
fn is(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn no_wages() -> Rules {
    Rules::all(Right::ReadWrite).collection("wages", Right::Read)
}

fn events(session: &mut Session) -> Vec<SessionEvent> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// Accepted writes that get lost

/// A follower's session with an equal obeys too (as `Database::session` makes it), so the equal's receipt throws
/// away the undo notes, and the server's refusal later leaves a hole where an allowed write stood.
#[test]
fn the_receipt_of_an_equal_is_no_decision_of_the_server() {
    let (mut hub, mut client, mut friend) = (replica(1), follower(2), replica(3));
    write(&mut client, 1, &[("tasks", 1, "title")], "allowed");
    write(&mut client, 2, &[("tasks", 1, "title"), ("wages", 1, "n")], "refused");
    let (mut at_client, mut at_friend) = (obeying(1), Session::new(Config::new(2), START_MS));
    pump(&mut at_client, &mut client, &mut at_friend, &mut friend, START_MS).unwrap();
    sync(&mut hub, &no_wages(), &mut client);
    assert_eq!(client.rejected().unwrap().len(), 1);
    assert_eq!(read(&mut client, "tasks", 1, "title"), is("allowed"), "at the client");
    assert_eq!(read(&mut hub, "tasks", 1, "title"), is("allowed"), "at the hub");
}

/// What a relayed change replaced is not noted (only commits are), so when the relayed change is refused, the
/// messenger's own allowed write is gone everywhere, and it is not among the rejected ones either.
#[test]
fn a_refused_change_of_another_does_not_take_an_own_write_along() {
    let (mut hub, mut messenger, mut author) = (replica(1), follower(2), follower(3));
    write(&mut messenger, 1, &[("tasks", 1, "title")], "the messenger's");
    write(&mut author, 2, &[("tasks", 1, "title"), ("wages", 1, "n")], "the author's");
    exchange_in_memory(&mut messenger, &mut author, START_MS).unwrap();
    sync(&mut hub, &no_wages(), &mut messenger);
    assert_eq!(messenger.rejected().unwrap().len(), 1);
    assert_eq!(read(&mut messenger, "tasks", 1, "title"), is("the messenger's"), "at the messenger");
    assert_eq!(read(&mut hub, "tasks", 1, "title"), is("the messenger's"), "at the hub");
}

/// The same with a deletion: the messenger's whole document is gone.
#[test]
fn a_refused_deletion_of_another_does_not_take_an_own_document_along() {
    let (mut hub, mut messenger, mut author) = (replica(1), follower(2), follower(3));
    write(&mut messenger, 1, &[("tasks", 1, "title")], "the messenger's");
    exchange_in_memory(&mut messenger, &mut author, START_MS).unwrap();
    let deleted = author.commit(START_MS + 5, Durability::Visible, |tx| {
        tx.document("tasks", DocumentId::from_u64(1))?.delete();
        tx.document("wages", DocumentId::from_u64(1))?.set("n", "1")?;
        Ok::<_, TransactionError>(())
    });
    deleted.unwrap();
    exchange_in_memory(&mut messenger, &mut author, START_MS).unwrap();
    sync(&mut hub, &no_wages(), &mut messenger);
    assert!(messenger.read("tasks", DocumentId::from_u64(1)).unwrap().exists(), "at the messenger");
    assert_eq!(read(&mut hub, "tasks", 1, "title"), is("the messenger's"), "at the hub");
}

/// A withdrawal leaves the context as it was. The messenger vouches among equals for the change that it took out;
/// a friend believes it, and the hub believes the friend: its version vector then tells the author not to send the change.
#[test]
fn nobody_vouches_for_a_change_that_was_withdrawn() {
    let (mut hub, mut messenger, mut author, mut friend) =
        (replica(1), follower(2), follower(3), follower(4));
    write(&mut author, 1, &[("tasks", 1, "title")], "the author's");
    exchange_in_memory(&mut author, &mut messenger, START_MS).unwrap();
    sync(&mut hub, &Rules::all(Right::Read), &mut messenger);
    exchange_in_memory(&mut messenger, &mut friend, START_MS).unwrap();
    sync(&mut hub, &Rules::all(Right::ReadWrite), &mut friend);
    // A right less than all: nobody compares roots.
    let rules = Rules::all(Right::ReadWrite).collection("salaries", Right::None);
    for _ in 0..2 {
        sync(&mut hub, &rules, &mut author);
    }
    assert_eq!(read(&mut author, "tasks", 1, "title"), is("the author's"));
    assert_eq!(read(&mut hub, "tasks", 1, "title"), is("the author's"));
}

/// The same towards the messenger: after a change of scope it asks with a version vector that counts the withdrawn
/// change as seen, and never gets it, although the hub has taken it from its author.
#[test]
fn a_withdrawn_change_that_was_taken_elsewhere_still_arrives() {
    let (mut hub, mut messenger, mut author) = (replica(1), follower(2), follower(3));
    write(&mut author, 1, &[("tasks", 1, "title")], "the author's");
    exchange_in_memory(&mut author, &mut messenger, START_MS).unwrap();
    let narrow = Rules::all(Right::Read).collection("plans", Right::None).collection("salaries", Right::None);
    sync(&mut hub, &narrow, &mut messenger);
    sync(&mut hub, &Rules::all(Right::ReadWrite), &mut author);
    sync(&mut hub, &narrow.collection("plans", Right::Read), &mut messenger);
    assert_eq!(read(&mut hub, "tasks", 1, "title"), is("the author's"));
    assert_eq!(read(&mut messenger, "tasks", 1, "title"), is("the author's"));
}

/// Two refused changes of one transaction history: what the first wrote where the second wrote over it is in no
/// document that is kept.
#[test]
fn nothing_of_a_refused_change_is_lost() {
    let (mut hub, mut client) = (replica(1), follower(2));
    let first = write(&mut client, 1, &[("wages", 1, "n"), ("wages", 2, "n")], "first");
    write(&mut client, 2, &[("wages", 1, "n")], "second");
    sync(&mut hub, &no_wages(), &mut client);
    let rejected = client.rejected().unwrap();
    assert_eq!(rejected.len(), 2);
    let of_first = rejected.iter().find(|rejected| rejected.dot == first).unwrap();
    assert_eq!(of_first.documents.len(), 2, "both documents that the first change wrote");
}

/// What the hub holds something greater than is not judged, so not named, so not withdrawn: half a refused
/// change stays in the state of a client that may write a collection but not read it.
#[test]
fn a_refused_change_leaves_the_state_whole() {
    let (mut hub, mut client) = (replica(1), follower(2));
    let rules =
        Rules::all(Right::ReadWrite).collection("wages", Right::Read).collection("letters", Right::Write);
    write(&mut hub, 100, &[("letters", 1, "title")], "the hub's, later");
    write(&mut client, 1, &[("letters", 1, "title"), ("wages", 1, "n")], "refused");
    write(&mut client, 2, &[("letters", 1, "body")], "allowed");
    sync(&mut hub, &rules, &mut client);
    assert_eq!(client.rejected().unwrap().len(), 1);
    assert_eq!(read(&mut client, "wages", 1, "n"), None);
    assert_eq!(read(&mut client, "letters", 1, "body"), is("allowed"));
    assert_eq!(read(&mut client, "letters", 1, "title"), None, "a part of the refused change");
}

/// An obeying client whose refused changes name more documents than the hub notes for one peer never syncs again.
#[test]
fn many_refused_documents_do_not_lock_an_obeying_client_out() {
    let (mut hub, mut client) = (replica(1), follower(2));
    for round in 0..3u64 {
        let many = client.commit(START_MS + round, Durability::Visible, |tx| {
            for id in 0..or_under_miri(40_000, 20) {
                tx.document("wages", DocumentId::from_u64(round * 40_000 + id))?.set("n", 1)?;
            }
            Ok::<_, TransactionError>(())
        });
        many.unwrap();
    }
    write(&mut client, 10, &[("tasks", 1, "title")], "allowed");
    let mut last = None;
    for nonce in 0..3 {
        let (mut at_hub, mut at_client) = (guarded(10 + nonce, &no_wages()), obeying(20 + nonce));
        last = pump(&mut at_client, &mut client, &mut at_hub, &mut hub, START_MS).err();
        if last.is_none() {
            break;
        }
    }
    assert!(last.is_none(), "{last:?}");
    assert_eq!(read(&mut hub, "tasks", 1, "title"), is("allowed"));
}

// ---------------------------------------------------------------------------------------------------------------------
// Transactions in halves

/// Documents of a few hundred bytes, some hundred of which fill a chunk; under Miri each fills one of its own, most of it
/// with what packs well.
const MANY: u64 = or_under_miri(3_000, 4);
const NOISE_BYTES: usize = or_under_miri(230, 11_000);
const MORE_BYTES: usize = or_under_miri(0, 54_000);

fn big(replica: &mut Memory, ms: u64, documents: u64) {
    let big = replica.commit(START_MS + ms, Durability::Visible, |tx| {
        for id in 0..documents {
            tx.document("tasks", DocumentId::from_u64(id))?
                .set("title", support::noise(id, NOISE_BYTES) + &"x".repeat(MORE_BYTES))?;
        }
        Ok::<_, TransactionError>(())
    });
    big.unwrap();
}

/// Chunks are put aside per life, not per session. A second session of the same client (another process, a
/// reconnect) throws away what the first has put aside; the first one's checkpoint is applied without it.
#[test]
fn two_sessions_of_a_client_do_not_mix_their_chunks() {
    let (mut hub, mut client) = (replica(1), follower(2));
    let rules = Rules::all(Right::ReadWrite).collection("salaries", Right::None);
    big(&mut client, 1, MANY);
    let (mut at_hub, mut at_client) = (guarded(1, &rules), obeying(2));
    let (mut second_hub, mut second_client) = (guarded(3, &rules), obeying(4));
    let mut chunks = 0;
    'line: loop {
        let mut moved = false;
        while let Some(message) = at_client.transmit(&mut client, START_MS).unwrap() {
            at_hub.receive(&mut hub, &message, START_MS).unwrap();
            moved = true;
            chunks += usize::from(message.len() > 10_000);
            if chunks == 3 {
                break 'line;
            }
        }
        while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
            at_client.receive(&mut client, &message, START_MS).unwrap();
            moved = true;
        }
        assert!(moved);
    }
    // The second session gets as far as the hub's wish, and breaks off.
    'second: for _ in 0..4 {
        while let Some(message) = second_client.transmit(&mut client, START_MS).unwrap() {
            if message.len() > 10_000 {
                break 'second;
            }
            second_hub.receive(&mut hub, &message, START_MS).unwrap();
        }
        while let Some(message) = second_hub.transmit(&mut hub, START_MS).unwrap() {
            second_client.receive(&mut client, &message, START_MS).unwrap();
        }
    }
    let whole = pump(&mut at_client, &mut client, &mut at_hub, &mut hub, START_MS);
    let held = hub.list("tasks", None, usize::MAX).unwrap().len() as u64;
    assert!(held == 0 || held == MANY, "{held} of {MANY} documents of one transaction ({whole:?})");
    sync(&mut hub, &rules, &mut client);
    assert_eq!(hub.list("tasks", None, usize::MAX).unwrap().len() as u64, MANY, "and the rest never comes");
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing without the right

/// Somebody who claims the life of another.
fn claiming(number: u64, life: u64) -> Memory {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(life));
    declared(Replica::new(MemoryStore::new(head)))
}

/// Gives all messages of one side to the other, but keeps back its checkpoint, which is the last.
fn chunks_only(at_from: &mut Session, from: &mut Memory, at_hub: &mut Session, hub: &mut Memory) {
    let mut big = 0;
    loop {
        let mut moved = false;
        while let Some(message) = at_from.transmit(from, START_MS).unwrap() {
            at_hub.receive(hub, &message, START_MS).unwrap();
            moved = true;
            big += usize::from(message.len() > 10_000);
            if big == 2 {
                return;
            }
        }
        while let Some(message) = at_hub.transmit(hub, START_MS).unwrap() {
            at_from.receive(from, &message, START_MS).unwrap();
            moved = true;
        }
        assert!(moved);
    }
}

/// One who may only read puts chunks aside under the life of one who may write (a life is only claimed), while
/// that one syncs; the writer's checkpoint applies them, judged by the writer's rights.
#[test]
fn who_may_only_read_does_not_write_through_the_session_of_another() {
    let (mut hub, mut writer, mut reader) = (replica(1), follower(2), claiming(66, 2));
    big(&mut reader, 1, or_under_miri(1_000, 3));
    write(&mut writer, 1, &[("tasks", 100_000, "title")], "the writer's");
    // The writer's session is under way: the hub has said what it wants.
    let (mut at_hub, mut at_writer) = (guarded(1, &Rules::all(Right::ReadWrite).of("writer")), obeying(2));
    let mut held_back = Vec::new();
    for _ in 0..3 {
        while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
            at_writer.receive(&mut writer, &message, START_MS).unwrap();
        }
        while let Some(message) = at_writer.transmit(&mut writer, START_MS).unwrap() {
            held_back.push(message);
            if held_back.len() <= 4 {
                let message = held_back.last().unwrap();
                at_hub.receive(&mut hub, message, START_MS).unwrap();
            }
        }
    }
    let (mut beside, mut at_reader) =
        (guarded(3, &Rules::all(Right::Read).of("reader")), Session::new(Config::new(4), START_MS));
    chunks_only(&mut at_reader, &mut reader, &mut beside, &mut hub);
    assert!(hub.list("tasks", None, 5).unwrap().is_empty());
    for message in &held_back[held_back.len().min(4)..] {
        at_hub.receive(&mut hub, message, START_MS).unwrap();
    }
    pump(&mut at_writer, &mut writer, &mut at_hub, &mut hub, START_MS).unwrap();
    assert_eq!(read(&mut hub, "tasks", 100_000, "title"), is("the writer's"));
    assert_eq!(hub.list("tasks", None, usize::MAX).unwrap().len(), 1, "the reader wrote");
}

/// A guarded side that obeys (every session of a database that follows a server does) takes `Refused` from the
/// very peers that it guards against: one who may only read takes out what others wrote.
#[test]
fn who_may_only_read_refuses_nothing() {
    let (mut edge, mut reader) = (follower(1), replica(66));
    write(&mut edge, 1, &[("tasks", 1, "title")], "accepted long ago");
    let mut at_edge = guarded(1, &Rules::all(Right::Read)).obeying();
    // The reader brings a guard of its own, which takes nothing.
    let mut at_reader = guarded(2, &Rules::all(Right::Read));
    pump(&mut at_reader, &mut reader, &mut at_edge, &mut edge, START_MS).unwrap();
    assert_eq!(read(&mut edge, "tasks", 1, "title"), is("accepted long ago"));
}

/// The same, and what comes with the refusal is merged without asking the guard.
#[test]
fn what_comes_with_a_refusal_is_judged_too() {
    let (mut edge, mut reader) = (follower(1), replica(66));
    write(&mut edge, 1, &[("tasks", 1, "title")], "accepted long ago");
    write(&mut reader, 9, &[("tasks", 1, "body")], "forged");
    let mut at_edge = guarded(1, &Rules::all(Right::Read)).obeying();
    let mut at_reader = guarded(2, &Rules::all(Right::Read));
    pump(&mut at_reader, &mut reader, &mut at_edge, &mut edge, START_MS).unwrap();
    assert_eq!(read(&mut edge, "tasks", 1, "body"), None, "one who may only read wrote");
}

/// The cursor and the claim that the hub keeps for a life are moved by whoever claims the life, also by one whose
/// writes are refused: the hub then skips the changes of the one whose life it is.
#[test]
fn who_may_only_read_does_not_move_the_cursor_of_another() {
    let (mut hub, mut writer, mut reader) = (replica(1), follower(2), claiming(66, 2));
    let rules = Rules::all(Right::ReadWrite).collection("salaries", Right::None).of("writer");
    // Steps without cells that would be refused: it writes and takes all back by renewing its store.
    for n in 0..3 {
        write(&mut reader, n, &[("tasks", 1, "title")], &format!("{n}"));
    }
    sync_open_reader(&mut hub, &mut reader);
    for n in 0..2 {
        write(&mut writer, 10 + n, &[("tasks", 10 + n, "title")], "the writer's");
    }
    write(&mut writer, 20, &[("tasks", 20, "title")], "the writer's");
    sync(&mut hub, &rules, &mut writer);
    for id in [10, 11, 20] {
        assert_eq!(read(&mut hub, "tasks", id, "title"), is("the writer's"), "document {id}");
    }
}

fn sync_open_reader(hub: &mut Memory, reader: &mut Memory) {
    let (mut at_hub, mut at_reader) =
        (guarded(5, &Rules::all(Right::Read).of("reader")), Session::new(Config::new(6), START_MS));
    pump(&mut at_reader, reader, &mut at_hub, hub, START_MS).unwrap();
}

/// The same makes the owner of the life believe that its store was copied.
#[test]
fn who_may_only_read_does_not_make_another_a_fork() {
    let (mut hub, mut writer, mut reader) = (replica(1), follower(2), claiming(2, 2));
    for n in 0..3 {
        write(&mut reader, n, &[("tasks", 1, "title")], &format!("{n}"));
    }
    sync_open_reader(&mut hub, &mut reader);
    write(&mut writer, 10, &[("tasks", 10, "title")], "the writer's");
    let (mut at_hub, mut at_writer) = (guarded(1, &Rules::all(Right::ReadWrite).of("writer")), obeying(2));
    let ended = pump(&mut at_writer, &mut writer, &mut at_hub, &mut hub, START_MS);
    assert!(!matches!(ended, Err(SessionError::Forked)), "{ended:?}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Learning without the right

/// Whether the hub refuses a guess of one who has no right at all on wages.
fn is_refused(hub: &mut Memory, life: u64, guess: impl FnOnce(&mut Memory)) -> bool {
    let mut spy = claiming(life, life);
    let rules = Rules::all(Right::ReadWrite).collection("wages", Right::None);
    let (mut at_hub, mut at_spy) =
        (guarded(life * 2, &rules), Session::new(Config::new(life * 2 + 1), START_MS));
    pump(&mut at_spy, &mut spy, &mut at_hub, hub, START_MS).unwrap();
    // Cells under the id of the hub, which every reader of any document knows, as if they had been passed on.
    let mut forger = claiming(1, life + 1_000_000);
    guess(&mut forger);
    // One way only: what the spy has of the hub would tell the forger that it is not who it says.
    let documents = forger.difference(&VersionVector::new(), None, usize::MAX).unwrap().documents;
    let (peer, replica) = (Life(life + 1_000_000), ReplicaId::from_u64(1));
    let forged =
        Checkpoint { peer, replica, cursor: 1, context: Vec::new(), documents, scope: 0, session: 0 };
    spy.apply(forged).unwrap();
    pump(&mut at_spy, &mut spy, &mut at_hub, hub, START_MS).unwrap();
    assert!(at_spy.is_settled() && at_hub.is_settled());
    events(&mut at_spy).iter().any(|event| matches!(event, SessionEvent::ChangeRefused { .. }))
}

/// What the hub holds already is not asked about, also in documents that the peer may neither read nor write:
/// a refusal tells that there is nothing, no refusal that there is.
#[test]
fn refusals_do_not_tell_whether_a_hidden_document_exists() {
    let mut hub = replica(1);
    write(&mut hub, 50, &[("wages", 1, "n")], "secret");
    write(&mut hub, 51, &[("tasks", 1, "title")], "public");
    let there = is_refused(&mut hub, 100, |spy| _ = write(spy, 0, &[("wages", 1, "n")], "x"));
    let not_there = is_refused(&mut hub, 101, |spy| _ = write(spy, 0, &[("wages", 2, "n")], "x"));
    assert_eq!(there, not_there, "refused where it exists: {there}, where it does not: {not_there}");
}

/// And its content, by bisection: cells are in a total order by time and then value.
#[test]
fn refusals_do_not_tell_the_content_of_a_hidden_document() {
    let mut hub = replica(1);
    let set = |replica: &mut Memory, ms: u64, value: i64| {
        let done = replica.commit(START_MS + ms, Durability::Visible, |tx| {
            tx.document("wages", DocumentId::from_u64(1))?.set("n", value)?;
            Ok::<_, TransactionError>(())
        });
        done.unwrap();
    };
    set(&mut hub, 50, 47);
    // The time, then the value.
    let (mut low, mut high, mut life) = (0, 1 << 12, 100);
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        life += 1;
        if is_refused(&mut hub, life, |spy| set(spy, middle, 0)) { high = middle } else { low = middle }
    }
    // The value 0 is below 47, so the time at which a guess of 0 is refused first is the one after that of the cell.
    let time = low;
    let (mut from, mut to) = (0, 64);
    while from + 1 < to {
        let middle = i64::midpoint(from, to);
        life += 1;
        if is_refused(&mut hub, life, |spy| set(spy, time, middle)) { to = middle } else { from = middle }
    }
    assert_ne!((time, from), (50, 47), "the spy has read the time and the value, in {} sessions", life - 100);
}

/// Hello and checkpoint tell a peer
/// that reads a part the root of everything; with the namespace's key it checks guesses at what is hidden.
#[test]
fn the_root_does_not_tell_what_is_hidden() {
    let (mut hub, mut spy) = (replica(1), follower(2));
    let rules = Rules::all(Right::ReadWrite).collection("wages", Right::None);
    write(&mut hub, 1, &[("tasks", 1, "title")], "public");
    let (_, before) = sync(&mut hub, &rules, &mut spy);
    write(&mut hub, 2, &[("wages", 1, "n")], "47");
    let (_, after) = sync(&mut hub, &rules, &mut spy);
    let (before, after) = (before.status().peer_root.unwrap(), after.status().peer_root.unwrap());
    // A guess: the hub's second transaction, about then, and some value.
    let found = (0..100).find(|guess| {
        let mut copy = replica(1);
        write(&mut copy, 1, &[("tasks", 1, "title")], "public");
        let root = copy.head().unwrap().root;
        write(&mut copy, 2, &[("wages", 1, "n")], &guess.to_string());
        copy.head().unwrap().root.minus(root) == after.minus(before)
    });
    assert_eq!(found, None, "the spy has the hidden value");
}

// ---------------------------------------------------------------------------------------------------------------------
// Sessions that do not come to an end, and two guards

fn both_guarded(a: &mut Memory, b: &mut Memory, a_takes: &Rules, b_takes: &Rules) -> (Session, Session) {
    let (mut at_a, mut at_b) = (guarded(1, a_takes).obeying(), guarded(2, b_takes).obeying());
    pump(&mut at_a, a, &mut at_b, b, START_MS).unwrap();
    (at_a, at_b)
}

// ---------------------------------------------------------------------------------------------------------------------
// What a peer without rights makes the hub keep

/// What the hub says about its own steps (echo steps, sequences) tells one who may write a collection but not read
/// it whether a cell changed anything there.
#[test]
fn an_acknowledgement_does_not_tell_the_content_of_a_hidden_document() {
    let mut seen = Vec::new();
    for guess in [46, 48] {
        let mut hub = replica(1);
        let set = |replica: &mut Memory, value: i64| {
            let done = replica.commit(START_MS, Durability::Visible, |tx| {
                tx.document("wages", DocumentId::from_u64(1))?.set("n", value)?;
                Ok::<_, TransactionError>(())
            });
            done.unwrap();
        };
        set(&mut hub, 47);
        let rules = Rules::all(Right::ReadWrite).collection("wages", Right::Write);
        let (mut at_hub, mut at_spy) = (guarded(1, &rules), obeying(2));
        let (mut spy, mut forger) = (claiming(66, 66), claiming(1, 67));
        pump(&mut at_spy, &mut spy, &mut at_hub, &mut hub, START_MS).unwrap();
        let before = at_spy.status().cursor;
        set(&mut forger, guess);
        exchange_in_memory(&mut forger, &mut spy, START_MS).unwrap();
        pump(&mut at_spy, &mut spy, &mut at_hub, &mut hub, START_MS).unwrap();
        seen.push(at_spy.status().cursor - before);
    }
    assert_eq!(seen[0], seen[1], "a guess that is too low, one that is too high");
}

/// What a peer claims to have seen is "not believed", but for this: it makes the hub say that it is a copy.
#[test]
fn who_is_not_believed_does_not_make_the_hub_a_fork() {
    let (mut hub, mut reader, mut forger) = (replica(1), replica(66), claiming(1, 67));
    write(&mut hub, 0, &[("tasks", 1, "title")], "the hub's");
    for n in 0..5 {
        write(&mut forger, n, &[("tasks", 1, "title")], &n.to_string());
    }
    exchange_in_memory(&mut forger, &mut reader, START_MS).unwrap();
    let (mut at_hub, mut at_reader) = (guarded(1, &Rules::all(Right::Read)), obeying(2));
    let ended = pump(&mut at_reader, &mut reader, &mut at_hub, &mut hub, START_MS);
    assert!(!matches!(ended, Err(SessionError::Forked)), "{ended:?}");
}

/// Refusals are noted for the life that was claimed. One who may only read gets the changes of another refused
/// that it names before they come; their author, who may write, takes them out.
#[test]
fn who_may_only_read_does_not_get_the_changes_of_another_refused() {
    let (mut hub, mut writer, mut reader) = (replica(1), follower(2), claiming(2, 2));
    write(&mut reader, 1, &[("tasks", 1, "title")], "forged under the writer's next dot");
    let (mut at_hub, mut at_reader) = (guarded(5, &Rules::all(Right::Read).of("reader")), obeying(6));
    let refuses = |at_hub: &mut Session| {
        events(at_hub).iter().any(|event| matches!(event, SessionEvent::Refusing { .. }))
    };
    loop {
        while let Some(message) = at_reader.transmit(&mut reader, START_MS).unwrap() {
            at_hub.receive(&mut hub, &message, START_MS).unwrap();
        }
        if refuses(&mut at_hub) {
            break;
        }
        while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
            at_reader.receive(&mut reader, &message, START_MS).unwrap();
        }
    }
    write(&mut writer, 10, &[("tasks", 1, "title")], "the writer's");
    sync(&mut hub, &Rules::all(Right::ReadWrite).of("writer"), &mut writer);
    assert_eq!(writer.rejected().unwrap().len(), 0);
    assert_eq!(read(&mut hub, "tasks", 1, "title"), is("the writer's"));
}

/// Two that guard and obey, each with a refusal that the other has not heard of when a session breaks off, wait
/// for each other from then on, in every session: refusals are told only after a run, and a run waits for the refusals.
#[test]
fn two_guards_with_open_refusals_do_not_wait_for_each_other() {
    let (mut a, mut b) = (follower(1), follower(2));
    write(&mut a, 1, &[("wages", 1, "n")], "refused by b");
    write(&mut b, 2, &[("wages", 2, "n")], "refused by a");
    let (mut at_a, mut at_b) = (guarded(1, &no_wages()).obeying(), guarded(2, &no_wages()).obeying());
    let mut cut = false;
    while !cut {
        let mut to_b = Vec::new();
        while let Some(message) = at_a.transmit(&mut a, START_MS).unwrap() {
            to_b.push(message);
        }
        let mut to_a = Vec::new();
        while let Some(message) = at_b.transmit(&mut b, START_MS).unwrap() {
            to_a.push(message);
        }
        assert!(!to_a.is_empty() || !to_b.is_empty());
        for (to_a, to_b) in [(None, to_b.get(..)), (to_a.get(..), None)] {
            for message in to_b.into_iter().flatten() {
                at_b.receive(&mut b, message, START_MS).unwrap();
            }
            for message in to_a.into_iter().flatten() {
                at_a.receive(&mut a, message, START_MS).unwrap();
            }
        }
        cut = a.last_refusal(Life(2)).unwrap() > 0 && b.last_refusal(Life(1)).unwrap() > 0;
    }
    let (at_a, at_b) = both_guarded(&mut a, &mut b, &no_wages(), &no_wages());
    assert!(at_a.is_settled() && at_b.is_settled(), "nobody says anything");
}

/// A change that was refused and whose cells were overwritten before its author heard of it is in no state and
/// not among the rejected changes either: it is gone, and the event says that it was withdrawn.
#[test]
fn a_change_that_was_refused_and_overwritten_is_kept() {
    let (mut hub, mut client) = (replica(1), follower(2));
    let first = write(&mut client, 1, &[("wages", 1, "n")], "first");
    let (mut at_hub, mut at_client) = (guarded(5, &no_wages()), obeying(6));
    while hub.last_refusal(Life(2)).unwrap() == 0 {
        while let Some(message) = at_client.transmit(&mut client, START_MS).unwrap() {
            at_hub.receive(&mut hub, &message, START_MS).unwrap();
        }
        if hub.last_refusal(Life(2)).unwrap() == 0 {
            while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
                at_client.receive(&mut client, &message, START_MS).unwrap();
            }
        }
    }
    let second = write(&mut client, 2, &[("wages", 1, "n")], "second");
    let (_, mut at_client) = sync(&mut hub, &no_wages(), &mut client);
    assert!(events(&mut at_client).iter().any(
        |event| matches!(event, SessionEvent::ChangeRefused { dot, withdrawn: true, .. } if *dot == first)
    ));
    let rejected: Vec<_> = client.rejected().unwrap().iter().map(|change| change.dot).collect();
    assert_eq!(rejected, [first, second]);
}
