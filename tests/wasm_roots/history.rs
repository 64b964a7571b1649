//! [`History`]: a few replicas, what they commit, and who meets whom.

use crdt_core::Value;

use crate::random::Random;
use crate::schemas::{schemas, some_edit};
use crate::values;
use crate::words::{Action, Doc, Edit, Schema};

/// The third is never declared.
pub const COLLECTIONS: [&str; 3] = ["notes", "tasks", "loose"];

const START_MS: u64 = 1_700_000_000_000;

pub struct History {
    pub seed: u64,
    pub replicas: Vec<Replica>,
    pub steps: Vec<Step>,
}

/// How a replica starts.
pub struct Replica {
    /// A version 4 UUID.
    pub id: [u8; 16],
    pub life: u64,
    pub schema: Schema,
}

pub enum Step {
    Commit(Commit),
    Meet(Meet),
}

/// A transaction.
pub struct Commit {
    pub at: usize,
    pub now_ms: u64,
    pub edits: Vec<Edit>,
    /// The closure fails at its end.
    pub abort: bool,
}

/// A session of two replicas.
pub struct Meet {
    pub pair: [usize; 2],
    pub now_ms: u64,
    pub nonces: [u64; 2],
    /// The connection breaks after so many messages.
    pub cut: Option<usize>,
}

impl History {
    /// The history of a seed. It ends with sessions after which all replicas have met.
    pub fn generate(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + random.below(4);
        let schemas = schemas(&mut random, count);
        let replicas: Vec<Replica> =
            schemas.into_iter().map(|schema| some_replica(&mut random, schema)).collect();
        let mut docs: Vec<Doc> = COLLECTIONS
            .into_iter()
            .flat_map(|collection| (1..=2).map(move |id| Doc { collection, id }))
            .collect();
        // Often few documents, so that replicas get into each other's way.
        let first = random.below(docs.len());
        docs.rotate_left(first);
        docs.truncate(random.pick(&[1, 2, 6]));
        let large_steps = random.chance(20);
        let mut now_ms = START_MS;
        let mut steps = Vec::new();
        for _ in 0..20 + random.below(30) {
            now_ms += random.weighted(&[(3, 0), (2, 1), (2, 250), (1, 30_000)]);
            let at = random.below(count);
            steps.push(if random.chance(70) {
                let edits = random.weighted(&[(1, 0), (50, 1), (25, 2), (15, 4), (5, 12)]);
                let schema = &replicas[at].schema;
                let edits = (0..edits).map(|_| {
                    let doc = random.pick(&docs);
                    varied(some_edit(&mut random, schema, doc), large_steps, &mut random)
                });
                let edits = edits.collect();
                // Clocks need not be right.
                let now_ms = now_ms.saturating_add_signed(random.pick(&[0, 0, 0, -900, 130_000]));
                Step::Commit(Commit { at, now_ms, edits, abort: random.chance(4) })
            } else {
                let other = (at + 1 + random.below(count - 1)) % count;
                let cut = random.chance(25).then(|| 1 + random.below(6));
                Step::Meet(Meet { pair: [at, other], now_ms, nonces: [random.next(), random.next()], cut })
            });
        }
        // Everyone writes once more without having met, which leaves conflicts to look at.
        for (at, replica) in replicas.iter().enumerate() {
            let edit = some_edit(&mut random, &replica.schema, docs[0]);
            let edits = vec![varied(edit, large_steps, &mut random)];
            steps.push(Step::Commit(Commit { at, now_ms, edits, abort: false }));
        }
        // To the first and from it: then it has everything, and everyone has what it has.
        for other in (1..count).chain(1..count) {
            let nonces = [random.next(), random.next()];
            steps.push(Step::Meet(Meet { pair: [0, other], now_ms, nonces, cut: None }));
        }
        Self { seed, replicas, steps }
    }
}

fn some_replica(random: &mut Random, schema: Schema) -> Replica {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.next().to_le_bytes());
    id[8..].copy_from_slice(&random.next().to_le_bytes());
    Replica { id: uuid::Builder::from_random_bytes(id).into_uuid().into_bytes(), life: random.next(), schema }
}

/// The same edit, mostly with another value; with large steps, counters overflow.
fn varied(edit: Edit, large_steps: bool, random: &mut Random) -> Edit {
    let other =
        |usual: Value, random: &mut Random| if random.chance(70) { values::value(random) } else { usual };
    let action = match edit.action {
        Action::Set(field, value) => Action::Set(field, other(value, random)),
        Action::Resolve(field, value) => Action::Resolve(field, other(value, random)),
        Action::Add(field, _) if random.chance(60) => Action::Add(field, values::element(random)),
        Action::Take(field, _) if random.chance(60) => Action::Take(field, values::element(random)),
        Action::Increment(field, _) if large_steps => {
            Action::Increment(field, random.pick(&[i64::MAX, i64::MIN, 9_007_199_254_740_993]))
        }
        action => action,
    };
    Edit { action, ..edit }
}
