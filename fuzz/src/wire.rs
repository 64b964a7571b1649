//! Seals and proofs as `PROTOCOL.md` has them, made anew: who fuzzes knows the key, so its messages get past the seal and
//! are read.

use std::hash::Hasher as _;

use crdt_core::Namespace;
use crdt_core::codec::{put_signed, put_unsigned};
use crdt_core::reconcile::{Estimate, Slot, Symbol};
use crdt_core::{Dot, Fingerprint, Holding, Life, ReplicaId, Trail};
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
    pub const SKETCH: u8 = 15;
    pub const MORE: u8 = 16;
    pub const DIFFER: u8 = 17;
    pub const HELD: u8 = 18;
    pub const RESTART: u8 = 19;
    pub const PACKED: u8 = 20;
    pub const SCOPE: u8 = 22;
    pub const LOAD: u8 = 23;
    pub const PART: u8 = 24;
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

/// Appends the runs of a life.
pub fn put_trail(out: &mut Vec<u8>, trail: &Trail) {
    put_unsigned(out, trail.number);
    put_unsigned(out, trail.runs.len() as u64);
    trail.runs.iter().for_each(|run| out.extend_from_slice(&run.to_le_bytes()));
}

/// What a Hello and a Restart say of a replica.
#[derive(Clone, Debug)]
pub struct Said {
    pub replica: ReplicaId,
    pub life: Life,
    pub root: Fingerprint,
    pub sequence: u64,
    pub trail: Trail,
}

/// The body of a Hello.
pub fn hello(namespace: &Namespace, said: &Said, nonce: u64, now_ms: u64, durable: bool) -> Vec<u8> {
    let mut body = vec![kind::HELLO, b'r', b'j', 1];
    body.extend_from_slice(namespace.id());
    body.extend_from_slice(said.replica.as_bytes());
    body.extend_from_slice(&said.life.0.to_le_bytes());
    body.extend_from_slice(&nonce.to_le_bytes());
    body.extend_from_slice(&said.root.0.to_le_bytes());
    put_unsigned(&mut body, said.sequence);
    put_unsigned(&mut body, now_ms);
    body.push(durable.into());
    put_trail(&mut body, &said.trail);
    body
}

/// The body of a Restart.
pub fn restart(said: &Said) -> Vec<u8> {
    let mut body = vec![kind::RESTART];
    body.extend_from_slice(said.replica.as_bytes());
    body.extend_from_slice(&said.life.0.to_le_bytes());
    body.extend_from_slice(&said.root.0.to_le_bytes());
    put_unsigned(&mut body, said.sequence);
    put_trail(&mut body, &said.trail);
    body
}

/// How a Want asks.
pub mod by {
    pub const CURSOR: u8 = 0;
    pub const RECONCILING: u8 = 1;
    pub const SUSPICION: u8 = 2;
}

/// The body of a Want.
pub fn want(cursor: u64, seen_of_you: u64, memory: &crdt_core::Memory, by: u8) -> Vec<u8> {
    let mut body = vec![kind::WANT];
    put_unsigned(&mut body, cursor);
    put_unsigned(&mut body, seen_of_you);
    put_trail(&mut body, &memory.trail);
    put_unsigned(&mut body, memory.claimed);
    put_unsigned(&mut body, memory.cursor);
    body.push(by);
    body
}

/// The body of a Sketch.
pub fn sketch(
    [round, salt, total]: [u64; 3],
    estimate: Option<&[u8; Estimate::BYTES]>,
    symbols: &[[u8; Symbol::BYTES]],
) -> Vec<u8> {
    let mut body = vec![kind::SKETCH];
    for number in [round, salt, total] {
        put_unsigned(&mut body, number);
    }
    body.push(estimate.is_some().into());
    body.extend(estimate.into_iter().flatten());
    body.extend(symbols.iter().flatten());
    body
}

/// The body of a More.
pub fn more(round: u64, salt: u64, total: u64) -> Vec<u8> {
    let mut body = vec![kind::MORE];
    for number in [round, salt, total] {
        put_unsigned(&mut body, number);
    }
    body
}

/// The body of a Differ. The slots ascend.
pub fn differ(round: u64, last: bool, slots: &[Slot], holdings: &[Holding]) -> Vec<u8> {
    let mut body = vec![kind::DIFFER];
    put_unsigned(&mut body, round);
    body.push(last.into());
    put_unsigned(&mut body, slots.len() as u64);
    let mut before = 0;
    for slot in slots {
        put_unsigned(&mut body, u64::from(*slot - before));
        before = *slot;
    }
    put_holdings(&mut body, holdings);
    body
}

/// The body of a Held.
pub fn held(round: u64, last: bool, holdings: &[Holding]) -> Vec<u8> {
    let mut body = vec![kind::HELD];
    put_unsigned(&mut body, round);
    body.push(last.into());
    put_unsigned(&mut body, holdings.len() as u64);
    put_holdings(&mut body, holdings);
    body
}

fn put_holdings(out: &mut Vec<u8>, holdings: &[Holding]) {
    let dots = |holding: &Holding| match holding {
        Holding::Document { dots, .. } => dots.clone(),
        _ => Vec::new(),
    };
    let mut replicas: Vec<ReplicaId> = holdings.iter().flat_map(dots).map(|dot| dot.replica).collect();
    replicas.sort_unstable();
    replicas.dedup();
    put_unsigned(out, replicas.len() as u64);
    for replica in &replicas {
        out.extend_from_slice(replica.as_bytes());
    }
    for holding in holdings {
        match holding {
            Holding::Nothing => out.push(0),
            Holding::Something => out.push(1),
            Holding::Document { check, dots } => {
                put_unsigned(out, dots.len() as u64 + 1);
                out.push(*check);
                for dot in dots {
                    let number = replicas.binary_search(&dot.replica).expect("collected above");
                    put_unsigned(out, number as u64);
                    put_unsigned(out, dot.counter);
                }
            }
        }
    }
}

/// The body of a Packed: so many bytes, they say, are in this block.
pub fn packed(length: u64, block: &[u8]) -> Vec<u8> {
    let mut body = vec![kind::PACKED];
    put_unsigned(&mut body, length);
    body.extend_from_slice(block);
    body
}

/// A body that is packed as it should be.
pub fn pack(body: &[u8]) -> Vec<u8> {
    packed(body.len() as u64, &lz4_flex::block::compress(body))
}

/// What a packed body holds; another body is as it is.
pub fn unpacked(body: &[u8]) -> Vec<u8> {
    if body.first() != Some(&kind::PACKED) {
        return body.to_vec();
    }
    let mut reader = crdt_core::codec::Reader::new(&body[1..]);
    let length = reader.unsigned("a length").ok().and_then(|length| usize::try_from(length).ok());
    // What is said to be longer than a message may be is not taken anyway.
    let length = length.filter(|length| *length <= crdt_core::Limits::DEFAULT.message_bytes);
    lz4_flex::block::decompress(reader.rest(), length.unwrap_or_default()).unwrap_or_default()
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
