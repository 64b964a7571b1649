//! The classic resolvers: which of two versions of a record is kept, for apps that hold their own data and only want
//! the decision.
//!
//! Each is a plain function of two [`Versioned`] values. The order of the two makes no difference, so two devices that
//! resolve the same pair keep the same. They decide with the code that documents use: [`LwwRegister`](crate::LwwRegister)
//! for one value, [`Map`](crate::Map) for an object field by field.
//!
//! | function | by name ([`Strategy`]) | keeps | reports as conflict | like the field type |
//! |---|---|---|---|---|
//! | [`last_write_wins`] | `last-write-wins` | the later version | nothing | `Lww` |
//! | [`version_vector`] | `version-vector` | the version that has seen the other; of concurrent ones the later | concurrent versions | `Detect` |
//! | [`custom`] | | the version that has seen the other; of concurrent ones what your function makes of them | concurrent versions | `Custom` |
//! | [`field_merge`] | `field-merge` | each plain field of an [`Object`] by itself, the later | fields written concurrently | a document of `Lww` fields |
//! | [`crdt_merge`] | `crdt-merge` | the same, and every step of a counter, every element of a set, every flag | plain fields written concurrently | a document |
//!
//! | file | subject |
//! |---|---|
//! | `versioned.rs` | a value with its version; which of two had seen the other |
//! | `whole.rs` | decisions over a record as a whole |
//! | `object.rs` | a record whose fields can be told apart |
//! | `fields.rs` | decisions field by field |
//! | `strategy.rs` | a decision by name |
//!
//! # Two versions of a row
//!
//! ```
//! use crdt_core::resolve::{self, Relation, Versioned};
//! use crdt_core::{Dot, ReplicaId, Value};
//! use std::collections::BTreeMap;
//!
//! let (phone, laptop) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
//! let row = |price: i64| Value::from(BTreeMap::from([("price".to_owned(), Value::from(price))]));
//!
//! // Both changed the row that the phone had written first, without knowing of each other.
//! let first = Dot::new(phone, 1);
//! let at_phone = Versioned::at_ms(row(110), 2_000, phone).having_seen([first, Dot::new(phone, 2)]);
//! let at_laptop = Versioned::at_ms(row(90), 3_000, laptop).having_seen([first, Dot::new(laptop, 1)]);
//! assert_eq!(at_phone.relation(&at_laptop), Relation::Concurrent);
//!
//! let outcome = resolve::version_vector(&at_phone, &at_laptop);
//! assert_eq!(outcome.merged.value, row(90), "the later one");
//! assert_eq!(outcome.conflict.len(), 2, "and both are reported, the latest last");
//!
//! // A version that has seen both replaces them, whatever its clock says.
//! let decided = Versioned::at_ms(row(95), 1_000, phone)
//!     .having_seen(outcome.merged.version.iter().chain([Dot::new(phone, 3)]));
//! let outcome = resolve::version_vector(&outcome.merged, &decided);
//! assert_eq!(outcome.merged.value, row(95));
//! assert!(outcome.conflict.is_empty());
//! ```
//!
//! # From a table of yours
//!
//! | your column | here |
//! |---|---|
//! | the row, or one JSON column | `value`: a [`Value`](crate::Value), a type of yours that is [`Ord`], or an [`Object`] |
//! | `updated_at` | [`Versioned::at_ms`], or an [`Hlc`](crate::Hlc), which no wrong clock turns back |
//! | `updated_by`, a device | its [`ReplicaId`](crate::ReplicaId) |
//! | `version`, JSON | [`VersionVector`](crate::VersionVector): per device, how many times it wrote; leave it out and only the stamp decides |
//!
//! For `field_merge` and `crdt_merge` keep the [`Versioned`] [`Object`] itself as JSON in a column beside the row (feature
//! `serde`): [`Object::save`] it whenever the form is saved, and write [`Object::to_value`] into the row. A deletion is a
//! value too: a plain field, or `Option` as the value.
//!
//! # More than two
//!
//! [`last_write_wins`], [`field_merge`] and [`crdt_merge`] are associative as long as different versions have different
//! stamps: resolve any number of versions two by two, in any order. [`version_vector`] is so only while a version that
//! has seen another also has the later stamp, which a [`Clock`](crate::Clock) guarantees and plain timestamps do not:
//!
//! - `c` (10 ms) has seen `a` (30 ms), written by a device whose clock is ahead; `b` (20 ms) knows of neither.
//! - `c` with `a` is `c`; that with `b` is `b`, the later. But `a` with `b` is `a`; that with `c` is `a`, the later of two
//!   that do not know *all* of each other.
//!
//! [`version_vector_all`] has no such order: it looks at all versions at once, drops those that another has seen, and
//! only then asks for the latest. Use it, or [`Strategy::resolve_all`], where more than two versions can meet.

mod fields;
mod object;
mod strategy;
mod versioned;
mod whole;

pub use fields::{crdt_merge, field_merge};
pub use object::Object;
pub use strategy::{Strategy, UnknownStrategy};
pub use versioned::{Relation, Versioned};
pub use whole::{custom, last_write_wins, version_vector, version_vector_all};

use alloc::vec::Vec;

use crate::Name;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<T> {
    /// What to keep, under the stamp of the latest version that it comes from; its version has seen all that the given
    /// ones have.
    pub merged: Versioned<T>,
    /// The versions that were written without knowing of each other and do not agree, the latest last; empty unless there
    /// are several. Nothing of them is lost as long as you keep this.
    pub conflict: Vec<Versioned<T>>,
    /// The plain fields in conflict, in the order of names, where the decision goes field by field.
    pub fields: Vec<Name>,
}

impl<T> Outcome<T> {
    /// True when versions that did not know of each other disagree.
    pub const fn is_conflict(&self) -> bool {
        !self.conflict.is_empty()
    }
}
