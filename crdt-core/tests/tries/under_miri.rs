//! How much of a test is done under Miri, which is a thousand times slower than the machine and looks for something else
//! than a rare case or a large number: the same steps, fewer times.

/// The first of the two; under Miri the second.
#[allow(dead_code, reason = "not every binary needs it")]
pub const fn or_under_miri<N: Copy>(usually: N, under_miri: N) -> N {
    if cfg!(miri) { under_miri } else { usually }
}
