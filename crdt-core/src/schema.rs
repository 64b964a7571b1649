//! [`Collection`] and [`FieldType`]: what an app declares about its documents.
//!
//! A schema never changes what is stored or sent, except for the kind of cell that a write makes. Everything else here
//! is a *view*: two replicas with different schemas hold equal state and may show it differently.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use crate::document::Payload;
use crate::small_map::SmallMap;
use crate::{Name, Sibling, Value};

/// How the concurrent edits of a field come together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldType {
    /// The latest write wins. For titles, flags, positions: where losing the earlier of two simultaneous edits is fine.
    Lww,
    /// The latest write is shown, and the others are kept and listed until someone writes again. For most user data.
    Detect,
    /// Simultaneous edits are a conflict that the app has to resolve before there is a value again. For money and medicine.
    Manual,
    /// Simultaneous edits are shown as what a function makes of them.
    Custom(Resolver),
    /// A number that is counted up and down, where every step counts.
    Counter,
    /// A number that is only counted up.
    GrowCounter,
    /// A set of values; an element added here and removed there at the same time stays.
    Set,
    /// A set that only grows.
    GrowSet,
    /// On or off; switched on here and off there at the same time, it is on.
    Flag,
    /// An object whose fields merge one by one.
    Map(Fields),
}

impl FieldType {
    /// The name used in messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lww => "lww",
            Self::Detect => "detect",
            Self::Manual => "manual",
            Self::Custom(_) => "custom",
            Self::Counter => "counter",
            Self::GrowCounter => "grow-only counter",
            Self::Set => "set",
            Self::GrowSet => "grow-only set",
            Self::Flag => "flag",
            Self::Map(_) => "map",
        }
    }

    /// True for the types that keep all concurrent values.
    pub(crate) const fn keeps_siblings(&self) -> bool {
        matches!(self, Self::Detect | Self::Manual | Self::Custom(_))
    }

    /// True for the types that hold one value, whatever happens to concurrent ones.
    pub(crate) const fn is_register(&self) -> bool {
        matches!(self, Self::Lww) || self.keeps_siblings()
    }
}

/// The declared fields of a collection or of a nested map.
pub type Fields = BTreeMap<Name, FieldType>;

/// What a [`Resolver`] computes: all concurrent values, the latest last and equal ones once, to the value that is shown.
pub type ResolveFn = dyn Fn(&[Sibling<'_, Payload>]) -> Option<Value> + Send + Sync;

/// A function that shows one value for several concurrent ones.
///
/// It sees the same siblings in the same order on every replica, so it converges as long as it is deterministic; it
/// need not be commutative. What it returns is never written back by itself.
#[derive(Clone)]
pub struct Resolver {
    name: Name,
    version: u32,
    resolve: Arc<ResolveFn>,
}

impl Resolver {
    /// Names a function. Raise the version whenever its results change, so that replicas can tell.
    ///
    /// ```
    /// # use crdt_core::{FieldType, Resolver, Value};
    /// let highest = Resolver::new("highest", 1, |siblings| {
    ///     siblings.iter().filter_map(|s| s.value.value()?.as_i64()).max().map(Value::from)
    /// });
    /// let priority = FieldType::Custom(highest);
    /// # let _ = priority;
    /// ```
    pub fn new(
        name: impl Into<Name>,
        version: u32,
        resolve: impl Fn(&[Sibling<'_, Payload>]) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), version, resolve: Arc::new(resolve) }
    }

    /// Applies the function.
    pub fn resolve(&self, siblings: &[Sibling<'_, Payload>]) -> Option<Value> {
        (self.resolve)(siblings)
    }

    /// The name and version, which stand for the function in comparisons of schemas.
    pub const fn identity(&self) -> (&Name, u32) {
        (&self.name, self.version)
    }
}

impl PartialEq for Resolver {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.name, self.version)
    }
}

/// A collection of documents: a table. Fields that are not declared are taken as they are written, `lww` by default.
///
/// ```
/// # use crdt_core::{Collection, FieldType};
/// let tasks = Collection::new("tasks")
///     .field("title", FieldType::Detect)
///     .field("votes", FieldType::Counter)
///     .field("tags", FieldType::Set);
/// assert_eq!(tasks.field_type("title"), Some(&FieldType::Detect));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    name: Name,
    fields: Fields,
    delete_wins: bool,
}

impl Collection {
    /// A collection without declared fields.
    pub fn new(name: impl Into<Name>) -> Self {
        Self { name: name.into(), fields: Fields::new(), delete_wins: false }
    }

    /// Declares a field.
    pub fn field(mut self, name: impl Into<Name>, field_type: FieldType) -> Self {
        self.fields.insert(name.into(), field_type);
        self
    }

    /// A deletion wins over edits made at the same time. Otherwise such an edit brings the whole document back.
    pub fn delete_wins(mut self) -> Self {
        self.delete_wins = true;
        self
    }

    /// What the collection is called.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The declared fields.
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The declared type of a field.
    pub fn field_type(&self, name: &str) -> Option<&FieldType> {
        self.fields.get(name)
    }

    /// Whether deletions win.
    pub const fn deletes_win(&self) -> bool {
        self.delete_wins
    }

    /// The declared fields of the map that a path leads to; `None` when the path is not declared as maps.
    pub(crate) fn fields_at(&self, path: &[Name]) -> Option<&Fields> {
        path.iter().try_fold(&self.fields, |fields, name| match fields.get(name) {
            Some(FieldType::Map(inner)) => Some(inner),
            _ => None,
        })
    }
}

/// The collections that an app declared.
#[derive(Clone, Debug)]
pub(crate) struct Collections {
    declared: SmallMap<Name, Arc<Collection>>,
    /// Stands for every collection that was not declared.
    undeclared: Arc<Collection>,
}

impl Default for Collections {
    fn default() -> Self {
        Self { declared: SmallMap::new(), undeclared: Arc::new(Collection::new("")) }
    }
}

impl Collections {
    pub(crate) fn declare(&mut self, collection: Collection) {
        self.declared.insert(collection.name().clone(), Arc::new(collection));
    }

    pub(crate) fn get(&self, name: &Name) -> &Collection {
        self.declared.get(name).unwrap_or(&self.undeclared)
    }

    pub(crate) fn get_shared(&self, name: &Name) -> Arc<Collection> {
        self.declared.get(name).unwrap_or(&self.undeclared).clone()
    }
}
