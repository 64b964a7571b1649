//! [`Scope`]: the part of a namespace that a replica subscribes to.

use alloc::vec::Vec;
use core::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use crate::codec::{DecodeError, Reader, put_bytes, put_unsigned};
use crate::document::{Address, DocumentId};
use crate::limits::{LimitExceeded, Limits};
use crate::name::Name;
use crate::small_map::SmallMap;

/// The part of a namespace that a replica subscribes to: whole collections, and of others the documents whose ids lie in
/// ranges. Both ends of a session can tell from an address alone whether it is in it.
///
/// ```
/// use crdt_core::{Address, DocumentId, Scope};
///
/// let mine = DocumentId::from_u64(7);
/// let scope = Scope::nothing().collection("settings").documents("projects", [mine]);
/// assert!(scope.contains(&Address::new("settings", DocumentId::from_u64(1))));
/// assert!(scope.contains(&Address::new("projects", mine)));
/// assert!(!scope.contains(&Address::new("projects", DocumentId::from_u64(8))));
/// assert!(Scope::everything().includes(&scope));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `None`: all there is. Of each collection, ranges of ids that neither overlap nor touch, ascending, at least one.
    collections: Option<SmallMap<Name, Vec<Range>>>,
}

/// From the first id to the last, both within.
type Range = (u128, u128);

const WHOLE: Range = (0, u128::MAX);

impl Scope {
    /// Bytes that an encoded scope may have.
    pub const MAX_BYTES: usize = 64 << 10;

    /// The whole namespace.
    pub const fn everything() -> Self {
        Self { collections: None }
    }

    /// None of it: to add to.
    pub fn nothing() -> Self {
        Self { collections: Some(SmallMap::new()) }
    }

    /// Adds a whole collection.
    pub fn collection(self, name: impl Into<Name>) -> Self {
        self.with(&name.into(), WHOLE)
    }

    /// Adds documents of a collection.
    pub fn documents(
        mut self,
        collection: impl Into<Name>,
        ids: impl IntoIterator<Item = DocumentId>,
    ) -> Self {
        let name = collection.into();
        for id in ids {
            self = self.with(&name, (number(id), number(id)));
        }
        self
    }

    /// Adds the documents of a collection from one id to another, both within. Nothing when the last comes before the first.
    pub fn range(self, collection: impl Into<Name>, first: DocumentId, last: DocumentId) -> Self {
        self.with(&collection.into(), (number(first), number(last)))
    }

    /// Adds the documents of a collection whose ids begin with these bytes; of more than 16, the first 16 count.
    pub fn prefix(self, collection: impl Into<Name>, bytes: &[u8]) -> Self {
        let (mut first, mut last) = ([0; 16], [u8::MAX; 16]);
        for (at, byte) in bytes.iter().take(16).enumerate() {
            (first[at], last[at]) = (*byte, *byte);
        }
        self.with(&collection.into(), (u128::from_be_bytes(first), u128::from_be_bytes(last)))
    }

    fn with(mut self, name: &Name, added: Range) -> Self {
        if let Some(collections) = &mut self.collections
            && added.0 <= added.1
        {
            insert(collections.or_default(name), added);
        }
        self
    }

    /// Whether it is the whole namespace.
    pub const fn is_everything(&self) -> bool {
        self.collections.is_none()
    }

    /// Whether nothing is in it.
    pub fn is_nothing(&self) -> bool {
        self.collections.as_ref().is_some_and(SmallMap::is_empty)
    }

    /// Whether a document is in it.
    pub fn contains(&self, address: &Address) -> bool {
        let Some(collections) = &self.collections else { return true };
        let id = number(address.id);
        let ranges = collections.get(&address.collection).map_or(&[][..], Vec::as_slice);
        let at = ranges.partition_point(|(_, last)| *last < id);
        ranges.get(at).is_some_and(|(first, _)| *first <= id)
    }

    /// Whether everything that is in another scope is in this one.
    pub fn includes(&self, other: &Self) -> bool {
        self.intersection(other) == *other
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        let (Some(ours), Some(theirs)) = (&self.collections, &other.collections) else {
            return if self.is_everything() { other.clone() } else { self.clone() };
        };
        let mut both = SmallMap::new();
        for (name, ranges) in ours.iter() {
            let common = theirs.get(name).map_or_else(Vec::new, |theirs| overlaps(ranges, theirs));
            if !common.is_empty() {
                both.insert(name.clone(), common);
            }
        }
        Self { collections: Some(both) }
    }

    /// Its bytes: equal scopes have equal bytes. Nothing at all stands for everything.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(collections) = &self.collections else { return out };
        put_unsigned(&mut out, collections.len() as u64);
        for (name, ranges) in collections.iter() {
            put_bytes(&mut out, name.as_bytes());
            put_unsigned(&mut out, ranges.len() as u64);
            for (first, last) in ranges {
                // Single documents are what is listed most often.
                out.push((first == last).into());
                out.extend_from_slice(&first.to_be_bytes());
                if first != last {
                    out.extend_from_slice(&last.to_be_bytes());
                }
            }
        }
        out
    }

    /// Reads its bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for what [`Scope::encode`] does not give, and beyond [`Scope::MAX_BYTES`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        LimitExceeded::check("bytes of a scope", bytes.len(), Self::MAX_BYTES)?;
        if bytes.is_empty() {
            return Ok(Self::everything());
        }
        let mut reader = Reader::new(bytes);
        let mut scope = Self::nothing();
        for _ in 0..reader.count("collections of a scope")? {
            let name = Name::from(reader.text("a collection name", Limits::DEFAULT.name_bytes)?);
            for _ in 0..reader.count("ranges of a scope")? {
                let single = reader.byte("a range")? == 1;
                let first = u128::from_be_bytes(reader.array("a document id")?);
                let last = if single { first } else { u128::from_be_bytes(reader.array("a document id")?) };
                scope = scope.with(&name, (first, last));
            }
        }
        reader.finish()?;
        // Whatever was out of order, overlapped or said nothing is written otherwise.
        if scope.encode() == bytes { Ok(scope) } else { Err(DecodeError::Invalid("a scope")) }
    }

    /// Names it together with what a peer lets it read, as that peer numbers it: 0 for everything that there is.
    pub(crate) fn number(&self, rights: u64) -> u64 {
        if self.is_everything() {
            return rights;
        }
        let mut hash = SipHasher24::new();
        hash.write_u64(rights.to_le());
        hash.write(&self.encode());
        hash.finish().max(1)
    }
}

fn number(id: DocumentId) -> u128 {
    u128::from_be_bytes(*id.as_bytes())
}

/// Adds a range, and joins it with those that it overlaps or touches.
fn insert(ranges: &mut Vec<Range>, (mut first, mut last): Range) {
    let touches = |of: &Range, first: u128, last: u128| {
        of.0 <= last.saturating_add(1) && first <= of.1.saturating_add(1)
    };
    let from = ranges.partition_point(|of| of.1 < first && !touches(of, first, last));
    let mut to = from;
    while let Some(of) = ranges.get(to).filter(|of| touches(of, first, last)) {
        (first, last) = (first.min(of.0), last.max(of.1));
        to += 1;
    }
    ranges.splice(from..to, [(first, last)]);
}

/// What lies in both of two lists of ranges. One walk along both: a peer may list thousands.
fn overlaps(ours: &[Range], theirs: &[Range]) -> Vec<Range> {
    let (mut both, mut here, mut there) = (Vec::new(), 0, 0);
    while let (Some(our), Some(their)) = (ours.get(here), theirs.get(there)) {
        let (first, last) = (our.0.max(their.0), our.1.min(their.1));
        if first <= last {
            both.push((first, last));
        }
        // The one that ends first overlaps nothing that comes.
        if our.1 < their.1 { here += 1 } else { there += 1 }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tries::or_under_miri;

    fn id(number: u64) -> DocumentId {
        DocumentId::from_bytes(u128::from(number).to_be_bytes())
    }

    #[test]
    fn equal_parts_are_equal_scopes() {
        let listed = Scope::nothing().documents("a", [3, 1, 2, 7].map(id)).collection("b");
        let ranges = Scope::nothing().collection("b").range("a", id(7), id(7)).range("a", id(1), id(3));
        assert_eq!(listed, ranges);
        assert_eq!(listed.encode(), ranges.encode());
        assert_eq!(Scope::decode(&listed.encode()), Ok(listed.clone()));
        assert_eq!(listed.number(5), ranges.number(5));
        assert_ne!(listed.number(5), listed.number(6));
        assert_eq!(Scope::everything().number(5), 5);
        assert_eq!(Scope::nothing().range("a", id(4), id(3)), Scope::nothing());
        assert_eq!(Scope::nothing().prefix("a", &[]), Scope::nothing().collection("a"));
        assert_eq!(Scope::everything().collection("a"), Scope::everything());
    }

    #[test]
    fn membership_follows_the_operations() {
        // Every small set of ids against every other.
        let scope = |set: u32| {
            let ids = (0..6u32).filter(|bit| set >> bit & 1 == 1).map(|bit| id(u64::from(bit)));
            Scope::nothing().documents("a", ids)
        };
        for one in (0..64).step_by(or_under_miri(1, 9)) {
            let ours = scope(one);
            assert_eq!(Scope::decode(&ours.encode()).as_ref(), Ok(&ours));
            for bit in 0..6 {
                assert_eq!(ours.contains(&Address::new("a", id(bit))), one >> bit & 1 == 1);
                assert!(!ours.contains(&Address::new("b", id(bit))));
            }
            for other in 0..64 {
                let theirs = scope(other);
                assert_eq!(ours.intersection(&theirs), scope(one & other));
                assert_eq!(ours.includes(&theirs), one & other == other);
            }
            assert!(Scope::everything().includes(&ours) && !ours.includes(&Scope::everything()));
            assert_eq!(Scope::everything().intersection(&ours), ours);
        }
    }

    /// As many ranges as fit: to look at every pair of them would take seconds, for every message of a session.
    #[test]
    fn scopes_of_many_ranges_are_compared_in_one_walk() {
        let shared = or_under_miri(1_000, 50);
        let listed = |step: u64| (0..3 * shared).map(move |number| id(number * step));
        let (ours, theirs) =
            (Scope::nothing().documents("a", listed(2)), Scope::nothing().documents("a", listed(3)));
        assert!(ours.encode().len() <= Scope::MAX_BYTES);
        let both = Scope::nothing().documents("a", (0..shared).map(|number| id(number * 6)));
        for _ in 0..or_under_miri(300, 1) {
            assert_eq!(ours.intersection(&theirs), both);
            assert!(ours.includes(&both) && !both.includes(&ours));
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let scope = Scope::nothing().documents("a", [1, 2, 9].map(id)).collection("b");
        let bytes = scope.encode();
        for cut in 1..bytes.len() {
            assert_ne!(Scope::decode(&bytes[..cut]).as_ref(), Ok(&scope));
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            if let Ok(read) = Scope::decode(&bad) {
                assert_eq!(read.encode(), bad, "canonical");
            }
        }
        assert!(Scope::decode(&alloc::vec![0; Scope::MAX_BYTES + 1]).is_err());
    }
}
