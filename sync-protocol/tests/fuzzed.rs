//! What the fuzz targets of this crate start from, and every input that ever failed there: without a fuzzer, on a stable
//! compiler.
#![allow(dead_code, reason = "the targets use all of it")]

#[path = "../../fuzz/src/acts.rs"]
mod acts;
#[path = "../../fuzz/src/apart.rs"]
mod apart;
#[path = "../../fuzz/src/audit.rs"]
mod audit;
#[path = "../../fuzz/src/bundle.rs"]
mod bundle;
#[path = "../../fuzz/src/checks.rs"]
mod checks;
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
#[path = "../../fuzz/src/partial.rs"]
mod partial;
#[path = "../../fuzz/src/schema.rs"]
mod schema;
#[path = "../../fuzz/src/session.rs"]
mod session;
#[path = "../../fuzz/src/shown.rs"]
mod shown;
#[path = "../../fuzz/src/wire.rs"]
mod wire;

use link::Role;
use session::{Reached, play};
use wire::kind::{
    ACK, ACK_REFUSED, BYE, CHECKPOINT, CHUNK, DIFFER, HEARD, HELD, LOAD, MORE, PACKED, PART, PROOF, PUSH,
    PUSH_OWN, REFUSED, RESTART, SCOPE, SKETCH, TOKEN, WANT, WELCOME,
};

/// Plays all of them. The victim has to take every kind of message that it may take, and to say every kind that it may
/// say; or a change of the protocol has made the inputs mean nothing, and nothing is tested any more.
fn play_all(target: &str, role: Role, taken: &[u8], said: &[u8]) {
    let mut reached = Reached::default();
    kept::each(target, |bytes| reached.add(&play(role, bytes)));
    for (kinds, counts) in [(taken, &reached.taken), (said, &reached.said)] {
        for kind in [&[WANT, CHUNK, CHECKPOINT, PUSH, ACK, PROOF, RESTART, SCOPE], kinds].concat() {
            assert!(counts.get(&kind).is_some_and(|count| *count > 1), "kind {kind}: {reached:?}");
        }
    }
    let happened = [reached.healed, reached.parked, reached.let_go];
    assert!(happened.iter().all(|count| *count > 1), "{reached:?}");
    // From clients that are judged nobody loads.
    let loads = role != Role::Guarded;
    assert_eq!((reached.loaded > 1, reached.resumed > 1), (loads, loads), "{reached:?}");
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn sessions_that_failed_once() {
    let sums = [SKETCH, MORE, DIFFER, HELD];
    play_all(
        "session",
        Role::Open,
        &[&sums[..], &[BYE, PUSH_OWN, PACKED, LOAD, PART]].concat(),
        &[&sums[..], &[PUSH_OWN, LOAD, PART]].concat(),
    );
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn guarded_sessions_that_failed_once() {
    play_all(
        "guarded",
        Role::Guarded,
        &[BYE, TOKEN, HEARD, PUSH_OWN, PACKED, LOAD],
        &[WELCOME, REFUSED, ACK_REFUSED, PART],
    );
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn following_sessions_that_failed_once() {
    play_all(
        "following",
        Role::Following,
        &[BYE, WELCOME, REFUSED, PACKED, PART],
        &[TOKEN, HEARD, PUSH_OWN, LOAD],
    );
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn bundles_that_failed_once() {
    kept::each("bundle", bundle::bundle);
}
