//! [`Cells`]: a map key → cell with pointwise merge, on which every type here is built.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::Chain;
use crate::small_map::SmallMap;
use crate::{CausalContext, Change, Lattice};

/// A map key → cell. Its merge is pointwise: per key, the greater cell.
#[derive(Clone, Debug)]
pub struct Cells<K, C>(SmallMap<K, C>);

impl<K, C> Default for Cells<K, C> {
    fn default() -> Self {
        Self(SmallMap::default())
    }
}

impl<K: Ord + Clone, C: Chain> Cells<K, C> {
    /// No cells.
    pub fn new() -> Self {
        Self::default()
    }

    /// A single cell.
    pub fn one(key: K, cell: C) -> Self {
        Self(SmallMap::one(key, cell))
    }

    /// The cell of a key.
    pub fn get(&self, key: &K) -> Option<&C> {
        self.0.get(key)
    }

    /// Sets a cell without comparing: for the transaction that is still writing, whose later write replaces its earlier.
    pub fn put(&mut self, key: K, cell: C) {
        self.0.insert(key, cell);
    }

    /// Takes over all cells of `other`, which a later write of the same transaction made.
    pub fn put_all(&mut self, other: Self) {
        for (key, cell) in other.0 {
            self.put(key, cell);
        }
    }

    /// Merges one cell: keeps the greater. Calls `changed` with the cell before and after when the new one won.
    pub fn merge_cell(&mut self, key: K, cell: C, changed: &mut dyn FnMut(&K, Option<&C>, &C)) -> bool {
        self.0.insert_if(key, cell, |key, before, cell| {
            if before.is_some_and(|before| cell.order(before) != Ordering::Greater) {
                return false;
            }
            changed(key, before, cell);
            true
        })
    }

    /// Merges many cells; see [`Cells::merge_cell`].
    pub fn merge_observed(&mut self, other: Self, changed: &mut dyn FnMut(&K, Option<&C>, &C)) -> bool {
        let mut any = false;
        for (key, cell) in other.0 {
            any |= self.merge_cell(key, cell, changed);
        }
        any
    }

    /// All cells in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &C)> + '_ {
        self.0.iter()
    }

    /// The cells from the first key that is not less than `start`.
    pub fn iter_from<'a>(&'a self, start: &K) -> impl Iterator<Item = (&'a K, &'a C)> + use<'a, K, C> {
        self.0.iter_from(start)
    }

    /// The cells that `keep` says yes to.
    pub fn select(&self, mut keep: impl FnMut(&C) -> bool) -> Self {
        self.iter().filter(|(_, c)| keep(c)).map(|(k, c)| (k.clone(), c.clone())).collect()
    }

    /// Gives every trace of an uncommitted change its final stamp.
    pub fn restamp(&mut self, change: &Change) {
        self.0.values_mut().for_each(|cell| cell.restamp(change));
    }

    /// How many cells.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without cells.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Ord, C: PartialEq> PartialEq for Cells<K, C> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Ord, C: Eq> Eq for Cells<K, C> {}

impl<K: Ord + Clone, C: Chain> Lattice for Cells<K, C> {
    fn merge(&mut self, other: Self) -> bool {
        self.merge_observed(other, &mut |_, _, _| ())
    }

    fn decompose(&self) -> Vec<Self> {
        self.iter().map(|(k, c)| Self::one(k.clone(), c.clone())).collect()
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        self.select(|cell| !seen.contains(cell.set_by().dot()))
    }
}

impl<K: Ord + Clone, C: Chain> FromIterator<(K, C)> for Cells<K, C> {
    /// Of cells with the same key the greatest is kept.
    fn from_iter<I: IntoIterator<Item = (K, C)>>(cells: I) -> Self {
        let mut all = Self::new();
        for (key, cell) in cells {
            all.merge_cell(key, cell, &mut |_, _, _| ());
        }
        all
    }
}

impl<K, C> IntoIterator for Cells<K, C> {
    type Item = (K, C);
    type IntoIter = IntoIter<K, C>;

    fn into_iter(self) -> Self::IntoIter {
        IntoIter(self.0.into_iter())
    }
}

/// Cells by value, in key order.
pub struct IntoIter<K, C>(crate::small_map::IntoIter<K, C>);

impl<K, C> Iterator for IntoIter<K, C> {
    type Item = (K, C);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
