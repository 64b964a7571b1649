//! [`converse`]: a session over an async transport, both ways at once.
//!
//! It reads while it writes, so two sides that both have much to say do not stop each other. What waits to be sent is
//! bounded: the session is asked for the next message only when the transport has room, and a peer that sends and does not
//! read is no longer read after [`UNREAD`] changes.
//!
//! To end together, a side that has everything says so with a message of two bytes, which is not the session's: how many
//! messages it has received. A side that hears its own number of sent messages and has nothing to say knows that both have
//! everything and nothing is under way.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::{Endpoint, Messages, StreamError};
use crate::EndReason;
use crate::session::{Session, SessionEvent};

/// So many changes are taken from a peer before it has to take something itself.
const UNREAD: u32 = 1024;
/// Steps with the store before other tasks get their turn.
const STEPS: u32 = 32;
/// How long to wait for the other side to close too.
const FAREWELL: Duration = Duration::from_secs(5);
/// When the session does not say how long to wait for a silent peer.
const PATIENCE_MS: u64 = 30_000;

/// When a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When both sides have everything. Then this side closes.
    Settled,
    /// When either side closes. Until then what is committed on either side is pushed to the other.
    Closed,
}

/// Tells conversations that there is something new, or that they should end. Clones are the same one, and any number of
/// conversations can listen to it.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    rung: Notify,
    ending: AtomicBool,
}

impl Wake {
    /// One that nobody listens to yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something was committed: to be called after each commit, from any thread.
    pub fn ring(&self) {
        self.0.rung.notify_waiters();
    }

    /// All conversations that listen should tell their peers that they end, and end. Those that start later end at once.
    pub fn end(&self) {
        self.0.ending.store(true, Ordering::Release);
        self.ring();
    }
}

/// Holds a session over an async transport.
///
/// The replica is asked for one step at a time, within the call that polls: with a database on disk, that blocks the task
/// for the time of one small transaction, which is less than handing it to another thread would cost as a rule. A
/// checkpoint after a large run takes longer; a program that cannot have that runs this on a thread of its own.
///
/// `now_ms` is milliseconds since 1970 at the start; from there on tokio's clock counts. `events` hears what happens.
///
/// A peer that owes an answer and neither sends nor takes anything for the session's timeout ends the conversation. One
/// that is only idle does not: whether a quiet line still stands is the transport's business (TCP keepalive, pings).
///
/// To drop the future cuts the connection; nothing is lost by that, a new session resumes.
///
/// # Errors
/// [`StreamError`]; what was applied before stays. [`StreamError::Ended`] when the peer gave up, or was silent for too long.
pub async fn converse(
    session: &mut Session,
    replica: &mut impl Endpoint,
    line: &mut impl Messages,
    until: Until,
    wake: &Wake,
    now_ms: u64,
    events: impl FnMut(SessionEvent),
) -> Result<(), StreamError> {
    // Listening begins before the first look at the store, so that no commit falls in between.
    let mut rung = pin!(wake.0.rung.notified());
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut talk = Talk::new(session, replica, line, until, now_ms, events);
    let end = poll_fn(|cx| talk.poll(cx, wake, rung.as_mut(), timer.as_mut())).await;
    let result = match end {
        Ok(End::Ours(reason)) => {
            talk.session.close(reason);
            talk.farewell(true).await;
            Ok(())
        }
        Ok(End::Theirs(reason)) => {
            talk.farewell(false).await;
            match (talk.session.refusal(), until, reason) {
                (Some(refusal), ..) => Err(StreamError::NotAdmitted(refusal.clone())),
                (None, _, EndReason::Done) | (None, Until::Closed, EndReason::Closed) => Ok(()),
                _ => Err(StreamError::Ended(reason)),
            }
        }
        Err(error) => {
            if matches!(error, StreamError::Session(_)) {
                talk.session.close(EndReason::Failed);
                talk.farewell(false).await;
            }
            Err(error)
        }
    };
    talk.tell();
    let now_ms = talk.now_ms();
    talk.replica.with(|replica| talk.session.finish(replica, now_ms));
    result
}

/// Who ended it, and why.
enum End {
    Ours(EndReason),
    Theirs(EndReason),
}

struct Talk<'t, E, M, F> {
    session: &'t mut Session,
    replica: &'t mut E,
    line: &'t mut M,
    until: Until,
    events: F,
    started: Instant,
    started_ms: u64,
    patience: Duration,
    /// When the peer last sent or took something.
    last_moved: Instant,
    /// The session may have something to say.
    look: bool,
    /// Something was given to the transport and may not have left.
    dirty: bool,
    /// Changes that were taken since something was last given to the transport.
    unread: u32,
    /// Messages of the session; modulo 2^16, as they are told.
    sent: u16,
    received: u16,
    /// What was sent and received when this side last said that it has everything.
    said: Option<(u16, u16)>,
    /// The peer said that it has everything, and since then nothing else: how many messages it had received.
    heard: Option<u16>,
    /// The peer said so and wants to know how it is here.
    asked: bool,
}

impl<'t, E: Endpoint, M: Messages, F: FnMut(SessionEvent)> Talk<'t, E, M, F> {
    fn new(
        session: &'t mut Session,
        replica: &'t mut E,
        line: &'t mut M,
        until: Until,
        now_ms: u64,
        events: F,
    ) -> Self {
        let started = Instant::now();
        let patience_ms = session.next_timeout_ms().map_or(PATIENCE_MS, |at| at.saturating_sub(now_ms));
        Self {
            session,
            replica,
            line,
            until,
            events,
            started,
            started_ms: now_ms,
            patience: Duration::from_millis(patience_ms),
            last_moved: started,
            look: true,
            dirty: false,
            unread: 0,
            sent: 0,
            received: 0,
            said: None,
            heard: None,
            asked: false,
        }
    }

    fn now_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_ms.saturating_add(elapsed)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wake: &'t Wake,
        mut rung: Pin<&mut Notified<'t>>,
        timer: Pin<&mut Sleep>,
    ) -> Poll<Result<End, StreamError>> {
        for _ in 0..STEPS {
            let mut moved = self.say(cx)?;
            moved |= self.hear(cx)?;
            self.tell();
            if let Some(reason) = self.session.ended() {
                return Poll::Ready(Ok(End::Theirs(reason)));
            }
            if rung.as_mut().poll(cx).is_ready() {
                // First listening again, then looking.
                rung.set(wake.0.rung.notified());
                self.look = true;
                moved = true;
            }
            if wake.0.ending.load(Ordering::Acquire) {
                return Poll::Ready(Ok(End::Ours(EndReason::Closed)));
            }
            if self.until == Until::Settled && self.has_everything() && self.heard == Some(self.sent) {
                return Poll::Ready(Ok(End::Ours(EndReason::Done)));
            }
            if !moved {
                return self.wait(cx, timer);
            }
        }
        // There is more to do, after the others.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn has_everything(&self) -> bool {
        !self.look && self.session.is_settled()
    }

    /// Says the next thing, when there is room. True when it did.
    fn say(&mut self, cx: &mut Context<'_>) -> Result<bool, StreamError> {
        let mut moved = false;
        if (self.look || self.wants_to_say_so()) && self.line.poll_ready(cx)?.is_ready() {
            let message = if self.look {
                let now_ms = self.now_ms();
                self.replica.with(|replica| self.session.transmit(replica, now_ms))?
            } else {
                None
            };
            if let Some(message) = message {
                self.sent = self.sent.wrapping_add(1);
                self.unread = 0;
                self.give(message)?;
                moved = true;
            } else {
                self.look = false;
                if self.wants_to_say_so() {
                    self.said = Some((self.sent, self.received));
                    self.asked = false;
                    self.give(self.received.to_le_bytes().to_vec())?;
                    moved = true;
                }
            }
        }
        if self.dirty && self.line.poll_flush(cx)?.is_ready() {
            self.dirty = false;
            self.last_moved = Instant::now();
        }
        Ok(moved)
    }

    fn give(&mut self, message: Vec<u8>) -> Result<(), StreamError> {
        self.line.start_send(message)?;
        self.dirty = true;
        self.last_moved = Instant::now();
        Ok(())
    }

    /// True when there is something new in that this side has everything, and somebody who wants to know.
    fn wants_to_say_so(&self) -> bool {
        let new = self.until == Until::Settled && self.said != Some((self.sent, self.received));
        (new || self.asked) && self.has_everything()
    }

    /// Hears the next thing, when there is one. True when it did.
    fn hear(&mut self, cx: &mut Context<'_>) -> Result<bool, StreamError> {
        if self.unread >= UNREAD {
            return Ok(false);
        }
        let Poll::Ready(message) = self.line.poll_receive(cx)? else { return Ok(false) };
        let message = message.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
        self.last_moved = Instant::now();
        if let Ok(received) = <[u8; 2]>::try_from(&*message) {
            self.heard = Some(u16::from_le_bytes(received));
            self.asked = true;
            return Ok(true);
        }
        self.heard = None;
        self.received = self.received.wrapping_add(1);
        let now_ms = self.now_ms();
        self.replica.with(|replica| self.session.receive(replica, &message, now_ms))?;
        self.look = true;
        Ok(true)
    }

    fn tell(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if matches!(event, SessionEvent::Applied { .. }) {
                // Each makes the session acknowledge, but what was told together may be acknowledged together.
                self.unread = self.unread.saturating_add(1);
            }
            (self.events)(event);
        }
    }

    /// Nothing to do until the transport or the bell wakes us, or the peer has been silent for too long.
    fn wait(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Result<End, StreamError>> {
        let owed = self.until == Until::Settled || self.session.next_timeout_ms().is_some();
        if !owed {
            return Poll::Pending;
        }
        timer.as_mut().reset(self.last_moved + self.patience);
        if timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let now_ms = self.now_ms();
        if !self.session.expire(now_ms) {
            // The session is content; what was not said is that the peer has everything.
            self.session.close(EndReason::TimedOut);
        }
        Poll::Ready(Err(StreamError::Ended(EndReason::TimedOut)))
    }

    /// Says what is left to say and closes; then waits, if asked to, for the other side to close. The session is over, so
    /// nothing that goes wrong here matters.
    async fn farewell(&mut self, wait_for_peer: bool) {
        let (session, replica, line) = (&mut *self.session, &mut *self.replica, &mut *self.line);
        let now_ms = self.started_ms;
        let goodbye = async {
            loop {
                poll_fn(|cx| line.poll_ready(cx)).await?;
                let Some(message) = replica.with(|replica| session.transmit(replica, now_ms))? else { break };
                line.start_send(message)?;
            }
            poll_fn(|cx| line.poll_close(cx)).await?;
            // To close first, while the other side is still sending, could take the last words from it.
            while wait_for_peer && poll_fn(|cx| line.poll_receive(cx)).await?.is_some() {}
            Ok::<(), StreamError>(())
        };
        let _ = timeout(FAREWELL, goodbye).await;
    }
}
