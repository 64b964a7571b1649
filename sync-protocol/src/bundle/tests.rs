//! Bundles that a member made up: every check is right, and yet nothing fits.

use crdt_core::codec::{Dictionary, encode_batch};
use crdt_core::{
    DocumentId, Dot, Durability, Fingerprint, Head, Life, MemoryStore, Namespace, Replica, ReplicaId,
    TransactionError, VersionVector,
};

use super::format::{Base, End, Header};
use super::frames::{FrameWriter, Kind};
use super::{ImportError, import};
use crate::under_miri::or_under_miri;

fn namespace() -> Namespace {
    Namespace::from_secret("test")
}

fn replica(number: u64) -> Replica<MemoryStore> {
    let mut replica =
        Replica::new(MemoryStore::new(Head::new(namespace(), ReplicaId::from_u64(number), Life(number))));
    replica
        .commit(0, Durability::Visible, |tx| {
            tx.document("tasks", DocumentId::from_u64(number))?.set("title", "something")?;
            Ok::<_, TransactionError>(())
        })
        .unwrap();
    replica
}

fn header(base: Base) -> Vec<u8> {
    let (replica, life, namespace) = (ReplicaId::from_u64(1), Life(1), *namespace().id());
    Header {
        namespace,
        replica,
        life,
        written_ms: 0,
        trail: crdt_core::Trail::default(),
        base,
        acks: Vec::new(),
    }
    .encode()
}

fn end(frames: u64, sequence: u64, context: Vec<Dot>) -> Vec<u8> {
    End { frames, sequence, root: Fingerprint::EMPTY, context }.encode()
}

fn cells() -> Vec<u8> {
    let everything = replica(1).difference(&VersionVector::new(), None, 10).unwrap().documents;
    let mut body = Vec::new();
    encode_batch(&mut body, &mut Dictionary::new(), everything.iter().map(|(at, document)| (at, document)));
    body
}

fn sealed(frames: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = FrameWriter::new(&mut file, &namespace()).unwrap();
    for (kind, body) in frames {
        writer.write(*kind, body).unwrap();
    }
    writer.finish().unwrap();
    file
}

#[test]
fn what_is_sealed_and_contradicts_itself_is_refused_and_nothing_is_changed() {
    let anyone = || (Kind::Header, header(Base::Seen(Vec::new())));
    let after = |sequence| (Kind::Header, header(Base::Position(sequence)));
    let some = || (Kind::Cells, cells());
    let done = |frames, sequence| (Kind::End, end(frames, sequence, Vec::new()));
    let mut cut = cells();
    cut.truncate(cut.len() - 1);
    let cases = [
        vec![],
        vec![anyone()],
        vec![some(), done(1, 1)],
        vec![done(0, 1)],
        vec![anyone(), anyone(), done(0, 1)],
        vec![anyone(), done(1, 1)],
        vec![anyone(), some(), done(0, 1)],
        vec![anyone(), some(), done(1, 1), done(1, 1)],
        vec![after(5), some(), done(1, 4)],
        vec![anyone(), (Kind::Cells, cut), done(1, 1)],
        vec![anyone(), (Kind::Cells, Vec::new()), done(1, 1)],
        // Its dictionary goes on, and so it cannot announce the same document again.
        vec![anyone(), some(), (Kind::Cells, [&[2][..], &cells()[1..]].concat()), done(2, 1)],
        vec![anyone(), some(), (Kind::End, vec![1])],
        vec![(Kind::Header, vec![7; 40]), done(0, 1)],
    ];
    let mut b = replica(2);
    for (number, case) in cases.iter().enumerate().step_by(or_under_miri(1, 4)) {
        let before = (b.canonical_bytes().unwrap(), b.head().unwrap(), b.seen().unwrap());
        let error = import(&mut b, sealed(case).as_slice()).unwrap_err();
        assert!(!matches!(error, ImportError::Io(_) | ImportError::Store(_)), "case {number}: {error:?}");
        assert_eq!((b.canonical_bytes().unwrap(), b.head().unwrap(), b.seen().unwrap()), before);
        assert_eq!(b.peers().unwrap(), []);
    }
    // The test knows how to make a good one.
    let good = sealed(&[anyone(), some(), (Kind::End, end(1, 1, vec![Dot::new(ReplicaId::from_u64(1), 1)]))]);
    assert_eq!(import(&mut b, good.as_slice()).unwrap().missing, None);
    assert_eq!(b.seen().unwrap().get(ReplicaId::from_u64(1)), 1);
}
