//! What each side subscribes to, told before it says what it wants.
//!
//! A side sends only what is in the other's scope. What it has seen is believed only as far as it vouches for it, and
//! that has to reach as far as the listener's own scope. A side that holds everything and always has says nothing.

use alloc::vec::Vec;

use crdt_core::{Address, Asked, Replica, Store, StoreError, Subscription, Within};

use crate::message::{Message, ScopeTold};

/// Both sides' scopes.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// Ours, as the session began.
    ours: Option<Subscription>,
    /// The peer was told.
    told: bool,
    peer: ScopeTold,
}

impl Scopes {
    /// What we say of our scope before we say anything else of what we hold, if there is anything to say.
    pub(super) fn tell<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        asked: Option<&Asked>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let ours = match (&self.ours, asked) {
            (Some(ours), _) => ours.clone(),
            (None, Some(asked)) => asked.subscription.clone(),
            (None, None) => replica.subscription()?,
        };
        let known = asked.and_then(|asked| asked.known.clone());
        let says = !ours.vouched.is_everything() && (!self.told || known.is_some());
        self.told = true;
        let told = ScopeTold { scope: ours.scope.clone(), vouched: ours.vouched.clone(), known };
        self.ours = Some(ours);
        Ok(says.then(|| Message::Scope(told).encode()))
    }

    /// The peer has told of its own.
    pub(super) fn heard(&mut self, told: ScopeTold) {
        self.peer = told;
    }

    pub(super) const fn peer(&self) -> &ScopeTold {
        &self.peer
    }

    /// The number of changes of our subscription before this session.
    pub(super) fn generation(&self) -> u64 {
        self.ours.as_ref().map_or(0, |ours| ours.generation)
    }

    /// How what the peer sends is applied.
    pub(super) fn within(&self) -> Within {
        let believe = self.ours.as_ref().is_none_or(|ours| self.peer.vouched.includes(&ours.scope));
        Within { generation: self.generation(), believe }
    }

    /// What the peer may believe that we have seen.
    pub(super) fn vouches(&self) -> bool {
        self.ours.as_ref().is_none_or(|ours| ours.vouched.includes(&self.peer.scope))
    }

    /// Whether everything that the peer says to have seen is there, as far as its own scope reaches.
    pub(super) fn peer_vouches(&self) -> bool {
        self.peer.vouched.includes(&self.peer.scope)
    }

    /// Whether equal roots are what to expect.
    pub(super) fn comparable(&self) -> bool {
        self.peer.scope.is_everything() && self.ours.as_ref().is_none_or(|ours| ours.scope.is_everything())
    }

    /// Whether there is something that the peer keeps and we do not.
    pub(super) fn may_evict(&self) -> bool {
        self.ours.as_ref().is_some_and(|ours| !ours.scope.is_everything())
    }
}

/// Whether a document goes to the peer.
pub(super) fn goes_to(peer: &ScopeTold, address: &Address) -> bool {
    peer.scope.contains(address)
}
