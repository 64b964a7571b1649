//! [`Strategy`]: a decision by name, to be chosen per table in a configuration.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use super::fields::{merge_all, merge_fields, merge_plain_fields};
use super::versioned::latest;
use super::whole::concurrent;
use super::{Object, Outcome, Versioned, last_write_wins, version_vector_all};
use crate::Name;

/// What a [`Strategy::custom`] computes: the concurrent versions, the latest last, to the object that is kept.
type Combine = dyn Fn(&[&Versioned<Object>]) -> Object + Send + Sync;

/// How the versions of a record are resolved.
///
/// By name it is `last-write-wins`, `version-vector`, `field-merge` or `crdt-merge`, in text and in JSON.
///
/// ```
/// # use crdt_core::resolve::Strategy;
/// let configured = [("settings", "last-write-wins"), ("orders", "version-vector"), ("tasks", "crdt-merge")];
/// let strategies: std::collections::BTreeMap<&str, Strategy> =
///     configured.into_iter().map(|(table, name)| Ok((table, name.parse()?))).collect::<Result<_, _>>()?;
/// assert_eq!(strategies["orders"].name(), "version-vector");
/// assert!("newest".parse::<Strategy>().is_err());
/// # Ok::<(), crdt_core::resolve::UnknownStrategy>(())
/// ```
#[derive(Clone)]
pub struct Strategy(Kind);

#[derive(Clone)]
enum Kind {
    LastWriteWins,
    VersionVector,
    FieldMerge,
    CrdtMerge,
    Custom(Name, Arc<Combine>),
}

/// No strategy has that name. A custom one is made by [`Strategy::custom`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no strategy; there are last-write-wins, version-vector, field-merge and crdt-merge, and Strategy::custom in code"
)]
pub struct UnknownStrategy(pub String);

impl Strategy {
    /// See [`last_write_wins`].
    pub const LAST_WRITE_WINS: Self = Self(Kind::LastWriteWins);
    /// See [`version_vector`](super::version_vector).
    pub const VERSION_VECTOR: Self = Self(Kind::VersionVector);
    /// See [`field_merge`](super::field_merge).
    pub const FIELD_MERGE: Self = Self(Kind::FieldMerge);
    /// See [`crdt_merge`](super::crdt_merge).
    pub const CRDT_MERGE: Self = Self(Kind::CrdtMerge);

    /// A function of your own for versions that did not know of each other, see [`custom`](super::custom). It gets all of
    /// them at once, the latest last.
    ///
    /// ```
    /// # use crdt_core::resolve::Strategy;
    /// let first_come = Strategy::custom("first come", |versions| versions[0].value.clone());
    /// assert_eq!(first_come.name(), "first come");
    /// ```
    pub fn custom(
        name: impl Into<Name>,
        combine: impl Fn(&[&Versioned<Object>]) -> Object + Send + Sync + 'static,
    ) -> Self {
        Self(Kind::Custom(name.into(), Arc::new(combine)))
    }

    /// The name in configurations.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::LastWriteWins => "last-write-wins",
            Kind::VersionVector => "version-vector",
            Kind::FieldMerge => "field-merge",
            Kind::CrdtMerge => "crdt-merge",
            Kind::Custom(name, _) => name,
        }
    }

    /// Decides between two versions, whichever comes first.
    pub fn resolve(&self, a: &Versioned<Object>, b: &Versioned<Object>) -> Outcome<Object> {
        self.decide(&[a, b])
    }

    /// Decides between any number of versions at once, in whatever order they come; `None` of none.
    pub fn resolve_all<'v>(
        &self,
        versions: impl IntoIterator<Item = &'v Versioned<Object>>,
    ) -> Option<Outcome<Object>> {
        let versions: alloc::vec::Vec<_> = versions.into_iter().collect();
        (!versions.is_empty()).then(|| self.decide(&versions))
    }

    /// At least one version is given.
    fn decide(&self, versions: &[&Versioned<Object>]) -> Outcome<Object> {
        match &self.0 {
            Kind::LastWriteWins => last_of(versions),
            Kind::VersionVector => {
                version_vector_all(versions.iter().copied()).expect("there is at least one version")
            }
            Kind::FieldMerge => merge_all(versions, merge_plain_fields),
            Kind::CrdtMerge => merge_all(versions, merge_fields),
            Kind::Custom(_, combine) => concurrent(versions, |several| Some(combine(several))),
        }
    }
}

fn last_of(versions: &[&Versioned<Object>]) -> Outcome<Object> {
    let first = latest(versions.iter().copied()).expect("there is at least one version");
    let same = last_write_wins(first, first);
    versions.iter().fold(same, |outcome, version| last_write_wins(&outcome.merged, version))
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        let all = [Self::LAST_WRITE_WINS, Self::VERSION_VECTOR, Self::FIELD_MERGE, Self::CRDT_MERGE];
        all.into_iter()
            .find(|strategy| strategy.name() == name)
            .ok_or_else(|| UnknownStrategy(name.to_string()))
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Strategy({})", self.name())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Strategy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Strategy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
