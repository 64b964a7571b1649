//! The first sync of a file: cut and killed anywhere it goes on, and memory does not grow with the database.
#![cfg(all(feature = "sqlite", feature = "sync"))]
#![allow(missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rejoin::protocol::drive::Endpoint as _;
use rejoin::protocol::{Config, Session};
use rejoin::{Database, DocumentId, Durability, OpenOptions, SyncOptions};

/// Counts what is allocated in Rust; SQLite's own page cache has a bound of its own.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One test at a time: the count is of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

// Only passes on, and counts.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn open(path: &Path) -> Database {
    OpenOptions::new().secret("test").durability(Durability::Visible).open(path).unwrap()
}

fn fill(database: &Database, documents: u64, bytes: usize) {
    for first in (0..documents).step_by(500) {
        database
            .commit(|tx| {
                for id in first..documents.min(first + 500) {
                    let mut task = tx.open("tasks", DocumentId::from_u64(id))?;
                    task.set("title", format!("document {id} {}", "x".repeat(bytes)))?;
                    task.set("done", id % 2 == 0)?;
                }
                Ok(())
            })
            .unwrap();
    }
}

fn now_ms() -> u64 {
    1_790_000_000_000
}

/// Carries messages until so many were carried, or none is left: then true.
fn carry(a: &Database, b: &Database, nonce: u64, messages: usize, bytes: &mut u64) -> bool {
    let (mut at_a, mut at_b) =
        (Session::new(Config::new(nonce), now_ms()), Session::new(Config::new(nonce + 1), now_ms()));
    let mut left = messages;
    loop {
        let mut moved = false;
        for to_b in [true, false] {
            if left == 0 {
                return false;
            }
            let (from, to, says, hears) =
                if to_b { (a, b, &mut at_a, &mut at_b) } else { (b, a, &mut at_b, &mut at_a) };
            let message = from.endpoint().with(|replica| says.transmit(replica, now_ms())).unwrap();
            let Some(message) = message else { continue };
            *bytes += message.len() as u64;
            (left, moved) = (left - 1, true);
            to.endpoint().with(|replica| hears.receive(replica, &message, now_ms())).unwrap();
            while hears.poll_event().is_some() {}
        }
        if !moved {
            assert!(at_a.is_settled() && at_b.is_settled());
            return true;
        }
    }
}

#[test]
fn killed_at_any_message_it_goes_on_where_it_stopped() {
    let _alone = ALONE.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let a = open(&folder.path().join("a.db"));
    fill(&a, 500, 400);
    let mut whole = 0;
    assert!(carry(&a, &open(&folder.path().join("whole.db")), 1, usize::MAX, &mut whole));
    for cut in 1.. {
        let path = folder.path().join(format!("b{cut}.db"));
        let (b, mut bytes) = (open(&path), 0);
        let over = carry(&a, &b, 3, cut, &mut bytes);
        let loading = b.loading().unwrap();
        drop(b);
        let b = open(&path);
        assert_eq!(b.loading().unwrap(), loading);
        if over {
            assert!(cut > 10, "{cut} messages are not a run");
            break;
        }
        if let Some(loading) = loading {
            assert!(loading.documents > 0 && loading.documents <= 500 && loading.of == 500, "{loading:?}");
        }
        assert!(carry(&a, &b, 5, usize::MAX, &mut bytes));
        assert!(bytes * 10 <= whole * 11, "cut after {cut}: {bytes} bytes instead of {whole}");
        assert_eq!((b.root().unwrap(), b.loading().unwrap()), (a.root().unwrap(), None));
        assert!(b.check().unwrap().is_sound());
    }
}

#[test]
fn commits_while_it_loads_are_sent_on_and_watchers_hear_of_every_part() {
    let _alone = ALONE.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (open(&folder.path().join("a.db")), open(&folder.path().join("b.db")));
    fill(&a, 500, 400);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (watched, list) = (b.clone(), heard.clone());
    let watch = b.watch(move |_| {
        let loading = watched.loading().unwrap();
        list.lock().unwrap().extend(loading.map(|loading| loading.documents));
    });
    assert!(!carry(&a, &b, 1, 12, &mut 0));
    drop(watch);
    let heard = heard.lock().unwrap().clone();
    assert!(heard.len() > 1 && heard.is_sorted(), "{heard:?}");
    let id = DocumentId::from_u64(7);
    b.commit(|tx| {
        tx.open("tasks", id)?.set("title", "while it was loading")?;
        Ok(())
    })
    .unwrap();
    let (mut left, mut right) = std::os::unix::net::UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| a.serve(&mut left).unwrap());
        let report = b.sync_with(&mut right, &SyncOptions::new()).unwrap();
        assert!(report.in_sync, "{report:?}");
    });
    let task = a.get("tasks", id).unwrap().unwrap();
    let title = task.get("title").unwrap().unwrap();
    assert_eq!(title.as_str(), Some("while it was loading"));
    assert_eq!(a.root().unwrap(), b.root().unwrap());
}

/// The most that is held beyond what was held before, while a file of so many documents is synced to a new one.
fn peak_of_first_sync(documents: u64) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (open(&folder.path().join("a.db")), open(&folder.path().join("b.db")));
    fill(&a, documents, 40);
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    assert!(carry(&a, &b, 1, usize::MAX, &mut 0));
    assert_eq!(a.root().unwrap(), b.root().unwrap());
    PEAK.load(Ordering::Relaxed) - before
}

#[test]
fn memory_does_not_grow_with_the_database() {
    let _alone = ALONE.lock().unwrap();
    let peaks = [1_000, 10_000, 100_000].map(peak_of_first_sync);
    println!("peaks in bytes: {peaks:?}");
    assert!(peaks[2] < 4 << 20, "{peaks:?}");
    // What does grow: eight bytes per message that came.
    assert!(peaks[2] < peaks[0] + peaks[0] / 2, "{peaks:?}");
}
