//! [`Device`]: a replica with its disk and its clock, and the app that runs on it.

use std::path::PathBuf;

use crdt_core::{
    Access, Address, CommitError, Document, DocumentId, DocumentView, Durability, EditError, Head, Life,
    Name, Namespace, ReceiveBound, Replica, ReplicaId, Stamp, Store as _, StoreError, TransactionError,
};

use crate::checker::{Name as Named, Sight};
use crate::disk::{Disk, Image};
use crate::planted::{Bug, Planted};
use crate::plot::{Cast, Commit, true_ms};
use crate::random::Random;
use crate::translate::{collection, shown, within};
use crate::words::{COLLECTIONS, Doc, Outcome, Schema, Shown, Vector};

/// The collection in which every transaction creates a document that bears its number, so that what a device shows says
/// which transactions it shows, whatever its books say.
pub const JOURNAL: &str = "journal";

/// What a failure of the library is called in words.
pub type Failed = String;

/// A device and its app.
pub struct Device {
    pub replica: Option<Replica<Planted>>,
    schema: Schema,
    writes: Writes,
    pub clock: Clock,
    /// Of the file, or of the copy that took its place.
    number: u64,
    /// Counts the runs of the app. A session belongs to one.
    pub run: u64,
    /// The process is there.
    pub up: bool,
    /// It is there, if maybe not running; false before a clone is made and after a device has left.
    pub present: bool,
    pub copy: Option<(Image, PathBuf)>,
    bug: Option<Bug>,
    may_crash: bool,
    /// The last transaction that it made by the app's wish, or that was heard of.
    last: (ReplicaId, u64),
}

/// What becomes of what a device writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    Count,
    /// By a server, which may refuse it.
    AreJudged,
}

/// A clock that may be wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    offset_ms: i64,
    /// What it shows while it stands still.
    frozen: Option<u64>,
}

impl Clock {
    pub const fn new(offset_ms: i64) -> Self {
        Self { offset_ms, frozen: None }
    }

    /// What it shows at a moment of the history.
    pub fn shows(&self, at_ms: u64) -> u64 {
        self.frozen.unwrap_or_else(|| true_ms(at_ms).saturating_add_signed(self.offset_ms))
    }

    pub fn jump(&mut self, by_ms: i64) {
        self.offset_ms += by_ms;
        self.frozen = self.frozen.map(|shows| shows.saturating_add_signed(by_ms));
    }

    pub fn freeze(&mut self, at_ms: u64) {
        self.frozen = Some(self.shows(at_ms));
    }

    pub fn thaw(&mut self, at_ms: u64) {
        if let Some(shows) = self.frozen.take() {
            self.offset_ms = shows.cast_signed() - true_ms(at_ms).cast_signed();
        }
    }

    pub fn correct(&mut self) {
        *self = Self::default();
    }
}

/// A transaction that was not aborted.
pub struct Written {
    pub outcomes: Vec<Outcome>,
    pub dot: (ReplicaId, u64),
    pub stamp: Stamp,
}

fn namespace() -> Namespace {
    Namespace::from_parts(*b"simulated space!", *b"and its own key.")
}

fn say(error: impl std::error::Error) -> Failed {
    format!("a call failed: {error}")
}

impl Device {
    pub fn new(
        cast: &Cast,
        path: Option<PathBuf>,
        number: u64,
        bug: Option<Bug>,
        (may_crash, writes): (bool, Writes),
    ) -> Self {
        let head = Head::new(namespace(), ReplicaId::from_u64(number), Life(number));
        let mut device = Self {
            replica: None,
            schema: cast.schema.clone(),
            writes,
            clock: Clock::new(cast.skew_ms),
            number,
            run: 0,
            up: false,
            present: false,
            copy: None,
            bug,
            may_crash,
            last: (ReplicaId::from_u64(number), 0),
        };
        if !cast.clone {
            let in_file = path.is_some();
            device.start(Disk::new(head, path, may_crash));
            if in_file {
                // A file draws its id, and a history has to be the same every time.
                device.renew_identity(number).expect("a new file can be written");
            }
        }
        device
    }

    fn start(&mut self, disk: Disk) {
        self.open(Planted::new(disk, self.bug));
        (self.up, self.present) = (true, true);
        self.run += 1;
    }

    /// Opens the store as an app does.
    fn open(&mut self, store: Planted) {
        let mut replica = Replica::new(store);
        replica.keep_time(ReceiveBound::default());
        for (name, declared) in &self.schema.collections {
            replica.declare(collection(name, declared));
        }
        // No two openings of a history have the same number; and as peers are told of some bits only, all have to differ.
        replica.begin_run(Random::new(self.number << 32 | self.run).next());
        if self.writes == Writes::AreJudged {
            // From its first edit on.
            replica.follow().expect("a new file can be written");
        }
        self.replica = Some(replica);
    }

    /// The replica of a device that is up, with its clock read.
    pub fn replica(&mut self, at_ms: u64) -> &mut Replica<Planted> {
        let now_ms = self.clock.shows(at_ms);
        let replica = self.replica.as_mut().expect("the device is up");
        replica.store_mut().now_ms = now_ms;
        replica.tick(now_ms).expect("the disk of the simulation does not fail");
        replica
    }

    /// Runs a transaction, which also creates the document of its number; `None` when it was aborted, as asked.
    pub fn commit(&mut self, commit: &Commit, number: u64, at_ms: u64) -> Result<Option<Written>, Failed> {
        let now_ms = self.clock.shows(at_ms);
        let replica = self.replica(at_ms);
        replica.store_mut().local = true;
        let durability = if commit.durable { Durability::Durable } else { Durability::Visible };
        let done = replica.commit(now_ms, durability, |transaction| {
            let mut outcomes = Vec::new();
            for edit in &commit.edits {
                let document = transaction.document(edit.doc.collection, DocumentId::from_u64(edit.doc.id));
                let outcome = match within(&mut document.map_err(TransactionError::from)?, edit.at, edit) {
                    Ok(()) => Outcome::Done,
                    Err(EditError::WrongType { .. }) => Outcome::WrongType,
                    Err(EditError::OnlyGrows { .. }) => Outcome::OnlyGrows,
                    Err(EditError::Unresolved { .. }) => Outcome::Unresolved,
                    Err(other) => return Err(Some(TransactionError::from(other))),
                };
                outcomes.push(outcome);
            }
            let entry = transaction.document(JOURNAL, DocumentId::from_u64(number));
            entry.map_err(TransactionError::from)?.ensure().map_err(TransactionError::from)?;
            if commit.abort { Err(None) } else { Ok(outcomes) }
        });
        replica.store_mut().local = false;
        let committed = match done {
            Ok(committed) => committed,
            Err(CommitError::Aborted(None)) => return Ok(None),
            Err(CommitError::Aborted(Some(error))) => return Err(say(error)),
            Err(CommitError::Store(error)) => return Err(say(error)),
            Err(CommitError::Clock(error)) => return Err(say(error)),
        };
        let dot = committed.dot.ok_or("a transaction that created a document has no dot")?;
        let stamp = stamp_of(replica.read(JOURNAL, DocumentId::from_u64(number)).map_err(say)?.state());
        let stamp = stamp.ok_or("what was just written is not there")?;
        self.last = (dot.replica, dot.counter);
        Ok(Some(Written { outcomes: committed.value, dot: (dot.replica, dot.counter), stamp }))
    }

    /// The documents in which the library has written by itself since that was asked last: what a wrong clock spoiled.
    pub fn issued(&mut self, at_ms: u64) -> Result<Vec<Doc>, Failed> {
        let head = self.head(at_ms)?;
        let (replica, last) = std::mem::replace(&mut self.last, (head.replica, head.counter));
        if head.replica != replica || head.counter <= last {
            return Ok(Vec::new());
        }
        let store = self.replica(at_ms).store_mut();
        store.begin(Access::Read, Durability::Visible).map_err(say)?;
        let documents = store.documents_after(None, usize::MAX);
        store.rollback();
        let mut issued = Vec::new();
        for (address, state) in documents.map_err(say)? {
            let mut any = false;
            state.visit(&mut |_, cell| {
                let dot = cell.set_by().dot();
                any |= dot.replica == replica && dot.counter > last;
            });
            if any {
                issued.push(doc_of(&address));
            }
        }
        Ok(issued)
    }

    /// What it says of itself.
    pub fn head(&mut self, at_ms: u64) -> Result<Head, Failed> {
        self.replica(at_ms).head().map_err(say)
    }

    /// Waits no longer for the rest of a first sync. True when it did.
    pub fn stops_loading(&mut self, at_ms: u64) -> Result<bool, Failed> {
        self.replica(at_ms).stop_loading().map_err(say)
    }

    /// What it shows of the journal, and says of itself.
    pub fn sight(&mut self, at_ms: u64) -> Result<Sight, Failed> {
        let now_ms = self.clock.shows(at_ms);
        let replica = self.replica(at_ms);
        let entries = replica.list(JOURNAL, None, usize::MAX).map_err(say)?;
        let journal: Vec<usize> = entries.iter().map(|(id, _)| number_of(*id)).collect();
        let (mut withheld, [names, later_names]) = stored_names(replica.store_mut()).map_err(say)?;
        withheld.dedup();
        withheld.retain(|number| !journal.contains(number));
        let claims: Vector =
            replica.seen().map_err(say)?.iter().map(|dot| (dot.replica, dot.counter)).collect();
        let loads = replica.loading().map_err(say)?.is_some();
        let head = replica.head().map_err(say)?;
        let believed_ms = replica.now_ms().unwrap_or(now_ms);
        Ok(Sight {
            journal,
            withheld,
            names,
            later_names,
            clock_ms: believed_ms.min(now_ms).min(true_ms(at_ms)),
            wrong_ms: believed_ms.abs_diff(true_ms(at_ms)),
            claims,
            loads,
            replica: head.replica,
            sequence: head.sequence,
            root: head.root,
            documents: None,
            hidden: Vec::new(),
            rejected: Vec::new(),
        })
    }

    /// The same, and all documents.
    pub fn whole_sight(&mut self, docs: &[Doc], at_ms: u64) -> Result<Sight, Failed> {
        let sight = self.sight(at_ms)?;
        let (mut documents, mut hidden) = (Vec::new(), Vec::new());
        for doc in docs {
            let view = self.view(*doc, at_ms)?;
            documents.push((*doc, shown(view.fields(), &[])));
            hidden.extend(view.withheld().iter().map(|withheld| (*doc, withheld.by.stamp)));
        }
        let rejected = if self.writes == Writes::AreJudged { self.rejected(at_ms)? } else { Vec::new() };
        Ok(Sight { documents: Some(documents), hidden, rejected, ..sight })
    }

    /// The numbers of the transactions that it keeps because they were refused.
    fn rejected(&mut self, at_ms: u64) -> Result<Vec<usize>, Failed> {
        let rejected = self.replica(at_ms).rejected().map_err(say)?;
        let documents = rejected.iter().flat_map(|rejected| &rejected.documents);
        let entries = documents.filter(|(address, _)| *address.collection == *JOURNAL);
        Ok(entries.map(|(address, _)| number_of(address.id)).collect())
    }

    /// All that it shows of a document.
    pub fn shown(&mut self, doc: Doc, at_ms: u64) -> Result<Shown, Failed> {
        Ok(shown(self.view(doc, at_ms)?.fields(), &[]))
    }

    fn view(&mut self, doc: Doc, at_ms: u64) -> Result<DocumentView, Failed> {
        self.replica(at_ms).read(doc.collection, DocumentId::from_u64(doc.id)).map_err(say)
    }

    /// The process ends, and what was not durable is gone.
    pub fn crash(&mut self) {
        if let Some(replica) = self.replica.take() {
            self.open(replica.into_store().crash(namespace()));
        }
        self.up = false;
        self.run += 1;
    }

    /// It goes for good.
    pub fn leave(&mut self) {
        (self.replica, self.copy) = (None, None);
        (self.up, self.present) = (false, false);
        self.run += 1;
    }

    /// A copy of the file as an app makes it: what is in it may have left, so it is durable.
    pub fn make_copy(&mut self, at_ms: u64) -> Result<(), Failed> {
        let replica = self.replica(at_ms);
        replica.offer().map_err(say)?;
        let disk = &mut replica.store_mut().disk;
        let path = disk.path().unwrap_or_default();
        self.copy = Some((disk.image(), path));
        Ok(())
    }

    /// A copy takes the place of the file, or of nothing: at a new place when that is to be noticed, at the old one when
    /// it is not. Whoever notices at the opening draws a new identity before anything is written.
    pub fn adopt(
        &mut self,
        (image, path): &(Image, PathBuf),
        noticed: bool,
        number: u64,
        clone: bool,
    ) -> Result<(), Failed> {
        // The connection goes before its file does.
        self.replica = None;
        self.number = number;
        let path = match image {
            Image::Memory(_) => None,
            Image::File { .. } if noticed || clone => Some(path.with_file_name(format!("{number}.db"))),
            Image::File { .. } => Some(path.clone()),
        };
        self.start(Disk::from_image(image, path, namespace(), self.may_crash));
        if noticed || (clone && matches!(image, Image::File { .. })) {
            self.renew_identity(number)?;
        }
        Ok(())
    }

    /// What an app has to do when the library tells it that its history may exist twice, at the opening of a file
    /// ([`Identity::Renewed`](sqlite_adapter::Identity)) or by an error of a session. The one place for it.
    pub fn renew_identity(&mut self, number: u64) -> Result<(), Failed> {
        let replica = self.replica.as_mut().expect("the device is up");
        let id = match self.bug {
            Some(Bug::SameIdAfterRestore) => replica.head().map_err(say)?.replica,
            _ => ReplicaId::from_u64(number),
        };
        replica.renew_identity(id, Life(number)).map_err(say)
    }
}

fn doc_of(address: &Address) -> Doc {
    let known = COLLECTIONS.into_iter().find(|collection| *collection == &*address.collection);
    let [.., a, b, c, d, e, f, g, h] = *address.id.as_bytes();
    Doc { collection: known.unwrap_or(JOURNAL), id: u64::from_be_bytes([a, b, c, d, e, f, g, h]) }
}

pub fn number_of(entry: DocumentId) -> usize {
    let [.., a, b] = *entry.as_bytes();
    usize::from(u16::from_be_bytes([a, b]))
}

/// Numbers in the journal; numbers with dots, of the first epoch and of later ones.
type Entries = (Vec<usize>, [Vec<(usize, Named)>; 2]);

/// The numbers in the journal as it is stored, whatever is shown of it, and those with the dots under which they are there. A
/// dot of a later epoch may be one of the library's own, which writes again what several transactions wrote: these are apart.
fn stored_names(store: &mut Planted) -> Result<Entries, StoreError> {
    store.begin(Access::Read, Durability::Visible)?;
    let entries = store.collection_after(&Name::from(JOURNAL), None, usize::MAX);
    store.rollback();
    let (mut numbers, mut names) = (Vec::new(), [Vec::new(), Vec::new()]);
    // What was withdrawn leaves an empty document.
    for (id, state) in entries?.into_iter().filter(|(_, state)| !state.is_empty()) {
        numbers.push(number_of(id));
        state.visit(&mut |_, cell| {
            let dot = cell.set_by().dot();
            let later = usize::from(cell.set_by().stamp.epoch > 0);
            names[later].push((number_of(id), (dot.replica, dot.counter)));
        });
    }
    Ok((numbers, names))
}

/// The stamp of the change that set the first cell of a document.
fn stamp_of(document: &Document) -> Option<Stamp> {
    let mut stamp = None;
    document.visit(&mut |_, cell| stamp = stamp.or(Some(cell.set_by().stamp)));
    stamp
}
