//! How far a first sync has come.

use alloc::vec::Vec;

use crate::Name;
use crate::codec::{DecodeError, Reader, put_bytes, put_unsigned};
use crate::document::{Address, DocumentId};

/// How far the look at every document has come that a first sync begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// It has not begun.
    Nothing,
    /// All documents up to this one.
    Through(Address),
    /// All of them: what is left are the steps of the change order since.
    Everything,
}

/// How far a first sync has come: where the sender goes on when it was cut. It means something to this sender only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The documents that were looked at hold all that they held at this position of the sender's change order.
    pub sequence: u64,
    /// Which documents were looked at.
    pub scanned: Scanned,
}

impl Progress {
    /// Where a first sync begins.
    pub const fn start(sequence: u64) -> Self {
        Self { sequence, scanned: Scanned::Nothing }
    }

    /// Appends its bytes.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.sequence);
        match &self.scanned {
            Scanned::Nothing => out.push(0),
            Scanned::Through(address) => {
                out.push(1);
                put_bytes(out, address.collection.as_bytes());
                out.extend_from_slice(address.id.as_bytes());
            }
            Scanned::Everything => out.push(2),
        }
    }

    /// Reads its bytes; a collection's name may have so many.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>, name_bytes: usize) -> Result<Self, DecodeError> {
        let sequence = reader.unsigned("a position")?;
        let scanned = match reader.byte("what was scanned")? {
            0 => Scanned::Nothing,
            1 => {
                let collection = Name::from(reader.text("a collection name", name_bytes)?);
                let id = DocumentId::from_bytes(reader.array("a document id")?);
                Scanned::Through(Address { collection, id })
            }
            2 => Scanned::Everything,
            tag => return Err(DecodeError::UnknownTag { what: "what was scanned", tag: tag.into() }),
        };
        Ok(Self { sequence, scanned })
    }
}
