//! [`Field`]: all that was ever written under one name.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::cells::{Chain, Written};
use crate::document::{Cell, CellRef, Map, Observer, Path, Payload};
use crate::types::{Sibling, distinct};
use crate::{Change, Flag, Lattice as _, LwwRegister, MvRegister, OrSet, PNCounter, Stamp, Value};

/// All that was ever written under one name, kind by kind: usually one kind, but nothing stops two replicas with
/// different schemas from writing a counter and a register under the same name, and neither is lost.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// By far the most common kind is kept in place, the others behind one pointer.
    pub(crate) register: LwwRegister<Payload>,
    more: Option<Box<OtherKinds>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtherKinds {
    pub(crate) siblings: MvRegister<Payload>,
    pub(crate) elements: OrSet<Value>,
    pub(crate) flag: Flag,
    pub(crate) counter: PNCounter,
    pub(crate) map: Map,
}

impl PartialEq for Field {
    /// Whether room was made for the other kinds makes no difference.
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.more, &other.more) {
            (Some(a), Some(b)) => a == b,
            (Some(only), None) | (None, Some(only)) => **only == OtherKinds::default(),
            (None, None) => true,
        };
        self.register == other.register && same
    }
}

impl Eq for Field {}

impl Field {
    /// The kinds other than `lww`, made on first use.
    pub(crate) fn others_mut(&mut self) -> &mut OtherKinds {
        self.more.get_or_insert_default()
    }

    pub(crate) fn siblings(&self) -> Option<&MvRegister<Payload>> {
        self.more.as_ref().map(|more| &more.siblings)
    }

    /// The elements of the set kept here, if any was ever added.
    pub fn elements(&self) -> Option<&OrSet<Value>> {
        self.more.as_ref().map(|more| &more.elements).filter(|set| !set.is_empty())
    }

    /// The flag kept here, if it was ever enabled.
    pub fn flag(&self) -> Option<&Flag> {
        self.more.as_ref().map(|more| &more.flag).filter(|flag| !flag.is_empty())
    }

    /// The counter kept here, if it ever counted.
    pub fn counter(&self) -> Option<&PNCounter> {
        self.more.as_ref().map(|more| &more.counter).filter(|counter| !counter.is_empty())
    }

    /// The nested map kept here, if it was ever written to.
    pub fn map(&self) -> Option<&Map> {
        self.more.as_ref().map(|more| &more.map).filter(|map| !map.is_empty())
    }

    pub(crate) fn map_mut(&mut self) -> &mut Map {
        &mut self.others_mut().map
    }

    /// The register's winner: of the `lww` write and the siblings, the one with the greatest stamp. A read after a
    /// change of policy takes both kinds.
    pub fn winner(&self) -> Option<Sibling<'_, Payload>> {
        let written = self.register.open().map(|(by, value)| Sibling { value, by: *by });
        match self.siblings() {
            None => written,
            Some(siblings) => siblings.live().chain(written).max_by_key(|sibling| sibling.by),
        }
    }

    /// All values that nobody replaced yet, the latest last; equal ones once.
    pub fn candidates(&self) -> Vec<Sibling<'_, Payload>> {
        let written = self.register.open().map(|(by, value)| Sibling { value, by: *by });
        distinct(self.siblings().into_iter().flat_map(MvRegister::live).chain(written).collect())
    }

    /// The greatest stamp among the writes that a write here would replace, or has to exceed.
    pub(crate) fn register_stamp(&self) -> Option<Stamp> {
        let cell = self.register.cell.as_ref();
        let written = cell.map(|cell| cell.written().stamp.max(cell.set_by().stamp));
        let siblings = self.siblings().into_iter().flat_map(MvRegister::live).map(|sibling| sibling.by.stamp);
        siblings.chain(written).max()
    }

    /// Closes every leaf seen here and below: what a re-create does before it touches. Returns the delta.
    pub(crate) fn clear(&mut self, change: Change) -> Self {
        let mut delta = Self { register: self.register.close(change), more: None };
        if let Some(more) = &mut self.more {
            let cleared = OtherKinds {
                siblings: more.siblings.clear(change),
                elements: more.elements.clear(change),
                flag: more.flag.disable(change),
                counter: more.counter.reset(change),
                map: more.map.clear(change),
            };
            if cleared != OtherKinds::default() {
                delta.more = Some(Box::new(cleared));
            }
        }
        delta
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.register.cell.is_none() && self.more.as_ref().is_none_or(|more| **more == OtherKinds::default())
    }

    pub(crate) fn restamp(&mut self, change: &Change) {
        if let Some(cell) = &mut self.register.cell {
            cell.restamp(change);
        }
        if let Some(more) = &mut self.more {
            more.siblings.cells.restamp(change);
            more.elements.cells.restamp(change);
            more.flag.cells.restamp(change);
            more.counter.tallies.restamp(change);
            more.counter.bases.restamp(change);
            more.map.restamp(change);
        }
    }

    pub(crate) fn merge_observed(
        &mut self,
        other: Self,
        path: &mut Path,
        observer: &mut Observer<'_>,
    ) -> bool {
        let mut any = self.register.merge_observed(other.register, &mut |before, after| {
            observer(path, before.map(CellRef::Register), CellRef::Register(after));
        });
        let Some(other) = other.more else { return any };
        let other = *other;
        let more = self.others_mut();
        any |= more.siblings.cells.merge_observed(other.siblings.cells, &mut |w, before, after| {
            observer(path, before.map(|b| CellRef::Sibling(*w, b)), CellRef::Sibling(*w, after));
        });
        any |= more.elements.cells.merge_observed(other.elements.cells, &mut |(e, w), before, after| {
            observer(path, before.map(|b| CellRef::Element(e, *w, b)), CellRef::Element(e, *w, after));
        });
        any |= more.flag.cells.merge_observed(other.flag.cells, &mut |w, before, after| {
            observer(path, before.map(|b| CellRef::Flag(*w, b)), CellRef::Flag(*w, after));
        });
        any |= more.counter.tallies.merge_observed(other.counter.tallies, &mut |w, before, after| {
            observer(path, before.map(|b| CellRef::Tally(*w, b)), CellRef::Tally(*w, after));
        });
        any |= more.counter.bases.merge_observed(other.counter.bases, &mut |w, before, after| {
            observer(path, before.map(|b| CellRef::Base(*w, b)), CellRef::Base(*w, after));
        });
        any | more.map.merge_observed(other.map, path, observer)
    }

    /// Calls `visit` for every cell, in the order of keys.
    pub(crate) fn visit<'a>(&'a self, path: &mut Path, visit: &mut dyn FnMut(&Path, CellRef<'a>)) {
        if let Some(cell) = &self.register.cell {
            visit(path, CellRef::Register(cell));
        }
        let Some(more) = &self.more else { return };
        more.siblings.cells.iter().for_each(|(w, cell)| visit(path, CellRef::Sibling(*w, cell)));
        more.elements.cells.iter().for_each(|((e, w), cell)| visit(path, CellRef::Element(e, *w, cell)));
        more.flag.cells.iter().for_each(|(w, cell)| visit(path, CellRef::Flag(*w, cell)));
        more.counter.tallies.iter().for_each(|(w, cell)| visit(path, CellRef::Tally(*w, cell)));
        more.counter.bases.iter().for_each(|(w, cell)| visit(path, CellRef::Base(*w, cell)));
        more.map.visit(path, visit);
    }

    /// The cell of the same key as one that is not a presence or deletion mark, if there is one.
    pub(crate) fn cell_like<'a>(&'a self, cell: &CellRef<'_>) -> Option<CellRef<'a>> {
        if let CellRef::Register(_) = cell {
            return self.register.cell.as_ref().map(CellRef::Register);
        }
        let more = self.more.as_ref()?;
        Some(match cell {
            CellRef::Sibling(w, _) => CellRef::Sibling(*w, more.siblings.cells.get(w)?),
            CellRef::Element(element, w, _) => {
                let key = ((*element).clone(), *w);
                let ((element, w), mark) =
                    more.elements.cells.iter_from(&key).next().filter(|(found, _)| **found == key)?;
                CellRef::Element(element, *w, mark)
            }
            CellRef::Flag(w, _) => CellRef::Flag(*w, more.flag.cells.get(w)?),
            CellRef::Tally(w, _) => CellRef::Tally(*w, more.counter.tallies.get(w)?),
            CellRef::Base(w, _) => CellRef::Base(*w, more.counter.bases.get(w)?),
            CellRef::Register(_) | CellRef::Presence(..) | CellRef::Deletion(..) => return None,
        })
    }

    /// Merges one cell that is not a presence or deletion mark.
    pub(crate) fn merge_cell(&mut self, cell: Cell) {
        match cell {
            Cell::Register(cell) => {
                self.register.merge(LwwRegister { cell: Some(cell) });
            }
            Cell::Sibling(w, cell) => {
                self.others_mut().siblings.cells.merge_cell(w, cell, &mut |_, _, _| ());
            }
            Cell::Element(element, w, cell) => {
                self.others_mut().elements.cells.merge_cell((element, w), cell, &mut |_, _, _| ());
            }
            Cell::Flag(w, cell) => {
                self.others_mut().flag.cells.merge_cell(w, cell, &mut |_, _, _| ());
            }
            Cell::Tally(w, cell) => {
                self.others_mut().counter.tallies.merge_cell(w, cell, &mut |_, _, _| ());
            }
            Cell::Base(w, cell) => {
                self.others_mut().counter.bases.merge_cell(w, cell, &mut |_, _, _| ());
            }
            Cell::Presence(..) | Cell::Deletion(..) => unreachable!("containers keep their own presence"),
        }
    }
}

impl Field {
    /// The cell of the `lww` register, if ever written.
    pub fn written(&self) -> Option<&Written<Payload>> {
        self.register.cell.as_ref()
    }
}
