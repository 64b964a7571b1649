//! Offline-first sync for apps: devices leave the network, people keep working, devices rejoin, and nothing is lost.
//!
//! A [`Database`] is a SQLite file of documents. Every device has its own and edits it without asking anyone. When two
//! of them are connected by anything that carries bytes, each gets what the other did meanwhile, and both come to hold
//! the same: field by field, by the rules that you chose per field.
//!
//! ```no_run
//! use rejoin::{Collection, Database, FieldType};
//!
//! # fn main() -> Result<(), rejoin::Error> {
//! let db = Database::open("tasks.db")?;
//! db.declare(
//!     Collection::new("tasks")
//!         .field("title", FieldType::Detect) // keeps both of two simultaneous edits
//!         .field("votes", FieldType::Counter) // every step counts
//!         .field("tags", FieldType::Set),
//! )?;
//!
//! let id = db.commit(|tx| {
//!     let mut task = tx.create("tasks")?;
//!     task.set("title", "Buy milk")?;
//!     task.increment("votes", 1)?;
//!     task.add_to("tags", "home")?;
//!     Ok(task.id())
//! })?;
//!
//! let _watching = db.watch(|change| println!("{} documents changed", change.documents.len()));
//! db.sync(&mut std::net::TcpStream::connect("laptop.local:7045")?)?;
//! println!("{:?}", db.get("tasks", id)?.map(|task| task.to_value()));
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! | | |
//! |---|---|
//! | [`Database`], [`OpenOptions`] | open a file, commit, read, watch, back up |
//! | [`Tx`], [`DocumentMut`] | edit documents within a transaction |
//! | [`DocumentView`], [`MapView`] | read them, and their conflicts |
//! | [`Collection`], [`FieldType`], [`Resolver`] | say how simultaneous edits come together |
//! | [`Database::sync`], [`Database::serve`], [`SyncReport`] | exchange changes over a stream |
//! | [`Database::export_changes`], [`Database::import_changes`], [`For`] | exchange changes in files |
//! | [`SyncOptions`], [`door`], [`Database::rejected`] | say who may connect and write; what becomes of a refused change |
//! | [`ChangeEvent`], [`Watch`] | learn what changed |
//! | [`Database::parked`], [`Database::repair`], [`Database::clock`] | what a wrong clock does, and what to do about it |
//! | [`Database::status`], [`ReplicaStatus`] | how everybody is getting on |
//! | [`Error`] | what can go wrong, and what to do |
//! | [`resolve`] | the decisions alone, as plain functions, for data that you hold yourself |
//! | [`core`], [`protocol`], [`sqlite`] | the crates underneath, for those who bring their own storage or transport |
//!
//! Features that are on by default: `sqlite` (the database), `sync` (the sessions). Others: `tokio` and `websocket`
//! (`Database::converse`: sync and live changes in async programs).

pub use crdt_core as core;
#[cfg(feature = "sqlite")]
pub use sqlite_adapter as sqlite;
#[cfg(feature = "sync")]
pub use sync_protocol as protocol;

/// Who may connect, and what each peer may read and write: for a server that others sync with.
#[cfg(feature = "sync")]
pub mod door {
    pub use crdt_core::{Proposal, Refusal};
    pub use sync_protocol::door::{Applicant, Authenticate, Authorize, Reads, Right, Rules, Terms};
}

#[cfg(all(feature = "sqlite", feature = "sync"))]
mod bundle;
#[cfg(feature = "sqlite")]
mod database;
#[cfg(feature = "sqlite")]
mod error;
#[cfg(all(feature = "sqlite", feature = "tokio"))]
mod live;
#[cfg(feature = "sqlite")]
mod options;
#[cfg(feature = "sqlite")]
mod parked;
#[cfg(all(feature = "sqlite", feature = "sync"))]
mod sync;
#[cfg(feature = "sqlite")]
mod tx;
#[cfg(feature = "sqlite")]
mod watch;

#[cfg(feature = "sqlite")]
pub use database::{Database, Documents};
#[cfg(feature = "sqlite")]
pub use error::Error;
#[cfg(feature = "sqlite")]
pub use options::OpenOptions;
#[cfg(feature = "sqlite")]
pub use sqlite_adapter::{Identity, Report};
#[cfg(all(feature = "sqlite", feature = "sync"))]
pub use sync::{RejectedChange, SyncOptions, SyncReport};
#[cfg(feature = "sync")]
pub use sync_protocol::bundle::{Exported, For, Imported, Missing};
#[cfg(feature = "sqlite")]
pub use tx::Tx;
#[cfg(feature = "sqlite")]
pub use watch::Watch;

pub use crdt_core::{
    ChangeEvent, ChangeKind, ClockStatus, ClockVerdict, Collection, Conflict, DocumentChange, DocumentId,
    DocumentMut, DocumentView, Dot, Durability, FieldChange, FieldType, Fields, Loading, MapView, Name,
    Origin, ParkReason, ParkedChange, Payload, PeerClock, PeerState, PeerStatus, Reading, Renewal, Repair,
    ReplicaId, ReplicaStatus, Resolver, Roots, Scope, SessionEnd, Sibling, Value, Withheld, resolve,
};

/// README's code, compiled and run with the tests.
#[cfg(all(doctest, feature = "sqlite", feature = "sync"))]
#[doc = include_str!("../README.md")]
struct ReadmeCode;

/// The code of the pages in docs, compiled and run with the tests.
#[cfg(all(doctest, feature = "sqlite", feature = "sync"))]
#[doc = include_str!("../docs/field-types.md")]
#[doc = include_str!("../docs/conflicts.md")]
#[doc = include_str!("../docs/server.md")]
struct DocsCode;
