//! A door for the fuzzers to the messages, without a session around them. It is there in builds of cargo-fuzz (which
//! sets `--cfg fuzzing`) and in the tests of this crate, and nowhere else.

use crate::message::Message;
use crate::pack::{pack, unpack};

/// Reads a message whose seal was taken off, a packed one too: what is read is written, and read as the same again.
///
/// # Panics
/// When it is not.
pub fn message(bytes: &[u8]) {
    const LIMIT: usize = crdt_core::Limits::DEFAULT.message_bytes;
    if let Ok(Some(inflated)) = unpack(bytes, LIMIT) {
        // There are many ways to pack the same; the one of this crate comes back, too.
        let again = pack(inflated.clone());
        assert_eq!(unpack(&again, LIMIT), Ok((again != inflated).then(|| inflated.clone())));
        return message(&inflated);
    }
    let Ok(message) = Message::decode(bytes) else { return };
    let again = message.encode();
    assert_eq!(Message::decode(&again).as_ref(), Ok(&message));
    // A push of one own step has a short form beside the long one; everything else has one form.
    let short_push = again.first() == Some(&8);
    assert!(short_push || again == bytes, "{message:?} has two forms: {bytes:x?} and {again:x?}");
}

#[cfg(test)]
mod tests {
    /// Every input that ever failed, and those that the fuzzers start from.
    #[test]
    #[cfg_attr(miri, ignore = "reads files")]
    fn messages_that_failed_once() {
        let mut read = 0;
        for folder in ["seeds", "regressions"] {
            let path = format!("{}/../fuzz/{folder}/message", env!("CARGO_MANIFEST_DIR"));
            let Ok(files) = std::fs::read_dir(&path) else { continue };
            for file in files {
                let file = file.unwrap().path();
                println!("{}", file.display());
                super::message(&std::fs::read(&file).unwrap());
                read += 1;
            }
        }
        assert!(read > 0, "there are seeds at least");
    }
}
