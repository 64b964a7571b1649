//! [`Session`]: one conversation with one peer.

mod clock;
mod control;
mod events;
mod exchange;
mod first_sync;
mod handshake;
mod inbound;
mod outbound;
mod reconcile;
mod refusals;
mod renewal;
mod scopes;
mod status;

pub use reconcile::Reconciled;
pub use status::{SessionError, SessionEvent, Status, Traffic, Way};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crdt_core::{Fingerprint, Head, Life, Refusal, Replica, Spare, Store, Trail};

use crate::EndReason;
use crate::door::{Applicant, Authenticate, Open, Reads, Terms};
use crate::message::{self, Hello, Message, Token, Welcome};
use crate::pack::{pack, unpack};
use crate::seal::{Opened, Seal};
use control::{Control, Waiting};
use events::Events;
use handshake::{Greeted, Peer, read_hello};
use inbound::Inbound;
use outbound::Outbound;
use reconcile::Reconcile;
use scopes::Scopes;

/// What a session is started with. All of it comes from outside: a session draws no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// 64 random bits, new for every session.
    pub nonce: u64,
    /// False for a store that forgets when the process ends.
    pub durable: bool,
    /// How long to wait for a peer that owes an answer, in milliseconds.
    pub timeout_ms: u64,
    /// 192 random bits, new for every session: under which id to go on if this store turns out to be a copy or to have been
    /// set back. Without them the session fails with [`SessionError::Forked`] then.
    pub spare: Option<Spare>,
}

impl Config {
    /// The usual settings: a durable store, 30 s of patience.
    pub const fn new(nonce: u64) -> Self {
        Self { nonce, durable: true, timeout_ms: 30_000, spare: None }
    }

    /// Heals a fork within the session; see [`Config::spare`].
    pub const fn spare(mut self, spare: Spare) -> Self {
        self.spare = Some(spare);
        self
    }
}

/// One conversation with one peer, as a state machine without I/O.
///
/// # How to drive it
///
/// 1. Call [`transmit`](Session::transmit) until it gives `None`, and send each message. Do so after every other call
///    and after every local commit; stop early when the transport has no room, and go on when it has.
/// 2. Give every message that arrives to [`receive`](Session::receive), whole and once per arrival. Messages may be
///    repeated. A lost or overtaken one ends the session with an error; nothing is lost by that, a new session resumes
///    from the cursor.
/// 3. When [`next_timeout_ms`](Session::next_timeout_ms) passes, call [`expire`](Session::expire).
/// 4. After each call, take the [events](Session::poll_event).
/// 5. When [`is_settled`](Session::is_settled), both sides have all that the other had; stop, or keep the session open
///    and it pushes changes as they are committed.
///
/// An error from `receive` leaves the session and the store as they were before that message, unless it
/// [ended](Session::ended) the session. One that ended stays so; it may still have something to
/// [transmit](Session::transmit), so that the peer learns why.
///
/// The replica is handed in with every call, so any number of sessions can share it, and other processes can write to
/// its store in between.
#[derive(Debug)]
pub struct Session {
    config: Config,
    token: Option<Vec<u8>>,
    guard: Option<Arc<dyn Authenticate>>,
    refusals: Refusals,
    /// Our change order up to here needs no undoing any more.
    confirmed: u64,
    started_ms: u64,
    /// When the peer's hello came.
    greeted_ms: u64,
    /// Our hello, once it was made.
    hello: Option<Vec<u8>>,
    hello_sent: bool,
    /// The seal of our hello and proof.
    greeting: Option<Seal>,
    peer: Option<Peer>,
    outbound: Outbound,
    inbound: Inbound,
    /// Steps of our change order that hold nothing but what this peer sent, in order.
    echoes: Vec<u64>,
    control: Control,
    events: Events,
    ended: Option<EndReason>,
    refusal: Option<Refusal>,
    traffic: Traffic,
    last_heard_ms: u64,
    reconcile: Reconcile,
    scopes: Scopes,
    /// What was done because the roots differed: reconciled, then sent everything.
    repairs: u8,
    /// The life and runs that our hello told of.
    told: (Option<Life>, Trail),
    renewal: renewal::Renewing,
    /// Under which name it is noted how the session goes, once it is.
    noted: Option<Life>,
}

/// What becomes of a change that the peer refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusals {
    /// It stays here; the app is told.
    AreTold,
    /// It is taken back.
    AreObeyed,
    /// A peer that may refuse something is none for us.
    MustNotBe,
}

impl Refusals {
    const fn obeyed(self) -> bool {
        matches!(self, Self::AreObeyed)
    }
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(config: Config, now_ms: u64) -> Self {
        Self {
            config,
            token: None,
            guard: None,
            refusals: Refusals::AreTold,
            confirmed: 0,
            started_ms: now_ms,
            greeted_ms: now_ms,
            hello: None,
            hello_sent: false,
            greeting: None,
            peer: None,
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            echoes: Vec::new(),
            control: Control::default(),
            events: Events::default(),
            ended: None,
            refusal: None,
            traffic: Traffic::default(),
            last_heard_ms: now_ms,
            reconcile: Reconcile::default(),
            scopes: Scopes::default(),
            repairs: 0,
            told: (None, Trail::default()),
            renewal: renewal::Renewing::default(),
            noted: None,
        }
    }

    /// Has a token ready for a peer with a guard. It is sent after the peer proved the namespace's key, and never to one
    /// without a guard. At most [`MAX_TOKEN_BYTES`](crate::door::MAX_TOKEN_BYTES); the peer takes no longer one.
    pub fn with_token(mut self, token: impl Into<Vec<u8>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Lets the peer in only if the guard does, and to what the guard says. Such a side obeys nobody.
    pub fn guarded_by(mut self, guard: Arc<dyn Authenticate>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Follows the peer's refusals: a change that it does not take is taken back out of our state and kept as
    /// [`Rejected`](crdt_core::Rejected). That is for a session with *the server* that decides what counts, and with nobody
    /// else: whoever is obeyed can take out what others accepted. Otherwise a refusal is only told, as an event.
    pub fn obeying(mut self) -> Self {
        self.refusals = Refusals::AreObeyed;
        self
    }

    /// Has no session with a peer that may refuse changes, unless it [obeys](Session::obeying): what was refused would
    /// stay here and nowhere else.
    pub fn unless_judged(mut self) -> Self {
        self.refusals = Refusals::MustNotBe;
        self
    }

    /// Whether the peer's refusals are followed: by one side at most.
    const fn obeys(&self) -> bool {
        self.guard.is_none() && self.refusals.obeyed()
    }

    /// The next message to send, if there is anything to say.
    ///
    /// # Errors
    /// [`SessionError::Store`] when the store failed: nothing was sent, call again. After any other error the session has
    /// ended.
    pub fn transmit<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, SessionError> {
        replica.tick(now_ms)?;
        if !self.hello_sent {
            // A session that failed at the peer's hello still sends its own, so that the peer finds out the same.
            if self.ended.is_some_and(|reason| reason != EndReason::Failed) {
                return Ok(None);
            }
            if self.hello.is_none() {
                let (head, trail) = replica.introduction()?;
                self.make_hello(&head, trail, replica.now_ms().unwrap_or(now_ms));
            }
            self.hello_sent = true;
            let hello = self.hello.clone().unwrap_or_default();
            return Ok(Some(self.sent(hello)));
        }
        self.note_end(replica, now_ms);
        self.make_up(replica, now_ms)?;
        self.notice_loading(replica)?;
        if self.control.is_empty()
            && self.ended.is_none()
            && let Some((message, outcome)) = self.reconcile.next_message(replica)?
        {
            self.control.push_back(message);
            self.reconciled(outcome);
        }
        let Some(peer) = &mut self.peer else { return Ok(None) };
        let mut message = match (self.control.pop_front(), peer.rights()) {
            (Some(Waiting::Message(message)), _) => message,
            (Some(Waiting::Heard(through)), _) => Message::Heard(through).encode(),
            (Some(Waiting::Ack(owed)), _) => exchange::ack(owed, &self.inbound, &self.outbound, replica),
            (None, Some((rights, terms))) if self.ended.is_none() => {
                match self.outbound.next_message(replica, &self.echoes, rights, terms) {
                    Ok(Some(message)) => message,
                    Ok(None) => return Ok(None),
                    // Another session, or another process, has found out that this store is a copy.
                    Err(SessionError::IdentityChanged) => {
                        self.announce(replica)?;
                        return self.transmit(replica, now_ms);
                    }
                    Err(error) => {
                        if matches!(error, SessionError::Forked | SessionError::ScopeChanged) {
                            self.end(EndReason::Failed);
                        }
                        return Err(error);
                    }
                }
            }
            _ => return Ok(None),
        };
        message = pack(message);
        match &mut self.greeting {
            Some(greeting) if message.first() == Some(&message::PROOF) => greeting.close(&mut message),
            _ => peer.sends.close(&mut message),
        }
        Ok(Some(self.sent(message)))
    }

    fn make_hello(&mut self, head: &Head, trail: Trail, now_ms: u64) {
        self.told = (Some(head.life), trail.clone());
        let hello = Message::Hello(Hello {
            namespace: *head.namespace.id(),
            replica: head.replica,
            life: head.life,
            nonce: self.config.nonce,
            // Whoever may not read everything could try out with the root what is there.
            root: if self.guard.is_some() { Fingerprint::EMPTY } else { head.root },
            sequence: head.sequence,
            now_ms,
            durable: self.config.durable,
            trail,
        });
        let (mut message, mut greeting) = (hello.encode(), Seal::of_greeting(&head.namespace));
        greeting.close(&mut message);
        (self.hello, self.greeting) = (Some(message), Some(greeting));
    }

    fn sent(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.traffic.messages_sent += 1;
        self.traffic.bytes_sent += message.len() as u64;
        message
    }

    /// Takes a message from the peer.
    ///
    /// # Errors
    /// [`SessionError`] says what was wrong with the message; session and store are as before it.
    pub fn receive<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        message: &[u8],
        now_ms: u64,
    ) -> Result<(), SessionError> {
        if let Some(reason) = self.ended {
            return Err(SessionError::Ended(reason));
        }
        replica.tick(now_ms)?;
        let limit = replica.limits().message_bytes;
        crdt_core::LimitExceeded::check("bytes of a message", message.len(), limit)
            .map_err(crdt_core::codec::DecodeError::from)?;
        if self.peer.is_none() {
            self.greet(replica, message, now_ms)?;
        } else {
            match self.take(replica, message, now_ms) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    match error {
                        SessionError::TooManyRefusals => self.close(EndReason::TooManyRefusals),
                        SessionError::Superseded | SessionError::ScopeChanged => {
                            self.close(EndReason::Failed);
                        }
                        _ => {}
                    }
                    return Err(error);
                }
            }
        }
        self.traffic.messages_received += 1;
        self.traffic.bytes_received += message.len() as u64;
        self.last_heard_ms = now_ms;
        self.note_end(replica, now_ms);
        Ok(())
    }

    /// Takes the peer's hello and answers with the proof.
    fn greet<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        message: &[u8],
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let (head, trail) = replica.introduction()?;
        let hello = read_hello(&head.namespace, message)?;
        if self.hello.is_none() {
            self.make_hello(&head, trail, replica.now_ms().unwrap_or(now_ms));
        }
        self.greeted_ms = now_ms;
        self.check_life(&head, &hello)?;
        self.outbound.greet(&head, &hello);
        self.outbound.tell_life(self.told.0);
        let peer = Peer::new(&head.namespace, hello, message, self.config.nonce);
        let our_hello = self.hello.as_deref().unwrap_or_default();
        self.control.push_back(peer.proof(&head.namespace, our_hello, self.guard.is_some()));
        self.reconcile = Reconcile::new(self.config.nonce, peer.hello.nonce);
        self.peer = Some(peer);
        Ok(())
    }

    /// Takes any later message; false when it was one that had been taken before.
    fn take<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        message: &[u8],
        now_ms: u64,
    ) -> Result<bool, SessionError> {
        let peer = self.peer.as_mut().expect("checked by the caller");
        match peer.greeted(self.hello.as_deref().unwrap_or_default(), message)? {
            Greeted::Repeated => return Ok(false),
            Greeted::Proven(proof) => {
                self.proven(replica, message, proof.guarded, now_ms)?;
                return Ok(true);
            }
            Greeted::Past => {}
        }
        let body = match peer.receives.open(message) {
            Opened::Next(body) => body,
            Opened::Repeated => return Ok(false),
            Opened::Early(missing) => return Err(SessionError::Missing { messages: missing }),
            Opened::Broken => return Err(SessionError::Damaged),
        };
        let unpacked = unpack(body, replica.limits().message_bytes)?;
        match Message::decode(unpacked.as_deref().unwrap_or(body))? {
            Message::Hello(_) | Message::Proof(_) => return Err(SessionError::Unexpected("a second hello")),
            Message::Token(token) if peer.awaits_token() => self.admit(replica, token, now_ms)?,
            Message::Welcome(welcome) if peer.awaits_welcome() => self.welcomed(replica, welcome)?,
            Message::Token(_) => return Err(SessionError::Unexpected("a token")),
            Message::Welcome(_) => return Err(SessionError::Unexpected("a welcome")),
            Message::Bye(reason, refusal) => {
                if let Some(refusal) = refusal {
                    self.events.push_back(SessionEvent::NotAdmitted(refusal.clone()));
                    self.refusal = Some(refusal);
                }
                self.end(reason);
            }
            Message::Restart(restart) => self.restarted(replica, restart, now_ms)?,
            _ if peer.rights().is_none() || peer.welcome().is_none() => {
                return Err(SessionError::Unexpected("a message before the handshake was over"));
            }
            // Said before the peer knew that one of the two has another id.
            _ if self.renewal.waits() => {}
            message => match self.exchange(replica, message, now_ms) {
                Err(SessionError::Forked) => {
                    let fork = replica.forked(None)?;
                    self.renew(replica, fork, now_ms)?;
                }
                done => done?,
            },
        }
        if let Some(peer) = &mut self.peer {
            peer.receives.accept();
        }
        Ok(true)
    }

    /// The peer knows the key. Without a guard it is let in with that; if it has none either, so are we.
    fn proven<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        message: &[u8],
        guarded: bool,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let renews = self.has_same_life();
        let skew_ms = self.measure_clock(replica, now_ms)?;
        let peer = self.peer.as_mut().expect("greeted");
        let admits = self.guard.is_none();
        self.inbound.read_by_all(admits);
        let want = if admits && !guarded && !renews {
            Some(self.inbound.greet(replica, &peer.hello, 0, self.config.nonce)?)
        } else {
            None
        };
        peer.proven(message, guarded);
        let (replica_id, life) = (peer.hello.replica, peer.hello.life);
        self.events.push_back(SessionEvent::Connected { replica: replica_id, life, skew_ms });
        if admits {
            peer.admit(Box::new(Open));
        }
        if guarded {
            let token = Token { shown: self.token.as_deref(), obeys: self.obeys() };
            self.control.push_back(Message::Token(token).encode());
        } else {
            peer.welcomed(Terms::OPEN);
        }
        self.ask_first(replica, want)?;
        if renews {
            return self.part_from_copy(replica, now_ms);
        }
        if admits { self.meet(replica, now_ms) } else { Ok(()) }
    }

    /// Asks our guard about the peer's token.
    fn admit<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        Token { shown: token, obeys }: Token<'_>,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let peer = self.peer.as_mut().expect("greeted");
        let Some(guard) = &self.guard else { return Err(SessionError::Unexpected("a token")) };
        let (replica_id, life) = (peer.hello.replica, peer.hello.life);
        match guard.authenticate(&Applicant { replica: replica_id, life, token, now_ms }) {
            Ok(rights) => {
                let namespace = replica.head()?.namespace;
                if let Some(principal) = rights.principal() {
                    peer.remember_as(&namespace, principal);
                    self.outbound.remember_as(peer.hello.life);
                }
                let refused = replica.last_refusal(peer.hello.life)?;
                // What was refused last time has to be taken back before anything else is asked for.
                self.inbound.hold_while(obeys, refused > 0);
                self.inbound.read_by_all(rights.terms().reads == Reads::Everything);
                self.inbound.judge(!rights.terms().writes_all);
                let want = match peer.welcome() {
                    Some(welcome) if !self.inbound.holds() && !self.renewal.waits() => Some(
                        self.inbound.greet(replica, &peer.hello, welcome.reads.scope(), self.config.nonce)?,
                    ),
                    _ => None,
                };
                let terms = peer.admit(rights);
                self.outbound.refused(refused);
                let (scope, writes_all) = (terms.reads.scope(), terms.writes_all);
                self.control.push_back(Message::Welcome(Welcome { scope, writes_all, refused }).encode());
                self.ask_first(replica, want)?;
                self.meet(replica, now_ms)?;
            }
            Err(refusal) => {
                let bye = Message::Bye(EndReason::NotAdmitted, Some(refusal.clone()));
                self.control.push_back(bye.encode());
                self.events.push_back(SessionEvent::NotAdmitted(refusal.clone()));
                self.refusal = Some(refusal);
                self.end(EndReason::NotAdmitted);
            }
        }
        Ok(())
    }

    /// The peer's guard let us in: now we say what we want.
    fn welcomed<S: Store>(&mut self, replica: &mut Replica<S>, welcome: Welcome) -> Result<(), SessionError> {
        let obeys = self.obeys();
        let peer = self.peer.as_mut().expect("greeted");
        if obeys {
            replica.follow_server(peer.hello.life)?;
        } else if self.refusals == Refusals::MustNotBe && !welcome.writes_all {
            self.close(EndReason::Closed);
            return Err(SessionError::MustFollow);
        }
        let want = match peer.rights() {
            Some(_) if !self.inbound.holds() && !self.renewal.waits() => {
                Some(self.inbound.greet(replica, &peer.hello, welcome.scope, self.config.nonce)?)
            }
            _ => None,
        };
        self.inbound.expect_refusals(welcome.refused);
        let terms = Terms::from(welcome);
        peer.welcomed(terms);
        self.events.push_back(SessionEvent::Admitted(terms));
        self.ask_first(replica, want)
    }

    /// When [`Session::expire`] has to be called: the peer owes an answer and did not give it.
    pub fn next_timeout_ms(&self) -> Option<u64> {
        let waits = self.ended.is_none() && (self.peer.is_none() || !self.is_settled());
        waits.then(|| self.last_heard_ms.max(self.started_ms) + self.config.timeout_ms)
    }

    /// Ends the session if the peer has been silent for too long while it owed an answer. True when it did.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let expired = self.next_timeout_ms().is_some_and(|deadline| now_ms >= deadline);
        if expired {
            self.end(EndReason::TimedOut);
        }
        expired
    }

    /// Ends the session; the next [`Session::transmit`] tells the peer.
    pub fn close(&mut self, reason: EndReason) {
        if self.ended.is_none() {
            self.control.push_back(Message::Bye(reason, None).encode());
            self.end(reason);
        }
    }

    fn end(&mut self, reason: EndReason) {
        self.ended.get_or_insert(reason);
        self.events.push_back(SessionEvent::Ended(reason));
    }

    /// Why the session is over, if it is.
    pub const fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// Why the guard, theirs or ours, did not let the applicant in.
    pub const fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// True when the peer sent us all that it had, and acknowledged all that we had. New commits make it false again once
    /// [`Session::transmit`] has picked them up.
    pub fn is_settled(&self) -> bool {
        self.inbound.caught_up()
            && self.outbound.caught_up()
            && !self.reconcile.under_way()
            && self.control.is_empty()
    }

    /// Where the session is, and what it cost.
    pub fn status(&self) -> Status {
        Status {
            peer: self.peer.as_ref().map(|peer| (peer.hello.replica, peer.life)),
            peer_is_durable: self.peer.as_ref().is_some_and(|peer| peer.hello.durable),
            settled: self.is_settled(),
            ended: self.ended,
            cursor: self.inbound.cursor(),
            acknowledged: self.outbound.acked(),
            peer_root: self.peer.as_ref().map(|peer| peer.root),
            comparable: self.scopes.comparable(),
            terms: self.peer.as_ref().and_then(Peer::welcome),
            way: self.outbound.way(),
            reconciled: self.reconcile.cost_if_any(),
            traffic: self.traffic,
        }
    }
}
