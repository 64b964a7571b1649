//! [`Change`], [`Stamp`] and [`Hlc`]. An HLC is two numbers in JSON: its 64 bits in one would not survive a reader that
//! takes every number for a float, as JavaScript does.

use core::num::NonZeroU64;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::{Change, Hlc, ReplicaId, Stamp};

/// For `skip_serializing_if`.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
pub(super) fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// Reads a counter of at least 1: dots begin there.
pub(crate) fn counter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    NonZeroU64::deserialize(deserializer).map(NonZeroU64::get)
}

/// Reads milliseconds that 48 bits can say.
pub(super) fn ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    checked_ms(u64::deserialize(deserializer)?)
}

/// An error for milliseconds that 48 bits cannot say.
pub(super) fn checked_ms<E: Error>(ms: u64) -> Result<u64, E> {
    if ms > Hlc::MAX_MS {
        return Err(E::custom("the time is beyond 48 bits of milliseconds"));
    }
    Ok(ms)
}

/// The packed time; `ms` is known to fit.
pub(super) fn hlc(ms: u64, tick: u16) -> Hlc {
    Hlc::from_bits(Hlc::from_ms(ms).to_bits() | u64::from(tick))
}

/// `{"ms": 1700000000000, "tick": 2}`; no tick is 0.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HlcJson {
    #[serde(deserialize_with = "ms")]
    ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    tick: u16,
}

impl From<Hlc> for HlcJson {
    fn from(hlc: Hlc) -> Self {
        Self { ms: hlc.ms(), tick: hlc.counter() }
    }
}

impl From<HlcJson> for Hlc {
    fn from(json: HlcJson) -> Self {
        hlc(json.ms, json.tick)
    }
}

/// `{"replica": "…", "ms": 1700000000000, "tick": 2, "epoch": 1}`; no tick or epoch is 0.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StampJson {
    replica: ReplicaId,
    #[serde(deserialize_with = "ms")]
    ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    tick: u16,
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u32,
}

impl From<Stamp> for StampJson {
    fn from(Stamp { epoch, hlc, replica }: Stamp) -> Self {
        Self { replica, ms: hlc.ms(), tick: hlc.counter(), epoch }
    }
}

impl From<StampJson> for Stamp {
    fn from(json: StampJson) -> Self {
        Self { epoch: json.epoch, hlc: hlc(json.ms, json.tick), replica: json.replica }
    }
}

/// `{"replica": "…", "counter": 5, "ms": 1700000000000, "tick": 2, "epoch": 1}`; no tick or epoch is 0.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeJson {
    replica: ReplicaId,
    #[serde(deserialize_with = "counter")]
    counter: u64,
    #[serde(deserialize_with = "ms")]
    ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    tick: u16,
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u32,
}

impl From<Change> for ChangeJson {
    fn from(Change { stamp: Stamp { epoch, hlc, replica }, counter }: Change) -> Self {
        Self { replica, counter, ms: hlc.ms(), tick: hlc.counter(), epoch }
    }
}

impl From<ChangeJson> for Change {
    fn from(json: ChangeJson) -> Self {
        let stamp = Stamp { epoch: json.epoch, hlc: hlc(json.ms, json.tick), replica: json.replica };
        Self { stamp, counter: json.counter }
    }
}
