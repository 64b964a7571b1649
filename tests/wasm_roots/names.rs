//! What fields, documents and replicas are called.

use crdt_core::DocumentId;

use crate::words::Doc;

/// The names of the histories, some of them spelled in a way that a binding may stumble over.
pub fn spelled(field: &'static str) -> &'static str {
    match field {
        "b" => "été 🧊\u{301}",
        "c" => "__proto__",
        "d" => "7",
        field => field,
    }
}

/// The second document of a collection is named by a key.
pub fn key(doc: Doc) -> Option<String> {
    (doc.id == 2).then(|| format!("schlüssel {}", doc.id))
}

pub fn id(doc: Doc) -> DocumentId {
    match key(doc) {
        Some(key) => DocumentId::from_key(doc.collection, &key),
        None => DocumentId::from_u64(doc.id),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
