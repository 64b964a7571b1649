//! The door: who is let in, and what each peer may read and write.
//!
//! Two locks, one behind the other:
//!
//! 1. **The key.** Both sides prove in every handshake that they know the namespace's key, without sending it. It always
//!    happens. Whoever has the secret has the key.
//! 2. **The guard.** A side may have one: an [`Authenticate`] that looks at the token of a peer that proved the key, and
//!    says who it is by what it [may do](Authorize), or refuses it. A guard is what a server has; the peers that it
//!    serves need none.
//!
//! A change that the guard's side refuses is kept by the side that made it, see
//! [`Replica::rejected`](crdt_core::Replica::rejected). Nothing here encrypts: that is the transport's business.
//!
//! | file | subject |
//! |---|---|
//! | `proof.rs` | proof of the key, by challenge and response |
//! | `rules.rs` | [`Rules`]: rights per collection, ready-made |

mod proof;
mod rules;

use alloc::boxed::Box;
use core::fmt;
use core::hash::Hasher as _;

use crdt_core::{Address, Life, Namespace, Proposal, Refusal, ReplicaId};

use siphasher::sip::SipHasher24;

pub(crate) use proof::{PROOF_BYTES, is_proven, prove};
pub use rules::{Right, Rules};

/// Bytes that a token has at most.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// A peer that proved the namespace's key and asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applicant<'a> {
    /// Under which id it writes. Every holder of the key can claim every id: only the token tells people apart.
    pub replica: ReplicaId,
    /// Its store's life; claimed like the id.
    pub life: Life,
    /// What it was given to show: an API key, a signed token. Treat it as bytes of a stranger.
    pub token: Option<&'a [u8]>,
    /// The time here, in milliseconds since 1970, for tokens that expire.
    pub now_ms: u64,
}

/// Decides who is let in. Any function of an [`Applicant`] will do.
///
/// ```
/// use crdt_core::Refusal;
/// use sync_protocol::door::{Applicant, Authenticate, Right, Rules};
///
/// let guard = |applicant: &Applicant<'_>| match applicant.token {
///     Some(b"manager's token") => Ok(Rules::all(Right::ReadWrite).of("ann")),
///     Some(b"clerk's token") => Ok(Rules::all(Right::ReadWrite).collection("salaries", Right::None).of("bob")),
///     _ => Err(Refusal::new(401, "sign in again")),
/// };
/// # fn is_a_guard(_: impl Authenticate) {}
/// # is_a_guard(guard);
/// ```
pub trait Authenticate: Send + Sync {
    /// What the applicant may do. It is asked once per session, so a right that is taken away counts from the next one on;
    /// to make it count at once, [close](crate::Session::close) the session.
    ///
    /// # Errors
    /// The [`Refusal`] ends the session; the peer learns its code and reason.
    fn authenticate(&self, applicant: &Applicant<'_>) -> Result<Box<dyn Authorize>, Refusal>;
}

impl<F, A> Authenticate for F
where
    F: Fn(&Applicant<'_>) -> Result<A, Refusal> + Send + Sync,
    A: Authorize + 'static,
{
    fn authenticate(&self, applicant: &Applicant<'_>) -> Result<Box<dyn Authorize>, Refusal> {
        self(applicant).map(|rights| Box::new(rights) as Box<dyn Authorize>)
    }
}

/// What one peer may do. [`Rules`] decide by collection; implement it yourself to decide by document or content.
pub trait Authorize: Send + Sync {
    /// What holds for the whole session.
    fn terms(&self) -> Terms;

    /// A name that is the same whenever the same person or device is let in, and never another's. What is remembered of a
    /// peer (how far it has come, what was refused to it) is then remembered for it alone. Without one, whoever is let in
    /// is believed which device it is.
    fn principal(&self) -> Option<&str> {
        None
    }

    /// Whether the peer gets a document's cells. Not asked when the [`Terms`] say that it reads everything.
    ///
    /// The answer must not change within a scope: what was withheld from a peer is sent when the scope's number changes,
    /// not before.
    fn may_read(&self, address: &Address) -> bool;

    /// Whether a change is taken from the peer. Not asked when the [`Terms`] say that all its writes are.
    ///
    /// A transaction of which any part is refused is refused whole. What is held already is not asked about again.
    ///
    /// # Errors
    /// The [`Refusal`] is what the author's app will see.
    fn may_write(&self, proposal: &Proposal<'_>) -> Result<(), Refusal>;
}

impl fmt::Debug for dyn Authenticate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a guard")
    }
}

impl fmt::Debug for dyn Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.terms().fmt(f)
    }
}

/// What holds for the whole session with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What the peer may read.
    pub reads: Reads,
    /// Every change is taken from the peer, its own and what it passes on.
    pub writes_all: bool,
}

impl Terms {
    /// What holds without a guard.
    pub const OPEN: Self = Self { reads: Reads::Everything, writes_all: true };
}

/// What a peer may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// All of it.
    Everything,
    /// A part, named by a number other than 0 that changes whenever the part does: then everything in it is sent anew.
    Scope(u64),
}

impl Reads {
    /// The number; 0 for everything.
    pub const fn scope(self) -> u64 {
        match self {
            Self::Everything => 0,
            Self::Scope(0) => 1,
            Self::Scope(number) => number,
        }
    }
}

/// Under which life a guarded side remembers a peer.
pub(crate) fn record(namespace: &Namespace, life: Life, principal: &str) -> Life {
    let mut hash = SipHasher24::new_with_key(namespace.key());
    hash.write_u64(life.0.to_le());
    hash.write(principal.as_bytes());
    Life(hash.finish())
}

/// The rights of a peer where nobody asks: everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open;

impl Authorize for Open {
    fn terms(&self) -> Terms {
        Terms::OPEN
    }

    fn may_read(&self, _: &Address) -> bool {
        true
    }

    fn may_write(&self, _: &Proposal<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}
