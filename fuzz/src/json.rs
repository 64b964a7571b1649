//! The JSON of all public types: whatever is read is written and is read as the same again.

use std::fmt::Debug;

use crdt_core::resolve::{Object, Versioned};
use crdt_core::{
    Change, Document, DocumentId, Dot, Flag, GCounter, GSet, Hlc, LwwRegister, Map, MvRegister, OrSet,
    PNCounter, Payload, ReplicaId, Stamp, Value, VersionVector,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte says the type, the rest is the JSON.
pub fn json(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    match kind % 20 {
        0 => read::<Value>(text),
        1 => read::<Document>(text),
        2 => read::<Map>(text),
        3 => read::<GCounter>(text),
        4 => read::<PNCounter>(text),
        5 => read::<GSet<String>>(text),
        6 => read::<OrSet<Value>>(text),
        7 => read::<Flag>(text),
        8 => read::<LwwRegister<Payload>>(text),
        9 => read::<MvRegister<Value>>(text),
        10 => read::<Payload>(text),
        11 => read::<Change>(text),
        12 => read::<Stamp>(text),
        13 => read::<Hlc>(text),
        14 => read::<Dot>(text),
        15 => read::<VersionVector>(text),
        16 => read::<ReplicaId>(text),
        17 => read::<DocumentId>(text),
        18 => read::<Versioned<Value>>(text),
        _ => read::<Object>(text),
    }
}

fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(text) else { return };
    let again = serde_json::to_string(&read).expect("what was read is written");
    let back = serde_json::from_str::<T>(&again);
    assert_eq!(back.ok().as_ref(), Some(&read), "{again}");
    let once_more = serde_json::to_string(&read).expect("what was read is written");
    assert_eq!(once_more, again, "one state, one text");
}
