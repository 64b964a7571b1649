//! Taking the messages of a peer that was let in: what it wants, what it sends, what it has.

use alloc::vec::Vec;

use crdt_core::{Acknowledged, Fingerprint, Judgement, Memory, Replica, Store};

use super::Session;
use super::control::OwedAck;
use super::handshake::Peer;
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::reconcile::Outcome;
use super::status::{SessionError, SessionEvent, Way};
use crate::door::{Reads, Terms};
use crate::message::{Ack, By, Message, Partial, Want};

/// So many steps are remembered that came from the peer and need not go back.
pub(super) const MAX_ECHOES: usize = 4096;

/// How far the session has come, as it is when this leaves.
pub(super) fn ack<S: Store>(
    owed: OwedAck,
    inbound: &Inbound,
    outbound: &Outbound,
    replica: &mut Replica<S>,
) -> Vec<u8> {
    // What was applied stays so whatever happens now; without its root the peer just cannot compare yet. Nor can it while
    // we have something that it does not know.
    let head = if owed.with_root { replica.head().ok() } else { None };
    let root = head.filter(|head| outbound.has_told(head)).map(|head| head.root);
    // While we load it is of more than we tell.
    let root = root.filter(|_| replica.serves().is_ok_and(|serves| !serves.loading));
    let (sequence, refused) = (inbound.cursor(), outbound.refusals_unheard());
    Message::Ack(Ack { sequence, echo_steps: owed.echo_steps, root, refused }).encode()
}

impl Session {
    /// Takes a message of a peer that was let in and let us in.
    pub(super) fn exchange<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        message: Message<'_>,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let (obeys, reads_all) = (self.obeys(), self.both_read_all());
        let peer = self.peer.as_mut().expect("greeted");
        let (rights, terms) = peer.rights().expect("checked by the caller");
        let judge = |proposal: &crdt_core::Proposal<'_>| rights.may_write(proposal);
        let hold = self.inbound.may_hold();
        let may_read =
            |address: &crdt_core::Address| terms.reads == Reads::Everything || rights.may_read(address);
        let arrival = self.scopes.arrival(&peer.hello.trail);
        let judge = (!terms.writes_all).then_some(Judgement { judge: &judge, may_read: &may_read, hold });
        match message {
            Message::Want(want) => return self.wanted(replica, want, now_ms),
            Message::Reconciling(_) if !reads_all => {
                return Err(SessionError::Unexpected("sums, where not everything may be read"));
            }
            // Said before the peer knew what we hold, and by now it does.
            Message::Reconciling(_) if !self.scopes.allow_sums() => {}
            Message::Reconciling(message) => {
                let outcome = self.reconcile.take(message)?;
                self.reconciled(outcome);
            }
            // Said before the peer took back what we refused; it will be said again.
            Message::Chunk(_)
            | Message::Partial(Partial::Part(_))
            | Message::Checkpoint(_)
            | Message::Push(_)
                if self.inbound.holds() => {}
            Message::Partial(Partial::Scope(told)) => return self.scope_told(replica, told),
            Message::Partial(Partial::Load(asked)) => {
                return self.load_asked(replica, asked);
            }
            Message::Partial(Partial::Part(part)) => {
                let loaded = self.inbound.part(replica, &peer.hello, part, &arrival)?;
                self.loaded(replica, loaded);
            }
            Message::Chunk(batch) => self.inbound.chunk(replica, &peer.hello, batch)?,
            Message::Checkpoint(checkpoint) => {
                let root = checkpoint.root;
                let seen = self.inbound.first_sync().map(|_| checkpoint.context.clone());
                let applied = self.inbound.checkpoint(replica, &peer.hello, checkpoint, judge, arrival)?;
                self.finished_loading(replica, &applied, seen);
                self.applied(replica, &applied, true);
                if !applied.held {
                    self.compare(replica, root);
                }
            }
            Message::Push(push) => {
                let applied = self.inbound.push(replica, &peer.hello, push, judge, arrival)?;
                self.applied(replica, &applied, false);
            }
            Message::Ack(ack) => return self.acknowledged(replica, &ack, now_ms),
            Message::Refused(_) if !peer.is_guarded() => {
                return Err(SessionError::Unexpected("a refusal of a peer without a guard"));
            }
            Message::Refused(refused) => {
                let through = refused.through;
                let changes = refused.changes.clone();
                let applied = self.inbound.refused(replica, &peer.hello, refused, obeys)?;
                for (dot, refusal) in changes {
                    let withdrawn = obeys;
                    self.events.push_back(SessionEvent::ChangeRefused { dot, refusal, withdrawn });
                }
                self.control.heard(through);
                if obeys {
                    // The peer takes nothing that was sent before; it will say from where on it wants it again.
                    self.outbound.pause();
                }
                self.applied(replica, &applied, false);
            }
            Message::Heard(through) => {
                if through > self.outbound.refusals_told() {
                    return Err(SessionError::Unexpected("a receipt for refusals that were not sent"));
                }
                replica.refusals_heard(peer.hello.life, through)?;
                self.outbound.refusals_heard(through);
                self.release(replica)?;
            }
            Message::Hello(_)
            | Message::Proof(_)
            | Message::Token(_)
            | Message::Welcome(_)
            | Message::Restart(_)
            | Message::Bye(..) => unreachable!("taken by the caller"),
        }
        Ok(())
    }

    /// The peer says what it wants.
    fn wanted<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        want: Want,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let Some((_, terms)) = self.peer.as_ref().and_then(Peer::rights) else { return Ok(()) };
        let head = replica.head()?;
        if self.outbound.life() != Some(head.life) {
            return self.announce(replica);
        }
        // One whose changes are judged is not believed in this either.
        if terms.writes_all
            && let Some(fork) = replica.fork(&want.memory, want.seen_of_you)?
        {
            // Without another id there is one way only that leads on: where nothing of ours is lost.
            if self.config.spare.is_some() || want.seen_of_you > head.counter {
                return self.renew(replica, fork, now_ms);
            }
        }
        if terms.reads != Reads::Everything {
            // That its root is ours would tell such a peer that it has guessed what is hidden.
            self.outbound.not_in_sync();
        }
        // What we hold has to be known before anything of it goes.
        let (serves, scope) = (replica.serves()?, self.scopes.tell(replica, None)?);
        self.control.extend(scope);
        let reconciles = terms.reads == Reads::Everything && self.scopes.allow_sums();
        let by = if reconciles { want.by } else { By::Cursor };
        let way = self.outbound.start(&head, serves, &self.scopes, &Want { by, ..want })?;
        self.events.push_back(SessionEvent::Sending(way));
        if by != By::Cursor {
            self.reconcile.begin(way == Way::Reconcile, by == By::Suspicion);
        }
        if by == By::Suspicion && self.repairs == 0 {
            // It noticed first.
            self.repair();
        }
        Ok(())
    }

    /// The peer has durably applied what we sent.
    fn acknowledged<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        ack: &Ack,
        now_ms: u64,
    ) -> Result<(), SessionError> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let (replica_id, life) = (peer.hello.replica, peer.hello.life);
        if self.outbound.is_news(ack)? {
            let (own, ours) = (self.outbound.own_acked(ack.sequence), self.outbound.life());
            let passed = self.inbound.after_echo(ack.echo_steps);
            let trail = peer.hello.trail.clone();
            let (sequence, generation) = (ack.sequence, Some(self.scopes.generation()));
            let acked = Acknowledged { sequence, own, ours, passed, generation, trail, now_ms };
            if !replica.acknowledged_at(life, replica_id, acked)? {
                return self.announce(replica);
            }
            self.outbound.acknowledged(ack);
            self.events.push_back(SessionEvent::Acknowledged { sequence: ack.sequence });
        }
        // Where the store fails, all of this is done again: what counts on comes last.
        self.confirm(replica)?;
        self.evict(replica)?;
        self.inbound.echoed(ack.echo_steps);
        self.inbound.expect_refusals(ack.refused);
        if let Some(root) = ack.root {
            self.compare(replica, root);
        }
        Ok(())
    }

    /// Once the peer has heard of all refusals, it is asked for the rest. It has to have heard in this session: until then
    /// it goes on here from where it was.
    pub(super) fn release<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<(), SessionError> {
        if !self.inbound.holds() {
            return Ok(());
        }
        if let Some(peer) = &self.peer
            && self.outbound.refusals_unheard() == 0
        {
            let scope = peer.welcome().map_or(0, |terms| terms.reads.scope());
            let want = self.inbound.greet(replica, &peer.hello, scope, self.config.nonce)?;
            self.inbound.let_go();
            self.ask_first(replica, Some(want))?;
        }
        Ok(())
    }

    /// What the peer we obey has taken, it will not refuse any more: it takes nothing of a run with a refusal in it.
    fn confirm<S: Store>(&mut self, replica: &mut Replica<S>) -> Result<(), SessionError> {
        let is_server = self.obeys() && self.peer.as_ref().is_some_and(Peer::is_guarded);
        // One that holds a part has decided about that part only.
        let decides = is_server && self.scopes.peer().scope.is_everything();
        if decides && self.outbound.acked() > self.confirmed {
            replica.confirmed(self.outbound.acked())?;
            self.confirmed = self.outbound.acked();
        }
        Ok(())
    }

    /// Acknowledges what was applied, and remembers which of our steps are only its echo.
    fn applied<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        applied: &crdt_core::Applied,
        checkpoint: bool,
    ) {
        let mut echo_steps = 0;
        let terms = self.peer.as_ref().and_then(Peer::rights).map(|(_, terms)| terms);
        let reads_all = terms.is_some_and(|terms| terms.reads == Reads::Everything);
        if let Some(sequence) = applied.sequence {
            self.remember_echo(sequence);
            if let Some(life) = self.noted {
                replica.came_from(life, sequence);
            }
            // To others it would tell whether what they wrote blindly made a difference.
            echo_steps = if reads_all { self.outbound.pass_echo(sequence) } else { 0 };
        }
        let refuses = applied.refused > self.outbound.refusals_due();
        if refuses {
            self.outbound.refused(applied.refused);
            self.events.push_back(SessionEvent::Refusing { last: applied.refused });
        }
        if applied.held {
            self.inbound.hold();
            return;
        }
        self.control.ack(OwedAck { echo_steps, with_root: checkpoint && reads_all });
        self.events.push_back(SessionEvent::Applied { cells: applied.cells, checkpoint });
        if refuses && self.inbound.may_hold() {
            // Something was refused in another session, and the peer begins anew as soon as it hears of that here.
            self.inbound.hold();
        }
    }

    /// A step of ours that need not be sent to the peer that it came from. What does not fit is sent back: that costs
    /// bytes, and a peer that does not read pays for them.
    fn remember_echo(&mut self, sequence: u64) {
        if self.echoes.len() >= MAX_ECHOES {
            // Those that were passed are of no use any more.
            let passed = self.outbound.position();
            self.echoes.retain(|step| *step >= passed);
        }
        if self.echoes.len() < MAX_ECHOES {
            self.echoes.push(sequence);
        }
    }

    /// Both sides have everything, so their roots have to be equal. If they are not, some transaction exists twice with
    /// different content (a copied store): the two then reconcile, trusting nothing but sums; and if that does not help,
    /// each sends the other all that it holds.
    fn compare<S: Store>(&mut self, replica: &mut Replica<S>, peer_root: Fingerprint) {
        if let Some(peer) = &mut self.peer {
            peer.root = peer_root;
        }
        let rests = self.outbound.caught_up() && self.inbound.caught_up() && !self.reconcile.under_way();
        if !rests || !self.expects_equal_roots() {
            return;
        }
        let (Ok(head), Ok(serves)) = (replica.head(), replica.serves()) else { return };
        if self.scopes.loads(serves, peer_root) || !self.outbound.has_told(&head) {
            return;
        }
        let equal = head.root == peer_root;
        if let Some(life) = self.noted {
            replica.compared(life, equal, head.sequence);
        }
        if equal {
            return;
        }
        self.events.push_back(SessionEvent::RootsDiffer { repairing: self.repairs < 2 });
        self.repair();
    }

    /// Does the next thing there is to do about roots that differ.
    fn repair(&mut self) {
        let by = match self.repairs {
            0 if self.expects_sums() => By::Suspicion,
            0 | 1 => By::Cursor,
            _ => return,
        };
        self.repairs = if by == By::Cursor { 2 } else { 1 };
        self.ask(Some(Want { cursor: 0, seen_of_you: 0, memory: Memory::default(), by }));
    }

    /// Tells the peer what we hold, and then what we want, as soon as that is known.
    pub(super) fn ask_first<S: Store>(
        &mut self,
        replica: &mut Replica<S>,
        want: Option<Want>,
    ) -> Result<(), SessionError> {
        if want.is_some() {
            self.control.extend(self.scopes.tell(replica, self.inbound.asked())?);
            if let Some(first_sync) = self.inbound.first_sync() {
                self.control.push_back(Message::Partial(Partial::Load(first_sync.clone())).encode());
                self.scopes.say_load();
            }
        }
        self.ask(want);
        Ok(())
    }

    /// Tells the peer what we want, if anything.
    fn ask(&mut self, want: Option<Want>) {
        let Some(mut want) = want else { return };
        if !self.scopes.allow_sums() {
            want.by = By::Cursor;
        }
        if want.by != By::Cursor {
            self.reconcile.begin(false, want.by == By::Suspicion);
        }
        self.control.push_back(Message::Want(want).encode());
    }

    /// Sends what the peer lacks, if it wished for that, now that it is known.
    pub(super) fn reconciled(&mut self, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else { return };
        self.events.push_back(SessionEvent::Reconciled(self.reconcile.cost()));
        if self.reconcile.take_wish() {
            match outcome {
                Outcome::Differing { slots, held, since } => self.outbound.reconciled(slots, held, since),
                Outcome::TooLarge { since } => self.outbound.send_everything(since),
            }
        }
    }

    /// Whether sums over all that is held may pass between the two.
    fn expects_sums(&self) -> bool {
        self.both_read_all() && self.scopes.allow_sums()
    }

    /// Whether each side may read all that the other holds.
    fn both_read_all(&self) -> bool {
        let Some(peer) = &self.peer else { return false };
        let terms = [peer.welcome(), peer.rights().map(|(_, terms)| terms)];
        terms.iter().all(|terms| terms.is_some_and(|terms| terms.reads == Reads::Everything))
    }

    /// Whether nothing is withheld on either side, and what was refused has been taken back.
    fn expects_equal_roots(&self) -> bool {
        let Some(peer) = &self.peer else { return false };
        let (Some(ours), Some((_, theirs))) = (peer.welcome(), peer.rights()) else { return false };
        let open = |terms: Terms| terms.reads == Reads::Everything;
        self.scopes.comparable()
            && open(ours)
            && open(theirs)
            && theirs.writes_all
            && (ours.writes_all || self.obeys())
    }
}
