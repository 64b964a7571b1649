//! What has to hold of a store, whoever it has talked to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crdt_core::codec::Dictionary;
use crdt_core::{
    Access, Address, Document, Dot, Durability, Fingerprint, Lattice as _, MemoryStore, Replica, Store as _,
};

use super::decoders::{Batch, decode, encode};

/// The usual replica of a target.
pub type Memory = Replica<MemoryStore>;

/// What one side committed, change by change.
pub type Written = BTreeMap<Dot, Batch>;

/// Documents as a store has them: nothing is copied.
pub type Stored = Vec<(Address, Arc<Document>)>;

/// All documents, deleted ones and empty ones included.
pub fn stored(replica: &mut Memory) -> Stored {
    let store = replica.store_mut();
    store.begin(Access::Read, Durability::Visible).expect("memory");
    let all = store.documents_after(None, usize::MAX).expect("memory");
    store.commit().expect("memory");
    all
}

/// The same, copied.
pub fn documents(replica: &mut Memory) -> Batch {
    stored(replica).into_iter().map(|(address, document)| (address, (*document).clone())).collect()
}

/// The change of a cell, and where the cell is.
pub type Cells = BTreeSet<(Dot, Address)>;

/// Where every cell is that a replica holds, and of which change it is.
pub fn cells(replica: &mut Memory) -> Cells {
    let mut cells = Cells::new();
    for (address, document) in stored(replica) {
        document.visit(&mut |_, cell| {
            cells.insert((cell.set_by().dot(), address.clone()));
        });
    }
    cells
}

/// The books of a store agree with each other: root, canonical bytes, change order.
pub fn audit(replica: &mut Memory) {
    audit_loaded(replica, &Cells::new());
}

/// The same of a replica whose first sync is under way, or was once: what it `loaded` is not in its change order.
pub fn audit_loaded(replica: &mut Memory, loaded: &Cells) {
    let head = replica.head().expect("memory");
    let all = documents(replica);
    let mut sum = Fingerprint::EMPTY;
    for (address, document) in &all {
        sum = sum.plus(document.fingerprint(&head.namespace, address));
    }
    assert_eq!(sum, head.root, "the root is the sum of all cells");
    let held: Batch = all.into_iter().filter(|(_, document)| !document.is_empty()).collect();
    let bytes = replica.canonical_bytes().expect("memory");
    assert_eq!(encode(&mut Dictionary::new(), &held), bytes);
    assert_eq!(decode(&bytes, &mut Dictionary::new()).as_ref(), Ok(&held), "what is held can be sent");
    assert!(head.offered <= head.counter, "nothing was offered that is not there");

    let store = replica.store_mut();
    store.begin(Access::Read, Durability::Visible).expect("memory");
    let log = store.log_after(0, usize::MAX).expect("memory");
    store.commit().expect("memory");
    assert!(log.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "steps are in order");
    assert_eq!(log.last().map_or(0, |step| step.sequence), head.sequence, "the head is the last step");
    // Or a peer with a cursor would never get it.
    let mut steps: BTreeSet<(Dot, &Address)> = BTreeSet::new();
    for step in &log {
        for dot in &step.dots {
            steps.extend(step.documents.iter().map(|address| (*dot, address)));
        }
    }
    for (address, document) in &held {
        document.visit(&mut |path, cell| {
            let dot = cell.set_by().dot();
            assert!(
                steps.contains(&(dot, address)) || loaded.contains(&(dot, address.clone())),
                "a cell that is in no step: {dot:?} {address:?} {path:?}"
            );
        });
    }
}

/// The cells of a change as they are now: to be kept right after it was committed.
pub fn cells_of(replica: &mut Memory, change: Dot) -> Batch {
    let all = stored(replica).into_iter();
    let of_change = all.map(|(address, document)| (address, document.select(|dot| dot == change)));
    of_change.filter(|(_, document)| !document.is_empty()).collect()
}

/// Everything that was committed is there, or something greater is: in the state, or in what is kept `beside` it because
/// it was refused.
pub fn nothing_is_lost(replica: &mut Memory, written: &Written, beside: &Batch) {
    // Copied once, and only what was written to.
    let places: BTreeSet<&Address> = written.values().flatten().map(|(address, _)| address).collect();
    let mut now: BTreeMap<Address, Document> = BTreeMap::new();
    for (address, document) in stored(replica) {
        if places.contains(&address) {
            now.insert(address, (*document).clone());
        }
    }
    for (address, document) in beside {
        now.entry(address.clone()).or_default().merge(document.clone());
    }
    for (dot, cells) in written {
        for (address, cells) in cells {
            let state = now.entry(address.clone()).or_default();
            assert!(!state.merge(cells.clone()), "something of {dot:?} was lost in {address:?}");
        }
    }
}
