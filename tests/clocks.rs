//! A device whose clock was a day fast, seen through the front door.
#![allow(missing_docs)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use rejoin::core::{Namespace, Replica, TransactionError};
use rejoin::sqlite::SqliteStore;
use rejoin::{
    ClockVerdict, Collection, Database, DocumentId, Durability, FieldType, For, OpenOptions, ParkReason,
    Repair,
};

const DAY_MS: u64 = 86_400_000;

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn open(path: &Path) -> Database {
    let db = Database::open(path).unwrap();
    db.declare(Collection::new("tasks").field("title", FieldType::Lww)).unwrap();
    db
}

fn title(db: &Database) -> Option<String> {
    let task = db.get("tasks", DocumentId::from_u64(1)).unwrap()?;
    task.get("title").unwrap().and_then(|value| value.as_str().map(str::to_owned))
}

fn set(db: &Database, value: &str) {
    db.commit(|tx| Ok(tx.open("tasks", DocumentId::from_u64(1))?.set("title", value)?)).unwrap();
}

/// Writes to a file as a device does whose clock is a day fast.
fn write_tomorrow(path: &Path, value: &str) {
    let namespace = Namespace::from_secret("rejoin: no secret was chosen");
    let opened = SqliteStore::open(path, &rejoin::sqlite::OpenOptions::new(namespace)).unwrap();
    let mut replica = Replica::new(opened.store);
    let committed = replica.commit(now_ms() + DAY_MS, Durability::Durable, |tx| {
        tx.document("tasks", DocumentId::from_u64(1))?.set("title", value)?;
        Ok::<_, TransactionError>(())
    });
    committed.unwrap();
}

fn sync(a: &Database, b: &Database) -> ClockVerdict {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, b) = (listener.local_addr().unwrap(), b.clone());
    let server = std::thread::spawn(move || b.serve(&mut listener.accept().unwrap().0));
    let report = a.sync(&mut TcpStream::connect(address).unwrap()).unwrap();
    server.join().unwrap().unwrap();
    assert_eq!(a.root().unwrap(), report.in_sync.then(|| a.root().unwrap()).unwrap());
    report.clock
}

#[test]
fn what_a_fast_device_wrote_is_listed_and_decided_about_by_anyone() {
    let folder = tempfile::tempdir().unwrap();
    let [here, fast] = ["here.db", "fast.db"].map(|name| folder.path().join(name));
    for (round, decision) in [None, Some(Repair::KeepShown), Some(Repair::TakeOver)].into_iter().enumerate() {
        let [here, fast] = [&here, &fast].map(|path| path.with_extension(format!("{round}.db")));
        let db = open(&here);
        set(&db, "from today");
        write_tomorrow(&fast, "from tomorrow");
        let bundle = folder.path().join(format!("{round}.rejoin"));
        open(&fast).export_changes(&bundle, &For::Anyone).unwrap();
        let told = Arc::new(Mutex::new(0));
        let count = told.clone();
        let _watch = db.watch(move |_| *count.lock().unwrap() += 1);
        db.import_changes(&bundle).unwrap();
        assert_eq!(title(&db).as_deref(), Some("from today"));
        let parked = db.parked(None, 10).unwrap();
        let [one] = &parked[..] else { panic!("{parked:?}") };
        let ParkReason::FromTheFuture { until_ms } = one.reason else { panic!("{one:?}") };
        assert!(until_ms > now_ms() + DAY_MS / 2 && one.since_ms <= now_ms());
        assert_eq!(one.documents[0].id, DocumentId::from_u64(1));
        let view = db.get("tasks", DocumentId::from_u64(1)).unwrap().unwrap();
        assert!(view.withheld().iter().any(|withheld| withheld.path == ["title".into()]));
        // A restart makes no difference.
        drop(db);
        let db = open(&here);
        assert_eq!(title(&db).as_deref(), Some("from today"));
        let expected = match decision {
            None => {
                set(&db, "an edit wins");
                "an edit wins"
            }
            Some(decision) => {
                assert!(db.repair(&parked, decision).unwrap().value > 0);
                if decision == Repair::KeepShown { "from today" } else { "from tomorrow" }
            }
        };
        assert_eq!(title(&db).as_deref(), Some(expected));
        assert!(db.get("tasks", DocumentId::from_u64(1)).unwrap().unwrap().withheld().len() <= 1);
        // The other one gets it, whatever its clock said.
        let other = open(&fast);
        assert_eq!(sync(&other, &db), ClockVerdict::Agrees);
        assert_eq!((title(&other), title(&db)), (Some(expected.into()), Some(expected.into())));
        assert!(*told.lock().unwrap() > 0);
        assert!(db.check().unwrap().is_sound());
    }
}

#[test]
fn a_device_that_finds_its_clock_set_right_writes_again_what_it_wrote_before() {
    let folder = tempfile::tempdir().unwrap();
    let (here, fast) = (folder.path().join("here.db"), folder.path().join("fast.db"));
    write_tomorrow(&fast, "from tomorrow");
    let (here, fast) = (open(&here), open(&fast));
    assert_eq!(title(&fast).as_deref(), Some("from tomorrow"), "one's own is never parked");
    assert_eq!(sync(&here, &fast), ClockVerdict::Agrees);
    assert_eq!(title(&here).as_deref(), Some("from tomorrow"));
    assert!(here.parked(None, 1).unwrap().is_empty());
    set(&here, "and later edits win");
    sync(&fast, &here);
    assert_eq!(title(&fast).as_deref(), Some("and later edits win"));
    assert_eq!(fast.clock().unwrap().correction_ms, 0);
}

#[test]
fn the_bound_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (here, fast) = (folder.path().join("here.db"), folder.path().join("fast.db"));
    write_tomorrow(&fast, "from tomorrow");
    let bundle = folder.path().join("changes.rejoin");
    open(&fast).export_changes(&bundle, &For::Anyone).unwrap();
    let db = OpenOptions::new().receive_bound_ms(2 * DAY_MS).open(&here).unwrap();
    db.import_changes(&bundle).unwrap();
    assert_eq!(title(&db).as_deref(), Some("from tomorrow"));
}
