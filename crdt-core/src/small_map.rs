//! [`SmallMap`]: an ordered map that is a sorted vector while small.

use alloc::vec;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::slice;

/// Up to here one sorted vector is smallest and fastest: a field has few writers and a document few fields, but a set
/// may have many elements.
const FEW: usize = 16;
/// Entries of a chunk at most: inserting moves half of them on average, and the list of chunks stays short.
const CHUNK: usize = 128;

/// Nothing is ever removed, which makes it simpler than a tree, and much less code in a browser, where every type of
/// entry would bring a tree of its own.
#[derive(Clone, Debug)]
pub(crate) enum SmallMap<K, V> {
    Few(Vec<(K, V)>),
    /// Sorted chunks in order, none empty.
    Many(Vec<Vec<(K, V)>>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// Either way it is entries, then chunks of entries.
type Parts<'a, K, V> = (&'a [(K, V)], &'a [Vec<(K, V)>]);

impl<K, V> SmallMap<K, V> {
    fn parts(&self) -> Parts<'_, K, V> {
        match self {
            Self::Few(few) => (few, &[]),
            Self::Many(chunks) => (&[], chunks),
        }
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    pub(crate) fn one(key: K, value: V) -> Self {
        Self::Few(vec![(key, value)])
    }

    fn find<Q: Ord + ?Sized>(entries: &[(K, V)], key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        entries.binary_search_by(|(k, _)| k.borrow().cmp(key))
    }

    /// Which chunk has the key, if any does.
    fn chunk_of<Q: Ord + ?Sized>(chunks: &[Vec<(K, V)>], key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let starts_by_then =
            |chunk: &Vec<(K, V)>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        chunks.partition_point(starts_by_then).saturating_sub(1)
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let entries = match self {
            Self::Few(few) => few,
            Self::Many(chunks) => &chunks[Self::chunk_of(chunks, key)],
        };
        Self::find(entries, key).ok().map(|at| &entries[at].1)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let entries = match self {
            Self::Few(few) => few,
            Self::Many(chunks) => {
                let at = Self::chunk_of(chunks, key);
                &mut chunks[at]
            }
        };
        Self::find(entries, key).ok().map(|at| &mut entries[at].1)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let (entries, limit) = match self {
            Self::Few(few) => (few, FEW),
            Self::Many(chunks) => {
                let at = Self::chunk_of(chunks, &key);
                if chunks[at].len() == CHUNK {
                    let second = chunks[at].split_off(CHUNK / 2);
                    chunks.insert(at + 1, second);
                }
                let at = Self::chunk_of(chunks, &key);
                (&mut chunks[at], CHUNK)
            }
        };
        match Self::find(entries, &key) {
            Ok(at) => entries[at].1 = value,
            Err(at) if entries.len() < limit => entries.insert(at, (key, value)),
            Err(_) => {
                *self = Self::Many(vec![core::mem::take(entries)]);
                self.insert(key, value);
            }
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        let (entries, chunks) = self.parts();
        Iter { entries: entries.iter(), chunks: chunks.iter() }
    }

    /// Entries from the first key that is not less than `start`.
    pub(crate) fn iter_from(&self, start: &K) -> Iter<'_, K, V> {
        let (few, chunks) = self.parts();
        let (entries, rest) = match chunks.get(Self::chunk_of(chunks, start)..).and_then(<[_]>::split_first) {
            Some((chunk, rest)) => (&chunk[..], rest),
            None => (few, chunks),
        };
        Iter { entries: entries[entries.partition_point(|(k, _)| k < start)..].iter(), chunks: rest.iter() }
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let (few, chunks): (&mut [_], &mut [_]) = match self {
            Self::Few(few) => (few, &mut []),
            Self::Many(chunks) => (&mut [], chunks),
        };
        few.iter_mut().chain(chunks.iter_mut().flatten()).map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        let (entries, chunks) = self.parts();
        entries.len() + chunks.iter().map(Vec::len).sum::<usize>()
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
pub(crate) struct Iter<'a, K, V> {
    entries: slice::Iter<'a, (K, V)>,
    chunks: slice::Iter<'a, Vec<(K, V)>>,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.entries.next() {
                return Some((key, value));
            }
            self.entries = self.chunks.next()?.iter();
        }
    }
}

/// Entries by value, in key order.
pub(crate) struct IntoIter<K, V> {
    entries: vec::IntoIter<(K, V)>,
    chunks: vec::IntoIter<Vec<(K, V)>>,
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(entry);
            }
            self.entries = self.chunks.next()?.into_iter();
        }
    }
}

impl<K, V> IntoIterator for SmallMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        let (entries, chunks) = match self {
            Self::Few(few) => (few, Vec::new()),
            Self::Many(chunks) => (Vec::new(), chunks),
        };
        IntoIter { entries: entries.into_iter(), chunks: chunks.into_iter() }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_the_same_map_whatever_the_number_of_chunks_and_the_order_of_keys() {
        for factor in [1, 2_999, 1_237] {
            let (mut map, mut model) = (SmallMap::default(), BTreeMap::new());
            for (value, key) in (0..6_000u32).map(|i| i * factor % 3_001).enumerate() {
                map.insert(key, value);
                model.insert(key, value);
            }
            assert!(
                matches!(&map, SmallMap::Many(chunks) if chunks.len() >= 3_000 / CHUNK && chunks.iter().all(|c| !c.is_empty() && c.len() <= CHUNK))
            );
            assert!(map.iter().eq(model.iter()));
            assert_eq!(map.len(), model.len());
            for start in (0..3_100).step_by(7) {
                assert!(map.iter_from(&start).eq(model.range(start..)), "from {start}");
                assert_eq!(map.get(&start), model.get(&start));
            }
            map.values_mut().for_each(|value| *value += 1);
            for value in model.values_mut() {
                *value += 1;
            }
            assert!(map == map.clone() && map.into_iter().eq(model));
        }
    }

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
