//! Drivers: how the messages of a session travel.
//!
//! | driver | for | ends |
//! |---|---|---|
//! | [`exchange`] | blocking `Read + Write` streams; the sides take turns | when both have everything |
//! | `converse` (feature `tokio`) | async, both ways at once: any `Messages`, of which `framed` makes one of a byte stream, `websocket` (feature `websocket`) of a web socket | when both have everything, or stays open and pushes what is committed |
//! | [`exchange_in_memory`], [`pump`] | two replicas in one process | when neither has more to say |
//!
//! Both ends need the same kind of driver: one that takes turns does not understand one that does not. Drivers of
//! `converse` understand each other over whatever carries whole messages from one to the other.

#[cfg(feature = "tokio")]
mod converse;
mod endpoint;
mod memory;
#[cfg(feature = "tokio")]
mod messages;
mod stream;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "websocket")]
mod websocket;

#[cfg(feature = "tokio")]
pub use converse::{Until, Wake, converse};
pub use endpoint::Endpoint;
pub use memory::{ExchangeError, exchange_in_memory, pump};
#[cfg(feature = "tokio")]
pub use messages::Messages;
pub use stream::{StreamError, exchange, read_message, write_message};
#[cfg(feature = "tokio")]
pub use tokio::{Framed, framed};
#[cfg(feature = "websocket")]
pub use websocket::{Incoming, MessageStream, message_stream, websocket, websocket_config};
