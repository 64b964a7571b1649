//! Every limit of the core: taken at the limit, refused one past it, with nothing changed.
#![allow(missing_docs)]

#[path = "tries/under_miri.rs"]
mod under_miri;

use crdt_core::cells::{Mark, Written};
use crdt_core::codec::{
    DecodeError, Dictionary, Form, Reader, Shape, decode_batch, encode_batch, put_unsigned,
};
use crdt_core::{
    Address, Cell, CellKind, Change, Checkpoint, ClockError, Collection, CommitError, Document, DocumentId,
    DocumentMut, Durability, EditError, FieldType, Fields, Head, Hlc, Life, LimitExceeded, Limits,
    MemoryStore, Name, Namespace, OpenError, Path, Payload, Replica, ReplicaId, Stamp, TransactionError,
    Value,
};
use under_miri::or_under_miri;

const LIMITS: Limits = Limits::DEFAULT;

/// What a message is read with: under Miri smaller limits, so that few cells are at them.
const OF_A_MESSAGE: Limits = or_under_miri(
    LIMITS,
    Limits {
        name_bytes: 60,
        depth: 10,
        value_bytes: 40_000,
        values: 3_200,
        cells_per_message: 70,
        names_per_message: 130,
        ..LIMITS
    },
);

fn replica() -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("limits"), ReplicaId::from_u64(1), Life(1));
    let mut replica = Replica::new(MemoryStore::new(head));
    let endless = (0..70).fold(Fields::new(), |inner, _| Fields::from([("m".into(), FieldType::Map(inner))]));
    replica.declare(Collection::new("deep").field("m", FieldType::Map(endless)));
    replica
}

/// A replica that holds a document with something in it.
fn furnished() -> Replica<MemoryStore> {
    let mut replica = replica();
    commit(&mut replica, |document| {
        document.set("title", "there before")?;
        document.increment("a", 3)
    });
    replica
}

fn commit(
    replica: &mut Replica<MemoryStore>,
    edit: impl FnOnce(&mut DocumentMut<'_>) -> Result<(), EditError>,
) {
    let committed = replica.commit(1, Durability::Visible, |tx| {
        edit(&mut tx.document("tasks", DocumentId::from_u64(1))?)?;
        Ok::<_, TransactionError>(())
    });
    committed.unwrap();
}

/// Tries an edit that is refused, and sees that nothing changed: not by itself, and not in a transaction that goes on.
fn refused(edit: impl Fn(&mut DocumentMut<'_>) -> Result<(), EditError>) -> EditError {
    refused_by(replica, &edit);
    refused_by(furnished, &edit)
}

fn refused_by(
    replica: impl Fn() -> Replica<MemoryStore>,
    edit: &dyn Fn(&mut DocumentMut<'_>) -> Result<(), EditError>,
) -> EditError {
    let mut alone = replica();
    let (before, head) = (alone.canonical_bytes().unwrap(), alone.head().unwrap());
    let mut error = None;
    commit(&mut alone, |document| {
        error = Some(edit(document).expect_err("one past the limit"));
        Ok(())
    });
    assert_eq!((alone.canonical_bytes().unwrap(), alone.head().unwrap()), (before, head));

    let (mut with, mut without) = (replica(), replica());
    commit(&mut with, |document| {
        document.set("first", 1)?;
        edit(document).expect_err("one past the limit");
        document.set("second", 2)
    });
    commit(&mut without, |document| {
        document.set("first", 1)?;
        document.set("second", 2)
    });
    assert_eq!(with.canonical_bytes().unwrap(), without.canonical_bytes().unwrap());
    assert_eq!(with.head().unwrap(), without.head().unwrap());
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
    // Under Miri only what is refused: that is not hashed, byte for byte.
    if !cfg!(miri) {
        taken(|d| d.set("a", text(LIMITS.value_bytes)));
        taken(|d| d.add_to("a", text(LIMITS.value_bytes)));
    }
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
#[cfg_attr(miri, ignore = "65,536 values a dozen times over; messages at smaller limits are tried below")]
fn values_within_values() {
    let items = |count: usize| Value::from(vec![Value::Null; count]);
    taken(|d| d.set("a", items(LIMITS.values - 1)));
    for error in [
        refused(|d| d.set("a", items(LIMITS.values))),
        refused(|d| d.resolve("a", items(LIMITS.values))),
        refused(|d| d.add_to("a", items(LIMITS.values))),
    ] {
        assert!(is_limit(&error, LIMITS.values + 1, LIMITS.values), "{error}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "a hundred thousand documents, and the limit of a transaction is fixed")]
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
    // 2^64 − 1 steps up in one transaction.
    taken(|d| (0..2).try_for_each(|_| d.increment("b", i64::MAX)).and_then(|()| d.increment("b", 1)));
    let count = |sign: i64| {
        let mut replica = furnished();
        commit(&mut replica, |d| {
            (0..2).try_for_each(|_| d.increment("b", sign * i64::MAX))?;
            d.increment("b", sign)
        });
        replica
    };
    let up = || count(1);
    let down = || count(-1);
    for error in [
        refused_by(up, &|d| d.increment("b", 1)),
        refused_by(up, &|d| d.increment("b", i64::MAX)),
        refused_by(down, &|d| d.increment("b", -1)),
        refused_by(down, &|d| d.increment("b", i64::MIN)),
    ] {
        assert!(matches!(error, EditError::Overflow(overflow) if overflow.total == u64::MAX), "{error:?}");
    }
    let mut replica = count(1);
    commit(&mut replica, |d| d.increment("b", -1)); // the other direction has its own total
    assert_eq!(
        replica.read("tasks", DocumentId::from_u64(1)).unwrap().counter("b"),
        i128::from(u64::MAX) - 1
    );
}

const HOSTILE: ReplicaId = ReplicaId::from_u64(66);

fn change(epoch: u32, hlc: u64, counter: u64) -> Change {
    Change { stamp: Stamp { epoch, hlc: Hlc::from_bits(hlc), replica: HOSTILE }, counter }
}

fn path(names: &[&str]) -> Path {
    names.iter().map(|name| Name::from(*name)).collect()
}

fn flag(counter: u64) -> Cell {
    Cell::Flag(HOSTILE, Mark::Live { by: change(0, 0, counter), content: () })
}

fn document(cells: impl IntoIterator<Item = (Path, Cell)>) -> Document {
    let mut document = Document::new();
    cells.into_iter().for_each(|(path, cell)| document.merge_cell(&path, cell));
    document
}

/// A replica that merged a write of the title with this stamp.
fn after_a_write_at(epoch: u32, hlc: u64) -> Replica<MemoryStore> {
    let mut replica = furnished();
    let written = Written::Open { by: change(epoch, hlc, 1), content: Payload::from("from the end of time") };
    let address = Address::new("tasks", DocumentId::from_u64(1));
    let documents = vec![(address, document([(path(&["title"]), Cell::Register(written))]))];
    let (peer, context) = (Life(66), vec![change(epoch, hlc, 1).dot()]);
    replica
        .apply(Checkpoint { peer, replica: HOSTILE, cursor: 1, context, documents, scope: 0, session: 0 })
        .unwrap();
    replica
}

fn title(replica: &mut Replica<MemoryStore>) -> Option<Value> {
    let view = replica.read("tasks", DocumentId::from_u64(1)).unwrap();
    view.get("title").unwrap().map(std::borrow::Cow::into_owned)
}

#[test]
fn the_end_of_time() {
    let mut replica = after_a_write_at(u32::MAX - 1, u64::MAX);
    commit(&mut replica, |d| d.set("title", "after it"));
    assert_eq!(title(&mut replica), Some("after it".into()), "the last epoch is beyond it");

    let end = || after_a_write_at(u32::MAX, u64::MAX);
    for error in [
        refused_by(end, &|d| d.set("title", "later")),
        refused_by(end, &|d| d.remove("title")),
        refused_by(end, &|d| d.erase()),
    ] {
        assert_eq!(error, EditError::Clock(ClockError::TimeExhausted));
    }
}

/// A stamp that an edit had raised before it failed stayed raised for the rest of the transaction.
#[test]
fn a_refused_re_create_leaves_the_stamp_alone() {
    let dead = || {
        let mut replica = after_a_write_at(u32::MAX, u64::MAX);
        let ahead = Written::Open { by: change(0, 1 << 40, 2), content: Payload::from("from a fast clock") };
        let address = Address::new("tasks", DocumentId::from_u64(1));
        let documents = vec![(address, document([(path(&["ahead"]), Cell::Register(ahead))]))];
        let (peer, context) = (Life(66), vec![change(0, 1 << 40, 2).dot()]);
        replica
            .apply(Checkpoint { peer, replica: HOSTILE, cursor: 2, context, documents, scope: 0, session: 0 })
            .unwrap();
        commit(&mut replica, |d| {
            d.delete();
            Ok(())
        });
        replica
    };
    let (mut with, mut without) = (dead(), dead());
    let before = with.canonical_bytes().unwrap();
    for (replica, tries) in [(&mut with, true), (&mut without, false)] {
        let committed = replica.commit(1, Durability::Visible, |tx| {
            if tries {
                let mut document = tx.document("tasks", DocumentId::from_u64(1))?;
                let exhausted = Err(EditError::Clock(ClockError::TimeExhausted));
                assert_eq!(document.set("ahead", 1), exhausted, "it would have to close the title");
                assert_eq!(document.enable("done"), exhausted);
                assert_eq!(document.ensure(), exhausted);
            }
            tx.document("others", DocumentId::from_u64(2))?.set("a", 1)?;
            Ok::<_, TransactionError>(())
        });
        committed.unwrap();
    }
    assert_ne!(before, with.canonical_bytes().unwrap());
    assert_eq!(with.canonical_bytes().unwrap(), without.canonical_bytes().unwrap());
}

/// The clock that was raised to the end of time once was there for good: every later commit failed.
#[test]
fn a_replica_that_overwrote_the_end_of_time_can_go_on() {
    for before_the_end in 0..3 {
        let mut replica = after_a_write_at(0, u64::MAX - before_the_end);
        for number in 0..5 {
            commit(&mut replica, |d| d.set("title", number));
            assert_eq!(title(&mut replica), Some(number.into()), "each write beats the one before");
            commit(&mut replica, |d| d.set("other", number));
        }
        let root = replica.read("tasks", DocumentId::from_u64(1)).unwrap();
        let written = root.state().root().field("title").unwrap().written().unwrap().written().stamp;
        assert!(written.epoch == 1 && written.hlc.ms() < 1_000, "back at the wall clock: {written:?}");
    }
}

#[test]
fn transactions_of_a_replica() {
    let used = |counter| {
        let mut head = Head::new(Namespace::from_secret("limits"), ReplicaId::from_u64(1), Life(1));
        head.counter = counter;
        Replica::new(MemoryStore::new(head))
    };
    let mut replica = used(u64::MAX - 1);
    commit(&mut replica, |d| d.set("a", 1));
    let (before, head) = (replica.canonical_bytes().unwrap(), replica.head().unwrap());
    assert_eq!(head.counter, u64::MAX);
    let refused = replica.commit(1, Durability::Visible, |_| Ok::<_, TransactionError>(()));
    assert!(matches!(refused, Err(CommitError::Clock(ClockError::CounterExhausted))), "{refused:?}");
    assert_eq!((replica.canonical_bytes().unwrap(), replica.head().unwrap()), (before, head));
}

/// Reads a message that holds `most` of what is limited and is taken, then one that goes on from it, holds one more and is
/// refused, then a good one: the refusal left the dictionary as it was.
fn of_a_message(what: &str, limit: usize, batch: impl Fn(usize) -> Vec<(Address, Document)>) {
    let (mut to, mut from) = (Dictionary::new(), Dictionary::new());
    let encode = |documents: &[(Address, Document)], dictionary: &mut Dictionary| {
        let mut out = Vec::new();
        encode_batch(&mut out, dictionary, documents.iter().map(|(address, document)| (address, document)));
        out
    };
    let mut read = |bytes: &[u8]| decode_batch(&mut Reader::new(bytes), &mut from, &OF_A_MESSAGE);
    let small = vec![(Address::new("small", DocumentId::from_u64(1)), document([(path(&["s"]), flag(1))]))];
    let at_limit = batch(limit);
    assert_eq!(read(&encode(&small, &mut to)).as_ref(), Ok(&small));
    let most = encode(&at_limit, &mut Dictionary::new());
    let taken = decode_batch(&mut Reader::new(&most), &mut Dictionary::new(), &OF_A_MESSAGE);
    assert!(taken.as_ref() == Ok(&at_limit), "{what}: {:?}", taken.map(|documents| documents.len()));
    let refused = read(&encode(&batch(limit + 1), &mut to.clone()));
    let expected = LimitExceeded { what: "", size: limit + 1, limit };
    match refused {
        Err(DecodeError::Limit(error)) => {
            assert_eq!(LimitExceeded { what: "", ..error }, expected);
            assert!(error.what.contains(what), "{error}");
        }
        other => panic!("{what}: {:?}", other.map(|documents| documents.len())),
    }
    assert_eq!(read(&encode(&small, &mut to)).as_ref(), Ok(&small), "the dictionary goes on");
}

fn alone(document: Document) -> Vec<(Address, Document)> {
    vec![(Address::new("large", DocumentId::from_u64(1)), document)]
}

#[test]
fn cells_of_a_message() {
    let cells = |count: usize| document((0..count).map(|n| (path(&[&n.to_string()]), flag(1))));
    // One document, which is one shape; and many.
    of_a_message("cells of a document", OF_A_MESSAGE.cells_per_message, |count| alone(cells(count)));
    of_a_message("cells of a message", OF_A_MESSAGE.cells_per_message, |count| {
        let per_document = OF_A_MESSAGE.cells_per_message / 2;
        let sizes = [per_document, per_document, count - 2 * per_document];
        let documents = sizes.into_iter().enumerate().filter(|(_, size)| *size > 0);
        documents
            .map(|(at, size)| (Address::new("large", DocumentId::from_u64(at as u64)), cells(size)))
            .collect()
    });
}

#[test]
fn documents_of_a_message() {
    of_a_message("documents of a message", OF_A_MESSAGE.cells_per_message, |count| {
        let one = document([(path(&["a"]), flag(1))]);
        let address = |id: usize| Address::new("large", DocumentId::from_u64(id as u64));
        (0..count).map(|id| (address(id), one.clone())).collect()
    });
}

#[test]
fn names_of_a_message() {
    let cells = |names: usize| {
        let pairs = (0..names / 2).map(|n| (path(&["m", &n.to_string()]), flag(1)));
        document(pairs.chain((names % 2 == 1).then(|| (path(&["odd"]), flag(1)))))
    };
    of_a_message("names in the paths", OF_A_MESSAGE.names_per_message, |count| alone(cells(count)));
    of_a_message("names in the paths of a message", OF_A_MESSAGE.names_per_message, |count| {
        let address = |id| Address::new("large", DocumentId::from_u64(id));
        vec![(address(1), cells(count - 100)), (address(2), cells(100))]
    });
}

#[test]
fn names_of_a_shape() {
    let shape = |names: usize| {
        let path = |n: usize| vec![Name::from("m"), n.to_string().into()];
        let form = Form { kind: CellKind::Flag, gone: false };
        let cells = (0..names / 2)
            .map(|n| (form, path(n)))
            .chain((names % 2 == 1).then(|| (form, vec!["odd".into()])));
        Shape { implied_presence: false, one_change: true, cells: cells.collect() }
    };
    let read = |shape: &Shape| {
        let mut bytes = Vec::new();
        shape.put(&mut bytes);
        Shape::read(&mut Reader::new(&bytes), &OF_A_MESSAGE)
    };
    let most = shape(OF_A_MESSAGE.names_per_message);
    assert_eq!(read(&most).as_ref(), Ok(&most));
    let refused = read(&shape(OF_A_MESSAGE.names_per_message + 1)).unwrap_err();
    let expected = format!("names in the paths of a shape is {}", OF_A_MESSAGE.names_per_message + 1);
    assert!(refused.to_string().starts_with(&expected), "{refused}");
}

#[test]
fn changes_of_a_message() {
    let limit = 2 * OF_A_MESSAGE.cells_per_message as u64;
    let closed = |n: u64| Written::Closed {
        written: change(0, 2 * n, 2 * n + 1),
        by: change(0, 2 * n + 1, 2 * n + 2),
    };
    let most = document((0..limit / 2).map(|n| (path(&[&n.to_string()]), Cell::Register(closed(n)))));
    let mut bytes = Vec::new();
    let most = alone(most);
    encode_batch(
        &mut bytes,
        &mut Dictionary::new(),
        most.iter().map(|(address, document)| (address, document)),
    );
    let taken = decode_batch(&mut Reader::new(&bytes), &mut Dictionary::new(), &OF_A_MESSAGE);
    assert!(taken.as_ref() == Ok(&most), "{:?}", taken.map(|documents| documents.len()));
    let (mut count, mut one_more) = (Vec::new(), Vec::new());
    put_unsigned(&mut count, limit << 1 | 1);
    put_unsigned(&mut one_more, (limit + 1) << 1 | 1);
    one_more.extend_from_slice(bytes.strip_prefix(&count[..]).expect("the number of changes comes first"));
    let refused =
        decode_batch(&mut Reader::new(&one_more), &mut Dictionary::new(), &OF_A_MESSAGE).unwrap_err();
    let expected = format!("changes of a message is {}", limit + 1);
    assert!(refused.to_string().starts_with(&expected), "{refused}");
}

#[test]
fn values_of_a_message() {
    of_a_message("values of a message", OF_A_MESSAGE.values, |count| {
        let value = |values: usize| Value::from(vec![Value::Null; values - 1]);
        let open =
            |values| Cell::Register(Written::Open { by: change(0, 0, 1), content: value(values).into() });
        let element = Cell::Element(value(1000), HOSTILE, Mark::Live { by: change(0, 0, 1), content: () });
        alone(document([
            (path(&["a"]), open(count - 3000)),
            (path(&["b"]), open(2000)),
            (path(&["c"]), element),
        ]))
    });
}

#[test]
fn names_values_and_nesting_in_a_message() {
    let name = |len| "n".repeat(len);
    of_a_message("bytes of a field name", OF_A_MESSAGE.name_bytes, |len| {
        alone(document([(path(&["m", &name(len)]), flag(1))]))
    });
    of_a_message("bytes of a collection name", OF_A_MESSAGE.name_bytes, |len| {
        vec![(Address::new(name(len), DocumentId::from_u64(1)), document([(path(&["a"]), flag(1))]))]
    });
    of_a_message("nesting of maps", OF_A_MESSAGE.depth + 1, |names| {
        alone(document([(vec!["m".into(); names], flag(1))])) // so many maps less one, and the field
    });
    let nested = |depth| (0..depth).fold(Value::Null, |inner, _| Value::from(vec![inner]));
    let open = |value: Value| Cell::Register(Written::Open { by: change(0, 0, 1), content: value.into() });
    of_a_message("nesting of a value", OF_A_MESSAGE.depth, |depth| {
        alone(document([(path(&["a"]), open(nested(depth)))]))
    });
    let long =
        |len: usize| Value::from(vec![Value::from(name(len / 2)), Value::from(name(len - len / 2 - 10))]);
    of_a_message("bytes of a value", OF_A_MESSAGE.value_bytes, |len| {
        alone(document([(path(&["a"]), open(long(len)))]))
    });
    of_a_message("bytes of a value", OF_A_MESSAGE.value_bytes, |len| {
        let mark = Mark::Live { by: change(0, 0, 1), content: () };
        alone(document([(path(&["a"]), Cell::Element(long(len), HOSTILE, mark))]))
    });
}

#[test]
fn each_value_of_a_message_may_be_large() {
    let long = Value::from("v".repeat(OF_A_MESSAGE.value_bytes - 4));
    let open = || Cell::Register(Written::Open { by: change(0, 0, 1), content: long.clone().into() });
    let large = alone(document([(path(&["a"]), open()), (path(&["b"]), open())]));
    let mut bytes = Vec::new();
    let all = large.iter().map(|(address, document)| (address, document));
    encode_batch(&mut bytes, &mut Dictionary::new(), all);
    let read = decode_batch(&mut Reader::new(&bytes), &mut Dictionary::new(), &OF_A_MESSAGE);
    assert!(read.as_ref() == Ok(&large), "{:?}", read.map(|documents| documents.len()));
}

/// Paths were not counted with their names, so a message of many long ones was larger than its reader takes.
#[test]
fn every_part_of_a_document_of_long_names_fits_a_message() {
    let names = |first: usize| {
        let deep = (0..=OF_A_MESSAGE.depth)
            .map(|depth| format!("{first:05}{depth:05}{}", "n".repeat(OF_A_MESSAGE.name_bytes - 10)));
        deep.map(Name::from).collect::<Path>()
    };
    let large = document((0..or_under_miri(100, 2)).map(|first| (names(first), flag(1))));
    let parts = large.clone().split(64 << 10);
    let mut whole = Document::new();
    for part in parts {
        let mut bytes = Vec::new();
        let address = Address::new("large", DocumentId::from_u64(1));
        encode_batch(&mut bytes, &mut Dictionary::new(), [(&address, &part)]);
        assert!(bytes.len() <= OF_A_MESSAGE.message_bytes / 4, "{} bytes", bytes.len());
        let read = decode_batch(&mut Reader::new(&bytes), &mut Dictionary::new(), &OF_A_MESSAGE).unwrap();
        whole = whole.merged(read[0].1.clone());
    }
    assert_eq!(whole, large);
}
