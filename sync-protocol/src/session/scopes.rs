//! What each side subscribes to, told before it says what it wants.
//!
//! A side sends only what is in the other's scope. What it has seen is believed only as far as it vouches for it, and
//! that has to reach as far as the listener's own scope. A side that holds everything and always has says nothing.

use alloc::vec::Vec;

use crdt_core::{
    Address, Arrival, Asked, Fingerprint, Head, Replica, Serves, Store, StoreError, Subscription, Trail,
};

use super::Session;
use super::handshake::Peer;
use super::status::{SessionError, SessionEvent};
use crate::door::Reads;
use crate::message::{Message, Partial, ScopeTold};

/// Both sides' scopes.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// Ours, as the session began.
    ours: Option<Subscription>,
    /// The peer was told.
    told: bool,
    peer: ScopeTold,
    /// We said that we load, or are about to; and so did the peer.
    loads: bool,
    peer_loads: bool,
}

impl Scopes {
    /// What we say of our scope before we say anything else of what we hold, if there is anything to say.
    pub(super) fn tell<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        asked: Option<&Asked>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (ours, loading) = match (&self.ours, asked) {
            (Some(ours), _) => (ours.clone(), self.loads),
            (None, Some(asked)) => (asked.subscription.clone(), asked.loading),
            (None, None) => (replica.subscription()?, replica.serves()?.loading),
        };
        let known = asked.and_then(|asked| asked.known.clone());
        let is_part = !ours.vouched.is_everything();
        let says = is_part && (!self.told || known.is_some()) || loading && !self.loads;
        (self.told, self.loads) = (true, loading);
        let told = ScopeTold { scope: ours.scope.clone(), vouched: ours.vouched.clone(), loading, known };
        self.ours = Some(ours);
        Ok(says.then(|| Message::Partial(Partial::Scope(told)).encode()))
    }

    /// We began to load after the peer was told.
    fn tell_loading(&mut self) -> Vec<u8> {
        self.loads = true;
        let ours = self.ours.clone().unwrap_or_default();
        let told = ScopeTold { scope: ours.scope, vouched: ours.vouched, loading: true, known: None };
        Message::Partial(Partial::Scope(told)).encode()
    }

    /// We asked for a first sync.
    pub(super) const fn say_load(&mut self) {
        self.loads = true;
    }

    /// The peer did.
    pub(super) const fn heard_load(&mut self) {
        self.peer_loads = true;
    }

    /// The peer has told of its own.
    pub(super) fn heard(&mut self, told: ScopeTold) {
        self.peer_loads |= told.loading;
        self.peer = told;
    }

    pub(super) const fn peer(&self) -> &ScopeTold {
        &self.peer
    }

    /// The number of changes of our subscription before this session.
    pub(super) fn generation(&self) -> u64 {
        self.ours.as_ref().map_or(0, |ours| ours.generation)
    }

    /// How what a peer sends is applied that told of these runs.
    pub(super) fn arrival(&self, trail: &Trail) -> Arrival {
        let believed = self.ours.as_ref().is_none_or(|ours| self.peer.vouched.includes(&ours.scope));
        let generation = Some(self.generation());
        Arrival { trail: trail.clone(), generation, doubted: !believed, ..Arrival::default() }
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

    /// Whether sums over all that is held may pass: both hold everything, and can pass all of it on.
    pub(super) fn allow_sums(&self) -> bool {
        self.comparable() && !self.loads && !self.peer_loads
    }

    /// Whether one of the two is loading, so that it has no root: we, or the peer that told this one.
    pub(super) fn loads(&self, serves: Serves, peer_root: Fingerprint) -> bool {
        serves.loading || (self.peer_loads && peer_root == Fingerprint::EMPTY)
    }

    /// Whether there is something that the peer keeps and we do not.
    pub(super) fn may_evict(&self) -> bool {
        self.ours.as_ref().is_some_and(|ours| !ours.scope.is_everything())
    }
}

impl Session {
    /// The peer says what it holds.
    pub(super) fn scope_told<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        told: ScopeTold,
    ) -> Result<(), SessionError> {
        let known = self.scopes.peer();
        if !self.outbound.waits() && (told.scope != known.scope || told.vouched != known.vouched) {
            return Err(SessionError::Unexpected("another scope"));
        }
        let head = replica.head()?;
        self.scopes.heard(told);
        self.without_sums(&head);
        Ok(())
    }

    /// Sums that were to pass do not, if one of the two turned out to hold a part: everything is sent instead.
    pub(super) fn without_sums(&mut self, head: &Head) {
        if !self.scopes.allow_sums() && self.reconcile.stop() {
            self.outbound.without_sums(head.sequence);
        }
    }

    /// A first sync with another peer may begin at any time. Sums of it would tell of what is not to be passed on yet.
    pub(super) fn notice_loading<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<(), SessionError> {
        if self.reconcile.under_way() && self.ended.is_none() && replica.serves()?.loading {
            let head = replica.head()?;
            let message = self.scopes.tell_loading();
            self.control.push_back(message);
            self.without_sums(&head);
        }
        Ok(())
    }

    /// What the peer keeps and we do not, we let go of, as soon as it has all of it.
    pub(super) fn evict<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<(), SessionError> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let (Some(ours), Some((_, theirs))) = (peer.welcome(), peer.rights()) else { return Ok(()) };
        // It got all of it, takes all of it, and keeps it.
        let keeps = peer.hello.durable
            && theirs.reads == Reads::Everything
            && (ours.writes_all || self.obeys())
            && self.outbound.caught_up();
        if !self.scopes.may_evict() || !keeps || !replica.has_outside()? {
            return Ok(());
        }
        // What a server has not decided about may yet have to be taken back.
        if replica.head()?.follows && !(self.obeys() && self.peer.as_ref().is_some_and(Peer::is_guarded)) {
            return Ok(());
        }
        let (acked, generation) = (self.outbound.acked(), self.scopes.generation());
        let documents = replica.evict(&self.scopes.peer().scope, acked, generation)?;
        if documents > 0 {
            self.events.push_back(SessionEvent::Evicted { documents });
        }
        Ok(())
    }
}

/// Whether a document goes to the peer.
pub(super) fn goes_to(peer: &ScopeTold, address: &Address) -> bool {
    peer.scope.contains(address)
}
