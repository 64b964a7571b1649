//! Packed messages: the cells of a message in fewer bytes, by LZ4.
//!
//! | bytes | |
//! |---|---|
//! | 1 | [`PACKED`] |
//! | *unsigned* | length of the body that was packed |
//! | the rest | that body, as one LZ4 block |
//!
//! Whoever sends decides; whoever receives takes both. Only messages that carry cells are packed, one at a time and
//! without memory of those before, so that nothing has to be kept equal on both sides. What is sealed is the packed body.

use alloc::vec;
use alloc::vec::Vec;

use crdt_core::LimitExceeded;
use crdt_core::codec::{DecodeError, Reader, put_unsigned};

use crate::message::carries_cells;

/// The first byte of a packed message.
pub(crate) const PACKED: u8 = 20;

/// Shorter bodies are sent as they are: a live change hardly repeats itself.
const WORTH_BYTES: usize = 200;

/// Longer ones too: how the compressor treats them depends on the machine's word size, and a session says the same bytes on
/// every machine. A batch is seldom that long, and then mostly because of one large value.
const LONGEST_BYTES: usize = u16::MAX as usize - 1;

/// No LZ4 block inflates to more than so many times its length: a byte of it stands for 255 at most.
const MAX_RATIO: usize = 255;

/// Packs a body if that makes it smaller.
pub(crate) fn pack(body: Vec<u8>) -> Vec<u8> {
    if body.len() <= WORTH_BYTES || body.len() > LONGEST_BYTES || !carries_cells(body[0]) {
        return body;
    }
    let block = lz4_flex::block::compress(&body);
    let mut packed = Vec::with_capacity(block.len() + 5);
    packed.push(PACKED);
    put_unsigned(&mut packed, body.len() as u64);
    packed.extend_from_slice(&block);
    if packed.len() < body.len() { packed } else { body }
}

/// The body that was packed; `None` for one that is not. Nothing is allocated before the length is known to be within
/// `limit`, and one that the block can have.
pub(crate) fn unpack(body: &[u8], limit: usize) -> Result<Option<Vec<u8>>, DecodeError> {
    if body.first() != Some(&PACKED) {
        return Ok(None);
    }
    let mut reader = Reader::new(&body[1..]);
    let length = reader.unsigned("the length of a packed message")?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    LimitExceeded::check("bytes of a packed message", length, limit)?;
    let block = reader.rest();
    if length > block.len().saturating_mul(MAX_RATIO) {
        return Err(DecodeError::Invalid("a packed message that cannot be as long as it says"));
    }
    let mut inflated = vec![0; length];
    match lz4_flex::block::decompress_into(block, &mut inflated) {
        Ok(found) if found == length => {}
        _ => return Err(DecodeError::Invalid("a packed message that does not inflate to what it says")),
    }
    match inflated.first() {
        Some(kind) if carries_cells(*kind) => Ok(Some(inflated)),
        _ => Err(DecodeError::Invalid("a packed message of a kind that is not packed")),
    }
}

#[cfg(test)]
mod tests {
    use crdt_core::{
        DocumentId, Durability, Head, Life, Limits, MemoryStore, Namespace, Replica, ReplicaId,
        TransactionError,
    };

    use super::*;
    use crate::drive::pump;
    use crate::message::Message;
    use crate::seal::Seal;
    use crate::under_miri::or_under_miri;
    use crate::{Config, Session, SessionError};

    const LIMIT: usize = Limits::DEFAULT.message_bytes;

    fn chunk(len: usize) -> Vec<u8> {
        Message::Chunk(&b"the same again ".repeat(len / 15 + 1)[..len - 1]).encode()
    }

    fn packed(length: u64, block: &[u8]) -> Vec<u8> {
        let mut packed = vec![PACKED];
        put_unsigned(&mut packed, length);
        packed.extend_from_slice(block);
        packed
    }

    #[test]
    fn what_repeats_itself_is_packed_and_comes_back() {
        for len in [201, 1_000, 60_000, LONGEST_BYTES].into_iter().take(or_under_miri(4, 2)) {
            let body = chunk(len);
            let packed = pack(body.clone());
            assert!(packed.len() < len / 4, "{len} bytes became {}", packed.len());
            assert_eq!(unpack(&packed, LIMIT).unwrap().unwrap(), body);
        }
    }

    #[test]
    fn what_does_not_get_smaller_is_sent_as_it_is() {
        let mut random = 1u64;
        let mut noise = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random.to_be_bytes()[0]
        };
        let noise: Vec<u8> = (0..1_000).map(|_| noise()).collect();
        for body in [Message::Chunk(&noise).encode(), chunk(200), chunk(LONGEST_BYTES + 1)] {
            assert_eq!(pack(body.clone()), body);
            assert_eq!(unpack(&body, LIMIT), Ok(None));
        }
        // Nor what has a place of its own in the handshake.
        let token = Message::Token(crate::message::Token { shown: Some(&[7; 1_000]), obeys: false }).encode();
        assert_eq!(pack(token.clone()), token);
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let body = chunk(1_000);
        let block = lz4_flex::block::compress(&body);
        for length in [0, 1, 999, 1_001, 5_000, LIMIT as u64, LIMIT as u64 + 1, u64::MAX] {
            assert!(unpack(&packed(length, &block), LIMIT).is_err(), "{length}");
        }
        assert_eq!(unpack(&packed(1_000, &block), LIMIT), Ok(Some(body)));
        assert!(unpack(&packed(1_000, &block), 999).is_err());
    }

    /// Nothing is allocated for what a block cannot hold, so a few bytes never cost megabytes.
    #[test]
    fn a_bomb_is_told_from_its_length() {
        for block in [&[][..], &[0xff], &[0x1f, 3, 1, 0, 0xff, 0xff, 0xff], &[0xff; 1_000]] {
            let most = block.len() * MAX_RATIO;
            let error = unpack(&packed(most as u64 + 1, block), LIMIT).unwrap_err();
            assert_eq!(error, DecodeError::Invalid("a packed message that cannot be as long as it says"));
        }
        let within = unpack(&packed(LIMIT as u64 + 1, &vec![0xff; 100_000]), LIMIT).unwrap_err();
        assert!(matches!(within, DecodeError::Limit(_)), "{within:?}");
        // The densest block that there is stays within the ratio.
        let most = or_under_miri(LIMIT, 40_000);
        let body = Message::Chunk(&vec![0; most - 1]).encode();
        let packed = packed(most as u64, &lz4_flex::block::compress(&body));
        assert!(packed.len() * 256 > body.len(), "{}", packed.len());
        assert_eq!(unpack(&packed, LIMIT), Ok(Some(body)));
    }

    #[test]
    fn cut_blocks_are_errors_and_altered_ones_stay_within_bounds() {
        let packed = pack(chunk(3_000));
        for cut in (1..packed.len()).step_by(or_under_miri(1, 7)) {
            assert!(unpack(&packed[..cut], LIMIT).is_err(), "cut at {cut}");
        }
        for bit in (8..packed.len() * 8).step_by(or_under_miri(1, 29)) {
            let mut altered = packed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            if let Ok(Some(other)) = unpack(&altered, LIMIT) {
                // A block has several ways to say the same; that nothing was altered is the seal's business.
                assert!(other.len() <= MAX_RATIO * packed.len() && carries_cells(other[0]), "bit {bit}");
            }
        }
    }

    #[test]
    fn only_what_carries_cells_is_packed_so_nothing_is_packed_twice() {
        for body in [pack(chunk(3_000)), Message::Heard(7).encode(), vec![0; 300], Vec::new()] {
            let block = lz4_flex::block::compress(&body);
            assert!(unpack(&packed(body.len() as u64, &block), LIMIT).is_err());
        }
    }

    fn replica(number: u64) -> Replica<MemoryStore> {
        let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
        Replica::new(MemoryStore::new(head))
    }

    /// A peer that knows the key and packs what is not right: the session says what is wrong, goes on, and nothing of it
    /// reaches the store.
    #[test]
    fn a_session_refuses_bad_packs_and_goes_on() {
        let (mut a, mut b) = (replica(1), replica(2));
        let (mut at_a, mut at_b) = (Session::new(Config::new(1), 0), Session::new(Config::new(2), 0));
        pump(&mut at_a, &mut a, &mut at_b, &mut b, 0).unwrap();
        let mut seal = Seal::of_session(&Namespace::from_secret("test"), 2, 1);
        // The two greetings have a seal of their own.
        (2..at_b.status().traffic.messages_sent).for_each(|_| seal.accept());
        let before = (a.head().unwrap(), a.canonical_bytes().unwrap());
        let good = pack(chunk(3_000));
        let nested = packed(good.len() as u64, &lz4_flex::block::compress(&good));
        let heard = Message::Heard(1).encode();
        let other = packed(heard.len() as u64, &lz4_flex::block::compress(&heard));
        // The last one inflates, to what is no batch.
        for bad in [packed(u64::MAX, &good), packed(4_000_000, &[0; 9]), nested, other, good] {
            let mut message = bad;
            seal.clone().close(&mut message);
            let refused = at_a.receive(&mut a, &message, 0);
            assert!(matches!(refused, Err(SessionError::Decode(_))), "{refused:?}");
            assert_eq!((a.head().unwrap(), a.canonical_bytes().unwrap()), before);
        }
        b.commit(0, Durability::Durable, |tx| {
            tx.document("tasks", DocumentId::from_u64(1))?.set("title", "again and ".repeat(300).as_str())?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
        let message = at_b.transmit(&mut b, 0).unwrap().unwrap();
        assert_eq!(message[0], PACKED);
        assert!(message.len() < 200, "{} bytes", message.len());
        at_a.receive(&mut a, &message, 0).unwrap();
        assert_eq!(a.head().unwrap().root, b.head().unwrap().root);
    }
}
