//! [`Versioned`]: a value with its version; and [`Relation`]: which of two had seen the other.

use core::cmp::Ordering;

use crate::{Change, Dot, Hlc, Lattice as _, LwwRegister, ReplicaId, Stamp, VersionVector};

/// A value, when and by whom it was written, and what its writer had seen.
///
/// In JSON `{"value": …, "stamp": {"replica": "…", "ms": 1700000000000}, "version": {"<replica>": 3}}`; an empty version
/// is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// When and by whom: epoch, hybrid time, replica. What comes later wins; of equal times, the higher replica id.
    pub stamp: Stamp,
    /// Per replica, the last write that went into the value, this one included. Empty where nobody keeps track: then
    /// nothing is known to be concurrent, and the stamp alone decides.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "VersionVector::is_empty"))]
    pub version: VersionVector,
}

/// Which of two versions had seen the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Both have seen the same.
    Equal,
    /// The other has seen this one.
    Before,
    /// This one has seen the other.
    After,
    /// Neither has seen the other.
    Concurrent,
}

impl<T> Versioned<T> {
    /// A value written at a hybrid time, without a version yet.
    pub fn new(value: T, hlc: Hlc, replica: ReplicaId) -> Self {
        let stamp = Stamp { epoch: 0, hlc, replica };
        Self { value, stamp, version: VersionVector::new() }
    }

    /// A value written at a wall-clock time in milliseconds since 1970, without a version yet.
    pub fn at_ms(value: T, timestamp_ms: u64, replica: ReplicaId) -> Self {
        Self::new(value, Hlc::from_ms(timestamp_ms), replica)
    }

    /// The same with a version: the last dot of every replica that went into it, its own included.
    pub fn having_seen(mut self, dots: impl IntoIterator<Item = Dot>) -> Self {
        self.version = dots.into_iter().collect();
        self
    }

    /// Takes note that the value was changed by `change`, which [`Clock::tick`](crate::Clock::tick) made.
    pub fn written_by(&mut self, change: &Change) {
        self.stamp = change.stamp;
        self.version.raise(change.dot());
    }

    /// Which of the two versions had seen the other.
    pub fn relation<U>(&self, other: &Versioned<U>) -> Relation {
        match (self.version.covers(&other.version), other.version.covers(&self.version)) {
            (true, true) => Relation::Equal,
            (false, true) => Relation::Before,
            (true, false) => Relation::After,
            (false, false) => Relation::Concurrent,
        }
    }

    /// The stamp as the change of a cell. Stamps of different writes differ, so the counter has nothing to say.
    pub(super) const fn change(&self) -> Change {
        Change { stamp: self.stamp, counter: 0 }
    }
}

/// A version as the content of a register: its stamp is the register's business, so it is ordered by value alone.
#[derive(Debug)]
pub(super) struct Entry<'v, T>(pub(super) &'v Versioned<T>);

impl<T> Clone for Entry<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Entry<'_, T> {}

impl<T: Ord> PartialEq for Entry<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Entry<'_, T> {}

impl<T: Ord> PartialOrd for Entry<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for Entry<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.value.cmp(&other.0.value)
    }
}

/// The register that a version's write makes.
pub(super) fn register<T: Ord>(version: &Versioned<T>) -> LwwRegister<Entry<'_, T>> {
    let mut register = LwwRegister::new();
    register.write(version.change(), Entry(version));
    register
}

/// The version that an `lww` field would keep; `None` of none.
pub(super) fn latest<'v, T: Ord>(
    versions: impl IntoIterator<Item = &'v Versioned<T>>,
) -> Option<&'v Versioned<T>> {
    let mut kept = LwwRegister::new();
    for version in versions {
        kept.merge(register(version));
    }
    kept.get().map(|entry| entry.0)
}

/// All that any of the versions has seen.
pub(super) fn joined<'v, T: 'v>(versions: impl IntoIterator<Item = &'v Versioned<T>>) -> VersionVector {
    let mut joined = VersionVector::new();
    for version in versions {
        joined.merge(&version.version);
    }
    joined
}
