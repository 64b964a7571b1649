//! Applying what comes from peers: batches are put aside until their checkpoint comes, and then merged at once.

use alloc::vec::Vec;

use super::beyond::any_beyond;
use super::contact::Acknowledged;
use super::exchange::session_key;
use super::loading::Found;
use super::merge::Merge;
use super::refuse::{self, Verdicts};
use super::reject::may_be_refused;
use super::runs::{Runs, Trail};
use super::scoped::Subscription;
use super::{Replica, contact, loading, transact, undo};
use crate::codec::{DecodeError, Dictionary, Reader, decode_batch};
use crate::document::{Address, Document};
use crate::event::{ChangeEvent, Origin};
use crate::limits::Limits;
use crate::refusal::Judge;
use crate::scope::Scope;
use crate::small_map::SmallMap;
use crate::store::{Access, Durability, Life, PeerRecord, Store, StoreError};
use crate::{Dot, ReplicaId};

/// The end of a run of batches from a peer: from here on its state is part of ours.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Whose.
    pub peer: Life,
    /// Under which id it writes.
    pub replica: ReplicaId,
    /// The position in its change order that the batches lead to.
    pub cursor: u64,
    /// What it has seen there and we may not have.
    pub context: Vec<Dot>,
    /// The batch that came with the checkpoint, after those that were staged.
    pub documents: Vec<(Address, Document)>,
    /// What the peer lets us read, as it numbers it; 0 for everything. Under another one than before, its change order is
    /// read from the start, and the cursor with it.
    pub scope: u64,
    /// The number that the session [began](Replica::begin_session) with; 0 for what comes from no session.
    pub session: u64,
}

/// What [`Replica::apply_run`] reads next.
#[derive(Clone, Debug)]
pub enum RunPart {
    /// Some of the cells.
    Batch(Vec<(Address, Document)>),
    /// What they lead to. Its own documents are not looked at.
    End(Checkpoint),
}

/// What a session knows of itself when it applies something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The runs that the peer told when the session began.
    pub trail: Trail,
    /// The session may have staged something for this checkpoint: it must not be applied after another session with the peer
    /// has begun, which forgot what was staged.
    pub has_staged: bool,
    /// The [generation](Subscription::generation) of our subscription that the peer was told of: nothing is applied under
    /// another one.
    pub generation: Option<u64>,
    /// What the peer claims to have seen holds for less than our scope, so it is not taken over.
    pub doubted: bool,
}

/// What a checkpoint did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The position that it took in our change order, when that holds nothing but what the peer sent: it need not be sent
    /// back. `None` when it brought nothing new.
    pub sequence: Option<u64>,
    /// Cells that changed.
    pub cells: u64,
    /// The number of the last refusal that the peer has not heard of; 0 when there is none.
    pub refused: u64,
    /// Nothing was applied, because the peer has to take something back first.
    pub held: bool,
    /// A first sync ended here, at this position of our change order; see [`Serves::scan_before`](super::Serves::scan_before).
    pub loaded: Option<u64>,
    /// What it loaded did not all come from this peer.
    pub loaded_from_others: bool,
}

/// What becomes of a checkpoint that holds something which is refused.
#[derive(Clone, Copy)]
pub struct Judgement<'j> {
    /// Who refuses.
    pub judge: &'j Judge<'j>,
    /// Whether the peer may read a document. What is held already is asked about again where it may not: else it could find
    /// out by trial what is there.
    pub may_read: &'j dyn Fn(&Address) -> bool,
    /// The peer takes back what is refused, and sends the rest again: until then nothing is applied. Otherwise the rest is
    /// applied, and lacks what the refused changes had replaced of it.
    pub hold: bool,
}

impl<S: Store> Replica<S> {
    /// Puts a batch from a peer aside until its checkpoint comes. It is not part of the state, not shown and not sent on.
    ///
    /// # Errors
    /// [`ApplyError::Superseded`] when another session of the same peer has begun meanwhile; nothing is changed.
    pub fn stage(&mut self, peer: Life, session: u64, batch: &[u8]) -> Result<(), ApplyError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            check_session(store, peer, session)?;
            Ok(store.stage(peer, batch)?)
        })
    }

    /// Forgets what was put aside for a peer, because it will be sent again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError> {
        transact(&mut self.store, Access::Write, Durability::Visible, |store| store.clear_staged(peer))
    }

    /// Merges all that was staged for a peer and what came with the checkpoint, moves the cursor, and learns what the
    /// peer has seen: in one durable transaction, or not at all.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is changed.
    pub fn apply(&mut self, checkpoint: Checkpoint) -> Result<Applied, ApplyError> {
        self.apply_judged(checkpoint, None)
    }

    /// As [`Replica::apply`], but for the changes that a judge refuses: they are left out whole, and noted until the peer
    /// has heard of it; see [`Replica::refusals`]. What the peer claims to have seen is not believed: what it passes on
    /// of others may have been refused, and then has to come from elsewhere.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is changed.
    pub fn apply_judged(
        &mut self,
        checkpoint: Checkpoint,
        judgement: Option<Judgement<'_>>,
    ) -> Result<Applied, ApplyError> {
        self.apply_arrived(checkpoint, judgement, &Arrival::default())
    }

    /// As [`Replica::apply_judged`], for a session.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is changed.
    pub fn apply_arrived(
        &mut self,
        mut checkpoint: Checkpoint,
        judgement: Option<Judgement<'_>>,
        arrival: &Arrival,
    ) -> Result<Applied, ApplyError> {
        let believe = judgement.is_none() && !arrival.doubted;
        let horizon = self.horizon();
        let (peer, cursor) = (checkpoint.peer, checkpoint.cursor);
        let Self { store, collections, limits, events, present, twice, .. } = self;
        let (applied, event) = transact(store, Access::Write, Durability::Durable, |store| {
            if arrival.has_staged || store.staged(checkpoint.peer, 0)?.is_some() {
                check_session(store, checkpoint.peer, checkpoint.session)?;
            }
            let scope = scope_under(store, arrival.generation)?;
            let mut head = store.head()?;
            let own = Dot::new(head.replica, head.counter);
            // From a peer that is not believed, it proves nothing.
            let ahead = |dot: &Dot| dot.replica == own.replica && dot.counter > own.counter;
            if judgement.is_none() && checkpoint.context.iter().any(ahead) {
                return Err(ApplyError::Forked);
            }
            let mut verdicts = Verdicts::default();
            if let Some(judgement) = judgement {
                // All of a change is looked at before any of it is taken.
                let mut index = 0;
                while let Some(documents) = staged(store, checkpoint.peer, index, limits)? {
                    verdicts.judge(store, judgement, &documents)?;
                    index += 1;
                }
                verdicts.judge(store, judgement, &checkpoint.documents)?;
            }
            if judgement.is_some_and(|judgement| judgement.hold) && verdicts.any() {
                store.clear_staged(checkpoint.peer)?;
                // What is not noted now is refused when the peer sends it again.
                verdicts.note_some(store, checkpoint.peer)?;
                let refused = refuse::last(store, checkpoint.peer)?;
                return Ok((Applied { refused, held: true, ..Applied::default() }, None));
            }
            let keeps = may_be_refused(store, head.follows, checkpoint.peer)?;
            let mut merge = Merge::new(&mut head, collections, events.is_some(), horizon);
            if keeps {
                merge.keep_replaced();
            }
            let before = merge.sequence();
            let believed = if believe { &checkpoint.context[..] } else { &[] };
            let first_sync = loading::arrived(store, &mut merge, own, peer, believed)?;
            let mut index = 0;
            while let Some(documents) = staged(store, checkpoint.peer, index, limits)? {
                merge_all(store, &mut merge, own, &scope, verdicts.admitted(documents))?;
                index += 1;
            }
            let documents = core::mem::take(&mut checkpoint.documents);
            merge_all(store, &mut merge, own, &scope, verdicts.admitted(documents))?;
            if !verdicts.note(store, checkpoint.peer)? {
                return Err(ApplyError::TooManyRefusals);
            }
            if index > 0 {
                store.clear_staged(checkpoint.peer)?;
            }
            if judgement.is_none() {
                check_own(store, &merge, own, twice)?;
            }
            let (cells, recalled) = (merge.cells, merge.recalled);
            let rises = cursor > store.peer(peer)?.map_or(0, |peer| peer.cursor);
            contact::heard(store, present.get(&peer), peer, rises, &arrival.trail)?;
            let loads = first_sync == Found::GoesOn;
            let event = conclude(store, merge, own, &checkpoint, (believe, loads))?;
            store.set_head(&head)?;
            let (loaded, loaded_from_others) = match first_sync {
                Found::Ends { at, alone } => (Some(at), !alone),
                Found::Nothing | Found::GoesOn => (None, false),
            };
            // What was recalled is more than an echo, and so is what others brought.
            let is_echo = head.sequence > before && !recalled && !loaded_from_others;
            let sequence = is_echo.then_some(head.sequence);
            let refused = if judgement.is_some() { refuse::last(store, checkpoint.peer)? } else { 0 };
            Ok((Applied { sequence, cells, refused, held: false, loaded, loaded_from_others }, event))
        })?;
        if !applied.held {
            contact::has_heard(present.get_mut(&peer), cursor);
        }
        if let Some(events) = events {
            events.add(event);
        }
        Ok(applied)
    }

    /// As [`Replica::apply`], with batches that are read one after the other within the transaction instead of staged
    /// before it: from a file, say. The checkpoint comes last. Nobody else can write to the store meanwhile, and no judge
    /// is asked.
    ///
    /// A checkpoint without context and with cursor 0 merges cells and claims nothing: for what came with a gap before it.
    /// Such a one ends no first sync that is under way.
    /// `trail` is of the runs of its author when it was written, which had durably applied our change order up to `acked`
    /// then.
    ///
    /// # Errors
    /// Those of `next`, and [`ApplyError`]; nothing is changed.
    pub fn apply_run<E: From<ApplyError> + From<StoreError>>(
        &mut self,
        trail: &Trail,
        acked: u64,
        mut next: impl FnMut() -> Result<RunPart, E>,
    ) -> Result<Applied, E> {
        let horizon = self.horizon();
        let Self { store, collections, events, present, twice, .. } = self;
        let (applied, event, kept) = transact(store, Access::Write, Durability::Durable, |store| {
            let mut head = store.head()?;
            let (own, life) = (Dot::new(head.replica, head.counter), head.life);
            let scope = Subscription::read(store)?.scope;
            let mut merge = Merge::new(&mut head, collections, events.is_some(), horizon);
            let checkpoint = loop {
                match next()? {
                    RunPart::Batch(documents) => merge_all(store, &mut merge, own, &scope, documents)?,
                    RunPart::End(checkpoint) => break checkpoint,
                }
            };
            if checkpoint.context.iter().any(|dot| dot.replica == own.replica && dot.counter > own.counter) {
                return Err(ApplyError::Forked.into());
            }
            check_own(store, &merge, own, twice)?;
            let (cells, before) = (merge.cells, merge.sequence());
            // What was once written here comes back: that makes no peer of oneself.
            let event = if checkpoint.peer == life {
                let loads = loading::is_under_way(store)?;
                take_step(store, merge, checkpoint.replica, loads)?
            } else {
                let claims = &checkpoint.context;
                let loads = if checkpoint.cursor == 0 {
                    loading::is_under_way(store)?
                } else {
                    loading::arrived(store, &mut merge, own, checkpoint.peer, claims)? == Found::GoesOn
                };
                contact::heard_of(store, checkpoint.peer, trail)?;
                conclude(store, merge, own, &checkpoint, (true, loads))?
            };
            store.set_head(&head)?;
            let mut kept = None;
            if acked > 0 {
                let (peer, acked) =
                    (checkpoint.peer, Acknowledged { sequence: acked, ..Acknowledged::default() });
                let present = present.get_mut(&peer);
                kept = contact::note_acknowledged(store, present, peer, checkpoint.replica, acked)?;
            }
            let sequence = (head.sequence > before).then_some(head.sequence);
            Ok::<_, E>((Applied { sequence, cells, ..Applied::default() }, event, kept))
        })?;
        self.kept = self.kept.max(kept.unwrap_or(0));
        if let Some(events) = events {
            events.add(event);
        }
        Ok(applied)
    }
}

/// Fails when another session of the peer has begun since: what is put aside is that one's.
pub(super) fn check_session<S: Store>(store: &mut S, peer: Life, session: u64) -> Result<(), ApplyError> {
    if session != 0 && store.note(&session_key(peer))?.as_deref() != Some(&session.to_be_bytes()[..]) {
        return Err(ApplyError::Superseded);
    }
    Ok(())
}

/// What we subscribe to. Fails when that has changed since a peer was told of it.
pub(super) fn scope_under<S: Store>(store: &mut S, told: Option<u64>) -> Result<Scope, ApplyError> {
    let Subscription { generation, scope, .. } = Subscription::read(store)?;
    if told.is_some_and(|told| told != generation) { Err(ApplyError::ScopeChanged) } else { Ok(scope) }
}

/// Fails when something came that was written under our own id, and was not known here: then somebody else writes under it,
/// or this store has lost something. One that follows a server is told of its own changes after it took them back; one that
/// keeps no runs could not say what it has written since; and one whose scope was wider before has let go of own changes.
/// `twice` becomes the first own transaction that differs.
pub(super) fn check_own<S: Store>(
    store: &mut S,
    merge: &Merge<'_>,
    own: Dot,
    twice: &mut Option<u64>,
) -> Result<(), ApplyError> {
    let Some(first) = merge.first_of(own.replica) else { return Ok(()) };
    let lets_go = store.head()?.follows || !Subscription::read(store)?.vouches_for_own();
    if lets_go || Runs::of(store)?.present() == 0 {
        return Ok(());
    }
    *twice = Some(first);
    Err(ApplyError::Forked)
}

/// A batch that was put aside, read.
pub(super) fn staged<S: Store>(
    store: &mut S,
    peer: Life,
    index: u64,
    limits: &Limits,
) -> Result<Option<Vec<(Address, Document)>>, ApplyError> {
    let Some(bytes) = store.staged(peer, index)? else { return Ok(None) };
    Ok(Some(decode_batch(&mut Reader::new(&bytes), &mut Dictionary::new(), limits)?))
}

/// After the cells of a checkpoint: learns what the peer has seen, if it is believed, takes the step in the change order, and
/// moves the cursor.
fn conclude<S: Store>(
    store: &mut S,
    mut merge: Merge<'_>,
    own: Dot,
    checkpoint: &Checkpoint,
    (believe, loads): (bool, bool),
) -> Result<Option<ChangeEvent>, StoreError> {
    let before = merge.sequence();
    let mut rose = false;
    let believed = if believe { &checkpoint.context[..] } else { &[] };
    for dot in believed.iter().filter(|dot| dot.replica != own.replica) {
        if loads {
            loading::hold(store, *dot)?;
        } else {
            rose |= store.raise_context(*dot, before + 1)?;
        }
    }
    if loads && !merge.is_empty() {
        loading::brought(store, checkpoint.peer)?;
    }
    if rose && merge.is_empty() {
        merge.append(store)?;
    }
    let event = take_step(store, merge, checkpoint.replica, loads)?;
    let known = store.peer(checkpoint.peer)?;
    let acked = known.map_or(0, |peer| peer.acked);
    let its_own = checkpoint.context.iter().find(|dot| dot.replica == checkpoint.replica);
    let claimed = known.filter(|peer| peer.replica == checkpoint.replica).map_or(0, |peer| peer.claimed);
    let claimed = claimed.max(its_own.map_or(0, |dot| dot.counter));
    let known = known.filter(|peer| peer.scope == checkpoint.scope).map_or(0, |peer| peer.cursor);
    let cursor = known.max(checkpoint.cursor);
    store.set_peer(&PeerRecord {
        life: checkpoint.peer,
        replica: checkpoint.replica,
        cursor,
        acked,
        scope: checkpoint.scope,
        claimed,
    })?;
    Ok(event)
}

/// Takes the step in the change order for cells that came from a replica. While a first sync is under way it tells nothing.
fn take_step<S: Store>(
    store: &mut S,
    mut merge: Merge<'_>,
    from: ReplicaId,
    loads: bool,
) -> Result<Option<ChangeEvent>, StoreError> {
    let replaced = merge.take_replaced();
    let (sequence, origin) = (merge.sequence() + 1, Origin::Peer(from));
    let event = if loads { merge.finish_untold(store, origin)? } else { merge.finish(store, origin)? };
    undo::keep(store, sequence, &replaced)?;
    Ok(event)
}

/// Merges what is in our scope. A peer should send nothing else, and if it does, nobody would ever let go of that again.
fn merge_all<S: Store>(
    store: &mut S,
    merge: &mut Merge<'_>,
    own: Dot,
    scope: &Scope,
    mut documents: Vec<(Address, Document)>,
) -> Result<(), ApplyError> {
    if any_beyond(own, &documents) {
        return Err(ApplyError::Forked);
    }
    documents.retain(|(address, _)| scope.contains(address));
    // In the order of addresses, which is the order in which a database likes to be written.
    let mut sorted: SmallMap<Address, Document> = SmallMap::new();
    for (address, delta) in documents {
        let present = sorted.remove(&address);
        sorted.insert(address, present.map_or(delta.clone(), |present| present.merged(delta)));
    }
    for (address, delta) in sorted {
        let before = store.document(&address)?.unwrap_or_default();
        merge.document(store, &address, before, delta)?;
    }
    Ok(())
}

/// A checkpoint that was not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A staged batch is damaged: drop it and sync again.
    #[error("a batch that was put aside is damaged: {0}")]
    Staged(#[from] DecodeError),
    /// The peer has transactions of ours that we do not know: this store is a restored or copied one. Go on under another
    /// id with [`Replica::heal`], and sync again.
    #[error("the peer has something of this replica that it does not have itself; it needs a new identity")]
    Forked,
    /// So much of what the peer brought was refused, and it never took notice, that no more is noted. Let it sync with a
    /// version that takes refusals back, or give it the rights.
    #[error("the peer has left too many refused changes unheard; nothing more is taken from it")]
    TooManyRefusals,
    /// This replica has subscribed to another part of the namespace since the session began. Start a new one.
    #[error("this replica has subscribed to another scope since the session began; start a new session")]
    ScopeChanged,
    /// Another session with the same peer has begun; this one is over.
    #[error("another session with the same peer has begun; this one is over")]
    Superseded,
}
