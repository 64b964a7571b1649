//! Events, statuses and siblings as values, in the form that `js/rejoin.d.ts` declares.

use alloc::string::String;
use crdt_core::{
    ChangeEvent, ChangeKind, ClockVerdict, DocumentChange, FieldChange, Fingerprint, Life, Origin,
    ParkReason, ParkedChange, Payload, PeerState, PeerStatus, Refusal, Rejected, Renewal, ReplicaStatus,
    Roots, SessionEnd, Sibling, Value, Withheld,
};
use sync_protocol::door::{Reads, Terms};
use sync_protocol::{EndReason, SessionEvent, Status, Traffic, Way};

use crate::bridge::{dot, hex, list, number, object, uuid};
use crate::replica::Replica;

pub(crate) fn root(root: Fingerprint) -> String {
    hex(&root.0.to_be_bytes())
}

fn life(life: Life) -> Value {
    hex(&life.0.to_be_bytes()).into()
}

pub(crate) fn sibling(sibling: &Sibling<'_, Payload>) -> Value {
    let ms = i64::try_from(sibling.by.stamp.hlc.ms()).unwrap_or(i64::MAX);
    object([
        ("value", sibling.value.value().cloned()),
        ("replica", Some(uuid(sibling.by.replica().as_bytes()).into())),
        ("time", Some(Value::Timestamp(ms))),
        ("dot", Some(dot(sibling.by.dot()))),
    ])
}

pub(crate) fn change(event: &ChangeEvent) -> Value {
    let origin = match event.origin {
        Origin::Local(own) => object([("type", Some("local".into())), ("dot", Some(dot(own)))]),
        Origin::Peer(peer) => {
            object([("type", Some("peer".into())), ("replica", Some(uuid(peer.as_bytes()).into()))])
        }
        Origin::Clock => object([("type", Some("clock".into()))]),
    };
    object([
        ("sequence", Some(number(event.sequence))),
        ("origin", Some(origin)),
        ("documents", Some(list(&mut event.documents.iter().map(document)))),
        ("andMore", Some(event.and_more.into())),
    ])
}

fn time(ms: u64) -> Value {
    Value::Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn until(reason: ParkReason) -> Option<Value> {
    match reason {
        ParkReason::FromTheFuture { until_ms } => Some(time(until_ms)),
        _ => None,
    }
}

pub(crate) fn parked(parked: &ParkedChange) -> Value {
    let mut documents = parked.documents.iter().map(|address| {
        object([
            ("collection", Some((&*address.collection).into())),
            ("id", Some(uuid(address.id.as_bytes()).into())),
        ])
    });
    object([
        ("dot", Some(dot(parked.change.dot()))),
        ("time", Some(time(parked.change.stamp.hlc.ms()))),
        ("until", until(parked.reason)),
        ("since", Some(time(parked.since_ms))),
        ("documents", Some(list(&mut documents))),
        ("andMore", Some(parked.and_more.into())),
    ])
}

pub(crate) fn withheld(withheld: &Withheld) -> Value {
    object([
        ("path", Some(list(&mut withheld.path.iter().map(|name| Value::from(&**name))))),
        ("dot", Some(dot(withheld.by.dot()))),
        ("until", until(withheld.reason)),
    ])
}

fn clock(verdict: ClockVerdict) -> Value {
    let (offset, correction) = match verdict {
        ClockVerdict::Agrees => (None, None),
        ClockVerdict::Differs { offset_ms } => (Some(offset_ms), None),
        ClockVerdict::Corrected { correction_ms } => (None, Some(correction_ms)),
    };
    object([
        ("type", Some("clock".into())),
        ("offsetMs", offset.map(Value::from)),
        ("correctionMs", correction.map(Value::from)),
    ])
}

fn document(change: &DocumentChange) -> Value {
    let kind = match change.kind {
        ChangeKind::Appeared => "appeared",
        ChangeKind::Updated => "updated",
        ChangeKind::Disappeared => "disappeared",
        ChangeKind::Hidden => "hidden",
    };
    object([
        ("collection", Some((&*change.address.collection).into())),
        ("id", Some(uuid(change.address.id.as_bytes()).into())),
        ("kind", Some(kind.into())),
        ("fields", Some(list(&mut change.fields.iter().map(field)))),
    ])
}

fn field(change: &FieldChange) -> Value {
    object([
        ("path", Some(list(&mut change.path.iter().map(|name| Value::from(&**name))))),
        ("conflicted", Some(change.conflicted.into())),
    ])
}

pub(crate) fn status(status: &Status) -> Value {
    let peer = status.peer.map(|(replica, at)| {
        object([("replica", Some(uuid(replica.as_bytes()).into())), ("life", Some(life(at)))])
    });
    object([
        ("peer", peer),
        ("peerIsDurable", Some(status.peer_is_durable.into())),
        ("settled", Some(status.settled.into())),
        ("ended", status.ended.map(end_reason)),
        ("cursor", Some(number(status.cursor))),
        ("acknowledged", Some(number(status.acknowledged))),
        ("peerRoot", status.peer_root.map(|at| root(at).into())),
        ("terms", status.terms.map(terms)),
        ("way", status.way.map(way)),
        ("traffic", Some(traffic(&status.traffic))),
    ])
}

fn traffic(traffic: &Traffic) -> Value {
    object([
        ("messagesSent", Some(number(traffic.messages_sent))),
        ("bytesSent", Some(number(traffic.bytes_sent))),
        ("messagesReceived", Some(number(traffic.messages_received))),
        ("bytesReceived", Some(number(traffic.bytes_received))),
    ])
}

fn way(way: Way) -> Value {
    Value::from(match way {
        Way::InSync => "in-sync",
        Way::Resume => "resume",
        Way::Reconcile => "reconcile",
        Way::Full => "full",
    })
}

fn end_reason(reason: EndReason) -> Value {
    Value::from(match reason {
        EndReason::Done => "done",
        EndReason::Closed => "closed",
        EndReason::TimedOut => "timed-out",
        EndReason::Failed => "failed",
        EndReason::NotAdmitted => "not-admitted",
        EndReason::TooManyRefusals => "too-many-refusals",
        _ => "other",
    })
}

fn terms(terms: Terms) -> Value {
    object([
        ("readsEverything", Some((terms.reads == Reads::Everything).into())),
        ("writesEverything", Some(terms.writes_all.into())),
    ])
}

fn refusal(refusal: &Refusal) -> Value {
    object([("code", Some(number(refusal.code().into()))), ("reason", Some(refusal.reason().into()))])
}

pub(crate) fn rejected(rejected: Rejected, replica: &Replica) -> Value {
    let mut documents = rejected.documents.into_iter().map(|(address, document)| {
        let shown = replica.view(&address.collection, document).to_value();
        object([
            ("collection", Some((&*address.collection).into())),
            ("id", Some(uuid(address.id.as_bytes()).into())),
            ("document", shown),
        ])
    });
    object([
        ("dot", Some(dot(rejected.dot))),
        ("refusal", Some(refusal(&rejected.refusal))),
        ("by", Some(uuid(rejected.by.as_bytes()).into())),
        ("documents", Some(list(&mut documents))),
    ])
}

/// How a replica and its peers are getting on.
pub(crate) fn replica_status(status: &ReplicaStatus) -> Value {
    let renewal = |renewal: &Renewal| {
        object([
            ("was", Some(uuid(renewal.was.as_bytes()).into())),
            ("now", Some(uuid(renewal.now.as_bytes()).into())),
            ("at", renewal.at_ms.map(time)),
            ("reissued", Some(number(renewal.reissued))),
            ("miscounted", Some(renewal.miscounted.into())),
        ])
    };
    object([
        ("replica", Some(uuid(status.replica.as_bytes()).into())),
        ("pending", Some(number(status.pending))),
        ("peers", Some(list(&mut status.peers.iter().map(peer_status)))),
        ("renewals", Some(list(&mut status.renewals.iter().map(renewal)))),
        ("parked", Some(number(status.parked))),
        ("withheld", Some(number(status.withheld))),
    ])
}

fn peer_status(peer: &PeerStatus) -> Value {
    let (state, why) = match &peer.state {
        PeerState::NeverMet => ("never-met", None),
        PeerState::InSession => ("in-session", None),
        PeerState::Idle => ("idle", None),
        PeerState::Refused(why) => ("refused", Some(refusal(why))),
    };
    let last_end = match peer.last_end {
        SessionEnd::Open => None,
        SessionEnd::Closed => Some("closed"),
        SessionEnd::TimedOut => Some("timed-out"),
        SessionEnd::Failed => Some("failed"),
        SessionEnd::Refused(_) => Some("refused"),
    };
    let roots = match peer.roots {
        Roots::NotCompared => None,
        Roots::Equal => Some(true),
        Roots::Unequal => Some(false),
    };
    object([
        ("replica", Some(uuid(peer.replica.as_bytes()).into())),
        ("life", Some(life(peer.life))),
        ("state", Some(state.into())),
        ("refusal", why),
        ("durable", Some(peer.durable.into())),
        ("cursor", Some(number(peer.cursor))),
        ("missingHere", Some(number(peer.missing_here))),
        ("acknowledged", Some(number(peer.acknowledged))),
        ("missingThere", Some(number(peer.missing_there))),
        ("behindMs", peer.behind_ms.map(number)),
        ("acknowledgedAt", peer.acknowledged_ms.map(time)),
        ("metAt", peer.met_ms.map(time)),
        ("partedAt", peer.parted_ms.map(time)),
        ("lastEnd", last_end.map(Value::from)),
        ("clockOffsetMs", peer.clock_offset_ms.map(Value::from)),
        ("rootsEqual", roots.map(Value::from)),
        ("parked", Some(number(peer.parked))),
        ("withheld", Some(number(peer.withheld))),
    ])
}

pub(crate) fn session_event(event: &SessionEvent) -> Value {
    let named = |name: &str| ("type", Some(Value::from(name)));
    match *event {
        SessionEvent::Connected { replica, life: at, skew_ms } => object([
            named("connected"),
            ("replica", Some(uuid(replica.as_bytes()).into())),
            ("life", Some(life(at))),
            ("skewMs", Some(skew_ms.into())),
        ]),
        SessionEvent::Admitted(to) => object([named("admitted"), ("terms", Some(terms(to)))]),
        SessionEvent::NotAdmitted(ref why) => {
            object([named("not-admitted"), ("refusal", Some(refusal(why)))])
        }
        SessionEvent::Refusing { last } => object([named("refusing"), ("last", Some(number(last)))]),
        SessionEvent::ChangeRefused { dot: change, refusal: ref why, withdrawn } => object([
            named("change-refused"),
            ("dot", Some(dot(change))),
            ("refusal", Some(refusal(why))),
            ("withdrawn", Some(withdrawn.into())),
        ]),
        SessionEvent::Sending(by) => object([named("sending"), ("way", Some(way(by)))]),
        SessionEvent::Applied { cells, checkpoint } => object([
            named("applied"),
            ("cells", Some(number(cells))),
            ("checkpoint", Some(checkpoint.into())),
        ]),
        SessionEvent::Acknowledged { sequence } => {
            object([named("acknowledged"), ("sequence", Some(number(sequence)))])
        }
        SessionEvent::Clock(verdict) => clock(verdict),
        SessionEvent::RootsDiffer { repairing } => {
            object([named("roots-differ"), ("repairing", Some(repairing.into()))])
        }
        SessionEvent::Missed { events } => object([named("missed"), ("events", Some(number(events)))]),
        SessionEvent::IdentityRenewed { was, now, reissued, miscounted } => object([
            named("identity-renewed"),
            ("was", Some(uuid(was.as_bytes()).into())),
            ("now", Some(uuid(now.as_bytes()).into())),
            ("reissued", Some(number(reissued))),
            ("miscounted", Some(miscounted.into())),
        ]),
        SessionEvent::PeerRenewed { was, now } => object([
            named("peer-renewed"),
            ("was", Some(uuid(was.as_bytes()).into())),
            ("now", Some(uuid(now.as_bytes()).into())),
        ]),
        SessionEvent::Ended(reason) => object([named("ended"), ("reason", Some(end_reason(reason)))]),
        _ => object([named("other")]),
    }
}
