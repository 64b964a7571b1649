//! Random histories in which some syncs are sessions and others bundles, kept, mixed up, repeated and forgotten: nobody
//! ever claims to have seen what it does not hold, and all come to hold the same.
#![allow(missing_docs)]

mod support;

use crdt_core::{
    Address, Checkpoint, Document, Life, MemoryStore, Position, Replica, ReplicaId, VersionVector,
};
use support::{Random, START_MS, declared, edit, or_under_miri, replica, set};
use sync_protocol::bundle::{For, export, import};
use sync_protocol::drive::exchange_in_memory;

type Memory = Replica<MemoryStore>;

const REPLICAS: u64 = 4;

/// All that `from` holds beyond what `to` says it has seen.
fn difference(from: &mut Memory, to: &mut Memory) -> Vec<(Address, Document)> {
    let seen = to.seen().unwrap();
    from.difference(&seen, None, usize::MAX).unwrap().documents
}

fn merged(into: &mut Memory, documents: Vec<(Address, Document)>) -> u64 {
    let (peer, replica) = (Life(u64::MAX), ReplicaId::from_u64(u64::MAX));
    let cells = Checkpoint { peer, replica, cursor: 0, context: Vec::new(), documents, scope: 0, session: 0 };
    into.apply(cells).unwrap().cells
}

/// Whoever gets what it does not claim to have seen has everything: so what it claims, it holds.
fn check_claims(replicas: &mut [Memory], history: &str) {
    for to in 0..replicas.len() {
        for from in 0..replicas.len() {
            let mut copy = declared(Replica::new(replicas[to].store_mut().clone()));
            let lacking = difference(&mut replicas[from], &mut copy);
            merged(&mut copy, lacking);
            let everything = replicas[from].difference(&VersionVector::new(), None, usize::MAX).unwrap();
            let cells = merged(&mut copy, everything.documents);
            assert_eq!(cells, 0, "{history}: {to} claims to have seen {cells} cells of {from} that it lacks");
        }
    }
}

/// Whoever has a cursor on somebody's change order holds all cells of the steps up to it.
fn check_cursors(replicas: &mut [Memory], history: &str) {
    for to in 0..replicas.len() {
        for from in 0..replicas.len() {
            let life = replicas[from].head().unwrap().life;
            let cursor = replicas[to].peer(life).unwrap().map_or(0, |peer| peer.cursor);
            let steps =
                replicas[from].window_for_peer(Position::default(), usize::MAX, 0, |step| step > cursor);
            let mut copy = declared(Replica::new(replicas[to].store_mut().clone()));
            let cells = merged(&mut copy, steps.unwrap().documents);
            assert_eq!(cells, 0, "{history}: {to} has come to {cursor} of {from} and lacks {cells} cells");
        }
    }
}

struct History {
    random: Random,
    replicas: Vec<Memory>,
    /// All bundles there ever were.
    bundles: Vec<Vec<u8>>,
    gaps: usize,
    now_ms: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let replicas = (1..=REPLICAS).map(replica).collect();
        Self { random: Random(seed), replicas, bundles: Vec::new(), gaps: 0, now_ms: 0 }
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.random.below(len as u64)).unwrap()
    }

    fn two(&mut self) -> (usize, usize) {
        let one = self.index(self.replicas.len());
        let other = (one + 1 + self.index(self.replicas.len() - 1)) % self.replicas.len();
        (one, other)
    }

    fn step(&mut self) {
        let (one, other) = self.two();
        self.now_ms += 1 + self.random.below(3);
        match self.random.below(10) {
            0 if self.random.below(4) == 0 => {
                // Its history goes on under another name; what was acknowledged and exported before is of the old one.
                let (id, life) = (ReplicaId::from_u64(1_000 + self.now_ms), Life(1_000 + self.now_ms));
                self.replicas[one].renew_identity(id, life).unwrap();
            }
            0..4 => self.commit(one),
            4 => self.meet(one, other),
            5..7 => {
                let audience = match self.random.below(3) {
                    0 => For::Anyone,
                    1 => For::Peer(self.replicas[other].head().unwrap().replica),
                    _ => For::Holder(self.replicas[other].seen().unwrap()),
                };
                let mut file = Vec::new();
                export(&mut self.replicas[one], &audience, &mut file, START_MS).unwrap();
                self.bundles.push(file);
            }
            _ if self.bundles.is_empty() => {}
            _ => {
                // Rather a late one, so that what was acknowledged meanwhile counts.
                let late = self.bundles.len().saturating_sub(6);
                let at = if self.random.below(2) == 0 { self.index(self.bundles.len()) } else { late };
                let imported = import(&mut self.replicas[one], self.bundles[at].as_slice()).unwrap();
                self.gaps += usize::from(imported.missing.is_some());
            }
        }
    }

    fn commit(&mut self, at: usize) {
        let (document, ms) = (self.random.below(6), self.now_ms);
        let what = self.random.below(5);
        let replica = &mut self.replicas[at];
        match what {
            0 => edit(replica, document, ms, |document| {
                document.delete();
            }),
            1 => edit(replica, document, ms, |document| document.increment("votes", 1).unwrap()),
            2 => set(replica, document, ms, "notes", &format!("note {ms}")),
            _ => set(replica, document, ms, "title", &format!("title {ms}")),
        }
    }

    fn meet(&mut self, one: usize, other: usize) {
        let (low, high) = self.replicas.split_at_mut(one.max(other));
        exchange_in_memory(&mut low[one.min(other)], &mut high[0], START_MS).unwrap();
    }

    /// Bundles alone, passed around twice, are enough.
    fn settle(&mut self) {
        for round in 0..2 {
            for from in 0..self.replicas.len() {
                let mut file = Vec::new();
                export(&mut self.replicas[from], &For::Anyone, &mut file, START_MS + round).unwrap();
                for replica in &mut self.replicas {
                    assert_eq!(import(replica, file.as_slice()).unwrap().missing, None);
                }
            }
        }
    }
}

#[test]
fn whoever_mixes_up_bundles_and_sessions_claims_only_what_it_holds() {
    let usually = or_under_miri(150, 1);
    let histories = std::env::var("BUNDLE_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(usually);
    let mut gaps = 0;
    for seed in 0..histories {
        let mut history = History::new(seed);
        for step in 0..or_under_miri(60, 20) {
            history.step();
            if step % 5 == 0 {
                let place = format!("history {seed}, step {step}");
                check_claims(&mut history.replicas, &place);
                check_cursors(&mut history.replicas, &place);
            }
        }
        check_claims(&mut history.replicas, &format!("history {seed}"));
        gaps += history.gaps;
        history.settle();
        let roots: Vec<_> = history.replicas.iter_mut().map(|replica| replica.head().unwrap().root).collect();
        assert!(roots.iter().all(|root| *root == roots[0]), "history {seed}: {roots:?}");
    }
    // Else the histories would not test what they are for.
    assert!(gaps as u64 > histories / 2 || cfg!(miri), "only {gaps} gaps");
}
