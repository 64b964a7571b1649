//! Clocks that are corrected, and what a wrong one spoiled: cases with a name.

use crdt_core::cells::Chain as _;
use crdt_core::{ClockVerdict, DocumentId, Durability, Life, MemoryStore, Repair, Replica, ReplicaId, Value};

use crate::under_miri::or_under_miri;
use crate::world::{
    DAY_MS, MINUTE_MS, START_MS, commit, devices_replica, exchange, pull, replica, restarted,
    roots_are_equal, set, states, text, views_are_equal,
};

#[test]
fn with_one_device_a_day_fast_all_others_go_on_editing_the_same_fields() {
    let fast = 2;
    let mut devices = [1, 2, 3].map(replica);
    let mut right_ms = START_MS;
    let clocks = |right_ms: u64| [right_ms, right_ms, right_ms + DAY_MS];
    for round in 0..10 {
        for at in [fast, 0, 1] {
            right_ms += 5_000;
            let value = format!("{at} in round {round}");
            let now_ms = clocks(right_ms)[at];
            commit(&mut devices[at], now_ms, ("tasks", 1), |task| {
                task.set("title", value.as_str())?;
                task.set(["a", "b", "c"][at], value.as_str())?;
                task.increment("votes", 1)
            });
            assert_eq!(text(&mut devices[at], "title"), Some(value.clone()), "one's own edit shows at once");
            exchange(&mut devices, &clocks(right_ms));
            roots_are_equal(&mut devices);
            if at != fast {
                for device in &mut devices {
                    assert_eq!(text(device, "title"), Some(value.clone()), "the last edit wins everywhere");
                }
            }
        }
        let head = devices[0].head().unwrap();
        assert!(head.hlc.ms() < right_ms + MINUTE_MS, "the wrong clock is not catching");
    }
    // What only the fast one wrote is withheld by the others, and listed.
    assert_eq!(text(&mut devices[0], "c"), None);
    let view = devices[0].read("tasks", DocumentId::from_u64(1)).unwrap();
    assert!(view.withheld().iter().any(|withheld| withheld.path == ["c".into()]));
    let parked = devices[0].parked(None, 100).unwrap();
    assert!(!parked.is_empty());
    assert!(parked.iter().all(|parked| parked.change.replica() == devices_replica(&mut devices[fast])));
    // Its clock is set right, and two peers say that it is right now.
    for peer in [1, 2] {
        devices[fast].tick(right_ms).unwrap();
        let verdict = devices[fast].measured(Life(peer), 10, true).unwrap();
        assert_eq!(verdict, ClockVerdict::Agrees);
    }
    exchange(&mut devices, &[right_ms; 3]);
    roots_are_equal(&mut devices);
    views_are_equal(&mut devices);
    assert_eq!(text(&mut devices[0], "c"), Some("2 in round 9".into()));
    assert_eq!(devices[0].parked_count().unwrap(), 0, "all of it was written again");
    // Later edits win, whoever makes them, also of the one that was fast.
    for at in [fast, 0, fast, 1] {
        right_ms += 5_000;
        let value = format!("{at} after the correction");
        set(&mut devices[at], right_ms, "title", &value);
        set(&mut devices[at], right_ms, "c", &value);
        exchange(&mut devices, &[right_ms; 3]);
        roots_are_equal(&mut devices);
        for device in &mut devices {
            assert_eq!(text(device, "title"), Some(value.clone()));
            assert_eq!(text(device, "c"), Some(value.clone()));
        }
    }
    let votes = devices[0].read("tasks", DocumentId::from_u64(1)).unwrap().counter("votes");
    assert_eq!(votes, 30, "every step counts");
}

#[test]
fn a_parked_change_is_taken_over_or_overruled_by_anyone_for_everyone() {
    for (repair, title) in [(Repair::TakeOver, "from tomorrow"), (Repair::KeepShown, "before")] {
        let mut devices = [1, 2, 3].map(replica);
        let clocks = [START_MS, START_MS, START_MS + DAY_MS];
        commit(&mut devices[0], START_MS, ("tasks", 1), |task| {
            task.set("title", "before")?;
            task.set("notes", "before")?;
            task.add_to("tags", "kept")?;
            task.enable("done")
        });
        exchange(&mut devices, &clocks);
        commit(&mut devices[2], clocks[2], ("tasks", 1), |task| {
            task.set("title", "from tomorrow")?;
            task.set("notes", "from tomorrow")?;
            task.add_to("tags", "new")?;
            task.remove_from("tags", "kept")?;
            task.disable("done")
        });
        exchange(&mut devices, &clocks);
        let parked = devices[0].parked(None, 10).unwrap();
        let changes: Vec<_> = parked.iter().map(|parked| parked.change).collect();
        let repaired = devices[0].repair(&changes, repair, START_MS, Durability::Durable).unwrap();
        assert!(repaired.dot.is_some() && repaired.value > 0);
        exchange(&mut devices, &clocks);
        roots_are_equal(&mut devices);
        let taken = repair == Repair::TakeOver;
        let check = |device: &mut Replica<MemoryStore>| {
            let view = device.read("tasks", DocumentId::from_u64(1)).unwrap();
            assert_eq!(view.get("title").unwrap().unwrap().as_str(), Some(title));
            assert_eq!(view.get("notes").unwrap().unwrap().as_str(), Some(title));
            let tags: Vec<_> = view.elements("tags").filter_map(Value::as_str).collect();
            assert_eq!((tags, view.flag("done")), (vec![if taken { "new" } else { "kept" }], !taken));
        };
        devices[..2].iter_mut().for_each(check);
        // And so it stays when the time comes.
        exchange(&mut devices, &[START_MS + 2 * DAY_MS; 3]);
        devices.iter_mut().for_each(check);
        roots_are_equal(&mut devices);
    }
}

#[test]
fn most_peers_tell_that_one_is_behind_and_one_alone_only_warns() {
    let mut slow = replica(1);
    let day = i64::try_from(DAY_MS).unwrap();
    set(&mut slow, START_MS, "title", "yesterday");
    let written = |replica: &mut Replica<MemoryStore>| {
        let (_, state) = states(replica).pop().unwrap();
        *state.root().field("title").unwrap().written().unwrap().written()
    };
    let first = written(&mut slow);
    assert_eq!(slow.measured(Life(2), day, true).unwrap(), ClockVerdict::Differs { offset_ms: day });
    assert_eq!(slow.measured(Life(2), day, true).unwrap(), ClockVerdict::Differs { offset_ms: day });
    // One that does not count can be many.
    for life in 10..20 {
        assert!(matches!(slow.measured(Life(life), day, false).unwrap(), ClockVerdict::Differs { .. }));
    }
    let verdict = slow.measured(Life(3), day + 500, true).unwrap();
    let ClockVerdict::Corrected { correction_ms } = verdict else { panic!("{verdict:?}") };
    assert!(correction_ms.abs_diff(day) <= 500);
    assert_eq!(slow.now_ms(), Some(START_MS.saturating_add_signed(correction_ms)));
    let again = written(&mut slow);
    assert_eq!(again.stamp.hlc.ms(), START_MS.saturating_add_signed(correction_ms));
    assert_eq!((first.stamp.epoch, again.stamp.epoch), (0, 0), "what had not left is written again, later");
    // It survives a restart, and what comes from the right time is shown.
    let mut slow = restarted(slow);
    let mut other = replica(4);
    set(&mut other, START_MS + DAY_MS + 1_000, "title", "today");
    pull(&mut slow, START_MS, &mut other);
    assert_eq!(text(&mut slow, "title").as_deref(), Some("today"));
    assert_eq!(slow.clock_status().unwrap().correction_ms, correction_ms);
    // Somebody sets the clock right: two witnesses, the clock and a peer, are enough.
    let now_ms = START_MS + DAY_MS + 30 * 60_000;
    slow.tick(now_ms).unwrap();
    let mut verdicts = Vec::new();
    for life in [2, 3] {
        let ahead_ms = i64::try_from(now_ms).unwrap() - i64::try_from(slow.now_ms().unwrap()).unwrap();
        verdicts.push(slow.measured(Life(life), ahead_ms, true).unwrap());
    }
    assert_eq!(verdicts, [ClockVerdict::Corrected { correction_ms: 0 }, ClockVerdict::Agrees]);
    assert_eq!(slow.now_ms(), Some(now_ms));
}

#[test]
fn to_keep_what_is_shown_keeps_an_earlier_value_of_the_same_author() {
    let [mut here, mut fast] = [1, 2].map(replica);
    set(&mut fast, START_MS, "notes", "before");
    pull(&mut here, START_MS, &mut fast);
    set(&mut fast, START_MS + DAY_MS, "notes", "from tomorrow");
    pull(&mut here, START_MS, &mut fast);
    let changes = [here.parked(None, 1).unwrap()[0].change];
    here.repair(&changes, Repair::KeepShown, START_MS, Durability::Durable).unwrap();
    here.tick(START_MS + DAY_MS).unwrap();
    assert_eq!(text(&mut here, "notes").as_deref(), Some("before"));
    pull(&mut fast, START_MS + DAY_MS, &mut here);
    assert_eq!(text(&mut fast, "notes").as_deref(), Some("before"));
    assert!(fast.read("tasks", DocumentId::from_u64(1)).unwrap().conflicts("notes").is_empty());
}

#[test]
fn one_writes_again_only_what_is_ones_own() {
    let [mut one, mut other] = [1, 2].map(replica);
    let fast_ms = START_MS + DAY_MS;
    set(&mut one, fast_ms, "a", "mine");
    set(&mut other, fast_ms, "b", "theirs");
    pull(&mut one, fast_ms, &mut other);
    one.tick(START_MS).unwrap();
    assert_eq!(one.measured(Life(9), 0, true).unwrap(), ClockVerdict::Agrees);
    let (_, state) = states(&mut one).pop().unwrap();
    let by = |field: &str| *state.root().field(field).unwrap().written().unwrap().set_by();
    assert_eq!((by("a").stamp.epoch, by("b").stamp.epoch), (1, 0));
    assert_eq!(by("b").replica(), ReplicaId::from_u64(2));
}

#[test]
fn half_of_the_peers_are_not_most_of_them() {
    let mut here = replica(1);
    here.tick(START_MS).unwrap();
    let day = i64::try_from(DAY_MS).unwrap();
    for (life, ahead_ms) in [(2, 0), (3, 2 * day), (4, day), (5, day)] {
        let verdict = here.measured(Life(life), ahead_ms, true).unwrap();
        assert!(!matches!(verdict, ClockVerdict::Corrected { .. }), "{life}");
    }
    let verdict = here.measured(Life(6), day, true).unwrap();
    assert_eq!(verdict, ClockVerdict::Corrected { correction_ms: day });
}

#[test]
fn a_hub_that_meets_thousands_in_a_day_remembers_a_few() {
    let mut hub = replica(1);
    let met = or_under_miri(500, 50);
    for life in 0..met {
        hub.tick(START_MS + life).unwrap();
        hub.measured(Life(life), 0, true).unwrap();
    }
    let peers = hub.clock_status().unwrap().peers;
    assert_eq!(peers.len(), 32);
    assert!(peers.iter().all(|clock| clock.peer.0 >= met - 32), "the last ones");
}

#[test]
fn a_clock_that_is_fast_is_corrected_and_what_it_wrote_is_written_again() {
    let mut devices = [1, 2, 3].map(replica);
    let day = i64::try_from(DAY_MS).unwrap();
    let clocks = [START_MS, START_MS, START_MS + DAY_MS];
    commit(&mut devices[2], clocks[2], ("tasks", 1), |task| {
        task.set("title", "by the fast one")?;
        task.set("notes", "by the fast one")?;
        task.add_to("tags", 1)?;
        task.enable("done")?;
        task.increment("votes", 7)
    });
    exchange(&mut devices, &clocks);
    let unseen = devices[0].read("tasks", DocumentId::from_u64(1)).unwrap();
    assert!(!unseen.exists() && !unseen.withheld().is_empty());
    assert!(matches!(devices[2].measured(Life(1), -day, true).unwrap(), ClockVerdict::Differs { .. }));
    let corrected = devices[2].measured(Life(2), -day, true).unwrap();
    assert_eq!(corrected, ClockVerdict::Corrected { correction_ms: -day });
    assert_eq!(devices[2].now_ms(), Some(START_MS));
    exchange(&mut devices, &clocks);
    roots_are_equal(&mut devices);
    views_are_equal(&mut devices);
    let seen = devices[0].read("tasks", DocumentId::from_u64(1)).unwrap();
    assert_eq!(seen.get("title").unwrap().unwrap().as_str(), Some("by the fast one"));
    assert_eq!((seen.counter("votes"), seen.flag("done")), (7, true));
    assert!(seen.withheld().is_empty());
    let head = devices[2].head().unwrap();
    assert_eq!(head.hlc.ms(), START_MS, "its clock begins again at the right time");
}

/// What a peer whose clock says `right_ms` says about a device.
fn hears(device: &mut Replica<MemoryStore>, peer: u64, right_ms: u64) -> ClockVerdict {
    let ahead_ms = i64::try_from(right_ms).unwrap() - i64::try_from(device.now_ms().unwrap()).unwrap();
    device.measured(Life(peer), ahead_ms, true).unwrap()
}

#[test]
fn a_fast_clock_that_is_put_right_is_not_corrected_any_more() {
    let mut fast = replica(1);
    fast.tick(START_MS + DAY_MS).unwrap();
    hears(&mut fast, 2, START_MS);
    hears(&mut fast, 3, START_MS);
    assert_eq!(fast.now_ms(), Some(START_MS));
    // A step as servers of time make them is none.
    fast.tick(START_MS + DAY_MS - MINUTE_MS / 2).unwrap();
    assert_eq!(fast.now_ms(), Some(START_MS - MINUTE_MS / 2));
    for restarts in [false, true] {
        let store = fast.into_store();
        let mut copy = restarted(Replica::new(store.clone()));
        if !restarts {
            copy.tick(START_MS + DAY_MS).unwrap();
        }
        copy.tick(START_MS + 1_000).unwrap();
        assert_eq!(copy.now_ms(), Some(START_MS + 1_000), "after a restart: {restarts}");
        let status = copy.clock_status().unwrap();
        assert!(status.correction_ms == 0 && status.peers.is_empty(), "{status:?}");
        let mut other = replica(4);
        set(&mut other, START_MS + 500, "title", "now");
        pull(&mut copy, START_MS + 1_000, &mut other);
        assert_eq!(text(&mut copy, "title").as_deref(), Some("now"), "and nothing is withheld");
        fast = Replica::new(store);
    }
}

#[test]
fn a_peer_that_agrees_with_a_clock_that_was_put_right_outweighs_what_was_said_before() {
    let slow_ms = START_MS - DAY_MS;
    for (peer, stays) in [(2, false), (9, true)] {
        let mut slow = replica(1);
        slow.tick(slow_ms).unwrap();
        for said in [2, 3, 4] {
            hears(&mut slow, said, START_MS);
        }
        assert_eq!(slow.now_ms(), Some(START_MS));
        // The clock is put right, which looks like a day that has passed.
        slow.tick(START_MS - MINUTE_MS).unwrap();
        hears(&mut slow, peer, START_MS - MINUTE_MS);
        let corrected = slow.clock_status().unwrap().correction_ms != 0;
        assert_eq!(corrected, stays, "one of those who said so is enough, and a stranger is not");
        hears(&mut slow, 3, START_MS - MINUTE_MS);
        assert_eq!(slow.now_ms(), Some(START_MS - MINUTE_MS));
    }
}

#[test]
fn two_lives_of_one_device_do_not_outweigh_the_clock_and_a_peer() {
    let mut right = replica(1);
    right.tick(START_MS).unwrap();
    // A fast device, and its restored copy.
    hears(&mut right, 2, START_MS + DAY_MS);
    hears(&mut right, 3, START_MS + DAY_MS);
    assert_eq!(right.now_ms(), Some(START_MS + DAY_MS));
    assert_eq!(hears(&mut right, 4, START_MS), ClockVerdict::Corrected { correction_ms: 0 });
    assert_eq!(right.now_ms(), Some(START_MS));
    assert!(matches!(hears(&mut right, 3, START_MS + DAY_MS), ClockVerdict::Differs { .. }));
    assert_eq!(right.now_ms(), Some(START_MS), "and it stays so");
}

#[test]
fn a_correction_that_nobody_has_confirmed_for_a_day_ends_with_the_next_peer_that_says_otherwise() {
    let mut slow = replica(1);
    slow.tick(START_MS).unwrap();
    hears(&mut slow, 2, START_MS + 3 * DAY_MS);
    hears(&mut slow, 3, START_MS + 3 * DAY_MS);
    let later_ms = START_MS + 2 * DAY_MS;
    slow.tick(later_ms).unwrap();
    assert_eq!(slow.now_ms(), Some(later_ms + 3 * DAY_MS), "time alone changes nothing");
    let verdict = hears(&mut slow, 4, later_ms + DAY_MS);
    assert_eq!(verdict, ClockVerdict::Corrected { correction_ms: 0 });
}

#[test]
fn what_is_written_again_exceeds_what_it_stands_for_also_where_siblings_are_kept() {
    let mut devices = [1, 2, 3].map(replica);
    set(&mut devices[2], START_MS + DAY_MS, "notes", "by the fast one");
    exchange(&mut devices, &[START_MS, START_MS, START_MS + DAY_MS]);
    let by = |replica: &mut Replica<MemoryStore>| {
        let (_, state) = states(replica).pop().unwrap();
        let written = state.root().field("notes").unwrap().candidates();
        written.iter().map(|one| one.by.stamp).max().unwrap()
    };
    let before = by(&mut devices[2]);
    hears(&mut devices[2], 1, START_MS);
    hears(&mut devices[2], 2, START_MS);
    let again = by(&mut devices[2]);
    assert!(again > before && again.epoch == 1, "{again:?} follows {before:?}");
    exchange(&mut devices, &[START_MS, START_MS, START_MS + DAY_MS]);
    // Whoever overwrites it exceeds it.
    set(&mut devices[0], START_MS + 1_000, "notes", "later");
    assert!(by(&mut devices[0]) > again);
    exchange(&mut devices, &[START_MS, START_MS, START_MS + DAY_MS]);
    for device in &mut devices {
        assert_eq!(text(device, "notes").as_deref(), Some("later"));
    }
}
