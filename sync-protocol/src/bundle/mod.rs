//! Bundles: changes in a file, for devices that never meet. Carry it on a stick, send it by mail, import it twice, out of
//! order, a year later.
//!
//! A bundle is a piece of one store's change order. Its *cells* merge wherever and whenever it is imported. What it
//! *claims*, that with these cells everything up to there is here, counts only where nothing is missing before it:
//! an importer that lacks an earlier piece is told [which](Missing), and goes on without the claim.
//!
//! | | |
//! |---|---|
//! | [`export`], [`For`] | writes a bundle, for anyone or from where a peer is |
//! | [`import`], [`import_or_heal`], [`Imported`], [`Missing`] | takes one in, in one transaction or not at all |
//! | `frames.rs` | the frames of the file and the check at the end of each |
//! | `format.rs` | what the first and the last frame say |
//!
//! A bundle is checked with the namespace's key against damage and mix-ups. It is **not encrypted**: who has the file can
//! read it. It also passes no [guard](crate::door): it holds all that its writer holds, and who imports it takes all of it.
//!
//! ```
//! use crdt_core::{DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId, TransactionError};
//! use sync_protocol::bundle::{For, export, import};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let team = Namespace::from_secret("team 42");
//! # let replica = |n| Replica::new(MemoryStore::new(Head::new(team, ReplicaId::from_u64(n), Life(n))));
//! let (mut phone, mut laptop) = (replica(1), replica(2));
//! # let id = DocumentId::from_u64(1);
//! # phone.commit(0, Durability::Visible, |tx| {
//! #     tx.document("tasks", id)?.set("title", "Buy milk")?;
//! #     Ok::<_, TransactionError>(())
//! # })?;
//! let mut file = Vec::new();
//! export(&mut phone, &For::Anyone, &mut file, 1_790_000_000_000)?;
//!
//! let imported = import(&mut laptop, file.as_slice())?;
//! assert_eq!((imported.missing, imported.in_sync), (None, true));
//! assert_eq!(laptop.head()?.root, phone.head()?.root);
//! # Ok(())
//! # }
//! ```

mod export;
mod format;
mod frames;
mod import;
#[cfg(test)]
mod tests;

pub use export::{ExportError, Exported, For, export};
pub use import::{ImportError, Imported, Missing, import, import_or_heal};

/// The version of the bundles that this version writes and reads.
pub const BUNDLE_VERSION: u8 = 1;
