//! The plot of a seed.
//!
//! Each history has only some of the fault classes, so that rare mixtures come up, and quiet ones in which a single fault
//! is not drowned by others.

use std::sync::{Arc, OnceLock};

use crdt_core::Value;

use crate::faults::{Fault, Faults};
use crate::guard::SERVER;
use crate::plot::{Cast, Commit, Event, Meet, Plot, Scene, Weather};
use crate::random::Random;
use crate::schemas::{schemas, some_edit};
use crate::words::{Action, COLLECTIONS, Doc, Edit};

/// Ten years.
const YEARS_MS: i64 = 10 * 31_557_600_000;

/// So many of a hundred histories have a server that refuses transactions.
const GUARDED: usize = 8;

/// Larger than half of what goes into one message, so that a run takes several.
const LONG_TEXT: usize = 40_000;

/// How plots are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Taste {
    pub faults: Faults,
    /// In so many of 1,000 histories some devices have real files.
    pub sqlite_per_mille: usize,
}

struct Draw {
    random: Random,
    /// Those of this history.
    faults: Faults,
    plot: Plot,
    /// Devices from the start; clones come after them.
    first: usize,
    /// Some values are long.
    bulky: bool,
}

impl Plot {
    /// The plot of a seed.
    pub fn draw(seed: u64, taste: Taste) -> Self {
        let mut random = Random::new(seed ^ 0x0051_7a6e);
        let mut faults = Faults::NONE;
        let crowd = random.weighted(&[(1, 0), (4, 25), (4, 50), (1, 90)]);
        for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Guard) {
            // Drawn for all, so that a class that is left out changes as little else as it can.
            if random.chance(crowd) && taste.faults.has(fault) {
                faults.insert(fault);
            }
        }
        // Drawn apart, so that the others are what they would be without it.
        let guarded = Random::new(seed ^ 0x9a4d).chance(GUARDED) && taste.faults.has(Fault::Guard);
        if guarded {
            // A fork is proven by what peers say, and a server that judges them does not believe it.
            for fault in [Fault::Clone, Fault::Restore, Fault::Rollback] {
                faults.remove(fault);
            }
        }
        let first = random.weighted(&[(6, 3), (5, 4), (3, 5), (2, 6), (1, 7), (1, 8)]);
        let clones = if faults.has(Fault::Clone) || faults.has(Fault::Rollback) { 2 } else { 0 };
        let mut declared = schemas(&mut random, first + clones);
        if !faults.has(Fault::Versions) {
            let common = declared[0].clone();
            declared.fill(common);
        }
        let files = random.below(1_000) < taste.sqlite_per_mille;
        let cast = declared.into_iter().enumerate().map(|(at, schema)| {
            // Drawn in any case, so that a history is the same on any store.
            let in_file = random.chance(60);
            let skewed = faults.has(Fault::Skew) && random.chance(40);
            Cast {
                schema,
                sqlite: files && in_file,
                skew_ms: if skewed { some_skew(&mut random) } else { 0 },
                clone: at >= first,
            }
        });
        let cast: Vec<Cast> = cast.collect();
        let ids = 1 + random.below(2) as u64;
        let docs =
            COLLECTIONS.into_iter().flat_map(|collection| (1..=ids).map(move |id| Doc { collection, id }));
        let bulky = random.chance(2);
        let plot = Self {
            seed,
            cast,
            docs: docs.collect(),
            // The last word of it might be refused.
            tests_clocks: faults.has(Fault::Correction) && !guarded,
            guarded,
            scenes: Vec::new(),
        };
        let mut draw = Draw { random, faults, plot, first, bulky };
        draw.scenes();
        draw.plot
    }
}

fn some_skew(random: &mut Random) -> i64 {
    let most = random.pick(&[50, 2_000, 90_000, 86_400_000, YEARS_MS]);
    let size = i64::try_from(random.next() % most.unsigned_abs()).expect("less than an i64");
    if random.chance(50) { size } else { -size }
}

impl Draw {
    fn scenes(&mut self) {
        let count = 30 + self.random.below(31);
        let hub = self.random.chance(40);
        let (mut at_ms, mut clones) = (0, 0);
        for _ in 0..count {
            at_ms += self.random.weighted(&[(3, 3), (4, 150), (3, 1_500), (1, 20_000)]);
            let devices = self.first + clones;
            let event = self.event(devices, hub);
            if let Event::Clone { .. } = event {
                clones += 1;
            }
            self.plot.scenes.push(Scene { at_ms, event });
        }
    }

    fn event(&mut self, devices: usize, hub: bool) -> Event {
        if self.random.chance(16)
            && let Some(fault) = self.accident(devices)
        {
            return fault;
        }
        match self.random.below(100) {
            0..50 => Event::Commit(self.commit(devices)),
            50..97 => Event::Meet(self.meet(devices, hub)),
            _ => Event::Look { at: self.random.below(devices) },
        }
    }

    fn commit(&mut self, devices: usize) -> Commit {
        let at = self.random.below(devices);
        let count = self.random.weighted(&[(50, 1), (25, 2), (15, 3), (9, 5)]);
        let mut edits = Vec::new();
        for _ in 0..count {
            let doc = self.random.pick(&self.plot.docs);
            edits.push(some_edit(&mut self.random, &self.plot.cast[at].schema, doc));
        }
        if self.bulky && self.random.chance(50) {
            edits.push(self.long_edit());
        }
        Commit { at, edits, durable: self.random.chance(40), abort: self.random.chance(3) }
    }

    fn long_edit(&mut self) -> Edit {
        static LONG: OnceLock<Arc<str>> = OnceLock::new();
        let text = LONG.get_or_init(|| "0123456789".repeat(LONG_TEXT / 10).into());
        let doc = self.random.pick(&self.plot.docs);
        let doc = Doc { collection: COLLECTIONS[2], ..doc };
        let field = self.random.pick(&["a", "b", "c"]);
        Edit { doc, at: &[], action: Action::Set(field, Value::Text(text.clone())) }
    }

    fn meet(&mut self, devices: usize, hub: bool) -> Meet {
        let hub = hub || self.plot.guarded;
        let one = if hub && self.random.chance(70) { 0 } else { self.random.below(devices) };
        let mut other = (one + 1 + self.random.below(devices - 1)) % devices;
        if self.plot.guarded && one != SERVER {
            other = SERVER;
        }
        let ends = if self.random.chance(50) { [one, other] } else { [other, one] };
        let for_ms = self.random.weighted(&[(3, 1_000), (3, 5_000), (2, 60_000), (1, 200_000)]);
        Meet { ends, weather: self.weather(), for_ms, seed: self.random.next() }
    }

    fn weather(&mut self) -> Weather {
        let mut weather = Weather {
            latency_ms: self.random.weighted(&[(2, 1), (4, 20), (3, 150), (1, 1_500)]),
            ..Weather::FAIR
        };
        if !self.random.chance(45) {
            return weather;
        }
        let mut percent = |fault: Fault, most: usize| {
            let strikes = self.faults.has(fault) && self.random.chance(60);
            if strikes { 1 + self.random.below(most) } else { 0 }
        };
        weather.loss = percent(Fault::Loss, 12);
        weather.duplication = percent(Fault::Duplication, 30);
        weather.reordering = percent(Fault::Reordering, 12);
        weather.corruption = percent(Fault::Corruption, 8);
        if self.faults.has(Fault::Cut) && self.random.chance(40) {
            weather.cut_after = Some(1 + self.random.next() % 14);
        }
        if self.faults.has(Fault::Slow) && self.random.chance(40) {
            weather.room = 1 + self.random.below(3);
            weather.reads_late_ms = self.random.pick(&[400, 4_000, 20_000]);
        }
        weather
    }

    /// Something of the classes of this history.
    fn accident(&mut self, devices: usize) -> Option<Event> {
        let at = self.random.below(devices);
        let for_ms = self.random.pick(&[500, 5_000, 60_000]);
        // Copies come before what uses them.
        let copies = [Fault::Clone, Fault::Restore, Fault::Rollback];
        let copied = copies.into_iter().any(|fault| self.faults.has(fault));
        let free = self.plot.cast.len() > devices;
        let classes: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| self.faults.has(*fault)).collect();
        if copied && self.random.chance(35) {
            return Some(Event::Copy { at });
        }
        let class = if classes.is_empty() { return None } else { self.random.pick(&classes) };
        Some(match class {
            Fault::Partition => {
                let side = 1 << at | 1 << self.random.below(devices);
                Event::Partition { side, for_ms }
            }
            Fault::Crash => Event::Crash { at, down_ms: for_ms / 5 },
            Fault::Restore => Event::Restore { at, noticed: true },
            Fault::Rollback if free && self.random.chance(30) => {
                Event::Clone { of: at, to: devices, noticed: false }
            }
            Fault::Rollback => Event::Restore { at, noticed: false },
            Fault::Clone if free => Event::Clone { of: at, to: devices, noticed: true },
            Fault::Jump => Event::Jump { at, by_ms: some_skew(&mut self.random) },
            Fault::Freeze => Event::Freeze { at, for_ms },
            Fault::Correction => Event::Correct { at },
            Fault::Versions => Event::Stranger { at },
            // Somebody has to be left, and a hub stays.
            Fault::Leave if at > 1 => Event::Leave { at },
            _ => return None,
        })
    }
}
