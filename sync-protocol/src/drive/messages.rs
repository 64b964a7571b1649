//! [`Messages`]: what an async driver needs of a transport.

use std::task::{Context, Poll};

use super::StreamError;

/// A transport of whole messages, in order, both ways at once. The methods are those of a `Stream` and a `Sink` in one, for
/// [`converse`](super::converse) to drive.
///
/// [`framed`](super::framed) makes one of a byte stream. Own ones are short: a message queue, a data channel, a test.
pub trait Messages {
    /// The next message that came; `None` when the other side has closed.
    ///
    /// # Errors
    /// [`StreamError`]; the transport is of no use any more then.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, StreamError>>;

    /// Ready when there is room for one more message. What bounds memory is that this waits while the other side does not
    /// read.
    ///
    /// # Errors
    /// As [`Messages::poll_receive`].
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>>;

    /// Takes a message, after [`Messages::poll_ready`] was ready.
    ///
    /// # Errors
    /// As [`Messages::poll_receive`].
    fn start_send(&mut self, message: Vec<u8>) -> Result<(), StreamError>;

    /// Ready when everything that was taken has left.
    ///
    /// # Errors
    /// As [`Messages::poll_receive`].
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>>;

    /// Ready when everything has left and the other side was told that no more will come.
    ///
    /// # Errors
    /// As [`Messages::poll_receive`].
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>>;
}
