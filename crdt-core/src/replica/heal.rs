//! Healing: going on under another id when the history has forked.
//!
//! What was written here since the fork has dots that somebody else, who goes on from the same state, has used for other
//! changes. So every transaction since the fork is issued again as a new one of the new id: what is left of it in the
//! state, at the time at which it was made (or just after), so that it competes with what others wrote meanwhile as if it
//! had never had another name. In their old form these cells are taken out: a cell that belongs to its writer would
//! otherwise replace the other branch's, or be replaced by it. Nothing is claimed of the old id beyond the fork.
//!
//! | own cell of since the fork | as it is issued |
//! |---|---|
//! | register | the same, by the new change |
//! | live mark (sibling, element, flag, presence, deletion) | a live mark of the new id; all marks of the old id up to the fork, which it had replaced, are dead |
//! | dead mark | the same, by the new change; of an own mark since the fork: that of the new id, and of the old id those up to the fork |
//! | tally | what was counted since the fork, under the new id; under the old one the total at the fork |
//! | base of a reset | the same, by the new change; of an own tally since the fork: divided as that is |
//!
//! What had already left since the fork, left under the old dots as well. For values that makes no difference; increments
//! may then be counted twice or not at all. That is known, and told.

use alloc::vec::Vec;

use super::merge::Merge;
use super::runs::{self, Fork};
use super::scoped::{self, Subscription};
use super::totals::{self, Total};
use super::{Renewal, Replica, Spare, contact, loading, park, renewals, transact, undo};
use crate::cells::{Base, Mark, Tally, Written};
use crate::document::{Address, Cell, CellRef, Document, Path};
use crate::event::Origin;
use crate::small_map::SmallSet;
use crate::store::{Access, Durability, PeerRecord, Store, StoreError};
use crate::{Change, Dot, ReplicaId};

impl<S: Store> Replica<S> {
    /// Goes on under a new id and life because the history forked, and issues what was written since then again: in one
    /// durable transaction, or not at all. See the head of `heal.rs`.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed.
    pub fn heal(&mut self, fork: Fork, spare: Spare, now_ms: u64) -> Result<Renewal, StoreError> {
        let Self { store, collections, .. } = self;
        let renewal = transact(store, Access::Write, Durability::Durable, |store| {
            let mut head = store.head()?;
            let mut moves = Moves::new(head.replica, spare.replica, fork);
            let touched = touched_since(store, head.replica, fork)?;
            let (sequence, last) = (head.sequence, head.counter);
            // Everything shows as before, so there is nothing to tell.
            let mut merge = Merge::new(&mut head, collections, false, None);
            for (address, ()) in touched {
                let Some(before) = store.document(&address)? else { continue };
                let (taken_out, delta) = moves.document(store, &address, &before)?;
                if !taken_out.is_empty() {
                    merge.replace(store, &address, before, &taken_out, delta)?;
                }
            }
            undo::rename(store, |store, dot, documents| moves.replaced(store, dot, documents))?;
            let ours = Subscription::read(store)?;
            if fork.counter > 0 && ours.vouches_for_own() {
                // What was one's own is now something seen, at a position of its own, so that peers hear of it.
                store.raise_context(Dot::new(moves.old, fork.counter), sequence + 1)?;
            }
            if merge.is_empty() && fork.counter > 0 {
                merge.append(store)?;
            }
            let counter = last.saturating_sub(fork.counter);
            let origin = Origin::Local(Dot::new(spare.replica, counter));
            merge.finish(store, origin)?;
            let offered = head.offered > fork.counter;
            (head.replica, head.life, head.counter, head.offered) = (spare.replica, spare.life, counter, 0);
            head.hlc = head.hlc.max(moves.latest.stamp.hlc);
            store.set_head(&head)?;
            forget_positions(store)?;
            runs::start_again(store, &head)?;
            for (address, path) in &moves.counted {
                totals::put(store, (1, false), address, path, None)?;
            }
            let renewal = Renewal {
                was: moves.old,
                now: spare.replica,
                at_ms: Some(now_ms),
                reissued: moves.reissued.len() as u64,
                // What was counted in documents that were evicted keeps its old name.
                miscounted: moves.unsure
                    || (!moves.counted.is_empty() && (offered || !fork.exact))
                    || scoped::any_counted(store)?,
            };
            renewals::note(store, renewal)?;
            Ok::<_, StoreError>(renewal)
        })?;
        self.start_again();
        Ok(renewal)
    }
}

/// What peers have acknowledged is counted in the change order of the life that ends; and what was taken from them may
/// have been one's own of the other branch, so all that they have is asked for again.
fn forget_positions<S: Store>(store: &mut S) -> Result<(), StoreError> {
    for peer in store.peers()? {
        store.set_peer(&PeerRecord { acked: 0, cursor: 0, ..peer })?;
    }
    loading::begin_anew(store)?;
    contact::start_again(store)
}

/// The documents in which this replica has written since the fork.
fn touched_since<S: Store>(
    store: &mut S,
    own: ReplicaId,
    fork: Fork,
) -> Result<SmallSet<Address>, StoreError> {
    let (mut touched, mut last) = (SmallSet::new(), fork.sequence);
    loop {
        let steps = store.log_after(last, 256)?;
        let Some(step) = steps.last() else { return Ok(touched) };
        last = step.sequence;
        for step in steps {
            if step.dots.iter().any(|dot| dot.replica == own && dot.counter > fork.counter) {
                for address in step.documents {
                    touched.insert(address, ());
                }
            }
        }
    }
}

/// How cells of since the fork are said under the new id.
struct Moves {
    old: ReplicaId,
    new: ReplicaId,
    fork: Fork,
    /// The last change that was issued again.
    latest: Change,
    reissued: SmallSet<u64>,
    /// The counters that went on under the new id.
    counted: Vec<(Address, Path)>,
    /// A counter's total at the fork is not known.
    unsure: bool,
}

impl Moves {
    fn new(old: ReplicaId, new: ReplicaId, fork: Fork) -> Self {
        let stamp = crate::Stamp { epoch: 0, hlc: crate::Hlc::default(), replica: new };
        let latest = Change { stamp, counter: 0 };
        Self { old, new, fork, latest, reissued: SmallSet::new(), counted: Vec::new(), unsure: false }
    }

    fn is_since(&self, dot: Dot) -> bool {
        dot.replica == self.old && dot.counter > self.fork.counter
    }

    /// The new change for one of since the fork; any other one stays.
    fn change(&self, change: &Change) -> Change {
        if !self.is_since(change.dot()) {
            return *change;
        }
        let mut new = *change;
        new.stamp.replica = self.new;
        new.counter -= self.fork.counter;
        // Above the old name of the same change, and so above all that it had replaced. There is no greater stamp only at
        // the end of the last epoch: then the ids decide.
        let _ = new.exceed(&change.stamp);
        new
    }

    /// What is to be taken out of a document, and what takes its place.
    fn document<S: Store>(
        &mut self,
        store: &mut S,
        address: &Address,
        document: &Document,
    ) -> Result<(SmallSet<Dot>, Document), StoreError> {
        let mut own: Vec<(Path, Cell)> = Vec::new();
        let mut note = |path: &Path, cell: CellRef<'_>| {
            if self.is_since(cell.set_by().dot()) {
                own.push((path.clone(), cell.to_owned()));
            }
        };
        document.visit(&mut note);
        // What is shown in place of something parked is only shown, and stays so.
        if let Some(parked) = park::of(store, address)? {
            parked.held().visit(&mut note);
        }
        let (mut taken_out, mut delta) = (SmallSet::new(), Document::new());
        for (path, cell) in own {
            let dot = reference(&cell).set_by().dot();
            if let Cell::Tally(..) = cell {
                self.counted.push((address.clone(), path.clone()));
            }
            self.reissued.insert(dot.counter, ());
            taken_out.insert(dot, ());
            self.cell(store, address, &path, cell, &mut delta)?;
        }
        Ok((taken_out, delta))
    }

    /// The same for what a change of since the fork had replaced, so that it can still be taken back.
    fn replaced<S: Store>(
        &mut self,
        store: &mut S,
        dot: Dot,
        documents: Vec<(Address, Document)>,
    ) -> Result<(Dot, Vec<(Address, Document)>), StoreError> {
        let mut moved = Vec::new();
        for (address, document) in documents {
            let mut cells: Vec<(Path, Cell)> = Vec::new();
            document.visit(&mut |path, cell| cells.push((path.clone(), cell.to_owned())));
            let mut delta = Document::new();
            for (path, cell) in cells {
                if self.is_since(reference(&cell).set_by().dot()) {
                    self.cell(store, &address, &path, cell, &mut delta)?;
                } else {
                    delta.merge_cell(&path, cell);
                }
            }
            moved.push((address, delta));
        }
        let since = self.is_since(dot);
        let dot = if since { Dot::new(self.new, dot.counter - self.fork.counter) } else { dot };
        Ok((dot, moved))
    }

    /// Says one cell of since the fork under the new id.
    fn cell<S: Store>(
        &mut self,
        store: &mut S,
        address: &Address,
        path: &Path,
        cell: Cell,
        into: &mut Document,
    ) -> Result<(), StoreError> {
        let by = self.change(reference(&cell).set_by());
        if by.stamp > self.latest.stamp {
            self.latest = by;
        }
        let mut put = |cell| into.merge_cell(path, cell);
        match cell {
            Cell::Register(Written::Open { content, .. }) => {
                put(Cell::Register(Written::Open { by, content }));
            }
            Cell::Register(Written::Closed { written, .. }) => {
                put(Cell::Register(Written::Closed { written: self.change(&written), by }));
            }
            Cell::Sibling(w, mark) => self.mark(w, mark, by).for_each(|(w, m)| put(Cell::Sibling(w, m))),
            Cell::Element(element, w, mark) => {
                self.mark(w, mark, by).for_each(|(w, m)| put(Cell::Element(element.clone(), w, m)));
            }
            Cell::Flag(w, mark) => self.mark(w, mark, by).for_each(|(w, m)| put(Cell::Flag(w, m))),
            Cell::Presence(w, mark) => self.mark(w, mark, by).for_each(|(w, m)| put(Cell::Presence(w, m))),
            Cell::Deletion(w, mark) => self.mark(w, mark, by).for_each(|(w, m)| put(Cell::Deletion(w, m))),
            Cell::Tally(w, tally) => match totals::at(store, self.fork, self.old, address, path)? {
                Total::Was(total) => {
                    let (p, m) = total.map_or((0, 0), |total| (total.p, total.m));
                    let (p, m) = (tally.p.saturating_sub(p), tally.m.saturating_sub(m));
                    put(Cell::Tally(self.new, Tally { by, p, m }));
                    if let Some(total) = total {
                        put(Cell::Tally(w, total));
                    }
                }
                Total::Unknown => {
                    self.unsure = true;
                    put(Cell::Tally(w, tally));
                }
            },
            Cell::Base(w, base) => {
                let total = if w == self.old && base.n > self.fork.counter {
                    totals::at(store, self.fork, self.old, address, path)?
                } else {
                    Total::Unknown
                };
                match total {
                    Total::Was(total) => {
                        let (p, m) = total.map_or((0, 0), |total| (total.p, total.m));
                        let (p, m) = (base.p.saturating_sub(p), base.m.saturating_sub(m));
                        let n = base.n - self.fork.counter;
                        put(Cell::Base(self.new, Base { n, p, m, by }));
                        if let Some(Tally { by: counted, p, m }) = total {
                            put(Cell::Base(w, Base { n: counted.counter, p, m, by }));
                        }
                    }
                    Total::Unknown => put(Cell::Base(w, Base { by, ..base })),
                }
            }
        }
        Ok(())
    }

    /// A mark, and the one that stands for what it had replaced of the old id.
    fn mark<T>(&self, w: ReplicaId, mark: Mark<T>, by: Change) -> impl Iterator<Item = (ReplicaId, Mark<T>)> {
        let since = self.fork.counter;
        let own = w == self.old && mark.n() > since;
        let up_to_the_fork = (own && since > 0).then_some((self.old, Mark::Dead { n: since, by }));
        let (writer, n) = if own { (self.new, mark.n() - since) } else { (w, mark.n()) };
        let mark = match mark {
            Mark::Live { content, .. } => Mark::Live { by, content },
            Mark::Dead { .. } => Mark::Dead { n, by },
        };
        [(writer, mark)].into_iter().chain(up_to_the_fork)
    }
}

fn reference(cell: &Cell) -> CellRef<'_> {
    match cell {
        Cell::Register(cell) => CellRef::Register(cell),
        Cell::Sibling(w, cell) => CellRef::Sibling(*w, cell),
        Cell::Element(element, w, cell) => CellRef::Element(element, *w, cell),
        Cell::Flag(w, cell) => CellRef::Flag(*w, cell),
        Cell::Tally(w, cell) => CellRef::Tally(*w, cell),
        Cell::Base(w, cell) => CellRef::Base(*w, cell),
        Cell::Presence(w, cell) => CellRef::Presence(*w, cell),
        Cell::Deletion(w, cell) => CellRef::Deletion(*w, cell),
    }
}
