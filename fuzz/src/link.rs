//! [`Link`]: the line between the victim and an honest peer, held by somebody who knows the key. Every message that
//! passes is opened and sealed anew, so it can be changed, held back, repeated or made up.

use std::sync::Arc;

use crdt_core::codec::Reader;
use crdt_core::{Life, Refusal, ReplicaId, Spare};
use sync_protocol::door::{Applicant, Right, Rules};
use sync_protocol::{Config, Session, SessionError};

use super::audit::Memory;
use super::bundle::namespace;
use super::input::Input;
use super::wire::{self, Seal, kind};

/// What the victim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of several equals.
    Open,
    /// A server with a guard; the adversary is one of its clients.
    Guarded,
    /// A client that follows a server; the adversary is that server.
    Following,
}

/// What a client of the guarded victim may do.
pub fn rules() -> Rules {
    Rules::all(Right::ReadWrite)
        .collection("wages", Right::Read)
        .collection("letters", Right::Write)
        .collection("secret", Right::None)
        .of("ann")
}

fn guard(rules: Rules) -> Arc<impl Fn(&Applicant<'_>) -> Result<Rules, Refusal>> {
    Arc::new(move |applicant: &Applicant<'_>| match applicant.token {
        Some(b"ann") => Ok(rules.clone()),
        _ => Err(Refusal::new(401, "who are you?")),
    })
}

impl Role {
    /// A session of the victim.
    pub fn victim(self, config: Config, now_ms: u64) -> Session {
        let session = Session::new(config, now_ms);
        match self {
            Self::Open => session,
            Self::Guarded => session.guarded_by(guard(rules())),
            Self::Following => session.obeying().with_token("ann"),
        }
    }

    /// A session of the honest peer.
    pub fn peer(self, config: Config, now_ms: u64, obeys: bool) -> Session {
        let session = Session::new(config, now_ms);
        match self {
            Self::Open => session,
            Self::Guarded if obeys => session.obeying().with_token("ann"),
            Self::Guarded => session.with_token("ann"),
            Self::Following => session.guarded_by(guard(rules())),
        }
    }

    /// Sessions of the victim and of somebody with all rights.
    pub fn trusted(self, configs: [Config; 2], now_ms: u64) -> (Session, Session) {
        let all = || guard(Rules::all(Right::ReadWrite));
        let [mine, theirs] = configs.map(|config| Session::new(config, now_ms));
        match self {
            Self::Open => (mine, theirs),
            Self::Guarded => (mine.guarded_by(all()), theirs.obeying().with_token("ann")),
            Self::Following => (mine.obeying().with_token("ann"), theirs.guarded_by(all())),
        }
    }
}

/// What a session is started with; with a spare identity made of a number that is not used again, or without.
pub fn config(nonce: u64, spare: Option<u64>) -> Config {
    let config = Config::new(nonce);
    match spare {
        Some(number) => config.spare(Spare { replica: ReplicaId::from_u64(number), life: Life(number) }),
        None => config,
    }
}

/// One conversation, and what passed in it.
#[derive(Debug)]
pub struct Link {
    pub at_victim: Session,
    pub at_peer: Session,
    victim_hello: Vec<u8>,
    peer_hello: Vec<u8>,
    /// The peer's hello as the victim was told.
    told_hello: Vec<u8>,
    to_victim: Option<Seal>,
    to_peer: Option<Seal>,
    /// Bodies that the peer has said.
    pub said: Vec<Vec<u8>>,
    /// Messages that the victim was given, as they were.
    pub given: Vec<Vec<u8>>,
    /// The peer has had enough.
    peer_gave_up: bool,
}

/// Where the fields of a hello are.
const HELLO_REPLICA: usize = 20;
const HELLO_LIFE: usize = 36;
const HELLO_NONCE: usize = 44;
const HELLO_ROOT: usize = 52;
const HELLO_SEQUENCE: usize = 68;

impl Link {
    pub fn new(at_victim: Session, at_peer: Session) -> Self {
        let nothing = Vec::new;
        Self {
            at_victim,
            at_peer,
            victim_hello: nothing(),
            peer_hello: nothing(),
            told_hello: nothing(),
            to_victim: None,
            to_peer: None,
            said: Vec::new(),
            given: Vec::new(),
            peer_gave_up: false,
        }
    }

    /// Both say hello. The peer's is told as it is, or changed as the input says.
    ///
    /// # Errors
    /// Those of the victim.
    pub fn greet(
        &mut self,
        victim: &mut Memory,
        peer: &mut Memory,
        now_ms: u64,
        lie: Option<&mut Input<'_>>,
    ) -> Result<(), SessionError> {
        let hellos = (self.at_victim.transmit(victim, now_ms)?, self.at_peer.transmit(peer, now_ms)?);
        let (Some(victim_hello), Some(peer_hello)) = hellos else { return Ok(()) };
        let mut told = wire::body(&peer_hello).to_vec();
        if let Some(input) = lie {
            lie_in_hello(&mut told, wire::body(&victim_hello), input);
        }
        let told = Seal::of_greeting(&namespace(), 0).close(&told);
        let (ours, theirs) = (wire::nonce(&told), wire::nonce(&victim_hello));
        self.to_victim = Some(Seal::of_session(&namespace(), ours, theirs));
        self.to_peer = Some(Seal::of_session(&namespace(), theirs, wire::nonce(&peer_hello)));
        self.peer_gave_up = self.at_peer.receive(peer, &victim_hello, now_ms).is_err();
        (self.victim_hello, self.peer_hello, self.told_hello) = (victim_hello, peer_hello, told.clone());
        self.give_as_is(victim, &told, now_ms)
    }

    /// Gives the victim a message as it is.
    ///
    /// # Errors
    /// Those of the victim.
    pub fn give_as_is(
        &mut self,
        victim: &mut Memory,
        message: &[u8],
        now_ms: u64,
    ) -> Result<(), SessionError> {
        self.given.push(message.to_vec());
        let before = victim.head().expect("memory");
        let given = self.at_victim.receive(victim, message, now_ms);
        if given.is_err() {
            assert_eq!(
                victim.head().expect("memory"),
                before,
                "a message that was not taken changed something"
            );
        }
        given
    }

    /// Gives the victim a body, with the right seal.
    ///
    /// # Errors
    /// Those of the victim.
    pub fn give(&mut self, victim: &mut Memory, body: &[u8], now_ms: u64) -> Result<(), SessionError> {
        let message = match body.first() {
            Some(&kind::PROOF) => {
                // The peer's own would be of another hello.
                let guarded = body.get(17).copied().unwrap_or(0);
                let proof = wire::proof(&namespace(), &self.told_hello, &self.victim_hello, guarded);
                Seal::of_greeting(&namespace(), 1).close(&proof)
            }
            _ => match &mut self.to_victim {
                Some(seal) => seal.close(body),
                None => return Ok(()),
            },
        };
        let taken = self.give_as_is(victim, &message, now_ms);
        if taken.is_err()
            && body.first() != Some(&kind::PROOF)
            && let Some(seal) = &mut self.to_victim
        {
            seal.not_taken();
        }
        taken
    }

    /// What the peer says next, without its seal.
    pub fn hear_peer(&mut self, peer: &mut Memory, now_ms: u64) -> Option<Vec<u8>> {
        if self.peer_gave_up {
            return None;
        }
        let message = self.at_peer.transmit(peer, now_ms).ok().flatten()?;
        let body = wire::body(&message).to_vec();
        self.said.push(body.clone());
        Some(body)
    }

    /// What the victim says next does not reach the peer.
    ///
    /// # Errors
    /// Those of the victim.
    pub fn hold_back(&mut self, victim: &mut Memory, now_ms: u64) -> Result<Option<Vec<u8>>, SessionError> {
        self.at_victim.transmit(victim, now_ms)
    }

    /// What the victim says next is passed on to the peer, and returned.
    ///
    /// # Errors
    /// Those of the victim.
    pub fn hear_victim(
        &mut self,
        victim: &mut Memory,
        peer: &mut Memory,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, SessionError> {
        let Some(message) = self.at_victim.transmit(victim, now_ms)? else { return Ok(None) };
        if self.peer_gave_up {
            return Ok(Some(message));
        }
        let body = wire::body(&message);
        let passed = match (body.first(), &mut self.to_peer) {
            (Some(&kind::PROOF), _) => {
                let proof = wire::proof(&namespace(), &self.victim_hello, &self.peer_hello, body[17]);
                Seal::of_greeting(&namespace(), 1).close(&proof)
            }
            (_, Some(seal)) => seal.close(body),
            (_, None) => return Ok(Some(message)),
        };
        self.peer_gave_up = self.at_peer.receive(peer, &passed, now_ms).is_err();
        Ok(Some(message))
    }
}

fn lie_in_hello(body: &mut Vec<u8>, victim_hello: &[u8], input: &mut Input<'_>) {
    if input.flag() {
        let replica = super::hostile::replica(input);
        body[HELLO_REPLICA..HELLO_LIFE].copy_from_slice(replica.as_bytes());
    }
    if input.flag() {
        body[HELLO_LIFE] ^= input.byte();
    }
    if input.flag() {
        body[HELLO_ROOT] ^= input.byte();
    }
    if input.flag() {
        let mut reader = Reader::new(&body[HELLO_SEQUENCE..]);
        let _ = (reader.unsigned("a sequence"), reader.unsigned("a time"));
        let durable = reader.rest().to_vec();
        body.truncate(HELLO_SEQUENCE);
        crdt_core::codec::put_unsigned(body, input.number());
        crdt_core::codec::put_unsigned(body, input.number());
        body.extend_from_slice(&durable);
    }
    if input.flag() {
        // A copy of the victim.
        body[HELLO_REPLICA..HELLO_NONCE].copy_from_slice(&victim_hello[HELLO_REPLICA..HELLO_NONCE]);
    }
    match input.below(4) {
        1 => {
            body.truncate(runs_at(body));
            body.extend_from_slice(&victim_hello[runs_at(victim_hello)..]);
        }
        2 => {
            body.truncate(runs_at(body));
            body.extend_from_slice(&[2, 1, input.byte(), 0, 0, 0]);
        }
        3 => body.extend_from_slice(input.piece()),
        _ => {}
    }
}

/// Where a hello tells of runs.
fn runs_at(body: &[u8]) -> usize {
    let mut reader = Reader::new(&body[HELLO_SEQUENCE..]);
    let _ = (reader.unsigned("a sequence"), reader.unsigned("a time"), reader.byte("durable or not"));
    body.len() - reader.remaining()
}
