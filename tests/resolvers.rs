//! The classic resolvers decide as replicas do. Three replicas edit and sync; beside each, an app keeps the same record in
//! its own hands and resolves it with plain functions. After every step both show the same.

#![allow(clippy::needless_pass_by_value)] // quickcheck calls its properties by value

use crdt_core::resolve::{Object, Versioned, crdt_merge, last_write_wins, version_vector_all};
use crdt_core::{
    Change, Collection, DocumentId, DocumentMut, Durability, EditError, FieldType, Head, Life, MemoryStore,
    Namespace, Replica, ReplicaId, Stamp, TransactionError, Value, VersionVector,
};
use quickcheck::{Arbitrary, Gen, QuickCheck};
use sync_protocol::drive::exchange_in_memory;

const ID: DocumentId = DocumentId::from_u64(1);

#[derive(Clone, Debug)]
struct History(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Edit { at: usize, now_ms: u64, edit: Edit },
    Sync { one: usize, other: usize },
}

#[derive(Clone, Copy, Debug)]
enum Edit {
    Title(i32),
    Note(i32),
    Price(i32),
    Vote(i32),
    Tag(i32),
    Untag(i32),
    Pin,
    Unpin,
}

impl Arbitrary for History {
    fn arbitrary(random: &mut Gen) -> Self {
        let value = |random: &mut Gen| *random.choose(&[1, 2, 3]).unwrap();
        let edit = |random: &mut Gen| {
            let value = value(random);
            let all = [
                Edit::Title(value),
                Edit::Note(value),
                Edit::Note(value),
                Edit::Price(value),
                Edit::Vote(value),
                Edit::Tag(value),
                Edit::Untag(value),
                Edit::Pin,
                Edit::Unpin,
            ];
            *random.choose(&all).unwrap()
        };
        let step = |random: &mut Gen| {
            let at = *random.choose(&[0, 1, 2]).unwrap();
            match value(random) {
                1 => Step::Sync { one: at, other: (at + random.choose(&[1, 2]).unwrap()) % 3 },
                _ => Step::Edit { at, now_ms: *random.choose(&[0, 5, 5, 9]).unwrap(), edit: edit(random) },
            }
        };
        let length = *random.choose(&[2, 6, 12]).unwrap();
        Self((0..length).map(|_| step(random)).collect())
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

/// A replica, and what an app without one keeps of the same record.
struct Device {
    replica: Replica<MemoryStore>,
    /// `title`, `votes`, `tags`, `pinned`: merged by `crdt_merge`.
    object: Versioned<Object>,
    /// `note`: all versions that are in conflict, kept by `version_vector_all`.
    notes: Vec<Versioned<i32>>,
    /// `price`: the latest, by `last_write_wins`.
    price: Option<Versioned<i32>>,
    seen: VersionVector,
}

impl Device {
    fn new(number: u64) -> Self {
        let id = ReplicaId::from_u64(number);
        let head = Head::new(Namespace::from_secret("test"), id, Life(number));
        let mut replica = Replica::new(MemoryStore::new(head));
        replica.declare(Collection::new("rows").field("note", FieldType::Detect));
        let object = Versioned::at_ms(Object::new(), 0, id);
        Self { replica, object, notes: Vec::new(), price: None, seen: VersionVector::new() }
    }

    fn edit(&mut self, now_ms: u64, edit: Edit) {
        let commit = self.replica.commit(now_ms, Durability::Visible, |tx| {
            apply(&mut tx.document("rows", ID)?, edit)?;
            Ok::<_, TransactionError>(())
        });
        let Some(dot) = commit.unwrap().dot else { return }; // it changed nothing
        let hlc = self.replica.head().unwrap().hlc;
        let change = Change { stamp: Stamp { epoch: 0, hlc, replica: dot.replica }, counter: dot.counter };
        self.seen.raise(dot);
        let version = self.seen.clone();
        let object = &mut self.object.value;
        match edit {
            Edit::Title(value) => {
                assert_eq!(
                    object.save([("title", value)], change),
                    Ok(change),
                    "the replica raised it already"
                );
            }
            Edit::Vote(step) => drop(object.counter_mut("votes").add(change, step.into()).unwrap()),
            Edit::Tag(tag) => drop(object.set_mut("tags").add(change, tag.into())),
            Edit::Untag(tag) => drop(object.set_mut("tags").remove(change, &tag.into())),
            Edit::Pin => drop(object.flag_mut("pinned").enable(change)),
            Edit::Unpin => drop(object.flag_mut("pinned").disable(change)),
            Edit::Note(value) => self.notes = vec![Versioned { value, stamp: change.stamp, version }],
            Edit::Price(value) => self.price = Some(Versioned { value, stamp: change.stamp, version }),
        }
        self.object.written_by(&change);
    }

    fn sync(&mut self, other: &mut Self) {
        exchange_in_memory(&mut self.replica, &mut other.replica, 100).unwrap();
        let object = crdt_merge(&self.object, &other.object).merged;
        let notes = version_vector_all(self.notes.iter().chain(&other.notes));
        let notes = notes.map(|outcome| match outcome.conflict {
            conflict if conflict.is_empty() => vec![outcome.merged],
            conflict => conflict,
        });
        let price = match (&self.price, &other.price) {
            (Some(a), Some(b)) => Some(last_write_wins(a, b).merged),
            (one, another) => one.clone().or_else(|| another.clone()),
        };
        self.seen.merge(&other.seen);
        other.seen.merge(&self.seen);
        for device in [self, other] {
            device.object.clone_from(&object);
            device.notes = notes.clone().unwrap_or_default();
            device.price.clone_from(&price);
        }
    }

    fn agrees(&mut self) {
        let row = self.replica.read("rows", ID).unwrap();
        let whole = |field: &str| row.get(field).unwrap().map(std::borrow::Cow::into_owned);
        let object = &self.object.value;
        assert_eq!(object.value("title").cloned(), whole("title"));
        assert_eq!(object.counter("votes").map_or(0, crdt_core::PNCounter::value), row.counter("votes"));
        let tags: Vec<&Value> = object.set("tags").into_iter().flat_map(crdt_core::OrSet::iter).collect();
        assert_eq!(tags, row.elements("tags").collect::<Vec<_>>());
        assert_eq!(object.flag("pinned").is_some_and(crdt_core::Flag::is_enabled), row.flag("pinned"));

        assert_eq!(self.price.as_ref().map(|price| price.value.into()), whole("price"));
        assert_eq!(self.notes.last().map(|note| note.value.into()), whole("note"), "the latest shows");
        let siblings = row.conflicts("note");
        let listed: Vec<_> = siblings.iter().map(|s| (s.value.value().cloned(), s.by.stamp)).collect();
        let kept: Vec<_> = self.notes.iter().map(|note| (Some(note.value.into()), note.stamp)).collect();
        assert_eq!(listed, if kept.len() > 1 { kept } else { Vec::new() }, "and the others are listed");
    }
}

fn apply(row: &mut DocumentMut<'_>, edit: Edit) -> Result<(), EditError> {
    match edit {
        Edit::Title(value) => row.set("title", value),
        Edit::Note(value) => row.set("note", value),
        Edit::Price(value) => row.set("price", value),
        Edit::Vote(step) => row.increment("votes", step.into()),
        Edit::Tag(tag) => row.add_to("tags", tag),
        Edit::Untag(tag) => row.remove_from("tags", tag),
        Edit::Pin => row.enable("pinned"),
        Edit::Unpin => row.disable("pinned"),
    }
}

#[test]
fn plain_functions_decide_as_replicas_do() {
    fn property(history: History) -> bool {
        let mut devices = [1, 2, 3].map(Device::new);
        for (number, step) in (1..).zip(&history.0) {
            match *step {
                // Each note is another: of equal ones a function keeps only the latest, a replica all that were written.
                Step::Edit { at, now_ms, edit: Edit::Note(_) } => {
                    devices[at].edit(now_ms, Edit::Note(number));
                }
                Step::Edit { at, now_ms, edit } => devices[at].edit(now_ms, edit),
                Step::Sync { one, other } => {
                    let [a, b] = devices.get_disjoint_mut([one, other]).unwrap();
                    a.sync(b);
                }
            }
            devices.iter_mut().for_each(Device::agrees);
        }
        true
    }
    QuickCheck::new().tests(300).quickcheck(property as fn(History) -> bool);
}
