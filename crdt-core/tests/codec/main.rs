//! The byte encoding of values and documents: one form for each state, and an answer to any bytes.

mod canonical;
mod documents;
mod hostile;
mod seeds;
#[allow(dead_code, reason = "the law suite uses all of it, this binary whole documents only")]
#[path = "../subjects/mod.rs"]
mod subjects;

use crdt_core::codec::{DecodeError, Dictionary, Reader, decode_batch, encode_batch};
use crdt_core::{Address, Document, DocumentId, Limits};

/// Documents by address.
type Batch = Vec<(Address, Document)>;

fn address(number: u64) -> Address {
    let collection = match number % 3 {
        0 => "tasks",
        1 => "",
        _ => "people",
    };
    Address::new(collection, DocumentId::from_u64(number))
}

fn encode(dictionary: &mut Dictionary, batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    encode_batch(&mut out, dictionary, batch.iter().map(|(address, document)| (address, document)));
    out
}

fn decode(bytes: &[u8], dictionary: &mut Dictionary) -> Result<Batch, DecodeError> {
    decode_batch(&mut Reader::new(bytes), dictionary, &Limits::DEFAULT)
}
