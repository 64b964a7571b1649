//! The libraries, each in a file that says how records become that library's structure.

pub mod automerge;
pub mod crdts;
pub mod loro;
pub mod rejoin;
pub mod yrs;

use crate::data::{Contents, Key, Record, Value};

/// Bytes that two replicas sent each other, both ways in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wire {
    /// What is said before it is known what is missing: version vectors, or a handshake.
    pub handshake: usize,
    /// The rest.
    pub changes: usize,
}

/// One replica of a library. Every workload is written once, against this.
pub trait Library: Sized {
    /// As on the command line.
    const NAME: &'static str;
    /// Its state is on the heap, not in a file.
    const ON_HEAP: bool = true;
    /// One side of a connection over which changes are sent as they are made.
    type Link;
    /// What two replicas that have met remember of it.
    type Met: Default;

    /// A replica that holds nothing.
    fn new(replica: u64) -> Self;

    /// Keeps from now on what is needed to [sync](Library::sync) later, if that is not kept in any case.
    fn will_sync(&mut self) {}

    /// Inserts records, in one transaction.
    fn insert(&mut self, records: &[Record]);

    /// Sets fields of a record, in one transaction.
    fn set(&mut self, key: &Key, fields: &[(&str, Value)]);

    /// Deletes a record, in one transaction.
    fn delete(&mut self, key: &Key);

    /// Reads these fields of every record, by their names.
    fn read(&mut self, fields: &[&str], each: &mut dyn FnMut(&str, &str, Value));

    /// All in bytes, as the library stores or sends a whole document.
    fn snapshot(&mut self) -> Vec<u8>;

    /// Another replica, of a snapshot.
    fn load(replica: u64, snapshot: &[u8]) -> Self;

    /// Syncs both ways, so that both hold the same.
    fn sync(a: &mut Self, b: &mut Self, met: &mut Self::Met) -> Wire;

    /// Connects two replicas that hold the same.
    fn connect(a: &mut Self, b: &mut Self) -> (Self::Link, Self::Link);

    /// The message for the transaction that was just committed.
    fn message(&mut self, link: &mut Self::Link) -> Vec<u8>;

    /// Takes in a message.
    fn receive(&mut self, link: &mut Self::Link, message: &[u8]);

    /// Takes in a record that another replica has inserted: one with its own name, which counts as a writer from then on.
    fn insert_as(&mut self, writer: u64, record: &Record);

    /// A replica that holds the same as this one, and messages for it: so many other replicas that hold the same have set
    /// fields, each of them one, without having seen each other's.
    fn heads(&mut self, edits: &[(Key, Value)], field: &str) -> (Self, Self::Link, Vec<Vec<u8>>);

    /// Another replica that holds the same.
    fn copy(&mut self, replica: u64) -> Self {
        Self::load(replica, &self.snapshot())
    }

    /// All that it holds in these fields.
    fn contents(&mut self, fields: &[&str]) -> Contents {
        let mut contents = Contents::new();
        self.read(fields, &mut |key, field, value| {
            contents.entry(key.to_owned()).or_default().insert(field.to_owned(), value);
        });
        contents
    }
}

/// One counter that several replicas count.
pub trait Counting: Sized {
    /// As on the command line.
    const NAME: &'static str;

    /// A counter at 0, on one replica.
    fn new(replica: u64) -> Self;

    /// Counts up by one so many times, in transactions of 1,000 if there are such.
    fn count(&mut self, times: u64);

    /// What another replica needs of this one.
    fn encode(&mut self) -> Vec<u8>;

    /// Merges what another replica has encoded.
    fn merge(&mut self, encoded: &[u8]);

    /// What was counted.
    fn value(&mut self) -> i64;
}
