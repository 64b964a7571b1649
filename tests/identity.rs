//! Files that were copied, restored and rolled back, and how status tells of it: through the front door.
#![allow(missing_docs)]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rejoin::protocol::drive::{Endpoint as _, pump};
use rejoin::{
    Collection, Database, DocumentId, FieldType, For, Identity, PeerState, Roots, SessionEnd, SyncOptions,
    SyncReport,
};

fn open(path: &Path) -> Database {
    let db = Database::open(path).unwrap();
    db.declare(Collection::new("tasks").field("votes", FieldType::Counter).field("notes", FieldType::Detect))
        .unwrap();
    db
}

/// The first connects to the second.
fn sync(a: &Database, b: &Database) -> (SyncReport, SyncReport) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, serving) = (listener.local_addr().unwrap(), b.clone());
    let served = std::thread::spawn(move || serving.serve(&mut listener.accept().unwrap().0).unwrap());
    let synced = a.sync(&mut TcpStream::connect(address).unwrap()).unwrap();
    (synced, served.join().unwrap())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn vote(db: &Database, step: i64) {
    db.commit(|tx| Ok(tx.open("tasks", DocumentId::from_u64(1))?.increment("votes", step)?)).unwrap();
}

fn votes(db: &Database) -> i128 {
    db.get("tasks", DocumentId::from_u64(1)).unwrap().unwrap().counter("votes")
}

fn note(db: &Database, note: &str) {
    db.commit(|tx| Ok(tx.open("tasks", DocumentId::from_u64(2))?.set("notes", note)?)).unwrap();
}

fn notes(db: &Database) -> Vec<String> {
    let view = db.get("tasks", DocumentId::from_u64(2)).unwrap().unwrap();
    let conflicts = view.conflicts("notes");
    conflicts.iter().map(|sibling| sibling.value.value().unwrap().as_str().unwrap().to_owned()).collect()
}

/// The bytes of a database that nobody has open.
fn image(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Puts bytes in the place of a file's, as restoring a disk image does: the file stays the one that it was.
fn put_back(path: &Path, image: &[u8]) {
    for rest in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(rest);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
    std::fs::write(path, image).unwrap();
}

/// A file that has met a hub, its image, and the hub, which has got one more change since.
fn set_back(folder: &Path) -> (PathBuf, Database) {
    let path = folder.join("a.db");
    let hub = open(&folder.join("hub.db"));
    let a = open(&path);
    vote(&a, 1);
    note(&a, "before");
    sync(&a, &hub);
    drop(a);
    let before = image(&path);
    let a = open(&path);
    vote(&a, 10);
    note(&a, "lost");
    sync(&a, &hub);
    drop(a);
    put_back(&path, &before);
    (path, hub)
}

#[test]
fn a_file_that_is_rolled_back_in_place_heals_in_the_next_sync() {
    for speaks_first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (path, hub) = set_back(folder.path());
        let a = open(&path);
        assert_eq!(a.identity(), Identity::Same, "nothing tells at the opening");
        let was = a.replica_id().unwrap();
        vote(&a, 100);
        note(&a, "since");
        let report = if speaks_first { sync(&a, &hub).0 } else { sync(&hub, &a).1 };
        assert!(report.identity_renewed && report.in_sync, "{report:?}");
        assert_ne!(a.replica_id().unwrap(), was);
        assert_eq!((votes(&a), votes(&hub)), (111, 111));
        assert_eq!(notes(&a), ["lost", "since"]);
        let status = a.status().unwrap();
        assert_eq!((status.renewals.len(), status.renewals[0].was, status.renewals[0].reissued), (1, was, 2));
        assert!(!status.may_be_miscounted() && status.pending == 0);
        assert!(a.check().unwrap().is_sound() && hub.check().unwrap().is_sound());
        // It stays so, also when it is opened again.
        drop(a);
        let a = open(&path);
        vote(&a, 1_000);
        assert!(!sync(&a, &hub).0.identity_renewed);
        assert_eq!(votes(&hub), 1_111);
    }
}

#[test]
fn a_file_that_lost_only_what_it_had_received_heals_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (hub, other) = (open(&folder.path().join("hub.db")), open(&folder.path().join("other.db")));
    let a = open(&path);
    note(&a, "before");
    sync(&a, &hub);
    drop(a);
    let before = image(&path);
    let a = open(&path);
    vote(&other, 5);
    sync(&other, &a);
    sync(&a, &hub);
    drop(a);
    put_back(&path, &before);
    let a = open(&path);
    vote(&a, 1);
    assert!(sync(&a, &hub).0.identity_renewed, "its change order goes on otherwise than the hub knows");
    assert_eq!((votes(&a), votes(&hub)), (6, 6));
}

#[test]
fn a_bundle_tells_a_file_that_it_was_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    for anyone in [true, false] {
        let sub = folder.path().join(format!("{anyone}"));
        std::fs::create_dir(&sub).unwrap();
        let (path, hub) = set_back(&sub);
        let a = open(&path);
        vote(&a, 100);
        note(&a, "since");
        let audience = if anyone { For::Anyone } else { For::Holder(a.seen().unwrap()) };
        hub.export_changes(sub.join("file"), &audience).unwrap();
        let imported = a.import_changes(sub.join("file")).unwrap();
        assert!(imported.renewed.is_some(), "{imported:?}");
        // What it was said to have seen, were changes of the other branch; it is told that they are missing.
        assert_eq!(imported.missing.is_some(), !anyone, "{imported:?}");
        hub.export_changes(sub.join("all"), &For::Anyone).unwrap();
        assert_eq!(a.import_changes(sub.join("all")).unwrap().renewed, None);
        assert_eq!(votes(&a), 111);
        assert_eq!(notes(&a), ["lost", "since"]);
        a.export_changes(sub.join("back"), &For::Anyone).unwrap();
        assert!(hub.import_changes(sub.join("back")).unwrap().in_sync);
        assert_eq!(a.root().unwrap(), hub.root().unwrap());
    }
}

/// What it had exported before it was set back comes to the hub after that.
#[test]
fn a_bundle_that_was_under_way_while_its_writer_was_set_back_is_part_of_the_other_branch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let hub = open(&folder.path().join("hub.db"));
    let a = open(&path);
    vote(&a, 1);
    sync(&a, &hub);
    drop(a);
    let before = image(&path);
    let a = open(&path);
    vote(&a, 10);
    a.export_changes(folder.path().join("file"), &For::Peer(hub.replica_id().unwrap())).unwrap();
    drop(a);
    put_back(&path, &before);
    let a = open(&path);
    vote(&a, 100);
    assert_eq!(hub.import_changes(folder.path().join("file")).unwrap().missing, None);
    assert!(sync(&a, &hub).0.identity_renewed);
    assert_eq!((votes(&a), votes(&hub)), (111, 111));
    // And its own bundle brings nothing new.
    assert_eq!(a.import_changes(folder.path().join("file")).unwrap().renewed, None);
    assert_eq!(votes(&a), 111);
}

/// Two machines from one image see nothing at the opening: their files are at the same place.
#[test]
fn two_devices_from_one_image_part_in_their_first_sync() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.db"), folder.path().join("other.db"));
    let first = open(&one);
    vote(&first, 1);
    drop(first);
    // As on machines that do not tell where a file is.
    let connection = rusqlite::Connection::open(&one).unwrap();
    connection
        .execute("UPDATE rejoin_head SET machine = NULL, device = NULL, inode = NULL, born = NULL", [])
        .unwrap();
    drop(connection);
    std::fs::copy(&one, &other).unwrap();
    let (one, other) = (open(&one), open(&other));
    assert_eq!((one.identity(), other.identity()), (Identity::Same, Identity::Same));
    assert_eq!(one.replica_id().unwrap(), other.replica_id().unwrap());
    vote(&one, 10);
    vote(&other, 100);
    let (at_one, at_other) = sync(&one, &other);
    assert!(at_one.identity_renewed || at_other.identity_renewed);
    assert!(at_one.in_sync && at_other.in_sync);
    assert_ne!(one.replica_id().unwrap(), other.replica_id().unwrap());
    assert_eq!((votes(&one), votes(&other)), (111, 111));
}

#[test]
fn status_walks_along_from_offline_to_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (a, hub) = (open(&folder.path().join("a.db")), open(&folder.path().join("hub.db")));
    assert_eq!((a.status().unwrap().pending, a.status().unwrap().peers.len()), (0, 0));
    // Offline.
    vote(&a, 1);
    note(&a, "one");
    let status = a.status().unwrap();
    assert_eq!((status.pending, status.peers.len()), (2, 0));
    assert_eq!(status.replica, a.replica_id().unwrap());
    // Synced.
    sync(&a, &hub);
    let status = a.status().unwrap();
    let peer = &status.peers[0];
    assert_eq!((status.pending, peer.replica), (0, hub.replica_id().unwrap()));
    assert_eq!((peer.state.clone(), peer.last_end.clone()), (PeerState::Idle, SessionEnd::Closed));
    assert_eq!((peer.missing_there, peer.behind_ms, peer.missing_here), (0, None, 0));
    assert!(peer.durable && peer.roots == Roots::Equal && peer.acknowledged == 2);
    assert!(peer.acknowledged_ms.is_some() && peer.met_ms <= peer.parted_ms && peer.met_ms.is_some());
    assert!(peer.clock_offset_ms.is_some_and(|offset_ms| offset_ms.abs() < 10_000), "{peer:?}");
    // What came from the hub itself, it has.
    let at_hub = &hub.status().unwrap().peers[0];
    assert_eq!((at_hub.missing_there, hub.status().unwrap().pending), (0, 0));
    // Offline again: behind since the first change that it lacks.
    std::thread::sleep(std::time::Duration::from_millis(20));
    vote(&a, 1);
    vote(&a, 1);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let status = a.status().unwrap();
    let peer = &status.peers[0];
    assert_eq!((status.pending, peer.missing_there, peer.acknowledged), (2, 2, 2));
    assert!(peer.behind_ms.is_some_and(|behind_ms| (20..60_000).contains(&behind_ms)), "{peer:?}");
    // Remembered by the file, not by the process.
    drop(a);
    let a = open(&folder.path().join("a.db"));
    assert_eq!(a.status().unwrap().peers[0].missing_there, 2);
    sync(&a, &hub);
    let status = a.status().unwrap();
    assert_eq!((status.pending, status.peers.len(), status.peers[0].missing_there), (0, 1, 0));
    // Another that has it all forgets it; the hub still counts.
    assert!(status.renewals.is_empty() && !status.may_be_miscounted());
}

/// A session that was lost without a word is still open to the process that had it. Meanwhile another process over the same
/// file, or this one, is brought a bundle, of a later run: what that tells of runs goes with the cursor that it moves.
#[test]
fn what_came_on_a_stick_beside_a_lost_session_is_not_taken_for_the_work_of_a_copy() {
    for in_another_process in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let hub = open(&folder.path().join("hub.db"));
        let a = open(&path);
        vote(&a, 1);
        let options = SyncOptions::new();
        let (mut at_a, mut at_hub) = (a.session(&options).unwrap(), hub.session(&options).unwrap());
        a.endpoint()
            .with(|a| hub.endpoint().with(|hub| pump(&mut at_a, a, &mut at_hub, hub, now_ms())))
            .unwrap();
        drop((a, at_a));
        let a = open(&path);
        vote(&a, 10);
        let mut stick = Vec::new();
        a.export_changes_to(&mut stick, &For::Anyone).unwrap();
        let importing = if in_another_process { open(&folder.path().join("hub.db")) } else { hub.clone() };
        assert_eq!(importing.import_changes_from(&stick[..]).unwrap().missing, None);
        // The driver gives up on the lost session.
        hub.endpoint().with(|replica| at_hub.finish(replica, now_ms()));
        let (at_a, at_hub) = sync(&a, &hub);
        let renewed = (at_a.identity_renewed, at_hub.identity_renewed);
        assert_eq!(renewed, (false, false), "in another process: {in_another_process}");
        assert_eq!((votes(&a), votes(&hub)), (11, 11));
    }
}
