//! Copies of the file while it is in use.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crdt_core::{Access, Durability, Store as _, StoreError};
use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::error::Failure;
use crate::store::SqliteStore;

/// Pages copied at a time: all there can be, as the snapshot cannot change under us.
const ALL_PAGES: i32 = i32::MAX;

/// A backup that was not made. The database is as it was, and the copy was removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is a file already: choose another name, or remove it first.
    #[error("there is a file at the path of the backup already")]
    Exists,
    /// The copy cannot be written there.
    #[error("the backup cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The database failed, or the disk of the backup is full.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SqliteStore {
    /// Writes a copy of the database to a new file, by SQLite's backup: one state, complete, without a log beside it.
    /// Others can go on writing meanwhile. The copy is durable when this returns.
    ///
    /// Own transactions in a copy have left this file, so they are made durable and noted as offered first. The copy goes
    /// on under an id of its own when it is opened.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn backup(&mut self, path: impl AsRef<Path>) -> Result<(), BackupError> {
        let path = path.as_ref();
        // Makes the file, so that of two backups to one path one fails.
        match fs::File::create_new(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(BackupError::Exists),
            Err(error) => return Err(error.into()),
        }
        let copied = self.copy_to(path);
        if copied.is_err() {
            // What is left is of no use; that it could not be removed is not the error to report.
            let _ = fs::remove_file(path);
        }
        Ok(copied?)
    }

    fn copy_to(&mut self, path: &Path) -> Result<(), StoreError> {
        loop {
            let complete = self.transact(Access::Read, Durability::Visible, |store| {
                // From here on the state stands still, whatever other processes commit.
                let head = store.head()?;
                if head.offered < head.counter {
                    return Ok(false);
                }
                let mut copy = Connection::open(path)?;
                // At FULL the journal's deletion is not synced: after a power failure it could be back, and undo the copy.
                copy.pragma_update(None, "synchronous", "EXTRA")?;
                copy.pragma_update(None, "fullfsync", true)?;
                Backup::new(&store.connection, &mut copy)?.run_to_completion(
                    ALL_PAGES,
                    Duration::ZERO,
                    None,
                )?;
                copy.close().map_err(|(_, error)| Failure::from(error))?;
                Ok(true)
            })?;
            if complete {
                return Ok(());
            }
            self.offer()?;
        }
    }

    /// Makes everything that was committed durable, and notes that it may leave.
    fn offer(&mut self) -> Result<(), StoreError> {
        self.transact(Access::Write, Durability::Durable, |store| {
            let mut head = store.head()?;
            head.offered = head.offered.max(head.counter);
            Ok(store.set_head(&head)?)
        })
    }
}
