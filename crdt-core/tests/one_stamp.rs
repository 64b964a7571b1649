//! A transaction has one stamp. It learns it at its end, because it has to exceed all that it overwrites, and then all
//! that it wrote before has it too, whatever the kind of cell: otherwise half of a transaction could lose to another one.
#![allow(missing_docs)]

use std::collections::BTreeSet;

use crdt_core::cells::Written;
use crdt_core::{
    Address, Cell, CellKind, Change, Checkpoint, Collection, Document, DocumentId, Durability, FieldType,
    Head, Hlc, Life, MemoryStore, Name, Namespace, Payload, Replica, ReplicaId, Stamp, TransactionError,
    VersionVector,
};

const NOW_MS: u64 = 1_790_000_000_000;
const TASK: DocumentId = DocumentId::from_u64(1);
const NOTE: DocumentId = DocumentId::from_u64(2);

/// A replica that holds something of every kind, and a title that was written by a clock far ahead.
fn overtaken() -> (Replica<MemoryStore>, Stamp) {
    let head = Head::new(Namespace::from_secret("one stamp"), ReplicaId::from_u64(1), Life(1));
    let mut replica = Replica::new(MemoryStore::new(head));
    replica.declare(Collection::new("tasks").field("notes", FieldType::Detect));
    replica.declare(Collection::new("notes").delete_wins());
    let prepared = replica.commit(NOW_MS, Durability::Visible, |tx| {
        tx.document("notes", NOTE)?.set("text", "soon deleted")?;
        let mut task = tx.document("tasks", TASK)?;
        task.increment("votes", 3)?;
        task.increment("steps", 3)?;
        task.add_to("tags", "old")?;
        task.enable("done")?;
        task.set("gone", 1)?;
        Ok::<_, TransactionError>(())
    });
    prepared.unwrap();
    let stamp = Stamp { epoch: 0, hlc: Hlc::from_ms(NOW_MS + 86_400_000), replica: ReplicaId::from_u64(9) };
    let by = Change { stamp, counter: 1 };
    let mut ahead = Document::new();
    let title = Cell::Register(Written::Open { by, content: Payload::from("from tomorrow") });
    ahead.merge_cell(&[Name::from("title")], title);
    let (documents, context) = (vec![(Address::new("tasks", TASK), ahead)], vec![by.dot()]);
    let (peer, author) = (Life(9), by.replica());
    replica
        .apply(Checkpoint { peer, replica: author, cursor: 1, context, documents, scope: 0, session: 0 })
        .unwrap();
    (replica, stamp)
}

#[test]
fn what_a_transaction_wrote_before_its_stamp_was_raised_has_the_raised_one_too() {
    let (mut replica, overwritten) = overtaken();
    let committed = replica.commit(NOW_MS + 1, Durability::Visible, |tx| {
        tx.document("notes", NOTE)?.delete();
        let mut task = tx.document("tasks", TASK)?;
        task.increment("votes", 1)?;
        task.reset("steps")?;
        task.add_to("tags", "new")?;
        task.remove_from("tags", "old")?;
        task.enable("urgent")?;
        task.disable("done")?;
        task.set("notes", "one of several")?;
        task.remove("gone")?;
        task.map("place")?.set("city", "Graz")?;
        // Only this one overwrites something later.
        task.set("title", "after it")?;
        Ok::<_, TransactionError>(())
    });
    let dot = committed.unwrap().dot.unwrap();
    let (mut kinds, mut stamps) = (BTreeSet::new(), BTreeSet::new());
    for (_, document) in replica.difference(&VersionVector::new(), None, usize::MAX).unwrap().documents {
        document.visit(&mut |_, cell| {
            if cell.set_by().dot() == dot {
                kinds.insert(cell.kind());
                stamps.insert(cell.set_by().stamp);
            }
        });
    }
    assert_eq!(kinds, BTreeSet::from(CellKind::ALL), "the test writes every kind of cell");
    assert_eq!(stamps.len(), 1, "{stamps:?}");
    assert!(*stamps.first().unwrap() > overwritten);
}
