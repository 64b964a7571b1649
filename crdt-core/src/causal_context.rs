//! [`CausalContext`]: the set of dots that a state has seen.

use alloc::collections::BTreeSet;

use crate::{Dot, VersionVector};

/// The set of dots that a state has seen (Almeida et al. 2014, arXiv 1410.2803): a version vector and the dots that
/// lie beyond it with a gap before them.
///
/// A context decides what to *send*, never how to merge.
///
/// ```
/// # use crdt_core::{CausalContext, Dot, ReplicaId};
/// let a = ReplicaId::from_u64(1);
/// let mut seen = CausalContext::new();
/// seen.insert(Dot::new(a, 2));
/// assert!(!seen.contains(Dot::new(a, 1)));
/// seen.insert(Dot::new(a, 1));
/// assert_eq!(seen.vector().get(a), 2); // the gap closed
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CausalContext {
    vector: VersionVector,
    beyond: BTreeSet<Dot>,
}

impl CausalContext {
    /// Nothing seen.
    pub const fn new() -> Self {
        Self { vector: VersionVector::new(), beyond: BTreeSet::new() }
    }

    /// True when this very dot was seen.
    pub fn contains(&self, dot: Dot) -> bool {
        self.vector.contains(dot) || self.beyond.contains(&dot)
    }

    /// Adds one dot, without those before it; true when it was new.
    pub fn insert(&mut self, dot: Dot) -> bool {
        if self.contains(dot) {
            return false;
        }
        self.beyond.insert(dot);
        self.compact();
        true
    }

    /// Union; true when anything was new.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut changed = self.vector.merge(&other.vector);
        for dot in &other.beyond {
            if !self.contains(*dot) {
                self.beyond.insert(*dot);
                changed = true;
            }
        }
        self.compact();
        changed
    }

    /// The part without gaps.
    pub fn vector(&self) -> &VersionVector {
        &self.vector
    }

    /// The dots seen beyond a gap.
    pub fn beyond(&self) -> impl ExactSizeIterator<Item = Dot> + '_ {
        self.beyond.iter().copied()
    }

    /// Moves dots that are no longer beyond a gap into the vector.
    fn compact(&mut self) {
        let vector = &mut self.vector;
        // The set is ordered by replica, then counter, so one pass closes every gap that can be closed.
        self.beyond.retain(|dot| {
            let next = vector.get(dot.replica).saturating_add(1);
            if dot.counter == next {
                vector.raise(*dot);
            }
            dot.counter > next
        });
    }
}

impl From<VersionVector> for CausalContext {
    fn from(vector: VersionVector) -> Self {
        Self { vector, beyond: BTreeSet::new() }
    }
}
