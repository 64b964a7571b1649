//! [`Watch`]: learn what changed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crdt_core::ChangeEvent;

type Callback = dyn Fn(&ChangeEvent) + Send + Sync;

/// Those who want to know.
#[derive(Default)]
pub(crate) struct Watchers {
    callbacks: Mutex<Vec<(u64, Arc<Callback>)>>,
    next: AtomicU64,
}

impl Watchers {
    pub(crate) fn add(self: &Arc<Self>, callback: impl Fn(&ChangeEvent) + Send + Sync + 'static) -> Watch {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().push((number, Arc::new(callback)));
        Watch { watchers: Arc::downgrade(self), number }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Tells everyone. Nothing is locked meanwhile, so a callback may use the database, and stop watching.
    pub(crate) fn tell(&self, event: &ChangeEvent) {
        let callbacks: Vec<_> = self.lock().iter().map(|(_, callback)| callback.clone()).collect();
        for callback in callbacks {
            callback(event);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Arc<Callback>)>> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the watching when it is dropped.
#[must_use = "the watching ends when this is dropped"]
pub struct Watch {
    watchers: Weak<Watchers>,
    number: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watchers) = self.watchers.upgrade() {
            watchers.lock().retain(|(number, _)| *number != self.number);
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
