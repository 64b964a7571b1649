//! Whose clock is wrong: what handshakes measured, and what follows from it.
//!
//! A single peer whose clock is another one proves nothing: it can be wrong as well as we. When most of those that were
//! heard of lately, and at least two, agree that it is *ours* that is off, it is corrected: everything here is then done
//! at wall clock + correction. The wall clock itself is the computer's, and stays as it is.
//!
//! What was measured is worth something only as long as nobody sets the wall clock. Back it never goes by itself, so that
//! is noticed at once. That it was set forward looks like time that has passed: the next peer tells, which for that counts
//! together with the wall clock.
//!
//! Notes: under `clock`, the correction, and what has to be written again because the clock was wrong, if anything; under
//! `offset`, a zero byte and the life of a peer, how far its clock is ahead of our wall clock, and when that was measured.

use alloc::vec::Vec;

use super::{RepairError, Replica, transact};
use crate::codec::{DecodeError, Reader, put_signed, put_unsigned};
use crate::small_map::SmallSet;
use crate::store::{Access, Durability, Life, Store, StoreError};
use crate::{Hlc, ReceiveBound};

const CLOCK_NOTE: &[u8] = b"clock";
const OFFSET_NOTES: &[u8] = b"offset\0";

/// What was measured longer ago says nothing about the clocks of today.
const LATELY_MS: u64 = 24 * 60 * 60 * 1000;

/// So many peers are asked, those that were met last: a hub meets thousands in a day.
const ASKED: usize = 32;

/// An offset that was measured before is not noted anew unless it differs by more than this, or is older than
const SAME_MS: u64 = 1_000;
/// this.
const NOTED_AGAIN_MS: u64 = 60 * 60 * 1000;

/// How far the clock of a peer is ahead of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerClock {
    /// Which peer.
    pub peer: Life,
    /// Milliseconds by which its clock is ahead of our wall clock, uncorrected.
    pub offset_ms: i64,
    /// When it was measured, by our wall clock.
    pub measured_ms: u64,
}

/// What is known of the clock of this replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockStatus {
    /// What is added to the wall clock, in milliseconds; 0 unless most peers agree that it is wrong.
    pub correction_ms: i64,
    /// The clocks of those peers that were met within a day, of the last few of them.
    pub peers: Vec<PeerClock>,
}

/// What a peer's clock says about ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// It says the same, within the receive bound.
    Agrees,
    /// It says something else, and it cannot be told which of the two is wrong: what the one writes that is ahead is not
    /// shown by the other for so long. Let the user look at the clocks.
    Differs {
        /// Milliseconds by which the peer is ahead.
        offset_ms: i64,
    },
    /// Most peers agree that ours is wrong: from now on it is corrected, or corrected differently.
    Corrected {
        /// What is added to the wall clock from now on, in milliseconds.
        correction_ms: i64,
    },
}

/// Why values are to be written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overdue {
    /// The clock was ahead: what has a stamp from the future.
    pub(super) from_the_future: bool,
    /// The clock was behind.
    pub(super) behind: Option<Behind>,
}

/// What a clock that was behind has spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    /// The last own transaction that others may have: what was written after it.
    pub(super) after: u64,
    /// By how much.
    pub(super) by_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ClockNote {
    correction_ms: i64,
    overdue: Overdue,
}

impl<S: Store> Replica<S> {
    /// Takes notice of a peer's clock, as it was measured in a handshake: `ahead_ms` is that clock minus
    /// [ours](Replica::now_ms), which is corrected if the peers demand it. When it turns out that our clock was wrong, the
    /// values that it spoiled are written again. One that does not count (because it forgets who it was with every start,
    /// say, and could count many times) can confirm our clock, and not change it.
    ///
    /// # Errors
    /// [`StoreError`]; it can be told again.
    pub fn measured(&mut self, peer: Life, ahead_ms: i64, counts: bool) -> Result<ClockVerdict, StoreError> {
        let Some(time) = &self.time else { return Ok(ClockVerdict::Agrees) };
        let Some(wall_ms) = time.wall_ms else { return Ok(ClockVerdict::Agrees) };
        let (bound, correction_ms) = (time.bound, time.correction_ms);
        let measured =
            PeerClock { peer, offset_ms: ahead_ms.saturating_add(correction_ms), measured_ms: wall_ms };
        let read = |store: &mut S| Ok::<_, StoreError>((note(store)?, offsets(store, wall_ms)?));
        let (note, mut peers) = transact(&mut self.store, Access::Read, Durability::Visible, read)?;
        let moved = note.correction_ms != 0 && was_set(&peers, &measured, bound);
        if counts && moved {
            peers.clear();
        }
        let is_new = counts && take(&mut peers, measured);
        let demanded = demanded(&peers, bound, note.correction_ms);
        let verdict = match demanded {
            Some(correction_ms) => ClockVerdict::Corrected { correction_ms },
            None if ahead_ms.unsigned_abs() <= bound.ahead_ms => ClockVerdict::Agrees,
            None => ClockVerdict::Differs { offset_ms: ahead_ms },
        };
        let confirmed = !matches!(verdict, ClockVerdict::Differs { .. });
        let correction_ms = demanded.unwrap_or(note.correction_ms);
        let now_ms = wall_ms.saturating_add_signed(correction_ms);
        let head = self.head()?;
        let restarts = confirmed && head.hlc > bound.latest(Hlc::from_ms(now_ms));
        let mut overdue = note.overdue;
        overdue.from_the_future |= restarts;
        if correction_ms > note.correction_ms {
            let after = overdue.behind.map_or(head.offered, |behind| behind.after);
            overdue.behind = Some(Behind { after, by_ms: correction_ms.abs_diff(note.correction_ms) });
        }
        let note_now = ClockNote { correction_ms, overdue };
        if is_new || note_now != note || restarts {
            transact(&mut self.store, Access::Write, Durability::Visible, |store| {
                if counts && moved {
                    forget_offsets(store)?;
                }
                if is_new {
                    put_offset(store, &measured)?;
                }
                put_note(store, &note_now)?;
                if restarts {
                    let mut head = store.head()?;
                    head.hlc = Hlc::from_ms(now_ms);
                    store.set_head(&head)?;
                }
                Ok::<_, StoreError>(())
            })?;
        }
        self.look(wall_ms)?;
        if overdue != Overdue::default() && confirmed {
            match self.write_again(overdue) {
                Ok(()) => transact(&mut self.store, Access::Write, Durability::Visible, |store| {
                    put_note(store, &ClockNote { correction_ms, overdue: Overdue::default() })
                })?,
                Err(RepairError::Store(error)) => return Err(error),
                // Every commit fails like this; what is overdue stays so.
                Err(RepairError::Clock(_)) => {}
            }
        }
        Ok(verdict)
    }

    /// A wall clock that goes back was set, so what was measured by it says nothing about it any more: it counts as it is
    /// until peers are heard of again. `before_ms` is what it said last, if this process has asked it before.
    pub(super) fn notice_setting(&mut self, before_ms: Option<u64>, wall_ms: u64) -> Result<(), StoreError> {
        let Some(time) = &self.time else { return Ok(()) };
        let bound_ms = time.bound.ahead_ms;
        let was_set = |before_ms: u64| before_ms > wall_ms.saturating_add(bound_ms);
        if before_ms.is_some_and(|before_ms| !was_set(before_ms)) {
            return Ok(());
        }
        let read = |store: &mut S| Ok::<_, StoreError>((note(store)?, all_offsets(store)?));
        let (note, known) = transact(&mut self.store, Access::Read, Durability::Visible, read)?;
        let was_set = before_ms.is_some() || known.iter().any(|known| was_set(known.measured_ms));
        if !was_set || (known.is_empty() && note.correction_ms == 0) {
            return Ok(());
        }
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            forget_offsets(store)?;
            put_note(store, &ClockNote { correction_ms: 0, ..note })
        })
    }

    /// What is known of our clock, and of those of the peers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clock_status(&mut self) -> Result<ClockStatus, StoreError> {
        let wall_ms = self.time.as_ref().and_then(|time| time.wall_ms).unwrap_or(0);
        transact(&mut self.store, Access::Read, Durability::Visible, |store| {
            Ok(ClockStatus { correction_ms: note(store)?.correction_ms, peers: offsets(store, wall_ms)? })
        })
    }
}

/// What is added to the wall clock.
pub(super) fn correction<S: Store>(store: &mut S) -> Result<i64, StoreError> {
    Ok(note(store)?.correction_ms)
}

/// Takes over what was measured. True when it is worth a note.
fn take(peers: &mut Vec<PeerClock>, measured: PeerClock) -> bool {
    let Some(known) = peers.iter_mut().find(|known| known.peer == measured.peer) else {
        peers.push(measured);
        return true;
    };
    let same = known.offset_ms.abs_diff(measured.offset_ms) <= SAME_MS
        && known.measured_ms.abs_diff(measured.measured_ms) <= NOTED_AGAIN_MS;
    if !same {
        *known = measured;
    }
    !same
}

/// True when a peer that said something else before now agrees with the wall clock: either clock was set since then, and
/// now they are two that agree. What the others said before that is void.
fn was_set(peers: &[PeerClock], measured: &PeerClock, bound: ReceiveBound) -> bool {
    let before = peers.iter().find(|known| known.peer == measured.peer);
    measured.offset_ms.unsigned_abs() <= bound.ahead_ms
        && before.is_some_and(|before| before.offset_ms.unsigned_abs() > bound.ahead_ms)
}

/// The correction that the peers demand in place of the present one; `None` when that may stay.
fn demanded(peers: &[PeerClock], bound: ReceiveBound, correction_ms: i64) -> Option<i64> {
    let near = |a: i64, b: i64| a.abs_diff(b) <= bound.ahead_ms;
    let mut best: Vec<i64> = Vec::new();
    for one in peers {
        let mut agreeing = SmallSet::new();
        for other in peers.iter().filter(|other| near(one.offset_ms, other.offset_ms)) {
            agreeing.insert((other.offset_ms, other.peer), ());
        }
        if agreeing.len() > best.len() {
            best = agreeing.into_keys().into_iter().map(|(offset_ms, _)| offset_ms).collect();
        }
    }
    let middle = best.get(best.len() / 2).copied()?;
    // The wall clock is a witness of its own.
    let for_wall = peers.iter().filter(|peer| near(peer.offset_ms, 0)).count();
    if for_wall > 0 && (near(middle, 0) || for_wall + 1 >= best.len()) {
        return (correction_ms != 0).then_some(0);
    }
    if best.len() * 2 > peers.len() && best.len() >= 2 {
        return (!near(middle, correction_ms)).then_some(middle);
    }
    // Nobody who was heard of lately says any more what it was corrected by.
    let stands = correction_ms == 0 || peers.iter().any(|peer| near(peer.offset_ms, correction_ms));
    (!stands).then_some(0)
}

fn note<S: Store>(store: &mut S) -> Result<ClockNote, StoreError> {
    let Some(note) = store.note(CLOCK_NOTE)? else { return Ok(ClockNote::default()) };
    let read = |mut reader: Reader<'_>| {
        let correction_ms = reader.signed("the correction of the clock")?;
        let from_the_future = reader.byte("what is written again")? != 0;
        let by_ms = reader.unsigned("what is written again")?;
        let after = reader.unsigned("what is written again")?;
        let behind = (by_ms > 0).then_some(Behind { after, by_ms });
        let overdue = Overdue { from_the_future, behind };
        Ok(ClockNote { correction_ms, overdue })
    };
    read(Reader::new(&note)).map_err(damaged)
}

fn put_note<S: Store>(store: &mut S, clock: &ClockNote) -> Result<(), StoreError> {
    if *clock == ClockNote::default() {
        return store.set_note(CLOCK_NOTE, None);
    }
    let mut note = Vec::new();
    put_signed(&mut note, clock.correction_ms);
    note.push(u8::from(clock.overdue.from_the_future));
    let (by_ms, after) = clock.overdue.behind.map_or((0, 0), |behind| (behind.by_ms, behind.after));
    put_unsigned(&mut note, by_ms);
    put_unsigned(&mut note, after);
    store.set_note(CLOCK_NOTE, Some(&note))
}

/// What was measured lately.
fn offsets<S: Store>(store: &mut S, wall_ms: u64) -> Result<Vec<PeerClock>, StoreError> {
    let mut known = all_offsets(store)?;
    known.retain(|known| known.measured_ms.abs_diff(wall_ms) <= LATELY_MS);
    Ok(known)
}

fn forget_offsets<S: Store>(store: &mut S) -> Result<(), StoreError> {
    for (known, _) in store.notes_after(OFFSET_NOTES, &[], usize::MAX)? {
        store.set_note(&known, None)?;
    }
    Ok(())
}

fn all_offsets<S: Store>(store: &mut S) -> Result<Vec<PeerClock>, StoreError> {
    let mut found = Vec::new();
    for (key, note) in store.notes_after(OFFSET_NOTES, &[], usize::MAX)? {
        let read = |mut life: Reader<'_>, mut reader: Reader<'_>| {
            let what = "the clock of a peer";
            let peer = Life(u64::from_be_bytes(life.array(what)?));
            Ok(PeerClock { peer, offset_ms: reader.signed(what)?, measured_ms: reader.unsigned(what)? })
        };
        found.push(read(Reader::new(&key[OFFSET_NOTES.len()..]), Reader::new(&note)).map_err(damaged)?);
    }
    Ok(found)
}

/// Notes what was measured, and forgets what is of no use any more.
fn put_offset<S: Store>(store: &mut S, measured: &PeerClock) -> Result<(), StoreError> {
    let key = |peer: Life| [OFFSET_NOTES, &peer.0.to_be_bytes()].concat();
    let mut of_use = offsets(store, measured.measured_ms)?;
    of_use.retain(|known| known.peer != measured.peer);
    while of_use.len() >= ASKED {
        let oldest = (0..of_use.len()).min_by_key(|at| of_use[*at].measured_ms).unwrap_or(0);
        of_use.remove(oldest);
    }
    for (known, _) in store.notes_after(OFFSET_NOTES, &[], usize::MAX)? {
        if !of_use.iter().any(|clock| key(clock.peer) == known) {
            store.set_note(&known, None)?;
        }
    }
    let mut note = Vec::new();
    put_signed(&mut note, measured.offset_ms);
    put_unsigned(&mut note, measured.measured_ms);
    store.set_note(&key(measured.peer), Some(&note))
}

fn damaged(error: DecodeError) -> StoreError {
    StoreError::Corrupt { detail: alloc::format!("a note of clocks: {error}") }
}
