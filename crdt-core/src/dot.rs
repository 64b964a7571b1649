//! [`Dot`]: the name of one committed transaction.

use crate::ReplicaId;

/// One committed transaction of one replica (Preguiça et al. 2010, arXiv 1011.5808).
///
/// Counters start at 1 and have no gaps at their author. A dot never changes once it is committed: every copy may
/// pass it on, and receiving it again is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Dot {
    /// Who committed.
    pub replica: ReplicaId,
    /// The how-manieth transaction of that replica; 1 is the first.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::json::counter"))]
    pub counter: u64,
}

impl Dot {
    /// Names transaction `counter` of `replica`.
    pub const fn new(replica: ReplicaId, counter: u64) -> Self {
        Self { replica, counter }
    }
}
