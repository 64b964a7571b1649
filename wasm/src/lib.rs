//! Rejoin in the browser and in Node: the Rust half of the npm package `rejoin`.
//!
//! The other half is in `js/`: the classes that an app sees, declared and documented in `js/rejoin.d.ts`. This half wraps
//! `crdt-core` and `sync-protocol` and adds no rules of its own, so a browser holds and sends the same bytes as every
//! other replica. `cargo xtask npm` makes the package of both.
//!
//! # Map
//!
//! | | |
//! |---|---|
//! | [`Core`] (`replica.rs`) | a replica in memory: transactions, reads, events |
//! | `edit.rs` | one edit of a transaction |
//! | [`View`] (`view.rs`) | a document as it was read |
//! | [`SessionCore`] (`session.rs`) | one conversation with one peer |
//! | `state.rs` | the whole state as bytes, byte by byte |
//! | `schema.rs` | declared collections |
//! | `door.rs` | guards: who is let in, and to what |
//! | `describe.rs` | events, statuses and siblings as values |
//! | `bridge.rs` | how values cross between JavaScript and Rust |
//! | `error.rs` | the codes of all errors |
//! | `runtime.rs` | allocator and panic handler |
//!
//! # How values cross
//!
//! Whatever is more than a number or a text crosses as one canonical encoding of a [`Value`](crdt_core::Value), the encoding of
//! `PROTOCOL.md`: `js/value.js` writes and reads it too. One crossing a call, one place where types are mapped, and no
//! JSON in the module.
//!
//! # How a transaction crosses
//!
//! `Replica::commit` takes a closure, and a JavaScript callback is to run inside it. The callback gets a function that
//! lives as long as the transaction and sends each edit here (`edit.rs`). Once the callback has returned, the JavaScript half
//! refuses to call it.

#![cfg_attr(not(test), no_std)]

extern crate alloc;
// Off the web the standard library brings the allocator and the panic handler, so that the crate can be checked anywhere.
#[cfg(not(target_arch = "wasm32"))]
extern crate std;

mod bridge;
mod describe;
mod door;
mod edit;
mod error;
#[cfg(test)]
mod fuzzed;
mod replica;
#[cfg(target_arch = "wasm32")]
mod runtime;
mod schema;
mod session;
mod state;
mod view;

pub use replica::Core;
pub use session::SessionCore;
pub use view::View;

use alloc::string::String;
use crdt_core::DocumentId;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::Error;

/// The protocol version that this build speaks. Peers with another one are refused with an error that says so.
#[wasm_bindgen(js_name = protocolVersion)]
pub fn protocol_version() -> u8 {
    sync_protocol::PROTOCOL_VERSION
}

/// The id that a key of the app's own names in a collection.
#[wasm_bindgen(js_name = idFromKey)]
pub fn id_from_key(collection: &str, key: &str) -> String {
    bridge::uuid(DocumentId::from_key(collection, key).as_bytes())
}

/// Checks a value against the limits of the namespace, for what is not checked on its way into a transaction.
///
/// # Errors
/// `limit`.
#[wasm_bindgen(js_name = checkValue)]
pub fn check_value(value: &[u8]) -> Result<(), Error> {
    bridge::read(value, &crdt_core::Limits::DEFAULT).map(|_| ())
}
