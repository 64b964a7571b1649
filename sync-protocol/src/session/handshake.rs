//! The handshake: who the other side is, whether it knows the key, and on what terms the two talk.
//!
//! ```text
//! A → B  hello                       who I am, what I hold, a number drawn for this session
//! B → A  hello, proof                the proof is over both hellos
//! A → B  proof, want                 want: from where on to send; only after the peer proved the key
//! B → A  want, and what A misses
//! ```
//!
//! A side with a guard says so in its proof. Then the other shows its token, and both wants wait until the guard has
//! welcomed it. Before a peer is let in, nothing of it reaches the store, and nothing leaves the store but what a hello says.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crdt_core::{Fingerprint, Life, Namespace};

use super::status::SessionError;
use crate::door::{self, Authorize, Reads, Terms};
use crate::message::{Hello, Message, Proof, Restart, Welcome};
use crate::seal::{Opened, Seal};

/// The other side.
#[derive(Debug)]
pub(super) struct Peer {
    /// Ours, and so its.
    namespace: Namespace,
    /// What it said of itself; but its life is the name under which it is remembered.
    pub(super) hello: Hello,
    /// Its life as it said it.
    pub(super) life: Life,
    /// What it last said its root was.
    pub(super) root: Fingerprint,
    pub(super) sends: Seal,
    pub(super) receives: Seal,
    /// The messages of its greeting as they came, to recognise them when the transport repeats them.
    hello_message: Vec<u8>,
    proof_message: Option<Vec<u8>>,
    greeting: Seal,
    /// It has a guard, which has to welcome us.
    guarded: bool,
    /// What it lets us do, once it has said so.
    welcome: Option<Terms>,
    /// What we let it do, once it is let in.
    admitted: Option<(Box<dyn Authorize>, Terms)>,
}

/// What a message of the greeting turned out to be.
pub(super) enum Greeted {
    /// None of the greeting.
    Past,
    /// One that had been taken before.
    Repeated,
    /// The proof, and it holds.
    Proven(Proof),
}

impl Peer {
    pub(super) fn new(namespace: &Namespace, hello: Hello, message: &[u8], our_nonce: u64) -> Self {
        let mut greeting = Seal::of_greeting(namespace);
        greeting.accept();
        Self {
            namespace: *namespace,
            sends: Seal::of_session(namespace, our_nonce, hello.nonce),
            receives: Seal::of_session(namespace, hello.nonce, our_nonce),
            root: hello.root,
            life: hello.life,
            hello,
            hello_message: message.to_vec(),
            proof_message: None,
            greeting,
            guarded: false,
            welcome: None,
            admitted: None,
        }
    }

    /// Our proof towards this peer.
    pub(super) fn proof(&self, namespace: &Namespace, our_hello: &[u8], guarded: bool) -> Vec<u8> {
        let mac = door::prove(namespace, our_hello, &self.hello_message);
        Message::Proof(Proof { mac, guarded }).encode()
    }

    /// Looks whether a message belongs to the greeting, which has seals of its own. Held against the session's seal, a
    /// repeated hello would once in a while look like a message from further on.
    pub(super) fn greeted(&self, our_hello: &[u8], message: &[u8]) -> Result<Greeted, SessionError> {
        if message == self.hello_message || self.proof_message.as_deref() == Some(message) {
            return Ok(Greeted::Repeated);
        }
        if self.proof_message.is_some() {
            return Ok(Greeted::Past);
        }
        let body = match (self.greeting.open(message), self.receives.open(message)) {
            (Opened::Next(body), _) => body,
            (Opened::Early(messages), _) => return Err(SessionError::Missing { messages }),
            (_, Opened::Next(_)) => return Err(SessionError::Missing { messages: 1 }),
            (_, Opened::Early(messages)) => return Err(SessionError::Missing { messages: messages + 1 }),
            _ => return Err(SessionError::Damaged),
        };
        match Message::decode(body)? {
            Message::Proof(proof)
                if door::is_proven(&self.namespace, &self.hello_message, our_hello, &proof.mac) =>
            {
                Ok(Greeted::Proven(proof))
            }
            Message::Proof(_) => Err(SessionError::Unauthenticated),
            _ => Err(SessionError::Unexpected("something before the proof")),
        }
    }

    /// It knows the key.
    pub(super) fn proven(&mut self, message: &[u8], guarded: bool) {
        self.proof_message = Some(message.to_vec());
        self.guarded = guarded;
    }

    /// It is let in.
    pub(super) fn admit(&mut self, rights: Box<dyn Authorize>) -> Terms {
        let terms = rights.terms();
        self.admitted = Some((rights, terms));
        terms
    }

    /// It lets us in.
    pub(super) fn welcomed(&mut self, terms: Terms) {
        self.welcome = Some(terms);
    }

    /// A life is only claimed, so what is remembered of one is remembered per life and person.
    pub(super) fn remember_as(&mut self, namespace: &Namespace, principal: &str) {
        self.hello.life = door::record(namespace, self.life, principal);
    }

    /// It goes on under another id, or says again who it is.
    pub(super) fn adopt(&mut self, namespace: &Namespace, restart: Restart) {
        let Restart { replica, life, root, sequence, trail } = restart;
        (self.hello.replica, self.hello.life, self.life) = (replica, life, life);
        (self.hello.root, self.root) = (root, root);
        (self.hello.sequence, self.hello.trail) = (sequence, trail);
        if let Some((rights, _)) = &self.admitted
            && let Some(principal) = rights.principal()
        {
            self.hello.life = door::record(namespace, life, principal);
        }
    }

    /// It has a guard, which may refuse changes.
    pub(super) const fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// A token is what is to come next: the guard has not decided.
    pub(super) const fn awaits_token(&self) -> bool {
        self.proof_message.is_some() && self.admitted.is_none()
    }

    /// A welcome is what is to come next.
    pub(super) const fn awaits_welcome(&self) -> bool {
        self.guarded && self.welcome.is_none()
    }

    pub(super) const fn welcome(&self) -> Option<Terms> {
        self.welcome
    }

    pub(super) fn rights(&self) -> Option<(&dyn Authorize, Terms)> {
        self.admitted.as_ref().map(|(rights, terms)| (&**rights, *terms))
    }
}

impl From<Welcome> for Terms {
    fn from(welcome: Welcome) -> Self {
        let reads = if welcome.scope == 0 { Reads::Everything } else { Reads::Scope(welcome.scope) };
        Self { reads, writes_all: welcome.writes_all }
    }
}

/// Opens a hello. The namespace is told apart before the seal, which is made with its id.
pub(super) fn read_hello(namespace: &Namespace, message: &[u8]) -> Result<Hello, SessionError> {
    // Everything is sealed alike, so the check can be cut off before it is known to be right.
    let body = message.len().checked_sub(3).map(|end| &message[..end]).ok_or(SessionError::Damaged)?;
    if let Ok(Message::Hello(hello)) = Message::decode(body)
        && hello.namespace != *namespace.id()
    {
        return Err(SessionError::WrongNamespace);
    }
    let Opened::Next(body) = Seal::of_greeting(namespace).open(message) else {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crdt_core::{
        DocumentId, Durability, Head, Life, MemoryStore, Refusal, Replica, ReplicaId, TransactionError,
    };

    use super::*;
    use crate::door::{Applicant, Rules};
    use crate::{Config, Session};

    fn replica(number: u64, title: &str) -> Replica<MemoryStore> {
        let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
        let mut replica = Replica::new(MemoryStore::new(head));
        let written = replica.commit(1, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(number))?.set("title", title)?;
            Ok::<_, TransactionError>(())
        });
        written.unwrap();
        replica
    }

    /// A member that does not wait for the guard: it makes its own session believe that there is none.
    #[test]
    fn who_does_not_wait_for_the_guard_gets_nothing() {
        let (mut guarded, mut rude) = (replica(1, "inside"), replica(2, "outside"));
        let nobody = |_: &Applicant<'_>| Err::<Rules, _>(Refusal::new(401, "nobody"));
        let mut at_guarded = Session::new(Config::new(1), 0).guarded_by(Arc::new(nobody));
        let mut at_rude = Session::new(Config::new(2), 0);
        let hello = at_rude.transmit(&mut rude, 0).unwrap().unwrap();
        at_guarded.receive(&mut guarded, &hello, 0).unwrap();
        let hello = at_guarded.transmit(&mut guarded, 0).unwrap().unwrap();
        at_rude.receive(&mut rude, &hello, 0).unwrap();
        let proof = at_guarded.transmit(&mut guarded, 0).unwrap().unwrap();
        let Ok(Message::Proof(proof)) = Message::decode(&proof[..proof.len() - 3]) else { panic!("a proof") };
        assert!(proof.guarded);
        let mut open = Message::Proof(Proof { guarded: false, ..proof }).encode();
        let mut seal = Seal::of_greeting(&Namespace::from_secret("test"));
        seal.accept();
        seal.close(&mut open);
        at_rude.receive(&mut rude, &open, 0).unwrap();

        let before = (guarded.head().unwrap(), guarded.canonical_bytes().unwrap());
        let proof = at_rude.transmit(&mut rude, 0).unwrap().unwrap();
        at_guarded.receive(&mut guarded, &proof, 0).unwrap();
        let want = at_rude.transmit(&mut rude, 0).unwrap().unwrap();
        let refused = at_guarded.receive(&mut guarded, &want, 0);
        assert!(matches!(refused, Err(SessionError::Unexpected(_))), "{refused:?}");
        assert!(at_guarded.transmit(&mut guarded, 0).unwrap().is_none(), "nothing is said to it");
        assert_eq!((guarded.head().unwrap(), guarded.canonical_bytes().unwrap()), before);
    }
}
