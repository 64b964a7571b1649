//! A whole session fed by an adversary who is a member: the input is a list of actions. Honest steps of a well-behaved
//! peer mix with messages that were changed, repeated, held back, or made up, with commits and with new sessions.
//!
//! Whatever it does: nothing panics, the victim's books agree, nothing that it committed is lost, it comes to rest, and
//! the next honest peer syncs with it as if nothing had been. A guarded victim holds nothing that the adversary may not
//! write, and says nothing of what it may not read.
//!
//! The first byte says what kind of replica the victim is: one that counts its runs and has a spare identity for every
//! session, one that keeps the time. The first goes on under another id when somebody proves, or claims, that it is a
//! copy: everything shows as before then. The second withholds nothing but what is from its future, and nothing of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;

use crdt_core::{
    DocumentId, Dot, Durability, Fingerprint, Head, Lattice as _, Life, MemoryStore, ReceiveBound, Replica,
    ReplicaId, Transaction, TransactionError,
};
use siphasher::sip::SipHasher24;
use sync_protocol::drive::pump;

use super::audit::{Memory, Written, audit, cells_of, documents, nothing_is_lost};
use super::bundle::namespace;
use super::decoders::Batch;
use super::forged;
use super::hostile::{self, COLLECTIONS, START_MS};
use super::input::Input;
use super::link::{Link, Role, config};
use super::schema::{declared, edit_once};
use super::shown::{Before, nothing_is_withheld_without_a_reason};
use super::wire::{self, kind};

/// Actions of one input: more say nothing new, and take long.
const ACTIONS: usize = 40;

/// Actions up to this one are those of an honest peer.
const HONEST: usize = 4;

/// Messages after which two that talk have to be at rest. There are a few documents only.
const MESSAGES: usize = 400;

/// Kinds of actions; see [`World::act`].
pub const KINDS: u8 = 32;

/// Of the first byte: the victim counts its runs and has a spare identity.
pub const HEALS: u8 = 1;
/// Of the first byte: the victim keeps the time.
pub const KEEPS_TIME: u8 = 2;

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

/// How many messages of each kind (first byte, within a packed one too) the victim has taken, and how often it has gone on
/// under another id and parked something: so that it can be seen whether inputs mean anything to it.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    pub taken: BTreeMap<u8, u32>,
    pub said: BTreeMap<u8, u32>,
    pub healed: u32,
    pub parked: u32,
}

/// Does what an input says with a victim.
pub fn play(role: Role, bytes: &[u8]) -> Reached {
    let mut world = World::new(role, bytes);
    world.run();
    world.reached
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
    /// The victim has a spare identity for every session, and all count their runs.
    heals: bool,
    keeps_time: bool,
    reached: Reached,
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
        let (mut victim, mut peer) = (replica(1, 1), replica(2, 2));
        if role == Role::Following {
            victim.follow().expect("memory");
        }
        let mut input = Input::new(bytes);
        let victims = input.byte();
        let (heals, keeps_time) = (victims & HEALS > 0, victims & KEEPS_TIME > 0);
        if heals {
            victim.begin_run(1);
            peer.begin_run(2);
        }
        if keeps_time {
            victim.keep_time(ReceiveBound::default());
        }
        let (at_victim, at_peer) =
            (role.victim(config(1, None), START_MS), role.peer(config(2, None), START_MS, true));
        Self {
            role,
            input,
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
            heals,
            keeps_time,
            reached: Reached::default(),
        }
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
        self.check();
        self.write_everywhere();
        self.meet_third();
        self.check();
    }

    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    fn act(&mut self) {
        let action = self.input.below(KINDS.into());
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
                let (cursor, seen) = (self.input.number(), self.input.number());
                self.give(&wire::want(
                    cursor,
                    seen,
                    &crdt_core::Memory::default(),
                    self.input.clone().byte() % 3,
                ));
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
            23 => self.meet_third(),
            24..=27 => self.reconcile(action),
            28 => self.pack(),
            29 => self.speak_of_identity(),
            30 => {
                for _ in 0..=self.input.below(4) {
                    self.hold_back();
                }
            }
            _ => self.peer_commits_in_the_future(),
        }
    }

    /// A new session; the one before is dropped, or left open.
    fn connect(&mut self, lies: bool) {
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

    /// A spare identity for a session, if there is to be one.
    fn spare(&mut self) -> Option<u64> {
        self.heals.then(|| self.fresh())
    }

    /// Does something with the victim, and looks whether it went on under another id.
    fn watching<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        if !self.heals {
            let before = self.victim.head().expect("memory").counter;
            let done = act(self);
            self.note_what_was_written_again(before);
            return done;
        }
        // What is due is shown now, and not meanwhile.
        self.victim.tick(self.now_ms).expect("memory");
        let counter = self.victim.head().expect("memory").counter;
        let before = Before::of(&mut self.victim);
        let rejected = self.rejected();
        let done = act(self);
        if before.compare(&mut self.victim, &mut self.written, &rejected) {
            self.reached.healed += 1;
            self.untouchable = self.forbidden();
            self.input.victim = self.victim.head().expect("memory").replica;
        } else {
            self.note_what_was_written_again(counter);
        }
        done
    }

    /// A replica that finds out that its clock was wrong writes again what that spoiled.
    fn note_what_was_written_again(&mut self, before: u64) {
        let head = self.victim.head().expect("memory");
        let new = before + 1..=head.counter;
        if new.is_empty() {
            return;
        }
        for counter in new.clone() {
            let dot = Dot::new(head.replica, counter);
            self.written.insert(dot, cells_of(&mut self.victim, dot));
        }
        if self.role == Role::Guarded {
            let now = self.forbidden();
            let old = core::mem::replace(&mut self.untouchable, now.clone());
            for (address, document) in now {
                let others =
                    document.select(|dot| dot.replica != head.replica || !new.contains(&dot.counter));
                let known = old.iter().find(|(known, _)| *known == address);
                let mut known = known.map(|(_, document)| document.clone()).unwrap_or_default();
                assert!(!known.merge(others), "the adversary wrote what it may not write, in {address:?}");
            }
        }
    }

    fn rejected(&mut self) -> BTreeSet<Dot> {
        self.victim.rejected().expect("memory").into_iter().map(|rejected| rejected.dot).collect()
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
        let heard =
            self.watching(|world| world.link.hear_victim(&mut world.victim, &mut world.peer, world.now_ms));
        match heard {
            Ok(Some(message)) => {
                self.reached.said(&message);
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
        let given = self.watching(|world| world.link.give(&mut world.victim, body, world.now_ms));
        if given.is_ok() {
            self.reached.taken(body);
        }
        while let Some(event) = self.link.at_victim.poll_event() {
            drop(event);
        }
    }

    /// The victim says something that the peer does not hear.
    fn hold_back(&mut self) {
        let said = self.watching(|world| world.link.hold_back(&mut world.victim, world.now_ms));
        if let Ok(Some(message)) = said {
            self.reached.said(&message);
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
        self.peer_commits_at(self.now_ms);
    }

    /// Its clock is wrong.
    fn peer_commits_in_the_future(&mut self) {
        let ahead_ms = [30_000, 90_000, 3_600_000, 1 << 40][self.input.below(4)];
        self.peer_commits_at(self.now_ms.saturating_add(ahead_ms));
    }

    fn peer_commits_at(&mut self, now_ms: u64) {
        let Self { peer, input, .. } = self;
        let _ = peer.commit(now_ms, Durability::Visible, |tx| {
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
        let _ = self.watching(|world| world.link.give_as_is(&mut world.victim, &message, world.now_ms));
    }

    /// Sums and differences, made up.
    fn reconcile(&mut self, action: usize) {
        let body = match action {
            24 if self.input.flag() => forged::sketch(&mut self.input, &mut self.victim),
            24 => forged::sketch(&mut self.input, &mut self.peer),
            25 => forged::more(&mut self.input),
            26 => forged::differ(&mut self.input),
            _ => forged::held(&mut self.input),
        };
        self.give(&body);
    }

    /// Cells in fewer bytes.
    fn pack(&mut self) {
        let batch = hostile::batch(&mut self.input);
        let cells = match self.input.below(4) {
            0 => wire::checkpoint(self.input.number(), self.root(), &hostile::dots(&mut self.input), &batch),
            1 => wire::push(self.input.number(), self.input.number(), &[], &batch),
            2 => [&[kind::PUSH_OWN], &batch[..]].concat(),
            _ => [&[kind::CHUNK], &batch[..]].concat(),
        };
        let body = forged::packed(&mut self.input, &cells);
        self.give(&body);
    }

    /// Who is who, and what is remembered of whom.
    fn speak_of_identity(&mut self) {
        let (victim, of_victim) = self.victim.introduction().expect("memory");
        let (peer, of_peer) = self.peer.introduction().expect("memory");
        let body = match self.input.below(3) {
            0 | 1 => forged::want(&mut self.input, &victim, &of_victim),
            _ => {
                let runs = if self.input.flag() { of_victim } else { of_peer };
                forged::restart(&mut self.input, &victim, &peer, &runs)
            }
        };
        self.give(&body);
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
            1 => {
                self.peer = copy(&mut self.backup);
                if self.heals {
                    self.peer.begin_run(fresh);
                }
            }
            2 => self.peer.renew_identity(ReplicaId::from_u64(fresh), Life(fresh)).expect("memory"),
            3 => {
                self.victim.renew_identity(ReplicaId::from_u64(fresh), Life(fresh)).expect("memory");
                self.input.victim = ReplicaId::from_u64(fresh);
            }
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

    /// Whatever others wrote, at whatever time: what is written here now shows.
    fn write_everywhere(&mut self) {
        for collection in COLLECTIONS {
            for id in (1..=3).map(DocumentId::from_u64) {
                let mut dot = None;
                self.commit(|tx| {
                    tx.document(collection, id)?.set("x", "written last")?;
                    dot = Some(());
                    Ok(())
                });
                let head = self.victim.head().expect("memory");
                // At the end of all epochs nothing can be written over.
                if !self.written.contains_key(&Dot::new(head.replica, head.counter)) || dot.is_none() {
                    continue;
                }
                let view = self.victim.read(collection, id).expect("memory");
                assert_eq!(
                    view.get("x").expect("no manual field").as_deref(),
                    Some(&"written last".into()),
                    "what was written last does not show in {collection:?} {id:?}"
                );
            }
        }
    }

    /// Somebody syncs with the victim as if nothing had been.
    fn meet_third(&mut self) {
        // For a follower, who has one server only, that is one too many.
        self.honest = false;
        let nonces = [self.fresh(), self.fresh()];
        let configs = [config(nonces[0], self.spare()), config(nonces[1], None)];
        let (mut mine, mut theirs) = self.role.trusted(configs, self.now_ms);
        self.watching(|world| {
            pump(&mut theirs, &mut world.third, &mut mine, &mut world.victim, world.now_ms)
                .expect("an honest sync");
        });
        assert!(mine.is_settled() && theirs.is_settled(), "an honest sync comes to its end");
        let roots = [&mut self.victim, &mut self.third].map(|replica| replica.head().expect("memory").root);
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
        if self.keeps_time {
            // It looks at what is due once a second.
            self.now_ms = self.now_ms.saturating_add(1_000);
            self.victim.tick(self.now_ms).expect("memory");
            self.reached.parked += u32::from(self.victim.parked_count().expect("memory") > 0);
        }
        nothing_is_withheld_without_a_reason(&mut self.victim);
    }
}

fn copy(replica: &mut Memory) -> Memory {
    let mut copy = Replica::new(replica.store_mut().clone());
    copy.declare(declared());
    copy
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
        *self.said.entry(within.first().copied().unwrap_or_default()).or_default() += 1;
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
    }
}
