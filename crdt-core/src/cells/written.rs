//! [`Written`]: the last write, open or closed.

use core::cmp::Ordering;

use super::{Chain, restamp};
use crate::Change;

/// One last-write-wins value. A re-create *closes* a value that it observed: a closed cell keeps no value, loses to any
/// later write and wins over the write that it closed.
///
/// The order is (stamp of the write, open < closed, stamp of the closer, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<T> {
    /// Holds a value.
    Open {
        /// The change that wrote it.
        by: Change,
        /// The value.
        content: T,
    },
    /// The value is gone; its place in the order stays.
    Closed {
        /// The change that had written the value.
        written: Change,
        /// The change that observed and closed it.
        by: Change,
    },
}

impl<T> Written<T> {
    /// The change that wrote the value, whether it is still there or closed.
    pub const fn written(&self) -> &Change {
        match self {
            Self::Open { by, .. } => by,
            Self::Closed { written, .. } => written,
        }
    }

    /// The value while open.
    pub const fn open(&self) -> Option<(&Change, &T)> {
        match self {
            Self::Open { by, content } => Some((by, content)),
            Self::Closed { .. } => None,
        }
    }

    /// The same write, closed by `change`.
    pub const fn closed_by(&self, change: Change) -> Self {
        Self::Closed { written: *self.written(), by: change }
    }
}

impl<T: Clone + Ord> Chain for Written<T> {
    fn order(&self, other: &Self) -> Ordering {
        self.written().cmp(other.written()).then_with(|| match (self, other) {
            (Self::Open { .. }, Self::Closed { .. }) => Ordering::Less,
            (Self::Closed { .. }, Self::Open { .. }) => Ordering::Greater,
            (Self::Open { content: x, .. }, Self::Open { content: y, .. }) => x.cmp(y),
            (Self::Closed { by: a, .. }, Self::Closed { by: b, .. }) => a.cmp(b),
        })
    }

    fn set_by(&self) -> &Change {
        match self {
            Self::Open { by, .. } | Self::Closed { by, .. } => by,
        }
    }

    fn restamp(&mut self, change: &Change) {
        match self {
            Self::Open { by, .. } => restamp(by, change),
            Self::Closed { written, by } => {
                restamp(written, change);
                restamp(by, change);
            }
        }
    }
}
