//! What we take: chunks are put aside, a checkpoint applies them, a push applies at once.

use crdt_core::codec::{DecodeError, Dictionary, Reader, decode_batch};
use crdt_core::{Address, Applied, Document, Dot, Head, Limits, Replica, Store};

use super::status::SessionError;
use crate::message::{Checkpoint, Hello, MAX_VECTOR_ENTRIES, Push, Want};

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
}

impl Inbound {
    /// What we want of a peer that says this of itself.
    pub(super) fn greet<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        head: &Head,
        hello: &Hello,
    ) -> Result<Want, SessionError> {
        let known = replica.peer(hello.life)?.map_or(0, |peer| peer.cursor);
        // A cursor beyond the peer's head is one into a history that the peer has lost.
        self.cursor = if known <= hello.sequence { known } else { 0 };
        let seen = replica.seen()?;
        self.peer_counter = seen.get(hello.replica);
        replica.clear_staged(hello.life)?;
        let whole = self.cursor == 0 && seen.len() <= MAX_VECTOR_ENTRIES && hello.root != head.root;
        Ok(Want {
            cursor: self.cursor,
            seen_of_you: self.peer_counter,
            seen: whole.then(|| seen.iter().collect()),
        })
    }

    pub(super) fn chunk<S: Store>(
        replica: &mut Replica<S>,
        peer: &Hello,
        batch: &[u8],
    ) -> Result<(), SessionError> {
        // It is read now so that damage is found now; it is kept as it came.
        decode(batch, &mut Dictionary::new(), replica.limits())?;
        Ok(replica.stage(peer.life, batch)?)
    }

    pub(super) fn checkpoint<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        peer: &Hello,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Applied, SessionError> {
        let documents = match checkpoint.batch {
            [] => Vec::new(),
            batch => decode(batch, &mut Dictionary::new(), replica.limits())?,
        };
        let counter =
            checkpoint.context.iter().find(|dot| dot.replica == peer.replica).map(|dot| dot.counter);
        let applied = replica.apply(crdt_core::Checkpoint {
            peer: peer.life,
            replica: peer.replica,
            cursor: checkpoint.sequence,
            context: checkpoint.context,
            documents,
        })?;
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
    ) -> Result<Applied, SessionError> {
        if !self.following {
            return Err(SessionError::Unexpected("a live change before a checkpoint"));
        }
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
        };
        match replica.apply(checkpoint) {
            Ok(applied) => {
                (self.cursor, self.peer_counter) = (cursor, counter);
                Ok(applied)
            }
            Err(error) => {
                self.unapplied = Some(documents);
                Err(error.into())
            }
        }
    }

    /// The peer's next steps are nothing but what we sent. The store learns it with the next change.
    pub(super) fn echoed(&mut self, steps: u64) {
        if self.following {
            self.cursor = self.cursor.saturating_add(steps);
        }
    }

    pub(super) const fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(super) const fn caught_up(&self) -> bool {
        self.following
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
