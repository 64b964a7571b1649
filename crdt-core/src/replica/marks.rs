//! When what was committed here: a few marks, close enough to say for how long a peer has been behind.
//!
//! Note `marks`: *unsigned* count, per mark *unsigned* position of the change order and *unsigned* time in milliseconds
//! since 1970 at which it was committed. At most one a second is set; where there are too many, every second one goes.

use alloc::vec::Vec;

use super::refuse::damaged;
use crate::codec::{DecodeError, Reader, put_unsigned};
use crate::store::{Store, StoreError};

const NOTE: &[u8] = b"marks";

/// Marks are at least so far apart.
pub(super) const APART_MS: u64 = 1_000;

const KEPT: usize = 64;

/// Positions and when they were committed, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(Vec<(u64, u64)>);

impl Marks {
    pub(super) fn of<S: Store>(store: &mut S) -> Result<Self, StoreError> {
        let Some(note) = store.note(NOTE)? else { return Ok(Self::default()) };
        Self::decode(&note).map_err(damaged)
    }

    fn decode(note: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(note);
        let mut marks = Vec::new();
        for _ in 0..reader.count("marks")? {
            marks.push((reader.unsigned("a mark")?, reader.unsigned("a mark")?));
        }
        reader.finish()?;
        Ok(Self(marks))
    }

    fn set(&mut self, sequence: u64, now_ms: u64) {
        self.0.push((sequence, now_ms));
        if self.0.len() > KEPT {
            let mut number = 0;
            self.0.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
    }

    /// For how long the change at a position has been there, at most; as far as is known where it is older than all marks.
    pub(super) fn age_ms(&self, sequence: u64, now_ms: u64) -> Option<u64> {
        let before = self.0.iter().rev().find(|(marked, _)| *marked <= sequence);
        before.or(self.0.first()).map(|(_, at_ms)| now_ms.saturating_sub(*at_ms))
    }
}

/// Sets a mark, within the transaction of a commit.
pub(super) fn set<S: Store>(store: &mut S, sequence: u64, now_ms: u64) -> Result<(), StoreError> {
    let mut marks = Marks::of(store)?;
    marks.set(sequence, now_ms);
    let mut note = Vec::new();
    put_unsigned(&mut note, marks.0.len() as u64);
    for (sequence, at_ms) in marks.0 {
        put_unsigned(&mut note, sequence);
        put_unsigned(&mut note, at_ms);
    }
    store.set_note(NOTE, Some(&note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tries::or_under_miri;

    #[test]
    fn an_age_is_never_told_too_low_and_marks_stay_few() {
        let mut marks = Marks::default();
        assert_eq!(marks.age_ms(1, 5_000), None);
        let last = or_under_miri(1_000, 150);
        for sequence in 1..=last {
            marks.set(sequence, sequence * APART_MS);
            assert!(marks.0.len() <= KEPT && marks.0[0].0 == 1);
        }
        for sequence in 1..=last {
            let age = marks.age_ms(sequence, 2 * last * APART_MS).unwrap();
            assert!(age >= (2 * last - sequence) * APART_MS, "{sequence}: {age}");
        }
        assert!(marks.age_ms(last, 2 * last * APART_MS).unwrap() <= (last + 64) * APART_MS);
    }
}
