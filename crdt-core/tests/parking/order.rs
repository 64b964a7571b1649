//! At one time, the order in which changes arrive makes no difference.

use crdt_core::{Address, Checkpoint, Document, DocumentId, Life, MemoryStore, Replica, ReplicaId};

use crate::under_miri::or_under_miri;
use crate::world::{
    DAY_MS, Random, START_MS, bytes, commit, each_seed, pull, replica, shown, some_edit, states, timeless,
};

/// The cells of transactions, one by one, by authors of whom some are ahead.
fn some_changes(random: &mut Random) -> Vec<(Address, Document)> {
    let mut authors: Vec<Replica<MemoryStore>> = (1..=4).map(timeless).collect();
    let mut found = Vec::new();
    for _ in 0..14 {
        let at = usize::try_from(random.below(4)).unwrap();
        let now_ms = START_MS + random.below(100) * 1_000 + [0, 0, DAY_MS, 400 * DAY_MS][at];
        let seed = random.next();
        let dot = commit(&mut authors[at], now_ms, ("tasks", random.below(2)), |document| {
            let mut random = Random(seed);
            some_edit(document, &mut random)?;
            some_edit(document, &mut random)
        });
        if let Some(dot) = dot {
            let states = states(&mut authors[at]).into_iter();
            let cells = states.map(|(address, state)| (address, state.select(|of| of == dot)));
            found.extend(cells.filter(|(_, cells)| !cells.is_empty()));
        }
        let from = usize::try_from(random.below(4)).unwrap();
        if from != at {
            let [to, from] = authors.get_disjoint_mut([at, from]).unwrap();
            pull(to, 0, from);
        }
    }
    found
}

/// Takes changes one by one.
fn receive(changes: &[(Address, Document)]) -> Replica<MemoryStore> {
    let mut receiver = replica(9);
    receiver.tick(START_MS + 100_000).unwrap();
    for change in changes {
        let (peer, author) = (Life(7), ReplicaId::from_u64(7));
        let (context, documents) = (Vec::new(), vec![change.clone()]);
        let run = Checkpoint { peer, replica: author, cursor: 0, context, documents, scope: 0, session: 0 };
        receiver.apply(run).unwrap();
    }
    receiver
}

fn everything(receiver: &mut Replica<MemoryStore>) -> Vec<Vec<u8>> {
    let addresses = [0, 1].map(|id| Address::new("tasks", DocumentId::from_u64(id)));
    let mut all: Vec<Vec<u8>> = addresses.iter().map(|address| bytes(&shown(receiver, address))).collect();
    all.push(receiver.canonical_bytes().unwrap());
    let parked = receiver.parked(None, usize::MAX).unwrap();
    all.push(format!("{parked:?}").into_bytes());
    all
}

#[test]
fn held_is_the_greatest_admissible_whatever_the_order_of_arrival() {
    each_seed("held_is", if cfg!(debug_assertions) { 300 } else { 3_000 }, |seed| {
        let mut random = Random(seed);
        let mut changes = some_changes(&mut random);
        let expected = everything(&mut receive(&changes));
        for _ in 0..or_under_miri(6, 2) {
            for at in (1..changes.len()).rev() {
                changes.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap());
            }
            assert_eq!(everything(&mut receive(&changes)), expected);
        }
    });
}

/// What the library does not do: a change from the future is kept out of the state until its time comes.
#[test]
fn parking_outside_the_state_is_unequal_for_ever() {
    let (mut unequal, histories) = (0, or_under_miri(200, 4u64));
    for seed in 0..histories {
        let changes = some_changes(&mut Random(seed));
        let now_ms = START_MS + 100_000;
        let mut outside = replica(9);
        let mut parked = Vec::new();
        for (address, cells) in &changes {
            let mut late = false;
            cells.visit(&mut |_, cell| late |= cell.set_by().stamp.hlc.ms() > now_ms + 60_000);
            if late {
                parked.push((address.clone(), cells.clone()));
                continue;
            }
            let documents = vec![(address.clone(), cells.clone())];
            let (peer, author, context) = (Life(7), ReplicaId::from_u64(7), Vec::new());
            let run =
                Checkpoint { peer, replica: author, cursor: 0, context, documents, scope: 0, session: 0 };
            outside.apply(run).unwrap();
        }
        let root = outside.head().unwrap().root;
        unequal += u64::from(root != receive(&changes).head().unwrap().root && !parked.is_empty());
    }
    assert!(unequal * 4 > histories * 3, "only {unequal} of {histories} histories would notice");
}
