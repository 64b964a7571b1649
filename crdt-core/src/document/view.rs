//! [`MapView`] and [`DocumentView`]: reads. Policies are views over the cells and change nothing.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::document::{CellKind, Document, Field, Map, Path, Payload};
use crate::replica::ParkReason;
use crate::schema::Fields;
use crate::{Change, Collection, FieldType, Float, Name, Sibling, Value};

/// What a register field shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading<'a> {
    /// Nothing was written, or it was removed.
    Absent,
    /// The value: borrowed from the document, or computed by a [`Resolver`](crate::Resolver).
    Value(Cow<'a, Value>),
    /// A `manual` field with several concurrent values, the latest last: there is no value until it is resolved.
    Conflict(Vec<Sibling<'a, Payload>>),
}

/// A `manual` field was read as if it had one value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field \"{field}\" has {values} concurrent values; look at conflicts() and resolve it")]
pub struct Conflict {
    /// The field.
    pub field: Name,
    /// How many values it has.
    pub values: usize,
}

/// The fields of a document or nested map, as its schema shows them. Cheap to copy; borrows the document.
#[derive(Clone, Copy, Debug)]
pub struct MapView<'a> {
    /// `None` when the map is not there, or hidden by a deletion.
    map: Option<&'a Map>,
    /// `None` where nothing is declared.
    declared: Option<&'a Fields>,
}

impl<'a> MapView<'a> {
    /// Looks at the document, or at the nested map that a path leads to, through a schema.
    pub fn of(document: &'a Document, collection: &'a Collection, path: &[Name]) -> Self {
        let root = document.is_alive(collection.deletes_win()).then_some(&document.root);
        let view = Self { map: root, declared: Some(collection.fields()) };
        path.iter().fold(view, |view, name| view.descend(name))
    }

    /// Looks at a map that is in no document, without a schema.
    pub(crate) const fn of_map(map: &'a Map) -> Self {
        Self { map: Some(map), declared: None }
    }

    fn descend(self, name: &str) -> Self {
        Self {
            map: self.field(name).and_then(Field::map).filter(|map| map.is_present()),
            declared: match self.declared_type(name) {
                Some(FieldType::Map(fields)) => Some(fields),
                _ => None,
            },
        }
    }

    /// True when the document or map is there.
    pub const fn exists(&self) -> bool {
        self.map.is_some()
    }

    fn declared_type(&self, name: &str) -> Option<&'a FieldType> {
        self.declared?.get(name)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&'a Field> {
        self.map?.field(name)
    }

    /// What a register field shows: under its policy when it is declared, else the latest value.
    pub fn read(&self, name: &str) -> Reading<'a> {
        let Some(field) = self.field(name) else { return Reading::Absent };
        match self.declared_type(name) {
            Some(FieldType::Manual) => match field.candidates() {
                several if several.len() > 1 => Reading::Conflict(several),
                _ => Self::show(field),
            },
            Some(FieldType::Custom(resolver)) => match field.candidates() {
                several if several.len() > 1 => resolver
                    .resolve(&several)
                    .map_or(Reading::Absent, |value| Reading::Value(Cow::Owned(value))),
                _ => Self::show(field),
            },
            _ => Self::show(field),
        }
    }

    fn show(field: &'a Field) -> Reading<'a> {
        let value = field.winner().and_then(|winner| winner.value.value());
        value.map_or(Reading::Absent, |value| Reading::Value(Cow::Borrowed(value)))
    }

    /// What a field shows, whatever its type: the value, the count, the elements as an array, the flag; `None` when it is
    /// absent.
    ///
    /// # Errors
    /// [`Conflict`] for a `manual` field with several concurrent values.
    pub fn get(&self, name: &str) -> Result<Option<Cow<'a, Value>>, Conflict> {
        match self.read(name) {
            Reading::Absent => Ok(self.map.and_then(|_| self.value_of(name)).map(Cow::Owned)),
            Reading::Value(value) => Ok(Some(value)),
            Reading::Conflict(values) => Err(Conflict { field: name.into(), values: values.len() }),
        }
    }

    /// All concurrent values of a field with who wrote them and when, the latest last; empty unless they are several.
    pub fn conflicts(&self, name: &str) -> Vec<Sibling<'a, Payload>> {
        let mut candidates = self.field(name).map(Field::candidates).unwrap_or_default();
        if candidates.len() < 2 {
            candidates.clear();
        }
        candidates
    }

    /// The names of the fields that have several concurrent values.
    pub fn conflicted(&self) -> impl Iterator<Item = &'a Name> + use<'a> {
        let this = *self;
        this.map.into_iter().flat_map(Map::fields).map(|(name, _)| name).filter(move |name| {
            let keeps = this.declared_type(name).is_none_or(FieldType::keeps_siblings);
            keeps && !this.conflicts(name).is_empty()
        })
    }

    /// The value of a counter; 0 when it never counted.
    pub fn counter(&self, name: &str) -> i128 {
        self.field(name).and_then(Field::counter).map_or(0, crate::PNCounter::value)
    }

    /// The elements of a set, in order.
    pub fn elements(&self, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.field(name).and_then(Field::elements).into_iter().flat_map(crate::OrSet::iter)
    }

    /// True when a set has the element.
    pub fn contains(&self, name: &str, element: &Value) -> bool {
        self.field(name).and_then(Field::elements).is_some_and(|set| set.contains(element))
    }

    /// Whether a flag is on.
    pub fn flag(&self, name: &str) -> bool {
        self.field(name).and_then(Field::flag).is_some_and(crate::Flag::is_enabled)
    }

    /// A nested map; [`MapView::exists`] tells whether it is there.
    pub fn map(&self, name: &str) -> MapView<'a> {
        self.descend(name)
    }

    /// The declared fields, and those that were written without being declared.
    fn names(&self) -> Vec<&'a Name> {
        let written = self.map.into_iter().flat_map(Map::fields).map(|(name, _)| name);
        let mut names: Vec<&Name> = Vec::new();
        // Both come in order, so nearly all are appended; and a sort of their own would weigh in a browser.
        for name in self.declared.into_iter().flat_map(BTreeMap::keys).chain(written) {
            if let Err(at) = names.binary_search(&name) {
                names.insert(at, name);
            }
        }
        names
    }

    /// Fields in which someone wrote with another type than the declared one: kept and synced, not shown.
    pub fn unexpected(&self) -> Vec<&'a Name> {
        let Some(map) = self.map else { return Vec::new() };
        let odd = |name: &Name, field: &Field| match self.declared_type(name) {
            None => false,
            Some(declared) => {
                (field.winner().is_some() && !declared.is_register())
                    || (field.counter().is_some_and(|c| c.value() != 0)
                        && !matches!(declared, FieldType::Counter | FieldType::GrowCounter))
                    || (field.elements().is_some_and(|set| set.iter().next().is_some())
                        && !matches!(declared, FieldType::Set | FieldType::GrowSet))
                    || (field.flag().is_some_and(crate::Flag::is_enabled)
                        && !matches!(declared, FieldType::Flag))
                    || (field.map().is_some_and(Map::is_present) && !matches!(declared, FieldType::Map(_)))
            }
        };
        map.fields().filter(|(name, field)| odd(name, field)).map(|(name, _)| name).collect()
    }

    /// Everything that is shown, as one object; `None` when the document or map is not there.
    ///
    /// Declared counters, sets and flags are shown even when nobody wrote to them (0, `[]`, false). A `manual` field in
    /// conflict is shown as `{"$conflict": [values]}`.
    pub fn to_value(&self) -> Option<Value> {
        self.map?;
        let mut shown = BTreeMap::new();
        for name in self.names() {
            if let Some(value) = self.value_of(name) {
                shown.insert(name.to_string(), value);
            }
        }
        Some(Value::Object(Box::new(shown)))
    }

    fn value_of(&self, name: &str) -> Option<Value> {
        match self.declared_type(name) {
            Some(declared) if declared.is_register() => self.register_value(name),
            Some(FieldType::Counter | FieldType::GrowCounter) => Some(number(self.counter(name))),
            Some(FieldType::Set | FieldType::GrowSet) => Some(self.element_array(name)),
            Some(FieldType::Flag) => Some(Value::Bool(self.flag(name))),
            Some(_) => self.map(name).to_value(),
            None => self.undeclared_value(name),
        }
    }

    /// Without a declaration: the first kind that has anything to show.
    fn undeclared_value(&self, name: &str) -> Option<Value> {
        let field = self.field(name)?;
        if let Some(winner) = field.winner()
            && let Some(value) = winner.value.value()
        {
            return Some(value.clone());
        }
        let nested = self.map(name);
        if nested.exists() {
            return nested.to_value();
        }
        if self.elements(name).next().is_some() {
            return Some(self.element_array(name));
        }
        if field.counter().is_some_and(crate::PNCounter::has_counted) {
            return Some(number(self.counter(name)));
        }
        self.flag(name).then_some(Value::Bool(true))
    }

    fn register_value(&self, name: &str) -> Option<Value> {
        match self.read(name) {
            Reading::Absent => None,
            Reading::Value(value) => Some(value.into_owned()),
            Reading::Conflict(several) => {
                let values = several.iter().map(|s| s.value.value().cloned().unwrap_or(Value::Null));
                let values = Value::Array(values.collect());
                Some(Value::Object(Box::new(BTreeMap::from([("$conflict".into(), values)]))))
            }
        }
    }

    fn element_array(&self, name: &str) -> Value {
        Value::Array(self.elements(name).cloned().collect())
    }
}

/// A counter's value as a field value: whole while it fits 64 bits.
#[allow(clippy::cast_precision_loss)] // only beyond 64 bits, where the documentation says so
fn number(count: i128) -> Value {
    i64::try_from(count).map_or_else(|_| Value::Float(Float::new(count as f64)), Value::Int)
}

/// A document as it was read, with the schema to read it by. Owns both, so it can be kept and passed on; it does not
/// change when the store does.
#[derive(Clone, Debug)]
pub struct DocumentView {
    document: Arc<Document>,
    collection: Arc<Collection>,
    withheld: Vec<Withheld>,
}

/// Something that a document does not show; see [`DocumentView::withheld`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The field, as the names that lead to it; of the document itself there are none.
    pub path: Path,
    /// What kind of cell.
    pub kind: CellKind,
    /// The change that wrote it: its author, and the time that it claims.
    pub by: Change,
    /// Why it is not shown.
    pub reason: ParkReason,
}

impl DocumentView {
    /// Looks at a state through a schema.
    pub const fn new(document: Arc<Document>, collection: Arc<Collection>) -> Self {
        Self { document, collection, withheld: Vec::new() }
    }

    pub(crate) fn with_withheld(self, withheld: Vec<Withheld>) -> Self {
        Self { withheld, ..self }
    }

    /// What was written to the document and is not shown, and why: its fields show the last value before, if there is
    /// one. Empty unless somebody's clock is wrong.
    pub fn withheld(&self) -> &[Withheld] {
        &self.withheld
    }

    /// The cells that are shown: the state behind the view, unless something is [withheld](DocumentView::withheld).
    pub fn state(&self) -> &Document {
        &self.document
    }

    /// The fields, with everything that can be asked of them.
    pub fn fields(&self) -> MapView<'_> {
        MapView::of(&self.document, &self.collection, &[])
    }

    /// True unless the document was deleted, or never made.
    pub fn exists(&self) -> bool {
        self.fields().exists()
    }

    /// See [`MapView::get`].
    ///
    /// # Errors
    /// [`Conflict`] for a `manual` field with several concurrent values.
    pub fn get(&self, name: &str) -> Result<Option<Cow<'_, Value>>, Conflict> {
        self.fields().get(name)
    }

    /// See [`MapView::conflicts`].
    pub fn conflicts(&self, name: &str) -> Vec<Sibling<'_, Payload>> {
        self.fields().conflicts(name)
    }

    /// See [`MapView::counter`].
    pub fn counter(&self, name: &str) -> i128 {
        self.fields().counter(name)
    }

    /// See [`MapView::elements`].
    pub fn elements(&self, name: &str) -> impl Iterator<Item = &Value> + '_ {
        self.fields().elements(name)
    }

    /// See [`MapView::flag`].
    pub fn flag(&self, name: &str) -> bool {
        self.fields().flag(name)
    }

    /// See [`MapView::map`].
    pub fn map(&self, name: &str) -> MapView<'_> {
        self.fields().map(name)
    }

    /// See [`MapView::to_value`].
    pub fn to_value(&self) -> Option<Value> {
        self.fields().to_value()
    }
}
