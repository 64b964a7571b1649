//! Messages with their length before them, in both drivers of byte streams: a message is given whole, or there is an
//! error, and nothing beyond the limit is allocated.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sync_protocol::drive::{Messages as _, framed, read_message, write_message};

const LIMIT: usize = 4 << 20;

/// The input is what a peer writes to the stream.
pub fn framing(bytes: &[u8]) {
    let mut stream = bytes;
    let (mut blocking, mut done) = (Vec::new(), 0);
    while let Ok(Some(message)) = read_message(&mut stream, LIMIT) {
        let mut again = Vec::new();
        write_message(&mut again, &message).expect("memory");
        let read = bytes.len() - stream.len();
        assert_eq!(bytes[done..read], again, "a message has one form");
        done = read;
        blocking.push(message);
    }
    let mut line = pin!(framed(tokio::io::join(bytes, tokio::io::sink())));
    let mut context = Context::from_waker(Waker::noop());
    let mut received = 0;
    while let Poll::Ready(Ok(Some(message))) = line.poll_receive(&mut context) {
        assert_eq!(blocking.get(received), Some(&message), "both drivers read the same");
        received += 1;
    }
}
