//! The one byte encoding of values and cells. `PROTOCOL.md` specifies every byte of it.
//!
//! | file | subject |
//! |---|---|
//! | `bytes.rs` | integers, lengths, a reader that never reads past its input |
//! | `value.rs` | values and payloads |
//! | `shape.rs` | which cells a document has, apart from their content |
//! | `dictionary.rs` | replicas, shapes and documents by number |
//! | `cells.rs` | the cells of one document |
//! | `batch.rs` | documents for a message, a bundle, a comparison |
//! | `refusal.rs` | why something was not taken |
//! | `row.rs` | one document for a database row |
//!
//! Equal states are equal bytes on every platform. Decoders take any bytes: they never panic, and what they hold at
//! once is bounded by [`Limits`](crate::Limits) and a small multiple of their input; `PROTOCOL.md` says by how much.

mod batch;
mod bytes;
mod cells;
mod dictionary;
mod refusal;
mod row;
mod shape;
mod value;

pub use batch::{decode_batch, encode_batch};
pub use bytes::{DecodeError, Reader, put_bytes, put_signed, put_unsigned};
pub use dictionary::{Dictionary, DictionaryEntry, Lacking};
pub use refusal::{put_refusal, read_refusal};
pub use row::{decode_row, encode_row};
pub use shape::{Form, Shape};
pub use value::{put_payload, put_value, read_payload, read_value, value_len};

#[cfg(test)]
mod tests;
