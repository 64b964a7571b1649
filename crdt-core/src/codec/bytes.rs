//! Integers and lengths, and a [`Reader`] that never reads past its input.

use alloc::vec::Vec;

use crate::limits::{LimitExceeded, Limits};

/// Bytes that are not what they should be. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends in the middle of something: it was cut.
    #[error("the input was cut: it ends inside {0}")]
    Truncated(&'static str),
    /// There are bytes after the end.
    #[error("{0} bytes are left over after the end")]
    TrailingBytes(usize),
    /// An integer is longer than need be, or does not fit 64 bits.
    #[error("an integer is not in its shortest form or exceeds 64 bits")]
    BadInteger,
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    BadText,
    /// A tag that this version does not know: the writer is newer, or the bytes are damaged.
    #[error("unknown {what} {tag}")]
    UnknownTag {
        /// What the tag should say.
        what: &'static str,
        /// What it says.
        tag: u64,
    },
    /// A number points beyond its table.
    #[error("{what} {index} is not in the dictionary")]
    UnknownEntry {
        /// Which table.
        what: &'static str,
        /// Where it points.
        index: u64,
    },
    /// Something that no writer makes.
    #[error("not a valid encoding: {0}")]
    Invalid(&'static str),
    /// Larger than the limits of the namespace.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

/// Appends an unsigned integer: seven bits a byte, the lowest first, the high bit set on all but the last (LEB128).
pub fn put_unsigned(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        #[allow(clippy::cast_possible_truncation)] // the low seven bits are what is meant
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[allow(clippy::cast_possible_truncation)] // less than 0x80
    out.push(number as u8);
}

/// Appends a signed integer: small in size when small in magnitude (zigzag, then as unsigned).
pub fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_unsigned(out, (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_unsigned(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the `put` functions wrote.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// How many values were read, those within values included.
    values: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, values: 0 }
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left, without taking them.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end.
    pub fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(*first)
    }

    /// Takes so many bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes an array.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer bytes.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    /// [`DecodeError::BadInteger`] when it is not in its shortest form or too large.
    pub fn unsigned(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::BadInteger);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(DecodeError::BadInteger) } else { Ok(number) };
            }
        }
        Err(DecodeError::BadInteger)
    }

    /// Reads a signed integer.
    ///
    /// # Errors
    /// As [`Reader::unsigned`].
    pub fn signed(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let bits = self.unsigned(what)?;
        Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }

    /// Reads a number of things that take at least one byte each, so a count beyond the input is refused at once.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when the input cannot hold so many.
    pub fn count(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let count = self.unsigned(what)?;
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() => Ok(count),
            _ => Err(DecodeError::Truncated(what)),
        }
    }

    /// Reads a length and as many bytes, up to a limit.
    ///
    /// # Errors
    /// [`DecodeError::Limit`] beyond the limit, [`DecodeError::Truncated`] when the bytes are not there.
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.unsigned(what)?).unwrap_or(usize::MAX);
        LimitExceeded::check(what, len, limit)?;
        self.take(len, what)
    }

    /// Reads a length and as much text, up to a limit of bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`]; [`DecodeError::BadText`].
    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(self.bytes(what, limit)?).map_err(|_| DecodeError::BadText)
    }

    /// Counts one more value, because a value takes much more memory than bytes.
    pub(super) fn count_value(&mut self, limits: &Limits) -> Result<(), DecodeError> {
        self.values += 1;
        Ok(LimitExceeded::check("values of a message", self.values, limits.values)?)
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`].
    pub const fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes(self.rest.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn integers_round_trip_in_their_shortest_form() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_unsigned(&mut out, number);
            assert_eq!(Reader::new(&out).unsigned("n"), Ok(number));
            put_signed(&mut out, number.cast_signed());
            let mut reader = Reader::new(&out);
            reader.unsigned("n").unwrap();
            assert_eq!(reader.signed("n"), Ok(number.cast_signed()));
            assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn bad_integers_are_refused() {
        let read = |bytes: &[u8]| Reader::new(bytes).unsigned("n");
        assert_eq!(read(&[]), Err(DecodeError::Truncated("n")));
        assert_eq!(read(&[0x80]), Err(DecodeError::Truncated("n")));
        assert_eq!(read(&[0x80, 0]), Err(DecodeError::BadInteger), "overlong");
        assert_eq!(read(&[0xff; 10]), Err(DecodeError::BadInteger), "too large");
        let mut two_to_the_64 = vec![0x80; 9];
        two_to_the_64.push(2);
        assert_eq!(read(&two_to_the_64), Err(DecodeError::BadInteger));
    }

    #[test]
    fn lengths_beyond_the_input_or_the_limit_are_refused_before_anything_is_taken() {
        assert_eq!(Reader::new(&[5, 1, 2]).bytes("b", 9), Err(DecodeError::Truncated("b")));
        assert!(matches!(Reader::new(&[3, 1, 2, 3]).bytes("b", 2), Err(DecodeError::Limit(_))));
        assert_eq!(Reader::new(&[3, 1, 2, 3]).bytes("b", 3), Ok(&[1, 2, 3][..]));
        assert_eq!(Reader::new(&[2, 0xc3, 0x28]).text("t", 9), Err(DecodeError::BadText));
        assert_eq!(Reader::new(&[200, 1]).count("c"), Err(DecodeError::Truncated("c")));
    }
}
