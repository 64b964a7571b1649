//! The fuzz targets: the files of `fuzz/fuzz_targets`.

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    /// Its share of the time.
    pub weight: u32,
    /// It runs whole sessions, not a decoder.
    pub sessions: bool,
    /// Bytes of an input: for most of the time, and for the rest. Short inputs are many more in the same time.
    pub bytes: [usize; 2],
}

const fn decoder(name: &'static str, weight: u32) -> Target {
    Target { name, weight, sessions: false, bytes: [512, 64 << 10] }
}

const fn sessions(name: &'static str) -> Target {
    Target { name, weight: 6, sessions: true, bytes: [512, 4096] }
}

pub const TARGETS: [Target; 15] = [
    decoder("value", 1),
    decoder("shape", 1),
    decoder("batch", 3),
    decoder("carried", 3),
    decoder("row", 2),
    decoder("document", 3),
    decoder("json", 2),
    decoder("sqlite_json", 1),
    decoder("message", 1),
    decoder("bundle", 2),
    decoder("framing", 1),
    decoder("wasm", 2),
    sessions("session"),
    sessions("guarded"),
    sessions("following"),
];
