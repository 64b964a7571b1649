//! W5: many have written.

use std::collections::{HashMap, HashSet};

use super::documents::on_the_wire;
use super::{FIELDS, filled};
use crate::data::{Key, Value, digest, note, retitled};
use crate::library::Library;
use crate::measured::Measured;

/// W5: so many writers have inserted a note each; two replicas have all of it, and have met. Then one field is set.
pub fn one_change<L: Library>(measured: &mut Measured, size: u64) {
    let mut origin = L::new(1);
    for writer in 0..size {
        origin.insert_as(1_000 + writer, &note(writer));
    }
    let snapshot = origin.snapshot();
    drop(origin);
    let (mut a, mut b) = (L::load(2, &snapshot), L::load(3, &snapshot));
    a.will_sync();
    b.will_sync();
    let mut met = L::Met::default();
    L::sync(&mut a, &mut b, &mut met);
    // The first sync after they have met may have something to remember; the second one is what it is like from then on.
    for (edit, name) in [(0, "first"), (1, "sync")] {
        let (note, title) = retitled(edit, size, 1);
        a.set(&Key::of(note), &[("title", title)]);
        let wire = measured.phase(name, || L::sync(&mut a, &mut b, &mut met));
        on_the_wire(measured, name, wire);
    }
    let contents = b.contents(&FIELDS);
    assert!(contents == a.contents(&FIELDS), "both hold the same");
    measured.digest = Some(digest(&contents));
}

const NOTES: u64 = 50;

/// W5: so many writers have set a title of 50 notes, none knowing of another; they come in one by one.
pub fn heads<L: Library>(measured: &mut Measured, size: u64) {
    let mut base: L = filled(1, NOTES);
    let edits: Vec<_> = (0..size)
        .map(|edit| {
            let (_, title) = retitled(edit, NOTES, 1);
            (Key::of(edit % NOTES), title)
        })
        .collect();
    let (mut receiver, mut link, messages) = base.heads(&edits, "title");
    measured.figure("message bytes", messages.iter().map(Vec::len).sum::<usize>() as f64 / size as f64);
    measured.phase("merge", || messages.iter().for_each(|message| receiver.receive(&mut link, message)));
    // Which of the titles is shown is not the same in every library, but all of them show one that was written.
    let mut written: HashMap<&str, HashSet<&Value>> = HashMap::new();
    for (key, title) in &edits {
        written.entry(&key.text).or_default().insert(title);
    }
    let mut contents = receiver.contents(&FIELDS);
    assert_eq!(contents.len(), written.len().max(NOTES as usize), "all notes are there");
    for (key, note) in &mut contents {
        let title = note.remove("title").expect("every note has a title");
        let edits = written.get(key.as_str());
        assert!(edits.is_none_or(|edits| edits.contains(&title)), "somebody wrote what is shown");
    }
    measured.digest = Some(digest(&contents));
}
