//! Stores that were copied, restored and rolled back: they find out in the next session, go on under another id, and
//! nothing that was written is lost or counted twice.
#![allow(missing_docs)]

mod support;

use std::sync::Arc;

use crdt_core::{
    Collection, DocumentId, DocumentMut, Durability, FieldType, Head, Life, MemoryStore, Namespace, Refusal,
    Renewal, Replica, ReplicaId, Scope, Spare, TransactionError, Value,
};
use support::{START_MS, assert_equal, or_under_miri};
use sync_protocol::bundle::{For, export, import};
use sync_protocol::door::{Applicant, Right, Rules};
use sync_protocol::drive::pump;
use sync_protocol::{Config, Session, SessionError, SessionEvent};

type Memory = Replica<MemoryStore>;

fn over(store: MemoryStore, run: u64) -> Memory {
    let mut replica = Replica::new(store);
    let steps = FieldType::Map([("done".into(), FieldType::Counter)].into_iter().collect());
    let tasks = Collection::new("tasks")
        .field("notes", FieldType::Detect)
        .field("votes", FieldType::Counter)
        .field("tags", FieldType::Set)
        .field("urgent", FieldType::Flag)
        .field("steps", steps);
    replica.declare(tasks);
    replica.declare(Collection::new("bills").delete_wins());
    replica.begin_run(run);
    replica
}

fn fresh(number: u64) -> Memory {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    over(MemoryStore::new(head), number)
}

fn copy(of: &mut Memory, run: u64) -> Memory {
    over(of.store_mut().clone(), run)
}

fn at(replica: &mut Memory, id: u64, ms: u64, edit: impl FnOnce(&mut DocumentMut<'_>)) {
    in_collection(replica, "tasks", id, ms, edit);
}

fn in_collection(
    replica: &mut Memory,
    collection: &str,
    id: u64,
    ms: u64,
    edit: impl FnOnce(&mut DocumentMut<'_>),
) {
    let committed = replica.commit(START_MS + ms, Durability::Visible, |tx| {
        edit(&mut tx.document(collection, DocumentId::from_u64(id))?);
        Ok::<_, TransactionError>(())
    });
    committed.unwrap();
}

struct Met {
    /// What happened on either side.
    events: [Vec<SessionEvent>; 2],
}

impl Met {
    fn renewed(&self, side: usize) -> Option<(u64, bool)> {
        self.events[side].iter().find_map(|event| match event {
            SessionEvent::IdentityRenewed { reissued, miscounted, .. } => Some((*reissued, *miscounted)),
            _ => None,
        })
    }

    /// How often a side was brought level: once, if nothing left before the other one healed.
    fn checkpoints(&self, side: usize) -> usize {
        let checkpoint =
            |event: &&SessionEvent| matches!(event, SessionEvent::Applied { checkpoint: true, .. });
        self.events[side].iter().filter(checkpoint).count()
    }
}

fn spare(number: u64) -> Spare {
    Spare { replica: ReplicaId::from_u64(number), life: Life(number) }
}

/// A session over a good connection. Numbers of spares are not used twice.
fn meet(a: &mut Memory, b: &mut Memory, number: u64) -> Met {
    try_to_meet(a, b, number).unwrap()
}

fn try_to_meet(a: &mut Memory, b: &mut Memory, number: u64) -> Result<Met, SessionError> {
    let config = |side: u64| Config::new(2 * number + side).spare(spare(10_000 + 2 * number + side));
    let (mut at_a, mut at_b) = (Session::new(config(0), START_MS), Session::new(config(1), START_MS));
    pump(&mut at_a, a, &mut at_b, b, START_MS)?;
    assert!(at_a.is_settled() && at_b.is_settled(), "the session came to rest");
    at_a.finish(a, START_MS);
    at_b.finish(b, START_MS);
    let events = [&mut at_a, &mut at_b].map(|session| std::iter::from_fn(|| session.poll_event()).collect());
    assert_equal(a, b);
    Ok(Met { events })
}

fn shown(replica: &mut Memory, id: u64) -> crdt_core::DocumentView {
    replica.read("tasks", DocumentId::from_u64(id)).unwrap()
}

fn texts(replica: &mut Memory, id: u64, field: &str) -> Vec<String> {
    let view = shown(replica, id);
    let conflicts = view.conflicts(field);
    if conflicts.is_empty() {
        return view.get(field).unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect();
    }
    conflicts.iter().map(|sibling| sibling.value.value().unwrap().as_str().unwrap().to_owned()).collect()
}

/// A store that has had a session with a hub, and its backup.
fn with_backup(prepare: impl FnOnce(&mut Memory)) -> (Memory, MemoryStore, Memory) {
    let (mut a, mut hub) = (fresh(1), fresh(2));
    prepare(&mut a);
    meet(&mut a, &mut hub, 1);
    let backup = a.store_mut().clone();
    (a, backup, hub)
}

/// The hub gets what was written after the backup; then the backup is put back and written to.
fn rolled_back(
    prepare: impl FnOnce(&mut Memory),
    lost: impl FnOnce(&mut Memory),
    since: impl FnOnce(&mut Memory),
) -> (Memory, Memory, Met) {
    let (mut a, backup, mut hub) = with_backup(prepare);
    lost(&mut a);
    meet(&mut a, &mut hub, 2);
    let mut a = over(backup, 77);
    since(&mut a);
    let met = meet(&mut a, &mut hub, 3);
    assert!(met.renewed(0).is_some() && met.renewed(1).is_none(), "{:?}", met.events);
    // It holds from now on: nothing is renewed again.
    at(&mut a, 99, 900_000, |task| task.set("title", "afterwards").unwrap());
    let again = meet(&mut a, &mut hub, 4);
    assert!(again.renewed(0).is_none() && again.renewed(1).is_none(), "{:?}", again.events);
    (a, hub, met)
}

#[test]
fn after_a_rollback_values_of_both_branches_are_there() {
    let (mut a, _, met) = rolled_back(
        |a| at(a, 1, 0, |task| task.set("notes", "first").unwrap()),
        |a| {
            at(a, 1, 10, |task| task.set("notes", "lost").unwrap());
            at(a, 2, 11, |task| task.set("title", "lost too").unwrap());
        },
        |a| {
            at(a, 1, 20, |task| task.set("notes", "since").unwrap());
            at(a, 3, 21, |task| task.set("title", "new").unwrap());
        },
    );
    assert_eq!(met.renewed(0), Some((2, false)));
    assert_eq!(
        texts(&mut a, 1, "notes"),
        ["lost", "since"],
        "they were written without knowing of each other"
    );
    assert_eq!(texts(&mut a, 2, "title"), ["lost too"]);
    assert_eq!(texts(&mut a, 3, "title"), ["new"]);
}

#[test]
fn a_branch_with_more_or_fewer_changes_than_the_other_is_no_different() {
    for (lost, since) in [(1, 1), (1, 5), (5, 1), (3, 3)] {
        let write = |what: &'static str, times: u64| {
            move |a: &mut Memory| {
                (0..times)
                    .for_each(|n| at(a, 1, 10 + n, |task| task.set("notes", format!("{what} {n}")).unwrap()));
            }
        };
        let (mut a, ..) = rolled_back(write("before", 2), write("lost", lost), write("since", since));
        let expected = [format!("lost {}", lost - 1), format!("since {}", since - 1)];
        let mut found = texts(&mut a, 1, "notes");
        found.sort();
        assert_eq!(found, expected, "{lost} lost, {since} since");
    }
}

#[test]
fn a_later_write_of_either_branch_wins_as_if_they_had_been_two_devices() {
    for (lost_ms, since_ms, winner) in [(10, 20, "since"), (20, 10, "lost")] {
        let title = |ms, value: &'static str| {
            move |a: &mut Memory| {
                at(a, 1, ms, |task| task.set("title", value).unwrap());
            }
        };
        let (mut a, ..) = rolled_back(title(0, "first"), title(lost_ms, "lost"), title(since_ms, "since"));
        assert_eq!(texts(&mut a, 1, "title"), [winner]);
    }
}

#[test]
fn every_step_of_a_counter_counts_once() {
    for (before, lost, since) in
        [(0, 4, 6), (10, 4, 6), (10, -4, 6), (3, 5, -2)].into_iter().skip(or_under_miri(0, 3))
    {
        for resets in [false, true] {
            let count = |step: i64| {
                move |a: &mut Memory| {
                    at(a, 1, 5, |task| task.increment("votes", step).unwrap());
                    at(a, 1, 6, |task| task.map("steps").unwrap().increment("done", 2 * step).unwrap());
                    at(a, 1, 7, |task| task.increment("votes", 2 * step).unwrap());
                }
            };
            let (mut a, _, met) = rolled_back(count(before), count(lost), |a| {
                if resets {
                    at(a, 1, 8, |task| task.increment("votes", 100).unwrap());
                    at(a, 1, 9, |task| task.reset("votes").unwrap());
                }
                count(since)(a);
            });
            assert!(!met.renewed(0).unwrap().1, "exact, because the hub knows the runs");
            let view = shown(&mut a, 1);
            let before_counts = if resets { 0 } else { before };
            assert_eq!(
                view.counter("votes"),
                i128::from(3 * (before_counts + lost + since)),
                "{before} {lost} {since}"
            );
            assert_eq!(view.map("steps").counter("done"), i128::from(2 * (before + lost + since)));
        }
    }
}

#[test]
fn elements_flags_and_deletions_of_both_branches_stand() {
    let prepare = |a: &mut Memory| {
        at(a, 1, 0, |task| {
            for tag in ["both remove", "lost removes", "since removes", "stays", "again"] {
                task.add_to("tags", tag).unwrap();
            }
            task.enable("urgent").unwrap();
        });
        at(a, 2, 1, |task| task.set("title", "deleted since").unwrap());
        at(a, 3, 2, |task| task.set("title", "deleted in the lost part").unwrap());
        at(a, 4, 2, |task| task.set("title", "deleted and edited").unwrap());
        in_collection(a, "bills", 1, 3, |bill| bill.set("sum", 5).unwrap());
    };
    let lost = |a: &mut Memory| {
        at(a, 1, 10, |task| {
            for tag in ["both remove", "lost removes", "again"] {
                task.remove_from("tags", tag).unwrap();
            }
            task.add_to("tags", "lost adds").unwrap();
        });
        at(a, 3, 11, |it| {
            it.delete();
        });
        at(a, 4, 12, |task| task.set("title", "edited in the lost part").unwrap());
    };
    let since = |a: &mut Memory| {
        at(a, 1, 10, |task| {
            for tag in ["both remove", "since removes"] {
                task.remove_from("tags", tag).unwrap();
            }
            for tag in ["since adds", "again", "added and removed"] {
                task.add_to("tags", tag).unwrap();
            }
        });
        at(a, 1, 11, |task| task.remove_from("tags", "added and removed").unwrap());
        at(a, 1, 12, |task| task.disable("urgent").unwrap());
        at(a, 2, 13, |it| {
            it.delete();
        });
        at(a, 4, 14, |it| {
            it.delete();
        });
        in_collection(a, "bills", 1, 15, |it| {
            it.delete();
        });
    };
    let (mut a, ..) = rolled_back(prepare, lost, since);
    let view = shown(&mut a, 1);
    let tags: Vec<_> = view.elements("tags").filter_map(Value::as_str).collect();
    assert_eq!(tags, ["again", "lost adds", "since adds", "stays"]);
    assert!(!view.flag("urgent"));
    assert!(!shown(&mut a, 2).exists() && !shown(&mut a, 3).exists());
    assert_eq!(texts(&mut a, 4, "title"), ["edited in the lost part"], "an edit brings a document back");
    let bill = a.read("bills", DocumentId::from_u64(1)).unwrap();
    assert!(!bill.exists());
}

/// With one run each per branch and several before the backup, the fork is where the last common one ended.
#[test]
fn runs_that_nobody_had_heard_of_before_the_fork_are_counted_once() {
    let (mut a, mut hub) = (fresh(1), fresh(2));
    meet(&mut a, &mut hub, 1);
    for run in 10..13 {
        a = copy(&mut a, run);
        at(&mut a, 1, run, |task| task.increment("votes", 1).unwrap());
    }
    let backup = a.store_mut().clone();
    a = copy(&mut a, 13);
    at(&mut a, 1, 20, |task| task.increment("votes", 10).unwrap());
    meet(&mut a, &mut hub, 2);
    let mut a = over(backup, 14);
    at(&mut a, 1, 30, |task| task.increment("votes", 100).unwrap());
    assert_eq!(meet(&mut a, &mut hub, 3).renewed(0), Some((1, false)));
    assert_eq!(shown(&mut a, 1).counter("votes"), 113);
}

/// A third, who knows neither run, has got the lost changes from the hub: that is enough to find out.
#[test]
fn a_peer_that_knows_of_it_by_others_only_proves_a_fork_as_well() {
    let (mut a, backup, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.set("notes", "first").unwrap()));
    let mut third = fresh(3);
    (0..3).for_each(|n| at(&mut a, 1, 10 + n, |task| task.set("notes", format!("lost {n}")).unwrap()));
    meet(&mut a, &mut hub, 2);
    meet(&mut third, &mut hub, 3);
    for since in [0, 1, 2] {
        let mut a = over(backup.clone(), 77);
        let mut third = copy(&mut third, 3);
        (0..since)
            .for_each(|n| at(&mut a, 1, 20 + n, |task| task.set("notes", format!("since {n}")).unwrap()));
        let met = meet(&mut a, &mut third, 40 + since);
        assert!(met.renewed(0).is_some(), "{since}: {:?}", met.events);
        let mut expected = vec!["lost 2".to_owned()];
        expected.extend((since > 0).then(|| format!("since {}", since - 1)));
        assert_eq!(texts(&mut a, 1, "notes"), expected);
    }
}

/// A third that has the lost changes from others, when as much was written since: nothing in the handshake tells. Sums do,
/// and both come to hold the same.
#[test]
fn a_fork_that_the_handshake_cannot_tell_is_found_by_reconciling() {
    let (mut a, backup, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.set("title", "first").unwrap()));
    let mut third = fresh(3);
    at(&mut a, 2, 10, |task| task.set("title", "lost").unwrap());
    meet(&mut a, &mut hub, 2);
    meet(&mut third, &mut hub, 3);
    let mut a = over(backup, 77);
    at(&mut a, 3, 20, |task| task.set("title", "since").unwrap());
    let met = meet(&mut a, &mut third, 4);
    assert!(met.renewed(0).is_some(), "{:?}", met.events);
    assert_eq!(
        (texts(&mut a, 2, "title"), texts(&mut third, 3, "title")),
        (vec!["lost".into()], vec!["since".into()])
    );
}

/// What has left under the old id can be elsewhere in two forms. Values do not mind, and the app is told about counters.
#[test]
fn what_was_offered_before_it_was_noticed_is_told() {
    let (mut a, backup, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.increment("votes", 1).unwrap()));
    at(&mut a, 1, 10, |task| task.increment("votes", 10).unwrap());
    meet(&mut a, &mut hub, 2);
    let (mut a, mut innocent) = (over(backup, 77), fresh(4));
    at(&mut a, 1, 20, |task| task.increment("votes", 100).unwrap());
    at(&mut a, 2, 21, |task| task.set("notes", "since").unwrap());
    assert!(meet(&mut a, &mut innocent, 3).renewed(0).is_none(), "it knows nothing");
    let met = meet(&mut a, &mut hub, 4);
    assert_eq!(met.renewed(0), Some((2, true)));
    let status = a.status(START_MS).unwrap();
    assert!(status.may_be_miscounted());
    let Renewal { was, at_ms, .. } = status.renewals[0];
    assert_eq!((was, at_ms), (ReplicaId::from_u64(1), Some(START_MS)));
    for (number, other) in [(5, &mut innocent), (6, &mut hub)] {
        meet(&mut a, other, number);
    }
    meet(&mut a, &mut innocent, 7);
    assert_eq!(texts(&mut a, 2, "notes"), ["since"]);
}

#[test]
fn two_devices_from_one_image_part_wherever_they_meet() {
    // By way of a hub: the first keeps the id.
    let (mut one, image, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.increment("votes", 1).unwrap()));
    let mut other = over(image.clone(), 51);
    one = copy(&mut one, 50);
    at(&mut one, 1, 10, |task| task.increment("votes", 10).unwrap());
    at(&mut other, 1, 11, |task| task.increment("votes", 100).unwrap());
    assert!(meet(&mut one, &mut hub, 2).renewed(0).is_none());
    assert_eq!(meet(&mut other, &mut hub, 3).renewed(0), Some((1, false)));
    assert_eq!(shown(&mut other, 1).counter("votes"), 111);
    // Face to face, in all orders of opening.
    for (opened, renewed) in
        [((false, true), [false, true]), ((true, false), [true, false]), ((true, true), [true, true])]
    {
        let run =
            |opened: bool, run| if opened { over(image.clone(), run) } else { Replica::new(image.clone()) };
        let (mut one, mut other) = (run(opened.0, 60), run(opened.1, 61));
        for (replica, step) in [(&mut one, 10), (&mut other, 100)] {
            at(replica, 1, 20, |task| task.increment("votes", step).unwrap());
            at(replica, 2, 20, |task| task.set("title", format!("{step}")).unwrap());
        }
        let met = meet(&mut one, &mut other, 70);
        assert_eq!([met.renewed(0).is_some(), met.renewed(1).is_some()], renewed, "{:?}", met.events);
        assert_eq!(shown(&mut one, 1).counter("votes"), 111);
        assert_eq!(texts(&mut one, 2, "title").len(), 1);
    }
}

/// A machine that is set back with its memory goes on in the same run. Then nobody can say what was before.
#[test]
fn a_rollback_within_a_run_loses_no_value_and_says_that_counters_may_be_wrong() {
    let (mut a, backup, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.set("notes", "first").unwrap()));
    (0..3).for_each(|n| at(&mut a, 1, 10 + n, |task| task.set("notes", format!("lost {n}")).unwrap()));
    meet(&mut a, &mut hub, 2);
    for since in [0, 1] {
        let mut a = over(backup.clone(), 1);
        (0..since)
            .for_each(|n| at(&mut a, 1, 20 + n, |task| task.set("notes", format!("since {n}")).unwrap()));
        at(&mut a, 2, 30, |task| task.increment("votes", 1).unwrap());
        let mut hub = copy(&mut hub, 2);
        let met = meet(&mut a, &mut hub, 30 + since);
        assert!(met.renewed(0).is_some_and(|(_, miscounted)| miscounted), "{since}: {:?}", met.events);
        let mut found = texts(&mut a, 1, "notes");
        found.sort();
        let expected = if since == 0 { vec!["lost 2"] } else { vec!["lost 2", "since 0"] };
        assert_eq!(found, expected);
        assert!(a.status(0).unwrap().may_be_miscounted());
    }
}

#[test]
fn without_a_spare_id_it_is_an_error_and_nothing_is_changed() {
    let (mut a, backup, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.set("title", "first").unwrap()));
    at(&mut a, 1, 10, |task| task.set("title", "lost").unwrap());
    at(&mut a, 1, 11, |task| task.set("title", "lost as well").unwrap());
    meet(&mut a, &mut hub, 2);
    let mut a = over(backup, 77);
    at(&mut a, 1, 20, |task| task.set("title", "since").unwrap());
    let before = (a.canonical_bytes().unwrap(), a.head().unwrap().replica);
    let (mut at_a, mut at_hub) = (Session::new(Config::new(7), 0), Session::new(Config::new(8), 0));
    let ended = pump(&mut at_a, &mut a, &mut at_hub, &mut hub, 0);
    assert!(matches!(ended, Err(SessionError::Forked)), "{ended:?}");
    assert_eq!((a.canonical_bytes().unwrap(), a.head().unwrap().replica), before);
}

/// Cut after every message, also amid the healing: the next session goes on from there.
#[test]
fn a_session_that_is_cut_while_it_heals_leaves_nothing_behind() {
    let (mut a, backup, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.increment("votes", 1).unwrap()));
    at(&mut a, 1, 10, |task| task.increment("votes", 10).unwrap());
    meet(&mut a, &mut hub, 2);
    for cut in (0..20).step_by(or_under_miri(1, 7)) {
        let (mut a, mut hub) = (over(backup.clone(), 77), copy(&mut hub, 2));
        at(&mut a, 1, 20, |task| task.increment("votes", 100).unwrap());
        let mut at_a = Session::new(Config::new(7).spare(spare(500)), START_MS);
        let mut at_hub = Session::new(Config::new(8).spare(spare(501)), START_MS);
        let mut left = cut;
        'session: loop {
            let before = left;
            while let Some(message) = at_a.transmit(&mut a, START_MS).unwrap() {
                if left == 0 {
                    break 'session;
                }
                left -= 1;
                at_hub.receive(&mut hub, &message, START_MS).unwrap();
            }
            while let Some(message) = at_hub.transmit(&mut hub, START_MS).unwrap() {
                if left == 0 {
                    break 'session;
                }
                left -= 1;
                at_a.receive(&mut a, &message, START_MS).unwrap();
            }
            if left == before {
                break;
            }
        }
        let mut a = copy(&mut a, 78);
        meet(&mut a, &mut hub, 9);
        assert_eq!(shown(&mut a, 1).counter("votes"), 111, "cut after {cut} messages");
        assert_eq!(a.head().unwrap().replica, a.status(0).unwrap().renewals.last().unwrap().now);
        assert_eq!(a.status(0).unwrap().renewals.len(), 1);
    }
}

/// A client that follows a guarded server finds out in the middle of their session: what the server does not take of the changes that
/// were issued again is taken back, as always.
#[test]
fn a_follower_heals_in_a_session_with_a_guard() {
    for forbidden in [false, true] {
        let (mut server, mut client) = (fresh(2), fresh(1));
        client.follow().unwrap();
        at(&mut client, 1, 0, |task| task.increment("votes", 1).unwrap());
        meet_guarded(&mut server, &mut client, 1, "manager");
        let backup = client.store_mut().clone();
        at(&mut client, 1, 10, |task| task.increment("votes", 10).unwrap());
        at(&mut client, 2, 11, |task| task.set("notes", "lost").unwrap());
        meet_guarded(&mut server, &mut client, 2, "manager");
        let mut client = over(backup, 77);
        at(&mut client, 1, 20, |task| task.increment("votes", 100).unwrap());
        at(&mut client, 2, 21, |task| task.set("notes", "since").unwrap());
        in_collection(&mut client, "bills", 1, 22, |bill| bill.set("sum", 5).unwrap());
        at(&mut client, 1, 23, |task| task.increment("votes", 1_000).unwrap());
        let token = if forbidden { "clerk" } else { "manager" };
        let met = meet_guarded(&mut server, &mut client, 3, token);
        assert_eq!(met.renewed(1).map(|(reissued, _)| reissued), Some(3), "{:?}", met.events);
        assert_eq!(server.canonical_bytes().unwrap(), client.canonical_bytes().unwrap());
        assert_eq!(shown(&mut client, 1).counter("votes"), 1_111);
        assert_eq!(texts(&mut client, 2, "notes"), ["lost", "since"]);
        let bill = client.read("bills", DocumentId::from_u64(1)).unwrap();
        assert_eq!(bill.exists(), !forbidden);
        let rejected = client.rejected().unwrap();
        assert_eq!(rejected.len(), usize::from(forbidden));
        if let Some(rejected) = rejected.first() {
            assert_eq!(rejected.dot.replica, client.head().unwrap().replica, "under its new name");
        }
        let again = meet_guarded(&mut server, &mut client, 4, token);
        assert!(again.renewed(1).is_none() && again.renewed(0).is_none(), "{:?}", again.events);
    }
}

fn meet_guarded(server: &mut Memory, client: &mut Memory, number: u64, token: &'static str) -> Met {
    let guard = |applicant: &Applicant<'_>| match applicant.token {
        Some(b"manager") => Ok(Rules::all(Right::ReadWrite).of("ann")),
        Some(b"clerk") => Ok(Rules::all(Right::ReadWrite).collection("bills", Right::Read).of("ann")),
        _ => Err(Refusal::new(401, "sign in")),
    };
    let config = |side: u64| Config::new(2 * number + side).spare(spare(10_000 + 2 * number + side));
    let mut at_server = Session::new(config(0), START_MS).guarded_by(Arc::new(guard));
    let mut at_client = Session::new(config(1), START_MS).with_token(token).obeying();
    pump(&mut at_server, server, &mut at_client, client, START_MS).unwrap();
    assert!(at_server.is_settled() && at_client.is_settled(), "the session came to rest");
    at_server.finish(server, START_MS);
    at_client.finish(client, START_MS);
    let events = [&mut at_server, &mut at_client];
    Met { events: events.map(|session| std::iter::from_fn(|| session.poll_event()).collect()) }
}

/// A live session goes on when another one of the same store finds out.
#[test]
fn other_sessions_of_a_store_that_renews_go_on() {
    let (mut a, backup, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.increment("votes", 1).unwrap()));
    at(&mut a, 1, 10, |task| task.increment("votes", 10).unwrap());
    meet(&mut a, &mut hub, 2);
    let (mut a, mut live) = (over(backup, 77), fresh(4));
    let mut at_a = Session::new(Config::new(90), START_MS);
    let mut at_live = Session::new(Config::new(91), START_MS);
    pump(&mut at_a, &mut a, &mut at_live, &mut live, START_MS).unwrap();
    assert!(meet(&mut a, &mut hub, 3).renewed(0).is_some());
    for (replica, ms) in [(&mut live, 30), (&mut a, 31)] {
        at(replica, 1, ms, |task| task.increment("votes", 100).unwrap());
    }
    pump(&mut at_a, &mut a, &mut at_live, &mut live, START_MS).unwrap();
    assert!(at_a.is_settled() && at_live.is_settled());
    assert_equal(&mut a, &mut live);
    assert_eq!(shown(&mut live, 1).counter("votes"), 211);
    let renewed = |event: SessionEvent| matches!(event, SessionEvent::PeerRenewed { .. });
    assert!(std::iter::from_fn(|| at_live.poll_event()).any(renewed));
}

/// Who happens to get a lesser id than before still writes after what it had replaced.
#[test]
fn what_is_issued_again_exceeds_its_old_form_whatever_the_ids() {
    for new in [1, 90_000] {
        let mut a = fresh(50_000);
        at(&mut a, 1, 0, |task| task.set("title", "first").unwrap());
        let mut a = copy(&mut a, 7);
        at(&mut a, 1, 10, |task| task.set("title", "since").unwrap());
        let stamp_of = |a: &mut Memory| {
            let mut stamp = None;
            let state =
                a.difference(&crdt_core::VersionVector::new(), None, 10).unwrap().documents.remove(0).1;
            state.visit(&mut |_, cell| stamp = stamp.max(Some(cell.set_by().stamp)));
            stamp.unwrap()
        };
        let (before, (_, trail)) = (stamp_of(&mut a), a.introduction().unwrap());
        let common = crdt_core::Trail { number: 1, runs: trail.runs[1..].to_vec() };
        let fork = a.forked(Some(&common)).unwrap();
        assert_eq!(a.heal(fork, spare(new), START_MS).unwrap().reissued, 1);
        assert!(stamp_of(&mut a) > before, "{new}");
        assert!(a.head().unwrap().hlc >= stamp_of(&mut a).hlc);
        assert_eq!(texts(&mut a, 1, "title"), ["since"]);
    }
}

/// A reset since the fork takes back what was counted before it, not what the other branch counted.
#[test]
fn a_reset_since_the_fork_resets_what_it_saw() {
    let count = |step: i64| {
        move |a: &mut Memory| {
            at(a, 1, 5, |task| task.increment("votes", step).unwrap());
        }
    };
    for changes_before in [0, 5] {
        let (mut a, ..) = rolled_back(count(1), count(10), |a| {
            (0..changes_before).for_each(|n| at(a, 2, n, |task| task.set("title", format!("{n}")).unwrap()));
            count(100)(a);
            at(a, 1, 9, |task| task.reset("votes").unwrap());
        });
        assert_eq!(shown(&mut a, 1).counter("votes"), 10, "{changes_before}");
    }
}

/// The cursor of a peer can stand at a position that only what it sent itself had taken, when a file is set back: the next
/// own change takes the same position again, and no own dot was lost or used twice.
#[test]
fn a_position_of_the_change_order_that_is_used_twice_hides_nothing() {
    let (mut a, backup, mut hub) = with_backup(|a| at(a, 1, 0, |task| task.set("title", "first").unwrap()));
    at(&mut hub, 2, 10, |task| task.set("title", "from the hub").unwrap());
    meet(&mut a, &mut hub, 2);
    let position = a.head().unwrap().sequence;
    let mut a = over(backup, 77);
    at(&mut a, 3, 20, |task| task.set("title", "since").unwrap());
    assert_eq!(a.head().unwrap().sequence, position, "the same position of the same life");
    let met = meet(&mut a, &mut hub, 3);
    assert_eq!(met.renewed(0), Some((1, false)), "{:?}", met.events);
    assert_eq!(met.checkpoints(1), 1, "{:?}", met.events);
    assert_eq!(texts(&mut hub, 3, "title"), ["since"]);
    assert_eq!(texts(&mut a, 2, "title"), ["from the hub"]);
}

/// What was long under way in a session of before the rollback moves the cursor after another session has begun: it is
/// remembered as of the run in which it was said.
#[test]
fn what_comes_late_is_of_the_run_in_which_it_was_said() {
    let (mut a, backup, mut hub) = with_backup(|_| {});
    let mut at_a = Session::new(Config::new(90).spare(spare(900)), START_MS);
    let mut at_hub = Session::new(Config::new(91).spare(spare(901)), START_MS);
    pump(&mut at_a, &mut a, &mut at_hub, &mut hub, START_MS).unwrap();
    at(&mut a, 1, 10, |task| task.set("title", "late").unwrap());
    let late = at_a.transmit(&mut a, START_MS).unwrap().unwrap();
    let mut a = over(backup, 77);
    let mut next_at_a = Session::new(Config::new(92).spare(spare(902)), START_MS);
    let mut next_at_hub = Session::new(Config::new(93).spare(spare(903)), START_MS);
    pump(&mut next_at_a, &mut a, &mut next_at_hub, &mut hub, START_MS).unwrap();
    at_hub.receive(&mut hub, &late, START_MS).unwrap();
    let mut third = fresh(3);
    at(&mut third, 2, 20, |task| task.set("title", "of a third").unwrap());
    meet(&mut a, &mut third, 4);
    at(&mut a, 3, 30, |task| task.set("title", "since").unwrap());
    let met = meet(&mut a, &mut hub, 5);
    assert_eq!(met.renewed(0), Some((1, false)), "{:?}", met.events);
    assert_eq!(met.checkpoints(1), 1, "{:?}", met.events);
    for (id, title) in [(1, "late"), (2, "of a third"), (3, "since")] {
        assert_eq!(texts(&mut hub, id, "title"), [title]);
    }
}

/// A session that is open, or was lost without a word, does not know the runs that came by another way since. They belong to
/// the cursor that came with them: without them the writer would take its own changes for those of a copy.
#[test]
fn the_runs_that_a_bundle_tells_are_not_forgotten_beside_an_open_session() {
    for parts in [false, true] {
        let (mut a, mut hub) = (fresh(1), fresh(2));
        at(&mut a, 1, 0, |task| task.increment("votes", 1).unwrap());
        let mut at_a = Session::new(Config::new(90).spare(spare(900)), START_MS);
        let mut at_hub = Session::new(Config::new(91).spare(spare(901)), START_MS);
        pump(&mut at_a, &mut a, &mut at_hub, &mut hub, START_MS).unwrap();
        let mut a = over(a.into_store(), 77);
        at(&mut a, 1, 10, |task| task.increment("votes", 10).unwrap());
        let mut bundle = Vec::new();
        export(&mut a, &For::Anyone, &mut bundle, START_MS).unwrap();
        assert_eq!(import(&mut hub, &bundle[..]).unwrap().missing, None);
        if parts {
            at_hub.finish(&mut hub, START_MS);
        }
        let met = meet(&mut a, &mut hub, 5);
        assert_eq!((met.renewed(0), met.renewed(1)), (None, None), "{:?}", met.events);
        assert_eq!(shown(&mut hub, 1).counter("votes"), 11);
    }
}

/// Of two copies that were made before the first run neither has a run of the other's. That somebody has acknowledged what
/// one has written since says nothing of where they parted.
#[test]
fn copies_without_a_common_run_have_nothing_since_in_common() {
    let image = Replica::new(fresh(1).store_mut().clone()).into_store();
    let (mut one, mut other) = (over(image.clone(), 50), over(image, 51));
    let (mut hub, mut third) = (fresh(2), fresh(3));
    at(&mut one, 1, 10, |task| task.add_to("tags", "one").unwrap());
    at(&mut other, 1, 11, |task| task.set("title", "other").unwrap());
    meet(&mut one, &mut hub, 1);
    meet(&mut other, &mut third, 2);
    let met = meet(&mut other, &mut hub, 3);
    assert_eq!(met.renewed(0).map(|(reissued, _)| reissued), Some(1), "{:?}", met.events);
    assert_eq!(texts(&mut hub, 1, "title"), ["other"]);
    assert_eq!(shown(&mut other, 1).elements("tags").count(), 1);
}

/// The content of an own transaction that comes in differs from what was written here: it was written after the fork, also
/// where a peer has acknowledged it.
#[test]
fn a_transaction_that_comes_in_with_other_content_is_issued_again() {
    let (mut a, backup, mut hub) = with_backup(|_| {});
    at(&mut a, 1, 10, |task| task.set("title", "lost").unwrap());
    meet(&mut a, &mut hub, 2);
    let (mut third, mut fourth) = (fresh(3), fresh(4));
    meet(&mut third, &mut hub, 3);
    let mut a = over(backup, 77);
    at(&mut a, 2, 20, |task| task.set("title", "since").unwrap());
    meet(&mut a, &mut fourth, 4);
    let met = meet(&mut a, &mut third, 5);
    assert_eq!(met.renewed(0).map(|(reissued, _)| reissued), Some(1), "{:?}", met.events);
    assert_eq!(
        (texts(&mut a, 1, "title"), texts(&mut third, 2, "title")),
        (vec!["lost".into()], vec!["since".into()])
    );
}

/// As when a backup is put in the place of a file that a process has open. The number of its own changes that the session
/// had counted was greater than that of the store, and the difference was sent.
#[test]
fn a_store_that_is_set_back_under_an_open_session_ends_it() {
    let (mut a, mut b, mut other) = (fresh(1), fresh(2), fresh(3));
    at(&mut a, 1, 0, |task| task.set("title", "first").unwrap());
    for n in 0..5 {
        at(&mut other, 5 + n, n, |task| task.set("title", "from elsewhere").unwrap());
    }
    let (mut at_a, mut at_b) =
        (Session::new(Config::new(1), START_MS), Session::new(Config::new(2), START_MS));
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    let backup = a.store_mut().clone();
    at(&mut a, 2, 10, |task| task.set("title", "lost").unwrap());
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    let mut a = over(backup, 77);
    meet(&mut a, &mut other, 1);
    for n in 0..3 {
        at(&mut other, 15 + n, 20 + n, |task| task.set("title", "from elsewhere").unwrap());
        meet(&mut a, &mut other, 2 + n);
    }
    let told = at_a.transmit(&mut a, START_MS);
    assert!(matches!(told, Err(SessionError::Forked)), "{told:?}");
    assert!(at_a.ended().is_some() && at_a.transmit(&mut a, START_MS).unwrap().is_none());
    // The next session heals it.
    assert!(meet(&mut a, &mut b, 10).renewed(0).is_some());
}

/// What a peer acknowledged to the life before says nothing of where the present one forked.
#[test]
fn an_identity_renewed_under_an_open_session_forgets_what_was_acknowledged_to_the_one_before() {
    let (mut a, mut b) = (fresh(1), fresh(2));
    // It does not vouch for what it wrote, so the new life begins at the very position at which the old one ends.
    b.subscribe(Scope::nothing()).unwrap();
    b.subscribe(Scope::everything()).unwrap();
    (0..3).for_each(|id| at(&mut b, id, id, |document| document.set("title", "by b").unwrap()));
    let (mut at_a, mut at_b) =
        (Session::new(Config::new(1), START_MS), Session::new(Config::new(2), START_MS));
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    b.renew_identity(ReplicaId::from_u64(22), Life(22)).unwrap();
    at(&mut b, 5, 5, |document| document.set("title", "under another id").unwrap());
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    assert!(at_b.is_settled(), "{:?}", at_b.status());
    // Somebody has seen more of it than there is.
    let fork = b.fork(&crdt_core::Memory::default(), 100).unwrap().unwrap();
    assert_eq!(b.head().unwrap().counter, 1);
    b.heal(fork, Spare { replica: ReplicaId::from_u64(33), life: Life(33) }, START_MS).unwrap();
    assert!(b.seen_of(ReplicaId::from_u64(22)).unwrap() <= 1);
}

/// What a hub acknowledged after the copy was made is not what the two have in common: else a deletion of one that names the
/// other's edit by a number that both have used would take that away.
#[test]
fn what_was_acknowledged_after_a_copy_was_made_is_issued_again() {
    let (mut a, mut hub, mut third) = (fresh(1), fresh(2), fresh(3));
    let mut copied = copy(&mut a, 77);
    at(&mut a, 1, 1, |document| {
        document.set("notes", "first").unwrap();
    });
    at(&mut a, 1, 2, |document| {
        document.delete();
    });
    meet(&mut a, &mut hub, 1);
    at(&mut copied, 1, 3, |document| {
        document.set("notes", "by the copy").unwrap();
    });
    meet(&mut copied, &mut third, 2);
    let met = meet(&mut a, &mut third, 3);
    assert_eq!(met.renewed(0), Some((2, false)), "both of its transactions");
    let met = meet(&mut copied, &mut hub, 4);
    assert_eq!(met.renewed(0), Some((1, false)));
    meet(&mut a, &mut hub, 5);
    for one in [&mut a, &mut hub] {
        // An edit wins over a deletion that did not see it.
        assert!(texts(one, 1, "notes").contains(&"by the copy".to_owned()));
    }
}
