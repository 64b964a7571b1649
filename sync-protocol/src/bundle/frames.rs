//! The frames of a bundle. Each ends in a keyed check over itself, its number and the check before it: a frame that is
//! changed, left out, moved, or taken from another bundle is noticed at that frame.

use std::hash::Hasher as _;
use std::io::{self, Read, Write};

use crdt_core::Namespace;
use crdt_core::codec::put_unsigned;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::BUNDLE_VERSION;
use super::import::ImportError;

/// What a bundle begins with. The odd bytes show a transfer that meddled with line ends or the eighth bit.
const MAGIC: [u8; 8] = *b"\x89rjb\r\n\x1a\n";
const CHECK_LEN: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 1,
    Cells = 2,
    End = 3,
}

/// The check of one frame after the other.
struct Chain {
    key: [u8; 16],
    last: [u8; CHECK_LEN],
    number: u64,
}

impl Chain {
    fn new(namespace: &Namespace) -> Self {
        let mut last = [0; CHECK_LEN];
        last[..8].copy_from_slice(&MAGIC);
        last[8] = BUNDLE_VERSION;
        Self { key: *namespace.key(), last, number: 0 }
    }

    /// The check of the next frame.
    fn next(&mut self, kind: Kind, body: &[u8]) -> [u8; CHECK_LEN] {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&self.last);
        hasher.write(&self.number.to_le_bytes());
        hasher.write(&[kind as u8]);
        hasher.write(body);
        self.number += 1;
        self.last = hasher.finish128().as_u128().to_le_bytes();
        self.last
    }
}

pub(super) struct FrameWriter<W> {
    out: W,
    chain: Chain,
    bytes: u64,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn new(mut out: W, namespace: &Namespace) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&[BUNDLE_VERSION])?;
        Ok(Self { out, chain: Chain::new(namespace), bytes: MAGIC.len() as u64 + 1 })
    }

    pub(super) fn write(&mut self, kind: Kind, body: &[u8]) -> io::Result<()> {
        let mut start = vec![kind as u8];
        put_unsigned(&mut start, body.len() as u64);
        self.out.write_all(&start)?;
        self.out.write_all(body)?;
        self.out.write_all(&self.chain.next(kind, body))?;
        self.bytes += (start.len() + body.len() + CHECK_LEN) as u64;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.bytes)
    }
}

pub(super) struct FrameReader<R> {
    source: R,
    chain: Chain,
    limit: usize,
}

impl<R: Read> FrameReader<R> {
    pub(super) fn new(mut source: R, namespace: &Namespace, limit: usize) -> Result<Self, ImportError> {
        let mut start = Vec::new();
        (&mut source).take(MAGIC.len() as u64 + 1).read_to_end(&mut start)?;
        match start.split_at_checked(MAGIC.len()) {
            Some((magic, _)) if magic != MAGIC => return Err(ImportError::NotABundle),
            None if !MAGIC.starts_with(&start) => return Err(ImportError::NotABundle),
            Some((_, [BUNDLE_VERSION])) => {}
            Some((_, [theirs])) => {
                return Err(ImportError::Version { theirs: *theirs, ours: BUNDLE_VERSION });
            }
            _ => return Err(ImportError::Truncated),
        }
        Ok(Self { source, chain: Chain::new(namespace), limit })
    }

    /// Reads a frame. `look` sees the body before its check, for what is to be said even of a bundle that cannot be
    /// checked.
    pub(super) fn read(
        &mut self,
        look: impl FnOnce(Kind, &[u8]) -> Result<(), ImportError>,
    ) -> Result<(Kind, Vec<u8>), ImportError> {
        let kind = match self.byte()? {
            1 => Kind::Header,
            2 => Kind::Cells,
            3 => Kind::End,
            _ => return Err(ImportError::Damaged),
        };
        let len = self.len()?;
        // It grows with what is read, not with what is promised.
        let mut body = Vec::new();
        (&mut self.source).take(len as u64).read_to_end(&mut body)?;
        if body.len() < len {
            return Err(ImportError::Truncated);
        }
        look(kind, &body)?;
        let mut check = [0; CHECK_LEN];
        self.source.read_exact(&mut check).map_err(cut)?;
        if check != self.chain.next(kind, &body) {
            return Err(ImportError::Damaged);
        }
        Ok((kind, body))
    }

    /// Nothing may follow.
    pub(super) fn finish(&mut self) -> Result<(), ImportError> {
        match self.byte() {
            Err(ImportError::Truncated) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(ImportError::TrailingBytes),
        }
    }

    fn byte(&mut self) -> Result<u8, ImportError> {
        let mut byte = [0];
        self.source.read_exact(&mut byte).map_err(cut)?;
        Ok(byte[0])
    }

    fn len(&mut self) -> Result<usize, ImportError> {
        let mut len = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            len |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let shortest = shift == 0 || byte != 0;
                return if shortest && len <= self.limit { Ok(len) } else { Err(ImportError::Damaged) };
            }
        }
        Err(ImportError::Damaged)
    }
}

fn cut(error: io::Error) -> ImportError {
    if error.kind() == io::ErrorKind::UnexpectedEof { ImportError::Truncated } else { error.into() }
}
