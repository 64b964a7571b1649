//! What a database was at a moment, told by the database while it ran, and by the app that edited it.

use std::collections::BTreeMap;

use rejoin::core::{Head, Life, ReplicaId, StoreError};
use rejoin::protocol::drive::Endpoint as _;
use rejoin::{Database, DocumentId, Error};

/// One state that a database was in, seen after a call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How much had been recorded when the call returned.
    pub at: usize,
    pub head: Head,
    pub cursors: BTreeMap<Life, u64>,
    /// A first sync has begun and not come to its end.
    pub loading: bool,
    /// The app's own count of its commits.
    pub commits: u64,
    /// From here on it has to survive a power failure.
    pub sure: bool,
}

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub head: Head,
    pub cursors: BTreeMap<Life, u64>,
    pub loading: bool,
}

impl Look {
    pub fn at(db: &Database) -> Result<Self, StoreError> {
        db.endpoint().with(|replica| {
            let peers = replica.peers()?;
            let cursors =
                peers.into_iter().filter(|peer| peer.cursor > 0).map(|peer| (peer.life, peer.cursor));
            let (cursors, loading) = (cursors.collect(), replica.loading()?.is_some());
            Ok(Self { head: replica.head()?, cursors, loading })
        })
    }
}

/// Own changes that have left a database: whoever has them must never see their names again with other content.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    pub at: usize,
    pub replica: ReplicaId,
    pub counter: u64,
}

/// The documents that only one database edits, as its app remembers them.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Per document, after which commit it was what: its number and how often it was written, or deleted.
    entries: BTreeMap<(&'static str, DocumentId), Vec<(u64, Content)>>,
}

/// The number last written, and how many writes since the document came into being.
pub type Content = Option<(i64, i128)>;

impl Books {
    pub fn content(&self, collection: &'static str, id: DocumentId) -> Content {
        self.entries
            .get(&(collection, id))
            .and_then(|entries| entries.last())
            .and_then(|(_, content)| *content)
    }

    pub fn enter(&mut self, collection: &'static str, id: DocumentId, commit: u64, content: Content) {
        self.entries.entry((collection, id)).or_default().push((commit, content));
    }

    /// Compares a database's documents with what they were after so many commits.
    pub fn compare(&self, db: &Database, commits: u64) -> Result<(), String> {
        let text = |error: Error| error.to_string();
        let mut found: BTreeMap<(&str, DocumentId), Content> = BTreeMap::new();
        for collection in OWN {
            for document in db.list(collection) {
                let (id, view) = document.map_err(text)?;
                let number = view.get("number").map_err(|conflict| conflict.to_string())?;
                let content = (number.and_then(|value| value.as_i64()).unwrap_or(-1), view.counter("writes"));
                found.insert((collection, id), Some(content));
            }
        }
        for ((collection, id), entries) in &self.entries {
            let expected = entries.iter().rev().find(|(commit, _)| *commit <= commits);
            let expected = expected.and_then(|(_, content)| *content);
            let found = found.get(&(*collection, *id)).copied().flatten();
            if found != expected {
                return Err(format!(
                    "after {commits} commits, {collection}/{id} should be {expected:?} and is {found:?}"
                ));
            }
        }
        Ok(())
    }
}

/// The collections of documents that have one editor.
pub const OWN: [&str; 3] = ["left", "middle", "right"];
