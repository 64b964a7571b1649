//! [`Flag`]: on or off; a concurrent enable wins over a disable.

use super::lattice_by_cells;
use crate::cells::{Cells, Mark};
use crate::{Change, ReplicaId};

/// An enable-wins flag (RR-7506, §3.4). One mark per writer; the flag is on while any mark is live.
///
/// In JSON (`…` is a [`Change`]), per writer the transaction of its last enable, and the change that took it back:
///
/// ```json
/// {
///   "00000000-0000-0000-0000-000000000001": { "counter": 1, "ms": 1700000000000 },
///   "00000000-0000-0000-0000-000000000002": { "counter": 4, "removed": … }
/// }
/// ```
///
/// ```
/// # use crdt_core::{Clock, Flag, Lattice, ReplicaId};
/// let mut clock = Clock::new(ReplicaId::from_u64(1));
/// let mut done = Flag::new();
/// done.enable(clock.tick(0)?);
/// assert!(done.is_enabled());
/// # Ok::<(), crdt_core::ClockError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flag {
    pub(crate) cells: Cells<ReplicaId, Mark<()>>,
}

lattice_by_cells!(Flag, cells);

impl Flag {
    /// Off.
    pub fn new() -> Self {
        Self::default()
    }

    /// True while any enable has not been taken back by someone who saw it.
    pub fn is_enabled(&self) -> bool {
        self.cells.iter().any(|(_, mark)| mark.is_live())
    }

    /// Turns the flag on; returns the delta. Always writes, so that it wins over a concurrent disable.
    pub fn enable(&mut self, change: Change) -> Self {
        let mark = Mark::Live { by: change, content: () };
        self.cells.put(change.replica(), mark.clone());
        Self { cells: Cells::one(change.replica(), mark) }
    }

    /// Takes back every enable seen here; returns the delta, which is empty when the flag was off.
    pub fn disable(&mut self, change: Change) -> Self {
        let cells = kill(self.cells.iter(), change);
        self.cells.put_all(cells.clone());
        Self { cells }
    }

    /// True when nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

/// The dead marks with which `change` takes away those of the given marks that are live.
pub(crate) fn kill<'a, K, T>(
    marks: impl Iterator<Item = (&'a K, &'a Mark<T>)>,
    change: Change,
) -> Cells<K, Mark<T>>
where
    K: Ord + Clone + 'a,
    T: Ord + Clone + 'a,
{
    marks
        .filter(|(_, mark)| mark.is_live())
        .map(|(key, mark)| (key.clone(), mark.killed_by(change)))
        .collect()
}

#[cfg(feature = "laws")]
mod laws {
    use super::Flag;
    use crate::Change;
    use crate::laws::{Meaning, Subject, Visible, one_of};
    use quickcheck::{Arbitrary, Gen};

    crate::law_suite!(Flag, meaning);

    #[derive(Clone, Debug)]
    pub enum Switch {
        On,
        Off,
    }

    impl Arbitrary for Switch {
        fn arbitrary(random: &mut Gen) -> Self {
            one_of(random, &[Self::On, Self::Off])
        }
    }

    impl Subject for Flag {
        type State = Self;
        type Operation = Switch;

        fn mutate(state: &mut Flag, operation: &Switch, change: Change) -> Flag {
            match operation {
                Switch::On => state.enable(change),
                Switch::Off => state.disable(change),
            }
        }
    }

    impl Meaning for Flag {
        type Shown = bool;

        fn shown(state: &Flag) -> bool {
            state.is_enabled()
        }

        /// On while there is an enable that no disable saw.
        fn meant(visible: &[Visible<'_, Self>]) -> bool {
            visible.iter().any(|commit| {
                let enabled = matches!(commit.operation, Switch::On);
                enabled && !commit.is_taken_away(visible, |op| matches!(op, Switch::Off))
            })
        }
    }
}
