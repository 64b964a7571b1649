//! Opening a file: whose it is, which format, whether it is the one that it was.

use std::path::{Path, PathBuf, absolute};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crdt_core::{Access, Durability, Head, Namespace, StoreError};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Failure, corrupt};
use crate::identity::{self, Identity, Place};
use crate::layout::{APPLICATION_ID, MIGRATIONS, VERSION};
use crate::log::Tail;
use crate::store::SqliteStore;
use crate::{head, migrate};

/// A checkpoint writes each changed page once, however many transactions have changed it, and syncs twice: a longer log
/// than SQLite's 1,000 pages makes small commits cheaper. The log takes up to about 16 MB on the disk for it.
const CHECKPOINT_PAGES: u32 = 4_000;

/// How to open a file.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    namespace: Namespace,
    busy_timeout_ms: u32,
    read_only: bool,
}

impl OpenOptions {
    /// For reading and writing, as a replica of the namespace; a file that is not there is made. A writer waits for
    /// others for up to 5 seconds.
    pub const fn new(namespace: Namespace) -> Self {
        Self { namespace, busy_timeout_ms: 5_000, read_only: false }
    }

    /// How long a writer waits for other writers before it fails with [`StoreError::Busy`].
    pub const fn busy_timeout_ms(mut self, busy_timeout_ms: u32) -> Self {
        self.busy_timeout_ms = busy_timeout_ms;
        self
    }

    /// Changes nothing in the file: no migration, no new identity, no writes.
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

/// A file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: SqliteStore,
    /// What was done about its id.
    pub identity: Identity,
}

/// A file that was not opened. Nothing was changed, except that an older format may have been brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is something else, or its first bytes are damaged: check the path, or restore a backup.
    #[error("{} is no SQLite database, or its beginning is damaged; nothing was changed", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A database is a file: give its path.
    #[error("{path:?} names no file; give the path of one")]
    NoFile {
        /// What was given.
        path: PathBuf,
    },
    /// Give Rejoin a file of its own, or one in which nobody else uses `application_id` and `user_version`.
    #[error(
        "the file is the database of another program (application_id {application_id:#x}, user_version \
         {user_version}); choose another file"
    )]
    Foreign {
        /// What the file's header says.
        application_id: i32,
        /// What the file's header says.
        user_version: u32,
    },
    /// Open it for writing once; that brings it up to date.
    #[error("the database has the older format {found}, and a read-only open cannot bring it to {supported}")]
    Older {
        /// The format of the file; 0 for one without our tables.
        found: u32,
        /// The format that this version writes.
        supported: u32,
    },
    /// The file system cannot hold a shared write-ahead log, as network file systems cannot: choose a local one.
    #[error("the file system of the database does not support write-ahead logging; choose a local one")]
    NoWriteAheadLog,
    /// See there. [`StoreError::WrongNamespace`] and [`StoreError::Newer`] are found here too.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self::Store(failure.into())
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Failure::from(error).into()
    }
}

impl SqliteStore {
    /// Opens a file, or makes it.
    ///
    /// The file may have tables of the app's own. Rejoin's begin with `rejoin_`, and it uses the header's
    /// `application_id` and `user_version`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Opened, OpenError> {
        let path = path.as_ref();
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            return Err(OpenError::NoFile { path: path.to_owned() });
        }
        // An absolute path has none of the special meanings that SQLite gives to "file:".
        let path = absolute(path).map_err(|error| StoreError::Backend(error.into()))?;
        let mode = if options.read_only {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        };
        let connection = Connection::open_with_flags(&path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(Duration::from_millis(options.busy_timeout_ms.into()))?;
        let found = recognise(&connection).map_err(|error| match error {
            OpenError::Store(StoreError::Corrupt { .. }) => OpenError::NotADatabase { path: path.clone() },
            error => error,
        })?;
        if options.read_only {
            return open_read_only(connection, &path, found, options);
        }
        // Before anything is written, if there is a head already.
        if found > 0 {
            check_namespace(&connection, options)?;
        }
        open_for_writing(connection, &path, options)
    }
}

/// The format of the file, 0 when it has none of our tables.
fn recognise(connection: &Connection) -> Result<u32, OpenError> {
    // Both from one state: another process may be setting the file up.
    let transaction = connection.unchecked_transaction()?;
    let application_id = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let user_version = migrate::version(&transaction)?;
    drop(transaction);
    match (application_id, user_version) {
        (APPLICATION_ID, found) if found > VERSION => {
            Err(StoreError::Newer { found, supported: VERSION }.into())
        }
        (APPLICATION_ID, found) => Ok(found),
        (0, 0) => Ok(0),
        _ => Err(OpenError::Foreign { application_id, user_version }),
    }
}

/// Whether the head is there; then it is of the right namespace.
fn check_namespace(connection: &Connection, options: &OpenOptions) -> Result<bool, OpenError> {
    match head::namespace(connection)? {
        Some(namespace) if namespace != options.namespace => Err(StoreError::WrongNamespace.into()),
        namespace => Ok(namespace.is_some()),
    }
}

fn open_read_only(
    connection: Connection,
    path: &Path,
    found: u32,
    options: &OpenOptions,
) -> Result<Opened, OpenError> {
    if found < VERSION {
        return Err(OpenError::Older { found, supported: VERSION });
    }
    if !check_namespace(&connection, options)? {
        return Err(corrupt("the head is missing").into());
    }
    let stale = head::place(&connection)?.differs(&Place::of(path));
    let identity = if stale { Identity::Stale } else { Identity::Same };
    Ok(Opened { store: SqliteStore::new(connection, true), identity })
}

fn open_for_writing(
    mut connection: Connection,
    path: &Path,
    options: &OpenOptions,
) -> Result<Opened, OpenError> {
    write_ahead(&connection, options)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Where a plain sync does not reach the platters (Apple systems); without effect elsewhere.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    migrate::migrate(&mut connection, MIGRATIONS)?;
    let place = Place::of(path);
    let mut store = SqliteStore::new(connection, false);
    if !check_namespace(&store.connection, options)? {
        let (replica, life) = identity::draw()?;
        let head = Head::new(options.namespace, replica, life);
        let created = store.transact(Access::Write, Durability::Durable, |store| {
            // Looked for again, because another process may be making the same file.
            let absent = head::get(&store.connection, &mut store.tail)?.is_none();
            if absent {
                head::create(&store.connection, &head, &place)?;
            }
            Ok(absent)
        })?;
        if created {
            return Ok(Opened { store, identity: Identity::Created });
        }
        check_namespace(&store.connection, options)?;
    }
    let head = head::get(&store.connection, &mut Tail::default())?;
    let was = head.ok_or_else(|| corrupt("the head is missing"))?.replica;
    if !head::place(&store.connection)?.differs(&place) {
        return Ok(Opened { store, identity: Identity::Same });
    }
    store.renew(Some(&place))?;
    Ok(Opened { store, identity: Identity::Renewed { was } })
}

/// Switches to WAL, unless the file is in that mode already. SQLite does not wait by itself for others who do the same.
fn write_ahead(connection: &Connection, options: &OpenOptions) -> Result<(), OpenError> {
    let until = Instant::now() + Duration::from_millis(options.busy_timeout_ms.into());
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(OpenError::NoWriteAheadLog),
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until =>
            {
                sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
