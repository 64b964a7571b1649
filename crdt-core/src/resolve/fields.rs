//! Decisions field by field.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::versioned::{joined, latest};
use super::{Object, Outcome, Relation, Versioned};
use crate::document::{CellKind, Path};
use crate::{Lattice as _, Map, Name, VersionVector};

/// Keeps of each plain field the later value, whichever record it is in: edits of different fields never collide. A field
/// that holds a counter, a set or a flag is not looked into: it comes from the record with the later stamp.
///
/// Plain fields that both sides wrote without knowing of each other are reported.
///
/// ```
/// # use crdt_core::{Clock, ReplicaId, resolve::{self, Object, Versioned}};
/// # let (mut at_a, mut at_b) = (Clock::new(ReplicaId::from_u64(1)), Clock::new(ReplicaId::from_u64(2)));
/// let mut a = Versioned::at_ms(Object::new(), 0, at_a.replica());
/// a.save([("name", "Ann"), ("city", "Bern")], at_a.tick(1_000)?)?;
/// let mut b = a.clone();
/// a.save([("name", "Anna")], at_a.tick(2_000)?)?;
/// b.save([("city", "Basel")], at_b.tick(3_000)?)?;
///
/// let outcome = resolve::field_merge(&a, &b);
/// assert_eq!(outcome.merged.value.value("name").unwrap().as_str(), Some("Anna"));
/// assert_eq!(outcome.merged.value.value("city").unwrap().as_str(), Some("Basel"));
/// assert!(!outcome.is_conflict());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn field_merge(a: &Versioned<Object>, b: &Versioned<Object>) -> Outcome<Object> {
    merge_all(&[a, b], merge_plain_fields)
}

/// Merges objects as documents merge: counters, sets and flags by their type, so that no step and no element is lost, and
/// of each plain field the later value is kept, as by [`field_merge`].
///
/// ```
/// # use crdt_core::{Clock, ReplicaId, resolve::{self, Object, Versioned}};
/// # let (mut at_a, mut at_b) = (Clock::new(ReplicaId::from_u64(1)), Clock::new(ReplicaId::from_u64(2)));
/// let mut a = Versioned::at_ms(Object::new(), 0, at_a.replica());
/// let mut b = Versioned::at_ms(Object::new(), 0, at_b.replica());
/// for (row, clock, step) in [(&mut a, &mut at_a, 5), (&mut b, &mut at_b, -2)] {
///     let change = clock.tick(1_000)?;
///     row.value.counter_mut("stock").add(change, step)?;
///     row.written_by(&change);
/// }
/// let outcome = resolve::crdt_merge(&a, &b);
/// assert_eq!(outcome.merged.value.counter("stock").unwrap().value(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn crdt_merge(a: &Versioned<Object>, b: &Versioned<Object>) -> Outcome<Object> {
    merge_all(&[a, b], merge_fields)
}

/// The merge of documents' maps, of all kinds of cells.
pub(super) fn merge_fields(object: &mut Object, other: &Object) {
    object.map.merge(other.map.clone());
}

/// Merges everything into the record with the latest stamp, and lists what was written concurrently.
pub(super) fn merge_all(
    versions: &[&Versioned<Object>],
    merge: impl Fn(&mut Object, &Object),
) -> Outcome<Object> {
    let last = latest(versions.iter().copied()).expect("there is at least one version");
    let mut merged = Versioned { version: joined(versions.iter().copied()), ..last.clone() };
    for version in versions {
        merge(&mut merged.value, &version.value);
    }
    let (mut fields, mut conflict) = (BTreeSet::new(), Vec::new());
    for version in versions {
        let others = versions.iter().filter(|other| version.relation(other) == Relation::Concurrent);
        let names: Vec<Name> = others.flat_map(|other| in_conflict(version, other)).collect();
        if !names.is_empty() && !conflict.contains(*version) {
            conflict.push((*version).clone());
        }
        fields.extend(names);
    }
    conflict.sort_by(|x, y| x.stamp.cmp(&y.stamp).then_with(|| x.value.cmp(&y.value)));
    Outcome { merged, conflict, fields: fields.into_iter().collect() }
}

/// The merge of documents' maps, of plain fields' cells only.
pub(super) fn merge_plain_fields(object: &mut Object, other: &Object) {
    other.map.visit(&mut Path::new(), &mut |path, cell| {
        if is_plain(cell.kind()) {
            object.map.merge_cell(path, cell.to_owned());
        }
    });
}

const fn is_plain(kind: CellKind) -> bool {
    // Presence, because a nested object is there or not whatever its fields hold.
    matches!(kind, CellKind::Register | CellKind::Sibling | CellKind::Presence)
}

/// The plain fields that both wrote, with different values, neither having seen the other's write.
fn in_conflict(a: &Versioned<Object>, b: &Versioned<Object>) -> Vec<Name> {
    let unseen = |map: &Map, name: &Name, by: &VersionVector| {
        map.field(name).and_then(crate::Field::winner).is_some_and(|winner| !by.contains(winner.by.dot()))
    };
    let value = |map: &Map, name: &Name| map.field(name).and_then(|f| Some(f.winner()?.value.clone()));
    let (a_map, b_map) = (&a.value.map, &b.value.map);
    let names = a_map.fields().map(|(name, _)| name).filter(|name| {
        unseen(a_map, name, &b.version)
            && unseen(b_map, name, &a.version)
            && value(a_map, name) != value(b_map, name)
    });
    names.cloned().collect()
}
