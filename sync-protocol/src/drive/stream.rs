//! Any `Read + Write` stream: TCP, TLS, a serial line, the two pipes of a child process.
//!
//! Messages go with their length before them. The sides take turns: one writes a *flight* of messages and says that it
//! ends, then reads the other's flight. Only one side writes at a time, so no buffer between them can fill up on both
//! ends and stop them, and a plain blocking stream needs no second thread.

use std::io::{self, Read, Write};

use crdt_core::Refusal;

use super::Endpoint;
use crate::EndReason;
use crate::session::{Session, SessionError};

/// About how many bytes one side sends before it listens again.
const FLIGHT_BYTES: usize = 1 << 20;
/// What stands after the zero length that ends a flight.
const GOES_ON: u8 = 0;
const SETTLED: u8 = 1;

/// A sync over a stream that did not come to its end. What was applied before stays; sync again, it resumes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream failed or ended early.
    #[error("{}", in_words(.0))]
    Io(#[from] io::Error),
    /// A message was not taken.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// What came is not the framing of this driver.
    #[error("the peer does not speak this protocol, or the connection is damaged")]
    Framing,
    /// The guard, theirs or ours, did not let the applicant in. Nothing was exchanged.
    #[error("not admitted: {0}")]
    NotAdmitted(Refusal),
    /// The peer takes turns, and this driver does not, or the other way round. Both ends need the same kind of driver.
    #[error("the peer uses another kind of driver: both ends have to take turns, or neither")]
    OtherDriver,
    /// The peer ended the session.
    #[error("the peer ended the session: {0:?}")]
    Ended(EndReason),
}

/// Syncs over a stream until both sides have everything, then returns. The stream stays open.
///
/// One side has to be the first to speak: the one that connected. `now_ms` tells milliseconds since 1970. The replica is
/// asked for one message at a time, so others can use it while the stream makes us wait.
///
/// # Errors
/// [`StreamError`].
pub fn exchange(
    session: &mut Session,
    replica: &mut impl Endpoint,
    stream: &mut (impl Read + Write),
    speaks_first: bool,
    now_ms: impl Fn() -> u64,
) -> Result<(), StreamError> {
    let result = take_turns(session, replica, stream, speaks_first, &now_ms);
    if let Err(error) = &result {
        if let StreamError::Session(error) = error {
            if at_the_door(error) {
                hear_out(stream, replica.with(|replica| replica.limits().message_bytes));
            }
            session.close(EndReason::Failed);
        }
        if session.ended().is_some() {
            // The peer should learn why, if the stream still takes it; the error to report is the one before.
            let _ = speak(session, replica, stream, &now_ms);
        }
    }
    replica.with(|replica| session.finish(replica, now_ms()));
    result
}

fn take_turns(
    session: &mut Session,
    replica: &mut impl Endpoint,
    stream: &mut (impl Read + Write),
    speaks_first: bool,
    now_ms: &impl Fn() -> u64,
) -> Result<(), StreamError> {
    let limit = replica.with(|replica| replica.limits().message_bytes);
    let mut heard = Flight { empty: false, settled: false };
    if !speaks_first {
        heard = listen(session, replica, stream, limit, now_ms)?;
    }
    loop {
        let said = speak(session, replica, stream, now_ms)?;
        if said.empty && said.settled && heard.settled {
            return Ok(());
        }
        heard = listen(session, replica, stream, limit, now_ms)?;
        if heard.empty && heard.settled && said.settled {
            return Ok(());
        }
    }
}

/// What one side did with its turn.
#[derive(Clone, Copy)]
struct Flight {
    empty: bool,
    settled: bool,
}

fn speak(
    session: &mut Session,
    replica: &mut impl Endpoint,
    stream: &mut impl Write,
    now_ms: &impl Fn() -> u64,
) -> Result<Flight, StreamError> {
    let mut sent = 0;
    let mut flight = Vec::new();
    while sent < FLIGHT_BYTES {
        let Some(message) = replica.with(|replica| session.transmit(replica, now_ms()))? else { break };
        sent += message.len();
        write_message(&mut flight, &message)?;
        stream.write_all(&flight)?;
        flight.clear();
    }
    let settled = session.is_settled();
    stream.write_all(&[0, if settled { SETTLED } else { GOES_ON }])?;
    stream.flush()?;
    Ok(Flight { empty: sent == 0, settled })
}

fn listen(
    session: &mut Session,
    replica: &mut impl Endpoint,
    stream: &mut impl Read,
    limit: usize,
    now_ms: &impl Fn() -> u64,
) -> Result<Flight, StreamError> {
    let mut empty = true;
    loop {
        let Some(message) = read_message(stream, limit)? else {
            let mut end = [0];
            stream.read_exact(&mut end)?;
            let settled = match end[0] {
                GOES_ON => false,
                SETTLED => true,
                _ => return Err(StreamError::Framing),
            };
            return Ok(Flight { empty, settled });
        };
        replica.with(|replica| session.receive(replica, &message, now_ms()))?;
        if let Some(reason) = session.ended() {
            return Err(match session.refusal() {
                Some(refusal) => {
                    let refusal = refusal.clone();
                    hear_out(stream, limit);
                    StreamError::NotAdmitted(refusal)
                }
                None => StreamError::Ended(reason),
            });
        }
        empty = false;
    }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the peer hung up in the middle; sync again, it resumes (if it happens each time: \
             one side has to `sync`, the other to `serve`, and `converse` needs `converse`)"
                .into()
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            "the peer was silent for longer than the stream's timeout; sync again, it resumes".into()
        }
        _ => format!("the connection failed: {error}; sync again, it resumes"),
    }
}

/// Errors that both sides should learn of, because both have to do something about it.
const fn at_the_door(error: &SessionError) -> bool {
    matches!(
        error,
        SessionError::WrongNamespace
            | SessionError::Version { .. }
            | SessionError::SameLife
            | SessionError::Unauthenticated
    )
}

/// Reads what is left of a flight that does not matter any more: a connection that is closed with something unread takes
/// back what was said last.
fn hear_out(stream: &mut impl Read, limit: usize) {
    let mut left = FLIGHT_BYTES;
    while let Ok(Some(message)) = read_message(stream, limit) {
        let Some(less) = left.checked_sub(message.len()) else { return };
        left = less;
    }
    let _ = stream.read_exact(&mut [0]);
}

/// Writes a message with its length before it: seven bits a byte, the lowest first.
///
/// # Errors
/// Those of the stream.
pub fn write_message(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    crdt_core::codec::put_bytes(&mut framed, message);
    stream.write_all(&framed)
}

/// Reads a message with its length before it; `None` for a length of zero.
///
/// # Errors
/// [`StreamError::Framing`] for a length beyond the limit or not in its shortest form, before anything is allocated for it; else those of the stream.
pub fn read_message(stream: &mut impl Read, limit: usize) -> Result<Option<Vec<u8>>, StreamError> {
    let mut len = 0usize;
    for shift in [0, 7, 14, 21] {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            let shortest = shift == 0 || byte[0] != 0;
            if len > limit || !shortest {
                return Err(StreamError::Framing);
            }
            let mut message = vec![0; len];
            stream.read_exact(&mut message)?;
            return Ok((len > 0).then_some(message));
        }
    }
    Err(StreamError::Framing)
}
