//! Repair: what a wrong clock spoiled is written again, in new transactions. A committed dot never gets another stamp.

use alloc::vec::Vec;

use super::offsets::{Behind, Overdue};
use super::park::{self, Parked};
use super::{Committed, Plan, Replica, transact};
use crate::cells::{Base, Mark, Tally, Written as Register};
use crate::document::{Address, Cell, CellRef, Document, Path, Payload};
use crate::store::{Access, Durability, Store, StoreError};
use crate::transaction::{Outcome, Written};
use crate::{Change, Clock, ClockError, Hlc, ReceiveBound, ReplicaId};

/// Documents that one transaction writes again.
const PAGE: usize = 256;

/// What becomes of a parked change; see [`Replica::repair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// What the parked change wrote is shown from now on.
    TakeOver,
    /// What is shown now stays: the parked change is overwritten by it.
    KeepShown,
}

/// A repair that was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See there.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// Cells by their path, as one would write them again under a change.
type Again = Vec<(Path, Cell)>;

/// Says what to write again: it is told the state, what is parked in it, and the change to write under.
type Choose<'c> = &'c mut dyn FnMut(&Document, Option<&Parked>, Change, &mut Again);

impl<S: Store> Replica<S> {
    /// Decides about parked changes now, for everybody: a new transaction of this replica writes again what they wrote, or
    /// what is shown in its place, with the next epoch and the right time. The value is the number of cells that it writes.
    ///
    /// What nobody but the author can write again waits for its time in any case: the steps of counters.
    ///
    /// # Errors
    /// [`RepairError`].
    pub fn repair(
        &mut self,
        changes: &[Change],
        repair: Repair,
        now_ms: u64,
        durability: Durability,
    ) -> Result<Committed<u64>, RepairError> {
        self.tick(now_ms)?;
        let read = |store: &mut S| {
            let mut addresses = Vec::new();
            for change in changes {
                addresses.extend(park::documents_of(store, change, None, usize::MAX)?);
            }
            Ok::<_, StoreError>(addresses)
        };
        let addresses = transact(&mut self.store, Access::Read, Durability::Visible, read)?;
        self.reissue(&addresses, durability, (now_ms, None), &mut |state, parked, change, again| {
            let Some(parked) = parked else { return };
            let shown = parked.shown(state);
            parked.visit(state, &mut |path, cell| {
                if changes.contains(cell.set_by()) {
                    let held = held_in_place(&shown, path, &cell);
                    let cells = match repair {
                        Repair::TakeOver => take_over(state, path, &cell, change).into_iter().collect(),
                        Repair::KeepShown => keep_shown(state, path, &cell, held.as_ref(), change),
                    };
                    again.extend(cells.into_iter().map(|cell| (path.clone(), cell)));
                }
            });
        })
    }

    /// Writes again what this replica wrote while its clock was wrong. Reads everything.
    ///
    /// What others wrote since over a value from the future has to win, and it has the next epoch too: so the value is
    /// written again at the beginning of time, in that epoch. What was written behind the time gets the time at which this
    /// replica last wrote, by the clock that is right.
    pub(super) fn write_again(&mut self, overdue: Overdue) -> Result<(), RepairError> {
        let Some(horizon) = self.horizon() else { return Ok(()) };
        let head = self.head()?;
        let (now, latest) = (horizon.now_ms, horizon.bound.latest(Hlc::from_ms(horizon.now_ms)));
        if overdue.from_the_future {
            self.write_spoiled(Hlc::default(), &|cell| {
                cell.set_by().replica() == head.replica && cell.set_by().stamp.hlc > latest
            })?;
        }
        if let Some(Behind { after, by_ms }) = overdue.behind {
            let last = Hlc::from_ms(head.hlc.ms().saturating_add(by_ms).min(now));
            self.write_spoiled(last, &|cell| {
                let by = cell.set_by();
                matches!(cell, CellRef::Register(register) if register.open().is_some())
                    && by.replica() == head.replica
                    && (after + 1..=head.counter).contains(&by.counter)
                    && by.stamp.hlc < last
            })?;
        }
        Ok(())
    }

    fn write_spoiled(
        &mut self,
        at: Hlc,
        is_spoiled: &dyn Fn(&CellRef<'_>) -> bool,
    ) -> Result<(), RepairError> {
        let mut after: Option<Address> = None;
        loop {
            let page = transact(&mut self.store, Access::Read, Durability::Visible, |store| {
                store.documents_after(after.as_ref(), PAGE)
            })?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let mut spoiled = Vec::new();
            for (address, state) in page {
                let mut any = false;
                state.visit(&mut |_, cell| any |= is_spoiled(&cell));
                if any {
                    spoiled.push(address);
                }
            }
            self.reissue(&spoiled, Durability::Durable, (0, Some(at)), &mut |state, _, change, again| {
                state.visit(&mut |path, cell| {
                    if is_spoiled(&cell) {
                        again.extend(take_over(state, path, &cell, change).map(|cell| (path.clone(), cell)));
                    }
                });
            })?;
        }
    }

    /// Writes some cells of documents again, as one transaction, now or at a time before.
    fn reissue(
        &mut self,
        addresses: &[Address],
        durability: Durability,
        (wall_ms, at): (u64, Option<Hlc>),
        choose: Choose<'_>,
    ) -> Result<Committed<u64>, RepairError> {
        let horizon = self.horizon();
        self.write(durability, wall_ms, |store, _, _, head| {
            let mut clock = Clock::restore(head.replica, head.counter, head.hlc);
            let mut change = clock.tick(horizon.map_or(wall_ms, |horizon| horizon.now_ms))?;
            let bound = horizon.map_or(ReceiveBound::default(), |horizon| horizon.bound);
            let latest = bound.latest(change.stamp.hlc);
            change.stamp.hlc = at.unwrap_or(change.stamp.hlc);
            let (mut last, mut cells, mut written) = (change, 0, Vec::new());
            for address in addresses {
                let before = store.document(address)?.unwrap_or_default();
                let parked = park::of(store, address)?;
                let mut again = Vec::new();
                choose(&before, parked.as_ref(), change, &mut again);
                cells += again.len() as u64;
                let mut delta = Document::new();
                for (path, cell) in again {
                    delta.merge_cell(&path, cell);
                }
                // Of a key the stamps never go back, also where the order of its cells does not begin with them.
                let mut exceeds = Ok(());
                let mut exceed = |replaced: &CellRef<'_>| {
                    if exceeds.is_ok() {
                        exceeds = last.exceed_until(&replaced.greatest_stamp(), latest);
                    }
                };
                delta.clone().merge_observed((*before).clone(), &mut |_, ours, theirs| {
                    if ours.is_some() {
                        exceed(&theirs);
                    }
                });
                (*before).clone().merge_observed(delta.clone(), &mut |_, replaced, _| {
                    if let Some(replaced) = replaced {
                        exceed(&replaced);
                    }
                });
                exceeds?;
                if !delta.is_empty() {
                    written.push((address.clone(), before, delta));
                }
            }
            if last != change {
                for (.., delta) in &mut written {
                    delta.restamp(&last);
                }
            }
            let written = written.into_iter().map(|(address, before, delta)| {
                let outcome = Outcome::Delta { delta, shows: None };
                Written { address, before, outcome, is_restored: false }
            });
            let written = written.collect();
            // What is written at a time before does not set the clock back.
            let clock = if last.stamp.hlc <= latest { clock.hlc().max(last.stamp.hlc) } else { clock.hlc() };
            Ok::<_, RepairError>(Plan { value: cells, change: last, clock, written })
        })
    }
}

/// The cell that is shown in the place of a parked one.
fn held_in_place(shown: &Document, path: &Path, parked: &CellRef<'_>) -> Option<Cell> {
    let mut held = None;
    shown.visit(&mut |at, cell| {
        if at == path && cell.has_key_of(parked) {
            held = Some(cell.to_owned());
        }
    });
    held
}

/// The same again, by somebody else or at another time. Steps of a counter can only be counted by who made them.
fn take_over(state: &Document, path: &Path, cell: &CellRef<'_>, by: Change) -> Option<Cell> {
    let own = by.replica();
    Some(match *cell {
        CellRef::Register(Register::Open { content, .. }) => {
            Cell::Register(Register::Open { by, content: content.clone() })
        }
        CellRef::Register(Register::Closed { written, .. }) => {
            Cell::Register(Register::Closed { written: *written, by })
        }
        CellRef::Sibling(w, Mark::Live { content, .. }) => {
            // One's own value stays where it is; it has the same right.
            if w != own && has_own_sibling(state, path, own) {
                return None;
            }
            Cell::Sibling(own, Mark::Live { by, content: content.clone() })
        }
        CellRef::Sibling(w, Mark::Dead { n, .. }) => Cell::Sibling(w, Mark::Dead { n: *n, by }),
        CellRef::Element(element, w, mark) => {
            let (w, mark) = again(w, mark, by);
            Cell::Element(element.clone(), w, mark)
        }
        CellRef::Flag(w, mark) => {
            let (w, mark) = again(w, mark, by);
            Cell::Flag(w, mark)
        }
        CellRef::Presence(w, mark) => {
            let (w, mark) = again(w, mark, by);
            Cell::Presence(w, mark)
        }
        CellRef::Deletion(w, mark) => {
            let (w, mark) = again(w, mark, by);
            Cell::Deletion(w, mark)
        }
        CellRef::Tally(w, tally) if w == own => Cell::Tally(w, Tally { by, ..*tally }),
        CellRef::Tally(..) => return None,
        CellRef::Base(w, base) => Cell::Base(w, Base { by, ..*base }),
    })
}

/// What was put there is put there by oneself; what was taken away is taken away again.
fn again(w: ReplicaId, mark: &Mark<()>, by: Change) -> (ReplicaId, Mark<()>) {
    match mark {
        Mark::Live { .. } => (by.replica(), Mark::Live { by, content: () }),
        Mark::Dead { n, .. } => (w, Mark::Dead { n: *n, by }),
    }
}

/// What is shown, again: so that it stays when the time of the parked cell comes.
fn keep_shown(
    state: &Document,
    path: &Path,
    cell: &CellRef<'_>,
    held: Option<&Cell>,
    by: Change,
) -> Vec<Cell> {
    let is_live = |cell: &CellRef<'_>| match cell {
        CellRef::Sibling(_, mark) => Some(mark.is_live()),
        CellRef::Element(_, _, mark)
        | CellRef::Flag(_, mark)
        | CellRef::Presence(_, mark)
        | CellRef::Deletion(_, mark) => Some(mark.is_live()),
        CellRef::Register(_) | CellRef::Tally(..) | CellRef::Base(..) => None,
    };
    let Some(comes) = is_live(cell) else {
        // Counts are the business of who counted.
        let CellRef::Register(_) = cell else { return Vec::new() };
        let content = match held {
            Some(Cell::Register(Register::Open { content, .. })) => content.clone(),
            _ => Payload::Absent,
        };
        return alloc::vec![Cell::Register(Register::Open { by, content })];
    };
    let was = held.map(Cell::by_ref).filter(|held| is_live(held) == Some(true));
    let is_value = matches!(cell, CellRef::Sibling(..));
    let mut cells = Vec::new();
    // A mark says only that it is there: one that is there already, and stays, needs nothing.
    if comes && (was.is_none() || is_value) {
        cells.extend(cell.killed_by(by));
    }
    if let Some(was) = was.filter(|_| !comes || is_value) {
        cells.extend(take_over(state, path, &was, by));
    }
    cells
}

fn has_own_sibling(state: &Document, path: &Path, own: ReplicaId) -> bool {
    let mut live = false;
    state.visit(&mut |at, cell| {
        live |= at == path && matches!(cell, CellRef::Sibling(w, mark) if w == own && mark.is_live());
    });
    live
}
