//! A victim that holds a part of the namespace, or whose first sync is under way: what holds of it instead of what holds
//! of others.
//!
//! It lets go of a document only where it does not subscribe to it, and an honest peer, to whom it was left, has all of
//! it. (An adversary may say so and throw it away: to be believed in this is what a durable peer is for.) What it claims to
//! have seen is there, with whoever believed it. And what it loaded need not be in its change order; nothing else may
//! be missing there.

use std::collections::BTreeSet;

use crdt_core::{Address, Document, Dot, Lattice as _, Scope};

use super::audit::{Cells, Memory, Stored, cells, stored};
use super::link::Role;
use super::session::{MESSAGES, World};

/// Whom the victim talks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    Peer,
    Third,
}

/// What the victim wrote in a document that it let go of.
#[derive(Debug)]
struct LetGo {
    change: Dot,
    address: Address,
    cells: Document,
    to: With,
}

/// What is known of the part that the victim holds.
#[derive(Debug, Default)]
pub struct Apart {
    /// It has ever subscribed to less than everything.
    is_part: bool,
    let_go: Vec<LetGo>,
    /// What it loaded.
    loaded: Cells,
    /// The end of its last first sync.
    scan_before: u64,
}

impl Apart {
    pub const fn is_part(&self) -> bool {
        self.is_part
    }

    pub const fn subscribed(&mut self, scope: &Scope) {
        self.is_part |= !scope.is_everything();
    }

    /// What it loaded.
    pub const fn loaded(&self) -> &Cells {
        &self.loaded
    }

    /// The victim has another id now: what it wrote under the old one after the fork has other names.
    pub fn renamed(&mut self, is_gone: impl Fn(&Dot) -> bool) {
        self.let_go.retain(|let_go| !is_gone(&let_go.change));
    }
}

/// Whether a replica holds all of this, or something greater.
fn has(replica: &mut Memory, address: &Address, cells: &Document) -> bool {
    let found = stored(replica).into_iter().find(|(held, _)| held == address);
    let mut state = found.map(|(_, document)| (*document).clone()).unwrap_or_default();
    !state.merge(cells.clone())
}

fn scope_of(replica: &mut Memory) -> Scope {
    replica.subscription().expect("memory").scope
}

/// What a replica holds in a part.
fn within(replica: &mut Memory, scope: &Scope) -> Stored {
    let mut all = stored(replica);
    all.retain(|(address, document)| scope.contains(address) && !document.is_empty());
    all
}

impl World<'_> {
    /// The victim did something: what it held `before` it holds still, or has let go of.
    pub(super) fn note_let_go(&mut self, before: Stored, with: With) {
        let now: BTreeSet<Address> =
            stored(&mut self.victim).into_iter().map(|(address, _)| address).collect();
        let mut gone = before;
        gone.retain(|(address, _)| !now.contains(address));
        if gone.is_empty() {
            return;
        }
        let scope = scope_of(&mut self.victim);
        for (address, document) in gone {
            assert!(!scope.contains(&address), "it let go of {address:?}, to which it subscribes");
            let keeps = match with {
                With::Third => has(&mut self.third, &address, &document),
                With::Peer => !self.honest || has(&mut self.peer, &address, &document),
            };
            assert!(keeps, "nobody has {address:?}, which it let go of");
            self.reached.let_go += 1;
            for (change, batch) in &mut self.written {
                for (_, cells) in batch.extract_if(.., |(written, _)| *written == address) {
                    let (change, address) = (*change, address.clone());
                    self.apart.let_go.push(LetGo { change, address, cells, to: with });
                }
            }
        }
        self.note_untouchable();
    }

    /// What the victim has loaded by now.
    pub(super) fn note_loaded(&mut self) {
        let serves = self.victim.serves().expect("memory");
        if serves.scan_before != self.apart.scan_before {
            self.apart.scan_before = serves.scan_before;
            self.reached.loaded += 1;
        }
        if serves.loading {
            let mut loaded = cells(&mut self.victim);
            loaded.retain(|(change, address)| {
                let written = self.written.get(change);
                !written.is_some_and(|batch| batch.iter().any(|(written, _)| written == address))
            });
            self.apart.loaded.extend(loaded);
        }
    }

    /// They have synced: what the victim holds, a third that is trusted holds as well.
    pub(super) fn agrees_with_third(&mut self) {
        let scope = scope_of(&mut self.victim);
        if self.victim.loading().expect("memory").is_some() {
            // It tells nothing but what it wrote itself.
        } else if scope.is_everything() {
            let roots =
                [&mut self.victim, &mut self.third].map(|replica| replica.head().expect("memory").root);
            assert_eq!(roots[0], roots[1], "an honest sync makes them equal");
        } else {
            let [mut ours, mut theirs] =
                [&mut self.victim, &mut self.third].map(|replica| within(replica, &scope));
            let all = within(&mut self.victim, &Scope::everything());
            assert_eq!(all, ours, "what is outside the part is let go of");
            // What one server refuses, another one may have taken; and only where roots are compared that shows.
            let disputed: BTreeSet<Address> = self
                .victim
                .rejected()
                .expect("memory")
                .into_iter()
                .flat_map(|rejected| rejected.documents)
                .map(|(address, _)| address)
                .collect();
            for one in [&mut ours, &mut theirs] {
                one.retain(|(address, _)| !disputed.contains(address));
            }
            assert_eq!(ours, theirs, "an honest sync makes the part equal");
        }
        if self.apart.is_part {
            self.claims_hold(With::Third);
        }
        // What it had been given, it gave back: also what the victim has let go of, or wrote under another id.
        self.note_untouchable();
    }

    /// Of what somebody claims to have seen of the victim, everything is there, as far as it subscribes to it.
    fn claims_hold(&mut self, of: With) {
        let rejected = self.rejected();
        let Self { written, apart, peer, third, .. } = self;
        let replica = if of == With::Third { third } else { peer };
        let scope = scope_of(replica);
        let here = written
            .iter()
            .flat_map(|(change, batch)| batch.iter().map(move |(address, cells)| (*change, address, cells)));
        let elsewhere = apart.let_go.iter().map(|piece| (piece.change, &piece.address, &piece.cells));
        for (change, address, cells) in here.chain(elsewhere) {
            let claims = replica.seen_of(change.replica).expect("memory") >= change.counter;
            if claims && scope.contains(address) && !rejected.contains(&change) {
                assert!(
                    has(replica, address, cells),
                    "{of:?} claims {change:?}, and lacks it in {address:?}"
                );
            }
        }
    }

    /// So far nobody lied: the two come to rest, and of what was written nothing is lost between them.
    pub(super) fn end_honestly(&mut self) {
        self.connect_anew();
        self.pump(MESSAGES);
        let sessions = [&self.link.at_victim, &self.link.at_peer];
        assert!(sessions.iter().all(|session| session.is_settled()), "not at rest: {sessions:#?}");
        assert_eq!(self.victim.loading().expect("memory"), None, "a first sync came to no end");
        let rejected = self.rejected();
        for piece in self.apart.let_go.iter().filter(|piece| !rejected.contains(&piece.change)) {
            let LetGo { change, address, cells, .. } = piece;
            let is_held = [&mut self.peer, &mut self.victim].into_iter().any(|one| has(one, address, cells));
            assert!(is_held, "nobody has what {change:?} wrote in {address:?}");
        }
        self.claims_hold(With::Peer);
        let [victims, peers] = [&mut self.victim, &mut self.peer].map(scope_of);
        if self.role == Role::Open {
            let both = victims.intersection(&peers);
            assert_eq!(
                within(&mut self.victim, &both),
                within(&mut self.peer, &both),
                "an honest sync makes them equal where both subscribe"
            );
        }
    }

    /// In the end it wants everything: what it left with the third comes back.
    pub(super) fn hold_everything(&mut self) {
        self.victim.subscribe(Scope::everything()).expect("the shortest of all");
        self.meet_third();
        let kept = self.victim.rejected().expect("memory");
        for piece in self.apart.let_go.iter().filter(|piece| piece.to == With::Third) {
            // Taken back with what was refused, or replaced by what was.
            let is_beside = kept.iter().any(|of_change| {
                of_change.dot == piece.change
                    || of_change.documents.iter().any(|(address, document)| {
                        *address == piece.address && !document.clone().merge(piece.cells.clone())
                    })
            });
            let is_back = is_beside || has(&mut self.victim, &piece.address, &piece.cells);
            assert!(is_back, "{:?} did not come back to {:?}", piece.change, piece.address);
        }
        self.check();
    }
}
