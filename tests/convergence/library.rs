//! [`Library`]: the machine that is to be right, a [`Replica`] of `crdt-core`.

mod census;

use std::collections::BTreeMap;

use crdt_core::codec::{Dictionary, Reader, decode_batch, encode_batch};
use crdt_core::{
    Access, Address, Arrival, Change, ChangeKind, CommitError, Document, DocumentId, Durability, EditError,
    Fingerprint, Limits, Namespace, Position, Replica, Spare, Store as _, Trail, TransactionError,
    VersionVector,
};
use sync_protocol::{Config, Session, SessionError};

use crate::any_store::AnyStore;
use crate::history::Commit;
use crate::machine::{self, Answer, Checkpoint, Committed, Head, Heard, Identity, Machine, Told, Window};
use crate::random::Random;
use crate::translate::{address, collection, doc, shown, within};
use crate::words::{Doc, Outcome, START_MS, Schema, Shown, Vector};
use census::cell_in_words;

pub struct Library {
    replica: Replica<AnyStore>,
    schema: Schema,
    /// Of the last event.
    sequence: u64,
}

fn say(error: impl std::error::Error) -> String {
    format!("it failed: {error}")
}

fn encoded(documents: &[(Address, Document)]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_batch(
        &mut out,
        &mut Dictionary::new(),
        documents.iter().map(|(address, document)| (address, document)),
    );
    out
}

fn decoded(bytes: &[u8]) -> Answer<Vec<(Address, Document)>> {
    let mut reader = Reader::new(bytes);
    let documents = decode_batch(&mut reader, &mut Dictionary::new(), &Limits::DEFAULT).map_err(say)?;
    reader.finish().map_err(say)?;
    Ok(documents)
}

impl Library {
    fn over(store: AnyStore, schema: &Schema) -> Self {
        let mut replica = Replica::new(store);
        for (name, declared) in &schema.collections {
            replica.declare(collection(name, declared));
        }
        replica.collect_events(true);
        Self { replica, schema: schema.clone(), sequence: 0 }
    }

    fn has_staged(&mut self, peer: Identity) -> Answer<bool> {
        let store = self.replica.store_mut();
        store.begin(Access::Read, Durability::Visible).map_err(say)?;
        let staged = store.staged(peer.life, 0).map_err(say);
        store.rollback();
        Ok(staged?.is_some())
    }

    /// What a commit left in the state: cells of one dot and one stamp, and one step of the change order.
    fn written(&mut self, sequence: u64) -> Answer<machine::Written> {
        let before = Position { sequence: sequence - 1, documents: 0 };
        let window = self.replica.window(before, usize::MAX).map_err(say)?;
        let mut changes: Vec<Change> = Vec::new();
        for (_, document) in &window.documents {
            document.visit(&mut |_, cell| changes.push(*cell.set_by()));
        }
        let first = *changes.first().ok_or("a commit left no cells")?;
        if changes.iter().any(|change| *change != first) {
            return Err(format!("one transaction has several changes: {changes:?}"));
        }
        let dot = first.dot();
        Ok(machine::Written { dot: (dot.replica, dot.counter), stamp: first.stamp, cells: changes.len() })
    }
}

impl Machine for Library {
    type Batch = Vec<u8>;
    type Place = Position;
    type Talk = Session;
    type State = (Vec<u8>, Fingerprint);
    type Settings = ();

    fn new(identity: Identity, schema: &Schema, (): (), random: &mut Random) -> Self {
        let namespace = Namespace::from_secret("convergence");
        let head = crdt_core::Head::new(namespace, identity.replica, identity.life);
        let mut machine = Self::over(AnyStore::create(head, random.next()), schema);
        machine.begin_run(random.next());
        machine
    }

    fn head(&mut self) -> Answer<Head> {
        let head = self.replica.head().map_err(say)?;
        let identity = Identity { replica: head.replica, life: head.life };
        Ok(Head { identity, sequence: head.sequence })
    }

    fn commit(&mut self, commit: &Commit) -> Answer<Option<Committed>> {
        let outcomes = self.replica.commit(commit.now_ms, Durability::Visible, |transaction| {
            let mut outcomes = Vec::new();
            for edit in &commit.edits {
                let document = transaction.document(edit.doc.collection, DocumentId::from_u64(edit.doc.id));
                let outcome = match within(&mut document.map_err(TransactionError::from)?, edit.at, edit) {
                    Ok(()) => Outcome::Done,
                    Err(EditError::WrongType { .. }) => Outcome::WrongType,
                    Err(EditError::OnlyGrows { .. }) => Outcome::OnlyGrows,
                    Err(EditError::Unresolved { .. }) => Outcome::Unresolved,
                    Err(other) => return Err(Some(TransactionError::from(other))),
                };
                outcomes.push(outcome);
            }
            if commit.abort { Err(None) } else { Ok(outcomes) }
        });
        let committed = match outcomes {
            Ok(committed) => committed,
            Err(CommitError::Aborted(None)) => return Ok(None),
            Err(CommitError::Aborted(Some(error))) => return Err(say(error)),
            Err(CommitError::Store(error)) => return Err(say(error)),
            Err(CommitError::Clock(error)) => return Err(say(error)),
        };
        let head = self.replica.head().map_err(say)?;
        let written = committed.dot.map(|_| self.written(head.sequence)).transpose()?;
        let named = committed.dot.map(|dot| (dot.replica, dot.counter));
        if written.as_ref().map(|written| written.dot) != named {
            return Err(format!("the commit is called {named:?}, its cells something else"));
        }
        Ok(Some(Committed { outcomes: committed.value, written }))
    }

    fn place(sequence: u64) -> Position {
        Position { sequence, documents: 0 }
    }

    fn window(&mut self, from: &Position, known: u64, documents: usize) -> Answer<Window<Self>> {
        self.replica.offer().map_err(say)?;
        let window = self.replica.window_for_peer(*from, documents, known, |_| false).map_err(say)?;
        let own = crdt_core::Dot::new(window.head.replica, window.head.counter);
        let seen = window.context.iter().copied().chain(Some(own).filter(|own| own.counter > 0));
        let context = seen.map(|dot| (dot.replica, dot.counter)).collect();
        let head = window.reaches_head().then_some((window.head.sequence, context));
        Ok(Window { batch: encoded(&window.documents), next: window.next, head })
    }

    fn difference(
        &mut self,
        seen: &Vector,
        after: Option<Doc>,
        documents: usize,
    ) -> Answer<(Vec<u8>, Option<Doc>)> {
        self.replica.offer().map_err(say)?;
        let seen: VersionVector =
            seen.iter().map(|(replica, counter)| crdt_core::Dot::new(*replica, *counter)).collect();
        let after = after.map(address);
        let page = self.replica.difference(&seen, after.as_ref(), documents).map_err(say)?;
        Ok((encoded(&page.documents), page.after.as_ref().map(doc)))
    }

    fn everything(&mut self) -> Answer<Vec<u8>> {
        self.replica.offer().map_err(say)?;
        self.replica.canonical_bytes().map_err(say)
    }

    fn cursor(&mut self, peer: Identity) -> Answer<u64> {
        Ok(self.replica.peer(peer.life).map_err(say)?.map_or(0, |record| record.cursor))
    }

    fn stage(&mut self, peer: Identity, batch: &Vec<u8>) -> Answer<()> {
        self.replica.stage(peer.life, 0, batch).map_err(say)
    }

    fn clear_staged(&mut self, peer: Identity) -> Answer<()> {
        self.replica.clear_staged(peer.life).map_err(say)
    }

    fn apply(&mut self, checkpoint: &Checkpoint<Vec<u8>>) -> Answer<bool> {
        let context =
            checkpoint.context.iter().map(|(replica, counter)| crdt_core::Dot::new(*replica, *counter));
        let arrival = Arrival { trail: checkpoint.trail.clone(), ..Arrival::default() };
        let arrived = crdt_core::Checkpoint {
            scope: 0,
            session: 0,
            peer: checkpoint.from.life,
            replica: checkpoint.from.replica,
            cursor: checkpoint.cursor,
            context: context.collect(),
            documents: decoded(&checkpoint.batch)?,
        };
        let applied = self.replica.apply_arrived(arrived, None, &arrival).map_err(say)?;
        if self.has_staged(checkpoint.from)? {
            return Err("what was staged is still there after its checkpoint".into());
        }
        if applied.sequence.is_none() && applied.cells > 0 {
            return Err(format!("{} cells changed without a step in the change order", applied.cells));
        }
        Ok(applied.sequence.is_some())
    }

    fn greet(&mut self, nonce: u64, Identity { replica, life }: Identity) -> Option<Session> {
        Some(Session::new(Config::new(nonce).spare(Spare { replica, life }), START_MS))
    }

    fn say(&mut self, talk: &mut Session) -> Answer<Option<Vec<u8>>> {
        talk.transmit(&mut self.replica, START_MS).map_err(say)
    }

    fn hear(&mut self, talk: &mut Session, message: &[u8]) -> Answer<Heard> {
        use SessionError::{Damaged, Decode, Missing, Unexpected, Version, WrongNamespace};
        match talk.receive(&mut self.replica, message, START_MS) {
            Ok(()) => Ok(Heard::Taken),
            // A hello can be damaged so that it seems to be of another protocol or namespace.
            Err(
                error @ (Damaged
                | Decode(_)
                | Missing { .. }
                | Unexpected(_)
                | Version { .. }
                | WrongNamespace),
            ) => Ok(Heard::Broken(error.to_string())),
            Err(other) => Err(say(other)),
        }
    }

    fn is_settled(talk: &Session) -> bool {
        talk.is_settled()
    }

    fn shown(&mut self, doc: Doc) -> Answer<Shown> {
        let view = self.replica.read(doc.collection, DocumentId::from_u64(doc.id)).map_err(say)?;
        Ok(shown(view.fields(), &[]))
    }

    fn seen(&mut self) -> Answer<Vector> {
        Ok(self.replica.seen().map_err(say)?.iter().map(|dot| (dot.replica, dot.counter)).collect())
    }

    fn state(&mut self) -> Answer<Self::State> {
        Ok((self.replica.canonical_bytes().map_err(say)?, self.replica.head().map_err(say)?.root))
    }

    fn census(&mut self) -> Answer<Vec<String>> {
        let mut census = Vec::new();
        for (address, document) in decoded(&self.replica.canonical_bytes().map_err(say)?)? {
            document.visit(&mut |path, cell| census.push(cell_in_words(doc(&address), path, &cell)));
        }
        census.sort();
        Ok(census)
    }

    fn audit(&mut self) -> Answer<()> {
        let (bytes, root) = self.state()?;
        let namespace = self.replica.head().map_err(say)?.namespace;
        let documents = decoded(&bytes)?;
        let sum = |sum: Fingerprint, (address, document): &(Address, Document)| {
            sum.plus(document.fingerprint(&namespace, address))
        };
        if documents.iter().fold(Fingerprint::EMPTY, sum) != root {
            return Err("the root is not the sum of the fingerprints of all documents".into());
        }
        let seen = self.seen()?;
        for (_, document) in &documents {
            let mut unknown = None;
            document.visit(&mut |path, cell| {
                let dot = cell.set_by().dot();
                if seen.get(&dot.replica).is_none_or(|last| *last < dot.counter) {
                    unknown = Some(format!("{dot:?} at {path:?} is in the state and not in what was seen"));
                }
            });
            unknown.map_or(Ok(()), Err)?;
        }
        if encoded(&documents) != bytes {
            return Err("the canonical bytes change when they are read and written again".into());
        }
        Ok(())
    }

    fn told(&mut self) -> Answer<Option<Vec<Told>>> {
        let mut told: BTreeMap<Doc, Told> = BTreeMap::new();
        for event in self.replica.take_events() {
            if event.sequence <= self.sequence {
                return Err(format!("an event at {} after one at {}", event.sequence, self.sequence));
            }
            self.sequence = event.sequence;
            for change in event.documents {
                let (was_there, is_there) = match change.kind {
                    ChangeKind::Appeared => (false, true),
                    ChangeKind::Updated => (true, true),
                    ChangeKind::Disappeared => (true, false),
                    ChangeKind::Hidden => (false, false),
                };
                let doc = doc(&change.address);
                told.entry(doc).or_insert(Told { doc, was_there, is_there }).is_there = is_there;
            }
        }
        Ok(Some(told.into_values().collect()))
    }

    fn restart(self) -> Self {
        let store = self.replica.into_store().0.reopen();
        Self { sequence: self.sequence, ..Self::over(store, &self.schema) }
    }

    fn backup(&mut self) -> Self {
        Self { sequence: self.sequence, ..Self::over(self.replica.store_mut().0.backup(), &self.schema) }
    }

    fn renew(&mut self, identity: Identity) -> Answer<()> {
        self.replica.renew_identity(identity.replica, identity.life).map_err(say)
    }

    fn begin_run(&mut self, run: u64) {
        self.replica.begin_run(run);
    }

    fn trail(&mut self) -> Answer<Trail> {
        Ok(self.replica.introduction().map_err(say)?.1)
    }

    fn heals() -> bool {
        true
    }

    fn would_notice(&mut self, peer: &mut Self) -> Answer<bool> {
        let (head, _) = self.replica.introduction().map_err(say)?;
        let memory = peer.replica.remembered(head.life).map_err(say)?;
        let seen = peer.replica.seen().map_err(say)?.get(head.replica);
        Ok(self.replica.fork(&memory, seen).map_err(say)?.is_some_and(|fork| fork.is_exact()))
    }

    fn heal(&mut self, Identity { replica, life }: Identity) -> Answer<()> {
        let (_, trail) = self.replica.introduction().map_err(say)?;
        // As if a copy had gone on from the run before.
        let before = Trail { number: trail.number - 1, runs: trail.runs[1..].to_vec() };
        let fork = self.replica.forked(Some(&before)).map_err(say)?;
        self.replica.heal(fork, Spare { replica, life }, START_MS).map_err(say).map(drop)
    }
}
