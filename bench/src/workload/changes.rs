//! W2, W3: changes of single fields, as they are made, and after some time offline.

use super::documents::on_the_wire;
use super::{FIELDS, filled};
use crate::data::{Key, Value, digest, retitled};
use crate::library::Library;
use crate::measured::Measured;

const NOTES: u64 = 10_000;
/// So many changes are received one by one.
const RECEIVED: usize = 10_000;

fn edits(count: u64, by: u64) -> Vec<(Key, Value)> {
    let edits = (0..count).map(|edit| retitled(edit, NOTES, by));
    edits.map(|(note, title)| (Key::of(note), title)).collect()
}

/// W2: titles of 10,000 notes overwritten, one transaction each.
pub fn overwrite<L: Library>(measured: &mut Measured, size: u64) {
    let edits = edits(size, 1);
    let set = |library: &mut L, (key, title): &(Key, Value)| library.set(key, &[("title", title.clone())]);
    let base = filled::<L>(1, NOTES).snapshot();
    measured.bytes("snapshot before", base.len());

    let mut alone = L::load(2, &base);
    measured.phase("overwrite", || edits.iter().for_each(|edit| set(&mut alone, edit)));
    let snapshot = alone.snapshot();
    measured.bytes("snapshot after", snapshot.len());
    measured.figure("snapshot growth times", snapshot.len() as f64 / base.len() as f64);
    let contents = alone.contents(&FIELDS);
    drop((alone, snapshot));

    let (mut a, mut b) = met(&base);
    let (mut at_a, mut at_b) = L::connect(&mut a, &mut b);
    let messages = measured.phase("overwrite, with the message of each", || {
        let send = |edit| {
            set(&mut a, edit);
            a.message(&mut at_a)
        };
        edits.iter().map(send).collect::<Vec<_>>()
    });
    let bytes: usize = messages.iter().map(Vec::len).sum();
    measured.figure("message bytes", bytes as f64 / messages.len() as f64);
    // Whatever names documents in short knows all of them by the end.
    let last = &messages[messages.len() - messages.len().min(1000)..];
    measured
        .figure("message at last bytes", last.iter().map(Vec::len).sum::<usize>() as f64 / last.len() as f64);
    let received = &messages[..messages.len().min(RECEIVED)];
    measured.phase("receive one by one", || {
        for message in received {
            b.receive(&mut at_b, message);
        }
    });
    for message in &messages[received.len()..] {
        b.receive(&mut at_b, message);
    }
    assert!(b.contents(&FIELDS) == contents, "both hold the same");
    drop((a, b, messages));

    let (mut a, mut b) = met(&base);
    let mut met = L::Met::default();
    L::sync(&mut a, &mut b, &mut met);
    for edit in &edits {
        set(&mut a, edit);
    }
    let wire = measured.phase("one sync", || L::sync(&mut a, &mut b, &mut met));
    on_the_wire(measured, "one sync", wire);
    assert!(b.contents(&FIELDS) == contents, "both hold the same");
    measured.digest = Some(digest(&contents));
}

/// Two replicas of the same notes.
fn met<L: Library>(base: &[u8]) -> (L, L) {
    let (mut a, mut b) = (L::load(2, base), L::load(3, base));
    a.will_sync();
    b.will_sync();
    (a, b)
}

/// W3: two replicas that have met, each offline for so many edits; then they sync.
pub fn both_offline<L: Library>(measured: &mut Measured, size: u64) {
    let (mut a, mut b) = met::<L>(&filled::<L>(1, NOTES).snapshot());
    let mut met = L::Met::default();
    L::sync(&mut a, &mut b, &mut met);
    // Each has its own half of the notes: which of two concurrent titles is shown is not the same in every library.
    for (replica, half) in [(&mut a, 0), (&mut b, 1)] {
        for edit in 0..size {
            let (note, title) = retitled(edit, NOTES / 2, half);
            replica.set(&Key::of(note * 2 + half), &[("title", title)]);
        }
    }
    let wire = measured.phase("sync", || L::sync(&mut a, &mut b, &mut met));
    on_the_wire(measured, "sync", wire);
    let contents = a.contents(&FIELDS);
    assert!(b.contents(&FIELDS) == contents, "both hold the same");
    measured.digest = Some(digest(&contents));
}
