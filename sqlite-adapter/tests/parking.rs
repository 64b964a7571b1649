//! What is parked, in a file: the JSON that SQL shows is that of the view, whoever writes it, and processes agree.

mod common;

use common::{Folder, START_MS, check_data, commit, declared, plain, replica};
use crdt_core::{
    Collection, DocumentId, Durability, FieldType, Head, Life, MemoryStore, ReceiveBound, Replica, ReplicaId,
    Store, Value,
};
use sqlite_adapter::SqliteStore;

const DAY_MS: u64 = 86_400_000;

/// A device in memory whose clock is a day fast.
fn fast() -> Replica<MemoryStore> {
    let head = Head::new(common::namespace(), ReplicaId::from_u64(7), Life(7));
    declared(Replica::new(MemoryStore::new(head)))
}

fn keeping_time(path: &std::path::Path) -> Replica<SqliteStore> {
    let mut here = replica(path);
    here.keep_time(ReceiveBound::default());
    here.tick(START_MS).unwrap();
    here
}

fn set<S: Store>(replica: &mut Replica<S>, now_ms: u64, value: &str) {
    commit(replica, now_ms, Durability::Visible, "full", 1, |document| document.set("lww", value)).unwrap();
}

fn pull<S: Store, T: Store>(to: &mut Replica<S>, from: &mut Replica<T>) {
    let known = to.peer(from.head().unwrap().life).unwrap().map_or(0, |peer| peer.cursor);
    to.apply(common::checkpoint(from, known)).unwrap();
}

fn shown<S: Store>(replica: &mut Replica<S>) -> Option<String> {
    let view = replica.read("full", DocumentId::from_u64(1)).unwrap();
    view.get("lww").unwrap().and_then(|value| value.as_str().map(str::to_owned))
}

fn data(path: &std::path::Path) -> Option<String> {
    plain(path).query_row("SELECT data ->> 'lww' FROM rejoin_document", [], |row| row.get(0)).unwrap()
}

/// A file in which a value from tomorrow is parked over one from today.
fn parked_in(path: &std::path::Path) -> Replica<SqliteStore> {
    let (mut here, mut fast) = (keeping_time(path), fast());
    set(&mut here, START_MS, "from today");
    here.offer().unwrap();
    pull(&mut fast, &mut here);
    set(&mut fast, START_MS + DAY_MS, "from tomorrow");
    pull(&mut here, &mut fast);
    here
}

#[test]
fn sql_shows_the_held_value_also_when_the_declaration_changes() {
    let folder = Folder::new();
    let path = folder.file("held.db");
    let mut here = parked_in(&path);
    assert_eq!(data(&path).as_deref(), Some("from today"));
    check_data(&path, &mut here);
    // Everything is written anew.
    let other = Collection::new("full").field("lww", FieldType::Detect);
    here.store_mut().show(&other).unwrap();
    here.declare(other);
    assert_eq!(data(&path).as_deref(), Some("from today"));
    assert_eq!(here.store_mut().check().unwrap().problems, []);
    // What the state holds is there all the same, and comes out when its time has come; also after a restart.
    drop(here);
    let mut here = replica(&path);
    assert_eq!(shown(&mut here).as_deref(), Some("from today"));
    here.keep_time(ReceiveBound::default());
    here.tick(START_MS + DAY_MS).unwrap();
    assert_eq!(shown(&mut here).as_deref(), Some("from tomorrow"));
    assert_eq!(data(&path).as_deref(), Some("from tomorrow"));
    assert_eq!(notes(&path), 0, "nothing is left of it");
}

fn notes(path: &std::path::Path) -> u32 {
    let sql = "SELECT count(*) FROM rejoin_note WHERE substr(key, 1, 5) = CAST('held' || char(0) AS BLOB) \
               OR substr(key, 1, 7) = CAST('parked' || char(0) AS BLOB)";
    plain(path).query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn one_process_parks_and_the_other_knows_at_once() {
    let folder = Folder::new();
    let path = folder.file("two.db");
    let (mut one, mut fast) = (keeping_time(&path), fast());
    set(&mut one, START_MS, "from today");
    let mut two = keeping_time(&path);
    assert_eq!(shown(&mut two).as_deref(), Some("from today"));
    one.offer().unwrap();
    pull(&mut fast, &mut one);
    set(&mut fast, START_MS + DAY_MS, "from tomorrow");
    pull(&mut one, &mut fast);
    assert!(notes(&path) >= 3);
    assert_eq!(shown(&mut two).as_deref(), Some("from today"));
    let listed = two.list("full", None, 9).unwrap();
    assert_eq!(listed[0].1.get("lww").unwrap().as_deref(), Some(&Value::from("from today")));
    // The other one writes over it: that wins, and the first one knows.
    set(&mut two, START_MS + 1, "from a minute later");
    assert_eq!(shown(&mut one).as_deref(), Some("from a minute later"));
    one.offer().unwrap();
    pull(&mut fast, &mut one);
    assert_eq!(shown(&mut fast).as_deref(), Some("from a minute later"));
    // And it is the other one whose clock says first that the time has come.
    set(&mut fast, START_MS + 2 * DAY_MS, "from the day after");
    pull(&mut one, &mut fast);
    two.tick(START_MS + 2 * DAY_MS).unwrap();
    assert_eq!(shown(&mut one).as_deref(), Some("from the day after"));
    assert_eq!(one.parked_count().unwrap(), 0);
}

#[test]
fn a_transaction_that_is_rolled_back_parks_nothing() {
    let folder = Folder::new();
    let path = folder.file("rollback.db");
    let (mut here, mut fast) = (keeping_time(&path), fast());
    set(&mut here, START_MS, "from today");
    here.offer().unwrap();
    set(&mut fast, START_MS + DAY_MS, "from tomorrow");
    let checkpoint = common::checkpoint(&mut fast, 0);
    let mut parts = vec![crdt_core::RunPart::Batch(checkpoint.documents)];
    let failed = here.apply_run(&crdt_core::Trail::default(), 0, || {
        let lost = crdt_core::StoreError::Full;
        parts.pop().ok_or(crdt_core::ApplyError::Store(lost))
    });
    assert!(failed.is_err());
    assert_eq!((notes(&path), here.parked_count().unwrap()), (0, 0));
    assert_eq!(shown(&mut here).as_deref(), Some("from today"));
}
