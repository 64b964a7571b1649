//! [`OrSet`]: a set in which a concurrent add wins over a remove.

use super::flag::kill;
use super::lattice_by_cells;
use crate::cells::{Cells, Mark};
use crate::{Change, ReplicaId};

/// An add-wins observed-remove set (RR-7506 §3.3.5; without per-element tombstone growth as in Bieniusa et al. 2012,
/// arXiv 1210.3368). One mark per element and writer; an element is in the set while any of its marks is live. A remove
/// marks exactly those adds dead that it saw.
///
/// In JSON (`…` is a [`Change`]), the elements in order, each with its marks per writer; an element without a live mark
/// was removed:
///
/// ```json
/// [
///   { "element": "milk", "marks": { "00000000-0000-0000-0000-000000000001": { "counter": 1, "ms": 10 } } },
///   { "element": "rice", "marks": { "00000000-0000-0000-0000-000000000001": { "counter": 2, "removed": … } } }
/// ]
/// ```
///
/// ```
/// # use crdt_core::{Clock, Lattice, OrSet, ReplicaId};
/// let (mut at_a, mut at_b) = (Clock::new(ReplicaId::from_u64(1)), Clock::new(ReplicaId::from_u64(2)));
/// let mut a = OrSet::new();
/// a.add(at_a.tick(0)?, "milk");
/// let mut b = a.clone();
/// let removed = a.remove(at_a.tick(1)?, &"milk");
/// let added = b.add(at_b.tick(1)?, "milk"); // concurrently
/// a.merge(added);
/// b.merge(removed);
/// assert_eq!(a, b);
/// assert!(a.contains(&"milk"));
/// # Ok::<(), crdt_core::ClockError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrSet<T: Ord + Clone> {
    pub(crate) cells: Cells<(T, ReplicaId), Mark<()>>,
}

lattice_by_cells!(OrSet<T>, cells);

impl<T: Ord + Clone> Default for OrSet<T> {
    fn default() -> Self {
        Self { cells: Cells::new() }
    }
}

impl<T: Ord + Clone> OrSet<T> {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// True while the element is in the set.
    pub fn contains(&self, element: &T) -> bool {
        self.marks_of(element).any(|(_, mark)| mark.is_live())
    }

    /// The marks of one element, live and dead.
    fn marks_of<'a>(&'a self, element: &'a T) -> impl Iterator<Item = (&'a (T, ReplicaId), &'a Mark<()>)> {
        let start = (element.clone(), ReplicaId::from_u64(0));
        self.cells.iter_from(&start).take_while(move |((e, _), _)| e == element)
    }

    /// The elements, each once, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        let mut last = None;
        let live = self.cells.iter().filter(|(_, mark)| mark.is_live()).map(|((element, _), _)| element);
        live.filter(move |element| last.replace(*element) != Some(*element))
    }

    /// Adds an element; returns the delta. Always writes, so that it wins over a concurrent remove.
    pub fn add(&mut self, change: Change, element: T) -> Self {
        let key = (element, change.replica());
        let mark = Mark::Live { by: change, content: () };
        self.cells.put(key.clone(), mark.clone());
        Self { cells: Cells::one(key, mark) }
    }

    /// Removes an element as far as seen here; returns the delta, which is empty when it was not in the set.
    pub fn remove(&mut self, change: Change, element: &T) -> Self {
        let cells = kill(self.marks_of(element), change);
        self.cells.put_all(cells.clone());
        Self { cells }
    }

    /// Removes all elements seen here; returns the delta.
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

#[cfg(feature = "laws")]
mod laws {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::OrSet;
    use crate::Change;
    use crate::laws::{Meaning, Subject, Visible, one_of};
    use quickcheck::{Arbitrary, Gen};

    crate::law_suite!(OrSet<char>, meaning);

    const ELEMENTS: [char; 3] = ['a', 'b', 'c'];

    #[derive(Clone, Debug)]
    pub enum Edit {
        Add(char),
        Remove(char),
        Clear,
    }

    impl Arbitrary for Edit {
        fn arbitrary(random: &mut Gen) -> Self {
            let element = one_of(random, &ELEMENTS);
            let edits = [Self::Add(element), Self::Add(element), Self::Remove(element), Self::Clear];
            one_of(random, &edits)
        }
    }

    impl Subject for OrSet<char> {
        type State = Self;
        type Operation = Edit;

        fn mutate(state: &mut OrSet<char>, operation: &Edit, change: Change) -> OrSet<char> {
            match operation {
                Edit::Add(element) => state.add(change, *element),
                Edit::Remove(element) => state.remove(change, element),
                Edit::Clear => state.clear(change),
            }
        }
    }

    impl Meaning for OrSet<char> {
        type Shown = Vec<char>;

        fn shown(state: &OrSet<char>) -> Vec<char> {
            state.iter().copied().collect()
        }

        /// The elements with an add that no remove of that element, and no clear, saw.
        fn meant(visible: &[Visible<'_, Self>]) -> Vec<char> {
            let added = visible.iter().filter_map(|commit| {
                let Edit::Add(element) = commit.operation else { return None };
                let takes_away =
                    |op: &Edit| matches!(op, Edit::Remove(e) if e == element) || matches!(op, Edit::Clear);
                (!commit.is_taken_away(visible, takes_away)).then_some(*element)
            });
            added.collect::<BTreeSet<_>>().into_iter().collect()
        }
    }
}
