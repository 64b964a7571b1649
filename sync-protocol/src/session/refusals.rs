//! What we did not take of the peer's changes, told until it has heard.
//!
//! Some refusals go together: the documents that they name, as we hold them, in chunks, and then the message that says
//! which changes and why. So the other side can take the changes out and put ours in their place at once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crdt_core::codec::Dictionary;
use crdt_core::{Address, Dot, Life, Refusal, Replica, Store};

use super::outbound::{Batch, PAGE, batches, encode};
use super::status::SessionError;
use crate::message::{Message, Refused};

#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Known from its hello on.
    peer: Option<Life>,
    /// The numbers of the last refusal that there is, that was read for sending, that the peer has heard of.
    due: u64,
    told: u64,
    heard: u64,
    /// What was read and not yet sent.
    changes: Vec<(Dot, Refusal)>,
    queue: VecDeque<Batch>,
}

impl Refusals {
    pub(super) fn new(peer: Life) -> Self {
        Self { peer: Some(peer), ..Self::default() }
    }

    /// The next message, if the peer has to hear of something, and was told of our change order up to a position. Where that
    /// is not all, what we hold of the documents would show it halves of the transactions that it has yet to hear of.
    pub(super) fn next_message<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        position: u64,
        may_read: &dyn Fn(&Address) -> bool,
    ) -> Result<Option<Vec<u8>>, SessionError> {
        while self.changes.is_empty() {
            let Some(peer) = self.peer.filter(|_| self.told < self.due) else { return Ok(None) };
            let refusals = replica.refusals(peer, self.told, PAGE, may_read)?;
            if refusals.sequence > position {
                return Ok(None);
            }
            replica.offer()?;
            let Some(last) = refusals.changes.last() else {
                // The peer heard of them in another session. It is told all the same that there were some: what it has sent
                // here is not to be taken, and only its answer says where that ends.
                self.told = self.due;
                let nothing = Refused { through: self.told, changes: Vec::new(), batch: &[] };
                return Ok(Some(Message::Refused(nothing).encode()));
            };
            self.told = last.number;
            self.queue = batches(refusals.documents).into();
            self.changes = refusals.changes.into_iter().map(|change| (change.dot, change.refusal)).collect();
        }
        let batch = self.queue.pop_front();
        let batch = batch.map(|batch| encode(&mut Dictionary::new(), &batch)).unwrap_or_default();
        if !self.queue.is_empty() {
            return Ok(Some(Message::Chunk(&batch).encode()));
        }
        let changes = core::mem::take(&mut self.changes);
        Ok(Some(Message::Refused(Refused { through: self.told, changes, batch: &batch }).encode()))
    }

    pub(super) fn due(&mut self, last: u64) {
        self.due = self.due.max(last);
    }

    pub(super) fn heard(&mut self, through: u64) {
        self.heard = self.heard.max(through);
    }

    pub(super) const fn last_due(&self) -> u64 {
        self.due
    }

    pub(super) const fn told(&self) -> u64 {
        self.told
    }

    /// The number of the last refusal that the peer has not heard of; 0 when there is none.
    pub(super) const fn unheard(&self) -> u64 {
        if self.heard < self.due { self.due } else { 0 }
    }
}
