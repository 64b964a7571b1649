//! Several connections on one file, as several processes have them.

mod common;

use std::thread;

use common::{
    Folder, START_MS, checkpoint, commit, declared, edit, namespace, open, options, plain, replica,
};
use crdt_core::{
    Access, Address, DocumentId, Durability, Head, Life, MemoryStore, Position, Replica, ReplicaId, Store,
    StoreError, TransactionError,
};
use sqlite_adapter::{Misuse, SqliteStore};

fn in_memory(number: u64) -> Replica<MemoryStore> {
    declared(Replica::new(MemoryStore::new(Head::new(
        namespace(),
        ReplicaId::from_u64(number),
        Life(number),
    ))))
}

#[test]
fn two_connections_see_each_others_commits_and_dictionaries() {
    let folder = Folder::new();
    let path = folder.file("shared.db");
    let (mut a, mut b) = (replica(&path), replica(&path));
    // Each brings shapes, collections and replicas that the other has to learn of before it numbers its own.
    for round in 0..6u64 {
        edit(&mut a, "full", round, |d| d.set("lww", round.cast_signed()));
        edit(&mut b, &format!("of b {round}"), round, |d| {
            (0..=round).try_for_each(|n| d.set(format!("field {n}"), "b"))
        });
        edit(&mut b, "full", round, |d| d.set("detect", "from b"));
        edit(&mut a, &format!("of b {round}"), round, |d| d.increment(format!("count {round}"), 2));
        a.store_mut().renew_identity().unwrap();
        assert_eq!(a.canonical_bytes().unwrap(), b.canonical_bytes().unwrap());
        assert_eq!(a.head().unwrap(), b.head().unwrap());
    }
    assert_eq!(a.head().unwrap().sequence, 30);
    assert!(a.store_mut().check().unwrap().is_sound());
    assert!(b.store_mut().check().unwrap().is_sound());
    drop((a, b));
    assert!(open(&path).store.check().unwrap().is_sound());
}

#[test]
fn writers_in_threads_take_turns_and_no_dot_twice() {
    const EACH: u64 = 40;
    let folder = Folder::new();
    let path = folder.file("threads.db");
    // They also race for the file's creation.
    let dots: Vec<_> = thread::scope(|scope| {
        let writers: Vec<_> = (0..3u64)
            .map(|writer| {
                let path = &path;
                scope.spawn(move || {
                    let mut replica =
                        declared(Replica::new(SqliteStore::open(path, &options()).unwrap().store));
                    let dots = (0..EACH).map(|n| {
                        let collection = format!("c{}", n % 7);
                        commit(&mut replica, START_MS, Durability::Visible, &collection, n, |d| {
                            d.set(format!("w{writer}"), n.cast_signed())?;
                            d.increment("all", 1)
                        })
                    });
                    dots.map(Option::unwrap).collect::<Vec<_>>()
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let mut distinct = dots.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), dots.len());
    let mut replica = replica(&path);
    assert_eq!(replica.head().unwrap().counter, 3 * EACH);
    assert_eq!(replica.read("c0", DocumentId::from_u64(0)).unwrap().counter("all"), 3);
    assert!(replica.store_mut().check().unwrap().is_sound());
}

#[test]
fn a_second_writer_is_told_that_the_file_is_busy() {
    let folder = Folder::new();
    let path = folder.file("busy.db");
    let mut a = open(&path).store;
    let mut b = SqliteStore::open(&path, &options().busy_timeout_ms(20)).unwrap().store;
    a.begin(Access::Write, Durability::Visible).unwrap();
    assert!(matches!(b.begin(Access::Write, Durability::Durable), Err(StoreError::Busy)));
    b.begin(Access::Read, Durability::Visible).unwrap();
    b.head().unwrap();
    b.commit().unwrap();
    a.rollback();
    b.begin(Access::Write, Durability::Visible).unwrap();
    b.rollback();
}

#[test]
fn a_reader_sees_one_state_until_it_ends() {
    let folder = Folder::new();
    let path = folder.file("snapshot.db");
    let mut writer = replica(&path);
    edit(&mut writer, "full", 1, |d| d.set("lww", 1));
    let mut reader = open(&path).store;
    reader.begin(Access::Read, Durability::Visible).unwrap();
    let before = reader.head().unwrap();
    edit(&mut writer, "brand new", 1, |d| d.set("never seen", 1));
    assert_eq!(reader.head().unwrap(), before);
    assert_eq!(reader.documents_after(None, 9).unwrap().len(), 1);
    reader.commit().unwrap();
    reader.begin(Access::Read, Durability::Visible).unwrap();
    assert_eq!(reader.documents_after(None, 9).unwrap().len(), 2);
    reader.commit().unwrap();
}

#[test]
fn the_data_version_tells_of_others_only() {
    let folder = Folder::new();
    let path = folder.file("version.db");
    let (mut a, mut b) = (replica(&path), replica(&path));
    let before = a.store_mut().data_version().unwrap();
    edit(&mut a, "full", 1, |d| d.set("lww", 1));
    assert_eq!(a.store_mut().data_version().unwrap(), before);
    edit(&mut b, "full", 1, |d| d.set("lww", 2));
    assert_ne!(a.store_mut().data_version().unwrap(), before);
}

/// A connection remembers the head and the end of the change order between transactions that only read.
#[test]
fn what_is_remembered_of_the_head_is_never_older_than_the_file() {
    let folder = Folder::new();
    let path = folder.file("remembered.db");
    let (mut a, mut b) = (replica(&path), replica(&path));
    let steps = |replica: &mut Replica<SqliteStore>, from: u64| {
        let window = replica.window(Position { sequence: from, documents: 0 }, 100).unwrap();
        (window.head.clone(), window.documents.len())
    };
    for round in 0..40u64 {
        let before = b.head().unwrap();
        assert_eq!(b.head().unwrap(), before);
        assert_eq!(steps(&mut b, before.sequence), (before.clone(), 0));
        // Now and then enough for the end of the change order to become a row of the log.
        let commits = if round % 10 == 9 { 80 } else { 1 + round % 3 };
        for n in 0..commits {
            let writer = if round % 4 == 3 { &mut b } else { &mut a };
            edit(writer, "full", n, |d| d.set("lww", format!("{round} {n}")));
        }
        let after = a.head().unwrap();
        assert_eq!((after.counter, after.sequence), (before.counter + commits, before.sequence + commits));
        assert_eq!(b.head().unwrap(), after, "round {round}");
        assert_eq!(steps(&mut b, before.sequence), (after.clone(), usize::try_from(commits).unwrap()));
        assert_eq!(steps(&mut a, before.sequence), (after.clone(), usize::try_from(commits).unwrap()));
        // What was given up is not remembered.
        let store = b.store_mut();
        store.begin(Access::Write, Durability::Visible).unwrap();
        let head = store.head().unwrap();
        let wrong = Head { counter: head.counter + 7, ..head };
        store.set_head(&wrong).unwrap();
        assert_eq!(store.head().unwrap(), wrong, "a transaction sees its own writes");
        store.rollback();
        assert_eq!((b.head().unwrap(), steps(&mut b, 0).0), (after.clone(), after));
    }
}

/// Of the replicas that a file names by number, a connection knows those that it has met.
#[test]
fn a_file_of_many_writers_is_read_and_written_by_a_connection_that_knows_none_of_them() {
    let folder = Folder::new();
    let path = folder.file("writers.db");
    let mut memory = in_memory(1);
    let mut file = replica(&path);
    let write = |writer: u64, file: &mut Replica<SqliteStore>, memory: &mut Replica<MemoryStore>| {
        let mut other = in_memory(1_000 + writer * 7_919 % 1_009);
        edit(&mut other, "full", writer % 9, |d| {
            d.set("lww", writer.cast_signed())?;
            d.enable("flag")?;
            d.add_to("set", (writer % 5).cast_signed())
        });
        file.apply(checkpoint(&mut other, 0)).unwrap();
        memory.apply(checkpoint(&mut other, 0)).unwrap();
    };
    for writer in 0..150 {
        write(writer, &mut file, &mut memory);
    }
    drop(file);
    // Every round has a connection of its own: what takes marks of others away names them, and there are new ones.
    for round in 0..12 {
        let mut file = replica(&path);
        if round % 3 == 0 {
            write(150 + round, &mut file, &mut memory);
        }
        let mut local = in_memory(3_000 + round);
        local.apply(checkpoint(&mut memory, 0)).unwrap();
        edit(&mut local, "full", round % 9, |d| {
            d.disable("flag")?;
            d.remove_from("set", (round % 5).cast_signed())
        });
        file.apply(checkpoint(&mut local, 0)).unwrap();
        memory.apply(checkpoint(&mut local, 0)).unwrap();
        assert_eq!(file.canonical_bytes().unwrap(), memory.canonical_bytes().unwrap(), "round {round}");
        assert!(replica(&path).store_mut().check().unwrap().is_sound());
    }
    let numbers: (i64, i64, i64) = plain(&path)
        .query_row("SELECT count(*), min(number), max(number) FROM rejoin_replica", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(numbers, (numbers.0, 0, numbers.0 - 1), "numbers have no gaps");
}

/// An abandoned transaction numbers things that never reach the file.
#[test]
fn what_an_abandoned_transaction_numbered_is_forgotten() {
    let folder = Folder::new();
    let path = folder.file("abandoned.db");
    let mut replica = replica(&path);
    edit(&mut replica, "full", 1, |d| d.set("lww", 1));
    let document = replica.read("full", DocumentId::from_u64(1)).unwrap().state().clone();
    let [schema, ..] = common::collections();
    let address = Address::new("abandoned", DocumentId::from_u64(9));
    let mut source = common::replica(&folder.file("source.db"));
    edit(&mut source, "full", 1, |d| (0..9).try_for_each(|n| d.set(format!("other {n}"), n)));
    let foreign = source.read("full", DocumentId::from_u64(1)).unwrap().state().clone();

    let store = replica.store_mut();
    store.begin(Access::Write, Durability::Visible).unwrap();
    store.put_document(&address, foreign.clone().merged(document).into(), &schema).unwrap();
    store.rollback();
    // A failed closure is a rollback as well.
    let failed = replica.commit(START_MS, Durability::Visible, |tx| {
        tx.document("abandoned", DocumentId::from_u64(1))?.set("x", 1)?;
        tx.document("x".repeat(2000), DocumentId::from_u64(1)).map(|_| ())?;
        Ok::<_, TransactionError>(())
    });
    failed.unwrap_err();

    let mut other = common::replica(&path);
    edit(&mut other, "of the other", 1, |d| d.enable("flag"));
    edit(&mut replica, "abandoned", 9, |d| d.increment("count", 1));
    assert_eq!(replica.canonical_bytes().unwrap(), other.canonical_bytes().unwrap());
    assert!(other.store_mut().check().unwrap().is_sound());
    let entries: i64 =
        plain(&path).query_row("SELECT count(*) FROM rejoin_replica", [], |row| row.get(0)).unwrap();
    assert_eq!(entries, 1, "the other source was never stored");
}

#[test]
fn calls_outside_the_contract_are_errors() {
    let folder = Folder::new();
    let mut store = open(&folder.file("misuse.db")).store;
    let misuse = |error: StoreError| match error {
        StoreError::Backend(error) => *error.downcast::<Misuse>().unwrap(),
        other => panic!("{other}"),
    };
    assert_eq!(misuse(store.head().unwrap_err()), Misuse::NoTransaction);
    assert_eq!(misuse(store.commit().unwrap_err()), Misuse::NoTransaction);
    store.begin(Access::Read, Durability::Visible).unwrap();
    let head = store.head().unwrap();
    assert_eq!(misuse(store.set_head(&head).unwrap_err()), Misuse::NotForWriting);
    assert_eq!(misuse(store.begin(Access::Read, Durability::Visible).unwrap_err()), Misuse::Nested);
    store.rollback();
    store.rollback();
    store.begin(Access::Write, Durability::Visible).unwrap();
    let documents = vec![Address::new("nowhere", DocumentId::from_u64(1))];
    let record = crdt_core::LogRecord { sequence: 1, dots: vec![], documents };
    assert_eq!(misuse(store.append_log(record).unwrap_err()), Misuse::UnknownDocument);
    store.rollback();
}
