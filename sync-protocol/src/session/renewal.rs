//! One of the two goes on under another id: it was copied or set back, and finds out here.
//!
//! ```text
//! A → B  restart      who I am now and what I hold; what you were sent until now, forget
//! B → A  restart      what I hold
//! both   want         from the start, because neither has met the other as it is now
//! ```
//!
//! What B says before it has heard is not for A any more, and B's restart tells A that what follows is. If both renew at
//! once, each one's restart is the answer to the other's. Seals, guard and terms stay as they are.

use crdt_core::{Fingerprint, Fork, Head, Meeting, Renewal, Replica, SessionEnd, Store, Trail};

use super::outbound::Outbound;
use super::reconcile::Reconcile;
use super::scopes::Scopes;
use super::status::{SessionError, SessionEvent};
use super::{Peer, Session};
use crate::EndReason;
use crate::message::{self, Hello, Message, Restart};

/// Whether the two are beginning again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Renewing {
    /// We have said so, and the peer has not answered.
    said: bool,
    /// Nothing but the peer's restart counts.
    waits: bool,
    /// The peer is a copy, and we have yet to part from it: the store failed.
    owes: bool,
}

impl Renewing {
    pub(super) const fn waits(self) -> bool {
        self.waits
    }
}

impl Session {
    /// Looks at the life in the peer's hello. Only a copy that differs, and with which we can part, may have ours.
    pub(super) fn check_life(&self, head: &Head, hello: &Hello) -> Result<(), SessionError> {
        let (told, trail) = &self.told;
        if *told != Some(hello.life) {
            return Ok(());
        }
        if hello.nonce == self.config.nonce {
            return Err(SessionError::Echo);
        }
        let same = hello.trail == *trail && hello.sequence == head.sequence && hello.root == head.root;
        if same || self.config.spare.is_none() { Err(SessionError::SameLife) } else { Ok(()) }
    }

    /// The peer is a copy of this store.
    pub(super) fn has_same_life(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| self.told.0 == Some(peer.life))
    }

    /// The peer knows the key, and is a copy: the one that was opened later renews. If both were opened since, both do.
    pub(super) fn part_from_copy<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let Some(peer) = &self.peer else { return Ok(()) };
        if self.told.1.leads_to(&peer.hello.trail) {
            self.renewal.waits = true;
            return Ok(());
        }
        self.renewal.owes = true;
        if self.told.0 != Some(replica.head()?.life) {
            return self.announce(replica);
        }
        let fork = replica.forked(Some(&peer.hello.trail))?;
        self.renew(replica, fork, now_ms)
    }

    /// Goes on under another id.
    pub(super) fn renew<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        fork: Fork,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let spare = self.config.spare.ok_or(SessionError::Forked)?;
        let Renewal { was, now, reissued, miscounted, .. } = replica.heal(fork, spare, now_ms)?;
        // Used, now that it is durable.
        self.config.spare = None;
        self.events.push_back(SessionEvent::IdentityRenewed { was, now, reissued, miscounted });
        self.announce(replica)
    }

    /// Does what the store failed to do before.
    pub(super) fn make_up<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        if self.renewal.owes && self.ended.is_none() { self.part_from_copy(replica, now_ms) } else { Ok(()) }
    }

    /// Says who we are now, and begins again.
    pub(super) fn announce<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<(), SessionError> {
        // Nothing can fail once something was changed.
        let (head, trail) = replica.introduction()?;
        self.begin_again(&head);
        self.restart(&head, trail);
        self.renewal = Renewing { said: true, waits: true, owes: false };
        Ok(())
    }

    /// The peer says who it is now: it goes on under another id, or has heard that we do.
    pub(super) fn restarted<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        restart: Restart,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        self.make_up(replica, now_ms)?;
        let (head, trail) = replica.introduction()?;
        if restart.life == head.life {
            return Err(SessionError::SameLife);
        }
        let obeys = self.obeys();
        let Some(peer) = &mut self.peer else { return Ok(()) };
        if peer.life == restart.life && !self.renewal.said && !self.renewal.waits {
            // It goes on as we know it, and answers what we have not said, or said twice. Answered in turn, that would never end.
            return Ok(());
        }
        let was = peer.hello.replica;
        if was != restart.replica {
            self.events.push_back(SessionEvent::PeerRenewed { was, now: restart.replica });
        }
        peer.adopt(&head.namespace, restart);
        if obeys && peer.is_guarded() {
            replica.follow_server(peer.hello.life)?;
        }
        let ready = peer.rights().is_some() && peer.welcome().is_some();
        self.begin_again(&head);
        if !self.renewal.said {
            self.restart(&head, trail);
        }
        // If the store fails below, this is done again, and not said again.
        self.renewal = Renewing { said: true, ..Renewing::default() };
        if self.peer.as_ref().is_some_and(|peer| peer.rights().is_some()) {
            self.meet(replica, now_ms)?;
        }
        if ready {
            self.ask_again(replica)?;
        }
        self.renewal.said = false;
        Ok(())
    }

    fn ask_again<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<(), SessionError> {
        let Some(peer) = &self.peer else { return Ok(()) };
        // What the peer was refused under its old id, it brings again under the new one.
        let refused = replica.last_refusal(peer.hello.life)?;
        self.inbound.hold_while(self.inbound.may_hold(), refused > 0);
        self.outbound.refused(refused);
        if !self.inbound.holds() {
            let scope = peer.welcome().map_or(0, |terms| terms.reads.scope());
            let want = self.inbound.greet(replica, &peer.hello, scope, self.config.nonce)?;
            self.ask_first(replica, Some(want))?;
        }
        Ok(())
    }

    /// Puts a restart in the place of all that was about to be said.
    fn restart(&mut self, head: &Head, trail: Trail) {
        let root = if self.guard.is_some() { Fingerprint::EMPTY } else { head.root };
        let Head { replica, life, sequence, .. } = *head;
        self.told = (Some(life), trail.clone());
        let of_the_door = [message::PROOF, message::TOKEN, message::WELCOME, message::BYE];
        self.control.retain(&of_the_door);
        let restart = Restart { replica, life, root, sequence, trail };
        self.control.push_back(Message::Restart(restart).encode());
    }

    fn begin_again(&mut self, head: &Head) {
        self.outbound = Outbound::default();
        if let Some(Peer { hello, .. }) = &self.peer {
            self.outbound.greet(head, hello);
            self.reconcile = Reconcile::new(self.config.nonce, hello.nonce);
        }
        self.inbound.begin_again();
        self.scopes = Scopes::default();
        self.echoes.clear();
        self.repairs = 0;
    }

    /// Notes that the session has begun.
    pub(super) fn meet<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let Some(Peer { hello, .. }) = &self.peer else { return Ok(()) };
        let offset_ms = i128::from(hello.now_ms) - i128::from(now_ms);
        let meeting = Meeting {
            replica: hello.replica,
            durable: hello.durable,
            offset_ms: i64::try_from(offset_ms).unwrap_or(i64::MAX),
            sequence: hello.sequence,
            now_ms,
        };
        self.noted = Some(hello.life);
        Ok(replica.met(hello.life, self.config.nonce, meeting)?)
    }

    /// To be called when the session is given up or dropped, by whoever drives it: notes for
    /// [`Replica::status`](crdt_core::Replica::status) that it is over, and how it ended. The drivers of this crate do.
    pub fn finish<S: Store>(&mut self, replica: &mut Replica<S>, now_ms: u64) {
        self.note_end_as(replica, now_ms, self.ended.unwrap_or(EndReason::Done));
    }

    pub(super) fn note_end<S: Store>(&mut self, replica: &mut Replica<S>, now_ms: u64) {
        if let Some(reason) = self.ended {
            self.note_end_as(replica, now_ms, reason);
        }
    }

    fn note_end_as<S: Store>(&mut self, replica: &mut Replica<S>, now_ms: u64, reason: EndReason) {
        let Some(life) = self.noted.take() else { return };
        let end = match (&self.refusal, reason) {
            (Some(refusal), _) => SessionEnd::Refused(refusal.clone()),
            (None, EndReason::Done | EndReason::Closed) => SessionEnd::Closed,
            (None, EndReason::TimedOut) => SessionEnd::TimedOut,
            (None, _) => SessionEnd::Failed,
        };
        // It is only a note: that it could not be written is no reason to fail.
        let _ = replica.parted(life, self.config.nonce, end, now_ms);
    }
}
