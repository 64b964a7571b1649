//! Some databases, and everything that an app does with them, at random from a seed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rejoin::core::{Durability, Life, StoreError};
use rejoin::door::{Applicant, Refusal, Right, Rules};
use rejoin::protocol::bundle::{ExportError, ImportError};
use rejoin::protocol::drive::Endpoint as _;
use rejoin::protocol::{Session, SessionError, SessionEvent};
use rejoin::sqlite::{BackupError, OpenError, ViewError};
use rejoin::{
    Collection, Database, DocumentId, Error, FieldType, For, OpenOptions, ReplicaId, SyncOptions, Value,
};

use crate::facts::{Books, Facts, Left, OWN, look};
use crate::random::Random;
use crate::record;

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mistake {
    #[default]
    None,
    /// A durable commit is acknowledged when it begins.
    AcknowledgesEarly,
    /// What should be one transaction is committed as two.
    CommitsHalves,
}

/// Something that did not go as it should. A full disk is expected by those who fill it.
#[derive(Debug)]
pub enum Trouble {
    Full,
    Fault(String),
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
    random: Random,
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
    Bundle,
    Checkpoint,
    Reopen,
    Renew,
    Backup,
}

impl World {
    /// Two or three databases in a folder: peers of equal rights, or two clients that follow a server.
    pub fn new(folder: &Path, seed: u64, mistake: Mistake) -> Self {
        let mut random = Random::new(seed);
        let served = random.chance(35);
        let count = if served || random.chance(30) { 3 } else { 2 };
        let side = |index: usize| {
            let name = char::from(b'a' + u8::try_from(index).expect("three at most"));
            let (follows, guarded) = (served && index > 0, served && index == 0);
            let path = folder.join(format!("{name}.db"));
            let (db, history, books, backups) = (None, Vec::new(), Books::default(), Vec::new());
            Side { name, path, follows, guarded, db, history, books, commits: 0, backups }
        };
        let sides = (0..count).map(side).collect();
        Self { sides, left: Vec::new(), mistake, random, tried_backups: 0 }
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
            (9, Step::BrokenSync),
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
            Step::Sync => self.talk(side, None),
            Step::BrokenSync => {
                let messages = self.random.below(12);
                self.talk(side, Some(messages))
            }
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

    fn db(&self, side: usize) -> Database {
        self.sides[side].db.clone().expect("opened at the start of the step")
    }

    /// Writes down what a database is now, if that has changed. `sure`: the change was promised to survive.
    fn note(&mut self, side: usize, sure: bool) -> Result<(), Trouble> {
        self.note_at(side, sure, record::now())
    }

    fn note_at(&mut self, side: usize, sure: bool, at: usize) -> Result<(), Trouble> {
        let (head, cursors) = look(&self.db(side)).map_err(store_trouble)?;
        // A part of a first sync is acknowledged to nobody, and comes again if it is lost.
        let sure = sure && self.db(side).loading().map_err(trouble)?.is_none();
        let side = &mut self.sides[side];
        let commits = side.commits;
        if let Some(last) = side.history.last()
            && (&last.head, &last.cursors, last.commits) == (&head, &cursors, commits)
        {
            return Ok(());
        }
        side.history.push(Facts { at, head, cursors, commits, sure });
        Ok(())
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
        // Most values are small; a few are larger than a page, and with them a run has more than one message.
        let length = if self.random.chance(6) { 30_000 } else { self.random.below(60) };
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

    /// A sync, which may break off after so many messages.
    fn talk(&mut self, one: usize, messages: Option<usize>) -> Result<(), Trouble> {
        let mut random = self.random.clone();
        let other = self.partner(one, &mut random);
        self.random = random;
        // A server does not call.
        let (caller, called) = if self.sides[one].guarded { (other, one) } else { (one, other) };
        let mut budget = messages.unwrap_or(usize::MAX);
        let mut sessions = [
            session(&self.db(caller), false, self.sides[caller].follows, true).map_err(trouble)?,
            session(&self.db(called), self.sides[called].guarded, false, false).map_err(trouble)?,
        ];
        let sides = [caller, called];
        loop {
            let mut moved = false;
            for from in 0..2 {
                while let Some(message) = self.transmit(sides[from], &mut sessions[from])? {
                    if budget == 0 {
                        return Ok(());
                    }
                    budget -= 1;
                    self.receive(sides[1 - from], &mut sessions[1 - from], &message, sides[from])?;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        if messages.is_none() {
            let roots = sides.map(|side| self.sides[side].history.last().map(|facts| facts.head.root));
            if !sessions.iter().all(Session::is_settled) || roots[0] != roots[1] {
                return Err(Trouble::Fault("two databases differ after a sync".into()));
            }
        }
        Ok(())
    }

    fn transmit(&mut self, side: usize, session: &mut Session) -> Result<Option<Vec<u8>>, Trouble> {
        let message = self.db(side).endpoint().with(|replica| session.transmit(replica, now_ms()));
        let message = message.map_err(session_trouble)?;
        self.note(side, true)?;
        Ok(message)
    }

    fn receive(
        &mut self,
        side: usize,
        session: &mut Session,
        message: &[u8],
        from: usize,
    ) -> Result<(), Trouble> {
        let received = self.db(side).endpoint().with(|replica| session.receive(replica, message, now_ms()));
        received.map_err(session_trouble)?;
        no_repair(session).map_err(Trouble::Fault)?;
        self.note(side, true)?;
        self.has_left(side, from)
    }

    /// What one database has seen of another has left that.
    fn has_left(&mut self, side: usize, from: usize) -> Result<(), Trouble> {
        let replica = self.sides[from].history.last().expect("opened").head.replica;
        let counter = self.db(side).seen().map_err(trouble)?.get(replica);
        self.left(replica, counter);
        Ok(())
    }

    fn left(&mut self, replica: ReplicaId, counter: u64) {
        let known = self.left.iter().any(|left| left.replica == replica && left.counter >= counter);
        if !known && counter > 0 {
            self.left.push(Left { at: record::now(), replica, counter });
        }
    }

    /// All that was committed may have left in this moment.
    fn all_left(&mut self, side: usize) -> Result<(), Trouble> {
        self.note(side, true)?;
        let head = &self.sides[side].history.last().expect("opened").head;
        let (replica, counter) = (head.replica, head.counter);
        self.left(replica, counter);
        Ok(())
    }

    fn bundle(&mut self, side: usize) -> Result<(), Trouble> {
        let mut random = self.random.clone();
        let other = self.partner(side, &mut random);
        self.random = random;
        if self.sides.iter().any(|side| side.guarded) {
            // Where a server decides there are no bundles.
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
            self.db(other).import_changes_from(&bundle[..]).map_err(trouble)?;
            self.note(other, true)?;
        }
        Ok(())
    }

    /// By a connection of the app's own.
    fn checkpoint(&mut self, side: usize) -> Result<(), Trouble> {
        let mode = self.random.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
        let text = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Trouble::Full,
            _ => Trouble::Fault(error.to_string()),
        };
        let connection = rusqlite::Connection::open(&self.sides[side].path).map_err(text)?;
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).map_err(text)
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

/// The wall clock, as the commits read it.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).expect("for some more years")
}

/// Opens a file as the app does.
pub fn open(path: &Path, follows: bool) -> Result<Database, Error> {
    let options = OpenOptions::new();
    let options = if follows { options.follows_server() } else { options };
    let db = options.open(path)?;
    for collection in OWN {
        db.declare(Collection::new(collection).field("writes", FieldType::Counter))?;
    }
    db.declare(Collection::new("shared").field("title", FieldType::Detect).field("tags", FieldType::Set))?;
    Ok(db)
}

/// One end of a sync.
pub fn session(db: &Database, guarded: bool, follows: bool, calls: bool) -> Result<Session, Error> {
    let options = SyncOptions::new();
    let options = if guarded { options.guard(Arc::new(guard)) } else { options };
    let session = db.session(&options)?;
    // Whoever is called does not follow the caller.
    Ok(if calls && follows { session } else { session.unless_judged() })
}

#[allow(clippy::unnecessary_wraps)] // the shape of a guard
fn guard(_: &Applicant<'_>) -> Result<Rules, Refusal> {
    Ok(Rules::all(Right::ReadWrite).collection("forbidden", Right::Read))
}

/// Two that hold the same under one context have nothing to repair.
pub fn no_repair(session: &mut Session) -> Result<(), String> {
    while let Some(event) = session.poll_event() {
        if matches!(event, SessionEvent::RootsDiffer { .. }) {
            return Err("both sides say that they have everything, and hold different state".into());
        }
    }
    Ok(())
}

pub fn trouble(error: Error) -> Trouble {
    match error {
        Error::Store(error)
        | Error::Open(OpenError::Store(error))
        | Error::View(ViewError::Store(error))
        | Error::Backup(BackupError::Store(error))
        | Error::Export(ExportError::Store(error))
        | Error::Import(ImportError::Store(error)) => store_trouble(error),
        error => Trouble::Fault(error.to_string()),
    }
}

fn store_trouble(error: StoreError) -> Trouble {
    match error {
        StoreError::Full => Trouble::Full,
        error => Trouble::Fault(error.to_string()),
    }
}

fn session_trouble(error: SessionError) -> Trouble {
    match error {
        SessionError::Store(error) => store_trouble(error),
        error => Trouble::Fault(error.to_string()),
    }
}
