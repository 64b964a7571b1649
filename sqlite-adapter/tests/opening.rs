//! Opening: whose file, which format, still the same file, damaged files.

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, check_data, edit, namespace, open, options, plain, replica};
use crdt_core::{
    Access, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId, Store as _, StoreError, Value,
};
use sqlite_adapter::layout::{APPLICATION_ID, VERSION};
use sqlite_adapter::{Identity, OpenError, OpenOptions, SqliteStore};

/// A file with a document in it, closed.
fn written(path: &Path) -> Head {
    let mut replica = replica(path);
    edit(&mut replica, "full", 1, |document| document.set("lww", "kept"));
    replica.head().unwrap()
}

fn head(path: &Path) -> Head {
    Replica::new(open(path).store).head().unwrap()
}

fn refusal(path: &Path, options: &OpenOptions) -> OpenError {
    SqliteStore::open(path, options).unwrap_err()
}

#[test]
fn a_file_is_created_once_and_is_then_the_same() {
    let folder = Folder::new();
    let path = folder.file("new.db");
    assert_eq!(open(&path).identity, Identity::Created);
    let first = written(&path);
    assert_eq!(open(&path).identity, Identity::Same);
    assert_eq!(head(&path), first);
    let other = folder.file("other.db");
    assert_ne!(written(&other).replica, first.replica, "every file draws its own id");
}

#[test]
fn names_that_mean_something_to_sqlite_are_ordinary_paths() {
    let folder = Folder::new();
    for name in [":memory:", "file:x?mode=memory", "%41 ?#.db"] {
        let path = folder.file(name);
        let first = written(&path);
        assert!(path.exists(), "{name}");
        assert_eq!(head(&path), first);
    }
}

#[test]
fn a_copied_file_gets_a_new_identity_before_its_first_write() {
    let folder = Folder::new();
    let (path, copy) = (folder.file("original.db"), folder.file("copy.db"));
    let before = written(&path);
    fs::copy(&path, &copy).unwrap();

    let read_only = SqliteStore::open(&copy, &options().read_only()).unwrap();
    assert_eq!(read_only.identity, Identity::Stale);
    drop(read_only);

    let opened = open(&copy);
    assert_eq!(opened.identity, Identity::Renewed { was: before.replica });
    let mut renewed = Replica::new(opened.store);
    let head = renewed.head().unwrap();
    assert_ne!((head.replica, head.life), (before.replica, before.life));
    assert_eq!((head.counter, head.offered, head.root), (0, 0, before.root));
    assert_eq!(
        renewed.seen().unwrap().get(before.replica),
        before.counter,
        "what was written keeps its author"
    );
    edit(&mut renewed, "full", 1, |document| document.set("lww", "elsewhere"));
    assert!(renewed.store_mut().check().unwrap().is_sound());
    drop(renewed);
    assert_eq!(open(&copy).identity, Identity::Same, "only once");
    assert_eq!(open(&path).identity, Identity::Same, "the original is what it was");
}

#[test]
fn an_identity_is_renewed_on_demand() {
    let folder = Folder::new();
    let path = folder.file("demand.db");
    let before = written(&path);
    let new = open(&path).store.renew_identity().unwrap();
    assert_ne!(new, before.replica);
    let after = head(&path);
    assert_eq!((after.replica, after.sequence), (new, before.sequence + 1));
    assert_eq!(open(&path).identity, Identity::Same);
}

#[test]
fn a_read_only_store_reads_and_never_writes() {
    let folder = Folder::new();
    let path = folder.file("read.db");
    let before = written(&path);
    let bytes = fs::read(&path).unwrap();
    let mut store = SqliteStore::open(&path, &options().read_only()).unwrap().store;
    for durability in [Durability::Visible, Durability::Durable] {
        assert!(matches!(store.begin(Access::Write, durability), Err(StoreError::ReadOnly)));
    }
    assert!(matches!(store.renew_identity(), Err(StoreError::ReadOnly)));
    assert!(store.check().unwrap().is_sound());
    let mut replica = common::declared(Replica::new(store));
    assert_eq!(replica.head().unwrap(), before);
    assert_eq!(replica.list("full", None, 9).unwrap().len(), 1);
    drop(replica);
    assert_eq!(fs::read(&path).unwrap(), bytes);

    let missing = folder.file("missing.db");
    assert!(matches!(refusal(&missing, &options().read_only()), OpenError::Store(StoreError::Backend(_))));
    assert!(!missing.exists());
}

#[test]
fn another_namespace_is_refused() {
    let folder = Folder::new();
    let path = folder.file("ours.db");
    let before = written(&path);
    let other = OpenOptions::new(Namespace::from_secret("somebody else"));
    for options in [other.clone(), other.read_only()] {
        assert!(matches!(refusal(&path, &options), OpenError::Store(StoreError::WrongNamespace)));
    }
    assert_eq!(head(&path), before);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = Folder::new();
    let path = folder.file("newer.db");
    written(&path);
    plain(&path).pragma_update(None, "user_version", VERSION + 1).unwrap();
    for options in [options(), options().read_only()] {
        let refused = refusal(&path, &options);
        let OpenError::Store(StoreError::Newer { found, supported }) = refused else { panic!("{refused}") };
        assert_eq!((found, supported), (VERSION + 1, VERSION));
    }
    plain(&path).pragma_update(None, "user_version", VERSION).unwrap();
    assert_eq!(open(&path).identity, Identity::Same);
}

#[test]
fn a_file_of_the_apps_own_is_taken_over_and_keeps_its_tables() {
    let folder = Folder::new();
    let path = folder.file("app.db");
    plain(&path).execute_batch("CREATE TABLE own (x); INSERT INTO own VALUES (7)").unwrap();
    let read_only = refusal(&path, &options().read_only());
    assert!(matches!(read_only, OpenError::Older { found: 0, supported: VERSION }));
    assert_eq!(open(&path).identity, Identity::Created);
    let own: i64 = plain(&path).query_row("SELECT x FROM own", [], |row| row.get(0)).unwrap();
    assert_eq!(own, 7);
}

#[test]
fn a_file_of_another_program_is_refused() {
    let folder = Folder::new();
    for (pragma, value) in [("application_id", 0x1234), ("user_version", 3)] {
        let path = folder.file(pragma);
        plain(&path).pragma_update(None, pragma, value).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(matches!(refusal(&path, &options()), OpenError::Foreign { .. }));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn creation_that_was_cut_is_completed() {
    let folder = Folder::new();
    let path = folder.file("cut.db");
    drop(open(&path));
    plain(&path).execute("DELETE FROM rejoin_head", []).unwrap();
    assert_eq!(open(&path).identity, Identity::Created);
}

#[test]
fn damaged_files_are_errors() {
    let folder = Folder::new();
    let garbage = folder.file("garbage.db");
    fs::write(&garbage, vec![0x5a; 10_000]).unwrap();
    for options in [options(), options().read_only()] {
        assert!(matches!(refusal(&garbage, &options), OpenError::NotADatabase { .. }));
    }
    assert_eq!(fs::read(&garbage).unwrap(), vec![0x5a; 10_000], "it was not touched");

    let path = folder.file("whole.db");
    let mut whole = replica(&path);
    for id in 0..200 {
        edit(&mut whole, "full", id, |document| document.set("lww", "x".repeat(200)));
    }
    drop(whole);
    let bytes = fs::read(&path).unwrap();
    let cut = folder.file("cut.db");
    for keep in [2, 99, 4096, 5000, 8192, bytes.len() / 2, bytes.len() - 4096, bytes.len() - 100] {
        fs::write(&cut, &bytes[..keep]).unwrap();
        // Errors anywhere, but no panic, and no quiet loss: something has to say that it is not sound.
        let report = match SqliteStore::open(&cut, &options()) {
            Err(OpenError::Store(StoreError::Corrupt { .. }) | OpenError::NotADatabase { .. }) => continue,
            Err(other) => panic!("{keep}: {other}"),
            Ok(mut opened) => opened.store.check(),
        };
        assert!(!report.is_ok_and(|report| report.is_sound()), "{keep}");
        let _ = fs::remove_file(folder.file("cut.db-wal"));
        let _ = fs::remove_file(folder.file("cut.db-shm"));
    }
    // SQLite takes a file of at most one byte for a new one.
    fs::write(&cut, b"").unwrap();
    assert_eq!(open(&cut).identity, Identity::Created);
}

/// The files that `tests/released` holds, one per format: written by that release, never changed since. To be run by
/// hand after a change of format: `REJOIN_WRITE_FIXTURE=1 cargo test -p sqlite-adapter fixture`.
#[test]
fn a_fixture_of_every_released_format_opens() {
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/released");
    if std::env::var_os("REJOIN_WRITE_FIXTURE").is_some() {
        fs::create_dir_all(&released).unwrap();
        let path = released.join(format!("format-{VERSION}.sqlite"));
        let _ = fs::remove_file(&path);
        fixture(&path);
    }
    let folder = Folder::new();
    for version in 1..=VERSION {
        let path = folder.file(&format!("format-{version}.sqlite"));
        fs::copy(released.join(path.file_name().unwrap()), &path).unwrap();
        let found: (i32, u32) = {
            let file = plain(&path);
            let pragma = |name| file.pragma_query_value(None, name, |row| row.get(0)).unwrap();
            (pragma("application_id"), pragma("user_version").cast_unsigned())
        };
        assert_eq!(found, (APPLICATION_ID, version));
        let opened = open(&path);
        assert!(matches!(opened.identity, Identity::Renewed { .. }));
        let mut replica = common::declared(Replica::new(opened.store));
        assert!(replica.store_mut().check().unwrap().is_sound());
        let memory = MemoryStore::new(Head::new(namespace(), ReplicaId::from_u64(1), Life(1)));
        let mut expected = common::declared(Replica::new(memory));
        contents(&mut expected);
        assert_eq!(replica.canonical_bytes().unwrap(), expected.canonical_bytes().unwrap());
        check_data(&path, &mut replica);
    }
}

/// What the fixtures hold: every kind of cell, live and gone.
fn contents<S: crdt_core::Store>(replica: &mut Replica<S>) {
    edit(replica, "full", 1, |document| {
        document.set("lww", 0.1)?;
        document.set("detect", vec![1u8, 2])?;
        document.set("manual", Value::Timestamp(5))?;
        document.set("custom", "ä\0\"")?;
        document.increment("counter", -5)?;
        document.add_to("set", "a")?;
        document.add_to("set", "b")?;
        document.enable("flag")?;
        document.map("map")?.map("deeper")?.add_to("tags", f64::NAN)
    });
    edit(replica, "full", 1, |document| {
        document.reset("counter")?;
        document.remove_from("set", "a")?;
        document.disable("flag")?;
        document.set("detect", "second")
    });
    edit(replica, "fragile", 2, |document| document.set("lww", "deleted"));
    edit(replica, "fragile", 2, |document| {
        document.delete();
        Ok(())
    });
    edit(replica, "plain", 3, |document| document.set("any", "thing"));
    edit(replica, "plain", 3, |document| {
        document.erase()?;
        document.set("other", 1)
    });
}

/// Written under a fixed id, so that what is in it can be compared.
fn fixture(path: &Path) {
    let mut replica = replica(path);
    replica.renew_identity(ReplicaId::from_u64(1), Life(1)).unwrap();
    contents(&mut replica);
    replica.offer().unwrap();
    drop(replica);
    plain(path).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}
