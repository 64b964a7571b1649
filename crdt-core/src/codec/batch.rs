//! Batches: the cells of many documents, for a message, a bundle or a comparison.

use alloc::vec::Vec;

use super::bytes::{DecodeError, Reader, put_bytes, put_signed, put_unsigned};
use super::cells::{Plan, payload_in_place, put_in_place, read_cells, read_replica_numbered};
use super::dictionary::Dictionary;
use super::shape::Shape;
use crate::document::{Address, Document, DocumentId};
use crate::limits::{LimitExceeded, Limits};
use crate::small_map::SmallSet;
use crate::{Change, Hlc, Stamp};

/// In the first number of a batch, beside how many changes there are: the reader starts its dictionary anew.
const STARTS_ANEW: u64 = 1;

/// Appends the cells of documents. With an empty dictionary the bytes depend on nothing but the documents and their
/// order, so equal states in the order of addresses are equal bytes.
pub fn encode_batch<'a>(
    out: &mut Vec<u8>,
    dictionary: &mut Dictionary,
    documents: impl IntoIterator<Item = (&'a Address, &'a Document)>,
) {
    let mut plans = Vec::new();
    for (address, document) in documents {
        plans.push((address, Plan::new(document)));
    }
    encode_plans(out, dictionary, &plans);
}

/// The part that is compiled once, wherever the documents come from.
fn encode_plans(out: &mut Vec<u8>, dictionary: &mut Dictionary, plans: &[(&Address, Plan<'_>)]) {
    if dictionary.is_full() {
        *dictionary = Dictionary::new();
    }
    let start = if dictionary.next_document() == 0 { STARTS_ANEW } else { 0 };
    let changes = numbered(&mut plans.iter().flat_map(|(_, plan)| plan.changes()));
    put_unsigned(out, (changes.len() as u64) << 1 | start);
    for change in &changes {
        put_change(out, dictionary, change);
    }
    put_unsigned(out, plans.len() as u64);
    for (address, plan) in plans {
        put_address(out, dictionary, address);
        put_shape(out, dictionary, &plan.shape);
        plan.put(out, dictionary, &changes, &mut put_in_place);
    }
}

/// Each change once, in order: its number is its position.
pub(super) fn numbered(changes: &mut dyn Iterator<Item = Change>) -> Vec<Change> {
    let mut numbered = SmallSet::new();
    for change in changes {
        numbered.insert(change, ());
    }
    numbered.into_keys()
}

/// Reads a batch, which has to end where the input ends. On an error the dictionary is as it was.
///
/// # Errors
/// [`DecodeError`] for anything that [`encode_batch`] does not write.
pub fn decode_batch(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
    limits: &Limits,
) -> Result<Vec<(Address, Document)>, DecodeError> {
    let first = reader.unsigned("a batch")?;
    if first & STARTS_ANEW != 0 {
        let mut fresh = Dictionary::new();
        let documents = decode_documents(reader, &mut fresh, first >> 1, limits)?;
        *dictionary = fresh;
        return Ok(documents);
    }
    // Else a peer that never starts anew would let it grow for ever.
    if dictionary.is_full() {
        return Err(DecodeError::Invalid("a batch that goes on with a full dictionary"));
    }
    let mark = dictionary.begin();
    let documents = decode_documents(reader, dictionary, first >> 1, limits);
    if documents.is_err() {
        dictionary.rollback(&mark);
    }
    documents
}

fn decode_documents(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
    change_count: u64,
    limits: &Limits,
) -> Result<Vec<(Address, Document)>, DecodeError> {
    let change_count = usize::try_from(change_count).unwrap_or(usize::MAX);
    // A cell mentions two changes at most: the one that set it, and the one that it closed.
    LimitExceeded::check("changes of a message", change_count, limits.cells_per_message.saturating_mul(2))?;
    let mut changes = Vec::new();
    for _ in 0..change_count {
        changes.push(read_change(reader, dictionary)?);
    }
    let mut documents = Vec::new();
    let (mut cells, mut names) = (0, 0);
    let document_count = reader.count("documents")?;
    LimitExceeded::check("documents of a message", document_count, limits.cells_per_message)?;
    for _ in 0..document_count {
        let address = read_address(reader, dictionary, limits)?;
        let shape = read_shape(reader, dictionary, limits)?;
        cells += shape.cells.len();
        LimitExceeded::check("cells of a message", cells, limits.cells_per_message)?;
        names += shape.names();
        LimitExceeded::check("names in the paths of a message", names, limits.names_per_message)?;
        let document =
            read_cells(reader, &shape, dictionary, &changes, limits, &mut payload_in_place(limits))?;
        documents.push((address, document));
    }
    reader.finish()?;
    Ok(documents)
}

/// The head of a change is its replica's number and these bits.
const COUNTER_JUMPS: u64 = 1;
const WITHIN_MILLISECOND: u64 = 2;
const EPOCH_CHANGES: u64 = 4;

/// Appends a change as what differs from the last one of the same replica.
fn put_change(out: &mut Vec<u8>, dictionary: &mut Dictionary, change: &Change) {
    let (replica, new) = dictionary.replica(change.replica());
    let last = dictionary.last_of(replica).expect("numbered above");
    let (hlc, last_hlc) = (change.stamp.hlc, last.stamp.hlc);
    let mut head = replica << 3;
    let next = last.counter.wrapping_add(1);
    head |= if change.counter == next { 0 } else { COUNTER_JUMPS };
    head |= if hlc.counter() == 0 { 0 } else { WITHIN_MILLISECOND };
    head |= if change.stamp.epoch == last.stamp.epoch { 0 } else { EPOCH_CHANGES };
    put_unsigned(out, head);
    if new {
        out.extend_from_slice(change.replica().as_bytes());
    }
    if head & COUNTER_JUMPS != 0 {
        put_signed(out, change.counter.wrapping_sub(next).cast_signed());
    }
    put_signed(out, hlc.ms().wrapping_sub(last_hlc.ms()).cast_signed());
    if head & WITHIN_MILLISECOND != 0 {
        put_unsigned(out, hlc.counter().into());
    }
    if head & EPOCH_CHANGES != 0 {
        put_unsigned(out, change.stamp.epoch.into());
    }
    dictionary.mention(replica, *change);
}

fn read_change(reader: &mut Reader<'_>, dictionary: &mut Dictionary) -> Result<Change, DecodeError> {
    let head = reader.unsigned("a change")?;
    let number = head >> 3;
    let replica = read_replica_numbered(reader, dictionary, number)?;
    let last = dictionary.last_of(number)?;
    let mut counter = last.counter.wrapping_add(1);
    if head & COUNTER_JUMPS != 0 {
        counter = counter.wrapping_add_signed(reader.signed("the counter of a change")?);
    }
    if counter == 0 {
        return Err(DecodeError::Invalid("a counter of 0"));
    }
    let ms = last.stamp.hlc.ms().wrapping_add_signed(reader.signed("the time of a change")?);
    if ms > Hlc::MAX_MS {
        return Err(DecodeError::Invalid("a time beyond 48 bits"));
    }
    let mut within = 0;
    if head & WITHIN_MILLISECOND != 0 {
        let counter = reader.unsigned("the time of a change")?;
        within = u16::try_from(counter).map_err(|_| DecodeError::Invalid("a time beyond 64 bits"))?;
    }
    let mut epoch = last.stamp.epoch;
    if head & EPOCH_CHANGES != 0 {
        let number = reader.unsigned("an epoch")?;
        epoch = u32::try_from(number).map_err(|_| DecodeError::Invalid("an epoch beyond 32 bits"))?;
    }
    let hlc = Hlc::from_bits(Hlc::from_ms(ms).to_bits() | u64::from(within));
    let change = Change { stamp: Stamp { epoch, hlc, replica }, counter };
    dictionary.mention(number, change);
    Ok(change)
}

fn put_address(out: &mut Vec<u8>, dictionary: &mut Dictionary, address: &Address) {
    let (number, new) = dictionary.document(address);
    put_unsigned(out, number);
    if new {
        let (number, new) = dictionary.collection(&address.collection);
        put_unsigned(out, number);
        if new {
            put_bytes(out, address.collection.as_bytes());
        }
        out.extend_from_slice(address.id.as_bytes());
    }
}

fn read_address(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
    limits: &Limits,
) -> Result<Address, DecodeError> {
    let number = reader.unsigned("a document")?;
    if number != dictionary.next_document() {
        return dictionary.document_at(number).cloned();
    }
    let number = reader.unsigned("a collection")?;
    let collection = if number == dictionary.next_collection() {
        let name = reader.text("bytes of a collection name", limits.name_bytes)?.into();
        if !dictionary.collection(&name).1 {
            return Err(DecodeError::Invalid("a collection announced twice"));
        }
        name
    } else {
        dictionary.collection_at(number)?.clone()
    };
    let address = Address { collection, id: DocumentId::from_bytes(reader.array("a document id")?) };
    match dictionary.document(&address) {
        (_, true) => Ok(address),
        (_, false) => Err(DecodeError::Invalid("a document announced twice")),
    }
}

/// Appends the number of a shape, and the shape itself on first mention. One past the next number says: written out,
/// and not to be remembered.
pub(super) fn put_shape(out: &mut Vec<u8>, dictionary: &mut Dictionary, shape: &Shape) {
    match dictionary.shape(shape) {
        Some((number, false)) => put_unsigned(out, number),
        Some((number, true)) => {
            put_unsigned(out, number);
            shape.put(out);
        }
        None => {
            put_unsigned(out, dictionary.next_shape() + 1);
            shape.put(out);
        }
    }
}

/// Reads what [`put_shape`] wrote.
pub(super) fn read_shape(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
    limits: &Limits,
) -> Result<Shape, DecodeError> {
    let number = reader.unsigned("a shape")?;
    let next = dictionary.next_shape();
    if number == next {
        let shape = Shape::read(reader, limits)?;
        return match dictionary.shape(&shape) {
            Some((_, true)) => Ok(shape),
            _ => Err(DecodeError::Invalid("a shape announced twice, or too large to be remembered")),
        };
    }
    if number == next + 1 { Shape::read(reader, limits) } else { dictionary.shape_at(number).cloned() }
}
