//! Tests of what is kept of runs and of the totals of counters, for how long, and where that says that a history forked.

use alloc::vec::Vec;

use super::super::totals::{self, Total};
use super::*;
use crate::cells::Tally;
use crate::{Address, Change, DocumentId, Hlc, MemoryStore, Name, Namespace, ReplicaId, Stamp};

const OWN: ReplicaId = ReplicaId::from_u64(1);

fn head(counter: u64, sequence: u64) -> Head {
    Head { counter, sequence, ..Head::new(Namespace::from_secret("runs"), OWN, Life(1)) }
}

fn store() -> MemoryStore {
    let mut store = MemoryStore::new(head(0, 0));
    store.begin(Access::Write, Durability::Visible).unwrap();
    store
}

/// Three runs, which began at these counters and positions.
fn three() -> Runs {
    let start = |(id, counter, sequence)| Start { id, counter, sequence };
    Runs { first: 1, confirmed: 0, starts: [(7, 0, 0), (8, 10, 20), (9, 20, 40)].map(start).to_vec() }
}

fn votes() -> (Address, Vec<Name>) {
    (Address::new("tasks", DocumentId::from_u64(1)), alloc::vec!["votes".into()])
}

fn tally(counter: u64) -> Tally {
    let stamp = Stamp { epoch: 2, hlc: Hlc::from_bits(counter << 20), replica: OWN };
    Tally { by: Change { stamp, counter }, p: counter + 1, m: 3 }
}

/// Keeps a total for a run; `within` says of a later moment than its start.
fn keep(store: &mut MemoryStore, run: u64, within: bool, counter: u64) {
    let (address, path) = votes();
    totals::put(store, (run, within), &address, &path, Some(&tally(counter))).unwrap();
}

/// The runs of which totals are kept.
fn kept(store: &mut MemoryStore) -> Vec<u64> {
    let notes = store.notes_after(b"total\0", &[], usize::MAX).unwrap();
    notes.iter().map(|(key, _)| u64::from_be_bytes(key[6..14].try_into().unwrap())).collect()
}

#[test]
fn runs_are_confirmed_when_a_durable_peer_has_all_of_them_and_then_their_totals_are_not_needed() {
    let (mut store, mut runs) = (store(), three());
    (1..=3).for_each(|run| keep(&mut store, run, false, run));
    assert!(!runs.confirm(&mut store, 19).unwrap(), "the first one goes on up to 20");
    assert_eq!((runs.confirmed, kept(&mut store)), (0, alloc::vec![1, 2, 3]));
    assert!(runs.confirm(&mut store, 20).unwrap());
    assert_eq!((runs.confirmed, kept(&mut store)), (1, alloc::vec![2, 3]));
    assert!(!runs.confirm(&mut store, 39).unwrap(), "no news");
    assert!(runs.confirm(&mut store, 1_000).unwrap());
    assert_eq!((runs.confirmed, kept(&mut store)), (2, alloc::vec![3]), "the present run never is");
    assert!(!runs.confirm(&mut store, 1_000).unwrap());

    let mut several_at_once = three();
    assert!(several_at_once.confirm(&mut store, 40).unwrap());
    assert_eq!(several_at_once.confirmed, 2);
}

#[test]
fn what_is_confirmed_is_written_down() {
    let mut store = store();
    three().put(&mut store).unwrap();
    confirm(&mut store, 19).unwrap();
    assert_eq!(Runs::of(&mut store).unwrap(), three());
    confirm(&mut store, 20).unwrap();
    assert_eq!(Runs::of(&mut store).unwrap(), Runs { confirmed: 1, ..three() });
}

#[test]
fn a_run_is_taken_down_once_and_the_oldest_are_forgotten() {
    let mut store = store();
    for id in 1..=KEPT as u64 + 3 {
        let head = head(10 * id, 20 * id);
        enter(&mut store, &head, id).unwrap();
        keep(&mut store, id, false, id);
        enter(&mut store, &head, id).unwrap();
        let runs = Runs::of(&mut store).unwrap();
        let first = id.saturating_sub(KEPT as u64) + 1;
        assert_eq!((runs.first, runs.present(), runs.began()), (first, id, Some(10 * id)));
        assert_eq!(runs.get(first).map(|start| start.id), Some(first));
        assert_eq!((runs.get(first - 1), runs.get(id + 1)), (None, None));
        assert_eq!(kept(&mut store), (first..=id).collect::<Vec<_>>(), "totals of listed runs");
    }
}

#[test]
fn a_new_life_begins_with_the_present_run_alone() {
    let mut store = store();
    three().put(&mut store).unwrap();
    (1..=3).for_each(|run| keep(&mut store, run, run == 2, run));
    start_again(&mut store, &head(0, 50)).unwrap();
    let start = Start { id: 9, counter: 0, sequence: 50 };
    let expected = Runs { first: 1, confirmed: 0, starts: alloc::vec![start] };
    assert_eq!((Runs::of(&mut store).unwrap(), kept(&mut store)), (expected, Vec::new()));
}

#[test]
fn an_own_transaction_is_of_the_run_that_had_begun_when_it_was_written() {
    let mut runs = three();
    for first in [1, 5] {
        runs.first = first;
        for (counter, back) in [(0, 0), (1, 0), (10, 0), (11, 1), (20, 1), (21, 2), (99, 2)] {
            assert_eq!(runs.run_of(counter), first + back, "{counter}");
        }
    }
}

/// A fork of which nothing is known but that it is: not before what is known elsewhere, unless that is later than the proof.
#[test]
fn a_fork_somewhere_is_where_all_that_is_known_elsewhere_ends() {
    let place = |confirmed: u64, acked: (u64, u64), latest: u64| {
        let runs = Runs { confirmed, ..three() };
        let fork = runs.fork_somewhere(&head(30, 60), acked, latest, None);
        assert!(!fork.exact);
        (fork.counter, fork.sequence, fork.run, fork.within)
    };
    assert_eq!(place(0, (0, 0), u64::MAX), (0, 0, 1, false), "nothing is known elsewhere");
    assert_eq!(place(1, (0, 0), u64::MAX), (10, 20, 2, false), "a run is");
    assert_eq!(place(0, (5, 8), u64::MAX), (5, 8, 1, true), "a part of a run is");
    assert_eq!(place(0, (15, 30), u64::MAX), (15, 30, 2, true));
    assert_eq!(place(0, (20, 40), u64::MAX), (20, 40, 3, true));
    assert_eq!(place(1, (10, 20), u64::MAX), (10, 20, 2, false), "no more than the runs say");
    assert_eq!(place(1, (12, 20), u64::MAX), (12, 20, 2, true));
    assert_eq!(place(1, (12, 19), u64::MAX), (10, 20, 2, false), "the runs know of later positions");
    assert_eq!(place(1, (9, 30), u64::MAX), (10, 20, 2, false), "and of later transactions");
    assert_eq!(place(0, (30, 60), u64::MAX), (30, 60, 3, true), "all that there is");
    assert_eq!(
        place(0, (31, 60), u64::MAX),
        (0, 0, 1, false),
        "more than there is was counted in another life"
    );
    assert_eq!(place(0, (30, 61), u64::MAX), (0, 0, 1, false));
    // The proof is of the start of a run, so what was acknowledged after it may be of the other history.
    assert_eq!(place(0, (10, 20), 2), (10, 20, 2, true));
    assert_eq!(place(0, (11, 21), 2), (0, 0, 1, false));
    assert_eq!(place(2, (0, 0), 2), (10, 20, 2, false));
    let none = Runs { first: 1, ..Runs::default() }.fork_somewhere(&head(30, 60), (15, 30), u64::MAX, None);
    assert_eq!((none.counter, none.sequence, none.run, none.within), (30, 60, u64::MAX, false));
}

/// What was acknowledged and the other history did not have, it does not have in common with this one.
#[test]
fn a_fork_is_not_after_what_the_other_history_was_heard_to_have() {
    let place = |claimed| three().fork_somewhere(&head(30, 60), (15, 30), u64::MAX, Some(claimed)).counter;
    assert_eq!([14, 15, 99].map(place), [0, 15, 15]);
}

#[test]
fn the_total_at_a_fork_is_the_first_that_was_kept_since() {
    let fork = |run, within, counter| Fork { counter, sequence: 0, run, within, exact: false };
    let at = |store: &mut MemoryStore, fork| {
        let (address, path) = votes();
        totals::at(store, fork, OWN, &address, &path).unwrap()
    };
    let was = |counter| Total::Was(Some(tally(counter)));
    let mut store = store();
    three().put(&mut store).unwrap();
    assert_eq!(at(&mut store, fork(1, false, 9)), Total::Unknown, "nothing was kept");
    keep(&mut store, 2, true, 12);
    keep(&mut store, 2, false, 10);
    assert_eq!(at(&mut store, fork(1, true, 12)), was(10), "of a later run its start counts");
    assert_eq!(at(&mut store, fork(2, false, 12)), was(10), "at the start of the run");
    assert_eq!(at(&mut store, fork(2, true, 12)), was(12), "within the run");
    assert_eq!(at(&mut store, fork(2, true, 11)), Total::Unknown, "it went on before it was kept");
    assert_eq!(at(&mut store, fork(3, false, 99)), Total::Unknown);
    let (address, path) = votes();
    totals::put(&mut store, (1, false), &address, &path, None).unwrap();
    assert_eq!(at(&mut store, fork(1, false, 0)), Total::Was(None), "it had never been counted");
}

#[test]
fn a_total_is_kept_once_for_a_run_and_once_since_a_peer_had_everything() {
    let (address, path) = votes();
    let counted = |counter| {
        let mut document = crate::Document::new();
        document.merge_cell(&path, crate::Cell::Tally(OWN, tally(counter)));
        document
    };
    let keeps = |before: Option<u64>, acked: u64| {
        let mut store = store();
        three().put(&mut store).unwrap();
        let before = before.map(counted).unwrap_or_default();
        totals::keep(&mut store, tally(99).by.dot(), acked, &address, &before, &counted(99)).unwrap();
        let notes = store.notes_after(b"total\0", &[], usize::MAX).unwrap();
        notes.iter().map(|(key, _)| (key[13], key[14])).collect::<Vec<_>>()
    };
    // The present run is the third, and began at 20.
    assert_eq!(keeps(None, 0), [(3, 0)], "counted for the first time");
    assert_eq!(keeps(Some(20), 0), [(3, 0)], "counted for the first time in this run");
    assert_eq!(keeps(Some(21), 20), [], "again");
    assert_eq!(keeps(Some(21), 21), [(3, 1)], "for the first time since it was acknowledged");
}
