//! [`Fingerprint`] and [`Namespace`]: whether two replicas hold the same.

use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher as _;

use sha2::{Digest as _, Sha256};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::cells::{Mark, Written};
use crate::codec::put_value;
use crate::document::{Address, CellRef, Path};
use crate::{Change, ReplicaId};

/// The unit of replication: replicas sync when they are in the same namespace.
///
/// It has an id, which is sent, and a key, which is not and which the fingerprints are made with. Both come from a
/// secret that the members share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Namespace {
    id: [u8; 16],
    key: [u8; 16],
}

impl Namespace {
    /// Derives id and key from a secret: anyone with the same secret gets the same namespace.
    ///
    /// ```
    /// # use crdt_core::Namespace;
    /// assert_eq!(Namespace::from_secret("team 42").id(), Namespace::from_secret("team 42").id());
    /// assert_ne!(Namespace::from_secret("team 42").id(), Namespace::from_secret("team 43").id());
    /// ```
    pub fn from_secret(secret: impl AsRef<[u8]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"rejoin namespace 1\0");
        hash.update(secret);
        let hash = hash.finalize();
        let half = |from: usize| {
            let mut half = [0; 16];
            half.copy_from_slice(&hash[from..from + 16]);
            half
        };
        Self { id: half(0), key: half(16) }
    }

    /// Puts a namespace together from what a store kept.
    pub const fn from_parts(id: [u8; 16], key: [u8; 16]) -> Self {
        Self { id, key }
    }

    /// Tells namespaces apart; safe to show.
    pub const fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// For the store that keeps it. Whoever has the key can forge fingerprints.
    pub const fn key(&self) -> &[u8; 16] {
        &self.key
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({:02x?})", &self.id[..4])
    }
}

/// A sum of keyed hashes, one per cell: equal for equal sets of cells, whatever the order they came in. Replaced cells
/// are subtracted, so it is kept up at a cost that follows the change.
///
/// Sums modulo 2^128, not XOR: with XOR, chosen items can hide a victim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// Of no cells.
    pub const EMPTY: Self = Self(0);

    /// With a cell's fingerprint added.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// With a cell's fingerprint taken out.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Makes the fingerprints of the cells of one document.
#[derive(Debug)]
pub struct Fingerprints {
    /// Has read what all cells of the document begin with.
    begun: SipHasher24,
    bytes: Vec<u8>,
}

impl Fingerprints {
    /// For the cells of a document: SipHash-2-4 with 128 bits under the namespace's key.
    pub fn new(namespace: &Namespace, address: &Address) -> Self {
        let mut bytes = Vec::with_capacity(160);
        put_text(&mut bytes, &address.collection);
        bytes.extend_from_slice(address.id.as_bytes());
        let mut begun = SipHasher24::new_with_key(namespace.key());
        begun.write(&bytes);
        Self { begun, bytes }
    }

    /// Of the address alone, which is that of no cell.
    pub fn of_address(&self) -> Fingerprint {
        Fingerprint(self.begun.finish128().as_u128())
    }

    /// Of one cell: over the document's address, the cell's key, its order and the digest of its content.
    pub fn of(&mut self, path: &Path, cell: &CellRef<'_>) -> Fingerprint {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&(path.len() as u64).to_le_bytes());
        for name in path {
            put_text(bytes, name);
        }
        bytes.push(cell.kind() as u8);
        put_order(bytes, cell);
        let mut hasher = self.begun;
        hasher.write(bytes);
        Fingerprint(hasher.finish128().as_u128())
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// What tells two cells of the same path and kind apart: the rest of the key, the order, the content.
fn put_order(bytes: &mut Vec<u8>, cell: &CellRef<'_>) {
    match cell {
        CellRef::Register(Written::Open { by, content }) => {
            put_change(bytes, by);
            bytes.push(0);
            content.put_digest(bytes);
        }
        CellRef::Register(Written::Closed { written, by }) => {
            put_change(bytes, written);
            bytes.push(1);
            put_change(bytes, by);
        }
        CellRef::Sibling(w, mark) => {
            put_mark(bytes, *w, mark);
            if let Mark::Live { content, .. } = mark {
                content.put_digest(bytes);
            }
        }
        CellRef::Element(element, w, mark) => {
            put_mark(bytes, *w, mark);
            put_value(bytes, element);
        }
        CellRef::Flag(w, mark) | CellRef::Presence(w, mark) | CellRef::Deletion(w, mark) => {
            put_mark(bytes, *w, mark);
        }
        CellRef::Tally(w, tally) => {
            bytes.extend_from_slice(w.as_bytes());
            put_change(bytes, &tally.by);
            bytes.extend_from_slice(&tally.p.to_le_bytes());
            bytes.extend_from_slice(&tally.m.to_le_bytes());
        }
        CellRef::Base(w, base) => {
            bytes.extend_from_slice(w.as_bytes());
            bytes.extend_from_slice(&base.n.to_le_bytes());
            bytes.extend_from_slice(&base.p.to_le_bytes());
            bytes.extend_from_slice(&base.m.to_le_bytes());
            put_change(bytes, &base.by);
        }
    }
}

fn put_mark<T: Clone + Ord>(bytes: &mut Vec<u8>, writer: ReplicaId, mark: &Mark<T>) {
    bytes.extend_from_slice(writer.as_bytes());
    bytes.extend_from_slice(&mark.n().to_le_bytes());
    bytes.push(u8::from(!mark.is_live()));
    match mark {
        Mark::Live { by, .. } | Mark::Dead { by, .. } => put_change(bytes, by),
    }
}

fn put_change(bytes: &mut Vec<u8>, change: &Change) {
    bytes.extend_from_slice(&change.stamp.epoch.to_le_bytes());
    bytes.extend_from_slice(&change.stamp.hlc.to_bits().to_le_bytes());
    bytes.extend_from_slice(change.replica().as_bytes());
    bytes.extend_from_slice(&change.counter.to_le_bytes());
}
