//! What the cells of a document show.

use std::collections::BTreeSet;

use crdt_core::{ReplicaId, Stamp, Value};

use super::Mutant;
use super::cells::{Cell, Cells, Key, Rank, Slot};
use crate::words::{Declared, Leaf, Path, Reading, Shown, ShownField, Type, fields_of, path_of, prefix};

/// A document's cells, read under a schema.
#[derive(Clone, Copy)]
pub struct View<'c> {
    pub cells: &'c Cells,
    pub mutant: Mutant,
    pub declared: &'c Declared,
}

impl<'c> View<'c> {
    fn of(self, leaf: Leaf) -> impl Iterator<Item = (&'c Slot, &'c Cell)> {
        let of_leaf = self.cells.iter().filter(move |(key, _)| key.is_of(leaf));
        of_leaf.map(|(key, cell)| (&key.slot, cell))
    }

    fn presence(self, path: Path) -> impl Iterator<Item = &'c Cell> {
        let touches = move |key: &Key| key.path == path && matches!(key.slot, Slot::Presence(_));
        self.cells.iter().filter(move |(key, _)| touches(key)).map(|(_, cell)| cell)
    }

    pub fn is_present(self, path: Path) -> bool {
        self.presence(path).any(Cell::is_live)
    }

    fn is_alive(self) -> bool {
        if self.declared.delete_wins {
            let condemned =
                self.cells.iter().any(|(key, cell)| matches!(key.slot, Slot::Deletion(_)) && cell.is_live());
            self.presence(&[]).next().is_some() && !condemned
        } else {
            self.is_present(&[])
        }
    }

    pub fn outermost_dead(self, path: Path) -> Option<usize> {
        if !self.is_alive() {
            return Some(0);
        }
        (1..=path.len()).find(|depth| !self.is_present(prefix(path, *depth)))
    }

    /// The live siblings, by writer.
    pub fn siblings(self, leaf: Leaf) -> impl Iterator<Item = (ReplicaId, &'c Cell)> {
        let siblings = move || {
            self.of(leaf).filter_map(|(slot, cell)| match slot {
                Slot::Sibling(w) if cell.is_live() => Some((*w, cell)),
                _ => None,
            })
        };
        let replaced: BTreeSet<_> = siblings().flat_map(|(_, cell)| cell.replaced.iter().copied()).collect();
        siblings().filter(move |(_, cell)| !replaced.contains(&cell.by.dot()))
    }

    /// The concurrent values, the latest last; of equal ones the latest.
    pub fn values(self, leaf: Leaf) -> Vec<(Option<&'c Value>, Stamp)> {
        let register = self.of(leaf).filter(|(slot, cell)| **slot == Slot::Register && cell.is_live());
        let cells = self.siblings(leaf).map(|(_, cell)| cell).chain(register.map(|(_, cell)| cell));
        let mut all: Vec<&Cell> = cells.collect();
        all.sort_by_key(|cell| cell.by);
        let mut values: Vec<(Option<&Value>, Stamp)> = Vec::new();
        for cell in all {
            values.retain(|(value, _)| *value != cell.content.as_ref());
            values.push((cell.content.as_ref(), cell.by.stamp));
        }
        let keeps = self.declared.type_of(leaf).is_some_and(Type::keeps_siblings);
        if self.mutant == Mutant::LwwAsSiblings && !keeps {
            values.drain(..values.len().saturating_sub(1));
        }
        values
    }

    pub fn elements(self, leaf: Leaf) -> BTreeSet<&'c Value> {
        let there = self.of(leaf).filter_map(|(slot, cell)| match (slot, &cell.rank) {
            (Slot::Element(element, _), Rank::Marked { dead: None, .. }) => Some(element),
            (Slot::Element(element, _), Rank::Length(length)) if length % 2 == 1 => Some(element),
            (Slot::Element(element, _), Rank::Product(marks)) if marks.values().any(|(_, dead)| !dead) => {
                Some(element)
            }
            _ => None,
        });
        there.collect()
    }

    pub fn is_on(self, leaf: Leaf) -> bool {
        self.of(leaf).any(|(slot, cell)| matches!(slot, Slot::Flag(_)) && cell.is_live())
    }

    /// Every writer's tally that a reset has not seen all of, with what was seen of it.
    pub fn tallies(self, leaf: Leaf) -> Vec<(ReplicaId, [u64; 3], [u64; 3])> {
        let counted = |wanted: Slot| {
            self.of(leaf).find_map(|(slot, cell)| match &cell.rank {
                Rank::Counted { n, p, m } if *slot == wanted => Some([*n, *p, *m]),
                _ => None,
            })
        };
        let writers = self.of(leaf).filter_map(|(slot, _)| match slot {
            Slot::Tally(w) => {
                Some((*w, counted(Slot::Tally(*w))?, counted(Slot::Base(*w)).unwrap_or_default()))
            }
            _ => None,
        });
        writers.filter(|(_, tally, base)| tally > base).collect()
    }

    pub fn count(self, leaf: Leaf) -> i128 {
        let total = |[_, p, m]: [u64; 3]| i128::from(p) - i128::from(m);
        self.tallies(leaf).into_iter().map(|(_, tally, base)| total(tally) - total(base)).sum()
    }

    pub fn has_counted(self, leaf: Leaf) -> bool {
        // A counter that is reset by counting down has nothing else to tell that it was.
        let by_total = self.mutant == Mutant::ResetByMinusTotal;
        if by_total { self.count(leaf) != 0 } else { !self.tallies(leaf).is_empty() }
    }

    pub fn shown(self, path: Path) -> Shown {
        let visible = self.outermost_dead(path).is_none();
        visible
            .then(|| fields_of(path).iter().map(|field| (*field, self.shown_field((path, field)))).collect())
    }

    fn shown_field(self, leaf: Leaf) -> ShownField {
        let values = self.values(leaf);
        let several = values.len() > 1;
        let reading = match self.declared.type_of(leaf) {
            Some(Type::Manual) if several => {
                Reading::Conflict(values.iter().map(|(value, _)| value.cloned()).collect())
            }
            Some(Type::Custom) if several => {
                let all = values.iter().map(|(value, _)| value.cloned().unwrap_or(Value::Null));
                Reading::Value(Value::Array(all.collect()))
            }
            _ => values.last().and_then(|(value, _)| value.cloned()).map_or(Reading::Absent, Reading::Value),
        };
        let conflicts =
            values.iter().filter(|_| several).map(|(value, stamp)| (value.cloned(), *stamp)).collect();
        ShownField {
            reading,
            conflicts,
            counter: self.count(leaf),
            elements: self.elements(leaf).into_iter().cloned().collect(),
            on: self.is_on(leaf),
            map: path_of(leaf).and_then(|path| self.shown(path)),
        }
    }
}
