//! How often a property is tried, and how much of a test is done under Miri.

mod under_miri;

use quickcheck::{Gen, QuickCheck};

#[allow(unused_imports, reason = "not every binary needs it")]
pub use under_miri::or_under_miri;

/// Under Miri a few times with small values: it is a thousand times slower, and looks for something else than a rare case.
fn few() -> QuickCheck {
    QuickCheck::new().tests(2).rng(Gen::new(6))
}

/// As often as usual.
#[allow(dead_code, reason = "not every binary needs it")]
pub fn usually() -> QuickCheck {
    if cfg!(miri) { few() } else { QuickCheck::new() }
}

/// So many times.
#[allow(dead_code, reason = "not every binary needs it")]
pub fn times(tries: u64) -> QuickCheck {
    if cfg!(miri) { few() } else { QuickCheck::new().tests(tries) }
}
