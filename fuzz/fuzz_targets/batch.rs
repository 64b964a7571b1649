#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rejoin_fuzz::memory::capped(96 << 20, || rejoin_fuzz::decoders::batch(bytes)));
