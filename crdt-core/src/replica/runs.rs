//! Runs: how a replica whose file was rolled back finds out, and where its history forked.
//!
//! Each opening of a store for writing is a *run* of its life, named by random bits that the embedding layer draws. The
//! store keeps where the last of them began; a peer remembers which of them it was told of. A file that was set back, or
//! that was copied together with the identity of the place where it lay, goes on with a run of its own. So a peer that
//! knows another run than this file, or a longer one, proves that somebody else goes on from a state that this file has
//! been in: the history forked where the first run began that is not common.
//!
//! A run is written down with the first commit or the first word to a peer, not when the file is opened: whoever only
//! reads leaves no trace. Note `runs`: *unsigned* number of the first run that is listed, *unsigned* number of the last
//! that is known to be elsewhere, *unsigned* count, per run its bits (8), *unsigned* own counter and *unsigned* position
//! at its start.

use alloc::vec::Vec;

use super::refuse::damaged;
use super::{Replica, contact, loading, totals, transact};
use crate::codec::{DecodeError, Reader, put_unsigned};
use crate::store::{Access, Durability, Head, Life, PeerRecord, Store, StoreError};

const NOTE: &[u8] = b"runs";

/// Runs that are listed; of older ones nobody is told whether they are ours.
const KEPT: usize = 64;

/// The last runs of a life, as a peer is told of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// The number of the last run; they count from 1. 0 when there is none.
    pub number: u64,
    /// The low 32 bits of the last runs, the latest first; at most [`Trail::TOLD`].
    pub runs: Vec<u32>,
}

impl Trail {
    /// Runs that a peer is told of at most.
    pub const TOLD: usize = 4;

    /// The run of a number, if it is among those told of.
    fn get(&self, number: u64) -> Option<u32> {
        let back = self.number.checked_sub(number)?;
        self.runs.get(usize::try_from(back).ok()?).copied()
    }

    /// True when `other` went on from here: the last run is one of its earlier ones.
    pub fn leads_to(&self, other: &Self) -> bool {
        self.number > 0 && self.number < other.number && self.get(self.number) == other.get(self.number)
    }
}

/// What one store remembers of another that it has had a session with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The runs that it was told of.
    pub trail: Trail,
    /// The highest counter that the other has claimed for its own transactions, itself.
    pub claimed: u64,
    /// How far into its change order everything is applied.
    pub cursor: u64,
}

impl Memory {
    /// It has come further than this.
    const fn is_beyond(&self, counter: u64, sequence: u64) -> bool {
        self.claimed > counter || self.cursor > sequence
    }
}

/// Where a history forked: what was written here since may exist elsewhere under the same dots with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The own counter there.
    pub(super) counter: u64,
    /// The position of the change order there.
    pub(super) sequence: u64,
    /// The number of the run that began there, or in which it is.
    pub(super) run: u64,
    /// It is not at the start of that run.
    pub(super) within: bool,
    /// It is known to be there. Otherwise it was there or later.
    pub(super) exact: bool,
}

impl Fork {
    /// True when it is known where the history forked; otherwise that was there or later, so that some of what is issued again
    /// may have been common.
    pub const fn is_exact(&self) -> bool {
        self.exact
    }
}

/// A proof that the history forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Where.
    At(Fork),
    /// At the start of this run, or before it.
    NotAfter(u64),
    /// It does not say where.
    Somewhere,
}

impl Found {
    /// Looks at all peers only where nothing else says where it was. The other history was at `claimed` when it was heard of
    /// last, if that is known.
    fn place<S: Store>(
        self,
        store: &mut S,
        runs: &Runs,
        head: &Head,
        claimed: Option<u64>,
    ) -> Result<Fork, StoreError> {
        let latest = match self {
            Self::At(fork) => return Ok(fork),
            Self::NotAfter(run) => run,
            Self::Somewhere => u64::MAX,
        };
        Ok(runs.fork_somewhere(head, contact::durably_kept(store)?, latest, claimed))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Start {
    id: u64,
    counter: u64,
    sequence: u64,
}

/// The last runs of this life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    first: u64,
    /// All up to this one are known to be elsewhere.
    confirmed: u64,
    starts: Vec<Start>,
}

impl Runs {
    pub(super) fn of<S: Store>(store: &mut S) -> Result<Self, StoreError> {
        match store.note(NOTE)? {
            Some(note) => Self::decode(&note).map_err(damaged),
            None => Ok(Self { first: 1, ..Self::default() }),
        }
    }

    fn put<S: Store>(&self, store: &mut S) -> Result<(), StoreError> {
        let mut note = Vec::new();
        put_unsigned(&mut note, self.first);
        put_unsigned(&mut note, self.confirmed);
        put_unsigned(&mut note, self.starts.len() as u64);
        for start in &self.starts {
            note.extend_from_slice(&start.id.to_be_bytes());
            put_unsigned(&mut note, start.counter);
            put_unsigned(&mut note, start.sequence);
        }
        store.set_note(NOTE, Some(&note))
    }

    fn decode(note: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(note);
        let (first, confirmed) = (reader.unsigned("a run")?, reader.unsigned("a run")?);
        let mut starts = Vec::new();
        for _ in 0..reader.count("runs")? {
            let id = u64::from_be_bytes(reader.array("a run")?);
            let (counter, sequence) = (reader.unsigned("a run")?, reader.unsigned("a run")?);
            starts.push(Start { id, counter, sequence });
        }
        reader.finish()?;
        Ok(Self { first, confirmed, starts })
    }

    /// The number of the present run; 0 when there is none.
    pub(super) fn present(&self) -> u64 {
        self.first + self.starts.len() as u64 - 1
    }

    /// The own counter at the start of the present run; `None` when there is none.
    pub(super) fn began(&self) -> Option<u64> {
        self.starts.last().map(|start| start.counter)
    }

    fn get(&self, number: u64) -> Option<Start> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.starts.get(index).copied()
    }

    pub(super) fn trail(&self) -> Trail {
        #[allow(clippy::cast_possible_truncation)] // the low bits tell runs apart well enough
        let runs = self.starts.iter().rev().take(Trail::TOLD).map(|start| start.id as u32).collect();
        Trail { number: self.present(), runs }
    }

    fn fork_at(&self, run: u64, exact: bool) -> Option<Fork> {
        let Start { counter, sequence, .. } = self.get(run)?;
        Some(Fork { counter, sequence, run, within: false, exact })
    }

    /// Where the history forked if all that is known is that it did, not after the start of the run `latest`: not before the
    /// first run that is not known to be elsewhere, nor before what a peer that keeps what it gets has acknowledged, so many
    /// own transactions up to that position; unless what is known is earlier, or the other history was not so far, because
    /// then it is one of two histories that was acknowledged. Without any run, nothing can be said of what was written when.
    fn fork_somewhere(
        &self,
        head: &Head,
        (counter, sequence): (u64, u64),
        latest: u64,
        claimed: Option<u64>,
    ) -> Fork {
        let run = self.first.max(self.confirmed + 1).min(latest);
        let nowhere = Fork {
            counter: head.counter,
            sequence: head.sequence,
            run: u64::MAX,
            within: false,
            exact: false,
        };
        let Some(fork) = self.fork_at(run, false) else { return nowhere };
        let start_of_latest = self.get(latest).map_or(u64::MAX, |start| start.counter);
        // What is counted beyond the head was counted in another life, by another process that had a session open.
        let is_of_another = counter > head.counter || sequence > head.sequence;
        let is_of_one = claimed.is_some_and(|claimed| counter > claimed);
        if is_of_another
            || is_of_one
            || counter <= fork.counter
            || sequence < fork.sequence
            || counter > start_of_latest
        {
            return fork;
        }
        let later = |number: &u64| self.get(*number).is_some_and(|start| start.sequence <= sequence);
        let run = (run..=self.present()).take_while(later).last().unwrap_or(run);
        Fork { counter, sequence, run, within: true, exact: false }
    }

    /// Holds against each other what a peer remembers of this life and what this store does.
    fn judge(&self, head: &Head, peer: &Memory) -> Option<Found> {
        let Trail { number, runs } = &peer.trail;
        if *number == 0 || self.starts.is_empty() {
            return None;
        }
        let mut other = None;
        for (back, run) in (0..).zip(runs) {
            let Some(common) = number.checked_sub(back) else { break };
            #[allow(clippy::cast_possible_truncation)] // as in `trail`
            if self.get(common).is_none_or(|start| start.id as u32 != *run) {
                other = self.get(common).map(|_| common).or(other);
                continue;
            }
            // Up to here it is one history. What the peer knows of it beyond, this store has to know too.
            return match self.get(common + 1) {
                Some(next) if back > 0 || peer.is_beyond(next.counter, next.sequence) => {
                    self.fork_at(common + 1, true).map(Found::At)
                }
                None if back > 0 || peer.is_beyond(head.counter, head.sequence) => Some(Found::Somewhere),
                _ => None,
            };
        }
        match other {
            // Nothing was written before it in this life, or before runs were kept.
            Some(1) => self.fork_at(1, true).map(Found::At),
            Some(run) => Some(Found::NotAfter(run)),
            // Of runs from before those that are listed nothing can be said.
            None => (*number >= self.first).then_some(Found::Somewhere),
        }
    }

    /// The run in which an own transaction was written.
    fn run_of(&self, counter: u64) -> u64 {
        let later = self.starts.iter().rposition(|start| start.counter < counter);
        self.first + later.unwrap_or(0) as u64
    }

    /// Takes a new run down.
    fn enter<S: Store>(&mut self, store: &mut S, head: &Head, id: u64) -> Result<(), StoreError> {
        if self.starts.last().is_some_and(|start| start.id == id) {
            return Ok(());
        }
        self.starts.push(Start { id, counter: head.counter, sequence: head.sequence });
        while self.starts.len() > KEPT {
            self.starts.remove(0);
            self.first += 1;
        }
        let acked = contact::durably_acked(store)?;
        self.confirm(store, acked)?;
        totals::forget(store, self.first)?;
        self.put(store)
    }

    /// A durable peer has everything up to a position: the runs that ended before it are elsewhere. True when that is news.
    fn confirm<S: Store>(&mut self, store: &mut S, sequence: u64) -> Result<bool, StoreError> {
        let before = self.confirmed;
        // The present run goes on, so it never is.
        while let Some(next) = self.get(self.first.max(self.confirmed + 1) + 1)
            && next.sequence <= sequence
        {
            self.confirmed = self.first.max(self.confirmed + 1);
        }
        if self.confirmed > before {
            totals::forget(store, self.confirmed + 1)?;
        }
        Ok(self.confirmed > before)
    }
}

/// Takes down that the run with these bits has begun, within a transaction that writes.
pub(super) fn enter<S: Store>(store: &mut S, head: &Head, id: u64) -> Result<(), StoreError> {
    Runs::of(store)?.enter(store, head, id)
}

/// A new life begins with the run that was under way, if any: what peers know of the old one says nothing of it.
pub(super) fn start_again<S: Store>(store: &mut S, head: &Head) -> Result<(), StoreError> {
    let mut runs = Runs::of(store)?;
    let Some(present) = runs.starts.pop() else { return Ok(()) };
    let start = Start { counter: 0, sequence: head.sequence, ..present };
    runs = Runs { first: 1, confirmed: 0, starts: alloc::vec![start] };
    totals::forget(store, u64::MAX)?;
    runs.put(store)
}

/// See [`Replica::remembered`]; `record` is that of the life.
pub(super) fn remembered<S: Store>(
    store: &mut S,
    life: Life,
    record: Option<&PeerRecord>,
) -> Result<Memory, StoreError> {
    let trail = contact::Contact::of(store, life)?.trail;
    let (claimed, cursor) = record.map_or((0, 0), |peer| (peer.claimed, peer.cursor));
    let cursor = cursor.max(loading::reached(store, life)?);
    Ok(Memory { trail, claimed, cursor })
}

/// A durable peer has acknowledged everything up to a position.
pub(super) fn confirm<S: Store>(store: &mut S, sequence: u64) -> Result<(), StoreError> {
    let mut runs = Runs::of(store)?;
    if runs.confirm(store, sequence)? { runs.put(store) } else { Ok(()) }
}

impl<S: Store> Replica<S> {
    /// Says that the store was opened for writing, with 64 random bits that name the run which begins. To be called once,
    /// before anything is committed or synced. A replica of which no run is known cannot tell what was written after a
    /// fork.
    pub fn begin_run(&mut self, run: u64) {
        (self.run, self.run_is_durable) = (Some(run), false);
    }

    /// The head, and the runs that peers are told of. Writes the present run down durably if that was not done: a run that
    /// a power failure takes back after a peer has heard of it would look like another one's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn introduction(&mut self) -> Result<(Head, Trail), StoreError> {
        if !self.run_is_durable {
            let run = self.run;
            transact(&mut self.store, Access::Write, Durability::Durable, |store| {
                let head = store.head()?;
                // Without one it was written down with a commit, which need not have been durable, and is now.
                run.map_or(Ok(()), |run| enter(store, &head, run))
            })?;
            (self.run, self.run_is_durable) = (None, true);
        }
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            Ok((store.head()?, Runs::of(store)?.trail()))
        })
    }

    /// What this store remembers of a peer, for the peer to hold against what it knows of itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remembered(&mut self, life: Life) -> Result<Memory, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let record = store.peer(life)?;
            remembered(store, life, record.as_ref())
        })
    }

    /// Whether what a peer remembers of this life, and the highest own counter that it has seen by whatever way, prove
    /// that somebody else goes on from a state that this store has been in; and where it forked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn fork(&mut self, peer: &Memory, seen: u64) -> Result<Option<Fork>, StoreError> {
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let (head, runs) = (store.head()?, Runs::of(store)?);
            let beyond = seen > head.counter || peer.is_beyond(head.counter, head.sequence);
            let found = runs.judge(&head, peer).or(beyond.then_some(Found::Somewhere));
            // A peer may not be told how many there are, or have heard of them by way of others only.
            let claimed = Some(peer.claimed).filter(|claimed| *claimed > 0);
            found.map(|found| found.place(store, &runs, &head, claimed)).transpose()
        })
    }

    /// Where the history forked, when it is only known that it did. With the runs of a copy of this very store, which
    /// has the same life, it is known better.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forked(&mut self, copy: Option<&Trail>) -> Result<Fork, StoreError> {
        let twice = self.twice.take();
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            let (head, runs) = (store.head()?, Runs::of(store)?);
            let copy = copy.map(|trail| Memory { trail: trail.clone(), claimed: u64::MAX, cursor: 0 });
            let by_content = twice.map_or(Found::Somewhere, |twice| Found::NotAfter(runs.run_of(twice)));
            let found = copy.and_then(|copy| runs.judge(&head, &copy)).unwrap_or(by_content);
            found.place(store, &runs, &head, None)
        })
    }
}

#[cfg(test)]
mod kept;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Namespace, ReplicaId};

    fn runs(starts: &[(u64, u64)]) -> Runs {
        let start = |(id, counter): &(u64, u64)| Start { id: *id, counter: *counter, sequence: counter * 10 };
        Runs { first: 1, confirmed: 0, starts: starts.iter().map(start).collect() }
    }

    fn head(counter: u64) -> Head {
        let head = Head::new(Namespace::from_secret("runs"), ReplicaId::from_u64(1), Life(1));
        Head { counter, sequence: counter * 10, ..head }
    }

    fn latest(found: Found) -> u64 {
        if let Found::NotAfter(run) = found { run } else { u64::MAX }
    }

    fn fork(mine: &Runs, counter: u64, theirs: &Runs, claimed: u64) -> Option<(u64, bool)> {
        let memory = Memory { trail: theirs.trail(), claimed, cursor: claimed * 10 };
        mine.judge(&head(counter), &memory).map(|found| match found {
            Found::At(fork) => (fork.counter, fork.exact),
            found => (mine.fork_somewhere(&head(counter), (0, 0), latest(found), None).counter, false),
        })
    }

    #[test]
    fn what_a_peer_knows_of_an_unbroken_history_proves_nothing() {
        let mine = runs(&[(7, 0), (8, 3), (9, 5)]);
        for known in 0..=3 {
            let theirs = runs(&[(7, 0), (8, 3), (9, 5)][..known]);
            let claimed = [0, 3, 5, 6][known];
            assert_eq!(fork(&mine, 6, &theirs, claimed), None, "{known} runs");
        }
        assert_eq!(fork(&Runs::default(), 6, &mine, 6), None, "a store that keeps no runs");
    }

    #[test]
    fn another_run_proves_a_fork_where_the_own_one_began() {
        let common = [(7, 0), (8, 3)];
        let mine = runs(&[common[0], common[1], (9, 5), (10, 6)]);
        let theirs = runs(&[common[0], common[1], (19, 4)]);
        assert_eq!(fork(&mine, 8, &theirs, 4), Some((5, true)));
        // One that is longer than it was here is no different.
        assert_eq!(fork(&mine, 8, &runs(&common), 6), Some((5, true)));
        assert_eq!(fork(&mine, 8, &runs(&common), 5), None);
    }

    #[test]
    fn a_history_that_was_lost_within_a_run_forked_somewhere_since_it_is_known_elsewhere() {
        let mut mine = runs(&[(7, 0), (8, 3)]);
        assert_eq!(fork(&mine, 4, &runs(&[(7, 0), (8, 3)]), 5), Some((0, false)));
        let longer = runs(&[(7, 0), (8, 3), (9, 6)]);
        assert_eq!(
            fork(&mine, 10, &longer, 6),
            Some((0, false)),
            "a further run, although no further transaction"
        );
        mine.confirmed = 1;
        assert_eq!(fork(&mine, 4, &runs(&[(7, 0), (8, 3)]), 5), Some((3, false)));
        assert_eq!(fork(&mine, 4, &runs(&[(7, 0), (8, 3), (9, 6)]), 6), Some((3, false)));
    }

    #[test]
    fn without_a_common_run_the_history_forked_before_all_that_differ() {
        let theirs = [(1, 0), (2, 3), (3, 6), (4, 6), (5, 6)];
        let mut mine = runs(&[(7, 0), (8, 3), (9, 4)]);
        mine.confirmed = 2;
        assert_eq!(
            fork(&mine, 4, &runs(&theirs[..3]), 6),
            Some((0, true)),
            "all differ since the life began"
        );
        assert_eq!(fork(&mine, 4, &runs(&theirs[..4]), 6), Some((0, true)));
        assert_eq!(fork(&mine, 4, &runs(&theirs), 6), Some((3, false)), "the first is not told any more");
        mine.confirmed = 0;
        assert_eq!(
            fork(&mine, 4, &runs(&theirs), 6),
            Some((0, false)),
            "and not known to be elsewhere either"
        );
    }

    #[test]
    fn runs_from_before_those_that_are_listed_prove_nothing() {
        let mine = Runs { first: 100, confirmed: 0, ..runs(&[(7, 50), (8, 60)]) };
        assert_eq!(fork(&mine, 61, &runs(&[(1, 0), (2, 5)]), 6), None);
        let bytes_alike = Runs::decode(&{
            let mut store = crate::MemoryStore::new(head(1));
            store.begin(Access::Write, Durability::Visible).unwrap();
            mine.put(&mut store).unwrap();
            store.note(NOTE).unwrap().unwrap()
        });
        assert_eq!(bytes_alike, Ok(mine));
    }

    #[test]
    fn one_that_went_on_is_told_from_one_that_went_elsewhere() {
        let first = runs(&[(7, 0), (8, 3)]).trail();
        assert!(first.leads_to(&runs(&[(7, 0), (8, 3), (9, 3)]).trail()));
        assert!(!first.leads_to(&runs(&[(7, 0), (18, 3), (9, 3)]).trail()));
        assert!(!first.leads_to(&first) && !Trail::default().leads_to(&first));
    }
}
