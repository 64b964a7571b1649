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

/// Simpler than a tree, and much less code in a browser, where every type of entry would bring a tree of its own.
#[derive(Clone, Debug)]
pub(crate) enum SmallMap<K, V> {
    Few(Vec<(K, V)>),
    /// Sorted chunks in order, at least one, none empty.
    Many(Vec<Vec<(K, V)>>),
}

/// Keys without values.
pub(crate) type SmallSet<K> = SmallMap<K, ()>;

impl<K, V> SmallMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::new()
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

    /// In which chunk a key is or would be, and where in it. The one search of all that is done with a key: so it is
    /// compiled once for a type of key.
    fn locate<Q: Ord + ?Sized>(&self, key: &Q) -> (usize, Result<usize, usize>)
    where
        K: Borrow<Q>,
    {
        let (chunk, entries) = match self {
            Self::Few(few) => (0, few),
            Self::Many(chunks) => {
                let begins_by_then =
                    |chunk: &Vec<(K, V)>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
                let chunk = chunks.partition_point(begins_by_then).saturating_sub(1);
                (chunk, &chunks[chunk])
            }
        };
        // What is read back comes in order, and goes to the end.
        if entries.last().is_some_and(|(last, _)| last.borrow() < key) {
            return (chunk, Err(entries.len()));
        }
        (chunk, entries.binary_search_by(|(k, _)| k.borrow().cmp(key)))
    }

    fn chunk(&self, chunk: usize) -> &[(K, V)] {
        match self {
            Self::Few(few) => few,
            Self::Many(chunks) => &chunks[chunk],
        }
    }

    fn chunk_mut(&mut self, chunk: usize) -> &mut Vec<(K, V)> {
        match self {
            Self::Few(few) => few,
            Self::Many(chunks) => &mut chunks[chunk],
        }
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.locate(key);
        Some(&self.chunk(chunk)[at.ok()?].1)
    }

    pub(crate) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.locate(key).1.is_ok()
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.locate(key);
        Some(&mut self.chunk_mut(chunk)[at.ok()?].1)
    }

    /// Sets the value of a key, and gives the one that it had.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.locate(&key) {
            (chunk, Ok(at)) => Some(core::mem::replace(&mut self.chunk_mut(chunk)[at].1, value)),
            (chunk, Err(at)) => {
                self.insert_at(chunk, at, (key, value));
                None
            }
        }
    }

    /// Sets the value of a key if `wins` says so, which is told the one that it has. True when it was set.
    pub(crate) fn insert_if(
        &mut self,
        key: K,
        value: V,
        wins: impl FnOnce(&K, Option<&V>, &V) -> bool,
    ) -> bool {
        let (chunk, at) = self.locate(&key);
        let present = at.ok().map(|at| &mut self.chunk_mut(chunk)[at].1);
        if !wins(&key, present.as_deref(), &value) {
            return false;
        }
        match (present, at) {
            (Some(present), _) => *present = value,
            (None, Ok(at) | Err(at)) => self.insert_at(chunk, at, (key, value)),
        }
        true
    }

    /// Adds a new entry where its key belongs.
    fn insert_at(&mut self, chunk: usize, at: usize, entry: (K, V)) {
        if let Self::Many(chunks) = self
            && at == CHUNK
            && chunk + 1 == chunks.len()
        {
            // At the very end, where what comes in order goes: nothing needs to be split.
            let mut next = Vec::with_capacity(CHUNK);
            next.push(entry);
            return chunks.push(next);
        }
        self.chunk_mut(chunk).insert(at, entry);
        match self {
            Self::Few(few) if few.len() > FEW => *self = Self::Many(vec![core::mem::take(few)]),
            Self::Many(chunks) if chunks[chunk].len() > CHUNK => {
                let second = chunks[chunk].split_off(CHUNK / 2);
                chunks.insert(chunk + 1, second);
            }
            _ => {}
        }
    }

    /// Takes a key out, and gives the value that it had.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.locate(key);
        let entries = self.chunk_mut(chunk);
        let (_, value) = entries.remove(at.ok()?);
        if entries.is_empty() {
            match self {
                Self::Many(chunks) if chunks.len() > 1 => {
                    chunks.remove(chunk);
                }
                _ => *self = Self::new(),
            }
        }
        Some(value)
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        let (entries, chunks) = self.parts();
        Iter { entries: entries.iter(), chunks: chunks.iter() }
    }

    /// Entries from the first key that is not less than `start`.
    pub(crate) fn iter_from<Q: Ord + ?Sized>(&self, start: &Q) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let (chunk, Ok(at) | Err(at)) = self.locate(start);
        let rest = self.parts().1.get(chunk + 1..).unwrap_or_default();
        Iter { entries: self.chunk(chunk)[at..].iter(), chunks: rest.iter() }
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

    pub(crate) fn into_keys(self) -> Vec<K> {
        let mut keys = Vec::with_capacity(self.len());
        self.into_iter().for_each(|(key, _)| keys.push(key));
        keys
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(few) if few.is_empty())
    }
}

impl<K: Ord, V: Default> SmallMap<K, V> {
    /// The value of a key; that of a new key is the default.
    pub(crate) fn or_default(&mut self, key: &K) -> &mut V
    where
        K: Clone,
    {
        if let (chunk, Err(at)) = self.locate(key) {
            self.insert_at(chunk, at, (key.clone(), V::default()));
        }
        self.get_mut(key).expect("it was added if it was not there")
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
    use crate::tries::or_under_miri;

    #[test]
    fn it_is_the_same_map_whatever_the_number_of_chunks_and_the_order_of_keys() {
        // A prime, so that every factor leads through all keys.
        let keys = or_under_miri(3_001, 211u32);
        for factor in [1, keys - 2, 1_237] {
            let (mut map, mut model) = (SmallMap::default(), BTreeMap::new());
            for (value, key) in (0..2 * keys - 2).map(|i| i * factor % keys).enumerate() {
                map.insert(key, value);
                model.insert(key, value);
            }
            assert!(
                matches!(&map, SmallMap::Many(chunks) if chunks.len() >= keys as usize / CHUNK && chunks.iter().all(|c| !c.is_empty() && c.len() <= CHUNK))
            );
            assert!(map.iter().eq(model.iter()));
            assert_eq!(map.len(), model.len());
            for start in (0..keys + 99).step_by(or_under_miri(7, 61)) {
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
    fn it_is_the_same_map_while_keys_are_removed() {
        let (mut map, mut model) = (SmallMap::default(), BTreeMap::new());
        // Grows to a number of keys, then shrinks to nothing, a few times: through all forms and back.
        let keys = or_under_miri(1_501, 151u32);
        for round in 0..or_under_miri(4, 2u32) {
            for key in (0..keys - 1).map(|i| (i * 611 + round) % keys) {
                assert_eq!(map.insert(key, round), model.insert(key, round));
                let out = (key * 7 + round) % keys;
                if key % 3 == 0 {
                    assert_eq!(map.remove(&out), model.remove(&out));
                }
                *map.or_default(&(key / 2)) += 1;
                *model.entry(key / 2).or_default() += 1;
            }
            assert!(map.iter().eq(model.iter()) && map.len() == model.len());
            for key in (0..keys).map(|i| i * 13 % keys) {
                assert_eq!(map.remove(&key), model.remove(&key), "{key} in round {round}");
                assert_eq!(map.is_empty(), model.is_empty());
                assert!(map.iter_from(&key).next() == model.range(key..).next());
            }
            assert!(map.is_empty() && map.iter().next().is_none());
        }
    }

    #[test]
    fn a_value_is_set_only_if_it_wins() {
        let (mut map, mut model) = (SmallMap::default(), BTreeMap::new());
        for (value, key) in (0..2_000u32).map(|i| i * 7_919 % 401).enumerate() {
            let value = value * 31 % 997;
            let expected = model.get(&key).copied();
            let set = map.insert_if(key, value, |of, before, after| {
                assert_eq!((*of, before.copied(), *after), (key, expected, value));
                before.is_none_or(|before| before < after)
            });
            assert_eq!(set, expected.is_none_or(|before| before < value));
            if set {
                model.insert(key, value);
            }
        }
        assert!(map.iter().eq(model.iter()) && map.len() == 401);
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
