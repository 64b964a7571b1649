//! Two replicas in one process, connected by nothing but function calls.

use crdt_core::{Replica, Store};

use crate::session::{Config, Session, SessionError};

/// An exchange in memory that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// A session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Neither side had anything to say, and not both had all. That is a fault of this library: please report it.
    #[error("the sessions came to rest before both sides had everything")]
    Stalled,
}

/// Syncs two replicas in memory, and returns both sessions for their status.
///
/// # Errors
/// [`ExchangeError`]; what was applied before stays.
pub fn exchange_in_memory<A: Store, B: Store>(
    a: &mut Replica<A>,
    b: &mut Replica<B>,
    now_ms: u64,
) -> Result<(Session, Session), ExchangeError> {
    // The two only have to differ from each other: nobody else hears what is said.
    let (mut at_a, mut at_b) = (Session::new(Config::new(1), now_ms), Session::new(Config::new(2), now_ms));
    let pumped = pump(&mut at_a, a, &mut at_b, b, now_ms);
    at_a.finish(a, now_ms);
    at_b.finish(b, now_ms);
    pumped?;
    if at_a.is_settled() && at_b.is_settled() { Ok((at_a, at_b)) } else { Err(ExchangeError::Stalled) }
}

/// Carries messages between two sessions until neither has any more.
///
/// # Errors
/// The first [`SessionError`] of either side.
pub fn pump<A: Store, B: Store>(
    at_a: &mut Session,
    a: &mut Replica<A>,
    at_b: &mut Session,
    b: &mut Replica<B>,
    now_ms: u64,
) -> Result<(), SessionError> {
    loop {
        let mut moved = false;
        while let Some(message) = at_a.transmit(a, now_ms)? {
            at_b.receive(b, &message, now_ms)?;
            moved = true;
        }
        while let Some(message) = at_b.transmit(b, now_ms)? {
            at_a.receive(a, &message, now_ms)?;
            moved = true;
        }
        if !moved {
            return Ok(());
        }
    }
}
