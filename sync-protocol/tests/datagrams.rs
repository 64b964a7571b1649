//! A transport that loses, repeats and reorders, and the two answers to it: start a new session, which resumes; or put a
//! few lines that send again beneath the session ([`Reliable`]).
//!
//! Datagrams of real networks are also small: there, messages have to be cut into pieces too.
#![allow(missing_docs)]

mod support;

use std::collections::VecDeque;

use crdt_core::{DocumentId, MemoryStore, Replica, VersionVector};
use support::{Random, START_MS, assert_equal, edit, or_under_miri, replica, set};
use sync_protocol::{Config, EndReason, Session, SessionError, SessionEvent};

type Memory = Replica<MemoryStore>;

/// What the network does, in so many of a hundred cases each.
#[derive(Clone, Copy, Debug)]
struct Weather {
    lost: u64,
    repeated: u64,
    /// Takes longer, so that others overtake it.
    late: u64,
}

/// One direction. Time is counted in turns.
struct Network {
    random: Random,
    weather: Weather,
    under_way: Vec<(u64, Vec<u8>)>,
    now: u64,
}

impl Network {
    fn new(seed: u64, weather: Weather) -> Self {
        Self { random: Random(seed), weather, under_way: Vec::new(), now: 0 }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn send(&mut self, datagram: &[u8]) {
        let copies = if self.chance(self.weather.repeated) { 2 } else { 1 };
        for _ in 0..copies {
            if self.chance(self.weather.lost) {
                continue;
            }
            let delay = if self.chance(self.weather.late) { 1 + self.random.below(6) } else { 0 };
            self.under_way.push((self.now + delay, datagram.to_vec()));
        }
    }

    /// What arrives in this turn.
    fn arrived(&mut self) -> Vec<Vec<u8>> {
        self.now += 1;
        let (due, rest) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at < self.now);
        self.under_way = rest;
        due.into_iter().map(|(_, datagram): (u64, Vec<u8>)| datagram).collect()
    }
}

/// Makes of datagrams what a session wants: every message, once, in order. It sends again until it hears that it arrived.
#[derive(Default)]
struct Reliable {
    sent: u32,
    unacknowledged: VecDeque<(u32, Vec<u8>)>,
    received: u32,
}

impl Reliable {
    const WINDOW: usize = 16;

    fn has_room(&self) -> bool {
        self.unacknowledged.len() < Self::WINDOW
    }

    fn send(&mut self, message: Vec<u8>) {
        self.unacknowledged.push_back((self.sent, message));
        self.sent += 1;
    }

    /// What to put on the network now, and again after a while: all that nobody has acknowledged, or just an ack.
    fn datagrams(&self) -> Vec<Vec<u8>> {
        let ack = self.received.to_le_bytes();
        let resend =
            |(number, message): &(u32, Vec<u8>)| [&ack, &number.to_le_bytes(), &message[..]].concat();
        if self.unacknowledged.is_empty() {
            return vec![ack.to_vec()];
        }
        self.unacknowledged.iter().map(resend).collect()
    }

    /// The message in a datagram, if it is the next one.
    fn receive(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let number = |at: usize| Some(u32::from_le_bytes(datagram.get(at..at + 4)?.try_into().ok()?));
        let acknowledged = number(0)?;
        self.unacknowledged.retain(|(number, _)| *number >= acknowledged);
        let is_next = number(4)? == self.received;
        self.received += u32::from(is_next);
        is_next.then(|| datagram[8..].to_vec())
    }
}

/// One side, and what of it must never go back.
struct Side {
    replica: Memory,
    seen: VersionVector,
    sequence: u64,
    /// Cells that changed by what came from the other side.
    cells: u64,
    /// Of the document that the other side counts up.
    count: i64,
}

impl Side {
    fn new(mut replica: Memory) -> Self {
        replica.collect_events(true);
        Self { replica, seen: VersionVector::new(), sequence: 0, cells: 0, count: 0 }
    }

    fn heard(&mut self, session: &mut Session) {
        while let Some(event) = session.poll_event() {
            if let SessionEvent::Applied { cells, .. } = event {
                self.cells += cells;
            }
        }
        self.check();
    }

    fn check(&mut self) {
        let seen = self.replica.seen().unwrap();
        assert!(seen.covers(&self.seen), "what was seen went back");
        self.seen = seen;
        for event in self.replica.take_events() {
            assert!(event.sequence > self.sequence, "step {} after {}", event.sequence, self.sequence);
            self.sequence = event.sequence;
        }
        let view = self.replica.read("tasks", DocumentId::from_u64(COUNTED)).unwrap();
        let value = view.get("count").unwrap().and_then(|count| count.as_i64());
        let count = value.unwrap_or_default();
        assert!(count >= self.count, "{count} after {}", self.count);
        self.count = count;
    }
}

const COUNTED: u64 = 77;

fn count_up(side: &mut Side, to: i64) {
    let ms = 100_000 + to.unsigned_abs();
    edit(&mut side.replica, COUNTED, ms, |document| {
        document.set("count", to).unwrap();
        document.increment("votes", 1).unwrap();
    });
}

/// One session straight over the network, until it settles, breaks or is given up. True when it settled.
fn bare_session(
    a: &mut Side,
    b: &mut Side,
    networks: &mut [Network; 2],
    nonce: u64,
    changes: &mut i64,
) -> bool {
    let mut at_a = Session::new(Config::new(nonce), START_MS);
    let mut at_b = Session::new(Config::new(nonce + 1), START_MS);
    let mut quiet = 0;
    for turn in 0..400 {
        if turn == 3 && *changes > 0 {
            count_up(a, 101 - *changes);
            *changes -= 1;
        }
        let mut moved = false;
        let [forth, back] = &mut *networks;
        for (session, side, network) in [(&mut at_a, &mut *a, &mut *forth), (&mut at_b, &mut *b, &mut *back)]
        {
            while let Some(message) = session.transmit(&mut side.replica, START_MS).unwrap() {
                network.send(&message);
                moved = true;
            }
        }
        for (session, side, network) in [(&mut at_b, &mut *b, forth), (&mut at_a, &mut *a, back)] {
            for message in network.arrived() {
                moved = true;
                match session.receive(&mut side.replica, &message, START_MS) {
                    Ok(()) => side.heard(session),
                    // What is left of it arrives later, and is not of the next session.
                    Err(SessionError::Missing { .. }) => return false,
                    // Of an older session.
                    Err(SessionError::Damaged | SessionError::Unauthenticated) => side.check(),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        if at_a.is_settled() && at_b.is_settled() && *changes == 0 {
            return true;
        }
        quiet = if moved { 0 } else { quiet + 1 };
        if quiet > 8 {
            // Something was lost and nobody says more: here the time for an answer would run out.
            let late = START_MS + 60_000;
            assert!(at_a.expire(late) || at_b.expire(late) || (at_a.is_settled() && at_b.is_settled()));
            assert!(matches!(at_a.ended(), None | Some(EndReason::TimedOut)));
            return at_a.ended().is_none() && at_b.ended().is_none();
        }
    }
    false
}

#[test]
fn sessions_that_are_started_again_get_there() {
    let (mut broken, mut whole) = (0, 0);
    for seed in 0..or_under_miri(40, 1) {
        let weather = Weather { lost: seed % 30, repeated: seed % 50, late: seed % 20 };
        let (mut a, mut b) = (Side::new(replica(1)), Side::new(replica(2)));
        (0..or_under_miri(30, 5)).for_each(|n| set(&mut a.replica, n, n, "title", "from a"));
        (20..or_under_miri(50, 25)).for_each(|n| set(&mut b.replica, n, n, "notes", "from b"));
        let mut networks = [Network::new(seed, weather), Network::new(!seed, weather)];
        let mut changes = 5;
        let mut sessions = 0;
        while !bare_session(&mut a, &mut b, &mut networks, 1_000 + 2 * sessions, &mut changes) || changes > 0
        {
            sessions += 1;
            assert!(sessions < 2_000, "no end in {weather:?}");
        }
        broken += sessions;
        whole += 1;
        assert_equal(&mut a.replica, &mut b.replica);
        let votes = b.replica.read("tasks", DocumentId::from_u64(COUNTED)).unwrap().counter("votes");
        assert_eq!((b.count, votes), (100, 5), "each change once, the last one at last");
    }
    assert!(broken > whole || cfg!(miri), "the network was too good: {broken} sessions broke");
}

/// Sends again beneath one single session, which never notices.
fn reliable_session(a: &mut Side, b: &mut Side, networks: &mut [Network; 2], changes: i64) -> u64 {
    let mut ends = [
        (Session::new(Config::new(1), START_MS), Reliable::default()),
        (Session::new(Config::new(2), START_MS), Reliable::default()),
    ];
    let mut counted = 0;
    for turn in 1.. {
        if counted < changes && turn % 5 == 0 {
            counted += 1;
            count_up(a, counted);
        }
        for ((session, reliable), side) in ends.iter_mut().zip([&mut *a, &mut *b]) {
            while reliable.has_room()
                && let Some(message) = session.transmit(&mut side.replica, START_MS).unwrap()
            {
                reliable.send(message);
            }
        }
        for ((_, reliable), network) in ends.iter().zip(networks.iter_mut()) {
            reliable.datagrams().iter().for_each(|datagram| network.send(datagram));
        }
        for (at, side) in [(1, &mut *b), (0, &mut *a)] {
            let (session, reliable) = &mut ends[at];
            for datagram in networks[1 - at].arrived() {
                if let Some(message) = reliable.receive(&datagram) {
                    session.receive(&mut side.replica, &message, START_MS).unwrap();
                    side.heard(session);
                }
            }
        }
        if counted == changes && ends.iter().all(|(session, _)| session.is_settled()) {
            return turn;
        }
        assert!(turn < 200_000, "no end");
    }
    unreachable!()
}

#[test]
fn with_a_few_lines_that_send_again_one_session_is_enough_in_any_weather() {
    let losses = [0, 1, 10, 30, 50, 70, 90, 97].into_iter().enumerate();
    for (seed, lost) in losses.skip(or_under_miri(0, 3)).take(or_under_miri(8, 1)) {
        let seed = seed as u64;
        let weather = Weather { lost, repeated: 30, late: 50 };
        let (mut a, mut b) = (Side::new(replica(1)), Side::new(replica(2)));
        (0..or_under_miri(200, 10))
            .for_each(|n| set(&mut a.replica, n, n, "title", &"long enough for chunks ".repeat(40)));
        let there: u64 = {
            let everything = a.replica.difference(&VersionVector::new(), None, usize::MAX).unwrap();
            everything.documents.iter().map(|(_, document)| document.cell_count() as u64).sum()
        };
        let mut networks = [Network::new(seed, weather), Network::new(!seed, weather)];
        let turns = reliable_session(&mut a, &mut b, &mut networks, 0);
        assert_equal(&mut a.replica, &mut b.replica);
        // Nothing twice: exactly the cells that there are.
        assert_eq!((b.cells, a.cells), (there, 0), "{weather:?}, {turns} turns");

        let mut networks = [Network::new(seed + 50, weather), Network::new(!seed - 50, weather)];
        let changes = or_under_miri(20, 3);
        reliable_session(&mut a, &mut b, &mut networks, changes);
        assert_equal(&mut a.replica, &mut b.replica);
        assert_eq!(b.count, changes);
    }
}
