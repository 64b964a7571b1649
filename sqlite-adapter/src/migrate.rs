//! From any released format to this one, step by step.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::Failure;
use crate::layout::APPLICATION_ID;

/// The format of a file.
pub(crate) fn version(connection: &Connection) -> Result<u32, Failure> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Applies what is missing of `migrations`, each in a transaction of its own: a crash in between leaves a file of an
/// older format, which is opened and brought up to date like any other.
pub(crate) fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), Failure> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Asked within the transaction: another process may be at the same.
        let version = version(&transaction)?;
        let next = usize::try_from(version).ok().and_then(|at| migrations.get(at));
        let Some(migration) = next else { return Ok(()) };
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] = &[
        "CREATE TABLE t (a); INSERT INTO t VALUES (1)",
        "ALTER TABLE t ADD COLUMN b DEFAULT 2",
        "UPDATE t SET b = a + b",
    ];

    fn value(connection: &Connection, sql: &str) -> i64 {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn every_older_format_is_brought_up_to_date() {
        for from in 0..=STEPS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            migrate(&mut connection, &STEPS[..from]).unwrap();
            assert_eq!(version(&connection).unwrap() as usize, from);
            migrate(&mut connection, STEPS).unwrap();
            assert_eq!(version(&connection).unwrap(), 3);
            assert_eq!(value(&connection, "SELECT b FROM t"), 3, "each step was applied once");
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_format_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = [STEPS[0], "INSERT INTO t VALUES (2); SELECT * FROM nothing"];
        migrate(&mut connection, &broken).unwrap_err();
        assert_eq!(version(&connection).unwrap(), 1);
        assert_eq!(value(&connection, "SELECT count(*) FROM t"), 1);
        migrate(&mut connection, STEPS).unwrap();
    }
}
