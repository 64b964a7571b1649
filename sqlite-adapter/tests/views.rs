//! Collections as SQL views.

mod common;

use common::{Folder, edit, options, plain, replica};
use crdt_core::{Collection, DocumentId, Replica, StoreError};
use sqlite_adapter::{SqliteStore, ViewError};

#[test]
fn a_view_shows_the_documents_that_exist() {
    let folder = Folder::new();
    let path = folder.file("view.db");
    let mut replica = replica(&path);
    let tasks = Collection::new("tasks");
    replica.declare(tasks.clone());
    replica.store_mut().create_view(&tasks).unwrap();
    for id in 1..=3 {
        edit(&mut replica, "tasks", id, |d| d.set("title", format!("task {id}")));
    }
    edit(&mut replica, "other", 1, |d| d.set("title", "not a task"));
    edit(&mut replica, "tasks", 2, |d| {
        d.delete();
        Ok(())
    });
    let connection = plain(&path);
    let mut select = connection.prepare("SELECT data ->> 'title' FROM tasks ORDER BY id").unwrap();
    let titles: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(titles, ["task 1", "task 3"]);
    let plan: String = connection
        .query_row("EXPLAIN QUERY PLAN SELECT data FROM tasks WHERE id = x'00'", [], |row| row.get("detail"))
        .unwrap();
    assert!(plan.contains("(collection=? AND id=?)"), "{plan}");
    let id: [u8; 16] = connection.query_row("SELECT id FROM tasks LIMIT 1", [], |row| row.get(0)).unwrap();
    assert_eq!(DocumentId::from_bytes(id), DocumentId::from_u64(1));
}

#[test]
fn a_view_is_made_once_and_found_again() {
    let folder = Folder::new();
    let path = folder.file("again.db");
    let tasks = Collection::new("tasks");
    for _ in 0..2 {
        let mut replica = replica(&path);
        replica.store_mut().create_view(&tasks).unwrap();
        let version: i64 = plain(&path).pragma_query_value(None, "schema_version", |row| row.get(0)).unwrap();
        replica.store_mut().create_view(&tasks).unwrap();
        let after: i64 = plain(&path).pragma_query_value(None, "schema_version", |row| row.get(0)).unwrap();
        assert_eq!(version, after);
    }
    // On a read-only store what is there will do.
    let mut read_only = SqliteStore::open(&path, &options().read_only()).unwrap().store;
    read_only.create_view(&tasks).unwrap();
    let refused = read_only.create_view(&Collection::new("others")).unwrap_err();
    assert!(matches!(refused, ViewError::Store(StoreError::ReadOnly)));
}

#[test]
fn what_the_app_has_of_its_own_is_never_touched() {
    let folder = Folder::new();
    let path = folder.file("own.db");
    let mut replica = replica(&path);
    plain(&path)
        .execute_batch(
            "CREATE TABLE Tasks (x); INSERT INTO Tasks VALUES (5); CREATE VIEW notes AS SELECT 6 AS x",
        )
        .unwrap();
    for (name, taken, kind_of) in
        [("tasks", "Tasks", "table"), ("notes", "notes", "view"), ("NOTES", "notes", "view")]
    {
        let refused = replica.store_mut().create_view(&Collection::new(name)).unwrap_err();
        let ViewError::NameTaken { name, kind } = refused else { panic!("{refused}") };
        assert_eq!((name.as_str(), kind.as_str()), (taken, kind_of));
    }
    let sum: i64 =
        plain(&path).query_row("SELECT Tasks.x + notes.x FROM Tasks, notes", [], |row| row.get(0)).unwrap();
    assert_eq!(sum, 11);
    // The collection works all the same.
    edit(&mut replica, "tasks", 1, |d| d.set("title", "no view"));
    // Nor is a view taken for that of a collection whose name differs in case only.
    replica.store_mut().create_view(&Collection::new("lists")).unwrap();
    let refused = replica.store_mut().create_view(&Collection::new("LISTS")).unwrap_err();
    assert!(matches!(refused, ViewError::NameTaken { .. }));
}

#[test]
fn hostile_names_are_quoted_or_refused() {
    let folder = Folder::new();
    let path = folder.file("hostile.db");
    let mut replica = replica(&path);
    let names = [
        "a\"b",
        "\"; DROP TABLE rejoin_document; --",
        "select",
        "",
        "é🦀\n",
        "it's [a] `view`",
        "%",
        "$1",
        "main.x",
        "?",
    ];
    for name in names {
        let collection = Collection::new(name);
        edit(&mut replica, name, 1, |d| d.set("title", name));
        replica.store_mut().create_view(&collection).unwrap();
        replica.store_mut().create_view(&collection).unwrap();
        let quoted = name.replace('"', "\"\"");
        let sql = format!("SELECT data ->> 'title' FROM \"{quoted}\"");
        let title: String = plain(&path).query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(title, name);
    }
    for name in ["sqlite_x", "SQLite_", "rejoin_document", "REJOIN_new", "zero\0byte"] {
        edit(&mut replica, name, 1, |d| d.set("title", name));
        let refused = replica.store_mut().create_view(&Collection::new(name)).unwrap_err();
        assert!(matches!(refused, ViewError::Reserved { .. }), "{name}");
    }
    let read = |replica: &mut Replica<SqliteStore>| replica.canonical_bytes().unwrap();
    let before = read(&mut replica);
    drop(replica);
    assert_eq!(read(&mut common::replica(&path)), before);
}
