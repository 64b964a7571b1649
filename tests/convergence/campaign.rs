//! Many histories, on a few threads, and what is said of those that fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::failure::Failure;
use crate::history::History;
use crate::library::Library;
use crate::run::{Watch, play};
use crate::shrink::shrink;

/// Others build and test on the same machine.
const THREADS: usize = 2;

/// How many failures are shrunk and told; more would say the same.
const TOLD: usize = 3;

/// How many checks held, and how many did not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
}

impl Count {
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Does `work` for every number below `count`; the results are in the order of the numbers.
pub fn parallel<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let result = work(number);
                    done.lock().expect("no panic while it is held").push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic while it was held");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Plays so many histories on the library.
pub fn histories(count: u64, steps: usize, first_seed: u64) -> Count {
    let watch = if count == 1 { Watch::Always } else { Watch::Sampled };
    let one = |number: u64| {
        let seed = first_seed.wrapping_add(number);
        play::<Library>(&History::generate(seed, steps), (), watch).err().map(|failure| (seed, failure))
    };
    let failed: Vec<_> = parallel(count, one).into_iter().flatten().collect();
    for (seed, failure) in failed.iter().take(TOLD) {
        tell(*seed, steps, failure.clone());
    }
    Count { passed: count - failed.len() as u64, failed: failed.len() as u64 }
}

/// Prints a failing history, made small, and how to see it again.
fn tell(seed: u64, steps: usize, failure: Failure) {
    let (history, failure) = shrink::<Library>(History::generate(seed, steps), (), failure);
    println!(
        "\nFAILED: {}, seed {seed}, {} replicas, {} steps left",
        failure.property,
        history.replicas(),
        history.steps.len()
    );
    println!("{history}  {}", failure.what);
    println!(
        "  replay: cargo test -p rejoin --test convergence -- --histories 1 --steps {steps} --seed {seed}"
    );
}

/// Checks each of so many seeds.
pub fn each_seed(count: u64, first_seed: u64, check: impl Fn(u64) -> Result<(), Failure> + Sync) -> Count {
    let results = parallel(count, |number| {
        let seed = first_seed.wrapping_add(number);
        check(seed).map_err(|failure| (seed, failure))
    });
    let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    for (seed, failure) in failed.iter().take(TOLD) {
        println!("\nFAILED: {}, seed {seed}\n  {}", failure.property, failure.what);
    }
    Count { passed: count - failed.len() as u64, failed: failed.len() as u64 }
}
