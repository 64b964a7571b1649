//! Drivers: how the messages of a session travel.

mod endpoint;
mod memory;
mod stream;

pub use endpoint::Endpoint;
pub use memory::{ExchangeError, exchange_in_memory, pump};
pub use stream::{StreamError, exchange, read_message, write_message};
