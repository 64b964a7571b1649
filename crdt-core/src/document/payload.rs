//! [`Payload`]: what a register of a document holds.

use alloc::vec::Vec;
use core::cmp::Ordering;

use sha2::{Digest as _, Sha256};

use crate::Value;
use crate::codec;

/// What a register of a document holds: a value, or the statement that there is none. Removing a field is an ordinary
/// write of [`Payload::Absent`].
///
/// The order of payloads breaks ties between writers that share an id by mistake. It is the order of their
/// [digests](Payload::put_digest), so that a copy that keeps only the digest of a large value agrees with one that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The field was removed.
    Absent,
    /// The field has this value.
    Present(Value),
}

impl Payload {
    /// Canonical bytes up to this length are their own digest.
    const SHORT: usize = 32;

    /// The value, unless absent.
    pub const fn value(&self) -> Option<&Value> {
        match self {
            Self::Absent => None,
            Self::Present(value) => Some(value),
        }
    }

    /// Appends what stands for the payload in orders and fingerprints: the canonical bytes when they are few, else their
    /// SHA-256. A leading byte keeps the two apart.
    pub fn put_digest(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(0);
        codec::put_payload(out, self);
        if out.len() - start > Self::SHORT + 1 {
            let hash = Sha256::digest(&out[start + 1..]);
            out.truncate(start);
            out.push(1);
            out.extend_from_slice(&hash);
        }
    }

    fn digest(&self) -> Vec<u8> {
        let mut digest = Vec::new();
        self.put_digest(&mut digest);
        digest
    }
}

impl Ord for Payload {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other { Ordering::Equal } else { self.digest().cmp(&other.digest()) }
    }
}

impl PartialOrd for Payload {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Into<Value>> From<T> for Payload {
    fn from(value: T) -> Self {
        Self::Present(value.into())
    }
}
