//! A replica that a conversation and a test both use.

use std::sync::{Arc, Mutex};

use crdt_core::{Fingerprint, MemoryStore, Replica};
use sync_protocol::drive::{Endpoint, Messages, StreamError, Until, Wake, converse};
use sync_protocol::{Config, Session, Status};

use crate::support::{START_MS, replica, set};

#[derive(Clone)]
pub struct Shared {
    pub replica: Arc<Mutex<Replica<MemoryStore>>>,
    pub wake: Wake,
}

impl Shared {
    pub fn new(number: u64) -> Self {
        Self { replica: Arc::new(Mutex::new(replica(number))), wake: Wake::new() }
    }

    /// Commits, and tells the conversations.
    pub fn set(&self, id: u64, ms: u64, field: &str, value: &str) {
        set(&mut self.replica.lock().unwrap(), id, ms, field, value);
        self.wake.ring();
    }

    pub fn root(&self) -> Fingerprint {
        self.replica.lock().unwrap().head().unwrap().root
    }

    /// Waits until both hold the same.
    pub async fn equals(&self, other: &Self) {
        while self.root() != other.root() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    pub async fn converse(
        &self,
        nonce: u64,
        line: &mut impl Messages,
        until: Until,
    ) -> (Result<(), StreamError>, Status) {
        let mut session = Session::new(Config::new(nonce), START_MS);
        let mut endpoint = self.clone();
        let wake = self.wake.clone();
        let ended =
            converse(&mut session, &mut endpoint, line, until, &wake, START_MS, |_| wake.ring()).await;
        (ended, session.status())
    }
}

impl Endpoint for Shared {
    type Store = MemoryStore;

    fn with<R>(&mut self, step: impl FnOnce(&mut Replica<MemoryStore>) -> R) -> R {
        step(&mut self.replica.lock().unwrap())
    }
}
