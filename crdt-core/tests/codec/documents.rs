//! Random states of documents: such as replicas reach by editing, and such as only a hostile or forked peer sends.

use crdt_core::cells::{Base, Mark, Tally, Written};
use crdt_core::laws::Subject;
use crdt_core::{
    Cell, CellKind, Change, Clock, Document, Hlc, Lattice as _, Name, Path, Payload, ReplicaId, Stamp, Value,
};
use quickcheck::Arbitrary;

use crate::seeds::Random;
use crate::subjects::{Documents, DocumentsWhereDeletesWin};

type Edits = <Documents as Subject>::Operation;

/// What two or three replicas make of one document, some of it exchanged. Two of them may write under one id.
pub fn reachable(random: &mut Random) -> Document {
    let forked = random.below(4) == 0;
    let mut replicas: Vec<(Document, Clock)> = (0..3)
        .map(|index| (Document::new(), Clock::new(ReplicaId::from_u64(if forked { 1 } else { index + 1 }))))
        .collect();
    let deletes_win = random.below(2) == 0;
    for _ in 0..random.below(12) {
        let (at, from) = (random.below(3), random.below(3));
        if random.below(3) == 0 {
            let theirs = replicas[from].0.clone();
            replicas[at].0.merge(theirs);
            continue;
        }
        let now_ms = random.one_of(&[0, 1, 9, 1_790_000_000_000]);
        let edits = Edits::arbitrary(&mut random.generator());
        let (document, clock) = &mut replicas[at];
        let change = clock.tick(now_ms).expect("a history is short");
        if deletes_win {
            DocumentsWhereDeletesWin::mutate(document, &edits, change);
        } else {
            Documents::mutate(document, &edits, change);
        }
    }
    let mut all = Document::new();
    replicas.into_iter().take(1 + random.below(3)).for_each(|(document, _)| {
        all.merge(document);
    });
    all
}

/// Any cells at any paths, beyond all that an edit makes.
pub fn hostile_cells(random: &mut Random) -> Vec<(Path, Cell)> {
    (0..random.below(40)).map(|_| hostile_cell(random)).collect()
}

/// A document of these cells.
pub fn of_cells(cells: &[(Path, Cell)]) -> Document {
    let mut document = Document::new();
    for (path, cell) in cells {
        document.merge_cell(path, cell.clone());
    }
    document
}

/// Either of the two.
pub fn any_document(random: &mut Random) -> Document {
    if random.below(2) == 0 { reachable(random) } else { of_cells(&hostile_cells(random)) }
}

fn hostile_cell(random: &mut Random) -> (Path, Cell) {
    let (by, other) = (change(random), change(random));
    let (n, p, m) = (number(random).max(1), number(random), number(random));
    let gone = random.below(2) == 0;
    // The key of a live mark or tally names its change's replica; that of a dead mark or a base anyone's.
    let (own, victim) = (by.replica(), other.replica());
    let mark = || if gone { (victim, Mark::Dead { n, by }) } else { (own, Mark::Live { by, content: () }) };
    let cell = match random.one_of(&CellKind::ALL) {
        CellKind::Register if gone => Cell::Register(Written::Closed { written: other, by }),
        CellKind::Register => Cell::Register(Written::Open { by, content: payload(random) }),
        CellKind::Sibling if gone => Cell::Sibling(victim, Mark::Dead { n, by }),
        CellKind::Sibling => Cell::Sibling(own, Mark::Live { by, content: payload(random) }),
        CellKind::Element => {
            let (w, mark) = mark();
            Cell::Element(value(random, 3), w, mark)
        }
        CellKind::Flag => Cell::Flag(mark().0, mark().1),
        CellKind::Tally => Cell::Tally(own, Tally { by, p, m }),
        CellKind::Base => Cell::Base(victim, Base { n, p, m, by }),
        CellKind::Presence => Cell::Presence(mark().0, mark().1),
        CellKind::Deletion => Cell::Deletion(mark().0, mark().1),
    };
    let shortest = match cell {
        Cell::Deletion(..) => return (Path::new(), cell),
        Cell::Presence(..) => 0,
        _ => 1,
    };
    let path = (0..shortest + random.below(3)).map(|_| name(random)).collect();
    (path, cell)
}

fn name(random: &mut Random) -> Name {
    let long = "n".repeat(1024);
    random.one_of(&["a", "a", "b", "b", "", "ä", &long]).into()
}

/// Out of so few that equal dots with different stamps are common, and with the ends of every range.
fn change(random: &mut Random) -> Change {
    let replica = ReplicaId::from_u64(random.one_of(&[1, 1, 2, 3]));
    let epoch = random.one_of(&[0, 0, 1, u32::MAX]);
    let hlc = random.one_of(&[0, 1, 0xffff, 0x1_0000, 1_790_000_000_000 << 16, u64::MAX]);
    Change { stamp: Stamp { epoch, hlc: Hlc::from_bits(hlc), replica }, counter: number(random).max(1) }
}

fn number(random: &mut Random) -> u64 {
    random.one_of(&[0, 1, 2, 3, 127, 128, u64::MAX - 1, u64::MAX])
}

fn payload(random: &mut Random) -> Payload {
    if random.below(5) == 0 { Payload::Absent } else { Payload::Present(value(random, 3)) }
}

/// Any value, with the ends of every range of its encoding.
pub fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => Value::from(random.below(2) == 0),
        2 => Value::from(random.one_of(&[0, 1, 63, 64, -1, i64::MIN, i64::MAX])),
        3 => Value::from(random.one_of(&[0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE])),
        4 => Value::Timestamp(random.one_of(&[0, -1, i64::MIN, i64::MAX])),
        5 => Value::from("é".repeat(random.one_of(&[0, 1, 16, 63, 64, 100]))),
        6 => Value::from(vec![random.byte(); random.one_of(&[0, 1, 40])]),
        7 => (0..random.below(4)).map(|_| value(random, depth - 1)).collect::<Vec<_>>().into(),
        _ => Value::from(
            (0..random.below(4))
                .map(|_| (random.one_of(&["", "k", "l", "$ref"]).into(), value(random, depth - 1)))
                .collect::<std::collections::BTreeMap<String, Value>>(),
        ),
    }
}

/// The flag cell of one writer.
pub fn flag(writer: u64) -> Cell {
    let replica = ReplicaId::from_u64(writer);
    let by = Change { stamp: Stamp { epoch: 0, hlc: Hlc::from_ms(1), replica }, counter: 1 };
    Cell::Flag(replica, Mark::Live { by, content: () })
}

/// The presence cell of one writer.
pub fn presence(writer: u64) -> Cell {
    let replica = ReplicaId::from_u64(writer);
    let by = Change { stamp: Stamp { epoch: 0, hlc: Hlc::from_ms(1), replica }, counter: 1 };
    Cell::Presence(replica, Mark::Live { by, content: () })
}
