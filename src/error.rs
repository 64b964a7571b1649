//! [`Error`]: everything that can go wrong with a database.

use crdt_core::{
    ClockError, CommitError, Conflict, EditError, LimitExceeded, OpenError, RepairError, StoreError,
    SubscribeError,
};

/// What went wrong. Unless the variant says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] sqlite_adapter::OpenError),
    /// A collection cannot have a SQL view of its name.
    #[error(transparent)]
    View(#[from] sqlite_adapter::ViewError),
    /// A backup cannot be written.
    #[error(transparent)]
    Backup(#[from] sqlite_adapter::BackupError),
    /// The file: locked, full, damaged, newer than this program, read-only, of another namespace.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database was used within a commit of the same thread, or within its guard: use the [`Tx`](crate::Tx) there.
    #[error(
        "the database is in use by this very thread: within a commit, use the transaction that the closure gets"
    )]
    InUse,
    /// An edit that cannot be made: the transaction that it was part of was not committed, unless the closure went on.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A `manual` field was read while it has several concurrent values.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Something larger than the namespace allows.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// A clock or counter that cannot go on.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// A sync that did not come to its end. What was applied before stays; sync again, it resumes.
    #[cfg(feature = "sync")]
    #[error(transparent)]
    Sync(#[from] sync_protocol::drive::StreamError),
    /// A bundle that was not written. The file is as it was.
    #[cfg(feature = "sync")]
    #[error(transparent)]
    Export(#[from] sync_protocol::bundle::ExportError),
    /// A bundle that was not imported.
    #[cfg(feature = "sync")]
    #[error(transparent)]
    Import(#[from] sync_protocol::bundle::ImportError),
    /// A network or file operation of yours.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An error of the app's own, returned from the closure of a commit, which was not committed.
    #[error("{0}")]
    App(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of the app's own, to be returned from the closure of a commit.
    pub fn app(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::App(error.into())
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => Self::Store(error),
            OpenError::Limit(error) => Self::Limit(error),
        }
    }
}

impl From<SubscribeError> for Error {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Store(error) => Self::Store(error),
            SubscribeError::Limit(error) => Self::Limit(error),
        }
    }
}

impl From<RepairError> for Error {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Store(error) => Self::Store(error),
            RepairError::Clock(error) => Self::Clock(error),
        }
    }
}

impl From<CommitError<Self>> for Error {
    fn from(error: CommitError<Self>) -> Self {
        match error {
            CommitError::Aborted(error) => error,
            CommitError::Store(error) => Self::Store(error),
            CommitError::Clock(error) => Self::Clock(error),
        }
    }
}
