//! [`Map`]: fields by name, and whether the map itself is there.

use alloc::vec::Vec;

use crate::cells::Mark;
use crate::document::{Cell, CellRef, Field};
use crate::small_map::SmallMap;
use crate::{CausalContext, Change, Flag, Lattice, Name, ReplicaId};

/// The names from the document down to a field; empty for the document itself.
pub type Path = Vec<Name>;

/// Told of every cell that a merge replaced: where, the cell before if there was one, and the cell after.
pub type Observer<'o> = dyn FnMut(&Path, Option<CellRef<'_>>, CellRef<'_>) + 'o;

/// A map whose fields merge one by one: a nested map, and the body of every [`Document`](crate::Document).
///
/// Presence is a [`Flag`]: every edit inside touches it, a removal takes back the touches that it saw, so a concurrent
/// edit brings the whole map back.
///
/// In JSON `{"presence": …, "fields": {"<name>": {"<kind>": …}}}`: the flag's JSON, and per field that of the types that
/// were written there, as `register`, `siblings`, `elements`, `flag`, `counter` or `map`. A document's is the same,
/// with `deletion` where there are deletion marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    pub(crate) presence: Flag,
    fields: SmallMap<Name, Field>,
}

impl Map {
    /// A map that was never written to.
    pub fn new() -> Self {
        Self::default()
    }

    /// True while any touch has not been taken back. What contains the map may hide it all the same.
    pub fn is_present(&self) -> bool {
        self.presence.is_enabled()
    }

    /// All that was ever written under a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// All fields ever written, in the order of names.
    pub fn fields(&self) -> impl Iterator<Item = (&Name, &Field)> + '_ {
        self.fields.iter()
    }

    /// Who touched the map, and when; live and taken back.
    pub fn touches(&self) -> impl Iterator<Item = (&ReplicaId, &Mark<()>)> + '_ {
        self.presence.cells.iter()
    }

    /// True when nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.presence.is_empty() && self.fields.len() == 0
    }

    /// How deep maps nest, this one included.
    #[cfg(feature = "serde")]
    pub(crate) fn depth(&self) -> usize {
        1 + self.fields().filter_map(|(_, field)| field.map()).map(Self::depth).max().unwrap_or(0)
    }

    /// The field of a name, made on first use.
    pub(crate) fn field_mut(&mut self, name: &Name) -> &mut Field {
        if self.fields.get::<str>(name).is_none() {
            self.fields.insert(name.clone(), Field::default());
        }
        self.fields.get_mut::<str>(name).expect("inserted above")
    }

    /// The map that a path leads to, made on first use.
    pub(crate) fn descend_mut(&mut self, path: &[Name]) -> &mut Self {
        path.iter().fold(self, |map, name| map.field_mut(name).map_mut())
    }

    /// The map that a path leads to.
    pub fn descend(&self, path: &[Name]) -> Option<&Self> {
        path.iter().try_fold(self, |map, name| map.field(name)?.map())
    }

    /// Closes every leaf seen in this map, and takes back its touches. Returns the delta.
    pub(crate) fn clear(&mut self, change: Change) -> Self {
        let mut delta = self.clear_fields(change);
        delta.presence = self.presence.disable(change);
        delta
    }

    /// Closes every leaf seen in this map. Returns the delta.
    pub(crate) fn clear_fields(&mut self, change: Change) -> Self {
        let mut delta = Self::new();
        let names: Vec<Name> = self.fields.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            let cleared = self.field_mut(&name).clear(change);
            if !cleared.is_empty() {
                delta.fields.insert(name, cleared);
            }
        }
        delta
    }

    pub(crate) fn restamp(&mut self, change: &Change) {
        self.presence.cells.restamp(change);
        self.fields.values_mut().for_each(|field| field.restamp(change));
    }

    pub(crate) fn merge_observed(
        &mut self,
        other: Self,
        path: &mut Path,
        observer: &mut Observer<'_>,
    ) -> bool {
        let mut any = self.presence.cells.merge_observed(other.presence.cells, &mut |w, before, after| {
            observer(path, before.map(|b| CellRef::Presence(*w, b)), CellRef::Presence(*w, after));
        });
        for (name, field) in other.fields {
            path.push(name);
            let name = path.last().expect("pushed above").clone();
            any |= self.field_mut(&name).merge_observed(field, path, observer);
            path.pop();
        }
        any
    }

    pub(crate) fn visit<'a>(&'a self, path: &mut Path, visit: &mut dyn FnMut(&Path, CellRef<'a>)) {
        for (w, cell) in self.presence.cells.iter() {
            visit(path, CellRef::Presence(*w, cell));
        }
        for (name, field) in self.fields.iter() {
            path.push(name.clone());
            field.visit(path, visit);
            path.pop();
        }
    }

    /// Merges one cell at the end of a path (never a deletion mark).
    pub(crate) fn merge_cell(&mut self, path: &[Name], cell: Cell) {
        match (cell, path.split_last()) {
            (Cell::Presence(w, mark), _) => {
                self.descend_mut(path).presence.cells.merge_cell(w, mark, &mut |_, _, _| ());
            }
            (cell, Some((name, enclosing))) => self.descend_mut(enclosing).field_mut(name).merge_cell(cell),
            (_, None) => unreachable!("the decoder gives every field a name"),
        }
    }
}

impl Lattice for Map {
    fn merge(&mut self, other: Self) -> bool {
        self.merge_observed(other, &mut Path::new(), &mut |_, _, _| ())
    }

    fn decompose(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        self.visit(&mut Path::new(), &mut |path, cell| {
            let mut part = Self::new();
            part.merge_cell(path, cell.to_owned());
            parts.push(part);
        });
        parts
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        let mut difference = Self::new();
        self.visit(&mut Path::new(), &mut |path, cell| {
            if !seen.contains(cell.set_by().dot()) {
                difference.merge_cell(path, cell.to_owned());
            }
        });
        difference
    }
}
