//! Taking a bundle in: one pass, one transaction.

use std::fmt;
use std::io::{self, BufReader, Read};

use crdt_core::codec::{DecodeError, Dictionary, Reader, decode_batch};
use crdt_core::{
    ApplyError, Checkpoint, Dot, Fingerprint, Fork, Head, Life, Limits, Memory, Renewal, Replica, ReplicaId,
    RunPart, Spare, Store, StoreError,
};

use super::format::{Base, End, Header};
use super::frames::{FrameReader, Kind};
use crate::drive::Endpoint;

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Who wrote the bundle.
    pub replica: ReplicaId,
    /// In which of its lives.
    pub life: Life,
    /// When, by its own wall clock, in milliseconds since 1970.
    pub written_ms: u64,
    /// Cells that changed here; 0 when everything was known.
    pub cells: u64,
    /// The position in the writer's change order that the bundle leads to.
    pub sequence: u64,
    /// What should have come before it and is not here; `None` when there is no gap.
    pub missing: Option<Missing>,
    /// After the import this store holds the same as the writer did.
    pub in_sync: bool,
    /// This store turned out to be a copy, or to have been set back, and goes on under another id.
    pub renewed: Option<Renewal>,
}

/// What is missing before a bundle. Its cells were merged all the same; import what is missing, or a bundle
/// [for anyone](super::For::Anyone), and then this one again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Steps of the writer's change order.
    Steps {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The bundle is for somebody who had seen these transactions, and all before them by the same replicas.
    Transactions(Vec<Dot>),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps { first, last } if first == last => {
                write!(f, "change {first} of that device is still missing")
            }
            Self::Steps { first, last } => {
                write!(f, "changes {first} to {last} of that device are still missing")
            }
            Self::Transactions(dots) => {
                write!(f, "changes that its addressee had are still missing, of {} devices", dots.len())
            }
        }
    }
}

/// A bundle that was not imported. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// What it is read from failed.
    #[error("the bundle cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("this is not a bundle")]
    NotABundle,
    /// It was cut: copy it again.
    #[error("the bundle is cut off; copy it again")]
    Truncated,
    /// Bytes were changed, frames are missing, out of order, or from another bundle: copy it again.
    #[error("the bundle is damaged; copy it again")]
    Damaged,
    /// Something follows its end: it is not one whole bundle.
    #[error("there are bytes after the end of the bundle; it has to be alone in its file")]
    TrailingBytes,
    /// Update this program.
    #[error("the bundle has format {theirs}, this version reads {ours}; update")]
    Version {
        /// The bundle's.
        theirs: u8,
        /// What this version reads.
        ours: u8,
    },
    /// It is from another namespace.
    #[error("the bundle belongs to another namespace: check the secrets")]
    WrongNamespace,
    /// It was written by a member, intact, and yet cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// The bundle proves that this store was restored or copied. It goes on under another id now, and what it wrote since
    /// then was issued again. Nothing of the bundle was imported: import it again.
    #[error(
        "this database is a copy or was restored, and has got an identity of its own now; import the bundle again"
    )]
    Renewed(Renewal),
    /// The same, without an id to go on with. Renew the identity, then import again.
    #[error(
        "the bundle's writer has seen more of this replica than it has itself; renew its identity and import again"
    )]
    Forked,
    /// This store follows a server, which decides what counts; a bundle would go past it. Sync with the server.
    #[error("this database follows a server, and a bundle would go past it; sync with the server")]
    Follows,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ApplyError> for ImportError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => Self::Store(error),
            ApplyError::Staged(error) => Self::Decode(error),
            ApplyError::Forked => Self::Forked,
            // Only said where there is a judge or a session, and an import has neither.
            error @ (ApplyError::TooManyRefusals | ApplyError::ScopeChanged | ApplyError::Superseded) => {
                Self::Store(StoreError::Backend(Box::new(error)))
            }
        }
    }
}

/// Takes a bundle in, in one durable transaction or not at all. Its cells merge in any case: twice, out of order, late.
/// What it claims is adopted only when nothing is missing before it, and the cursor never goes back.
///
/// The store is locked for writing while the source is read, so read from a file, not from somebody's network. Memory does
/// not grow with the cells; of each document that changes, its address is kept until the end.
///
/// # Errors
/// [`ImportError`]; nothing is changed.
pub fn import(replica: &mut impl Endpoint, source: impl Read) -> Result<Imported, ImportError> {
    replica.with(|replica| import_into(replica, source, None))
}

/// As [`import`]; and if the bundle proves that this store was copied or set back, it goes on under the spare id. As a rule
/// the beginning of the bundle proves it; then it is imported after that.
///
/// # Errors
/// [`ImportError`]. With [`ImportError::Renewed`] only the end of the bundle proved it: import it again.
pub fn import_or_heal(
    replica: &mut impl Endpoint,
    source: impl Read,
    spare: Spare,
    now_ms: u64,
) -> Result<Imported, ImportError> {
    replica.with(|replica| {
        let imported = import_into(replica, source, Some((spare, now_ms)));
        if !matches!(imported, Err(ImportError::Forked)) || replica.head()?.replica == spare.replica {
            return imported;
        }
        let fork = replica.forked(None)?;
        Err(ImportError::Renewed(replica.heal(fork, spare, now_ms)?))
    })
}

fn import_into<S: Store>(
    replica: &mut Replica<S>,
    source: impl Read,
    spare: Option<(Spare, u64)>,
) -> Result<Imported, ImportError> {
    let ((mut head, _), limits) = (replica.introduction()?, *replica.limits());
    if head.follows {
        return Err(ImportError::Follows);
    }
    let mut frames = FrameReader::new(BufReader::new(source), &head.namespace, limits.message_bytes)?;
    let header = read_header(&mut frames, &head)?;
    let renewed = if let Some((spare, now_ms)) = spare {
        let fork = find_fork(replica, &head, &header)?;
        fork.map(|fork| replica.heal(fork, spare, now_ms)).transpose()?
    } else {
        if let Base::Seen(dots) = &header.base {
            check_fork(&head, dots)?;
        }
        None
    };
    if renewed.is_some() {
        head = replica.head()?;
    }
    let missing = missing(replica, &head, &header)?;
    let scope = replica.peer(header.life)?.map_or(0, |peer| peer.scope);
    let number = replica.scope_number(header.life)?;
    let claims = missing.is_none();
    let (dictionary, read, reached) = (Dictionary::new(), 0, (0, Fingerprint::EMPTY));
    let mut bundle = Bundle {
        frames,
        header: &header,
        head: &head,
        limits,
        claims,
        number,
        scope,
        dictionary,
        read,
        reached,
    };
    // A cursor beyond our head is one into a history that this store has lost.
    let acked =
        header.memory(head.life).map(|memory| memory.cursor).filter(|cursor| *cursor <= head.sequence);
    let applied = replica.apply_run(&header.trail, acked.unwrap_or(0), || bundle.next())?;
    let (sequence, root) = bundle.reached;
    Ok(Imported {
        replica: header.replica,
        life: header.life,
        written_ms: header.written_ms,
        cells: applied.cells,
        sequence,
        missing,
        in_sync: replica.head()?.root == root,
        renewed,
    })
}

/// What the beginning of a bundle says about our own history.
fn find_fork<S: Store>(
    replica: &mut Replica<S>,
    head: &Head,
    header: &Header,
) -> Result<Option<Fork>, StoreError> {
    let mut seen = 0;
    if let Base::Seen(dots) = &header.base {
        seen = dots.iter().find(|dot| dot.replica == head.replica).map_or(0, |dot| dot.counter);
    }
    // What was once written here comes back: its runs are to be ours.
    let own = Memory { trail: header.trail.clone(), ..Memory::default() };
    let known = if header.life == head.life { Some(&own) } else { header.memory(head.life) };
    replica.fork(known.unwrap_or(&Memory::default()), seen)
}

fn read_header<R: Read>(frames: &mut FrameReader<R>, head: &Head) -> Result<Header, ImportError> {
    let (kind, body) = frames.read(|kind, body| {
        let other = kind == Kind::Header && body.get(..16).is_some_and(|id| id != head.namespace.id());
        if other { Err(ImportError::WrongNamespace) } else { Ok(()) }
    })?;
    if kind != Kind::Header {
        return Err(ImportError::Damaged);
    }
    Ok(Header::decode(&body)?)
}

/// Whoever has seen more of us than we did ourselves knows of transactions that this store has lost.
fn check_fork(head: &Head, seen: &[Dot]) -> Result<(), ImportError> {
    let lost = seen.iter().any(|dot| dot.replica == head.replica && dot.counter > head.counter);
    if lost { Err(ImportError::Forked) } else { Ok(()) }
}

/// What should be here before the bundle and is not. It can only become less, so it may be asked before the transaction.
fn missing<S: Store>(
    replica: &mut Replica<S>,
    head: &Head,
    header: &Header,
) -> Result<Option<Missing>, StoreError> {
    Ok(match &header.base {
        Base::Position(from) => {
            // A cursor says nothing about what was not to be read.
            let number = replica.scope_number(header.life)?;
            let known = replica.peer(header.life)?.filter(|peer| peer.scope == number);
            let known = known.map_or(0, |peer| peer.cursor);
            let known = if header.life == head.life { head.sequence } else { known };
            (known < *from).then(|| Missing::Steps { first: known + 1, last: *from })
        }
        Base::Seen(dots) => {
            let seen = replica.seen()?;
            let lacking: Vec<Dot> = dots.iter().copied().filter(|dot| !seen.contains(*dot)).collect();
            (!lacking.is_empty()).then_some(Missing::Transactions(lacking))
        }
    })
}

/// A bundle whose header was read.
struct Bundle<'h, R> {
    frames: FrameReader<R>,
    header: &'h Header,
    head: &'h Head,
    limits: Limits,
    /// Nothing is missing before it.
    claims: bool,
    /// Of the cursor that it makes.
    number: u64,
    /// Of the cursor that is there.
    scope: u64,
    dictionary: Dictionary,
    /// Frames with cells.
    read: u64,
    /// What it leads to, once its end was read: a position and a root.
    reached: (u64, Fingerprint),
}

impl<R: Read> Bundle<'_, R> {
    fn next(&mut self) -> Result<RunPart, ImportError> {
        let (kind, body) = self.frames.read(|_, _| Ok(()))?;
        match kind {
            Kind::Header => Err(ImportError::Damaged),
            Kind::Cells => {
                self.read += 1;
                let documents = decode_batch(&mut Reader::new(&body), &mut self.dictionary, &self.limits)?;
                Ok(RunPart::Batch(documents))
            }
            Kind::End => {
                let end = End::decode(&body)?;
                self.frames.finish()?;
                let from = if let Base::Position(from) = self.header.base { from } else { 0 };
                if end.frames != self.read || end.sequence < from {
                    return Err(DecodeError::Invalid("a bundle whose end contradicts it").into());
                }
                // Also where nothing is claimed: who imports it should know that the store has lost something.
                check_fork(self.head, &end.context)?;
                self.reached = (end.sequence, end.root);
                // Without a claim, what is remembered of the writer stays as it is.
                let (cursor, context, scope) = if self.claims {
                    (end.sequence, end.context, self.number)
                } else {
                    (0, Vec::new(), self.scope)
                };
                let (peer, replica) = (self.header.life, self.header.replica);
                Ok(RunPart::End(Checkpoint {
                    peer,
                    replica,
                    cursor,
                    context,
                    scope,
                    session: 0,
                    documents: Vec::new(),
                }))
            }
        }
    }
}
