//! Opens what a power failure left, as the app would, and compares it with what was promised.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rejoin::core::{Head, Life};
use rejoin::{Database, Error, Identity};

use crate::app::open;
use crate::disk::Image;
use crate::facts::{Facts, Left, Look};
use crate::world::Side;

/// What can be wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A change is gone that was acknowledged as durable.
    LostAcknowledged,
    /// Half of a transaction, a cursor without its data, or a state that never was.
    Torn,
    /// Changes have left the file that it does not know: it would use their names again.
    Reused,
    /// An identity was given up, and changes issued again under another, although nothing was lost that anybody has.
    Renewed,
    /// The file does not open, or is damaged.
    Corrupt,
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: Kind,
    pub what: String,
}

impl Fault {
    pub fn new(kind: Kind, what: impl std::fmt::Display) -> Self {
        Self { kind, what: what.to_string() }
    }
}

/// Where an image is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the very file that the database was: nothing shows that anything has happened.
    Same,
    /// In another one, as after a restored backup: it goes on under a new identity.
    Moved,
}

/// Something done to an image before it is opened, to see that it is noticed.
pub type Damage = fn(&Path);

/// A moment of a workload, and a database that lost power there.
pub struct Moment<'w> {
    /// How much of the record had happened.
    pub at: usize,
    pub side: &'w Side,
    pub left: &'w [Left],
}

impl Moment<'_> {
    /// The states that may be found: from the last one that was promised to the one that was under way.
    fn allowed(&self) -> (Option<usize>, usize) {
        let history = &self.side.history;
        let past = history.partition_point(|facts| facts.at <= self.at);
        let promised = history[..past].iter().rposition(|facts| facts.sure);
        (promised, (past + 1).min(history.len()))
    }

    /// Opens an image and checks all that can be seen in it alone.
    pub fn check(&self, image: &Image, place: Place, damage: Option<Damage>) -> Result<Opened, Fault> {
        let path = write(image, &self.side.path, place).map_err(|error| Fault::new(Kind::Corrupt, error))?;
        if let Some(damage) = damage {
            damage(&path);
        }
        let db = open(&path, self.side.follows).map_err(corrupt)?;
        let as_meant = match db.identity() {
            Identity::Created => true,
            Identity::Same => place == Place::Same,
            _ => place == Place::Moved,
        };
        assert!(as_meant, "{place:?} and {:?}: this checks something else than it says", db.identity());
        let report = db.check().map_err(corrupt)?;
        if !report.is_sound() {
            return Err(Fault::new(Kind::Corrupt, format!("{:?}", report.problems)));
        }
        let found = Look::at(&db).map_err(|error| Fault::new(Kind::Corrupt, error))?;
        let Look { head, cursors, loading } = found;
        let (promised, end) = self.allowed();
        let lost = |what: &str| Fault::new(Kind::LostAcknowledged, what);
        if db.identity() == Identity::Created {
            return match promised {
                None => Ok(Opened { db, path, loading, commits: 0, left: 0 }),
                Some(_) => Err(lost("there is no database any more")),
            };
        }
        let head = before_opening(&db, head)?;
        let same = |facts: &&Facts| {
            let then = &facts.head;
            // A new identity has a new life, and does not tell the old one.
            (then.replica, then.counter, then.sequence, then.root)
                == (head.replica, head.counter, head.sequence, head.root)
                && (then.life == head.life || db.identity() != Identity::Same)
                && facts.loading == loading
        };
        // The last one that fits, because only `offered` and cursors may have moved in between.
        let Some(found) = self.side.history[..end].iter().rposition(|facts| same(&facts)) else {
            return Err(Fault::new(Kind::Torn, format!("a state that never was: {head:?}")));
        };
        if let Some(promised) = promised {
            let last = &self.side.history[promised];
            if found < promised && !same(&last) {
                return Err(lost(&format!("{:?} was acknowledged, found is {head:?}", last.head)));
            }
            // A cursor may be behind, or not there yet: where a peer's steps are nothing but what was sent to it, it moves
            // without a flush. What lies between is here all the same, because the state is.
        }
        for (life, cursor) in &cursors {
            let reached = |facts: &&Facts| facts.cursors.get(life) >= Some(cursor);
            let first = self.side.history[..end].iter().find(reached);
            if first.is_none_or(|first| first.head.sequence > head.sequence) {
                let what = format!(
                    "the cursor of {life:?} says {cursor}, at {} the data is not here",
                    head.sequence
                );
                return Err(Fault::new(Kind::Torn, what));
            }
        }
        let left = self.left(&head);
        if head.counter < left || (db.identity() == Identity::Same && head.offered < left) {
            let what = format!("{left} has left; here are {} and offered {}", head.counter, head.offered);
            return Err(Fault::new(Kind::Reused, what));
        }
        let commits = self.side.history[found].commits;
        self.side.books.compare(&db, commits).map_err(|what| Fault::new(Kind::Torn, what))?;
        Ok(Opened { db, path, loading, commits, left })
    }

    /// A first sync has come to its end just now, or is about to.
    pub fn ends_loading(&self) -> bool {
        const WRITES: usize = 30;
        let ends =
            |pair: &[Facts]| pair[0].loading && !pair[1].loading && pair[1].at.abs_diff(self.at) < WRITES;
        self.side.history.windows(2).any(ends)
    }

    /// The last own change that had left by then.
    fn left(&self, head: &Head) -> u64 {
        let ours = self.left.iter().filter(|left| left.at <= self.at && left.replica == head.replica);
        ours.map(|left| left.counter).max().unwrap_or(0)
    }

    /// Backups that were finished are there, whole.
    pub fn check_backups(&self, image: &Image) -> Result<(), Fault> {
        for (_, path, root) in self.side.backups.iter().filter(|(at, ..)| *at <= self.at) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let only: Image = image
                .iter()
                .filter(|(file, _)| file.starts_with(name))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            if only.get(name).is_none_or(Vec::is_empty) {
                return Err(Fault::new(Kind::LostAcknowledged, format!("the backup {name} is not there")));
            }
            let path = write(&only, path, Place::Moved).map_err(|error| Fault::new(Kind::Corrupt, error))?;
            let db = open(&path, self.side.follows).map_err(corrupt)?;
            let report = db.check().map_err(corrupt)?;
            if !report.is_sound() || report.root != *root {
                return Err(Fault::new(
                    Kind::Torn,
                    format!("the backup {name} holds something else: {report:?}"),
                ));
            }
        }
        Ok(())
    }
}

/// An image that was opened and is as it should be.
#[derive(Debug)]
pub struct Opened {
    pub db: Database,
    path: PathBuf,
    /// A first sync is under way.
    pub loading: bool,
    /// How many of the app's commits are there.
    pub commits: u64,
    /// What had left of it.
    pub left: u64,
}

impl Opened {
    /// The peers that have to go on with something that was cut: those of whom batches wait for their checkpoint, and those
    /// of whom a first sync has brought a part.
    pub fn awaited(&self) -> rusqlite::Result<Awaited> {
        let connection = rusqlite::Connection::open(&self.path)?;
        let mut select = connection.prepare("SELECT DISTINCT peer FROM rejoin_staged")?;
        let staged = select.query_map([], |row| Ok(Life(row.get::<_, i64>(0)?.cast_unsigned())))?;
        let staged: Vec<Life> = staged.collect::<Result<_, _>>()?;
        let mut loading = Vec::new();
        if self.loading {
            let mut select = connection.prepare("SELECT key FROM rejoin_note WHERE key BETWEEN ? AND ?")?;
            let (from, to) = (b"loading\0", b"loading\x01");
            let mut keys = select.query((&from[..], &to[..]))?;
            while let Some(key) = keys.next()? {
                let life = key.get_ref(0)?.as_blob()?.get(from.len()..).and_then(|life| life.try_into().ok());
                loading.extend(life.map(|life| Life(u64::from_be_bytes(life))));
            }
        }
        Ok(Awaited { staged, loading })
    }
}

/// See [`Opened::awaited`].
#[derive(Debug, Default)]
pub struct Awaited {
    pub staged: Vec<Life>,
    pub loading: Vec<Life>,
}

impl Awaited {
    pub fn contains(&self, life: Life) -> bool {
        self.staged.contains(&life) || self.loading.contains(&life)
    }
}

/// The head as it was found: an opening that gave a new identity has moved on from there.
fn before_opening(db: &Database, mut head: Head) -> Result<Head, Fault> {
    let Identity::Renewed { was } = db.identity() else { return Ok(head) };
    if was == head.replica || head.counter > 0 {
        return Err(Fault::new(Kind::Reused, "a file that was moved goes on under its old id"));
    }
    let counter = db.seen().map_err(corrupt)?.get(was);
    if counter > 0 {
        head.sequence -= 1;
    }
    (head.replica, head.counter) = (was, counter);
    Ok(head)
}

pub fn corrupt(error: Error) -> Fault {
    Fault::new(Kind::Corrupt, error)
}

/// Writes an image where a database is to be opened.
fn write(image: &Image, path: &Path, place: Place) -> io::Result<PathBuf> {
    let folder = path.parent().expect("in a folder");
    let folder = match place {
        Place::Same => folder.to_owned(),
        Place::Moved => folder.join("moved"),
    };
    fs::create_dir_all(&folder)?;
    let name = path.file_name().and_then(|name| name.to_str()).expect("plain letters");
    let nothing = Vec::new();
    for end in ["", "-wal", "-journal", "-shm"] {
        let file = format!("{name}{end}");
        let to = folder.join(&file);
        match image.get(&file).or((end.is_empty()).then_some(&nothing)) {
            Some(bytes) if end != "-shm" => {
                // Not made anew, so that the database stays the same file; one that is not there is left empty, for the
                // same reason.
                fs::OpenOptions::new().write(true).create(true).truncate(true).open(&to)?.write_all(bytes)?;
            }
            _ => match fs::remove_file(&to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
    }
    Ok(folder.join(name))
}
