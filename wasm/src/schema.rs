//! Declared collections, as JavaScript describes them: a text for a type, an object for a nested map, and for a custom function
//! the list of its name, its version and its number among the functions that come along.

use alloc::vec::Vec;
use crdt_core::{Collection, FieldType, Fields, Limits, Name, Payload, Resolver, Sibling, Value};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::bridge::{Request, encode, list, read};
use crate::describe;
use crate::error::Error;

#[wasm_bindgen]
extern "C" {
    /// A custom function, wrapped by the JavaScript half: it takes and gives encoded values, gives none for `undefined`, and
    /// keeps what the app's function throws until the read that needed it is over.
    #[derive(Clone)]
    pub type Custom;

    #[wasm_bindgen(method, catch, js_name = call)]
    fn resolve(this: &Custom, this_argument: &JsValue, siblings: &[u8]) -> Result<Vec<u8>, JsValue>;
}

/// Reads the declaration of a collection.
pub(crate) fn collection(
    name: &str,
    fields: &[u8],
    functions: &[Custom],
    delete_wins: bool,
) -> Result<Collection, Error> {
    let mut collection = Collection::new(name);
    for (field, field_type) in read_fields(read(fields, &Limits::DEFAULT)?, functions)? {
        collection = collection.field(field, field_type);
    }
    Ok(if delete_wins { collection.delete_wins() } else { collection })
}

fn read_fields(fields: Value, functions: &[Custom]) -> Result<Fields, Error> {
    let Value::Object(fields) = fields else {
        return Err(Error::argument("the fields have to be an object"));
    };
    let mut types = Fields::new();
    for (field, described) in *fields {
        types.insert(Name::from(field), read_type(described, functions)?);
    }
    Ok(types)
}

fn read_type(described: Value, functions: &[Custom]) -> Result<FieldType, Error> {
    let text = match described {
        Value::Text(text) => text,
        Value::Object(_) => return Ok(FieldType::Map(read_fields(described, functions)?)),
        custom => return read_custom(custom, functions),
    };
    Ok(match &*text {
        "lww" => FieldType::Lww,
        "detect" => FieldType::Detect,
        "manual" => FieldType::Manual,
        "counter" => FieldType::Counter,
        "growCounter" => FieldType::GrowCounter,
        "set" => FieldType::Set,
        "growSet" => FieldType::GrowSet,
        "flag" => FieldType::Flag,
        other => return Err(Error::new("argument", ["there is no field type \"", other, "\""].concat())),
    })
}

fn read_custom(described: Value, functions: &[Custom]) -> Result<FieldType, Error> {
    let mut parts = Request::of(described)?;
    let (name, version, number) = (parts.name()?, parts.int()?, parts.int()?);
    let function = usize::try_from(number).ok().and_then(|number| functions.get(number));
    let (Some(function), Ok(version)) = (function.cloned(), u32::try_from(version)) else {
        return Err(Error::argument("the version of a custom function has to be a whole number of 32 bits"));
    };
    Ok(FieldType::Custom(Resolver::new(name, version, move |siblings| resolve(&function, siblings))))
}

/// What the function makes of the siblings. The JavaScript half has checked it and knows if it failed.
fn resolve(function: &Custom, siblings: &[Sibling<'_, Payload>]) -> Option<Value> {
    let siblings = encode(&list(&mut siblings.iter().map(describe::sibling)));
    let resolved = function.resolve(&JsValue::UNDEFINED, &siblings).ok()?;
    read(&resolved, &Limits::DEFAULT).ok()
}
