//! [`EndReason`]: why a session is over.

use crdt_core::codec::DecodeError;

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// There was nothing more to do.
    Done,
    /// The app closed it.
    Closed,
    /// The other side was silent for too long.
    TimedOut,
    /// The other side got something that it could not take: see its error.
    Failed,
    /// The guard did not let the applicant in; [`Session::refusal`](crate::Session::refusal) says why.
    NotAdmitted,
    /// One side has left too many refusals unheard for the other to go on.
    TooManyRefusals,
}

impl EndReason {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Closed => 1,
            Self::TimedOut => 2,
            Self::Failed => 3,
            Self::NotAdmitted => 4,
            Self::TooManyRefusals => 5,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::Done,
            1 => Self::Closed,
            2 => Self::TimedOut,
            3 => Self::Failed,
            4 => Self::NotAdmitted,
            5 => Self::TooManyRefusals,
            _ => return Err(DecodeError::UnknownTag { what: "reason to end", tag: number as u64 }),
        })
    }
}
