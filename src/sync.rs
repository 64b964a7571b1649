//! Sync over any stream, and what it did.

use std::io::{Read, Write};

use crdt_core::{Fingerprint, Replica, ReplicaId};
use sqlite_adapter::SqliteStore;
use sync_protocol::drive::{Endpoint, exchange};
use sync_protocol::{Config, Session, SessionEvent, Traffic, Way};

use crate::database::now_ms;
use crate::{Database, Error};

/// What a sync did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// Who was on the other side.
    pub peer: Option<ReplicaId>,
    /// How it was found out what the peer missed.
    pub way: Option<Way>,
    /// Cells that changed here: every field, mark and count is one.
    pub cells_received: u64,
    /// Bytes and messages.
    pub traffic: Traffic,
    /// Both sides held the same at the end. Otherwise something was committed meanwhile: sync again.
    pub in_sync: bool,
    /// The peer's wall clock minus ours, in milliseconds.
    pub clock_skew_ms: i64,
}

impl Database {
    /// Exchanges changes with the database at the other end of a stream, which [serves](Database::serve) it, until both
    /// have everything. Other threads can read and commit meanwhile.
    ///
    /// Any stream will do: TCP, TLS, a serial line, the pipes of a child process. If it breaks, sync again: it resumes.
    ///
    /// # Errors
    /// [`Error::Sync`] says what happened; what was applied before stays.
    pub fn sync(&self, stream: &mut (impl Read + Write)) -> Result<SyncReport, Error> {
        self.exchange(stream, true)
    }

    /// The other end of [`Database::sync`].
    ///
    /// # Errors
    /// As [`Database::sync`].
    pub fn serve(&self, stream: &mut (impl Read + Write)) -> Result<SyncReport, Error> {
        self.exchange(stream, false)
    }

    /// For those who carry the messages of a [`Session`] over a transport of their own: gives the session the replica for
    /// one step at a time. `examples/any_transport.rs` shows it.
    pub fn endpoint(&self) -> impl Endpoint + '_ {
        Shared(self)
    }

    fn exchange(&self, stream: &mut (impl Read + Write), speaks_first: bool) -> Result<SyncReport, Error> {
        let mut session = new_session();
        let result = exchange(&mut session, &mut Shared(self), stream, speaks_first, now_ms);
        let mut heard = Heard::default();
        while let Some(event) = session.poll_event() {
            heard.event(event);
        }
        result?;
        self.report(&session, heard)
    }

    pub(crate) fn report(&self, session: &Session, heard: Heard) -> Result<SyncReport, Error> {
        let status = session.status();
        Ok(SyncReport {
            peer: status.peer.map(|(replica, _)| replica),
            way: status.way,
            cells_received: heard.cells,
            traffic: status.traffic,
            in_sync: status.peer_root == Some(self.root()?),
            clock_skew_ms: heard.skew_ms,
        })
    }

    /// The fingerprint of everything that this database holds: equal on two devices that hold the same.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn root(&self) -> Result<Fingerprint, Error> {
        Ok(self.with(Replica::head)?.root)
    }
}

/// A session of this process with whoever is there.
pub(crate) fn new_session() -> Session {
    Session::new(Config::new(uuid::Uuid::new_v4().as_u64_pair().0), now_ms())
}

/// What the events of a session say for the report.
#[derive(Clone, Copy, Default)]
pub(crate) struct Heard {
    cells: u64,
    skew_ms: i64,
}

impl Heard {
    pub(crate) fn event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Applied { cells, .. } => self.cells += cells,
            SessionEvent::Connected { skew_ms, .. } => self.skew_ms = skew_ms,
            _ => {}
        }
    }
}

/// Locks the database for one step of a session at a time.
pub(crate) struct Shared<'d>(pub(crate) &'d Database);

impl Endpoint for Shared<'_> {
    type Store = SqliteStore;

    fn with<R>(&mut self, step: impl FnOnce(&mut Replica<SqliteStore>) -> R) -> R {
        self.0.with(step)
    }
}
