//! What can happen in a [`World`]: apps commit and change what they hold, the adversary says something.

use crdt_core::{
    DocumentId, Durability, Fingerprint, Life, Replica, ReplicaId, Transaction, TransactionError,
};

use super::apart::With;
use super::audit::{Memory, cells_of};
use super::forged;
use super::hostile;
use super::partial;
use super::schema::{declared, edit_once};
use super::session::World;
use super::wire::{self, kind};

impl World<'_> {
    pub(super) fn commit_anything(&mut self) {
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
    pub(super) fn commit(&mut self, edit: impl FnOnce(&mut Transaction<'_>) -> Result<(), TransactionError>) {
        let committed = self.victim.commit(self.now_ms, Durability::Visible, edit);
        // Hostile stamps and counts can make a single edit impossible; then it is refused with an error.
        let Ok(committed) = committed else { return };
        if let Some(dot) = committed.dot {
            let cells = cells_of(&mut self.victim, dot);
            self.written.insert(dot, cells);
        }
        self.note_untouchable();
    }

    pub(super) fn peer_commits(&mut self) {
        self.peer_commits_at(self.now_ms);
    }

    /// Its clock is wrong.
    pub(super) fn peer_commits_in_the_future(&mut self) {
        let ahead_ms = [30_000, 90_000, 3_600_000, 1 << 40][self.input.below(4)];
        self.peer_commits_at(self.now_ms.saturating_add(ahead_ms));
    }

    pub(super) fn peer_commits_at(&mut self, now_ms: u64) {
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
    pub(super) fn listen(&mut self) {
        for _ in 0..=self.input.below(4) {
            let _ = self.link.hear_peer(&mut self.peer, self.now_ms);
        }
    }

    /// Something that the peer has said, in any order, changed or not.
    pub(super) fn give_said(&mut self, changed: bool) {
        let Some(last) = self.link.said.len().checked_sub(1) else { return };
        let mut body = self.link.said[last - self.input.below(last + 1)].clone();
        if changed {
            hostile::damage(&mut body, &self.link.said, &mut self.input);
        }
        self.give(&body);
    }

    /// Something that the victim was given before, seal and all, or with a bit of it changed.
    pub(super) fn repeat(&mut self) {
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
        let _ = self
            .watching(With::Peer, |world| world.link.give_as_is(&mut world.victim, &message, world.now_ms));
    }

    /// Sums and differences, made up.
    pub(super) fn reconcile(&mut self, action: usize) {
        let body = match action {
            24 if self.input.flag() => forged::sketch(&mut self.input, &mut self.victim),
            24 => forged::sketch(&mut self.input, &mut self.peer),
            25 => forged::more(&mut self.input),
            26 => forged::differ(&mut self.input),
            _ => forged::held(&mut self.input),
        };
        self.give(&body);
    }

    /// Cells, or what is said around them, made up.
    pub(super) fn send_cells(&mut self, action: usize) {
        let body = match action {
            11 => {
                let (cursor, seen) = (self.input.number(), self.input.number());
                wire::want(cursor, seen, &crdt_core::Memory::default(), self.input.clone().byte() % 3)
            }
            12 => return self.acknowledge(),
            13 | 14 => {
                let context = hostile::dots(&mut self.input);
                let (sequence, root, batch) =
                    (self.input.number(), self.root(), hostile::batch(&mut self.input));
                wire::checkpoint(sequence, root, &context, &batch)
            }
            15 | 16 => {
                let context = hostile::dots(&mut self.input);
                let (steps, own) = (self.input.number(), self.input.number());
                wire::push(steps, own, &context, &hostile::batch(&mut self.input))
            }
            17 => [&[kind::CHUNK], &hostile::batch(&mut self.input)[..]].concat(),
            _ => self.packed(),
        };
        self.give(&body);
    }

    /// Cells in fewer bytes.
    fn packed(&mut self) -> Vec<u8> {
        let batch = hostile::batch(&mut self.input);
        let cells = match self.input.below(5) {
            0 => wire::checkpoint(self.input.number(), self.root(), &hostile::dots(&mut self.input), &batch),
            1 => wire::push(self.input.number(), self.input.number(), &[], &batch),
            2 => [&[kind::PUSH_OWN], &batch[..]].concat(),
            3 => [&[kind::CHUNK], &batch[..]].concat(),
            _ => partial::forged_part(&mut self.input, &mut self.peer),
        };
        forged::packed(&mut self.input, &cells)
    }

    /// Who holds a part, and who loads.
    pub(super) fn speak_of_parts(&mut self, action: usize) {
        let body = match action {
            32 => partial::forged_scope(&mut self.input),
            33 => {
                let heads = [&mut self.victim, &mut self.peer].map(|replica| replica.head().expect("memory"));
                partial::forged_load(&mut self.input, &heads[0])
            }
            _ => partial::forged_part(&mut self.input, &mut self.peer),
        };
        self.give(&body);
    }

    /// The victim subscribes to another part. That ends its sessions.
    pub(super) fn subscribe(&mut self) {
        let scope = partial::any_scope(&mut self.input);
        self.apart.subscribed(&scope);
        self.victim.subscribe(scope).expect("few ranges");
    }

    /// Somebody writes more than goes into one message.
    pub(super) fn commit_much(&mut self) {
        let (whose, how) = (self.input.flag(), self.input.byte());
        let text = |bytes: usize| char::from(b'a' + how % 26).to_string().repeat(bytes);
        let edit = |tx: &mut Transaction<'_>| {
            if how & 1 == 1 {
                let mut document = tx.document("tasks", DocumentId::from_u64(2))?;
                document.set("x", text(40_000))?;
                document.set("y", text(40_000))?;
            } else {
                for id in (1..=3).map(DocumentId::from_u64) {
                    tx.document("tasks", id)?.set("x", text(23_000))?;
                }
            }
            Ok(())
        };
        if whose {
            let _ = self.peer.commit(self.now_ms, Durability::Visible, edit);
        } else {
            self.commit(edit);
        }
    }

    /// Who is who, and what is remembered of whom.
    pub(super) fn speak_of_identity(&mut self) {
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

    pub(super) fn root(&mut self) -> Fingerprint {
        match self.input.below(3) {
            0 => self.victim.head().expect("memory").root,
            1 => self.peer.head().expect("memory").root,
            _ => Fingerprint(self.input.number().into()),
        }
    }

    pub(super) fn acknowledge(&mut self) {
        let sequence = if self.input.flag() {
            self.victim.head().expect("memory").sequence
        } else {
            self.input.number()
        };
        let root = if self.input.flag() { Some(self.root()) } else { None };
        let body = wire::ack(sequence, self.input.number(), root, self.input.number());
        self.give(&body);
    }

    pub(super) fn refuse(&mut self) {
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

    pub(super) fn speak_of_terms(&mut self) {
        let body = match self.input.below(4) {
            0 => wire::numbered(kind::HEARD, self.input.number()),
            1 => wire::welcome(self.input.flag(), self.input.number(), self.input.number()),
            2 => [&[kind::TOKEN, self.input.byte() & 1, self.input.byte() & 1], self.input.piece()].concat(),
            _ => vec![kind::BYE, self.input.byte()],
        };
        self.give(&body);
    }

    pub(super) fn change_identities(&mut self) {
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

    pub(super) fn pass_time(&mut self) {
        let step = [1, 1_000, 60_000, 1 << 40][self.input.below(4)];
        self.now_ms = if self.input.flag() { self.now_ms + step } else { self.now_ms.saturating_sub(step) };
        self.link.at_victim.expire(self.now_ms);
    }
}

fn copy(replica: &mut Memory) -> Memory {
    let mut copy = Replica::new(replica.store_mut().clone());
    copy.declare(declared());
    copy
}
