//! Any `AsyncRead + AsyncWrite` as a transport of messages: TCP, TLS, Unix sockets, pipes, QUIC streams.
//!
//! Each message goes with its length before it, as in the blocking driver; but nobody takes turns.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crdt_core::Limits;
use crdt_core::codec::put_bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Messages, StreamError};

/// Beyond so many bytes that wait to leave, there is no room for another message.
const WRITE_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 8 << 10;

/// A byte stream that carries messages; see [`framed`].
#[derive(Debug)]
pub struct Framed<S> {
    stream: S,
    limit: usize,
    /// What was read and is not yet a whole message.
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output has left.
    written: usize,
}

/// Carries messages over a byte stream. It holds at most one message in each direction, and 64 KiB.
pub const fn framed<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Framed<S> {
    let limit = Limits::DEFAULT.message_bytes;
    Framed { stream, limit, input: Vec::new(), output: Vec::new(), written: 0 }
}

impl<S> Framed<S> {
    /// The stream.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Takes a whole message from the input, if there is one.
    fn message(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        let mut len = 0;
        for (at, byte) in self.input.iter().enumerate() {
            len |= usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 != 0 {
                if at == 3 {
                    return Err(StreamError::Framing);
                }
                continue;
            }
            if len == 0 {
                // A length of zero is how a driver that takes turns ends its flight.
                return Err(if at == 0 { StreamError::OtherDriver } else { StreamError::Framing });
            }
            let shortest = at == 0 || *byte != 0;
            if len > self.limit || !shortest {
                return Err(StreamError::Framing);
            }
            let (start, end) = (at + 1, at + 1 + len);
            if self.input.len() < end {
                return Ok(None);
            }
            let rest = self.input.split_off(end);
            let mut message = std::mem::replace(&mut self.input, rest);
            message.drain(..start);
            return Ok(Some(message));
        }
        Ok(None)
    }
}

impl<S: AsyncWrite + Unpin> Framed<S> {
    /// Writes until nothing is left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let left = &self.output[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => self.written += len,
            }
        }
        self.output.clear();
        self.written = 0;
        // A large message leaves no large buffer behind.
        self.output.shrink_to(WRITE_BYTES);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages for Framed<S> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, StreamError>> {
        loop {
            if let Some(message) = self.message()? {
                return Poll::Ready(Ok(Some(message)));
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                let whole = self.input.is_empty();
                let cut = || io::Error::from(io::ErrorKind::UnexpectedEof).into();
                return Poll::Ready(if whole { Ok(None) } else { Err(cut()) });
            }
            self.input.extend_from_slice(buffer.filled());
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.output.len() - self.written < WRITE_BYTES {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Ok(ready!(self.poll_write(cx))?))
    }

    fn start_send(&mut self, message: Vec<u8>) -> Result<(), StreamError> {
        // Of a slow reader something is always left, so what has left is not waited for to be everything.
        if self.written >= WRITE_BYTES {
            self.output.drain(..self.written);
            self.written = 0;
        }
        put_bytes(&mut self.output, &message);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        ready!(self.poll_write(cx))?;
        Poll::Ready(Ok(ready!(Pin::new(&mut self.stream).poll_flush(cx))?))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        ready!(self.poll_write(cx))?;
        Poll::Ready(Ok(ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Nothing at first, and then as much as is said, so that there is always something left.
    struct Slow {
        turn: u32,
    }

    const MESSAGE: usize = 990;

    impl AsyncRead for Slow {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.turn += 1;
            let takes = self.turn > 40 && self.turn.is_multiple_of(2);
            if takes { Poll::Ready(Ok(bytes.len().min(MESSAGE + 2))) } else { Poll::Pending }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[test]
    fn a_peer_that_reads_slowly_does_not_make_the_output_grow() {
        let (mut line, mut cx) = (framed(Slow { turn: 0 }), Context::from_waker(Waker::noop()));
        let mut sent = 0;
        for _ in 0..20_000 {
            if line.poll_ready(&mut cx).is_ready() {
                line.start_send(vec![7; MESSAGE]).unwrap();
                sent += 1;
            }
            let _ = line.poll_flush(&mut cx);
            assert!(
                line.output.len() <= 3 * WRITE_BYTES,
                "{} bytes after {sent} messages",
                line.output.len()
            );
        }
        assert!(sent > 10_000, "{sent}");
    }
}
