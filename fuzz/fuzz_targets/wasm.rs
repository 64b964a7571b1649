//! The border to JavaScript, made of the files of `rejoin-wasm` itself: that crate makes a WebAssembly module only.
#![no_main]
#![allow(dead_code, reason = "the module uses all of it")]

extern crate alloc;

#[path = "../../wasm/src/bridge.rs"]
mod bridge;
#[path = "../../wasm/src/error.rs"]
mod error;
#[path = "../../wasm/src/state.rs"]
mod state;
#[path = "../src/wasm.rs"]
mod wasm;

mod replica {
    pub(crate) type Replica = crdt_core::Replica<crdt_core::MemoryStore>;
}

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rejoin_fuzz::memory::capped(96 << 20, || wasm::wasm(bytes)));
