//! What the first and the last frame of a bundle say. `PROTOCOL.md` has them in tables.

use crdt_core::codec::{DecodeError, Reader, put_unsigned};
use crdt_core::{Dot, Fingerprint, Life, Memory, ReplicaId, Trail};

use crate::message::{put_dots, put_memory, put_trail, read_dots, read_memory, read_trail};

/// Peers whose cursors a bundle tells.
pub(super) const MAX_ACKS: usize = 200;

/// What is remembered of peers: how far the exporter has come with them, and in which run they were.
pub(super) type Acks = Vec<(Life, Memory)>;

/// What an importer must have for the bundle to leave no gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Everything up to this position of the exporter's change order.
    Position(u64),
    /// All these, and everything before them by the same replicas. Empty: nothing need be there.
    Seen(Vec<Dot>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) namespace: [u8; 16],
    pub(super) replica: ReplicaId,
    pub(super) life: Life,
    pub(super) written_ms: u64,
    /// The runs of that life.
    pub(super) trail: Trail,
    pub(super) base: Base,
    /// How far into the change orders of these lives the exporter has durably applied: what spares them the next bundle
    /// from the start.
    pub(super) acks: Acks,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Frames with cells.
    pub(super) frames: u64,
    /// The position in the exporter's change order that the bundle leads to.
    pub(super) sequence: u64,
    pub(super) root: Fingerprint,
    /// What the exporter had seen there, as far as the base does not say it.
    pub(super) context: Vec<Dot>,
}

const POSITION: u8 = 0;
const SEEN: u8 = 1;

impl Header {
    /// What is remembered of a life.
    pub(super) fn memory(&self, of: Life) -> Option<&Memory> {
        self.acks.iter().find(|(life, _)| *life == of).map(|(_, memory)| memory)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.namespace);
        out.extend_from_slice(self.replica.as_bytes());
        out.extend_from_slice(&self.life.0.to_le_bytes());
        put_unsigned(&mut out, self.written_ms);
        put_trail(&mut out, &self.trail);
        match &self.base {
            Base::Position(sequence) => {
                out.push(POSITION);
                put_unsigned(&mut out, *sequence);
            }
            Base::Seen(dots) => {
                out.push(SEEN);
                put_dots(&mut out, dots);
            }
        }
        put_unsigned(&mut out, self.acks.len() as u64);
        for (life, memory) in &self.acks {
            out.extend_from_slice(&life.0.to_le_bytes());
            put_memory(&mut out, memory);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let namespace = reader.array("a namespace")?;
        let replica = ReplicaId::from_bytes(reader.array("a replica id")?);
        let life = read_life(&mut reader)?;
        let written_ms = reader.unsigned("a time")?;
        let trail = read_trail(&mut reader)?;
        let base = match reader.byte("what a bundle follows")? {
            POSITION => Base::Position(reader.unsigned("a sequence")?),
            SEEN => Base::Seen(read_dots(&mut reader)?),
            tag => return Err(DecodeError::UnknownTag { what: "base of a bundle", tag: tag.into() }),
        };
        let count = reader.count("cursors")?;
        if count > MAX_ACKS {
            return Err(DecodeError::Invalid("more cursors than a bundle may have"));
        }
        let mut acks = Vec::with_capacity(count);
        for _ in 0..count {
            acks.push((read_life(&mut reader)?, read_memory(&mut reader)?));
        }
        reader.finish()?;
        Ok(Self { namespace, replica, life, written_ms, trail, base, acks })
    }
}

impl End {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_unsigned(&mut out, self.frames);
        put_unsigned(&mut out, self.sequence);
        out.extend_from_slice(&self.root.0.to_le_bytes());
        put_dots(&mut out, &self.context);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let frames = reader.unsigned("a number of frames")?;
        let sequence = reader.unsigned("a sequence")?;
        let root = Fingerprint(u128::from_le_bytes(reader.array("a root")?));
        let context = read_dots(&mut reader)?;
        reader.finish()?;
        Ok(Self { frames, sequence, root, context })
    }
}

fn read_life(reader: &mut Reader<'_>) -> Result<Life, DecodeError> {
    Ok(Life(u64::from_le_bytes(reader.array("a life")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_frame_round_trip_and_are_refused_when_cut_or_padded() {
        let dots = vec![Dot::new(ReplicaId::from_u64(1), 7), Dot::new(ReplicaId::from_u64(2), 3)];
        let known = |cursor| {
            let trail = Trail { number: u64::MAX, runs: vec![7; 4] };
            Memory { trail, claimed: cursor, cursor }
        };
        let header = |base, acks| Header {
            namespace: [3; 16],
            replica: ReplicaId::from_u64(5),
            life: Life(u64::MAX),
            written_ms: u64::MAX,
            trail: Trail { number: 3, runs: vec![1, u32::MAX] },
            base,
            acks,
        };
        for header in [
            header(Base::Position(300), vec![(Life(1), known(2)), (Life(3), known(u64::MAX))]),
            header(Base::Seen(Vec::new()), Vec::new()),
            header(Base::Seen(dots.clone()), vec![(Life(1), known(2))]),
        ] {
            let bytes = header.encode();
            assert_eq!(Header::decode(&bytes), Ok(header));
            (0..bytes.len()).for_each(|cut| assert!(Header::decode(&bytes[..cut]).is_err(), "cut {cut}"));
            assert!(Header::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        let end = End { frames: 9, sequence: 70_000, root: Fingerprint(u128::MAX - 3), context: dots };
        let bytes = end.encode();
        assert_eq!(End::decode(&bytes), Ok(end));
        (0..bytes.len()).for_each(|cut| assert!(End::decode(&bytes[..cut]).is_err(), "cut {cut}"));
        assert!(End::decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn more_cursors_than_a_bundle_may_have_are_refused() {
        let acks = |count: u64| Header {
            namespace: [3; 16],
            replica: ReplicaId::from_u64(5),
            life: Life(1),
            written_ms: 0,
            trail: Trail::default(),
            base: Base::Position(0),
            acks: (0..count).map(|n| (Life(n), Memory { cursor: n, ..Memory::default() })).collect(),
        };
        assert!(Header::decode(&acks(MAX_ACKS as u64).encode()).is_ok());
        assert!(Header::decode(&acks(MAX_ACKS as u64 + 1).encode()).is_err());
    }
}
