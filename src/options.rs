//! [`OpenOptions`]: how a database is opened.

use std::path::Path;

use crdt_core::{Durability, Namespace, ReceiveBound, Scope};

use crate::{Database, Error};

/// How a database is opened.
///
/// ```
/// use rejoin::{Durability, OpenOptions};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("team.db");
/// let db = OpenOptions::new().secret("only our team knows this").durability(Durability::Visible).open(&path)?;
/// # drop(db);
/// # Ok::<(), rejoin::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    pub(crate) namespace: Namespace,
    pub(crate) durability: Durability,
    pub(crate) busy_timeout_ms: u32,
    pub(crate) read_only: bool,
    pub(crate) follows_server: bool,
    pub(crate) scope: Option<Scope>,
    pub(crate) receive_bound: ReceiveBound,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            namespace: Namespace::from_secret("rejoin: no secret was chosen"),
            durability: Durability::Durable,
            busy_timeout_ms: 5_000,
            read_only: false,
            follows_server: false,
            scope: None,
            receive_bound: ReceiveBound::default(),
        }
    }
}

impl OpenOptions {
    /// The defaults: no secret, durable commits, five seconds of patience with other writers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Databases sync only with those opened with the same secret. It is fixed when the file is created.
    ///
    /// In every sync both sides prove to each other that they know the secret, without sending it. Take a long random one:
    /// whoever listens can try short ones at leisure. It does not encrypt: use a transport that does.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.namespace = Namespace::from_secret(secret);
        self
    }

    /// How sure a commit is when it returns. [`Durability::Durable`], the default, survives a power failure.
    /// [`Durability::Visible`] is faster; a power failure may take the last commits back, but never one that was synced.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long to wait for another process that is writing, in milliseconds.
    pub fn busy_timeout_ms(mut self, busy_timeout_ms: u32) -> Self {
        self.busy_timeout_ms = busy_timeout_ms;
        self
    }

    /// This database follows a server, which decides what counts: a change that the server refuses is taken back here and
    /// kept as [rejected](Database::rejected), and every commit keeps what it replaces until the server has taken it.
    ///
    /// Give it from the first time on that the database is opened: it cannot be taken back, and what was committed before
    /// has nothing to go back to. Among peers of equal rights, leave it out.
    pub fn follows_server(mut self) -> Self {
        self.follows_server = true;
        self
    }

    /// Holds a part of the namespace only; see [`Database::subscribe`]. Without it, what was subscribed to last holds.
    pub fn subscribe(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// How far ahead of this device's clock another one's may be, in milliseconds; a minute if nothing is said. What comes
    /// from further ahead is kept and passed on, and not shown before its time has come: see [`Database::parked`].
    pub fn receive_bound_ms(mut self, ahead_ms: u64) -> Self {
        self.receive_bound = ReceiveBound { ahead_ms };
        self
    }

    /// Opens for reading only: nothing is created, migrated, healed or synced.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Opens a file, or creates it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Database, Error> {
        Database::open_with(path.as_ref(), &self)
    }
}
