//! Keeps a Rejoin replica in an SQLite file, next to the app's own tables and open to its queries.
//!
//! Most apps want the crate `rejoin`, which puts this together with documents and sync. This crate is
//! [`SqliteStore`], an implementation of [`crdt_core::Store`], and what only a file can do: open, check, back up, show
//! collections to plain SQL.
//!
//! The file stays an ordinary database: other tables in it are the app's own, and documents are rows to plain SQL.
//!
//! ```
//! use crdt_core::{Collection, DocumentId, Durability, Namespace, Replica, TransactionError};
//! use sqlite_adapter::{Identity, OpenOptions, SqliteStore};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("rejoin-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("tasks.db");
//! # let backup = folder.join("copy.db");
//! let options = OpenOptions::new(Namespace::from_secret("team 42"));
//! let opened = SqliteStore::open(&path, &options)?;
//! assert_eq!(opened.identity, Identity::Created);
//!
//! // The store does nothing by itself; a replica writes through it.
//! let mut replica = Replica::new(opened.store);
//! replica.store_mut().create_view(&Collection::new("tasks"))?;
//! let id = DocumentId::from_key("tasks", "milk");
//! replica.commit(1_700_000_000_000, Durability::Durable, |tx| {
//!     tx.document("tasks", id)?.set("title", "Buy milk")?;
//!     Ok::<_, TransactionError>(())
//! })?;
//!
//! // Anything that speaks SQLite can read it.
//! let sql = rusqlite::Connection::open(&path)?;
//! let title: String = sql.query_row("SELECT data ->> 'title' FROM tasks", [], |row| row.get(0))?;
//! assert_eq!(title, "Buy milk");
//!
//! // A copy goes on under an id of its own, so that the two do not write under one.
//! replica.store_mut().backup(&backup)?;
//! let opened = SqliteStore::open(&backup, &options)?;
//! assert!(matches!(opened.identity, Identity::Renewed { .. }));
//! assert_eq!(Replica::new(opened.store).read("tasks", id)?.get("title")?.unwrap().as_str(), Some("Buy milk"));
//! # drop((replica, sql));
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - A commit with [`Durability::Durable`](crdt_core::Durability) survives a power failure. One with `Visible` is faster and
//!   survives the end of the process; it is made durable before it leaves the file.
//! - Several processes may have the file open. What they write is serialised by SQLite.
//! - A file that an older release wrote is migrated when it is opened for writing, in one transaction.
//! - Opening read-only changes nothing: no migration, no new identity.
//!
//! # What can be done with it
//!
//! | | |
//! |---|---|
//! | [`OpenOptions`], [`SqliteStore::open`], [`Opened`], [`Identity`] | open a file, and learn whose it is now |
//! | [`crdt_core::Replica`] | read and write documents |
//! | [`SqliteStore::create_view`] | show a collection to plain SQL |
//! | [`SqliteStore::check`], [`Report`] | is the file sound, does it hold what its fingerprint says |
//! | [`SqliteStore::backup`] | copy it while it is in use |
//! | [`SqliteStore::renew_identity`] | go on under a new id, after a restore that the file cannot see |
//! | [`layout`] | every table and column |
//!
//! # Map of the files
//!
//! | file | subject |
//! |---|---|
//! | `open.rs` | opening: whose file, which format, still the same file? |
//! | `layout.rs` | the tables, byte by byte |
//! | `migrate.rs` | from older formats to this one |
//! | `identity.rs` | what tells a file from its copies |
//! | `store.rs` | transactions, and the way from each call to its table |
//! | `head.rs`, `documents.rs`, `log.rs`, `peers.rs` | the tables |
//! | `row.rs`, `json.rs` | one document as a row: what it shows as JSON, the rest as bytes |
//! | `dictionary.rs` | what rows name by number |
//! | `view.rs`, `check.rs`, `backup.rs` | what else can be asked of a file |
//! | `error.rs` | what SQLite says, as what to do |

mod backup;
mod check;
mod dictionary;
mod documents;
mod error;
mod head;
mod identity;
mod json;
pub mod layout;
mod log;
mod migrate;
mod notes;
mod open;
mod peers;
mod row;
mod store;
mod view;

pub use backup::BackupError;
pub use check::{Problem, Report};
pub use error::Misuse;
pub use identity::Identity;
pub use open::{OpenError, OpenOptions, Opened};
pub use store::SqliteStore;
pub use view::ViewError;
