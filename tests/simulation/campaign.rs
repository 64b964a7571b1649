//! Many histories, on a few threads, and what is said of those that fail.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::arguments::Arguments;
use crate::checker::{Promise, Violation};
use crate::draw::Taste;
use crate::faults::{Fault, Faults};
use crate::planted::Bug;
use crate::play::play;
use crate::plot::Plot;
use crate::shrink::shrink;
use crate::world::Tally;

/// Others build and test on the same machine.
const THREADS: usize = 2;

/// How many violations are kept, and how many of them are shrunk and told; more would say the same.
const KEPT: usize = 100;
const TOLD: usize = 3;

/// Seeds of the planted bugs' histories; fixed, so that a bug that is caught is always caught.
const FIRST_SEED: u64 = 5_000_000_000;

/// A bug that survives so many histories has won.
const PATIENCE: u64 = 4_000;

/// What a campaign came to.
#[derive(Debug, Default)]
pub struct Sum {
    pub histories: u64,
    pub tally: Tally,
    pub violations: u64,
    failed: Vec<(u64, Violation)>,
}

/// Plays so many histories.
pub fn histories(wish: &Arguments) -> Sum {
    let (next, sum) = (AtomicU64::new(0), Mutex::new(Sum::default()));
    let work = || {
        let mut mine = Sum::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= wish.histories {
                break;
            }
            let seed = wish.seed.wrapping_add(number);
            let played = play(&Plot::draw(seed, wish.taste), wish.bug, false);
            mine.histories += 1;
            mine.tally.steps += played.tally.steps;
            mine.tally.strikes.add(&played.tally.strikes);
            if let Some(violation) = played.violation {
                mine.violations += 1;
                if mine.failed.len() < KEPT {
                    mine.failed.push((seed, violation));
                }
            }
        }
        let mut sum = sum.lock().expect("no panic while it is held");
        sum.histories += mine.histories;
        sum.tally.steps += mine.tally.steps;
        sum.tally.strikes.add(&mine.tally.strikes);
        sum.violations += mine.violations;
        sum.failed.append(&mut mine.failed);
    };
    let threads = THREADS.min(usize::try_from(wish.histories).unwrap_or(THREADS));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().expect("no panic while it was held");
    sum.failed.sort_by_key(|(seed, _)| *seed);
    sum
}

impl Sum {
    /// The stories of the first violations.
    pub fn tell(&self, wish: &Arguments) {
        for (seed, violation) in self.failed.iter().take(TOLD) {
            tell(*seed, wish.taste, wish.bug, violation.promise);
        }
        for (seed, violation) in self.failed.iter().skip(TOLD).take(20) {
            eprintln!("also: seed {seed}: {}: {}", violation.promise, violation.what);
        }
    }

    /// One line of JSON.
    pub fn json(&self, wish: &Arguments, seconds: f64) -> String {
        let strikes: Vec<String> =
            self.tally.strikes.iter().map(|(fault, count)| format!("\"{fault}\":{count}")).collect();
        format!(
            "{{\"histories\":{},\"steps\":{},\"seconds\":{seconds:.1},\"violations\":{},\"seed\":{},\"faults\":{{{}}}}}",
            self.histories,
            self.tally.steps,
            self.violations,
            wish.seed,
            strikes.join(",")
        )
    }

    /// For people.
    pub fn say(&self) {
        println!("{} histories, {} steps, {} violations", self.histories, self.tally.steps, self.violations);
        let strikes: Vec<String> =
            self.tally.strikes.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        println!("faults: {}", strikes.join(", "));
    }
}

/// Plays some histories twice, once on real files: the same has to happen. True when it does.
///
/// That is what makes a seed worth anything; and that a history does not depend on the store is a check of the stores.
pub fn happens_again(wish: &Arguments, histories: u64) -> bool {
    let on_files = |share| Taste { sqlite_per_mille: share, ..wish.taste };
    (wish.seed..wish.seed + histories).all(|seed| {
        let [once, again] = [0, 1_000].map(|share| play(&Plot::draw(seed, on_files(share)), wish.bug, true));
        let differs = once.tale.iter().zip(&again.tale).find(|(one, other)| one != other);
        if let Some((one, other)) = differs {
            eprintln!("seed {seed} does not happen again:\n  {one}\n  {other}");
        }
        differs.is_none() && once.tale.len() == again.tale.len() && once.tally.steps == again.tally.steps
    })
}

/// Prints a history that broke a promise, made small, and how to see it again.
fn tell(seed: u64, taste: Taste, bug: Option<Bug>, promise: Promise) {
    let plot = shrink(Plot::draw(seed, taste), bug, promise);
    let played = play(&plot, bug, true);
    eprintln!("\nVIOLATION: {promise}, seed {seed}, {} events left", plot.scenes.len());
    story(&plot, &played.tale);
    if let Some(violation) = played.violation {
        eprintln!("  {}", violation.what);
    }
    let planted = bug.map(|bug| format!(" --bug {bug:?}")).unwrap_or_default();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for fault in Fault::ALL {
        match (Faults::promised().has(fault), taste.faults.has(fault)) {
            (true, false) => without.push(format!(" --without {fault}")),
            (false, true) => with.push(format!(" --with {fault}")),
            _ => {}
        }
    }
    let (with, without) = (with.concat(), without.concat());
    let sqlite = taste.sqlite_per_mille;
    eprintln!(
        "  replay: cargo xtask simulate --histories 1 --seed {seed} --sqlite {sqlite}{with}{without}{planted}"
    );
}

/// Prints who plays a part and declares what, and what happened.
pub fn story(plot: &Plot, tale: &[String]) {
    let mut declarations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let edits = plot.edits();
    for at in plot.actors() {
        for (name, declared) in &plot.cast[at].schema.collections {
            let declared = declared.only(|field| edits.contains(&(name, field)));
            if edits.iter().any(|(collection, _)| collection == name) {
                let who = crate::plot::Who(at).to_string();
                declarations.entry(format!("{name}: {declared}")).or_default().push(who);
            }
        }
    }
    for (declaration, who) in declarations {
        eprintln!("  {} declare {declaration}", who.join(", "));
    }
    for line in tale {
        eprintln!("  {line}");
    }
}

/// Plays every planted bug until it is caught, and then on until so many histories were played. True when all are.
pub fn catch_all(histories: u64, taste: Taste) -> bool {
    println!(
        "\n  {:<10} {:<60} {:>12} {:>10}  broken",
        "promise", "planted bug", "caught after", "caught in"
    );
    let (next, rows) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                    let Some(row) = Bug::ALL.get(number) else { break };
                    let row = catch(*row, histories, taste);
                    rows.lock().expect("no panic while it is held").insert(number, row);
                }
            });
        }
    });
    let rows = rows.into_inner().expect("no panic while it was held");
    for (_, row) in rows.values() {
        println!("{row}");
    }
    rows.values().all(|(caught, _)| *caught)
}

fn catch((bug, promise, name): (Bug, &str, &str), histories: u64, taste: Taste) -> (bool, String) {
    let mut taste = taste;
    if !matches!(bug, Bug::GuardSleeps | Bug::RefusedForgotten) {
        // A store that forgets what it was told to take back is refused without end, for as long as the connection holds.
        taste.faults.remove(Fault::Guard);
    }
    let mut broken: BTreeMap<Promise, u64> = BTreeMap::new();
    let (mut first, mut played) = (None, 0);
    while played < histories || (first.is_none() && played < PATIENCE) {
        let seed = FIRST_SEED + played;
        played += 1;
        if let Some(violation) = play(&Plot::draw(seed, taste), Some(bug), false).violation {
            first = first.or(Some(played));
            *broken.entry(violation.promise).or_default() += 1;
        }
    }
    let Some(first) = first else {
        return (false, format!("  {promise:<10} {name:<60} SURVIVED {played} histories"));
    };
    let total: u64 = broken.values().sum();
    let mut broken: Vec<(Promise, u64)> = broken.into_iter().collect();
    broken.sort_by_key(|(_, count)| Reverse(*count));
    let broken: Vec<String> = broken.iter().map(|(promise, count)| format!("{promise} {count}")).collect();
    let caught = format!("{total}/{played}");
    (true, format!("  {promise:<10} {name:<60} {first:>12} {caught:>10}  {}", broken.join(", ")))
}
