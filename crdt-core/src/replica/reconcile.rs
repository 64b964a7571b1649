//! What a session asks of a replica when there is no cursor: sums over all that it holds, and, once the differing slots
//! are known, what one side has there that the other lacks.

use alloc::vec::Vec;

use super::{Replica, transact};
use crate::Dot;
use crate::document::{Address, Document};
use crate::reconcile::{Estimate, Sketch, Slot, Summary, slot_of};
use crate::small_map::SmallSet;
use crate::store::{Access, Durability, Head, Store, StoreError};

/// Documents that are taken into the sums in one transaction.
const PAGE: usize = 4096;

/// Sums over all that a replica holds, and the state that they are of.
#[derive(Clone, Debug)]
pub struct Sums {
    /// The head of that state.
    pub head: Head,
    /// So many symbols.
    pub sketch: Sketch,
    /// About how much of it a peer holds otherwise.
    pub estimate: Estimate,
}

/// What a replica holds in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Nothing.
    Nothing,
    /// Something that it does not list.
    Something,
    /// One document, with cells of these dots. Whoever has seen a dot of a document has its cells there, or greater ones.
    Document {
        /// A further byte of the hash that the slot is of.
        check: u8,
        /// In order, each once.
        dots: Vec<Dot>,
    },
}

impl<S: Store> Replica<S> {
    /// Sums over all that is held. First takes in what has changed since the last time: that is what it costs, and a look at
    /// every document at the very first time. More than a few symbols, or a salt other than 0, cost a look at 14 bytes per document.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sums(&mut self, salt: u64, symbols: usize) -> Result<Sums, StoreError> {
        loop {
            let sums = transact(&mut self.store, Access::Write, Durability::Visible, |store| {
                let mut summary = Summary::load(store)?;
                if !summary.advance(store, PAGE)? {
                    return Ok(None);
                }
                let (head, sketch) = (store.head()?, summary.sketch(store, salt, symbols)?);
                Ok::<_, StoreError>(Some(Sums { head, sketch, estimate: summary.estimate().clone() }))
            })?;
            if let Some(sums) = sums {
                return Ok(sums);
            }
        }
    }

    /// What is held in each of the slots, which come in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn holdings(&mut self, slots: &[Slot]) -> Result<Vec<Holding>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let namespace = store.head()?.namespace;
            let mut holdings = alloc::vec![Holding::Nothing; slots.len()];
            Summary::load(store)?.documents(store, slots, &mut |store, at, address| {
                // One of which everything was withdrawn is as if it had never been.
                let document = store.document(&address)?.filter(|document| !document.is_empty());
                let Some(document) = document else { return Ok(()) };
                let mut dots = SmallSet::new();
                document.visit(&mut |_, cell| {
                    dots.insert(cell.set_by().dot(), ());
                });
                holdings[at] = match holdings[at] {
                    Holding::Nothing => {
                        let (_, check) = slot_of(&namespace, &address);
                        Holding::Document { check, dots: dots.into_keys() }
                    }
                    _ => Holding::Something,
                };
                Ok(())
            })?;
            Ok(holdings)
        })
    }

    /// The cells in each of the slots, which come in order, that a peer lacks which holds this there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lacking(
        &mut self,
        slots: &[Slot],
        held: &[Holding],
    ) -> Result<Vec<(Address, Document)>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let namespace = store.head()?.namespace;
            let mut found: Vec<(usize, Address)> = Vec::new();
            Summary::load(store)?.documents(store, slots, &mut |_, at, address| {
                found.push((at, address));
                Ok(())
            })?;
            let mut lacking = Vec::new();
            for (index, (at, address)) in found.iter().enumerate() {
                let Some(document) = store.document(address)? else { continue };
                let before = index.checked_sub(1).and_then(|before| found.get(before));
                let shares = |other: Option<&(usize, Address)>| other.is_some_and(|(of, _)| of == at);
                let document = match held.get(*at) {
                    Some(Holding::Document { check, dots })
                        if *check == slot_of(&namespace, address).1
                            && !shares(before)
                            && !shares(found.get(index + 1)) =>
                    {
                        document.select(|dot| dots.binary_search(&dot).is_err())
                    }
                    _ => (*document).clone(),
                };
                if !document.is_empty() {
                    lacking.push((address.clone(), document));
                }
            }
            Ok(lacking)
        })
    }

    /// Forgets the sums; the next ones are made from a look at every document.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_sums(&mut self) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, Summary::void)
    }
}
