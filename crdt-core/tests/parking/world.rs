//! Replicas with clocks, edits of every kind, and exchange without sessions.

use crdt_core::codec::{Dictionary, encode_batch};
use crdt_core::{
    Address, Checkpoint, Collection, Document, DocumentId, DocumentMut, Dot, Durability, EditError,
    FieldType, Fields, Head, Life, MemoryStore, Namespace, Path, ReceiveBound, Replica, ReplicaId, Store,
    TransactionError, VersionVector,
};

use crate::under_miri::or_under_miri;

pub const START_MS: u64 = 1_790_000_000_000;
pub const MINUTE_MS: u64 = 60_000;
pub const DAY_MS: u64 = 86_400_000;
pub const YEAR_MS: u64 = 365 * DAY_MS;

/// `SplitMix64`: enough for tests, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Runs a test with many seeds (`SEEDS` says how many instead); a failure says which, and how to run it again.
pub fn each_seed(test: &str, seeds: u64, run: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let (only, seeds) = (number("SEED"), number("SEEDS").unwrap_or(or_under_miri(seeds, 1)));
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
        if let Err(panic) = result {
            eprintln!("seed {seed} fails: SEED={seed} cargo test -p crdt-core --test parking {test}");
            std::panic::resume_unwind(panic);
        }
    }
}

pub fn collections() -> [Collection; 2] {
    let inner = Fields::from([("city".into(), FieldType::Lww), ("visits".into(), FieldType::Counter)]);
    let full = |name: &str| {
        Collection::new(name)
            .field("title", FieldType::Lww)
            .field("notes", FieldType::Detect)
            .field("votes", FieldType::Counter)
            .field("tags", FieldType::Set)
            .field("done", FieldType::Flag)
            .field("place", FieldType::Map(inner.clone()))
    };
    [full("tasks"), full("fragile").delete_wins()]
}

pub fn declared<S: Store>(mut replica: Replica<S>) -> Replica<S> {
    for collection in collections() {
        replica.declare(collection);
    }
    replica
}

/// A replica that keeps no time.
pub fn timeless(number: u64) -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    declared(Replica::new(MemoryStore::new(head)))
}

/// A replica that keeps time.
pub fn replica(number: u64) -> Replica<MemoryStore> {
    let mut replica = timeless(number);
    replica.keep_time(ReceiveBound::default());
    replica
}

pub fn restarted(replica: Replica<MemoryStore>) -> Replica<MemoryStore> {
    let mut replica = declared(Replica::new(replica.into_store()));
    replica.keep_time(ReceiveBound::default());
    replica
}

pub fn commit<S: Store>(
    replica: &mut Replica<S>,
    now_ms: u64,
    (collection, id): (&str, u64),
    edit: impl FnOnce(&mut DocumentMut<'_>) -> Result<(), EditError>,
) -> Option<Dot> {
    let committed = replica.commit(now_ms, Durability::Visible, |tx| {
        edit(&mut tx.document(collection, DocumentId::from_u64(id))?)?;
        Ok::<_, TransactionError>(())
    });
    committed.unwrap().dot
}

pub fn set<S: Store>(replica: &mut Replica<S>, now_ms: u64, field: &str, value: &str) -> Option<Dot> {
    commit(replica, now_ms, ("tasks", 1), |document| document.set(field, value))
}

/// Some edit, of every kind.
pub fn some_edit(document: &mut DocumentMut<'_>, random: &mut Random) -> Result<(), EditError> {
    let value = i64::try_from(random.below(5)).unwrap();
    match random.below(15) {
        0..=2 => document.set("title", value),
        3 | 4 => document.set("notes", value),
        5 => document.increment("votes", value - 1),
        6 => document.reset("votes"),
        7 => document.add_to("tags", value),
        8 => document.remove_from("tags", value),
        9 => document.enable("done"),
        10 => document.disable("done"),
        11 => document.map("place")?.set("city", value),
        12 => document.map("place")?.increment("visits", 1),
        13 => document.remove(["place", "title", "tags", "notes"][usize::try_from(value).unwrap() % 4]),
        _ if value == 0 => document.erase(),
        _ if value < 3 => {
            document.delete();
            Ok(())
        }
        _ => document.ensure(),
    }
}

/// Everything of a change order after a position, as a checkpoint.
pub fn checkpoint<S: Store>(from: &mut Replica<S>, position: u64) -> Checkpoint {
    let start = crdt_core::Position { sequence: position, documents: 0 };
    let window = from.window(start, usize::MAX).unwrap();
    assert!(window.reaches_head());
    let (head, context) = (window.head, from.seen().unwrap().iter().collect());
    Checkpoint {
        peer: head.life,
        replica: head.replica,
        cursor: head.sequence,
        context,
        documents: window.documents,
        scope: 0,
        session: 0,
    }
}

/// Brings one up to date with the other, at a time.
pub fn pull<S: Store, T: Store>(to: &mut Replica<S>, now_ms: u64, from: &mut Replica<T>) {
    to.tick(now_ms).unwrap();
    let life = from.head().unwrap().life;
    let known = to.peer(life).unwrap().map_or(0, |peer| peer.cursor);
    let run = checkpoint(from, known);
    to.apply(run).unwrap();
}

/// All states, which are not what is shown.
pub fn states<S: Store>(replica: &mut Replica<S>) -> Vec<(Address, Document)> {
    replica.difference(&VersionVector::new(), None, usize::MAX).unwrap().documents
}

/// What one shows of a document.
pub fn shown<S: Store>(replica: &mut Replica<S>, address: &Address) -> Document {
    replica.read(address.collection.clone(), address.id).unwrap().state().clone()
}

/// Equal documents are equal bytes.
pub fn bytes(document: &Document) -> Vec<u8> {
    let mut out = Vec::new();
    if !document.is_empty() {
        let address = Address::new("any", DocumentId::from_u64(0));
        encode_batch(&mut out, &mut Dictionary::new(), [(&address, document)]);
    }
    out
}

pub fn text<S: Store>(replica: &mut Replica<S>, field: &str) -> Option<String> {
    let view = replica.read("tasks", DocumentId::from_u64(1)).unwrap();
    view.get(field).unwrap().and_then(|value| value.as_str().map(str::to_owned))
}

/// Everybody gets everything.
pub fn exchange(devices: &mut [Replica<MemoryStore>], clocks_ms: &[u64]) {
    for _ in 0..2 {
        for (to, now_ms) in clocks_ms.iter().enumerate() {
            for from in (0..devices.len()).filter(|from| *from != to) {
                let [to_device, from] = devices.get_disjoint_mut([to, from]).unwrap();
                pull(to_device, *now_ms, from);
            }
        }
    }
}

pub fn roots_are_equal(devices: &mut [Replica<MemoryStore>]) {
    let roots: Vec<_> = devices.iter_mut().map(|device| device.head().unwrap().root).collect();
    assert!(roots.windows(2).all(|two| two[0] == two[1]), "{roots:?}");
}

pub fn views_are_equal(devices: &mut [Replica<MemoryStore>]) {
    let views: Vec<_> = devices
        .iter_mut()
        .map(|device| device.read("tasks", DocumentId::from_u64(1)).unwrap().to_value())
        .collect();
    assert!(views.windows(2).all(|two| two[0] == two[1]), "{views:?}");
}

pub fn devices_replica(device: &mut Replica<MemoryStore>) -> ReplicaId {
    device.head().unwrap().replica
}

/// The cells of one field.
pub fn select(document: &Document, is_meant: impl Fn(&str) -> bool) -> Document {
    let mut chosen = Document::new();
    document.visit(&mut |path, cell| {
        if path.last().is_some_and(|name| is_meant(name)) {
            chosen.merge_cell(path, cell.to_owned());
        }
    });
    chosen
}

/// Cells that come from no session.
pub fn deliver(to: &mut Replica<MemoryStore>, documents: Vec<(Address, Document)>) {
    let (peer, replica, context) = (Life(77), ReplicaId::from_u64(77), Vec::new());
    to.apply(Checkpoint { peer, replica, cursor: 0, context, documents, scope: 0, session: 0 }).unwrap();
}

/// The cells whose path is chosen.
pub fn select_all(document: &Document, is_meant: impl Fn(&Path) -> bool) -> Document {
    let mut chosen = Document::new();
    document.visit(&mut |path, cell| {
        if is_meant(path) {
            chosen.merge_cell(path, cell.to_owned());
        }
    });
    chosen
}
