//! [`PNCounter`]: counts up and down, and can be reset.

use alloc::vec::Vec;

use super::CounterOverflow;
use crate::cells::{Base, Cells, Tally};
use crate::{CausalContext, Change, Lattice, ReplicaId};

/// A counter that goes up and down (RR-7506, §3.1.3) and can be reset.
///
/// Per replica a [`Tally`] that only that replica writes, and a [`Base`] from which a reset counts on. The value is
/// Σ (tally − base). An increment that a reset did not see survives it.
///
/// In JSON (`…` is a [`Change`]), per replica its totals as of its last step, and from where a reset counts on:
///
/// ```json
/// {
///   "counts": { "00000000-0000-0000-0000-000000000001": { "counter": 2, "ms": 10, "up": 5, "down": 2 } },
///   "resets": { "00000000-0000-0000-0000-000000000001": { "counter": 1, "up": 5, "down": 0, "by": … } }
/// }
/// ```
///
/// ```
/// # use crdt_core::{Clock, Lattice, PNCounter, ReplicaId};
/// let (mut at_a, mut at_b) = (Clock::new(ReplicaId::from_u64(1)), Clock::new(ReplicaId::from_u64(2)));
/// let mut a = PNCounter::new();
/// a.add(at_a.tick(0)?, 5)?;
/// let mut b = a.clone();
/// b.add(at_b.tick(1)?, -2)?;
/// a.reset(at_a.tick(1)?); // concurrently; it saw the 5, not the −2
/// a.merge(b);
/// assert_eq!(a.value(), -2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PNCounter {
    pub(crate) tallies: Cells<ReplicaId, Tally>,
    pub(crate) bases: Cells<ReplicaId, Base>,
}

impl PNCounter {
    /// Zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ups minus downs since the last resets seen. It fits 128 bits whatever is merged.
    pub fn value(&self) -> i128 {
        self.tallies.iter().map(|(replica, tally)| self.counted(*replica, tally)).sum()
    }

    /// What one replica's tally adds to the value: nothing while the tally is older than what a reset saw of it.
    fn counted(&self, replica: ReplicaId, tally: &Tally) -> i128 {
        let total = |p: u64, m: u64| i128::from(p) - i128::from(m);
        match self.bases.get(&replica) {
            None => total(tally.p, tally.m),
            Some(base) if tally.by.counter < base.n => 0,
            Some(base) => total(tally.p, tally.m) - total(base.p, base.m),
        }
    }

    /// Counts by `step`, up or down; returns the delta, which is empty for a step of 0.
    ///
    /// # Errors
    /// [`CounterOverflow`] when this replica's total of ups or of downs would leave 64 bits; nothing is changed.
    pub fn add(&mut self, change: Change, step: i64) -> Result<Self, CounterOverflow> {
        let mut delta = Self::new();
        if step == 0 {
            return Ok(delta);
        }
        let replica = change.replica();
        let own = self.tallies.get(&replica).map(|t| (t.by.counter, t.p, t.m));
        // Someone may have seen more of our counting than we remember (a restored copy): go on from there.
        let seen = self.bases.get(&replica).map(|b| (b.n, b.p, b.m));
        let (_, p, m) = own.max(seen).unwrap_or((0, 0, 0));
        let grow = |total: u64, step: u64| total.checked_add(step).ok_or(CounterOverflow { total, step });
        let size = step.unsigned_abs();
        let (p, m) = if step > 0 { (grow(p, size)?, m) } else { (p, grow(m, size)?) };
        let tally = Tally { by: change, p, m };
        self.tallies.put(replica, tally);
        delta.tallies.put(replica, tally);
        Ok(delta)
    }

    /// Starts again from zero as far as seen here; returns the delta, which is empty when nothing was counted since the
    /// last reset. Concurrent counting survives; two concurrent resets are one.
    pub fn reset(&mut self, change: Change) -> Self {
        let counted = self.tallies.iter().filter(|(replica, tally)| self.counts(**replica, tally));
        let bases: Cells<_, _> = counted
            .map(|(replica, t)| (*replica, Base { n: t.by.counter, p: t.p, m: t.m, by: change }))
            .collect();
        self.bases.put_all(bases.clone());
        Self { tallies: Cells::new(), bases }
    }

    /// True when anything was counted since the resets seen here, even if ups and downs cancel out.
    pub fn has_counted(&self) -> bool {
        self.tallies.iter().any(|(replica, tally)| self.counts(*replica, tally))
    }

    /// True when a tally went on since the last reset that saw it.
    fn counts(&self, replica: ReplicaId, tally: &Tally) -> bool {
        let base = self.bases.get(&replica).map(|base| (base.n, base.p, base.m));
        base.is_none_or(|base| base < (tally.by.counter, tally.p, tally.m))
    }

    /// True when nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.tallies.is_empty() && self.bases.is_empty()
    }
}

impl Lattice for PNCounter {
    fn merge(&mut self, other: Self) -> bool {
        self.tallies.merge(other.tallies) | self.bases.merge(other.bases)
    }

    fn decompose(&self) -> Vec<Self> {
        let tallies = self.tallies.decompose().into_iter().map(|tallies| Self { tallies, ..Self::new() });
        let bases = self.bases.decompose().into_iter().map(|bases| Self { bases, ..Self::new() });
        tallies.chain(bases).collect()
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        Self { tallies: self.tallies.difference(seen), bases: self.bases.difference(seen) }
    }
}

#[cfg(feature = "laws")]
mod laws {
    use super::PNCounter;
    use crate::Change;
    use crate::laws::{Meaning, Subject, Visible, one_of};
    use quickcheck::{Arbitrary, Gen};

    crate::law_suite!(PNCounter, meaning);

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

    impl Subject for PNCounter {
        type State = Self;
        type Operation = Count;

        fn mutate(state: &mut PNCounter, operation: &Count, change: Change) -> PNCounter {
            match operation {
                Count::Add(step) => state.add(change, *step).unwrap_or_default(),
                Count::Reset => state.reset(change),
            }
        }
    }

    impl Meaning for PNCounter {
        type Shown = i128;

        fn shown(state: &PNCounter) -> i128 {
            state.value()
        }

        /// All steps that no reset saw. A step that two resets saw is taken back once.
        fn meant(visible: &[Visible<'_, Self>]) -> i128 {
            // A step that overflowed failed, and left no delta.
            let counted = visible.iter().filter(|commit| !commit.delta.is_empty());
            let counts = counted.map(|commit| match commit.operation {
                Count::Add(step) if !commit.is_taken_away(visible, |op| matches!(op, Count::Reset)) => {
                    i128::from(*step)
                }
                _ => 0,
            });
            counts.sum()
        }
    }
}
