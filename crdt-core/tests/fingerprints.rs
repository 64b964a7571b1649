//! Fingerprints are what PROTOCOL.md says, and every part of a cell is in them: a part that was left out would let two
//! replicas differ in it for ever under equal roots.
#![allow(missing_docs)]

#[path = "tries/under_miri.rs"]
mod under_miri;

use core::hash::Hasher as _;
use std::collections::BTreeMap;

use crdt_core::cells::{Base, Mark, Tally, Written};
use crdt_core::{
    Address, Cell, Change, Document, DocumentId, Fingerprint, Fingerprints, Hlc, Name, Namespace, Path,
    Payload, ReplicaId, Stamp, Value,
};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use under_miri::or_under_miri;

fn namespace() -> Namespace {
    Namespace::from_parts([1; 16], [2; 16])
}

fn address() -> Address {
    Address::new("tasks", DocumentId::from_u64(7))
}

fn path(names: &[&str]) -> Path {
    names.iter().map(|name| Name::from(*name)).collect()
}

fn change(epoch: u32, hlc: u64, replica: u64, counter: u64) -> Change {
    let stamp = Stamp { epoch, hlc: Hlc::from_bits(hlc), replica: ReplicaId::from_u64(replica) };
    Change { stamp, counter }
}

fn fingerprint(namespace: &Namespace, address: &Address, path: &Path, cell: Cell) -> Fingerprint {
    let mut document = Document::new();
    document.merge_cell(path, cell);
    let mut found = Vec::new();
    document.visit(&mut |path, cell| found.push(Fingerprints::new(namespace, address).of(path, &cell)));
    assert_eq!(found.len(), 1, "one cell");
    assert_eq!(document.fingerprint(namespace, address), found[0]);
    found[0]
}

/// What a fingerprint is over, put together as PROTOCOL.md has it.
struct Expected(Vec<u8>);

impl Expected {
    fn new(path: &[&str], kind: u8) -> Self {
        let mut all = Self(Vec::new());
        all.text("tasks").bytes(DocumentId::from_u64(7).as_bytes()).number(path.len() as u64);
        for name in path {
            all.text(name);
        }
        all.0.push(kind);
        all
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    fn replica(&mut self, replica: u64) -> &mut Self {
        self.bytes(ReplicaId::from_u64(replica).as_bytes())
    }

    fn change(&mut self, epoch: u32, hlc: u64, replica: u64, counter: u64) -> &mut Self {
        self.bytes(&epoch.to_le_bytes()).number(hlc).replica(replica).number(counter)
    }

    #[track_caller]
    fn is(&self, cell: Cell, path: &[&str]) {
        let mut hasher = SipHasher24::new_with_key(&[2; 16]);
        hasher.write(&self.0);
        let expected = Fingerprint(hasher.finish128().as_u128());
        assert_eq!(fingerprint(&namespace(), &address(), &self::path(path), cell), expected);
    }
}

#[test]
fn fingerprints_are_as_the_protocol_says() {
    let by = change(3, 5 << 16, 9, 4);
    let live = || Mark::Live { by, content: () };
    let dead = || Mark::Dead { n: 6, by };

    let open = Cell::Register(Written::Open { by, content: Payload::from("x") });
    // A short text is its length and its bytes.
    Expected::new(&["a", "bc"], 0).change(3, 5 << 16, 9, 4).bytes(&[0, 0, 0x81, b'x']).is(open, &["a", "bc"]);
    let closed = Cell::Register(Written::Closed { written: change(1, 2, 8, 3), by });
    let mut expected = Expected::new(&["a"], 0);
    expected.change(1, 2, 8, 3).bytes(&[1]).change(3, 5 << 16, 9, 4).is(closed, &["a"]);

    let sibling = Cell::Sibling(by.replica(), Mark::Live { by, content: Payload::from(1) });
    let mut expected = Expected::new(&["a"], 1);
    expected.replica(9).number(4).bytes(&[0]).change(3, 5 << 16, 9, 4).bytes(&[0, 0x41]).is(sibling, &["a"]);
    let element = Cell::Element(Value::from("e"), ReplicaId::from_u64(8), dead());
    let mut expected = Expected::new(&["a"], 2);
    expected
        .replica(8)
        .number(6)
        .bytes(&[1])
        .change(3, 5 << 16, 9, 4)
        .bytes(&[0x81, b'e'])
        .is(element, &["a"]);

    for (kind, cell) in [
        (3, Cell::Flag(by.replica(), live())),
        (6, Cell::Presence(by.replica(), live())),
        (7, Cell::Deletion(by.replica(), live())),
    ] {
        let path: &[&str] = if kind == 7 { &[] } else { &["m"] };
        let mut expected = Expected::new(path, kind);
        expected.replica(9).number(4).bytes(&[0]).change(3, 5 << 16, 9, 4).is(cell, path);
    }

    let tally = Cell::Tally(by.replica(), Tally { by, p: 10, m: 11 });
    let mut expected = Expected::new(&["a"], 4);
    expected.replica(9).change(3, 5 << 16, 9, 4).number(10).number(11).is(tally, &["a"]);
    let base = Cell::Base(ReplicaId::from_u64(8), Base { n: 2, p: 10, m: 11, by });
    let mut expected = Expected::new(&["a"], 5);
    expected.replica(8).number(2).number(10).number(11).change(3, 5 << 16, 9, 4).is(base, &["a"]);
}

/// Cells that differ from each other in one part, or a few.
fn different_cells() -> Vec<Cell> {
    let changes =
        [change(0, 1, 9, 1), change(1, 1, 9, 1), change(0, 2, 9, 1), change(0, 1, 8, 1), change(0, 1, 9, 2)];
    let mut cells = Vec::new();
    for by in changes.into_iter().take(or_under_miri(5, 1)) {
        let (w, other) = (by.replica(), ReplicaId::from_u64(7));
        for content in [Payload::Absent, Payload::from("x"), Payload::from("x".repeat(40)), "y".into()] {
            cells.push(Cell::Register(Written::Open { by, content: content.clone() }));
            cells.push(Cell::Sibling(w, Mark::Live { by, content }));
        }
        for written in changes {
            cells.push(Cell::Register(Written::Closed { written, by }));
        }
        for mark in [Mark::Dead { n: 1, by }, Mark::Dead { n: 2, by }] {
            cells.extend([w, other].map(|w| Cell::Flag(w, mark.clone())));
            cells.extend([w, other].map(|w| Cell::Element("e".into(), w, mark.clone())));
        }
        for element in ["e", "f"] {
            cells.push(Cell::Element(element.into(), w, Mark::Live { by, content: () }));
        }
        for (p, m) in [(0, 0), (1, 0), (0, 1)] {
            cells.push(Cell::Tally(w, Tally { by, p, m }));
            cells.extend([1, 2].map(|n| Cell::Base(other, Base { n, p, m, by })));
        }
        cells.push(Cell::Flag(w, Mark::Live { by, content: () }));
        cells.push(Cell::Presence(w, Mark::Live { by, content: () }));
    }
    cells
}

#[test]
fn every_part_of_a_cell_and_of_its_key_is_in_its_fingerprint() {
    let mut seen = BTreeMap::new();
    for cell in different_cells() {
        for names in [&["a"][..], &["b"], &["a", "b"], &["ab"]].into_iter().take(or_under_miri(4, 1)) {
            let found = fingerprint(&namespace(), &address(), &path(names), cell.clone());
            let before = seen.insert(found, format!("{names:?} {cell:?}"));
            assert_eq!(before, None, "{names:?} {cell:?}");
        }
    }
    let (cell, names) = (&different_cells()[0], path(&["a"]));
    for address in [
        Address::new("task", DocumentId::from_u64(7)),
        Address::new("tasks", DocumentId::from_u64(8)),
        Address::new("", DocumentId::from_u64(7)),
    ] {
        let found = fingerprint(&namespace(), &address, &names, cell.clone());
        assert_eq!(seen.insert(found, format!("{address:?}")), None);
    }
    let other_key = Namespace::from_parts([1; 16], [3; 16]);
    assert!(!seen.contains_key(&fingerprint(&other_key, &address(), &names, cell.clone())));
}

/// The fingerprint of an address is over what is before the number of names, and says where its sums are.
#[test]
fn an_address_has_a_fingerprint_of_its_own() {
    let of = |address: &Address| Fingerprints::new(&namespace(), address).of_address();
    let mut hasher = SipHasher24::new_with_key(&[2; 16]);
    hasher.write(&[&5u64.to_le_bytes()[..], b"tasks", DocumentId::from_u64(7).as_bytes()].concat());
    assert_eq!(of(&address()), Fingerprint(hasher.finish128().as_u128()));
    assert_ne!(of(&address()), of(&Address::new("tasks", DocumentId::from_u64(8))));
}

/// Two replicas of different versions have to come to the same, so it is said here, not only compared with itself.
#[test]
fn a_value_stands_for_itself_when_it_is_short_and_for_its_hash_when_it_is_long() {
    use crdt_core::{Payload, Value, codec::put_payload};
    use sha2::{Digest as _, Sha256};
    for len in 0..40 {
        let payload = Payload::Present(Value::from("x".repeat(len)));
        let mut bytes = Vec::new();
        put_payload(&mut bytes, &payload);
        let short = [&[0][..], &bytes].concat();
        let long = [&[1][..], &Sha256::digest(&bytes)].concat();
        let mut digest = b"after something".to_vec();
        payload.put_digest(&mut digest);
        assert_eq!(&digest[15..], if bytes.len() <= 32 { &short } else { &long }, "{} bytes", bytes.len());
    }
}
