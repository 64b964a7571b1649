//! [`Failure`]: which property a history broke, and how.

use std::fmt;

use crate::words::{Doc, Shown, ShownField};

/// What must hold in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// Everything that a replica has seen, and nobody who saw it took away, is shown.
    NothingLost,
    /// What was taken away stays away.
    NothingReturns,
    /// What is shown is what the causal history says.
    RightValue,
    /// The user is told the same as the oracle says.
    RightOutcome,
    /// A transaction takes a dot exactly when it changes something.
    NoEmptyDots,
    /// Stamps of one replica grow, and exceed what they overwrite.
    StampsExceed,
    /// A write costs what the design says.
    Cost,
    /// A replica claims to have seen exactly what it was sent.
    Claims,
    /// What was seen before changes nothing.
    Idempotence,
    /// Replicas that have seen the same are the same, byte for byte.
    Convergence,
    /// Events tell of every document that shows something new.
    Events,
    /// Root, canonical bytes and state agree within a replica.
    Books,
    /// The library and the model come to the same cells.
    SameCells,
    /// No call fails.
    NoError,
    /// No call panics.
    NoPanic,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NothingLost => "nothing lost",
            Self::NothingReturns => "nothing returns",
            Self::RightValue => "right value",
            Self::RightOutcome => "right outcome",
            Self::NoEmptyDots => "no empty dots",
            Self::StampsExceed => "stamps exceed",
            Self::Cost => "cost",
            Self::Claims => "claims",
            Self::Idempotence => "idempotence",
            Self::Convergence => "convergence",
            Self::Events => "events",
            Self::Books => "books",
            Self::SameCells => "same cells",
            Self::NoError => "no error",
            Self::NoPanic => "no panic",
        })
    }
}

/// A broken property.
#[derive(Clone, Debug)]
pub struct Failure {
    pub property: Property,
    /// How it was seen, for people.
    pub what: String,
}

impl Failure {
    pub fn new(property: Property, what: impl Into<String>) -> Self {
        Self { property, what: what.into() }
    }

    /// At which point of the history.
    pub fn at(mut self, step: impl fmt::Display) -> Self {
        self.what = format!("{step}: {}", self.what);
        self
    }
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self::new(Property::NoError, error)
    }
}

/// Compares what a replica shows of a document with what it ought to show.
pub fn compare(doc: Doc, expected: &Shown, shown: &Shown) -> Result<(), Failure> {
    compare_map(&doc.to_string(), expected, shown)
}

fn compare_map(place: &str, expected: &Shown, shown: &Shown) -> Result<(), Failure> {
    match (expected, shown) {
        (Some(expected), Some(shown)) => expected.iter().try_for_each(|(field, expected)| {
            compare_field(&format!("{place}.{field}"), expected, &shown[field])
        }),
        (None, None) => Ok(()),
        (Some(_), None) => {
            Err(Failure::new(Property::NothingLost, format!("{place} is gone and should be there")))
        }
        (None, Some(_)) => {
            Err(Failure::new(Property::NothingReturns, format!("{place} is there and should be gone")))
        }
    }
}

fn compare_field(place: &str, expected: &ShownField, shown: &ShownField) -> Result<(), Failure> {
    compare_map(place, &expected.map, &shown.map)?;
    let without_map = |field: &ShownField| ShownField { map: None, ..field.clone() };
    let (expected, shown) = (without_map(expected), without_map(shown));
    if expected == shown {
        return Ok(());
    }
    let missing = |element| !shown.elements.contains(element);
    let property = if shown.is_blank() || expected.elements.iter().any(missing) {
        Property::NothingLost
    } else if expected.is_blank() || shown.elements.len() > expected.elements.len() {
        Property::NothingReturns
    } else {
        Property::RightValue
    };
    Err(Failure::new(property, format!("{place} should show\n    {expected:?}\n  and shows\n    {shown:?}")))
}
