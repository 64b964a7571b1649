//! Bundles: twice, late, out of order, with gaps, beside sessions; and what damage does to them.
#![allow(missing_docs)]

mod support;

use crdt_core::{Checkpoint, DocumentId, Dot, Life, MemoryStore, Replica, ReplicaId, Spare, VersionVector};
use support::{START_MS, assert_equal, edit, or_under_miri, replica, set, title};
use sync_protocol::bundle::{
    ExportError, For, ImportError, Imported, Missing, export, import, import_or_heal,
};
use sync_protocol::drive::{Endpoint, exchange_in_memory, pump};
use sync_protocol::{Config, Session, Way};

type Memory = Replica<MemoryStore>;

fn exported(replica: &mut Memory, audience: &For) -> Vec<u8> {
    let mut file = Vec::new();
    let report = export(replica, audience, &mut file, START_MS).unwrap();
    assert_eq!(report.bytes, file.len() as u64);
    assert_eq!(report.sequence, replica.head().unwrap().sequence);
    file
}

fn anyone(replica: &mut Memory) -> Vec<u8> {
    exported(replica, &For::Anyone)
}

/// What came after a position of the change order, as if a peer had acknowledged it.
fn after(replica: &mut Memory, sequence: u64) -> Vec<u8> {
    let peer = 9_000 + sequence;
    replica.acknowledged(Life(peer), ReplicaId::from_u64(peer), sequence).unwrap();
    exported(replica, &For::Peer(ReplicaId::from_u64(peer)))
}

fn taken(replica: &mut Memory, file: &[u8]) -> Imported {
    import(replica, file).unwrap()
}

/// All that an import could change.
fn everything(replica: &mut Memory) -> impl PartialEq + std::fmt::Debug + use<> {
    let (head, seen, peers) = (replica.head(), replica.seen(), replica.peers());
    (replica.canonical_bytes().unwrap(), head.unwrap(), seen.unwrap(), peers.unwrap())
}

fn cursor(replica: &mut Memory, peer: u64) -> u64 {
    replica.peer(Life(peer)).unwrap().map_or(0, |peer| peer.cursor)
}

#[test]
fn a_bundle_for_anyone_brings_everything_and_twice_is_harmless() {
    let (mut a, mut b) = (replica(1), replica(2));
    let documents = or_under_miri(300, 20);
    (0..documents).for_each(|n| set(&mut a, n, n, "title", "from a"));
    let file = anyone(&mut a);
    let imported = taken(&mut b, &file);
    assert_eq!((imported.missing.clone(), imported.in_sync, imported.written_ms), (None, true, START_MS));
    assert_eq!((imported.replica, imported.life), (ReplicaId::from_u64(1), Life(1)));
    assert!(imported.cells >= 2 * documents, "{} cells", imported.cells);
    assert_equal(&mut a, &mut b);
    assert_eq!((b.seen().unwrap(), cursor(&mut b, 1)), (a.seen().unwrap(), documents));

    let before = everything(&mut b);
    assert_eq!(taken(&mut b, &file).cells, 0);
    assert_eq!(everything(&mut b), before);
    // A session goes on from where the bundle led.
    set(&mut a, 1, 1_000, "title", "later");
    let (at_a, _) = exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    assert_eq!(at_a.status().way, Some(Way::Resume));
    assert_equal(&mut a, &mut b);
}

#[test]
fn a_year_later_it_takes_nothing_back() {
    let (mut a, mut b) = (replica(1), replica(2));
    set(&mut a, 1, 0, "title", "old");
    let old = anyone(&mut a);
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    set(&mut b, 1, 100, "title", "new");
    set(&mut a, 2, 200, "title", "newer still");
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    let before = everything(&mut b);
    let imported = taken(&mut b, &old);
    assert_eq!((imported.cells, imported.missing, imported.in_sync), (0, None, false));
    assert_eq!(everything(&mut b), before);
}

#[test]
fn an_empty_store_makes_a_bundle_too() {
    let (mut a, mut b) = (replica(1), replica(2));
    let imported = taken(&mut b, &anyone(&mut a));
    assert_eq!((imported.cells, imported.sequence, imported.in_sync), (0, 0, true));
}

#[test]
fn out_of_order_cells_merge_and_claims_wait_for_what_is_missing() {
    let (mut a, mut b) = (replica(1), replica(2));
    (0..10).for_each(|n| set(&mut a, n, n, "title", "first"));
    let first = anyone(&mut a);
    (0..10).for_each(|n| set(&mut a, 10 + n, 100 + n, "title", "second"));
    let second = after(&mut a, 10);
    (0..10).for_each(|n| set(&mut a, 20 + n, 200 + n, "title", "third"));
    let third = after(&mut a, 20);

    let imported = taken(&mut b, &third);
    assert!(imported.cells > 0);
    assert_eq!(imported.missing, Some(Missing::Steps { first: 1, last: 20 }));
    assert_eq!(imported.missing.unwrap().to_string(), "changes 1 to 20 of that device are still missing");
    assert_eq!(title(&mut b, 25).as_deref(), Some("third"));
    assert_eq!((b.seen().unwrap(), cursor(&mut b, 1)), (VersionVector::new(), 0));

    assert_eq!(taken(&mut b, &first).missing, None);
    assert_eq!((b.seen().unwrap().get(ReplicaId::from_u64(1)), cursor(&mut b, 1)), (10, 10));
    assert_eq!(taken(&mut b, &third).missing, Some(Missing::Steps { first: 11, last: 20 }));
    assert_eq!(taken(&mut b, &second).missing, None);
    let imported = taken(&mut b, &third);
    assert_eq!((imported.missing, imported.cells, imported.in_sync), (None, 0, true));
    assert_eq!((b.seen().unwrap(), cursor(&mut b, 1)), (a.seen().unwrap(), 30));
    // The old ones move nothing back.
    let before = everything(&mut b);
    assert_eq!((taken(&mut b, &first).cells, taken(&mut b, &second).cells), (0, 0));
    assert_eq!(everything(&mut b), before);
}

/// What a gap leaves out is still asked for: nobody takes the claim for the cells.
#[test]
fn what_came_with_a_gap_is_completed_by_whoever_has_the_rest() {
    let (mut a, mut b, mut c) = (replica(1), replica(2), replica(3));
    (0..5).for_each(|n| set(&mut a, n, n, "title", "missing"));
    (0..5).for_each(|n| set(&mut a, 10 + n, 100 + n, "title", "there"));
    let file = after(&mut a, 5);
    assert!(taken(&mut b, &file).missing.is_some());
    // It is passed on like anything else, without claiming more than what is there.
    exchange_in_memory(&mut b, &mut c, START_MS).unwrap();
    assert_eq!(title(&mut c, 12).as_deref(), Some("there"));
    assert_equal(&mut b, &mut c);
    assert_eq!(c.seen().unwrap().get(ReplicaId::from_u64(1)), 0);
    for replica in [&mut b, &mut c] {
        exchange_in_memory(&mut a, replica, START_MS).unwrap();
        assert_equal(&mut a, replica);
    }
}

#[test]
fn through_a_third_device_that_only_carries() {
    let (mut a, mut b, mut c) = (replica(1), replica(2), replica(3));
    set(&mut a, 1, 0, "notes", "from a");
    taken(&mut b, &anyone(&mut a));
    set(&mut c, 1, 1, "notes", "from c");
    taken(&mut c, &anyone(&mut b));
    taken(&mut b, &anyone(&mut c));
    taken(&mut a, &anyone(&mut b));
    for replica in [&mut a, &mut c] {
        assert_equal(replica, &mut b);
        let view = replica.read("tasks", DocumentId::from_u64(1)).unwrap();
        assert_eq!(view.conflicts("notes").len(), 2);
    }
    // Everyone has seen everyone's, so there is nothing to send.
    for (one, other) in [(&mut a, &mut c), (&mut b, &mut replica(4))] {
        let seen = one.seen().unwrap();
        assert_eq!(seen.get(ReplicaId::from_u64(1)), 1);
        assert_eq!(seen.get(ReplicaId::from_u64(3)), 1);
        exchange_in_memory(one, other, START_MS).unwrap();
        assert_equal(one, other);
    }
}

#[test]
fn a_bundle_tells_how_far_its_writer_is_so_that_the_next_one_is_small() {
    let (mut a, mut b) = (replica(1), replica(2));
    (0..200).for_each(|n| set(&mut a, n, n, "title", "a first load"));
    let to_b = For::Peer(ReplicaId::from_u64(2));
    let first = exported(&mut a, &to_b);
    taken(&mut b, &first);
    set(&mut b, 500, 300, "title", "from b");
    let back = exported(&mut b, &For::Peer(ReplicaId::from_u64(1)));
    assert_eq!(taken(&mut a, &back).missing, None);
    assert_eq!(a.peer(Life(2)).unwrap().unwrap().acked, 200);

    set(&mut a, 7, 400, "title", "one change");
    let second = exported(&mut a, &to_b);
    assert!(second.len() < 400, "{} bytes for one change and one that came from b", second.len());
    let imported = taken(&mut b, &second);
    assert_eq!((imported.missing, imported.in_sync), (None, true));
    assert_equal(&mut a, &mut b);

    // A stranger cannot use it, and is told so; for him there is one for anyone.
    let mut c = replica(3);
    assert_eq!(taken(&mut c, &second).missing, Some(Missing::Steps { first: 1, last: 200 }));
    assert_eq!(taken(&mut c, &anyone(&mut a)).missing, None);
    assert_equal(&mut a, &mut c);
}

#[test]
fn a_bundle_for_who_has_seen_so_much_claims_for_who_has() {
    let (mut a, mut b, mut c) = (replica(1), replica(2), replica(3));
    (0..20).for_each(|n| set(&mut a, n, n, "title", "known"));
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    set(&mut a, 1, 100, "title", "new");
    let file = exported(&mut a, &For::Holder(b.seen().unwrap()));
    let imported = taken(&mut c, &file);
    assert_eq!(imported.missing, Some(Missing::Transactions(vec![Dot::new(ReplicaId::from_u64(1), 20)])));
    assert!(imported.missing.unwrap().to_string().ends_with("still missing, of 1 devices"));
    assert_eq!((c.seen().unwrap(), cursor(&mut c, 1)), (VersionVector::new(), 0));
    assert_eq!(title(&mut c, 1).as_deref(), Some("new"));

    let imported = taken(&mut b, &file);
    assert_eq!((imported.missing, imported.in_sync), (None, true));
    assert_eq!(cursor(&mut b, 1), 21);
    // Whoever learned as much from somebody else has no gap either.
    let mut d = replica(4);
    exchange_in_memory(&mut b, &mut d, START_MS).unwrap();
    assert_eq!(taken(&mut d, &file).missing, None);
}

#[test]
fn ones_own_bundle_is_harmless_and_makes_no_peer_of_oneself() {
    let mut a = replica(1);
    (0..5).for_each(|n| set(&mut a, n, n, "title", "mine"));
    let whole = anyone(&mut a);
    let part = after(&mut a, 3);
    set(&mut a, 1, 100, "title", "mine, later");
    let before = everything(&mut a);
    for file in [whole, part] {
        let imported = taken(&mut a, &file);
        assert_eq!((imported.cells, imported.missing), (0, None));
        assert_eq!(everything(&mut a), before);
    }
}

#[test]
fn a_store_that_lost_its_last_changes_is_told_so_and_left_alone() {
    let (mut a, mut b) = (replica(1), replica(2));
    set(&mut b, 5, 0, "title", "b's first");
    set(&mut a, 1, 0, "title", "one");
    let backup = a.store_mut().clone();
    (0..3).for_each(|n| set(&mut a, 1, 10 + n, "title", "lost in the restore"));
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    let own = anyone(&mut a);
    let of_b = anyone(&mut b);
    let seen = b.seen().unwrap();
    let for_holder = exported(&mut b, &For::Holder(seen));
    // With a gap before it nothing would be claimed; that it proves the loss does not depend on that.
    let with_gap = after(&mut b, 1);
    set(&mut b, 5, 50, "title", "more");
    let says_nothing_of_a = after(&mut b, 2);

    let mut a = support::declared(Replica::new(backup));
    let before = everything(&mut a);
    let proofs = [("own", &own), ("b's", &of_b), ("for a holder", &for_holder), ("with a gap", &with_gap)];
    for (name, file) in proofs {
        assert!(matches!(import(&mut a, file.as_slice()), Err(ImportError::Forked)), "{name}");
        assert_eq!(everything(&mut a), before, "{name}");
    }
    let mut copy = support::declared(Replica::new(a.store_mut().clone()));
    assert_eq!(taken(&mut copy, &says_nothing_of_a).missing, Some(Missing::Steps { first: 1, last: 2 }));

    a.renew_identity(ReplicaId::from_u64(11), Life(11)).unwrap();
    for file in [own, of_b] {
        assert_eq!(taken(&mut a, &file).missing, None);
    }
    assert_eq!(title(&mut a, 1).as_deref(), Some("lost in the restore"));
}

/// Acks count positions of a life, so after a new identity a bundle for a peer starts from the beginning again.
#[test]
fn after_a_new_identity_a_bundle_for_a_peer_leaves_no_gap() {
    let (mut a, mut b) = (replica(1), replica(2));
    (0..5).for_each(|n| set(&mut a, n, n, "title", "one"));
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    assert_eq!(a.peer(Life(2)).unwrap().unwrap().acked, 5);
    a.renew_identity(ReplicaId::from_u64(11), Life(11)).unwrap();
    set(&mut a, 9, 100, "title", "under the new id");
    let imported = taken(&mut b, &exported(&mut a, &For::Peer(ReplicaId::from_u64(2))));
    assert_eq!((imported.missing, imported.in_sync), (None, true));
    assert_equal(&mut a, &mut b);
}

/// Positions of the change order that are lost will be taken by other changes, also when nothing of one's own is lost.
#[test]
fn an_ack_of_what_this_store_has_lost_proves_that_it_was_set_back() {
    let (mut a, mut b) = (replica(1), replica(2));
    set(&mut a, 1, 0, "title", "one");
    let backup = a.store_mut().clone();
    let mut c = replica(3);
    set(&mut c, 9, 0, "title", "c's");
    exchange_in_memory(&mut a, &mut c, START_MS).unwrap();
    exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    let of_b = anyone(&mut b);
    let mut a = support::declared(Replica::new(backup));
    let mut without = support::declared(Replica::new(a.store_mut().clone()));
    taken(&mut without, &of_b);
    assert_eq!(without.peer(Life(2)).unwrap().unwrap().acked, 0, "not believed, where there is no other id");
    let spare = Spare { replica: ReplicaId::from_u64(11), life: Life(11) };
    let imported = import_or_heal(&mut a, of_b.as_slice(), spare, START_MS).unwrap();
    assert_eq!((imported.missing, imported.in_sync), (None, true));
    assert_eq!(imported.renewed.map(|renewal| (renewal.now, renewal.reissued)), Some((spare.replica, 0)));
    assert_eq!(a.peer(Life(2)).unwrap().unwrap().acked, 0, "of another history");
}

/// Its changes count when the server took them, so nothing goes past the server.
#[test]
fn who_follows_a_server_neither_exports_nor_imports() {
    let (mut a, mut b) = (replica(1), replica(2));
    set(&mut b, 1, 0, "title", "b's");
    let file = anyone(&mut b);
    a.follow().unwrap();
    set(&mut a, 1, 0, "title", "not yet taken by the server");
    let before = everything(&mut a);
    assert!(matches!(export(&mut a, &For::Anyone, Vec::new(), START_MS), Err(ExportError::Follows)));
    assert!(matches!(import(&mut a, file.as_slice()), Err(ImportError::Follows)));
    assert_eq!(everything(&mut a), before);
}

/// A cursor that moved while only a part could be read promises only that part.
#[test]
fn a_cursor_of_a_part_leaves_a_gap_and_stays() {
    let (mut a, mut b) = (replica(1), replica(2));
    (0..5).for_each(|n| set(&mut a, n, n, "title", "one"));
    let (peer, replica) = (Life(1), ReplicaId::from_u64(1));
    let (context, documents) = (Vec::new(), Vec::new());
    b.apply(Checkpoint { peer, replica, cursor: 5, context, documents, scope: 7, session: 0 }).unwrap();
    set(&mut a, 9, 100, "title", "later");
    assert_eq!(taken(&mut b, &after(&mut a, 5)).missing, Some(Missing::Steps { first: 1, last: 5 }));
    let record = b.peer(Life(1)).unwrap().unwrap();
    assert_eq!((record.cursor, record.scope), (5, 7));
    assert_eq!(taken(&mut b, &anyone(&mut a)).missing, None);
    let record = b.peer(Life(1)).unwrap().unwrap();
    assert_eq!((record.cursor, record.scope), (6, 0));
    assert_equal(&mut a, &mut b);
}

/// A store that is busy while it is exported: somebody commits between any two reads.
struct Busy {
    replica: Memory,
    turn: u64,
    turns: u64,
}

impl Endpoint for Busy {
    type Store = MemoryStore;

    fn with<R>(&mut self, step: impl FnOnce(&mut Memory) -> R) -> R {
        if self.turn < self.turns {
            let turn = self.turn;
            set(&mut self.replica, turn, 50_000 + turn, "title", "changed meanwhile");
            set(
                &mut self.replica,
                or_under_miri(999, 199) - turn,
                60_000 + turn,
                "title",
                "changed meanwhile",
            );
            self.turn += 1;
        }
        step(&mut self.replica)
    }
}

#[test]
fn what_is_committed_during_an_export_is_part_of_it() {
    // A page is 64 documents.
    let (documents, seen) = or_under_miri((1_000, 400), (200, 80));
    for (turns, from) in [(3, 0), (12, 0), (12, seen)].into_iter().skip(or_under_miri(0, 2)) {
        let mut a = replica(1);
        (0..documents)
            .for_each(|n| set(&mut a, n, n, "title", &"long enough for pages ".repeat(or_under_miri(10, 1))));
        let mut b = replica(2);
        let audience = if from == 0 {
            For::Anyone
        } else {
            taken(&mut b, &anyone(&mut a));
            a.acknowledged(Life(2), ReplicaId::from_u64(2), from).unwrap();
            For::Peer(ReplicaId::from_u64(2))
        };
        let mut busy = Busy { replica: a, turn: 0, turns };
        let mut file = Vec::new();
        export(&mut busy, &audience, &mut file, START_MS).unwrap();
        assert!(busy.turn >= 3, "only {} reads", busy.turn);
        let imported = taken(&mut b, &file);
        assert_eq!((imported.missing, imported.in_sync), (None, true));
        assert_equal(&mut busy.replica, &mut b);
    }
}

/// A store that is given a new identity at the third look.
struct Renewed(Memory, u64);

impl Endpoint for Renewed {
    type Store = MemoryStore;

    fn with<R>(&mut self, step: impl FnOnce(&mut Memory) -> R) -> R {
        self.1 += 1;
        if self.1 == 3 {
            self.0.renew_identity(ReplicaId::from_u64(77), Life(77)).unwrap();
        }
        step(&mut self.0)
    }
}

#[test]
fn an_identity_that_changes_during_an_export_ends_it() {
    let mut a = replica(1);
    (0..or_under_miri(300, 140)).for_each(|n| set(&mut a, n, n, "title", "something"));
    let mut file = Vec::new();
    let ended = export(&mut Renewed(a, 0), &For::Anyone, &mut file, START_MS);
    assert!(matches!(ended, Err(ExportError::IdentityChanged)), "{ended:?}");
    assert!(matches!(import(&mut replica(2), file.as_slice()), Err(ImportError::Truncated)));
}

#[test]
fn beside_a_session_with_the_same_store() {
    let (each, repeated) = or_under_miri((600, 20), (5, 650));
    for when in (0..12).skip(or_under_miri(0, 3)).step_by(or_under_miri(1, 12)) {
        let (mut a, mut b) = (replica(1), replica(2));
        (0..each).for_each(|n| set(&mut a, n, n, "title", &"long enough for chunks ".repeat(repeated)));
        let half = anyone(&mut a);
        (0..each).for_each(|n| set(&mut a, each + n, 1_000 + n, "title", &"more of it ".repeat(20)));
        let rest = after(&mut a, each);
        let mut at_a = Session::new(Config::new(1), START_MS);
        let mut at_b = Session::new(Config::new(2), START_MS);
        for turn in 0..12 {
            if turn == when {
                let file = if when % 2 == 0 { &half } else { &rest };
                taken(&mut b, file);
            }
            for _ in 0..2 {
                if let Some(message) = at_b.transmit(&mut b, START_MS).unwrap() {
                    at_a.receive(&mut a, &message, START_MS).unwrap();
                }
                if let Some(message) = at_a.transmit(&mut a, START_MS).unwrap() {
                    at_b.receive(&mut b, &message, START_MS).unwrap();
                }
            }
        }
        pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
        assert!(at_a.is_settled() && at_b.is_settled());
        assert_equal(&mut a, &mut b);
        assert_eq!(cursor(&mut b, 1), 2 * each);
        set(&mut a, 3, 9_000, "title", "live");
        pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
        assert_equal(&mut a, &mut b);
    }
}

/// Notes how much is written at a time.
struct Widest(usize, u64);

impl std::io::Write for Widest {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.max(bytes.len());
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_large_store_is_written_in_small_frames() {
    let mut a = replica(1);
    let (documents, large) = or_under_miri((2_000, 200_000), (40, 15_000));
    (0..documents).for_each(|n| set(&mut a, n, n, "title", &"x".repeat(2_000)));
    edit(&mut a, 9_999, 50_000, |document| {
        (0..5).for_each(|n| document.set(format!("field {n}"), "y".repeat(large)).unwrap());
    });
    let mut out = Widest(0, 0);
    export(&mut a, &For::Anyone, &mut out, START_MS).unwrap();
    assert!(out.1 > 2_000 * documents, "{} bytes", out.1);
    assert!(out.0 < large + 100_000, "{} bytes at once", out.0);
    let mut b = replica(2);
    taken(&mut b, &anyone(&mut a));
    assert_equal(&mut a, &mut b);
}

/// A bundle of several frames, and a store that holds something already.
fn subjects() -> (Vec<u8>, Memory) {
    let (mut a, mut b) = (replica(1), replica(2));
    set(&mut b, 1, 0, "title", "b's own");
    taken(&mut a, &anyone(&mut b));
    // A frame takes some 64 KiB.
    let (documents, len) = or_under_miri((3, 40_000), (2, 33_000));
    (0..documents).for_each(|n| set(&mut a, n, n, "title", &"x".repeat(len)));
    (0..3).for_each(|n| set(&mut a, 10 + n, 10 + n, "title", "small"));
    (anyone(&mut a), b)
}

/// Where the frames of a bundle begin, and where the last one ends.
fn frames(file: &[u8]) -> Vec<usize> {
    let (mut starts, mut at) = (vec![9], 9);
    while at < file.len() {
        let (mut len, mut shift) = (0, 0);
        at += 1;
        loop {
            len |= usize::from(file[at] & 0x7f) << shift;
            (at, shift) = (at + 1, shift + 7);
            if file[at - 1] & 0x80 == 0 {
                break;
            }
        }
        at += len + 16;
        starts.push(at);
    }
    starts
}

fn refused(b: &mut Memory, file: &[u8]) -> ImportError {
    let before = everything(b);
    let error = import(&mut *b, file).unwrap_err();
    assert_eq!(everything(b), before, "{error}");
    error
}

#[test]
fn every_cut_is_refused_and_nothing_is_changed() {
    let (file, mut b) = subjects();
    let starts = frames(&file);
    assert!(starts.len() >= 5, "{starts:?}");
    // All cuts near the edges of frames, and many within.
    let near = |cut: &usize| starts.iter().any(|start| cut.abs_diff(*start) < 40) || cut.is_multiple_of(997);
    let mut cuts = 0;
    for cut in (0..file.len()).filter(near).step_by(or_under_miri(1, 149)) {
        let error = refused(&mut b, &file[..cut]);
        assert!(matches!(error, ImportError::Truncated), "cut {cut}: {error}");
        cuts += 1;
    }
    assert!(cuts > or_under_miri(300, 1), "{cuts} cuts");
    assert_eq!(taken(&mut b, &file).missing, None, "the whole one is taken after all that");
}

#[test]
fn every_kind_of_flipped_bit_is_refused_and_nothing_is_changed() {
    let (file, mut b) = subjects();
    let starts = frames(&file);
    let near = |at: &usize| starts.iter().any(|start| at.abs_diff(*start) < 120) || at.is_multiple_of(499);
    let mut flips = 0;
    for at in (0..file.len()).filter(near).step_by(or_under_miri(1, 401)) {
        let mut flipped = file.clone();
        flipped[at] ^= 1 << (at % 8);
        let error = refused(&mut b, &flipped);
        match at {
            0..8 => assert!(matches!(error, ImportError::NotABundle), "byte {at}: {error}"),
            8 => assert!(matches!(error, ImportError::Version { ours: 1, .. }), "{error}"),
            // Of what is in the frames the lengths may point past the end.
            _ => assert!(
                matches!(error, ImportError::Damaged | ImportError::Truncated | ImportError::WrongNamespace),
                "byte {at}: {error}"
            ),
        }
        flips += 1;
    }
    assert!(flips > or_under_miri(600, 1), "{flips} bits");
}

#[test]
fn frames_that_are_moved_missing_doubled_or_from_another_bundle_are_refused() {
    let (file, mut b) = subjects();
    let mut other = replica(1);
    (0..3).for_each(|n| set(&mut other, n, n, "title", &"y".repeat(or_under_miri(40_000, 400))));
    let other = anyone(&mut other);
    let (starts, others) = (frames(&file), frames(&other));
    let frame = |n: usize| &file[starts[n]..starts[n + 1]];
    let (first, end, count) = (&file[..starts[1]], frame(starts.len() - 2), starts.len() - 1);
    let joined = |middle: &[&[u8]]| [&[first], middle, &[end]].concat().concat();
    assert!(count >= 4);
    assert_eq!(joined(&(1..count - 1).map(frame).collect::<Vec<_>>()), file, "the test knows the frames");
    let wrong = [
        joined(&[]),
        joined(&[frame(1)]),
        joined(&[frame(2), frame(1)]),
        joined(&[frame(1), frame(1), frame(2)]),
        joined(&[frame(1), frame(2), frame(2)]),
        joined(&[&other[others[1]..others[2]], frame(2)]),
        [&other[..others[1]], &file[starts[1]..]].concat(),
        [first, end].concat(),
        [first, first, end].concat(),
    ];
    for (n, file) in wrong.iter().enumerate().step_by(or_under_miri(1, 3)) {
        let error = refused(&mut b, file);
        assert!(matches!(error, ImportError::Damaged), "{n}: {error}");
    }
    let two = [&file[..], &file[..]].concat();
    assert!(matches!(refused(&mut b, &two), ImportError::TrailingBytes));
    assert!(matches!(refused(&mut b, &[&file[..], &[0]].concat()), ImportError::TrailingBytes));
}

#[test]
fn garbage_other_versions_and_other_namespaces_are_told_apart() {
    let (file, mut b) = subjects();
    assert!(matches!(refused(&mut b, b"SQLite format 3\0 and so on"), ImportError::NotABundle));
    assert!(matches!(refused(&mut b, b"PK"), ImportError::NotABundle));
    assert!(matches!(refused(&mut b, &[0; 5_000]), ImportError::NotABundle));
    let mut newer = file.clone();
    newer[8] = 2;
    assert!(matches!(refused(&mut b, &newer), ImportError::Version { theirs: 2, ours: 1 }));
    // Line ends that were "repaired" on the way.
    let repaired: Vec<u8> = file.iter().copied().filter(|byte| *byte != b'\r').collect();
    assert!(matches!(refused(&mut b, &repaired), ImportError::NotABundle));

    let head =
        crdt_core::Head::new(crdt_core::Namespace::from_secret("others"), ReplicaId::from_u64(5), Life(5));
    let mut stranger = Replica::new(MemoryStore::new(head));
    assert!(matches!(refused(&mut stranger, &file), ImportError::WrongNamespace));
    // After good first bytes, anything.
    let mut random = support::Random(7);
    for _ in 0..or_under_miri(300, 4) {
        let mut bytes = file[..9].to_vec();
        bytes.extend((0..random.below(200)).map(|_| random.next().to_le_bytes()[0]));
        refused(&mut b, &bytes);
    }
}

/// Gives what it has, and then counts how much more was asked for at once.
struct Short<'b>(&'b [u8], usize);

impl std::io::Read for &mut Short<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1.max(buffer.len());
        std::io::Read::read(&mut self.0, buffer)
    }
}

#[test]
fn a_length_that_lies_costs_no_memory() {
    let (file, mut b) = subjects();
    let at = frames(&file)[0];
    for (len, truncated) in
        [(&[0xff, 0xff, 0xff, 1][..], true), (&[0xff, 0xff, 0xff, 0x7f], false), (&[0xff; 5], false)]
    {
        let lying = [&file[..=at], len, &file[at + 2..at + 60]].concat();
        let mut source = Short(&lying, 0);
        let error = import(&mut b, &mut source).unwrap_err();
        assert_eq!(matches!(error, ImportError::Truncated), truncated, "{error}");
        assert_eq!(matches!(error, ImportError::Damaged), !truncated, "{error}");
        assert!(source.1 <= 64 << 10, "{} bytes were made room for", source.1);
    }
}

/// A file that fails in the middle, as a stick that is pulled.
struct Pulled<'b>(&'b [u8]);

impl std::io::Read for Pulled<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return Err(std::io::Error::other("pulled"));
        }
        std::io::Read::read(&mut self.0, buffer)
    }
}

#[test]
fn a_stick_that_is_pulled_changes_nothing() {
    let (file, mut b) = subjects();
    let before = everything(&mut b);
    let cuts = [0, 5, 9, 30, file.len() / 2, file.len() - 1, file.len()];
    for at in cuts.into_iter().skip(or_under_miri(0, 5)) {
        let ended = import(&mut b, Pulled(&file[..at]));
        assert!(matches!(ended, Err(ImportError::Io(_))), "at {at}: {ended:?}");
        assert_eq!(everything(&mut b), before);
    }
}
