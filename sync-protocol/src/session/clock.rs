//! The peer's clock beside ours.

use crdt_core::{ClockVerdict, Replica, Store};

use super::Session;
use super::status::{SessionError, SessionEvent};

impl Session {
    /// How far the peer's clock is ahead of ours. Both are compared as they were when its hello came: the proof takes
    /// longer, and may have taken very long.
    pub(super) fn measure_clock<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        now_ms: u64,
    ) -> Result<i64, SessionError> {
        let hello = &self.peer.as_ref().expect("greeted").hello;
        let (life, counts) = (hello.life, hello.durable);
        // Our clock may be corrected; what has passed since the hello came is the same by either.
        let since = now_ms.saturating_sub(self.greeted_ms);
        let ours = replica.now_ms().unwrap_or(now_ms).saturating_sub(since);
        let skew_ms = i64::try_from(i128::from(hello.now_ms) - i128::from(ours)).unwrap_or(i64::MAX);
        let verdict = replica.measured(life, skew_ms, counts)?;
        if verdict != ClockVerdict::Agrees {
            self.events.push_back(SessionEvent::Clock(verdict));
        }
        Ok(skew_ms)
    }
}
