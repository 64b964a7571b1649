//! One document as a row: what it shows as JSON in `data`, everything else in `meta`.
//!
//! A register's value that `data` shows at its path is not stored a second time: `meta` says "look there". Whether it
//! does is decided when the row is written and recorded in it, so a row reads the same whatever the schema is by then.

use std::cell::OnceCell;

use crdt_core::codec::{DecodeError, Dictionary, decode_row, encode_row};
use crdt_core::{Collection, Document, Limits, MapView, Name, Payload, Value};

use crate::json;

/// Rows take what was merged, and merging has no limits beyond those of a single message. Only nesting cannot have
/// grown since.
pub(crate) const LIMITS: Limits = Limits {
    name_bytes: usize::MAX,
    value_bytes: usize::MAX,
    depth: Limits::DEFAULT.depth,
    values: usize::MAX,
    documents_per_transaction: usize::MAX,
    cells_per_message: usize::MAX,
    names_per_message: usize::MAX,
    message_bytes: usize::MAX,
};

/// A row that grows in a full page splits it. So a row has room for what a second change adds, at most so much,
const RESERVE: usize = 20;
/// and keeps its length as long as that wastes no more than this; it fits the one byte that says how much is spare.
const SPARE: usize = 64;

/// A document as it is stored, and as it is shown: the same, unless something in it is parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Both<'d> {
    pub(crate) state: &'d Document,
    pub(crate) shown: &'d Document,
}

impl<'d> From<&'d Document> for Both<'d> {
    fn from(document: &'d Document) -> Self {
        Self { state: document, shown: document }
    }
}

/// The two columns of a document; kept to be filled again.
#[derive(Debug, Default)]
pub(crate) struct Row {
    data: String,
    /// The document is there; else `data` is NULL.
    visible: bool,
    meta: Vec<u8>,
}

impl Row {
    /// Takes over a document as its collection shows it. What the dictionary gains has to be stored with the row.
    /// `present` is the length of `meta` in the row that this one replaces.
    pub(crate) fn encode(
        &mut self,
        document: Both<'_>,
        collection: &Collection,
        dictionary: &mut Dictionary,
        present: Option<usize>,
    ) {
        self.data.clear();
        self.meta.clear();
        self.meta.push(0);
        let shown = MapView::of(document.shown, collection, &[]).to_value();
        self.visible = shown.is_some();
        if let Some(shown) = &shown {
            json::put(&mut self.data, shown);
        }
        encode_row(&mut self.meta, dictionary, document.state, &|path, payload| match (&shown, payload) {
            (Some(shown), Payload::Present(value)) => {
                find(shown, path).is_some_and(|there| there == value && json::reads_back(value))
            }
            _ => false,
        });
        let len = self.meta.len();
        let spare = match present.and_then(|present| present.checked_sub(len)) {
            Some(spare) if spare <= SPARE => spare,
            _ => len.min(RESERVE),
        };
        self.meta[0] = u8::try_from(spare).expect("at most SPARE");
        self.meta.resize(len + spare, 0);
    }

    /// The JSON of what the document shows.
    pub(crate) fn data(&self) -> Option<&str> {
        self.visible.then_some(&*self.data)
    }

    /// Everything else.
    pub(crate) fn meta(&self) -> &[u8] {
        &self.meta
    }
}

/// Reads a row.
pub(crate) fn decode(
    data: Option<&str>,
    meta: &[u8],
    dictionary: &mut Dictionary,
) -> Result<Document, DecodeError> {
    let (spare, cells) = meta.split_first().ok_or(DecodeError::Truncated("a row"))?;
    let len = cells.len().checked_sub((*spare).into()).ok_or(DecodeError::Truncated("a row"))?;
    let shown: OnceCell<Option<Value>> = OnceCell::new();
    decode_row(&cells[..len], dictionary, &LIMITS, &|path| {
        let shown = shown.get_or_init(|| data.and_then(json::read));
        find(shown.as_ref()?, path).cloned().map(Payload::Present)
    })
}

/// What is shown at a path, unless something on the way may read back as something else.
fn find<'v>(shown: &'v Value, path: &[Name]) -> Option<&'v Value> {
    path.iter().try_fold(shown, |value, name| match value {
        Value::Object(entries) if !json::looks_tagged(entries) => entries.get::<str>(name),
        _ => None,
    })
}
