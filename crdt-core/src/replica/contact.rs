//! [`Contact`]: how the sessions with a peer went, kept beside its record.
//!
//! Note, per peer: under `contact`, a zero byte and the life (8): *unsigned* number of the last run that it was heard to
//! be in, *unsigned* count, per run 4 bytes; flags (1: it is durable; 2: roots were compared; 4: they were equal); the
//! last position of its change order that was heard of, how many of our own transactions it has acknowledged and at which
//! position of our change order, the position up to which it has everything, then times in milliseconds since 1970: when a session began last, when it
//! ended, when it acknowledged something last, all *unsigned*; *signed* clock offset in milliseconds; how the last session
//! ended (1), and if it was refused the *refusal*.

use alloc::vec::Vec;

use super::refuse::damaged;
use super::runs::{self, Trail};
use super::scoped::Subscription;
use super::{Replica, transact};
use crate::ReplicaId;
use crate::codec::{DecodeError, Reader, put_refusal, put_signed, put_unsigned, read_refusal};
use crate::refusal::Refusal;
use crate::store::{Access, Durability, Life, PeerRecord, Store, StoreError};

const PREFIX: &[u8] = b"contact\0";

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SessionEnd {
    /// It goes on, or the process ended with it.
    #[default]
    Open,
    /// Both sides had everything, or one of them closed it.
    Closed,
    /// The peer was silent for too long.
    TimedOut,
    /// Something could not be taken.
    Failed,
    /// The guard, theirs or ours, did not let the applicant in, or the peer refuses too much.
    Refused(Refusal),
}

/// What roots said when both sides last had everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// They were not compared yet, or cannot be: one side may not read everything.
    #[default]
    NotCompared,
    /// Both sides held the same.
    Equal,
    /// They did not: a transaction exists twice, and each side sends the other all that it holds.
    Unequal,
}

/// What a peer said of itself when a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// Under which id it writes.
    pub replica: ReplicaId,
    /// It keeps what it acknowledges.
    pub durable: bool,
    /// Its wall clock minus ours, in milliseconds.
    pub offset_ms: i64,
    /// The last position of its change order.
    pub sequence: u64,
    /// The time here.
    pub now_ms: u64,
}

/// An acknowledgement as it is said in a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Everything up to this position of our change order is durably applied.
    pub sequence: u64,
    /// How many of our own transactions are among that; 0 when it is not known.
    pub own: u64,
    /// The life that the session is held in; `None` to leave that open.
    pub ours: Option<Life>,
    /// How far into its own change order that takes us, and under which scope, because the steps up to there are nothing but
    /// what we sent.
    pub passed: (u64, u64),
    /// The [generation](super::Subscription::generation) of our subscription that the peer was told of: under another one
    /// the cursor stays where it is, for it would stand for less than it says.
    pub generation: Option<u64>,
    /// The runs that the peer told when that session began.
    pub trail: Trail,
    /// When, in milliseconds since 1970; 0 when it is not known.
    pub now_ms: u64,
}

/// How the sessions with a peer went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contact {
    /// The runs that it was in when something of it was applied last. They go with the cursor, which a bundle and another
    /// process move too: only the store knows them, whatever an open session was told.
    pub(super) trail: Trail,
    pub(super) durable: bool,
    pub(super) roots: Roots,
    /// The last position of its change order that was heard of.
    pub(super) sequence: u64,
    /// Own transactions that it has acknowledged, and the position of our change order up to which these are all.
    pub(super) own_acked: u64,
    own_at: u64,
    /// It has everything up to this position of our change order, what came from itself included.
    pub(super) level: u64,
    pub(super) met_ms: u64,
    pub(super) parted_ms: u64,
    pub(super) acked_ms: u64,
    pub(super) offset_ms: i64,
    pub(super) end: SessionEnd,
}

/// A peer while a session with it is open in this process.
#[derive(Clone, Debug)]
pub(super) struct Present {
    pub(super) replica: ReplicaId,
    pub(super) contact: Contact,
    /// The number of the session that began last.
    session: u64,
}

impl Contact {
    pub(super) fn of<S: Store>(store: &mut S, life: Life) -> Result<Self, StoreError> {
        match store.note(&key(life))? {
            Some(note) => Self::decode(&note).map_err(damaged),
            None => Ok(Self::default()),
        }
    }

    /// True when these runs are to be remembered, because something is applied that was said in the last of them. What was
    /// long under way is of an older one than is remembered: if it moves the cursor all the same, that is what the cursor is
    /// of, and the history has forked. What comes without saying of which run it is may be of a later one than is
    /// remembered: then nothing is.
    const fn learns(&self, trail: &Trail, rises: bool) -> bool {
        match trail.number {
            0 => self.trail.number > 0,
            number => number > self.trail.number || number < self.trail.number && rises,
        }
    }

    /// A new life of ours counts its changes anew: what the peer has of the old one is no measure of what it has of it.
    pub(super) fn start_again(&mut self) {
        (self.own_acked, self.own_at, self.level, self.roots) = (0, 0, 0, Roots::NotCompared);
    }

    fn put<S: Store>(&self, store: &mut S, life: Life) -> Result<(), StoreError> {
        store.set_note(&key(life), Some(&self.encode()))
    }

    fn encode(&self) -> Vec<u8> {
        let mut note = Vec::new();
        put_unsigned(&mut note, self.trail.number);
        put_unsigned(&mut note, self.trail.runs.len() as u64);
        for run in &self.trail.runs {
            note.extend_from_slice(&run.to_be_bytes());
        }
        let compared = match self.roots {
            Roots::NotCompared => 0,
            Roots::Unequal => 2,
            Roots::Equal => 2 | 4,
        };
        note.push(u8::from(self.durable) | compared);
        for number in [
            self.sequence,
            self.own_acked,
            self.own_at,
            self.level,
            self.met_ms,
            self.parted_ms,
            self.acked_ms,
        ] {
            put_unsigned(&mut note, number);
        }
        put_signed(&mut note, self.offset_ms);
        let (end, refusal) = match &self.end {
            SessionEnd::Open => (0, None),
            SessionEnd::Closed => (1, None),
            SessionEnd::TimedOut => (2, None),
            SessionEnd::Failed => (3, None),
            SessionEnd::Refused(refusal) => (4, Some(refusal)),
        };
        note.push(end);
        if let Some(refusal) = refusal {
            put_refusal(&mut note, refusal);
        }
        note
    }

    fn decode(note: &[u8]) -> Result<Self, DecodeError> {
        let what = "a contact";
        let mut reader = Reader::new(note);
        let mut trail = Trail { number: reader.unsigned(what)?, runs: Vec::new() };
        for _ in 0..reader.count(what)? {
            trail.runs.push(u32::from_be_bytes(reader.array(what)?));
        }
        let flags = reader.byte(what)?;
        let roots = match flags & 6 {
            2 => Roots::Unequal,
            6 => Roots::Equal,
            _ => Roots::NotCompared,
        };
        let mut numbers = [0; 7];
        for number in &mut numbers {
            *number = reader.unsigned(what)?;
        }
        let [sequence, own_acked, own_at, level, met_ms, parted_ms, acked_ms] = numbers;
        let offset_ms = reader.signed(what)?;
        let end = match reader.byte(what)? {
            0 => SessionEnd::Open,
            1 => SessionEnd::Closed,
            2 => SessionEnd::TimedOut,
            3 => SessionEnd::Failed,
            4 => SessionEnd::Refused(read_refusal(&mut reader)?),
            tag => return Err(DecodeError::UnknownTag { what: "end of a session", tag: tag.into() }),
        };
        reader.finish()?;
        let durable = flags & 1 == 1;
        Ok(Self {
            trail,
            durable,
            roots,
            sequence,
            own_acked,
            own_at,
            level,
            met_ms,
            parted_ms,
            acked_ms,
            offset_ms,
            end,
        })
    }
}

/// All contacts, in the order of lives.
pub(super) fn all<S: Store>(store: &mut S) -> Result<Vec<(Life, Contact)>, StoreError> {
    let mut contacts = Vec::new();
    for (key, note) in store.notes_after(PREFIX, &[], usize::MAX)? {
        let life = key[PREFIX.len()..].try_into().map_err(|_| DecodeError::Invalid("a contact"));
        let life = Life(u64::from_be_bytes(life.map_err(damaged)?));
        contacts.push((life, Contact::decode(&note).map_err(damaged)?));
    }
    Ok(contacts)
}

/// How far into our change order any peer that keeps what it gets has come.
pub(super) fn durably_acked<S: Store>(store: &mut S) -> Result<u64, StoreError> {
    let mut acked = 0;
    for (life, contact) in all(store)? {
        if contact.durable {
            acked = acked.max(store.peer(life)?.map_or(0, |peer| peer.acked));
        }
    }
    Ok(acked)
}

/// How many own transactions some peer that keeps what it gets has acknowledged, and up to which position these are all.
pub(super) fn durably_kept<S: Store>(store: &mut S) -> Result<(u64, u64), StoreError> {
    let kept = all(store)?.into_iter().filter(|(_, contact)| contact.durable);
    Ok(kept.map(|(_, contact)| (contact.own_acked, contact.own_at)).max().unwrap_or_default())
}

/// Within the transaction that applies something of a peer, before the cursor moves: remembers in which run it was when the
/// session began in which that came, however many have begun since; `rises` if the cursor does.
pub(super) fn heard<S: Store>(
    store: &mut S,
    present: Option<&Present>,
    life: Life,
    rises: bool,
    trail: &Trail,
) -> Result<(), StoreError> {
    let noted = Contact::of(store, life)?;
    if !noted.learns(trail, rises) {
        return Ok(());
    }
    let contact = present.map_or(noted, |present| present.contact.clone());
    Contact { trail: trail.clone(), ..contact }.put(store, life)
}

/// The same for what comes by another way than a session.
pub(super) fn heard_of<S: Store>(store: &mut S, life: Life, trail: &Trail) -> Result<(), StoreError> {
    let contact = Contact::of(store, life)?;
    if contact.learns(trail, false) {
        Contact { trail: trail.clone(), ..contact }.put(store, life)
    } else {
        Ok(())
    }
}

/// After that transaction.
pub(super) fn has_heard(present: Option<&mut Present>, cursor: u64) {
    if let Some(present) = present {
        present.contact.sequence = present.contact.sequence.max(cursor);
    }
}

/// See [`Contact::start_again`].
pub(super) fn start_again<S: Store>(store: &mut S) -> Result<(), StoreError> {
    for (life, mut contact) in all(store)? {
        contact.start_again();
        contact.put(store, life)?;
    }
    Ok(())
}

impl<S: Store> Replica<S> {
    /// A session with a peer has begun: it proved that it knows the key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn met(&mut self, life: Life, session: u64, meeting: Meeting) -> Result<(), StoreError> {
        let known = match self.present.get(&life) {
            Some(present) => present.contact.clone(),
            None => transact(&mut self.store, Access::Read, Durability::Visible, |store| {
                Contact::of(store, life)
            })?,
        };
        let Meeting { replica, durable, offset_ms, sequence, now_ms } = meeting;
        let end = SessionEnd::Open;
        let contact = Contact { durable, offset_ms, sequence, met_ms: now_ms, end, ..known };
        self.present.insert(life, Present { replica, contact, session });
        Ok(())
    }

    /// A session with a peer has ended. Nothing happens if another one with it has begun since.
    ///
    /// # Errors
    /// [`StoreError`]; then only this process knows of it.
    pub fn parted(
        &mut self,
        life: Life,
        session: u64,
        end: SessionEnd,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        if self.present.get(&life).is_none_or(|present| present.session != session) {
            return Ok(());
        }
        let Some(Present { replica, mut contact, .. }) = self.present.remove(&life) else { return Ok(()) };
        (contact.end, contact.parted_ms) = (end, now_ms);
        transact(&mut self.store, Access::Write, Durability::Visible, |store| {
            if store.peer(life)?.is_none() {
                store.set_peer(&nothing_known(life, replica))?;
            }
            contact.trail = Contact::of(store, life)?.trail;
            contact.put(store, life)
        })
    }

    /// Both sides have everything that the other had at a position of our change order, and these are their roots.
    pub fn compared(&mut self, life: Life, equal: bool, sequence: u64) {
        if let Some(present) = self.present.get_mut(&life) {
            let contact = &mut present.contact;
            contact.roots = if equal { Roots::Equal } else { Roots::Unequal };
            if equal {
                contact.level = contact.level.max(sequence);
            }
        }
    }

    /// The step at a position of our change order is nothing but what this peer sent.
    pub fn came_from(&mut self, life: Life, sequence: u64) {
        if let Some(present) = self.present.get_mut(&life)
            && present.contact.level + 1 == sequence
        {
            present.contact.level = sequence;
        }
    }

    /// Notes how far into our change order a peer has said to have durably applied. It only moves up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acknowledged(&mut self, life: Life, replica: ReplicaId, sequence: u64) -> Result<(), StoreError> {
        self.acknowledged_at(life, replica, Acknowledged { sequence, ..Acknowledged::default() }).map(|_| ())
    }

    /// The same, as it is said in a session. False, and nothing is noted, when it was said of another life of ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acknowledged_at(
        &mut self,
        life: Life,
        replica: ReplicaId,
        acknowledged: Acknowledged,
    ) -> Result<bool, StoreError> {
        let Self { store, present, .. } = self;
        let present = present.get_mut(&life);
        let kept = transact(store, Access::Write, Durability::Visible, |store| {
            note_acknowledged(store, present, life, replica, acknowledged)
        })?;
        self.kept = self.kept.max(kept.unwrap_or(0));
        Ok(kept.is_some())
    }
}

/// The same within a transaction. Gives how many of our own transactions a peer that keeps what it gets has; `None` when it
/// was said of another life of ours.
pub(super) fn note_acknowledged<S: Store>(
    store: &mut S,
    present: Option<&mut Present>,
    life: Life,
    replica: ReplicaId,
    acknowledged: Acknowledged,
) -> Result<Option<u64>, StoreError> {
    let Acknowledged { sequence, own, ours, passed, generation, trail, now_ms } = acknowledged;
    let ((cursor, scope), mut kept) = (passed, 0);
    if ours.is_some() && ours != Some(store.head()?.life) {
        return Ok(None);
    }
    let known = store.peer(life)?;
    let known = known.unwrap_or_else(|| PeerRecord { scope, ..nothing_known(life, replica) });
    let acked = known.acked.max(sequence.min(store.head()?.sequence));
    let moves = known.scope == scope && cursor > known.cursor && is_of(store, generation)?;
    let cursor = if moves { cursor } else { known.cursor };
    store.set_peer(&PeerRecord { replica, cursor, acked, ..known })?;
    if let Some(present) = present {
        // The steps that it is taken past are of the run in which they are told.
        let contact = &mut present.contact;
        contact.trail = Contact::of(store, life)?.trail;
        if cursor > known.cursor && contact.learns(&trail, true) {
            contact.trail = trail;
        }
        contact.level = contact.level.max(acked);
        if own >= contact.own_acked {
            (contact.own_acked, contact.own_at) = (own, acked);
        }
        contact.acked_ms = contact.acked_ms.max(now_ms);
        contact.put(store, life)?;
        if contact.durable {
            runs::confirm(store, acked)?;
            kept = contact.own_acked;
        }
    }
    Ok(Some(kept))
}

/// Whether our subscription is the one that a peer was told of.
fn is_of<S: Store>(store: &mut S, told: Option<u64>) -> Result<bool, StoreError> {
    let Some(told) = told else { return Ok(true) };
    Ok(Subscription::read(store)?.generation == told)
}

const fn nothing_known(life: Life, replica: ReplicaId) -> PeerRecord {
    PeerRecord { life, replica, cursor: 0, acked: 0, scope: 0, claimed: 0 }
}

fn key(life: Life) -> Vec<u8> {
    [PREFIX, &life.0.to_be_bytes()].concat()
}

#[cfg(test)]
mod met;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_read_as_it_was_written() {
        let refused = SessionEnd::Refused(Refusal::new(401, "sign in again"));
        let ends = [SessionEnd::Open, SessionEnd::Closed, SessionEnd::TimedOut, SessionEnd::Failed, refused];
        for end in ends {
            for roots in [Roots::NotCompared, Roots::Equal, Roots::Unequal] {
                let contact = Contact {
                    trail: Trail { number: 300, runs: alloc::vec![1, u32::MAX] },
                    durable: roots != Roots::Equal,
                    roots,
                    sequence: u64::MAX,
                    own_acked: 2,
                    own_at: 7,
                    level: 3,
                    met_ms: 4,
                    parted_ms: 5,
                    acked_ms: 6,
                    offset_ms: i64::MIN,
                    end: end.clone(),
                };
                assert_eq!(Contact::decode(&contact.encode()), Ok(contact));
            }
        }
    }
}
