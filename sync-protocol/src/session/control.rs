//! What a session has to say besides cells. However much a peer sends without reading, no more than a few messages wait.
//!
//! The handshake says each thing once. What answers the peer's messages, acknowledgements and receipts, waits once: the
//! later one says what the earlier would have said.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The messages that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Control {
    waiting: VecDeque<Waiting>,
}

/// One message that waits.
#[derive(Debug)]
pub(super) enum Waiting {
    Message(Vec<u8>),
    /// An acknowledgement, made when it leaves.
    Ack(OwedAck),
    /// A receipt for refusals up to a number.
    Heard(u64),
}

/// What an acknowledgement says beyond how far the session has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwedAck {
    /// Steps that are nothing but what the peer sent.
    pub(super) echo_steps: u64,
    /// A checkpoint was applied, so the peer wants to compare roots.
    pub(super) with_root: bool,
}

impl Control {
    pub(super) fn push_back(&mut self, message: Vec<u8>) {
        self.waiting.push_back(Waiting::Message(message));
    }

    pub(super) fn extend(&mut self, message: Option<Vec<u8>>) {
        self.waiting.extend(message.map(Waiting::Message));
    }

    /// Owes the peer an acknowledgement.
    pub(super) fn ack(&mut self, ack: OwedAck) {
        let owed = self.waiting.iter_mut().find_map(|waiting| match waiting {
            Waiting::Ack(owed) => Some(owed),
            _ => None,
        });
        if let Some(owed) = owed {
            owed.echo_steps += ack.echo_steps;
            owed.with_root |= ack.with_root;
        } else {
            self.waiting.push_back(Waiting::Ack(ack));
        }
    }

    /// Owes the peer a receipt.
    pub(super) fn heard(&mut self, through: u64) {
        let owed = self.waiting.iter_mut().find_map(|waiting| match waiting {
            Waiting::Heard(owed) => Some(owed),
            _ => None,
        });
        if let Some(owed) = owed {
            *owed = through.max(*owed);
        } else {
            self.waiting.push_back(Waiting::Heard(through));
        }
    }

    /// Drops all but messages of these kinds.
    pub(super) fn retain(&mut self, kinds: &[u8]) {
        self.waiting.retain(|waiting| match waiting {
            Waiting::Message(message) => message.first().is_some_and(|kind| kinds.contains(kind)),
            Waiting::Ack(_) | Waiting::Heard(_) => false,
        });
    }

    pub(super) fn pop_front(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use crdt_core::{
        DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId, TransactionError,
    };

    use crate::drive::pump;
    use crate::session::exchange::MAX_ECHOES;
    use crate::under_miri::or_under_miri;
    use crate::{Config, Session};

    fn replica(number: u64) -> Replica<MemoryStore> {
        let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
        Replica::new(MemoryStore::new(head))
    }

    fn set(replica: &mut Replica<MemoryStore>, id: u64, number: i64) {
        let written = replica.commit(1, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(id))?.set("number", number)?;
            Ok::<_, TransactionError>(())
        });
        written.unwrap();
    }

    /// Whatever comes, nothing that waits in the session grows with it.
    #[test]
    fn a_flood_of_changes_leaves_a_session_as_large_as_it_was() {
        let (mut a, mut b) = (replica(1), replica(2));
        let (mut at_a, mut at_b) = (Session::new(Config::new(1), 0), Session::new(Config::new(2), 0));
        pump(&mut at_a, &mut a, &mut at_b, &mut b, 0).unwrap();
        // Something of our own is not sent, so that what comes has to be remembered as an echo.
        set(&mut a, 9, 0);
        let flood = or_under_miri(2 * MAX_ECHOES, 30);
        for number in 0..i64::try_from(flood).unwrap() {
            set(&mut b, 1, number);
            let push = at_b.transmit(&mut b, 0).unwrap().unwrap();
            at_a.receive(&mut a, &push, 0).unwrap();
            assert!(at_a.control.len() <= 1, "{:?}", at_a.control);
            assert!(at_a.echoes.len() <= MAX_ECHOES);
        }
        assert_eq!(at_a.echoes.len(), flood.min(MAX_ECHOES), "this flood reaches the bound");
        pump(&mut at_a, &mut a, &mut at_b, &mut b, 0).unwrap();
        assert_eq!(a.head().unwrap().root, b.head().unwrap().root);
    }
}
