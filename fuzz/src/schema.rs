//! What an app declares and does: a field of every type, an edit of every kind.

use crdt_core::{Collection, DocumentMut, EditError, FieldType, Resolver, Value};

use super::input::Input;

/// A collection with a field of every type.
pub fn declared() -> Collection {
    let first = Resolver::new("first", 1, |siblings| {
        siblings.first().and_then(|sibling| sibling.value.value().cloned())
    });
    Collection::new("tasks")
        .field("a", FieldType::Detect)
        .field("b", FieldType::Manual)
        .field("c", FieldType::Custom(first))
        .field("n", FieldType::Counter)
        .field("s", FieldType::Set)
        .field("f", FieldType::Flag)
}

/// One edit of any kind.
///
/// # Errors
/// Those of the edit.
pub fn edit_once(edit: &mut DocumentMut<'_>, input: &mut Input<'_>) -> Result<(), EditError> {
    let field = ["a", "b", "c", "n", "s", "f", "x", "m"][input.below(8)];
    match input.below(14) {
        0 => edit.ensure(),
        1 => edit.set(field, i64::from(input.byte())),
        2 => edit.resolve(field, "decided"),
        3 => edit.remove(field),
        4 => edit.increment(field, input.number().cast_signed()),
        5 => edit.reset(field),
        6 => edit.add_to(field, i64::from(input.byte())),
        7 => edit.remove_from(field, Value::from(i64::from(input.byte()))),
        8 => edit.enable(field),
        9 => edit.disable(field),
        10 => {
            edit.delete();
            Ok(())
        }
        11 => edit.erase(),
        12 => edit.map("m")?.set(field, i64::from(input.byte())),
        _ => edit.map("m")?.map("m")?.increment("n", 1),
    }
}
