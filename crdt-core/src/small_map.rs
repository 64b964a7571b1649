//! [`SmallMap`]: an ordered map that is a sorted vector while small.

use alloc::collections::{BTreeMap, btree_map};
use alloc::vec;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::ops::Bound;

/// Up to here a sorted vector is smaller and faster than a tree: a field has few writers and a document few fields,
/// but a set may have many elements.
const FEW: usize = 16;

#[derive(Clone, Debug)]
pub(crate) enum SmallMap<K, V> {
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    pub(crate) fn one(key: K, value: V) -> Self {
        Self::Few(vec![(key, value)])
    }

    fn find<Q: Ord + ?Sized>(few: &[(K, V)], key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        few.binary_search_by(|(k, _)| k.borrow().cmp(key))
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(few) => Self::find(few, key).ok().map(|at| &few[at].1),
            Self::Many(many) => many.get(key),
        }
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(few) => Self::find(few, key).ok().map(|at| &mut few[at].1),
            Self::Many(many) => many.get_mut(key),
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self {
            Self::Few(few) => match Self::find(few, &key) {
                Ok(at) => few[at].1 = value,
                Err(at) if few.len() < FEW => few.insert(at, (key, value)),
                Err(_) => {
                    // Not collected: that would compile a sort for every type of entry, for what is sorted already.
                    let mut many = BTreeMap::new();
                    for (key, value) in core::mem::take(few) {
                        many.insert(key, value);
                    }
                    many.insert(key, value);
                    *self = Self::Many(many);
                }
            },
            Self::Many(many) => {
                many.insert(key, value);
            }
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        match self {
            Self::Few(few) => Iter::Few(few.iter()),
            Self::Many(many) => Iter::Many(many.iter()),
        }
    }

    /// Entries from the first key that is not less than `start`.
    pub(crate) fn iter_from(&self, start: &K) -> IterFrom<'_, K, V> {
        match self {
            Self::Few(few) => IterFrom::Few(few[few.partition_point(|(k, _)| k < start)..].iter()),
            Self::Many(many) => IterFrom::Many(many.range((Bound::Included(start), Bound::Unbounded))),
        }
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few.iter_mut().map(|(_, v)| v)), None),
            Self::Many(many) => (None, Some(many.values_mut())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SmallMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Ord, V: Eq> Eq for SmallMap<K, V> {}

/// Entries by reference, in key order.
#[derive(Debug)]
pub(crate) enum Iter<'a, K, V> {
    Few(core::slice::Iter<'a, (K, V)>),
    Many(btree_map::Iter<'a, K, V>),
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(few) => few.next().map(|(k, v)| (k, v)),
            Self::Many(many) => many.next(),
        }
    }
}

/// Entries by reference from a key on.
pub(crate) enum IterFrom<'a, K, V> {
    Few(core::slice::Iter<'a, (K, V)>),
    Many(btree_map::Range<'a, K, V>),
}

impl<'a, K, V> Iterator for IterFrom<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(few) => few.next().map(|(k, v)| (k, v)),
            Self::Many(many) => many.next(),
        }
    }
}

/// Entries by value, in key order.
pub(crate) enum IntoIter<K, V> {
    Few(vec::IntoIter<(K, V)>),
    Many(btree_map::IntoIter<K, V>),
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(few) => few.next(),
            Self::Many(many) => many.next(),
        }
    }
}

impl<K, V> IntoIterator for SmallMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        match self {
            Self::Few(few) => IntoIter::Few(few.into_iter()),
            Self::Many(many) => IntoIter::Many(many.into_iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_map_below_and_above_the_switch() {
        let mut map = SmallMap::default();
        let mut model = BTreeMap::new();
        for key in (0..40u32).map(|i| (i * 17) % 41) {
            map.insert(key, key * 2);
            model.insert(key, key * 2);
            assert!(map.iter().eq(model.iter()));
            assert!(map.iter_from(&20).eq(model.range(20..)));
            assert_eq!((map.get(&key), map.get(&99)), (Some(&(key * 2)), None));
            assert_eq!(map.len(), model.len());
        }
        map.insert(5, 0);
        *map.get_mut(&6).unwrap() = 1;
        map.values_mut().for_each(|v| *v += 1);
        assert_eq!((map.get(&5), map.get(&6)), (Some(&1), Some(&2)));
        assert_eq!(map.clone().into_iter().count(), 40);
    }
}
