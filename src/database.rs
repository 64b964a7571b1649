//! [`Database`]: the one handle of an app.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crdt_core::{
    ChangeEvent, Collection, Committed, DocumentId, DocumentView, Durability, Loading, Name, Replica,
    ReplicaId, ReplicaStatus, Scope,
};
use sqlite_adapter::{Identity, Opened, Report, SqliteStore};

use crate::watch::Watchers;
use crate::{Error, OpenOptions, Tx, Watch};

/// A database of documents in a SQLite file. Cheap to clone; every clone is the same database, from any thread.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// The thread that has the state; 0 while none has.
    owner: AtomicUsize,
    watchers: Arc<Watchers>,
    durability: Durability,
    identity: Identity,
    read_only: bool,
}

struct State {
    replica: Replica<SqliteStore>,
    /// A thread is telling the watchers; it goes on until there is no event left, so that they hear them in order.
    telling: bool,
}

impl Database {
    /// Opens a database file, or creates it, with the [default options](OpenOptions::new).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        OpenOptions::new().open(path)
    }

    pub(crate) fn open_with(path: &Path, options: &OpenOptions) -> Result<Self, Error> {
        let adapter =
            sqlite_adapter::OpenOptions::new(options.namespace).busy_timeout_ms(options.busy_timeout_ms);
        let adapter = if options.read_only { adapter.read_only() } else { adapter };
        let Opened { store, identity } = SqliteStore::open(path, &adapter)?;
        let mut replica = Replica::new(store);
        if !options.read_only {
            replica.begin_run(random());
            if options.follows_server {
                replica.follow()?;
            }
        }
        if !options.read_only {
            replica.keep_time(options.receive_bound);
            replica.tick(now_ms())?;
        }
        if let Some(scope) = options.scope.clone().filter(|_| !options.read_only) {
            replica.subscribe(scope)?;
        }
        let shared = Shared {
            state: Mutex::new(State { replica, telling: false }),
            owner: AtomicUsize::new(0),
            watchers: Arc::default(),
            durability: options.durability,
            identity,
            read_only: options.read_only,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Declares a collection: how its fields come together, and a SQL view of the same name that shows its documents to
    /// plain queries. Declare every collection each time the database is opened, before editing it.
    ///
    /// When the declaration differs from the one before, what SQL shows of the collection's documents is written anew, so
    /// that it always agrees with what [`Database::get`] shows: linear in the number of documents, once.
    ///
    /// # Errors
    /// [`Error::View`] when there can be no view of that name, because the app has a table of the same name, say. The
    /// collection is declared all the same.
    pub fn declare(&self, collection: Collection) -> Result<(), Error> {
        self.with(|replica| {
            let shown = if self.shared.read_only { Ok(()) } else { replica.store_mut().show(&collection) };
            replica.declare(collection);
            shown
        })
    }

    /// Commits what the closure does, all or nothing. A closure that fails or panics leaves no trace. Within it, read with
    /// the [`Tx`]: the database itself is busy until the closure returns.
    ///
    /// # Errors
    /// The closure's error, [`Error::Store`], or [`Error::InUse`] within another commit; nothing was changed.
    pub fn commit<T>(&self, edit: impl FnOnce(&mut Tx<'_, '_>) -> Result<T, Error>) -> Result<T, Error> {
        self.commit_with(self.shared.durability, edit).map(|committed| committed.value)
    }

    /// Commits with another durability than the database's, and tells the transaction's name.
    ///
    /// # Errors
    /// As [`Database::commit`].
    pub fn commit_with<T>(
        &self,
        durability: Durability,
        edit: impl FnOnce(&mut Tx<'_, '_>) -> Result<T, Error>,
    ) -> Result<Committed<T>, Error> {
        self.with(|replica| replica.commit(now_ms(), durability, |tx| edit(&mut Tx(tx))))
    }

    /// Reads a document; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn get(&self, collection: impl Into<Name>, id: DocumentId) -> Result<Option<DocumentView>, Error> {
        Ok(Some(self.with(|replica| replica.read(collection, id))?).filter(DocumentView::exists))
    }

    /// All documents of a collection, in the order of ids. Reads a page at a time; what is committed meanwhile may or may
    /// not be among them.
    pub fn list(&self, collection: impl Into<Name>) -> Documents {
        let page = Vec::new().into_iter();
        Documents { database: self.clone(), collection: collection.into(), page, after: None, done: false }
    }

    /// Calls back after every change, in order, until the returned [`Watch`] is dropped. The callback may use the database.
    ///
    /// Changes that *other processes* make to the file are not told.
    pub fn watch(&self, callback: impl Fn(&ChangeEvent) + Send + Sync + 'static) -> Watch {
        self.shared.watchers.add(callback)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.shared.durability
    }

    /// What opening did about the id that this database writes under: a file that was copied or restored gets a new one.
    pub fn identity(&self) -> Identity {
        self.shared.identity
    }

    /// How this database and everybody it syncs with are getting on: who has what, since when somebody is behind, what went
    /// wrong. Cheap enough to be asked every second.
    ///
    /// ```
    /// # use rejoin::Database;
    /// # fn main() -> Result<(), rejoin::Error> {
    /// # let folder = tempfile::tempdir()?;
    /// # let db = Database::open(folder.path().join("tasks.db"))?;
    /// # db.commit(|tx| tx.create("tasks")?.set("title", "Buy milk").map_err(Into::into))?;
    /// let status = db.status()?;
    /// println!("{} changes are on this device only", status.pending);
    /// for peer in &status.peers {
    ///     println!("{:?}: {:?}, lacks {} changes", peer.replica, peer.state, peer.missing_there);
    ///     if let Some(behind_ms) = peer.behind_ms {
    ///         println!("   for {} s", behind_ms / 1_000);
    ///     }
    /// }
    /// if status.may_be_miscounted() {
    ///     println!("this file was restored from a backup; check the counters");
    /// }
    /// # assert_eq!(status.pending, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn status(&self) -> Result<ReplicaStatus, Error> {
        self.with(|replica| replica.status(now_ms()))
    }

    /// Under which id this database writes. It may be another one after a sync in which this file turned out to be a copy; see
    /// [`Database::status`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn replica_id(&self) -> Result<ReplicaId, Error> {
        Ok(self.with(Replica::head)?.replica)
    }

    /// Changes which part of the namespace this database holds: whole collections, or documents by their ids. Both what
    /// peers send and what they are sent follows it from the next sync on; conversations that are open end.
    ///
    /// What is new in the scope is fetched. What is outside stays, and can be read, until a peer that keeps it has durably
    /// acknowledged all of it; it then goes from this file, and stays everywhere else. Documents outside can be written all
    /// the same: they go the same way. False when nothing changes.
    ///
    /// Two databases of which one holds a part cannot compare what they hold: a sync report's `in_sync` is false then.
    ///
    /// ```
    /// use rejoin::{Database, DocumentId, Scope};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let db = Database::open(folder.path().join("team.db"))?;
    /// let project = DocumentId::from_key("projects", "north wing");
    /// db.subscribe(Scope::nothing().collection("people").documents("projects", [project]))?;
    /// # Ok::<(), rejoin::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Limit`] for a scope that names too much, [`Error::Store`]; nothing is changed.
    pub fn subscribe(&self, scope: Scope) -> Result<bool, Error> {
        self.with(|replica| replica.subscribe(scope))
    }

    /// Which part of the namespace this database holds.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn scope(&self) -> Result<Scope, Error> {
        Ok(self.with(Replica::subscription)?.scope)
    }

    /// Whether documents outside the scope wait for a peer that takes them over. Right after a narrowing: whether there may
    /// be some.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn has_outside(&self) -> Result<bool, Error> {
        self.with(Replica::has_outside)
    }

    /// How far the first sync of this database has come; `None` when it has come to its end, or never began. Until then
    /// what the database shows is incomplete, also across restarts: tell the user that it is loading.
    ///
    /// Every part that comes calls the [watchers](Database::watch), who can ask here.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn loading(&self) -> Result<Option<Loading>, Error> {
        self.with(Replica::loading)
    }

    /// Waits no longer for the rest of a first sync that was cut, because the peer is gone for good, say: what came is taken
    /// as it is, incomplete transactions included. False when nothing was loading. A sync does that by itself when that peer was
    /// not met for a week.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn stop_loading(&self) -> Result<bool, Error> {
        self.with(Replica::stop_loading)
    }

    /// Checks the file: SQLite's own check, and whether what is stored sums up to the fingerprint. Reads everything.
    ///
    /// # Errors
    /// [`Error::Store`] when it could not be checked; damage is not an error but in the [`Report`].
    pub fn check(&self) -> Result<Report, Error> {
        self.with(|replica| replica.store_mut().check())
    }

    /// Writes a copy of the database to a new file while it is in use. A copy that is opened gets an identity of its own.
    ///
    /// # Errors
    /// [`Error::Backup`], also when there is a file at that path.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<(), Error> {
        self.with(|replica| replica.store_mut().backup(to))
    }

    /// Does something with the replica, and then tells the watchers what changed.
    ///
    /// # Errors
    /// Those of `work`, and [`Error::InUse`].
    pub(crate) fn with<R, E: Into<Error>>(
        &self,
        work: impl FnOnce(&mut Replica<SqliteStore>) -> Result<R, E>,
    ) -> Result<R, Error> {
        if self.is_mine() {
            return Err(Error::InUse);
        }
        self.step(work).map_err(Into::into)
    }

    /// The same for a session, which has asked before whether the database is free.
    pub(crate) fn step<R>(&self, work: impl FnOnce(&mut Replica<SqliteStore>) -> R) -> R {
        let mut state = self.lock();
        if !self.shared.watchers.is_empty() {
            state.replica.collect_events(true);
        }
        // What could not be shown now, because the file is busy say, is shown next time.
        let _ = state.replica.tick(now_ms());
        let result = work(&mut state.replica);
        drop(state);
        self.tell();
        result
    }

    /// True when this very thread is using the replica: to wait for it would be to wait for ever.
    fn is_mine(&self) -> bool {
        self.shared.owner.load(Ordering::Relaxed) == this_thread()
    }

    fn lock(&self) -> Locked<'_> {
        // A panic in a closure was rolled back; the state behind the lock is whole.
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.owner.store(this_thread(), Ordering::Relaxed);
        Locked { state, owner: &self.shared.owner }
    }

    fn tell(&self) {
        /// Lets others tell again, also when a callback panics.
        struct Telling<'d>(&'d Database);

        impl Drop for Telling<'_> {
            fn drop(&mut self) {
                self.0.lock().telling = false;
            }
        }

        loop {
            let events = {
                let mut state = self.lock();
                if state.telling {
                    return;
                }
                let events = state.replica.take_events();
                if self.shared.watchers.is_empty() {
                    state.replica.collect_events(false);
                    return;
                }
                if events.is_empty() {
                    return;
                }
                state.telling = true;
                events
            };
            let _telling = Telling(self);
            for event in &events {
                self.shared.watchers.tell(event);
            }
        }
    }
}

/// The state while a thread has it.
struct Locked<'d> {
    state: MutexGuard<'d, State>,
    owner: &'d AtomicUsize,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.owner.store(0, Ordering::Relaxed);
    }
}

/// Names the running thread: the address of something that each has of its own. Never 0.
fn this_thread() -> usize {
    thread_local!(static OWN: u8 = const { 0 });
    OWN.with(|own| std::ptr::from_ref(own) as usize)
}

/// The documents of a collection; see [`Database::list`].
#[derive(Debug)]
pub struct Documents {
    database: Database,
    collection: Name,
    page: std::vec::IntoIter<(DocumentId, DocumentView)>,
    after: Option<DocumentId>,
    done: bool,
}

impl Documents {
    const PAGE: usize = 256;

    fn turn_page(&mut self) -> Result<(), Error> {
        let next = self.database.with(|replica| replica.list(&self.collection, self.after, Self::PAGE))?;
        self.done = next.len() < Self::PAGE;
        self.after = next.last().map(|(id, _)| *id);
        self.page = next.into_iter();
        Ok(())
    }
}

impl Iterator for Documents {
    type Item = Result<(DocumentId, DocumentView), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && !self.done
            && let Err(error) = self.turn_page()
        {
            self.done = true;
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// 64 random bits.
pub(crate) fn random() -> u64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    // A few bits of each half say that it is an id of that sort.
    high.rotate_left(32) ^ low
}

/// Milliseconds since 1970 by the wall clock; 0 before.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
