//! Decisions over a record as a whole.

use alloc::vec::Vec;

use super::versioned::{Entry, joined, latest, register};
use super::{Outcome, Relation, Versioned};
use crate::types::{Sibling, distinct};
use crate::{Lattice as _, Name};

/// Keeps the later version: the greater time, then the higher replica id, then the greater value, so that there always is
/// a winner. What the versions have seen is not asked, and nothing is reported.
///
/// ```
/// # use crdt_core::{ReplicaId, resolve::{self, Versioned}};
/// let draft = Versioned::at_ms("draft", 1_000, ReplicaId::from_u64(2));
/// let last = Versioned::at_ms("final", 1_001, ReplicaId::from_u64(1));
/// assert_eq!(resolve::last_write_wins(&draft, &last).merged, last);
/// ```
pub fn last_write_wins<T: Ord + Clone>(a: &Versioned<T>, b: &Versioned<T>) -> Outcome<T> {
    let kept = latest([a, b]).unwrap_or(a);
    Outcome { merged: with_all_seen(kept, &[a, b]), conflict: Vec::new(), fields: Vec::new() }
}

/// Keeps the version that has seen the other. If neither has, they are in conflict: the later is kept as by
/// [`last_write_wins`], and both are reported, unless they hold the same value.
///
/// See the [module](super) for an example, and for what it takes to resolve more than two versions two by two.
pub fn version_vector<T: Ord + Clone>(a: &Versioned<T>, b: &Versioned<T>) -> Outcome<T> {
    concurrent(&[a, b], |versions| versions.last().map(|last| last.value.clone()))
}

/// [`version_vector`] over any number of versions at once, in whatever order they come; `None` of none.
///
/// Of concurrent versions with equal values the latest stands for all.
///
/// ```
/// # use crdt_core::{Dot, ReplicaId, resolve::{self, Versioned}};
/// let [a, b, c] = [1, 2, 3].map(ReplicaId::from_u64);
/// let ahead = Versioned::at_ms("ahead of time", 30, a).having_seen([Dot::new(a, 1)]);
/// let alone = Versioned::at_ms("alone", 20, b).having_seen([Dot::new(b, 1)]);
/// let after = Versioned::at_ms("saw the first", 10, c).having_seen([Dot::new(a, 1), Dot::new(c, 1)]);
///
/// // Two by two it depends on which two meet first, because the first clock was wrong …
/// let two = |x: &Versioned<_>, y: &Versioned<_>| resolve::version_vector(x, y).merged;
/// assert_eq!(two(&two(&ahead, &after), &alone).value, "alone");
/// assert_eq!(two(&two(&ahead, &alone), &after).value, "ahead of time");
///
/// // … and all at once it does not.
/// let outcome = resolve::version_vector_all([&ahead, &alone, &after]).unwrap();
/// assert_eq!(outcome.merged.value, "alone");
/// assert_eq!(outcome.conflict, [after, alone]);
/// ```
pub fn version_vector_all<'v, T: Ord + Clone + 'v>(
    versions: impl IntoIterator<Item = &'v Versioned<T>>,
) -> Option<Outcome<T>> {
    let versions: Vec<_> = versions.into_iter().collect();
    let keep_last = |several: &[&Versioned<T>]| several.last().map(|last| last.value.clone());
    (!versions.is_empty()).then(|| concurrent(&versions, keep_last))
}

/// Keeps the version that has seen the other. If neither has, they are in conflict: what `combine` makes of both is kept,
/// and both are reported, unless they hold the same value.
///
/// `combine` gets the two in the order of their stamps, the latest last, so what it returns depends on neither the device
/// nor the order of the arguments, as long as it is deterministic. It takes the place of both and carries the stamp of
/// the later.
///
/// ```
/// # use crdt_core::{Dot, ReplicaId, resolve::{self, Versioned}};
/// let (a, b) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
/// let here = Versioned::at_ms(5, 1_000, a).having_seen([Dot::new(a, 1)]);
/// let there = Versioned::at_ms(3, 2_000, b).having_seen([Dot::new(b, 1)]);
/// let highest = resolve::custom(&here, &there, |both| both[0].value.max(both[1].value));
/// assert_eq!(highest.merged.value, 5);
/// assert!(highest.is_conflict());
/// ```
pub fn custom<T: Ord + Clone>(
    a: &Versioned<T>,
    b: &Versioned<T>,
    combine: impl FnOnce(&[&Versioned<T>]) -> T,
) -> Outcome<T> {
    concurrent(&[a, b], |versions| Some(combine(versions)))
}

/// Drops what another has seen; of several that are left, `combine` makes the value.
pub(super) fn concurrent<T: Ord + Clone>(
    versions: &[&Versioned<T>],
    combine: impl FnOnce(&[&Versioned<T>]) -> Option<T>,
) -> Outcome<T> {
    let left = undecided(versions);
    let last = left.last().expect("of some versions, at least one is not replaced by another");
    let mut merged = with_all_seen(last, versions);
    let mut conflict = Vec::new();
    if left.len() > 1 {
        merged.value = combine(&left).unwrap_or(merged.value);
        conflict = left.iter().map(|version| (*version).clone()).collect();
    }
    Outcome { merged, conflict, fields: Vec::<Name>::new() }
}

/// The versions that no other replaces, the latest last; equal values once, as documents list siblings.
fn undecided<'v, T: Ord>(versions: &[&'v Versioned<T>]) -> Vec<&'v Versioned<T>> {
    let replaced = |index: usize, version: &Versioned<T>| {
        versions.iter().enumerate().any(|(other_index, other)| match version.relation(other) {
            Relation::Before => true,
            // Both have seen the same, or nobody kept track: the later write replaces the earlier.
            Relation::Equal if register(version).merge(register(other)) => true,
            Relation::Equal => other_index < index && !register(other).merge(register(version)),
            Relation::After | Relation::Concurrent => false,
        })
    };
    let left = versions.iter().enumerate().filter(|(index, version)| !replaced(*index, version));
    let left: Vec<Entry<'v, T>> = left.map(|(_, version)| Entry(version)).collect();
    let siblings = left.iter().map(|entry| Sibling { value: entry, by: entry.0.change() });
    distinct(siblings.collect()).into_iter().map(|sibling| sibling.value.0).collect()
}

fn with_all_seen<T: Clone>(kept: &Versioned<T>, versions: &[&Versioned<T>]) -> Versioned<T> {
    Versioned { version: joined(versions.iter().copied()), ..kept.clone() }
}
