// The door that it uses is there in builds of cargo-fuzz only.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rejoin_fuzz::memory::capped(96 << 20, || sync_protocol::fuzzing::message(bytes));
});

#[cfg(not(fuzzing))]
fn main() {}
