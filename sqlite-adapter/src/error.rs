//! What SQLite says, as a [`StoreError`] that says what to do.

use crdt_core::StoreError;
use crdt_core::codec::DecodeError;
use rusqlite::ErrorCode;

/// Anything that can go wrong inside; becomes a [`StoreError`] at the door.
#[derive(Debug)]
pub(crate) enum Failure {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

/// A call that the contract of [`Store`](crdt_core::Store) does not allow: a fault in the program, not in the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// Commit or roll back first.
    #[error("a transaction was begun within a transaction")]
    Nested,
    /// Begin one first.
    #[error("the store was used outside a transaction")]
    NoTransaction,
    /// Begin the transaction with `Access::Write`.
    #[error("a transaction that was begun for reading tried to write")]
    NotForWriting,
    /// Put the document before the step that mentions it.
    #[error("a step of the change order mentions a document that is not stored")]
    UnknownDocument,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        corrupt(error).into()
    }
}

impl From<Misuse> for Failure {
    fn from(error: Misuse) -> Self {
        StoreError::Backend(Box::new(error)).into()
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error,
            Failure::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
                Some(ErrorCode::DiskFull) => Self::Full,
                // What is written never breaks a constraint of ours, unless what is there does already.
                Some(
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation,
                ) => corrupt(error),
                Some(ErrorCode::ReadOnly) => Self::ReadOnly,
                // A row that is missing, or of another type than it was written with.
                None if !matches!(error, rusqlite::Error::InvalidPath(_)) => corrupt(error),
                _ => Self::Backend(Box::new(error)),
            },
        }
    }
}

/// Something that was read makes no sense.
pub(crate) fn corrupt(detail: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { detail: detail.to_string() }
}
