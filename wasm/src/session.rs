//! [`SessionCore`]: one conversation with one peer, for the class `Session` of the JavaScript half.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use sync_protocol::{Config, EndReason, Session};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::bridge::{encode, list};
use crate::describe;
use crate::door::Guard;
use crate::error::Error;
use crate::replica::{Shared, ms};

/// One conversation with one peer.
#[wasm_bindgen]
#[derive(Debug)]
pub struct SessionCore {
    replica: Shared,
    session: RefCell<Session>,
}

impl SessionCore {
    pub(crate) fn start(
        replica: Shared,
        config: Config,
        token: Option<Vec<u8>>,
        guard: Option<Guard>,
        now_ms: u64,
    ) -> Result<Self, Error> {
        replica.with(|replica| Ok(replica.stop_waiting(now_ms)?))?;
        let mut session = Session::new(config, now_ms);
        if let Some(token) = token {
            session = session.with_token(token);
        }
        if let Some(guard) = guard {
            session = session.guarded_by(Arc::new(guard));
        }
        let follows = replica.with(|replica| Ok(replica.head()?.follows))?;
        session = if follows { session.obeying() } else { session.unless_judged() };
        Ok(Self { replica, session: RefCell::new(session) })
    }

    fn with<R>(&self, work: impl FnOnce(&mut Session) -> Result<R, Error>) -> Result<R, Error> {
        work(&mut *self.session.try_borrow_mut().map_err(|_| Error::busy())?)
    }
}

#[wasm_bindgen]
impl SessionCore {
    /// The next message to send.
    ///
    /// # Errors
    /// Those of a session; `busy`.
    pub fn transmit(&self, now_ms: f64) -> Result<Option<Vec<u8>>, Error> {
        self.with(|session| self.replica.with(|replica| Ok(session.transmit(replica, ms(now_ms))?)))
    }

    /// Takes a message.
    ///
    /// # Errors
    /// Those of a session; `busy`.
    pub fn receive(&self, message: &[u8], now_ms: f64) -> Result<(), Error> {
        self.with(|session| self.replica.with(|replica| Ok(session.receive(replica, message, ms(now_ms))?)))
    }

    /// Whether both sides have all that the other had.
    ///
    /// # Errors
    /// `busy`.
    pub fn settled(&self) -> Result<bool, Error> {
        self.with(|session| Ok(session.is_settled()))
    }

    /// Where the session is.
    ///
    /// # Errors
    /// `busy`.
    pub fn status(&self) -> Result<Vec<u8>, Error> {
        self.with(|session| Ok(encode(&describe::status(&session.status()))))
    }

    /// What happened since the last call.
    ///
    /// # Errors
    /// `busy`.
    pub fn events(&self) -> Result<Vec<u8>, Error> {
        self.with(|session| {
            let events = core::iter::from_fn(|| session.poll_event());
            Ok(encode(&list(&mut events.map(|event| describe::session_event(&event)))))
        })
    }

    /// Ends the session if the peer is overdue.
    ///
    /// # Errors
    /// `busy`.
    pub fn expire(&self, now_ms: f64) -> Result<bool, Error> {
        self.with(|session| Ok(session.expire(ms(now_ms))))
    }

    /// When the peer is overdue.
    ///
    /// # Errors
    /// `busy`.
    pub fn deadline(&self) -> Result<Option<f64>, Error> {
        #[allow(clippy::cast_precision_loss)] // milliseconds that JavaScript gave
        self.with(|session| Ok(session.next_timeout_ms().map(|ms| ms as f64)))
    }

    /// Ends the session.
    ///
    /// # Errors
    /// `busy`.
    pub fn close(&self, now_ms: f64) -> Result<(), Error> {
        self.with(|session| {
            session.close(EndReason::Closed);
            self.replica.with(|replica| {
                session.finish(replica, ms(now_ms));
                Ok(())
            })
        })
    }
}
