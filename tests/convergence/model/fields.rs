//! Edits of single fields of the model.

use std::collections::BTreeMap;

use crdt_core::Value;

use super::Mutant;
use super::cells::{Cell, Key, Rank, Slot};
use super::edit::{Author, stamps_of};
use super::view::View;
use crate::words::{Doc, Leaf, Outcome, Type, path_of};

impl Author<'_> {
    pub fn write(&mut self, doc: Doc, leaf: Leaf, value: Option<&Value>, resolve: bool) -> Outcome {
        let declared = self.model.schema.of(doc).type_of(leaf);
        if declared.is_some_and(|t| !t.is_register()) {
            return Outcome::WrongType;
        }
        let shown = if self.sees(doc, leaf.0) { self.view(doc).values(leaf) } else { Vec::new() };
        match shown.as_slice() {
            [] if value.is_none() => return Outcome::Done,
            [(only, _)] if *only == value => return Outcome::Done,
            [_, _, ..] if declared == Some(Type::Manual) && !resolve => return Outcome::Unresolved,
            _ => {}
        }
        let cells = self.docs[&doc].clone();
        let present = cells.iter().filter(|(key, cell)| {
            key.is_of(leaf)
                && (key.slot == Slot::Register || matches!(key.slot, Slot::Sibling(_)) && cell.is_live())
        });
        self.exceed(present.flat_map(|(_, cell)| stamps_of(cell)));
        self.prepare(doc, leaf.0);
        let by = self.done.by;
        let own = Key::leaf(leaf, Slot::Sibling(by.stamp.replica));
        let keeps = declared.is_some_and(Type::keeps_siblings);
        if keeps && self.is(Mutant::ReplacedDots) {
            let others = self.view(doc).siblings(leaf).filter(|(w, _)| *w != by.stamp.replica);
            let replaced = others.map(|(_, cell)| cell.by.dot()).collect();
            self.kill(doc, |key| key.is_of(leaf) && key.slot == Slot::Register);
            self.put(doc, own, Cell { replaced, ..Cell::live(by).holding(value.cloned()) });
        } else if keeps || self.is(Mutant::LwwAsSiblings) {
            let register = |key: &Key| matches!(key.slot, Slot::Register | Slot::Sibling(_));
            self.kill(doc, |key| key.is_of(leaf) && register(key) && *key != own);
            self.put(doc, own, Cell::live(by).holding(value.cloned()));
        } else {
            self.kill(doc, |key| key.is_of(leaf) && matches!(key.slot, Slot::Sibling(_)));
            let written = Cell::new(Rank::Written { at: by, closed: None }, by);
            self.put(doc, Key::leaf(leaf, Slot::Register), written.holding(value.cloned()));
        }
        Outcome::Done
    }

    pub fn remove(&mut self, doc: Doc, leaf: Leaf) -> Outcome {
        let declared = self.model.schema.of(doc).type_of(leaf);
        if matches!(declared, Some(Type::GrowCounter | Type::GrowSet)) {
            return Outcome::OnlyGrows;
        }
        if !self.sees(doc, leaf.0) {
            return Outcome::Done;
        }
        let view = self.view(doc);
        let map = path_of(leaf).filter(|path| view.is_present(path));
        let counted = view.has_counted(leaf);
        let rest = map.is_some() || counted || !view.elements(leaf).is_empty() || view.is_on(leaf);
        if declared.is_none_or(Type::is_register) {
            let outcome = self.write(doc, leaf, None, false);
            if outcome != Outcome::Done {
                return outcome;
            }
        }
        if rest {
            self.prepare(doc, leaf.0);
            self.take(doc, leaf, None);
            self.disable(doc, leaf);
            self.reset(doc, leaf);
            if let Some(path) = map {
                self.kill(doc, |key| key.path == path && matches!(key.slot, Slot::Presence(_)));
            }
        }
        Outcome::Done
    }

    pub fn increment(&mut self, doc: Doc, leaf: Leaf, step: i64) -> Outcome {
        if step != 0 {
            self.prepare(doc, leaf.0);
            self.count(
                doc,
                leaf,
                if step > 0 { step.unsigned_abs() } else { 0 },
                if step < 0 { step.unsigned_abs() } else { 0 },
            );
        }
        Outcome::Done
    }

    pub fn count(&mut self, doc: Doc, leaf: Leaf, up: u64, down: u64) {
        let by = self.done.by;
        let key = Key::leaf(leaf, Slot::Tally(by.stamp.replica));
        let (p, m) = match self.docs[&doc].get(&key).map(|cell| &cell.rank) {
            Some(Rank::Counted { p, m, .. }) => (*p, *m),
            _ => (0, 0),
        };
        self.put(doc, key, Cell::new(Rank::Counted { n: by.n, p: p + up, m: m + down }, by));
    }

    pub fn reset(&mut self, doc: Doc, leaf: Leaf) {
        let by = self.done.by;
        if self.is(Mutant::ResetByMinusTotal) {
            let total = i64::try_from(self.view(doc).count(leaf)).expect("histories count little");
            let size = total.unsigned_abs();
            if total != 0 {
                self.count(doc, leaf, if total < 0 { size } else { 0 }, if total > 0 { size } else { 0 });
            }
            return;
        }
        let observed = self.observed(doc);
        let view = View { cells: &observed, ..self.view(doc) };
        for (w, [n, p, m], _) in view.tallies(leaf) {
            self.put(doc, Key::leaf(leaf, Slot::Base(w)), Cell::new(Rank::Counted { n, p, m }, by));
        }
    }

    pub fn add(&mut self, doc: Doc, leaf: Leaf, element: &Value) {
        let by = self.done.by;
        let shared = Key::leaf(leaf, Slot::Element(element.clone(), None));
        let present = self.docs[&doc].get(&shared).map(|cell| cell.rank.clone());
        match self.model.mutant {
            Mutant::ProductElement => {
                let mut marks =
                    if let Some(Rank::Product(marks)) = present { marks } else { BTreeMap::new() };
                marks.insert(by.stamp.replica, (by.n, false));
                self.put(doc, shared, Cell::new(Rank::Product(marks), by));
            }
            Mutant::CausalLength => {
                let length = if let Some(Rank::Length(length)) = present { length } else { 0 };
                if length % 2 == 0 {
                    self.put(doc, shared, Cell::new(Rank::Length(length + 1), by));
                }
            }
            _ => {
                let own = Slot::Element(element.clone(), Some(by.stamp.replica));
                self.put(doc, Key::leaf(leaf, own), Cell::live(by));
            }
        }
    }

    /// Takes an element out of a set, or all.
    pub fn take(&mut self, doc: Doc, leaf: Leaf, element: Option<&Value>) {
        let by = self.done.by;
        let is_taken = |key: &Key| match &key.slot {
            Slot::Element(present, _) => key.is_of(leaf) && element.is_none_or(|element| element == present),
            _ => false,
        };
        if self.is(Mutant::RemovalByAbsence) {
            let cells = self.docs.entry(doc).or_default();
            for key in cells.keys().filter(|key| is_taken(key)).cloned().collect::<Vec<_>>() {
                cells.remove(&key);
                self.done.written.remove(&(doc, key.clone()));
                self.done.dropped.insert((doc, key));
            }
            return;
        }
        for (key, cell) in self.observed(doc).into_iter().filter(|(key, _)| is_taken(key)) {
            match cell.rank {
                Rank::Product(mut marks) => {
                    for (_, dead) in marks.values_mut() {
                        *dead = true;
                    }
                    self.put(doc, key, Cell::new(Rank::Product(marks), by));
                }
                Rank::Length(length) if length % 2 == 1 => {
                    self.put(doc, key, Cell::new(Rank::Length(length + 1), by));
                }
                _ if cell.is_live() => self.put(doc, key, cell.killed(by)),
                _ => {}
            }
        }
    }

    pub fn disable(&mut self, doc: Doc, leaf: Leaf) {
        self.kill(doc, |key| key.is_of(leaf) && matches!(key.slot, Slot::Flag(_)));
    }
}
