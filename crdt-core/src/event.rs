//! [`ChangeEvent`]: what changed, from where, and whether it conflicted.

use alloc::vec::Vec;

use crate::document::{Address, Path};
use crate::{Dot, ReplicaId};

/// A committed change, local or from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEvent {
    /// The position in the local change order; events come in this order.
    pub sequence: u64,
    /// Where it came from.
    pub origin: Origin,
    /// The documents that changed, at most [`ChangeEvent::LISTED`] of them.
    pub documents: Vec<DocumentChange>,
    /// More documents changed than are listed, or more happened while nobody took events than is kept: read again what is on
    /// the screen.
    pub and_more: bool,
}

impl ChangeEvent {
    /// Documents that one event lists.
    pub const LISTED: usize = 10_000;
}

/// Events that nobody has taken yet, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: Vec<ChangeEvent>,
    /// Documents that these list in all.
    listed: usize,
}

impl Events {
    const WAITING: usize = 1_024;
    const LISTED: usize = 4 * ChangeEvent::LISTED;

    /// Keeps an event. Where many wait already, only that it happened.
    pub(crate) fn add(&mut self, event: Option<ChangeEvent>) {
        let Some(event) = event else { return };
        let is_full =
            self.waiting.len() >= Self::WAITING || self.listed + event.documents.len() > Self::LISTED;
        if let Some(last) = self.waiting.last_mut().filter(|_| is_full) {
            (last.sequence, last.and_more) = (event.sequence, true);
        } else {
            self.listed += event.documents.len();
            self.waiting.push(event);
        }
    }

    pub(crate) fn take(&mut self) -> Vec<ChangeEvent> {
        core::mem::take(self).waiting
    }
}

/// Where a change came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A commit here.
    Local(Dot),
    /// Received from a peer, which may have passed it on for others.
    Peer(ReplicaId),
    /// Nobody changed anything: the time of a parked change has come, and it is shown from now on.
    Clock,
}

/// What happened to one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentChange {
    /// Which document.
    pub address: Address,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The fields that were written, by path; a field may show the same as before.
    pub fields: Vec<FieldChange>,
}

/// What happened to a document as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was not there before: new, or brought back.
    Appeared,
    /// It was there before and is still.
    Updated,
    /// It was there before and is not any more.
    Disappeared,
    /// It was not there before and is not now: something was written into a deleted document.
    Hidden,
}

/// A field that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The names from the document down to the field.
    pub path: Path,
    /// The field now has several concurrent values. Only fields that keep them can tell; `lww` never does.
    pub conflicted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DocumentId;
    use crate::tries::or_under_miri;

    fn event(sequence: u64, documents: usize) -> ChangeEvent {
        let change = |n: usize| DocumentChange {
            address: Address::new("tasks", DocumentId::from_u64(n as u64)),
            kind: ChangeKind::Updated,
            fields: Vec::new(),
        };
        let documents = (0..documents).map(change).collect();
        ChangeEvent { sequence, origin: Origin::Clock, documents, and_more: false }
    }

    #[test]
    fn who_does_not_take_events_hears_that_there_were_more() {
        // The first has more events than wait, the second more documents than all of them list.
        // Under Miri the second would take minutes.
        let cases = [(1, or_under_miri(5_000, 1_030)), (ChangeEvent::LISTED, 6)];
        for (documents, last_sequence) in cases.into_iter().take(or_under_miri(2, 1)) {
            let mut events = Events::default();
            for sequence in 1..=last_sequence {
                events.add(Some(event(sequence, documents)));
            }
            let taken = events.take();
            let listed: usize = taken.iter().map(|event| event.documents.len()).sum();
            assert!(taken.len() <= Events::WAITING && listed <= Events::LISTED);
            assert_eq!(taken.len(), Events::WAITING.min(Events::LISTED / documents), "all that fit");
            let last = taken.last().expect("some");
            assert!(last.and_more && last.sequence == last_sequence);
            assert!(taken[..taken.len() - 1].iter().all(|event| !event.and_more));
            events.add(Some(event(9_000, 1)));
            assert_eq!(events.take(), [event(9_000, 1)], "there is room again");
        }
    }
}
