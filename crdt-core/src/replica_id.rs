//! [`ReplicaId`]: who wrote it.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use uuid::Uuid;

/// One holder of state: one database file, one browser profile, one in-memory copy.
///
/// The id is a UUID that the embedding layer draws (this crate has no randomness). Two copies that write under
/// the same id are a *fork*; the adapters detect the cases they can and draw a new id before the first write.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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

impl Ord for ReplicaId {
    /// The order of the bytes, compared as one number: keys of cells are compared more often than anything else.
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_u128().cmp(&other.0.as_u128())
    }
}

impl PartialOrd for ReplicaId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_bytes() {
        let mut ids = alloc::vec::Vec::new();
        for at in 0..16 {
            for value in [1, 0x7f, 0x80, 0xff] {
                let mut bytes = [0x80; 16];
                bytes[at] = value;
                ids.push(ReplicaId::from_bytes(bytes));
            }
        }
        for (one, other) in ids.iter().flat_map(|one| ids.iter().map(move |other| (one, other))) {
            assert_eq!(one.cmp(other), one.as_bytes().cmp(other.as_bytes()), "{one} {other}");
            assert_eq!(one == other, one.cmp(other).is_eq());
        }
    }
}
