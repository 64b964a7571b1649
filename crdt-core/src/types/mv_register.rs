//! [`MvRegister`]: keeps all concurrent values.

use alloc::vec::Vec;

use super::flag::kill;
use super::lattice_by_cells;
use crate::cells::{Cells, Mark};
use crate::small_map::SmallMap;
use crate::{Change, ReplicaId};

/// A multi-value register (RR-7506, §3.2.2): a write replaces what it saw; writes that did not see each other are kept
/// side by side. One mark per writer.
///
/// In JSON (`…` is a [`Change`]), per writer what it wrote last, or the change that replaced it:
///
/// ```json
/// {
///   "00000000-0000-0000-0000-000000000001": { "counter": 1, "ms": 10, "value": 100 },
///   "00000000-0000-0000-0000-000000000002": { "counter": 4, "removed": … }
/// }
/// ```
///
/// ```
/// # use crdt_core::{Clock, Lattice, MvRegister, ReplicaId};
/// let (mut at_a, mut at_b) = (Clock::new(ReplicaId::from_u64(1)), Clock::new(ReplicaId::from_u64(2)));
/// let (mut a, mut b) = (MvRegister::new(), MvRegister::new());
/// a.write(at_a.tick(10)?, 100);
/// b.write(at_b.tick(20)?, 120);
/// a.merge(b);
/// assert_eq!(a.siblings().iter().map(|s| *s.value).collect::<Vec<_>>(), [100, 120]);
/// a.write(at_a.tick(30)?, 110); // saw both
/// assert_eq!(a.siblings().len(), 1);
/// # Ok::<(), crdt_core::ClockError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MvRegister<T: Ord + Clone> {
    pub(crate) cells: Cells<ReplicaId, Mark<T>>,
}

lattice_by_cells!(MvRegister<T>, cells);

impl<T: Ord + Clone> Default for MvRegister<T> {
    fn default() -> Self {
        Self { cells: Cells::new() }
    }
}

/// One of several values that were written without knowing of each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Sibling<'a, T> {
    /// The value.
    pub value: &'a T,
    /// Who wrote it, and when; for equal values that were written concurrently, the latest of them.
    pub by: Change,
}

impl<T> Clone for Sibling<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Sibling<'_, T> {}

impl<T: Ord + Clone> MvRegister<T> {
    /// Never written.
    pub fn new() -> Self {
        Self::default()
    }

    /// The values that nobody replaced yet, the latest last. Equal values are one sibling.
    pub fn siblings(&self) -> Vec<Sibling<'_, T>> {
        distinct(self.live().collect())
    }

    /// Every live mark, in the order of writers; equal values are listed once per writer.
    pub(crate) fn live(&self) -> impl Iterator<Item = Sibling<'_, T>> + '_ {
        self.cells.iter().filter_map(|(_, mark)| mark.live().map(|(by, value)| Sibling { value, by: *by }))
    }

    /// Writes in place of all values seen here; returns the delta.
    pub fn write(&mut self, change: Change, content: T) -> Self {
        let mut cells = kill(self.cells.iter().filter(|(writer, _)| **writer != change.replica()), change);
        cells.put(change.replica(), Mark::Live { by: change, content });
        self.cells.put_all(cells.clone());
        Self { cells }
    }

    /// Takes away all values seen here; returns the delta.
    pub fn clear(&mut self, change: Change) -> Self {
        let cells = kill(self.cells.iter(), change);
        self.cells.put_all(cells.clone());
        Self { cells }
    }

    /// True when nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

/// Sorts by stamp and keeps, of equal values, the latest. With maps, because a sort would weigh in a browser.
pub(crate) fn distinct<T: Ord>(siblings: Vec<Sibling<'_, T>>) -> Vec<Sibling<'_, T>> {
    if siblings.len() < 2 {
        return siblings;
    }
    let mut latest = SmallMap::new();
    for sibling in siblings {
        if latest.get(&sibling.value).is_none_or(|known: &Sibling<'_, T>| known.by < sibling.by) {
            latest.insert(sibling.value, sibling);
        }
    }
    let mut by_stamp = SmallMap::new();
    // Not the keys: what is equal can still differ in what it carries along.
    for (_, Sibling { value, by }) in latest {
        by_stamp.insert((by, value), ());
    }
    by_stamp.into_keys().into_iter().map(|(by, value)| Sibling { value, by }).collect()
}

#[cfg(feature = "laws")]
mod laws {
    use std::collections::BTreeSet;

    use super::MvRegister;
    use crate::Change;
    use crate::laws::{Meaning, Subject, Visible, one_of};
    use quickcheck::{Arbitrary, Gen};

    crate::law_suite!(MvRegister<u8>, meaning);

    #[derive(Clone, Debug)]
    pub enum Write {
        Write(u8),
        /// Take the value away: `close` or `clear`.
        Empty,
    }

    impl Arbitrary for Write {
        fn arbitrary(random: &mut Gen) -> Self {
            one_of(random, &[Self::Write(1), Self::Write(2), Self::Write(3), Self::Empty])
        }
    }

    impl Subject for MvRegister<u8> {
        type State = Self;
        type Operation = Write;

        fn mutate(state: &mut MvRegister<u8>, operation: &Write, change: Change) -> MvRegister<u8> {
            match operation {
                Write::Write(value) => state.write(change, *value),
                Write::Empty => state.clear(change),
            }
        }
    }

    impl Meaning for MvRegister<u8> {
        type Shown = BTreeSet<u8>;

        fn shown(state: &MvRegister<u8>) -> BTreeSet<u8> {
            state.siblings().iter().map(|sibling| *sibling.value).collect()
        }

        /// The values of the writes that no other write and no clear saw.
        fn meant(visible: &[Visible<'_, Self>]) -> BTreeSet<u8> {
            let values = visible.iter().filter_map(|commit| match commit.operation {
                Write::Write(value) if !commit.is_taken_away(visible, |_| true) => Some(*value),
                _ => None,
            });
            values.collect()
        }
    }
}
