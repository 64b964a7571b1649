//! [`Violation`]: which promise was broken, and how that was seen.

use std::fmt;

/// What must hold in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// In the end all are equal: transactions, roots, documents.
    Convergence,
    /// What was durable, or received and acknowledged, is there.
    NothingLost,
    /// What left a device is durable there.
    DurableBeforeItLeaves,
    /// Whoever shows a transaction shows all that its author had seen.
    Causality,
    /// What is shown is what the transactions that are shown come to, none of them in half.
    WholeTransactions,
    /// A device never shows less than before, unless it crashed or its file was replaced.
    MonotonicReads,
    /// A device claims to have seen exactly what it shows.
    Claims,
    /// No two transactions have one name.
    Identity,
    /// A clock that was wrong and is right again stands in nobody's way.
    Clocks,
    /// A stamp exceeds those of what it overwrites.
    Stamps,
    /// The user is told what is right.
    RightOutcome,
    /// What cannot be understood is refused with the error that says so.
    Refusal,
    /// What a server refuses takes effect nowhere, and its author keeps it.
    Guard,
    /// A session goes on, or ends with a reason, and devices that keep meeting come to rest.
    Progress,
    /// No call fails.
    NoError,
    /// No call panics.
    NoPanic,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Convergence => "convergence",
            Self::NothingLost => "nothing lost",
            Self::DurableBeforeItLeaves => "durable before it leaves",
            Self::Causality => "causality",
            Self::WholeTransactions => "whole transactions",
            Self::MonotonicReads => "monotonic reads",
            Self::Claims => "claims",
            Self::Identity => "identity",
            Self::Clocks => "clocks",
            Self::Stamps => "stamps",
            Self::RightOutcome => "right outcome",
            Self::Refusal => "refusal",
            Self::Guard => "guard",
            Self::Progress => "progress",
            Self::NoError => "no error",
            Self::NoPanic => "no panic",
        })
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    pub promise: Promise,
    /// How it was seen, for people.
    pub what: String,
}

impl Violation {
    pub fn new(promise: Promise, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

impl From<String> for Violation {
    fn from(error: String) -> Self {
        Self::new(Promise::NoError, error)
    }
}

pub type Checked<T = ()> = Result<T, Violation>;
