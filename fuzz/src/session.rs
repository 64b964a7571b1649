//! A whole session fed by an adversary who is a member: the input is a list of actions. Honest steps of a well-behaved
//! peer mix with messages that were changed, repeated, held back, or made up, with commits and with new sessions.
//!
//! Whatever it does: nothing panics, the victim's books agree, nothing that it committed is lost, it comes to rest, and
//! the next honest peer syncs with it as if nothing had been. A guarded victim holds nothing that the adversary may not
//! write, and says nothing of what it may not read. See `checks.rs`, and `apart.rs` for a victim that holds a part.
//!
//! The first byte says what kind of replica the victim is: one that counts its runs and has a spare identity for every
//! session; one that keeps the time; one that has met somebody before, so that it does not load; one that subscribes to a
//! part. The first goes on under another id when somebody proves, or claims, that it is a copy: everything shows as before
//! then. The second withholds nothing but what is from its future, and nothing of its own.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::rc::Rc;

use crdt_core::codec::Reader;
use crdt_core::{
    Checkpoint, DocumentId, Durability, Head, Life, MemoryStore, ReceiveBound, Replica, ReplicaId,
    TransactionError,
};
use siphasher::sip::SipHasher24;

use super::apart::{Apart, With};
use super::audit::{Memory, Stored, Written, documents};
use super::bundle::namespace;
use super::hostile::START_MS;
use super::input::Input;
use super::link::{Link, Role, config};
use super::partial;
use super::schema::declared;
use super::shown::Views;
use super::wire::{self, kind};

/// Actions of one input: more say nothing new, and take long.
const ACTIONS: usize = 40;

/// Messages after which two that talk have to be at rest. There are a few documents only.
pub const MESSAGES: usize = 400;

/// Kinds of actions; see [`World::act`].
pub const KINDS: u8 = 40;

/// Those of an honest peer, and of the apps on both sides.
pub const HONEST: [u8; 10] = [0, 1, 2, 3, 4, 35, 36, 37, 38, 39];

/// Of the first byte: the victim counts its runs and has a spare identity.
pub const HEALS: u8 = 1;
/// Of the first byte: the victim keeps the time.
pub const KEEPS_TIME: u8 = 2;
/// Of the first byte: the victim has met somebody before.
pub const HAS_MET: u8 = 4;
/// Of the first byte: the victim subscribes to a part. The next bytes say to which.
pub const HOLDS_PART: u8 = 8;

/// An adversary among equals.
pub fn session(bytes: &[u8]) {
    play(Role::Open, bytes);
}

/// An adversary before a guard.
pub fn guarded(bytes: &[u8]) {
    play(Role::Guarded, bytes);
}

/// An adversary that is obeyed.
pub fn following(bytes: &[u8]) {
    play(Role::Following, bytes);
}

/// What inputs led to, so that it can be seen whether they mean anything to the victim.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// How many messages of each kind (first byte, within a packed one too) it has taken, and said.
    pub taken: BTreeMap<u8, u32>,
    pub said: BTreeMap<u8, u32>,
    /// How often it went on under another id, and parked something.
    pub healed: u32,
    pub parked: u32,
    /// First syncs that came to their end, and those that were cut and asked to go on.
    pub loaded: u32,
    pub resumed: u32,
    /// Documents that it let go of.
    pub let_go: u32,
}

/// Does what an input says with a victim.
pub fn play(role: Role, bytes: &[u8]) -> Reached {
    let mut world = World::new(role, bytes);
    world.run();
    world.reached
}

/// A victim, a peer, an adversary between them, and a third.
pub struct World<'i> {
    pub(super) role: Role,
    pub(super) input: Input<'i>,
    pub(super) now_ms: u64,
    /// Numbers that have to be new each time.
    fresh: u64,
    pub(super) victim: Memory,
    pub(super) written: Written,
    pub(super) apart: Apart,
    /// What the guarded victim has where the adversary may not write.
    pub(super) untouchable: Stored,
    /// Stands in what the adversary may not read.
    pub(super) marker: String,
    pub(super) peer: Memory,
    /// The peer as it was some time ago.
    pub(super) backup: Memory,
    pub(super) link: Link,
    /// Another session of the same two, left open.
    pub(super) other: Option<Link>,
    /// A third, whom everybody trusts.
    pub(super) third: Memory,
    /// So far the peer was what it seems to be.
    pub(super) honest: bool,
    /// The victim has a spare identity for every session, and all count their runs.
    pub(super) heals: bool,
    pub(super) keeps_time: bool,
    /// What the victim showed when it was last looked at.
    pub(super) views: Option<Rc<Views>>,
    pub(super) reached: Reached,
}

fn replica(number: u64, life: u64) -> Memory {
    let head = Head::new(namespace(), ReplicaId::from_u64(number), Life(life));
    let mut replica = Replica::new(MemoryStore::new(head));
    replica.declare(declared());
    replica
}

/// A victim that has something of somebody else, and so asks nobody for a first sync.
fn acquainted(victim: &mut Memory) {
    let mut other = replica(50, 50);
    let written = other.commit(START_MS, Durability::Visible, |tx| {
        tx.document("tasks", DocumentId::from_u64(3))?.set("x", "theirs")?;
        Ok::<_, TransactionError>(())
    });
    let dot = written.expect("memory").dot.expect("something new");
    let checkpoint = Checkpoint {
        peer: Life(50),
        replica: dot.replica,
        cursor: 1,
        context: vec![dot],
        documents: documents(&mut other),
        scope: 0,
        session: 0,
    };
    victim.apply(checkpoint).expect("nothing that speaks against it");
}

impl<'i> World<'i> {
    fn new(role: Role, bytes: &'i [u8]) -> Self {
        let mut hash = SipHasher24::new();
        hash.write(bytes);
        let (mut victim, mut peer) = (replica(1, 1), replica(2, 2));
        let mut input = Input::new(bytes);
        let victims = input.byte();
        let (heals, keeps_time) = (victims & HEALS > 0, victims & KEEPS_TIME > 0);
        if heals {
            victim.begin_run(1);
            peer.begin_run(2);
        }
        if victims & HAS_MET > 0 {
            acquainted(&mut victim);
        }
        if role == Role::Following {
            victim.follow().expect("memory");
        }
        if keeps_time {
            victim.keep_time(ReceiveBound::default());
        }
        let (at_victim, at_peer) =
            (role.victim(config(1, None), START_MS), role.peer(config(2, None), START_MS, true));
        let mut world = Self {
            role,
            now_ms: START_MS,
            fresh: 100,
            victim,
            written: Written::new(),
            apart: Apart::default(),
            untouchable: Stored::new(),
            marker: format!("hidden {:016x}", hash.finish()),
            backup: replica(2, 2),
            peer,
            link: Link::new(at_victim, at_peer),
            other: None,
            third: replica(0xdead_beef, 0xdead_beef),
            honest: true,
            heals,
            keeps_time,
            views: None,
            reached: Reached::default(),
            input,
        };
        if victims & HOLDS_PART > 0 {
            world.subscribe();
        }
        world
    }

    fn run(&mut self) {
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
        if self.honest {
            self.end_honestly();
        }
        self.check();
        self.write_everywhere();
        self.meet_third();
        if self.victim.stop_loading().expect("memory") {
            self.note_loaded();
            self.meet_third();
        }
        self.check();
        if self.apart.is_part() {
            self.hold_everything();
        }
    }

    pub(super) fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    fn act(&mut self) {
        let action = self.input.below(KINDS.into());
        self.honest &= HONEST.iter().any(|honest| usize::from(*honest) == action);
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
            11..=17 | 28 => self.send_cells(action),
            18 => self.refuse(),
            19 => self.speak_of_terms(),
            20 => {
                let lies = self.input.flag();
                self.connect(lies);
            }
            21 => self.change_identities(),
            22 => self.pass_time(),
            23 => self.meet_third(),
            24..=27 => self.reconcile(action),
            29 => self.speak_of_identity(),
            30 => {
                for _ in 0..=self.input.below(4) {
                    self.hold_back();
                }
            }
            31 => self.peer_commits_in_the_future(),
            32..=34 => self.speak_of_parts(action),
            35 => self.subscribe(),
            36 => {
                let scope = partial::any_scope(&mut self.input);
                self.peer.subscribe(scope).expect("few ranges");
            }
            37 => self.connect_anew(),
            38 => self.commit_much(),
            _ => {
                self.victim.stop_loading().expect("memory");
                self.note_loaded();
            }
        }
    }

    /// A new session; the one before is dropped, or left open.
    pub(super) fn connect(&mut self, lies: bool) {
        let how = self.input.byte();
        let mut nonces = [self.fresh(), self.fresh()];
        // The lower one initiates.
        if how & 2 > 0 {
            nonces.reverse();
        }
        let configs = nonces.map(|nonce| config(nonce, self.spare()));
        let (at_victim, at_peer) =
            (self.role.victim(configs[0], self.now_ms), self.role.peer(configs[1], self.now_ms, how & 1 > 0));
        let before = core::mem::replace(&mut self.link, Link::new(at_victim, at_peer));
        if self.input.flag() {
            self.other = Some(before);
        }
        let lie = lies.then_some(&mut self.input);
        let _ = self.link.greet(&mut self.victim, &mut self.peer, self.now_ms, lie);
    }

    /// A new session, without lies; of the one before nothing is left.
    pub(super) fn connect_anew(&mut self) {
        let nonces = [self.fresh(), self.fresh()];
        let configs = nonces.map(|nonce| config(nonce, self.spare()));
        self.link = Link::new(
            self.role.victim(configs[0], self.now_ms),
            self.role.peer(configs[1], self.now_ms, true),
        );
        let _ = self.link.greet(&mut self.victim, &mut self.peer, self.now_ms, None);
    }

    /// A spare identity for a session, if there is to be one.
    pub(super) fn spare(&mut self) -> Option<u64> {
        self.heals.then(|| self.fresh())
    }

    /// Everything that both say is passed on, up to a number of messages; true when they came to rest.
    pub(super) fn pump_some(&mut self, messages: usize) -> bool {
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

    pub(super) fn pump(&mut self, messages: usize) {
        assert!(self.pump_some(messages), "they do not come to rest");
    }

    /// True when the victim said something.
    pub(super) fn hear_victim(&mut self) -> bool {
        let heard = self.watching(With::Peer, |world| {
            world.link.hear_victim(&mut world.victim, &mut world.peer, world.now_ms)
        });
        match heard {
            Ok(Some(message)) => {
                self.reached.said(&message);
                if self.role == Role::Guarded {
                    let marker = self.marker.as_bytes();
                    let said = wire::unpacked(wire::body(&message));
                    let told = said.windows(marker.len()).any(|window| window == marker);
                    assert!(!told, "the victim told what is hidden");
                }
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    pub(super) fn give(&mut self, body: &[u8]) {
        let given = self.watching(With::Peer, |world| world.link.give(&mut world.victim, body, world.now_ms));
        if given.is_ok() {
            self.reached.taken(body);
        }
        while let Some(event) = self.link.at_victim.poll_event() {
            drop(event);
        }
    }

    /// The victim says something that the peer does not hear.
    pub(super) fn hold_back(&mut self) {
        let said = self.watching(With::Peer, |world| world.link.hold_back(&mut world.victim, world.now_ms));
        if let Ok(Some(message)) = said {
            self.reached.said(&message);
        }
    }
}

impl Reached {
    /// A body that was taken.
    fn taken(&mut self, body: &[u8]) {
        let first = |body: &[u8]| body.first().copied().unwrap_or_default();
        *self.taken.entry(first(body)).or_default() += 1;
        if first(body) == kind::PACKED {
            *self.taken.entry(first(&wire::unpacked(body))).or_default() += 1;
        }
    }

    fn said(&mut self, message: &[u8]) {
        let within = wire::unpacked(wire::body(message));
        let kind = within.first().copied().unwrap_or_default();
        *self.said.entry(kind).or_default() += 1;
        let mut load = Reader::new(&within[1.min(within.len())..]);
        self.resumed += u32::from(kind == kind::LOAD && load.unsigned("own").is_ok() && load.remaining() > 0);
    }

    /// Adds what another input reached.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.taken, &other.taken), (&mut self.said, &other.said)] {
            for (kind, count) in theirs {
                *mine.entry(*kind).or_default() += count;
            }
        }
        self.healed += other.healed;
        self.parked += other.parked;
        self.loaded += other.loaded;
        self.resumed += other.resumed;
        self.let_go += other.let_go;
    }
}
