//! Sessions between devices whose clocks are wrong, jump in the middle of a session, or stand still.
#![allow(missing_docs)]

mod support;

use crdt_core::{ClockVerdict, DocumentId, Durability, MemoryStore, ReceiveBound, Replica, TransactionError};
use support::{Random, START_MS, declared, or_under_miri, replica};
use sync_protocol::{Config, Session, SessionEvent};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;
const YEAR_MS: u64 = 365 * DAY_MS;

struct Device {
    replica: Replica<MemoryStore>,
    /// What its clock says beyond the right time.
    off_ms: i64,
    frozen_at_ms: Option<u64>,
    events: Vec<SessionEvent>,
}

impl Device {
    fn new(number: u64, off_ms: i64) -> Self {
        let mut replica = replica(number);
        replica.keep_time(ReceiveBound::default());
        Self { replica, off_ms, frozen_at_ms: None, events: Vec::new() }
    }

    fn now_ms(&self, right_ms: u64) -> u64 {
        self.frozen_at_ms.unwrap_or_else(|| right_ms.saturating_add_signed(self.off_ms))
    }

    fn set(&mut self, right_ms: u64, field: &str, value: &str) {
        let now_ms = self.now_ms(right_ms);
        self.replica
            .commit(now_ms, Durability::Visible, |tx| {
                tx.document("tasks", DocumentId::from_u64(1))?.set(field, value)?;
                Ok::<_, TransactionError>(())
            })
            .unwrap();
    }

    fn title(&mut self) -> Option<String> {
        support::title(&mut self.replica, 1)
    }

    fn verdicts(&mut self) -> Vec<ClockVerdict> {
        let events = std::mem::take(&mut self.events).into_iter();
        events
            .filter_map(|event| if let SessionEvent::Clock(verdict) = event { Some(verdict) } else { None })
            .collect()
    }

    fn restart(&mut self) {
        let store = std::mem::replace(&mut self.replica, replica(99)).into_store();
        self.replica = declared(Replica::new(store));
        self.replica.keep_time(ReceiveBound::default());
    }
}

/// A whole session. `between` is called after each message, with its number.
fn meet(
    a: &mut Device,
    b: &mut Device,
    right_ms: u64,
    mut between: impl FnMut(u32, &mut Device, &mut Device),
) {
    let (mut at_a, mut at_b) =
        (Session::new(Config::new(1), a.now_ms(right_ms)), Session::new(Config::new(2), b.now_ms(right_ms)));
    let mut messages = 0;
    loop {
        let before = messages;
        loop {
            let now_ms = a.now_ms(right_ms);
            let Some(message) = at_a.transmit(&mut a.replica, now_ms).unwrap() else { break };
            let now_ms = b.now_ms(right_ms);
            at_b.receive(&mut b.replica, &message, now_ms).unwrap();
            messages += 1;
            between(messages, a, b);
        }
        loop {
            let now_ms = b.now_ms(right_ms);
            let Some(message) = at_b.transmit(&mut b.replica, now_ms).unwrap() else { break };
            let now_ms = a.now_ms(right_ms);
            at_a.receive(&mut a.replica, &message, now_ms).unwrap();
            messages += 1;
            between(messages, a, b);
        }
        if messages == before {
            break;
        }
        assert!(messages < 1_000, "the session never comes to rest");
    }
    assert!(at_a.is_settled() && at_b.is_settled(), "the session is stuck");
    a.events.extend(std::iter::from_fn(|| at_a.poll_event()));
    b.events.extend(std::iter::from_fn(|| at_b.poll_event()));
    assert_eq!(a.replica.head().unwrap().root, b.replica.head().unwrap().root);
}

fn meet_all(devices: &mut [Device], right_ms: u64) {
    for _ in 0..2 {
        for one in 0..devices.len() {
            for other in 0..one {
                let [one, other] = devices.get_disjoint_mut([one, other]).unwrap();
                meet(one, other, right_ms, |_, _, _| ());
            }
        }
    }
}

fn all_are_equal(devices: &mut [Device]) {
    let seen: Vec<_> = devices
        .iter_mut()
        .map(|device| {
            let view = device.replica.read("tasks", DocumentId::from_u64(1)).unwrap();
            (device.replica.head().unwrap().root, view.to_value(), view.withheld().len())
        })
        .collect();
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:#?}");
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap()
}

#[test]
fn the_handshakes_correct_a_device_that_is_a_day_fast_and_all_show_the_same() {
    let mut devices = [Device::new(1, 0), Device::new(2, 300), Device::new(3, signed(DAY_MS))];
    devices[0].set(START_MS, "title", "first");
    meet_all(&mut devices[..2], START_MS);
    devices[2].set(START_MS, "title", "by the fast one");
    // The first peer alone cannot tell which of the two is wrong.
    let [right, _, fast] = &mut devices;
    meet(fast, right, START_MS, |_, _, _| ());
    assert_eq!(fast.verdicts(), [ClockVerdict::Differs { offset_ms: -signed(DAY_MS) }]);
    assert_eq!(right.verdicts(), [ClockVerdict::Differs { offset_ms: signed(DAY_MS) }]);
    assert_eq!(right.title().as_deref(), Some("first"));
    right.set(START_MS + 1, "title", "an edit of what is parked");
    // The second one can.
    let [right, other, fast] = &mut devices;
    meet(fast, other, START_MS + 2, |_, _, _| ());
    assert!(matches!(fast.verdicts()[..], [ClockVerdict::Corrected { .. }]));
    assert_eq!(other.title().as_deref(), Some("by the fast one"), "it was written again at the right time");
    other.verdicts();
    meet(right, other, START_MS + 3, |_, _, _| ());
    meet_all(&mut devices, START_MS + 4);
    all_are_equal(&mut devices);
    for device in &mut devices {
        assert_eq!(device.verdicts(), [], "a corrected clock is right, by what it says itself too");
    }
    let title = devices[2].title();
    assert_eq!(
        title.as_deref(),
        Some("an edit of what is parked"),
        "what was written since wins over what is written again"
    );
    // From now on the last edit wins, whoever makes it.
    for round in 1..or_under_miri(6, 2) {
        for at in [2, 0, 1] {
            let (value, right_ms) =
                (format!("{at} in round {round}"), START_MS + round * 10_000 + 1_000 * at);
            let at = usize::try_from(at).unwrap();
            devices[at].set(right_ms, "title", &value);
            meet_all(&mut devices, right_ms);
            all_are_equal(&mut devices);
            assert_eq!(devices[0].title(), Some(value));
        }
    }
    assert!(devices.iter_mut().all(|device| device.replica.parked_count().unwrap() == 0));
}

#[test]
fn a_clock_that_jumps_ten_years_in_mid_session_stops_nothing() {
    for years in [-10, 10] {
        let mut devices = [Device::new(1, 0), Device::new(2, 0)];
        for round in 0..or_under_miri(20, 5) {
            let right_ms = START_MS + round * 10_000;
            let at = usize::try_from(round % 2).unwrap();
            let value = format!("round {round}");
            devices[at].set(right_ms, "title", &value);
            assert_eq!(devices[at].title(), Some(value), "one's own edit shows");
            let [a, b] = &mut devices;
            meet(a, b, right_ms, |messages, a, _| {
                if round % 3 == 0 && u64::from(messages) == 1 + round / 3 {
                    a.off_ms = if a.off_ms == 0 { years * signed(YEAR_MS) } else { 0 };
                }
            });
        }
        devices[0].off_ms = 0;
        let right_ms = START_MS + MINUTE_MS * 10;
        meet_all(&mut devices, right_ms);
        devices[1].set(right_ms + 1_000, "title", "the last");
        meet_all(&mut devices, right_ms + 1_000);
        all_are_equal(&mut devices);
        assert_eq!(devices[0].title().as_deref(), Some("the last"));
    }
}

fn history(seed: u64) {
    let mut random = Random(seed);
    let mut right_ms = START_MS;
    // One or none of four is wrong: what most say is right.
    let wrong = random.below(5);
    let mut devices: Vec<Device> = (0..4).map(|number| Device::new(number + 1, 0)).collect();
    for _ in 0..or_under_miri(40, 10) {
        right_ms += 1_000 + random.below(60_000);
        let at = usize::try_from(random.below(4)).unwrap();
        match random.below(100) {
            0..50 => {
                let field = ["title", "a", "b", "notes"][usize::try_from(random.below(4)).unwrap()];
                devices[at].set(right_ms, field, &format!("{seed} {right_ms}"));
            }
            50..85 => {
                let other = (at + 1 + usize::try_from(random.below(3)).unwrap()) % 4;
                let [one, other] = devices.get_disjoint_mut([at, other]).unwrap();
                meet(one, other, right_ms, |_, _, _| ());
            }
            85..92 => {
                let Some(device) = devices.get_mut(usize::try_from(wrong).unwrap()) else { continue };
                let most = [MINUTE_MS * 3, DAY_MS, 10 * YEAR_MS][usize::try_from(random.below(3)).unwrap()];
                let off_ms = signed(random.below(most));
                (device.off_ms, device.frozen_at_ms) =
                    (if random.below(2) == 0 { off_ms } else { -off_ms }, None);
                if random.below(4) == 0 {
                    device.frozen_at_ms = Some(device.now_ms(right_ms));
                }
            }
            92..96 => devices[at].restart(),
            _ => edit_deeply(&mut devices[at], right_ms, &mut random),
        }
    }
    // The wrong one is set right. All meet, now and after what was measured is forgotten, and then nothing is withheld.
    for _ in 0..2 {
        right_ms += 2 * DAY_MS;
        for device in &mut devices {
            (device.off_ms, device.frozen_at_ms) = (0, None);
        }
        meet_all(&mut devices, right_ms);
    }
    all_are_equal(&mut devices);
    for (at, value) in [(0, "x"), (3, "y"), (1, "z"), (2, "w")] {
        right_ms += 1_000;
        devices[at].set(right_ms, "title", value);
        meet_all(&mut devices, right_ms);
        all_are_equal(&mut devices);
        assert_eq!(devices[0].title().as_deref(), Some(value), "the last edit wins");
    }
}

fn edit_deeply(device: &mut Device, right_ms: u64, random: &mut Random) {
    let (now_ms, kind) = (device.now_ms(right_ms), random.below(5));
    let edited = device.replica.commit(now_ms, Durability::Visible, |tx| {
        let mut task = tx.document("tasks", DocumentId::from_u64(1))?;
        match kind {
            0 => task.delete(),
            1 => task.increment("votes", 1)?,
            2 => task.map("place")?.set("city", i64::try_from(right_ms).unwrap())?,
            3 => task.remove("place")?,
            _ => task.erase()?,
        }
        Ok::<_, TransactionError>(())
    });
    edited.unwrap();
}

#[test]
fn whatever_one_clock_of_four_does_no_session_is_stuck_and_all_come_to_show_the_same() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let seeds = number("SEEDS").unwrap_or(or_under_miri(if cfg!(debug_assertions) { 150 } else { 3_000 }, 1));
    let only = number("SEED");
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let failed = std::panic::catch_unwind(|| history(seed)).err();
        if let Some(panic) = failed {
            eprintln!("seed {seed} fails: SEED={seed} cargo test -p sync-protocol --test clocks whatever");
            std::panic::resume_unwind(panic);
        }
    }
}
