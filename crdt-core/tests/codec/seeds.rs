//! Deterministic random cases: every run tries the same ones, and a failure says how to see its case alone.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use quickcheck::Gen;

#[path = "../tries/under_miri.rs"]
mod under_miri;

pub use under_miri::or_under_miri;

const SEED: &str = "REJOIN_SEED";

/// Checks one random case per seed. With `REJOIN_SEED` set, only the case of that seed.
pub fn each_case(cases: u64, check: impl Fn(&mut Random)) {
    let only = std::env::var(SEED).ok().map(|seed| seed.parse().expect("REJOIN_SEED is a whole number"));
    // Under Miri two, or more where a case is so small that there are thousands.
    let cases = or_under_miri(cases, cases.min(2).max(cases / 500));
    for seed in only.map_or(1..=cases, |only| only..=only) {
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&mut Random::new(seed))));
        if let Err(panic) = outcome {
            let (binary, thread) = (env!("CARGO_CRATE_NAME"), std::thread::current());
            let test = thread.name().unwrap_or_default();
            eprintln!("replay: {SEED}={seed} cargo test -p crdt-core --test {binary} {test}");
            resume_unwind(panic);
        }
    }
}

/// A small generator (splitmix64).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub const fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Less than `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("less than a usize")
    }

    pub fn one_of<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// For what quickcheck can make already.
    pub fn generator(&mut self) -> Gen {
        Gen::from_size_and_seed(8, self.next())
    }
}
