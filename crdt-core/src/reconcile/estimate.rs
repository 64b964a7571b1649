//! [`Estimate`]: about how many slots two replicas differ in, from a few bytes.
//!
//! Half of all slots belong to the first level, a quarter to the second, and so on; each level sums its slots in 64 bins.
//! A bin that differs holds a differing slot, so the share of bins that do tells how many there are; the level in
//! which some do and some do not tells it best (Flajolet and Martin 1985 for the levels, Whang et al. 1990 for the
//! share).

use alloc::vec;
use alloc::vec::Vec;

use super::field::Element;
use super::mapping::mix;
use super::sketch::Slot;

const LEVELS: usize = 14;
const BINS: usize = 64;
/// Bins in a byte of what is told: two bits each. A bin that differs looks the same once in four times, which is
/// reckoned with; twice as many bins are worth more than bits that tell for sure.
const PER_BYTE: usize = 4;

/// Sums by level and bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    bins: Vec<Element>,
}

impl Default for Estimate {
    fn default() -> Self {
        Self { bins: vec![Element::ZERO; LEVELS * BINS] }
    }
}

impl Estimate {
    /// Bytes of what is told to a peer.
    pub const BYTES: usize = LEVELS * BINS / PER_BYTE;

    pub(crate) fn add(&mut self, slot: Slot, value: Element) {
        let bits = mix(u64::from(slot) ^ 0x6573_7469_6d61_7465);
        let level = (bits.trailing_zeros() as usize).min(LEVELS - 1);
        let bin = (bits >> 58) as usize;
        self.bins[level * BINS + bin] += value;
    }

    pub(crate) fn bins(&self) -> &[Element] {
        &self.bins
    }

    pub(crate) fn bins_mut(&mut self) -> &mut [Element] {
        &mut self.bins
    }

    /// What a peer is told: the lowest two bits of every bin, the first bin lowest.
    #[allow(clippy::cast_possible_truncation)] // two bits
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut told = [0; Self::BYTES];
        for (byte, bins) in told.iter_mut().zip(self.bins.chunks(PER_BYTE)) {
            for (place, bin) in bins.iter().enumerate() {
                *byte |= ((bin.to_bits() & 3) as u8) << (2 * place);
            }
        }
        told
    }

    /// About how many slots differ from those of a peer that told this; 1 at least.
    pub fn differences(&self, told: &[u8; Self::BYTES]) -> u64 {
        let ours = self.to_bytes();
        let mut differing = [0usize; LEVELS];
        for (at, (a, b)) in ours.iter().zip(told).enumerate() {
            let unequal = a ^ b;
            let bins = (unequal | unequal >> 1) & 0b0101_0101;
            differing[at * PER_BYTE / BINS] += bins.count_ones() as usize;
        }
        // The first level that is not too full to tell, with all deeper ones: together they are a known share of all slots.
        let first = differing.iter().position(|bins| *bins <= FULL).unwrap_or(LEVELS - 1);
        let found: u64 = differing[first..].iter().map(|bins| BEHIND[(*bins).min(FULL)]).sum();
        ((found << first) / 16).max(1)
    }
}

/// A level in which more bins differ is too full.
const FULL: usize = 36;

/// In sixteenths: how many slots, thrown into 64 bins, are to be expected behind so many that are seen to differ:
/// 16 · ln(1 − k/48) / ln(1 − 1/64).
const BEHIND: [u64; FULL + 1] = [
    0, 21, 43, 66, 88, 112, 136, 160, 185, 211, 237, 264, 292, 321, 350, 381, 412, 444, 478, 512, 548, 585,
    623, 663, 704, 747, 793, 840, 889, 942, 997, 1055, 1116, 1182, 1252, 1327, 1408,
];

/// How many symbols to ask for when about so many slots differ: what decoding takes, and what the estimate may be short by.
pub fn symbols_for(differences: u64) -> usize {
    let needed = differences.saturating_mul(2).saturating_add(24);
    usize::try_from(needed).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tries::or_under_miri;

    /// Both sides have to put a slot into the same two bits.
    #[test]
    fn what_is_told_is_what_the_protocol_says() {
        let (mut estimate, mut bins) = (Estimate::default(), [0u128; 14 * 64]);
        let hash_of = |slot: &u32| mix(u64::from(*slot) ^ 0x6573_7469_6d61_7465);
        let beyond_the_last_level = (0..u32::MAX).find(|slot| hash_of(slot).trailing_zeros() > 13).unwrap();
        let some = (0..300u32).map(|n| n.wrapping_mul(0x9e37_79b9));
        for (n, slot) in some.chain([beyond_the_last_level]).enumerate() {
            let value = (n as u64) << 52 | 1;
            estimate.add(slot, Element::new(value));
            let hash = hash_of(&slot);
            let (level, bin) = (hash.trailing_zeros().min(13) as usize, (hash >> 58) as usize);
            bins[64 * level + bin] += u128::from(value);
        }
        let mut told = [0; 224];
        for (at, sum) in bins.into_iter().enumerate() {
            let lowest = u8::try_from((sum % ((1 << 61) - 1)) & 3).unwrap();
            told[at / 4] |= lowest << (2 * (at % 4));
        }
        assert_eq!(estimate.to_bytes(), told);
    }

    #[test]
    fn a_difference_beyond_all_levels_is_very_large_and_none_is_one() {
        let nothing = Estimate::default();
        assert_eq!(nothing.differences(&nothing.to_bytes()), 1);
        assert_eq!(nothing.differences(&[0xff; Estimate::BYTES]), (BEHIND[FULL] << 13) / 16);
    }

    #[test]
    #[allow(clippy::cast_precision_loss)] // small numbers
    fn it_is_about_right_for_any_number() {
        let usually = [1u64, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 100_000];
        for differences in usually.into_iter().take(or_under_miri(10, 4)) {
            let mut ratios: Vec<f64> = Vec::new();
            let rounds = or_under_miri(40, 10u64);
            for round in 0..rounds {
                let (mut a, mut b) = (Estimate::default(), Estimate::default());
                for n in 0..or_under_miri(2000, 50) + differences {
                    let bits = mix(n ^ mix(round));
                    let (slot, value) = ((bits >> 32) as Slot, Element::new(bits));
                    a.add(slot, value);
                    if n >= differences {
                        b.add(slot, value);
                    }
                }
                ratios.push(a.differences(&b.to_bytes()) as f64 / differences as f64);
            }
            ratios.sort_by(f64::total_cmp);
            let (median, nine_tenths) = (ratios[ratios.len() / 2], ratios[ratios.len() * 9 / 10]);
            assert!((0.6..1.5).contains(&median) && nine_tenths < 2.0, "{differences}: {ratios:?}");
        }
    }
}
