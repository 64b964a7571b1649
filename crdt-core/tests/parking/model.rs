//! What a replica should show: kept as whole documents, cell by cell, without notes.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{Address, Change, Document, Lattice, ReceiveBound, ReplicaId};

#[derive(Clone, Default)]
pub struct Model {
    /// The merge of everything.
    pub states: BTreeMap<Address, Document>,
    /// The merge of what was admissible.
    pub shown: BTreeMap<Address, Document>,
    /// What is in a state and not shown.
    pub parked: BTreeMap<Address, BTreeSet<Change>>,
}

/// The cells of a document whose change is chosen.
pub fn select(document: &Document, keep: impl Fn(&Change) -> bool) -> Document {
    let mut chosen = Document::new();
    document.visit(&mut |path, cell| {
        if keep(cell.set_by()) {
            chosen.merge_cell(path, cell.to_owned());
        }
    });
    chosen
}

pub fn changes(document: &Document) -> BTreeSet<Change> {
    let mut changes = BTreeSet::new();
    document.visit(&mut |_, cell| {
        changes.insert(*cell.set_by());
    });
    changes
}

impl Model {
    pub fn receive(&mut self, own: ReplicaId, now_ms: u64, address: &Address, delta: &Document) {
        let bound = ReceiveBound::default();
        let shown = self.shown.entry(address.clone()).or_default();
        let admitted = changes(shown);
        let parked = self.parked.entry(address.clone()).or_default();
        let is_late = |change: &Change| {
            let beyond = change.replica() != own && !bound.admits(&change.stamp, now_ms);
            parked.contains(change) || (beyond && !admitted.contains(change))
        };
        shown.merge(select(delta, |change| !is_late(change)));
        parked.extend(changes(delta).into_iter().filter(is_late).collect::<Vec<_>>());
        let state = self.states.entry(address.clone()).or_default();
        state.merge(delta.clone());
        // What was overwritten is not parked any more.
        let present = changes(state);
        parked.retain(|change| present.contains(change));
    }

    pub fn tick(&mut self, now_ms: u64) {
        for (address, parked) in &mut self.parked {
            let due = |change: &Change| ReceiveBound::default().admits(&change.stamp, now_ms);
            let admitted: BTreeSet<Change> = parked.iter().copied().filter(due).collect();
            parked.retain(|change| !due(change));
            let state = &self.states[address];
            let shown = self.shown.entry(address.clone()).or_default();
            shown.merge(select(state, |change| admitted.contains(change)));
        }
    }

    pub fn all_parked(&self) -> BTreeSet<(Change, Address)> {
        let all = self.parked.iter();
        all.flat_map(|(address, changes)| changes.iter().map(|change| (*change, address.clone()))).collect()
    }
}
