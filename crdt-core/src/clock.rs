//! The hybrid logical clock: [`Hlc`], [`Stamp`], [`Change`] and the [`Clock`] that makes them.
//!
//! An HLC (Kulkarni et al. 2014) is wall-clock time that never goes back and that exceeds what it overwrites. It
//! orders *concurrent* writes; it never says which write had seen which: that is the business of dots. This crate reads
//! no clock: the time comes in as milliseconds since 1970.

use core::fmt;

use crate::{Dot, ReplicaId};

/// Hybrid logical time: 48 bits of milliseconds since 1970, then a 16 bit counter that carries into them.
///
/// In JSON `{"ms": 1700000000000, "tick": 2}`; `tick` is the counter and is left out when 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(from = "crate::json::HlcJson", into = "crate::json::HlcJson")
)]
pub struct Hlc(u64);

impl Hlc {
    const COUNTER_BITS: u32 = 16;
    /// The last millisecond that 48 bits can say (the year 10889).
    pub const MAX_MS: u64 = u64::MAX >> Self::COUNTER_BITS;

    /// The end of time.
    pub const MAX: Self = Self(u64::MAX);

    /// The first instant of a millisecond; later ones than [`Hlc::MAX_MS`] count as that.
    pub const fn from_ms(ms: u64) -> Self {
        let ms = if ms > Self::MAX_MS { Self::MAX_MS } else { ms };
        Self(ms << Self::COUNTER_BITS)
    }

    /// The packed 64 bits; their order is the order of time.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// See [`Hlc::from_bits`].
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    pub const fn ms(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }

    /// Position within the millisecond.
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The next instant; a full counter carries into the milliseconds. `None` at the end of time.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms+{}", self.ms(), self.counter())
    }
}

/// When a change was made, in a total order over all replicas: epoch, then HLC, then replica.
///
/// The epoch is 0 until a wrong clock has to be repaired: a value that was written "in the future" is issued again
/// with the next epoch and a sane time.
///
/// In JSON `{"replica": "…", "ms": 1700000000000, "tick": 2, "epoch": 1}`; `tick` and `epoch` are left out when 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(from = "crate::json::StampJson", into = "crate::json::StampJson")
)]
pub struct Stamp {
    /// Compared first.
    pub epoch: u32,
    /// Compared second.
    pub hlc: Hlc,
    /// Breaks ties, so that two replicas never have equal stamps.
    pub replica: ReplicaId,
}

/// What every cell remembers of the transaction that set it: its dot and its stamp.
///
/// In JSON `{"replica": "…", "counter": 5, "ms": 1700000000000, "tick": 2, "epoch": 1}`; `tick` and `epoch` are left out
/// when 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(from = "crate::json::ChangeJson", into = "crate::json::ChangeJson")
)]
pub struct Change {
    /// When, and by whom.
    pub stamp: Stamp,
    /// The author's transaction counter.
    pub counter: u64,
}

impl Change {
    /// The transaction's name.
    pub const fn dot(&self) -> Dot {
        Dot::new(self.stamp.replica, self.counter)
    }

    /// Who made it.
    pub const fn replica(&self) -> ReplicaId {
        self.stamp.replica
    }
}

/// Makes the [`Change`]s of one replica. Plain data: whoever persists a replica persists this with it.
///
/// ```
/// # use crdt_core::{Clock, ReplicaId};
/// let mut clock = Clock::new(ReplicaId::from_u64(1));
/// let first = clock.tick(1_000)?;
/// let second = clock.tick(900)?; // the wall clock went back; the hybrid clock does not
/// assert!(second.stamp > first.stamp);
/// assert_eq!(second.counter, first.counter + 1);
/// # Ok::<(), crdt_core::ClockError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    replica: ReplicaId,
    counter: u64,
    hlc: Hlc,
}

impl Clock {
    /// A clock that has made nothing yet.
    pub const fn new(replica: ReplicaId) -> Self {
        Self::restore(replica, 0, Hlc::from_bits(0))
    }

    /// A clock that goes on after the last change it made.
    pub const fn restore(replica: ReplicaId, counter: u64, hlc: Hlc) -> Self {
        Self { replica, counter, hlc }
    }

    /// Whose clock this is.
    pub const fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The counter of the last change; 0 before the first.
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// The time of the last change.
    pub const fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// The next change, at wall-clock time `now_ms` or just after the last one, whichever is later.
    ///
    /// A clock that was raised to the very end of time, above a hostile stamp, goes on from the wall clock: what it has to
    /// exceed then takes the next [epoch](Change::exceed), and only that.
    ///
    /// # Errors
    /// [`ClockError::CounterExhausted`] when 64 bits of counter are used up; the clock is unchanged.
    pub fn tick(&mut self, now_ms: u64) -> Result<Change, ClockError> {
        let counter = self.counter.checked_add(1).ok_or(ClockError::CounterExhausted)?;
        let hlc = self.hlc.next().unwrap_or_default().max(Hlc::from_ms(now_ms));
        (self.counter, self.hlc) = (counter, hlc);
        Ok(Change { stamp: Stamp { epoch: 0, hlc, replica: self.replica }, counter })
    }

    /// Adopts the time of a change of ours that had to be raised above what it replaced.
    pub fn adopt(&mut self, change: &Change) {
        self.hlc = self.hlc.max(change.stamp.hlc);
    }
}

impl Change {
    /// Raises the stamp, if need be, so that it exceeds one that this change overwrites.
    ///
    /// # Errors
    /// [`ClockError::TimeExhausted`] when no greater stamp exists; the change is untouched.
    pub fn exceed(&mut self, overwritten: &Stamp) -> Result<(), ClockError> {
        self.exceed_until(overwritten, Hlc::MAX)
    }

    /// As [`Change::exceed`], but follows a stamp in time only up to `latest`: one beyond it was written by a wrong clock,
    /// and is exceeded by the next epoch. A wrong clock so makes no other one wrong.
    ///
    /// # Errors
    /// As [`Change::exceed`].
    pub fn exceed_until(&mut self, overwritten: &Stamp, latest: Hlc) -> Result<(), ClockError> {
        if self.stamp > *overwritten {
            return Ok(());
        }
        match overwritten.hlc.next().filter(|next| *next <= latest) {
            Some(next) => {
                (self.stamp.epoch, self.stamp.hlc) = (overwritten.epoch, next.max(self.stamp.hlc));
                Ok(())
            }
            // Beyond the end of time, which only a hostile clock reaches, there is the next epoch too.
            None => self.exceed_by_epoch(overwritten),
        }
    }

    /// As [`Change::exceed`], by the next epoch and at the same time; only beyond the last epoch it is by time.
    ///
    /// # Errors
    /// As [`Change::exceed`].
    pub fn exceed_by_epoch(&mut self, overwritten: &Stamp) -> Result<(), ClockError> {
        if self.stamp.epoch > overwritten.epoch {
            return Ok(());
        }
        match (overwritten.epoch.checked_add(1), overwritten.hlc.next()) {
            (Some(next), _) => self.stamp.epoch = next,
            (None, _) if self.stamp > *overwritten => {}
            (None, Some(next)) => {
                (self.stamp.epoch, self.stamp.hlc) = (overwritten.epoch, next.max(self.stamp.hlc));
            }
            (None, None) => return Err(ClockError::TimeExhausted),
        }
        Ok(())
    }
}

/// How far ahead of our wall clock a stamp may be before it is held back. Past stamps are always taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBound {
    /// Milliseconds; 60,000 by default.
    pub ahead_ms: u64,
}

impl Default for ReceiveBound {
    fn default() -> Self {
        Self { ahead_ms: 60_000 }
    }
}

impl ReceiveBound {
    /// True unless the stamp lies more than the bound after `now_ms` (our wall clock plus the measured offset).
    pub const fn admits(&self, stamp: &Stamp, now_ms: u64) -> bool {
        stamp.hlc.ms() <= now_ms.saturating_add(self.ahead_ms)
    }

    /// The last instant within the bound, as seen from another one.
    pub const fn latest(&self, from: Hlc) -> Hlc {
        let end = Hlc::from_ms(from.ms().saturating_add(self.ahead_ms)).to_bits();
        Hlc::from_bits(end | 0xffff)
    }
}

/// A clock that cannot go on. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// This replica made 2^64 − 1 changes: draw a new replica id.
    #[error("this replica has used up its change counter; draw a new replica id")]
    CounterExhausted,
    /// A stamp at the very end of time would have to be exceeded: repair the clock that wrote it.
    #[error("no stamp is greater than the one that would be overwritten; repair the clock that wrote it")]
    TimeExhausted,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tries::or_under_miri;

    #[test]
    fn a_full_counter_carries_into_the_milliseconds() {
        let last = Hlc::from_bits(Hlc::from_ms(5).to_bits() | 0xffff);
        let next = last.next().unwrap();
        assert_eq!((next.ms(), next.counter()), (6, 0));
    }

    #[test]
    fn a_frozen_wall_clock_still_orders_a_hundred_thousand_changes() {
        let mut clock = Clock::new(ReplicaId::from_u64(1));
        let mut last = clock.tick(7).unwrap();
        let changes = or_under_miri(100_000, 300);
        for _ in 0..changes {
            let next = clock.tick(7).unwrap();
            assert!(next.stamp > last.stamp && next.counter == last.counter + 1);
            last = next;
        }
        assert_eq!(last.stamp.hlc.ms(), 7 + changes / 65_536, "a carry after as many as the counter holds");
    }

    #[test]
    fn exceeding_the_end_of_time_takes_the_next_epoch() {
        let (a, b) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
        let mut change = Clock::new(a).tick(10).unwrap();
        change.exceed(&Stamp { epoch: 0, hlc: Hlc::from_bits(u64::MAX), replica: b }).unwrap();
        assert_eq!((change.stamp.epoch, change.stamp.hlc.ms()), (1, 10));
        let end = Stamp { epoch: u32::MAX, hlc: Hlc::from_bits(u64::MAX), replica: b };
        assert_eq!(change.exceed(&end), Err(ClockError::TimeExhausted));
    }

    /// There is no epoch beyond the last, so it is by time there, and only if that is needed.
    #[test]
    fn in_the_last_epoch_a_stamp_is_exceeded_by_time() {
        let (a, b) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
        let stamp = |bits, replica| Stamp { epoch: u32::MAX, hlc: Hlc::from_bits(bits), replica };
        let exceeding = |bits, overwritten: Stamp| {
            let mut change = Change { stamp: stamp(bits, b), counter: 1 };
            change.exceed_by_epoch(&overwritten).map(|()| change.stamp)
        };
        assert_eq!(exceeding(9, stamp(5, a)), Ok(stamp(9, b)), "it does already");
        assert_eq!(exceeding(9, stamp(9, a)), Ok(stamp(9, b)), "it does by its replica");
        assert_eq!(exceeding(9, stamp(9, b)), Ok(stamp(10, b)), "an equal one, of a copy of this file");
        assert_eq!(exceeding(9, stamp(12, a)), Ok(stamp(13, b)));
        assert_eq!(exceeding(u64::MAX, stamp(u64::MAX, a)), Ok(stamp(u64::MAX, b)));
        assert_eq!(exceeding(u64::MAX, stamp(u64::MAX, b)), Err(ClockError::TimeExhausted));
    }

    #[test]
    fn the_receive_bound_is_inclusive_and_takes_the_past() {
        let bound = ReceiveBound::default();
        let at = |ms| Stamp { epoch: 0, hlc: Hlc::from_ms(ms), replica: ReplicaId::from_u64(1) };
        assert!(bound.admits(&at(0), 1_000_000));
        assert!(bound.admits(&at(1_060_000), 1_000_000));
        assert!(!bound.admits(&at(1_060_001), 1_000_000));
    }
}
