//! [`Element`]: numbers modulo the prime 2^61 − 1, in which sums of a sketch can be divided.

use core::ops::{AddAssign, Mul, Sub, SubAssign};

/// 2^61 − 1.
const PRIME: u64 = (1 << 61) - 1;

/// A number modulo 2^61 − 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element(u64);

impl Element {
    pub(crate) const ZERO: Self = Self(0);

    /// Of any 64 bits; spread evenly when they are.
    pub(crate) const fn new(bits: u64) -> Self {
        let folded = (bits & PRIME) + (bits >> 61);
        Self(if folded >= PRIME { folded - PRIME } else { folded })
    }

    /// As it was written; `None` for a number that is not one of the field.
    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        if bits < PRIME { Some(Self(bits)) } else { None }
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// One divided by this; 0 for 0. By Fermat's little theorem: raised to the power of the prime less two.
    pub(crate) fn inverse(self) -> Self {
        // 2^61 − 3: fifty-nine ones, a zero, a one.
        let (mut result, mut power) = (self, self * self);
        for bit in 1..61 {
            power = if bit == 1 { power } else { power * power };
            if bit != 1 {
                result = result * power;
            }
        }
        result
    }
}

impl AddAssign for Element {
    fn add_assign(&mut self, other: Self) {
        *self = Self::new(self.0 + other.0);
    }
}

impl Sub for Element {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::new(self.0 + (PRIME - other.0))
    }
}

impl SubAssign for Element {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Mul for Element {
    type Output = Self;

    #[allow(clippy::cast_possible_truncation)] // the parts of a product of two numbers of 61 bits
    fn mul(self, other: Self) -> Self {
        let product = u128::from(self.0) * u128::from(other.0);
        Self::new((product as u64 & PRIME) + (product >> 61) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tries;

    #[test]
    fn it_is_a_field() {
        fn property(a: u64, b: u64, c: u64) -> bool {
            let (a, b, c) = (Element::new(a), Element::new(b), Element::new(c));
            let sum = |mut x: Element, y| {
                x += y;
                x
            };
            let less = |mut x: Element, y| {
                x -= y;
                x
            };
            let one = Element::new(1);
            a * (b * c) == (a * b) * c
                && a * sum(b, c) == sum(a * b, a * c)
                && sum(a - b, b) == a
                && less(a, b) == a - b
                && (a.is_zero() || a * a.inverse() == one)
                && (b.is_zero() || (a * b) * b.inverse() == a)
        }
        tries::usually().quickcheck(property as fn(_, _, _) -> bool);
    }

    #[test]
    fn the_ends_of_the_range() {
        assert!(Element::new(PRIME).is_zero());
        assert_eq!(Element::new(u64::MAX), Element::new(u64::MAX % PRIME));
        assert_eq!(Element::from_bits(PRIME), None);
        let last = Element::new(PRIME - 1);
        assert_eq!(last * last, Element::new(1));
        assert_eq!(last.inverse(), last);
        assert!(Element::ZERO.inverse().is_zero());
    }
}
