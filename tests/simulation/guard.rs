//! The guard: in some histories the first device is a server that judges what the others bring. They meet nobody else, obey
//! it, and are told why.
//!
//! What is refused follows from the number of a transaction alone, so the checker knows it without asking anybody.

use std::sync::Arc;

use crdt_core::{Address, Proposal, Refusal};
use sync_protocol::Session;
use sync_protocol::door::{Applicant, Authenticate, Authorize, Reads, Terms};

use crate::device::{JOURNAL, number_of};
use crate::planted::Bug;

/// Who judges.
pub const SERVER: usize = 0;

/// Whether the server takes a transaction from others.
pub const fn refuses(number: usize) -> bool {
    number % 4 == 1
}

/// What the server's app has decided of a peer.
struct Clerk {
    /// It lets one through now and then.
    sleeps: bool,
}

impl Authorize for Clerk {
    fn terms(&self) -> Terms {
        Terms { reads: Reads::Everything, writes_all: false }
    }

    fn may_read(&self, _: &Address) -> bool {
        true
    }

    fn may_write(&self, proposal: &Proposal<'_>) -> Result<(), Refusal> {
        let entry = *proposal.address.collection == *JOURNAL;
        let number = number_of(proposal.address.id);
        if entry && refuses(number) && !(self.sleeps && number % 8 == 1) {
            return Err(Refusal::new(403, "every fourth is refused"));
        }
        Ok(())
    }
}

/// The end of a session at one of two devices of which one judges.
pub fn session_at(at: usize, session: Session, bug: Option<Bug>) -> Session {
    if at != SERVER {
        return session.obeying();
    }
    let sleeps = bug == Some(Bug::GuardSleeps);
    let guard: Arc<dyn Authenticate> = Arc::new(move |_: &Applicant<'_>| Ok(Clerk { sleeps }));
    session.guarded_by(guard)
}
