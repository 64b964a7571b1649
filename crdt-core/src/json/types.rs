//! The types that are made of cells. Their JSON is shown in each type's documentation.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::change::{counter, hlc, is_zero, ms};
use super::mark::{MarkJson, Nothing, present};
use super::unique::{Unique, unique};
use crate::cells::{Base, Cells, Tally, Written};
use crate::{Change, Flag, GSet, LwwRegister, MvRegister, OrSet, PNCounter, ReplicaId, Stamp};

type Marks<V> = Unique<ReplicaId, MarkJson<V>>;

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.cells.iter().map(|(w, mark)| (w, MarkJson::<Nothing>::of(mark, |()| None))))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Unique(marks) = Marks::<Nothing>::deserialize(deserializer)?;
        let cells = marks.into_iter().map(|(w, mark)| Ok((w, mark.into_mark(w, |_| Ok(()))?)));
        Ok(Self { cells: cells.collect::<Result<_, D::Error>>()? })
    }
}

impl<T: Ord + Clone + Serialize> Serialize for MvRegister<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.cells.iter().map(|(w, mark)| (w, MarkJson::of(mark, Some))))
    }
}

impl<'de, T: Ord + Clone + Deserialize<'de>> Deserialize<'de> for MvRegister<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Unique(marks) = Marks::<T>::deserialize(deserializer)?;
        let content = |value: Option<T>| value.ok_or_else(|| D::Error::missing_field("value"));
        let cells = marks.into_iter().map(|(w, mark)| Ok((w, mark.into_mark(w, content)?)));
        Ok(Self { cells: cells.collect::<Result<_, D::Error>>()? })
    }
}

/// One element of a set, with the marks of all that ever added it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ElementJson<T, M> {
    element: T,
    marks: M,
}

impl<T: Ord + Clone + Serialize> Serialize for OrSet<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut elements: Vec<ElementJson<&T, BTreeMap<&ReplicaId, MarkJson<Nothing>>>> = Vec::new();
        for ((element, writer), mark) in self.cells.iter() {
            let entry = (writer, MarkJson::of(mark, |()| None));
            match elements.last_mut() {
                Some(last) if last.element == element => drop(last.marks.insert(entry.0, entry.1)),
                _ => elements.push(ElementJson { element, marks: BTreeMap::from([entry]) }),
            }
        }
        elements.serialize(serializer)
    }
}

impl<'de, T: Ord + Clone + Deserialize<'de>> Deserialize<'de> for OrSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements = Vec::<ElementJson<T, Marks<Nothing>>>::deserialize(deserializer)?;
        let elements = unique(elements.into_iter().map(|json| (json.element, json.marks)).collect())?;
        let mut cells = Cells::new();
        for (element, Unique(marks)) in elements {
            if marks.is_empty() {
                return Err(D::Error::custom("an element without marks was never in the set"));
            }
            for (writer, mark) in marks {
                cells.put((element.clone(), writer), mark.into_mark(writer, |_| Ok(()))?);
            }
        }
        Ok(Self { cells })
    }
}

impl<T: Ord + Clone + Serialize> Serialize for GSet<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.adds.serialize(serializer)
    }
}

impl<'de, T: Ord + Clone + Deserialize<'de>> Deserialize<'de> for GSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let adds = OrSet::<T>::deserialize(deserializer)?;
        if adds.cells.iter().any(|(_, mark)| !mark.is_live()) {
            return Err(D::Error::custom("nothing can be removed from a grow-only set"));
        }
        Ok(Self { adds })
    }
}

/// `{}`, `{"value": …, "written": <change>}` or `{"written": <change>, "closed": <change>}`.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "V: Deserialize<'de>"))]
struct RegisterJson<V> {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    value: Option<V>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    written: Option<Change>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    closed: Option<Change>,
}

impl<T: Serialize> Serialize for LwwRegister<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (value, written, closed) = match &self.cell {
            None => (None, None, None),
            Some(Written::Open { by, content }) => (Some(content), Some(*by), None),
            Some(Written::Closed { written, by }) => (None, Some(*written), Some(*by)),
        };
        RegisterJson { value, written, closed }.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LwwRegister<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RegisterJson { value, written, closed } = RegisterJson::deserialize(deserializer)?;
        let cell = match (value, written, closed) {
            (None, None, None) => None,
            (Some(content), Some(by), None) => Some(Written::Open { by, content }),
            (None, Some(written), Some(by)) => Some(Written::Closed { written, by }),
            _ => {
                return Err(D::Error::custom(
                    "a register has `written` with `value` or `closed`, or is empty",
                ));
            }
        };
        Ok(Self { cell })
    }
}

/// What one replica counted; `ms`, `tick` and `epoch` are when it last did.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TallyJson {
    #[serde(deserialize_with = "counter")]
    counter: u64,
    #[serde(deserialize_with = "ms")]
    ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    tick: u16,
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u32,
    up: u64,
    down: u64,
}

/// What a reset saw of one replica.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseJson {
    #[serde(deserialize_with = "counter")]
    counter: u64,
    up: u64,
    down: u64,
    by: Change,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CounterJson<C, R> {
    counts: C,
    resets: R,
}

impl Serialize for PNCounter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = self.tallies.iter().map(|(replica, Tally { by: Change { stamp, counter }, p, m })| {
            let (ms, tick, epoch) = (stamp.hlc.ms(), stamp.hlc.counter(), stamp.epoch);
            (replica, TallyJson { counter: *counter, ms, tick, epoch, up: *p, down: *m })
        });
        let resets = self.bases.iter();
        let resets =
            resets.map(|(r, Base { n, p, m, by })| (r, BaseJson { counter: *n, up: *p, down: *m, by: *by }));
        let (counts, resets) = (counts.collect::<BTreeMap<_, _>>(), resets.collect::<BTreeMap<_, _>>());
        CounterJson { counts, resets }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PNCounter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        type Counts = Unique<ReplicaId, TallyJson>;
        type Resets = Unique<ReplicaId, BaseJson>;
        let CounterJson { counts, resets } = CounterJson::<Counts, Resets>::deserialize(deserializer)?;
        let tallies =
            counts.0.into_iter().map(|(replica, TallyJson { counter, ms, tick, epoch, up, down })| {
                let stamp = Stamp { epoch, hlc: hlc(ms, tick), replica };
                (replica, Tally { by: Change { stamp, counter }, p: up, m: down })
            });
        let bases = resets.0.into_iter();
        let bases =
            bases.map(|(r, BaseJson { counter, up, down, by })| (r, Base { n: counter, p: up, m: down, by }));
        Ok(Self { tallies: tallies.collect(), bases: bases.collect() })
    }
}
