//! Is everything as it should be? On demand, at a cost that follows the size of the file.

use crdt_core::{Access, Durability, Fingerprint, Head, Namespace, Store as _, StoreError};

use crate::documents;
use crate::error::Failure;
use crate::notes;
use crate::peers;
use crate::store::SqliteStore;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many documents there are, deleted ones included.
    pub documents: u64,
    /// The fingerprint that the head keeps up.
    pub root: Fingerprint,
    /// Nothing, in a sound file.
    pub problems: Vec<Problem>,
}

impl Report {
    /// True when nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Something that is wrong. Restore a backup, or start a new file and sync; what was synced before is safe elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// SQLite's own check found damage, most of the time by faulty hardware or a faulty file system.
    Damage(String),
    /// A document that cannot be read.
    Document {
        /// Its row in `rejoin_document`.
        row: i64,
        /// Why.
        detail: String,
    },
    /// The documents are not those that were merged: something else than Rejoin has changed them.
    Root {
        /// The fingerprint of what is there.
        found: Fingerprint,
    },
    /// Steps of the change order that cannot be read, are not in order or touch no document.
    Log {
        /// The row in `rejoin_log`; 0 for the tail in the head.
        row: i64,
        /// Why.
        detail: String,
    },
    /// The change order does not end where the head says.
    LastStep {
        /// Where the head says.
        head: u64,
        /// Where it ends.
        found: u64,
    },
    /// The context speaks of positions that the change order has not reached, or of this replica itself.
    Context,
}

/// SQLite stops to report after so many.
const LISTED: u32 = 100;

impl SqliteStore {
    /// Reads everything and compares: SQLite's integrity check, the fingerprint of all cells against the head's, the
    /// change order against the documents. Other processes can go on writing meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the check itself fails; what it finds is in the report.
    pub fn check(&mut self) -> Result<Report, StoreError> {
        self.transact(Access::Read, Durability::Visible, |store| {
            let head = store.head()?;
            let mut problems = Vec::new();
            store.check_file(&mut problems)?;
            let (documents, found) = store.check_documents(&head.namespace, &mut problems)?;
            if found != head.root {
                problems.push(Problem::Root { found });
            }
            store.check_log(&head, &mut problems)?;
            let own = peers::context(&store.connection)?.iter().any(|dot| dot.replica == head.replica);
            if own || !peers::context_after(&store.connection, head.sequence)?.is_empty() {
                problems.push(Problem::Context);
            }
            Ok(Report { documents, root: head.root, problems })
        })
    }

    fn check_file(&self, problems: &mut Vec<Problem>) -> Result<(), Failure> {
        let mut check = self.connection.prepare(&format!("PRAGMA integrity_check({LISTED})"))?;
        for line in check.query_map([], |row| row.get::<_, String>(0))? {
            let line = line?;
            if line != "ok" {
                problems.push(Problem::Damage(line));
            }
        }
        Ok(())
    }

    fn check_documents(
        &mut self,
        namespace: &Namespace,
        problems: &mut Vec<Problem>,
    ) -> Result<(u64, Fingerprint), Failure> {
        let mut select =
            self.connection.prepare("SELECT row, collection, id, data, meta FROM rejoin_document")?;
        let mut rows = select.query([])?;
        let (mut count, mut sum) = (0, Fingerprint::EMPTY);
        while let Some(row) = rows.next()? {
            count += 1;
            let address = documents::address(&self.numbers, row, 1);
            let found = address.and_then(|address| {
                Ok((address, documents::decode(&self.connection, &mut self.numbers, row, 3)?))
            });
            match found {
                Ok((address, document)) => sum = sum.plus(document.fingerprint(namespace, &address)),
                Err(failure) => {
                    let detail = StoreError::from(failure).to_string();
                    problems.push(Problem::Document { row: row.get(0)?, detail });
                }
            }
        }
        Ok((count, sum))
    }

    fn check_log(&mut self, head: &Head, problems: &mut Vec<Problem>) -> Result<(), Failure> {
        let mut exists = self.connection.prepare("SELECT 1 FROM rejoin_document WHERE row = ?")?;
        // A file that was ever partial has let go of documents that steps name.
        let evicts = notes::get(&self.connection, b"scope")?.is_some();
        let mut last = 0;
        self.tail.visit(&self.connection, &mut |row, step| {
            let mut bad = |detail: &str| problems.push(Problem::Log { row, detail: detail.to_owned() });
            match step {
                Err(failure) => bad(&StoreError::from(failure).to_string()),
                Ok(step) => {
                    if step.sequence <= last || (row > 0 && step.sequence > row.cast_unsigned()) {
                        bad("its steps are not in order");
                    }
                    last = step.sequence;
                    let mut named = step.dots.iter().map(|(replica, _)| *replica);
                    if named.any(|replica| self.numbers.replica_numbered(&self.connection, replica).is_err())
                    {
                        bad("a dot of a replica that is not in the dictionary");
                    }
                    for row in &step.rows {
                        if !evicts && !exists.exists([row])? {
                            bad("a step touches a document that does not exist");
                        }
                    }
                }
            }
            Ok(())
        })?;
        if last != head.sequence {
            problems.push(Problem::LastStep { head: head.sequence, found: last });
        }
        Ok(())
    }
}
