//! [`Dictionary`]: replicas, shapes and documents by number.

use alloc::vec::Vec;

use super::bytes::DecodeError;
use super::shape::Shape;
use crate::document::Address;
use crate::small_map::SmallMap;
use crate::{Change, Hlc, Name, ReplicaId, Stamp};

/// What one side has mentioned, so that it can be named by a number from then on.
///
/// A batch on its own starts with an empty dictionary; a session keeps one for each direction and starts it anew when it
/// grows [too large](Dictionary::is_full); a database file keeps one for ever, and of its replicas only those are
/// [here](Dictionary::with_replicas_elsewhere) that are in use.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    replicas: Table<ReplicaId>,
    /// Where replicas are kept elsewhere, what is known of them here; then `replicas` is not used.
    elsewhere: Option<Elsewhere>,
    shapes: Table<Shape>,
    /// Of all shapes.
    shape_cells: usize,
    /// Of all names in the paths of all shapes.
    shape_bytes: usize,
    collections: Table<Name>,
    documents: Table<Address>,
    /// Per replica number, the change mentioned last: the next one is sent as what differs from it.
    last: Vec<Change>,
    /// What `last` was before this message.
    undo: Vec<(usize, Change)>,
}

/// Replicas by number, of a dictionary that is kept elsewhere.
#[derive(Clone, Debug, Default)]
struct Elsewhere {
    ids: SmallMap<u64, ReplicaId>,
    numbers: SmallMap<ReplicaId, u64>,
    lacking: Lacking,
}

/// What a row names that a dictionary with replicas elsewhere does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Numbers of replicas that were read.
    pub numbers: Vec<u64>,
    /// Replicas that were to be written.
    pub replicas: Vec<ReplicaId>,
}

impl Lacking {
    /// True when everything was known.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.replicas.is_empty()
    }
}

/// A new entry, for those who persist a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DictionaryEntry {
    /// The next replica.
    Replica(ReplicaId),
    /// The next shape.
    Shape(Shape),
}

impl Dictionary {
    const REPLICAS: usize = 4096;
    const SHAPES: usize = 1024;
    const SHAPE_CELLS: usize = 16_384;
    const SHAPE_BYTES: usize = 1 << 20;
    const DOCUMENTS: usize = 16_384;

    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty dictionary for rows of a database in which too many replicas may have written to have them all at hand.
    /// What a row needs and is not known is noted; then the row is worth nothing: [take](Dictionary::take_lacking) what
    /// is lacking, [add](Dictionary::know) it, and read or write the row again. It gives no numbers to replicas itself.
    pub fn with_replicas_elsewhere() -> Self {
        Self { elsewhere: Some(Elsewhere::default()), ..Self::default() }
    }

    /// Says which number a replica has elsewhere.
    pub fn know(&mut self, number: u64, replica: ReplicaId) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.ids.insert(number, replica);
            elsewhere.numbers.insert(replica, number);
        }
    }

    /// How many replicas are known that are kept elsewhere.
    pub fn known(&self) -> usize {
        self.elsewhere.as_ref().map_or(0, |elsewhere| elsewhere.ids.len())
    }

    /// Forgets the replicas that are kept elsewhere.
    pub fn forget_replicas(&mut self) {
        if let Some(elsewhere) = &mut self.elsewhere {
            *elsewhere = Elsewhere::default();
        }
    }

    /// What was not known since the last call.
    pub fn take_lacking(&mut self) -> Lacking {
        self.elsewhere.as_mut().map(|elsewhere| core::mem::take(&mut elsewhere.lacking)).unwrap_or_default()
    }

    /// Fails when something is lacking.
    pub(super) fn check_complete(&self) -> Result<(), DecodeError> {
        let lacking = self.elsewhere.as_ref().and_then(|elsewhere| elsewhere.lacking.numbers.first());
        lacking.map_or(Ok(()), |number| Err(DecodeError::UnknownEntry { what: "replica", index: *number }))
    }

    /// True when a session has to start it anew before the next message.
    pub fn is_full(&self) -> bool {
        self.replicas.len() >= Self::REPLICAS
            || self.shapes.len() >= Self::SHAPES
            || self.shape_cells >= Self::SHAPE_CELLS
            || self.shape_bytes >= Self::SHAPE_BYTES
            || self.documents.len() >= Self::DOCUMENTS
    }

    /// Adds an entry that was persisted, in the order in which [`Dictionary::entries_since`] gave them.
    pub fn restore(&mut self, entry: DictionaryEntry) {
        match entry {
            DictionaryEntry::Replica(replica) => {
                self.replica(replica);
            }
            DictionaryEntry::Shape(shape) => {
                self.number_shape(&shape);
            }
        }
    }

    /// How many replicas and shapes there are.
    pub fn size(&self) -> (usize, usize) {
        (self.replicas.len(), self.shapes.len())
    }

    /// The replicas and shapes beyond a [size](Dictionary::size) that was persisted.
    pub fn entries_since(
        &self,
        (replicas, shapes): (usize, usize),
    ) -> impl Iterator<Item = DictionaryEntry> + '_ {
        let replicas = self.replicas.entries[replicas..].iter().copied().map(DictionaryEntry::Replica);
        replicas.chain(self.shapes.entries[shapes..].iter().cloned().map(DictionaryEntry::Shape))
    }

    /// The number of a replica, given to it if it has none; for those who keep replicas beside rows.
    pub fn number_of(&mut self, replica: ReplicaId) -> u64 {
        self.replica(replica).0
    }

    /// The replica of a number.
    ///
    /// # Errors
    /// [`DecodeError::UnknownEntry`].
    pub fn replica_numbered(&mut self, number: u64) -> Result<ReplicaId, DecodeError> {
        self.replica_at(number)
    }

    /// The number of a replica, and whether this is its first mention.
    pub(super) fn replica(&mut self, replica: ReplicaId) -> (u64, bool) {
        if let Some(elsewhere) = &mut self.elsewhere {
            return (elsewhere.number_of(replica), false);
        }
        let numbered = self.replicas.number(&replica);
        if self.last.len() < self.replicas.len() {
            let stamp = Stamp { epoch: 0, hlc: Hlc::from_bits(0), replica };
            self.last.push(Change { stamp, counter: 0 });
        }
        numbered
    }

    /// The number that announces a replica mentioned for the first time.
    pub(super) fn next_replica(&self) -> u64 {
        // Elsewhere is where they are announced.
        if self.elsewhere.is_some() { u64::MAX } else { self.replicas.len() as u64 }
    }

    pub(super) fn replica_at(&mut self, number: u64) -> Result<ReplicaId, DecodeError> {
        if let Some(elsewhere) = &mut self.elsewhere {
            return Ok(elsewhere.replica_at(number));
        }
        self.replicas.at(number, "replica").copied()
    }

    /// The number of a shape and whether this is its first mention; `None` when it is too large, or one too many, to be
    /// remembered.
    pub(super) fn shape(&mut self, shape: &Shape) -> Option<(u64, bool)> {
        if shape.cells.len() > Shape::SHARED {
            return None;
        }
        if self.shapes.len() >= Self::SHAPES && self.shapes.find(shape).is_err() {
            return None;
        }
        Some(self.number_shape(shape))
    }

    fn number_shape(&mut self, shape: &Shape) -> (u64, bool) {
        let (number, new) = self.shapes.number(shape);
        if new {
            self.shape_cells += shape.cells.len();
            self.shape_bytes += shape.name_bytes();
        }
        (number, new)
    }

    /// The number that announces a shape mentioned for the first time.
    pub(super) fn next_shape(&self) -> u64 {
        self.shapes.len() as u64
    }

    pub(super) fn shape_at(&self, number: u64) -> Result<&Shape, DecodeError> {
        self.shapes.at(number, "shape")
    }

    /// The number of a collection, and whether this is its first mention.
    pub(super) fn collection(&mut self, name: &Name) -> (u64, bool) {
        self.collections.number(name)
    }

    /// The number that announces a collection mentioned for the first time.
    pub(super) fn next_collection(&self) -> u64 {
        self.collections.len() as u64
    }

    pub(super) fn collection_at(&self, number: u64) -> Result<&Name, DecodeError> {
        self.collections.at(number, "collection")
    }

    /// The number of a document, and whether this is its first mention.
    pub(super) fn document(&mut self, address: &Address) -> (u64, bool) {
        self.documents.number(address)
    }

    /// The number that announces a document mentioned for the first time.
    pub(super) fn next_document(&self) -> u64 {
        self.documents.len() as u64
    }

    pub(super) fn document_at(&self, number: u64) -> Result<&Address, DecodeError> {
        self.documents.at(number, "document")
    }

    /// The change of a replica that was mentioned last; a counter of 0 before the first.
    pub(super) fn last_of(&self, replica: u64) -> Result<Change, DecodeError> {
        let last = usize::try_from(replica).ok().and_then(|at| self.last.get(at)).copied();
        last.ok_or(DecodeError::UnknownEntry { what: "replica", index: replica })
    }

    pub(super) fn mention(&mut self, replica: u64, change: Change) {
        let at = usize::try_from(replica).expect("a number this table gave");
        self.undo.push((at, self.last[at]));
        self.last[at] = change;
    }

    /// Notes where the dictionary is, for [`Dictionary::rollback`].
    pub(super) fn begin(&mut self) -> Mark {
        self.undo.clear();
        Mark {
            replicas: self.replicas.len(),
            shapes: self.shapes.len(),
            collections: self.collections.len(),
            documents: self.documents.len(),
        }
    }

    /// Forgets what a message added that turned out to be damaged.
    pub(super) fn rollback(&mut self, mark: &Mark) {
        while let Some((at, change)) = self.undo.pop() {
            self.last[at] = change;
        }
        self.replicas.truncate(mark.replicas);
        self.last.truncate(mark.replicas);
        for shape in &self.shapes.entries[mark.shapes..] {
            self.shape_cells -= shape.cells.len();
            self.shape_bytes -= shape.name_bytes();
        }
        self.shapes.truncate(mark.shapes);
        self.collections.truncate(mark.collections);
        self.documents.truncate(mark.documents);
    }
}

impl Elsewhere {
    /// Any number, if it is not known.
    fn number_of(&mut self, replica: ReplicaId) -> u64 {
        if let Some(number) = self.numbers.get(&replica) {
            return *number;
        }
        self.lacking.replicas.push(replica);
        0
    }

    /// Any replica, if it is not known.
    fn replica_at(&mut self, number: u64) -> ReplicaId {
        if let Some(replica) = self.ids.get(&number) {
            return *replica;
        }
        self.lacking.numbers.push(number);
        ReplicaId::from_u64(number)
    }
}

/// Sizes of the tables before a message.
pub(super) struct Mark {
    replicas: usize,
    shapes: usize,
    collections: usize,
    documents: usize,
}

/// Entries by number and numbers by entry.
#[derive(Clone, Debug)]
struct Table<T> {
    entries: Vec<T>,
    /// The numbers, in the order of their entries. No second copy of each entry, and no tree: most tables have a few
    /// hundred entries, the largest some thousands.
    order: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), order: Vec::new() }
    }
}

impl<T: Ord + Clone> Table<T> {
    fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where its number is in `order`, or would be.
    fn find(&self, entry: &T) -> Result<usize, usize> {
        self.order.binary_search_by(|number| self.entries[*number as usize].cmp(entry))
    }

    fn number(&mut self, entry: &T) -> (u64, bool) {
        match self.find(entry) {
            Ok(at) => (self.order[at].into(), false),
            Err(at) => {
                let number = u32::try_from(self.entries.len()).expect("memory ends before 2^32 entries");
                self.entries.push(entry.clone());
                self.order.insert(at, number);
                (number.into(), true)
            }
        }
    }

    fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
        self.order.retain(|number| (*number as usize) < len);
    }

    fn at(&self, number: u64, what: &'static str) -> Result<&T, DecodeError> {
        let entry = usize::try_from(number).ok().and_then(|at| self.entries.get(at));
        entry.ok_or(DecodeError::UnknownEntry { what, index: number })
    }
}
