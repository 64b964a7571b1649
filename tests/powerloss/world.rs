//! Some databases, and everything that an app does with them, at random from a seed.

use std::path::{Path, PathBuf};

use rejoin::core::{Durability, Life};
use rejoin::protocol::drive::Endpoint as _;
use rejoin::{Database, DocumentId, For, ReplicaId, Value};

use crate::app::{Trouble, open, sqlite_trouble, store_trouble, trouble};
use crate::facts::{Books, Facts, Left, Look, OWN};
use crate::random::Random;
use crate::record;
use crate::talk::Until;

/// Of so many worlds in a hundred the texts are long.
const BULKY_PERCENT: usize = 50;

/// Databases of a world at most.
const MOST_SIDES: usize = 5;

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mistake {
    #[default]
    None,
    /// A durable commit is acknowledged when it begins.
    AcknowledgesEarly,
    /// What should be one transaction is committed as two.
    CommitsHalves,
    /// Batches that wait for their checkpoint are forgotten before it comes.
    ForgetsStaged,
}

/// One database and what is known of it.
pub struct Side {
    pub name: char,
    pub path: PathBuf,
    pub follows: bool,
    pub guarded: bool,
    pub db: Option<Database>,
    pub history: Vec<Facts>,
    pub books: Books,
    commits: u64,
    /// Backups that were acknowledged: when, their path, and the root of what they hold.
    pub backups: Vec<(usize, PathBuf, rejoin::core::Fingerprint)>,
}

pub struct World {
    pub sides: Vec<Side>,
    pub left: Vec<Left>,
    pub mistake: Mistake,
    pub folder: PathBuf,
    /// The first one is a server.
    served: bool,
    /// Much is written at a time, so that most syncs have several messages with changes.
    bulky: bool,
    pub random: Random,
    tried_backups: usize,
}

#[derive(Clone, Copy)]
enum Step {
    Commit(Durability),
    Large,
    Flush,
    Forbidden,
    Sync,
    BrokenSync,
    Join,
    Bundle,
    Checkpoint,
    Reopen,
    Renew,
    Backup,
}

impl World {
    /// Two or three databases in a folder, and those that join later: peers of equal rights, or clients that follow a server.
    pub fn new(folder: &Path, seed: u64, mistake: Mistake) -> Self {
        let mut random = Random::new(seed);
        let served = random.chance(35);
        let count = if served || random.chance(30) { 3 } else { 2 };
        let bulky = random.chance(BULKY_PERCENT);
        let (folder, sides, left) = (folder.to_owned(), Vec::new(), Vec::new());
        let mut world = Self { sides, left, mistake, folder, served, bulky, random, tried_backups: 0 };
        (0..count).for_each(|_| world.add_side());
        world
    }

    fn add_side(&mut self) {
        let index = self.sides.len();
        let name = char::from(b'a' + u8::try_from(index).expect("a few"));
        let (follows, guarded) = (self.served && index > 0, self.served && index == 0);
        let path = self.folder.join(format!("{name}.db"));
        let (db, history, books, backups) = (None, Vec::new(), Books::default(), Vec::new());
        self.sides.push(Side { name, path, follows, guarded, db, history, books, commits: 0, backups });
    }

    /// Does the next thing, whatever it is; the same again for the same random numbers.
    pub fn step(&mut self) -> Result<(), Trouble> {
        let side = self.random.below(self.sides.len());
        let step = self.random.weighted(&[
            (28, Step::Commit(Durability::Durable)),
            (24, Step::Commit(Durability::Visible)),
            (3, Step::Large),
            (4, Step::Flush),
            (4, Step::Forbidden),
            (12, Step::Sync),
            (if self.bulky { 16 } else { 9 }, Step::BrokenSync),
            (4, Step::Join),
            (5, Step::Bundle),
            (6, Step::Checkpoint),
            (4, Step::Reopen),
            (2, Step::Renew),
            (4, Step::Backup),
        ]);
        for side in 0..self.sides.len() {
            self.open(side)?;
        }
        match step {
            Step::Commit(durability) => self.commit(side, durability, 1 + side),
            Step::Large => self.commit(side, Durability::Durable, 24),
            Step::Flush => self.flush(side),
            Step::Forbidden => self.forbidden(side),
            Step::Sync => self.talk(side, Until::End),
            Step::BrokenSync => {
                let until = self.until();
                self.talk(side, until)
            }
            Step::Join => self.join(),
            Step::Bundle => self.bundle(side),
            Step::Checkpoint => self.checkpoint(side),
            Step::Reopen => {
                self.sides[side].db = None;
                self.open(side)
            }
            Step::Renew => self.renew(side),
            Step::Backup => self.backup(side),
        }
    }

    /// The random numbers to come, to do a step again.
    pub fn chances(&self) -> Random {
        self.random.clone()
    }

    pub fn set_chances(&mut self, random: Random) {
        self.random = random;
    }

    pub fn open(&mut self, side: usize) -> Result<(), Trouble> {
        if self.sides[side].db.is_none() {
            let db = open(&self.sides[side].path, self.sides[side].follows).map_err(trouble)?;
            self.sides[side].db = Some(db);
            self.note(side, true)?;
        }
        Ok(())
    }

    pub fn db(&self, side: usize) -> Database {
        self.sides[side].db.clone().expect("opened at the start of the step")
    }

    /// Writes down what a database is now, if that has changed. `sure`: the change was promised to survive.
    pub fn note(&mut self, side: usize, sure: bool) -> Result<(), Trouble> {
        self.note_at(side, sure, record::now())
    }

    fn note_at(&mut self, side: usize, sure: bool, at: usize) -> Result<(), Trouble> {
        let Look { head, cursors, loading } = Look::at(&self.db(side)).map_err(store_trouble)?;
        // A part of a first sync is acknowledged to nobody, and comes again if it is lost.
        let sure = sure && !loading;
        let side = &mut self.sides[side];
        let commits = side.commits;
        if let Some(last) = side.history.last()
            && (&last.head, &last.cursors, last.loading, last.commits) == (&head, &cursors, loading, commits)
        {
            return Ok(());
        }
        side.history.push(Facts { at, head, cursors, loading, commits, sure });
        Ok(())
    }

    /// Of the texts of a commit. Most are small; a few are larger than a page, and with them a run has more than one message.
    fn length(&mut self, documents: usize) -> usize {
        let percent = if self.bulky { 20 } else { 6 };
        match (self.bulky, self.random.chance(percent)) {
            (true, _) if documents > 20 => 6_000 + self.random.below(6_000),
            (true, true) => 20_000 + self.random.below(20_000),
            (false, true) => 30_000,
            _ => self.random.below(60),
        }
    }

    fn commit(&mut self, side: usize, durability: Durability, documents: usize) -> Result<(), Trouble> {
        let commit = self.sides[side].commits + 1;
        let mut edits = Vec::new();
        for _ in 0..=self.random.below(documents + 2) {
            let id = DocumentId::from_u64((side as u64 + 1) * 100 + self.random.below(14) as u64);
            edits.push((self.random.pick(&OWN), id, self.random.chance(10)));
        }
        edits.sort_unstable();
        edits.dedup_by_key(|(collection, id, _)| (*collection, *id));
        let length = self.length(documents);
        let text: String = (0..length).map(|_| char::from(b'a' + (self.random.next() % 26) as u8)).collect();
        let shared = self.random.chance(40).then(|| DocumentId::from_u64(self.random.below(4) as u64));
        let halves = match self.mistake {
            Mistake::CommitsHalves if edits.len() > 1 => edits.split_at(1),
            _ => (&edits[..], &edits[..0]),
        };
        let (db, began) = (self.db(side), record::now());
        for edits in [halves.0, halves.1].into_iter().filter(|edits| !edits.is_empty()) {
            let committed = db.commit_with(durability, |tx| {
                for (collection, id, delete) in edits {
                    let mut document = tx.open(*collection, *id)?;
                    if *delete {
                        document.delete();
                        continue;
                    }
                    document.set("number", i64::try_from(commit).expect("few"))?;
                    document.increment("writes", 1)?;
                    document.set("text", Value::from(text.as_str()))?;
                }
                if let Some(id) = shared {
                    let mut document = tx.open("shared", id)?;
                    document.set("title", format!("{commit} of {side}"))?;
                    document.add_to("tags", text.get(..3).unwrap_or("none"))?;
                }
                Ok(())
            });
            committed.map_err(trouble)?;
        }
        for (collection, id, delete) in edits {
            let books = &mut self.sides[side].books;
            let before = books.content(collection, id).map_or(0, |(_, writes)| writes);
            let content = (!delete).then(|| (i64::try_from(commit).expect("few"), before + 1));
            books.enter(collection, id, commit, content);
        }
        self.sides[side].commits = commit;
        let at = if self.mistake == Mistake::AcknowledgesEarly { began } else { record::now() };
        self.note_at(side, durability == Durability::Durable, at)
    }

    /// An empty transaction that is durable makes durable all that was committed before.
    fn flush(&mut self, side: usize) -> Result<(), Trouble> {
        self.db(side).commit_with(Durability::Durable, |_| Ok(())).map_err(trouble)?;
        let last = self.sides[side].history.last().expect("opened").clone();
        self.sides[side].history.push(Facts { at: record::now(), sure: true, ..last });
        Ok(())
    }

    /// What the server will refuse; among peers a change like any other.
    fn forbidden(&mut self, side: usize) -> Result<(), Trouble> {
        let id = DocumentId::from_u64(self.random.below(3) as u64);
        let number = i64::try_from(self.random.below(1000)).expect("small");
        let committed = self.db(side).commit_with(Durability::Visible, |tx| {
            tx.open("forbidden", id)?.set("price", number)?;
            Ok(())
        });
        committed.map_err(trouble)?;
        self.note(side, false)
    }

    /// Somebody whom a database may sync with.
    pub fn partner(&self, side: usize, random: &mut Random) -> usize {
        if self.sides[side].follows {
            return 0;
        }
        (side + 1 + random.below(self.sides.len() - 1)) % self.sides.len()
    }

    /// One more device, which first of all syncs; or tries to.
    fn join(&mut self) -> Result<(), Trouble> {
        let until = if self.random.chance(70) { self.until() } else { Until::End };
        if self.sides.len() < MOST_SIDES {
            self.add_side();
        }
        let side = self.sides.len() - 1;
        self.open(side)?;
        self.talk(side, until)
    }

    fn bundle(&mut self, side: usize) -> Result<(), Trouble> {
        let mut random = self.random.clone();
        let other = self.partner(side, &mut random);
        self.random = random;
        let loads = |side: &Side| side.history.last().is_some_and(|facts| facts.loading);
        if self.served || loads(&self.sides[side]) {
            // Where a server decides there are no bundles, and what is half there makes none.
            return self.checkpoint(side);
        }
        let audience = match self.random.below(2) {
            0 => For::Anyone,
            _ => For::Holder(self.db(other).seen().map_err(trouble)?),
        };
        let mut bundle = Vec::new();
        self.db(side).export_changes_to(&mut bundle, &audience).map_err(trouble)?;
        self.all_left(side)?;
        if self.random.chance(80) {
            let imported = self.db(other).import_changes_from(&bundle[..]).map_err(trouble)?;
            if imported.renewed.is_some() {
                return Err(Trouble::Fault("who imports a bundle takes itself for a copy".into()));
            }
            self.note(other, true)?;
        }
        Ok(())
    }

    /// By a connection of the app's own.
    fn checkpoint(&mut self, side: usize) -> Result<(), Trouble> {
        let mode = self.random.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
        let connection =
            rusqlite::Connection::open(&self.sides[side].path).map_err(|error| sqlite_trouble(&error))?;
        connection
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
            .map_err(|error| sqlite_trouble(&error))
    }

    fn renew(&mut self, side: usize) -> Result<(), Trouble> {
        let (id, life) = (ReplicaId::from_u64(self.random.next()), Life(self.random.next()));
        let renewed = self.db(side).endpoint().with(|replica| replica.renew_identity(id, life));
        renewed.map_err(store_trouble)?;
        self.note(side, true)
    }

    fn backup(&mut self, side: usize) -> Result<(), Trouble> {
        self.tried_backups += 1;
        let Side { name, path, .. } = &self.sides[side];
        let to = path.with_file_name(format!("{name}.{}.backup", self.tried_backups));
        self.db(side).backup(&to).map_err(trouble)?;
        self.all_left(side)?;
        let root = self.sides[side].history.last().expect("opened").head.root;
        self.sides[side].backups.push((record::now(), to, root));
        Ok(())
    }
}
