//! Databases that converse in an async program.
#![allow(missing_docs)]

use std::time::Duration;

use rejoin::protocol::drive::{Until, Wake, framed};
use rejoin::{Database, DocumentId, SyncOptions};
use tokio::net::{TcpListener, TcpStream};

fn add(db: &Database, title: &str) -> DocumentId {
    db.commit(|tx| {
        let mut task = tx.create("tasks")?;
        task.set("title", title)?;
        Ok(task.id())
    })
    .unwrap()
}

async fn until_equal(one: &Database, other: &Database) {
    while one.root().unwrap() != other.root().unwrap() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_sync_live_changes_and_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| Database::open(folder.path().join(name)).unwrap();
    let (phone, laptop, hub) = (open("phone.db"), open("laptop.db"), open("hub.db"));
    for n in 0..100 {
        add(&phone, &format!("task {n}"));
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Wake::new();
    let (served, bell) = (hub.clone(), stop.clone());
    let serving = tokio::spawn(async move {
        let mut all = Vec::new();
        for _ in 0..3 {
            let (stream, _) = listener.accept().await.unwrap();
            let (db, bell) = (served.clone(), bell.clone());
            all.push(tokio::spawn(async move {
                db.converse(&mut framed(stream), &SyncOptions::new(), Until::Closed, &bell).await
            }));
        }
        all
    });

    let stream = TcpStream::connect(address).await.unwrap();
    let report =
        phone.converse(&mut framed(stream), &SyncOptions::new(), Until::Settled, &Wake::new()).await.unwrap();
    assert_eq!((report.peer, report.cells_received), (Some(hub.replica_id().unwrap()), 0));
    assert_eq!(phone.root().unwrap(), hub.root().unwrap());

    let mut live = Vec::new();
    for db in [&phone, &laptop] {
        let (db, stream) = (db.clone(), TcpStream::connect(address).await.unwrap());
        live.push(tokio::spawn(async move {
            db.converse(&mut framed(stream), &SyncOptions::new(), Until::Closed, &Wake::new()).await
        }));
    }
    until_equal(&phone, &laptop).await;
    // A commit is all that an app does.
    let task = add(&laptop, "from the laptop, live");
    until_equal(&phone, &laptop).await;
    phone.commit(|tx| tx.open("tasks", task)?.set("title", "and back").map_err(Into::into)).unwrap();
    until_equal(&phone, &laptop).await;
    let shown = laptop.get("tasks", task).unwrap().unwrap();
    assert_eq!(shown.get("title").unwrap().unwrap().as_str(), Some("and back"));

    let ended = serving.await.unwrap();
    stop.end();
    for task in ended.into_iter().chain(live) {
        task.await.unwrap().unwrap();
    }
}
