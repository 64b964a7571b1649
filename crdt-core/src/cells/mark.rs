//! [`Mark`]: something that is there until a change that saw it takes it away.

use core::cmp::Ordering;

use super::{Chain, restamp};
use crate::Change;

/// Something a replica put there: live with its content until a change that observed it marks it dead.
///
/// The order is (n, live < dead, stamp of the killer, …), where n is the writer's transaction: a later mark of the same
/// writer replaces an earlier one, and a removal wins over exactly the mark that it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark<T> {
    /// There, since the change.
    Live {
        /// The change that put it there; n is its counter.
        by: Change,
        /// What is there.
        content: T,
    },
    /// Taken away.
    Dead {
        /// The counter of the change that had put it there.
        n: u64,
        /// The change that observed it and took it away.
        by: Change,
    },
}

impl<T> Mark<T> {
    /// The counter of the writer's change that this mark belongs to.
    pub const fn n(&self) -> u64 {
        match self {
            Self::Live { by, .. } => by.counter,
            Self::Dead { n, .. } => *n,
        }
    }

    /// The content while live.
    pub const fn live(&self) -> Option<(&Change, &T)> {
        match self {
            Self::Live { by, content } => Some((by, content)),
            Self::Dead { .. } => None,
        }
    }

    /// True until taken away.
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }

    /// The same mark, taken away by `change`.
    pub const fn killed_by(&self, change: Change) -> Self {
        Self::Dead { n: self.n(), by: change }
    }
}

impl<T: Clone + Ord> Chain for Mark<T> {
    fn order(&self, other: &Self) -> Ordering {
        self.n().cmp(&other.n()).then_with(|| match (self, other) {
            (Self::Live { .. }, Self::Dead { .. }) => Ordering::Less,
            (Self::Dead { .. }, Self::Live { .. }) => Ordering::Greater,
            (Self::Live { by: a, content: x }, Self::Live { by: b, content: y }) => {
                a.cmp(b).then_with(|| x.cmp(y))
            }
            (Self::Dead { by: a, .. }, Self::Dead { by: b, .. }) => a.cmp(b),
        })
    }

    fn set_by(&self) -> &Change {
        match self {
            Self::Live { by, .. } | Self::Dead { by, .. } => by,
        }
    }

    fn restamp(&mut self, change: &Change) {
        match self {
            Self::Live { by, .. } | Self::Dead { by, .. } => restamp(by, change),
        }
    }
}
