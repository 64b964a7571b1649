//! [`ReplicaStatus`]: how far everybody is, and what is wrong if something is.

use alloc::vec::Vec;

use super::contact::{self, Contact, Present, Roots, SessionEnd};
use super::marks::Marks;
use super::renewals::{self, Renewal};
use super::{Replica, transact};
use crate::ReplicaId;
use crate::refusal::Refusal;
use crate::small_map::SmallMap;
use crate::store::{Access, Durability, Head, Life, PeerRecord, Store, StoreError};

/// How a replica and its peers are getting on; see [`Replica::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Under which id it writes.
    pub replica: ReplicaId,
    /// Its life.
    pub life: Life,
    /// Own transactions that no peer has said to keep: if this device is lost now, so are they. Peers that forget when their
    /// process ends do not count.
    pub pending: u64,
    /// Everybody it has had to do with under this id, in the order of lives.
    pub peers: Vec<PeerStatus>,
    /// The last times that it went on under another id because the file had been copied, restored or rolled back.
    pub renewals: Vec<Renewal>,
    /// Changes that are hidden until something allows them, of whoever.
    pub parked: u64,
    /// Places where they hide something: documents, counted once for each of these changes.
    pub withheld: u64,
}

impl ReplicaStatus {
    /// Increments that had left before a fork was noticed may be counted twice or not at all.
    pub fn may_be_miscounted(&self) -> bool {
        self.renewals.iter().any(|renewal| renewal.miscounted)
    }
}

/// How a peer is getting on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Under which id it writes.
    pub replica: ReplicaId,
    /// Its life; for a peer that our guard let in under a name, a number that stands for both.
    pub life: Life,
    /// Whether there is a session with it.
    pub state: PeerState,
    /// It keeps what it acknowledges, also when its process ends.
    pub durable: bool,
    /// How far into its change order everything is applied here.
    pub cursor: u64,
    /// Steps of its change order beyond that, as far as they were heard of.
    pub missing_here: u64,
    /// How far into our change order it has durably applied.
    pub acknowledged: u64,
    /// Steps of our change order that it has not acknowledged; what came from itself does not count.
    pub missing_there: u64,
    /// For how many milliseconds the oldest of these has been here: to about a second, never too low unless it is older than
    /// all that is remembered. `None` when it lacks nothing.
    pub behind_ms: Option<u64>,
    /// When it acknowledged something last, in milliseconds since 1970.
    pub acknowledged_ms: Option<u64>,
    /// When the last session with it began.
    pub met_ms: Option<u64>,
    /// When the last session with it ended.
    pub parted_ms: Option<u64>,
    /// How the last session with it ended.
    pub last_end: SessionEnd,
    /// Its wall clock minus ours in the last handshake, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// What the roots said when both sides last had everything.
    pub roots: Roots,
    /// Its changes that are hidden until something allows them.
    pub parked: u64,
    /// Places where they hide something: documents, counted once for each of these changes.
    pub withheld: u64,
}

/// Whether there is a session with a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// All that is known of it came in files, or from others.
    NeverMet,
    /// A session of this process is open.
    InSession,
    /// The last session is over.
    Idle,
    /// Its guard or ours refused, and why.
    Refused(Refusal),
}

impl<S: Store> Replica<S> {
    /// How this replica and its peers are getting on. Cheap: it reads a few notes and the record of each peer, and looks at
    /// no document. `now_ms` is the time, in milliseconds since 1970.
    ///
    /// ```
    /// use crdt_core::{DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let head = Head::new(Namespace::from_secret("team 42"), ReplicaId::from_u64(1), Life(1));
    /// let mut replica = Replica::new(MemoryStore::new(head));
    /// replica.commit(1_700_000_000_000, Durability::Visible, |tx| {
    ///     tx.document("tasks", DocumentId::from_u64(1))?.set("title", "Buy milk")?;
    ///     Ok::<_, crdt_core::TransactionError>(())
    /// })?;
    /// let status = replica.status(1_700_000_060_000)?;
    /// assert_eq!(status.pending, 1, "nobody else has it yet");
    /// assert!(status.peers.is_empty() && status.renewals.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn status(&mut self, now_ms: u64) -> Result<ReplicaStatus, StoreError> {
        let Self { store, present, .. } = self;
        transact(store, Access::Read, Durability::Visible, |store| {
            let (head, marks) = (store.head()?, Marks::of(store)?);
            let mut known: SmallMap<Life, (Option<PeerRecord>, Contact)> = SmallMap::new();
            for (life, contact) in contact::all(store)? {
                known.insert(life, (None, contact));
            }
            for (life, Present { contact, .. }) in present.iter() {
                known.insert(*life, (None, contact.clone()));
            }
            for record in store.peers()? {
                known.or_default(&record.life).0 = Some(record);
            }
            let kept = known.iter().filter(|(_, (_, contact))| contact.durable);
            let kept = kept.map(|(_, (_, contact))| contact.own_acked).max().unwrap_or(0);
            let (mut peers, hidden) = (Vec::new(), hidden(store)?);
            for (life, (record, contact)) in known {
                let present = present.get(&life);
                let mut peer = peer_status(life, record, contact, present, &head, &marks, now_ms);
                (peer.parked, peer.withheld) = hidden.get(&peer.replica).copied().unwrap_or_default();
                peers.push(peer);
            }
            let (mut parked, mut withheld) = (0, 0);
            for (_, of_replica) in hidden.iter() {
                (parked, withheld) = (parked + of_replica.0, withheld + of_replica.1);
            }
            Ok(ReplicaStatus {
                replica: head.replica,
                life: head.life,
                pending: head.counter.saturating_sub(kept),
                peers,
                renewals: renewals::all(store)?,
                parked,
                withheld,
            })
        })
    }
}

/// Under `parked`, a zero byte and the change (time, replica, counter, epoch: 8, 16, 8 and 4 bytes) is a note of it, and under
/// the same with a document behind it one of each document in which it hides something.
const PARKED: &[u8] = b"parked\0";
const CHANGE_BYTES: usize = 36;

/// By author: how many changes are parked, and in how many documents each.
fn hidden<S: Store>(store: &mut S) -> Result<SmallMap<ReplicaId, (u64, u64)>, StoreError> {
    let mut hidden: SmallMap<ReplicaId, (u64, u64)> = SmallMap::new();
    for (key, _) in store.notes_after(PARKED, &[], usize::MAX)? {
        let change = &key[PARKED.len()..];
        let Some(author) = change.get(8..24).and_then(|id| id.try_into().ok()) else { continue };
        let (parked, withheld) = hidden.or_default(&ReplicaId::from_bytes(author));
        if change.len() == CHANGE_BYTES {
            *parked += 1;
        } else {
            *withheld += 1;
        }
    }
    Ok(hidden)
}

fn peer_status(
    life: Life,
    record: Option<PeerRecord>,
    contact: Contact,
    present: Option<&Present>,
    head: &Head,
    marks: &Marks,
    now_ms: u64,
) -> PeerStatus {
    let replica = record.map(|record| record.replica).or(present.map(|present| present.replica));
    let (cursor, acknowledged) = record.map_or((0, 0), |record| (record.cursor, record.acked));
    let has = contact.level.max(acknowledged).min(head.sequence);
    let met = |ms: u64| Some(ms).filter(|ms| *ms > 0);
    let state = match (&contact.end, present) {
        (_, Some(_)) => PeerState::InSession,
        (SessionEnd::Refused(refusal), None) => PeerState::Refused(refusal.clone()),
        (_, None) if contact.met_ms > 0 => PeerState::Idle,
        _ => PeerState::NeverMet,
    };
    PeerStatus {
        replica: replica.unwrap_or(ReplicaId::from_u64(0)),
        life,
        state,
        durable: contact.durable,
        cursor,
        missing_here: contact.sequence.saturating_sub(cursor),
        acknowledged,
        missing_there: head.sequence - has,
        behind_ms: if has < head.sequence { marks.age_ms(has + 1, now_ms) } else { None },
        acknowledged_ms: met(contact.acked_ms),
        met_ms: met(contact.met_ms),
        parted_ms: met(contact.parted_ms),
        last_end: contact.end,
        clock_offset_ms: (contact.met_ms > 0).then_some(contact.offset_ms),
        roots: contact.roots,
        parked: 0,
        withheld: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, Namespace};

    #[test]
    fn what_is_parked_is_counted_by_author_and_document() {
        let head = Head::new(Namespace::from_secret("status"), ReplicaId::from_u64(1), Life(1));
        let mut store = MemoryStore::new(head);
        store.begin(Access::Write, Durability::Visible).unwrap();
        for (author, documents) in [(2, 3), (3, 0), (2, 1)] {
            let (time, counter) = ([author + documents; 8], [7; 8]);
            let change =
                [PARKED, &time, ReplicaId::from_u64(author.into()).as_bytes(), &counter, &[0; 4]].concat();
            store.set_note(&change, Some(&[1])).unwrap();
            for document in 0..documents {
                store.set_note(&[&change[..], b"tasks", &[document; 16]].concat(), Some(&[])).unwrap();
            }
        }
        store.commit().unwrap();
        let mut replica = Replica::new(store);
        let status = replica.status(0).unwrap();
        assert_eq!((status.parked, status.withheld), (3, 4));
        transact(&mut replica.store, Access::Read, Durability::Visible, |store| {
            let hidden = hidden(store)?;
            assert_eq!(hidden.get(&ReplicaId::from_u64(2)), Some(&(2, 4)));
            assert_eq!(hidden.get(&ReplicaId::from_u64(3)), Some(&(1, 0)));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    }
}
