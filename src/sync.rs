//! Sync over any stream, and what it did.

use std::io::{Read, Write};
use std::sync::Arc;

use crdt_core::{
    Address, ClockVerdict, Document, DocumentView, Dot, Fingerprint, Life, Refusal, Rejected, Replica,
    ReplicaId, Spare,
};
use sqlite_adapter::SqliteStore;
use sync_protocol::door::{Authenticate, Terms};
use sync_protocol::drive::{Endpoint, exchange};
use sync_protocol::{Config, Session, SessionEvent, Traffic, Way};

use crate::database::{now_ms, random};
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
    /// Both sides held the same at the end. Otherwise something was committed meanwhile: sync again; or a server does not let
    /// this database read everything, see `terms`, or one of the two [subscribes](Database::subscribe) to a part only: then
    /// nobody can tell.
    pub in_sync: bool,
    /// The peer's wall clock minus ours, in milliseconds.
    pub clock_skew_ms: i64,
    /// What that says about our clock.
    pub clock: ClockVerdict,
    /// What the peer lets us read and write.
    pub terms: Terms,
    /// The changes that the peer did not take, and why; see [`Database::rejected`] for what becomes of them.
    pub refused: Vec<(Dot, Refusal)>,
    /// This database turned out to be a copy, or to have been set back to an earlier state: it goes on under another id now,
    /// and nothing that was written is lost. Tell the user if that is a surprise; see [`Database::status`].
    pub identity_renewed: bool,
}

/// A change that a server refused; see [`Database::rejected`].
#[derive(Clone, Debug)]
pub struct RejectedChange {
    /// The transaction, as [`Database::commit_with`] named it.
    pub change: Dot,
    /// Why.
    pub refusal: Refusal,
    /// The documents as they were with the change: what the user saw.
    pub documents: Vec<(Address, DocumentView)>,
}

impl RejectedChange {
    fn new(rejected: Rejected, replica: &Replica<SqliteStore>) -> Self {
        let view = |(address, document): (Address, Document)| {
            let view = replica.view(&address.collection, document);
            (address, view)
        };
        let documents = rejected.documents.into_iter().map(view).collect();
        Self { change: rejected.dot, refusal: rejected.refusal, documents }
    }
}

/// How to sync with one kind of peer.
///
/// ```
/// use std::sync::Arc;
/// use rejoin::SyncOptions;
/// use rejoin::door::{Applicant, Refusal, Right, Rules};
///
/// // A server: who may do what. A token is whatever your sign-in hands out.
/// let server = SyncOptions::new().guard(Arc::new(|applicant: &Applicant<'_>| match applicant.token {
///     Some(b"the manager's token") => Ok(Rules::all(Right::ReadWrite).of("ann")),
///     Some(b"a clerk's token") => Ok(Rules::all(Right::ReadWrite).collection("salaries", Right::None).of("bob")),
///     _ => Err(Refusal::new(401, "sign in again")),
/// }));
/// let client = SyncOptions::new().token("a clerk's token");
/// # let _ = (server, client);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SyncOptions {
    token: Option<Vec<u8>>,
    guard: Option<Arc<dyn Authenticate>>,
}

impl SyncOptions {
    /// No token and no guard: among peers of equal rights.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows a token to a peer that has a guard.
    pub fn token(mut self, token: impl Into<Vec<u8>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Lets a peer in only if the guard does, and to what the guard says. It is asked in the middle of a sync, so it must not
    /// use this database; what it needs, it reads from a handle of its own.
    pub fn guard(mut self, guard: Arc<dyn Authenticate>) -> Self {
        self.guard = Some(guard);
        self
    }
}

impl Database {
    /// Exchanges changes with the database at the other end of a stream, which [serves](Database::serve) it, until both
    /// have everything. Other threads can read and commit meanwhile.
    ///
    /// Any stream will do: TCP, TLS, a serial line, the pipes of a child process. If it breaks, sync again: it resumes.
    /// The two prove to each other that they know the secret of the namespace; encryption is the stream's.
    ///
    /// # Errors
    /// [`Error::Sync`] says what happened; what was applied before stays.
    pub fn sync(&self, stream: &mut (impl Read + Write)) -> Result<SyncReport, Error> {
        self.sync_with(stream, &SyncOptions::new())
    }

    /// The other end of [`Database::sync`].
    ///
    /// # Errors
    /// As [`Database::sync`].
    pub fn serve(&self, stream: &mut (impl Read + Write)) -> Result<SyncReport, Error> {
        self.serve_with(stream, &SyncOptions::new())
    }

    /// For those who carry the messages of a [`Session`] over a transport of their own: gives the session the replica for
    /// one step at a time. `examples/any_transport.rs` shows it.
    pub fn endpoint(&self) -> impl Endpoint + '_ {
        Shared(self)
    }

    /// As [`Database::sync`], with a token to show.
    ///
    /// # Errors
    /// As [`Database::sync`].
    pub fn sync_with(
        &self,
        stream: &mut (impl Read + Write),
        options: &SyncOptions,
    ) -> Result<SyncReport, Error> {
        self.exchange(stream, options, true)
    }

    /// As [`Database::serve`], with a guard.
    ///
    /// # Errors
    /// As [`Database::sync`].
    pub fn serve_with(
        &self,
        stream: &mut (impl Read + Write),
        options: &SyncOptions,
    ) -> Result<SyncReport, Error> {
        self.exchange(stream, options, false)
    }

    fn exchange(
        &self,
        stream: &mut (impl Read + Write),
        options: &SyncOptions,
        speaks_first: bool,
    ) -> Result<SyncReport, Error> {
        let mut session = self.session(options)?;
        if !speaks_first {
            // Whoever comes to us is not the server that we follow.
            session = session.unless_judged();
        }
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
            in_sync: status.comparable && status.peer_root == Some(self.root()?),
            clock_skew_ms: heard.skew_ms,
            clock: heard.clock.unwrap_or(ClockVerdict::Agrees),
            terms: status.terms.unwrap_or(Terms::OPEN),
            refused: heard.refused,
            identity_renewed: heard.renewed,
        })
    }

    /// A session with another database, for those who carry its messages themselves. Of a database that follows a server, it
    /// has to be one with that server, which is obeyed, or with somebody who has no guard.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn session(&self, options: &SyncOptions) -> Result<Session, Error> {
        let config = Config::new(random()).spare(draw_spare());
        self.with(|replica| replica.stop_waiting(now_ms()))?;
        let mut session = Session::new(config, now_ms());
        if let Some(token) = &options.token {
            session = session.with_token(token.clone());
        }
        if let Some(guard) = &options.guard {
            session = session.guarded_by(guard.clone());
        }
        Ok(if self.with(Replica::head)?.follows { session.obeying() } else { session.unless_judged() })
    }

    /// The changes that the [server](crate::OpenOptions::follows_server) refused and about which this app has not decided
    /// yet. They are out of the documents, and nothing of them is lost.
    ///
    /// Show them to the user; then either [drop](Database::drop_rejected) a change, or make the edits where they are
    /// allowed and drop it [in the same transaction](crate::Tx::drop_rejected).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn rejected(&self) -> Result<Vec<RejectedChange>, Error> {
        self.with(|replica| {
            let rejected = replica.rejected()?;
            Ok::<_, crdt_core::StoreError>(
                rejected.into_iter().map(|change| RejectedChange::new(change, replica)).collect(),
            )
        })
    }

    /// Forgets a refused change. False when there is none of that name.
    ///
    /// # Errors
    /// [`Error::Store`]; it is still there then.
    pub fn drop_rejected(&self, change: Dot) -> Result<bool, Error> {
        self.with(|replica| replica.drop_rejected(change))
    }

    /// The fingerprint of everything that this database holds: equal on two devices that hold the same.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn root(&self) -> Result<Fingerprint, Error> {
        Ok(self.with(Replica::head)?.root)
    }
}

/// Under which id to go on if this file turns out to be a copy.
pub(crate) fn draw_spare() -> Spare {
    Spare { replica: uuid::Uuid::new_v4().into(), life: Life(random()) }
}

/// What the events of a session say for the report.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    cells: u64,
    skew_ms: i64,
    clock: Option<ClockVerdict>,
    refused: Vec<(Dot, Refusal)>,
    renewed: bool,
}

impl Heard {
    pub(crate) fn event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Applied { cells, .. } => self.cells += cells,
            SessionEvent::Connected { skew_ms, .. } => self.skew_ms = skew_ms,
            SessionEvent::Clock(verdict) => self.clock = Some(verdict),
            SessionEvent::ChangeRefused { dot, refusal, .. } => self.refused.push((dot, refusal)),
            SessionEvent::IdentityRenewed { .. } => self.renewed = true,
            _ => {}
        }
    }
}

/// Locks the database for one step of a session at a time.
pub(crate) struct Shared<'d>(pub(crate) &'d Database);

impl Endpoint for Shared<'_> {
    type Store = SqliteStore;

    fn with<R>(&mut self, step: impl FnOnce(&mut Replica<SqliteStore>) -> R) -> R {
        self.0.step(step)
    }
}
