//! Cases with a name.

use std::collections::BTreeMap;

use crdt_core::cells::Written;
use crdt_core::{
    Address, CellRef, Change, ChangeKind, Checkpoint, Document, DocumentId, Dot, Durability, Hlc, Life,
    MemoryStore, Origin, ParkReason, Payload, Refusal, Replica, ReplicaId, Stamp, TransactionError, Value,
    Withdrawal,
};

use crate::under_miri::or_under_miri;
use crate::world::{
    DAY_MS, MINUTE_MS, START_MS, YEAR_MS, commit, deliver, exchange, pull, replica, restarted,
    roots_are_equal, select, select_all, set, states, text, timeless,
};

#[test]
fn clocks_ten_years_off_either_way_stop_nobody() {
    for off in [-10, 10] {
        let off = off * i64::try_from(YEAR_MS).unwrap();
        let mut devices = [1, 2].map(replica);
        let clocks = [START_MS, START_MS.saturating_add_signed(off)];
        for round in 0..5 {
            for at in [1, 0] {
                let value = format!("{at} in round {round}");
                set(&mut devices[at], clocks[at] + round * 5_000, "title", &value);
                assert_eq!(text(&mut devices[at], "title"), Some(value));
                exchange(&mut devices, &clocks.map(|clock| clock + round * 5_000));
                roots_are_equal(&mut devices);
            }
        }
        // Whoever is behind has the last word, for it writes over what it does not believe.
        let behind = usize::from(off < 0);
        let last = text(&mut devices[behind], "title");
        assert!(last.unwrap().starts_with(&behind.to_string()));
    }
}

#[test]
fn a_frozen_clock_orders_a_hundred_thousand_commits_and_parks_none() {
    let commits = or_under_miri(if cfg!(debug_assertions) { 5_000 } else { 100_000 }, 30);
    let [mut a, mut b] = [1, 2].map(replica);
    for value in 0..commits {
        commit(&mut a, START_MS, ("tasks", 1), |task| task.set("title", value));
    }
    pull(&mut b, START_MS, &mut a);
    let view = b.read("tasks", DocumentId::from_u64(1)).unwrap();
    assert_eq!(view.get("title").unwrap().as_deref(), Some(&Value::Int(commits - 1)));
    assert!(view.withheld().is_empty());
}

#[test]
fn what_is_parked_survives_a_restart_and_is_shown_and_told_when_its_time_comes() {
    let [mut here, mut fast] = [1, 2].map(replica);
    set(&mut here, START_MS, "title", "before");
    pull(&mut fast, START_MS, &mut here);
    set(&mut fast, START_MS + DAY_MS, "title", "from tomorrow");
    commit(&mut fast, START_MS + DAY_MS, ("tasks", 2), |task| task.set("title", "new"));
    pull(&mut here, START_MS, &mut fast);
    assert_eq!(text(&mut here, "title").as_deref(), Some("before"));
    assert_eq!(here.list("tasks", None, 10).unwrap().len(), 1);
    let mut here = restarted(here);
    here.collect_events(true);
    assert_eq!(text(&mut here, "title").as_deref(), Some("before"), "also before it has heard the time");
    let until_ms = START_MS + DAY_MS - MINUTE_MS;
    let listed = here.parked(None, 10).unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!((listed[0].reason, listed[0].since_ms), (ParkReason::FromTheFuture { until_ms }, START_MS));
    assert_eq!(here.parked(Some(&listed[0].change), 10).unwrap(), listed[1..]);
    here.tick(until_ms - 1).unwrap();
    assert_eq!(text(&mut here, "title").as_deref(), Some("before"));
    assert!(here.take_events().is_empty());
    here.tick(until_ms).unwrap();
    assert_eq!(text(&mut here, "title").as_deref(), Some("from tomorrow"));
    let [event] = &here.take_events()[..] else { panic!("one event") };
    assert_eq!(event.origin, Origin::Clock);
    let kinds: Vec<_> = event.documents.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Updated, ChangeKind::Appeared]);
    assert_eq!(event.documents[0].fields[0].path, ["title".into()]);
    assert_eq!(here.parked_count().unwrap(), 0);
}

#[test]
fn an_admissible_value_that_loses_against_a_parked_one_is_shown_and_told() {
    let [mut here, mut fast, mut other] = [1, 2, 3].map(replica);
    commit(&mut here, START_MS - 1, ("tasks", 1), |task| task.enable("done"));
    set(&mut fast, START_MS + DAY_MS, "title", "from tomorrow");
    pull(&mut here, START_MS, &mut fast);
    assert_eq!(text(&mut here, "title"), None);
    here.collect_events(true);
    set(&mut other, START_MS, "title", "from today");
    let (address, cells) = states(&mut other).pop().unwrap();
    let title = select(&cells, |path| path == "title");
    let before = here.head().unwrap();
    let (peer, author, context) = (Life(3), other.head().unwrap().replica, Vec::new());
    let documents = vec![(address, title)];
    let run = Checkpoint { peer, replica: author, cursor: 0, context, documents, scope: 0, session: 0 };
    let applied = here.apply(run).unwrap();
    assert_eq!((applied.cells, here.head().unwrap()), (0, before), "it changes nothing of the state");
    assert_eq!(text(&mut here, "title").as_deref(), Some("from today"));
    let [event] = &here.take_events()[..] else { panic!("one event") };
    assert_eq!(event.documents[0].fields[0].path, ["title".into()]);
}

#[test]
fn a_transaction_is_parked_whole_and_never_in_half() {
    let [mut here, mut fast] = [1, 2].map(replica);
    let both = |replica: &mut Replica<MemoryStore>, now_ms: u64, value: i64| {
        replica
            .commit(now_ms, Durability::Visible, |tx| {
                tx.document("tasks", DocumentId::from_u64(1))?.set("title", value)?;
                tx.document("tasks", DocumentId::from_u64(2))?.set("title", value)?;
                Ok::<_, TransactionError>(())
            })
            .unwrap();
    };
    both(&mut fast, START_MS, 1);
    both(&mut fast, START_MS + DAY_MS, 2);
    let titles = |replica: &mut Replica<MemoryStore>| -> Vec<Option<Value>> {
        let listed = replica.list("tasks", None, 10).unwrap().into_iter();
        listed.map(|(_, view)| view.get("title").unwrap().map(std::borrow::Cow::into_owned)).collect()
    };
    pull(&mut here, START_MS, &mut fast);
    assert!(titles(&mut here).is_empty(), "both values were overwritten by what is parked");
    here.tick(START_MS + DAY_MS).unwrap();
    assert_eq!(titles(&mut here), vec![Some(Value::Int(2)); 2]);
}

#[test]
fn own_writes_are_never_parked_and_own_counts_go_on_from_the_state() {
    let mut here = replica(1);
    set(&mut here, START_MS + DAY_MS, "title", "by a clock that is fast");
    commit(&mut here, START_MS + DAY_MS, ("tasks", 1), |task| task.increment("votes", 2));
    here.tick(START_MS).unwrap();
    assert_eq!(text(&mut here, "title").as_deref(), Some("by a clock that is fast"));
    // A peer that saw it resets the counter in the future; what is counted here meanwhile goes on from the state.
    let mut fast = replica(2);
    pull(&mut fast, START_MS + DAY_MS, &mut here);
    commit(&mut fast, START_MS + DAY_MS, ("tasks", 1), |task| task.reset("votes"));
    pull(&mut here, START_MS, &mut fast);
    let votes = |replica: &mut Replica<MemoryStore>| {
        replica.read("tasks", DocumentId::from_u64(1)).unwrap().counter("votes")
    };
    assert_eq!(votes(&mut here), 2);
    commit(&mut here, START_MS, ("tasks", 1), |task| task.increment("votes", 3));
    assert_eq!(votes(&mut here), 5);
    here.tick(START_MS + 2 * DAY_MS).unwrap();
    assert_eq!(votes(&mut here), 3, "the reset counts when its time comes");
}

#[test]
fn a_parked_change_that_a_server_refuses_is_gone_and_what_was_shown_stays() {
    let [mut here, mut fast] = [1, 2].map(replica);
    here.follow().unwrap();
    let first = set(&mut here, START_MS, "title", "from today").unwrap();
    // What `first` has left in the state is nothing but what is held.
    set(&mut here, START_MS, "other", "later");
    pull(&mut fast, START_MS, &mut here);
    let late = set(&mut fast, START_MS + DAY_MS, "title", "from tomorrow").unwrap();
    pull(&mut here, START_MS, &mut fast);
    assert_eq!((text(&mut here, "title").as_deref(), here.parked_count().unwrap()), (Some("from today"), 1));
    let (address, state) = states(&mut here).pop().unwrap();
    let refuse = |here: &mut Replica<MemoryStore>, dot: Dot| {
        let refused = BTreeMap::from([(dot, Refusal::new(403, "no"))]);
        let (peer, replica) = (Life(9), ReplicaId::from_u64(9));
        let documents = vec![(address.clone(), Document::new())];
        here.withdraw(Withdrawal { peer, session: 0, replica, refused, documents }).unwrap();
        let namespace = here.head().unwrap().namespace;
        let left = states(here).pop().map(|(address, state)| state.fingerprint(&namespace, &address));
        assert_eq!(here.head().unwrap().root, left.unwrap_or_default(), "the books are kept");
    };
    refuse(&mut here, late);
    assert_eq!((text(&mut here, "title").as_deref(), here.parked_count().unwrap()), (Some("from today"), 0));
    // It comes again, from somebody who still has it; and now what it is shown instead of is refused.
    let run = Checkpoint {
        peer: Life(5),
        replica: ReplicaId::from_u64(5),
        cursor: 0,
        context: Vec::new(),
        documents: vec![(address.clone(), state.select(|dot| dot == late))],
        scope: 0,
        session: 0,
    };
    here.apply(run).unwrap();
    assert_eq!((text(&mut here, "title").as_deref(), here.parked_count().unwrap()), (Some("from today"), 1));
    refuse(&mut here, first);
    assert_eq!(text(&mut here, "title"), None);
    here.tick(START_MS + DAY_MS).unwrap();
    assert_eq!(text(&mut here, "title").as_deref(), Some("from tomorrow"));
}

#[test]
fn a_change_that_was_admitted_stays_so_when_the_clock_is_set_back_and_the_rest_of_it_comes() {
    let [mut here, mut other] = [1, 2].map(replica);
    commit(&mut other, START_MS, ("tasks", 1), |task| {
        task.set("a", "one half")?;
        task.set("b", "the other half")
    });
    let (address, state) = states(&mut other).pop().unwrap();
    here.tick(START_MS).unwrap();
    deliver(&mut here, vec![(address.clone(), select(&state, |path| path != "b"))]);
    assert_eq!((text(&mut here, "a"), text(&mut here, "b")), (None, None), "it is not there yet");
    let touch = select_all(&state, |path| path.last().is_none_or(|name| &**name != "b"));
    deliver(&mut here, vec![(address.clone(), touch)]);
    assert_eq!(text(&mut here, "a").as_deref(), Some("one half"));
    here.tick(START_MS - DAY_MS).unwrap();
    deliver(&mut here, vec![(address, state)]);
    assert_eq!(text(&mut here, "b").as_deref(), Some("the other half"));
    assert_eq!(here.parked_count().unwrap(), 0);
}

#[test]
fn what_one_wrote_oneself_is_never_parked_and_a_counter_goes_on_from_all_that_was_counted() {
    // Written with a fast clock, which is put right.
    let mut here = replica(1);
    commit(&mut here, START_MS + DAY_MS, ("tasks", 1), |task| {
        task.set("title", "mine")?;
        task.increment("votes", 5)
    });
    let own = states(&mut here);
    here.tick(START_MS).unwrap();
    deliver(&mut here, own.clone());
    assert_eq!(text(&mut here, "title").as_deref(), Some("mine"));
    assert_eq!(here.parked_count().unwrap(), 0);
    // A reset from the future says what was counted here.
    let mut fast = replica(2);
    deliver(&mut fast, own);
    fast.tick(START_MS + DAY_MS).unwrap();
    commit(&mut fast, START_MS + DAY_MS, ("tasks", 1), |task| task.reset("votes"));
    let (address, state) = states(&mut fast).pop().unwrap();
    let mut base = Document::new();
    state.visit(&mut |path, cell| {
        if matches!(cell, CellRef::Base(..)) {
            base.merge_cell(path, cell.to_owned());
        }
    });
    deliver(&mut here, vec![(address, base)]);
    assert_eq!(here.parked_count().unwrap(), 1);
    commit(&mut here, START_MS, ("tasks", 1), |task| task.increment("votes", 1));
    let (_, state) = states(&mut here).pop().unwrap();
    let tally = state.root().field("votes").unwrap().counter().unwrap().clone();
    let mut counted = None;
    state.visit(&mut |_, cell| {
        if let CellRef::Tally(_, tally) = cell {
            counted = Some((tally.p, tally.m));
        }
    });
    assert_eq!(counted, Some((6, 0)), "{tally:?}: it goes on after the 5 that were counted");
}

#[test]
fn a_replica_that_starts_from_a_state_shows_what_was_shown_there() {
    let [mut here, mut fast] = [1, 2].map(replica);
    set(&mut here, START_MS, "title", "from today");
    // Its own clock was fast for a moment; one's own is not parked, nor where one goes on under another id.
    set(&mut here, START_MS + DAY_MS, "other", "mine");
    pull(&mut fast, START_MS + DAY_MS, &mut here);
    set(&mut fast, START_MS + 3 * DAY_MS, "title", "from tomorrow");
    pull(&mut here, START_MS, &mut fast);
    let notes = here.carried_parked().unwrap();
    assert_eq!(notes.len(), 1);
    let mut again = replica(3);
    again.carry_parked(&notes).unwrap();
    deliver(&mut again, states(&mut here));
    for now_ms in [None, Some(START_MS)] {
        now_ms.map_or(Ok(()), |now_ms| again.tick(now_ms)).unwrap();
        assert_eq!(text(&mut again, "title").as_deref(), Some("from today"));
        assert_eq!(text(&mut again, "other").as_deref(), Some("mine"));
    }
    assert_eq!(again.parked(None, 9).unwrap()[0].change, here.parked(None, 9).unwrap()[0].change);
    again.tick(START_MS + 3 * DAY_MS).unwrap();
    assert_eq!(text(&mut again, "title").as_deref(), Some("from tomorrow"));
    // One that has a life of its own gets the held value beside the state.
    let mut other = replica(4);
    set(&mut other, START_MS, "own", "value");
    deliver(&mut other, states(&mut here));
    assert_eq!(text(&mut other, "title"), None);
    for held in Replica::<MemoryStore>::held_in(&notes).unwrap() {
        deliver(&mut other, vec![held]);
    }
    assert_eq!(text(&mut other, "title").as_deref(), Some("from today"));
    assert!(again.carry_parked(&[(b"held\0junk".to_vec(), b"junk".to_vec())]).is_err());
}

#[test]
fn a_clock_that_was_far_ahead_for_a_moment_does_not_forget_what_is_due() {
    let [mut here, mut fast] = [1, 2].map(replica);
    here.tick(START_MS + 10 * YEAR_MS).unwrap();
    here.tick(START_MS).unwrap();
    set(&mut fast, START_MS + DAY_MS, "title", "from tomorrow");
    pull(&mut here, START_MS + 1, &mut fast);
    assert_eq!(text(&mut here, "title"), None);
    here.tick(START_MS + DAY_MS).unwrap();
    assert_eq!(text(&mut here, "title").as_deref(), Some("from tomorrow"));
}

#[test]
fn a_commit_that_loses_all_against_what_is_parked_still_takes_a_step() {
    let [mut here, mut fast] = [1, 2].map(replica);
    commit(&mut fast, START_MS, ("tasks", 1), |task| task.enable("done"));
    pull(&mut here, START_MS, &mut fast);
    commit(&mut fast, START_MS + DAY_MS, ("tasks", 1), |task| task.enable("done"));
    pull(&mut here, START_MS, &mut fast);
    let before = here.head().unwrap();
    let dot = commit(&mut here, START_MS, ("tasks", 1), |task| {
        task.delete();
        Ok(())
    });
    let after = here.head().unwrap();
    assert!(!here.read("tasks", DocumentId::from_u64(1)).unwrap().exists(), "gone from what is shown");
    assert_eq!((after.root, after.counter), (before.root, before.counter + 1));
    assert_eq!(after.sequence, before.sequence + 1, "peers that are in sync have to hear of the dot");
    let mut other = replica(3);
    pull(&mut other, START_MS, &mut here);
    assert!(other.seen().unwrap().contains(dot.unwrap()));
    here.tick(START_MS + DAY_MS).unwrap();
    assert!(
        here.read("tasks", DocumentId::from_u64(1)).unwrap().exists(),
        "what was not seen was not deleted"
    );
}

#[test]
fn nobody_else_is_told_that_the_time_of_nothing_has_come() {
    let [mut here, mut other] = [1, 2].map(timeless);
    set(&mut other, START_MS + DAY_MS, "title", "from tomorrow");
    pull(&mut here, START_MS, &mut other);
    assert_eq!(text(&mut here, "title").as_deref(), Some("from tomorrow"), "who keeps no time parks nothing");
    assert_eq!(here.now_ms(), None);
}

#[test]
fn stamps_of_the_last_epoch_or_at_the_end_of_time_lock_nothing() {
    for (epoch, hlc) in
        [(u32::MAX, Hlc::from_ms(START_MS + DAY_MS)), (0, Hlc::MAX), (7, Hlc::MAX), (u32::MAX - 1, Hlc::MAX)]
    {
        let author = ReplicaId::from_u64(6);
        let by = Change { stamp: Stamp { epoch, hlc, replica: author }, counter: 1 };
        let mut document = Document::new();
        let content = Payload::from("hostile");
        document.merge_cell(&["title".into()], crdt_core::Cell::Register(Written::Open { by, content }));
        let address = Address::new("tasks", DocumentId::from_u64(1));
        let mut here = replica(1);
        here.tick(START_MS).unwrap();
        let (context, documents) = (Vec::new(), vec![(address, document)]);
        let run = Checkpoint {
            peer: Life(6),
            replica: author,
            cursor: 0,
            context,
            documents,
            scope: 0,
            session: 0,
        };
        here.apply(run).unwrap();
        assert_eq!(here.parked_count().unwrap(), 1);
        for value in ["one", "two"] {
            set(&mut here, START_MS, "title", value);
            assert_eq!(text(&mut here, "title").as_deref(), Some(value));
            assert_eq!(here.head().unwrap().hlc.ms(), START_MS, "the clock is not dragged along");
        }
        assert_eq!(here.parked_count().unwrap(), 0);
    }
}
