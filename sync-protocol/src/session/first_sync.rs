//! The first sync of a side that holds nothing of others yet: in parts that it applies at once.
//!
//! The side that asks says so before its want, with what it has of a run that was cut. The answer is a full run of which
//! every message but the last is a part: cells, and how far the run has come with them. See `crdt_core::Progress`.

use alloc::vec::Vec;

use crdt_core::codec::Dictionary;
use crdt_core::{Address, Applied, Document, Dot, FirstSync, Loading, Progress, Replica, Scanned, Store};

use super::Session;
use super::outbound::{Batch, encode};
use super::status::{SessionError, SessionEvent};
use crate::message::{Message, Part, Partial};

/// Our side of a first sync of the peer.
#[derive(Debug)]
pub(super) struct Loader {
    /// How far the peer has come with what was sent.
    progress: Progress,
    /// The whole page or window that is being sent leads to here.
    reaches: Progress,
    /// About how many documents there are.
    of: u64,
}

impl Loader {
    /// Begins a run, or goes on with one that was cut.
    pub(super) fn new<S: Store>(replica: &mut Replica<S>, asked: FirstSync) -> Result<Self, SessionError> {
        let (head, serves) = (replica.head()?, replica.serves()?);
        // A position beyond our head is one in a history that we have lost.
        let usable = |progress: &Progress| {
            progress.sequence <= head.sequence && progress.sequence >= serves.scan_before
        };
        let progress = asked.resume.filter(usable).unwrap_or(Progress::start(head.sequence));
        let of = replica.document_estimate()?;
        Ok(Self { reaches: progress.clone(), progress, of })
    }

    /// Where the change order goes on.
    pub(super) const fn sequence(&self) -> u64 {
        self.progress.sequence
    }

    /// What was looked at.
    pub(super) fn looked_at(&self) -> Scanned {
        self.progress.scanned.clone()
    }

    /// A page of documents was read, up to one; `None` when it was the last page.
    pub(super) fn scanned(&mut self, through: Option<&Address>) {
        self.reaches.scanned =
            through.map_or(Scanned::Everything, |address| Scanned::Through(address.clone()));
    }

    /// A window of the change order was read, up to a position.
    pub(super) fn stepped(&mut self, sequence: u64) {
        self.reaches.sequence = sequence;
    }

    /// A batch as the next part; `next` is the batch after it of the same page or window.
    pub(super) fn part(&mut self, batch: &Batch, next: Option<&Batch>) -> Vec<u8> {
        match next {
            None => self.progress = self.reaches.clone(),
            // A window is in the order of addresses, not of steps: it counts when all of it was sent.
            Some(_) if self.reaches.scanned == Scanned::Everything => {
                self.progress.scanned = Scanned::Everything;
            }
            Some(next) => {
                if let Some(address) = last_whole(batch, next) {
                    self.progress.scanned = Scanned::Through(address.clone());
                }
            }
        }
        let batch = encode(&mut Dictionary::new(), batch);
        let part = Part { of: self.of, progress: self.progress.clone(), batch: &batch };
        Message::Partial(Partial::Part(part)).encode()
    }
}

impl Session {
    /// The peer holds nothing of others yet.
    pub(super) fn load_asked<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        asked: FirstSync,
    ) -> Result<(), SessionError> {
        let head = replica.head()?;
        self.outbound.load(replica, asked)?;
        self.scopes.heard_load();
        self.without_sums(&head);
        Ok(())
    }

    /// Tells of a part of our first sync. What it changed here is not told by our change order.
    pub(super) fn loaded<S: Store>(&mut self, replica: &mut Replica<S>, loaded: Option<(Applied, Loading)>) {
        let Some((applied, Loading { documents, of })) = loaded else { return };
        if let Some(sequence) = applied.sequence {
            self.outbound.pass_untold(sequence);
            if let Some(life) = self.noted {
                replica.came_from(life, sequence);
            }
        }
        self.events.push_back(SessionEvent::Applied { cells: applied.cells, checkpoint: false });
        self.events.push_back(SessionEvent::Progress { documents, of });
    }

    /// Our first sync came to its end with a checkpoint of this peer, which has seen so much.
    pub(super) fn finished_loading<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        applied: &Applied,
        seen: Option<Vec<Dot>>,
    ) {
        let Some(position) = applied.loaded else { return };
        if let Some(life) = self.noted.filter(|_| !applied.loaded_from_others) {
            replica.came_from(life, position);
        }
        let seen = seen.filter(|_| self.scopes.peer_vouches()).unwrap_or_default();
        self.outbound.loaded(position, applied.loaded_from_others.then_some(&seen));
    }
}

/// The last document of a batch of which nothing is in the next one.
fn last_whole<'b>(batch: &'b [(Address, Document)], next: &Batch) -> Option<&'b Address> {
    let cut = next.first().map(|(address, _)| address);
    batch.iter().rev().map(|(address, _)| address).find(|address| Some(*address) != cut)
}
