//! What a replica does that holds a part: what it lets go of, what it keeps of that, and what it claims.
#![allow(missing_docs)]

use crdt_core::{
    Address, Asked, Checkpoint, Document, DocumentId, DocumentMut, Durability, Head, Life, MemoryStore,
    Namespace, Replica, ReplicaId, Scope, Store as _, TransactionError, VersionVector,
};

type Memory = Replica<MemoryStore>;

const SERVER: Life = Life(9);

fn replica(number: u64) -> Memory {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    Replica::new(MemoryStore::new(head))
}

fn edit(replica: &mut Memory, id: u64, edit: impl FnOnce(&mut DocumentMut<'_>)) {
    replica
        .commit(1_000, Durability::Visible, |tx| {
            edit(&mut tx.document("tasks", DocumentId::from_u64(id))?);
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

fn write(replica: &mut Memory, id: u64) {
    edit(replica, id, |document| document.set("title", "some").unwrap());
}

fn only(ids: impl IntoIterator<Item = u64>) -> Scope {
    Scope::nothing().documents("tasks", ids.into_iter().map(DocumentId::from_u64))
}

fn all(replica: &mut Memory) -> Vec<(Address, Document)> {
    replica.difference(&VersionVector::new(), None, 100).unwrap().documents
}

fn arrive(replica: &mut Memory, peer: Life, cursor: u64, documents: Vec<(Address, Document)>) {
    let scope = replica.scope_number(peer).unwrap();
    let of = ReplicaId::from_u64(peer.0);
    let came = Checkpoint { peer, replica: of, cursor, context: vec![], documents, scope, session: 0 };
    replica.apply(came).unwrap();
}

/// The server has everything: lets go of what may go.
fn evict(replica: &mut Memory) -> u64 {
    let (sequence, ours) = (replica.head().unwrap().sequence, replica.subscription().unwrap());
    replica.evict(&Scope::everything(), sequence, ours.generation).unwrap()
}

#[test]
fn what_is_outside_goes_once_and_that_is_told() {
    let mut replica = replica(1);
    (0..4).for_each(|id| write(&mut replica, id));
    assert!(!replica.has_outside().unwrap());
    assert!(replica.subscribe(only([1, 2])).unwrap() && !replica.subscribe(only([1, 2])).unwrap());
    assert_eq!(replica.subscription().unwrap().scope, only([1, 2]));
    assert!(replica.has_outside().unwrap(), "there may be something");
    replica.collect_events(true);
    let generation = replica.subscription().unwrap().generation;
    let sequence = replica.head().unwrap().sequence;
    assert_eq!(replica.evict(&Scope::everything(), sequence, generation + 1).unwrap(), 0, "another scope");
    assert_eq!(
        replica.evict(&only([0, 1]), sequence, generation).unwrap(),
        1,
        "the other one is kept by nobody"
    );
    assert!(replica.has_outside().unwrap());
    assert_eq!(evict(&mut replica), 1);
    assert!(!replica.has_outside().unwrap());
    let steps = replica.head().unwrap().sequence;
    assert_eq!(evict(&mut replica), 0);
    let gone: usize = replica.take_events().iter().map(|event| event.documents.len()).sum();
    assert_eq!((gone, all(&mut replica).len()), (2, 2));
    assert_eq!(replica.head().unwrap().sequence, steps, "where nothing goes there is no step");
    assert_eq!(replica.serves().unwrap().evictions, 2);
    // What is written outside all the same goes when it is elsewhere.
    write(&mut replica, 1);
    edit(&mut replica, 2, |document| document.set("title", "other").unwrap());
    assert!(!replica.has_outside().unwrap());
    write(&mut replica, 7);
    assert!(replica.has_outside().unwrap());
    assert_eq!((evict(&mut replica), all(&mut replica).len()), (1, 2));
    // What waits is forgotten with the scope that it was outside of.
    write(&mut replica, 8);
    replica.subscribe(Scope::everything()).unwrap();
    assert!(!replica.has_outside().unwrap());
}

/// Others may not have heard of all of it, and what it says is true whenever it is heard.
#[test]
fn what_was_counted_here_comes_back_with_the_document_and_nothing_else() {
    let (mut server, mut replica) = (replica(9), replica(1));
    edit(&mut server, 1, |document| document.increment("votes", 100).unwrap());
    let older = all(&mut server);
    arrive(&mut replica, SERVER, 1, older.clone());
    edit(&mut replica, 1, |document| {
        document.increment("votes", 5).unwrap();
        document.set("title", "not with them").unwrap();
    });
    write(&mut replica, 2);
    replica.subscribe(only([])).unwrap();
    assert_eq!(evict(&mut replica), 2);
    replica.subscribe(Scope::everything()).unwrap();
    let counted = |replica: &mut Memory| {
        let view = replica.read("tasks", DocumentId::from_u64(1)).unwrap();
        (view.counter("votes"), view.get("title").unwrap().is_some())
    };
    arrive(&mut replica, SERVER, 2, older);
    assert_eq!(counted(&mut replica), (105, false));
    edit(&mut replica, 1, |document| document.increment("votes", 1).unwrap());
    assert_eq!(counted(&mut replica), (106, false));
    // And when it is written here before it comes.
    replica.subscribe(only([])).unwrap();
    evict(&mut replica);
    edit(&mut replica, 1, |document| document.increment("votes", 2).unwrap());
    assert_eq!(counted(&mut replica), (8, false), "what was counted here, as far as is known");
}

#[test]
fn own_changes_that_may_be_gone_are_not_claimed_until_there_is_another_id() {
    let mut replica = replica(1);
    write(&mut replica, 1);
    let own = crdt_core::Dot::new(ReplicaId::from_u64(1), 1);
    let others = crdt_core::Dot::new(ReplicaId::from_u64(8), 3);
    let (peer, of, context) = (Life(8), others.replica, vec![others]);
    let documents = Vec::new();
    let came = Checkpoint { peer, replica: of, cursor: 1, context, documents, scope: 0, session: 0 };
    replica.apply(came).unwrap();
    replica.subscribe(only([2])).unwrap();
    let narrow = replica.subscription().unwrap();
    assert!(narrow.vouches_for_own() && replica.seen().unwrap().contains(own));
    assert!(replica.seen().unwrap().contains(others), "what was seen of everything was seen of a part");
    replica.subscribe(Scope::everything()).unwrap();
    let wide = replica.subscription().unwrap();
    assert!(!wide.vouches_for_own() && !replica.seen().unwrap().contains(own));
    assert!(!replica.seen().unwrap().contains(others), "and the other way round it was not");
    replica.renew_identity(ReplicaId::from_u64(2), Life(2)).unwrap();
    let renewed = replica.subscription().unwrap();
    assert!(renewed.vouches_for_own());
    assert_eq!(renewed.generation, wide.generation + 1, "sessions that were told of the old one end");
    assert_eq!(replica.seen_of(own.replica).unwrap(), 0);
}

#[test]
fn each_cursor_is_remembered_with_what_it_stands_for() {
    let mut replica = replica(1);
    let asked = |replica: &mut Memory, peer: u64| -> Asked {
        replica.begin_session(Life(peer), ReplicaId::from_u64(peer), 0, 1).unwrap().asked
    };
    arrive(&mut replica, Life(8), 5, vec![]);
    replica.subscribe(only([1, 2])).unwrap();
    arrive(&mut replica, Life(9), 7, vec![]);
    for (peer, cursor) in [(8, 5), (9, 7)] {
        let asked = asked(&mut replica, peer);
        assert_eq!((asked.cursor, asked.known), (cursor, None), "of a part of what it stands for");
    }
    replica.subscribe(only([2, 3])).unwrap();
    arrive(&mut replica, Life(9), 8, vec![]);
    assert_eq!((asked(&mut replica, 8).cursor, asked(&mut replica, 8).known), (5, Some(only([2]))));
    assert_eq!((asked(&mut replica, 9).cursor, asked(&mut replica, 9).known), (8, None));
    // Under other rights it stands for nothing.
    let with_rights = replica.begin_session(Life(8), ReplicaId::from_u64(8), 77, 1).unwrap().asked;
    assert_eq!((with_rights.cursor, with_rights.known), (0, None));
    replica.subscribe(only([4])).unwrap();
    assert_eq!((asked(&mut replica, 8).cursor, asked(&mut replica, 8).known), (0, None), "nothing is left");
    for n in 10..30 {
        replica.subscribe(only([4, n])).unwrap();
        asked(&mut replica, 9);
    }
    let notes = replica.store_mut().notes_after(b"scope", &[], 1_000).unwrap();
    assert!(notes.len() < 8, "{} scopes are remembered", notes.len());
}
