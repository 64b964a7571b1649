//! Rejoin in the browser and in Node.
//!
//! So far this crate holds the core and the sessions to compiling for `wasm32-unknown-unknown`, and says which protocol
//! they speak; the bindings to replicas, documents and sessions are not written yet.

use wasm_bindgen::prelude::wasm_bindgen;

/// The protocol version that this build speaks. Peers with another one are refused with an error that says so.
#[wasm_bindgen(js_name = protocolVersion)]
pub fn protocol_version() -> u8 {
    sync_protocol::PROTOCOL_VERSION
}

/// The longest name of a collection or field, in bytes of UTF-8.
#[wasm_bindgen(js_name = maxNameBytes)]
pub fn max_name_bytes() -> usize {
    crdt_core::Limits::DEFAULT.name_bytes
}
