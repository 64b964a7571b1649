//! [`Rules`]: rights per collection.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hasher as _;

use crdt_core::{Address, Name, Proposal, Refusal};
use siphasher::sip::SipHasher24;

use super::{Authorize, Reads, Terms};

/// What a peer may do with a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing: none of its cells leave, none are taken.
    None,
    /// Read it.
    Read,
    /// Write it without ever seeing it: a letter box.
    Write,
    /// Both.
    ReadWrite,
}

impl Right {
    const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// Rights per collection: the simplest [`Authorize`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    principal: Option<String>,
    otherwise: Right,
    /// In the order of names, each once.
    collections: Vec<(Name, Right)>,
}

impl Rules {
    /// The code of the refusal of a write.
    pub const FORBIDDEN: u16 = 403;

    /// The same right for every collection that no other rule names.
    pub const fn all(right: Right) -> Self {
        Self { principal: None, otherwise: right, collections: Vec::new() }
    }

    /// Whose rights they are: a name of the user or device; see [`Authorize::principal`]. Give it whenever not everybody who
    /// is let in is to be trusted with everybody's devices.
    pub fn of(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// Another right for one collection.
    pub fn collection(mut self, name: impl Into<Name>, right: Right) -> Self {
        let name = name.into();
        match self.find(&name) {
            Ok(at) => self.collections[at].1 = right,
            Err(at) => self.collections.insert(at, (name, right)),
        }
        self
    }

    fn right(&self, collection: &Name) -> Right {
        self.find(collection).map_or(self.otherwise, |at| self.collections[at].1)
    }

    fn find(&self, collection: &Name) -> Result<usize, usize> {
        self.collections.binary_search_by(|(name, _)| name.cmp(collection))
    }

    fn every(&self, holds: impl Fn(Right) -> bool) -> bool {
        holds(self.otherwise) && self.collections.iter().all(|(_, right)| holds(*right))
    }

    /// Names what may be read: equal rules have equal numbers, in every process.
    fn scope(&self) -> u64 {
        let mut hash = SipHasher24::new();
        hash.write_u8(self.otherwise.reads().into());
        for (name, right) in
            self.collections.iter().filter(|(_, right)| right.reads() != self.otherwise.reads())
        {
            hash.write_u64((name.len() as u64).to_le());
            hash.write(name.as_bytes());
            hash.write_u8(right.reads().into());
        }
        hash.finish()
    }
}

impl Authorize for Rules {
    fn terms(&self) -> Terms {
        let reads = if self.every(Right::reads) { Reads::Everything } else { Reads::Scope(self.scope()) };
        Terms { reads, writes_all: self.every(Right::writes) }
    }

    fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    fn may_read(&self, address: &Address) -> bool {
        self.right(&address.collection).reads()
    }

    fn may_write(&self, proposal: &Proposal<'_>) -> Result<(), Refusal> {
        let collection = &proposal.address.collection;
        if self.right(collection).writes() {
            return Ok(());
        }
        Err(Refusal::new(Self::FORBIDDEN, format!("no right to write {collection}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_sum_up_the_rules() {
        assert_eq!(Rules::all(Right::ReadWrite).terms(), Terms::OPEN);
        let read_only = Rules::all(Right::Read).terms();
        assert_eq!(read_only, Terms { reads: Reads::Everything, writes_all: false });
        let partial = Rules::all(Right::ReadWrite).collection("salaries", Right::Write);
        assert!(matches!(partial.terms().reads, Reads::Scope(_)) && partial.terms().writes_all);
        // What may be written is no part of the scope, nor is a rule that says what holds anyway.
        let same =
            Rules::all(Right::Read).collection("salaries", Right::None).collection("b", Right::ReadWrite);
        assert_eq!(partial.terms().reads, same.terms().reads);
        assert_ne!(partial.collection("b", Right::None).terms().reads, same.terms().reads);
    }
}
