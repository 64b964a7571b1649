//! What the fuzz target `wasm` starts from, and every input that ever failed there.

#[path = "../../fuzz/src/kept.rs"]
mod kept;
#[path = "../../fuzz/src/wasm.rs"]
mod wasm;

#[test]
fn requests_and_states_that_failed_once() {
    kept::each("wasm", wasm::wasm);
}
