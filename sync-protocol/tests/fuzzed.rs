//! What the fuzz targets of this crate start from, and every input that ever failed there: without a fuzzer, on a stable
//! compiler.
#![allow(dead_code, reason = "the targets use all of it")]

#[path = "../../fuzz/src/audit.rs"]
mod audit;
#[path = "../../fuzz/src/bundle.rs"]
mod bundle;
#[path = "../../fuzz/src/decoders.rs"]
mod decoders;
#[path = "../../fuzz/src/forged.rs"]
mod forged;
#[path = "../../fuzz/src/hostile.rs"]
mod hostile;
#[path = "../../fuzz/src/input.rs"]
mod input;
#[path = "../../fuzz/src/kept.rs"]
mod kept;
#[path = "../../fuzz/src/link.rs"]
mod link;
#[path = "../../fuzz/src/schema.rs"]
mod schema;
#[path = "../../fuzz/src/session.rs"]
mod session;
#[path = "../../fuzz/src/shown.rs"]
mod shown;
#[path = "../../fuzz/src/wire.rs"]
mod wire;

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn sessions_that_failed_once() {
    kept::each("session", session::session);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn guarded_sessions_that_failed_once() {
    kept::each("guarded", session::guarded);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn following_sessions_that_failed_once() {
    kept::each("following", session::following);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn bundles_that_failed_once() {
    kept::each("bundle", bundle::bundle);
}
