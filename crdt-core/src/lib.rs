//! The replicated data types, documents, clock and store contract of Rejoin.
//!
//! Most apps want the crate `rejoin`, which puts this together with SQLite and sync. This crate is for those who bring
//! their own storage, or want one of the types on its own. It does no I/O, reads no clock, draws no random numbers,
//! starts no threads and has no unsafe code; it needs `alloc` only. Time and ids come in as values.
//!
//! # Map
//!
//! | in the order the data travels | |
//! |---|---|
//! | [`Lattice`] | what every type can do: merge, be taken apart, give what someone misses |
//! | [`ReplicaId`], [`Dot`], [`VersionVector`], [`CausalContext`] | who wrote what, and who has seen it |
//! | [`Hlc`], [`Stamp`], [`Change`], [`Clock`] | when |
//! | [`cells`] | the totally ordered cells that all state consists of |
//! | [`types`]: [`GCounter`], [`PNCounter`], [`GSet`], [`OrSet`], [`Flag`], [`LwwRegister`], [`MvRegister`] | the types, usable on their own |
//! | [`Value`], [`Document`], [`Map`], [`Field`] | documents made of these types |
//! | [`Collection`], [`FieldType`], [`Resolver`] | what an app declares |
//! | [`Transaction`], [`DocumentMut`] | local edits |
//! | [`Replica`] | the only writer: commits and merges |
//! | [`Store`], [`MemoryStore`] | where the state is kept |
//! | [`ChangeEvent`] | what happened |
//! | [`DocumentView`], [`MapView`] | reads |
//! | [`codec`], [`Fingerprint`] | bytes, and whether two replicas hold the same |
//! | [`resolve`] | the decisions alone, as plain functions, for data that you hold yourself |
//!
//! Features: `serde` gives every public type its natural JSON; `laws` checks types, ours and yours, against what they
//! promise. Both are off by default.
//!
//! # One type on its own
//!
//! ```
//! use crdt_core::{GCounter, Lattice, ReplicaId};
//! let (phone, laptop) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
//!
//! let mut here = GCounter::new();
//! let mut there = here.clone();
//! let delta = here.increment(phone, 5)?; // what changed, as a value of the same type
//! there.increment(laptop, 2)?;
//! there.merge(delta); // in any order, any number of times
//! assert_eq!(there.value(), 7);
//! # Ok::<(), crdt_core::CounterOverflow>(())
//! ```
//!
//! # A document of your own
//!
//! A document is a map of such types, and so it merges. Keep it where you like; it is also its own delta.
//!
//! ```
//! use crdt_core::{Clock, Collection, Document, DocumentId, FieldType, Lattice, MapView, ReplicaId};
//!
//! let tasks = Collection::new("tasks").field("title", FieldType::Detect).field("votes", FieldType::Counter);
//! let id = DocumentId::from_key("tasks", "milk");
//! let [mut phone, mut laptop] = [1, 2].map(|number| Clock::new(ReplicaId::from_u64(number)));
//!
//! let mut here = Document::new();
//! let edited = here.edit(phone.tick(1_000)?, id, &tasks, |task| task.set("title", "Buy milk"))?;
//! phone.adopt(&edited.change);
//! let mut there = Document::new();
//! there.merge(edited.delta);
//!
//! // Both edit it without knowing of each other.
//! let a = here.edit(phone.tick(2_000)?, id, &tasks, |task| {
//!     task.set("title", "Buy oat milk")?;
//!     task.increment("votes", 2)
//! })?;
//! let b = there.edit(laptop.tick(3_000)?, id, &tasks, |task| {
//!     task.set("title", "Buy milk, eggs")?;
//!     task.increment("votes", 3)
//! })?;
//! here.merge(b.delta);
//! there.merge(a.delta);
//! assert_eq!(here, there);
//!
//! let task = MapView::of(&here, &tasks, &[]);
//! assert_eq!(task.counter("votes"), 5);
//! assert_eq!(task.get("title")?.unwrap().as_str(), Some("Buy milk, eggs"));
//! assert_eq!(task.conflicts("title").len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a [`Replica`] over a [`Store`], transactions span documents, and there is a change order from which a session sends
//! what a peer misses. With the functions of [`resolve`], you need neither.
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "laws"))]
extern crate std;

mod causal_context;
pub mod cells;
mod clock;
pub mod codec;
mod document;
mod dot;
mod event;
mod fingerprint;
#[cfg(feature = "serde")]
mod json;
mod lattice;
#[cfg(feature = "laws")]
pub mod laws;
mod limits;
mod memory;
mod name;
pub mod reconcile;
mod refusal;
mod replica;
mod replica_id;
pub mod resolve;
mod schema;
mod scope;
mod small_map;
mod store;
mod transaction;
#[cfg(test)]
#[path = "../tests/tries/mod.rs"]
mod tries;
pub mod types;
mod value;
mod version_vector;

pub use causal_context::CausalContext;
pub use clock::{Change, Clock, ClockError, Hlc, ReceiveBound, Stamp};
pub use document::{
    Address, Cell, CellKind, CellRef, Conflict, Document, DocumentId, DocumentMut, DocumentView, EditError,
    Edited, Field, Map, MapView, Observer, Path, Payload, Reading, Withheld,
};
pub use dot::Dot;
pub use event::{ChangeEvent, ChangeKind, DocumentChange, FieldChange, Origin};
pub use fingerprint::{Fingerprint, Fingerprints, Namespace};
pub use lattice::Lattice;
pub use limits::{LimitExceeded, Limits};
pub use memory::MemoryStore;
pub use name::Name;
pub use refusal::{Judge, Proposal, Refusal, RefusedChange, Rejected};
pub use replica::{
    Acknowledged, Acquaintance, Applied, ApplyError, Arrival, Asked, Checkpoint, ClockStatus, ClockVerdict,
    CommitError, Committed, Difference, FirstSync, Fork, Holding, Judgement, Loading, Meeting, Memory,
    ParkReason, ParkedChange, Part, PeerClock, PeerState, PeerStatus, Position, Progress, Refusals, Renewal,
    Repair, RepairError, Replica, ReplicaStatus, Roots, RunPart, Scanned, Serves, SessionEnd, Spare,
    SubscribeError, Subscription, Sums, Trail, Window, Withdrawal, renew_identity, shown_instead,
};
pub use replica_id::ReplicaId;
pub use schema::{Collection, FieldType, Fields, ResolveFn, Resolver};
pub use scope::Scope;
pub use store::{
    Access, Durability, Head, Life, LogRecord, Note, PARKED_NOTES, PeerRecord, Store, StoreError,
};
pub use transaction::{OpenError, Transaction, TransactionError};
#[doc(inline)]
pub use types::{CounterOverflow, Flag, GCounter, GSet, LwwRegister, MvRegister, OrSet, PNCounter, Sibling};
pub use value::{Float, Value};
pub use version_vector::VersionVector;
