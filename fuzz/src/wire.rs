//! Seals and proofs as `PROTOCOL.md` has them, made anew: who fuzzes knows the key, so its messages get past the seal and
//! are read.

use std::hash::Hasher as _;

use crdt_core::Namespace;
use crdt_core::codec::{put_signed, put_unsigned};
use crdt_core::{Dot, Fingerprint};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use siphasher::sip::SipHasher24;

/// First bytes of messages.
pub mod kind {
    pub const HELLO: u8 = 1;
    pub const WANT: u8 = 2;
    pub const CHUNK: u8 = 3;
    pub const CHECKPOINT: u8 = 4;
    pub const PUSH: u8 = 5;
    pub const ACK: u8 = 6;
    pub const BYE: u8 = 7;
    pub const PUSH_OWN: u8 = 8;
    pub const PROOF: u8 = 9;
    pub const TOKEN: u8 = 10;
    pub const WELCOME: u8 = 11;
    pub const REFUSED: u8 = 12;
    pub const HEARD: u8 = 13;
    pub const ACK_REFUSED: u8 = 14;
}

/// Where a hello has the number that was drawn for the session.
const NONCE_AT: usize = 1 + 2 + 1 + 16 + 16 + 8;

/// Seals the messages of one direction.
#[derive(Clone, Debug)]
pub struct Seal {
    key: [u8; 16],
    next: u64,
}

impl Seal {
    /// For hello (number 0) and proof (number 1).
    pub const fn of_greeting(namespace: &Namespace, number: u64) -> Self {
        Self { key: *namespace.id(), next: number }
    }

    /// For all that follows.
    pub fn of_session(namespace: &Namespace, sender: u64, receiver: u64) -> Self {
        let mut key = [0; 16];
        for (half, out) in [0u64, 1].into_iter().zip(key.chunks_exact_mut(8)) {
            let mut hasher = SipHasher24::new_with_key(namespace.key());
            for number in [sender, receiver, half] {
                hasher.write(&number.to_le_bytes());
            }
            out.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        Self { key, next: 0 }
    }

    /// The message of a body.
    pub fn close(&mut self, body: &[u8]) -> Vec<u8> {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&self.next.to_le_bytes());
        hasher.write(body);
        self.next += 1;
        let check = hasher.finish().to_le_bytes();
        let len = if body.len() + 3 <= 128 { 3 } else { 8 };
        [body, &check[..len]].concat()
    }

    /// The last message was not taken: its number is free again.
    pub fn not_taken(&mut self) {
        self.next -= 1;
    }
}

/// A message without its seal.
pub fn body(message: &[u8]) -> &[u8] {
    let seal = if message.len() <= 128 { 3 } else { 8 };
    &message[..message.len().saturating_sub(seal)]
}

/// The number in a hello.
pub fn nonce(hello: &[u8]) -> u64 {
    let bytes = hello.get(NONCE_AT..NONCE_AT + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_le_bytes(bytes.unwrap_or_default())
}

/// The body of the proof of the side that sent `own` and received `other`.
pub fn proof(namespace: &Namespace, own: &[u8], other: &[u8], guarded: u8) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(namespace.key()).expect("a key may have any length");
    mac.update(b"rejoin proof 1\0");
    mac.update(namespace.id());
    mac.update(&(own.len() as u64).to_le_bytes());
    mac.update(own);
    mac.update(other);
    let mut body = vec![kind::PROOF];
    body.extend_from_slice(&mac.finalize().into_bytes()[..16]);
    body.push(guarded);
    body
}

/// Appends dots as a context or version vector.
pub fn put_dots(out: &mut Vec<u8>, dots: &[Dot]) {
    put_unsigned(out, dots.len() as u64);
    let mut last = 0u64;
    for dot in dots {
        out.extend_from_slice(dot.replica.as_bytes());
        put_signed(out, dot.counter.wrapping_sub(last).cast_signed());
        last = dot.counter;
    }
}

/// The body of a Want.
pub fn want(cursor: u64, seen_of_you: u64, seen: Option<&[Dot]>) -> Vec<u8> {
    let mut body = vec![kind::WANT];
    put_unsigned(&mut body, cursor);
    put_unsigned(&mut body, seen_of_you);
    body.push(seen.is_some().into());
    put_dots(&mut body, seen.unwrap_or_default());
    body
}

/// The body of a Checkpoint.
pub fn checkpoint(sequence: u64, root: Fingerprint, context: &[Dot], batch: &[u8]) -> Vec<u8> {
    let mut body = vec![kind::CHECKPOINT];
    put_unsigned(&mut body, sequence);
    body.extend_from_slice(&root.0.to_le_bytes());
    put_dots(&mut body, context);
    body.extend_from_slice(batch);
    body
}

/// The body of a Push.
pub fn push(steps: u64, own: u64, context: &[Dot], batch: &[u8]) -> Vec<u8> {
    let mut body = vec![kind::PUSH];
    put_unsigned(&mut body, steps);
    put_unsigned(&mut body, own);
    put_dots(&mut body, context);
    body.extend_from_slice(batch);
    body
}

/// The body of an Ack.
pub fn ack(sequence: u64, echo_steps: u64, root: Option<Fingerprint>, refused: u64) -> Vec<u8> {
    let mut body = if refused == 0 { vec![kind::ACK] } else { vec![kind::ACK_REFUSED] };
    if refused > 0 {
        put_unsigned(&mut body, refused);
    }
    put_unsigned(&mut body, sequence);
    put_unsigned(&mut body, echo_steps);
    body.extend(root.into_iter().flat_map(|root| root.0.to_le_bytes()));
    body
}

/// The body of a Refused.
pub fn refused(through: u64, changes: &[Dot], batch: &[u8]) -> Vec<u8> {
    let mut body = vec![kind::REFUSED];
    put_unsigned(&mut body, through);
    put_unsigned(&mut body, changes.len() as u64);
    for dot in changes {
        body.extend_from_slice(dot.replica.as_bytes());
        put_unsigned(&mut body, dot.counter);
        crdt_core::codec::put_refusal(&mut body, &crdt_core::Refusal::new(403, "no"));
    }
    body.extend_from_slice(batch);
    body
}

/// The body of a message that is one number.
pub fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut body = vec![kind];
    put_unsigned(&mut body, number);
    body
}

/// The body of a Welcome.
pub fn welcome(writes_all: bool, scope: u64, refused: u64) -> Vec<u8> {
    let mut body = vec![kind::WELCOME, writes_all.into()];
    body.extend_from_slice(&scope.to_le_bytes());
    put_unsigned(&mut body, refused);
    body
}
