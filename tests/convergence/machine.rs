//! [`Machine`]: a replica under test, as the histories see it. The library is one machine, the compact model another.

use std::fmt;

use crdt_core::{Life, ReplicaId, Stamp, Trail};

use crate::history::Commit;
use crate::random::Random;
use crate::words::{Doc, Outcome, Schema, Shown, Vector};

/// What a machine answers. An error is a broken machine, in words for people.
pub type Answer<T> = Result<T, String>;

/// The name of one transaction.
pub type Dot = (ReplicaId, u64);

/// Who a machine is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub replica: ReplicaId,
    pub life: Life,
}

impl Identity {
    /// The id of a number, which is also its life.
    pub const fn numbered(number: u64) -> Self {
        Self { replica: ReplicaId::from_u64(number), life: Life(number) }
    }
}

/// Where a machine is in its own history.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub identity: Identity,
    /// The last position of its change order.
    pub sequence: u64,
}

/// A commit that was not aborted.
pub struct Committed {
    pub outcomes: Vec<Outcome>,
    /// `None` when the transaction wrote nothing.
    pub written: Option<Written>,
}

/// What a commit left in the state.
pub struct Written {
    pub dot: Dot,
    pub stamp: Stamp,
    pub cells: usize,
}

/// Some steps of a machine's change order.
pub struct Window<M: Machine> {
    pub batch: M::Batch,
    pub next: M::Place,
    /// When this window reaches the head: its position, and what was seen in that state, the own last transaction
    /// included.
    pub head: Option<(u64, Vec<Dot>)>,
}

/// The end of a run of batches; see [`crdt_core::Checkpoint`].
#[derive(Clone)]
pub struct Checkpoint<B> {
    pub from: Identity,
    /// The runs of the sender.
    pub trail: Trail,
    pub cursor: u64,
    pub context: Vec<Dot>,
    pub batch: B,
}

/// What a session made of a message.
pub enum Heard {
    Taken,
    /// It is damaged, or one before it is missing, in these words: the session is over.
    Broken(String),
}

/// A document that an event tells of.
pub struct Told {
    pub doc: Doc,
    pub was_there: bool,
    pub is_there: bool,
}

/// One cell in words: document, path, kind with the rest of the key, order, the change that set it, content.
pub fn describe(
    key: impl fmt::Display,
    order: impl fmt::Display,
    by: (Stamp, u64),
    content: impl fmt::Debug,
) -> String {
    let (stamp, n) = by;
    format!(
        "{key} = {order} by {:?}#{n} at {}/{:?} holding {content:?}",
        stamp.replica, stamp.epoch, stamp.hlc
    )
}

/// A replica under test.
pub trait Machine: Sized {
    /// What travels.
    type Batch: Clone;
    /// A place in the change order.
    type Place;
    /// One side of a session.
    type Talk;
    /// What has to be equal when everything was exchanged.
    type State: PartialEq;
    /// What tells machines of a kind apart.
    type Settings: Copy;

    fn new(identity: Identity, schema: &Schema, settings: Self::Settings, random: &mut Random) -> Self;
    fn head(&mut self) -> Answer<Head>;
    /// Runs the edits as one transaction; `None` when it was aborted, as asked.
    fn commit(&mut self, commit: &Commit) -> Answer<Option<Committed>>;

    // What is sent.
    fn place(sequence: u64) -> Self::Place;
    /// Some steps from a place on. `known` is the position up to which the receiver has our context.
    fn window(&mut self, from: &Self::Place, known: u64, documents: usize) -> Answer<Window<Self>>;
    /// A page of what the holder of a vector misses, and the last document that was looked at.
    fn difference(
        &mut self,
        seen: &Vector,
        after: Option<Doc>,
        documents: usize,
    ) -> Answer<(Self::Batch, Option<Doc>)>;
    fn everything(&mut self) -> Answer<Self::Batch>;

    // What is received.
    fn cursor(&mut self, peer: Identity) -> Answer<u64>;
    fn stage(&mut self, peer: Identity, batch: &Self::Batch) -> Answer<()>;
    fn clear_staged(&mut self, peer: Identity) -> Answer<()>;
    /// True when anything changed, if only what was seen.
    fn apply(&mut self, checkpoint: &Checkpoint<Self::Batch>) -> Answer<bool>;

    // What is said, by machines that have sessions.
    /// One side of a session; `None` for a machine that has none.
    fn greet(&mut self, nonce: u64, spare: Identity) -> Option<Self::Talk>;
    fn say(&mut self, talk: &mut Self::Talk) -> Answer<Option<Vec<u8>>>;
    fn hear(&mut self, talk: &mut Self::Talk, message: &[u8]) -> Answer<Heard>;
    /// True when both sides have said all.
    fn is_settled(talk: &Self::Talk) -> bool;

    // What is kept.
    fn shown(&mut self, doc: Doc) -> Answer<Shown>;
    fn seen(&mut self) -> Answer<Vector>;
    fn state(&mut self) -> Answer<Self::State>;
    /// Every cell in words, to compare one implementation with another.
    fn census(&mut self) -> Answer<Vec<String>>;
    /// What ought to agree within the machine.
    fn audit(&mut self) -> Answer<()>;
    /// The events since the last call; `None` when the machine has none.
    fn told(&mut self) -> Answer<Option<Vec<Told>>>;

    // What happens to files.
    fn restart(self) -> Self;
    fn backup(&mut self) -> Self;
    fn renew(&mut self, identity: Identity) -> Answer<()>;
    /// The file was opened for writing.
    fn begin_run(&mut self, run: u64);
    /// What it says of its openings.
    fn trail(&mut self) -> Answer<Trail>;
    /// False for machines that have to be told when their file was set back.
    fn heals() -> bool {
        false
    }
    /// Whether this machine would find out, in a session with a peer, that its file was set back, and to where.
    fn would_notice(&mut self, peer: &mut Self) -> Answer<bool>;
    /// Goes on under another id because the file was set back when it was opened last.
    fn heal(&mut self, identity: Identity) -> Answer<()>;
    /// False for machines that are wrong about what they have seen by design, and are to be caught by what they show.
    fn keeps_books(&self) -> bool {
        true
    }
}
