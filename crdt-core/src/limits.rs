//! [`Limits`]: every bound that a writer or a decoder holds to.

/// Bounds on what one namespace holds and moves. They are part of the protocol: all replicas of a namespace use the
/// same ones. Beyond a limit there is a typed error that names it, and nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one collection or field name.
    pub name_bytes: usize,
    /// Bytes of one value in canonical encoding; also of one set element.
    pub value_bytes: usize,
    /// How deep arrays and objects may nest within a value, and maps within a document.
    pub depth: usize,
    /// Values in one value, itself and all within it counted; and in one message. An object of a few bytes takes
    /// hundreds in memory.
    pub values: usize,
    /// Documents that one transaction may write.
    pub documents_per_transaction: usize,
    /// Cells in one message; also its documents, and half its changes.
    pub cells_per_message: usize,
    /// Names in the paths of all cells in one message: what bounds the maps that a message can make.
    pub names_per_message: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
}

impl Limits {
    /// The limits of protocol version 1.
    pub const DEFAULT: Self = Self {
        name_bytes: 1024,
        value_bytes: 1 << 20,
        depth: 64,
        values: 1 << 16,
        documents_per_transaction: 100_000,
        cells_per_message: 1 << 14,
        names_per_message: 1 << 14,
        message_bytes: 4 << 20,
    };

    /// Of what a store has kept: whatever was merged has no limits beyond those of a single message. Only nesting cannot
    /// have grown since.
    pub(crate) const STORED: Self = Self {
        name_bytes: usize::MAX,
        value_bytes: usize::MAX,
        depth: Self::DEFAULT.depth,
        values: usize::MAX,
        documents_per_transaction: usize::MAX,
        cells_per_message: usize::MAX,
        names_per_message: usize::MAX,
        message_bytes: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Something was larger than the namespace allows. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {size}, the limit is {limit}")]
pub struct LimitExceeded {
    /// What was too large, with its unit.
    pub what: &'static str,
    /// How large it was.
    pub size: usize,
    /// How large it may be.
    pub limit: usize,
}

impl LimitExceeded {
    /// `Ok` up to the limit.
    ///
    /// # Errors
    /// Itself, one past the limit.
    pub const fn check(what: &'static str, size: usize, limit: usize) -> Result<(), Self> {
        if size > limit { Err(Self { what, size, limit }) } else { Ok(()) }
    }
}
