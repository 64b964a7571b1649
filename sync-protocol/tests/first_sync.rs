//! The first sync of a replica that holds nothing yet: in parts, resumable, with bounded memory.
#![allow(missing_docs)]

mod support;

use std::sync::Arc;

use crdt_core::{
    DocumentId, Durability, Life, Loading, MemoryStore, Replica, ReplicaId, Spare, Store, TransactionError,
};
use support::{START_MS, assert_equal, declared, replica, set, title};
use sync_protocol::bundle;
use sync_protocol::door::{Applicant, Right, Rules};
use sync_protocol::drive::{exchange_in_memory, pump};
use sync_protocol::{Config, Session, SessionError, SessionEvent, Way};

/// Documents large enough for a few dozen messages.
fn filled(number: u64, documents: u64) -> Replica<MemoryStore> {
    let mut replica = replica(number);
    fill(&mut replica, 0..documents);
    replica
}

fn fill<S: Store>(replica: &mut Replica<S>, ids: std::ops::Range<u64>) {
    for id in ids {
        let text = format!("document {id} {}", "of some length ".repeat(40));
        write(replica, id, &text);
        if id % 3 == 0 {
            write(replica, id, &format!("{text} again"));
        }
    }
}

fn write<S: Store>(replica: &mut Replica<S>, id: u64, text: &str) {
    replica
        .commit(START_MS + id, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(id))?.set("title", text)?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
}

/// Two sessions, and a connection that may be cut.
struct Line {
    at_a: Session,
    at_b: Session,
    bytes: u64,
    progress: Vec<(u64, u64)>,
}

impl Line {
    fn new(nonce: u64) -> Self {
        let session = |nonce| Session::new(Config::new(nonce), START_MS);
        Self { at_a: session(nonce), at_b: session(nonce + 1), bytes: 0, progress: Vec::new() }
    }

    /// Carries at most so many messages, one at a time, in turns; false when there were no more.
    fn carry<A: Store, B: Store>(
        &mut self,
        a: &mut Replica<A>,
        b: &mut Replica<B>,
        messages: usize,
    ) -> Result<bool, SessionError> {
        let mut left = messages;
        loop {
            let mut moved = false;
            for to_b in [true, false] {
                if left == 0 {
                    return Ok(true);
                }
                let message =
                    if to_b { self.at_a.transmit(a, START_MS)? } else { self.at_b.transmit(b, START_MS)? };
                let Some(message) = message else { continue };
                (left, moved) = (left - 1, true);
                self.bytes += message.len() as u64;
                if to_b {
                    self.at_b.receive(b, &message, START_MS)?;
                } else {
                    self.at_a.receive(a, &message, START_MS)?;
                }
                while let Some(event) = self.at_b.poll_event() {
                    if let SessionEvent::Progress { documents, of } = event {
                        self.progress.push((documents, of));
                    }
                }
            }
            if !moved {
                return Ok(false);
            }
        }
    }

    /// Until nothing is left to say.
    fn finish<A: Store, B: Store>(&mut self, a: &mut Replica<A>, b: &mut Replica<B>) {
        self.carry(a, b, usize::MAX).unwrap();
        assert!(self.at_a.is_settled() && self.at_b.is_settled());
    }
}

fn assert_same<A: Store, B: Store>(a: &mut Replica<A>, b: &mut Replica<B>) {
    assert_eq!(a.canonical_bytes().unwrap(), b.canonical_bytes().unwrap());
    assert_eq!(a.head().unwrap().root, b.head().unwrap().root);
}

fn full_run(documents: u64) -> (u64, usize) {
    let (mut a, mut b) = (filled(1, documents), replica(2));
    let mut line = Line::new(1);
    line.finish(&mut a, &mut b);
    assert_same(&mut a, &mut b);
    let messages = line.at_a.status().traffic.messages_sent + line.at_b.status().traffic.messages_sent;
    (line.bytes, usize::try_from(messages).unwrap())
}

#[test]
fn progress_is_told_and_both_sides_know_that_they_agree() {
    let (mut a, mut b) = (filled(1, 1_000), replica(2));
    write(&mut b, 5_000, "its own");
    let mut line = Line::new(1);
    line.finish(&mut a, &mut b);
    assert_same(&mut a, &mut b);
    assert_eq!(b.loading().unwrap(), None);
    assert!(line.progress.len() > 5, "{:?}", line.progress);
    assert!(line.progress.windows(2).all(|two| two[0].0 < two[1].0), "{:?}", line.progress);
    assert!(line.progress.iter().all(|(documents, of)| documents <= of && (1_000..=1_001).contains(of)));
    let root = a.head().unwrap().root;
    assert_eq!((line.at_a.status().peer_root, line.at_b.status().peer_root), (Some(root), Some(root)));
    assert_eq!(line.at_a.status().way, Some(Way::Full));
    // Live changes go on both ways, and a next session resumes.
    write(&mut a, 1, "live");
    write(&mut b, 2, "live back");
    line.finish(&mut a, &mut b);
    assert_same(&mut a, &mut b);
    write(&mut b, 3, "later");
    let (again, back) = exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    assert_eq!((again.status().way, back.status().way), (Some(Way::Resume), Some(Way::Resume)));
    assert_same(&mut a, &mut b);
}

#[test]
fn cut_at_every_message_it_goes_on_where_it_stopped() {
    let (whole, messages) = full_run(600);
    assert!(messages > 15);
    for cut in 1..messages {
        let (mut a, mut b) = (filled(1, 600), replica(2));
        let mut line = Line::new(1);
        assert!(line.carry(&mut a, &mut b, cut).unwrap());
        let mut rest = Line::new(3);
        rest.finish(&mut a, &mut b);
        assert_same(&mut a, &mut b);
        let bytes = line.bytes + rest.bytes;
        assert!(bytes * 10 <= whole * 11, "cut after {cut} of {messages}: {bytes} instead of {whole}");
        assert_eq!(b.loading().unwrap(), None);
        assert_eq!(b.seen().unwrap(), a.seen().unwrap());
    }
}

#[test]
fn cut_again_and_again_it_still_arrives() {
    let (whole, _) = full_run(1_500);
    let (mut a, mut b) = (filled(1, 1_500), replica(2));
    let (mut bytes, mut nonce, mut sessions) = (0, 1, 0);
    loop {
        let mut line = Line::new(nonce);
        (nonce, sessions) = (nonce + 2, sessions + 1);
        assert!(sessions < 100, "it makes no progress");
        // Hellos, proofs, what each wants, and a few parts; the last one is lost on the way.
        let cut = line.carry(&mut a, &mut b, 14).unwrap();
        bytes += line.bytes;
        if !cut {
            break;
        }
    }
    assert_same(&mut a, &mut b);
    assert!(sessions > 2, "{sessions}");
    assert!(bytes * 10 <= whole * 11, "{bytes} in {sessions} sessions instead of {whole}");
}

#[test]
fn what_the_sender_commits_meanwhile_comes_along() {
    let (mut a, mut b) = (filled(1, 1_500), replica(2));
    let (whole, _) = full_run(1_500);
    let (mut nonce, mut round, mut bytes) = (1, 0, 0);
    loop {
        let mut line = Line::new(nonce);
        let cut = line.carry(&mut a, &mut b, 14).unwrap();
        (nonce, round, bytes) = (nonce + 2, round + 1, bytes + line.bytes);
        assert!(round < 100, "it makes no progress");
        if !cut {
            break;
        }
        // Behind the reader, before it, and new.
        write(&mut a, round, &format!("changed in round {round}"));
        write(&mut a, 1_499 - round, &format!("changed in round {round}"));
        write(&mut a, 10_000 + round, "new");
        let claims = b.loading().unwrap().is_some() && !b.seen().unwrap().is_empty();
        assert!(!claims, "it claims nothing before its first checkpoint");
    }
    assert!(round > 3 && bytes * 10 <= whole * 11, "{round} rounds, {bytes} of {whole}");
    assert_same(&mut a, &mut b);
}

#[test]
fn more_was_committed_meanwhile_than_fits_a_message() {
    let (mut a, mut b) = (filled(1, 100), replica(2));
    let mut line = Line::new(1);
    line.carry(&mut a, &mut b, 8).unwrap();
    assert!(b.loading().unwrap().is_some());
    fill(&mut a, 50..700);
    let (mut nonce, mut bytes) = (3, 0);
    loop {
        let mut line = Line::new(nonce);
        let cut = line.carry(&mut a, &mut b, 14).unwrap();
        (nonce, bytes) = (nonce + 2, bytes + line.bytes);
        assert!(nonce < 200, "it makes no progress");
        if !cut {
            break;
        }
    }
    assert_same(&mut a, &mut b);
    let (whole, _) = full_run(700);
    assert!(bytes < whole * 13 / 10, "{bytes} of {whole}");
}

#[test]
fn another_peer_goes_on_and_nothing_is_lost() {
    let (mut a, mut other) = (filled(1, 400), filled(4, 0));
    // The other has some of it, and things of its own.
    exchange_in_memory(&mut a, &mut other, START_MS).unwrap();
    fill(&mut other, 390..600);
    let only_at_a = 12;
    write(&mut a, only_at_a, "known to nobody else");
    let mut both = std::collections::BTreeSet::new();
    for cut in [5, 8, 12, 17] {
        let (mut a, mut other, mut b) = (copy(&mut a), copy(&mut other), replica(2));
        let mut line = Line::new(1);
        line.carry(&mut a, &mut b, cut).unwrap();
        let is_cut = b.loading().unwrap().is_some();
        let mut next = Line::new(3);
        next.finish(&mut other, &mut b);
        // Something was loaded that may be half of a transaction: it waits for the rest.
        let waits = is_cut && title(&mut b, only_at_a).as_deref() == Some("known to nobody else");
        assert_eq!(b.loading().unwrap().is_some(), waits);
        if !waits {
            assert_same(&mut other, &mut b);
        }
        both.insert(waits);
        exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
        assert_eq!(b.loading().unwrap(), None);
        exchange_in_memory(&mut other, &mut b, START_MS).unwrap();
        assert_same(&mut a, &mut b);
        assert_same(&mut other, &mut b);
    }
    assert_eq!(both.len(), 2, "cut before and after it came");
}

fn copy(replica: &mut Replica<MemoryStore>) -> Replica<MemoryStore> {
    declared(Replica::new(replica.store_mut().clone()))
}

#[test]
fn nobody_believes_that_a_loading_replica_has_seen_what_it_has_not() {
    let whole = full_run(400).1;
    for cut in (5..whole).step_by(2) {
        let (mut a, mut b, mut third) = (filled(1, 400), replica(2), replica(3));
        write(&mut third, 9_000, "the third one's");
        let mut line = Line::new(1);
        line.carry(&mut a, &mut b, cut).unwrap();
        if b.loading().unwrap().is_none() {
            continue;
        }
        write(&mut b, 8_000, "its own");
        let mut with_third = Line::new(5);
        with_third.finish(&mut b, &mut third);
        assert!(b.loading().unwrap().is_some(), "the third one does not stand for the first");
        assert_eq!(title(&mut third, 8_000).as_deref(), Some("its own"));
        assert_eq!(title(&mut third, 0), None, "nothing else is passed on");
        assert_eq!(title(&mut b, 9_000).as_deref(), Some("the third one's"));
        assert!(!third.seen().unwrap().contains(crdt_core::Dot::new(ReplicaId::from_u64(1), 1)));

        // It comes to its end; then the third one gets everything, in the session that is still open and in a new one.
        let mut rest = Line::new(7);
        rest.finish(&mut a, &mut b);
        assert_eq!(b.loading().unwrap(), None);
        let mut later = copy(&mut third);
        with_third.finish(&mut b, &mut third);
        assert_same(&mut b, &mut third);
        let mut anew = Line::new(9);
        anew.finish(&mut b, &mut later);
        assert_same(&mut b, &mut later);
    }
}

#[test]
fn two_peers_at_once() {
    let (mut a, mut c) = (filled(1, 300), replica(4));
    fill(&mut c, 200..500);
    let mut b = replica(2);
    let (mut with_a, mut with_c) = (Line::new(1), Line::new(3));
    loop {
        let (one, other) =
            (with_a.carry(&mut a, &mut b, 1).unwrap(), with_c.carry(&mut c, &mut b, 1).unwrap());
        if !one && !other {
            break;
        }
    }
    with_a.finish(&mut a, &mut b);
    with_c.finish(&mut c, &mut b);
    with_a.finish(&mut a, &mut b);
    assert_same(&mut a, &mut b);
    assert_same(&mut c, &mut b);
}

#[test]
fn a_guard_that_shows_a_part_of_it() {
    let guard = |_: &Applicant<'_>| Ok(Rules::all(Right::ReadWrite).collection("tasks", Right::None));
    let wider = |_: &Applicant<'_>| Ok(Rules::all(Right::ReadWrite).collection("secret", Right::None));
    let mut a = replica(1);
    fill(&mut a, 0..200);
    for id in 0..300u64 {
        a.commit(START_MS + id, Durability::Visible, |tx| {
            tx.document("notes", DocumentId::from_u64(id))?.set("title", "long enough ".repeat(60))?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
    }
    let mut b = replica(2);
    let guarded = |nonce, guard: Arc<dyn sync_protocol::door::Authenticate>| {
        let mut line = Line::new(nonce);
        line.at_a = Session::new(Config::new(nonce), START_MS).guarded_by(guard);
        line
    };
    guarded(1, Arc::new(guard)).carry(&mut a, &mut b, 11).unwrap();
    let loading = b.loading().unwrap().expect("it was cut");
    assert!((1..300).contains(&loading.documents));
    let mut rest = guarded(3, Arc::new(guard));
    rest.finish(&mut a, &mut b);
    assert_eq!(b.list("notes", None, 1_000).unwrap().len(), 300);
    assert_eq!(b.list("tasks", None, 1_000).unwrap().len(), 0);
    assert!(b.seen().unwrap().is_empty(), "what may not all be read is not claimed as seen");
    // With more rights, the rest comes; with another scope a cut run would not have been gone on with.
    let mut more = guarded(5, Arc::new(wider));
    more.finish(&mut a, &mut b);
    assert_same(&mut a, &mut b);

    let mut b = replica(6);
    guarded(1, Arc::new(guard)).carry(&mut a, &mut b, 11).unwrap();
    let mut more = guarded(7, Arc::new(wider));
    more.finish(&mut a, &mut b);
    assert_same(&mut a, &mut b);
}

#[test]
fn a_follower_loads_from_its_server_and_from_nobody_else() {
    let rules = |_: &Applicant<'_>| Ok(Rules::all(Right::ReadWrite).collection("closed", Right::Read));
    let (mut server, mut friend, mut b) = (filled(1, 200), filled(4, 200), replica(2));
    b.follow().unwrap();
    let with_server = |nonce| {
        let mut line = Line::new(nonce);
        line.at_a = Session::new(Config::new(nonce), START_MS).guarded_by(Arc::new(rules));
        line.at_b = Session::new(Config::new(nonce + 1), START_MS).obeying();
        line
    };
    let mut with_friend = Line::new(1);
    with_friend.carry(&mut friend, &mut b, 9).unwrap();
    assert!(b.loading().unwrap().is_none() && with_friend.progress.is_empty());
    with_server(3).carry(&mut server, &mut b, 12).unwrap();
    assert!(b.loading().unwrap().is_some());
    // A change that the server will refuse, over something loaded.
    b.commit(START_MS, Durability::Visible, |tx| {
        tx.document("closed", DocumentId::from_u64(1))?.set("title", "not allowed")?;
        tx.document("tasks", DocumentId::from_u64(0))?.set("title", "not allowed either")?;
        Ok::<_, TransactionError>(())
    })
    .unwrap();
    let mut rest = with_server(5);
    rest.finish(&mut server, &mut b);
    assert_eq!(b.rejected().unwrap().len(), 1);
    assert_same(&mut server, &mut b);
}

#[test]
fn a_refusal_in_a_first_sync_is_not_the_end_of_it() {
    let rules = |_: &Applicant<'_>| Ok(Rules::all(Right::ReadWrite).collection("closed", Right::Read));
    // Whoever has the lower nonce begins to compare sums, where that is to be done.
    for nonce in [1, 3] {
        let (mut server, mut b) = (filled(1, 3), replica(2));
        b.follow().unwrap();
        for collection in ["tasks", "closed"] {
            b.commit(START_MS, Durability::Visible, |tx| {
                tx.document(collection, DocumentId::from_u64(1))?.set("title", "mine")?;
                Ok::<_, TransactionError>(())
            })
            .unwrap();
        }
        let mut line = Line::new(nonce);
        line.at_a = Session::new(Config::new(nonce), START_MS).guarded_by(Arc::new(rules));
        line.at_b = Session::new(Config::new(2), START_MS).obeying();
        line.finish(&mut server, &mut b);
        assert_eq!(b.rejected().unwrap().len(), 1);
        assert_same(&mut server, &mut b);
    }
}

#[test]
fn a_progress_that_means_nothing_to_the_sender_starts_anew() {
    let (mut a, mut b) = (filled(1, 300), replica(2));
    let mut backup = filled(1, 20);
    Line::new(1).carry(&mut a, &mut b, 10).unwrap();
    // The sender lost the end of its history, and learns that from what is passed on at the end of the loading.
    let mut rest = Line::new(3);
    let spare = Spare { replica: ReplicaId::from_u64(9), life: Life(9) };
    rest.at_a = Session::new(Config::new(3).spare(spare), START_MS);
    rest.carry(&mut backup, &mut b, usize::MAX).unwrap();
    assert_eq!(backup.head().unwrap().replica, spare.replica);
    for id in 0..20 {
        assert!(title(&mut b, id).is_some());
    }
    // And a sender that itself loaded meanwhile cannot go on with what it had before.
    let (mut c, mut d) = (replica(5), replica(6));
    fill(&mut c, 0..150);
    Line::new(5).carry(&mut c, &mut d, 8).unwrap();
    assert!(d.loading().unwrap().is_some());
    exchange_in_memory(&mut filled(1, 300), &mut c, START_MS).unwrap();
    let mut rest = Line::new(7);
    rest.finish(&mut c, &mut d);
    assert_same(&mut c, &mut d);
}

#[test]
fn who_waits_no_longer_passes_on_what_it_has() {
    let (mut a, mut b, mut third) = (filled(1, 300), replica(2), replica(3));
    Line::new(1).carry(&mut a, &mut b, 12).unwrap();
    let documents = b.loading().unwrap().unwrap().documents;
    assert!(b.stop_loading().unwrap() && !b.stop_loading().unwrap());
    exchange_in_memory(&mut b, &mut third, START_MS).unwrap();
    assert_equal(&mut b, &mut third);
    assert_eq!(third.list("tasks", None, 1_000).unwrap().len() as u64, documents);
    set(&mut third, 1, 1, "title", "from here on as usual");
    let (mut at_a, mut at_b) = exchange_in_memory(&mut a, &mut b, START_MS).unwrap();
    exchange_in_memory(&mut b, &mut third, START_MS).unwrap();
    pump(&mut at_a, &mut a, &mut at_b, &mut b, START_MS).unwrap();
    assert_equal(&mut a, &mut b);
    assert_equal(&mut third, &mut b);
}

/// The device that has the rest is lost, and nobody calls anything.
#[test]
fn the_rest_is_not_waited_for_for_ever() {
    let (mut a, mut b, mut third) = (filled(1, 300), replica(2), replica(3));
    assert!(!b.stop_waiting(u64::MAX).unwrap(), "nothing is waited for");
    Line::new(1).carry(&mut a, &mut b, 12).unwrap();
    for (ms, stops) in [(0, false), (Loading::PATIENCE_MS, false), (Loading::PATIENCE_MS + 1, true)] {
        assert_eq!(b.stop_waiting(START_MS + ms).unwrap(), stops, "{ms}");
    }
    exchange_in_memory(&mut b, &mut third, START_MS).unwrap();
    assert_equal(&mut b, &mut third);
    assert!(!third.list("tasks", None, 1_000).unwrap().is_empty());
}

#[test]
fn a_bundle_for_a_peer_covers_what_was_loaded_after_its_last_ack() {
    let (mut a, mut b, mut third) = (filled(1, 200), replica(2), replica(3));
    write(&mut b, 8_000, "its own");
    Line::new(1).carry(&mut a, &mut b, 10).unwrap();
    // The third one acknowledges all that a loading replica tells.
    exchange_in_memory(&mut b, &mut third, START_MS).unwrap();
    let mut file = Vec::new();
    let export = |b: &mut Replica<MemoryStore>, file: &mut Vec<u8>| {
        bundle::export(b, &bundle::For::Peer(ReplicaId::from_u64(3)), file, START_MS)
    };
    assert!(matches!(export(&mut b, &mut file), Err(bundle::ExportError::Loading)));
    Line::new(3).finish(&mut a, &mut b);
    file.clear();
    export(&mut b, &mut file).unwrap();
    let imported = bundle::import(&mut third, &file[..]).unwrap();
    assert!(imported.in_sync && imported.missing.is_none(), "{imported:?}");
    assert_same(&mut third, &mut b);
}

/// The rest comes on a stick, and there may never be a session again.
#[test]
fn a_bundle_ends_a_first_sync_that_was_cut() {
    let (mut a, mut b, mut third) = (filled(1, 200), replica(2), filled(3, 0));
    write(&mut third, 9_000, "by the third");
    Line::new(1).carry(&mut a, &mut b, 10).unwrap();
    for (from, ends) in [(&mut third, false), (&mut a, true)] {
        let mut file = Vec::new();
        bundle::export(from, &bundle::For::Anyone, &mut file, START_MS).unwrap();
        bundle::import(&mut b, &file[..]).unwrap();
        assert_eq!(b.loading().unwrap().is_none(), ends);
    }
    assert_eq!(b.seen_of(ReplicaId::from_u64(3)).unwrap(), 1, "what was claimed meanwhile is claimed");
    for one in [&mut a, &mut third] {
        exchange_in_memory(one, &mut b, START_MS).unwrap();
        assert_same(one, &mut b);
    }
}

#[test]
fn with_more_rights_a_cut_run_is_not_gone_on_with() {
    let narrow = |_: &Applicant<'_>| Ok(Rules::all(Right::ReadWrite).collection("notes", Right::None));
    // Not everything, or the roots would be compared and tell.
    let wide = |_: &Applicant<'_>| Ok(Rules::all(Right::ReadWrite).collection("secret", Right::None));
    let (mut a, mut b) = (filled(1, 300), replica(2));
    // They come before the tasks in the order of addresses.
    a.commit(START_MS, Durability::Visible, |tx| {
        tx.document("notes", DocumentId::from_u64(1))?.set("title", "not shown at first")?;
        Ok::<_, TransactionError>(())
    })
    .unwrap();
    let guarded = |nonce, guard: Arc<dyn sync_protocol::door::Authenticate>| {
        let mut line = Line::new(nonce);
        line.at_a = Session::new(Config::new(nonce), START_MS).guarded_by(guard);
        line
    };
    guarded(1, Arc::new(narrow)).carry(&mut a, &mut b, 12).unwrap();
    assert!(b.loading().unwrap().is_some());
    guarded(3, Arc::new(wide)).finish(&mut a, &mut b);
    assert_same(&mut a, &mut b);
}

/// The rest came in a bundle, so the first sync ends with the checkpoint of whoever is met next: that one is told all the
/// same what others have brought.
#[test]
fn a_third_one_with_whose_checkpoint_it_ends_is_told_what_others_brought() {
    let (mut a, mut from, mut third) = (replica(1), filled(2, 300), replica(3));
    set(&mut a, 1_000, 0, "title", "an own one");
    assert!(Line::new(1).carry(&mut a, &mut from, 9).unwrap(), "cut");
    assert!(a.loading().unwrap().is_some());
    let mut file = Vec::new();
    bundle::export(&mut from, &bundle::For::Anyone, &mut file, START_MS).unwrap();
    bundle::import(&mut a, &file[..]).unwrap();
    let (mut at_third, mut at_a) = exchange_in_memory(&mut third, &mut a, START_MS).unwrap();
    for session in [&mut at_a, &mut at_third] {
        while let Some(event) = session.poll_event() {
            assert!(!matches!(event, SessionEvent::RootsDiffer { .. }), "{event:?}");
        }
    }
    assert_equal(&mut a, &mut third);
}
