//! [`HighWaterMark`]: the highest level that anyone has seen.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::cells::{Cells, Chain};
use crate::{CausalContext, Change, Lattice};

/// One reading. The highest wins; of equal ones, the later, so that the order is total.
#[derive(Clone, Debug, PartialEq)]
struct Level {
    height: u32,
    by: Change,
}

impl Chain for Level {
    fn order(&self, other: &Self) -> Ordering {
        (self.height, self.by).cmp(&(other.height, other.by))
    }

    fn set_by(&self) -> &Change {
        &self.by
    }

    fn restamp(&mut self, change: &Change) {
        if self.by.dot() == change.dot() {
            self.by = *change;
        }
    }
}

/// The highest level that anyone has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HighWaterMark {
    cell: Cells<(), Level>, // one cell, so its key says nothing
}

impl HighWaterMark {
    /// The level; `None` before the first reading.
    pub fn get(&self) -> Option<u32> {
        self.cell.get(&()).map(|level| level.height)
    }

    /// Notes a reading; returns the delta, which is empty unless the reading is higher.
    pub fn read(&mut self, change: Change, height: u32) -> Self {
        if self.get() >= Some(height) {
            return Self::default();
        }
        let delta = Self { cell: Cells::one((), Level { height, by: change }) };
        self.merge(delta.clone());
        delta
    }
}

impl Lattice for HighWaterMark {
    fn merge(&mut self, other: Self) -> bool {
        self.cell.merge(other.cell)
    }

    fn decompose(&self) -> Vec<Self> {
        self.cell.decompose().into_iter().map(|cell| Self { cell }).collect()
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        Self { cell: self.cell.difference(seen) }
    }
}

#[cfg(feature = "laws")]
mod laws {
    use super::HighWaterMark;
    use crate::Change;
    use crate::laws::quickcheck::{Arbitrary, Gen};
    use crate::laws::{Meaning, Subject, Visible, one_of};

    crate::law_suite!(HighWaterMark, meaning); // the law line

    /// What a replica may do. Few different values, so that replicas collide.
    #[derive(Clone, Debug)]
    pub struct Reading(u32);

    impl Arbitrary for Reading {
        fn arbitrary(random: &mut Gen) -> Self {
            Self(one_of(random, &[0, 1, 2, 3]))
        }
    }

    impl Subject for HighWaterMark {
        type State = Self;
        type Operation = Reading;

        fn mutate(state: &mut Self, reading: &Reading, change: Change) -> Self {
            state.read(change, reading.0)
        }
    }

    impl Meaning for HighWaterMark {
        type Shown = Option<u32>;

        fn shown(state: &Self) -> Option<u32> {
            state.get()
        }

        /// Told from what was done, without looking at any cell.
        fn meant(visible: &[Visible<'_, Self>]) -> Option<u32> {
            visible.iter().map(|seen| seen.operation.0).max()
        }
    }
}
