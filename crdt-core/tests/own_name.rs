//! Cells in a replica's own name that it never wrote. Merged, they would win over what it writes next, silently.

use crdt_core::cells::Written;
use crdt_core::{
    Address, ApplyError, Cell, Change, Checkpoint, Document, DocumentId, Dot, Durability, Head, Hlc,
    Judgement, Life, MemoryStore, Namespace, Replica, ReplicaId, RunPart, Stamp, TransactionError,
    Withdrawal,
};

type Memory = Replica<MemoryStore>;

fn replica(number: u64, life: u64) -> Memory {
    let head = Head::new(Namespace::from_secret("test"), ReplicaId::from_u64(number), Life(life));
    Replica::new(MemoryStore::new(head))
}

fn enable(replica: &mut Memory, on: bool) {
    let done = replica.commit(1_000, Durability::Visible, |tx| {
        let mut task = tx.document("tasks", DocumentId::from_u64(1))?;
        if on {
            task.enable("done")?;
        } else {
            task.disable("done")?;
        }
        Ok::<_, TransactionError>(())
    });
    done.unwrap();
}

/// All cells of a replica.
fn cells(replica: &mut Memory) -> Vec<(Address, Document)> {
    replica.difference(&crdt_core::VersionVector::new(), None, usize::MAX).unwrap().documents
}

/// What a liar can bring of the victim (replica 1): cells of transactions that it never made, and marks of somebody else
/// (replica 2) over such cells.
fn lies() -> [Vec<(Address, Document)>; 3] {
    let mut impostor = replica(1, 9);
    for _ in 0..5 {
        enable(&mut impostor, true);
    }
    let ahead = cells(&mut impostor);
    let mut accomplice = replica(2, 2);
    accomplice.apply(checkpoint(ahead.clone())).unwrap();
    enable(&mut accomplice, false);
    let mut marks = cells(&mut accomplice);
    for (_, document) in &mut marks {
        *document = document.select(|dot| dot.replica == ReplicaId::from_u64(2));
    }
    [ahead, marks, closed()]
}

/// A register of another one's that names a write of the victim's fifth transaction.
fn closed() -> Vec<(Address, Document)> {
    let change = |replica, counter| {
        let stamp = Stamp { epoch: 0, hlc: Hlc::from_ms(1_000), replica: ReplicaId::from_u64(replica) };
        Change { stamp, counter }
    };
    let mut document = Document::new();
    let cell = Cell::Register(Written::Closed { written: change(1, 5), by: change(2, 1) });
    let path: crdt_core::Path = [crdt_core::Name::from("title")].into_iter().collect();
    document.merge_cell(&path, cell);
    vec![(Address::new("tasks", DocumentId::from_u64(1)), document)]
}

/// Without a context, which would tell.
fn checkpoint(documents: Vec<(Address, Document)>) -> Checkpoint {
    let (peer, replica) = (Life(3), ReplicaId::from_u64(3));
    Checkpoint { peer, replica, cursor: 1, context: Vec::new(), documents, scope: 0, session: 0 }
}

/// It writes, and what it writes counts.
fn is_heard(victim: &mut Memory) {
    enable(victim, false);
    enable(victim, true);
    assert!(victim.read("tasks", DocumentId::from_u64(1)).unwrap().flag("done"));
}

#[test]
fn of_a_peer_they_prove_a_fork() {
    for lie in lies() {
        let mut victim = replica(1, 1);
        enable(&mut victim, true);
        let before = (victim.head().unwrap(), victim.canonical_bytes().unwrap());
        let applied = victim.apply(checkpoint(lie.clone()));
        assert!(matches!(applied, Err(ApplyError::Forked)), "{applied:?}");
        let mut parts = [RunPart::Batch(lie.clone()), RunPart::End(checkpoint(Vec::new()))].into_iter();
        let applied =
            victim.apply_run(&crdt_core::Trail::default(), 0, || Ok::<_, ApplyError>(parts.next().unwrap()));
        assert!(matches!(applied, Err(ApplyError::Forked)), "{applied:?}");
        let withdrawn = victim.withdraw(Withdrawal {
            peer: Life(3),
            session: 0,
            replica: ReplicaId::from_u64(3),
            refused: [].into(),
            documents: lie,
        });
        assert!(matches!(withdrawn, Err(ApplyError::Forked)), "{withdrawn:?}");
        assert_eq!((victim.head().unwrap(), victim.canonical_bytes().unwrap()), before);
        is_heard(&mut victim);
    }
}

#[test]
fn of_a_peer_that_is_judged_they_are_refused() {
    for lie in lies() {
        let mut victim = replica(1, 1);
        enable(&mut victim, true);
        let before = victim.canonical_bytes().unwrap();
        let judgement = Judgement { judge: &|_| Ok(()), may_read: &|_| true, hold: false };
        let applied = victim.apply_judged(checkpoint(lie), Some(judgement)).unwrap();
        assert!(applied.refused > 0);
        assert_eq!(victim.canonical_bytes().unwrap(), before);
        is_heard(&mut victim);
    }
}

#[test]
fn what_it_wrote_itself_comes_back_as_it_likes() {
    let mut victim = replica(1, 1);
    enable(&mut victim, true);
    let own = cells(&mut victim);
    assert_eq!(victim.apply(checkpoint(own)).unwrap().cells, 0);
    assert_eq!(victim.head().unwrap().counter, Dot::new(ReplicaId::from_u64(1), 1).counter);
}
