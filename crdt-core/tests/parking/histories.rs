//! Random histories of replicas whose clocks are wrong, jump and stand still, against the model.

use std::collections::BTreeSet;

use crdt_core::{
    Address, CellRef, Change, Document, DocumentId, Durability, Fingerprint, MemoryStore, ParkedChange,
    Replica, TransactionError,
};

use crate::model::Model;
use crate::under_miri::or_under_miri;
use crate::world::{
    DAY_MS, Random, START_MS, YEAR_MS, bytes, checkpoint, each_seed, replica, restarted, shown, some_edit,
    states, timeless,
};

struct Device {
    replica: Option<Replica<MemoryStore>>,
    model: Model,
    /// What its clock says beyond the right time.
    off_ms: i64,
    frozen_at_ms: Option<u64>,
}

impl Device {
    fn new(number: u64) -> Self {
        let mut replica = replica(number);
        replica.collect_events(true);
        Self { replica: Some(replica), model: Model::default(), off_ms: 0, frozen_at_ms: None }
    }

    fn replica(&mut self) -> &mut Replica<MemoryStore> {
        self.replica.as_mut().unwrap()
    }

    fn now_ms(&self, right_ms: u64) -> u64 {
        self.frozen_at_ms.unwrap_or_else(|| right_ms.saturating_add_signed(self.off_ms))
    }

    /// Lets time come, and checks that the app hears of all that is shown differently.
    fn tick(&mut self, right_ms: u64) {
        let now_ms = self.now_ms(right_ms);
        let before = self.model.shown.clone();
        self.model.tick(now_ms);
        self.replica().tick(now_ms).unwrap();
        self.check_events(&before);
    }

    fn check_events(&mut self, before: &std::collections::BTreeMap<Address, Document>) {
        let events = self.replica().take_events();
        let told: BTreeSet<Address> =
            events.into_iter().flat_map(|event| event.documents).map(|change| change.address).collect();
        for (address, document) in &self.model.shown {
            let was = before.get(address).map(bytes).unwrap_or_default();
            assert!(was == bytes(document) || told.contains(address), "nobody was told of {address:?}");
        }
    }

    fn check(&mut self) {
        let model = self.model.clone();
        let replica = self.replica();
        let mut sum = Fingerprint::EMPTY;
        let head = replica.head().unwrap();
        for (address, state) in states(replica) {
            sum = sum.plus(state.fingerprint(&head.namespace, &address));
            assert_eq!(bytes(&state), bytes(&model.states[&address]), "the state of {address:?}");
        }
        assert_eq!(sum, head.root);
        for (address, document) in &model.shown {
            assert_eq!(bytes(&shown(replica, address)), bytes(document), "the view of {address:?}");
        }
        let mut listed = BTreeSet::new();
        for ParkedChange { change, documents, and_more, .. } in replica.parked(None, usize::MAX).unwrap() {
            assert!(!and_more);
            listed.extend(documents.into_iter().map(|address| (change, address)));
        }
        assert_eq!(listed, model.all_parked(), "the list of what is parked");
        for (address, changes) in &model.parked {
            let view = replica.read(address.collection.clone(), address.id).unwrap();
            let withheld: BTreeSet<Change> = view.withheld().iter().map(|withheld| withheld.by).collect();
            assert_eq!(withheld, *changes);
        }
    }

    fn commit(&mut self, right_ms: u64, random: &mut Random) {
        self.tick(right_ms);
        let now_ms = self.now_ms(right_ms);
        let address = address(random);
        let seed = random.next();
        let before = self.model.shown.clone();
        let done = self.replica().commit(now_ms, Durability::Visible, |tx| {
            let mut random = Random(seed);
            let mut document = tx.document(address.collection.clone(), address.id)?;
            for _ in 0..=random.below(3) {
                some_edit(&mut document, &mut random)?;
            }
            Ok::<_, TransactionError>(())
        });
        let Some(dot) = done.unwrap().dot else { return };
        // What the transaction wrote is the merge of its delta: the library asserts that itself. Here it has to win.
        let (view, state) = (shown(self.replica(), &address), self.state(&address));
        let mut own = Document::new();
        view.visit(&mut |path, cell| {
            if cell.set_by().dot() == dot {
                own.merge_cell(path, cell.to_owned());
                let wins = matches!(cell, CellRef::Register(cell) if cell.open().is_some());
                let mut won = !wins;
                state.visit(&mut |at, winner| won |= at == path && winner.set_by().dot() == dot);
                assert!(won, "a value was written over a parked one, and lost");
            }
        });
        let id = self.replica().head().unwrap().replica;
        self.model.receive(id, now_ms, &address, &own);
        self.check_events(&before);
    }

    fn state(&mut self, address: &Address) -> Document {
        states(self.replica())
            .into_iter()
            .find(|(at, _)| at == address)
            .map(|(_, state)| state)
            .unwrap_or_default()
    }

    fn pull(&mut self, right_ms: u64, from: &mut Self) {
        self.tick(right_ms);
        let (now_ms, before) = (self.now_ms(right_ms), self.model.shown.clone());
        let life = from.replica().head().unwrap().life;
        let known = self.replica().peer(life).unwrap().map_or(0, |peer| peer.cursor);
        let run = checkpoint(from.replica(), known);
        let own = self.replica().head().unwrap().replica;
        for (address, delta) in &run.documents {
            self.model.receive(own, now_ms, address, delta);
        }
        self.replica().apply(run).unwrap();
        self.check_events(&before);
    }
}

fn address(random: &mut Random) -> Address {
    let collection = if random.chance(70) { "tasks" } else { "fragile" };
    Address::new(collection, DocumentId::from_u64(random.below(2)))
}

/// A clock that is wrong by anything between a second and ten years, either way.
fn some_offset(random: &mut Random) -> i64 {
    let most = [0, 1_000, 100_000, DAY_MS, 10 * YEAR_MS][usize::try_from(random.below(5)).unwrap()];
    let off = i64::try_from(random.below(most + 1)).unwrap();
    if random.chance(50) { -off } else { off }
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let mut devices: Vec<Device> = (1..=2 + random.below(3)).map(Device::new).collect();
    let mut right_ms = START_MS;
    for device in &mut devices {
        device.off_ms = if random.chance(50) { some_offset(&mut random) } else { 0 };
    }
    let count = devices.len() as u64;
    for _ in 0..or_under_miri(60, 12) {
        // The library looks at most once a second whether the time of something has come.
        right_ms += if random.chance(10) { random.below(2 * DAY_MS) } else { 1_000 + random.below(5_000) };
        let at = usize::try_from(random.below(count)).unwrap();
        match random.below(100) {
            0..45 => devices[at].commit(right_ms, &mut random),
            45..85 => {
                let from = (at + 1 + usize::try_from(random.below(count - 1)).unwrap()) % devices.len();
                let [to, from] = devices.get_disjoint_mut([at, from]).unwrap();
                to.pull(right_ms, from);
            }
            85..90 => devices[at].off_ms = some_offset(&mut random),
            90..93 => {
                let now_ms = devices[at].now_ms(right_ms);
                let frozen = &mut devices[at].frozen_at_ms;
                *frozen = if frozen.is_some() { None } else { Some(now_ms) };
            }
            93..96 => {
                let mut again = restarted(devices[at].replica.take().unwrap());
                again.collect_events(true);
                devices[at].replica = Some(again);
                devices[at].tick(right_ms);
            }
            _ => devices[at].tick(right_ms),
        }
        devices[at].check();
    }
    finish(devices, right_ms);
}

/// In the end everybody has everything, and when the last time has come all show the same, which is the plain merge.
fn finish(mut devices: Vec<Device>, right_ms: u64) {
    for _ in 0..2 {
        for to in 0..devices.len() {
            for from in (0..devices.len()).filter(|from| *from != to) {
                let [to, from] = devices.get_disjoint_mut([to, from]).unwrap();
                to.pull(right_ms, from);
            }
        }
    }
    let mut plain = timeless(99);
    let from = devices[0].replica();
    let run = checkpoint(from, 0);
    plain.apply(run).unwrap();
    let (root, expected) = (plain.head().unwrap().root, states(&mut plain));
    for device in &mut devices {
        assert_eq!(device.replica().head().unwrap().root, root, "the roots differ");
        device.check();
        (device.off_ms, device.frozen_at_ms) = (0, None);
        device.tick(right_ms + 30 * YEAR_MS);
        device.check();
        assert!(device.replica().parked(None, 1).unwrap().is_empty());
        for (address, state) in &expected {
            assert_eq!(bytes(&shown(device.replica(), address)), bytes(state), "after all was admitted");
        }
    }
}

#[test]
fn state_and_view_are_those_of_the_model_whatever_the_clocks_do() {
    each_seed("state_and_view", if cfg!(debug_assertions) { 250 } else { 20_000 }, run);
}
