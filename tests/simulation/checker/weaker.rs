//! What a document must show at least whose history was forked: values that were issued again may be there twice, and come
//! back after somebody took away the first of the two; but none may be missing.
//!
//! Counters are left out (what was counted on both sides of a fork and has left may be miscounted), and so is which of
//! the values of an `lww` field won. A value of one for whom the field is such a one may have been replaced where others keep
//! several.

use crdt_core::Stamp;

use crate::words::{Shown, ShownField};

/// What of the expected is not shown, in words.
pub fn nothing_lost(
    place: &str,
    expected: &Shown,
    shown: &Shown,
    may_lose: &dyn Fn(&Stamp) -> bool,
) -> Result<(), String> {
    match (expected, shown) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(format!("{place} is gone and should be there")),
        (Some(expected), Some(shown)) => expected.iter().try_for_each(|(field, expected)| {
            let place = format!("{place}.{field}");
            shown.get(field).map_or(Ok(()), |shown| of_field(&place, expected, shown, may_lose))
        }),
    }
}

fn of_field(
    place: &str,
    expected: &ShownField,
    shown: &ShownField,
    may_lose: &dyn Fn(&Stamp) -> bool,
) -> Result<(), String> {
    nothing_lost(place, &expected.map, &shown.map, may_lose)?;
    if let Some(lost) = expected.elements.iter().find(|element| !shown.elements.contains(element)) {
        return Err(format!("{place} lacks the element {lost:?}"));
    }
    if expected.on && !shown.on {
        return Err(format!("{place} should be on"));
    }
    let there = |value| shown.conflicts.iter().any(|(other, _)| other == value);
    match expected.conflicts.iter().find(|(value, stamp)| !there(value) && !may_lose(stamp)) {
        Some((lost, _)) => Err(format!("{place} lacks the concurrent value {lost:?}")),
        None => Ok(()),
    }
}
