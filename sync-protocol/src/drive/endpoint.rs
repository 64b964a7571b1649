//! [`Endpoint`]: how a driver gets at the replica.

use crdt_core::{Replica, Store};

/// Gives a driver the replica for the time of one step: a [`Replica`] itself, or one behind a lock.
pub trait Endpoint {
    /// What keeps the replica's state.
    type Store: Store;

    /// Does one step with the replica.
    fn with<R>(&mut self, step: impl FnOnce(&mut Replica<Self::Store>) -> R) -> R;
}

impl<S: Store> Endpoint for Replica<S> {
    type Store = S;

    fn with<R>(&mut self, step: impl FnOnce(&mut Self) -> R) -> R {
        step(self)
    }
}
