//! [`View`]: a document as it was read.

use alloc::vec::Vec;
use crdt_core::{DocumentView, MapView, Name, Reading, Value};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::bridge::{encode, encode_option, list};
use crate::describe;
use crate::error::Error;

/// A document as it was read, or a nested map of one.
#[wasm_bindgen]
#[derive(Debug)]
pub struct View {
    document: DocumentView,
    path: Vec<Name>,
}

impl View {
    pub(crate) const fn of_document(document: DocumentView) -> Self {
        Self { document, path: Vec::new() }
    }

    fn fields(&self) -> MapView<'_> {
        self.path.iter().fold(self.document.fields(), |view, name| view.map(name))
    }
}

#[wasm_bindgen]
impl View {
    /// A nested map, whether it is there or not.
    pub fn map(&self, field: &str) -> Self {
        let path = self.path.iter().cloned().chain([Name::from(field)]).collect();
        Self { document: self.document.clone(), path }
    }

    /// What was written to the document and is not shown, because the clock of its author is ahead.
    pub fn withheld(&self) -> Vec<u8> {
        encode(&list(&mut self.document.withheld().iter().map(describe::withheld)))
    }

    /// Everything that is shown.
    #[wasm_bindgen(js_name = toObject)]
    pub fn to_object(&self) -> Vec<u8> {
        encode_option(self.fields().to_value().as_ref())
    }

    /// What a field shows.
    ///
    /// # Errors
    /// `unresolved`.
    pub fn get(&self, field: &str) -> Result<Vec<u8>, Error> {
        if self.is_unresolved(field) {
            return Err(Error::unresolved(field));
        }
        let Some(Value::Object(fields)) = self.fields().to_value() else { return Ok(Vec::new()) };
        Ok(encode_option(fields.get(field)))
    }

    /// All concurrent values of a field.
    pub fn conflicts(&self, field: &str) -> Vec<u8> {
        encode(&list(&mut self.fields().conflicts(field).iter().map(describe::sibling)))
    }

    /// The fields that have several concurrent values.
    pub fn conflicted(&self) -> Vec<u8> {
        names(&mut self.fields().conflicted())
    }

    /// Whether a `manual` field is in conflict.
    #[wasm_bindgen(js_name = isUnresolved)]
    pub fn is_unresolved(&self, field: &str) -> bool {
        matches!(self.fields().read(field), Reading::Conflict(_))
    }

    /// The exact value of a counter.
    pub fn counter(&self, field: &str) -> i128 {
        self.fields().counter(field)
    }

    /// Fields that hold another type than the declared one.
    pub fn unexpected(&self) -> Vec<u8> {
        names(&mut self.fields().unexpected().into_iter())
    }
}

fn names(names: &mut dyn Iterator<Item = &Name>) -> Vec<u8> {
    encode(&list(&mut names.map(|name| Value::from(&**name))))
}
