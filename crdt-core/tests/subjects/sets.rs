//! Sets and flags: an add wins over a remove that did not see it.

use std::collections::BTreeSet;

use crdt_core::laws::{Subject, Visible};
use crdt_core::{Change, Flag, GSet, OrSet};
use quickcheck::{Arbitrary, Gen};

use super::{is_taken_away, one_of};

const ELEMENTS: [char; 3] = ['a', 'b', 'c'];

pub enum GrowingSets {}

#[derive(Clone, Debug)]
pub struct Insert(char);

impl Arbitrary for Insert {
    fn arbitrary(random: &mut Gen) -> Self {
        Self(one_of(random, &ELEMENTS))
    }
}

impl Subject for GrowingSets {
    type State = GSet<char>;
    type Operation = Insert;

    fn mutate(state: &mut GSet<char>, Insert(element): &Insert, change: Change) -> GSet<char> {
        state.add(change, *element)
    }
}

impl GrowingSets {
    pub fn shown(state: &GSet<char>) -> Vec<char> {
        state.iter().copied().collect()
    }

    pub fn meant(visible: &[Visible<'_, Self>]) -> Vec<char> {
        let elements: BTreeSet<char> = visible.iter().map(|commit| commit.operation.0).collect();
        elements.into_iter().collect()
    }
}

pub enum Sets {}

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

impl Subject for Sets {
    type State = OrSet<char>;
    type Operation = Edit;

    fn mutate(state: &mut OrSet<char>, operation: &Edit, change: Change) -> OrSet<char> {
        match operation {
            Edit::Add(element) => state.add(change, *element),
            Edit::Remove(element) => state.remove(change, element),
            Edit::Clear => state.clear(change),
        }
    }
}

impl Sets {
    pub fn shown(state: &OrSet<char>) -> Vec<char> {
        state.iter().copied().collect()
    }

    /// The elements with an add that no remove of that element, and no clear, saw.
    pub fn meant(visible: &[Visible<'_, Self>]) -> Vec<char> {
        let added = visible.iter().filter_map(|commit| {
            let Edit::Add(element) = commit.operation else { return None };
            let takes_away =
                |op: &Edit| matches!(op, Edit::Remove(e) if e == element) || matches!(op, Edit::Clear);
            (!is_taken_away(commit, visible, takes_away)).then_some(*element)
        });
        added.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

pub enum Flags {}

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

impl Subject for Flags {
    type State = Flag;
    type Operation = Switch;

    fn mutate(state: &mut Flag, operation: &Switch, change: Change) -> Flag {
        match operation {
            Switch::On => state.enable(change),
            Switch::Off => state.disable(change),
        }
    }
}

impl Flags {
    pub fn shown(state: &Flag) -> bool {
        state.is_enabled()
    }

    /// On while there is an enable that no disable saw.
    pub fn meant(visible: &[Visible<'_, Self>]) -> bool {
        visible.iter().any(|commit| {
            let enabled = matches!(commit.operation, Switch::On);
            enabled && !is_taken_away(commit, visible, |op| matches!(op, Switch::Off))
        })
    }
}
