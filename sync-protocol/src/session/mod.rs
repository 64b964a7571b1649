//! [`Session`]: one conversation with one peer.

mod inbound;
mod outbound;
mod status;

pub use status::{SessionError, SessionEvent, Status, Traffic, Way};

use std::collections::{BTreeSet, VecDeque};

use crdt_core::{Fingerprint, Replica, Store};

use crate::EndReason;
use crate::message::{self, Ack, Hello, Message, Want};
use crate::seal::{Opened, Seal};
use inbound::Inbound;
use outbound::Outbound;

/// What a session is started with. All of it comes from outside: a session draws no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// 64 random bits, new for every session.
    pub nonce: u64,
    /// False for a store that forgets when the process ends.
    pub durable: bool,
    /// How long to wait for a peer that owes an answer, in milliseconds.
    pub timeout_ms: u64,
}

impl Config {
    /// The usual settings: a durable store, 30 s of patience.
    pub const fn new(nonce: u64) -> Self {
        Self { nonce, durable: true, timeout_ms: 30_000 }
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
/// An error from `receive` leaves the session and the store as they were before that message. A session that
/// [ended](Session::ended) stays so.
///
/// The replica is handed in with every call, so any number of sessions can share it, and other processes can write to
/// its store in between.
#[derive(Debug)]
pub struct Session {
    config: Config,
    started_ms: u64,
    hello_sent: bool,
    peer: Option<Peer>,
    outbound: Outbound,
    inbound: Inbound,
    /// Steps of our change order that hold nothing but what this peer sent.
    echoes: BTreeSet<u64>,
    control: VecDeque<Vec<u8>>,
    events: VecDeque<SessionEvent>,
    ended: Option<EndReason>,
    traffic: Traffic,
    last_heard_ms: u64,
    /// Everything was asked for once because the roots differed.
    repaired: bool,
}

/// What the handshake said of the other side, and the seals that follow from it.
#[derive(Debug)]
struct Peer {
    hello: Hello,
    /// What it last said its root was.
    root: Fingerprint,
    sends: Seal,
    receives: Seal,
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(config: Config, now_ms: u64) -> Self {
        Self {
            config,
            started_ms: now_ms,
            hello_sent: false,
            peer: None,
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            echoes: BTreeSet::new(),
            control: VecDeque::new(),
            events: VecDeque::new(),
            ended: None,
            traffic: Traffic::default(),
            last_heard_ms: now_ms,
            repaired: false,
        }
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
        if !self.hello_sent {
            if self.ended.is_some() {
                return Ok(None);
            }
            let head = replica.head()?;
            let hello = Message::Hello(Hello {
                namespace: *head.namespace.id(),
                replica: head.replica,
                life: head.life,
                nonce: self.config.nonce,
                root: head.root,
                sequence: head.sequence,
                now_ms,
                durable: self.config.durable,
            });
            let mut message = hello.encode();
            Seal::of_namespace(&head.namespace).close(&mut message);
            self.hello_sent = true;
            return Ok(Some(self.sent(message)));
        }
        let Some(peer) = &mut self.peer else { return Ok(None) };
        let mut message = match self.control.pop_front() {
            Some(message) => message,
            None if self.ended.is_some() => return Ok(None),
            None => match self.outbound.next_message(replica, &self.echoes)? {
                Some(message) => message,
                None => return Ok(None),
            },
        };
        peer.sends.close(&mut message);
        Ok(Some(self.sent(message)))
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
        let limit = replica.limits().message_bytes;
        crdt_core::LimitExceeded::check("bytes of a message", message.len(), limit)
            .map_err(crdt_core::codec::DecodeError::from)?;
        if self.peer.is_none() {
            self.greet(replica, message, now_ms)?;
        } else if !self.take(replica, message)? {
            return Ok(());
        }
        self.traffic.messages_received += 1;
        self.traffic.bytes_received += message.len() as u64;
        self.last_heard_ms = now_ms;
        Ok(())
    }

    /// Takes the peer's hello and says what we want of it.
    fn greet<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        message: &[u8],
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let head = replica.head()?;
        let hello = read_hello(&head.namespace, message)?;
        if hello.life == head.life {
            return Err(if hello.nonce == self.config.nonce {
                SessionError::Echo
            } else {
                SessionError::SameLife
            });
        }
        let want = self.inbound.greet(replica, &head, &hello)?;
        self.outbound.greet(&head, &hello);
        let (ours, theirs) = (self.config.nonce, hello.nonce);
        self.control.push_back(Message::Want(want).encode());
        let skew_ms = i64::try_from(i128::from(hello.now_ms) - i128::from(now_ms)).unwrap_or(i64::MAX);
        self.events.push_back(SessionEvent::Connected { replica: hello.replica, life: hello.life, skew_ms });
        self.peer = Some(Peer {
            sends: Seal::of_session(&head.namespace, ours, theirs),
            receives: Seal::of_session(&head.namespace, theirs, ours),
            root: hello.root,
            hello,
        });
        Ok(())
    }

    /// Takes any later message; false when it was one that had been taken before.
    fn take<S: Store>(&mut self, replica: &mut Replica<S>, message: &[u8]) -> Result<bool, SessionError> {
        let peer = self.peer.as_mut().expect("checked by the caller");
        // The peer's hello again, repeated by the transport. Its seal is another one: held against this session's it would
        // once in a while look like a message from further on.
        if message.first() == Some(&message::HELLO)
            && read_hello(&replica.head()?.namespace, message).is_ok_and(|hello| hello == peer.hello)
        {
            return Ok(false);
        }
        let body = match peer.receives.open(message) {
            Opened::Next(body) => body,
            Opened::Repeated => return Ok(false),
            Opened::Early(missing) => return Err(SessionError::Missing { messages: missing }),
            Opened::Broken => return Err(SessionError::Damaged),
        };
        match Message::decode(body)? {
            Message::Hello(_) => return Err(SessionError::Unexpected("a second hello")),
            Message::Want(want) => {
                let head = replica.head()?;
                if want.seen_of_you > head.counter {
                    return Err(SessionError::Forked);
                }
                let way = self.outbound.start(&head, &want)?;
                self.events.push_back(SessionEvent::Sending(way));
            }
            Message::Chunk(batch) => Inbound::chunk(replica, &peer.hello, batch)?,
            Message::Checkpoint(checkpoint) => {
                let root = checkpoint.root;
                let applied = self.inbound.checkpoint(replica, &peer.hello, checkpoint)?;
                self.applied(replica, &applied, true);
                self.compare(replica, root);
            }
            Message::Push(push) => {
                let applied = self.inbound.push(replica, &peer.hello, push)?;
                self.applied(replica, &applied, false);
            }
            Message::Ack(ack) => {
                let (replica_id, life) = (peer.hello.replica, peer.hello.life);
                if self.outbound.acknowledged(&ack)? {
                    replica.acknowledged(life, replica_id, ack.sequence)?;
                    self.events.push_back(SessionEvent::Acknowledged { sequence: ack.sequence });
                }
                self.inbound.echoed(ack.echo_steps);
                if let Some(root) = ack.root {
                    self.compare(replica, root);
                }
            }
            Message::Bye(reason) => {
                self.end(reason);
            }
        }
        if let Some(peer) = &mut self.peer {
            peer.receives.accept();
        }
        Ok(true)
    }

    /// Acknowledges what was applied, and remembers which of our steps are only its echo.
    fn applied<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        applied: &crdt_core::Applied,
        checkpoint: bool,
    ) {
        let mut echo_steps = 0;
        if let Some(sequence) = applied.sequence {
            self.echoes.insert(sequence);
            echo_steps = self.outbound.pass_echo(sequence);
        }
        // The change is applied whatever happens now; without its root the peer just cannot compare yet. Nor can it
        // while we have something that it does not know.
        let head = if checkpoint { replica.head().ok() } else { None };
        let root = head.filter(|head| self.outbound.has_told(head)).map(|head| head.root);
        let ack = Ack { sequence: self.inbound.cursor(), echo_steps, root };
        self.control.push_back(Message::Ack(ack).encode());
        self.events.push_back(SessionEvent::Applied { cells: applied.cells, checkpoint });
        if self.echoes.len() > 4096 {
            // Those that were passed are of no use any more.
            self.echoes = self.echoes.split_off(&self.outbound.position());
        }
    }

    /// Both sides have everything, so their roots have to be equal. If they are not, some transaction exists twice with
    /// different content (a copied store): each side then sends the other all that it holds.
    fn compare<S: Store>(&mut self, replica: &mut Replica<S>, peer_root: Fingerprint) {
        if let Some(peer) = &mut self.peer {
            peer.root = peer_root;
        }
        if !self.outbound.caught_up() || !self.inbound.caught_up() {
            return;
        }
        let Ok(head) = replica.head() else { return };
        if !self.outbound.has_told(&head) || head.root == peer_root {
            return;
        }
        self.events.push_back(SessionEvent::RootsDiffer { repairing: !self.repaired });
        if !self.repaired {
            self.repaired = true;
            let everything = Want { cursor: 0, seen_of_you: 0, seen: None };
            self.control.push_back(Message::Want(everything).encode());
        }
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
            self.control.push_back(Message::Bye(reason).encode());
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

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// True when the peer sent us all that it had, and acknowledged all that we had. New commits make it false again once
    /// [`Session::transmit`] has picked them up.
    pub fn is_settled(&self) -> bool {
        self.inbound.caught_up() && self.outbound.caught_up() && self.control.is_empty()
    }

    /// Where the session is, and what it cost.
    pub fn status(&self) -> Status {
        Status {
            peer: self.peer.as_ref().map(|peer| (peer.hello.replica, peer.hello.life)),
            peer_is_durable: self.peer.as_ref().is_some_and(|peer| peer.hello.durable),
            settled: self.is_settled(),
            ended: self.ended,
            cursor: self.inbound.cursor(),
            acknowledged: self.outbound.acked(),
            peer_root: self.peer.as_ref().map(|peer| peer.root),
            way: self.outbound.way(),
            traffic: self.traffic,
        }
    }
}

/// Opens a hello. The namespace is told apart before the seal, which only its members can check.
fn read_hello(namespace: &crdt_core::Namespace, message: &[u8]) -> Result<Hello, SessionError> {
    // Everything is sealed alike, so the check can be cut off before it is known to be right.
    let body = message.len().checked_sub(3).map(|end| &message[..end]).ok_or(SessionError::Damaged)?;
    if let Ok(Message::Hello(hello)) = Message::decode(body)
        && hello.namespace != *namespace.id()
    {
        return Err(SessionError::WrongNamespace);
    }
    let Opened::Next(body) = Seal::of_namespace(namespace).open(message) else {
        return Err(match body.get(1..4) {
            Some([b'r', b'j', version]) if body[0] == 1 && *version != crate::PROTOCOL_VERSION => {
                SessionError::Version { theirs: *version, ours: crate::PROTOCOL_VERSION }
            }
            _ => SessionError::Damaged,
        });
    };
    match Message::decode(body)? {
        Message::Hello(hello) => Ok(hello),
        _ => Err(SessionError::Unexpected("something before the hello")),
    }
}
