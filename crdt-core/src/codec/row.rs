//! Rows: the cells of one document, for a database that keeps the dictionary and, where it likes, the values.

use alloc::vec::Vec;

use super::batch::numbered;
use super::bytes::{DecodeError, Reader, put_unsigned};
use super::cells::{Plan, read_cells, read_replica};
use super::dictionary::Dictionary;
use super::shape::Shape;
use super::value::{put_payload, read_payload};
use crate::document::{Document, Path, Payload};
use crate::limits::Limits;
use crate::{Change, Hlc, Stamp};

/// Stands in a row for a payload that the database keeps elsewhere.
const ELSEWHERE: u8 = 0x3f;

/// Appends the cells of a document. `elsewhere` says for each register's payload whether the caller keeps it, so that
/// the row need not.
///
/// What the dictionary gained has to be persisted with the row; if it [lacks](Dictionary::take_lacking) something, the
/// row is none.
pub fn encode_row(
    out: &mut Vec<u8>,
    dictionary: &mut Dictionary,
    document: &Document,
    elsewhere: &dyn Fn(&Path, &Payload) -> bool,
) {
    let plan = Plan::new(document);
    let changes = numbered(&mut plan.changes());
    put_unsigned(out, changes.len() as u64);
    for change in &changes {
        // No row announces an entry, whether it is new or not: the dictionary has them all.
        put_unsigned(out, dictionary.replica(change.replica()).0);
        put_unsigned(out, change.counter);
        put_unsigned(out, change.stamp.hlc.to_bits().rotate_left(48));
        put_unsigned(out, change.stamp.epoch.into());
    }
    plan.victims().for_each(|replica| {
        dictionary.replica(replica);
    });
    // 0: written out here. A batch says that with the number after the next, but which one that is depends on when it is
    // read, and rows are read when the dictionary has grown.
    if let Some((number, _)) = dictionary.shape(&plan.shape) {
        put_unsigned(out, number + 1);
    } else {
        put_unsigned(out, 0);
        plan.shape.put(out);
    }
    plan.put(out, dictionary, &changes, &mut |out, path, payload| {
        if elsewhere(path, payload) {
            out.push(ELSEWHERE);
        } else {
            put_payload(out, payload);
        }
    });
}

/// Reads a row; `elsewhere` gives the payload that the caller keeps for a path.
///
/// # Errors
/// [`DecodeError`] for anything that [`encode_row`] does not write, also when the caller has no payload for a path, and
/// when the dictionary [lacks](Dictionary::take_lacking) something.
pub fn decode_row(
    bytes: &[u8],
    dictionary: &mut Dictionary,
    limits: &Limits,
    elsewhere: &dyn Fn(&Path) -> Option<Payload>,
) -> Result<Document, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut changes = Vec::new();
    for _ in 0..reader.count("changes")? {
        let replica = read_replica(&mut reader, dictionary)?;
        let counter = reader.unsigned("the counter of a change")?;
        if counter == 0 {
            return Err(DecodeError::Invalid("a counter of 0"));
        }
        let hlc = Hlc::from_bits(reader.unsigned("the time of a change")?.rotate_right(48));
        let epoch = reader.unsigned("an epoch")?;
        let epoch = u32::try_from(epoch).map_err(|_| DecodeError::Invalid("an epoch beyond 32 bits"))?;
        changes.push(Change { stamp: Stamp { epoch, hlc, replica }, counter });
    }
    let shape = match reader.unsigned("a shape")?.checked_sub(1) {
        None => Shape::read(&mut reader, limits)?,
        Some(number) => dictionary.shape_at(number)?.clone(),
    };
    let document = read_cells(&mut reader, &shape, dictionary, &changes, limits, &mut |reader, path| {
        if reader.rest().first() == Some(&ELSEWHERE) {
            reader.byte("a payload")?;
            return elsewhere(path).ok_or(DecodeError::Invalid("a value that is not where the row says"));
        }
        read_payload(reader, limits)
    })?;
    reader.finish()?;
    dictionary.check_complete()?;
    Ok(document)
}
