//! [`Object`]: a record whose fields can be told apart.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::Versioned;
use crate::codec::{self, Dictionary};
use crate::document::{Address, Document, DocumentId, MapView};
use crate::{Change, ClockError, Flag, Map, Name, OrSet, PNCounter, Payload, Value};

/// A record whose fields merge one by one: the [`Map`] of a document, without the document.
///
/// A *plain* field holds a value and remembers the change that wrote it. Any field may hold a counter, a set or a flag
/// instead, which merge by their own rules in [`crdt_merge`](super::crdt_merge). In JSON it is that of [`Map`].
///
/// ```
/// # use crdt_core::{Clock, ReplicaId, resolve::Object};
/// let mut clock = Clock::new(ReplicaId::from_u64(1));
/// let mut row = Object::new();
/// row.save([("title", "Buy milk"), ("shop", "corner")], clock.tick(1_000)?)?;
/// row.counter_mut("votes").add(clock.tick(2_000)?, 3)?;
/// assert_eq!(row.value("title").and_then(|title| title.as_str()), Some("Buy milk"));
///
/// // Saving the whole form writes only what was changed.
/// row.save([("title", "Buy oat milk"), ("shop", "corner")], clock.tick(3_000)?)?;
/// assert_eq!(row.written("title").unwrap().counter, 3);
/// assert_eq!(row.written("shop").unwrap().counter, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Object {
    pub(super) map: Map,
}

impl Object {
    /// Without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes plain fields; those that hold the value already are left alone, so that only what was changed competes with
    /// other edits. Fields that are not named stay as they are.
    ///
    /// Returns the change as it was written: its stamp is raised, if need be, above those of the values that it replaces.
    /// Give it to [`Clock::adopt`](crate::Clock::adopt).
    ///
    /// # Errors
    /// [`ClockError::TimeExhausted`]; nothing was changed.
    pub fn save<N: Into<Name>, V: Into<Value>>(
        &mut self,
        fields: impl IntoIterator<Item = (N, V)>,
        change: Change,
    ) -> Result<Change, ClockError> {
        let fields = fields.into_iter().map(|(name, value)| (name.into(), Payload::Present(value.into())));
        self.write(fields.collect(), change)
    }

    /// Removes a plain field: an ordinary write, of nothing. The rest is as for [`Object::save`].
    ///
    /// # Errors
    /// As [`Object::save`].
    pub fn remove(&mut self, name: impl Into<Name>, change: Change) -> Result<Change, ClockError> {
        let name = name.into();
        let fields = if self.value(&name).is_some() { [(name, Payload::Absent)].into() } else { Vec::new() };
        self.write(fields, change)
    }

    fn write(&mut self, fields: Vec<(Name, Payload)>, mut change: Change) -> Result<Change, ClockError> {
        let same = |name: &Name, payload: &Payload| {
            self.map.field(name).and_then(|field| Some(field.winner()?.value == payload)) == Some(true)
        };
        let changed: Vec<_> = fields.into_iter().filter(|(name, payload)| !same(name, payload)).collect();
        for (name, _) in &changed {
            if let Some(stamp) = self.map.field(name).and_then(crate::Field::register_stamp) {
                change.exceed(&stamp)?;
            }
        }
        for (name, payload) in changed {
            let field = self.map.field_mut(&name);
            if field.siblings().is_some_and(|siblings| !siblings.is_empty()) {
                field.others_mut().siblings.clear(change);
            }
            field.register.write(change, payload);
        }
        Ok(change)
    }

    /// The value of a plain field; `None` when it was never written, or removed.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.map.field(name)?.winner()?.value.value()
    }

    /// The change that wrote a plain field last.
    pub fn written(&self, name: &str) -> Option<Change> {
        Some(self.map.field(name)?.winner()?.by)
    }

    /// The counter of a field, if it ever counted.
    pub fn counter(&self, name: &str) -> Option<&PNCounter> {
        self.map.field(name)?.counter()
    }

    /// The counter of a field, made on first use.
    pub fn counter_mut(&mut self, name: impl Into<Name>) -> &mut PNCounter {
        &mut self.map.field_mut(&name.into()).others_mut().counter
    }

    /// The set of a field, if anything was ever added.
    pub fn set(&self, name: &str) -> Option<&OrSet<Value>> {
        self.map.field(name)?.elements()
    }

    /// The set of a field, made on first use.
    pub fn set_mut(&mut self, name: impl Into<Name>) -> &mut OrSet<Value> {
        &mut self.map.field_mut(&name.into()).others_mut().elements
    }

    /// The flag of a field, if it was ever on.
    pub fn flag(&self, name: &str) -> Option<&Flag> {
        self.map.field(name)?.flag()
    }

    /// The flag of a field, made on first use.
    pub fn flag_mut(&mut self, name: impl Into<Name>) -> &mut Flag {
        &mut self.map.field_mut(&name.into()).others_mut().flag
    }

    /// Everything that the fields show, as one object: a row to be stored.
    pub fn to_value(&self) -> Value {
        MapView::of_map(&self.map).to_value().unwrap_or(Value::Null)
    }

    /// The fields as documents keep them.
    pub const fn as_map(&self) -> &Map {
        &self.map
    }
}

impl Versioned<Object> {
    /// [`Object::save`], and takes note of the change.
    ///
    /// # Errors
    /// As [`Object::save`].
    pub fn save<N: Into<Name>, V: Into<Value>>(
        &mut self,
        fields: impl IntoIterator<Item = (N, V)>,
        change: Change,
    ) -> Result<Change, ClockError> {
        let change = self.value.save(fields, change)?;
        self.written_by(&change);
        Ok(change)
    }
}

impl From<Map> for Object {
    fn from(map: Map) -> Self {
        Self { map }
    }
}

impl From<Object> for Map {
    fn from(object: Object) -> Self {
        object.map
    }
}

impl Object {
    /// The canonical bytes: equal for equal objects only.
    fn bytes(&self) -> Vec<u8> {
        let address = Address { collection: "".into(), id: DocumentId::from_u64(0) };
        let document = Document::from(self.map.clone());
        let mut bytes = Vec::new();
        codec::encode_batch(&mut bytes, &mut Dictionary::new(), [(&address, &document)]);
        bytes
    }
}

/// By canonical bytes: an order without meaning, to choose between two that claim the same stamp.
impl Ord for Object {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other { Ordering::Equal } else { self.bytes().cmp(&other.bytes()) }
    }
}

impl PartialOrd for Object {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
