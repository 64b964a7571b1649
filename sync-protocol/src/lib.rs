//! The sync sessions of Rejoin: bytes in, bytes out, over any transport.
//!
//! This crate does no I/O and reads no clock: a [`Session`] takes messages and the time, and gives messages, events and
//! the next deadline. Anything that carries bytes carries a session; [`drive`] has the driver for every
//! `Read + Write` stream, one that connects two replicas in memory, and with the feature `tokio` or `websocket` one for
//! async streams and messages, which has a timer. [`bundle`] does without a conversation: changes in a file. Both modules
//! need the feature `std`, which is on by default; all else is `no_std` + `alloc`.
//!
//! # Map
//!
//! | in the order the data travels | |
//! |---|---|
//! | [`Session`] | one conversation with one peer, as a state machine |
//! | `session/outbound.rs` | what we send: a run of chunks that ends in a checkpoint, then live pushes |
//! | `session/inbound.rs` | what we take: stage chunks, apply at the checkpoint, acknowledge |
//! | `session/handshake.rs` | who the other side is, whether it knows the key, on what terms the two talk |
//! | `session/refusals.rs` | what we did not take of the peer's changes |
//! | [`door`] | who is let in, and what each peer may read and write |
//! | `message.rs` | the messages and their bytes |
//! | `pack.rs` | makes long messages shorter |
//! | `seal.rs` | tells damaged, repeated, missing and foreign messages apart |
//! | [`drive`] | drivers |
//! | [`bundle`] | changes in a file, for devices that never meet |
//!
//! `PROTOCOL.md` specifies every byte.
//!
//! # Two replicas in memory
//!
//! ```
//! use crdt_core::{DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId, TransactionError};
//! use sync_protocol::drive::exchange_in_memory;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let team = Namespace::from_secret("team 42");
//! let replica = |n| Replica::new(MemoryStore::new(Head::new(team, ReplicaId::from_u64(n), Life(n))));
//! let (mut phone, mut laptop) = (replica(1), replica(2));
//! let id = DocumentId::from_u64(1);
//! phone.commit(0, Durability::Visible, |tx| {
//!     tx.document("tasks", id)?.set("title", "Buy milk")?;
//!     Ok::<_, TransactionError>(())
//! })?;
//! exchange_in_memory(&mut phone, &mut laptop, 0)?;
//! assert_eq!(laptop.read("tasks", id)?.get("title")?.unwrap().as_str(), Some("Buy milk"));
//! assert_eq!(phone.head()?.root, laptop.head()?.root);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
pub mod bundle;
pub mod door;
#[cfg(feature = "std")]
pub mod drive;
mod end_reason;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod message;
mod pack;
mod seal;
mod session;
#[cfg(test)]
#[path = "../../crdt-core/tests/tries/under_miri.rs"]
mod under_miri;

pub use end_reason::EndReason;
pub use message::{MAX_HELLO_BYTES, PROTOCOL_VERSION};
pub use session::{Config, Reconciled, Session, SessionError, SessionEvent, Status, Traffic, Way};
