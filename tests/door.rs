//! A server with a guard and its clients, in files, over TCP.
#![allow(missing_docs)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rejoin::door::{Applicant, Refusal, Right, Rules};
use rejoin::protocol::SessionError;
use rejoin::protocol::drive::StreamError;
use rejoin::{Database, DocumentId, Error, OpenOptions, SyncOptions, SyncReport};

fn open(path: &Path, secret: &str) -> Database {
    OpenOptions::new().secret(secret).follows_server().open(path).unwrap()
}

fn guard() -> SyncOptions {
    SyncOptions::new().guard(Arc::new(|applicant: &Applicant<'_>| match applicant.token {
        Some(b"manager") => Ok(Rules::all(Right::ReadWrite)),
        Some(b"clerk") => Ok(Rules::all(Right::ReadWrite)
            .collection("prices", Right::Read)
            .collection("salaries", Right::None)),
        _ => Err(Refusal::new(401, "sign in again")),
    }))
}

/// One sync over TCP; what each side said of it.
fn sync(
    server: &Database,
    client: &Database,
    token: &str,
) -> (Result<SyncReport, Error>, Result<SyncReport, Error>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, server) = (listener.local_addr().unwrap(), server.clone());
    let serving = std::thread::spawn(move || server.serve_with(&mut listener.accept().unwrap().0, &guard()));
    let options = SyncOptions::new().token(token);
    let synced = client.sync_with(&mut TcpStream::connect(address).unwrap(), &options);
    (serving.join().unwrap(), synced)
}

fn set(db: &Database, collection: &str, id: u64, field: &str, value: i64) {
    db.commit(|tx| Ok(tx.open(collection, DocumentId::from_u64(id))?.set(field, value)?)).unwrap();
}

fn value(db: &Database, collection: &str, id: u64, field: &str) -> Option<i64> {
    db.get(collection, DocumentId::from_u64(id)).unwrap()?.get(field).unwrap()?.as_i64()
}

#[test]
fn nobody_gets_in_without_the_secret_and_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = OpenOptions::new().secret("of the company").open(folder.path().join("server.db")).unwrap();
    let client = open(&folder.path().join("client.db"), "of the company");
    let stranger = open(&folder.path().join("stranger.db"), "guessed");
    set(&server, "prices", 1, "price", 5);
    let before = server.root().unwrap();

    let (served, synced) = sync(&server, &stranger, "manager");
    assert!(
        matches!(served, Err(Error::Sync(StreamError::Session(SessionError::WrongNamespace)))),
        "{served:?}"
    );
    assert!(synced.is_err());
    let (served, synced) = sync(&server, &client, "expired");
    for refused in [served, synced] {
        let Err(Error::Sync(StreamError::NotAdmitted(refusal))) = refused else { panic!("{refused:?}") };
        assert_eq!((refusal.code(), refusal.reason()), (401, "sign in again"));
    }
    assert_eq!(server.root().unwrap(), before);
    assert_eq!(value(&client, "prices", 1, "price"), None);
    let (served, synced) = sync(&server, &client, "manager");
    assert!(served.unwrap().in_sync && synced.unwrap().in_sync);
}

#[test]
fn a_refused_change_is_kept_until_the_app_decides() {
    let folder = tempfile::tempdir().unwrap();
    let server = OpenOptions::new().open(folder.path().join("server.db")).unwrap();
    let path = folder.path().join("clerk.db");
    let secret = "rejoin: no secret was chosen";
    let clerk = open(&path, secret);
    set(&server, "prices", 1, "price", 5);
    set(&server, "salaries", 1, "amount", 1_000);
    sync(&server, &clerk, "clerk").1.unwrap();
    assert_eq!(
        (value(&clerk, "prices", 1, "price"), value(&clerk, "salaries", 1, "amount")),
        (Some(5), None)
    );

    // Offline: an order, then an order together with a price that is not for clerks, then another order.
    set(&clerk, "orders", 1, "amount", 1);
    let refused = clerk.commit_with(rejoin::Durability::Durable, |tx| {
        tx.open("orders", DocumentId::from_u64(1))?.set("amount", 100)?;
        tx.open("prices", DocumentId::from_u64(1))?.set("price", 1)?;
        Ok(())
    });
    let refused = refused.unwrap().dot.unwrap();
    set(&clerk, "orders", 2, "amount", 2);
    let (served, synced) = sync(&server, &clerk, "clerk");
    let (served, synced) = (served.unwrap(), synced.unwrap());
    assert!(served.refused.is_empty());
    assert_eq!(
        synced.refused.iter().map(|(change, refusal)| (*change, refusal.code())).collect::<Vec<_>>(),
        [(refused, 403)]
    );
    for db in [&server, &clerk] {
        assert_eq!(value(db, "orders", 1, "amount"), Some(1), "what the refused change had replaced");
        assert_eq!(value(db, "orders", 2, "amount"), Some(2));
        assert_eq!(value(db, "prices", 1, "price"), Some(5));
    }
    assert!(clerk.check().unwrap().is_sound());

    // It is there after the app was closed, with what the clerk saw.
    drop(clerk);
    let clerk = open(&path, secret);
    let rejected = clerk.rejected().unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].refusal.reason(), "no right to write prices");
    let seen: Vec<_> = rejected[0]
        .documents
        .iter()
        .map(|(address, view)| (address.collection.to_string(), view.to_value()))
        .collect();
    assert_eq!(format!("{seen:?}"), r#"[("orders", Some({"amount": 100})), ("prices", Some({"price": 1}))]"#);

    // The app asks for the price elsewhere and forgets the change, in one transaction.
    clerk
        .commit(|tx| {
            tx.open("requests", DocumentId::from_u64(1))?.set("price", 1)?;
            assert!(tx.drop_rejected(rejected[0].change)?);
            Ok(())
        })
        .unwrap();
    assert!(clerk.rejected().unwrap().is_empty() && !clerk.drop_rejected(refused).unwrap());
    sync(&server, &clerk, "clerk").0.unwrap();
    assert_eq!(value(&server, "requests", 1, "price"), Some(1));
    assert_eq!(value(&server, "orders", 1, "amount"), Some(1));
}

#[test]
fn whoever_follows_nobody_does_not_sync_with_a_server_that_may_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let server = OpenOptions::new().open(folder.path().join("server.db")).unwrap();
    let free = OpenOptions::new().open(folder.path().join("free.db")).unwrap();
    set(&free, "prices", 1, "price", 77);
    for _ in 0..2 {
        let (_, synced) = sync(&server, &free, "clerk");
        assert!(
            matches!(synced, Err(Error::Sync(StreamError::Session(SessionError::MustFollow)))),
            "{synced:?}"
        );
        assert_eq!(value(&server, "prices", 1, "price"), None);
    }
    // One who may write everything is no exception to anything.
    let (served, synced) = sync(&server, &free, "manager");
    assert!(served.unwrap().in_sync && synced.unwrap().in_sync);
}

#[test]
fn both_sides_hear_that_the_secrets_differ() {
    let folder = tempfile::tempdir().unwrap();
    let server = OpenOptions::new().secret("one").open(folder.path().join("server.db")).unwrap();
    let client = OpenOptions::new().secret("another").open(folder.path().join("client.db")).unwrap();
    for _ in 0..5 {
        let (served, synced) = sync(&server, &client, "manager");
        for heard in [served, synced] {
            let said = heard.unwrap_err().to_string();
            assert!(said.contains("check the secrets"), "{said}");
        }
    }
}
