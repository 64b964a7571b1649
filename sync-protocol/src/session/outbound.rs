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
    Address, Document, Dot, Fingerprint, FirstSync, Head, Holding, Life, Position, Replica, Scanned, Scope,
    Serves, Store, VersionVector, Window,
};

use super::first_sync::Loader;
use super::refusals::Refusals;
use super::scopes::{Scopes, goes_to};
use super::status::{SessionError, Way};
use crate::door::{Authorize, Reads, Terms};
use crate::message::{Ack, By, Checkpoint, Hello, MAX_VECTOR_ENTRIES, Message, Push, ScopeTold, Want};

/// Documents read at a time.
pub(super) const PAGE: usize = 256;
/// The same of the change order in a first sync, which can go on only after what was read at a time.
const LOADER_PAGE: usize = 64;
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
    /// The look at every document is over, and what was committed meanwhile has not been read yet.
    scan_ended: bool,
    /// The peer holds nothing of others yet, and gets its run in parts.
    loader: Option<Loader>,
    /// We loaded until here, all of it from this peer: it has what we do not tell by our change order.
    loaded_from_peer: u64,
    /// What the peer subscribes to.
    peer_scope: ScopeTold,
    /// It may believe what we have seen.
    vouches: bool,
    /// Which subscription of ours this session is under, and how often something was evicted when it was last looked at.
    generation: u64,
    evictions: u64,
    /// What the peer's cursor stands for, when that is less than its scope: the rest is looked for among all documents.
    widening: Option<Scope>,
    /// We loaded from this peer and from others: what this one has seen.
    peer_seen: VersionVector,
}

#[derive(Debug, Default)]
enum State {
    /// Until the peer says what it wants.
    #[default]
    Waiting,
    /// Until both sides know what the peer lacks.
    Reconciling,
    /// Looking at every document for what is not in `seen`; the change order goes on from `start`.
    Scan { seen: VersionVector, after: Option<Address>, start: u64 },
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
    /// We load, so the position need not be durable.
    loads: bool,
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
    pub(super) fn start(
        &mut self,
        head: &Head,
        serves: Serves,
        scopes: &Scopes,
        want: &Want,
    ) -> Result<Way, SessionError> {
        match self.state {
            State::Waiting => {}
            State::Live(_) if want.cursor == 0 => self.in_sync_at = None,
            _ => return Err(SessionError::Unexpected("a second want")),
        }
        let has_cursor = want.cursor > 0 && want.cursor <= head.sequence && want.cursor >= serves.scan_before;
        self.context_since = if has_cursor { want.cursor } else { 0 };
        (self.peer_scope, self.vouches) = (scopes.peer().clone(), scopes.vouches());
        (self.generation, self.evictions) = (scopes.generation(), serves.evictions);
        self.widening = scopes.peer().known.clone().filter(|_| has_cursor);
        let scan = |start| State::Scan { seen: VersionVector::new(), after: None, start };
        let (state, way) = match (self.in_sync_at, want.by) {
            (Some(sequence), _) => (State::Steps(Position { sequence, documents: 0 }), Way::InSync),
            _ if self.widening.is_some() && !serves.loading => (scan(want.cursor), Way::Resume),
            // While we load there is no look at every document: what is new in the peer's scope is in the change order.
            _ if self.widening.take().is_some() => {
                self.context_since = 0;
                (State::Steps(Position::default()), Way::Resume)
            }
            _ if has_cursor => (State::Steps(Position { sequence: want.cursor, documents: 0 }), Way::Resume),
            // What is being loaded is not passed on, and is not in the change order.
            _ if serves.loading => (State::Steps(Position::default()), Way::Resume),
            (None, By::Cursor) => (scan(head.sequence), Way::Full),
            (None, By::Reconciling | By::Suspicion) => (State::Reconciling, Way::Reconcile),
        };
        (self.state, self.way) = (state, Some(way));
        match (&mut self.state, &mut self.loader) {
            (State::Scan { after, start, .. }, Some(loader)) => {
                *start = loader.sequence();
                match loader.looked_at() {
                    Scanned::Nothing => {}
                    Scanned::Through(address) => *after = Some(address),
                    Scanned::Everything => {
                        self.state = State::Steps(Position { sequence: *start, documents: 0 });
                    }
                }
            }
            _ => self.loader = None,
        }
        Ok(way)
    }

    /// The peer said, before it says what it wants, that it holds nothing of others yet.
    pub(super) fn load<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        asked: FirstSync,
    ) -> Result<(), SessionError> {
        if !matches!(self.state, State::Waiting) {
            return Err(SessionError::Unexpected("a first sync after a want"));
        }
        self.loader = Some(Loader::new(replica, asked)?);
        Ok(())
    }

    /// Our own first sync came to its end at a position of our change order. What the peer has seen is needed only when
    /// not all of it came from this peer: then it is given a look at what others brought.
    pub(super) fn loaded(&mut self, position: u64, peer_seen: Option<&[Dot]>) {
        match peer_seen {
            None => {
                self.loaded_from_peer = position;
                self.pass_untold(position);
            }
            Some(seen) => self.peer_seen = seen.iter().copied().collect(),
        }
    }

    /// True until the peer has said what it wants.
    pub(super) const fn waits(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// A step of ours that tells nothing.
    pub(super) fn pass_untold(&mut self, sequence: u64) {
        if let State::Live(position) = &mut self.state
            && position.sequence + 1 == sequence
        {
            position.sequence = sequence;
        }
    }

    /// When what was loaded meanwhile is not in the change order and the peer does not have it: looks at every document.
    fn looks_again(&mut self, window: &Window, from: u64) -> bool {
        let due = window.serves.scan_before;
        // While we load anew there is nothing to look at; once that is over, there is more.
        if window.serves.loading || from >= due || self.loaded_from_peer >= due {
            return false;
        }
        (self.context_since, self.loader, self.widening) = (0, None, None);
        self.state = State::Scan { seen: self.peer_seen.clone(), after: None, start: window.head.sequence };
        true
    }

    /// When we began to load meanwhile, what lies among the documents is not all to be passed on, and what is, is in the
    /// change order.
    fn loads<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<bool, SessionError> {
        let loads = replica.serves()?.loading;
        if loads {
            (self.loader, self.widening) = (None, None);
            self.context_since = 0;
            self.state = State::Steps(Position::default());
        }
        Ok(loads)
    }

    /// No sums pass after all: the peer gets everything that it wished to have compared.
    pub(super) fn without_sums(&mut self, since: u64) {
        if matches!(self.state, State::Reconciling) {
            self.send_everything(since);
        }
    }

    /// Both sides know what the peer lacks.
    pub(super) fn reconciled(&mut self, slots: Vec<Slot>, held: Vec<Holding>, since: u64) {
        self.state = State::Differing { slots, held, next: 0, start: since };
    }

    /// What the peer lacks is too much to find out.
    pub(super) fn send_everything(&mut self, since: u64) {
        let seen = VersionVector::new();
        (self.state, self.way) = (State::Scan { seen, after: None, start: since }, Some(Way::Full));
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
        let scope = self.peer_scope.clone();
        let may_read = |address: &Address| goes_to(&scope, address) && (!partial || rights.may_read(address));
        loop {
            if !self.may_be_last()
                && let Some(batch) = self.queue.pop_front()
            {
                return Ok(Some(match &mut self.loader {
                    Some(loader) => loader.part(&batch, self.queue.front()),
                    None => Message::Chunk(&encode(&mut Dictionary::new(), &batch)).encode(),
                }));
            }
            match &mut self.state {
                State::Waiting | State::Reconciling => return Ok(None),
                State::Scan { .. } | State::Differing { .. } => {
                    if !self.loads(replica)? {
                        let mut documents = self.look(replica)?;
                        documents.retain(|(address, _)| may_read(address));
                        self.enqueue(documents);
                    }
                }
                State::Steps(position) => {
                    let from = *position;
                    self.scan_ended = false;
                    let page = self.loader.as_ref().map_or(PAGE, |_| LOADER_PAGE);
                    let mut window = replica.window_for_peer(from, page, self.context_since, skip(echoes))?;
                    self.sending(replica, &window)?;
                    if self.looks_again(&window, from.sequence) {
                        continue;
                    }
                    if self.evictions != window.serves.evictions {
                        // A step may name fewer documents now: it is read from its start.
                        self.evictions = window.serves.evictions;
                        if from.documents > 0 {
                            self.state = State::Steps(Position { documents: 0, ..from });
                            continue;
                        }
                    }
                    if let Some(loader) = &mut self.loader {
                        loader.stepped(window.next.sequence);
                    }
                    window.documents.retain(|(address, _)| may_read(address));
                    self.advance_run(window);
                }
                State::Closing(Closing { loads, .. }) => {
                    if *loads {
                        replica.flush()?;
                    }
                    return Ok(Some(self.checkpoint()));
                }
                State::Live(position) => {
                    let position = *position;
                    let refusal = self.refusals.next_message(replica, position.sequence, &may_read)?;
                    if refusal.is_some() {
                        return Ok(refusal);
                    }
                    if replica.head()?.sequence <= position.sequence {
                        return Ok(None);
                    }
                    let mut window =
                        replica.window_for_peer(position, PAGE, self.context_since, skip(echoes))?;
                    self.sending(replica, &window)?;
                    if self.looks_again(&window, position.sequence) {
                        continue;
                    }
                    window.documents.retain(|(address, _)| may_read(address));
                    if window.serves.loading && !self.is_nothing(&window) {
                        replica.flush()?;
                    }
                    if let Some(push) = self.push(window) {
                        return Ok(Some(push));
                    }
                }
            }
        }
    }

    /// Reads the next page of documents of a run that does not begin with the change order.
    fn look<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<Batch, SessionError> {
        let (documents, start) = match &mut self.state {
            State::Differing { slots, held, next, start } => {
                let end = slots.len().min(*next + PAGE);
                let documents = replica.lacking(&slots[*next..end], &held[*next..end])?;
                replica.offer()?;
                *next = end;
                (documents, (end == slots.len()).then_some(*start))
            }
            State::Scan { seen, after, start } => {
                let page = replica.difference(seen, after.as_ref(), PAGE)?;
                replica.offer()?;
                *after = page.after;
                if let Some(loader) = &mut self.loader {
                    loader.scanned(after.as_ref());
                }
                let mut documents = page.documents;
                if let Some(known) = &self.widening {
                    // What the cursor stands for comes with the change order.
                    documents.retain(|(address, _)| !known.contains(address));
                }
                (documents, after.is_none().then_some(*start))
            }
            _ => return Ok(Batch::new()),
        };
        if let Some(sequence) = start {
            self.scan_ended = true;
            self.state = State::Steps(Position { sequence, documents: 0 });
        }
        Ok(documents)
    }

    /// Cuts documents into batches; what was kept back because it may have been the last one is filled up.
    fn enqueue(&mut self, documents: Batch) {
        let mut batch = self.queue.pop_back().unwrap_or_default();
        batch.extend(documents);
        self.queue.extend(batches(batch));
    }

    /// The next batch may turn out to be the last one of the run, which goes with the checkpoint.
    fn may_be_last(&self) -> bool {
        let looking = match self.state {
            State::Scan { .. } | State::Differing { .. } | State::Closing(_) => true,
            _ => self.scan_ended,
        };
        self.queue.len() <= 1 && looking
    }

    /// Makes sure that what was read may leave: it is durable, and it is ours.
    fn sending<S: Store>(&self, replica: &mut Replica<S>, window: &Window) -> Result<(), SessionError> {
        if self.life != Some(window.head.life) {
            return Err(SessionError::IdentityChanged);
        }
        if self.generation != window.serves.generation {
            return Err(SessionError::ScopeChanged);
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
            if self.partial || !self.vouches || self.context_since == 0 && context.len() > MAX_VECTOR_ENTRIES
            {
                // A version vector this long is never sent whole, nor one that stands for more than is sent. Not knowing it
                // costs the peer bytes, not changes.
                context.clear();
            }
            let (mut head, loads) = (window.head, window.serves.loading);
            if loads {
                // It is of more than is served.
                head.root = Fingerprint::EMPTY;
            }
            State::Closing(Closing { head, context, loads })
        } else {
            State::Steps(window.next)
        };
        self.enqueue(window.documents);
    }

    fn checkpoint(&mut self) -> Vec<u8> {
        let State::Closing(Closing { head, mut context, .. }) = core::mem::take(&mut self.state) else {
            unreachable!("called while closing")
        };
        let batch =
            self.queue.pop_front().map(|batch| encode(&mut Dictionary::new(), &batch)).unwrap_or_default();
        if head.counter > 0 && !self.partial {
            context.push(Dot::new(head.replica, head.counter));
        }
        let sequence = head.sequence;
        self.loader = None;
        self.state = State::Live(Position { sequence, documents: 0 });
        (self.told, self.awaiting, self.context_since) = (sequence, sequence, sequence);
        self.told_counter = head.counter;
        let root = if self.partial { Fingerprint::EMPTY } else { head.root };
        Message::Checkpoint(Checkpoint { sequence, root, context, batch: &batch }).encode()
    }

    /// A window of steps that tell the peer nothing.
    fn is_nothing(&self, window: &Window) -> bool {
        window.documents.is_empty() && window.context.is_empty() && window.head.counter == self.told_counter
    }

    /// Makes a push of a window, or starts another run when it does not fit one; nothing when there is nothing to say.
    fn push(&mut self, window: Window) -> Option<Vec<u8>> {
        let weight: usize = window.documents.iter().map(|(_, document)| document.weight() + 20).sum();
        if !window.reaches_head() || weight > MESSAGE_WEIGHT {
            self.advance_run(window);
            return None;
        }
        let Window { documents, next, head, mut context, .. } = window;
        self.state = State::Live(next);
        let mut own = head.counter - self.told_counter;
        if self.partial || !self.vouches {
            context.clear();
        }
        if self.partial {
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
            State::Live(position) if position.sequence + 1 == sequence => {
                // Steps that tell nothing may have been passed since it was last told.
                let steps = sequence - self.told;
                position.sequence = sequence;
                self.told = sequence;
                self.context_since = sequence;
                steps
            }
            _ => 0,
        }
    }

    /// Whether the peer has durably applied more of ours than before.
    pub(super) fn is_news(&self, ack: &Ack) -> Result<bool, SessionError> {
        if ack.sequence > self.told {
            return Err(DecodeError::Invalid("an ack of what was not sent").into());
        }
        Ok(ack.sequence > self.acked)
    }

    /// That is noted.
    pub(super) fn acknowledged(&mut self, ack: &Ack) {
        self.acked = self.acked.max(ack.sequence);
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

    /// How many own transactions the peer has, when it acknowledges all that it was told of; else 0 for unknown.
    pub(super) const fn own_acked(&self, acked: u64) -> u64 {
        let has_all = acked == self.told && !self.partial && self.peer_scope.scope.is_everything();
        if has_all { self.told_counter } else { 0 }
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
