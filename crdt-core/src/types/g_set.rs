//! [`GSet`]: a set that only grows.

use crate::{CausalContext, Change, Lattice, OrSet};
use alloc::vec::Vec;

/// A grow-only set (RR-7506, §3.3.1): an [`OrSet`] without remove, with the same cells.
///
/// In JSON, the elements in order, each with who added it and when:
///
/// ```json
/// [{ "element": "intro", "marks": { "00000000-0000-0000-0000-000000000001": { "counter": 1, "ms": 10 } } }]
/// ```
///
/// ```
/// # use crdt_core::{Clock, GSet, Lattice, ReplicaId};
/// let mut seen = GSet::new();
/// seen.add(Clock::new(ReplicaId::from_u64(1)).tick(0)?, "intro");
/// assert!(seen.contains(&"intro"));
/// # Ok::<(), crdt_core::ClockError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GSet<T: Ord + Clone> {
    pub(crate) adds: OrSet<T>,
}

impl<T: Ord + Clone> Default for GSet<T> {
    fn default() -> Self {
        Self { adds: OrSet::new() }
    }
}

impl<T: Ord + Clone> GSet<T> {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// True when the element was ever added.
    pub fn contains(&self, element: &T) -> bool {
        self.adds.contains(element)
    }

    /// The elements, each once, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.adds.iter()
    }

    /// Adds an element; returns the delta, which is empty when the element is there: nothing can take it away.
    pub fn add(&mut self, change: Change, element: T) -> Self {
        if self.contains(&element) {
            return Self::default();
        }
        Self { adds: self.adds.add(change, element) }
    }
}

impl<T: Ord + Clone> Lattice for GSet<T> {
    fn merge(&mut self, other: Self) -> bool {
        self.adds.merge(other.adds)
    }

    fn decompose(&self) -> Vec<Self> {
        self.adds.decompose().into_iter().map(|adds| Self { adds }).collect()
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        Self { adds: self.adds.difference(seen) }
    }
}

#[cfg(feature = "laws")]
mod laws {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::GSet;
    use crate::Change;
    use crate::laws::{Meaning, Subject, Visible, one_of};
    use quickcheck::{Arbitrary, Gen};

    crate::law_suite!(GSet<char>, meaning);

    const ELEMENTS: [char; 3] = ['a', 'b', 'c'];

    #[derive(Clone, Debug)]
    pub struct Insert(char);

    impl Arbitrary for Insert {
        fn arbitrary(random: &mut Gen) -> Self {
            Self(one_of(random, &ELEMENTS))
        }
    }

    impl Subject for GSet<char> {
        type State = Self;
        type Operation = Insert;

        fn mutate(state: &mut GSet<char>, Insert(element): &Insert, change: Change) -> GSet<char> {
            state.add(change, *element)
        }
    }

    impl Meaning for GSet<char> {
        type Shown = Vec<char>;

        fn shown(state: &GSet<char>) -> Vec<char> {
            state.iter().copied().collect()
        }

        fn meant(visible: &[Visible<'_, Self>]) -> Vec<char> {
            let elements: BTreeSet<char> = visible.iter().map(|commit| commit.operation.0).collect();
            elements.into_iter().collect()
        }
    }
}
