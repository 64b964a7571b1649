//! Writing a bundle: as a session's run, but nobody answers.

use std::io::{self, Write};

use crdt_core::codec::{Dictionary, encode_batch};
use crdt_core::{
    Address, Document, Dot, Head, PeerRecord, Position, Replica, ReplicaId, Store, StoreError, Trail,
    VersionVector,
};

use super::format::{Acks, Base, End, Header, MAX_ACKS};
use super::frames::{FrameWriter, Kind};
use crate::drive::Endpoint;
use crate::message::MAX_ENTRIES;

/// Documents read at a time.
const PAGE: usize = 64;
/// About how many bytes of cells go into one frame.
const FRAME_WEIGHT: usize = 64 << 10;

/// Whom a bundle is for, which decides what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum For {
    /// Whoever gets it: everything that there is here.
    Anyone,
    /// A peer: what came after that which it has told to have durably applied, in a session or with a bundle of its own.
    /// Everything, if it never told.
    Peer(ReplicaId),
    /// Whoever has seen all these: see [`Replica::seen`].
    Holder(VersionVector),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Bytes.
    pub bytes: u64,
    /// Documents with something in it; one that changed meanwhile counts again.
    pub documents: u64,
    /// The position in this store's change order that the bundle leads to.
    pub sequence: u64,
}

/// A bundle that was not written to its end. What was written is no bundle: an import refuses it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// What it is written to failed.
    #[error("the bundle cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This store follows a server, which decides what counts; a bundle would spread what it may yet refuse. Sync with the
    /// server, which can export.
    #[error(
        "this database follows a server, and a bundle would spread what it may refuse; export at the server"
    )]
    Follows,
    /// The first sync of this store has not come to its end, and a bundle would spread halves of transactions. Sync, or
    /// give up what is missing with [`Replica::stop_loading`].
    #[error("the first sync of this database has not come to its end; sync, then export")]
    Loading,
    /// The store was given a new identity meanwhile. Export again.
    #[error("this store was given a new identity while it was exported; export again")]
    IdentityChanged,
}

/// Writes a bundle. Reads a page at a time, so memory does not grow with the data and others can use the replica in
/// between; what they commit meanwhile is part of the bundle. `now_ms` is told to the importer.
///
/// # Errors
/// [`ExportError`].
pub fn export(
    replica: &mut impl Endpoint,
    audience: &For,
    out: impl Write,
    now_ms: u64,
) -> Result<Exported, ExportError> {
    let Plan { head, trail, base, acks } = replica.with(|replica| plan(replica, audience))?;
    let serves = replica.with(Replica::serves)?;
    if head.follows {
        return Err(ExportError::Follows);
    }
    let mut frames = FrameWriter::new(out, &head.namespace)?;
    let header = Header {
        namespace: *head.namespace.id(),
        replica: head.replica,
        life: head.life,
        written_ms: now_ms,
        trail,
        base,
        acks,
    };
    frames.write(Kind::Header, &header.encode())?;
    let mut writer = CellWriter { frames, dictionary: Dictionary::new(), written: 0, documents: 0 };
    let (sequence, context_since) = match header.base {
        Base::Position(sequence) => (sequence, sequence),
        Base::Seen(seen) => {
            let seen = seen.into_iter().collect();
            writer.scan(replica, &seen)?;
            (head.sequence, 0)
        }
    };
    let mut next = Position { sequence, documents: 0 };
    let mut evictions = serves.evictions;
    let vouches = replica.with(Replica::subscription)?.vouched.is_everything();
    loop {
        let from = next;
        let window = replica.with(|replica| {
            let window = replica.window_for_peer(next, PAGE, context_since, |_| false)?;
            // What was read is durable before it leaves.
            if window.head.offered < window.head.counter {
                replica.offer()?;
            }
            Ok::<_, StoreError>(window)
        })?;
        if window.head.life != head.life {
            return Err(ExportError::IdentityChanged);
        }
        next = window.next;
        if window.serves.evictions != evictions && from.documents > 0 {
            // A step may name fewer documents now: it is read from its start.
            (evictions, next) = (window.serves.evictions, Position { documents: 0, ..from });
            continue;
        }
        let reaches_head = window.reaches_head();
        writer.cells(window.documents)?;
        if reaches_head {
            return writer.end(&window.head, window.context, vouches);
        }
    }
}

/// From where on, and what is told of peers.
struct Plan {
    head: Head,
    trail: Trail,
    base: Base,
    acks: Acks,
}

fn plan<S: Store>(replica: &mut Replica<S>, audience: &For) -> Result<Plan, ExportError> {
    let ((head, trail), peers, serves) = (replica.introduction()?, replica.peers()?, replica.serves()?);
    if serves.loading {
        return Err(ExportError::Loading);
    }
    let is_addressee = |id: ReplicaId| !matches!(audience, For::Peer(peer) if *peer != id);
    let base = match audience {
        For::Holder(seen) => Base::Seen(seen.iter().collect()),
        For::Anyone => Base::Seen(Vec::new()),
        For::Peer(_) => {
            // One id may have had several lives; what all of them have is surely there.
            let acked = peers.iter().filter(|peer| is_addressee(peer.replica)).map(|peer| peer.acked).min();
            // An ack beyond the head is of a history that this store has lost.
            // One from before our own first sync does not cover what that brought.
            match acked.filter(|acked| (serves.scan_before..=head.sequence).contains(acked)) {
                None | Some(0) => Base::Seen(Vec::new()),
                Some(acked) => Base::Position(acked),
            }
        }
    };
    let told = peers.iter().filter(|peer| peer.cursor > 0 && is_addressee(peer.replica));
    let mut acks = Acks::new();
    for PeerRecord { life, .. } in told.take(MAX_ACKS) {
        acks.push((*life, replica.remembered(*life)?));
    }
    Ok(Plan { head, trail, base, acks })
}

struct CellWriter<W> {
    frames: FrameWriter<W>,
    /// Frames are read in their order, so they name what was mentioned before.
    dictionary: Dictionary,
    written: u64,
    documents: u64,
}

impl<W: Write> CellWriter<W> {
    /// Looks at every document, and writes the cells that are not seen.
    fn scan(&mut self, replica: &mut impl Endpoint, seen: &VersionVector) -> Result<(), ExportError> {
        let mut after = None;
        loop {
            let page = replica.with(|replica| {
                let page = replica.difference(seen, after.as_ref(), PAGE)?;
                replica.offer()?;
                Ok::<_, StoreError>(page)
            })?;
            self.cells(page.documents)?;
            after = page.after;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn cells(&mut self, documents: Vec<(Address, Document)>) -> io::Result<()> {
        self.documents += documents.len() as u64;
        let (mut batch, mut weight) = (Vec::new(), 0);
        for (address, document) in documents {
            for part in document.split(FRAME_WEIGHT) {
                let part_weight = part.weight() + 20;
                if weight > 0 && weight + part_weight > FRAME_WEIGHT {
                    self.frame(&std::mem::take(&mut batch))?;
                    weight = 0;
                }
                batch.push((address.clone(), part));
                weight += part_weight;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.frame(&batch) }
    }

    fn frame(&mut self, batch: &[(Address, Document)]) -> io::Result<()> {
        let mut body = Vec::new();
        let documents = batch.iter().map(|(address, document)| (address, document));
        encode_batch(&mut body, &mut self.dictionary, documents);
        self.written += 1;
        self.frames.write(Kind::Cells, &body)
    }

    fn end(mut self, head: &Head, mut context: Vec<Dot>, vouches: bool) -> Result<Exported, ExportError> {
        if context.len() >= MAX_ENTRIES || !vouches {
            // Too long to be told, or not to be believed: of a part, or with a part missing. Not knowing it costs the importer bytes later, not changes.
            context.clear();
        }
        if head.counter > 0 && vouches {
            context.push(Dot::new(head.replica, head.counter));
        }
        let end = End { frames: self.written, sequence: head.sequence, root: head.root, context };
        self.frames.write(Kind::End, &end.encode())?;
        Ok(Exported { bytes: self.frames.finish()?, documents: self.documents, sequence: head.sequence })
    }
}
