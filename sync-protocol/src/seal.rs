//! The seal at the end of every message: a keyed check over the bytes and the message's number in its session.
//!
//! The number itself is not sent. A receiver that expects number n finds out from the check whether it got n, one that
//! it had before (the transport repeated it), one that is too early (the transport lost or reordered some), or bytes
//! that are damaged or come from another session.

use alloc::vec::Vec;
use core::hash::Hasher as _;

use crdt_core::Namespace;
use siphasher::sip::SipHasher24;

/// Messages up to this length have a short check: they are the live changes, in which every byte counts.
const SHORT_MESSAGE: usize = 128;
const SHORT_CHECK: usize = 3;
const LONG_CHECK: usize = 8;

/// How far back and ahead a message is recognised, and of a large one, for which each look costs its length again.
const HORIZON: u64 = 64;
const LEAST_HORIZON: u64 = 4;

/// About how many bytes are looked at to recognise a message in one direction.
const LOOKED_AT: u64 = 1 << 20;

/// Seals and opens the messages of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Seal {
    key: [u8; 16],
    next: u64,
}

/// What a sealed message turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened<'a> {
    /// The one that was expected.
    Next(&'a [u8]),
    /// One that was opened before.
    Repeated,
    /// One from further on: so many are missing before it.
    Early(u64),
    /// None of this session, or damaged.
    Broken,
}

impl Seal {
    /// The seal of the first two messages, hello and proof. It is against damage only: whoever knows the namespace's id
    /// can make it, so that a wrong key is told from a bad line.
    pub(crate) const fn of_greeting(namespace: &Namespace) -> Self {
        Self { key: *namespace.id(), next: 0 }
    }

    /// The seal of one direction of one session, from what both sides drew for it.
    pub(crate) fn of_session(namespace: &Namespace, sender: u64, receiver: u64) -> Self {
        let mut key = [0; 16];
        for (half, out) in key.chunks_exact_mut(8).enumerate() {
            let mut hasher = SipHasher24::new_with_key(namespace.key());
            hasher.write_u64(sender.to_le());
            hasher.write_u64(receiver.to_le());
            hasher.write_u64((half as u64).to_le());
            out.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        Self { key, next: 0 }
    }

    fn check(&self, number: u64, body: &[u8]) -> [u8; LONG_CHECK] {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&number.to_le_bytes());
        hasher.write(body);
        hasher.finish().to_le_bytes()
    }

    /// Appends the check of the next message.
    pub(crate) fn close(&mut self, message: &mut Vec<u8>) {
        let check = self.check(self.next, message);
        let len = if message.len() + SHORT_CHECK <= SHORT_MESSAGE { SHORT_CHECK } else { LONG_CHECK };
        message.extend_from_slice(&check[..len]);
        self.next += 1;
    }

    /// Finds out which message this is. Only [`Seal::accept`] moves on.
    pub(crate) fn open<'a>(&self, message: &'a [u8]) -> Opened<'a> {
        let check_len = if message.len() <= SHORT_MESSAGE { SHORT_CHECK } else { LONG_CHECK };
        let Some(split) = message.len().checked_sub(check_len) else { return Opened::Broken };
        let (body, check) = message.split_at(split);
        let is = |number: u64| self.check(number, body).starts_with(check);
        if is(self.next) {
            return Opened::Next(body);
        }
        let horizon = (LOOKED_AT / message.len().max(1) as u64).clamp(LEAST_HORIZON, HORIZON);
        if (self.next.saturating_sub(horizon)..self.next).any(is) {
            return Opened::Repeated;
        }
        (1..=horizon).find(|ahead| is(self.next + ahead)).map_or(Opened::Broken, Opened::Early)
    }

    /// The expected message was taken.
    pub(crate) fn accept(&mut self) {
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::under_miri::or_under_miri;

    fn pair() -> (Seal, Seal) {
        let seal = Seal::of_session(&Namespace::from_secret("s"), 1, 2);
        (seal.clone(), seal)
    }

    fn sealed(seal: &mut Seal, body: &[u8]) -> Vec<u8> {
        let mut message = body.to_vec();
        seal.close(&mut message);
        message
    }

    #[test]
    fn messages_open_in_order_and_the_rest_is_told_apart() {
        let usually = [0, 1, 124, 125, 128, 129, 126, 127, 1000];
        for len in usually.into_iter().take(or_under_miri(9, 4)) {
            let (mut to, mut from) = pair();
            let messages: Vec<_> = (0..3).map(|n| sealed(&mut to, &vec![n; len])).collect();
            assert_eq!(from.open(&messages[1]), Opened::Early(1));
            assert_eq!(from.open(&messages[0]), Opened::Next(&vec![0; len]));
            from.accept();
            assert_eq!(from.open(&messages[0]), Opened::Repeated);
            assert_eq!(from.open(&messages[2]), Opened::Early(1));
            assert_eq!(from.open(&messages[1]), Opened::Next(&vec![1; len]));
        }
    }

    /// Whoever sends large messages that open as nothing, and may not even know the key, must not keep us busy for seconds.
    #[test]
    fn a_large_message_is_looked_for_in_few_places() {
        for (len, horizon) in [(1_000, HORIZON), (100_000, 10), (2 << 20, LEAST_HORIZON)] {
            if len > or_under_miri(usize::MAX, 10_000) {
                continue;
            }
            let (mut to, mut from) = pair();
            from.next = horizon;
            to.next = 2 * horizon;
            assert_eq!(from.open(&sealed(&mut to, &vec![7; len])), Opened::Early(horizon));
            assert_eq!(from.open(&sealed(&mut to, &vec![7; len])), Opened::Broken);
            to.next = 0;
            assert_eq!(from.open(&sealed(&mut to, &vec![7; len])), Opened::Repeated);
            from.next += 1;
            to.next = 0;
            assert_eq!(from.open(&sealed(&mut to, &vec![7; len])), Opened::Broken);
        }
    }

    #[test]
    fn damage_and_other_sessions_are_noticed() {
        let (mut to, from) = pair();
        let message = sealed(&mut to, b"a change");
        for bit in (0..message.len() * 8).step_by(or_under_miri(1, 37)) {
            let mut flipped = message.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(from.open(&flipped), Opened::Broken, "bit {bit}");
        }
        let cuts = (0..message.len()).step_by(or_under_miri(1, 5));
        cuts.for_each(|cut| assert_eq!(from.open(&message[..cut]), Opened::Broken));
        let other = Seal::of_session(&Namespace::from_secret("s"), 1, 3);
        assert_eq!(other.open(&message), Opened::Broken);
    }
}
