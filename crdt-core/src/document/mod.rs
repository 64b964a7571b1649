//! [`Document`]: the field-merge map, and what is done with it.
//!
//! | file | subject |
//! |---|---|
//! | `payload.rs` | what a register holds: a value or "absent" |
//! | `cell.rs` | one cell of a document, whatever its kind |
//! | `field.rs` | all that was written under one name |
//! | `map.rs` | fields by name, and presence |
//! | `edit.rs` | local edits: observe, clear, touch, write |
//! | `view.rs` | reads: policies over the cells |
//! | `id.rs` | document ids and addresses |

mod cell;
mod edit;
mod field;
mod id;
mod map;
mod payload;
mod view;

pub use cell::{Cell, CellKind, CellRef};
pub(crate) use edit::Working;
pub use edit::{DocumentMut, EditError};
pub use field::Field;
pub use id::{Address, DocumentId};
pub use map::{Map, Observer, Path};
pub use payload::Payload;
pub use view::{Conflict, DocumentView, MapView, Reading, Withheld};

use alloc::vec::Vec;

use crate::limits::Limits;
use crate::{CausalContext, Change, Collection, Dot, Flag, Hlc, Lattice};

/// An edit of a document outside a store; see [`Document::edit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited<T> {
    /// What the closure returned.
    pub value: T,
    /// What it wrote; empty when it changed nothing.
    pub delta: Document,
    /// The change with its final stamp.
    pub change: Change,
}

/// The state of one document: a map of fields, and the deletion marks of `delete wins` collections.
///
/// A document is also its own delta: the small document with the cells that one transaction wrote.
///
/// ```
/// # use crdt_core::{Document, Lattice};
/// let mut document = Document::new();
/// let nothing = Document::new();
/// assert!(!document.merge(nothing));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub(crate) deletion: Flag,
    pub(crate) root: Map,
}

impl Document {
    /// A document that was never written to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Edits a document that is kept by the caller: what [`Replica::commit`](crate::Replica::commit) does with one that is
    /// kept in a store. The stamp may have to be raised above what is replaced; give the one that comes back to
    /// [`Clock::adopt`](crate::Clock::adopt).
    ///
    /// # Errors
    /// What the closure returns; the document is as it was.
    ///
    /// ```
    /// # use crdt_core::{Clock, Collection, Document, DocumentId, EditError, Lattice, ReplicaId};
    /// let (id, tasks) = (DocumentId::from_u64(1), Collection::new("tasks"));
    /// let mut clock = Clock::new(ReplicaId::from_u64(1));
    /// let mut here = Document::new();
    /// let edited = here.edit(clock.tick(10)?, id, &tasks, |task| task.set("title", "Buy milk"))?;
    /// clock.adopt(&edited.change);
    ///
    /// let mut there = Document::new();
    /// there.merge(edited.delta);
    /// assert_eq!(here, there);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn edit<T, E>(
        &mut self,
        change: Change,
        id: DocumentId,
        collection: &Collection,
        edit: impl FnOnce(&mut DocumentMut<'_>) -> Result<T, E>,
    ) -> Result<Edited<T>, E> {
        let mut working = Working { state: self.clone(), is_edited: false };
        let mut raised = change;
        let (limits, path) = (&Limits::DEFAULT, Path::new());
        let value = edit(&mut DocumentMut {
            working: &mut working,
            hidden: None,
            latest: Hlc::MAX,
            change: &mut raised,
            collection,
            limits,
            id,
            path,
        })?;
        let Working { state, is_edited } = working.finish(&change, &raised);
        *self = state;
        let delta = if is_edited { self.select(|dot| dot == change.dot()) } else { Self::new() };
        Ok(Edited { value, delta, change: raised })
    }

    /// The fields.
    pub fn root(&self) -> &Map {
        &self.root
    }

    /// The fields, without the deletion marks of `delete wins` collections.
    pub fn into_root(self) -> Map {
        self.root
    }

    /// True when the document is there: touched by someone and not deleted since. With `delete_wins`, one live
    /// deletion mark is enough to delete it.
    pub fn is_alive(&self, delete_wins: bool) -> bool {
        if delete_wins {
            !self.root.presence.is_empty() && !self.deletion.is_enabled()
        } else {
            self.root.is_present()
        }
    }

    /// True when nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.deletion.is_empty() && self.root.is_empty()
    }

    /// Calls `visit` for every cell with its path. Equal documents are visited in the same order.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&Path, CellRef<'a>)) {
        let mut path = Path::new();
        for (w, cell) in self.deletion.cells.iter() {
            visit(&path, CellRef::Deletion(*w, cell));
        }
        self.root.visit(&mut path, visit);
    }

    /// How many cells.
    pub fn cell_count(&self) -> usize {
        let mut count = 0;
        self.visit(&mut |_, _| count += 1);
        count
    }

    /// About how many bytes the cells take in an encoding.
    pub fn weight(&self) -> usize {
        let mut weight = 0;
        self.visit(&mut |path, cell| weight += weigh(path, &cell));
        weight
    }

    /// The same cells in several documents of about so much weight each, so that a large document fits small messages.
    pub fn split(self, weight: usize) -> Vec<Self> {
        if self.weight() <= weight {
            return alloc::vec![self];
        }
        let (mut parts, mut current) = (Vec::new(), (Self::new(), 0));
        self.visit(&mut |path, cell| {
            let more = weigh(path, &cell);
            if current.1 > 0 && current.1 + more > weight {
                parts.push(core::mem::take(&mut current).0);
            }
            current.0.merge_cell(path, cell.to_owned());
            current.1 += more;
        });
        parts.push(current.0);
        parts
    }

    /// The cells whose dot `keep` says yes to.
    pub fn select(&self, mut keep: impl FnMut(Dot) -> bool) -> Self {
        self.filter(&mut |change| keep(change.dot()))
    }

    /// The cells whose change `keep` says yes to. The part that is compiled once.
    pub(crate) fn filter(&self, keep: &mut dyn FnMut(&Change) -> bool) -> Self {
        let mut chosen = Self::new();
        self.visit(&mut |path, cell| {
            if keep(cell.set_by()) {
                chosen.merge_cell(path, cell.to_owned());
            }
        });
        chosen
    }

    /// Merges, and tells `observer` of every cell that changed. True when any did.
    pub fn merge_observed(&mut self, other: Self, observer: &mut Observer<'_>) -> bool {
        let mut path = Path::new();
        let marks = self.deletion.cells.merge_observed(other.deletion.cells, &mut |w, before, after| {
            observer(&Path::new(), before.map(|b| CellRef::Deletion(*w, b)), CellRef::Deletion(*w, after));
        });
        self.root.merge_observed(other.root, &mut path, observer) | marks
    }

    /// The cell of the same key, if there is one.
    pub(crate) fn cell_like<'a>(&'a self, path: &[crate::Name], cell: &CellRef<'_>) -> Option<CellRef<'a>> {
        match *cell {
            CellRef::Deletion(w, _) => Some(CellRef::Deletion(w, self.deletion.cells.get(&w)?)),
            CellRef::Presence(w, _) => {
                Some(CellRef::Presence(w, self.root.descend(path)?.presence.cells.get(&w)?))
            }
            _ => {
                let (name, enclosing) = path.split_last()?;
                self.root.descend(enclosing)?.field(name)?.cell_like(cell)
            }
        }
    }

    /// Merges one cell. The path of a presence mark is that of the document or nested map; a deletion mark has none;
    /// every other cell has the path of its field. A live mark and a tally belong to the writer of their change: an
    /// encoding does not say it twice.
    ///
    /// # Panics
    /// When a field's cell comes without a path; the decoders cannot make one.
    pub fn merge_cell(&mut self, path: &[crate::Name], cell: Cell) {
        match cell {
            Cell::Deletion(w, mark) => {
                self.deletion.cells.merge_cell(w, mark, &mut |_, _, _| ());
            }
            cell => self.root.merge_cell(path, cell),
        }
    }

    /// Gives every trace of an uncommitted change its final stamp.
    pub(crate) fn restamp(&mut self, change: &Change) {
        self.deletion.cells.restamp(change);
        self.root.restamp(change);
    }
}

impl From<Map> for Document {
    /// A map on its own, to be edited and read as a document.
    fn from(root: Map) -> Self {
        Self { deletion: Flag::new(), root }
    }
}

/// A long path costs its reader even where its names are not written out again.
fn weigh(path: &Path, cell: &CellRef<'_>) -> usize {
    cell.weight() + path.iter().map(|name| 8 + name.len()).sum::<usize>()
}

impl Lattice for Document {
    fn merge(&mut self, other: Self) -> bool {
        self.merge_observed(other, &mut |_, _, _| ())
    }

    fn decompose(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        self.visit(&mut |path, cell| {
            let mut part = Self::new();
            part.merge_cell(path, cell.to_owned());
            parts.push(part);
        });
        parts
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        self.select(|dot| !seen.contains(dot))
    }
}
