//! [`Author`]: what a transaction puts and takes, given what its author saw.

use std::collections::BTreeSet;

use crdt_core::{Stamp, Value};

use super::reading::Reader;
use super::{Fact, Oracle, Seen, Taken, What};
use crate::words::{
    Action, Declared, Doc, Edit, Field, Leaf, Outcome, PATHS, Path, Schema, Type, fields_of, path_of, prefix,
};

/// One transaction while it is being written down.
pub struct Author<'o> {
    pub oracle: &'o mut Oracle,
    pub schema: &'o Schema,
    pub transaction: usize,
    pub seen: Seen,
    pub exceeds: Option<Stamp>,
    pub wrote: bool,
    pub cells: Option<BTreeSet<(Doc, Path, Option<Field>)>>,
}

impl Author<'_> {
    pub fn edit(&mut self, edit: &Edit) -> Outcome {
        let declared = self.schema.of(edit.doc);
        let mut way =
            (0..edit.at.len()).map(|depth| declared.type_of((prefix(edit.at, depth), edit.at[depth])));
        if way.any(|declared| declared.is_some_and(|t| t != Type::Map)) {
            return Outcome::WrongType;
        }
        let leaf = |field: &Field| (edit.at, *field);
        match &edit.action {
            Action::Set(field, value) => self.write(edit.doc, leaf(field), Some(value), false),
            Action::Resolve(field, value) => self.write(edit.doc, leaf(field), Some(value), true),
            Action::Remove(field) => self.remove(edit.doc, leaf(field)),
            Action::Increment(field, step) => self.increment(edit.doc, leaf(field), *step),
            Action::Reset(field) => self.reset(edit.doc, leaf(field)),
            Action::Add(field, element) => self.add(edit.doc, leaf(field), element),
            Action::Take(field, element) => self.take(edit.doc, leaf(field), element),
            Action::Enable(field) => self.switch(edit.doc, leaf(field), true),
            Action::Disable(field) => self.switch(edit.doc, leaf(field), false),
            Action::Ensure => {
                self.prepare(edit.doc, edit.at);
                Outcome::Done
            }
            Action::Delete => self.delete(edit.doc),
            Action::Erase => {
                self.delete(edit.doc);
                if self.reader(edit.doc).anything_beneath(&[]) {
                    self.replaces_all_beneath(edit.doc, &[]);
                    self.put(edit.doc, What::Took(Taken::Beneath(&[])));
                }
                Outcome::Done
            }
        }
    }

    fn reader(&self, doc: Doc) -> Reader<'_> {
        self.oracle.reader(&self.seen, doc)
    }

    fn declared(&self, doc: Doc) -> &Declared {
        self.schema.of(doc)
    }

    /// True when the container is shown to the author.
    fn sees(&self, doc: Doc, path: Path) -> bool {
        self.reader(doc).outermost_dead(self.declared(doc), path).is_none()
    }

    fn put(&mut self, doc: Doc, what: What) {
        match (&what, &mut self.cells) {
            (What::Wrote { leaf: (path, field), keeps: false, .. }, Some(cells)) => {
                cells.insert((doc, path, Some(field)));
            }
            (What::Touched(path), Some(cells)) => {
                cells.insert((doc, path, None));
            }
            _ => self.cells = None,
        }
        self.wrote = true;
        self.oracle.facts.entry(doc).or_default().push(Fact { transaction: self.transaction, what });
    }

    /// Notes whose stamps the transaction has to exceed: the values that it replaces, unless they are its own.
    fn replaces(&mut self, stamps: &[Stamp]) {
        let own = self.oracle.transactions[self.transaction].stamp;
        self.exceeds = self.exceeds.max(stamps.iter().copied().filter(|stamp| *stamp != own).max());
    }

    fn replaces_all_beneath(&mut self, doc: Doc, path: Path) {
        let leaves = PATHS.into_iter().filter(|within| within.starts_with(path));
        let leaves = leaves.flat_map(|within| fields_of(within).iter().map(move |field| (within, *field)));
        let values: Vec<Stamp> =
            leaves.flat_map(|leaf| self.reader(doc).register(leaf)).map(|(_, stamp)| stamp).collect();
        self.replaces(&values);
    }

    /// Re-creates what is dead around an edit, and touches it.
    fn prepare(&mut self, doc: Doc, path: Path) {
        if let Some(dead) = self.reader(doc).outermost_dead(self.declared(doc), path) {
            if self.reader(doc).was_touched(prefix(path, dead)) {
                self.replaces_all_beneath(doc, prefix(path, dead));
                self.put(doc, What::Took(Taken::Beneath(prefix(path, dead))));
            }
            if dead == 0 && self.reader(doc).is_condemned() {
                self.put(doc, What::Took(Taken::Condemnations));
            }
        }
        for depth in 0..=path.len() {
            self.put(doc, What::Touched(prefix(path, depth)));
        }
    }

    fn write(&mut self, doc: Doc, leaf: Leaf, value: Option<&Value>, resolve: bool) -> Outcome {
        let declared = self.declared(doc).type_of(leaf);
        if declared.is_some_and(|t| !t.is_register()) {
            return Outcome::WrongType;
        }
        let shown = if self.sees(doc, leaf.0) { self.reader(doc).register(leaf) } else { Vec::new() };
        match shown.as_slice() {
            [] if value.is_none() => return Outcome::Done,
            [(only, _)] if *only == value => return Outcome::Done,
            [_, _, ..] if declared == Some(Type::Manual) && !resolve => return Outcome::Unresolved,
            _ => {}
        }
        let replaced: Vec<Stamp> = shown.iter().map(|(_, stamp)| *stamp).collect();
        self.replaces(&replaced);
        let (keeps, value) = (declared.is_some_and(Type::keeps_siblings), value.cloned());
        self.prepare(doc, leaf.0);
        if keeps {
            self.put(doc, What::Took(Taken::Register(leaf)));
        } else if self.reader(doc).has_siblings(leaf) {
            self.put(doc, What::Took(Taken::Siblings(leaf)));
        }
        self.put(doc, What::Wrote { leaf, keeps, value });
        Outcome::Done
    }

    fn remove(&mut self, doc: Doc, leaf: Leaf) -> Outcome {
        let declared = self.declared(doc).type_of(leaf);
        if matches!(declared, Some(Type::GrowCounter | Type::GrowSet)) {
            return Outcome::OnlyGrows;
        }
        if !self.sees(doc, leaf.0) {
            return Outcome::Done;
        }
        let reader = self.reader(doc);
        let map = path_of(leaf).filter(|path| reader.is_present(path));
        let rest = map.is_some()
            || !reader.elements(leaf).is_empty()
            || reader.is_on(leaf)
            || !reader.steps(leaf).is_empty();
        if declared.is_none_or(Type::is_register) {
            let outcome = self.write(doc, leaf, None, false);
            if outcome != Outcome::Done {
                return outcome;
            }
        }
        if rest {
            self.prepare(doc, leaf.0);
            for taken in [Taken::Elements(leaf), Taken::Switches(leaf), Taken::Steps(leaf)] {
                self.put(doc, What::Took(taken));
            }
            if let Some(path) = map {
                self.put(doc, What::Took(Taken::Presence(path)));
            }
        }
        Outcome::Done
    }

    fn increment(&mut self, doc: Doc, leaf: Leaf, step: i64) -> Outcome {
        match self.declared(doc).type_of(leaf) {
            Some(Type::GrowCounter) if step < 0 => return Outcome::OnlyGrows,
            None | Some(Type::Counter | Type::GrowCounter) => {}
            Some(_) => return Outcome::WrongType,
        }
        if step != 0 {
            self.prepare(doc, leaf.0);
            self.put(doc, What::Counted { leaf, step });
        }
        Outcome::Done
    }

    fn reset(&mut self, doc: Doc, leaf: Leaf) -> Outcome {
        match self.declared(doc).type_of(leaf) {
            Some(Type::GrowCounter) => return Outcome::OnlyGrows,
            None | Some(Type::Counter) => {}
            Some(_) => return Outcome::WrongType,
        }
        if self.sees(doc, leaf.0) && !self.reader(doc).steps(leaf).is_empty() {
            self.prepare(doc, leaf.0);
            self.put(doc, What::Took(Taken::Steps(leaf)));
        }
        Outcome::Done
    }

    fn add(&mut self, doc: Doc, leaf: Leaf, element: &Value) -> Outcome {
        let declared = self.declared(doc).type_of(leaf);
        if declared.is_some_and(|t| !matches!(t, Type::Set | Type::GrowSet)) {
            return Outcome::WrongType;
        }
        let has = self.sees(doc, leaf.0) && self.reader(doc).elements(leaf).contains(element);
        if !(declared == Some(Type::GrowSet) && has) {
            self.prepare(doc, leaf.0);
            self.put(doc, What::Added { leaf, element: element.clone() });
        }
        Outcome::Done
    }

    fn take(&mut self, doc: Doc, leaf: Leaf, element: &Value) -> Outcome {
        match self.declared(doc).type_of(leaf) {
            Some(Type::GrowSet) => return Outcome::OnlyGrows,
            None | Some(Type::Set) => {}
            Some(_) => return Outcome::WrongType,
        }
        if self.sees(doc, leaf.0) && self.reader(doc).elements(leaf).contains(element) {
            self.prepare(doc, leaf.0);
            self.put(doc, What::Took(Taken::Element(leaf, element.clone())));
        }
        Outcome::Done
    }

    fn switch(&mut self, doc: Doc, leaf: Leaf, on: bool) -> Outcome {
        if self.declared(doc).type_of(leaf).is_some_and(|t| t != Type::Flag) {
            return Outcome::WrongType;
        }
        if on {
            self.prepare(doc, leaf.0);
            self.put(doc, What::SwitchedOn { leaf });
        } else if self.sees(doc, leaf.0) && self.reader(doc).is_on(leaf) {
            self.prepare(doc, leaf.0);
            self.put(doc, What::Took(Taken::Switches(leaf)));
        }
        Outcome::Done
    }

    fn delete(&mut self, doc: Doc) -> Outcome {
        if self.sees(doc, &[]) {
            self.put(doc, What::Took(Taken::Presence(&[])));
            if self.declared(doc).delete_wins {
                self.put(doc, What::Condemned);
            }
        }
        Outcome::Done
    }
}
