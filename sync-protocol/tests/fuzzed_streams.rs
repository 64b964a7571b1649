//! What the fuzz target `framing` starts from, and every input that ever failed there.

#[path = "../../fuzz/src/framing.rs"]
mod framing;
#[path = "../../fuzz/src/kept.rs"]
mod kept;

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn streams_that_failed_once() {
    kept::each("framing", framing::framing);
}
