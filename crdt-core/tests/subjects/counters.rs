//! Counters.

use crdt_core::laws::{Subject, Visible};
use crdt_core::{CausalContext, Change, Dot, GCounter, PNCounter, VersionVector};
use quickcheck::{Arbitrary, Gen};

use super::{is_taken_away, one_of};

pub enum GrowingCounters {}

/// A step upwards. The greatest overflows when it is made twice, and is then no operation at all.
#[derive(Clone, Debug)]
pub struct Up(u64);

impl Arbitrary for Up {
    fn arbitrary(random: &mut Gen) -> Self {
        Self(one_of(random, &[0, 1, 1, 2, 3, u64::MAX]))
    }
}

impl Subject for GrowingCounters {
    type State = GCounter;
    type Operation = Up;

    fn mutate(state: &mut GCounter, Up(step): &Up, change: Change) -> GCounter {
        state.increment(change.replica(), *step).unwrap_or_default()
    }

    fn record(delta: &GCounter, change: &Change, seen: &mut CausalContext) {
        let count = u64::try_from(delta.value()).expect("the delta holds one replica's count");
        seen.merge(&VersionVector::from_iter([Dot::new(change.replica(), count)]).into());
    }
}

impl GrowingCounters {
    pub fn shown(state: &GCounter) -> u128 {
        state.value()
    }

    pub fn meant(visible: &[Visible<'_, Self>]) -> u128 {
        // A step that overflowed failed, and left no delta.
        let counted = visible.iter().filter(|commit| *commit.delta != GCounter::new());
        counted.map(|commit| u128::from(commit.operation.0)).sum()
    }
}

pub enum Counters {}

#[derive(Clone, Debug)]
pub enum Count {
    Add(i64),
    Reset,
}

impl Arbitrary for Count {
    fn arbitrary(random: &mut Gen) -> Self {
        let add = Self::Add(one_of(random, &[-3, -1, 0, 1, 2, 5, i64::MAX, i64::MIN]));
        one_of(random, &[add.clone(), add, Self::Reset])
    }
}

impl Subject for Counters {
    type State = PNCounter;
    type Operation = Count;

    fn mutate(state: &mut PNCounter, operation: &Count, change: Change) -> PNCounter {
        match operation {
            Count::Add(step) => state.add(change, *step).unwrap_or_default(),
            Count::Reset => state.reset(change),
        }
    }
}

impl Counters {
    pub fn shown(state: &PNCounter) -> i128 {
        state.value()
    }

    /// All steps that no reset saw. A step that two resets saw is taken back once.
    pub fn meant(visible: &[Visible<'_, Self>]) -> i128 {
        // A step that overflowed failed, and left no delta.
        let counted = visible.iter().filter(|commit| !commit.delta.is_empty());
        let counts = counted.map(|commit| match commit.operation {
            Count::Add(step) if !is_taken_away(commit, visible, |op| matches!(op, Count::Reset)) => {
                i128::from(*step)
            }
            _ => 0,
        });
        counts.sum()
    }
}
