//! Tests of what is noted of a peer while sessions with it begin, go on and end.

use super::*;
use crate::{DocumentId, Head, MemoryStore, Namespace, TransactionError};

const HERE: ReplicaId = ReplicaId::from_u64(1);
const THERE: ReplicaId = ReplicaId::from_u64(2);

/// A replica with four transactions.
fn replica() -> Replica<MemoryStore> {
    let head = Head::new(Namespace::from_secret("contact"), HERE, Life(1));
    let mut replica = Replica::new(MemoryStore::new(head));
    replica.begin_run(7);
    for value in 0..4 {
        replica
            .commit(1, Durability::Visible, |tx| {
                tx.document("tasks", DocumentId::from_u64(1))?.set("title", value)?;
                Ok::<_, TransactionError>(())
            })
            .unwrap();
    }
    replica
}

fn meeting(durable: bool) -> Meeting {
    Meeting { replica: THERE, durable, offset_ms: 0, sequence: 0, now_ms: 10 }
}

fn acknowledge(replica: &mut Replica<MemoryStore>, life: u64, sequence: u64, own: u64) {
    let said = Acknowledged { sequence, own, ..Acknowledged::default() };
    assert!(replica.acknowledged_at(Life(life), THERE, said).unwrap());
}

fn contact(replica: &mut Replica<MemoryStore>, life: u64) -> Contact {
    let store = &mut replica.store;
    transact(store, Access::Read, Durability::Visible, |store| Contact::of(store, Life(life))).unwrap()
}

fn read<T>(
    replica: &mut Replica<MemoryStore>,
    look: impl FnOnce(&mut MemoryStore) -> Result<T, StoreError>,
) -> T {
    transact(&mut replica.store, Access::Read, Durability::Visible, look).unwrap()
}

#[test]
fn only_what_peers_keep_counts_as_kept() {
    let mut replica = replica();
    assert_eq!((read(&mut replica, durably_acked), read(&mut replica, durably_kept)), (0, (0, 0)));
    for (life, durable, acked) in [(2, true, 2), (3, false, 4), (4, true, 3)] {
        replica.met(Life(life), 1, meeting(durable)).unwrap();
        acknowledge(&mut replica, life, acked, acked - 1);
    }
    assert_eq!((read(&mut replica, durably_acked), read(&mut replica, durably_kept)), (3, (2, 3)));
    // A new life counts anew.
    replica.renew_identity(ReplicaId::from_u64(11), Life(11)).unwrap();
    assert_eq!((read(&mut replica, durably_acked), read(&mut replica, durably_kept)), (0, (0, 0)));
}

#[test]
fn a_new_life_has_not_been_compared_with_anybody() {
    let mut replica = replica();
    replica.met(Life(2), 1, meeting(true)).unwrap();
    replica.compared(Life(2), true, 3);
    acknowledge(&mut replica, 2, 4, 4);
    let known = contact(&mut replica, 2);
    assert_eq!((known.roots, known.level, known.own_acked, known.own_at), (Roots::Equal, 4, 4, 4));
    replica.parted(Life(2), 1, SessionEnd::Closed, 20).unwrap();
    replica.renew_identity(ReplicaId::from_u64(11), Life(11)).unwrap();
    let known = contact(&mut replica, 2);
    assert_eq!((known.roots, known.level, known.own_acked, known.own_at), (Roots::NotCompared, 0, 0, 0));
    assert!(known.durable, "what it is stays");
}

#[test]
fn an_acknowledgement_only_moves_up() {
    let mut replica = replica();
    replica.met(Life(2), 1, meeting(true)).unwrap();
    for (sequence, own, level, kept) in
        [(2, 1, 2, (1, 2)), (3, 1, 3, (1, 3)), (3, 3, 3, (3, 3)), (4, 2, 4, (3, 3)), (1, 1, 4, (3, 3))]
    {
        acknowledge(&mut replica, 2, sequence, own);
        let known = contact(&mut replica, 2);
        assert_eq!((known.level, (known.own_acked, known.own_at)), (level, kept), "after {sequence}, {own}");
    }
    acknowledge(&mut replica, 2, 99, 3);
    assert_eq!(contact(&mut replica, 2).level, 4, "not beyond what there is");
    let of_another_life = Acknowledged { sequence: 4, ours: Some(Life(9)), ..Acknowledged::default() };
    assert!(!replica.acknowledged_at(Life(3), THERE, of_another_life).unwrap());
    assert_eq!(replica.peer(Life(3)).unwrap(), None);
}

#[test]
fn what_came_from_a_peer_is_no_news_to_it_if_it_has_all_before() {
    let mut replica = replica();
    let level = |replica: &mut Replica<MemoryStore>| replica.present.get(&Life(2)).unwrap().contact.level;
    replica.met(Life(2), 1, meeting(true)).unwrap();
    replica.compared(Life(2), false, 2);
    let roots = replica.present.get(&Life(2)).unwrap().contact.roots;
    assert_eq!((level(&mut replica), roots), (0, Roots::Unequal));
    replica.compared(Life(2), true, 2);
    replica.came_from(Life(2), 4);
    assert_eq!(level(&mut replica), 2, "it may lack the third step");
    replica.came_from(Life(2), 3);
    assert_eq!(level(&mut replica), 3);
    replica.came_from(Life(2), 3);
    replica.compared(Life(2), true, 1);
    assert_eq!(level(&mut replica), 3, "never down");
}

#[test]
fn the_end_of_a_session_is_that_of_the_last_one() {
    let mut replica = replica();
    replica.met(Life(2), 1, meeting(true)).unwrap();
    replica.met(Life(2), 2, Meeting { now_ms: 15, ..meeting(true) }).unwrap();
    replica.parted(Life(2), 1, SessionEnd::Failed, 20).unwrap();
    assert!(replica.present.get(&Life(2)).is_some(), "another one has begun since");
    assert_eq!((contact(&mut replica, 2), replica.peer(Life(2)).unwrap()), (Contact::default(), None));
    replica.parted(Life(2), 2, SessionEnd::TimedOut, 30).unwrap();
    let known = contact(&mut replica, 2);
    assert_eq!((known.end, known.met_ms, known.parted_ms), (SessionEnd::TimedOut, 15, 30));
    assert_eq!(replica.peer(Life(2)).unwrap(), Some(nothing_known(Life(2), THERE)));
}

#[test]
fn runs_are_learned_from_what_moves_the_cursor_or_is_of_a_later_one() {
    let trail = |number: u64| Trail { number, runs: alloc::vec![u32::try_from(number).unwrap()] };
    let mut replica = replica();
    let mut heard_of = |number| {
        let store = &mut replica.store;
        transact(store, Access::Write, Durability::Visible, |store| {
            super::heard_of(store, Life(2), &trail(number))?;
            Ok::<_, StoreError>(Contact::of(store, Life(2))?.trail.number)
        })
        .unwrap()
    };
    assert_eq!([3, 2, 5, 5].map(&mut heard_of), [3, 3, 5, 5]);

    // With a checkpoint.
    let mut with_checkpoint = |cursor, number| {
        let store = &mut replica.store;
        transact(store, Access::Write, Durability::Visible, |store| {
            let rises = store.peer(Life(2))?.is_none_or(|known| cursor > known.cursor);
            let known = Contact::of(store, Life(2))?.trail;
            heard(store, None, Life(2), rises && cursor > 0, &trail(number))?;
            store.set_peer(&PeerRecord { cursor, ..nothing_known(Life(2), THERE) })?;
            let told = Contact::of(store, Life(2))?.trail;
            Ok::<_, StoreError>((told != known, told.number))
        })
        .unwrap()
    };
    assert_eq!(with_checkpoint(0, 4), (false, 5), "of an earlier run, and the cursor did not move");
    assert_eq!(with_checkpoint(1, 4), (true, 4));
    assert_eq!(with_checkpoint(1, 5), (true, 5));
    let from_the_start = nothing_known(Life(2), THERE);
    let store = &mut replica.store;
    transact(store, Access::Write, Durability::Visible, |store| store.set_peer(&from_the_start)).unwrap();

    // In a session: with an acknowledgement that takes the cursor past steps which are nothing but ours.
    replica.met(Life(2), 1, meeting(true)).unwrap();
    let mut passed = |cursor, number| {
        let passed = (cursor, 0);
        let said = Acknowledged { sequence: 1, passed, trail: trail(number), ..Acknowledged::default() };
        replica.acknowledged_at(Life(2), THERE, said).unwrap();
        (contact(&mut replica, 2).trail.number, replica.peer(Life(2)).unwrap().unwrap().cursor)
    };
    assert_eq!(passed(0, 6), (5, 0), "the cursor did not move");
    assert_eq!(passed(4, 6), (6, 4));
    assert_eq!(passed(4, 7), (6, 4));
    assert_eq!(passed(3, 7), (6, 4));
    assert_eq!(passed(5, 4), (4, 5), "the cursor is of the run that it moved in");
}

/// A bundle, or another process over the same file, learns of a run while a session is open that was begun before it.
#[test]
fn an_open_session_forgets_no_run_that_came_by_another_way() {
    let trail = |number: u64| Trail { number, runs: alloc::vec![7; 2] };
    let mut replica = replica();
    replica.met(Life(2), 1, meeting(true)).unwrap();
    acknowledge(&mut replica, 2, 1, 1);
    let Replica { store, present, .. } = &mut replica;
    transact(store, Access::Write, Durability::Visible, |store| {
        super::heard_of(store, Life(2), &trail(5))?;
        heard(store, present.get(&Life(2)), Life(2), false, &trail(4))
    })
    .unwrap();
    assert_eq!(contact(&mut replica, 2).trail, trail(5), "with a checkpoint of before that");
    acknowledge(&mut replica, 2, 2, 2);
    let known = contact(&mut replica, 2);
    assert_eq!((known.trail, known.own_acked), (trail(5), 2), "with an acknowledgement");
    transact(&mut replica.store, Access::Write, Durability::Visible, |store| {
        super::heard_of(store, Life(2), &trail(6))
    })
    .unwrap();
    replica.parted(Life(2), 1, SessionEnd::Closed, 20).unwrap();
    let known = contact(&mut replica, 2);
    assert_eq!((known.trail, known.parted_ms), (trail(6), 20), "with the end of the session");
}
