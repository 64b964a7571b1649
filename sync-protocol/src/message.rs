//! The messages of a session and their bytes. `PROTOCOL.md` has them in tables.
//!
//! | first byte | message | says |
//! |---|---|---|
//! | 1 | Hello | who I am, what I hold, what time it is here |
//! | 2 | Want | from where on you should send |
//! | 3 | Chunk | cells to put aside |
//! | 4 | Checkpoint | the last cells of a run, and what they lead to: apply now |
//! | 5 | Push | cells of the next steps of my change order: apply at once |
//! | 6 | Ack | durably applied up to here |
//! | 7 | Bye | I end the session, and why |
//! | 9 | Proof | I know the namespace's key |
//! | 10 | Token | who I am, for your guard |
//! | 11 | Welcome | you are let in, on these terms |
//! | 12 | Refused | these changes of yours I did not take, and what I hold instead |
//! | 13 | Heard | I know now what you refused |
//! | 15 | Sketch | sums over all that I hold |
//! | 16 | More | I need more sums |
//! | 17 | Differ | in these slots we differ, and this I hold there |
//! | 18 | Held | this I hold in those slots |
//! | 19 | Restart | I go on under another id, or know that you do: let us begin again |
//! | 20 | Packed | one of 3, 4, 5, 8 and 24 in fewer bytes, see `pack.rs` |
//! | 22 | Scope | what I subscribe to, and how far what I have seen can be believed |
//! | 23 | Load | I hold nothing of others yet: send parts, and go on from here |
//! | 24 | Part | cells of a first sync: apply at once, and how far this brings you |

mod partial;
mod reconcile;

pub(crate) use partial::{Part, Partial, ScopeTold};
pub(crate) use reconcile::{
    Differ, Held, MAX_DOTS_PER_SLOT, MAX_SLOTS_PER_MESSAGE, MAX_SYMBOLS_PER_MESSAGE, More, Reconciling,
    Sketch,
};

use alloc::vec::Vec;
use crdt_core::codec::{DecodeError, Reader, put_refusal, put_signed, put_unsigned, read_refusal};
use crdt_core::{Dot, Fingerprint, Life, Memory, Refusal, ReplicaId, Trail};

use crate::EndReason;
use crate::door::{MAX_TOKEN_BYTES, PROOF_BYTES};

/// The protocol that this version speaks. Peers with another one are refused with an error that says so.
pub const PROTOCOL_VERSION: u8 = 1;

/// No handshake message for one namespace is longer, unless it names what a stranger has seen.
pub const MAX_HELLO_BYTES: usize = 160;

/// A version vector with more entries is never sent whole.
pub(crate) const MAX_VECTOR_ENTRIES: usize = 200;

/// Steps and context entries in one message.
pub(crate) const MAX_ENTRIES: usize = 1 << 16;

const MAGIC: [u8; 2] = *b"rj";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) namespace: [u8; 16],
    pub(crate) replica: ReplicaId,
    pub(crate) life: Life,
    /// Drawn for this session; what seals and tells sessions apart.
    pub(crate) nonce: u64,
    pub(crate) root: Fingerprint,
    pub(crate) sequence: u64,
    pub(crate) now_ms: u64,
    /// False for a store that forgets when the process ends.
    pub(crate) durable: bool,
    /// The runs of this life.
    pub(crate) trail: Trail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// How far into the change order of the addressee this side has durably applied; 0 without a cursor.
    pub(crate) cursor: u64,
    /// The highest counter of the addressee's present replica id that this side has seen.
    pub(crate) seen_of_you: u64,
    /// What this side remembers of the addressee's life.
    pub(crate) memory: Memory,
    pub(crate) by: By,
}

/// How the addressee is to find out what this side lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// By the cursor; without one, everything is sent.
    Cursor,
    /// By reconciling, because there is no cursor.
    Reconciling,
    /// By reconciling, because the roots differ although nothing should be missing: dots are not to be trusted.
    Suspicion,
}

/// What a hello said, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    pub(crate) replica: ReplicaId,
    pub(crate) life: Life,
    pub(crate) root: Fingerprint,
    pub(crate) sequence: u64,
    pub(crate) trail: Trail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint<'a> {
    pub(crate) sequence: u64,
    pub(crate) root: Fingerprint,
    pub(crate) context: Vec<Dot>,
    pub(crate) batch: &'a [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Push<'a> {
    /// How many steps of the change order these cells bring the receiver forward.
    pub(crate) steps: u64,
    /// The sender's own new transactions among them, which need no entry in the context.
    pub(crate) own: u64,
    pub(crate) context: Vec<Dot>,
    pub(crate) batch: &'a [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    /// How far into the addressee's change order this side has durably applied now.
    pub(crate) sequence: u64,
    /// Steps of this side's change order that are nothing but what the addressee sent.
    pub(crate) echo_steps: u64,
    /// After a checkpoint: the root of this side, as it is now.
    pub(crate) root: Option<Fingerprint>,
    /// The number of the last refusal that the addressee has to hear of; 0 for none.
    pub(crate) refused: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) mac: [u8; PROOF_BYTES],
    /// This side has a guard: show a token and wait for its welcome. Otherwise the addressee is welcome to everything as
    /// soon as it has proved the key.
    pub(crate) guarded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) shown: Option<&'a [u8]>,
    /// This side takes back what the addressee refuses.
    pub(crate) obeys: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// What the addressee may read, as this side numbers it; 0 for everything.
    pub(crate) scope: u64,
    /// Every change of the addressee is taken.
    pub(crate) writes_all: bool,
    /// The number of the last refusal that the addressee has to hear of; 0 for none.
    pub(crate) refused: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused<'a> {
    /// The number of the last of these refusals.
    pub(crate) through: u64,
    pub(crate) changes: Vec<(Dot, Refusal)>,
    /// Every document that they would have changed is in this batch or in the chunks before.
    pub(crate) batch: &'a [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    Hello(Hello),
    Want(Want),
    Chunk(&'a [u8]),
    Checkpoint(Checkpoint<'a>),
    Push(Push<'a>),
    Ack(Ack),
    Bye(EndReason, Option<Refusal>),
    Proof(Proof),
    Token(Token<'a>),
    Welcome(Welcome),
    Refused(Refused<'a>),
    /// Up to this number.
    Heard(u64),
    Reconciling(Reconciling),
    Restart(Restart),
    Partial(Partial<'a>),
}

pub(crate) const HELLO: u8 = 1;
const WANT: u8 = 2;
const CHUNK: u8 = 3;
const CHECKPOINT: u8 = 4;
const PUSH: u8 = 5;
const ACK: u8 = 6;
pub(crate) const BYE: u8 = 7;
/// A push of one step, the sender's own, without anything else new: by far the most common message.
const PUSH_OWN: u8 = 8;
pub(crate) const PROOF: u8 = 9;
pub(crate) const TOKEN: u8 = 10;
pub(crate) const WELCOME: u8 = 11;
const REFUSED: u8 = 12;
const HEARD: u8 = 13;
/// An ack after a refusal.
const ACK_REFUSED: u8 = 14;
const RESTART: u8 = 19;

/// Whether a message that begins with this byte carries a batch.
pub(crate) const fn carries_cells(kind: u8) -> bool {
    matches!(kind, CHUNK | CHECKPOINT | PUSH | PUSH_OWN | partial::PART)
}

impl Restart {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.replica.as_bytes());
        out.extend_from_slice(&self.life.0.to_le_bytes());
        out.extend_from_slice(&self.root.0.to_le_bytes());
        put_unsigned(out, self.sequence);
        put_trail(out, &self.trail);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            replica: ReplicaId::from_bytes(reader.array("a replica id")?),
            life: Life(u64::from_le_bytes(reader.array("a life")?)),
            root: read_root(reader)?,
            sequence: reader.unsigned("a sequence")?,
            trail: read_trail(reader)?,
        })
    }
}

impl Hello {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.namespace);
        out.extend_from_slice(self.replica.as_bytes());
        out.extend_from_slice(&self.life.0.to_le_bytes());
        out.extend_from_slice(&self.nonce.to_le_bytes());
        out.extend_from_slice(&self.root.0.to_le_bytes());
        put_unsigned(out, self.sequence);
        put_unsigned(out, self.now_ms);
        out.push(self.durable.into());
        put_trail(out, &self.trail);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            namespace: reader.array("a namespace")?,
            replica: ReplicaId::from_bytes(reader.array("a replica id")?),
            life: Life(u64::from_le_bytes(reader.array("a life")?)),
            nonce: u64::from_le_bytes(reader.array("a nonce")?),
            root: read_root(reader)?,
            sequence: reader.unsigned("a sequence")?,
            now_ms: reader.unsigned("a time")?,
            durable: read_bool(reader)?,
            trail: read_trail(reader)?,
        })
    }
}

impl<'a> Message<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Hello(hello) => {
                out.push(HELLO);
                out.extend_from_slice(&MAGIC);
                out.push(PROTOCOL_VERSION);
                hello.put(&mut out);
            }
            Self::Want(want) => {
                out.push(WANT);
                put_unsigned(&mut out, want.cursor);
                put_unsigned(&mut out, want.seen_of_you);
                put_memory(&mut out, &want.memory);
                out.push(want.by as u8);
            }
            Self::Chunk(batch) => {
                out.push(CHUNK);
                out.extend_from_slice(batch);
            }
            Self::Checkpoint(checkpoint) => {
                out.push(CHECKPOINT);
                put_unsigned(&mut out, checkpoint.sequence);
                out.extend_from_slice(&checkpoint.root.0.to_le_bytes());
                put_dots(&mut out, &checkpoint.context);
                out.extend_from_slice(checkpoint.batch);
            }
            Self::Push(Push { steps: 1, own: 1, context, batch }) if context.is_empty() => {
                out.push(PUSH_OWN);
                out.extend_from_slice(batch);
            }
            Self::Push(push) => {
                out.push(PUSH);
                put_unsigned(&mut out, push.steps);
                put_unsigned(&mut out, push.own);
                put_dots(&mut out, &push.context);
                out.extend_from_slice(push.batch);
            }
            Self::Ack(ack) => {
                if ack.refused > 0 {
                    out.push(ACK_REFUSED);
                    put_unsigned(&mut out, ack.refused);
                } else {
                    out.push(ACK);
                }
                put_unsigned(&mut out, ack.sequence);
                put_unsigned(&mut out, ack.echo_steps);
                if let Some(root) = ack.root {
                    out.extend_from_slice(&root.0.to_le_bytes());
                }
            }
            Self::Bye(reason, refusal) => {
                out.extend_from_slice(&[BYE, reason.number()]);
                if let Some(refusal) = refusal {
                    put_refusal(&mut out, refusal);
                }
            }
            Self::Proof(proof) => {
                out.push(PROOF);
                out.extend_from_slice(&proof.mac);
                out.push(proof.guarded.into());
            }
            Self::Token(token) => {
                out.extend_from_slice(&[TOKEN, token.shown.is_some().into(), token.obeys.into()]);
                out.extend_from_slice(token.shown.unwrap_or_default());
            }
            Self::Welcome(welcome) => {
                out.extend_from_slice(&[WELCOME, welcome.writes_all.into()]);
                out.extend_from_slice(&welcome.scope.to_le_bytes());
                put_unsigned(&mut out, welcome.refused);
            }
            Self::Refused(refused) => {
                out.push(REFUSED);
                put_unsigned(&mut out, refused.through);
                put_unsigned(&mut out, refused.changes.len() as u64);
                for (dot, refusal) in &refused.changes {
                    out.extend_from_slice(dot.replica.as_bytes());
                    put_unsigned(&mut out, dot.counter);
                    put_refusal(&mut out, refusal);
                }
                out.extend_from_slice(refused.batch);
            }
            Self::Heard(through) => {
                out.push(HEARD);
                put_unsigned(&mut out, *through);
            }
            Self::Reconciling(message) => message.encode(&mut out),
            Self::Partial(message) => message.encode(&mut out),
            Self::Restart(restart) => {
                out.push(RESTART);
                restart.put(&mut out);
            }
        }
        out
    }

    /// Reads a message whose seal was checked. A batch is left to whoever knows its dictionary.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let message = match reader.byte("a message")? {
            HELLO => {
                if reader.array("a hello")? != MAGIC {
                    return Err(DecodeError::Invalid("a hello that is not one of this protocol"));
                }
                let version = reader.byte("a hello")?;
                if version != PROTOCOL_VERSION {
                    return Err(DecodeError::UnknownTag { what: "protocol version", tag: version.into() });
                }
                Self::Hello(Hello::read(&mut reader)?)
            }
            WANT => {
                let (cursor, seen_of_you) = (reader.unsigned("a cursor")?, reader.unsigned("a counter")?);
                let memory = read_memory(&mut reader)?;
                let by = match reader.byte("a way")? {
                    0 => By::Cursor,
                    1 => By::Reconciling,
                    2 => By::Suspicion,
                    tag => return Err(DecodeError::UnknownTag { what: "way", tag: tag.into() }),
                };
                Self::Want(Want { cursor, seen_of_you, memory, by })
            }
            CHUNK => return Ok(Self::Chunk(reader.rest())),
            CHECKPOINT => {
                let (sequence, root) = (reader.unsigned("a sequence")?, read_root(&mut reader)?);
                let context = read_dots(&mut reader)?;
                return Ok(Self::Checkpoint(Checkpoint { sequence, root, context, batch: reader.rest() }));
            }
            PUSH_OWN => {
                let batch = reader.rest();
                return Ok(Self::Push(Push { steps: 1, own: 1, context: Vec::new(), batch }));
            }
            PUSH => {
                let (steps, own) =
                    (reader.unsigned("a number of steps")?, reader.unsigned("a number of steps")?);
                let context = read_dots(&mut reader)?;
                return Ok(Self::Push(Push { steps, own, context, batch: reader.rest() }));
            }
            kind @ (ACK | ACK_REFUSED) => {
                let refused = if kind == ACK { 0 } else { reader.unsigned("the number of a refusal")? };
                if kind == ACK_REFUSED && refused == 0 {
                    return Err(DecodeError::Invalid("a refusal of number 0"));
                }
                let (sequence, echo_steps) =
                    (reader.unsigned("a sequence")?, reader.unsigned("a number of steps")?);
                let root = if reader.remaining() > 0 { Some(read_root(&mut reader)?) } else { None };
                Self::Ack(Ack { sequence, echo_steps, root, refused })
            }
            BYE => {
                let reason = EndReason::from_number(reader.byte("a reason")?)?;
                let refusal = if reader.remaining() > 0 { Some(read_refusal(&mut reader)?) } else { None };
                Self::Bye(reason, refusal)
            }
            PROOF => {
                let mac = reader.array("a proof")?;
                Self::Proof(Proof { mac, guarded: read_bool(&mut reader)? })
            }
            TOKEN => {
                let (shown, obeys) = (read_bool(&mut reader)?, read_bool(&mut reader)?);
                let token = reader.rest();
                crdt_core::LimitExceeded::check("bytes of a token", token.len(), MAX_TOKEN_BYTES)?;
                if !shown && !token.is_empty() {
                    return Err(DecodeError::Invalid("a token that is said not to be there"));
                }
                return Ok(Self::Token(Token { shown: shown.then_some(token), obeys }));
            }
            WELCOME => {
                let writes_all = read_bool(&mut reader)?;
                let scope = u64::from_le_bytes(reader.array("a scope")?);
                Self::Welcome(Welcome { scope, writes_all, refused: reader.unsigned("a number")? })
            }
            REFUSED => {
                let through = reader.unsigned("the number of a refusal")?;
                let count = reader.count("refused changes")?;
                if count > MAX_ENTRIES {
                    return Err(DecodeError::Invalid("more refused changes than a message may have"));
                }
                let mut changes = Vec::new();
                for _ in 0..count {
                    let replica = ReplicaId::from_bytes(reader.array("a replica id")?);
                    let counter = reader.unsigned("a counter")?;
                    changes.push((Dot::new(replica, counter), read_refusal(&mut reader)?));
                }
                return Ok(Self::Refused(Refused { through, changes, batch: reader.rest() }));
            }
            HEARD => Self::Heard(reader.unsigned("the number of a refusal")?),
            RESTART => Self::Restart(Restart::read(&mut reader)?),
            tag => match Reconciling::decode(tag, &mut reader) {
                Some(message) => Self::Reconciling(message?),
                None => return Partial::decode(tag, reader).map(Self::Partial),
            },
        };
        reader.finish()?;
        Ok(message)
    }
}

fn read_root(reader: &mut Reader<'_>) -> Result<Fingerprint, DecodeError> {
    Ok(Fingerprint(u128::from_le_bytes(reader.array("a root")?)))
}

/// The number of the last run, how many are told of, and these.
pub(crate) fn put_trail(out: &mut Vec<u8>, trail: &Trail) {
    put_unsigned(out, trail.number);
    put_unsigned(out, trail.runs.len() as u64);
    for run in &trail.runs {
        out.extend_from_slice(&run.to_le_bytes());
    }
}

pub(crate) fn read_trail(reader: &mut Reader<'_>) -> Result<Trail, DecodeError> {
    let number = reader.unsigned("the number of a run")?;
    let count = reader.count("runs")?;
    if count > Trail::TOLD || count as u64 > number {
        return Err(DecodeError::Invalid("more runs than there can be"));
    }
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(u32::from_le_bytes(reader.array("a run")?));
    }
    Ok(Trail { number, runs })
}

pub(crate) fn put_memory(out: &mut Vec<u8>, memory: &Memory) {
    put_trail(out, &memory.trail);
    put_unsigned(out, memory.claimed);
    put_unsigned(out, memory.cursor);
}

pub(crate) fn read_memory(reader: &mut Reader<'_>) -> Result<Memory, DecodeError> {
    let trail = read_trail(reader)?;
    let claimed = reader.unsigned("a counter")?;
    Ok(Memory { trail, claimed, cursor: reader.unsigned("a cursor")? })
}

fn read_bool(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.byte("a yes or no")? {
        0 => Ok(false),
        1 => Ok(true),
        tag => Err(DecodeError::UnknownTag { what: "yes or no", tag: tag.into() }),
    }
}

/// Dots with their ids: those of a context are of replicas that the batch need not mention.
pub(crate) fn put_dots(out: &mut Vec<u8>, dots: &[Dot]) {
    put_unsigned(out, dots.len() as u64);
    let mut last = 0u64;
    for dot in dots {
        out.extend_from_slice(dot.replica.as_bytes());
        put_signed(out, dot.counter.wrapping_sub(last).cast_signed());
        last = dot.counter;
    }
}

pub(crate) fn read_dots(reader: &mut Reader<'_>) -> Result<Vec<Dot>, DecodeError> {
    let count = reader.count("context entries")?;
    if count > MAX_ENTRIES {
        return Err(DecodeError::Invalid("more context entries than a message may have"));
    }
    let (mut dots, mut last) = (Vec::new(), 0u64);
    for _ in 0..count {
        let replica = ReplicaId::from_bytes(reader.array("a replica id")?);
        last = last.wrapping_add_signed(reader.signed("a counter")?);
        if last == 0 {
            return Err(DecodeError::Invalid("a counter of 0"));
        }
        dots.push(Dot::new(replica, last));
    }
    Ok(dots)
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use crdt_core::reconcile::Symbol;
    use crdt_core::{Address, DocumentId, FirstSync, Holding, Progress, Scanned, Scope};

    use super::*;
    use crate::under_miri::or_under_miri;

    fn through() -> Progress {
        let address = Address { collection: "tasks".into(), id: DocumentId::from_u64(7) };
        Progress { sequence: 300, scanned: Scanned::Through(address) }
    }

    fn scope_told(loading: bool, known: Option<Scope>) -> Partial<'static> {
        let scope = Scope::nothing().collection("tasks").prefix("notes", &[7]);
        Partial::Scope(ScopeTold { scope: scope.clone(), vouched: scope, loading, known })
    }

    fn samples() -> Vec<Message<'static>> {
        let dots = vec![Dot::new(ReplicaId::from_u64(1), 7), Dot::new(ReplicaId::from_u64(2), 3)];
        let root = Fingerprint(u128::MAX - 5);
        let holdings =
            vec![Holding::Nothing, Holding::Document { check: 200, dots: dots.clone() }, Holding::Something];
        let trail = Trail { number: u64::MAX, runs: vec![1, 2, 3, u32::MAX] };
        let memory = Memory { trail: trail.clone(), claimed: u64::MAX, cursor: u64::MAX };
        vec![
            Message::Hello(Hello {
                namespace: [9; 16],
                replica: ReplicaId::from_u64(3),
                life: Life(u64::MAX),
                nonce: u64::MAX,
                root,
                sequence: u64::MAX,
                now_ms: u64::MAX,
                durable: true,
                trail: trail.clone(),
            }),
            Message::Want(Want {
                cursor: u64::MAX,
                seen_of_you: u64::MAX,
                memory: memory.clone(),
                by: By::Cursor,
            }),
            Message::Want(Want { cursor: 0, seen_of_you: 0, memory: Memory::default(), by: By::Suspicion }),
            Message::Chunk(&[1, 2, 3]),
            Message::Checkpoint(Checkpoint { sequence: 9, root, context: dots.clone(), batch: &[4, 5] }),
            Message::Push(Push { steps: 1, own: 1, context: vec![], batch: &[6] }),
            Message::Push(Push { steps: 3, own: 0, context: dots, batch: &[] }),
            Message::Ack(Ack { sequence: 300, echo_steps: 1, root: None, refused: 0 }),
            Message::Ack(Ack { sequence: 300, echo_steps: 0, root: Some(root), refused: 0 }),
            Message::Ack(Ack { sequence: 300, echo_steps: 0, root: Some(root), refused: 7 }),
            Message::Bye(EndReason::Done, None),
            Message::Bye(EndReason::NotAdmitted, Some(Refusal::new(401, "sign in"))),
            Message::Proof(Proof { mac: [5; PROOF_BYTES], guarded: true }),
            Message::Token(Token { shown: None, obeys: true }),
            Message::Token(Token { shown: Some(b"a token"), obeys: false }),
            Message::Welcome(Welcome { scope: u64::MAX, writes_all: false, refused: 300 }),
            Message::Refused(Refused {
                through: 3,
                changes: vec![(Dot::new(ReplicaId::from_u64(1), 7), Refusal::new(403, "no"))],
                batch: &[7, 8],
            }),
            Message::Heard(300),
            Message::Reconciling(Reconciling::Sketch(Sketch {
                round: 1,
                salt: u64::MAX,
                total: 300,
                estimate: Some(Box::new([7; crdt_core::reconcile::Estimate::BYTES])),
                symbols: vec![Symbol::default(); 3],
            })),
            Message::Reconciling(Reconciling::More(More { round: 1, salt: 9, total: 44 })),
            Message::Reconciling(Reconciling::Differ(Differ {
                round: 2,
                last: false,
                slots: vec![0, 7, u32::MAX],
                holdings: holdings.clone(),
            })),
            Message::Reconciling(Reconciling::Held(Held { round: 3, last: true, holdings })),
            Message::Restart(Restart {
                replica: ReplicaId::from_u64(3),
                life: Life(u64::MAX),
                root,
                sequence: u64::MAX,
                trail,
            }),
            Message::Partial(scope_told(true, None)),
            Message::Partial(scope_told(false, Some(Scope::nothing().collection("tasks")))),
            Message::Partial(Partial::Load(FirstSync { resume: None })),
            Message::Partial(Partial::Load(FirstSync { resume: Some(through()) })),
            Message::Partial(Partial::Part(Part { of: 300, progress: through(), batch: &[9] })),
            Message::Partial(Partial::Part(Part { of: 0, progress: Progress::start(7), batch: &[9] })),
        ]
    }

    #[test]
    fn messages_round_trip() {
        for message in samples() {
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn a_handshake_is_within_its_bound() {
        for message in &samples()[..2] {
            assert!(message.encode().len() + 8 <= MAX_HELLO_BYTES, "{message:?}");
        }
    }

    #[test]
    fn cut_and_padded_messages_are_errors() {
        for message in samples() {
            let bytes = message.encode();
            let open_ended = matches!(
                message,
                Message::Chunk(_)
                    | Message::Checkpoint(_)
                    | Message::Push(_)
                    | Message::Token(Token { shown: Some(_), .. })
                    | Message::Refused(_)
                    | Message::Partial(Partial::Part(_))
            );
            let may_end_early = matches!(
                message,
                Message::Ack(_)
                    | Message::Bye(_, Some(_))
                    | Message::Reconciling(Reconciling::Sketch(_))
                    | Message::Partial(Partial::Load(_) | Partial::Scope(_))
            );
            for cut in (0..bytes.len()).step_by(or_under_miri(1, 11)) {
                let back = Message::decode(&bytes[..cut]);
                assert_ne!(back.as_ref().ok(), Some(&message));
                assert!(open_ended || may_end_early || back.is_err(), "{message:?} cut at {cut}");
            }
            let mut padded = bytes;
            padded.push(0);
            assert!(open_ended || Message::decode(&padded).is_err(), "{message:?} padded");
        }
    }
}
