//! The messages of sides that hold a part of the namespace, or nothing of it yet; see `session/scopes.rs` and
//! `session/first_sync.rs`.

use alloc::vec::Vec;

use crdt_core::codec::{DecodeError, Reader, put_bytes, put_unsigned};
use crdt_core::{FirstSync, Limits, Progress, Scope};

use super::read_bool;

const SCOPE: u8 = 22;
const LOAD: u8 = 23;
pub(crate) const PART: u8 = 24;

/// One of these messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Partial<'a> {
    Scope(ScopeTold),
    Load(FirstSync),
    Part(Part<'a>),
}

/// What a side says of the part that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScopeTold {
    /// What this side subscribes to.
    pub(crate) scope: Scope,
    /// As far as this, everything that it says to have seen is there.
    pub(crate) vouched: Scope,
    /// It is loading: what it holds is not all there, and neither sums nor a root of it say anything.
    pub(crate) loading: bool,
    /// What its cursor stands for, when that is less than the scope.
    pub(crate) known: Option<Scope>,
}

impl Default for ScopeTold {
    fn default() -> Self {
        let (scope, vouched) = (Scope::everything(), Scope::everything());
        Self { scope, vouched, loading: false, known: None }
    }
}

/// A part of a first sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// About how many documents there are; 0 when the sender does not say.
    pub(crate) of: u64,
    /// How far the run has come with these cells.
    pub(crate) progress: Progress,
    pub(crate) batch: &'a [u8],
}

impl<'a> Partial<'a> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Scope(told) => {
                out.push(SCOPE);
                told.put(out);
            }
            Self::Load(load) => {
                out.push(LOAD);
                if let Some(progress) = &load.resume {
                    progress.put(out);
                }
            }
            Self::Part(part) => {
                out.push(PART);
                put_unsigned(out, part.of);
                part.progress.put(out);
                out.extend_from_slice(part.batch);
            }
        }
    }

    /// After the byte that says which, to the end.
    pub(super) fn decode(kind: u8, mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let message = match kind {
            SCOPE => Self::Scope(ScopeTold::read(&mut reader)?),
            LOAD => {
                let resume = if reader.remaining() > 0 { Some(read_progress(&mut reader)?) } else { None };
                Self::Load(FirstSync { resume })
            }
            PART => {
                let (of, progress) = (reader.unsigned("a number of documents")?, read_progress(&mut reader)?);
                return Ok(Self::Part(Part { of, progress, batch: reader.rest() }));
            }
            tag => return Err(DecodeError::UnknownTag { what: "message", tag: tag.into() }),
        };
        reader.finish()?;
        Ok(message)
    }
}

impl ScopeTold {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.scope.encode());
        put_bytes(out, &self.vouched.encode());
        out.push(self.loading.into());
        if let Some(known) = &self.known {
            put_bytes(out, &known.encode());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (scope, vouched) = (read_scope(reader)?, read_scope(reader)?);
        let loading = read_bool(reader)?;
        let known = if reader.remaining() > 0 { Some(read_scope(reader)?) } else { None };
        if known.as_ref().is_some_and(Scope::is_everything) {
            return Err(DecodeError::Invalid("a cursor that stands for more than the scope"));
        }
        Ok(Self { scope, vouched, loading, known })
    }
}

fn read_scope(reader: &mut Reader<'_>) -> Result<Scope, DecodeError> {
    Scope::decode(reader.bytes("a scope", Scope::MAX_BYTES)?)
}

fn read_progress(reader: &mut Reader<'_>) -> Result<Progress, DecodeError> {
    Progress::read(reader, Limits::DEFAULT.name_bytes)
}
