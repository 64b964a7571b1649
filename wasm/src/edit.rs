//! One edit of a transaction, as the JavaScript half sends it: `[operation, collection, id, path, …]`.

use alloc::vec::Vec;
use crdt_core::{DocumentId, DocumentMut, Name, Transaction};

use crate::bridge::{Request, encode, encode_option, parse_uuid};
use crate::error::Error;

/// Does what a request says, and encodes what it gives.
pub(crate) fn operate(tx: &mut Transaction<'_>, request: &[u8]) -> Result<Vec<u8>, Error> {
    let mut request = Request::read(request)?;
    let operation = request.name()?;
    if &*operation == "dropRejected" {
        return Ok(encode(&tx.drop_rejected(request.dot()?)?.into()));
    }
    let collection = request.name()?;
    let id = parse_id(&request.name()?)?;
    let path = request.names()?;
    if &*operation == "read" {
        let view = tx.read(collection, id)?;
        return Ok(encode_option(view.to_value().as_ref()));
    }
    let mut document = tx.document(collection, id)?;
    at(&mut document, &path, &mut |document| edit(document, &operation, &mut request))
}

/// Reads the text form of a document id.
pub(crate) fn parse_id(id: &str) -> Result<DocumentId, Error> {
    let bytes = parse_uuid(id).map(DocumentId::from_bytes);
    bytes.ok_or_else(|| Error::new("argument", ["\"", id, "\" is not the id of a document"].concat()))
}

/// Goes down to a nested map; how deep that can be is limited.
fn at(
    document: &mut DocumentMut<'_>,
    path: &[Name],
    edit: &mut dyn FnMut(&mut DocumentMut<'_>) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    match path.split_first() {
        None => edit(document),
        Some((first, rest)) => at(&mut document.map(first)?, rest, edit),
    }
}

fn edit(document: &mut DocumentMut<'_>, operation: &str, request: &mut Request) -> Result<Vec<u8>, Error> {
    match operation {
        "ensure" => document.ensure()?,
        "delete" => document.delete(),
        "erase" => document.erase()?,
        "get" => return Ok(encode_option(document.view().to_value().as_ref())),
        "map" => {}
        on_field => edit_field(document, on_field, request)?,
    }
    Ok(Vec::new())
}

fn edit_field(document: &mut DocumentMut<'_>, operation: &str, request: &mut Request) -> Result<(), Error> {
    let field = request.name()?;
    match operation {
        "set" => document.set(field, request.value()?)?,
        "resolve" => document.resolve(field, request.value()?)?,
        "remove" => document.remove(field)?,
        "increment" => document.increment(field, request.int()?)?,
        "reset" => document.reset(field)?,
        "addTo" => document.add_to(field, request.value()?)?,
        "removeFrom" => document.remove_from(field, request.value()?)?,
        "enable" => document.enable(field)?,
        "disable" => document.disable(field)?,
        _ => return Err(Error::argument("there is no such edit")),
    }
    Ok(())
}
