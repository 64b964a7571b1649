//! Every way in which one replica gets what another has.

use crate::failure::{Failure, Property};
use crate::history::{Commit, Fault, Sync, SyncWay};
use crate::machine::{Checkpoint, Machine};
use crate::oracle::Seen;
use crate::run::{Checked, Run};

/// A run of batches and their checkpoint, ready to arrive: now, later, twice, or at someone else's.
pub struct Package<M: Machine> {
    pub to: usize,
    batches: Vec<M::Batch>,
    checkpoint: Checkpoint<M::Batch>,
    /// What the receiver has seen when all of it was applied.
    seen: Seen,
    /// What a receiver has to have seen before; `None` when it has to be the one for whom it was made.
    needs: Option<Seen>,
}

/// How many delayed packages are kept.
const KEPT: usize = 12;

/// A run of batches while it is under way.
struct Transfer<'s, M: Machine> {
    sync: &'s Sync,
    batches: Vec<M::Batch>,
    committed: usize,
}

impl<M: Machine> Run<'_, M> {
    /// One exchange. This is the one place where a way of syncing is carried out: a new way is a new arm.
    pub fn sync(&mut self, sync: &Sync) -> Checked {
        if self.finds_out(sync)? {
            return Ok(());
        }
        let package = match sync.way {
            SyncWay::Windows { documents } => self.windows(sync, documents)?,
            SyncWay::Difference { documents } => self.difference(sync, documents)?,
            SyncWay::Everything => Some(self.everything(sync)?),
            SyncWay::Session { seed } => {
                if self.converse(sync, seed)? {
                    return Ok(());
                }
                self.windows(sync, 1)?
            }
        };
        let Some(package) = package else { return Ok(()) };
        match sync.fault {
            Fault::None | Fault::CutAfter(_) => self.checkpoint(sync.to, &package),
            Fault::Twice => {
                self.checkpoint(sync.to, &package)?;
                self.deliver(sync.to, &package)
            }
            Fault::Delayed => {
                self.packages.push(package);
                if self.packages.len() > KEPT {
                    self.packages.remove(0);
                }
                Ok(())
            }
        }
    }

    /// Before a replica that was set back exchanges anything: it finds out in a session, if the other has a proof, and is
    /// told otherwise. True when what was to be done was such a session.
    fn finds_out(&mut self, sync: &Sync) -> Checked<bool> {
        let ends = [sync.from, sync.to];
        for (at, other) in [(sync.from, sync.to), (sync.to, sync.from)] {
            if !self.is_in_doubt(at) {
                continue;
            }
            let other_doubts = self.is_in_doubt(other);
            let [one, two] = self.machines.get_disjoint_mut([at, other]).expect("they are two");
            if !other_doubts && one.would_notice(two)? {
                if let SyncWay::Session { seed } = sync.way {
                    return self.converse(sync, seed);
                }
                // What is committed meanwhile, is within the exchange that follows.
                let seed = self.history.seed ^ self.packages.len() as u64;
                self.converse(&Sync { between: Vec::new(), ..sync.clone() }, seed)?;
            }
        }
        // The connection may have been a bad one.
        ends.into_iter().try_for_each(|at| self.settle_doubt(at))?;
        Ok(false)
    }

    /// The change order from the receiver's cursor on.
    fn windows(&mut self, sync: &Sync, documents: usize) -> Checked<Option<Package<M>>> {
        let mut transfer = self.begin(sync)?;
        let from = self.machines[sync.from].head()?.identity;
        let cursor = self.machines[sync.to].cursor(from)?;
        self.tail(&mut transfer, cursor, cursor, documents, None)
    }

    /// What the receiver's vector does not cover, page by page; then what happened here meanwhile. Only then has the
    /// receiver seen what the context says: a page that was sent early lacks what was committed later.
    fn difference(&mut self, sync: &Sync, documents: usize) -> Checked<Option<Package<M>>> {
        let mut transfer = self.begin(sync)?;
        let needs = self.books[sync.to].seen.clone();
        let vector = self.machines[sync.to].seen()?;
        let began = self.machines[sync.from].head()?.sequence;
        let mut after = None;
        loop {
            let (batch, last) = self.machines[sync.from].difference(&vector, after, documents)?;
            if !self.page(&mut transfer, batch)? {
                return Ok(None);
            }
            if last.is_none() {
                break;
            }
            after = last;
        }
        self.tail(&mut transfer, began, 0, documents, Some(needs))
    }

    fn everything(&mut self, sync: &Sync) -> Checked<Package<M>> {
        let transfer = self.begin(sync)?;
        let sender = &mut self.machines[sync.from];
        let (head, batch) = (sender.head()?, sender.everything()?);
        let context = sender.seen()?.into_iter().collect();
        let trail = sender.trail()?;
        let checkpoint = Checkpoint { from: head.identity, trail, cursor: head.sequence, context, batch };
        let (seen, needs) = (self.books[sync.from].seen.clone(), Some(Seen::default()));
        Ok(Package { to: sync.to, batches: transfer.batches, checkpoint, seen, needs })
    }

    /// What was left of an earlier run is sent again, so it is forgotten first.
    fn begin<'s>(&mut self, sync: &'s Sync) -> Checked<Transfer<'s, M>> {
        if sync.fault != Fault::Delayed {
            let from = self.machines[sync.from].head()?.identity;
            self.machines[sync.to].clear_staged(from)?;
        }
        Ok(Transfer { sync, batches: Vec::new(), committed: 0 })
    }

    /// Windows from a position to the head, and the checkpoint there. `known` is the position up to which the receiver
    /// has the sender's context.
    fn tail(
        &mut self,
        transfer: &mut Transfer<'_, M>,
        from: u64,
        known: u64,
        documents: usize,
        needs: Option<Seen>,
    ) -> Checked<Option<Package<M>>> {
        let sync = transfer.sync;
        let mut place = M::place(from);
        loop {
            let window = self.machines[sync.from].window(&place, known, documents)?;
            if let Some((cursor, context)) = window.head {
                let from = self.machines[sync.from].head()?.identity;
                let trail = self.machines[sync.from].trail()?;
                let checkpoint = Checkpoint { from, trail, cursor, context, batch: window.batch };
                let (batches, seen) =
                    (std::mem::take(&mut transfer.batches), self.books[sync.from].seen.clone());
                return Ok(Some(Package { to: sync.to, batches, checkpoint, seen, needs }));
            }
            place = window.next;
            if !self.page(transfer, window.batch)? {
                return Ok(None);
            }
        }
    }

    /// A batch that is not the last leaves. False when the connection was cut after it.
    fn page(&mut self, transfer: &mut Transfer<'_, M>, batch: M::Batch) -> Checked<bool> {
        let Sync { from, to, fault, between, .. } = transfer.sync;
        if *fault != Fault::Delayed {
            let identity = self.machines[*from].head()?.identity;
            self.machines[*to].stage(identity, &batch)?;
        }
        transfer.batches.push(batch);
        if let Some(commit) = between.get(transfer.committed) {
            transfer.committed += 1;
            self.meanwhile(commit, [*from, *to])?;
        }
        Ok(!matches!(fault, Fault::CutAfter(batches) if *batches <= transfer.batches.len()))
    }

    /// A commit amid an exchange between two others. What a third replica commits reaches one of the two at once, so that
    /// something new to pass on comes in while they talk.
    pub fn meanwhile(&mut self, commit: &Commit, talking: [usize; 2]) -> Checked {
        self.commit(commit)?;
        if !talking.contains(&commit.at) {
            let (way, to) = (SyncWay::Windows { documents: usize::MAX }, talking[commit.edits.len() % 2]);
            self.sync(&Sync { from: commit.at, to, way, fault: Fault::None, between: Vec::new() })?;
        }
        Ok(())
    }

    /// A delayed package arrives, for the first time or again.
    pub fn deliver_again(&mut self, which: usize, to: Option<usize>) -> Checked {
        if self.packages.is_empty() {
            return Ok(());
        }
        let which = which % self.packages.len();
        let package = self.packages.remove(which);
        let passed_on =
            to.filter(|to| package.needs.as_ref().is_some_and(|needs| self.books[*to].seen.covers(needs)));
        let done = self.deliver(passed_on.unwrap_or(package.to), &package);
        self.packages.insert(which, package);
        done
    }

    /// All batches of a package, and its checkpoint.
    fn deliver(&mut self, to: usize, package: &Package<M>) -> Checked {
        self.settle_doubt(to)?;
        let from = package.checkpoint.from;
        self.machines[to].clear_staged(from)?;
        for batch in &package.batches {
            self.machines[to].stage(from, batch)?;
        }
        self.checkpoint(to, package)
    }

    /// The checkpoint of a package whose batches were staged.
    fn checkpoint(&mut self, to: usize, package: &Package<M>) -> Checked {
        let before = self.watch(to)?;
        let expected = !self.books[to].seen.covers(&package.seen);
        let changed = self.machines[to].apply(&package.checkpoint)?;
        if changed && !expected {
            return Err(Failure::new(Property::Idempotence, "what was seen before changed something"));
        }
        if expected && !changed {
            return Err(Failure::new(Property::NothingLost, "something new came, and nothing changed"));
        }
        self.books[to].seen.extend(&package.seen);
        self.check_events(to, before, changed)
    }
}
