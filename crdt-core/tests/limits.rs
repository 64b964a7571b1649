//! Every limit of the core: taken at the limit, refused one past it, with nothing changed.
#![allow(missing_docs)]

use crdt_core::{
    Collection, DocumentId, DocumentMut, Durability, EditError, FieldType, Fields, Head, Life, LimitExceeded,
    Limits, MemoryStore, Namespace, OpenError, Replica, ReplicaId, TransactionError, Value,
};

const LIMITS: Limits = Limits::DEFAULT;

fn replica() -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("limits"), ReplicaId::from_u64(1), Life(1));
    let mut replica = Replica::new(MemoryStore::new(head));
    let endless = (0..70).fold(Fields::new(), |inner, _| Fields::from([("m".into(), FieldType::Map(inner))]));
    replica.declare(Collection::new("deep").field("m", FieldType::Map(endless)));
    replica
}

/// Tries an edit that is refused, sees that nothing changed, and that the transaction could go on.
fn refused(edit: impl FnOnce(&mut DocumentMut<'_>) -> Result<(), EditError>) -> EditError {
    let mut replica = replica();
    let id = DocumentId::from_u64(1);
    let mut error = None;
    replica
        .commit(1, Durability::Visible, |tx| {
            let mut document = tx.document("tasks", id)?;
            error = Some(edit(&mut document).expect_err("one past the limit"));
            assert!(!document.view().exists(), "nothing was touched");
            Ok::<_, TransactionError>(())
        })
        .unwrap();
    assert_eq!(replica.head().unwrap().counter, 0);
    error.unwrap()
}

fn taken(edit: impl FnOnce(&mut DocumentMut<'_>) -> Result<(), EditError>) {
    let id = DocumentId::from_u64(1);
    let commit = replica().commit(1, Durability::Visible, |tx| {
        edit(&mut tx.document("tasks", id)?)?;
        Ok::<_, TransactionError>(())
    });
    assert!(commit.unwrap().dot.is_some());
}

fn is_limit(error: &EditError, size: usize, limit: usize) -> bool {
    matches!(error, EditError::Limit(LimitExceeded { size: s, limit: l, .. }) if (*s, *l) == (size, limit))
}

#[test]
fn names() {
    let name = |len| "n".repeat(len);
    taken(|d| d.set(name(LIMITS.name_bytes), 1));
    taken(|d| d.set("", "an empty name is a name"));
    for error in [
        refused(|d| d.set(name(LIMITS.name_bytes + 1), 1)),
        refused(|d| d.increment(name(LIMITS.name_bytes + 1), 1)),
        refused(|d| d.add_to(name(LIMITS.name_bytes + 1), 1)),
        refused(|d| d.enable(name(LIMITS.name_bytes + 1))),
        refused(|d| d.map(name(LIMITS.name_bytes + 1)).map(|_| ())),
    ] {
        assert!(is_limit(&error, LIMITS.name_bytes + 1, LIMITS.name_bytes), "{error}");
    }
    let opened = replica().commit(1, Durability::Visible, |tx| {
        tx.document(name(LIMITS.name_bytes), DocumentId::from_u64(1))?.set("a", 1)?;
        let refused = tx.document(name(LIMITS.name_bytes + 1), DocumentId::from_u64(1));
        assert!(matches!(refused, Err(OpenError::Limit(_))));
        Ok::<_, TransactionError>(())
    });
    assert!(opened.unwrap().dot.is_some());
}

#[test]
fn values_and_elements() {
    // A long text takes one byte of tag and three of length.
    let text = |len: usize| "v".repeat(len - 4);
    taken(|d| d.set("a", text(LIMITS.value_bytes)));
    taken(|d| d.add_to("a", text(LIMITS.value_bytes)));
    for error in [
        refused(|d| d.set("a", text(LIMITS.value_bytes + 1))),
        refused(|d| d.add_to("a", text(LIMITS.value_bytes + 1))),
    ] {
        assert!(is_limit(&error, LIMITS.value_bytes + 1, LIMITS.value_bytes), "{error}");
    }
}

/// Sets a field so many maps deep.
fn descend(document: &mut DocumentMut<'_>, depth: usize) -> Result<(), EditError> {
    if depth == 0 { document.set("a", 1) } else { descend(&mut document.map("m")?, depth - 1) }
}

#[test]
fn nesting() {
    let nested = |depth| (0..depth).fold(Value::Null, |inner, _| Value::from(vec![inner]));
    taken(|d| d.set("a", nested(LIMITS.depth)));
    let error = refused(|d| d.set("a", nested(LIMITS.depth + 1)));
    assert!(is_limit(&error, LIMITS.depth + 1, LIMITS.depth), "{error}");

    taken(|d| descend(d, LIMITS.depth));
    let error = refused(|d| descend(d, LIMITS.depth + 1));
    assert!(is_limit(&error, LIMITS.depth + 1, LIMITS.depth), "{error}");
}

#[test]
fn documents_of_a_transaction() {
    let mut replica = replica();
    let commit = replica.commit(1, Durability::Visible, |tx| {
        for id in 0..LIMITS.documents_per_transaction as u64 {
            tx.document("tasks", DocumentId::from_u64(id))?;
        }
        let one_more = tx.document("tasks", DocumentId::from_u64(u64::MAX));
        assert!(matches!(one_more, Err(OpenError::Limit(_))));
        tx.document("tasks", DocumentId::from_u64(0))?.set("a", 1)?;
        Ok::<_, TransactionError>(())
    });
    assert!(commit.unwrap().dot.is_some(), "what is open can still be edited");
}

#[test]
fn counters() {
    let up = |d: &mut DocumentMut<'_>| (0..2).try_for_each(|_| d.increment("a", i64::MAX));
    taken(|d| {
        up(d)?;
        d.increment("a", 1) // 2^64 − 1
    });
    let mut replica = replica();
    let id = DocumentId::from_u64(1);
    replica
        .commit(1, Durability::Visible, |tx| {
            let mut document = tx.document("tasks", id)?;
            up(&mut document)?;
            document.increment("a", 1)?;
            (0..2).try_for_each(|_| document.increment("a", i64::MIN + 1))?;
            document.increment("a", -1)?;
            for one_more in [1, -1] {
                let refused = document.increment("a", one_more);
                assert!(matches!(refused, Err(EditError::Overflow(_))), "{refused:?}");
            }
            Ok::<_, TransactionError>(())
        })
        .unwrap();
    assert_eq!(replica.read("tasks", id).unwrap().counter("a"), 0);
}
