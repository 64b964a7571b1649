//! The words of a history in those of the library, and back.

use crdt_core::{
    Address, Collection, DocumentId, DocumentMut, EditError, FieldType, MapView, Resolver, Value,
};

use crate::words::{
    Action, COLLECTIONS, Declared, Doc, Edit, Path, Reading, Shown, ShownField, Type, fields_of, path_of,
};

pub fn address(doc: Doc) -> Address {
    Address::new(doc.collection, DocumentId::from_u64(doc.id))
}

pub fn doc(address: &Address) -> Doc {
    let collection = COLLECTIONS.into_iter().find(|name| **name == *address.collection);
    let bytes = address.id.as_bytes();
    Doc { collection: collection.expect("histories name no other"), id: bytes[15].into() }
}

/// The schema as the library wants it.
pub fn collection(name: &'static str, declared: &Declared) -> Collection {
    let mut collection = Collection::new(name);
    for field in fields_of(&[]) {
        if let Some(field_type) = field_type(declared, &[], field) {
            collection = collection.field(*field, field_type);
        }
    }
    if declared.delete_wins { collection.delete_wins() } else { collection }
}

fn field_type(declared: &Declared, path: Path, field: &'static str) -> Option<FieldType> {
    Some(match declared.type_of((path, field))? {
        Type::Lww => FieldType::Lww,
        Type::Detect => FieldType::Detect,
        Type::Manual => FieldType::Manual,
        Type::Custom => FieldType::Custom(Resolver::new("all", 1, |siblings| {
            let values = siblings.iter().map(|sibling| sibling.value.value().cloned().unwrap_or(Value::Null));
            Some(Value::Array(values.collect()))
        })),
        Type::Counter => FieldType::Counter,
        Type::GrowCounter => FieldType::GrowCounter,
        Type::Set => FieldType::Set,
        Type::GrowSet => FieldType::GrowSet,
        Type::Flag => FieldType::Flag,
        Type::Map => {
            let within = path_of((path, field)).unwrap_or_default();
            let fields = fields_of(within).iter().filter(|_| !within.is_empty());
            FieldType::Map(
                fields.filter_map(|f| Some(((*f).into(), field_type(declared, within, f)?))).collect(),
            )
        }
    })
}

/// Makes an edit in the map that a path leads to.
pub fn within(map: &mut DocumentMut<'_>, path: &[&'static str], edit: &Edit) -> Result<(), EditError> {
    if let [first, rest @ ..] = path {
        return within(&mut map.map(*first)?, rest, edit);
    }
    match &edit.action {
        Action::Set(field, value) => map.set(*field, value),
        Action::Resolve(field, value) => map.resolve(*field, value),
        Action::Remove(field) => map.remove(*field),
        Action::Increment(field, step) => map.increment(*field, *step),
        Action::Reset(field) => map.reset(*field),
        Action::Add(field, element) => map.add_to(*field, element),
        Action::Take(field, element) => map.remove_from(*field, element),
        Action::Enable(field) => map.enable(*field),
        Action::Disable(field) => map.disable(*field),
        Action::Ensure => map.ensure(),
        Action::Delete => {
            map.delete();
            Ok(())
        }
        Action::Erase => map.erase(),
    }
}

pub fn shown(view: MapView<'_>, path: Path) -> Shown {
    let field = |field: &&'static str| {
        let reading = match view.read(field) {
            crdt_core::Reading::Absent => Reading::Absent,
            crdt_core::Reading::Value(value) => Reading::Value(value.into_owned()),
            crdt_core::Reading::Conflict(values) => {
                Reading::Conflict(values.iter().map(|sibling| sibling.value.value().cloned()).collect())
            }
        };
        let conflicts = view.conflicts(field);
        let shown = ShownField {
            reading,
            conflicts: conflicts.iter().map(|s| (s.value.value().cloned(), s.by.stamp)).collect(),
            counter: view.counter(field),
            elements: view.elements(field).cloned().collect(),
            on: view.flag(field),
            map: path_of((path, field)).and_then(|within| shown(view.map(field), within)),
        };
        (*field, shown)
    };
    view.exists().then(|| fields_of(path).iter().map(field).collect())
}
