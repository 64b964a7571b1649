//! Registers: the latest write, or all concurrent ones.

use std::collections::BTreeSet;

use crdt_core::laws::{Subject, Visible};
use crdt_core::{Change, LwwRegister, MvRegister};
use quickcheck::{Arbitrary, Gen};

use super::{is_taken_away, one_of};

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

pub enum LwwRegisters {}

impl Subject for LwwRegisters {
    type State = LwwRegister<u8>;
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

impl LwwRegisters {
    pub fn shown(state: &LwwRegister<u8>) -> Option<u8> {
        state.get().copied()
    }

    /// The write with the greatest stamp, unless a close saw it.
    pub fn meant(visible: &[Visible<'_, Self>]) -> Option<u8> {
        let writes = visible.iter().filter_map(|commit| Some((commit.delta.open()?.0.stamp, commit)));
        let (_, last) = writes.max_by_key(|(stamp, _)| *stamp)?;
        let closed = is_taken_away(last, visible, |op| matches!(op, Write::Empty));
        last.delta.get().copied().filter(|_| !closed)
    }
}

pub enum MvRegisters {}

impl Subject for MvRegisters {
    type State = MvRegister<u8>;
    type Operation = Write;

    fn mutate(state: &mut MvRegister<u8>, operation: &Write, change: Change) -> MvRegister<u8> {
        match operation {
            Write::Write(value) => state.write(change, *value),
            Write::Empty => state.clear(change),
        }
    }
}

impl MvRegisters {
    pub fn shown(state: &MvRegister<u8>) -> BTreeSet<u8> {
        state.siblings().iter().map(|sibling| *sibling.value).collect()
    }

    /// The values of the writes that no other write and no clear saw.
    pub fn meant(visible: &[Visible<'_, Self>]) -> BTreeSet<u8> {
        let values = visible.iter().filter_map(|commit| match commit.operation {
            Write::Write(value) if !is_taken_away(commit, visible, |_| true) => Some(*value),
            _ => None,
        });
        values.collect()
    }
}
