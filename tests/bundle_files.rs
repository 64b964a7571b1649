//! Bundles as files, between databases.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rejoin::protocol::bundle::{ExportError, ImportError};
use rejoin::{Database, Error, For, OpenOptions};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.contains(".db"))
        .collect();
    names.sort();
    names
}

fn add(db: &Database, titles: &[&str]) {
    db.commit(|tx| {
        for title in titles {
            tx.create("tasks")?.set("title", *title)?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_file_carries_everything_once_it_is_whole_and_twice_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (a, b) = (Database::open(at("a.db")).unwrap(), Database::open(at("b.db")).unwrap());
    add(&a, &["one", "two"]);
    let told = Arc::new(AtomicUsize::new(0));
    let counter = told.clone();
    let _watch = b.watch(move |change| {
        counter.fetch_add(change.documents.len(), Ordering::Relaxed);
    });
    fs::write(at("changes"), "an older file of that name").unwrap();
    let exported = a.export_changes(at("changes"), &For::Anyone).unwrap();
    assert_eq!((exported.documents, exported.bytes), (2, fs::metadata(at("changes")).unwrap().len()));
    assert_eq!(names(folder.path()), ["changes"]);

    let imported = b.import_changes(at("changes")).unwrap();
    assert_eq!((imported.missing, imported.in_sync, imported.replica), (None, true, a.replica_id().unwrap()));
    assert_eq!(told.load(Ordering::Relaxed), 2);
    assert_eq!(b.import_changes(at("changes")).unwrap().cells, 0);
    assert_eq!((a.root().unwrap(), a.seen().unwrap()), (b.root().unwrap(), b.seen().unwrap()));
    assert!(b.check().unwrap().is_sound());

    // What came back tells a how far b is; the next one for b has only the rest.
    a.import_changes_from(&*bundle(&b, &For::Peer(a.replica_id().unwrap()))).unwrap();
    add(&a, &["three"]);
    let next = bundle(&a, &For::Peer(b.replica_id().unwrap()));
    let exact = bundle(&a, &For::Holder(b.seen().unwrap()));
    let whole = bundle(&a, &For::Anyone);
    assert!(next.len() < whole.len() && exact.len() < whole.len());
    assert_eq!(b.import_changes_from(&*next).unwrap().missing, None);
    assert_eq!(b.import_changes_from(&*exact).unwrap().cells, 0);
    assert_eq!(a.root().unwrap(), b.root().unwrap());
}

fn bundle(db: &Database, audience: &For) -> Vec<u8> {
    let mut bytes = Vec::new();
    db.export_changes_to(&mut bytes, audience).unwrap();
    bytes
}

#[test]
fn what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let a = Database::open(at("a.db")).unwrap();
    add(&a, &["one"]);
    let ended = a.export_changes(at("no such folder/changes"), &For::Anyone);
    assert!(matches!(ended, Err(Error::Export(ExportError::Io(_)))), "{ended:?}");
    // A folder of that name cannot be replaced, which shows at the very end.
    fs::create_dir(at("changes")).unwrap();
    fs::write(at("changes/keep"), "").unwrap();
    let ended = a.export_changes(at("changes"), &For::Anyone);
    assert!(matches!(ended, Err(Error::Export(ExportError::Io(_)))), "{ended:?}");
    assert_eq!(names(folder.path()), ["changes"]);
    assert!(matches!(a.import_changes(at("none")), Err(Error::Import(ImportError::Io(_)))));
}

#[test]
fn a_damaged_file_changes_nothing_and_a_read_only_database_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (a, b) = (Database::open(at("a.db")).unwrap(), Database::open(at("b.db")).unwrap());
    let title = "a title of some length, so that there are several frames".repeat(20);
    (0..200).for_each(|_| add(&a, &[&title]));
    let whole = bundle(&a, &For::Anyone);
    let before = (b.root().unwrap(), b.seen().unwrap());
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        assert!(matches!(b.import_changes_from(&whole[..at]), Err(Error::Import(ImportError::Truncated))));
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(matches!(b.import_changes_from(&*damaged), Err(Error::Import(_))), "byte {at}");
        assert_eq!((b.root().unwrap(), b.seen().unwrap()), before);
    }
    assert!(b.check().unwrap().is_sound());
    b.import_changes_from(&*whole).unwrap();
    assert_eq!(b.root().unwrap(), a.root().unwrap());

    let reader = OpenOptions::new().read_only().open(at("b.db")).unwrap();
    assert!(matches!(reader.import_changes_from(&*whole), Err(Error::Import(ImportError::Store(_)))));
    // What is durable may leave it.
    assert!(bundle(&reader, &For::Anyone).len() > whole.len() / 2);
}

#[test]
fn imports_beside_a_sync_with_the_same_device() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (a, b) = (Database::open(at("a.db")).unwrap(), Database::open(at("b.db")).unwrap());
    let title = "long enough for several chunks and frames ".repeat(20);
    (0..10).for_each(|_| add(&a, &vec![title.as_str(); 100]));
    let first = bundle(&a, &For::Anyone);
    add(&a, &["later"]);
    let second = bundle(&a, &For::Anyone);
    let importing = {
        let b = b.clone();
        std::thread::spawn(move || {
            for file in [&second, &first, &second, &first] {
                assert_eq!(b.import_changes_from(&**file).unwrap().missing, None);
            }
        })
    };
    for _ in 0..5 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = {
            let a = a.clone();
            std::thread::spawn(move || a.serve(&mut listener.accept().unwrap().0).map(drop))
        };
        b.sync(&mut std::net::TcpStream::connect(address).unwrap()).unwrap();
        serving.join().unwrap().unwrap();
        add(&a, &["meanwhile, on a"]);
        add(&b, &["meanwhile, on b"]);
    }
    importing.join().unwrap();
    b.import_changes_from(&*bundle(&a, &For::Peer(b.replica_id().unwrap()))).unwrap();
    a.import_changes_from(&*bundle(&b, &For::Peer(a.replica_id().unwrap()))).unwrap();
    assert_eq!(a.root().unwrap(), b.root().unwrap());
    assert!(b.check().unwrap().is_sound());
}
