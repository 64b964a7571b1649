//! A whole session fed by an adversary who is a member: the input is a list of actions. Honest steps of a well-behaved
//! peer mix with messages that were changed, repeated, held back, or made up, with commits and with new sessions.
//!
//! Whatever it does: nothing panics, the victim's books agree, nothing that it committed is lost, it comes to rest, and
//! the next honest peer syncs with it as if nothing had been. A guarded victim holds nothing that the adversary may not
//! write, and says nothing of what it may not read.

use std::hash::Hasher as _;

use crdt_core::{
    DocumentId, Durability, Fingerprint, Head, Life, MemoryStore, Replica, ReplicaId, Transaction,
    TransactionError,
};
use siphasher::sip::SipHasher24;
use sync_protocol::drive::pump;

use super::audit::{Memory, Written, audit, cells_of, documents, nothing_is_lost};
use super::bundle::namespace;
use super::decoders::Batch;
use super::hostile::{self, COLLECTIONS};
use super::input::Input;
use super::link::{Link, Role};
use super::schema::{declared, edit_once};
use super::wire::{self, kind};

const START_MS: u64 = 1_790_000_000_000;

/// Actions of one input: more say nothing new, and take long.
const ACTIONS: usize = 40;

/// Actions up to this one are those of an honest peer.
const HONEST: usize = 4;

/// Messages after which two that talk have to be at rest. There are a few documents only.
const MESSAGES: usize = 400;

/// An adversary among equals.
pub fn session(bytes: &[u8]) {
    World::new(Role::Open, bytes).run();
}

/// An adversary before a guard.
pub fn guarded(bytes: &[u8]) {
    World::new(Role::Guarded, bytes).run();
}

/// An adversary that is obeyed.
pub fn following(bytes: &[u8]) {
    World::new(Role::Following, bytes).run();
}

struct World<'i> {
    role: Role,
    input: Input<'i>,
    now_ms: u64,
    /// Numbers that have to be new each time.
    fresh: u64,
    victim: Memory,
    written: Written,
    /// What the guarded victim has where the adversary may not write.
    untouchable: Batch,
    /// Stands in what the adversary may not read.
    marker: String,
    peer: Memory,
    /// The peer as it was some time ago.
    backup: Memory,
    link: Link,
    /// Another session of the same two, left open.
    other: Option<Link>,
    /// A third, whom everybody trusts.
    third: Memory,
    /// So far the peer was what it seems to be.
    honest: bool,
}

fn replica(number: u64, life: u64) -> Memory {
    let head = Head::new(namespace(), ReplicaId::from_u64(number), Life(life));
    let mut replica = Replica::new(MemoryStore::new(head));
    replica.declare(declared());
    replica
}

impl<'i> World<'i> {
    fn new(role: Role, bytes: &'i [u8]) -> Self {
        let mut hash = SipHasher24::new();
        hash.write(bytes);
        let (mut victim, peer) = (replica(1, 1), replica(2, 2));
        if role == Role::Following {
            victim.follow().expect("memory");
        }
        let (at_victim, at_peer) = (role.victim(1, START_MS), role.peer(2, START_MS, true));
        Self {
            role,
            input: Input::new(bytes),
            now_ms: START_MS,
            fresh: 100,
            victim,
            written: Written::new(),
            untouchable: Batch::new(),
            marker: format!("hidden {:016x}", hash.finish()),
            backup: replica(2, 2),
            peer,
            link: Link::new(at_victim, at_peer),
            other: None,
            third: replica(0xdead_beef, 0xdead_beef),
            honest: true,
        }
    }

    fn run(mut self) {
        for (collection, text) in [("tasks", "mine"), ("secret", ""), ("letters", "")] {
            let text = if text.is_empty() { self.marker.clone() } else { text.to_owned() };
            self.commit(|tx| Ok(tx.document(collection, DocumentId::from_u64(1))?.set("a", text)?));
        }
        self.connect(false);
        for _ in 0..ACTIONS {
            if self.input.is_empty() {
                break;
            }
            self.act();
        }
        self.pump(MESSAGES);
        self.check();
        self.meet_third();
        self.check();
    }

    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    fn act(&mut self) {
        let action = self.input.below(24);
        self.honest &= action <= HONEST;
        match action {
            0 => self.pump(MESSAGES),
            1 | 2 => self.commit_anything(),
            3 => self.peer_commits(),
            4 => {
                let messages = 1 + self.input.below(8);
                self.pump_some(messages);
            }
            5 => self.listen(),
            6 => self.give_said(false),
            7 | 8 => self.give_said(true),
            9 => self.repeat(),
            10 => {
                let body = self.input.piece();
                self.give(body);
            }
            11 => {
                let dots = hostile::dots(&mut self.input);
                let seen = self.input.flag().then_some(&dots[..]);
                let body = wire::want(self.input.number(), self.input.number(), seen);
                self.give(&body);
            }
            12 => self.acknowledge(),
            13 | 14 => {
                let context = hostile::dots(&mut self.input);
                let (sequence, root, batch) =
                    (self.input.number(), self.root(), hostile::batch(&mut self.input));
                self.give(&wire::checkpoint(sequence, root, &context, &batch));
            }
            15 | 16 => {
                let context = hostile::dots(&mut self.input);
                let (steps, own) = (self.input.number(), self.input.number());
                let batch = hostile::batch(&mut self.input);
                self.give(&wire::push(steps, own, &context, &batch));
            }
            17 => {
                let body = [&[kind::CHUNK], &hostile::batch(&mut self.input)[..]].concat();
                self.give(&body);
            }
            18 => self.refuse(),
            19 => self.speak_of_terms(),
            20 => {
                let lies = self.input.flag();
                self.connect(lies);
            }
            21 => self.change_identities(),
            22 => self.pass_time(),
            _ => self.meet_third(),
        }
    }

    /// A new session; the one before is dropped, or left open.
    fn connect(&mut self, lies: bool) {
        let (nonces, obeys) = ([self.fresh(), self.fresh()], self.input.flag());
        let (at_victim, at_peer) =
            (self.role.victim(nonces[0], self.now_ms), self.role.peer(nonces[1], self.now_ms, obeys));
        let before = core::mem::replace(&mut self.link, Link::new(at_victim, at_peer));
        if self.input.flag() {
            self.other = Some(before);
        }
        let lie = lies.then_some(&mut self.input);
        let _ = self.link.greet(&mut self.victim, &mut self.peer, self.now_ms, lie);
    }

    /// Everything that both say is passed on, up to a number of messages; true when they came to rest.
    fn pump_some(&mut self, messages: usize) -> bool {
        let mut passed = 0;
        loop {
            let mut moved = false;
            while passed < messages
                && let Some(body) = self.link.hear_peer(&mut self.peer, self.now_ms)
            {
                self.give(&body);
                (moved, passed) = (true, passed + 1);
            }
            while passed < messages && self.hear_victim() {
                (moved, passed) = (true, passed + 1);
            }
            if !moved {
                return passed < messages;
            }
        }
    }

    fn pump(&mut self, messages: usize) {
        assert!(self.pump_some(messages), "they do not come to rest");
    }

    /// True when the victim said something.
    fn hear_victim(&mut self) -> bool {
        match self.link.hear_victim(&mut self.victim, &mut self.peer, self.now_ms) {
            Ok(Some(message)) => {
                if self.role == Role::Guarded {
                    let marker = self.marker.as_bytes();
                    let told = message.windows(marker.len()).any(|window| window == marker);
                    assert!(!told, "the victim told what is hidden");
                }
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    fn give(&mut self, body: &[u8]) {
        let _ = self.link.give(&mut self.victim, body, self.now_ms);
        while let Some(event) = self.link.at_victim.poll_event() {
            drop(event);
        }
    }

    fn commit_anything(&mut self) {
        let hidden = self.marker.clone();
        let mut input = self.input.clone();
        self.now_ms = self.now_ms.saturating_add(input.below(4) as u64);
        self.commit(|tx| {
            for _ in 0..=input.below(3) {
                let address = hostile::address(&mut input);
                let mut document = tx.document(address.collection.clone(), address.id)?;
                if matches!(&*address.collection, "secret" | "letters") {
                    document.set("a", hidden.as_str())?;
                } else {
                    edit_once(&mut document, &mut input)?;
                }
            }
            Ok(())
        });
        self.input = input;
    }

    /// The victim commits, and what it wrote is noted.
    fn commit(&mut self, edit: impl FnOnce(&mut Transaction<'_>) -> Result<(), TransactionError>) {
        let committed = self.victim.commit(self.now_ms, Durability::Visible, edit);
        // Hostile stamps and counts can make a single edit impossible; then it is refused with an error.
        let Ok(committed) = committed else { return };
        if let Some(dot) = committed.dot {
            let cells = cells_of(&mut self.victim, dot);
            self.written.insert(dot, cells);
        }
        self.untouchable = self.forbidden();
    }

    /// What the victim holds where the adversary may not write.
    fn forbidden(&mut self) -> Batch {
        let mut all = documents(&mut self.victim);
        all.retain(|(address, document)| {
            !document.is_empty() && matches!(&*address.collection, "wages" | "secret")
        });
        all
    }

    fn peer_commits(&mut self) {
        let Self { peer, input, now_ms, .. } = self;
        let _ = peer.commit(*now_ms, Durability::Visible, |tx| {
            for _ in 0..=input.below(3) {
                let address = hostile::address(input);
                edit_once(&mut tx.document(address.collection, address.id)?, input)?;
            }
            Ok::<_, TransactionError>(())
        });
    }

    /// The peer says something that is not passed on.
    fn listen(&mut self) {
        for _ in 0..=self.input.below(4) {
            let _ = self.link.hear_peer(&mut self.peer, self.now_ms);
        }
    }

    /// Something that the peer has said, in any order, changed or not.
    fn give_said(&mut self, changed: bool) {
        let Some(last) = self.link.said.len().checked_sub(1) else { return };
        let mut body = self.link.said[last - self.input.below(last + 1)].clone();
        if changed {
            hostile::damage(&mut body, &self.link.said, &mut self.input);
        }
        self.give(&body);
    }

    /// Something that the victim was given before, seal and all, or with a bit of it changed.
    fn repeat(&mut self) {
        let given = match (&self.other, self.input.flag()) {
            (Some(other), true) => &other.given,
            _ => &self.link.given,
        };
        let Some(last) = given.len().checked_sub(1) else { return };
        let mut message = given[last - self.input.below(last + 1)].clone();
        let at = self.input.below(256);
        if at < message.len() {
            message[at] ^= 1 << self.input.below(8);
        }
        let _ = self.link.give_as_is(&mut self.victim, &message, self.now_ms);
    }

    fn root(&mut self) -> Fingerprint {
        match self.input.below(3) {
            0 => self.victim.head().expect("memory").root,
            1 => self.peer.head().expect("memory").root,
            _ => Fingerprint(self.input.number().into()),
        }
    }

    fn acknowledge(&mut self) {
        let sequence = if self.input.flag() {
            self.victim.head().expect("memory").sequence
        } else {
            self.input.number()
        };
        let root = if self.input.flag() { Some(self.root()) } else { None };
        let body = wire::ack(sequence, self.input.number(), root, self.input.number());
        self.give(&body);
    }

    fn refuse(&mut self) {
        let mut changes = hostile::dots(&mut self.input);
        // Preferably something that is there.
        let own: Vec<_> = self.written.keys().copied().collect();
        if !own.is_empty() {
            (0..self.input.below(4)).for_each(|_| changes.push(own[self.input.below(own.len())]));
        }
        let batch = hostile::batch(&mut self.input);
        let through = self.input.number();
        self.give(&wire::refused(through, &changes, &batch));
    }

    fn speak_of_terms(&mut self) {
        let body = match self.input.below(4) {
            0 => wire::numbered(kind::HEARD, self.input.number()),
            1 => wire::welcome(self.input.flag(), self.input.number(), self.input.number()),
            2 => [&[kind::TOKEN, self.input.byte() & 1, self.input.byte() & 1], self.input.piece()].concat(),
            _ => vec![kind::BYE, self.input.byte()],
        };
        self.give(&body);
    }

    fn change_identities(&mut self) {
        let fresh = self.fresh();
        match self.input.below(5) {
            // The peer's device is backed up, and restored.
            0 => self.backup = copy(&mut self.peer),
            1 => self.peer = copy(&mut self.backup),
            2 => self.peer.renew_identity(ReplicaId::from_u64(fresh), Life(fresh)).expect("memory"),
            3 => self.victim.renew_identity(ReplicaId::from_u64(fresh), Life(fresh)).expect("memory"),
            _ => {
                if let Some(other) = &mut self.other {
                    core::mem::swap(other, &mut self.link);
                }
            }
        }
    }

    fn pass_time(&mut self) {
        let step = [1, 1_000, 60_000, 1 << 40][self.input.below(4)];
        self.now_ms = if self.input.flag() { self.now_ms + step } else { self.now_ms.saturating_sub(step) };
        self.link.at_victim.expire(self.now_ms);
    }

    /// Somebody syncs with the victim as if nothing had been.
    fn meet_third(&mut self) {
        // For a follower, who has one server only, that is one too many.
        self.honest = false;
        let nonces = [self.fresh(), self.fresh()];
        let (mut mine, mut theirs) = self.role.trusted(nonces, self.now_ms);
        let third = &mut self.third;
        pump(&mut theirs, third, &mut mine, &mut self.victim, self.now_ms).expect("an honest sync");
        assert!(mine.is_settled() && theirs.is_settled(), "an honest sync comes to its end");
        let roots = [&mut self.victim, third].map(|replica| replica.head().expect("memory").root);
        assert_eq!(roots[0], roots[1], "an honest sync makes them equal");
    }

    fn check(&mut self) {
        audit(&mut self.victim);
        let rejected = self.victim.rejected().expect("memory");
        assert!(rejected.is_empty() || self.role == Role::Following, "only followers obey");
        if self.honest {
            // What was taken back has left no hole: all that was not is in the state.
            let mut kept = self.written.clone();
            kept.retain(|dot, _| rejected.iter().all(|rejected| rejected.dot != *dot));
            nothing_is_lost(&mut self.victim, &kept, &Batch::new());
        }
        let beside = rejected.into_iter().flat_map(|rejected| rejected.documents).collect();
        nothing_is_lost(&mut self.victim, &self.written, &beside);
        if self.role == Role::Guarded {
            assert_eq!(self.forbidden(), self.untouchable, "the adversary wrote what it may not write");
        }
        for collection in COLLECTIONS {
            for (_, view) in self.victim.list(collection, None, 8).expect("memory") {
                let _ = view.to_value();
            }
        }
    }
}

fn copy(replica: &mut Memory) -> Memory {
    let mut copy = Replica::new(replica.store_mut().clone());
    copy.declare(declared());
    copy
}
