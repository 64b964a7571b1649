//! [`LwwRegister`]: one value; the latest write wins.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::cells::{Chain, Written};
use crate::{CausalContext, Change, Lattice};

/// A last-write-wins register (RR-7506, §3.2.1): the write with the greatest stamp is kept.
///
/// In JSON (`…` is a [`Change`]) one of these: never written, holding a value, closed.
///
/// ```json
/// {}
/// { "value": "final", "written": … }
/// { "written": …, "closed": … }
/// ```
///
/// ```
/// # use crdt_core::{Clock, Lattice, LwwRegister, ReplicaId};
/// let mut a = LwwRegister::new();
/// a.write(Clock::new(ReplicaId::from_u64(1)).tick(10)?, "draft");
/// let mut b = LwwRegister::new();
/// b.write(Clock::new(ReplicaId::from_u64(2)).tick(20)?, "final");
/// a.merge(b);
/// assert_eq!(a.get(), Some(&"final"));
/// # Ok::<(), crdt_core::ClockError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LwwRegister<T> {
    pub(crate) cell: Option<Written<T>>,
}

/// Is told of the cell before and after.
type Changed<'c, T> = dyn FnMut(Option<&Written<T>>, &Written<T>) + 'c;

impl<T> Default for LwwRegister<T> {
    fn default() -> Self {
        Self { cell: None }
    }
}

impl<T: Ord + Clone> LwwRegister<T> {
    /// Never written.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value; `None` when never written, or closed.
    pub fn get(&self) -> Option<&T> {
        self.open().map(|(_, content)| content)
    }

    /// The value and the change that wrote it.
    pub fn open(&self) -> Option<(&Change, &T)> {
        self.cell.as_ref().and_then(Written::open)
    }

    /// The last write, whether its value is still there or was closed: what the next write has to exceed.
    pub fn written(&self) -> Option<&Change> {
        self.cell.as_ref().map(Written::written)
    }

    /// Writes; returns the delta. Raise the change with [`Change::exceed`] above [`written`](Self::written) first, or
    /// the write loses against a value from a faster clock wherever it meets it.
    pub fn write(&mut self, change: Change, content: T) -> Self {
        self.put(Written::Open { by: change, content })
    }

    /// Takes the value away without writing another; returns the delta, which is empty when there was no value. A write
    /// that did not see the close wins over it only if it is later than the write that was closed.
    pub fn close(&mut self, change: Change) -> Self {
        match &self.cell {
            Some(cell @ Written::Open { .. }) => self.put(cell.closed_by(change)),
            _ => Self::default(),
        }
    }

    fn put(&mut self, cell: Written<T>) -> Self {
        self.cell = Some(cell);
        self.clone()
    }

    /// Merges, and calls `changed` with the cell before and after when the other won.
    pub(crate) fn merge_observed(&mut self, other: Self, changed: &mut Changed<'_, T>) -> bool {
        let Some(cell) = other.cell else { return false };
        let before = self.cell.as_ref();
        if before.is_some_and(|before| cell.order(before) != Ordering::Greater) {
            return false;
        }
        changed(before, &cell);
        self.cell = Some(cell);
        true
    }
}

impl<T: Ord + Clone> Lattice for LwwRegister<T> {
    fn merge(&mut self, other: Self) -> bool {
        self.merge_observed(other, &mut |_, _| ())
    }

    fn decompose(&self) -> Vec<Self> {
        self.cell.iter().map(|_| self.clone()).collect()
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        Self { cell: self.cell.clone().filter(|cell| !seen.contains(cell.set_by().dot())) }
    }
}

#[cfg(feature = "laws")]
mod laws {
    use super::LwwRegister;
    use crate::Change;
    use crate::laws::{Meaning, Subject, Visible, one_of};
    use quickcheck::{Arbitrary, Gen};

    crate::law_suite!(LwwRegister<u8>, meaning);

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

    impl Subject for LwwRegister<u8> {
        type State = Self;
        type Operation = Write;

        fn mutate(state: &mut LwwRegister<u8>, operation: &Write, mut change: Change) -> LwwRegister<u8> {
            match operation {
                Write::Write(value) => {
                    if let Some(cell) = state.written() {
                        change.exceed(&cell.stamp).expect("no history comes near the end of time");
                    }
                    state.write(change, *value)
                }
                Write::Empty => state.close(change),
            }
        }
    }

    impl Meaning for LwwRegister<u8> {
        type Shown = Option<u8>;

        fn shown(state: &LwwRegister<u8>) -> Option<u8> {
            state.get().copied()
        }

        /// The write with the greatest stamp, unless a close saw it.
        fn meant(visible: &[Visible<'_, Self>]) -> Option<u8> {
            let writes = visible.iter().filter_map(|commit| Some((commit.delta.open()?.0.stamp, commit)));
            let (_, last) = writes.max_by_key(|(stamp, _)| *stamp)?;
            let closed = last.is_taken_away(visible, |op| matches!(op, Write::Empty));
            last.delta.get().copied().filter(|_| !closed)
        }
    }
}
