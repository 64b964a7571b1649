//! What documents show under a schema, also where somebody wrote under another one, and what the schema refuses.
#![allow(missing_docs)]

use crdt_core::{
    Checkpoint, Collection, Conflict, DocumentId, DocumentMut, DocumentView, Durability, EditError,
    FieldType, Fields, Head, Life, MemoryStore, Namespace, Reading, Replica, ReplicaId, Resolver,
    TransactionError, Value, VersionVector,
};

fn replica(number: u64, field: Option<FieldType>) -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    let mut replica = Replica::new(MemoryStore::new(head));
    if let Some(field) = field {
        replica.declare(Collection::new("tasks").field("field", field));
    }
    replica
}

fn edit(replica: &mut Replica<MemoryStore>, edit: impl FnOnce(&mut DocumentMut<'_>)) {
    replica
        .commit(1_000, Durability::Visible, |tx| {
            edit(&mut tx.document("tasks", DocumentId::from_u64(1))?);
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

fn bring(from: &mut Replica<MemoryStore>, to: &mut Replica<MemoryStore>) {
    let head = from.head().unwrap();
    let documents = from.difference(&VersionVector::new(), None, 10).unwrap().documents;
    let (peer, replica, cursor) = (head.life, head.replica, head.sequence);
    to.apply(Checkpoint { peer, replica, cursor, context: vec![], documents, scope: 0, session: 0 }).unwrap();
}

fn shown(replica: &mut Replica<MemoryStore>) -> DocumentView {
    replica.read("tasks", DocumentId::from_u64(1)).unwrap()
}

/// Shows the longer text, and notes with a mark that it had to choose.
fn longest() -> FieldType {
    let choose = |several: &[crdt_core::Sibling<'_, crdt_core::Payload>]| {
        let texts = several.iter().filter_map(|sibling| sibling.value.value()?.as_str());
        texts.max_by_key(|text| text.len()).map(|text| Value::from(format!("{text}, of {}", several.len())))
    };
    FieldType::Custom(Resolver::new("longest", 1, choose))
}

fn all_types() -> [FieldType; 10] {
    [
        FieldType::Lww,
        FieldType::Detect,
        FieldType::Manual,
        longest(),
        FieldType::Counter,
        FieldType::GrowCounter,
        FieldType::Set,
        FieldType::GrowSet,
        FieldType::Flag,
        FieldType::Map(Fields::new()),
    ]
}

type Write = fn(&mut DocumentMut<'_>) -> Result<(), EditError>;

#[test]
fn what_was_written_with_another_type_is_kept_and_told() {
    // What is written, what takes it away again, and the types that are of that kind.
    let kinds: [(Write, Write, &[&str]); 5] = [
        (|d| d.set("field", 1), |_| Ok(()), &["lww", "detect", "manual", "custom"]),
        (|d| d.increment("field", 2), |d| d.increment("field", -2), &["counter", "grow-only counter"]),
        (|d| d.add_to("field", 1), |d| d.remove_from("field", 1), &["set", "grow-only set"]),
        (|d| d.enable("field"), |d| d.disable("field"), &["flag"]),
        (|d| d.map("field")?.set("inner", 1), |d| d.remove("field"), &["map"]),
    ];
    for (kind, (write, take_away, fitting)) in kinds.into_iter().enumerate() {
        let mut writer = replica(1, None);
        edit(&mut writer, |document| write(document).unwrap());
        for declared in all_types() {
            let name = declared.name();
            let mut reader = replica(2, Some(declared));
            bring(&mut writer, &mut reader);
            let odd = shown(&mut reader).fields().unexpected().len();
            assert_eq!(odd, usize::from(!fitting.contains(&name)), "kind {kind} under {name}");
        }
        if kind > 0 {
            edit(&mut writer, |document| take_away(document).unwrap());
            for declared in all_types() {
                let name = declared.name();
                let mut reader = replica(2, Some(declared));
                bring(&mut writer, &mut reader);
                assert!(shown(&mut reader).fields().unexpected().is_empty(), "kind {kind} under {name}");
            }
        }
    }
    let mut free = replica(1, None);
    edit(&mut free, |document| document.set("field", 1).unwrap());
    assert!(shown(&mut free).fields().unexpected().is_empty(), "where nothing is declared nothing is odd");
}

/// Two values that were written without knowing of each other.
fn two_values(declared: FieldType) -> Replica<MemoryStore> {
    let (mut a, mut b) = (replica(1, Some(declared.clone())), replica(2, Some(declared)));
    edit(&mut a, |document| document.set("field", "a long one").unwrap());
    edit(&mut b, |document| {
        document.set("field", "short").unwrap();
        document.set("other", 1).unwrap();
    });
    bring(&mut b, &mut a);
    a
}

#[test]
fn concurrent_values_are_shown_as_the_type_says() {
    let text = |text: &str| Ok(Some(Value::from(text)));
    let conflict = Err(Conflict { field: "field".into(), values: 2 });
    let expected = [
        (FieldType::Lww, text("short"), 0),
        (FieldType::Detect, text("short"), 1),
        (FieldType::Manual, conflict, 1),
        (longest(), text("a long one, of 2"), 1),
    ];
    for (declared, shows, conflicted) in expected {
        let name = declared.name();
        let mut replica = two_values(declared.clone());
        let view = shown(&mut replica);
        let value = view.get("field").map(|value| value.map(std::borrow::Cow::into_owned));
        assert_eq!(value, shows, "{name}");
        assert_eq!(view.fields().conflicted().count(), conflicted, "{name}");
        assert_eq!(matches!(view.fields().read("field"), Reading::Conflict(_)), shows.is_err(), "{name}");
        let Some(Value::Object(fields)) = view.to_value() else { panic!("{name}: a document is an object") };
        assert_eq!(fields.len(), 2, "{name}");
        if let Ok(value) = shows {
            assert_eq!(fields.get("field"), value.as_ref(), "{name}");
        } else {
            let both = ["a long one", "short"].map(Value::from);
            let Some(Value::Object(shown)) = fields.get("field") else { panic!("an object in its place") };
            assert_eq!(shown.get("$conflict"), Some(&Value::Array(both.into())));
        }
        // Whoever writes again has seen both. Only where there is nothing to see that is to be said.
        edit(&mut replica, |document| {
            let refused = document.set("field", "one");
            let unresolved = matches!(refused, Err(EditError::Unresolved { .. }));
            assert_eq!(unresolved, matches!(declared, FieldType::Manual), "{name}: {refused:?}");
            document.resolve("field", "one").unwrap();
            document.set("field", "one").unwrap();
        });
        let view = shown(&mut replica);
        assert_eq!(view.get("field").unwrap().unwrap().as_str(), Some("one"), "{name}");
        assert_eq!(view.fields().conflicted().count(), 0, "{name}");
    }
}

/// Siblings that were kept under another declaration are nothing to be listed where the latest wins.
#[test]
fn where_the_latest_wins_nothing_is_in_conflict() {
    let mut replica = two_values(FieldType::Detect);
    replica.declare(Collection::new("tasks").field("field", FieldType::Lww));
    let view = shown(&mut replica);
    assert_eq!(view.fields().conflicted().count(), 0);
    assert_eq!(view.conflicts("field").len(), 2, "they are there all the same");
}

#[test]
fn what_only_grows_is_not_counted_down_or_taken_from() {
    let mut replica = replica(1, Some(FieldType::GrowCounter));
    edit(&mut replica, |document| {
        document.increment("field", 5).unwrap();
        assert!(matches!(document.increment("field", -1), Err(EditError::OnlyGrows { .. })));
        document.increment("field", 0).unwrap();
        assert!(matches!(document.reset("field"), Err(EditError::OnlyGrows { .. })));
        assert!(matches!(document.remove("field"), Err(EditError::OnlyGrows { .. })));
        document.increment("free", 5).unwrap();
        document.increment("free", -7).unwrap();
        assert!(matches!(document.set("field", 1), Err(EditError::WrongType { .. })));
    });
    assert_eq!((shown(&mut replica).counter("field"), shown(&mut replica).counter("free")), (5, -2));
}

/// Each kind alone: what is removed is gone, and removing what is not there writes nothing.
#[test]
fn whatever_a_field_holds_is_removed() {
    let writes: [Write; 5] = [
        |d| d.set("field", 1),
        |d| d.increment("field", 2),
        |d| d.add_to("field", 1),
        |d| d.enable("field"),
        |d| d.map("field")?.set("inner", 1),
    ];
    for (kind, write) in writes.into_iter().enumerate() {
        let mut replica = replica(1, None);
        edit(&mut replica, |document| document.ensure().unwrap());
        let before = replica.head().unwrap();
        edit(&mut replica, |document| document.remove("field").unwrap());
        assert_eq!(replica.head().unwrap().counter, before.counter, "there was nothing to remove");
        edit(&mut replica, |document| write(document).unwrap());
        assert!(shown(&mut replica).get("field").unwrap().is_some(), "kind {kind}");
        edit(&mut replica, |document| document.remove("field").unwrap());
        assert_eq!(shown(&mut replica).get("field").unwrap(), None, "kind {kind}");
        let counter = replica.head().unwrap().counter;
        edit(&mut replica, |document| document.remove("field").unwrap());
        assert_eq!(replica.head().unwrap().counter, counter, "kind {kind}: it was gone already");
    }
}

/// For privacy: not a deletion alone, which keeps what it hides. An element of a set is the name of its mark, and stays.
#[test]
fn the_values_of_what_is_erased_are_in_no_state_any_more() {
    let mut replica = replica(1, Some(FieldType::Detect));
    edit(&mut replica, |document| {
        document.set("field", "a secret").unwrap();
        document.set("free", "another secret").unwrap();
        document.add_to("tags", "a secret tag").unwrap();
        document.increment("votes", 5).unwrap();
        document.map("inner").unwrap().set("title", "a secret within").unwrap();
    });
    let held = |replica: &mut Replica<MemoryStore>| {
        let bytes = replica.canonical_bytes().unwrap();
        bytes.windows(6).filter(|part| part == b"secret").count()
    };
    assert_eq!(held(&mut replica), 4);
    edit(&mut replica, |document| {
        document.delete();
    });
    assert_eq!(held(&mut replica), 4, "deleted is hidden");
    edit(&mut replica, |document| document.erase().unwrap());
    assert_eq!(held(&mut replica), 1, "the element");
    // What comes back then comes back alone.
    edit(&mut replica, |document| document.set("other", 1).unwrap());
    let Some(Value::Object(fields)) = shown(&mut replica).to_value() else { panic!("it is there again") };
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["other"]);
}
