//! What is kept beside the state so that a sketch of it costs what has changed since the last one, and not a look at all.
//!
//! Notes: under `sums`, how far the change order was read, a first few symbols and the estimate's bins; under `sum`, a zero
//! byte and a number (4 bytes) *leaves*: the documents whose slots begin with the bits of the number, each with its slot, the
//! number by which the store finds it, and the value that was last added for it. A commit does not touch any of it: whoever
//! wants a sketch first reads the change order from where the last one stopped.

use alloc::vec::Vec;

use super::estimate::Estimate;
use super::field::Element;
use super::sketch::{Sketch, Slot, Symbol};
use crate::codec::{DecodeError, Reader, put_bytes, put_unsigned};
use crate::document::{Address, Document, DocumentId};
use crate::fingerprint::Fingerprints;
use crate::small_map::SmallMap;
use crate::store::{Store, StoreError};
use crate::{Fingerprint, Name, Namespace};

/// Symbols that are kept; more are made from the leaves.
const KEPT: usize = 160;
/// Documents of a leaf before all leaves are halved.
const LEAF: u64 = 96;
const HEADER: &[u8] = b"sums";

/// The part that is read whole.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// The change order was read up to here.
    through: u64,
    /// Before that, all documents are looked at: so far, those up to here.
    scanned: Scanned,
    /// There are two to this power leaves.
    depth: u32,
    documents: u64,
    sketch: Sketch,
    estimate: Estimate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scanned {
    Nothing,
    UpTo(Address),
    Everything,
}

/// What a leaf knows of a document, under its slot and number.
type Leaf = SmallMap<(Slot, u64), Element>;

impl Summary {
    fn new() -> Self {
        Self {
            through: 0,
            scanned: Scanned::Nothing,
            depth: 0,
            documents: 0,
            sketch: Sketch::new(0, KEPT),
            estimate: Estimate::default(),
        }
    }

    /// As it was left; one that knows of nothing if there is none.
    pub(crate) fn load<S: Store>(store: &mut S) -> Result<Self, StoreError> {
        match store.note(HEADER)? {
            Some(note) => Self::decode(&note).map_err(damaged),
            None => Ok(Self::new()),
        }
    }

    /// Forgets everything: the next sketch looks at all documents. For whoever takes documents out of the store.
    pub(crate) fn void<S: Store>(store: &mut S) -> Result<(), StoreError> {
        loop {
            let leaves = store.notes_after(&leaf_key(None), &[], 64)?;
            if leaves.is_empty() {
                return store.set_note(HEADER, None);
            }
            for (key, _) in leaves {
                store.set_note(&key, None)?;
            }
        }
    }

    /// Takes in about so many documents more, and stores what that leads to. True when there are none left.
    pub(crate) fn advance<S: Store>(&mut self, store: &mut S, documents: usize) -> Result<bool, StoreError> {
        let head = store.head()?;
        if self.scanned == Scanned::Everything && self.through >= head.sequence {
            return Ok(true);
        }
        let mut found: Leaf = Leaf::new();
        let done = if self.scanned == Scanned::Everything {
            self.read_steps(store, &head.namespace, documents, &mut found)?
        } else {
            self.scan(store, &head.namespace, head.sequence, documents, &mut found)?
        };
        self.take(store, found)?;
        while self.documents > LEAF << self.depth {
            self.halve(store)?;
        }
        store.set_note(HEADER, Some(&self.encode()))?;
        Ok(done)
    }

    fn scan<S: Store>(
        &mut self,
        store: &mut S,
        namespace: &Namespace,
        sequence: u64,
        documents: usize,
        found: &mut Leaf,
    ) -> Result<bool, StoreError> {
        let after = if let Scanned::UpTo(address) = &self.scanned {
            Some(address.clone())
        } else {
            // What changes while this goes on is in the change order after here.
            self.through = sequence;
            None
        };
        let page = store.documents_after(after.as_ref(), documents)?;
        let last = page.last().map(|(address, _)| address.clone());
        for (address, document) in page {
            note_value(store, namespace, &address, &document, found)?;
        }
        self.scanned = last.map_or(Scanned::Everything, Scanned::UpTo);
        Ok(self.scanned == Scanned::Everything && self.through >= sequence)
    }

    fn read_steps<S: Store>(
        &mut self,
        store: &mut S,
        namespace: &Namespace,
        documents: usize,
        found: &mut Leaf,
    ) -> Result<bool, StoreError> {
        let mut looked = 0;
        loop {
            let steps = store.log_after(self.through, 64)?;
            if steps.is_empty() {
                // Steps may be missing at the end, never their positions.
                self.through = store.head()?.sequence;
                return Ok(true);
            }
            for step in steps {
                for address in &step.documents {
                    if let Some(document) = store.document(address)? {
                        note_value(store, namespace, address, &document, found)?;
                    }
                }
                looked += step.documents.len();
                self.through = step.sequence;
                if looked >= documents {
                    return Ok(false);
                }
            }
        }
    }

    /// Puts values in place of those that were added before.
    fn take<S: Store>(&mut self, store: &mut S, found: Leaf) -> Result<(), StoreError> {
        let mut open: Option<(u32, Leaf)> = None;
        for ((slot, number), value) in found {
            let index = self.leaf_of(slot);
            let leaf = match &mut open {
                Some((at, leaf)) if *at == index => leaf,
                _ => {
                    if let Some((at, leaf)) = open.take() {
                        put_leaf(store, at, &leaf)?;
                    }
                    &mut open.insert((index, load_leaf(store, index)?)).1
                }
            };
            let key = (slot, number);
            let before = if value.is_zero() { leaf.remove(&key) } else { leaf.insert(key, value) };
            self.documents += u64::from(before.is_none() && !value.is_zero());
            self.documents -= u64::from(before.is_some() && value.is_zero());
            let change = value - before.unwrap_or_default();
            if !change.is_zero() {
                self.sketch.add(slot, change);
                self.estimate.add(slot, change);
            }
        }
        open.map_or(Ok(()), |(at, leaf)| put_leaf(store, at, &leaf))
    }

    /// Halves every leaf.
    fn halve<S: Store>(&mut self, store: &mut S) -> Result<(), StoreError> {
        // From the last on, so that none is overwritten before it was read.
        for index in (0..1u32 << self.depth).rev() {
            let (mut low, mut high) = (Leaf::new(), Leaf::new());
            for (key, value) in load_leaf(store, index)? {
                let half = if key.0 << self.depth >> 31 == 0 { &mut low } else { &mut high };
                half.insert(key, value);
            }
            put_leaf(store, 2 * index + 1, &high)?;
            put_leaf(store, 2 * index, &low)?;
        }
        self.depth += 1;
        Ok(())
    }

    /// The leaf of a slot: its first bits.
    const fn leaf_of(&self, slot: Slot) -> u32 {
        if self.depth == 0 { 0 } else { slot >> (Slot::BITS - self.depth) }
    }

    pub(crate) const fn estimate(&self) -> &Estimate {
        &self.estimate
    }

    /// So many symbols of everything that is held. Without a salt, a few cost nothing; otherwise every leaf is read.
    pub(crate) fn sketch<S: Store>(
        &self,
        store: &mut S,
        salt: u64,
        symbols: usize,
    ) -> Result<Sketch, StoreError> {
        if salt == 0 && symbols <= KEPT {
            let mut sketch = self.sketch.clone();
            sketch.truncate(symbols);
            return Ok(sketch);
        }
        let mut sketch = Sketch::new(salt, symbols);
        let mut last = Vec::new();
        loop {
            let leaves = store.notes_after(&leaf_key(None), &last, 64)?;
            let Some((key, _)) = leaves.last() else { return Ok(sketch) };
            last.clone_from(key);
            for (_, note) in &leaves {
                read_leaf(note, &mut |(slot, _), value| sketch.add(slot, value)).map_err(damaged)?;
            }
        }
    }

    /// Calls `visit` with every document in the slots, which come in order.
    pub(crate) fn documents<S: Store>(
        &self,
        store: &mut S,
        slots: &[Slot],
        visit: &mut dyn FnMut(&mut S, usize, Address) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut open: Option<(u32, Leaf)> = None;
        for (at, slot) in slots.iter().enumerate() {
            let index = self.leaf_of(*slot);
            if open.as_ref().is_none_or(|(open, _)| *open != index) {
                open = Some((index, load_leaf(store, index)?));
            }
            let Some((_, leaf)) = &open else { continue };
            let numbers: Vec<u64> = leaf
                .iter_from(&(*slot, 0))
                .take_while(|((of, _), _)| of == slot)
                .map(|((_, number), _)| *number)
                .collect();
            for number in numbers {
                if let Some(address) = store.address_numbered(number)? {
                    visit(store, at, address)?;
                }
            }
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut note = Vec::new();
        put_unsigned(&mut note, self.through);
        match &self.scanned {
            Scanned::Nothing => note.push(0),
            Scanned::Everything => note.push(1),
            Scanned::UpTo(address) => {
                note.push(2);
                put_bytes(&mut note, address.collection.as_bytes());
                note.extend_from_slice(address.id.as_bytes());
            }
        }
        put_unsigned(&mut note, self.depth.into());
        put_unsigned(&mut note, self.documents);
        self.sketch.symbols().iter().for_each(|symbol| note.extend_from_slice(&symbol.to_bytes()));
        self.estimate.bins().iter().for_each(|bin| note.extend_from_slice(&bin.to_bits().to_le_bytes()));
        note
    }

    fn decode(note: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(note);
        let through = reader.unsigned("the sums")?;
        let scanned = match reader.byte("the sums")? {
            0 => Scanned::Nothing,
            1 => Scanned::Everything,
            _ => {
                let collection = Name::from(reader.text("a collection name", usize::MAX)?);
                let id = DocumentId::from_bytes(reader.array("a document id")?);
                Scanned::UpTo(Address { collection, id })
            }
        };
        let depth = u32::try_from(reader.unsigned("the sums")?).ok().filter(|depth| *depth < Slot::BITS);
        let depth = depth.ok_or(DecodeError::Invalid("more leaves than slots"))?;
        let documents = reader.unsigned("the sums")?;
        let beyond = DecodeError::Invalid("a sum beyond its field");
        let mut symbols = Vec::new();
        for _ in 0..KEPT {
            symbols.push(Symbol::from_bytes(reader.array("a symbol")?).ok_or(beyond)?);
        }
        let mut estimate = Estimate::default();
        for bin in estimate.bins_mut() {
            *bin = Element::from_bits(u64::from_le_bytes(reader.array("a sum")?)).ok_or(beyond)?;
        }
        reader.finish()?;
        Ok(Self { through, scanned, depth, documents, sketch: Sketch::from_symbols(0, symbols), estimate })
    }
}

/// Where a document is in the row of sums, and a further byte of the same hash, to tell it from others there.
#[allow(clippy::cast_possible_truncation)] // parts of a hash
pub(crate) fn slot_of(namespace: &Namespace, address: &Address) -> (Slot, u8) {
    let hash = Fingerprints::new(namespace, address).of_address().0;
    (hash as Slot, (hash >> 32) as u8)
}

fn note_value<S: Store>(
    store: &mut S,
    namespace: &Namespace,
    address: &Address,
    document: &Document,
    found: &mut Leaf,
) -> Result<(), StoreError> {
    if let Some(number) = store.number_of(address)? {
        let mut fingerprints = Fingerprints::new(namespace, address);
        let mut value = Element::ZERO;
        document.visit(&mut |path, cell| value += element(fingerprints.of(path, &cell)));
        found.insert((slot_of(namespace, address).0, number), value);
    }
    Ok(())
}

/// The lower half of a fingerprint, in the field.
#[allow(clippy::cast_possible_truncation)]
const fn element(fingerprint: Fingerprint) -> Element {
    Element::new(fingerprint.0 as u64)
}

fn leaf_key(index: Option<u32>) -> Vec<u8> {
    let mut key = b"sum\0".to_vec();
    key.extend(index.into_iter().flat_map(u32::to_be_bytes));
    key
}

fn load_leaf<S: Store>(store: &mut S, index: u32) -> Result<Leaf, StoreError> {
    let mut leaf = Leaf::new();
    if let Some(note) = store.note(&leaf_key(Some(index)))? {
        let mut insert = |key, value| {
            leaf.insert(key, value);
        };
        read_leaf(&note, &mut insert).map_err(damaged)?;
    }
    Ok(leaf)
}

fn read_leaf(note: &[u8], visit: &mut dyn FnMut((Slot, u64), Element)) -> Result<(), DecodeError> {
    let (mut reader, mut slot) = (Reader::new(note), 0u64);
    while reader.remaining() > 0 {
        slot = slot.saturating_add(reader.unsigned("a slot")?);
        let at = Slot::try_from(slot).map_err(|_| DecodeError::Invalid("a slot beyond 32 bits"))?;
        let number = reader.unsigned("the number of a document")?;
        let value = Element::from_bits(u64::from_le_bytes(reader.array("a sum")?));
        visit((at, number), value.ok_or(DecodeError::Invalid("a sum beyond its field"))?);
    }
    Ok(())
}

fn put_leaf<S: Store>(store: &mut S, index: u32, leaf: &Leaf) -> Result<(), StoreError> {
    let (mut note, mut last) = (Vec::new(), 0);
    for ((slot, number), value) in leaf.iter() {
        put_unsigned(&mut note, (slot - last).into());
        put_unsigned(&mut note, *number);
        note.extend_from_slice(&value.to_bits().to_le_bytes());
        last = *slot;
    }
    store.set_note(&leaf_key(Some(index)), (!note.is_empty()).then_some(&note[..]))
}

fn damaged(error: DecodeError) -> StoreError {
    StoreError::Corrupt { detail: alloc::format!("the sums of what is held: {error}") }
}

#[cfg(test)]
mod tests;
