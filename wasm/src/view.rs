//! [`View`]: a document as it was read.

use crdt_core::{DocumentView, MapView, Name, Reading, Value};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::bridge::{encode, encode_option, list};
use crate::describe;
use crate::error::Error;

/// A document as it was read. Every question names the nested map that it is about by the names that lead there.
#[wasm_bindgen]
#[derive(Debug)]
pub struct View {
    view: DocumentView,
}

impl View {
    pub(crate) const fn new(view: DocumentView) -> Self {
        Self { view }
    }

    fn at(&self, path: &[String]) -> MapView<'_> {
        path.iter().fold(self.view.fields(), |view, name| view.map(name))
    }
}

#[wasm_bindgen]
impl View {
    /// Everything that is shown.
    #[wasm_bindgen(js_name = toObject)]
    pub fn to_object(&self, path: Vec<String>) -> Vec<u8> {
        encode_option(self.at(&path).to_value().as_ref())
    }

    /// What a field shows.
    ///
    /// # Errors
    /// `unresolved`.
    pub fn get(&self, path: Vec<String>, field: &str) -> Result<Vec<u8>, Error> {
        if self.is_unresolved(path.clone(), field) {
            return Err(Error::unresolved(field));
        }
        let shown = self.at(&path).to_value();
        let Some(Value::Object(fields)) = shown else { return Ok(Vec::new()) };
        Ok(encode_option(fields.get(field)))
    }

    /// All concurrent values of a field.
    pub fn conflicts(&self, path: Vec<String>, field: &str) -> Vec<u8> {
        encode(&list(self.at(&path).conflicts(field).iter().map(describe::sibling)))
    }

    /// The fields that have several concurrent values.
    pub fn conflicted(&self, path: Vec<String>) -> Vec<u8> {
        names(self.at(&path).conflicted())
    }

    /// Whether a `manual` field is in conflict.
    #[wasm_bindgen(js_name = isUnresolved)]
    pub fn is_unresolved(&self, path: Vec<String>, field: &str) -> bool {
        matches!(self.at(&path).read(field), Reading::Conflict(_))
    }

    /// The exact value of a counter.
    pub fn counter(&self, path: Vec<String>, field: &str) -> i128 {
        self.at(&path).counter(field)
    }

    /// Fields that hold another type than the declared one.
    pub fn unexpected(&self, path: Vec<String>) -> Vec<u8> {
        names(self.at(&path).unexpected().into_iter())
    }
}

fn names<'a>(names: impl Iterator<Item = &'a Name>) -> Vec<u8> {
    encode(&list(names.map(|name| Value::from(&**name))))
}
