//! How the app opens a database, syncs it, and tells what can go wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rejoin::core::StoreError;
use rejoin::door::{Applicant, Refusal, Right, Rules};
use rejoin::protocol::bundle::{ExportError, ImportError};
use rejoin::protocol::{Session, SessionError, SessionEvent};
use rejoin::sqlite::{BackupError, OpenError, ViewError};
use rejoin::{Collection, Database, Error, FieldType, OpenOptions, SyncOptions};

use crate::check::{Fault, Kind};
use crate::facts::OWN;

/// Something that did not go as it should. A full disk is expected by those who fill it.
#[derive(Debug)]
pub enum Trouble {
    Full,
    Fault(String),
}

/// The wall clock, as the commits read it.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).expect("for some more years")
}

/// Opens a file as the app does.
pub fn open(path: &Path, follows: bool) -> Result<Database, Error> {
    let options = OpenOptions::new();
    let options = if follows { options.follows_server() } else { options };
    let db = options.open(path)?;
    for collection in OWN {
        db.declare(Collection::new(collection).field("writes", FieldType::Counter))?;
    }
    db.declare(Collection::new("shared").field("title", FieldType::Detect).field("tags", FieldType::Set))?;
    Ok(db)
}

/// One end of a sync.
pub fn session(db: &Database, guarded: bool, follows: bool, calls: bool) -> Result<Session, Error> {
    let options = SyncOptions::new();
    let options = if guarded { options.guard(Arc::new(guard)) } else { options };
    let session = db.session(&options)?;
    // Whoever is called does not follow the caller.
    Ok(if calls && follows { session } else { session.unless_judged() })
}

#[allow(clippy::unnecessary_wraps)] // the shape of a guard
fn guard(_: &Applicant<'_>) -> Result<Rules, Refusal> {
    Ok(Rules::all(Right::ReadWrite).collection("forbidden", Right::Read))
}

/// Two that hold the same under one context have nothing to repair, and where nothing was lost that had left, nobody is
/// taken for a copy.
pub fn nothing_amiss(session: &mut Session) -> Result<(), Fault> {
    while let Some(event) = session.poll_event() {
        if matches!(event, SessionEvent::RootsDiffer { .. }) {
            let what = "both sides say that they have everything, and hold different state";
            return Err(Fault::new(Kind::Torn, what));
        }
        if let SessionEvent::IdentityRenewed { was, reissued, .. } = event {
            let what = format!("{was:?} took itself for a copy, and issued {reissued} changes again");
            return Err(Fault::new(Kind::Renewed, what));
        }
    }
    Ok(())
}

pub fn trouble(error: Error) -> Trouble {
    match error {
        Error::Store(error)
        | Error::Open(OpenError::Store(error))
        | Error::View(ViewError::Store(error))
        | Error::Backup(BackupError::Store(error))
        | Error::Export(ExportError::Store(error))
        | Error::Import(ImportError::Store(error)) => store_trouble(error),
        error => Trouble::Fault(error.to_string()),
    }
}

pub fn store_trouble(error: StoreError) -> Trouble {
    match error {
        StoreError::Full => Trouble::Full,
        error => Trouble::Fault(error.to_string()),
    }
}

pub fn session_trouble(error: SessionError) -> Trouble {
    match error {
        SessionError::Store(error) => store_trouble(error),
        error => Trouble::Fault(error.to_string()),
    }
}

pub fn sqlite_trouble(error: &rusqlite::Error) -> Trouble {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Trouble::Full,
        _ => Trouble::Fault(error.to_string()),
    }
}
