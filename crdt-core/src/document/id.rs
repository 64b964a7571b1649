//! [`DocumentId`] and [`Address`]: which document.

use core::fmt;
use core::str::FromStr;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::Name;

/// A document's id: 16 bytes, shown as a UUID.
///
/// Random by default (a UUIDv7, which the embedding layer draws), or made from a key of the app's own, so that two
/// devices that create "the same" thing offline create one document, whose fields merge.
///
/// ```
/// # use crdt_core::DocumentId;
/// let here = DocumentId::from_key("users", "ada@example.org");
/// let there = DocumentId::from_key("users", "ada@example.org");
/// assert_eq!(here, there);
/// assert_ne!(here, DocumentId::from_key("users", "bob@example.org"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct DocumentId(Uuid);

impl DocumentId {
    /// Takes 16 bytes, for instance of a UUID that the caller drew.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// A readable id for tests and examples.
    pub const fn from_u64(number: u64) -> Self {
        Self(Uuid::from_u64_pair(0, number))
    }

    /// The id that a key of the app's own names in a collection: a `UUIDv8` of the SHA-256 of both.
    pub fn from_key(collection: &str, key: &str) -> Self {
        let mut hash = Sha256::new();
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((collection.len() as u64).to_be_bytes());
        hash.update(collection);
        hash.update(key);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The bytes, most significant first.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<Uuid> for DocumentId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for DocumentId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a document is: its collection and its id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The collection.
    pub collection: Name,
    /// The document.
    pub id: DocumentId,
}

impl Address {
    /// Names a document.
    pub fn new(collection: impl Into<Name>, id: DocumentId) -> Self {
        Self { collection: collection.into(), id }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.id)
    }
}
