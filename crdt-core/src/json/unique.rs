//! Maps and lists in which nothing may occur twice.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::num::NonZeroU64;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::ReplicaId;

/// A map whose every key was there once. Derived maps would let the last one win, in silence.
pub(super) struct Unique<K, V>(pub(super) BTreeMap<K, V>);

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for Unique<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

impl<K, V> Default for Unique<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

struct UniqueVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for UniqueVisitor<K, V> {
    type Value = Unique<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map without repeated keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // The announced size is not believed: memory follows what arrives.
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            if entries.insert(key, value).is_some() {
                return Err(A::Error::custom("a key is repeated"));
            }
        }
        Ok(Unique(entries))
    }
}

/// Pairs as a map, or an error when two have the same key.
pub(super) fn unique<K: Ord, V, E: Error>(pairs: Vec<(K, V)>) -> Result<BTreeMap<K, V>, E> {
    let count = pairs.len();
    let entries: BTreeMap<K, V> = pairs.into_iter().collect();
    if entries.len() == count { Ok(entries) } else { Err(E::custom("an element is repeated")) }
}

/// The same for a sorted list of them.
pub(crate) mod counters {
    use super::{Deserializer, ReplicaId, Vec, positive};

    pub(crate) fn serialize<S: serde::Serializer>(
        counters: &[(ReplicaId, u64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(counters.iter().map(|(replica, counter)| (replica, counter)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(ReplicaId, u64)>, D::Error> {
        Ok(positive(deserializer)?.into_iter().collect())
    }
}

/// Reads `{"<replica>": count, …}` with counts of at least 1: a count of 0 would be a second way to say nothing.
pub(crate) fn positive<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<ReplicaId, u64>, D::Error> {
    let Unique(counts) = Unique::<ReplicaId, NonZeroU64>::deserialize(deserializer)?;
    Ok(counts.into_iter().map(|(replica, count)| (replica, count.get())).collect())
}
