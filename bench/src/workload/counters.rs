//! W6: one counter, eight replicas.

use crate::library::Counting;
use crate::measured::Measured;

const REPLICAS: u64 = 8;

/// W6: so many increments in all, an eighth by each replica; then one replica merges the others.
pub fn run<C: Counting>(measured: &mut Measured, size: u64) {
    let mut counters: Vec<C> = (1..=REPLICAS).map(C::new).collect();
    measured.phase("count", || counters.iter_mut().for_each(|counter| counter.count(size / REPLICAS)));
    let (mut first, mut sent) = (counters.remove(0), 0);
    measured.phase("merge", || {
        for counter in &mut counters {
            let encoded = counter.encode();
            sent += encoded.len();
            first.merge(&encoded);
        }
    });
    assert_eq!(first.value().cast_unsigned(), size / REPLICAS * REPLICAS, "every increment counts");
    measured.bytes("sent", sent);
    measured.bytes("merged", first.encode().len());
    measured.digest = Some(first.value().to_string());
}
