//! Random histories of replicas that hold all of a namespace or a part of it, and change their minds, against an oracle
//! that merges every transaction when it is committed.
//!
//! After every step: nothing that was ever written is lost (the replicas together hold what the oracle holds), nobody
//! claims to have seen what it does not have, and the books agree with the documents. At the end, when all have met all:
//! everybody holds exactly what is in its scope.
//!
//! `SCOPES_HISTORIES` says how many histories, `SCOPES_SEED` which one.
#![cfg(all(feature = "sqlite", feature = "sync"))]
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use crdt_core::{
    Address, Checkpoint, Collection, Document, DocumentId, Durability, FieldType, Fingerprint, Head, Life,
    MemoryStore, Namespace, Position, Replica, ReplicaId, Scope, Store, TransactionError,
};
use sqlite_adapter::SqliteStore;
use sync_protocol::{Config, Session, SessionError};

const COLLECTIONS: [&str; 3] = ["counts", "notes", "tasks"];
const IDS: u64 = 5;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn scope(&mut self) -> Scope {
        if self.chance(20) {
            return Scope::everything();
        }
        let mut scope = Scope::nothing();
        for name in COLLECTIONS {
            let first = self.below(IDS);
            scope = match self.below(4) {
                0 => scope.collection(name),
                1 => scope.range(name, id(first), id(first + self.below(3))),
                2 => scope.documents(name, [id(first), id(self.below(IDS))]),
                _ => scope,
            };
        }
        scope
    }
}

fn id(number: u64) -> DocumentId {
    DocumentId::from_bytes(u128::from(number).to_be_bytes())
}

/// Where replicas keep what they hold.
trait Kind: Store + Sized {
    type Place;
    fn create(number: u64) -> (Self, Self::Place);
    fn reopen(self, place: &Self::Place) -> Self;
}

fn head(number: u64) -> Head {
    Head::new(Namespace::from_secret("scopes"), ReplicaId::from_u64(number), Life(number))
}

impl Kind for MemoryStore {
    type Place = ();

    fn create(number: u64) -> (Self, ()) {
        (Self::new(head(number)), ())
    }

    fn reopen(self, (): &()) -> Self {
        self
    }
}

impl Kind for SqliteStore {
    type Place = (tempfile::TempDir, PathBuf);

    fn create(_: u64) -> (Self, Self::Place) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.db");
        (open(&path), (folder, path))
    }

    fn reopen(self, (_, path): &Self::Place) -> Self {
        drop(self);
        open(path)
    }
}

fn open(path: &std::path::Path) -> SqliteStore {
    let options = sqlite_adapter::OpenOptions::new(Namespace::from_secret("scopes"));
    SqliteStore::open(path, &options).unwrap().store
}

fn declared<S: Store>(store: S) -> Replica<S> {
    let mut replica = Replica::new(store);
    replica.declare(Collection::new("counts").field("votes", FieldType::Counter));
    replica.declare(Collection::new("notes").field("text", FieldType::Detect).field("tags", FieldType::Set));
    replica
}

struct Device<K: Kind> {
    /// Taken out while its process is not running.
    replica: Option<Replica<K>>,
    place: K::Place,
}

impl<K: Kind> Device<K> {
    fn replica(&mut self) -> &mut Replica<K> {
        self.replica.as_mut().unwrap()
    }
}

struct World<K: Kind> {
    random: Random,
    devices: Vec<Device<K>>,
    /// Merges everything at once.
    oracle: Replica<MemoryStore>,
    /// What was counted up, per document.
    counted: BTreeMap<u64, i64>,
    now_ms: u64,
    nonce: u64,
    evicted: u64,
    refetched: u64,
}

type Documents = BTreeMap<Address, Document>;

fn documents<S: Store>(replica: &mut Replica<S>) -> Documents {
    let all = replica.difference(&crdt_core::VersionVector::new(), None, usize::MAX).unwrap();
    all.documents.into_iter().collect()
}

impl<K: Kind> World<K> {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let count = 3 + random.below(3);
        let devices = (1..=count).map(|number| {
            let (store, place) = K::create(number);
            Device { replica: Some(declared(store)), place }
        });
        let mut devices: Vec<_> = devices.collect();
        for device in devices.iter_mut().skip(1) {
            if random.chance(70) {
                device.replica().subscribe(random.scope()).unwrap();
            }
        }
        let oracle = declared(MemoryStore::new(head(1_000)));
        let (counted, now_ms, nonce) = (BTreeMap::new(), 1_790_000_000_000, 0);
        Self { random, devices, oracle, counted, now_ms, nonce, evicted: 0, refetched: 0 }
    }

    fn step(&mut self) {
        let at = self.random.index(self.devices.len());
        match self.random.below(100) {
            0..45 => self.commit(at),
            45..85 => {
                let other = (at + 1 + self.random.index(self.devices.len() - 1)) % self.devices.len();
                let cut = if self.random.chance(40) { self.random.index(16) } else { usize::MAX };
                self.sync(at, other, cut);
            }
            85..96 => self.subscribe(at),
            _ => {
                let device = &mut self.devices[at];
                let store = device.replica.take().unwrap().into_store();
                device.replica = Some(declared(store.reopen(&device.place)));
            }
        }
        self.check();
    }

    /// The first device keeps everything always.
    fn subscribe(&mut self, at: usize) {
        if at > 0 {
            let scope = self.random.scope();
            self.devices[at].replica().subscribe(scope).unwrap();
        }
    }

    fn commit(&mut self, at: usize) {
        self.now_ms += self.random.below(5_000);
        let Self { random, devices, counted, now_ms, .. } = self;
        let replica = devices[at].replica();
        let before = replica.head().unwrap().sequence;
        // Mostly what it holds, but not only.
        let scope = replica.subscription().unwrap().scope;
        let documents = 1 + random.below(2);
        let committed = replica.commit(*now_ms, Durability::Visible, |tx| {
            for _ in 0..documents {
                let mut address = Address::new(COLLECTIONS[random.index(3)], id(random.below(IDS)));
                for _ in 0..3 {
                    if !scope.contains(&address) && random.chance(80) {
                        address = Address::new(COLLECTIONS[random.index(3)], id(random.below(IDS)));
                    }
                }
                let number = u128::from_be_bytes(*address.id.as_bytes());
                let mut document = tx.document(address.collection.clone(), address.id)?;
                let text = format!("text {}", random.next());
                match &*address.collection {
                    "counts" => {
                        let by = 1 + i64::try_from(random.below(9)).unwrap();
                        document.increment("votes", by)?;
                        *counted.entry(u64::try_from(number).unwrap()).or_default() += by;
                    }
                    "notes" if random.chance(50) => document.set("text", text)?,
                    "notes" if random.chance(60) => document.add_to("tags", random.below(4).cast_signed())?,
                    "notes" => document.remove_from("tags", random.below(4).cast_signed())?,
                    _ if random.chance(85) => document.set("title", text)?,
                    _ => document.delete(),
                }
            }
            Ok::<_, TransactionError>(())
        });
        committed.unwrap();
        let window = replica.window(Position { sequence: before, documents: 0 }, usize::MAX).unwrap();
        let told = Checkpoint {
            peer: Life(77),
            replica: ReplicaId::from_u64(77),
            cursor: 0,
            context: Vec::new(),
            documents: window.documents,
            scope: 0,
            session: 0,
        };
        self.oracle.apply(told).unwrap();
    }

    /// A session that is cut after so many messages; somebody may change its mind meanwhile.
    fn sync(&mut self, at: usize, other: usize, cut: usize) {
        self.nonce += 2;
        let config = |nonce| Config::new(nonce);
        let mut sessions = [
            Session::new(config(self.nonce), self.now_ms),
            Session::new(config(self.nonce + 1), self.now_ms),
        ];
        let ends = [at, other];
        let (mut left, mut disturbed) = (cut, false);
        loop {
            let mut moved = false;
            for turn in [0, 1] {
                if left == 0 {
                    return;
                }
                if self.random.chance(2) {
                    disturbed = true;
                    let who = ends[self.random.index(2)];
                    self.subscribe(who);
                }
                if self.random.chance(3) {
                    let who = ends[self.random.index(2)];
                    self.commit(who);
                    moved = true;
                }
                let message = match sessions[turn].transmit(self.devices[ends[turn]].replica(), self.now_ms) {
                    Ok(Some(message)) => message,
                    Ok(None) => continue,
                    Err(SessionError::ScopeChanged) if disturbed => return,
                    Err(error) => panic!("{error}"),
                };
                (left, moved) = (left - 1, true);
                let hears = &mut sessions[1 - turn];
                let before = self.devices[ends[1 - turn]].replica().has_outside().unwrap();
                match hears.receive(self.devices[ends[1 - turn]].replica(), &message, self.now_ms) {
                    Ok(()) => {}
                    Err(SessionError::ScopeChanged | SessionError::Ended(_)) if disturbed => return,
                    Err(error) => panic!("{error}"),
                }
                while let Some(event) = hears.poll_event() {
                    if let sync_protocol::SessionEvent::Evicted { documents } = event {
                        assert!(before);
                        self.evicted += documents;
                    }
                }
                self.check_nothing_lost();
            }
            if !moved {
                let settled = sessions.iter().all(Session::is_settled);
                assert!(settled || disturbed, "the session came to rest and is not settled");
                self.check_status(&sessions, ends);
                return;
            }
        }
    }

    fn check_status(&mut self, sessions: &[Session; 2], ends: [usize; 2]) {
        let whole = ends.map(|end| self.devices[end].replica().subscription().unwrap().scope.is_everything());
        for session in sessions {
            let status = session.status();
            if status.comparable && session.is_settled() && whole == [true, true] {
                let root = self.devices[ends[0]].replica().head().unwrap().root;
                assert_eq!(root, self.devices[ends[1]].replica().head().unwrap().root);
            }
        }
    }

    fn check_nothing_lost(&mut self) {
        let mut together = Documents::new();
        for device in &mut self.devices {
            for (address, document) in documents(device.replica()) {
                let known = together.remove(&address).unwrap_or_default();
                together.insert(address, known.merged(document));
            }
        }
        for (address, document) in documents(&mut self.oracle) {
            assert_eq!(together.get(&address), Some(&document), "lost in {address:?}");
        }
    }

    fn check(&mut self) {
        self.check_nothing_lost();
        let everything = documents(&mut self.oracle);
        for (number, device) in self.devices.iter_mut().enumerate() {
            let replica = device.replica();
            let (held, head) = (documents(replica), replica.head().unwrap());
            let sum = held.iter().fold(Fingerprint::EMPTY, |sum, (address, document)| {
                sum.plus(document.fingerprint(&head.namespace, address))
            });
            assert_eq!(sum, head.root, "the root of device {number}");
            let (seen, ours) = (replica.seen().unwrap(), replica.subscription().unwrap());
            for (address, document) in everything.iter().filter(|(address, _)| ours.scope.contains(address)) {
                let claimed = document.select(|dot| seen.contains(dot));
                let has = held.get(address).cloned().unwrap_or_default();
                assert_eq!(
                    has.clone().merged(claimed),
                    has,
                    "device {number} claims what it lacks in {address:?}"
                );
            }
            for (address, document) in &held {
                let known = everything.get(address).cloned().unwrap_or_default();
                assert_eq!(
                    known.clone().merged(document.clone()),
                    known,
                    "device {number} made something up"
                );
            }
        }
    }

    fn finish(&mut self) {
        for _ in 0..3 {
            for at in 0..self.devices.len() {
                for other in 0..at {
                    let mut calm = Random(1);
                    std::mem::swap(&mut calm, &mut self.random);
                    self.quiet_sync(at, other);
                    std::mem::swap(&mut calm, &mut self.random);
                    self.check();
                }
            }
        }
        let everything = documents(&mut self.oracle);
        for (number, device) in self.devices.iter_mut().enumerate() {
            let replica = device.replica();
            let scope = replica.subscription().unwrap().scope;
            let mut expected = everything.clone();
            expected.retain(|address, _| scope.contains(address));
            assert_eq!(documents(replica), expected, "device {number} with {scope:?}");
            assert!(!replica.has_outside().unwrap());
        }
        for (number, count) in &self.counted {
            let hub = self.devices[0].replica();
            assert_eq!(hub.read("counts", id(*number)).unwrap().counter("votes"), i128::from(*count));
        }
    }

    fn quiet_sync(&mut self, at: usize, other: usize) {
        let [low, high] = self.devices.get_disjoint_mut([at, other]).unwrap();
        self.nonce += 2;
        let mut one = Session::new(Config::new(self.nonce), self.now_ms);
        let mut two = Session::new(Config::new(self.nonce + 1), self.now_ms);
        sync_protocol::drive::pump(&mut one, low.replica(), &mut two, high.replica(), self.now_ms).unwrap();
        assert!(one.is_settled() && two.is_settled());
        for session in [&mut one, &mut two] {
            while let Some(event) = session.poll_event() {
                match event {
                    sync_protocol::SessionEvent::Evicted { documents } => self.evicted += documents,
                    sync_protocol::SessionEvent::RootsDiffer { .. } => panic!("the roots differ"),
                    sync_protocol::SessionEvent::Applied { cells, .. } => self.refetched += cells,
                    _ => {}
                }
            }
        }
    }
}

/// Plays histories; on failure says which, and how to see it again.
fn play<K: Kind>(name: &str, seeds: std::ops::Range<u64>, steps: usize) {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seeds = match (number("SCOPES_SEED"), number("SCOPES_HISTORIES")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => seeds.start..seeds.start + count,
        (None, None) => seeds,
    };
    let (mut evicted, one) = (0, seeds.clone().count() == 1);
    for seed in seeds {
        let played = std::panic::catch_unwind(|| {
            let mut world = World::<K>::new(seed);
            for _ in 0..steps {
                world.step();
            }
            world.finish();
            world.evicted
        });
        match played {
            Ok(documents) => evicted += documents,
            Err(panic) => {
                println!("FAILED: seed {seed}");
                println!("  replay: SCOPES_SEED={seed} cargo test -p rejoin --test scopes {name}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{name}: {evicted} documents were evicted");
    assert!(one || evicted > 20, "{evicted} evictions try nothing");
}

#[test]
fn in_memory() {
    play::<MemoryStore>("in_memory", 25..45, 100);
}

#[test]
fn in_files() {
    play::<SqliteStore>("in_files", 5_000..5_005, 60);
}
