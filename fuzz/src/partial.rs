//! The messages of sides that hold a part of the namespace, or nothing of it yet: their layouts as `PROTOCOL.md` has
//! them, and what an adversary makes of them. Of an input that has ended (zeros) it makes what an honest peer might say.

use crdt_core::codec::{Dictionary, put_bytes, put_unsigned};
use crdt_core::{DocumentId, Head, Progress, Scanned, Scope};

use super::audit::{Memory, documents};
use super::decoders::encode;
use super::forged::near;
use super::hostile::{self, COLLECTIONS};
use super::input::Input;
use super::wire::kind;

/// The body of a Scope. The scopes are given as bytes, so that they need not be right.
pub fn scope_told(scope: &[u8], vouched: &[u8], loading: u8, known: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![kind::SCOPE];
    put_bytes(&mut body, scope);
    put_bytes(&mut body, vouched);
    body.push(loading);
    if let Some(known) = known {
        put_bytes(&mut body, known);
    }
    body
}

/// The body of a Load.
pub fn load(resume: Option<&Progress>) -> Vec<u8> {
    let mut body = vec![kind::LOAD];
    if let Some(progress) = resume {
        put_progress(&mut body, progress);
    }
    body
}

/// The body of a Part.
pub fn part(of: u64, progress: &Progress, batch: &[u8]) -> Vec<u8> {
    let mut body = vec![kind::PART];
    put_unsigned(&mut body, of);
    put_progress(&mut body, progress);
    body.extend_from_slice(batch);
    body
}

fn put_progress(out: &mut Vec<u8>, progress: &Progress) {
    put_unsigned(out, progress.sequence);
    match &progress.scanned {
        Scanned::Nothing => out.push(0),
        Scanned::Through(address) => {
            out.push(1);
            put_bytes(out, address.collection.as_bytes());
            out.extend_from_slice(address.id.as_bytes());
        }
        Scanned::Everything => out.push(2),
    }
}

/// Any part of what there may be.
pub fn any_scope(input: &mut Input<'_>) -> Scope {
    let pieces = match input.below(8) {
        0 => return Scope::everything(),
        1 => return Scope::nothing(),
        2 => return Scope::nothing().collection("tasks"),
        more => more - 2,
    };
    (0..pieces).fold(Scope::nothing(), |scope, _| {
        let collection = COLLECTIONS[input.below(COLLECTIONS.len())];
        let [first, last] = [(); 2].map(|()| DocumentId::from_u64(1 + input.below(3) as u64));
        match input.below(4) {
            0 => scope.collection(collection),
            1 => scope.documents(collection, [first]),
            2 => scope.range(collection, first, last),
            _ => scope.prefix(collection, &first.as_bytes()[..input.below(17)]),
        }
    })
}

/// What somebody says to hold.
pub fn forged_scope(input: &mut Input<'_>) -> Vec<u8> {
    let scope = any_scope(input);
    let vouched = match input.below(4) {
        0 => scope.clone(),
        1 => Scope::everything(),
        2 => Scope::nothing(),
        _ => any_scope(input),
    };
    let known = match input.below(4) {
        0 | 1 => None,
        2 => Some(scope.clone()),
        _ => Some(any_scope(input)),
    };
    let (mut scope, known) = (scope.encode(), known.map(|known| known.encode()));
    if input.below(8) == 7 {
        hostile::damage(&mut scope, &[], input);
    }
    scope_told(&scope, &vouched.encode(), input.byte() % 3, known.as_deref())
}

/// How far somebody has come with what is read from a change order with this head.
fn any_progress(input: &mut Input<'_>, head: &Head) -> Progress {
    let sequence = near(input, head.sequence);
    let scanned = match input.below(4) {
        0 => Scanned::Nothing,
        1 | 2 => Scanned::Through(hostile::address(input)),
        _ => Scanned::Everything,
    };
    Progress { sequence, scanned }
}

/// Somebody asks for a first sync, or to go on with one.
pub fn forged_load(input: &mut Input<'_>, victim: &Head) -> Vec<u8> {
    let resume = input.flag().then(|| any_progress(input, victim));
    load(resume.as_ref())
}

/// Somebody's documents as a part of a first sync, or cells that nobody wrote; and anything said of the progress.
pub fn forged_part(input: &mut Input<'_>, peer: &mut Memory) -> Vec<u8> {
    let head = peer.head().expect("memory");
    let (of, progress) = (input.number(), any_progress(input, &head));
    let batch = match input.below(4) {
        choice @ (0 | 1) => {
            let mut all = documents(peer);
            all.retain(|(_, document)| !document.is_empty());
            if choice == 1 && !all.is_empty() {
                all = vec![all.swap_remove(input.below(all.len()))];
            }
            encode(&mut Dictionary::new(), &all)
        }
        _ => hostile::batch(input),
    };
    part(of, &progress, &batch)
}
