//! What a checkpoint does beside merging cells: what was put aside goes, steps are taken and named, runs are remembered.
#![allow(missing_docs)]

use crdt_core::codec::{Dictionary, encode_batch};
use crdt_core::{
    Access, Address, Applied, ApplyError, Arrival, Checkpoint, Document, DocumentId, Dot, Durability, Head,
    Judgement, Life, MemoryStore, Namespace, Position, Proposal, Refusal, Replica, ReplicaId, RunPart, Store,
    Trail, TransactionError, VersionVector,
};

type Memory = Replica<MemoryStore>;

const PEER: Life = Life(1);

fn replica(number: u64) -> Memory {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(number));
    Replica::new(MemoryStore::new(head))
}

fn write(replica: &mut Memory, id: u64) {
    replica
        .commit(1_000, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(id))?.set("title", "some")?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

fn all(replica: &mut Memory) -> Vec<(Address, Document)> {
    replica.difference(&VersionVector::new(), None, 1_000).unwrap().documents
}

fn checkpoint(cursor: u64, context: Vec<Dot>, documents: Vec<(Address, Document)>) -> Checkpoint {
    let (peer, replica) = (PEER, ReplicaId::from_u64(1));
    Checkpoint { peer, replica, cursor, context, documents, scope: 0, session: 0 }
}

fn is_put_aside(replica: &mut Memory) -> bool {
    let store = replica.store_mut();
    store.begin(Access::Read, Durability::Visible).unwrap();
    let staged = store.staged(PEER, 0).unwrap();
    store.rollback();
    staged.is_some()
}

#[test]
fn what_was_put_aside_is_gone_once_it_is_applied_or_dropped() {
    let (mut a, mut b) = (replica(1), replica(2));
    write(&mut a, 1);
    let mut batch = Vec::new();
    let documents = all(&mut a);
    encode_batch(
        &mut batch,
        &mut Dictionary::new(),
        documents.iter().map(|(address, state)| (address, state)),
    );
    b.stage(PEER, 0, &batch).unwrap();
    assert!(is_put_aside(&mut b));
    b.clear_staged(PEER).unwrap();
    assert!(!is_put_aside(&mut b));
    b.stage(PEER, 0, &batch).unwrap();
    assert_eq!(b.apply(checkpoint(1, Vec::new(), Vec::new())).unwrap().cells, 2);
    assert!(!is_put_aside(&mut b));
    assert_eq!(all(&mut b), documents);
}

/// Else it would be passed on only with the next change.
#[test]
fn a_checkpoint_that_only_claims_takes_a_step_that_tells_so() {
    let mut b = replica(2);
    let seen = Dot::new(ReplicaId::from_u64(1), 7);
    let applied = b.apply(checkpoint(1, vec![seen], Vec::new())).unwrap();
    assert_eq!((applied.sequence, b.head().unwrap().sequence), (Some(1), 1));
    let told = |b: &mut Memory, since| b.window_for_peer(Position::default(), 9, since, |_| false).unwrap();
    assert_eq!(told(&mut b, 0).context, [seen]);
    assert!(told(&mut b, 1).context.is_empty());
    let again = b.apply(checkpoint(2, vec![seen], Vec::new())).unwrap();
    assert_eq!((again.sequence, b.head().unwrap().sequence), (None, 1));
}

fn run(b: &mut Memory, trail: &Trail, documents: Vec<(Address, Document)>) -> Applied {
    let mut parts = [RunPart::End(checkpoint(1, Vec::new(), Vec::new())), RunPart::Batch(documents)].to_vec();
    b.apply_run(trail, 0, || Ok::<_, ApplyError>(parts.pop().expect("the end was read"))).unwrap()
}

#[test]
fn a_run_of_batches_names_its_step_and_what_it_was_written_in() {
    let (mut a, mut b) = (replica(1), replica(2));
    write(&mut a, 1);
    let trail = Trail { number: 3, runs: vec![30, 20, 10] };
    let applied = run(&mut b, &trail, all(&mut a));
    assert_eq!((applied.sequence, applied.cells), (Some(1), 2));
    assert_eq!(b.remembered(PEER).unwrap().trail, trail);
    let again = run(&mut b, &trail, all(&mut a));
    assert_eq!((again.sequence, again.cells), (None, 0), "nothing was new");
}

/// A message that was long under way is of the history that there was then; only where it moves the cursor is that the one
/// which the cursor is of.
#[test]
fn what_comes_late_and_moves_no_cursor_sets_no_run_back() {
    let mut b = replica(2);
    let (older, newer) = (Trail { number: 1, runs: vec![10] }, Trail { number: 2, runs: vec![20, 10] });
    let arrive = |b: &mut Memory, cursor, trail: &Trail| {
        let arrival = Arrival { trail: trail.clone(), ..Arrival::default() };
        b.apply_arrived(checkpoint(cursor, Vec::new(), Vec::new()), None, &arrival).unwrap();
        b.remembered(PEER).unwrap().trail
    };
    assert_eq!(arrive(&mut b, 5, &newer), newer);
    assert_eq!(arrive(&mut b, 5, &older), newer);
    assert_eq!(arrive(&mut b, 6, &older), older);
}

#[test]
fn a_judge_is_shown_each_change_with_its_own_cells_and_the_rest_is_taken() {
    let (mut a, mut b) = (replica(1), replica(2));
    for (id, field) in [(1, "first"), (3, "refused"), (2, "third")] {
        let written = a.commit(1_000, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(id))?.set(field, "some")?;
            Ok::<_, TransactionError>(())
        });
        written.unwrap();
    }
    let asked = std::cell::RefCell::new(Vec::new());
    let judge = |proposal: &Proposal<'_>| {
        let mut fields = Vec::new();
        proposal.cells.visit(&mut |path, _| fields.extend(path.last().map(ToString::to_string)));
        asked.borrow_mut().push((proposal.dot.counter, fields.clone()));
        if fields == ["refused"] { Err(Refusal::new(403, "no")) } else { Ok(()) }
    };
    let judgement = Judgement { judge: &judge, may_read: &|_| true, hold: false };
    let applied = b.apply_judged(checkpoint(3, Vec::new(), all(&mut a)), Some(judgement)).unwrap();
    assert_eq!(applied.refused, 1);
    let mut asked = asked.into_inner();
    asked.sort();
    let each = [(1, "first"), (2, "refused"), (3, "third")].map(|(dot, field)| (dot, vec![field.to_owned()]));
    assert_eq!(asked, each);
    let shows = |b: &mut Memory, id, field| {
        b.read("tasks", DocumentId::from_u64(id)).unwrap().get(field).unwrap().is_some()
    };
    assert_eq!(
        [(1, "first"), (3, "refused"), (2, "third")].map(|(id, field)| shows(&mut b, id, field)),
        [true, false, true]
    );
}
