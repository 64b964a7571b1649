//! What an app sees: that it stays the same while a replica goes on under another id, and what a replica that keeps the
//! time shows of what it holds.

use std::collections::BTreeSet;
use std::rc::Rc;

use crdt_core::{Address, Document, Dot, Head, Lattice as _, ParkReason, Value};

use super::audit::{Memory, stored};

/// What all documents show.
pub fn views(replica: &mut Memory) -> Vec<(Address, Option<Value>)> {
    let addresses: Vec<Address> = stored(replica).into_iter().map(|(address, _)| address).collect();
    let view = |address: Address| {
        let view = replica.read(address.collection.clone(), address.id).expect("memory");
        (address, view.to_value())
    };
    addresses.into_iter().map(view).collect()
}

/// What a replica shows, before something that may make it go on under another id.
#[derive(Debug)]
pub struct Views {
    head: Head,
    now_ms: Option<u64>,
    /// Without those of `tied`.
    shown: Vec<(Address, Option<Value>)>,
    /// Where somebody else wrote at the very time at which it did, or one tick later: there the id decides who wins, and it
    /// gets another one.
    tied: BTreeSet<Address>,
}

fn tied(replica: &mut Memory) -> BTreeSet<Address> {
    let own = replica.head().expect("memory").replica;
    let is_tied = |document: &Document| {
        let (mut mine, mut others) = (BTreeSet::new(), BTreeSet::new());
        document.visit(&mut |_, cell| {
            let stamp = cell.set_by().stamp;
            let (time, is_own) = (stamp.hlc.to_bits(), stamp.replica == own);
            (if is_own { &mut mine } else { &mut others }).insert((stamp.epoch, time));
        });
        mine.iter()
            .any(|(epoch, time)| (0..=1).any(|tick| others.contains(&(*epoch, time.saturating_add(tick)))))
    };
    let all = stored(replica).into_iter();
    all.filter(|(_, document)| is_tied(document)).map(|(address, _)| address).collect()
}

impl Views {
    /// Looks at it; not again when nothing has changed since the last time.
    pub fn of(replica: &mut Memory, last: Option<Rc<Self>>) -> Rc<Self> {
        let (head, now_ms) = (replica.head().expect("memory"), replica.now_ms());
        if let Some(last) = last.filter(|last| last.head == head && last.now_ms == now_ms) {
            return last;
        }
        let tied = tied(replica);
        let mut shown = views(replica);
        shown.retain(|(address, _)| !tied.contains(address));
        Rc::new(Self { head, now_ms, shown, tied })
    }

    /// The last change under the old id, if it has another one since. Then everything shows as before.
    pub fn compare(&self, replica: &mut Memory) -> Option<Dot> {
        let head = replica.head().expect("memory");
        if head.replica == self.head.replica {
            return None;
        }
        assert_ne!(head.life, self.head.life, "another id is another life");
        // Where its clock was corrected as well, what is parked may be due.
        if replica.now_ms() == self.now_ms {
            let scope = replica.subscription().expect("memory").scope;
            let mut now = views(replica);
            now.retain(|(address, _)| scope.contains(address) && !self.tied.contains(address));
            // What is outside, it may have let go of.
            let before = self.shown.iter().filter(|(address, _)| scope.contains(address));
            assert!(
                now.iter().eq(before),
                "a fork was healed, and something shows otherwise: {:?}, and now {now:?}",
                self.shown
            );
        }
        // Nothing is claimed of the old id beyond the fork.
        let fork = replica.seen_of(self.head.replica).expect("memory");
        assert!(fork <= self.head.counter, "more of the old id is claimed than there was");
        Some(Dot::new(self.head.replica, fork))
    }
}

/// Everything that is held is shown, or withheld for a reason that holds; nothing of one's own is withheld.
pub fn nothing_is_withheld_without_a_reason(replica: &mut Memory) {
    let (own, now_ms) = (replica.head().expect("memory").replica, replica.now_ms());
    let mut listed = BTreeSet::new();
    for parked in replica.parked(None, usize::MAX).expect("memory") {
        let ParkReason::FromTheFuture { until_ms } = parked.reason else { panic!("{parked:?}") };
        assert!(now_ms.is_some_and(|now_ms| until_ms > now_ms), "its time has come: {now_ms:?} {parked:?}");
        listed.extend(parked.documents.into_iter().map(|address| (address, parked.change)));
    }
    let mut seen = BTreeSet::new();
    for (address, state) in stored(replica) {
        let view = replica.read(address.collection.clone(), address.id).expect("memory");
        let withheld: BTreeSet<_> = view.withheld().iter().map(|withheld| withheld.by).collect();
        assert!(
            withheld.iter().all(|by| by.replica() != own),
            "something of one's own is withheld: {view:?}"
        );
        if withheld.is_empty() {
            assert_eq!(*view.state(), *state, "neither shown nor withheld: {address:?}");
            continue;
        }
        let mut visible: Document = (*state).clone();
        for by in &withheld {
            visible = visible.select(|dot| dot != by.dot());
        }
        let mut shown = view.state().clone();
        assert!(!shown.merge(visible), "neither shown nor withheld: {address:?} {view:?}");
        seen.extend(withheld.into_iter().map(|by| (address.clone(), by)));
    }
    assert_eq!(seen, listed, "what is withheld is listed");
}
