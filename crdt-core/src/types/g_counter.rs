//! [`GCounter`]: counts up.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::CounterOverflow;
use crate::{CausalContext, Dot, Lattice, ReplicaId};

/// A grow-only counter (RR-7506, §3.1.1): per replica, how much it counted. In JSON `{"<replica>": 5, …}`.
///
/// On its own it needs no dots: a replica's count is its dot, so a context for it says per replica up to which count
/// was seen.
///
/// ```
/// # use crdt_core::{GCounter, Lattice, ReplicaId};
/// let (mut a, mut b) = (GCounter::new(), GCounter::new());
/// a.increment(ReplicaId::from_u64(1), 5)?;
/// b.increment(ReplicaId::from_u64(2), 2)?;
/// a.merge(b);
/// assert_eq!(a.value(), 7);
/// # Ok::<(), crdt_core::CounterOverflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct GCounter {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::json::positive"))]
    counts: BTreeMap<ReplicaId, u64>,
}

impl GCounter {
    /// Zero.
    pub const fn new() -> Self {
        Self { counts: BTreeMap::new() }
    }

    /// The sum over all replicas. It fits 128 bits whatever is merged.
    pub fn value(&self) -> u128 {
        self.counts.values().map(|count| u128::from(*count)).sum()
    }

    /// Counts up by `step`; returns the delta, which is empty for a step of 0.
    ///
    /// # Errors
    /// [`CounterOverflow`] when this replica's total would leave 64 bits; nothing is changed.
    pub fn increment(&mut self, replica: ReplicaId, step: u64) -> Result<Self, CounterOverflow> {
        let total = self.counts.get(&replica).copied().unwrap_or(0);
        let count = total.checked_add(step).ok_or(CounterOverflow { total, step })?;
        let mut delta = Self::new();
        if step > 0 {
            self.counts.insert(replica, count);
            delta.counts.insert(replica, count);
        }
        Ok(delta)
    }
}

impl Lattice for GCounter {
    fn merge(&mut self, other: Self) -> bool {
        let mut changed = false;
        for (replica, count) in other.counts {
            let mine = self.counts.entry(replica).or_insert(0);
            if count > *mine {
                *mine = count;
                changed = true;
            }
        }
        changed
    }

    fn decompose(&self) -> Vec<Self> {
        self.counts.iter().map(|(r, c)| Self { counts: BTreeMap::from([(*r, *c)]) }).collect()
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        let unseen = self.counts.iter().filter(|(r, c)| !seen.contains(Dot::new(**r, **c)));
        Self { counts: unseen.map(|(r, c)| (*r, *c)).collect() }
    }
}

#[cfg(feature = "laws")]
mod laws {
    use super::GCounter;
    use crate::laws::{Meaning, Subject, Visible, one_of};
    use crate::{CausalContext, Change, Dot, VersionVector};
    use quickcheck::{Arbitrary, Gen};

    crate::law_suite!(GCounter, meaning);

    /// A step upwards. The greatest overflows when it is made twice, and is then no operation at all.
    #[derive(Clone, Debug)]
    pub struct Up(u64);

    impl Arbitrary for Up {
        fn arbitrary(random: &mut Gen) -> Self {
            Self(one_of(random, &[0, 1, 1, 2, 3, u64::MAX]))
        }
    }

    impl Subject for GCounter {
        type State = Self;
        type Operation = Up;

        fn mutate(state: &mut GCounter, Up(step): &Up, change: Change) -> GCounter {
            state.increment(change.replica(), *step).unwrap_or_default()
        }

        fn record(delta: &GCounter, change: &Change, seen: &mut CausalContext) {
            let count = u64::try_from(delta.value()).expect("the delta holds one replica's count");
            seen.merge(&VersionVector::from_iter([Dot::new(change.replica(), count)]).into());
        }
    }

    impl Meaning for GCounter {
        type Shown = u128;

        fn shown(state: &GCounter) -> u128 {
            state.value()
        }

        fn meant(visible: &[Visible<'_, Self>]) -> u128 {
            // A step that overflowed failed, and left no delta.
            let counted = visible.iter().filter(|commit| *commit.delta != GCounter::new());
            counted.map(|commit| u128::from(commit.operation.0)).sum()
        }
    }
}
