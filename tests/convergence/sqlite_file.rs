//! [`SqliteFile`]: a replica's state in a real file.

use std::path::PathBuf;

use crdt_core::{Access, Durability, Head, Namespace, Store as _, renew_identity};
use sqlite_adapter::{OpenOptions, SqliteStore};

use crate::any_store::{AnyStore, TestStore};
use crate::folder::Folder;

/// A file in a folder of its own.
pub struct SqliteFile {
    /// There until the file is closed to be opened again.
    store: Option<SqliteStore>,
    folder: Folder,
    namespace: Namespace,
}

impl SqliteFile {
    /// A new file under an identity that is given.
    pub fn create(head: &Head) -> Self {
        let mut file = Self { store: None, folder: Folder::new(), namespace: head.namespace };
        file.open();
        let store = file.store();
        store.begin(Access::Write, Durability::Durable).expect("nobody else has the file open");
        let mut drawn = store.head().expect("a new file has a head");
        renew_identity(store, &mut drawn, head.replica, head.life).expect("a new file can be written");
        store.commit().expect("a new file can be written");
        file
    }

    pub fn store(&mut self) -> &mut SqliteStore {
        self.store.as_mut().expect("the file is open")
    }

    fn path(&self) -> PathBuf {
        self.folder.file(0)
    }

    fn open(&mut self) {
        let opened = SqliteStore::open(self.path(), &OpenOptions::new(self.namespace));
        self.store = Some(opened.expect("a file of the tests opens").store);
    }
}

impl TestStore for SqliteFile {
    /// The copy notices at its opening that it is one, and draws an id, before the history gives it one.
    fn backup(&mut self) -> AnyStore {
        let mut copy = Self { store: None, folder: Folder::new(), namespace: self.namespace };
        let path = copy.path();
        self.store().backup(path).expect("there is room for a copy");
        copy.open();
        AnyStore(Box::new(copy))
    }

    fn reopen(mut self: Box<Self>) -> AnyStore {
        self.store = None;
        self.open();
        AnyStore(self)
    }
}
