//! What we send: a run of chunks that ends in a checkpoint, then live pushes.
//!
//! A *run* starts from what the peer wants: from its cursor in our change order, or, without one, with a look at every
//! document. Either way it goes on with the change order until it reaches the head, and the message that reaches it is
//! the checkpoint. Whatever is committed meanwhile is part of the run. From then on each commit is a *push*: the tail of
//! the same change order. A tail that is too long for one message is another run.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crdt_core::codec::{DecodeError, Dictionary, encode_batch};
use crdt_core::reconcile::Slot;
use crdt_core::{
    Address, Document, Dot, Fingerprint, Head, Holding, Life, Position, Replica, Store, VersionVector, Window,
};

use super::refusals::Refusals;
use super::status::{SessionError, Way};
use crate::door::{Authorize, Reads, Terms};
use crate::message::{Ack, By, Checkpoint, Hello, MAX_VECTOR_ENTRIES, Message, Push, Want};

/// Documents read at a time.
pub(super) const PAGE: usize = 256;
/// About how many bytes of cells go into one message.
const MESSAGE_WEIGHT: usize = 64 << 10;

pub(super) type Batch = Vec<(Address, Document)>;

#[derive(Debug, Default)]
pub(super) struct Outbound {
    state: State,
    /// The life that the session began with.
    life: Option<Life>,
    /// Batches of the run that were read and not yet sent.
    queue: VecDeque<Batch>,
    /// Names what was pushed before. Chunks are read one by one, also after a crash, so they do not use it.
    dictionary: Dictionary,
    /// Our root was the peer's when it said hello; the head of that state.
    in_sync_at: Option<u64>,
    /// The position in our change order that the peer was brought to, or will be by what was sent.
    told: u64,
    /// Own transactions that the peer was told of.
    told_counter: u64,
    /// From where on the context has to be told.
    context_since: u64,
    awaiting: u64,
    acked: u64,
    way: Option<Way>,
    /// What we did not take of the peer's changes.
    refusals: Refusals,
    /// The peer may not read everything, so what we have seen says nothing about what it has.
    partial: bool,
}

#[derive(Debug, Default)]
enum State {
    /// Until the peer says what it wants.
    #[default]
    Waiting,
    /// Until both sides know what the peer lacks.
    Reconciling,
    /// Looking at every document; the change order goes on from `start`.
    Scan { after: Option<Address>, start: u64 },
    /// Looking at the documents that differ, from the slot at `next` on; the change order goes on from `start`.
    Differing { slots: Vec<Slot>, held: Vec<Holding>, next: usize, start: u64 },
    /// Reading the change order up to the head.
    Steps(Position),
    /// The run was read; the queue's last batch goes with the checkpoint.
    Closing(Closing),
    /// The checkpoint was sent; new steps are pushed.
    Live(Position),
}

/// What a checkpoint says of the state that it leads to.
#[derive(Debug)]
struct Closing {
    head: Head,
    context: Vec<Dot>,
}

impl Outbound {
    /// The name under which the peer's refusals are remembered.
    pub(super) fn remember_as(&mut self, peer: Life) {
        self.refusals = Refusals::new(peer);
    }

    pub(super) fn greet(&mut self, head: &Head, hello: &Hello) {
        self.life = Some(head.life);
        self.refusals = Refusals::new(hello.life);
        self.in_sync_at = (head.root == hello.root).then_some(head.sequence);
    }

    /// The peer said what it wants. It may say so again, without a cursor, when the roots turn out to differ.
    pub(super) fn start(&mut self, head: &Head, want: &Want) -> Result<Way, SessionError> {
        match self.state {
            State::Waiting => {}
            State::Live(_) if want.cursor == 0 => self.in_sync_at = None,
            _ => return Err(SessionError::Unexpected("a second want")),
        }
        let has_cursor = want.cursor > 0 && want.cursor <= head.sequence;
        self.context_since = if has_cursor { want.cursor } else { 0 };
        let (state, way) = match (self.in_sync_at, want.by) {
            (Some(sequence), _) => (State::Steps(Position { sequence, documents: 0 }), Way::InSync),
            _ if has_cursor => (State::Steps(Position { sequence: want.cursor, documents: 0 }), Way::Resume),
            (None, By::Cursor) => (State::Scan { after: None, start: head.sequence }, Way::Full),
            (None, By::Reconciling | By::Suspicion) => (State::Reconciling, Way::Reconcile),
        };
        (self.state, self.way) = (state, Some(way));
        Ok(way)
    }

    /// Both sides know what the peer lacks.
    pub(super) fn reconciled(&mut self, slots: Vec<Slot>, held: Vec<Holding>, since: u64) {
        self.state = State::Differing { slots, held, next: 0, start: since };
    }

    /// What the peer lacks is too much to find out.
    pub(super) fn send_everything(&mut self, since: u64) {
        (self.state, self.way) = (State::Scan { after: None, start: since }, Some(Way::Full));
    }

    /// Equal roots are no reason to send nothing.
    pub(super) fn not_in_sync(&mut self) {
        self.in_sync_at = None;
    }

    /// Sends nothing more until the peer says what it wants: some of what was sent was refused, and taken back.
    pub(super) fn pause(&mut self) {
        (self.state, self.in_sync_at, self.dictionary) = (State::Waiting, None, Dictionary::new());
        self.queue.clear();
    }

    /// The next message of the run, or the next push.
    pub(super) fn next_message<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        echoes: &[u64],
        rights: &dyn Authorize,
        terms: Terms,
    ) -> Result<Option<Vec<u8>>, SessionError> {
        let partial = terms.reads != Reads::Everything;
        self.partial = partial;
        let may_read = |address: &Address| !partial || rights.may_read(address);
        loop {
            let last_of_run = self.queue.len() <= 1 && matches!(self.state, State::Closing(_));
            if !last_of_run && let Some(batch) = self.queue.pop_front() {
                return Ok(Some(Message::Chunk(&encode(&mut Dictionary::new(), &batch)).encode()));
            }
            match &mut self.state {
                State::Waiting | State::Reconciling => return Ok(None),
                State::Differing { slots, held, next, start } => {
                    let end = slots.len().min(*next + PAGE);
                    let mut documents = replica.lacking(&slots[*next..end], &held[*next..end])?;
                    replica.offer()?;
                    *next = end;
                    if end == slots.len() {
                        self.state = State::Steps(Position { sequence: *start, documents: 0 });
                    }
                    documents.retain(|(address, _)| may_read(address));
                    self.queue.extend(batches(documents));
                }
                State::Scan { after, start } => {
                    let page = replica.difference(&VersionVector::new(), after.as_ref(), PAGE)?;
                    replica.offer()?;
                    let start = *start;
                    *after = page.after;
                    if after.is_none() {
                        self.state = State::Steps(Position { sequence: start, documents: 0 });
                    }
                    let mut documents = page.documents;
                    documents.retain(|(address, _)| may_read(address));
                    self.queue.extend(batches(documents));
                }
                State::Steps(position) => {
                    let mut window =
                        replica.window_for_peer(*position, PAGE, self.context_since, skip(echoes))?;
                    self.sending(replica, &window)?;
                    window.documents.retain(|(address, _)| may_read(address));
                    self.advance_run(window);
                }
                State::Closing(_) => return Ok(Some(self.checkpoint())),
                State::Live(position) => {
                    let position = *position;
                    if let Some(message) = self.refusals.next_message(replica, &may_read)? {
                        return Ok(Some(message));
                    }
                    if replica.head()?.sequence <= position.sequence {
                        return Ok(None);
                    }
                    let mut window =
                        replica.window_for_peer(position, PAGE, self.context_since, skip(echoes))?;
                    self.sending(replica, &window)?;
                    window.documents.retain(|(address, _)| may_read(address));
                    if let Some(push) = self.push(window) {
                        return Ok(Some(push));
                    }
                }
            }
        }
    }

    /// Makes sure that what was read may leave: it is durable, and it is ours.
    fn sending<S: Store>(&self, replica: &mut Replica<S>, window: &Window) -> Result<(), SessionError> {
        if self.life != Some(window.head.life) {
            return Err(SessionError::IdentityChanged);
        }
        if window.head.counter < self.told_counter {
            // The store was set back while the session was open: the peer has been told of more than there is.
            return Err(SessionError::Forked);
        }
        if window.head.offered < window.head.counter {
            replica.offer()?;
        }
        Ok(())
    }

    fn advance_run(&mut self, window: Window) {
        self.state = if window.reaches_head() {
            let mut context = window.context;
            if self.partial || self.context_since == 0 && context.len() > MAX_VECTOR_ENTRIES {
                // A version vector this long is never sent whole, nor one that stands for more than is sent. Not knowing it costs the peer bytes, not changes.
                context.clear();
            }
            State::Closing(Closing { head: window.head, context })
        } else {
            State::Steps(window.next)
        };
        self.queue.extend(batches(window.documents));
    }

    fn checkpoint(&mut self) -> Vec<u8> {
        let State::Closing(Closing { head, mut context }) = core::mem::take(&mut self.state) else {
            unreachable!("called while closing")
        };
        let batch =
            self.queue.pop_front().map(|batch| encode(&mut Dictionary::new(), &batch)).unwrap_or_default();
        if head.counter > 0 && !self.partial {
            context.push(Dot::new(head.replica, head.counter));
        }
        let sequence = head.sequence;
        self.state = State::Live(Position { sequence, documents: 0 });
        (self.told, self.awaiting, self.context_since) = (sequence, sequence, sequence);
        self.told_counter = head.counter;
        let root = if self.partial { Fingerprint::EMPTY } else { head.root };
        Message::Checkpoint(Checkpoint { sequence, root, context, batch: &batch }).encode()
    }

    /// Makes a push of a window, or starts another run when it does not fit one; nothing when there is nothing to say.
    fn push(&mut self, window: Window) -> Option<Vec<u8>> {
        let weight: usize = window.documents.iter().map(|(_, document)| document.weight() + 20).sum();
        if !window.reaches_head() || weight > MESSAGE_WEIGHT {
            self.advance_run(window);
            return None;
        }
        let Window { documents, next, head, mut context } = window;
        self.state = State::Live(next);
        let mut own = head.counter - self.told_counter;
        if self.partial {
            context.clear();
            own = 0;
        }
        if documents.is_empty() && context.is_empty() && own == 0 {
            // Only echoes: the next message takes the peer past them.
            return None;
        }
        let batch = if documents.is_empty() { Vec::new() } else { encode(&mut self.dictionary, &documents) };
        let steps = next.sequence - self.told;
        (self.told, self.awaiting, self.context_since) = (next.sequence, next.sequence, next.sequence);
        self.told_counter = head.counter;
        Some(Message::Push(Push { steps, own, context, batch: &batch }).encode())
    }

    /// A step of ours that is nothing but what the peer sent: it need not be sent back. Tells how many steps the peer can
    /// be taken past with the acknowledgement.
    pub(super) fn pass_echo(&mut self, sequence: u64) -> u64 {
        match &mut self.state {
            State::Live(position) if position.sequence == self.told && self.told + 1 == sequence => {
                position.sequence = sequence;
                self.told = sequence;
                self.context_since = sequence;
                1
            }
            _ => 0,
        }
    }

    /// The peer has durably applied something of ours; true when that is more than before.
    pub(super) fn acknowledged(&mut self, ack: &Ack) -> Result<bool, SessionError> {
        if ack.sequence > self.told {
            return Err(DecodeError::Invalid("an ack of what was not sent").into());
        }
        let more = ack.sequence > self.acked;
        self.acked = self.acked.max(ack.sequence);
        Ok(more)
    }

    pub(super) const fn caught_up(&self) -> bool {
        matches!(self.state, State::Live(_)) && self.acked >= self.awaiting && self.refusals.unheard() == 0
    }

    /// There are refusals up to a number that the peer has to hear of.
    pub(super) fn refused(&mut self, last: u64) {
        self.refusals.due(last);
    }

    pub(super) const fn refusals_due(&self) -> u64 {
        self.refusals.last_due()
    }

    pub(super) const fn refusals_told(&self) -> u64 {
        self.refusals.told()
    }

    pub(super) const fn refusals_unheard(&self) -> u64 {
        self.refusals.unheard()
    }

    pub(super) fn refusals_heard(&mut self, through: u64) {
        self.refusals.heard(through);
    }

    /// True when the peer was told of everything up to this head.
    pub(super) const fn has_told(&self, head: &Head) -> bool {
        matches!(self.state, State::Live(_)) && self.told == head.sequence
    }

    /// How many own transactions the peer has, when it has acknowledged all that it was told of; else 0 for unknown.
    pub(super) const fn own_acked(&self) -> u64 {
        if self.acked == self.told && !self.partial { self.told_counter } else { 0 }
    }

    /// Our hello, which was made earlier, told of this life.
    pub(super) const fn tell_life(&mut self, life: Option<Life>) {
        self.life = life;
    }

    /// The life that the session is held in.
    pub(super) const fn life(&self) -> Option<Life> {
        self.life
    }

    pub(super) const fn acked(&self) -> u64 {
        self.acked
    }

    pub(super) const fn position(&self) -> u64 {
        match &self.state {
            State::Live(position) | State::Steps(position) => position.sequence,
            _ => 0,
        }
    }

    pub(super) const fn way(&self) -> Option<Way> {
        self.way
    }
}

/// Cuts documents into batches that fit a message.
pub(super) fn batches(documents: Batch) -> Vec<Batch> {
    let (mut batches, mut batch, mut weight) = (Vec::new(), Batch::new(), 0);
    for (address, document) in documents {
        for part in document.split(MESSAGE_WEIGHT) {
            let part_weight = part.weight() + 20;
            if weight > 0 && weight + part_weight > MESSAGE_WEIGHT {
                batches.push(core::mem::take(&mut batch));
                weight = 0;
            }
            batch.push((address.clone(), part));
            weight += part_weight;
        }
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

fn skip(echoes: &[u64]) -> impl Fn(u64) -> bool + '_ {
    |sequence| echoes.binary_search(&sequence).is_ok()
}

pub(super) fn encode(dictionary: &mut Dictionary, batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    encode_batch(&mut out, dictionary, batch.iter().map(|(address, document)| (address, document)));
    out
}
