//! Collections as plain SQL views.

use crdt_core::{Access, Address, Collection, Durability, Name, StoreError, shown_instead};
use rusqlite::OptionalExtension as _;

use crate::documents;
use crate::error::Failure;
use crate::notes;
use crate::row::Both;
use crate::store::SqliteStore;

/// A view that was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The app has something of its own under that name (SQLite does not tell upper from lower case): rename one of the
    /// two. Without a view the collection works all the same.
    #[error("the database has a {kind} {name:?} of its own; rename it or the collection")]
    NameTaken {
        /// The name as the app wrote it, or as Rejoin did: a collection whose name differs only in case has a view too.
        name: String,
        /// What it is: `table`, `view`, `index` or `trigger`.
        kind: String,
    },
    /// A name that SQLite or this crate keeps for itself, or that SQL cannot write down: choose another one.
    #[error("no view can be called {name:?}; choose another name for the collection")]
    Reserved {
        /// The collection.
        name: Name,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for ViewError {
    fn from(failure: Failure) -> Self {
        Self::Store(failure.into())
    }
}

impl SqliteStore {
    /// Shows a collection to plain SQL, as a view of its name with a row for each document that exists:
    ///
    /// | column | content |
    /// |---|---|
    /// | `id` | the 16 bytes of the document's id |
    /// | `data` | what it shows, as JSON text: `SELECT data ->> 'title' FROM tasks` |
    ///
    /// The id is a blob, not hex text, because a document is then found by the index; `lower(hex(id))` shows it. The view
    /// stays in the file. A view that is there already is left alone.
    ///
    /// # Errors
    /// [`ViewError`]; an app's own table or view of that name is never touched.
    pub fn create_view(&mut self, collection: &Collection) -> Result<(), ViewError> {
        let name = collection.name();
        if !can_be_called(name) {
            return Err(ViewError::Reserved { name: name.clone() });
        }
        if self.has_view(name)? {
            return Ok(());
        }
        let taken = self.transact(Access::Write, Durability::Visible, |store| {
            let number = store.numbers.collection_or_new(&store.connection, name)?;
            let sql = view_sql(name, number);
            // Sought again, because another process may have made it meanwhile.
            let present = store.object(name)?;
            if present.is_none() {
                store.connection.execute_batch(&sql)?;
            }
            Ok(present.filter(|present| present.sql.as_deref() != Some(&sql)))
        })?;
        match taken {
            None => Ok(()),
            Some(Object { name, kind, .. }) => Err(ViewError::NameTaken { name, kind }),
        }
    }

    /// Makes the view of a collection, and writes anew what it shows when that was written under another declaration, or
    /// none. Linear in the number of documents then, else in nothing.
    ///
    /// # Errors
    /// As [`SqliteStore::create_view`]; what can be shown is up to date all the same.
    pub fn show(&mut self, collection: &Collection) -> Result<(), ViewError> {
        let declaration = format!("{collection:?}");
        let key = shown_key(collection.name());
        let current = self.transact(Access::Read, Durability::Visible, |store| {
            Ok(notes::get(&store.connection, &key)?.as_deref() == Some(declaration.as_bytes()))
        })?;
        if !current {
            self.transact(Access::Write, Durability::Visible, |store| {
                store.rewrite(collection)?;
                notes::set(&store.connection, &key, Some(declaration.as_bytes()))
            })?;
        }
        self.noted.insert(collection.name().clone(), declaration);
        self.create_view(collection)
    }

    /// Writes every document of a collection as it is.
    fn rewrite(&mut self, collection: &Collection) -> Result<(), Failure> {
        const PAGE: usize = 256;
        let mut after = None;
        loop {
            let page = documents::after(&self.connection, &mut self.numbers, collection.name(), after, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (id, document) in page {
                let address = Address::new(collection.name(), id);
                let shown = shown_instead(self, &address, &document)?;
                let both = Both { state: &document, shown: shown.as_ref().unwrap_or(&document) };
                let (connection, numbers) = (&self.connection, &mut self.numbers);
                self.documents.put(connection, numbers, &address, both, collection)?;
            }
        }
    }

    /// Notes that documents are about to be written under another declaration than the one that is noted, so that the next
    /// [`SqliteStore::show`] writes them anew. Looks once per collection.
    pub(crate) fn about_to_write(&mut self, name: &Name, collection: &Collection) -> Result<(), Failure> {
        if self.noted.contains_key(name) {
            return Ok(());
        }
        let (key, declaration) = (shown_key(name), format!("{collection:?}"));
        let noted = notes::get(&self.connection, &key)?;
        if noted.is_some_and(|noted| noted != declaration.as_bytes()) {
            notes::set(&self.connection, &key, None)?;
        }
        self.noted.insert(name.clone(), declaration);
        Ok(())
    }

    /// True when our view of the collection is there.
    fn has_view(&mut self, name: &Name) -> Result<bool, StoreError> {
        self.transact(Access::Read, Durability::Visible, |store| {
            let Some(number) = store.numbers.collection(name) else { return Ok(false) };
            let present = store.object(name)?;
            Ok(present.is_some_and(|present| present.sql == Some(view_sql(name, number))))
        })
    }

    fn object(&self, name: &Name) -> Result<Option<Object>, Failure> {
        let sql = "SELECT name, type, sql FROM sqlite_schema WHERE name = ? COLLATE NOCASE";
        let found = self.connection.query_one(sql, [&**name], |row| {
            Ok(Object { name: row.get(0)?, kind: row.get(1)?, sql: row.get(2)? })
        });
        Ok(found.optional()?)
    }
}

/// Something in the schema.
struct Object {
    name: String,
    kind: String,
    sql: Option<String>,
}

fn shown_key(name: &Name) -> Vec<u8> {
    [b"shown\0", name.as_bytes()].concat()
}

/// The prefixes are SQLite's and ours. A zero byte would end the statement.
fn can_be_called(name: &str) -> bool {
    let starts =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    !name.contains('\0') && !starts("sqlite_") && !starts("rejoin_")
}

/// As SQLite keeps it, too: that is how our own view is known again.
fn view_sql(name: &str, number: i64) -> String {
    let quoted = name.replace('"', "\"\"");
    format!(
        "CREATE VIEW \"{quoted}\" AS SELECT id, data FROM rejoin_document WHERE collection = {number} AND data IS NOT NULL"
    )
}
