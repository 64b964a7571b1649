//! Web sockets, and anything else that is a `Stream` and a `Sink` of messages.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crdt_core::Limits;
use futures_util::{Sink, Stream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Messages, StreamError};

/// A `Stream + Sink` as a transport of messages; see [`message_stream`].
#[derive(Debug)]
pub struct MessageStream<S, M> {
    socket: S,
    wrap: fn(Vec<u8>) -> M,
    unwrap: fn(M) -> Result<Incoming, StreamError>,
}

/// What came over a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A binary message.
    Message(Vec<u8>),
    /// What is the library's business: pings, say.
    Other,
    /// The other side closes.
    Close,
}

/// Carries messages over a socket of any library: `wrap` makes one of the library's binary messages, `unwrap` takes one of
/// its messages apart.
///
/// Sockets of other libraries (axum, warp) are given to it like this one; give them [these settings](websocket_config) too,
/// under whatever names they have there.
///
/// ```
/// use sync_protocol::drive::{Incoming, MessageStream, StreamError, message_stream};
/// use tokio_tungstenite::tungstenite::Message;
/// # type Socket = tokio_tungstenite::WebSocketStream<tokio::io::DuplexStream>;
///
/// fn line(socket: Socket) -> MessageStream<Socket, Message> {
///     message_stream(socket, |bytes| Message::Binary(bytes.into()), |message| match message {
///         Message::Binary(bytes) => Ok(Incoming::Message(bytes.into())),
///         Message::Text(_) => Err(StreamError::Framing),
///         Message::Close(_) => Ok(Incoming::Close),
///         _ => Ok(Incoming::Other),
///     })
/// }
/// ```
pub fn message_stream<S, M, E>(
    socket: S,
    wrap: fn(Vec<u8>) -> M,
    unwrap: fn(M) -> Result<Incoming, StreamError>,
) -> MessageStream<S, M>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    MessageStream { socket, wrap, unwrap }
}

/// Carries messages over a WebSocket of tokio-tungstenite, which should have been given [these settings](websocket_config).
pub fn websocket<S, E>(socket: S) -> MessageStream<S, Message>
where
    S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    message_stream(
        socket,
        |bytes| Message::Binary(bytes.into()),
        |message| match message {
            Message::Binary(bytes) => Ok(Incoming::Message(bytes.into())),
            Message::Text(_) => Err(StreamError::Framing),
            Message::Close(_) => Ok(Incoming::Close),
            _ => Ok(Incoming::Other),
        },
    )
}

/// Settings under which a WebSocket holds little memory. By the library's defaults it would have read and write buffers of
/// 128 KiB each, take messages of 64 MiB, and let what waits to leave grow without bound.
pub fn websocket_config() -> WebSocketConfig {
    let (message_bytes, buffer_bytes) = (Limits::DEFAULT.message_bytes, 4 << 10);
    WebSocketConfig::default()
        .read_buffer_size(buffer_bytes)
        .write_buffer_size(buffer_bytes)
        // One message, and the frame headers and control frames around it.
        .max_write_buffer_size(2 * buffer_bytes + message_bytes)
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes))
}

fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> StreamError {
    io::Error::other(error).into()
}

impl<S, M, E> Messages for MessageStream<S, M>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>, StreamError>> {
        loop {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                Some(Ok(message)) => match (self.unwrap)(message)? {
                    Incoming::Message(message) => return Poll::Ready(Ok(Some(message))),
                    // Some libraries go on until the connection is gone, which may be a while.
                    Incoming::Close => return Poll::Ready(Ok(None)),
                    Incoming::Other => {}
                },
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        Pin::new(&mut self.socket).poll_ready(cx).map_err(failed)
    }

    fn start_send(&mut self, message: Vec<u8>) -> Result<(), StreamError> {
        Pin::new(&mut self.socket).start_send((self.wrap)(message)).map_err(failed)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(failed)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(failed)
    }
}
