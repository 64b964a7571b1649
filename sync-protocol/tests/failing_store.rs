//! A store that fails at any call: the session can go on with the next try, and nothing is half done.
#![allow(missing_docs)]

mod support;

use std::sync::Arc;

use crdt_core::{
    Access, Acknowledged, Address, Arrival, Checkpoint, Collection, Document, DocumentId, Dot, Durability,
    Head, Life, LogRecord, Meeting, MemoryStore, Name, Note, PeerRecord, ReceiveBound, Replica, ReplicaId,
    Spare, Store, StoreError, Trail, VersionVector,
};
use support::{START_MS, edit, or_under_miri, replica, set};
use sync_protocol::drive::exchange_in_memory;
use sync_protocol::{Config, Session, SessionError};

/// Fails one call, then works.
struct Failing {
    store: MemoryStore,
    /// Calls until the one that fails.
    left: Option<u32>,
    /// The writing transactions that were begun, and whether they had to be durable.
    durable: Vec<bool>,
}

impl Failing {
    fn call(&mut self) -> Result<&mut MemoryStore, StoreError> {
        match &mut self.left {
            Some(0) => {
                self.left = None;
                Err(StoreError::Full)
            }
            Some(left) => {
                *left -= 1;
                Ok(&mut self.store)
            }
            None => Ok(&mut self.store),
        }
    }
}

impl Store for Failing {
    fn begin(&mut self, access: Access, durability: Durability) -> Result<(), StoreError> {
        if access == Access::Write {
            self.durable.push(durability == Durability::Durable);
        }
        self.call()?.begin(access, durability)
    }
    fn commit(&mut self) -> Result<(), StoreError> {
        self.call()?.commit()
    }
    fn rollback(&mut self) {
        self.store.rollback();
    }
    fn head(&mut self) -> Result<Head, StoreError> {
        self.call()?.head()
    }
    fn set_head(&mut self, head: &Head) -> Result<(), StoreError> {
        self.call()?.set_head(head)
    }
    fn document(&mut self, address: &Address) -> Result<Option<Arc<Document>>, StoreError> {
        self.call()?.document(address)
    }
    fn put_document(
        &mut self,
        at: &Address,
        document: Arc<Document>,
        as_in: &Collection,
    ) -> Result<(), StoreError> {
        self.call()?.put_document(at, document, as_in)
    }
    fn remove_document(&mut self, address: &Address) -> Result<(), StoreError> {
        self.call()?.remove_document(address)
    }
    fn document_estimate(&mut self) -> Result<u64, StoreError> {
        self.call()?.document_estimate()
    }
    fn put_shown(
        &mut self,
        at: &Address,
        document: Arc<Document>,
        shown: &Document,
        as_in: &Collection,
    ) -> Result<(), StoreError> {
        self.call()?.put_shown(at, document, shown, as_in)
    }
    fn has_parked(&mut self) -> Result<bool, StoreError> {
        self.call()?.has_parked()
    }
    fn documents_after(
        &mut self,
        after: Option<&Address>,
        limit: usize,
    ) -> Result<Vec<(Address, Arc<Document>)>, StoreError> {
        self.call()?.documents_after(after, limit)
    }
    fn collection_after(
        &mut self,
        collection: &Name,
        after: Option<DocumentId>,
        limit: usize,
    ) -> Result<Vec<(DocumentId, Arc<Document>)>, StoreError> {
        self.call()?.collection_after(collection, after, limit)
    }
    fn number_of(&mut self, address: &Address) -> Result<Option<u64>, StoreError> {
        self.call()?.number_of(address)
    }
    fn address_numbered(&mut self, number: u64) -> Result<Option<Address>, StoreError> {
        self.call()?.address_numbered(number)
    }
    fn append_log(&mut self, record: LogRecord) -> Result<(), StoreError> {
        self.call()?.append_log(record)
    }
    fn log_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<LogRecord>, StoreError> {
        self.call()?.log_after(sequence, limit)
    }
    fn context(&mut self) -> Result<VersionVector, StoreError> {
        self.call()?.context()
    }
    fn context_of(&mut self, replica: ReplicaId) -> Result<u64, StoreError> {
        self.call()?.context_of(replica)
    }
    fn context_after(&mut self, sequence: u64) -> Result<Vec<Dot>, StoreError> {
        self.call()?.context_after(sequence)
    }
    fn raise_context(&mut self, dot: Dot, sequence: u64) -> Result<bool, StoreError> {
        self.call()?.raise_context(dot, sequence)
    }
    fn peer(&mut self, life: Life) -> Result<Option<PeerRecord>, StoreError> {
        self.call()?.peer(life)
    }
    fn peers(&mut self) -> Result<Vec<PeerRecord>, StoreError> {
        self.call()?.peers()
    }
    fn set_peer(&mut self, peer: &PeerRecord) -> Result<(), StoreError> {
        self.call()?.set_peer(peer)
    }
    fn stage(&mut self, peer: Life, batch: &[u8]) -> Result<(), StoreError> {
        self.call()?.stage(peer, batch)
    }
    fn staged(&mut self, peer: Life, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.call()?.staged(peer, index)
    }
    fn clear_staged(&mut self, peer: Life) -> Result<(), StoreError> {
        self.call()?.clear_staged(peer)
    }
    fn note(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.call()?.note(key)
    }
    fn set_note(&mut self, key: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        self.call()?.set_note(key, note)
    }
    fn notes_after(&mut self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Note>, StoreError> {
        self.call()?.notes_after(prefix, after, limit)
    }
}

/// The calls that are made to fail, one in each exchange; there have to be so many.
fn each_call() -> impl Iterator<Item = u32> {
    (0..10_000).step_by(or_under_miri(1, 211))
}

const LEAST: usize = or_under_miri(100, 1);

/// Everything that `a` has, and a live change, to a store that fails at call `fails_at`. False when it did not get there.
fn exchange_with_failure(fails_at: u32, documents: u64, ahead_ms: u64) -> bool {
    let mut a = replica(1);
    let text = "long enough for several chunks ".repeat(or_under_miri(200, 20));
    (0..documents).for_each(|n| set(&mut a, n, n + ahead_ms, "title", &text));
    let mut b = Replica::new(Failing { store: replica(2).into_store(), left: None, durable: Vec::new() });
    b.keep_time(ReceiveBound::default());
    let (mut at_a, mut at_b) =
        (Session::new(Config::new(1), START_MS), Session::new(Config::new(2), START_MS));
    edit(&mut b, 100, 0, |task| task.set("title", "an own one").unwrap());
    b.store_mut().left = Some(fails_at);
    for _live in [false, true] {
        loop {
            let mut moved = false;
            while let Some(message) = at_a.transmit(&mut a, START_MS).unwrap() {
                retry(|| at_b.receive(&mut b, &message, START_MS));
                moved = true;
            }
            while let Some(message) = retry(|| at_b.transmit(&mut b, START_MS)) {
                at_a.receive(&mut a, &message, START_MS).unwrap();
                moved = true;
            }
            if !moved {
                break;
            }
        }
        assert!(at_a.is_settled() && at_b.is_settled(), "failure at call {fails_at}");
        assert_eq!(
            a.canonical_bytes().unwrap(),
            retry_replica(|| b.canonical_bytes()),
            "failure at call {fails_at}"
        );
        set(&mut a, documents - 1, 5_000 + ahead_ms, "title", "a live change");
    }
    let of_a = retry_replica(|| b.peer(Life(1))).expect("they have met");
    assert_eq!(of_a.cursor, a.head().unwrap().sequence, "failure at call {fails_at}");
    assert!(of_a.acked >= 1, "what was acknowledged is remembered; failure at call {fails_at}");
    let parked = retry_replica(|| b.parked_count());
    assert_eq!(parked, if ahead_ms == 0 { 0 } else { documents }, "failure at call {fails_at}");
    b.store_mut().left.is_none()
}

/// A store that was set back, or a copy of the one at the other end, heals although one call fails. False when none did.
fn heals_with_failure(fails_at: u32, copy: bool) -> bool {
    let config = |side: u64| {
        let spare = Spare { replica: ReplicaId::from_u64(90 + side), life: Life(90 + side) };
        Config::new(side).spare(spare)
    };
    let (mut a, mut hub) = (replica(1), replica(2));
    a.begin_run(1);
    set(&mut a, 1, 0, "title", "before");
    let backup = a.store_mut().clone();
    edit(&mut a, 1, 10, |task| task.increment("votes", 10).unwrap());
    exchange_in_memory(&mut a, &mut hub, START_MS).unwrap();
    let mut other = if copy { a } else { hub };
    if copy {
        other.begin_run(3);
        edit(&mut other, 3, 15, |task| task.set("title", "of the other copy").unwrap());
    }
    let mut b = support::declared_over(Failing { store: backup, left: None, durable: Vec::new() });
    b.begin_run(2);
    edit(&mut b, 1, 20, |task| task.increment("votes", 100).unwrap());
    let (mut at_other, mut at_b) = (Session::new(config(3), START_MS), Session::new(config(4), START_MS));
    b.store_mut().left = Some(fails_at);
    loop {
        let mut moved = false;
        while let Some(message) = at_other.transmit(&mut other, START_MS).unwrap() {
            retry(|| at_b.receive(&mut b, &message, START_MS));
            moved = true;
        }
        while let Some(message) = retry(|| at_b.transmit(&mut b, START_MS)) {
            at_other.receive(&mut other, &message, START_MS).unwrap();
            moved = true;
        }
        if !moved {
            break;
        }
    }
    assert!(at_other.is_settled() && at_b.is_settled(), "failure at call {fails_at}");
    let failed = b.store_mut().left.take().is_none();
    assert_eq!(other.canonical_bytes().unwrap(), b.canonical_bytes().unwrap(), "failure at call {fails_at}");
    let votes = b.read("tasks", DocumentId::from_u64(1)).unwrap().counter("votes");
    assert_eq!(votes, 110, "failure at call {fails_at}, copy: {copy}");
    assert_eq!(b.status(0).unwrap().renewals.len(), 1);
    failed
}

#[test]
fn a_failure_at_any_call_of_a_healing_is_retried() {
    for copy in [false, true] {
        let failed = each_call().take_while(|fails_at| heals_with_failure(*fails_at, copy)).count();
        assert!((LEAST..10_000).contains(&failed), "{failed} calls were made to fail");
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, SessionError>) -> T {
    match call() {
        Err(SessionError::Store(StoreError::Full)) => call().unwrap(),
        other => other.unwrap(),
    }
}

fn retry_replica<T>(mut call: impl FnMut() -> Result<T, StoreError>) -> T {
    call().or_else(|_| call()).unwrap()
}

#[test]
fn a_failure_at_any_call_is_retried() {
    let failed =
        each_call().take_while(|fails_at| exchange_with_failure(*fails_at, or_under_miri(30, 2), 0)).count();
    assert!((LEAST..10_000).contains(&failed), "{failed} calls were made to fail");
}

#[test]
fn a_failure_at_any_call_is_retried_while_all_is_parked() {
    const DAY_MS: u64 = 86_400_000;
    let failed = each_call()
        .take_while(|fails_at| exchange_with_failure(*fails_at, or_under_miri(8, 2), DAY_MS))
        .count();
    assert!((LEAST..10_000).contains(&failed), "{failed} calls were made to fail");
}

/// A run that a power failure takes back after a peer has heard of it would look like that of another copy.
#[test]
fn a_run_is_durable_before_a_peer_hears_of_it() {
    for commits in [false, true] {
        let store = Failing { store: replica(2).into_store(), left: None, durable: Vec::new() };
        let mut b = support::declared_over(store);
        b.begin_run(7);
        if commits {
            // Comes with the run, and need not be durable.
            edit(&mut b, 1, 0, |task| task.set("title", "first").unwrap());
        }
        assert!(!b.store_mut().durable.contains(&true), "nothing had to be");
        let mut session = Session::new(Config::new(1), START_MS);
        assert!(session.transmit(&mut b, START_MS).unwrap().is_some(), "the hello");
        assert!(b.store_mut().durable.contains(&true), "commits: {commits}");
    }
}

/// In which run a peer was is learned in the transaction that moves the cursor, or not at all: if it were taken as known after
/// a failure, it would never be written down, and the peer be told that it is a copy.
#[test]
fn a_run_of_a_peer_that_could_not_be_written_down_is_learned_again() {
    let trail = Trail { number: 3, runs: vec![7] };
    let meeting = Meeting {
        replica: ReplicaId::from_u64(1),
        durable: true,
        offset_ms: 0,
        sequence: 9,
        now_ms: START_MS,
    };
    let mut failed = 0;
    for fails_at in 0.. {
        let store = Failing { store: replica(2).into_store(), left: None, durable: Vec::new() };
        let mut b = support::declared_over(store);
        b.met(Life(1), 1, meeting).unwrap();
        b.store_mut().left = Some(fails_at);
        let said = Acknowledged { passed: (4, 0), trail: trail.clone(), ..Acknowledged::default() };
        let first = b.acknowledged_at(Life(1), meeting.replica, said);
        b.store_mut().left = None;
        let checkpoint = Checkpoint {
            peer: Life(1),
            replica: meeting.replica,
            cursor: 5,
            context: Vec::new(),
            documents: Vec::new(),
            scope: 0,
            session: 0,
        };
        let arrival = Arrival { trail: trail.clone(), ..Arrival::default() };
        b.apply_arrived(checkpoint, None, &arrival).unwrap();
        let (cursor, told) = (b.peer(Life(1)).unwrap().unwrap().cursor, b.remembered(Life(1)).unwrap().trail);
        assert_eq!((cursor, &told), (5, &trail), "failure at call {fails_at}");
        if first.is_ok() {
            break;
        }
        failed += 1;
    }
    assert!(failed >= 5, "{failed} calls were made to fail");
}
