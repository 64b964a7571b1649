//! [`Tally`] and [`Base`]: what one replica counted, and from where a reset counts on.

use core::cmp::Ordering;

use super::{Chain, restamp};
use crate::Change;

/// All that one replica ever counted up (`p`) and down (`m`). Only that replica writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The last change that counted; its counter is n.
    pub by: Change,
    /// Total of all increments.
    pub p: u64,
    /// Total of all decrements.
    pub m: u64,
}

impl Chain for Tally {
    fn order(&self, other: &Self) -> Ordering {
        let key = |t: &Self| (t.by.counter, t.p, t.m, t.by.stamp);
        key(self).cmp(&key(other))
    }

    fn set_by(&self) -> &Change {
        &self.by
    }

    fn restamp(&mut self, change: &Change) {
        restamp(&mut self.by, change);
    }
}

/// What a reset observed of one replica's tally: the counter's value counts from here.
///
/// A reset is not an addition of −total: two concurrent resets would then go below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The counter of the observed tally's change.
    pub n: u64,
    /// Increments observed.
    pub p: u64,
    /// Decrements observed.
    pub m: u64,
    /// The change that reset.
    pub by: Change,
}

impl Chain for Base {
    fn order(&self, other: &Self) -> Ordering {
        let key = |b: &Self| (b.n, b.p, b.m, b.by);
        key(self).cmp(&key(other))
    }

    fn set_by(&self) -> &Change {
        &self.by
    }

    fn restamp(&mut self, change: &Change) {
        restamp(&mut self.by, change);
    }
}
