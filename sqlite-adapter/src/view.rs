//! Collections as plain SQL views.

use crdt_core::{Access, Collection, Durability, Name, StoreError};
use rusqlite::OptionalExtension as _;

use crate::error::Failure;
use crate::store::SqliteStore;

/// A view that was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The app has something of its own under that name (SQLite does not tell upper from lower case): rename one of the
    /// two. Without a view the collection works all the same.
    #[error("the database has a {kind} {name:?} of its own; rename it or the collection")]
    NameTaken {
        /// The name as the app wrote it.
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
