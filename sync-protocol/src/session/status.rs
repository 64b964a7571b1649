//! What a session tells of itself: events, status, errors.

use crdt_core::codec::DecodeError;
use crdt_core::{ApplyError, ClockVerdict, Dot, Fingerprint, Life, Refusal, ReplicaId, StoreError};

use super::reconcile::Reconciled;
use crate::EndReason;
use crate::door::Terms;

/// How one side finds out what the other misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Both hold the same: nothing is read.
    InSync,
    /// They have met: the change order from the peer's cursor on. The cost follows the change.
    Resume,
    /// They never met, or one of them lost its place: sums of what each holds tell the difference. The cost follows the
    /// difference.
    Reconcile,
    /// One of them holds nothing of others yet, or a part only, the difference is too large, or not everything may be read:
    /// all there is to send is sent.
    Full,
}

/// Something that happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The peer said who it is, and proved that it knows the namespace's key.
    Connected {
        /// Its replica id.
        replica: ReplicaId,
        /// Its life.
        life: Life,
        /// Its wall clock minus ours, in milliseconds, the journey of the message included.
        skew_ms: i64,
    },
    /// The peer's guard let us in, to do so much.
    Admitted(Terms),
    /// The guard, theirs or ours, did not let the applicant in. The session has ended; nothing was exchanged.
    NotAdmitted(Refusal),
    /// We know what the peer misses, or how to find out.
    Sending(Way),
    /// We found out in what we and the peer differ.
    Reconciled(Reconciled),
    /// Something from the peer was applied.
    Applied {
        /// Cells that changed here.
        cells: u64,
        /// It was the end of a run, not a live change or a part of a first sync.
        checkpoint: bool,
    },
    /// A part of our first sync was applied. Until its first checkpoint this replica is
    /// [loading](crdt_core::Replica::loading), and a view of it incomplete.
    Progress {
        /// Documents that came so far, those of earlier sessions included.
        documents: u64,
        /// About how many there are to come in all; 0 when the peer did not say.
        of: u64,
    },
    /// Documents outside our scope were let go of, because the peer keeps them.
    Evicted {
        /// How many.
        documents: u64,
    },
    /// The peer has durably applied our changes up to here.
    Acknowledged {
        /// A position in our change order.
        sequence: u64,
    },
    /// Our guard refused changes of the peer, which will hear of it.
    Refusing {
        /// The number of the last of them, counted per peer.
        last: u64,
    },
    /// The peer's guard refused a change that we sent.
    ChangeRefused {
        /// The change.
        dot: Dot,
        /// Why.
        refusal: Refusal,
        /// It was taken out of our state and kept as rejected, because the session [obeys](crate::Session::obeying).
        withdrawn: bool,
    },
    /// This store turned out to be a copy, or to have been set back: somebody else goes on from a state that it has been in.
    /// It goes on under another id, what was written since then was issued again, and the session goes on.
    IdentityRenewed {
        /// The id until now.
        was: ReplicaId,
        /// The id from now on.
        now: ReplicaId,
        /// Transactions that were issued again.
        reissued: u64,
        /// Increments that had left before it was noticed may be counted twice or not at all.
        miscounted: bool,
    },
    /// The peer goes on under another id, for the same reason.
    PeerRenewed {
        /// Its id until now.
        was: ReplicaId,
        /// Its id from now on.
        now: ReplicaId,
    },
    /// A fork was not noticed in time: both sides had everything and yet held different state, so the same dot stands for
    /// two different changes.
    RootsDiffer {
        /// They reconcile, and if that does not help, each sends all that it holds, which makes them equal. Both are done
        /// once a session.
        repairing: bool,
    },
    /// The peer's clock and ours are more than the receive bound apart, and what follows from it; see [`ClockVerdict`].
    Clock(ClockVerdict),
    /// Events came faster than they were taken, and these were not kept. [`Status`] tells where the session is; what changed
    /// is in the store. Sums of what was applied, and the last acknowledgement, are never missed.
    Missed {
        /// How many.
        events: u64,
    },
    /// The session is over.
    Ended(EndReason),
}

/// What a session moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages sent.
    pub messages_sent: u64,
    /// Bytes of the messages sent, without what the transport adds.
    pub bytes_sent: u64,
    /// Messages taken.
    pub messages_received: u64,
    /// Bytes of the messages taken.
    pub bytes_received: u64,
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The other side, once it has said who it is.
    pub peer: Option<(ReplicaId, Life)>,
    /// Whether the other side keeps what it gets.
    pub peer_is_durable: bool,
    /// Both sides have all that the other had.
    pub settled: bool,
    /// Why it is over, if it is.
    pub ended: Option<EndReason>,
    /// How far into the peer's change order we have durably applied.
    pub cursor: u64,
    /// How far into our change order the peer has durably applied.
    pub acknowledged: u64,
    /// The peer's root when it last told. Equal to ours: both hold the same.
    pub peer_root: Option<Fingerprint>,
    /// Both sides subscribe to everything, so that equal roots are what to expect. Otherwise they say nothing.
    pub comparable: bool,
    /// What the peer lets us do, once it has said so.
    pub terms: Option<Terms>,
    /// How we found out what the peer misses.
    pub way: Option<Way>,
    /// What finding out took, if we had to [reconcile](Way::Reconcile).
    pub reconciled: Option<Reconciled>,
    /// What it cost.
    pub traffic: Traffic,
}

/// A message that was not taken, or a session that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Not an encoding of this protocol. Session and store are untouched.
    #[error("the message cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// The seal is wrong: bytes were changed on the way, or they belong to another session. Nothing was touched.
    #[error("the message is damaged or belongs to another session")]
    Damaged,
    /// The transport lost or reordered messages. Nothing was touched; start a new session, it resumes.
    #[error("{messages} messages are missing before this one; start a new session, it resumes")]
    Missing {
        /// How many.
        messages: u64,
    },
    /// The peer is in another namespace. Nothing was touched.
    #[error("the peer was opened with another secret, or one of the two with none: check the secrets")]
    WrongNamespace,
    /// The peer speaks another version. Nothing was touched; update the older side.
    #[error("the peer speaks protocol version {theirs}, this side {ours}; update the older one")]
    Version {
        /// The peer's.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// The peer is in this namespace by name and did not prove that it knows its key; or the proof is one of another session.
    /// Nothing was touched; nothing is exchanged before a proof that holds.
    #[error("the peer did not prove that it knows the namespace's key: check the secret")]
    Unauthenticated,
    /// The peer may refuse changes, and this side would not take them back. The session has ended; nothing was exchanged.
    #[error(
        "the peer is a server that may refuse changes: let this replica follow it, from its first opening on \
         (`follows_server` when opening)"
    )]
    MustFollow,
    /// See there. The session has ended; nothing of the message was taken.
    #[error("the peer has left too many refused changes unheard; the session is over")]
    TooManyRefusals,
    /// Another session with the same peer has begun, here or in another process: what the two put aside must not mix. This
    /// one has ended; nothing of the message was taken.
    #[error("another session with the same peer has begun; this one is over")]
    Superseded,
    /// A message that has no place here. Nothing was touched.
    #[error("the peer sent {0} where it has no place")]
    Unexpected(&'static str),
    /// The transport sends our own messages back. Nothing was touched.
    #[error("the transport returns our own messages")]
    Echo,
    /// The peer is this very store, or a copy of it that has written nothing else, or there is no
    /// [spare](crate::Config::spare) to go on with. Nothing was touched.
    #[error(
        "both ends are the same database, or one is a copy of the other that was made while it was open; open the copy anew"
    )]
    SameLife,
    /// The peer has seen more of us than we know ourselves: this store was restored or copied. Nothing was touched. With a
    /// [spare](crate::Config::spare) the session heals that; else renew the identity and start a new session.
    #[error("the peer has seen more of this replica than it has itself; renew its identity and sync again")]
    Forked,
    /// The store was given a new identity while the session ran. Start a new session.
    #[error("this store has a new identity since the session began; start a new session")]
    IdentityChanged,
    /// This replica has subscribed to another scope since the session began. The session is over; start a new one.
    #[error("this replica has subscribed to another scope since the session began; start a new session")]
    ScopeChanged,
    /// The session is over.
    #[error("the session has ended: {0:?}")]
    Ended(EndReason),
    /// The store failed; the message can be given again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ApplyError> for SessionError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => Self::Store(error),
            ApplyError::Staged(error) => Self::Decode(error),
            ApplyError::Forked => Self::Forked,
            ApplyError::TooManyRefusals => Self::TooManyRefusals,
            ApplyError::ScopeChanged => Self::ScopeChanged,
            ApplyError::Superseded => Self::Superseded,
        }
    }
}
