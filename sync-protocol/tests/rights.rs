//! Random histories of a hub with clients of different rights, held against what the rights allow.
//!
//! Every transaction writes fields that no other one writes, so what became of it can be seen at the end. Replay one:
//! `RIGHTS_SEED=7 cargo test -p sync-protocol --test rights`.
#![allow(missing_docs)]

mod support;

use std::sync::Arc;

use crdt_core::{DocumentId, Dot, Durability, MemoryStore, Replica, TransactionError};
use support::{Random, START_MS, or_under_miri, replica};
use sync_protocol::door::{Applicant, Right, Rules};
use sync_protocol::{Config, Session};

const COLLECTIONS: [&str; 3] = ["notes", "plans", "wages"];
const RIGHTS: [Right; 6] =
    [Right::ReadWrite, Right::ReadWrite, Right::ReadWrite, Right::Read, Right::Write, Right::None];

/// What a client may do, per collection.
type Card = [Right; 3];

struct Written {
    author: usize,
    dot: Dot,
    /// Collection and document of each field that it wrote; all fields have the transaction's name.
    places: Vec<(usize, u64)>,
    field: String,
}

struct World {
    random: Random,
    hub: Replica<MemoryStore>,
    clients: Vec<(Replica<MemoryStore>, Card)>,
    written: Vec<Written>,
    now_ms: u64,
    /// Prints the story.
    tells: bool,
}

fn rules(card: Card) -> Rules {
    let rules = Rules::all(Right::None);
    COLLECTIONS.iter().zip(card).fold(rules, |rules, (name, right)| rules.collection(*name, right))
}

const fn writes(right: Right) -> bool {
    matches!(right, Right::Write | Right::ReadWrite)
}

const fn reads(right: Right) -> bool {
    matches!(right, Right::Read | Right::ReadWrite)
}

impl World {
    fn new(seed: u64, tells: bool) -> Self {
        let mut random = Random(seed);
        let clients = (0..2 + random.below(3)).map(|number| {
            let card = if random.below(3) == 0 {
                [Right::ReadWrite; 3]
            } else {
                std::array::from_fn(|_| RIGHTS[usize::try_from(random.below(6)).unwrap()])
            };
            let mut client = replica(10 + number);
            // From its first edit on: what is offline is to be decided by a server later.
            client.follow().unwrap();
            (client, card)
        });
        let clients = clients.collect();
        Self { hub: replica(1), clients, random, written: Vec::new(), now_ms: START_MS, tells }
    }

    fn pick(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn commit(&mut self) {
        let author = self.pick(self.clients.len());
        let count = 1 + self.pick(3);
        let mut places: Vec<(usize, u64)> =
            (0..count).map(|_| (self.pick(3), 1 + self.random.below(3))).collect();
        places.sort_unstable();
        places.dedup();
        let field = format!("change {}", self.written.len());
        let (now_ms, shape) = (self.now_ms, self.random.below(4));
        let done = self.clients[author].0.commit(now_ms, Durability::Visible, |tx| {
            for (collection, id) in &places {
                let mut document = tx.document(COLLECTIONS[*collection], DocumentId::from_u64(*id))?;
                document.set(field.as_str(), "written")?;
                match shape {
                    0 => document.increment("count", 1)?,
                    1 => document.set("shared", field.as_str())?,
                    2 => document.add_to("tags", field.as_str())?,
                    _ => {}
                }
            }
            Ok::<_, TransactionError>(())
        });
        let dot = done.unwrap().dot.unwrap();
        if self.tells {
            println!("{author} commits {field}: {dot:?} in {places:?}");
        }
        self.written.push(Written { author, dot, places, field });
    }

    /// A sync of a client with the hub that may break off.
    fn sync(&mut self, client: usize, breaks: bool) {
        let seed = self.random.next();
        let mut left = if breaks { self.random.below(30) } else { u64::MAX };
        if self.tells {
            println!("{client} syncs with rights {:?}", self.clients[client].1);
        }
        let (client, card) = &mut self.clients[client];
        let rules = rules(*card);
        let guard = move |_: &Applicant<'_>| Ok(rules.clone());
        let mut at_hub = Session::new(Config::new(seed), START_MS).guarded_by(Arc::new(guard));
        let mut at_client = Session::new(Config::new(seed + 1), START_MS).obeying();
        loop {
            let mut moved = false;
            while left > 0
                && let Some(message) = at_client.transmit(client, START_MS).unwrap()
            {
                at_hub.receive(&mut self.hub, &message, START_MS).unwrap();
                (moved, left) = (true, left - 1);
            }
            while left > 0
                && let Some(message) = at_hub.transmit(&mut self.hub, START_MS).unwrap()
            {
                at_client.receive(client, &message, START_MS).unwrap();
                (moved, left) = (true, left - 1);
            }
            if left == 0 {
                if self.tells {
                    println!("  (breaks off)");
                }
                return;
            }
            if !moved {
                assert!(at_hub.is_settled() && at_client.is_settled());
                return;
            }
        }
    }

    fn run(&mut self) {
        for _ in 0..or_under_miri(20, 8) + self.pick(or_under_miri(40, 2)) {
            self.now_ms += self.random.below(1_000);
            if self.pick(3) > 0 {
                self.commit();
            } else {
                let client = self.pick(self.clients.len());
                let breaks = self.pick(2) == 0;
                self.sync(client, breaks);
            }
        }
        // Twice round: the first brings all to the hub, the second brings all to everyone.
        for client in (0..self.clients.len()).cycle().take(2 * self.clients.len()) {
            self.sync(client, false);
        }
    }

    fn shows(replica: &mut Replica<MemoryStore>, collection: usize, id: u64, field: &str) -> bool {
        let view = replica.read(COLLECTIONS[collection], DocumentId::from_u64(id)).unwrap();
        view.get(field).unwrap().is_some()
    }

    fn check(&mut self) {
        for written in &self.written {
            let card = self.clients[written.author].1;
            let allowed = written.places.iter().all(|(collection, _)| writes(card[*collection]));
            let rejected = self.clients[written.author].0.rejected().unwrap();
            let kept = rejected.iter().any(|rejected| rejected.dot == written.dot);
            assert_eq!(kept, !allowed, "{} is in one place, and only there", written.field);
            for (collection, id) in &written.places {
                let at_hub = Self::shows(&mut self.hub, *collection, *id, &written.field);
                assert_eq!(at_hub, allowed, "{} at the hub", written.field);
                for (number, (client, card)) in self.clients.iter_mut().enumerate() {
                    let own = number == written.author;
                    let shown = Self::shows(client, *collection, *id, &written.field);
                    assert_eq!(
                        shown,
                        allowed && (own || reads(card[*collection])),
                        "{} at {number}",
                        written.field
                    );
                }
            }
        }
        // Whoever reads all holds all, byte for byte; whoever reads a part holds that part.
        let whole = self.hub.canonical_bytes().unwrap();
        for (client, card) in &mut self.clients {
            if card.iter().all(|right| reads(*right)) {
                assert_eq!(client.canonical_bytes().unwrap(), whole);
                assert_eq!(client.head().unwrap().root, self.hub.head().unwrap().root);
            }
            for (collection, _) in COLLECTIONS.iter().zip(card).filter(|(_, right)| reads(**right)) {
                let of = |replica: &mut Replica<MemoryStore>| -> Vec<_> {
                    let listed = replica.list(*collection, None, 100).unwrap();
                    listed.into_iter().map(|(id, view)| (id, view.state().clone())).collect()
                };
                assert_eq!(of(client), of(&mut self.hub));
            }
        }
    }
}

#[test]
fn rights_decide_what_is_where() {
    let (seeds, tells) = match std::env::var("RIGHTS_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            (seed..seed + 1, true)
        }
        Err(_) => (0..or_under_miri(400, 1), false),
    };
    for seed in seeds {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, tells);
            world.run();
            world.check();
        });
        if let Err(panic) = result {
            eprintln!("replay: RIGHTS_SEED={seed} cargo test -p sync-protocol --test rights");
            std::panic::resume_unwind(panic);
        }
    }
}
