//! [`Sketch`]: sums over all that is held, from which the difference of two replicas can be read.
//!
//! What a replica holds is a long row of numbers: per *slot* (32 bits of a keyed hash of the document's address) the sum
//! of its cells' fingerprints in a field of 61 bits, 0 where nothing is. Two rows differ in as many places as documents
//! differ, whether one side lacks a document or holds another state of it. Each symbol of a sketch is two sums over the
//! slots that [map](super::mapping) to it: of the numbers, and of number × slot. Sketches are subtracted symbol by symbol,
//! and then a symbol to which a single differing slot maps gives it away: it is the second sum divided by the first. Taken
//! out of its other symbols, it leaves some of them with a single slot in turn.
//!
//! With sums instead of a set, as Yang et al. have it, a document that is held in two states is one difference, not two,
//! and a symbol needs no count and no check of its own: a quotient that is no slot, or none of this symbol, is not taken.

use alloc::vec;
use alloc::vec::Vec;

use super::field::Element;
use super::mapping::Mapping;
use crate::small_map::SmallSet;

/// Where a document is in the row: 32 bits of a keyed hash of its address. Few share one, and that does no harm.
pub type Slot = u32;

/// Two sums of a sketch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    pub(crate) values: Element,
    pub(crate) products: Element,
}

impl Symbol {
    /// Bytes of an encoded symbol.
    pub const BYTES: usize = 16;

    fn add(&mut self, slot: Slot, value: Element) {
        self.values += value;
        self.products += value * Element::new(slot.into());
    }

    fn minus(self, other: Self) -> Self {
        Self { values: self.values - other.values, products: self.products - other.products }
    }

    fn is_zero(self) -> bool {
        self.values.is_zero() && self.products.is_zero()
    }

    /// The only slot in the sums, if it is one.
    fn only_slot(self) -> Option<Slot> {
        if self.values.is_zero() {
            return None;
        }
        Slot::try_from((self.products * self.values.inverse()).to_bits()).ok()
    }

    /// Eight bytes each, little-endian.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.values.to_bits().to_le_bytes());
        bytes[8..].copy_from_slice(&self.products.to_bits().to_le_bytes());
        bytes
    }

    /// `None` for sums beyond the field.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let half = |from: usize| bytes[from..from + 8].try_into().map(u64::from_le_bytes).ok();
        Some(Self { values: Element::from_bits(half(0)?)?, products: Element::from_bits(half(8)?)? })
    }
}

/// Symbols of all that a replica holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    /// Which symbols a slot maps to.
    salt: u64,
    symbols: Vec<Symbol>,
}

impl Sketch {
    /// Of nothing.
    pub fn new(salt: u64, symbols: usize) -> Self {
        Self { salt, symbols: vec![Symbol::default(); symbols] }
    }

    /// Of symbols that a peer made.
    pub const fn from_symbols(salt: u64, symbols: Vec<Symbol>) -> Self {
        Self { salt, symbols }
    }

    /// The symbols.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    pub(crate) fn truncate(&mut self, symbols: usize) {
        self.symbols.truncate(symbols);
    }

    /// Adds to what a slot holds.
    pub(crate) fn add(&mut self, slot: Slot, value: Element) {
        let mut mapping = Mapping::new(slot, self.salt);
        while let Some(index) = mapping.next_below(self.symbols.len()) {
            self.symbols[index].add(slot, value);
        }
    }

    /// The slots in which two replicas differ, in order, from sketches of equal salt and length; `None` when there are too
    /// few symbols to tell. Linear in the symbols and the differences.
    pub fn difference(&self, other: &Self) -> Option<Vec<Slot>> {
        debug_assert!(self.salt == other.salt && self.symbols.len() == other.symbols.len());
        let pairs = self.symbols.iter().zip(&other.symbols);
        let mut left = Self { salt: self.salt, symbols: pairs.map(|(a, b)| a.minus(*b)).collect() };
        let (mut found, mut waiting) =
            (SmallSet::new(), (0..left.symbols.len()).rev().collect::<Vec<usize>>());
        while let Some(index) = waiting.pop() {
            let Some(slot) = left.symbols[index].only_slot() else { continue };
            if !maps_to(slot, self.salt, index) {
                continue;
            }
            // Found twice, it was not the only one the first time; and there can be no more than symbols.
            if found.insert(slot, ()).is_some() || found.len() > left.symbols.len() {
                return None;
            }
            let value = left.symbols[index].values;
            let mut mapping = Mapping::new(slot, self.salt);
            while let Some(index) = mapping.next_below(left.symbols.len()) {
                let symbol = &mut left.symbols[index];
                let mut taken = Symbol::default();
                taken.add(slot, value);
                *symbol = symbol.minus(taken);
                waiting.push(index);
            }
        }
        left.symbols.iter().all(|symbol| symbol.is_zero()).then(|| found.into_keys())
    }
}

fn maps_to(slot: Slot, salt: u64, index: usize) -> bool {
    let mut mapping = Mapping::new(slot, salt);
    while let Some(next) = mapping.next_below(index + 1) {
        if next == index {
            return true;
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "quickcheck calls its properties by value")]
mod tests {
    use std::collections::BTreeMap;

    use super::super::mapping::mix;
    use super::*;
    use crate::tries::{self, or_under_miri};

    fn of(row: &BTreeMap<Slot, u64>, salt: u64, symbols: usize) -> Sketch {
        let mut sketch = Sketch::new(salt, symbols);
        for (slot, value) in row {
            sketch.add(*slot, Element::new(*value));
        }
        sketch
    }

    fn differing(a: &BTreeMap<Slot, u64>, b: &BTreeMap<Slot, u64>) -> Vec<Slot> {
        let value = |row: &BTreeMap<Slot, u64>, slot: &Slot| Element::new(*row.get(slot).unwrap_or(&0));
        let mut slots: Vec<Slot> = a.keys().chain(b.keys()).copied().collect();
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|slot| value(a, slot) != value(b, slot));
        slots
    }

    #[test]
    fn what_is_found_is_the_difference() {
        fn property(a: BTreeMap<Slot, u64>, b: BTreeMap<Slot, u64>, salt: u64) -> bool {
            let expected = differing(&a, &b);
            let symbols = 3 * expected.len() + 8;
            let found = of(&a, salt, symbols).difference(&of(&b, salt, symbols));
            found.is_none_or(|found| found == expected)
        }
        tries::usually().quickcheck(property as fn(_, _, _) -> bool);
    }

    #[test]
    fn too_few_symbols_never_lie() {
        fn property(a: BTreeMap<Slot, u64>, b: BTreeMap<Slot, u64>, symbols: u8) -> bool {
            let symbols = usize::from(symbols % 12) + 1;
            let found = of(&a, 0, symbols).difference(&of(&b, 0, symbols));
            found.is_none_or(|found| found == differing(&a, &b))
        }
        tries::usually().quickcheck(property as fn(_, _, _) -> bool);
    }

    #[test]
    fn the_order_of_adding_and_taking_out_makes_no_difference() {
        fn property(a: BTreeMap<Slot, u64>, gone: BTreeMap<Slot, u64>) -> bool {
            let mut sketch = of(&a, 1, 40);
            for (slot, value) in &gone {
                sketch.add(*slot, Element::new(*value));
            }
            for (slot, value) in &gone {
                sketch.add(*slot, Element::ZERO - Element::new(*value));
            }
            sketch == of(&a, 1, 40)
        }
        tries::usually().quickcheck(property as fn(_, _) -> bool);
    }

    #[test]
    fn symbols_round_trip() {
        fn property(values: u64, products: u64) -> bool {
            let symbol = Symbol { values: Element::new(values), products: Element::new(products) };
            Symbol::from_bytes(symbol.to_bytes()) == Some(symbol)
        }
        tries::usually().quickcheck(property as fn(_, _) -> bool);
    }

    /// A symbol in which the numbers of two slots cancel out is not empty.
    #[test]
    fn two_that_cancel_out_are_not_nothing() {
        let mut sketch = Sketch::new(0, 1);
        sketch.add(3, Element::new(9));
        sketch.add(4, Element::ZERO - Element::new(9));
        assert_eq!(sketch.difference(&Sketch::new(0, 1)), None);
    }

    #[test]
    fn one_symbol_is_enough_for_one_slot() {
        let sketch = of(&BTreeMap::from([(3, 9)]), 0, 1);
        assert_eq!(sketch.difference(&Sketch::new(0, 1)), Some(vec![3]));
    }

    /// From a hostile peer: the slot is in its symbols with two different numbers, so that it never comes out of all of them.
    #[test]
    fn a_sketch_that_contradicts_itself_comes_to_an_end() {
        let mut sketch = of(&BTreeMap::from([(3, 9)]), 0, 8);
        sketch.symbols[0].add(3, Element::new(1));
        assert_eq!(sketch.difference(&Sketch::new(0, 8)), None);
    }

    /// How many symbols are needed is what the protocol's request for them is reckoned from.
    #[test]
    fn the_symbols_that_are_asked_for_are_enough() {
        let usually = [(1u64, 300u64), (4, 300), (20, 200), (100, 100), (1000, 20), (10_000, 2)];
        for (differences, rounds) in usually.into_iter().take(or_under_miri(6, 3)) {
            let rounds = rounds.min(or_under_miri(rounds, 2));
            // As many as are asked for when the estimate is a sixth short.
            let symbols = super::super::estimate::symbols_for(differences * 5 / 6);
            let mut failed = 0;
            for round in 0..rounds {
                let row = (0..differences).map(|n| {
                    let bits = mix(n ^ mix(round));
                    ((bits >> 32) as Slot, bits | 1)
                });
                let row: BTreeMap<Slot, u64> = row.collect();
                let found = of(&row, round, symbols).difference(&Sketch::new(round, symbols));
                match found {
                    Some(found) => assert_eq!(found.len(), row.len()),
                    None => failed += 1,
                }
            }
            assert!(failed * 50 <= rounds, "{differences}: {failed} of {rounds} failed with {symbols}");
        }
    }
}
