//! [`Mark`] under its writer's key.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::change::{checked_ms, counter, hlc, is_zero};
use crate::cells::Mark;
use crate::{Change, ReplicaId, Stamp};

/// Live: `{"counter": 1, "ms": 1000, "value": …}` and, unless 0, `tick` and `epoch`.
/// Dead: `{"counter": 1, "removed": <the change that took it away>}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "V: Deserialize<'de>"))]
pub(super) struct MarkJson<V> {
    #[serde(deserialize_with = "counter")]
    counter: u64,
    // Without `present`, null would be read as absent, and a value that is null would be lost.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    tick: u16,
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u32,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    value: Option<V>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    removed: Option<Change>,
}

/// Reads what stands there, which is not the same as reading an option.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<V> MarkJson<V> {
    /// `value` says what stands under that key for a live mark's content.
    pub(super) fn of<'a, T>(mark: &'a Mark<T>, value: impl FnOnce(&'a T) -> Option<V>) -> Self {
        let nothing = Self { counter: mark.n(), ms: None, tick: 0, epoch: 0, value: None, removed: None };
        match mark {
            Mark::Dead { by, .. } => Self { removed: Some(*by), ..nothing },
            Mark::Live { by: Change { stamp, .. }, content } => Self {
                ms: Some(stamp.hlc.ms()),
                tick: stamp.hlc.counter(),
                epoch: stamp.epoch,
                value: value(content),
                ..nothing
            },
        }
    }

    /// The mark of this writer; `content` makes a live mark's content of what stands under `value`.
    pub(super) fn into_mark<T, E: Error>(
        self,
        writer: ReplicaId,
        content: impl FnOnce(Option<V>) -> Result<T, E>,
    ) -> Result<Mark<T>, E> {
        let Self { counter, ms, tick, epoch, value, removed } = self;
        match (ms, removed) {
            (Some(ms), None) => {
                let stamp = Stamp { epoch, hlc: hlc(checked_ms(ms)?, tick), replica: writer };
                Ok(Mark::Live { by: Change { stamp, counter }, content: content(value)? })
            }
            (None, Some(by)) if tick == 0 && epoch == 0 && value.is_none() => {
                Ok(Mark::Dead { n: counter, by })
            }
            _ => Err(E::custom("a mark has either `ms`, with its value if it holds one, or `removed` alone")),
        }
    }
}

/// The value of marks that hold none; to read one is an error.
pub(super) enum Nothing {}

impl Serialize for Nothing {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("this mark holds no value"))
    }
}
