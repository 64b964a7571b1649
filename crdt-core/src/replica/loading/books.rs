//! What is written down of a first sync that is under way.
//!
//! Notes under `loading`: that one is, with how many documents came and of how many, and which peer all of it came from.
//! Under the same and a zero byte, the life of a peer whose run has not come to its checkpoint: the scope and how far, or
//! nothing when it begins anew. And a 1, a replica: the last of its transactions of which parts brought cells. And a 2, a
//! replica: the last of its transactions that a checkpoint claims. Under `loaded`: the position before which the change
//! order does not tell everything.

use alloc::vec::Vec;

use super::{Loading, Progress};
use crate::codec::{Reader, put_unsigned};
use crate::reconcile::Summary;
use crate::replica::contact::Contact;
use crate::replica::merge::Merge;
use crate::replica::refuse::damaged;
use crate::store::{Life, Note, Store, StoreError};
use crate::{Dot, ReplicaId, VersionVector};

const LOADING: &[u8] = b"loading";
pub(super) const LOADED: &[u8] = b"loaded";
const RUNNING: &[u8] = b"loading\0";
const BROUGHT: &[u8] = b"loading\x01";
const CLAIMED: &[u8] = b"loading\x02";

/// Documents that a replica may hold and still be new.
const HARDLY_ANY: usize = 16;

/// Notes read at a time.
const PAGE: usize = 256;

/// Where what was brought while loading came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Nobody,
    One(Life),
    Several,
}

impl Source {
    fn and(self, peer: Life) -> Self {
        match self {
            Self::Nobody => Self::One(peer),
            Self::One(one) if one == peer => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// A first sync that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) loading: Loading,
    source: Source,
}

impl State {
    /// One that begins.
    pub(super) fn new() -> Self {
        Self { loading: Loading::default(), source: Source::Nobody }
    }

    pub(super) fn of<S: Store>(store: &mut S) -> Result<Option<Self>, StoreError> {
        let Some(note) = store.note(LOADING)? else { return Ok(None) };
        let mut reader = Reader::new(&note);
        let mut read = || reader.unsigned("a number of documents").map_err(damaged);
        let loading = Loading { documents: read()?, of: read()? };
        let source = match reader.rest() {
            [] => Source::Nobody,
            [_] => Source::Several,
            life => {
                let life = Reader::new(life).array("a life").map_err(damaged)?;
                Source::One(Life(u64::from_be_bytes(life)))
            }
        };
        Ok(Some(Self { loading, source }))
    }

    fn put<S: Store>(self, store: &mut S) -> Result<(), StoreError> {
        let mut note = Vec::new();
        put_unsigned(&mut note, self.loading.documents);
        put_unsigned(&mut note, self.loading.of);
        match self.source {
            Source::Nobody => {}
            Source::Several => note.push(0),
            Source::One(life) => note.extend_from_slice(&life.0.to_be_bytes()),
        }
        store.set_note(LOADING, Some(&note))
    }

    /// A part of a peer's run was merged, and that run has come so far.
    pub(super) fn part<S: Store>(
        self,
        store: &mut S,
        merge: &Merge<'_>,
        (peer, scope, progress): (Life, u64, &Progress),
    ) -> Result<(), StoreError> {
        let mut note = scope.to_be_bytes().to_vec();
        progress.put(&mut note);
        store.set_note(&running(peer), Some(&note))?;
        for dot in merge.last_dots() {
            raise(store, BROUGHT, dot)?;
        }
        Self { source: self.source.and(peer), ..self }.put(store)
    }
}

/// What a checkpoint finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replica) enum Found {
    /// No first sync is under way.
    Nothing,
    /// One is, and goes on.
    GoesOn,
    /// One was, and ends here: at this position of the change order, and whether all that it brought came from the peer whose
    /// checkpoint it is.
    Ends { at: u64, alone: bool },
}

/// A checkpoint of a peer is about to be applied, which claims so much: ends the first sync that is under way, if nothing is
/// there in half then.
pub(in crate::replica) fn arrived<S: Store>(
    store: &mut S,
    merge: &mut Merge<'_>,
    own: Dot,
    peer: Life,
    claims: &[Dot],
) -> Result<Found, StoreError> {
    let Some(state) = State::of(store)? else { return Ok(Found::Nothing) };
    store.set_note(&running(peer), None)?;
    if !store.notes_after(RUNNING, &[], 1)?.is_empty() && !are_claimed(store, own, claims)? {
        return Ok(Found::GoesOn);
    }
    Ok(Found::Ends { at: conclude(store, merge)?, alone: state.source == Source::One(peer) })
}

/// While a first sync is under way, a checkpoint of a peer brought something.
pub(in crate::replica) fn brought<S: Store>(store: &mut S, peer: Life) -> Result<(), StoreError> {
    match State::of(store)? {
        Some(state) => State { source: state.source.and(peer), ..state }.put(store),
        None => Ok(()),
    }
}

/// Keeps something that a checkpoint claims for the end of the first sync.
pub(in crate::replica) fn hold<S: Store>(store: &mut S, claim: Dot) -> Result<(), StoreError> {
    raise(store, CLAIMED, claim)
}

/// Whether a first sync has begun and not come to its end.
pub(in crate::replica) fn is_under_way<S: Store>(store: &mut S) -> Result<bool, StoreError> {
    Ok(store.note(LOADING)?.is_some())
}

/// Whether a peer that has the rest of a first sync was met since then; also true when nothing is waited for.
pub(super) fn was_met<S: Store>(store: &mut S, since_ms: u64) -> Result<bool, StoreError> {
    let awaited = all_notes(store, RUNNING)?;
    for (key, _) in &awaited {
        let life = Reader::new(&key[RUNNING.len()..]).array("a life").map_err(damaged)?;
        if Contact::of(store, Life(u64::from_be_bytes(life)))?.met_ms >= since_ms {
            return Ok(true);
        }
    }
    Ok(awaited.is_empty())
}

/// Ends the first sync: what checkpoints claimed is claimed, and whatever was brought is told from this position on.
pub(super) fn conclude<S: Store>(store: &mut S, merge: &mut Merge<'_>) -> Result<u64, StoreError> {
    let at = merge.sequence() + 1;
    for claimed in take_dots(store, CLAIMED)? {
        store.raise_context(claimed, at)?;
    }
    take_dots(store, BROUGHT)?;
    for (key, _) in all_notes(store, RUNNING)? {
        store.set_note(&key, None)?;
    }
    // What was loaded is not in the steps by which sums are kept.
    Summary::void(store)?;
    store.set_note(LOADING, None)?;
    merge.append(store)?;
    let mut note = Vec::new();
    put_unsigned(&mut note, merge.sequence());
    store.set_note(LOADED, Some(&note))?;
    Ok(merge.sequence())
}

/// The cursors were given up, and with them what peers have claimed: all runs begin anew. What was loaded stays.
pub(in crate::replica) fn begin_anew<S: Store>(store: &mut S) -> Result<(), StoreError> {
    take_dots(store, CLAIMED)?;
    for (key, _) in all_notes(store, RUNNING)? {
        store.set_note(&key, Some(&[]))?;
    }
    Ok(())
}

/// Nothing of others was ever taken over, and there is hardly anything of one's own that halves of transactions could
/// show beside.
pub(super) fn is_new<S: Store>(store: &mut S) -> Result<bool, StoreError> {
    Ok(store.peers()?.iter().all(|peer| peer.cursor == 0)
        && store.context()?.is_empty()
        && store.documents_after(None, HARDLY_ANY + 1)?.len() <= HARDLY_ANY)
}

/// The scope and the progress of a peer's run; `None` when it has none, or begins anew.
pub(super) fn progress<S: Store>(store: &mut S, peer: Life) -> Result<Option<(u64, Progress)>, StoreError> {
    let note = store.note(&running(peer))?;
    let Some(note) = note.filter(|note| !note.is_empty()) else { return Ok(None) };
    let mut reader = Reader::new(&note);
    let scope = u64::from_be_bytes(reader.array("a scope").map_err(damaged)?);
    Ok(Some((scope, Progress::read(&mut reader, usize::MAX).map_err(damaged)?)))
}

/// Up to which position of a peer's change order its first sync has told us something; 0 when none is under way.
pub(in crate::replica) fn reached<S: Store>(store: &mut S, peer: Life) -> Result<u64, StoreError> {
    Ok(progress(store, peer)?.map_or(0, |(_, progress)| progress.sequence))
}

/// Whether everything that parts brought is claimed, by checkpoints before or by this one.
fn are_claimed<S: Store>(store: &mut S, own: Dot, claims: &[Dot]) -> Result<bool, StoreError> {
    let claims: VersionVector = claims.iter().copied().collect();
    let mut last = Vec::new();
    loop {
        let page = store.notes_after(BROUGHT, &last, PAGE)?;
        let Some((key, _)) = page.last() else { return Ok(true) };
        last.clone_from(key);
        for note in &page {
            let brought = read_dot(BROUGHT, note)?;
            let is_own = brought.replica == own.replica && brought.counter <= own.counter;
            if !is_own
                && !claims.contains(brought)
                && last_under(store, CLAIMED, brought.replica)? < brought.counter
                && store.context_of(brought.replica)? < brought.counter
            {
                return Ok(false);
            }
        }
    }
}

fn raise<S: Store>(store: &mut S, prefix: &[u8], dot: Dot) -> Result<(), StoreError> {
    if last_under(store, prefix, dot.replica)? >= dot.counter {
        return Ok(());
    }
    let mut note = Vec::new();
    put_unsigned(&mut note, dot.counter);
    store.set_note(&[prefix, dot.replica.as_bytes()].concat(), Some(&note))
}

fn last_under<S: Store>(store: &mut S, prefix: &[u8], replica: ReplicaId) -> Result<u64, StoreError> {
    match store.note(&[prefix, replica.as_bytes()].concat())? {
        Some(note) => Reader::new(&note).unsigned("a counter").map_err(damaged),
        None => Ok(0),
    }
}

fn read_dot(prefix: &[u8], (key, note): &Note) -> Result<Dot, StoreError> {
    let replica = Reader::new(&key[prefix.len()..]).array("a replica").map_err(damaged)?;
    let counter = Reader::new(note).unsigned("a counter").map_err(damaged)?;
    Ok(Dot::new(ReplicaId::from_bytes(replica), counter))
}

/// Reads what is under a prefix, and forgets it.
fn take_dots<S: Store>(store: &mut S, prefix: &[u8]) -> Result<Vec<Dot>, StoreError> {
    let notes = all_notes(store, prefix)?;
    for (key, _) in &notes {
        store.set_note(key, None)?;
    }
    notes.iter().map(|note| read_dot(prefix, note)).collect()
}

fn all_notes<S: Store>(store: &mut S, prefix: &[u8]) -> Result<Vec<Note>, StoreError> {
    let mut all: Vec<Note> = Vec::new();
    loop {
        let last = all.last().map(|(key, _)| key.clone()).unwrap_or_default();
        let page = store.notes_after(prefix, &last, PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn running(peer: Life) -> Vec<u8> {
    [RUNNING, &peer.0.to_be_bytes()].concat()
}
