//! Every cell of the library in words, as the model says it.

use crdt_core::cells::{Base, Tally, Written};
use crdt_core::{CellRef, Name, Payload};

use crate::machine::describe;
use crate::words::Doc;

/// See [`describe`].
pub fn cell_in_words(doc: Doc, path: &[Name], cell: &CellRef<'_>) -> String {
    let marked = |live: bool, n: u64| format!("{} {n}", if live { "live" } else { "dead" });
    let held = |payload: &Payload| Some(payload.value().cloned());
    let (slot, order, content) = match cell {
        CellRef::Register(Written::Open { by, content }) => {
            ("register".into(), format!("written {}", by.counter), held(content))
        }
        CellRef::Register(Written::Closed { written, .. }) => {
            ("register".into(), format!("closed {} at {:?}", written.counter, written.stamp.hlc), None)
        }
        CellRef::Sibling(w, mark) => {
            let content = mark.live().and_then(|(_, payload)| held(payload));
            (format!("sibling of {w:?}"), marked(mark.is_live(), mark.n()), content)
        }
        CellRef::Element(element, w, mark) => {
            (format!("element {element:?} of {:?}", Some(w)), marked(mark.is_live(), mark.n()), None)
        }
        CellRef::Flag(w, mark) => (format!("flag of {w:?}"), marked(mark.is_live(), mark.n()), None),
        CellRef::Presence(w, mark) => (format!("presence of {w:?}"), marked(mark.is_live(), mark.n()), None),
        CellRef::Deletion(w, mark) => (format!("deletion of {w:?}"), marked(mark.is_live(), mark.n()), None),
        CellRef::Tally(w, Tally { by, p, m }) => {
            (format!("tally of {w:?}"), format!("counted {} +{p} -{m}", by.counter), None)
        }
        CellRef::Base(w, Base { n, p, m, .. }) => {
            (format!("base of {w:?}"), format!("counted {n} +{p} -{m}"), None)
        }
    };
    let (by, content) = (cell.set_by(), content.as_ref());
    describe(format_args!("{doc} {path:?} {slot}"), order, (by.stamp, by.counter), content)
}
