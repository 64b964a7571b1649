//! The classic resolvers: what they promise, on random versions. That they decide as replicas do is tested with two
//! replicas, in `tests/resolvers.rs` of the workspace.

#![allow(clippy::needless_pass_by_value)] // quickcheck calls its properties by value

mod tries;

use crdt_core::resolve::{
    Object, Outcome, Relation, Strategy, Versioned, crdt_merge, custom, field_merge, last_write_wins,
    version_vector, version_vector_all,
};
use crdt_core::{Change, Clock, Dot, Lattice as _, MvRegister, ReplicaId, Value, VersionVector};
use quickcheck::{Arbitrary, Gen};

const REPLICAS: u64 = 3;

/// Versions of one record, as three replicas made them: each writes over what it has, or takes in what another has.
#[derive(Clone, Debug)]
struct History(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Write { at: usize, now_ms: u64, field: usize, value: u8 },
    Pull { into: usize, from: usize },
}

impl Arbitrary for History {
    fn arbitrary(random: &mut Gen) -> Self {
        let pick = |random: &mut Gen| *random.choose(&[0, 1, 2]).unwrap();
        let step = |random: &mut Gen| match pick(random) {
            0 => Step::Pull { into: pick(random), from: pick(random) },
            _ => Step::Write {
                at: pick(random),
                // Clocks that are slow, fast and equal.
                now_ms: *random.choose(&[0, 5, 5, 9]).unwrap(),
                field: pick(random),
                value: *random.choose(&[1, 2, 3]).unwrap(),
            },
        };
        let length = *random.choose(&[1, 3, 6, 10]).unwrap();
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

/// Every version that a history made, and a register that saw the same writes.
struct Played {
    objects: Vec<Versioned<Object>>,
    values: Vec<Versioned<u8>>,
    register: MvRegister<u8>,
}

fn clocks() -> Vec<Clock> {
    (1..=REPLICAS).map(|number| Clock::new(ReplicaId::from_u64(number))).collect()
}

impl History {
    /// `hybrid`: the clocks of the devices keep the later of two writes later; or else they just show what they show.
    fn play(&self, hybrid: bool) -> Played {
        let mut clocks = clocks();
        let start = |replica: u64| Versioned::at_ms(Object::new(), 0, ReplicaId::from_u64(replica));
        let mut objects: Vec<_> = (1..=REPLICAS).map(start).collect();
        let mut registers = vec![MvRegister::<u8>::new(); 3];
        let mut played = Played { objects: Vec::new(), values: Vec::new(), register: MvRegister::new() };
        for step in &self.0 {
            match *step {
                Step::Pull { into, from } => {
                    objects[into] = crdt_merge(&objects[into], &objects[from]).merged;
                    let sent = registers[from].clone();
                    registers[into].merge(sent);
                }
                Step::Write { at, now_ms, field, value } => {
                    let mut change = clocks[at].tick(now_ms).unwrap();
                    let object = &mut objects[at];
                    if hybrid {
                        change.exceed(&object.stamp).unwrap();
                        clocks[at].adopt(&change);
                    } else {
                        change.stamp.hlc = crdt_core::Hlc::from_ms(now_ms);
                    }
                    write(object, change, field, value);
                    registers[at].write(change, value);
                    let version = object.version.clone();
                    played.values.push(Versioned { value, stamp: change.stamp, version });
                    played.objects.push(object.clone());
                }
            }
        }
        for register in registers {
            played.register.merge(register);
        }
        played
    }
}

fn write(object: &mut Versioned<Object>, change: Change, field: usize, value: u8) {
    match field {
        0 => drop(object.value.save([("title", i32::from(value)), ("other", 0)], change).unwrap()),
        1 => drop(object.value.counter_mut("votes").add(change, value.into()).unwrap()),
        _ => drop(object.value.set_mut("tags").add(change, i32::from(value).into())),
    }
    object.written_by(&change);
}

fn strategies() -> Vec<Strategy> {
    let mut all: Vec<Strategy> = ["last-write-wins", "version-vector", "field-merge", "crdt-merge"]
        .map(|name| name.parse().unwrap())
        .into();
    all.push(Strategy::custom("first", |versions| versions[0].value.clone()));
    all
}

fn pairs<T>(versions: &[T]) -> impl Iterator<Item = (&T, &T)> {
    versions.iter().flat_map(|a| versions.iter().map(move |b| (a, b)))
}

#[test]
fn the_order_of_arguments_makes_no_difference() {
    fn property(history: History, hybrid: bool) -> bool {
        let played = history.play(hybrid);
        strategies().iter().all(|strategy| {
            pairs(&played.objects).all(|(a, b)| strategy.resolve(a, b) == strategy.resolve(b, a))
        })
    }
    tries::usually().quickcheck(property as fn(History, bool) -> bool);
}

#[test]
fn a_version_with_itself_is_itself_and_no_conflict() {
    fn property(history: History, hybrid: bool) -> bool {
        let played = history.play(hybrid);
        strategies().iter().all(|strategy| {
            played.objects.iter().all(|version| {
                let Outcome { merged, conflict, fields } = strategy.resolve(version, version);
                merged == *version && conflict.is_empty() && fields.is_empty()
            })
        })
    }
    tries::usually().quickcheck(property as fn(History, bool) -> bool);
}

#[test]
fn what_was_kept_wins_again_over_what_it_came_from() {
    fn property(history: History) -> bool {
        let played = history.play(true);
        strategies().iter().all(|strategy| {
            pairs(&played.objects).all(|(a, b)| {
                let kept = strategy.resolve(a, b).merged;
                let again = strategy.resolve(&kept, a);
                again.merged == kept && again.conflict.is_empty()
            })
        })
    }
    tries::usually().quickcheck(property as fn(History) -> bool);
}

#[test]
fn two_by_two_in_any_order_comes_to_the_same_with_hybrid_clocks() {
    fn property(history: History) -> bool {
        let versions = history.play(true).objects;
        let named = strategies().into_iter().filter(|strategy| strategy.name() != "first");
        named.into_iter().all(|strategy| {
            let join = |x: &Versioned<Object>, y: &Versioned<Object>| strategy.resolve(x, y).merged;
            let some = &versions[..versions.len().min(tries::or_under_miri(4, 2))];
            pairs(some).all(|(x, y)| some.iter().all(|z| join(&join(x, y), z) == join(x, &join(y, z))))
                && some.iter().skip(1).fold(some.first().cloned(), |all, next| Some(join(&all?, next)))
                    == strategy.resolve_all(some).map(|outcome| outcome.merged)
        })
    }
    tries::usually().quickcheck(property as fn(History) -> bool);
}

#[test]
fn last_write_wins_needs_no_hybrid_clock_to_be_associative() {
    fn property(writes: Vec<(u8, u8, u8)>) -> bool {
        // Equal times of equal replicas, with different values: what a copied device would do.
        let versions = writes.iter().take(5).map(|(ms, replica, value)| {
            let replica = ReplicaId::from_u64(u64::from(replica % 2));
            Versioned::at_ms(*value % 3, u64::from(ms % 2), replica)
        });
        let versions: Vec<_> = versions.collect();
        let join = |x: &Versioned<u8>, y: &Versioned<u8>| last_write_wins(x, y).merged;
        pairs(&versions).all(|(x, y)| {
            join(x, y) == join(y, x)
                && versions.iter().all(|z| join(&join(x, y), z) == join(x, &join(y, z)))
                && join(x, y).stamp == x.stamp.max(y.stamp)
        })
    }
    tries::usually().quickcheck(property as fn(Vec<(u8, u8, u8)>) -> bool);
}

#[test]
fn all_at_once_has_no_order_even_with_plain_timestamps() {
    fn property(history: History, hybrid: bool, turn: usize) -> bool {
        let mut values = history.play(hybrid).values;
        let before = version_vector_all(&values);
        let length = values.len().max(1);
        values.rotate_left(turn % length);
        let turned = version_vector_all(&values);
        values.reverse();
        before == turned && before == version_vector_all(&values)
    }
    tries::usually().quickcheck(property as fn(History, bool, usize) -> bool);
}

#[test]
fn version_vectors_keep_what_a_multi_value_register_keeps() {
    fn property(history: History, hybrid: bool) -> bool {
        let played = history.play(hybrid);
        let Some(outcome) = version_vector_all(&played.values) else { return played.register.is_empty() };
        let siblings = played.register.siblings();
        let reported: Vec<_> =
            outcome.conflict.iter().map(|version| (version.value, version.stamp)).collect();
        let kept: Vec<_> = siblings.iter().map(|sibling| (*sibling.value, sibling.by.stamp)).collect();
        let latest = siblings.last().unwrap();
        outcome.merged.value == *latest.value
            && if kept.len() > 1 { reported == kept } else { reported.is_empty() }
    }
    tries::times(500).quickcheck(property as fn(History, bool) -> bool);
}

#[test]
fn crdt_merge_is_the_merge_of_maps_and_loses_no_step() {
    fn property(history: History) -> bool {
        let versions = history.play(true).objects;
        pairs(&versions).all(|(a, b)| {
            let mut map = a.value.as_map().clone();
            map.merge(b.value.as_map().clone());
            *crdt_merge(a, b).merged.value.as_map() == map
        })
    }
    tries::usually().quickcheck(property as fn(History) -> bool);
}

#[test]
fn field_merge_takes_plain_fields_from_both_and_the_rest_from_the_later() {
    fn property(history: History) -> bool {
        let versions = history.play(true).objects;
        pairs(&versions).all(|(a, b)| {
            let (merged, whole) = (field_merge(a, b).merged.value, crdt_merge(a, b).merged.value);
            let later = if a.stamp > b.stamp { a } else { b };
            merged.value("title") == whole.value("title")
                && merged.counter("votes") == later.value.counter("votes")
                && merged.set("tags") == later.value.set("tags")
        })
    }
    tries::usually().quickcheck(property as fn(History) -> bool);
}

#[test]
fn a_version_that_has_seen_the_other_replaces_it_whatever_the_clocks_say() {
    let (a, b) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
    let first = Versioned::at_ms("first", 9_000, a).having_seen([Dot::new(a, 1)]);
    let second = Versioned::at_ms("second", 1_000, b).having_seen([Dot::new(a, 1), Dot::new(b, 1)]);
    assert_eq!((first.relation(&second), second.relation(&first)), (Relation::Before, Relation::After));
    assert_eq!(version_vector(&first, &second), version_vector(&second, &first));
    assert_eq!(version_vector(&first, &second).merged, second);
    assert_eq!(custom(&first, &second, |_| unreachable!("they are not concurrent")).merged, second);
    assert_eq!(last_write_wins(&first, &second).merged.value, "first", "the clock alone says so");
}

#[test]
fn without_versions_the_stamp_decides_and_nothing_is_reported() {
    let (a, b) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
    let (x, y) = (Versioned::at_ms(7, 1_000, a), Versioned::at_ms(5, 1_000, b));
    assert_eq!(x.relation(&y), Relation::Equal);
    let outcome = version_vector(&x, &y);
    assert_eq!((outcome.merged, outcome.conflict), (y, vec![]), "equal times: the higher replica id");
}

#[test]
fn equal_values_written_concurrently_are_no_conflict() {
    let (a, b) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
    let x = Versioned::at_ms("same", 1_000, a).having_seen([Dot::new(a, 1)]);
    let y = Versioned::at_ms("same", 2_000, b).having_seen([Dot::new(b, 1)]);
    let outcome = version_vector(&x, &y);
    assert!(!outcome.is_conflict());
    assert_eq!(
        outcome.merged.version,
        [Dot::new(a, 1), Dot::new(b, 1)].into_iter().collect::<VersionVector>()
    );
}

#[test]
fn field_merge_reports_the_fields_that_were_written_concurrently() {
    let mut clocks = clocks();
    let mut a = Versioned::at_ms(Object::new(), 0, clocks[0].replica());
    a.save([("name", "Ann"), ("city", "Bern")], clocks[0].tick(1_000).unwrap()).unwrap();
    let mut b = a.clone();
    a.save([("name", "Anna")], clocks[0].tick(2_000).unwrap()).unwrap();
    b.save([("name", "Anne"), ("city", "Basel")], clocks[1].tick(3_000).unwrap()).unwrap();
    let outcome = field_merge(&a, &b);
    assert_eq!(outcome.fields, ["name".into()]);
    assert_eq!(outcome.conflict, [a.clone(), b.clone()]);
    assert_eq!(outcome.merged.value, b.value);

    // Who has seen both and writes decides.
    let mut decided = outcome.merged;
    let change = decided.save([("name", "Anna")], clocks[0].tick(0).unwrap()).unwrap();
    assert!(change.stamp > b.stamp, "raised above what it replaces");
    assert_eq!(field_merge(&b, &decided).merged, decided);
    assert!(!field_merge(&b, &decided).is_conflict());
}

#[test]
fn removing_a_field_is_a_write() {
    let mut clocks = clocks();
    let mut a = Versioned::at_ms(Object::new(), 0, clocks[0].replica());
    a.save([("note", "x")], clocks[0].tick(1_000).unwrap()).unwrap();
    let b = a.clone();
    let change = a.value.remove("note", clocks[0].tick(2_000).unwrap()).unwrap();
    a.written_by(&change);
    assert_eq!(field_merge(&a, &b).merged.value.value("note"), None);
    assert_eq!(a.value.to_value(), Value::from(std::collections::BTreeMap::new()));
}

#[test]
fn versions_and_strategies_are_read_back_as_they_were_written() {
    let mut row = Versioned::at_ms(Object::new(), 0, ReplicaId::from_u64(1));
    let change = Clock::new(ReplicaId::from_u64(1)).tick(10).unwrap();
    row.save([("title", "Buy milk")], change).unwrap();
    row.value.set_mut("tags").add(change, "home".into());
    let text = serde_json::to_string(&row).unwrap();
    assert_eq!(serde_json::from_str::<Versioned<Object>>(&text).unwrap(), row);

    let simple = serde_json::json!({
        "value": "x",
        "stamp": { "replica": "00000000-0000-0000-0000-000000000001", "ms": 5 },
    });
    let read: Versioned<Value> = serde_json::from_value(simple.clone()).unwrap();
    assert_eq!(read, Versioned::at_ms(Value::from("x"), 5, ReplicaId::from_u64(1)));
    assert_eq!(serde_json::to_value(&read).unwrap(), simple);

    let strategy: Strategy = serde_json::from_str("\"field-merge\"").unwrap();
    assert_eq!(serde_json::to_string(&strategy).unwrap(), "\"field-merge\"");
    let unknown = serde_json::from_str::<Strategy>("\"newest\"").unwrap_err().to_string();
    assert!(unknown.contains("\"newest\" is no strategy"), "{unknown}");
}
