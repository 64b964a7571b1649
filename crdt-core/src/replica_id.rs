//! [`ReplicaId`]: who wrote it.

use core::fmt;
use core::str::FromStr;

use uuid::Uuid;

/// One holder of state: one database file, one browser profile, one in-memory copy.
///
/// The id is a UUID that the embedding layer draws (this crate has no randomness). Two copies that write under
/// the same id are a *fork*; the adapters detect the cases they can and draw a new id before the first write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct ReplicaId(Uuid);

impl ReplicaId {
    /// Bytes an id takes in every encoding.
    pub const BYTES: usize = 16;

    /// Takes 16 bytes that the caller drew at random.
    ///
    /// ```
    /// # use crdt_core::ReplicaId;
    /// let phone = ReplicaId::from_bytes([7; 16]);
    /// assert_eq!(phone.as_bytes(), &[7; 16]);
    /// ```
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// A readable id for tests and examples: the number in the last eight bytes, zero before it.
    pub const fn from_u64(number: u64) -> Self {
        Self(Uuid::from_u64_pair(0, number))
    }

    /// The 16 bytes, most significant first; their order is the order of ids.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<Uuid> for ReplicaId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for ReplicaId {
    type Err = uuid::Error;

    /// Reads the usual text form of a UUID.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last four bytes tell replicas apart in a test's output; the whole id is in `Display`.
        let b = self.as_bytes();
        write!(f, "r{:02x}{:02x}{:02x}{:02x}", b[12], b[13], b[14], b[15])
    }
}
