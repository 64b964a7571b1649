//! In which symbols of a sketch an entry takes part: in the first, and from there on ever more rarely, in symbol *i* with
//! a chance of about 1 / (1 + i/2). That is the code of Yang, Gilad and Alizadeh, *Practical Rateless Set Reconciliation*
//! (SIGCOMM 2024), in whole numbers, so that every machine comes to the same.

/// The symbols of one entry, in order.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    state: u64,
    next: u64,
}

impl Mapping {
    pub(crate) const fn new(key: u32, salt: u64) -> Self {
        Self { state: mix(salt ^ (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)), next: 0 }
    }

    /// The next symbol that is less than `end`.
    #[allow(clippy::cast_possible_truncation)] // less than `end`
    pub(crate) fn next_below(&mut self, end: usize) -> Option<usize> {
        let index = self.next;
        if index >= end as u64 {
            return None;
        }
        // With u drawn evenly from (0, 1], the gap (i + 1.5)(1/√u − 1), rounded up, gives the chances above.
        self.state = mix(self.state);
        let root = (self.state | 1).isqrt().max(1);
        // 1/√u − 1 in units of 2^−24; √u is `root` in units of 2^−32.
        let factor = (1u64 << 56) / root - (1 << 24);
        let gap = u128::from(2 * index + 3) * u128::from(factor);
        let gap = gap.div_ceil(1 << 25).max(1);
        self.next = index.saturating_add(u64::try_from(gap).unwrap_or(u64::MAX));
        Some(index as usize)
    }
}

/// Sixty-four bits of which each depends on all that went in (the finaliser of `SplitMix64`).
pub(crate) const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::tries::or_under_miri;

    #[test]
    #[allow(clippy::cast_precision_loss)] // small numbers
    fn symbols_come_in_order_and_as_rarely_as_they_should() {
        let (entries, end) = (or_under_miri(20_000u32, 300), 1000);
        let mut hits = vec![0u32; end];
        for key in 0..entries {
            let mut mapping = Mapping::new(key, 7);
            let symbols: Vec<usize> = core::iter::from_fn(|| mapping.next_below(end)).collect();
            assert!(symbols[0] == 0 && symbols.is_sorted_by(|a, b| a < b));
            for index in symbols {
                hits[index] += 1;
            }
        }
        for (index, hits) in hits.iter().enumerate().step_by(37) {
            let expected = f64::from(entries) / (1.0 + index as f64 / 2.0);
            let off = (f64::from(*hits) - expected).abs() / expected.sqrt();
            assert!(off < 6.0, "symbol {index}: {hits} of {expected}");
        }
    }

    #[test]
    fn golden() {
        let mut mapping = Mapping::new(0xdead_beef, 1);
        let symbols: Vec<usize> = core::iter::from_fn(|| mapping.next_below(1000)).collect();
        assert_eq!(symbols, GOLDEN, "the mapping is part of the protocol");
    }

    const GOLDEN: &[usize] = &[0, 1, 2, 3, 4, 5, 10, 11, 16, 18, 38, 71, 83, 102, 132, 462, 682, 756];
}
