//! Finding out what each side lacks when there is no cursor to tell.
//!
//! ```text
//! initiator → responder   Sketch    sums over all that the initiator holds: a few, and an estimate
//! responder → initiator   More      not enough: so many symbols are needed        (at most a few times)
//! initiator → responder   Sketch
//! responder → initiator   Differ    the slots in which we differ, and what I hold there
//! initiator → responder   Held      what I hold there
//! ```
//!
//! After that each side knows which cells the other lacks, and sends them as a run to whoever asked for it. The initiator
//! is the side that drew the lower nonce, whichever of the two asked. Work that needs the store is done in
//! [`Reconcile::next_message`], so that a store that fails can be asked again.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crdt_core::reconcile::{Estimate, Sketch, Slot, Symbol, symbols_for};
use crdt_core::{Holding, Replica, Store};

use super::status::SessionError;
use crate::message::{
    self, Differ, Held, MAX_DOTS_PER_SLOT, MAX_SLOTS_PER_MESSAGE, MAX_SYMBOLS_PER_MESSAGE, Message, More,
    Reconciling,
};

/// Symbols of the first sketch: enough for a few documents.
const FIRST: usize = 10;
/// Symbols of the largest one. What would take more is sent whole.
pub(crate) const MAX_SYMBOLS: usize = 1 << 18;
/// Sketches that are made of one state of affairs.
const MAX_SKETCHES: u32 = 6;
/// Dots that are kept of what the peer holds. Beyond, documents are sent whole.
const MAX_KEPT: usize = 1 << 20;

/// What a reconciliation found out, and what that took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Slots in which the sides differ: as a rule, documents.
    pub differing: usize,
    /// Symbols that were sent to find them.
    pub symbols: usize,
    /// Sketches that it took: one round trip each.
    pub sketches: u32,
    /// The difference was too large: everything is sent.
    pub gave_up: bool,
}

/// What is to be done next, once both sides know.
pub(super) enum Outcome {
    /// The peer lacks what these holdings lack, in these slots; what was committed since is told by the change order.
    Differing { slots: Vec<Slot>, held: Vec<Holding>, since: u64 },
    /// The difference is too large: everything, and what was committed since.
    TooLarge { since: u64 },
}

/// A message, and what its sender knows with it.
type Said = (Vec<u8>, Option<Outcome>);

#[derive(Debug, Default)]
pub(super) struct Reconcile {
    initiates: bool,
    /// Tells the messages of one reconciliation from those of the next.
    round: u64,
    /// The sides were found to differ although both had everything: nothing is believed but the sums.
    suspicious: bool,
    /// The peer wishes to get what it lacks.
    for_them: bool,
    state: State,
    /// Our position in the change order when the last sums were made.
    since: u64,
    cost: Reconciled,
    /// Our nonce: nobody can have reckoned with a salt from it.
    nonce: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// Initiator: a sketch is to be sent, or the rest of it.
    Sketching { salt: u64, total: usize, made: Option<(Vec<Symbol>, usize)> },
    /// Initiator: the answer is awaited; what came of it so far.
    AwaitDiffer { total: usize, slots: Vec<Slot>, held: Kept },
    /// Initiator: all slots are known; so many were answered.
    Holding { slots: Vec<Slot>, told: usize },
    /// Responder: waits for a sketch of so many symbols, 0 for a first one.
    AwaitSketch { asked: usize, got: Option<Got> },
    /// Responder: the sketch is there.
    Comparing(Got),
    /// Responder: asks for another sketch, or gives up with one of 0 symbols.
    Asking { salt: u64, total: usize },
    /// Responder: all slots are known; so many were told.
    Differing { slots: Vec<Slot>, told: usize },
    /// Responder: waits for what the initiator holds.
    AwaitHeld { slots: Vec<Slot>, held: Kept },
}

/// A sketch as it comes in.
#[derive(Debug)]
struct Got {
    salt: u64,
    total: usize,
    estimate: Option<Box<[u8; Estimate::BYTES]>>,
    symbols: Vec<Symbol>,
}

/// What a peer holds, as it comes in.
#[derive(Debug, Default)]
struct Kept {
    held: Vec<Holding>,
    dots: usize,
}

impl Kept {
    fn take(&mut self, more: Vec<Holding>) {
        for holding in more {
            let dots = if let Holding::Document { dots, .. } = &holding { dots.len() } else { 0 };
            self.dots += dots;
            self.held.push(if self.dots > MAX_KEPT { Holding::Something } else { holding });
        }
    }
}

impl Reconcile {
    pub(super) fn new(our_nonce: u64, their_nonce: u64) -> Self {
        Self { initiates: our_nonce < their_nonce, nonce: our_nonce, ..Self::default() }
    }

    /// One of the sides wishes to reconcile: the peer to get what it lacks, or we.
    pub(super) fn begin(&mut self, for_them: bool, suspicious: bool) {
        self.for_them |= for_them;
        if matches!(self.state, State::Idle) {
            (self.round, self.suspicious, self.cost) = (self.round + 1, suspicious, Reconciled::default());
            self.state = if self.initiates {
                let salt = if suspicious { self.salt() } else { 0 };
                State::Sketching { salt, total: FIRST, made: None }
            } else {
                State::AwaitSketch { asked: 0, got: None }
            };
        }
    }

    /// Finds out nothing more; true when something was to be found out.
    pub(super) fn stop(&mut self) -> bool {
        self.for_them = false;
        !matches!(core::mem::take(&mut self.state), State::Idle)
    }

    /// True until both sides know.
    pub(super) const fn under_way(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    pub(super) const fn cost(&self) -> Reconciled {
        self.cost
    }

    /// `None` when nothing was to be found out.
    pub(super) fn cost_if_any(&self) -> Option<Reconciled> {
        (self.cost.sketches > 0).then_some(self.cost)
    }

    /// Not 0, and another one for every sketch.
    fn salt(&self) -> u64 {
        (self.nonce ^ (self.round << 32) ^ u64::from(self.cost.sketches)) | 1
    }

    /// The next message, if there is anything to say, and what it leads to.
    pub(super) fn next_message<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
    ) -> Result<Option<Said>, SessionError> {
        if let State::Comparing(_) = self.state {
            self.compare(replica)?;
        }
        match core::mem::take(&mut self.state) {
            State::Sketching { salt, total, made: None } => {
                self.state = State::Sketching { salt, total, made: None };
                let sums = replica.sums(salt, total)?;
                self.since = sums.head.sequence;
                self.cost.sketches += 1;
                self.cost.symbols += total;
                let estimate = (self.cost.sketches == 1).then(|| Box::new(sums.estimate.to_bytes()));
                let symbols = sums.sketch.symbols().to_vec();
                Ok(Some((self.sketch(salt, total, estimate, symbols, 0), None)))
            }
            State::Sketching { salt, total, made: Some((symbols, sent)) } => {
                Ok(Some((self.sketch(salt, total, None, symbols, sent), None)))
            }
            State::Asking { salt, total } => {
                let outcome = (total == 0).then_some(Outcome::TooLarge { since: self.since });
                if total > 0 {
                    self.state = State::AwaitSketch { asked: total, got: None };
                }
                Ok(Some((said(Reconciling::More(More { round: self.round, salt, total })), outcome)))
            }
            State::Differing { slots, told } => {
                let result = self.holdings(replica, &slots, told);
                let Ok((holdings, next)) = result else {
                    self.state = State::Differing { slots, told };
                    return result.map(|_| None);
                };
                let last = next == slots.len();
                let differ = Differ { round: self.round, last, slots: slots[told..next].to_vec(), holdings };
                self.state = if last {
                    State::AwaitHeld { slots, held: Kept::default() }
                } else {
                    State::Differing { slots, told: next }
                };
                Ok(Some((said(Reconciling::Differ(differ)), None)))
            }
            State::Holding { slots, told } => {
                let result = self.holdings(replica, &slots, told);
                let Ok((holdings, next)) = result else {
                    self.state = State::Holding { slots, told };
                    return result.map(|_| None);
                };
                let last = next == slots.len();
                if !last {
                    self.state = State::Holding { slots, told: next };
                }
                Ok(Some((said(Reconciling::Held(Held { round: self.round, last, holdings })), None)))
            }
            waiting => {
                self.state = waiting;
                Ok(None)
            }
        }
    }

    /// The next message of a sketch.
    fn sketch(
        &mut self,
        salt: u64,
        total: usize,
        estimate: Option<Box<[u8; Estimate::BYTES]>>,
        symbols: Vec<Symbol>,
        sent: usize,
    ) -> Vec<u8> {
        let next = symbols.len().min(sent + MAX_SYMBOLS_PER_MESSAGE);
        let message = message::Sketch {
            round: self.round,
            salt,
            total,
            estimate,
            symbols: symbols[sent..next].to_vec(),
        };
        self.state = if next == symbols.len() {
            State::AwaitDiffer { total, slots: Vec::new(), held: Kept::default() }
        } else {
            State::Sketching { salt, total, made: Some((symbols, next)) }
        };
        said(Reconciling::Sketch(message))
    }

    /// Looks for the difference.
    fn compare<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<(), SessionError> {
        let State::Comparing(got) = &self.state else { return Ok(()) };
        let (salt, total) = (got.salt, got.total);
        let sums = replica.sums(salt, total)?;
        self.since = sums.head.sequence;
        self.cost.sketches += 1;
        self.cost.symbols += total;
        let theirs = Sketch::from_symbols(salt, got.symbols.clone());
        if let Some(slots) = sums.sketch.difference(&theirs) {
            self.cost.differing = slots.len();
            self.state = State::Differing { slots, told: 0 };
            return Ok(());
        }
        let differences = got.estimate.as_ref().map_or(0, |told| sums.estimate.differences(told));
        let next = if differences > 0 { symbols_for(differences) } else { total * 2 };
        let fits = next <= MAX_SYMBOLS && self.cost.sketches < MAX_SKETCHES;
        // The sums without a salt are at hand. If they fail twice, somebody may have reckoned with them.
        let salt = if self.cost.sketches == 1 && !self.suspicious { 0 } else { self.salt() };
        self.cost.gave_up = !fits;
        self.state = State::Asking { salt, total: if fits { next } else { 0 } };
        Ok(())
    }

    /// What we hold in the next slots.
    fn holdings<S: Store>(
        &self,
        replica: &mut Replica<S>,
        slots: &[Slot],
        told: usize,
    ) -> Result<(Vec<Holding>, usize), SessionError> {
        let next = slots.len().min(told + MAX_SLOTS_PER_MESSAGE);
        let mut holdings = replica.holdings(&slots[told..next])?;
        // What is offered is what may leave, and dots of ours do.
        replica.offer()?;
        for holding in &mut holdings {
            let many = matches!(holding, Holding::Document { dots, .. } if dots.len() > MAX_DOTS_PER_SLOT);
            if many || self.suspicious && *holding != Holding::Nothing {
                *holding = Holding::Something;
            }
        }
        Ok((holdings, next))
    }

    /// Takes a message, and says what is known now.
    pub(super) fn take(&mut self, message: Reconciling) -> Result<Option<Outcome>, SessionError> {
        match message {
            Reconciling::Sketch(sketch) => self.sketched(sketch).map(|()| None),
            Reconciling::More(more) => self.asked(&more),
            Reconciling::Differ(differ) => self.differ(differ),
            Reconciling::Held(held) => self.held(held),
        }
    }

    /// Responder: a sketch, or the next part of it.
    fn sketched(&mut self, sketch: message::Sketch) -> Result<(), SessionError> {
        let (asked, came) = match &self.state {
            State::AwaitSketch { asked, got } => (*asked, got.as_ref().map_or(0, |got| got.symbols.len())),
            // The peer initiates, and its wish, or ours, has yet to come.
            State::Idle if !self.initiates => (0, 0),
            _ => return Err(SessionError::Unexpected("a sketch")),
        };
        let total = if asked == 0 { FIRST } else { asked };
        if sketch.total != total || came + sketch.symbols.len() > total {
            return Err(SessionError::Unexpected("a sketch of another length than asked for"));
        }
        if asked == 0 {
            (self.round, self.suspicious, self.cost) =
                (sketch.round, sketch.salt != 0, Reconciled::default());
        }
        let mut got = match core::mem::take(&mut self.state) {
            State::AwaitSketch { got: Some(got), .. } => got,
            _ => Got { salt: sketch.salt, total, estimate: sketch.estimate, symbols: Vec::new() },
        };
        got.symbols.extend(sketch.symbols);
        self.state = if got.symbols.len() == total {
            State::Comparing(got)
        } else {
            State::AwaitSketch { asked, got: Some(got) }
        };
        Ok(())
    }

    /// Initiator: the sketch was not enough.
    fn asked(&mut self, more: &More) -> Result<Option<Outcome>, SessionError> {
        if !matches!(&self.state, State::AwaitDiffer { slots, .. } if slots.is_empty())
            || more.round != self.round
        {
            return Err(SessionError::Unexpected("a request for a sketch"));
        }
        if more.total == 0 {
            self.cost.gave_up = true;
            self.state = State::Idle;
            return Ok(Some(Outcome::TooLarge { since: self.since }));
        }
        if more.total > MAX_SYMBOLS || self.cost.sketches >= MAX_SKETCHES {
            return Err(SessionError::Unexpected("a request for too large a sketch"));
        }
        self.state = State::Sketching { salt: more.salt, total: more.total, made: None };
        Ok(None)
    }

    /// Initiator: slots in which the sides differ.
    fn differ(&mut self, differ: Differ) -> Result<Option<Outcome>, SessionError> {
        let State::AwaitDiffer { total, slots, held } = &mut self.state else {
            return Err(SessionError::Unexpected("a difference"));
        };
        let in_order = slots.last().is_none_or(|last| differ.slots.first().is_none_or(|first| last < first));
        if differ.round != self.round || slots.len() + differ.slots.len() > *total || !in_order {
            return Err(SessionError::Unexpected("a difference that does not belong to the sketch"));
        }
        slots.extend(differ.slots);
        held.take(differ.holdings);
        if !differ.last {
            return Ok(None);
        }
        let (slots, held) = (core::mem::take(slots), core::mem::take(held));
        self.cost.differing = slots.len();
        self.state = State::Holding { slots: slots.clone(), told: 0 };
        Ok(Some(Outcome::Differing { slots, held: held.held, since: self.since }))
    }

    /// Responder: what the initiator holds.
    fn held(&mut self, told: Held) -> Result<Option<Outcome>, SessionError> {
        let State::AwaitHeld { slots, held } = &mut self.state else {
            return Err(SessionError::Unexpected("what is held"));
        };
        let count = held.held.len() + told.holdings.len();
        if told.round != self.round || count > slots.len() || told.last != (count == slots.len()) {
            return Err(SessionError::Unexpected("what is held in other slots than those that differ"));
        }
        held.take(told.holdings);
        if !told.last {
            return Ok(None);
        }
        let (slots, held) = (core::mem::take(slots), core::mem::take(held));
        self.state = State::Idle;
        Ok(Some(Outcome::Differing { slots, held: held.held, since: self.since }))
    }

    /// Whether the peer wished for what we now know it lacks. The wish is fulfilled with that.
    pub(super) fn take_wish(&mut self) -> bool {
        core::mem::take(&mut self.for_them)
    }
}

fn said(message: Reconciling) -> Vec<u8> {
    Message::Reconciling(message).encode()
}

#[cfg(test)]
mod tests;
