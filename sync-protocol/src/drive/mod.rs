//! Drivers: how the messages of a session travel.

mod memory;
mod stream;

pub use memory::{ExchangeError, exchange_in_memory, pump};
pub use stream::{Endpoint, StreamError, exchange, read_message, write_message};
