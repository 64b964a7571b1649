//! A transaction of the model: user-level edits to cells.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{Hlc, Stamp};

use super::cells::{By, Cell, Cells, Key, Rank, Slot};
use super::view::View;
use super::{Model, Mutant};
use crate::history::Commit;
use crate::words::{Action, Doc, Edit, Outcome, Path, Type, prefix};

/// A transaction that was run.
pub struct Done {
    pub by: By,
    pub outcomes: Vec<Outcome>,
    pub written: BTreeMap<(Doc, Key), Cell>,
    /// Of a mutant: cells that are removed by not being there any more.
    pub dropped: BTreeSet<(Doc, Key)>,
}

/// Runs a transaction. Its stamp has to exceed all that it overwrites, which is known at its end: then it is run again.
pub fn transact(model: &Model, commit: &Commit, first: Hlc) -> Done {
    let mut stamp = Stamp { epoch: 0, hlc: first, replica: model.identity.replica };
    loop {
        let by = By { stamp, n: model.counter + 1 };
        let done = Done { by, outcomes: Vec::new(), written: BTreeMap::new(), dropped: BTreeSet::new() };
        let mut author = Author { model, docs: BTreeMap::new(), done, raised: stamp };
        for edit in &commit.edits {
            author
                .docs
                .entry(edit.doc)
                .or_insert_with(|| model.docs.get(&edit.doc).cloned().unwrap_or_default());
            let outcome = author.edit(edit);
            author.done.outcomes.push(outcome);
        }
        if author.raised == stamp {
            return author.done;
        }
        stamp = author.raised;
    }
}

pub struct Author<'m> {
    pub model: &'m Model,
    /// The documents as the transaction has them by now.
    pub docs: BTreeMap<Doc, Cells>,
    pub done: Done,
    /// What the stamp has to be raised to.
    pub raised: Stamp,
}

impl Author<'_> {
    fn edit(&mut self, edit: &Edit) -> Outcome {
        let (doc, at) = (edit.doc, edit.at);
        let declared = self.model.schema.of(doc);
        let mut way = (0..at.len()).map(|depth| declared.type_of((prefix(at, depth), at[depth])));
        if way.any(|t| t.is_some_and(|t| t != Type::Map)) {
            return Outcome::WrongType;
        }
        let declared = |field| self.model.schema.of(doc).type_of((at, field));
        let fits = |field, types: &[Type]| declared(field).is_none_or(|t| types.contains(&t));
        match &edit.action {
            Action::Set(field, value) => self.write(doc, (at, field), Some(value), false),
            Action::Resolve(field, value) => self.write(doc, (at, field), Some(value), true),
            Action::Remove(field) => self.remove(doc, (at, field)),
            Action::Increment(field, _) | Action::Reset(field)
                if !fits(field, &[Type::Counter, Type::GrowCounter]) =>
            {
                Outcome::WrongType
            }
            Action::Increment(field, step) if *step < 0 && declared(field) == Some(Type::GrowCounter) => {
                Outcome::OnlyGrows
            }
            Action::Increment(field, step) => self.increment(doc, (at, field), *step),
            Action::Reset(field) if declared(field) == Some(Type::GrowCounter) => Outcome::OnlyGrows,
            Action::Reset(field) => {
                self.when(doc, at, |v| v.has_counted((at, field)), |a| a.reset(doc, (at, field)))
            }
            Action::Add(field, _) | Action::Take(field, _) if !fits(field, &[Type::Set, Type::GrowSet]) => {
                Outcome::WrongType
            }
            Action::Add(field, element) => {
                let grows = declared(field) == Some(Type::GrowSet);
                let has = self.sees(doc, at) && self.view(doc).elements((at, field)).contains(element);
                if !(grows && has) {
                    self.prepare(doc, at);
                    self.add(doc, (at, field), element);
                }
                Outcome::Done
            }
            Action::Take(field, _) if declared(field) == Some(Type::GrowSet) => Outcome::OnlyGrows,
            Action::Take(field, element) => self.when(
                doc,
                at,
                |v| v.elements((at, field)).contains(element),
                |a| a.take(doc, (at, field), Some(element)),
            ),
            Action::Enable(field) | Action::Disable(field) if !fits(field, &[Type::Flag]) => {
                Outcome::WrongType
            }
            Action::Enable(field) => {
                self.prepare(doc, at);
                let by = self.done.by;
                self.put(doc, Key::leaf((at, field), Slot::Flag(by.stamp.replica)), Cell::live(by));
                Outcome::Done
            }
            Action::Disable(field) => {
                self.when(doc, at, |v| v.is_on((at, field)), |a| a.disable(doc, (at, field)))
            }
            Action::Ensure => {
                self.prepare(doc, at);
                Outcome::Done
            }
            Action::Delete => self.delete(doc),
            Action::Erase => {
                self.exceed_beneath(doc, &[]);
                self.delete(doc);
                self.clear(doc, &[]);
                Outcome::Done
            }
        }
    }

    /// Prepares and does something, if the container is shown and shows what it takes.
    fn when(
        &mut self,
        doc: Doc,
        path: Path,
        shows: impl Fn(View<'_>) -> bool,
        act: impl FnOnce(&mut Self),
    ) -> Outcome {
        if self.sees(doc, path) && shows(self.view(doc)) {
            self.prepare(doc, path);
            act(self);
        }
        Outcome::Done
    }

    pub fn view(&self, doc: Doc) -> View<'_> {
        View { cells: &self.docs[&doc], mutant: self.model.mutant, declared: self.model.schema.of(doc) }
    }

    pub fn sees(&self, doc: Doc, path: Path) -> bool {
        self.view(doc).outermost_dead(path).is_none()
    }

    pub fn is(&self, mutant: Mutant) -> bool {
        self.model.mutant == mutant
    }

    /// What a removal takes the marks from.
    pub fn observed(&self, doc: Doc) -> Cells {
        if self.is(Mutant::ObservedBefore) {
            return self.model.docs.get(&doc).cloned().unwrap_or_default();
        }
        self.docs[&doc].clone()
    }

    /// Later writes of a transaction replace earlier ones.
    pub fn put(&mut self, doc: Doc, key: Key, cell: Cell) {
        self.docs.entry(doc).or_default().insert(key.clone(), cell.clone());
        self.done.written.insert((doc, key), cell);
    }

    /// Takes away what was observed live of some keys.
    pub fn kill(&mut self, doc: Doc, which: impl Fn(&Key) -> bool) {
        for (key, cell) in self.observed(doc).into_iter().filter(|(key, cell)| cell.is_live() && which(key)) {
            self.put(doc, key, cell.killed(self.done.by));
        }
    }

    pub fn exceed(&mut self, stamps: impl Iterator<Item = Stamp>) {
        let own = self.done.by.stamp;
        if let Some(overwritten) = stamps.filter(|stamp| *stamp != own).max()
            && self.raised <= overwritten
        {
            self.raised.hlc = overwritten.hlc.next().expect("no history comes near the end of time");
        }
    }

    fn exceed_beneath(&mut self, doc: Doc, path: Path) {
        let cells = self.docs[&doc].clone();
        let beneath = cells
            .iter()
            .filter(|(key, _)| key.path.starts_with(path) && !matches!(key.slot, Slot::Deletion(_)));
        self.exceed(beneath.flat_map(|(_, cell)| stamps_of(cell)));
    }

    pub fn prepare(&mut self, doc: Doc, path: Path) {
        if let Some(dead) = self.view(doc).outermost_dead(path) {
            self.exceed_beneath(doc, prefix(path, dead));
            if dead == 0 {
                self.kill(doc, |key| matches!(key.slot, Slot::Deletion(_)));
            }
            if !self.is(Mutant::NoRecreate) {
                self.clear(doc, prefix(path, dead));
            }
        }
        let by = self.done.by;
        for depth in 0..=path.len() {
            let key = Key::container(prefix(path, depth), Slot::Presence(by.stamp.replica));
            let live = self.docs[&doc].get(&key).is_some_and(Cell::is_live);
            if !(live && self.is(Mutant::TouchSkipped)) {
                self.put(doc, key, Cell::live(by));
            }
        }
    }

    /// Takes away everything beneath a container, the presence of the maps in it included.
    fn clear(&mut self, doc: Doc, path: Path) {
        let by = self.done.by;
        let leaves: Vec<Key> =
            self.docs[&doc].keys().filter(|key| key.path.starts_with(path)).cloned().collect();
        for Key { path: at, field, slot } in leaves {
            let leaf = (at, field.unwrap_or_default());
            match slot {
                Slot::Register if self.is(Mutant::RecreateByAbsent) => {
                    if !self.view(doc).values(leaf).is_empty() {
                        let absent = Cell::new(Rank::Written { at: by, closed: None }, by);
                        self.put(doc, Key::leaf(leaf, Slot::Register), absent);
                    }
                }
                Slot::Element(element, _) => self.take(doc, leaf, Some(&element)),
                Slot::Tally(_) => self.reset(doc, leaf),
                Slot::Presence(_) | Slot::Deletion(_) if at.len() == path.len() => {}
                slot => self.kill(doc, |key| key.path == at && key.field == field && key.slot == slot),
            }
        }
    }

    fn delete(&mut self, doc: Doc) -> Outcome {
        if self.sees(doc, &[]) {
            self.kill(doc, |key| key.path.is_empty() && matches!(key.slot, Slot::Presence(_)));
            if self.model.schema.of(doc).delete_wins {
                let by = self.done.by;
                self.put(doc, Key::container(&[], Slot::Deletion(by.stamp.replica)), Cell::live(by));
            }
        }
        Outcome::Done
    }
}

/// The stamps that a write in place of a cell has to exceed.
pub fn stamps_of(cell: &Cell) -> impl Iterator<Item = Stamp> + use<> {
    let written = match &cell.rank {
        Rank::Written { at, .. } => Some(at.stamp),
        _ => None,
    };
    std::iter::once(cell.by.stamp).chain(written)
}
