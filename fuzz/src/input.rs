//! [`Input`]: takes the bytes of a fuzzer apart.

use crdt_core::ReplicaId;

/// What is left of an input. Past its end there are zeros, so that every input means something.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
    /// Whom the bytes mean by the first replica: it may have gone on under another id.
    pub victim: ReplicaId,
}

/// Numbers at which arithmetic goes wrong.
const ENDS: [u64; 16] = [
    u64::MAX,
    u64::MAX - 1,
    i64::MAX as u64,
    i64::MAX as u64 + 1,
    u32::MAX as u64,
    u32::MAX as u64 + 1,
    (1 << 48) - 1,
    1 << 48,
    ((1 << 48) - 1) << 16,
    1 << 16,
    (1 << 16) - 1,
    1 << 14,
    100_001,
    4096,
    201,
    128,
];

impl<'a> Input<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, victim: ReplicaId::from_u64(1) }
    }

    /// True when only zeros would come.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All that is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A number less than `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Any number, mostly a small one or one at the end of a range.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            0xff => {
                let mut bytes = [0; 8];
                for byte in &mut bytes {
                    *byte = self.byte();
                }
                u64::from_le_bytes(bytes)
            }
            end @ 0xe0.. => ENDS[usize::from(end) % ENDS.len()],
            small => small.into(),
        }
    }

    /// A piece with its length before it, as two bytes; shorter when the input is.
    pub fn piece(&mut self) -> &'a [u8] {
        let len = usize::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let (piece, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        piece
    }
}

/// Writes what [`Input::piece`] reads.
pub fn put_piece(out: &mut Vec<u8>, piece: &[u8]) {
    let len = u16::try_from(piece.len()).expect("a piece has less than 64 KiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(piece);
}
