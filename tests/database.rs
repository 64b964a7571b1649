//! A database through its front door.
#![allow(missing_docs)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rejoin::core::StoreError;
use rejoin::protocol::{Config, Session};
use rejoin::{
    ChangeKind, Collection, Database, DocumentId, Error, FieldType, Identity, OpenOptions, Origin,
    SyncReport, Value,
};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &Path) -> Database {
    let db = Database::open(path).unwrap();
    db.declare(Collection::new("tasks").field("title", FieldType::Detect).field("votes", FieldType::Counter))
        .unwrap();
    db
}

fn set(db: &Database, id: u64, field: &str, value: &str) {
    db.commit(|tx| Ok(tx.open("tasks", DocumentId::from_u64(id))?.set(field, value)?)).unwrap();
}

fn sync(a: &Database, b: &Database) -> SyncReport {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, b) = (listener.local_addr().unwrap(), b.clone());
    let server = std::thread::spawn(move || b.serve(&mut listener.accept().unwrap().0));
    let report = a.sync(&mut TcpStream::connect(address).unwrap()).unwrap();
    assert!(server.join().unwrap().unwrap().in_sync);
    assert!(report.in_sync);
    report
}

#[test]
fn a_document_is_there_after_reopening_and_in_plain_sql() {
    let folder = folder();
    let path = folder.path().join("tasks.db");
    let db = open(&path);
    let id = db
        .commit(|tx| {
            let mut task = tx.create("tasks")?;
            task.set("title", "Buy milk")?;
            task.increment("votes", 3)?;
            task.add_to("tags", "home")?;
            Ok(task.id())
        })
        .unwrap();
    drop(db);
    let db = open(&path);
    assert_eq!(db.identity(), Identity::Same);
    let task = db.get("tasks", id).unwrap().unwrap();
    assert_eq!(task.get("title").unwrap().unwrap().as_str(), Some("Buy milk"));
    assert_eq!(task.counter("votes"), 3);

    let plain = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT data ->> 'title', data ->> 'votes', data ->> '$.tags[0]' FROM tasks";
    let row = plain.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    assert_eq!(row.unwrap(), ("Buy milk".to_owned(), 3, "home".to_owned()));
}

#[test]
fn the_query_in_the_readme_runs() {
    let readme = include_str!("../README.md");
    let sql = readme.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a query");
    let folder = folder();
    let path = folder.path().join("tasks.db");
    let db = open(&path);
    set(&db, 1, "title", "no votes");
    set(&db, 2, "title", "voted for");
    db.commit(|tx| Ok(tx.open("tasks", DocumentId::from_u64(2))?.increment("votes", 1)?)).unwrap();
    let plain = rusqlite::Connection::open(&path).unwrap();
    let titles: Result<Vec<String>, _> =
        plain.prepare(sql).unwrap().query_map([], |row| row.get(1)).unwrap().collect();
    assert_eq!(titles.unwrap(), ["voted for"]);
}

#[test]
fn a_closure_that_fails_or_panics_leaves_no_trace() {
    let folder = folder();
    let db = open(&folder.path().join("tasks.db"));
    set(&db, 1, "title", "before");
    let root = db.root().unwrap();
    let failed = db.commit(|tx| {
        tx.open("tasks", DocumentId::from_u64(1))?.set("title", "never")?;
        Err::<(), _>(Error::app("changed my mind"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "changed my mind");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        db.commit(|tx| {
            tx.open("tasks", DocumentId::from_u64(1))?.set("title", "never")?;
            assert!(!tx.open("tasks", DocumentId::from_u64(1))?.view().exists(), "a bug in the app");
            Ok(())
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(db.root().unwrap(), root);
    set(&db, 1, "title", "after");
    assert!(db.check().unwrap().is_sound());
}

#[test]
fn two_devices_agree_and_tell_what_changed() {
    let folder = folder();
    let (a, b) = (open(&folder.path().join("a.db")), open(&folder.path().join("b.db")));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    let watch = b.watch(move |event| ear.lock().unwrap().push(event.clone()));
    set(&a, 1, "title", "from a");
    sync(&a, &b);
    set(&b, 1, "title", "b's");
    set(&a, 1, "title", "a's");
    sync(&a, &b);
    drop(watch);
    set(&b, 2, "title", "nobody listens");

    let heard = heard.lock().unwrap();
    let [first, local, merged] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(first.origin, Origin::Peer(a.replica_id().unwrap()));
    assert_eq!(first.documents[0].kind, ChangeKind::Appeared);
    assert!(matches!(local.origin, Origin::Local(_)));
    assert!(merged.documents[0].fields[0].conflicted, "{merged:?}");
    let task = a.get("tasks", DocumentId::from_u64(1)).unwrap().unwrap();
    assert_eq!(task.conflicts("title").len(), 2);
}

#[test]
fn a_watcher_may_use_the_database_and_stop() {
    let folder = folder();
    let db = open(&folder.path().join("tasks.db"));
    let inner = db.clone();
    let _watch = db.watch(move |event| {
        if let Origin::Local(dot) = event.origin
            && dot.counter < 5
        {
            set(&inner, 1, "title", &format!("answer to {}", dot.counter));
        }
    });
    set(&db, 1, "title", "question");
    let task = db.get("tasks", DocumentId::from_u64(1)).unwrap().unwrap();
    assert_eq!(task.get("title").unwrap().unwrap().as_str(), Some("answer to 4"));
}

#[test]
fn a_copied_file_gets_an_identity_of_its_own_and_loses_nothing() {
    let folder = folder();
    let (path, copy) = (folder.path().join("a.db"), folder.path().join("copy.db"));
    let a = open(&path);
    set(&a, 1, "title", "before the copy");
    a.commit(|tx| Ok(tx.open("tasks", DocumentId::from_u64(1))?.increment("votes", 5)?)).unwrap();
    drop(a);
    std::fs::copy(&path, &copy).unwrap();
    let (a, b) = (open(&path), open(&copy));
    assert_eq!(a.identity(), Identity::Same);
    assert!(matches!(b.identity(), Identity::Renewed { .. }), "{:?}", b.identity());
    assert_ne!(a.replica_id().unwrap(), b.replica_id().unwrap());
    for (db, field) in [(&a, "at a"), (&b, "at b")] {
        db.commit(|tx| {
            let mut task = tx.open("tasks", DocumentId::from_u64(1))?;
            task.set(field, "written after the copy")?;
            Ok(task.increment("votes", 1)?)
        })
        .unwrap();
    }
    sync(&a, &b);
    assert_eq!(a.root().unwrap(), b.root().unwrap());
    let task = a.get("tasks", DocumentId::from_u64(1)).unwrap().unwrap();
    assert_eq!(task.counter("votes"), 7);
    assert!(task.get("at a").unwrap().is_some() && task.get("at b").unwrap().is_some());
}

#[test]
fn a_backup_is_a_database() {
    let folder = folder();
    let a = open(&folder.path().join("a.db"));
    set(&a, 1, "title", "kept");
    a.backup(folder.path().join("backup.db")).unwrap();
    set(&a, 1, "title", "later");
    let backup = open(&folder.path().join("backup.db"));
    assert!(matches!(backup.identity(), Identity::Renewed { .. }));
    sync(&a, &backup);
    let task = backup.get("tasks", DocumentId::from_u64(1)).unwrap().unwrap();
    assert_eq!(task.get("title").unwrap().unwrap().as_str(), Some("later"));
    assert!(matches!(a.backup(folder.path().join("backup.db")), Err(Error::Backup(_))));
}

/// Both processes die after any number of messages; what the files hold is whole, and the next sync finishes.
#[test]
fn a_crash_at_every_step_of_a_sync_loses_nothing() {
    for cut in 0..24 {
        let folder = folder();
        let paths = [folder.path().join("a.db"), folder.path().join("b.db")];
        {
            let (a, b) = (open(&paths[0]), open(&paths[1]));
            set(&a, 1, "title", "met");
            sync(&a, &b);
            for (db, from) in [(&a, 0), (&b, 15)] {
                db.commit(|tx| {
                    (from..from + 30).try_for_each(|id| {
                        let mut task = tx.open("tasks", DocumentId::from_u64(id))?;
                        task.set("text", "long ".repeat(2_000))?;
                        Ok(task.increment("votes", 1)?)
                    })
                })
                .unwrap();
            }
        }
        cut_sync(&paths[0], &paths[1], cut);
        let (a, b) = (open(&paths[0]), open(&paths[1]));
        for db in [&a, &b] {
            assert!(db.check().unwrap().is_sound());
            let shown = db.list("tasks").count();
            assert!([30, 31, 45].contains(&shown), "cut at {cut}: {shown} tasks");
        }
        sync(&a, &b);
        assert_eq!(a.root().unwrap(), b.root().unwrap());
        let votes: i128 = a.list("tasks").map(|task| task.unwrap().1.counter("votes")).sum();
        assert_eq!(votes, 60);
    }
}

/// Two sessions on the files, of which only the first messages arrive.
fn cut_sync(a: &Path, b: &Path, mut left: usize) {
    let replica = |path| {
        let namespace = rejoin::core::Namespace::from_secret("rejoin: no secret was chosen");
        let opened =
            rejoin::sqlite::SqliteStore::open(path, &rejoin::sqlite::OpenOptions::new(namespace)).unwrap();
        rejoin::core::Replica::new(opened.store)
    };
    let (mut a, mut b) = (replica(a), replica(b));
    let (mut at_a, mut at_b) = (Session::new(Config::new(1), 0), Session::new(Config::new(2), 0));
    loop {
        let messages = [at_a.transmit(&mut a, 0).unwrap(), at_b.transmit(&mut b, 0).unwrap()];
        if messages.iter().all(Option::is_none) {
            return;
        }
        for (at, message) in messages.into_iter().enumerate() {
            let Some(message) = message else { continue };
            if left == 0 {
                return;
            }
            left -= 1;
            let (session, replica) = if at == 0 { (&mut at_b, &mut b) } else { (&mut at_a, &mut a) };
            session.receive(replica, &message, 0).unwrap();
        }
    }
}

#[test]
fn a_line_that_breaks_is_an_error_and_the_next_sync_resumes() {
    /// Breaks after so many bytes.
    struct Breaking<S>(S, usize);

    impl<S: std::io::Read> std::io::Read for Breaking<S> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let room = buffer.len().min(self.1);
            if room == 0 {
                return Err(std::io::ErrorKind::ConnectionReset.into());
            }
            let read = self.0.read(&mut buffer[..room])?;
            self.1 -= read;
            Ok(read)
        }
    }

    impl<S: std::io::Write> std::io::Write for Breaking<S> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }

    let folder = folder();
    let (a, b) = (open(&folder.path().join("a.db")), open(&folder.path().join("b.db")));
    // Letters without order, which stay as many when they are packed.
    let mut random = 1u64;
    let mut letter = |_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'A' + u8::try_from((random >> 33) % 58).expect("less than 58"))
    };
    for id in 0..50 {
        set(&a, id, "text", &(0..3_500).map(&mut letter).collect::<String>());
    }
    for bytes in [0, 1, 50, 150, 1_000, 50_000, 100_000] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, server) = (listener.local_addr().unwrap(), a.clone());
        let serving = std::thread::spawn(move || server.serve(&mut listener.accept().unwrap().0));
        let broken = b.sync(&mut Breaking(TcpStream::connect(address).unwrap(), bytes));
        assert!(matches!(broken, Err(Error::Sync(_))), "after {bytes} bytes: {broken:?}");
        assert!(serving.join().unwrap().is_err());
        let whole = [0, 50].contains(&b.list("tasks").count());
        assert!(whole || b.loading().unwrap().is_some(), "what is not whole says that it is loading");
    }
    sync(&a, &b);
    assert_eq!(b.list("tasks").count(), 50);
}

#[test]
fn the_wrong_file_is_refused_with_a_word_on_what_to_do() {
    let folder = folder();
    let path = folder.path().join("tasks.db");
    drop(open(&path));
    let other = OpenOptions::new().secret("another team's").open(&path).unwrap_err();
    assert!(other.to_string().contains("another secret"), "{other}");
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, vec![7; 10_000]).unwrap();
    let refused = Database::open(&garbage).unwrap_err().to_string();
    assert!(refused.contains("garbage.db is no SQLite database"), "{refused}");
    for path in ["", ":memory:"] {
        assert!(matches!(Database::open(path), Err(Error::Open(rejoin::sqlite::OpenError::NoFile { .. }))));
    }
    let read_only = OpenOptions::new().read_only().open(&path).unwrap();
    read_only.declare(Collection::new("tasks")).unwrap();
    let refused = read_only.commit(|tx| Ok(tx.create("tasks")?.id())).unwrap_err();
    assert!(matches!(refused, Error::Store(StoreError::ReadOnly)), "{refused:?}");
}

#[test]
fn values_are_what_they_were() {
    let folder = folder();
    let (a, b) = (open(&folder.path().join("a.db")), open(&folder.path().join("b.db")));
    let values = [
        ("nan", Value::from(f64::NAN)),
        ("minus zero", Value::from(-0.0)),
        ("one", Value::from(1)),
        ("one point", Value::from(1.0)),
        ("least", Value::from(i64::MIN)),
        ("", Value::from("an empty key")),
        ("\u{e9}", Value::from("composed")),
        ("e\u{301}", Value::from("decomposed")),
        ("bytes", Value::from(vec![0u8, 255])),
        ("time", Value::Timestamp(-1)),
        ("null", Value::Null),
        ("nul \0 key", Value::from("nul \0 text")),
    ];
    a.commit(|tx| {
        let mut task = tx.open("tasks", DocumentId::from_u64(1))?;
        values.iter().try_for_each(|(name, value)| Ok(task.set(*name, value)?))
    })
    .unwrap();
    sync(&a, &b);
    let task = b.get("tasks", DocumentId::from_u64(1)).unwrap().unwrap();
    for (name, value) in &values {
        assert_eq!(task.get(name).unwrap().as_deref(), Some(value), "{name:?}");
    }
    let huge_name = "x".repeat(1_025);
    let refused =
        a.commit(|tx| Ok(tx.open("tasks", DocumentId::from_u64(1))?.set(&*huge_name, 1)?)).unwrap_err();
    assert!(refused.to_string().contains("1025"), "{refused}");
    assert_eq!(a.root().unwrap(), b.root().unwrap());
}

#[test]
fn a_database_that_is_used_within_its_own_commit_says_so() {
    let folder = folder();
    let db = open(&folder.path().join("tasks.db"));
    let within = db.clone();
    db.commit(|tx| {
        tx.create("tasks")?.set("title", "outer")?;
        let nested = within.commit(|_| Ok(()));
        assert!(matches!(nested, Err(Error::InUse)), "{nested:?}");
        assert!(matches!(within.get("tasks", DocumentId::from_u64(1)), Err(Error::InUse)));
        assert!(matches!(within.list("tasks").next(), Some(Err(Error::InUse))));
        let _watch = within.watch(|_| ());
        Ok(())
    })
    .unwrap();
    assert_eq!(db.list("tasks").count(), 1);
    // Another thread waits, and then has it.
    let other = db.clone();
    let (started, waits) = std::sync::mpsc::channel();
    let committed = db
        .commit(|tx| {
            let thread = std::thread::spawn(move || {
                started.send(()).unwrap();
                other.list("tasks").count()
            });
            waits.recv().unwrap();
            tx.create("tasks")?.set("title", "second")?;
            Ok(thread)
        })
        .unwrap();
    assert_eq!(committed.join().unwrap(), 2);
}

#[test]
fn plain_sql_shows_what_the_declaration_of_now_says() {
    let folder = folder();
    let paths = [folder.path().join("a.db"), folder.path().join("b.db")];
    let [a, b] = paths.each_ref().map(|path| Database::open(path).unwrap());
    let id = DocumentId::from_u64(1);
    for (db, price) in [(&a, 1), (&b, 2)] {
        db.declare(Collection::new("orders").field("price", FieldType::Detect)).unwrap();
        db.commit(|tx| Ok(tx.open("orders", id)?.set("price", price)?)).unwrap();
        // Within one millisecond the ids would decide which is the latest.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    sync(&a, &b);
    let shown = |path: &Path| -> String {
        let file = rusqlite::Connection::open(path).unwrap();
        file.query_row("SELECT data FROM orders", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(shown(&paths[0]), r#"{"price":2}"#);
    a.declare(Collection::new("orders").field("price", FieldType::Manual)).unwrap();
    assert_eq!(shown(&paths[0]), r#"{"price":{"$conflict":[1,2]}}"#);
    assert!(a.check().unwrap().is_sound());
    let lower = |version| {
        rejoin::Resolver::new("lower", version, move |siblings| {
            let values = siblings.iter().filter_map(|sibling| sibling.value.value()?.as_i64());
            values.min().map(|value| Value::from(value * i64::from(version)))
        })
    };
    for version in [1, 10] {
        let custom = FieldType::Custom(lower(version));
        a.declare(Collection::new("orders").field("price", custom)).unwrap();
        assert_eq!(shown(&paths[0]), format!(r#"{{"price":{version}}}"#));
        assert_eq!(
            a.get("orders", id).unwrap().unwrap().get("price").unwrap().unwrap().as_i64(),
            Some(version.into())
        );
    }
    // Written without any declaration, and declared the next time the file is opened.
    drop(a);
    let undeclared = Database::open(&paths[0]).unwrap();
    undeclared.commit(|tx| Ok(tx.open("orders", DocumentId::from_u64(1))?.set("note", "touched")?)).unwrap();
    assert_eq!(shown(&paths[0]), r#"{"note":"touched","price":2}"#);
    drop(undeclared);
    let again = Database::open(&paths[0]).unwrap();
    again.declare(Collection::new("orders").field("price", FieldType::Custom(lower(10)))).unwrap();
    assert_eq!(shown(&paths[0]), r#"{"note":"touched","price":10}"#);
    assert!(again.check().unwrap().is_sound());
}

#[test]
fn get_shows_a_field_of_any_type() {
    let folder = folder();
    let db = open(&folder.path().join("tasks.db"));
    let id = db
        .commit(|tx| {
            let mut task = tx.create("tasks")?;
            task.increment("votes", 2)?;
            task.add_to("tags", "home")?;
            Ok(task.id())
        })
        .unwrap();
    let task = db.get("tasks", id).unwrap().unwrap();
    let shown = |field| task.get(field).unwrap().map(std::borrow::Cow::into_owned);
    assert_eq!(shown("votes"), Some(Value::from(2)));
    assert_eq!(shown("tags"), Some(Value::from(vec![Value::from("home")])));
    assert_eq!(shown("nothing"), None);
}
