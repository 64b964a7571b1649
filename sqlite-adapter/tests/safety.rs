//! Durability, limits, checks and backups.

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, START_MS, commit, edit, open, plain, replica};
use crdt_core::{
    Access, DocumentId, Durability, EditError, Limits, Replica, Store as _, TransactionError, Value,
};
use sqlite_adapter::{BackupError, Identity, Problem, SqliteStore};

fn log_of(path: &Path) -> Vec<u8> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    fs::read(name).unwrap_or_default()
}

/// SQLite syncs at a commit only when it has frames to write. A durable transaction must have some, or what was
/// committed before it as `Visible` stays unsynced.
#[test]
fn a_durable_transaction_always_writes_a_frame() {
    let folder = Folder::new();
    let path = folder.file("durable.db");
    let mut store = open(&path).store;
    for (durability, writes) in [(Durability::Visible, false), (Durability::Durable, true)] {
        for same_head in [false, true] {
            let before = log_of(&path);
            store.begin(Access::Write, durability).unwrap();
            if same_head {
                let head = store.head().unwrap();
                store.set_head(&head).unwrap();
            }
            store.commit().unwrap();
            assert_eq!(log_of(&path) != before, writes, "{durability:?}, the same head set: {same_head}");
        }
    }
}

#[test]
fn what_is_offered_is_written_before_it_may_leave() {
    let folder = Folder::new();
    let path = folder.file("offered.db");
    let mut replica = replica(&path);
    commit(&mut replica, START_MS, Durability::Visible, "full", 1, |d| d.set("lww", 1));
    let before = log_of(&path);
    replica.offer().unwrap();
    assert_ne!(log_of(&path), before);
    let head = replica.head().unwrap();
    assert_eq!((head.counter, head.offered), (1, 1));
    let before = log_of(&path);
    replica.offer().unwrap();
    assert_eq!(log_of(&path), before, "nothing new to offer, nothing to write");
}

#[test]
fn both_durabilities_are_there_after_reopening() {
    let folder = Folder::new();
    let path = folder.file("both.db");
    let mut store = replica(&path);
    for (id, durability) in [(1, Durability::Durable), (2, Durability::Visible), (3, Durability::Durable)] {
        commit(&mut store, START_MS, durability, "full", id, |d| d.set("lww", "there"));
    }
    drop(store);
    assert_eq!(replica(&path).list("full", None, 9).unwrap().len(), 3);
}

#[test]
fn a_value_at_the_limit_is_stored_and_one_past_it_is_refused() {
    let folder = Folder::new();
    let path = folder.file("large.db");
    let mut replica = replica(&path);
    // One byte of tag and three of length.
    let largest = Limits::DEFAULT.value_bytes - 4;
    let values: [Value; 3] =
        ["\u{1}".repeat(largest).into(), vec![7u8; largest].into(), "x".repeat(largest).into()];
    for (id, value) in (1..).zip(&values) {
        edit(&mut replica, "full", id, |d| {
            d.set("lww", value)?;
            d.add_to("set", value)
        });
    }
    let id = DocumentId::from_u64(1);
    let before = replica.canonical_bytes().unwrap();
    for value in [Value::from("x".repeat(largest + 1)), vec![7u8; largest + 1].into()] {
        let refused = replica.commit(START_MS, Durability::Visible, |tx| {
            tx.document("full", id)?.set("detect", value)?;
            Ok::<_, TransactionError>(())
        });
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(&EditError::Limit(limit(largest + 5)).to_string()), "{error}");
    }
    assert_eq!(replica.canonical_bytes().unwrap(), before);
    drop(replica);
    let mut replica = common::replica(&path);
    for (id, value) in (1..).zip(&values) {
        let view = replica.read("full", DocumentId::from_u64(id)).unwrap();
        assert_eq!(view.get("lww").unwrap().as_deref(), Some(value));
    }
    assert!(replica.store_mut().check().unwrap().is_sound());
}

fn limit(size: usize) -> crdt_core::LimitExceeded {
    let limit = Limits::DEFAULT.value_bytes;
    crdt_core::LimitExceeded { what: "bytes of a value", size, limit }
}

/// More cells than fit a shape that is shared, or a message.
#[test]
fn documents_grow_beyond_what_one_message_holds() {
    let folder = Folder::new();
    let path = folder.file("wide.db");
    let mut replica = replica(&path);
    for part in 0..4 {
        edit(&mut replica, "plain", 1, |d| (0..60).try_for_each(|n| d.set(format!("field {part} {n}"), n)));
        edit(&mut replica, "plain", 2 + part, |d| d.set(format!("another shape {part}"), 1));
    }
    let before = replica.canonical_bytes().unwrap();
    drop(replica);
    assert_eq!(common::replica(&path).canonical_bytes().unwrap(), before);
}

fn problems(path: &Path, tampering: &str) -> Vec<Problem> {
    plain(path).execute_batch(tampering).unwrap();
    open(path).store.check().unwrap().problems
}

fn prepared(path: &Path) {
    let mut replica = replica(path);
    for id in 1..=3 {
        edit(&mut replica, "full", id, |d| d.set("lww", format!("title {id}")));
    }
    edit(&mut replica, "full", 1, |d| {
        d.delete();
        Ok(())
    });
    let report = replica.store_mut().check().unwrap();
    assert!(report.is_sound());
    assert_eq!((report.documents, report.root), (3, replica.head().unwrap().root));
}

#[test]
fn a_check_finds_what_was_tampered_with() {
    let check = |tampering: &str| {
        let folder = Folder::new();
        let path = folder.file("tampered.db");
        prepared(&path);
        problems(&path, tampering)
    };
    assert_eq!(check(""), []);
    let root = |problems: Vec<Problem>| matches!(problems[..], [Problem::Root { .. }]);
    assert!(root(check("UPDATE rejoin_document SET data = replace(data, 'title', 'other') WHERE row = 2")));
    assert!(root(check("UPDATE rejoin_document SET id = randomblob(16) WHERE row = 2")));
    let unreadable = |problems: Vec<Problem>| {
        matches!(problems[..], [Problem::Document { row: 2, .. }, Problem::Root { .. }])
    };
    assert!(unreadable(check("UPDATE rejoin_document SET meta = x'ff' WHERE row = 2")));
    assert!(unreadable(check("UPDATE rejoin_document SET data = NULL WHERE row = 2")));
    assert!(unreadable(check("UPDATE rejoin_document SET data = 'no JSON' WHERE row = 2")));
    assert!(unreadable(check("UPDATE rejoin_document SET collection = 77 WHERE row = 2")));
    let gone = check("DELETE FROM rejoin_document WHERE row = 2");
    assert!(matches!(gone[..], [Problem::Root { .. }, Problem::Log { row: 0, .. }]), "{gone:?}");
    let gone = check("UPDATE rejoin_head SET tail = x''");
    assert_eq!(gone, [Problem::LastStep { head: 4, found: 0 }]);
    let cut = check("UPDATE rejoin_head SET tail = substr(tail, 1, length(tail) - 1)");
    assert!(
        matches!(cut[..], [Problem::Log { row: 0, .. }, Problem::LastStep { head: 4, found: 3 }]),
        "{cut:?}"
    );
    let mixed = check("INSERT INTO rejoin_log SELECT 2, tail FROM rejoin_head");
    assert!(
        mixed.iter().all(|problem| matches!(problem, Problem::Log { .. })) && mixed.len() > 2,
        "{mixed:?}"
    );
    let own = check("INSERT INTO rejoin_context SELECT replica, 1, 1 FROM rejoin_head");
    assert_eq!(own, [Problem::Context]);
    let ahead = check("INSERT INTO rejoin_context VALUES (randomblob(16), 1, 99)");
    assert_eq!(ahead, [Problem::Context]);
}

#[test]
fn a_backup_is_complete_offered_and_a_replica_of_its_own() {
    let folder = Folder::new();
    let (path, copy) = (folder.file("live.db"), folder.file("backup.db"));
    let mut live = replica(&path);
    for id in 1..=50 {
        edit(&mut live, "full", id, |d| d.set("lww", "x".repeat(300)));
    }
    live.store_mut().backup(&copy).unwrap();
    let head = live.head().unwrap();
    assert_eq!(head.offered, head.counter, "a backup is bytes leaving");
    edit(&mut live, "full", 1, |d| d.set("lww", "after the backup"));
    assert!(matches!(live.store_mut().backup(&copy), Err(BackupError::Exists)));
    assert!(matches!(live.store_mut().backup(folder.file("no/such/folder")), Err(BackupError::Io(_))));

    let opened = open(&copy);
    assert_eq!(opened.identity, Identity::Renewed { was: head.replica });
    let mut restored = Replica::new(opened.store);
    assert!(restored.store_mut().check().unwrap().is_sound());
    assert_eq!(restored.head().unwrap().root, head.root);
    assert_ne!(live.head().unwrap().root, head.root);

    // A read-only store may copy what was offered, and nothing else.
    let read_only = || SqliteStore::open(&path, &common::options().read_only()).unwrap().store;
    assert!(matches!(read_only().backup(folder.file("b2.db")), Err(BackupError::Store(_))));
    assert!(!folder.file("b2.db").exists());
    live.offer().unwrap();
    read_only().backup(folder.file("b3.db")).unwrap();
}
