//! What is told of a change: which documents, which fields, and whether that is all.
#![allow(missing_docs)]

use crdt_core::{
    ChangeEvent, ChangeKind, Checkpoint, DocumentId, DocumentMut, Durability, Head, Life, MemoryStore,
    Namespace, Origin, Replica, ReplicaId, TransactionError, VersionVector,
};

fn replica(number: u64) -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    let mut replica = Replica::new(MemoryStore::new(head));
    replica.collect_events(true);
    replica
}

fn edit(replica: &mut Replica<MemoryStore>, ids: std::ops::Range<u64>, edit: impl Fn(&mut DocumentMut<'_>)) {
    replica
        .commit(1_000, Durability::Visible, |tx| {
            for id in ids {
                edit(&mut tx.document("tasks", DocumentId::from_u64(id))?);
            }
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

fn bring(from: &mut Replica<MemoryStore>, to: &mut Replica<MemoryStore>) {
    let head = from.head().unwrap();
    let documents = from.difference(&VersionVector::new(), None, usize::MAX).unwrap().documents;
    let (peer, replica, cursor) = (head.life, head.replica, head.sequence);
    to.apply(Checkpoint { peer, replica, cursor, context: vec![], documents, scope: 0, session: 0 }).unwrap();
}

/// What happened to each document, and the paths of its fields.
type Documents = Vec<(ChangeKind, Vec<String>)>;

fn told(replica: &mut Replica<MemoryStore>) -> Vec<(Origin, Documents)> {
    let events = replica.take_events().into_iter().map(|event| {
        assert!(!event.and_more);
        let documents = event.documents.into_iter().map(|change| {
            let path = |path: &crdt_core::Path| path.iter().map(|name| &**name).collect::<Vec<_>>().join(".");
            (change.kind, change.fields.iter().map(|field| path(&field.path)).collect())
        });
        (event.origin, documents.collect())
    });
    events.collect()
}

#[test]
fn the_fields_that_were_written_are_told_and_nothing_else() {
    let write = |document: &mut DocumentMut<'_>| {
        document.set("title", "some").unwrap();
        document.add_to("tags", 1).unwrap();
        document.add_to("tags", 2).unwrap();
        document.map("inner").unwrap().set("title", "within").unwrap();
    };
    let fields = ["inner.title", "tags", "title"].map(str::to_owned).to_vec();
    let (mut a, mut b) = (replica(1), replica(2));
    edit(&mut a, 1..2, write);
    let head = a.head().unwrap();
    let local = Origin::Local(crdt_core::Dot::new(head.replica, 1));
    assert_eq!(told(&mut a), [(local, vec![(ChangeKind::Appeared, fields.clone())])]);
    bring(&mut a, &mut b);
    let from_a = Origin::Peer(head.replica);
    assert_eq!(told(&mut b), [(from_a, vec![(ChangeKind::Appeared, fields)])]);
    bring(&mut a, &mut b);
    assert_eq!(told(&mut b), [], "nothing was new");
    edit(&mut a, 1..2, |document| document.set("title", "other").unwrap());
    bring(&mut a, &mut b);
    let of_title = vec![(ChangeKind::Updated, vec!["title".to_owned()])];
    assert_eq!(told(&mut b), [(from_a, of_title)]);
    edit(&mut a, 1..2, |document| {
        document.delete();
    });
    bring(&mut a, &mut b);
    let [(_, documents)] = &told(&mut b)[..] else { panic!("one event") };
    assert_eq!(documents[0].0, ChangeKind::Disappeared);
}

#[test]
#[cfg_attr(miri, ignore = "ten thousand documents, three times")]
fn more_documents_than_are_listed_are_told_of() {
    for (documents, more) in [(ChangeEvent::LISTED, false), (ChangeEvent::LISTED + 1, true)] {
        let (mut a, mut b) = (replica(1), replica(2));
        edit(&mut a, 0..documents as u64, |document| document.set("done", true).unwrap());
        bring(&mut a, &mut b);
        for replica in [&mut a, &mut b] {
            let [event] = &replica.take_events()[..] else { panic!("one event") };
            assert_eq!((event.documents.len(), event.and_more), (ChangeEvent::LISTED, more));
        }
    }
}

#[test]
fn a_field_with_two_values_is_told_to_be_in_conflict() {
    let tasks = crdt_core::Collection::new("tasks").field("notes", crdt_core::FieldType::Detect);
    let (mut a, mut b) = (replica(1), replica(2));
    b.declare(tasks.clone());
    a.declare(tasks);
    let conflicted = |b: &mut Replica<MemoryStore>| {
        let [event] = &b.take_events()[..] else { panic!("one event") };
        event.documents[0].fields.iter().map(|field| field.conflicted).collect::<Vec<_>>()
    };
    let write = |document: &mut DocumentMut<'_>| {
        document.set("notes", "one").unwrap();
        document.set("title", "some").unwrap();
    };
    edit(&mut b, 1..2, write);
    assert_eq!(conflicted(&mut b), [false, false]);
    edit(&mut a, 1..2, |document| document.set("notes", "another").unwrap());
    bring(&mut a, &mut b);
    assert_eq!(conflicted(&mut b), [true]);
}
