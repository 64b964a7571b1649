//! Peers that do not read, and apps that do not look: nothing grows for them.
#![allow(missing_docs)]

mod support;

use sync_protocol::drive::pump;
use sync_protocol::{Config, Session, SessionEvent};

use support::{START_MS, assert_equal, or_under_miri, replica, set};

fn sessions() -> (Session, Session) {
    (Session::new(Config::new(1), START_MS), Session::new(Config::new(2), START_MS))
}

/// One sends and does not read: the other owes it one acknowledgement, not one per change, and that one says all.
#[test]
fn a_peer_that_does_not_read_is_owed_one_acknowledgement() {
    let (mut a, mut b) = (replica(1), replica(2));
    let (mut at_a, mut at_b) = sessions();
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    for n in 0..or_under_miri(10_000, 40) {
        set(&mut b, n % 7, n, "title", &n.to_string());
        let push = at_b.transmit(&mut b, START_MS).unwrap().unwrap();
        at_a.receive(&mut a, &push, START_MS).unwrap();
    }
    let mut owed = 0;
    while let Some(message) = at_a.transmit(&mut a, START_MS).unwrap() {
        at_b.receive(&mut b, &message, START_MS).unwrap();
        owed += 1;
    }
    assert_eq!(owed, 1);
    assert!(at_a.is_settled() && at_b.is_settled());
    assert_eq!(at_b.status().acknowledged, b.head().unwrap().sequence);
    // Nothing of it is sent back, although more came than is remembered one by one.
    set(&mut a, 9, 20_000, "title", "and now ours");
    let push = at_a.transmit(&mut a, START_MS).unwrap().unwrap();
    assert!(push.len() < 100, "{} bytes for the first small change", push.len());
    at_b.receive(&mut b, &push, START_MS).unwrap();
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    assert!(at_a.is_settled() && at_b.is_settled());
    assert_eq!(at_a.status().acknowledged, a.head().unwrap().sequence);
    assert_equal(&mut a, &mut b);
}

/// An acknowledgement that stands for a live change and for a checkpoint says the root, as the checkpoint's would.
#[test]
fn an_acknowledgement_that_stands_for_several_says_the_root() {
    let (mut a, mut b) = (replica(1), replica(2));
    let (mut at_a, mut at_b) = sessions();
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    set(&mut a, 1, 1, "title", "a live change");
    let push = at_a.transmit(&mut a, START_MS).unwrap().unwrap();
    at_b.receive(&mut b, &push, START_MS).unwrap();
    // Too much for one message, so it goes as a run with a checkpoint.
    let (documents, len) = or_under_miri((300, 500), (6, 12_000));
    (0..documents).for_each(|n| set(&mut a, n, 2 + n, "title", &support::noise(n, len)));
    while let Some(message) = at_a.transmit(&mut a, START_MS).unwrap() {
        at_b.receive(&mut b, &message, START_MS).unwrap();
    }
    let ack = at_b.transmit(&mut b, START_MS).unwrap().unwrap();
    assert!(at_b.transmit(&mut b, START_MS).unwrap().is_none());
    at_a.receive(&mut a, &ack, START_MS).unwrap();
    assert_eq!(at_a.status().peer_root, Some(b.head().unwrap().root));
    assert_equal(&mut a, &mut b);
}

/// The same while the other has much to say itself, which it cannot: what is sent back in the end is bounded work, and
/// both come to hold the same.
#[test]
fn echoes_beyond_the_bound_are_sent_back_and_do_no_harm() {
    let (mut a, mut b) = (replica(1), replica(2));
    let (mut at_a, mut at_b) = sessions();
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    set(&mut a, 100, 0, "title", "waits for the peer to read");
    for n in 0..or_under_miri(6_000, 30) {
        set(&mut b, n % 7, n, "title", &n.to_string());
        let push = at_b.transmit(&mut b, START_MS).unwrap().unwrap();
        at_a.receive(&mut a, &push, START_MS).unwrap();
    }
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    assert!(at_a.is_settled() && at_b.is_settled());
    assert_equal(&mut a, &mut b);
}

/// Live changes for a peer that does not read are not queued: they stay in the change order, and are read from there.
#[test]
fn what_a_peer_does_not_read_waits_in_the_change_order() {
    let (mut a, mut b) = (replica(1), replica(2));
    let (mut at_a, mut at_b) = sessions();
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    for n in 0..or_under_miri(10_000, 60) {
        set(&mut a, n % or_under_miri(500, 5), n, "title", &n.to_string());
    }
    let before = at_a.status().traffic.messages_sent;
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    let messages = at_a.status().traffic.messages_sent - before;
    assert!(messages < 20, "{messages} messages for what is left of 10,000 changes");
    assert!(at_a.is_settled() && at_b.is_settled());
    assert_equal(&mut a, &mut b);
}

/// An app that does not take the events of a session gets the sums, and is told what it missed.
#[test]
fn events_that_nobody_takes_do_not_pile_up() {
    let (mut a, mut b) = (replica(1), replica(2));
    let (mut at_a, mut at_b) = sessions();
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    let changes = or_under_miri(5_000, 40);
    for n in 0..changes {
        set(&mut b, n % 7, n, "title", &n.to_string());
        pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    }
    let events: Vec<_> = std::iter::from_fn(|| at_a.poll_event()).collect();
    assert!(events.len() <= 1_025, "{}", events.len());
    let cells: u64 = events
        .iter()
        .map(|event| if let SessionEvent::Applied { cells, .. } = event { *cells } else { 0 })
        .sum();
    assert!(cells >= changes, "{cells}");
    let events: Vec<_> = std::iter::from_fn(|| at_b.poll_event()).collect();
    let last = events.iter().rev().find_map(|event| match event {
        SessionEvent::Acknowledged { sequence } => Some(*sequence),
        _ => None,
    });
    assert_eq!(last, Some(b.head().unwrap().sequence));
}
