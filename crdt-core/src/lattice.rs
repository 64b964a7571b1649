//! [`Lattice`]: the one trait that every replicated type here implements.

use alloc::vec::Vec;

use crate::CausalContext;

/// A join semilattice (Shapiro et al. 2011, INRIA RR-7506) that can be taken apart (Enes et al. 2019, arXiv 1803.02750).
///
/// Deltas are values of the same type (Almeida, Shoker, Baquero 2016, arXiv 1603.01529): a mutation returns the small
/// state that it added, and merging that delta elsewhere has the same effect as the mutation had here.
///
/// The laws, each of which `crdt_core::laws` (feature `laws`) checks for any type:
/// - `merge` is commutative, associative and idempotent;
/// - the merge of [`decompose`](Lattice::decompose) is the state itself, and no part is redundant;
/// - `difference` is *complete*: merging it into a state with context `seen` gives what merging the whole would;
///   and *minimal*: nothing in it was already seen.
pub trait Lattice: Clone + PartialEq {
    /// Joins `other` into `self`; true when that changed `self`. The answer stops echoes and drives observers.
    fn merge(&mut self, other: Self) -> bool;

    /// The state as its smallest parts: each holds one cell, and their merge is the state.
    fn decompose(&self) -> Vec<Self>;

    /// The part of the state whose changes are not in `seen`.
    fn difference(&self, seen: &CausalContext) -> Self;
}
