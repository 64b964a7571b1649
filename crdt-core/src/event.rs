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
    /// More documents changed than are listed: read again what is on the screen.
    pub and_more: bool,
}

impl ChangeEvent {
    /// Documents that one event lists.
    pub const LISTED: usize = 10_000;
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
