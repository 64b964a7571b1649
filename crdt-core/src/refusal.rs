//! [`Refusal`]: why a change was not taken, and what stays of it on both sides.
//!
//! Whoever guards a store refuses whole changes: none of a refused change's cells become part of its state. It notes the
//! refusal, durably and in the transaction in which it would have applied the change, until the peer that brought the
//! change has heard of it. That peer takes the change back out of its own state and keeps it as [`Rejected`], until the
//! app has decided what becomes of it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::document::{Address, Document};
use crate::{Dot, ReplicaId};

/// Why somebody was not let in, or a change was not taken: a number for programs, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: u16,
    reason: String,
}

impl Refusal {
    /// Bytes that a reason has at most; longer ones are cut.
    pub const MAX_REASON_BYTES: usize = 256;

    /// A refusal. The meaning of the codes is the app's.
    ///
    /// ```
    /// # use crdt_core::Refusal;
    /// const READ_ONLY: u16 = 403;
    /// let refusal = Refusal::new(READ_ONLY, "only managers change salaries");
    /// assert_eq!(refusal.to_string(), "only managers change salaries (403)");
    /// ```
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if reason.len() > Self::MAX_REASON_BYTES {
            let end = (0..=Self::MAX_REASON_BYTES).rev().find(|end| reason.is_char_boundary(*end));
            reason.truncate(end.unwrap_or(0));
        }
        Self { code, reason }
    }

    /// For programs.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// For people.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

impl core::error::Error for Refusal {}

/// A change of one document that a peer brings, before it is taken.
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'a> {
    /// The transaction that it belongs to. Its replica is the author as the peer names it: not proven when the peer passes
    /// on what others wrote.
    pub dot: Dot,
    /// The document.
    pub address: &'a Address,
    /// The cells that would change it. A large document comes in pieces.
    pub cells: &'a Document,
}

/// Decides what is taken; a refusal of any part refuses the whole change.
pub type Judge<'j> = dyn Fn(&Proposal<'_>) -> Result<(), Refusal> + 'j;

/// A change that was refused, as the side remembers it that refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedChange {
    /// Counts the refusals for one peer.
    pub number: u64,
    /// The change.
    pub dot: Dot,
    /// Why.
    pub refusal: Refusal,
    /// The documents that it would have changed.
    pub documents: Vec<Address>,
}

/// A change that was refused, as the side keeps it that made it: it is out of the state, and nothing of it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The change.
    pub dot: Dot,
    /// Why.
    pub refusal: Refusal,
    /// Who refused it.
    pub by: ReplicaId,
    /// The documents as they were with the change, before it was taken out.
    pub documents: Vec<(Address, Document)>,
}

impl Rejected {
    /// The cells of the change itself, document by document.
    ///
    /// Cells hold results, not steps: a counter's cell is its writer's total, so it takes along what the same replica had
    /// counted before and nobody had taken yet.
    pub fn cells(&self) -> impl Iterator<Item = (&Address, Document)> + '_ {
        let of_change = |document: &Document| document.select(|dot| dot == self.dot);
        self.documents.iter().map(move |(address, document)| (address, of_change(document)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let refusal = Refusal::new(1, "ä".repeat(200));
        assert_eq!(refusal.reason().len(), 256);
        let refusal = Refusal::new(1, alloc::format!("x{}", "ä".repeat(200)));
        assert_eq!(refusal.reason().len(), 255);
    }
}
