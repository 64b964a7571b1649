//! What we take: chunks are put aside, a checkpoint applies them, a push applies at once.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crdt_core::codec::{DecodeError, Dictionary, Reader, decode_batch};
use crdt_core::{
    Acquaintance, Address, Applied, Arrival, Asked, Document, Dot, FirstSync, Judgement, Limits, Loading,
    Replica, Store, Withdrawal,
};

use super::status::SessionError;
use crate::message::{By, Checkpoint, Hello, Part, Push, Refused, Want};

#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// How far into the peer's change order we have durably applied.
    cursor: u64,
    /// A checkpoint came in this session, so pushes have something to follow.
    following: bool,
    /// The peer's own transactions that we have.
    peer_counter: u64,
    dictionary: Dictionary,
    /// A push that was read, which advanced the dictionary, and that the store then failed to take.
    unapplied: Option<Vec<(Address, Document)>>,
    /// What the peer lets us read, as it numbers it.
    scope: u64,
    /// The number of the last refusal that the peer announced, and of the last one that it told.
    refusals: (u64, u64),
    hold: Hold,
    peer_may: PeerMay,
    /// Tells this session with the peer from others.
    session: u64,
    /// Chunks of the present run were put aside.
    has_staged: bool,
    /// What we asked for.
    asked: Option<Asked>,
    /// We asked for a first sync, in parts.
    first_sync: Option<FirstSync>,
}

/// What the peer may do here.
#[derive(Clone, Copy, Debug, Default)]
struct PeerMay {
    /// Read everything.
    read_all: bool,
    /// Write what passes our judgement only, so all of a run is looked at before any of it is taken.
    write_judged: bool,
}

/// Whether nothing is taken from a peer that has something to take back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    /// It does not take back.
    #[default]
    Never,
    /// It does, and there is nothing.
    Ready,
    /// It has not heard yet.
    Now,
}

impl Inbound {
    /// What we want of a peer that says this of itself.
    pub(super) fn greet<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        hello: &Hello,
        scope: u64,
        session: u64,
    ) -> Result<Want, SessionError> {
        let known = replica.begin_session(hello.life, hello.replica, scope, session)?;
        let Acquaintance { head, record: peer, asked, seen, memory } = known;
        let (scope, whole) = (asked.number, asked.subscription.scope.is_everything() && !asked.loading);
        self.scope = scope;
        // A cursor beyond the peer's head is one into a history that the peer has lost.
        self.cursor = if asked.cursor <= hello.sequence { asked.cursor } else { 0 };
        let claimed = peer.filter(|peer| peer.replica == hello.replica).map_or(0, |peer| peer.claimed);
        self.peer_counter = seen.max(claimed);
        self.session = session;
        self.asked = Some(asked);
        let new = self.cursor == 0 && hello.sequence > 0 && !self.peer_may.write_judged;
        self.first_sync = if new { replica.first_sync(hello.life, scope)? } else { None };
        // Whoever holds nothing lacks everything, and sums tell whoever may not read everything what is hidden. They are
        // compared only by sides that hold everything and can pass it on.
        let reconciles = self.cursor == 0
            && self.first_sync.is_none()
            && self.peer_may.read_all
            && scope == 0
            && whole
            && hello.root != head.root
            && hello.sequence > 0
            && head.sequence > 0;
        let by = if reconciles { By::Reconciling } else { By::Cursor };
        Ok(Want { cursor: self.cursor, seen_of_you: self.peer_counter, memory, by })
    }

    /// What we asked for.
    pub(super) const fn asked(&self) -> Option<&Asked> {
        self.asked.as_ref()
    }

    /// What is said of a first sync before the want.
    pub(super) const fn first_sync(&self) -> Option<&FirstSync> {
        self.first_sync.as_ref()
    }

    /// A part of a first sync. `None` when it was put aside, because meanwhile another peer's has come to its end.
    pub(super) fn part<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        peer: &Hello,
        part: Part<'_>,
        arrival: &Arrival,
    ) -> Result<Option<(Applied, Loading)>, SessionError> {
        if self.first_sync.is_none() {
            return Err(SessionError::Unexpected("a part of a first sync"));
        }
        let documents = decode(part.batch, &mut Dictionary::new(), replica.limits())?;
        let loaded = crdt_core::Part {
            peer: peer.life,
            replica: peer.replica,
            scope: self.scope,
            session: self.session,
            progress: part.progress,
            of: part.of,
            documents,
        };
        let loaded = replica.load(loaded, arrival)?;
        if loaded.is_none() {
            replica.stage(peer.life, self.session, part.batch)?;
            self.has_staged = true;
        }
        Ok(loaded)
    }

    /// Whether the peer's changes are judged.
    pub(super) fn judge(&mut self, judges: bool) {
        self.peer_may.write_judged = judges;
    }

    pub(super) fn chunk<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        peer: &Hello,
        batch: &[u8],
    ) -> Result<(), SessionError> {
        // It is read now so that damage is found now; it is kept as it came.
        decode(batch, &mut Dictionary::new(), replica.limits())?;
        replica.stage(peer.life, self.session, batch)?;
        self.has_staged = true;
        Ok(())
    }

    pub(super) fn checkpoint<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        peer: &Hello,
        checkpoint: Checkpoint<'_>,
        judge: Option<Judgement<'_>>,
        arrival: Arrival,
    ) -> Result<Applied, SessionError> {
        let arrival = self.arrival(arrival);
        let documents = match checkpoint.batch {
            [] => Vec::new(),
            batch => decode(batch, &mut Dictionary::new(), replica.limits())?,
        };
        let counter =
            checkpoint.context.iter().find(|dot| dot.replica == peer.replica).map(|dot| dot.counter);
        let checkpoint_here = crdt_core::Checkpoint {
            peer: peer.life,
            replica: peer.replica,
            cursor: checkpoint.sequence,
            context: checkpoint.context,
            documents,
            scope: self.scope,
            session: self.session,
        };
        let applied = replica.apply_arrived(checkpoint_here, judge, &arrival)?;
        self.has_staged = false;
        if applied.held {
            return Ok(applied);
        }
        self.cursor = self.cursor.max(checkpoint.sequence);
        self.peer_counter = counter.unwrap_or(0).max(self.peer_counter);
        self.following = true;
        Ok(applied)
    }

    pub(super) fn push<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        peer: &Hello,
        push: Push<'_>,
        judge: Option<Judgement<'_>>,
        arrival: Arrival,
    ) -> Result<Applied, SessionError> {
        if !self.following {
            return Err(SessionError::Unexpected("a live change before a checkpoint"));
        }
        let arrival = self.arrival(arrival);
        let overflow = DecodeError::Invalid("more steps than 64 bits can count");
        let cursor = self.cursor.checked_add(push.steps).ok_or(overflow)?;
        let counter = self.peer_counter.checked_add(push.own).ok_or(overflow)?;
        let documents = match (self.unapplied.take(), push.batch) {
            (Some(documents), _) => documents,
            (None, []) => Vec::new(),
            (None, batch) => decode(batch, &mut self.dictionary, replica.limits())?,
        };
        let mut context = push.context;
        if push.own > 0 {
            context.push(Dot::new(peer.replica, counter));
        }
        let checkpoint = crdt_core::Checkpoint {
            peer: peer.life,
            replica: peer.replica,
            cursor,
            context,
            documents: documents.clone(),
            scope: self.scope,
            session: self.session,
        };
        match replica.apply_arrived(checkpoint, judge, &arrival) {
            Ok(applied) => {
                self.has_staged = false;
                if !applied.held {
                    (self.cursor, self.peer_counter) = (cursor, counter);
                }
                Ok(applied)
            }
            Err(error) => {
                self.unapplied = Some(documents);
                Err(error.into())
            }
        }
    }

    /// The peer did not take some of our changes, and says what it holds instead.
    pub(super) fn refused<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        peer: &Hello,
        refused: Refused<'_>,
        obeys: bool,
    ) -> Result<Applied, SessionError> {
        let documents = match refused.batch {
            [] => Vec::new(),
            batch => decode(batch, &mut Dictionary::new(), replica.limits())?,
        };
        let applied = if obeys {
            let mut changes = BTreeMap::new();
            // One by one: collecting brings a sort along.
            for (dot, refusal) in refused.changes {
                changes.insert(dot, refusal);
            }
            let (life, replica_id, session) = (peer.life, peer.replica, self.session);
            replica.withdraw(Withdrawal {
                peer: life,
                session,
                replica: replica_id,
                refused: changes,
                documents,
            })?
        } else {
            replica.clear_staged(peer.life)?;
            Applied::default()
        };
        self.refusals.1 = self.refusals.1.max(refused.through);
        Ok(applied)
    }

    /// The peer will tell of refusals up to a number.
    pub(super) fn expect_refusals(&mut self, last: u64) {
        self.refusals.0 = self.refusals.0.max(last);
    }

    /// Where the cursor will be, and under which scope, after steps of the peer that are nothing but what we sent. 0: where it
    /// is.
    pub(super) const fn after_echo(&self, steps: u64) -> (u64, u64) {
        let steps = if self.following { steps } else { 0 };
        (self.cursor.saturating_add(steps), self.scope)
    }

    /// The peer's next steps are nothing but what we sent.
    pub(super) fn echoed(&mut self, steps: u64) {
        if self.following {
            self.cursor = self.cursor.saturating_add(steps);
        }
    }

    fn arrival(&self, arrival: Arrival) -> Arrival {
        Arrival { has_staged: self.has_staged, ..arrival }
    }

    pub(super) const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether the peer obeys, and whether there is something that it has to take back before anything is taken from it.
    pub(super) fn hold_while(&mut self, may_hold: bool, unheard: bool) {
        self.hold = match (may_hold, unheard) {
            (false, _) => Hold::Never,
            (true, false) => Hold::Ready,
            (true, true) => Hold::Now,
        };
    }

    /// Whether the peer may read everything.
    pub(super) fn read_by_all(&mut self, reads_all: bool) {
        self.peer_may.read_all = reads_all;
    }

    pub(super) const fn may_hold(&self) -> bool {
        !matches!(self.hold, Hold::Never)
    }

    pub(super) const fn holds(&self) -> bool {
        matches!(self.hold, Hold::Now)
    }

    /// Something was refused: what the peer says until it has heard is not for us.
    pub(super) fn hold(&mut self) {
        (self.hold, self.following) = (Hold::Now, false);
    }

    /// The peer has heard, and starts again.
    pub(super) fn let_go(&mut self) {
        (self.hold, self.unapplied, self.dictionary) = (Hold::Ready, None, Dictionary::new());
    }

    /// One of the two goes on under another id: everything is asked for anew.
    pub(super) fn begin_again(&mut self) {
        let hold = if self.may_hold() { Hold::Ready } else { Hold::Never };
        let Self { scope, peer_may, session, .. } = *self;
        *self = Self { scope, hold, peer_may, session, ..Self::default() };
    }

    pub(super) const fn caught_up(&self) -> bool {
        self.following && self.refusals.1 >= self.refusals.0
    }
}

/// Reads a batch.
fn decode(
    batch: &[u8],
    dictionary: &mut Dictionary,
    limits: &Limits,
) -> Result<Vec<(Address, Document)>, DecodeError> {
    decode_batch(&mut Reader::new(batch), dictionary, limits)
}
