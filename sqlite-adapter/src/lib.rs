//! Keeps a Rejoin replica in an SQLite file, next to the app's own tables and open to its queries.
//!
//! Most apps want the crate `rejoin`, which puts this together with documents and sync. This crate is
//! [`SqliteStore`], an implementation of [`crdt_core::Store`], and what only a file can do: open, check, back up, show
//! collections to plain SQL.
//!
//! ```
//! use crdt_core::{DocumentId, Durability, Namespace, Replica, TransactionError};
//! use sqlite_adapter::{OpenOptions, SqliteStore};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("rejoin-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("tasks.db");
//! let options = OpenOptions::new(Namespace::from_secret("team 42"));
//! let mut replica = Replica::new(SqliteStore::open(&path, &options)?.store);
//!
//! let id = DocumentId::from_key("tasks", "milk");
//! replica.commit(1_700_000_000_000, Durability::Durable, |tx| {
//!     tx.document("tasks", id)?.set("title", "Buy milk")?;
//!     Ok::<_, TransactionError>(())
//! })?;
//! # drop(replica);
//!
//! let mut replica = Replica::new(SqliteStore::open(&path, &options)?.store);
//! assert_eq!(replica.read("tasks", id)?.get("title")?.unwrap().as_str(), Some("Buy milk"));
//! # drop(replica);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Map
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
