//! Conversations over async byte streams: first sync, live changes both ways, cuts, silence, garbage, slow readers.
#![allow(missing_docs)]

#[path = "support/shared.rs"]
mod shared;
mod support;

use std::sync::Arc;
use std::time::Duration;

use crdt_core::{Life, Refusal, Replica, ReplicaId, Spare};
use shared::Shared;
use support::{START_MS, replica};
use sync_protocol::door::{Applicant, Rules};
use sync_protocol::drive::{Framed, StreamError, Until, Wake, converse, framed, write_message};
use sync_protocol::{Config, EndReason, Session, SessionError, SessionEvent};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

fn fill(shared: &Shared, from: u64, count: u64, what: &str) {
    (from..from + count).for_each(|n| shared.set(n, n, "title", what));
}

#[tokio::test]
async fn a_first_sync_through_a_narrow_pipe_settles_on_both_sides() {
    for (here, there, pipe) in [(0, 0, 64), (1, 0, 1), (700, 700, 512), (3_000, 0, 8_192)] {
        let (a, b) = (Shared::new(1), Shared::new(2));
        fill(&a, 0, here, &"from a ".repeat(20));
        fill(&b, here / 2, there, &"from b ".repeat(20));
        let (one, other) = duplex(pipe);
        let (mut one, mut other) = (framed(one), framed(other));
        let both =
            tokio::join!(a.converse(1, &mut one, Until::Settled), b.converse(2, &mut other, Until::Settled));
        for (ended, status) in [both.0, both.1] {
            ended.unwrap();
            assert!(status.settled || status.ended == Some(EndReason::Done), "{status:?}");
        }
        assert_eq!(a.root(), b.root());
    }
}

#[tokio::test]
async fn one_side_stays_until_the_other_has_everything_and_goes() {
    let (a, b) = (Shared::new(1), Shared::new(2));
    fill(&a, 0, 50, "from a");
    fill(&b, 100, 50, "from b");
    let (one, other) = duplex(1024);
    let (mut one, mut other) = (framed(one), framed(other));
    let (at_a, at_b) =
        tokio::join!(a.converse(1, &mut one, Until::Settled), b.converse(2, &mut other, Until::Closed));
    at_a.0.unwrap();
    at_b.0.unwrap();
    assert_eq!(at_b.1.ended, Some(EndReason::Done));
    assert_eq!(a.root(), b.root());
}

/// A repair sends everything again after both had seemed to have it; nobody may leave before it is through.
#[tokio::test]
async fn nobody_leaves_before_a_fork_is_repaired() {
    let (a, b) = (Shared::new(1), Shared::new(2));
    a.set(1, 0, "title", "one");
    let backup = a.replica.lock().unwrap().store_mut().clone();
    a.set(1, 10, "title", "two");
    let lines = duplex(256);
    let (mut one, mut other) = (framed(lines.0), framed(lines.1));
    let (at_a, _) =
        tokio::join!(a.converse(1, &mut one, Until::Settled), b.converse(2, &mut other, Until::Settled));
    at_a.0.unwrap();
    *a.replica.lock().unwrap() = support::declared(Replica::new(backup));
    a.set(2, 20, "title", "the same dot again");
    assert_ne!(a.root(), b.root());
    for (until_a, until_b) in [(Until::Settled, Until::Settled), (Until::Settled, Until::Closed)] {
        let lines = duplex(256);
        let (mut one, mut other) = (framed(lines.0), framed(lines.1));
        let (at_a, at_b) = tokio::join!(a.converse(3, &mut one, until_a), b.converse(4, &mut other, until_b));
        at_a.0.unwrap();
        at_b.0.unwrap();
        assert_eq!(a.root(), b.root());
    }
}

async fn tcp() -> (Framed<TcpStream>, Framed<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (framed(one.unwrap()), framed(other.unwrap().0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_changes_both_ways_over_tcp_and_a_graceful_end() {
    let (a, b) = (Shared::new(1), Shared::new(2));
    fill(&a, 0, 300, "before they met");
    let (mut one, mut other) = tcp().await;
    let (here, there) = (a.clone(), b.clone());
    let at_a = tokio::spawn(async move { here.converse(1, &mut one, Until::Closed).await });
    let at_b = tokio::spawn(async move { there.converse(2, &mut other, Until::Closed).await });
    a.equals(&b).await;
    for n in 0..200 {
        a.set(n % 10, 1_000 + n, "title", &format!("live from a {n}"));
        b.set(500 + n % 10, 1_000 + n, "title", &format!("live from b {n}"));
        if n % 50 == 0 {
            a.equals(&b).await;
        }
    }
    a.equals(&b).await;
    a.wake.end();
    let (at_a, at_b) = (at_a.await.unwrap(), at_b.await.unwrap());
    at_a.0.unwrap();
    at_b.0.unwrap();
    assert_eq!(at_b.1.ended, Some(EndReason::Closed));
    // 200 small changes and their acks, not the whole state again.
    assert!(at_b.1.traffic.bytes_sent < 20_000, "{:?}", at_b.1.traffic);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_with_two_conversations_passes_changes_on() {
    let (hub, a, b) = (Shared::new(9), Shared::new(1), Shared::new(2));
    let mut tasks = Vec::new();
    for (nonce, leaf) in [(1, a.clone()), (3, b.clone())] {
        let (mut one, mut other) = tcp().await;
        let hub = hub.clone();
        tasks.push(tokio::spawn(async move { hub.converse(nonce, &mut one, Until::Closed).await }));
        tasks.push(tokio::spawn(async move { leaf.converse(nonce + 1, &mut other, Until::Closed).await }));
    }
    for n in 0..30 {
        a.set(n, 1_000 + n, "title", "from a");
        b.set(100 + n, 1_000 + n, "title", "from b");
    }
    while a.root() != b.root() || a.root() != hub.root() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    hub.wake.end();
    for task in tasks {
        task.await.unwrap().0.unwrap();
    }
}

/// A line that ends after so many bytes from here to there.
async fn cut_after(bytes: usize, from: DuplexStream, to: DuplexStream) {
    let (mut from_read, mut from_write) = tokio::io::split(from);
    let (mut to_read, mut to_write) = tokio::io::split(to);
    let forth = async {
        let _ = tokio::io::copy(&mut (&mut from_read).take(bytes as u64), &mut to_write).await;
    };
    let back = async {
        let _ = tokio::io::copy(&mut to_read, &mut from_write).await;
    };
    tokio::select! { () = forth => {}, () = back => {} }
}

#[tokio::test]
async fn after_a_cut_anywhere_the_next_conversation_resumes() {
    for bytes in (0..60).map(|n| n * n * 31) {
        let (a, b) = (Shared::new(1), Shared::new(2));
        (0..300).for_each(|n| a.set(n, n, "title", &support::noise(n, 300)));
        fill(&b, 200, 100, "from b");
        let ((one, near), (far, other)) = (duplex(512), duplex(512));
        let (mut one, mut other) = (framed(one), framed(other));
        let (at_a, at_b, ()) = tokio::join!(
            async { a.converse(1, &mut one, Until::Settled).await },
            async { b.converse(2, &mut other, Until::Settled).await },
            cut_after(bytes, near, far)
        );
        assert!(
            at_a.0.is_err() || bytes > 10_000,
            "a cut after {bytes} bytes cannot look like an end to who sends"
        );
        drop(at_b);
        let shown = b.replica.lock().unwrap().list("tasks", None, usize::MAX).unwrap().len();
        assert!([100, 300].contains(&shown), "cut after {bytes}: {shown} documents");
        let (one, other) = duplex(512);
        let (mut one, mut other) = (framed(one), framed(other));
        let (at_a, at_b) =
            tokio::join!(a.converse(3, &mut one, Until::Settled), b.converse(4, &mut other, Until::Settled));
        at_a.0.unwrap();
        at_b.0.unwrap();
        assert_eq!(a.root(), b.root());
    }
}

type Expected = fn(&StreamError) -> bool;

#[tokio::test]
async fn garbage_ends_the_conversation_and_changes_nothing() {
    let a = Shared::new(1);
    a.set(1, 0, "title", "mine");
    let before = a.root();
    let cases: [(&[u8], Expected); 7] = [
        (b"", |error| matches!(error, StreamError::Io(_))),
        (b"GET / HTTP/1.1\r\n\r\n", |error| matches!(error, StreamError::Io(_) | StreamError::Session(_))),
        (&[0xff; 9], |error| matches!(error, StreamError::Framing)),
        (&[0xff, 0xff, 0xff, 0x7f, 1], |error| matches!(error, StreamError::Framing)),
        (&[0x80, 0], |error| matches!(error, StreamError::Framing)),
        (&[0, 1], |error| matches!(error, StreamError::OtherDriver)),
        (&[5, 1, 2, 3, 4, 5], |error| matches!(error, StreamError::Session(SessionError::Damaged))),
    ];
    for (bytes, expected) in cases {
        let (one, mut other) = duplex(1 << 16);
        other.write_all(bytes).await.unwrap();
        other.shutdown().await.unwrap();
        let (ended, _) = a.converse(1, &mut framed(one), Until::Closed).await;
        let error = ended.unwrap_err();
        assert!(expected(&error), "{bytes:?}: {error:?}");
        assert_eq!(a.root(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_given_up_and_who_is_idle_is_not() {
    // Silent from the start.
    let a = Shared::new(1);
    for until in [Until::Settled, Until::Closed] {
        let (one, _silent) = duplex(1 << 16);
        let started = Instant::now();
        let (ended, _) = a.converse(1, &mut framed(one), until).await;
        assert!(matches!(ended, Err(StreamError::Ended(EndReason::TimedOut))), "{ended:?}");
        assert_eq!(started.elapsed().as_secs(), 30);
    }
    // Two that have nothing to say to each other for a day, and then do.
    let b = Shared::new(2);
    let (one, other) = duplex(1 << 16);
    let (here, there) = (a.clone(), b.clone());
    let at_a = tokio::spawn(async move { here.converse(1, &mut framed(one), Until::Closed).await });
    let at_b = tokio::spawn(async move { there.converse(2, &mut framed(other), Until::Closed).await });
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    a.set(1, 100, "title", "after a day");
    a.equals(&b).await;
    assert!(!at_a.is_finished() && !at_b.is_finished());
    // The other end vanishes without a word: the next change finds out.
    at_b.abort();
    let _ = at_b.await;
    assert!(at_a.await.unwrap().0.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_live_peer_that_stops_answering_is_given_up_after_the_next_change() {
    let (a, b) = (Shared::new(1), Shared::new(2));
    let (one, near) = duplex(1 << 16);
    let (far, other) = duplex(1 << 16);
    let (here, there) = (a.clone(), b.clone());
    let at_a = tokio::spawn(async move { here.converse(1, &mut framed(one), Until::Closed).await });
    let at_b = tokio::spawn(async move { there.converse(2, &mut framed(other), Until::Closed).await });
    let line = tokio::spawn(async move {
        let (mut near, mut far) = (near, far);
        let copy = tokio::io::copy_bidirectional(&mut near, &mut far);
        let _ = tokio::time::timeout(Duration::from_secs(5), copy).await;
        // Both ends stay open, and nothing goes through any more.
        (near, far)
    });
    let held = line.await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!at_a.is_finished());
    let changed = Instant::now();
    a.set(1, 100, "title", "nobody hears this");
    let (ended, _) = at_a.await.unwrap();
    assert!(matches!(ended, Err(StreamError::Ended(EndReason::TimedOut))), "{ended:?}");
    assert_eq!(changed.elapsed().as_secs(), 30);
    drop(held);
    assert!(at_b.await.unwrap().0.is_err());
}

/// A peer driven by hand over the other end of a line.
struct ByHand {
    line: DuplexStream,
    session: Session,
    replica: Replica<crdt_core::MemoryStore>,
}

impl ByHand {
    fn new(line: DuplexStream) -> Self {
        Self { line, session: Session::new(Config::new(99), START_MS), replica: replica(2) }
    }

    async fn say(&mut self) {
        while let Some(message) = self.session.transmit(&mut self.replica, START_MS).unwrap() {
            self.send(&message).await;
        }
    }

    async fn send(&mut self, message: &[u8]) {
        let mut bytes = Vec::new();
        write_message(&mut bytes, message).unwrap();
        self.line.write_all(&bytes).await.unwrap();
    }

    async fn hear(&mut self) {
        let (mut len, mut shift) = (0, 0);
        loop {
            let byte = self.line.read_u8().await.unwrap();
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut message = vec![0; len];
        self.line.read_exact(&mut message).await.unwrap();
        if len != 2 {
            self.session.receive(&mut self.replica, &message, START_MS).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_says_that_it_has_everything_is_not_waited_for_for_ever() {
    let a = Shared::new(1);
    a.set(1, 0, "title", "from a");
    let (one, other) = duplex(1 << 16);
    let mut peer = ByHand::new(other);
    let here = a.clone();
    let at_a = tokio::spawn(async move { here.converse(1, &mut framed(one), Until::Settled).await });
    peer.say().await;
    while !peer.session.is_settled() {
        peer.hear().await;
        peer.say().await;
    }
    let (ended, status) = at_a.await.unwrap();
    assert!(matches!(ended, Err(StreamError::Ended(EndReason::TimedOut))), "{ended:?}");
    assert!(status.ended == Some(EndReason::TimedOut), "{status:?}");
    assert_eq!(a.root(), peer.replica.head().unwrap().root);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_not_written_for() {
    let a = Shared::new(1);
    // It stays much when it is packed.
    (0..4_000).for_each(|n| a.set(n, n, "title", &support::noise(n, 1_200)));
    let (one, other) = duplex(4_096);
    let mut peer = ByHand::new(other);
    let here = a.clone();
    let at_a = tokio::spawn(async move { here.converse(1, &mut framed(one), Until::Closed).await });
    peer.say().await;
    while peer.session.status().way.is_none() {
        peer.hear().await;
        peer.say().await;
    }
    // It asked for everything, and from here on it reads nothing.
    let (ended, status) = at_a.await.unwrap();
    assert!(matches!(ended, Err(StreamError::Ended(EndReason::TimedOut))), "{ended:?}");
    let sent = status.traffic.bytes_sent;
    assert!((10_000..300_000).contains(&sent), "{sent} of 5,000,000 bytes were made to wait");
}

#[tokio::test(start_paused = true)]
async fn who_sends_and_does_not_read_is_not_read() {
    let a = Shared::new(1);
    let (one, other) = duplex(64);
    let mut peer = ByHand::new(other);
    let here = a.clone();
    let at_a = tokio::spawn(async move { here.converse(1, &mut framed(one), Until::Closed).await });
    peer.say().await;
    while !peer.session.is_settled() {
        peer.hear().await;
        peer.say().await;
    }
    // 200,000 changes, none of whose acks is read.
    let mut sent = 0;
    let flood = async {
        for n in 0..200_000u64 {
            support::set(&mut peer.replica, n % 5, n, "title", &n.to_string());
            let message = peer.session.transmit(&mut peer.replica, START_MS).unwrap().unwrap();
            let mut bytes = Vec::new();
            write_message(&mut bytes, &message).unwrap();
            if peer.line.write_all(&bytes).await.is_err() {
                break;
            }
            sent += 1;
        }
    };
    let ((), at_a) = tokio::join!(flood, at_a);
    let (ended, _) = at_a.unwrap();
    assert!(matches!(ended, Err(StreamError::Ended(EndReason::TimedOut))), "{ended:?}");
    let applied = a.replica.lock().unwrap().head().unwrap().sequence;
    // What fits the line, what waits in 64 KiB of output, and what may wait before that.
    assert!((1_024..20_000).contains(&applied), "{applied} of {sent} were applied");
}

#[tokio::test]
async fn who_is_not_let_in_learns_why_and_gets_nothing() {
    let (a, b) = (Shared::new(1), Shared::new(2));
    a.set(1, 0, "title", "the server's");
    b.set(2, 0, "title", "the applicant's");
    let (roots, wake) = ((a.root(), b.root()), Wake::new());
    let guard = |_: &Applicant<'_>| -> Result<Rules, Refusal> { Err(Refusal::new(401, "a token is needed")) };
    let (one, other) = duplex(1024);
    let (mut one, mut other) = (framed(one), framed(other));
    let mut guarded = Session::new(Config::new(1), START_MS).guarded_by(Arc::new(guard));
    let mut applicant = Session::new(Config::new(2), START_MS);
    let (mut here, mut there) = (a.clone(), b.clone());
    let (at_a, at_b) = tokio::join!(
        converse(&mut guarded, &mut here, &mut one, Until::Closed, &wake, START_MS, |_| {}),
        converse(&mut applicant, &mut there, &mut other, Until::Settled, &wake, START_MS, |_| {})
    );
    for ended in [at_a, at_b] {
        let Err(StreamError::NotAdmitted(refusal)) = ended else { panic!("{ended:?}") };
        assert_eq!(refusal, Refusal::new(401, "a token is needed"));
    }
    assert_eq!((a.root(), b.root()), roots);
}

/// Both speak at once, so the other has begun to send when it is told to begin again.
#[tokio::test]
async fn a_store_that_was_set_back_heals_amid_a_conversation() {
    for pipe in [32, 4_096] {
        let (a, b) = (Shared::new(1), Shared::new(2));
        a.replica.lock().unwrap().begin_run(1);
        a.set(1, 0, "title", "before");
        let meet = async |a: &Shared, number: u64| {
            let lines = duplex(pipe);
            let (mut one, mut other) = (framed(lines.0), framed(lines.1));
            let spare = Spare { replica: ReplicaId::from_u64(100 + number), life: Life(100 + number) };
            let mut session = Session::new(Config::new(2 * number).spare(spare), START_MS);
            let (mut endpoint, mut renewed) = (a.clone(), false);
            let events = |event| renewed |= matches!(event, SessionEvent::IdentityRenewed { .. });
            let wake = Wake::new();
            let at_a =
                converse(&mut session, &mut endpoint, &mut one, Until::Settled, &wake, START_MS, events);
            let (at_a, at_b) = tokio::join!(at_a, b.converse(2 * number + 1, &mut other, Until::Settled));
            at_a.unwrap();
            at_b.0.unwrap();
            renewed
        };
        assert!(!meet(&a, 1).await);
        let backup = a.replica.lock().unwrap().store_mut().clone();
        fill(&a, 10, 300, "lost");
        assert!(!meet(&a, 2).await);
        let mut set_back = support::declared(Replica::new(backup));
        set_back.begin_run(2);
        *a.replica.lock().unwrap() = set_back;
        fill(&a, 300, 300, "since");
        fill(&b, 700, 100, "of the other meanwhile");
        assert!(meet(&a, 3).await);
        assert_eq!(a.root(), b.root());
        for (id, title) in [(1, "before"), (20, "lost"), (599, "since"), (799, "of the other meanwhile")] {
            let found = support::title(&mut b.replica.lock().unwrap(), id);
            assert_eq!(found.as_deref(), Some(title));
        }
        assert!(!meet(&a, 4).await);
    }
}
