//! [`VersionVector`]: per replica, the highest counter seen.

use alloc::vec::Vec;

use crate::{Dot, ReplicaId};

/// Per replica, the highest counter seen (Parker et al. 1983). Everything below that counter is seen too.
///
/// ```
/// # use crdt_core::{Dot, ReplicaId, VersionVector};
/// let (a, b) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
/// let mut seen = VersionVector::new();
/// seen.raise(Dot::new(a, 3));
/// assert!(seen.contains(Dot::new(a, 2)));
/// assert!(!seen.contains(Dot::new(b, 1)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct VersionVector {
    /// In the order of ids.
    #[cfg_attr(feature = "serde", serde(with = "crate::json::counters"))]
    entries: Vec<(ReplicaId, u64)>,
}

impl VersionVector {
    /// Nothing seen.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The highest counter seen of `replica`; 0 when nothing was.
    pub fn get(&self, replica: ReplicaId) -> u64 {
        self.find(replica).map_or(0, |at| self.entries[at].1)
    }

    fn find(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.cmp(&replica))
    }

    /// True when the dot, and so everything before it by the same replica, was seen.
    pub fn contains(&self, dot: Dot) -> bool {
        dot.counter <= self.get(dot.replica)
    }

    /// Adds a dot and all earlier ones of its replica; true when that changed anything.
    pub fn raise(&mut self, dot: Dot) -> bool {
        match self.find(dot.replica) {
            Ok(at) if self.entries[at].1 >= dot.counter => return false,
            Ok(at) => self.entries[at].1 = dot.counter,
            Err(_) if dot.counter == 0 => return false,
            Err(at) => self.entries.insert(at, (dot.replica, dot.counter)),
        }
        true
    }

    /// Pointwise maximum; true when anything rose.
    pub fn merge(&mut self, other: &Self) -> bool {
        other.iter().fold(false, |changed, dot| self.raise(dot) | changed)
    }

    /// True when everything that `other` has seen was seen here.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|dot| self.contains(dot))
    }

    /// The last dot of every replica, in the order of ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Dot> + '_ {
        self.entries.iter().map(|(replica, counter)| Dot::new(*replica, *counter))
    }

    /// How many replicas were seen.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<Dot> for VersionVector {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut vector = Self::new();
        for dot in dots {
            vector.raise(dot);
        }
        vector
    }
}
