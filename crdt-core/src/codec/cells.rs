//! The cells of one document: its shape, the changes that set them, their content.
//!
//! Presence mostly follows from the rest: every edit touches the enclosing containers in the same change. So a live
//! presence mark of a container is left out when its change is the greatest of its writer among the fields' cells
//! beneath that container. [`Shape::implied_presence`] says that this was done: the reader then adds the mark of every
//! such writer that has no explicit presence cell there.

use alloc::vec::Vec;

use super::bytes::{DecodeError, Reader, put_unsigned};
use super::dictionary::Dictionary;
use super::shape::{Form, Shape};
use super::value::{put_payload, put_value, read_payload, read_value};
use crate::cells::{Base, Mark, Tally, Written};
use crate::document::{Cell, CellKind, CellRef, Document, Path, Payload};
use crate::limits::Limits;
use crate::small_map::SmallMap;
use crate::{Change, Dot, Name, ReplicaId};

/// A document taken apart for writing.
pub(super) struct Plan<'a> {
    pub(super) shape: Shape,
    pub(super) cells: Vec<CellRef<'a>>,
}

/// Of each container and writer, the greatest change among the fields' cells beneath.
type Writers = SmallMap<(Path, ReplicaId), Change>;

fn note_writer(writers: &mut Writers, path: &[Name], kind: CellKind, by: &Change) {
    if matches!(kind, CellKind::Presence | CellKind::Deletion) {
        return;
    }
    for depth in 0..path.len() {
        let key = (path[..depth].to_vec(), by.replica());
        if writers.get(&key).is_none_or(|known| (by.counter, by.stamp) > (known.counter, known.stamp)) {
            writers.insert(key, *by);
        }
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        let mut all: Vec<(Path, CellRef<'a>)> = Vec::new();
        let mut writers = Writers::new();
        document.visit(&mut |path, cell| {
            note_writer(&mut writers, path, cell.kind(), cell.set_by());
            all.push((path.clone(), cell));
        });
        let follows = |path: &Path, cell: &CellRef<'_>| match cell {
            CellRef::Presence(w, mark) => {
                let by = writers.get(&(path.clone(), *w));
                (by.is_some(), by.is_some() && mark.live().map(|(by, ())| by) == by)
            }
            _ => (false, false),
        };
        let present = all.iter().filter(|(path, cell)| follows(path, cell).0).count();
        let implied_presence = !writers.is_empty() && present == writers.len();
        if implied_presence {
            all.retain(|(path, cell)| !follows(path, cell).1);
        }
        let one_change = all.windows(2).all(|pair| pair[0].1.set_by() == pair[1].1.set_by());
        let (paths, cells): (Vec<_>, Vec<_>) =
            all.into_iter().map(|(path, cell)| ((Form::of(&cell), path), cell)).unzip();
        Self { shape: Shape { implied_presence, one_change, cells: paths }, cells }
    }

    /// Every change that the cells mention.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.cells.iter().flat_map(|cell| {
            let closed = match cell {
                CellRef::Register(Written::Closed { written, .. }) => Some(*written),
                _ => None,
            };
            core::iter::once(*cell.set_by()).chain(closed)
        })
    }

    /// Every replica that the cells mention beside those of their changes: whose mark or tally a change of another one's
    /// has overcome.
    pub(super) fn victims(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let writer = |cell: &CellRef<'_>| cell.writer().filter(|writer| *writer != cell.set_by().replica());
        self.cells.iter().filter_map(writer)
    }

    /// Appends everything but the shape. `changes` are all of the batch or row, in order; `payload`
    /// writes a register's payload, here or elsewhere.
    pub(super) fn put(
        &self,
        out: &mut Vec<u8>,
        dictionary: &mut Dictionary,
        changes: &[Change],
        payload: &mut dyn FnMut(&mut Vec<u8>, &Path, &Payload),
    ) {
        // All of them are in the list; a number that is not would be refused where it is read.
        let change_number = |change: &Change| changes.binary_search(change).unwrap_or(changes.len()) as u64;
        if self.shape.one_change {
            // The only change there is need not be named.
            if let Some(cell) = self.cells.first().filter(|_| changes.len() != 1) {
                put_unsigned(out, change_number(cell.set_by()));
            }
        } else {
            self.cells.iter().for_each(|cell| put_unsigned(out, change_number(cell.set_by())));
        }
        for (cell, (_, path)) in self.cells.iter().zip(&self.shape.cells) {
            match cell {
                CellRef::Register(Written::Open { content, .. })
                | CellRef::Sibling(_, Mark::Live { content, .. }) => {
                    payload(out, path, content);
                }
                CellRef::Register(Written::Closed { written, .. }) => {
                    put_unsigned(out, change_number(written));
                }
                CellRef::Sibling(w, Mark::Dead { n, .. }) => put_victim(out, dictionary, *w, *n),
                CellRef::Element(element, w, mark) => {
                    put_value(out, element);
                    put_mark(out, dictionary, *w, mark);
                }
                CellRef::Flag(w, mark) | CellRef::Presence(w, mark) | CellRef::Deletion(w, mark) => {
                    put_mark(out, dictionary, *w, mark);
                }
                CellRef::Tally(_, tally) => {
                    put_unsigned(out, tally.p);
                    put_unsigned(out, tally.m);
                }
                CellRef::Base(w, base) => {
                    put_victim(out, dictionary, *w, base.n);
                    put_unsigned(out, base.p);
                    put_unsigned(out, base.m);
                }
            }
        }
    }
}

/// A live mark says nothing beyond its change; a dead one says whose mark it was.
fn put_mark(out: &mut Vec<u8>, dictionary: &mut Dictionary, writer: ReplicaId, mark: &Mark<()>) {
    if let Mark::Dead { n, .. } = mark {
        put_victim(out, dictionary, writer, *n);
    }
}

fn put_victim(out: &mut Vec<u8>, dictionary: &mut Dictionary, writer: ReplicaId, n: u64) {
    put_replica(out, dictionary, writer);
    put_unsigned(out, n);
}

/// Appends the number of a replica, and its id on first mention.
pub(super) fn put_replica(out: &mut Vec<u8>, dictionary: &mut Dictionary, replica: ReplicaId) {
    let (number, new) = dictionary.replica(replica);
    put_unsigned(out, number);
    if new {
        out.extend_from_slice(replica.as_bytes());
    }
}

/// Reads what [`put_replica`] wrote.
pub(super) fn read_replica(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
) -> Result<ReplicaId, DecodeError> {
    let number = reader.unsigned("a replica")?;
    read_replica_numbered(reader, dictionary, number)
}

pub(super) fn read_replica_numbered(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
    number: u64,
) -> Result<ReplicaId, DecodeError> {
    if number < dictionary.next_replica() {
        return dictionary.replica_at(number);
    }
    if number > dictionary.next_replica() {
        return Err(DecodeError::UnknownEntry { what: "replica", index: number });
    }
    let replica = ReplicaId::from_bytes(reader.array("a replica id")?);
    match dictionary.replica(replica) {
        (_, true) => Ok(replica),
        (_, false) => Err(DecodeError::Invalid("a replica announced twice")),
    }
}

/// Where a reader gets a register's payload from.
pub(super) type ReadPayload<'r> = dyn FnMut(&mut Reader<'_>, &Path) -> Result<Payload, DecodeError> + 'r;

/// Reads what [`Plan::put`] wrote.
pub(super) fn read_cells(
    reader: &mut Reader<'_>,
    shape: &Shape,
    dictionary: &mut Dictionary,
    changes: &[Change],
    limits: &Limits,
    payload: &mut ReadPayload<'_>,
) -> Result<Document, DecodeError> {
    let change_at = |reader: &mut Reader<'_>| {
        let index = reader.unsigned("a change number")?;
        let change = usize::try_from(index).ok().and_then(|at| changes.get(at));
        change.copied().ok_or(DecodeError::UnknownEntry { what: "change", index })
    };
    let mut set_by = Vec::with_capacity(shape.cells.len());
    if shape.one_change {
        if !shape.cells.is_empty() {
            let change = if let [only] = changes { *only } else { change_at(reader)? };
            set_by.resize(shape.cells.len(), change);
        }
    } else {
        for _ in &shape.cells {
            set_by.push(change_at(reader)?);
        }
    }
    let mut document = Document::new();
    let mut writers = Writers::new();
    for ((form, path), by) in shape.cells.iter().zip(set_by) {
        let cell = match form.kind {
            CellKind::Register if form.gone => {
                Cell::Register(Written::Closed { written: change_at(reader)?, by })
            }
            CellKind::Register => Cell::Register(Written::Open { by, content: payload(reader, path)? }),
            CellKind::Sibling if form.gone => {
                let victim = read_victim(reader, dictionary)?;
                Cell::Sibling(victim.replica, Mark::Dead { n: victim.counter, by })
            }
            CellKind::Sibling => {
                Cell::Sibling(by.replica(), Mark::Live { by, content: payload(reader, path)? })
            }
            CellKind::Element => {
                let element = read_value(reader, limits)?;
                let (w, mark) = read_mark(reader, dictionary, form.gone, by)?;
                Cell::Element(element, w, mark)
            }
            CellKind::Flag => {
                let (w, mark) = read_mark(reader, dictionary, form.gone, by)?;
                Cell::Flag(w, mark)
            }
            CellKind::Presence => {
                let (w, mark) = read_mark(reader, dictionary, form.gone, by)?;
                Cell::Presence(w, mark)
            }
            CellKind::Deletion => {
                let (w, mark) = read_mark(reader, dictionary, form.gone, by)?;
                Cell::Deletion(w, mark)
            }
            CellKind::Tally => {
                let (p, m) = (reader.unsigned("a tally")?, reader.unsigned("a tally")?);
                Cell::Tally(by.replica(), Tally { by, p, m })
            }
            CellKind::Base => {
                let victim = read_victim(reader, dictionary)?;
                let (p, m) = (reader.unsigned("a base")?, reader.unsigned("a base")?);
                Cell::Base(victim.replica, Base { n: victim.counter, p, m, by })
            }
        };
        if shape.implied_presence {
            note_writer(&mut writers, path, form.kind, &by);
        }
        document.merge_cell(path, cell);
    }
    for ((path, w), by) in writers {
        let explicit = document.root.descend(&path).is_some_and(|map| map.presence.cells.get(&w).is_some());
        if !explicit {
            document.merge_cell(&path, Cell::Presence(w, Mark::Live { by, content: () }));
        }
    }
    Ok(document)
}

fn read_mark(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
    gone: bool,
    by: Change,
) -> Result<(ReplicaId, Mark<()>), DecodeError> {
    if !gone {
        return Ok((by.replica(), Mark::Live { by, content: () }));
    }
    let victim = read_victim(reader, dictionary)?;
    Ok((victim.replica, Mark::Dead { n: victim.counter, by }))
}

fn read_victim(reader: &mut Reader<'_>, dictionary: &mut Dictionary) -> Result<Dot, DecodeError> {
    let replica = read_replica(reader, dictionary)?;
    match reader.unsigned("the counter of a mark")? {
        0 => Err(DecodeError::Invalid("a counter of 0")),
        counter => Ok(Dot::new(replica, counter)),
    }
}

/// Reads a payload that is in place.
pub(super) fn payload_in_place(
    limits: &Limits,
) -> impl FnMut(&mut Reader<'_>, &Path) -> Result<Payload, DecodeError> {
    let limits = *limits;
    move |reader, _| read_payload(reader, &limits)
}

/// Writes a payload in place.
pub(super) fn put_in_place(out: &mut Vec<u8>, _: &Path, payload: &Payload) {
    put_payload(out, payload);
}
