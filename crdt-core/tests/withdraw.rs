//! Taking changes back: what they had replaced stands again, and what was taken back stays away.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use crdt_core::{
    DocumentId, Dot, Durability, Head, Life, MemoryStore, Namespace, Refusal, Replica, ReplicaId,
    TransactionError, Withdrawal,
};

const SERVER: ReplicaId = ReplicaId::from_u64(9);

fn replica() -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(1), Life(1));
    let mut replica = Replica::new(MemoryStore::new(head));
    replica.follow().unwrap();
    replica
}

fn commit(replica: &mut Replica<MemoryStore>, id: u64, title: &str, votes: i64) -> Dot {
    let done = replica.commit(1_000, Durability::Visible, |tx| {
        let mut document = tx.document("tasks", DocumentId::from_u64(id))?;
        document.set("title", title)?;
        document.increment("votes", votes)?;
        Ok::<_, TransactionError>(())
    });
    done.unwrap().dot.unwrap()
}

/// The server refuses some changes of a document of which it holds nothing.
fn withdraw(replica: &mut Replica<MemoryStore>, id: u64, refused: &[Dot]) {
    let address = crdt_core::Address::new("tasks", DocumentId::from_u64(id));
    let refused: BTreeMap<Dot, Refusal> = refused.iter().map(|dot| (*dot, Refusal::new(403, "no"))).collect();
    let documents = vec![(address, crdt_core::Document::new())];
    replica.withdraw(Withdrawal { peer: Life(9), session: 0, replica: SERVER, refused, documents }).unwrap();
    let mut sum = crdt_core::Fingerprint::EMPTY;
    let head = replica.head().unwrap();
    for (id, document) in replica.list("tasks", None, 100).unwrap() {
        let address = crdt_core::Address::new("tasks", id);
        sum = sum.plus(document.state().fingerprint(&head.namespace, &address));
    }
    assert_eq!(sum, head.root, "the books are kept");
}

fn shown(replica: &mut Replica<MemoryStore>, id: u64) -> Option<(String, i128)> {
    let view = replica.read("tasks", DocumentId::from_u64(id)).unwrap();
    let title = view.get("title").unwrap()?.as_str()?.to_owned();
    Some((title, view.counter("votes")))
}

fn says(title: &str, votes: i128) -> (String, i128) {
    (title.to_owned(), votes)
}

#[test]
fn whatever_the_order_of_refusals_what_was_refused_stays_away() {
    let dots_of = || {
        let mut replica = replica();
        let dots = ["a", "b", "c"].map(|title| commit(&mut replica, 1, title, 1));
        (replica, dots)
    };
    let before = Some(says("c", 3));
    // One after the other, in both orders: b must not come back when c goes.
    let (mut replica, [_, b, c]) = dots_of();
    withdraw(&mut replica, 1, &[b]);
    assert_eq!(shown(&mut replica, 1), before, "c stands, with all that it had counted");
    withdraw(&mut replica, 1, &[c]);
    assert_eq!(shown(&mut replica, 1), Some(says("a", 1)));
    let (mut replica, [_, b, c]) = dots_of();
    withdraw(&mut replica, 1, &[c]);
    assert_eq!(shown(&mut replica, 1), Some(says("b", 2)));
    withdraw(&mut replica, 1, &[b]);
    assert_eq!(shown(&mut replica, 1), Some(says("a", 1)));
    // Together, and then the rest.
    let (mut replica, [a, b, c]) = dots_of();
    withdraw(&mut replica, 1, &[b, c]);
    assert_eq!(shown(&mut replica, 1), Some(says("a", 1)));
    withdraw(&mut replica, 1, &[a]);
    assert_eq!(shown(&mut replica, 1), None);
    assert!(replica.canonical_bytes().unwrap().len() < 10, "nothing is left");
    // What is written next counts on from what stands.
    commit(&mut replica, 1, "d", 5);
    assert_eq!(shown(&mut replica, 1), Some(says("d", 5)));
}

#[test]
fn what_the_server_has_taken_needs_no_undoing() {
    let mut replica = replica();
    for round in 0..3 {
        (0..5).for_each(|n| {
            commit(&mut replica, 1, &format!("{round} {n}"), 1);
        });
        let sequence = replica.head().unwrap().sequence;
        replica.confirmed(sequence).unwrap();
        let left = crdt_core::Store::notes_after(replica.store_mut(), b"undo", &[], 100).unwrap();
        assert!(left.is_empty(), "{} notes", left.len());
    }
    // Without a server nothing is kept.
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(1), Life(1));
    let mut free = Replica::new(MemoryStore::new(head));
    commit(&mut free, 1, "a", 1);
    commit(&mut free, 1, "b", 1);
    assert!(crdt_core::Store::notes_after(free.store_mut(), b"undo", &[], 100).unwrap().is_empty());
}

#[test]
fn a_rejected_change_tells_what_the_user_saw() {
    let mut replica = replica();
    commit(&mut replica, 1, "kept", 1);
    let refused = commit(&mut replica, 1, "refused", 2);
    withdraw(&mut replica, 1, &[refused]);
    let [rejected] = &replica.rejected().unwrap()[..] else { panic!("one change") };
    assert_eq!((rejected.dot, rejected.by, rejected.refusal.code()), (refused, SERVER, 403));
    let (address, document) = &rejected.documents[0];
    let view = replica.view(&address.collection, document.clone());
    assert_eq!((view.get("title").unwrap().unwrap().as_str(), view.counter("votes")), (Some("refused"), 3));
    let cells: Vec<_> = rejected.cells().map(|(_, cells)| cells.cell_count()).collect();
    assert_eq!(cells, [3], "presence, title, votes");
    // Heard of twice: the same.
    withdraw(&mut replica, 1, &[refused]);
    assert_eq!(replica.rejected().unwrap().len(), 1);
    assert!(replica.drop_rejected(refused).unwrap());
    assert!(replica.rejected().unwrap().is_empty());
}

#[test]
fn a_change_that_comes_back_and_is_refused_again_keeps_all_that_was_kept() {
    let mut replica = replica();
    let both = replica.commit(1_000, Durability::Visible, |tx| {
        tx.document("tasks", DocumentId::from_u64(1))?.set("title", "one")?;
        tx.document("tasks", DocumentId::from_u64(2))?.set("title", "two")?;
        Ok::<_, TransactionError>(())
    });
    let dot = both.unwrap().dot.unwrap();
    let address = |id| crdt_core::Address::new("tasks", DocumentId::from_u64(id));
    let part = replica.read("tasks", DocumentId::from_u64(1)).unwrap().state().clone();
    let refused = BTreeMap::from([(dot, Refusal::new(403, "no"))]);
    let documents = [1, 2].map(|id| (address(id), crdt_core::Document::new())).to_vec();
    let withdrawal = Withdrawal { peer: Life(9), session: 0, replica: SERVER, refused, documents };
    replica.withdraw(withdrawal).unwrap();
    assert_eq!(replica.rejected().unwrap()[0].documents.len(), 2);
    // A friend who had taken one of the two documents gives it back.
    let (peer, friend, documents) = (Life(5), ReplicaId::from_u64(5), vec![(address(1), part)]);
    let (cursor, context) = (1, Vec::new());
    let given =
        crdt_core::Checkpoint { peer, replica: friend, cursor, context, documents, scope: 0, session: 0 };
    replica.apply(given).unwrap();
    withdraw(&mut replica, 1, &[dot]);
    let [rejected] = &replica.rejected().unwrap()[..] else { panic!("one change") };
    assert_eq!(rejected.documents.len(), 2, "the other one is not lost");
}

#[test]
fn what_it_takes_to_take_back_can_be_carried_to_another_store() {
    let mut first = replica();
    commit(&mut first, 1, "kept", 1);
    let late = commit(&mut first, 1, "refused later", 2);
    let early = commit(&mut first, 2, "refused at once", 1);
    withdraw(&mut first, 2, &[early]);

    let mut second = replica();
    let documents = first.list("tasks", None, 10).unwrap();
    let documents =
        documents.into_iter().map(|(id, view)| (crdt_core::Address::new("tasks", id), view.state().clone()));
    let (peer, replica_id) = (Life(1), ReplicaId::from_u64(1));
    second.renew_identity(ReplicaId::from_u64(2), Life(2)).unwrap();
    let (cursor, context) = (first.head().unwrap().sequence, first.seen().unwrap().iter().collect());
    let documents = documents.collect();
    let checkpoint =
        crdt_core::Checkpoint { peer, replica: replica_id, cursor, context, documents, scope: 0, session: 0 };
    second.apply(checkpoint).unwrap();
    let notes = first.carried().unwrap();
    second.carry(&notes).unwrap();
    assert_eq!(second.rejected().unwrap(), first.rejected().unwrap());
    commit(&mut second, 1, "written on", 0);
    withdraw(&mut second, 1, &[late]);
    assert_eq!(shown(&mut second, 1), Some(says("written on", 1)), "and its own title stands");

    // Damaged notes are refused, and nothing of them is kept.
    for at in 0..notes.len() {
        for cut in [0, 5, notes[at].1.len() - 1] {
            let mut third = replica();
            let mut damaged = notes.clone();
            damaged[at].1.truncate(cut);
            assert!(third.carry(&damaged).is_err(), "note {at} cut at {cut}");
            assert!(third.carried().unwrap().is_empty());
        }
    }
}

/// A friend's change may be refused when it is brought to the server, long after what stood before it was taken.
#[test]
fn what_another_one_replaced_is_kept_until_that_is_taken_too() {
    let mut replica = replica();
    commit(&mut replica, 1, "mine", 1);
    let mut friend = Replica::new(MemoryStore::new(Head::new(
        Namespace::from_secret("test"),
        ReplicaId::from_u64(3),
        Life(3),
    )));
    let mine = || crdt_core::VersionVector::new();
    let before = replica.difference(&mine(), None, 9).unwrap().documents;
    let checkpoint = |life: u64, documents| crdt_core::Checkpoint {
        peer: Life(life),
        replica: ReplicaId::from_u64(life),
        cursor: 1,
        context: Vec::new(),
        documents,
        scope: 0,
        session: 0,
    };
    friend.apply(checkpoint(1, before)).unwrap();
    let theirs = commit(&mut friend, 1, "theirs", 2);
    let after = friend.difference(&mine(), None, 9).unwrap().documents;
    replica.apply(checkpoint(3, after)).unwrap();
    assert_eq!(shown(&mut replica, 1), Some(says("theirs", 3)));
    replica.confirmed(1).unwrap();
    withdraw(&mut replica, 1, &[theirs]);
    assert_eq!(shown(&mut replica, 1), Some(says("mine", 1)));
}

#[test]
fn what_is_taken_back_is_counted_and_told() {
    let mut replica = replica();
    let refused = commit(&mut replica, 1, "refused", 1);
    replica.collect_events(true);
    let address = crdt_core::Address::new("tasks", DocumentId::from_u64(1));
    let refused = BTreeMap::from([(refused, Refusal::new(403, "no"))]);
    let documents = vec![(address, crdt_core::Document::new())];
    let withdrawal = Withdrawal { peer: Life(9), session: 0, replica: SERVER, refused, documents };
    assert_eq!(replica.withdraw(withdrawal).unwrap().cells, 3, "presence, title, votes");
    let [event] = &replica.take_events()[..] else { panic!("one event") };
    let [change] = &event.documents[..] else { panic!("one document") };
    assert_eq!(change.kind, crdt_core::ChangeKind::Disappeared);
    let fields: Vec<_> = change.fields.iter().map(|field| &*field.path[0]).collect();
    assert_eq!(fields, ["title", "votes"]);
}

fn apply(replica: &mut Replica<MemoryStore>, life: u64, context: Vec<Dot>, from: &mut Replica<MemoryStore>) {
    let documents = from.difference(&crdt_core::VersionVector::new(), None, 9).unwrap().documents;
    let (peer, of, cursor) = (Life(life), ReplicaId::from_u64(life), from.head().unwrap().sequence);
    let came = crdt_core::Checkpoint { peer, replica: of, cursor, context, documents, scope: 0, session: 0 };
    replica.apply(came).unwrap();
}

fn other(number: u64) -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    Replica::new(MemoryStore::new(head))
}

/// To say that all of a replica was seen would keep from others what was taken out.
#[test]
fn of_whom_a_change_was_taken_out_nothing_is_claimed_any_more() {
    let (mut replica, mut friend) = (replica(), other(3));
    let theirs = commit(&mut friend, 1, "theirs", 1);
    let seen = [3, 4].map(|id| Dot::new(ReplicaId::from_u64(id), 1));
    apply(&mut replica, 3, seen.to_vec(), &mut friend);
    let claims = |replica: &mut Replica<MemoryStore>| {
        let window = replica.window(crdt_core::Position::default(), 9).unwrap();
        let of = [3, 4].map(|id| replica.seen_of(ReplicaId::from_u64(id)).unwrap());
        let all = replica.seen().unwrap();
        assert_eq!(seen.map(|dot| all.contains(dot)), of.map(|last| last > 0));
        (of, window.context)
    };
    assert_eq!(claims(&mut replica), ([1, 1], seen.to_vec()));
    // An own one says nothing of others.
    let mine = commit(&mut replica, 2, "mine", 1);
    withdraw(&mut replica, 2, &[mine]);
    assert_eq!(claims(&mut replica), ([1, 1], seen.to_vec()));
    withdraw(&mut replica, 1, &[theirs]);
    assert_eq!(claims(&mut replica), ([0, 1], vec![seen[1]]));
}

/// More than goes into one note, of one change and of one document.
#[test]
fn large_values_can_be_taken_back_and_stand_again() {
    let mut replica = replica();
    let write = |replica: &mut Replica<MemoryStore>, text: &str| {
        let done = replica.commit(1_000, Durability::Visible, |tx| {
            for id in 1..=3 {
                let mut document = tx.document("tasks", DocumentId::from_u64(id))?;
                for field in ["a", "b", "c"] {
                    document.set(field, text.repeat(30_000))?;
                }
            }
            Ok::<_, TransactionError>(())
        });
        done.unwrap().dot.unwrap()
    };
    write(&mut replica, "1");
    let refused = write(&mut replica, "2");
    let notes = crdt_core::Store::notes_after(replica.store_mut(), b"undo", &[], 100).unwrap();
    assert!(notes.len() > 1 && notes.iter().all(|(_, note)| note.len() < 128 << 10), "{}", notes.len());
    withdraw(&mut replica, 1, &[refused]);
    for id in 1..=3 {
        let view = replica.read("tasks", DocumentId::from_u64(id)).unwrap();
        for field in ["a", "b", "c"] {
            assert!(view.get(field).unwrap().unwrap().as_str().unwrap().starts_with('1'), "{id} {field}");
        }
    }
    let [rejected] = &replica.rejected().unwrap()[..] else { panic!("one change") };
    let cells: Vec<_> = rejected.documents.iter().map(|(_, document)| document.cell_count()).collect();
    assert_eq!(cells.len(), 3, "each document once: {cells:?}");
}

/// Its documents may come on different ways, and be refused one after the other.
#[test]
fn what_comes_of_a_refused_change_later_is_kept_with_the_rest() {
    let (mut replica, mut friend) = (replica(), other(3));
    let both = friend.commit(1_000, Durability::Visible, |tx| {
        tx.document("tasks", DocumentId::from_u64(1))?.set("title", "one")?;
        tx.document("tasks", DocumentId::from_u64(2))?.set("title", "two")?;
        Ok::<_, TransactionError>(())
    });
    let dot = both.unwrap().dot.unwrap();
    let mut halves = friend.difference(&crdt_core::VersionVector::new(), None, 9).unwrap().documents;
    for (id, cursor) in [(2, 1), (1, 2)] {
        let documents = vec![halves.pop().unwrap()];
        let (peer, of, context) = (Life(3), ReplicaId::from_u64(3), Vec::new());
        let came =
            crdt_core::Checkpoint { peer, replica: of, cursor, context, documents, scope: 0, session: 0 };
        replica.apply(came).unwrap();
        withdraw(&mut replica, id, &[dot]);
    }
    withdraw(&mut replica, 1, &[dot]);
    let [rejected] = &replica.rejected().unwrap()[..] else { panic!("one change") };
    assert_eq!(rejected.documents.len(), 2);
    assert!(rejected.documents.iter().all(|(_, document)| document.cell_count() > 0));
}

/// A refusal with more than fits a message: what is put aside before it is part of it, and gone after.
#[test]
fn what_was_put_aside_goes_with_a_refusal() {
    let mut replica = replica();
    let refused = commit(&mut replica, 1, "refused", 1);
    let mut server = other(9);
    commit(&mut server, 1, "the server's", 7);
    let mut batch = Vec::new();
    let documents = server.difference(&crdt_core::VersionVector::new(), None, 9).unwrap().documents;
    let borrowed = documents.iter().map(|(address, document)| (address, document));
    crdt_core::codec::encode_batch(&mut batch, &mut crdt_core::codec::Dictionary::new(), borrowed);
    replica.stage(Life(9), 0, &batch).unwrap();
    let refused = BTreeMap::from([(refused, Refusal::new(403, "no"))]);
    for (sequence, votes) in [(Some(2), 7), (None, 7)] {
        let documents = Vec::new();
        let withdrawal =
            Withdrawal { peer: Life(9), session: 0, replica: SERVER, refused: refused.clone(), documents };
        assert_eq!(replica.withdraw(withdrawal).unwrap().sequence, sequence);
        assert_eq!(shown(&mut replica, 1), Some(says("the server's", votes)));
        let left = crdt_core::Store::staged(replica.store_mut(), Life(9), 0).unwrap();
        assert!(left.is_none());
    }
}

#[test]
fn each_of_several_changes_that_came_at_once_can_be_taken_back() {
    let (mut replica, mut friend) = (replica(), other(3));
    for id in [1, 2] {
        commit(&mut replica, id, &format!("mine {id}"), 1);
    }
    apply(&mut friend, 1, Vec::new(), &mut replica);
    let theirs = [1, 2].map(|id| commit(&mut friend, id, "theirs", 1));
    apply(&mut replica, 3, Vec::new(), &mut friend);
    // So can they where somebody goes on from this state.
    let (notes, mut next) = (replica.carried().unwrap(), other(4));
    assert!(notes.len() > 1);
    next.carry(&notes).unwrap();
    assert_eq!(next.carried().unwrap().len(), notes.len());
    for id in [1, 2] {
        withdraw(&mut replica, id, &theirs);
        assert_eq!(shown(&mut replica, id), Some(says(&format!("mine {id}"), 1)));
    }
}
