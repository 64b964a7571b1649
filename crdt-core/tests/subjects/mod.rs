//! Maps and whole documents: every type as a field, deletion and re-creation. What they mean is the business of the
//! convergence histories, which compare them with an oracle.

use crdt_core::laws::{Subject, one_of};
use crdt_core::{
    Change, Collection, Document, DocumentId, DocumentMut, EditError, FieldType, Fields, Map, Resolver,
};
use quickcheck::{Arbitrary, Gen};

/// A field of every type; `free` is not declared.
const FIELDS: [&str; 11] = [
    "lww",
    "detect",
    "manual",
    "custom",
    "counter",
    "grow counter",
    "set",
    "grow set",
    "flag",
    "map",
    "free",
];

/// Some edits of one document, made in one transaction.
#[derive(Clone, Debug)]
pub struct Edits(Vec<Step>);

#[derive(Clone, Debug)]
struct Step {
    field: &'static str,
    /// Edits the field of that name in the nested map instead, one or two maps deep.
    depth: usize,
    kind: Kind,
    number: i64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Change,
    TakeBack,
    Remove,
    Ensure,
    Delete,
    Erase,
}

impl Arbitrary for Edits {
    fn arbitrary(random: &mut Gen) -> Self {
        use Kind::{Change, Delete, Ensure, Erase, Remove, TakeBack};
        let step = |random: &mut Gen| Step {
            field: one_of(random, &FIELDS),
            depth: one_of(random, &[0, 0, 0, 1, 2]),
            kind: one_of(
                random,
                &[Change, Change, Change, Change, TakeBack, TakeBack, Remove, Delete, Ensure, Erase],
            ),
            number: one_of(random, &[1, 2, -1]),
        };
        let count = one_of(random, &[1, 1, 2, 4]);
        Self((0..count).map(|_| step(random)).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let steps = self.0.clone();
        Box::new((0..steps.len()).map(move |left_out| {
            let mut fewer = steps.clone();
            fewer.remove(left_out);
            Self(fewer)
        }))
    }
}

fn fields() -> Fields {
    let resolver = Resolver::new("first", 1, |siblings| siblings.first()?.value.value().cloned());
    [
        ("lww", FieldType::Lww),
        ("detect", FieldType::Detect),
        ("manual", FieldType::Manual),
        ("custom", FieldType::Custom(resolver)),
        ("counter", FieldType::Counter),
        ("grow counter", FieldType::GrowCounter),
        ("set", FieldType::Set),
        ("grow set", FieldType::GrowSet),
        ("flag", FieldType::Flag),
    ]
    .map(|(name, field_type)| (name.into(), field_type))
    .into()
}

fn collection() -> Collection {
    let mut outer = fields();
    outer.insert("map".into(), FieldType::Map(fields()));
    let named = fields().into_iter().fold(Collection::new("documents"), |all, (name, t)| all.field(name, t));
    named.field("map", FieldType::Map(outer))
}

/// Edits of the wrong type are refused and leave no trace, so they need not be avoided.
fn edit(document: &mut DocumentMut<'_>, step: &Step, depth: usize) -> Result<(), EditError> {
    if depth > 0 {
        return edit(&mut document.map("map")?, step, depth - 1);
    }
    let Step { field, number, .. } = *step;
    match (step.kind, field) {
        (Kind::Ensure, _) => document.ensure(),
        (Kind::Delete, _) => {
            document.delete();
            Ok(())
        }
        (Kind::Erase, _) => document.erase(),
        (Kind::Remove, _) => document.remove(field),
        (Kind::Change, "counter" | "grow counter") => document.increment(field, number),
        (Kind::TakeBack, "counter" | "grow counter") => document.reset(field),
        (Kind::Change, "set" | "grow set") => document.add_to(field, number),
        (Kind::TakeBack, "set" | "grow set") => document.remove_from(field, number),
        (Kind::Change, "flag") => document.enable(field),
        (Kind::TakeBack, "flag") => document.disable(field),
        (_, "map") => document.map(field)?.set("inner", number),
        (Kind::Change, _) => document.set(field, number),
        (Kind::TakeBack, _) => document.resolve(field, number),
    }
}

fn mutate(state: &mut Document, collection: &Collection, Edits(steps): &Edits, change: Change) -> Document {
    let edited = state.edit(change, DocumentId::from_u64(1), collection, |document| {
        for step in steps {
            // An edit that is refused is one that was not made; the transaction goes on.
            let _ = edit(document, step, step.depth);
        }
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(edited) = edited;
    edited.delta
}

pub enum Documents {}

impl Subject for Documents {
    type State = Document;
    type Operation = Edits;

    fn mutate(state: &mut Document, edits: &Edits, change: Change) -> Document {
        mutate(state, &collection(), edits, change)
    }
}

pub enum DocumentsWhereDeletesWin {}

impl Subject for DocumentsWhereDeletesWin {
    type State = Document;
    type Operation = Edits;

    fn mutate(state: &mut Document, edits: &Edits, change: Change) -> Document {
        mutate(state, &collection().delete_wins(), edits, change)
    }
}

pub enum Maps {}

impl Subject for Maps {
    type State = Map;
    type Operation = Edits;

    fn mutate(state: &mut Map, edits: &Edits, change: Change) -> Map {
        let mut document = Document::from(std::mem::take(state));
        let delta = mutate(&mut document, &collection(), edits, change);
        *state = document.into_root();
        delta.into_root()
    }
}
