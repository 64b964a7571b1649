//! The decoders of `crdt-core`: whatever is read can be written and is read as the same again, and what is refused
//! leaves nothing behind.

use crdt_core::codec::{
    DecodeError, Dictionary, DictionaryEntry, Reader, Shape, decode_batch, decode_row, encode_batch,
    encode_row, put_payload, put_refusal, read_payload, read_refusal, read_value, value_len,
};
use crdt_core::{Address, Document, Limits, Name, Payload, Value};

use super::input::Input;

/// Documents by address.
pub type Batch = Vec<(Address, Document)>;

const LIMITS: &Limits = &Limits::DEFAULT;

/// Reads a batch.
///
/// # Errors
/// Those of the decoder.
pub fn decode(bytes: &[u8], dictionary: &mut Dictionary) -> Result<Batch, DecodeError> {
    decode_batch(&mut Reader::new(bytes), dictionary, LIMITS)
}

/// Writes a batch.
pub fn encode(dictionary: &mut Dictionary, batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    encode_batch(&mut out, dictionary, batch.iter().map(|(address, document)| (address, document)));
    out
}

/// Values, payloads and refusals: each has exactly one encoding.
pub fn value(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    if let Ok(payload) = read_payload(&mut reader, LIMITS) {
        let mut again = Vec::new();
        put_payload(&mut again, &payload);
        assert_eq!(again, bytes[..bytes.len() - reader.remaining()], "a value has one form");
        if let Payload::Present(value) = &payload {
            assert_eq!(value_len(value), again.len(), "the length that was foretold");
            assert_eq!(value.depth() <= LIMITS.depth, read_value(&mut Reader::new(bytes), LIMITS).is_ok());
        }
    }
    let mut reader = Reader::new(bytes);
    if let Ok(refusal) = read_refusal(&mut reader) {
        let mut again = Vec::new();
        put_refusal(&mut again, &refusal);
        assert_eq!(again, bytes[..bytes.len() - reader.remaining()], "a refusal has one form");
    }
}

/// Shapes.
pub fn shape(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(shape) = Shape::read(&mut reader, LIMITS) else { return };
    let mut again = Vec::new();
    shape.put(&mut again);
    assert_eq!(Shape::read(&mut Reader::new(&again), LIMITS).as_ref(), Ok(&shape));
    let mut dictionary = Dictionary::new();
    dictionary.restore(DictionaryEntry::Shape(shape.clone()));
    assert_eq!(dictionary.entries_since((0, 0)).next(), Some(DictionaryEntry::Shape(shape)));
}

/// A batch on its own. Any bytes that say the same are taken; what is written is one form.
pub fn batch(bytes: &[u8]) {
    let Ok(batch) = decode(bytes, &mut Dictionary::new()) else { return };
    let again = encode(&mut Dictionary::new(), &batch);
    let back = decode(&again, &mut Dictionary::new());
    assert_eq!(back.as_ref(), Ok(&batch), "what was read is read again");
    assert_eq!(encode(&mut Dictionary::new(), &batch), again, "equal states are equal bytes");
}

/// Batches that go on from each other. One reader gets all of them, another only those that the first has taken: they
/// see the same, because what is refused leaves the dictionary as it was.
pub fn carried(bytes: &[u8]) {
    let (mut all, mut taken_only) = (Dictionary::new(), Dictionary::new());
    let mut writer = Dictionary::new();
    let mut reader = Dictionary::new();
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let piece = input.piece();
        let Ok(batch) = decode(piece, &mut all) else { continue };
        assert_eq!(decode(piece, &mut taken_only).as_ref(), Ok(&batch), "a refused batch left something");
        assert_eq!(all.size(), taken_only.size());
        let again = encode(&mut writer, &batch);
        assert_eq!(decode(&again, &mut reader).as_ref(), Ok(&batch), "writer and reader have one dictionary");
    }
}

/// Rows of a database: the first piece of the input fills the dictionary, the rest is a row.
pub fn row(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (kept_elsewhere, piece) = (input.flag(), input.piece());
    let mut dictionary = Dictionary::new();
    if let Ok(batch) = decode(piece, &mut dictionary) {
        for (_, document) in &batch {
            encode_row(&mut Vec::new(), &mut dictionary, document, &|_, _| false);
        }
    }
    let value = Payload::Present(Value::from("elsewhere"));
    let elsewhere = |path: &Vec<Name>| (kept_elsewhere && path.len() == 1).then(|| value.clone());
    let Ok(document) = decode_row(input.rest(), &mut dictionary, LIMITS, &elsewhere) else { return };
    let mut again = Vec::new();
    encode_row(&mut again, &mut dictionary, &document, &|path, payload| {
        elsewhere(path).as_ref() == Some(payload)
    });
    let back = decode_row(&again, &mut dictionary, LIMITS, &elsewhere);
    assert_eq!(back.as_ref(), Ok(&document), "what was read is read again");
    let mut third = Vec::new();
    encode_row(&mut third, &mut dictionary, &document, &|path, payload| {
        elsewhere(path).as_ref() == Some(payload)
    });
    assert_eq!(third, again, "equal states are equal rows");
}
