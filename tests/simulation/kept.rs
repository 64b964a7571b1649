//! [`all_pass`]: histories that once were told as violations, made small and written down, so that they do not depend on
//! how plots are drawn.

use crdt_core::Value;

use crate::play::play;
use crate::plot::{Cast, Commit, Event, Meet, Plot, Scene, Weather};
use crate::words::{Action, COLLECTIONS, Declared, Doc, Edit, Schema};

const YEAR_MS: i64 = 31_557_600_000;

/// What a history is about, and the plot of it.
type Kept = (&'static str, fn() -> Plot);

const KEPT: [Kept; 3] = [
    ("an edit beneath what was cleared by something that is withheld", edits_beneath_what_is_withheld),
    ("an edit of what a deletion took that was written again", edits_what_is_deleted_again),
    ("a change that is refused in two sessions at once", is_refused_twice_at_once),
];

/// Plays them all. True when each keeps all promises.
pub fn all_pass() -> bool {
    let mut pass = true;
    for (about, plot) in KEPT {
        let played = play(&plot(), None, true);
        if let Some(violation) = played.violation {
            pass = false;
            eprintln!("\nVIOLATION: {}, in the kept history of {about}", violation.promise);
            played.tale.iter().for_each(|line| eprintln!("  {line}"));
            eprintln!("  {}\n  replay: cargo test -p rejoin --test simulation", violation.what);
        }
    }
    pass
}

/// Of bob's three transactions the last one is from too far ahead for ada. It has emptied the field that the first one
/// wrote, and ada has that field in no other form. She shows a deleted document, which it is by the other two, and edits
/// it: what she replaces by that, nobody can ask her to exceed.
fn edits_beneath_what_is_withheld() -> Plot {
    let [ada, bob] = [0, 1];
    let doc = Doc { collection: COLLECTIONS[2], id: 1 };
    let scenes = vec![
        (6_000, commit(bob, doc, vec![Action::Set("a", Value::Int(1))])),
        (6_003, commit(bob, doc, vec![Action::Delete])),
        (8_500, commit(bob, doc, vec![Action::Set("b", Value::Int(2))])),
        (8_600, meet(ada, bob)),
        (10_000, commit(ada, doc, vec![Action::Set("c", Value::Int(3))])),
    ];
    plot(doc, &Schema::default(), &[-38_000, 25_000], scenes)
}

/// Ada deletes by a wrong clock, cy brings the document back, and ada, who has not heard of that when she learns about her
/// clock, deletes it again. Cy sees it deleted then; his next edit clears what dot had added.
fn edits_what_is_deleted_again() -> Plot {
    let [ada, bob, cy, dot] = [0, 1, 2, 3];
    let doc = Doc { collection: COLLECTIONS[1], id: 1 };
    let mut schema = Schema::default();
    schema.collections.insert(doc.collection, Declared { delete_wins: true, ..Declared::default() });
    let scenes = vec![
        (1_000, commit(ada, doc, vec![Action::Ensure, Action::Delete])),
        (1_100, meet(ada, cy)),
        (3_000, commit(dot, doc, vec![Action::Add("b", Value::Int(6))])),
        (3_100, meet(ada, bob)),
        (5_000, commit(cy, doc, vec![Action::Set("a", Value::Int(1))])),
        (5_100, meet(ada, dot)),
        (7_000, meet(cy, ada)),
        (9_000, commit(cy, doc, vec![Action::Set("c", Value::Int(2))])),
    ];
    plot(doc, &schema, &[6 * YEAR_MS, 0, 7 * YEAR_MS, 0], scenes)
}

/// Bob's change is under way in a slow session when a fast one begins. The server refuses it in both. When bob has heard of
/// that in the fast one, his next live change is under way in the slow one already.
fn is_refused_twice_at_once() -> Plot {
    let [ada, bob] = [0, 1];
    let doc = Doc { collection: COLLECTIONS[2], id: 1 };
    let mut slow = meet(ada, bob);
    if let Event::Meet(meet) = &mut slow {
        (meet.weather.latency_ms, meet.for_ms) = (150, 60_000);
    }
    let scenes = vec![
        (450, commit(ada, doc, vec![Action::Set("a", Value::Int(1))])),
        (20_000, slow),
        (47_000, commit(bob, doc, vec![Action::Set("b", Value::Int(2))])),
        (47_153, commit(ada, doc, vec![Action::Set("c", Value::Int(3))])),
        (47_156, meet(bob, ada)),
    ];
    Plot { guarded: true, ..plot(doc, &Schema::default(), &[0, 0], scenes) }
}

fn plot(doc: Doc, schema: &Schema, skews_ms: &[i64], scenes: Vec<(u64, Event)>) -> Plot {
    let cast = skews_ms.iter().map(|skew_ms| Cast {
        schema: schema.clone(),
        sqlite: false,
        skew_ms: *skew_ms,
        clone: false,
    });
    Plot {
        seed: 1,
        cast: cast.collect(),
        docs: vec![doc],
        tests_clocks: false,
        guarded: false,
        scenes: scenes.into_iter().map(|(at_ms, event)| Scene { at_ms, event }).collect(),
    }
}

fn commit(at: usize, doc: Doc, actions: Vec<Action>) -> Event {
    let edits = actions.into_iter().map(|action| Edit { doc, at: &[], action }).collect();
    Event::Commit(Commit { at, edits, durable: true, abort: false })
}

fn meet(one: usize, other: usize) -> Event {
    Event::Meet(Meet { ends: [one, other], weather: Weather::FAIR, for_ms: 1_000, seed: 1 })
}
