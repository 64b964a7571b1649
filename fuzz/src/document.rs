//! What can be done with a document that came from anybody: the laws of merging, reading, editing, taking apart, JSON.

use crdt_core::cells::{Base, Mark, Written};
use crdt_core::codec::Dictionary;
use crdt_core::{
    Address, Cell, Clock, Collection, Document, DocumentId, Hlc, Lattice as _, MapView, Namespace, ReplicaId,
};

use super::decoders::{Batch, decode, encode};
use super::input::Input;
use super::schema::{declared, edit_once};

/// The first piece of the input is a batch, whose documents are taken as states of one document; the rest says what is
/// done with them.
pub fn document(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let Ok(states) = decode(input.piece(), &mut Dictionary::new()) else { return };
    let states: Vec<Document> = states.into_iter().map(|(_, state)| state).collect();
    let [a, b, c] = [0, 1, 2].map(|at| states.get(at).cloned().unwrap_or_default());
    laws(&a, &b, &c);
    apart(&a);
    read(&a);
    edit(a.merged(b), &mut input);
}

fn laws(a: &Document, b: &Document, c: &Document) {
    let merged = |a: &Document, b: &Document| a.clone().merged(b.clone());
    let ab = merged(a, b);
    assert_eq!(ab, merged(b, a), "merge is commutative");
    assert_eq!(merged(&ab, c), merged(a, &merged(b, c)), "merge is associative");
    assert!(!ab.clone().merge(a.clone()) && !ab.clone().merge(ab.clone()), "merge is idempotent");
    assert_eq!(bytes_of(&ab), bytes_of(&merged(b, a)), "equal states are equal bytes");
    // The books that are kept while merging agree with a sum over all cells.
    let (namespace, address) =
        (Namespace::from_secret("fuzz"), Address::new("tasks", DocumentId::from_u64(1)));
    let mut fingerprints = crdt_core::Fingerprints::new(&namespace, &address);
    let mut kept = a.fingerprint(&namespace, &address);
    let mut observed = a.clone();
    observed.merge_observed(b.clone(), &mut |path, before, after| {
        if let Some(before) = before {
            kept = kept.minus(fingerprints.of(path, &before));
        }
        kept = kept.plus(fingerprints.of(path, &after));
    });
    assert_eq!(kept, ab.fingerprint(&namespace, &address), "the root is the sum of all cells");
}

fn bytes_of(document: &Document) -> Vec<u8> {
    let batch: Batch = vec![(Address::new("tasks", DocumentId::from_u64(1)), document.clone())];
    encode(&mut Dictionary::new(), &batch)
}

fn apart(document: &Document) {
    let whole = |parts: Vec<Document>| parts.into_iter().fold(Document::new(), Document::merged);
    assert_eq!(&whole(document.clone().split(64)), document, "the parts are the whole");
    assert_eq!(&whole(document.decompose()), document, "the smallest parts are the whole");
    let odd = document.select(|dot| dot.counter % 2 == 1);
    assert_eq!(&odd.merged(document.select(|dot| dot.counter % 2 == 0)), document);
    let json = serde_json::to_string(document).expect("a document is written");
    // JSON has limits of its own, on nesting; what is read is the same.
    if let Ok(back) = serde_json::from_str::<Document>(&json) {
        assert_eq!(&back, document, "{json}");
    }
}

fn read(document: &Document) {
    for collection in [declared(), Collection::new("tasks").delete_wins()] {
        let view = MapView::of(document, &collection, &[]);
        let _ = (view.exists(), view.unexpected(), view.to_value());
        for name in ["a", "b", "c", "n", "s", "f", "m"] {
            let _ = (view.read(name), view.get(name).is_ok(), view.conflicts(name), view.counter(name));
            let _ = (view.elements(name).count(), view.flag(name), view.map(name).to_value());
        }
        let _ = view.conflicted().count();
    }
}

/// Edits what came, as an app would: that succeeds, and the delta leads to the same state, or it fails and nothing
/// has changed.
fn edit(mut document: Document, input: &mut Input<'_>) {
    let collection = if input.flag() { declared().delete_wins() } else { declared() };
    let writer = ReplicaId::from_u64(input.number() % 4);
    // Whoever brings cells of the writer beyond its counter is refused before that.
    let counter = last_named(&document, writer).max(input.number());
    let mut clock = Clock::restore(writer, counter, Hlc::from_bits(input.number()));
    for _ in 0..input.below(6) {
        let Ok(change) = clock.tick(input.number()) else { return };
        let before = document.clone();
        let edited = document.edit(change, DocumentId::from_u64(1), &collection, |edit| {
            for _ in 0..=input.below(3) {
                edit_once(edit, input)?;
            }
            Ok::<_, crdt_core::EditError>(())
        });
        match edited {
            Ok(edited) => {
                clock.adopt(&edited.change);
                assert!(edited.change.stamp >= change.stamp && edited.change.counter == change.counter);
                assert_eq!(before.merged(edited.delta), document, "an edit is the merge of its delta");
            }
            Err(_) => assert_eq!(before, document, "an edit that failed changed something"),
        }
    }
}

/// The highest counter of a replica that a document knows of.
fn last_named(document: &Document, replica: ReplicaId) -> u64 {
    let mut last = 0;
    let mut names = |by: ReplicaId, counter: u64| {
        if by == replica {
            last = last.max(counter);
        }
    };
    document.visit(&mut |_, cell| {
        let dot = cell.set_by().dot();
        names(dot.replica, dot.counter);
        match cell.to_owned() {
            Cell::Register(Written::Closed { written, .. }) => names(written.replica(), written.counter),
            Cell::Base(by, Base { n, .. })
            | Cell::Sibling(by, Mark::Dead { n, .. })
            | Cell::Element(_, by, Mark::Dead { n, .. })
            | Cell::Flag(by, Mark::Dead { n, .. })
            | Cell::Presence(by, Mark::Dead { n, .. })
            | Cell::Deletion(by, Mark::Dead { n, .. }) => names(by, n),
            _ => {}
        }
    });
    last
}
