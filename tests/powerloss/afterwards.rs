//! A database that lost power goes on: it syncs with a peer, and both come to hold everything that either had.

use rejoin::core::{Dot, Durability};
use rejoin::protocol::drive::Endpoint as _;
use rejoin::protocol::{Session, SessionError};
use rejoin::{DocumentId, Identity};

use crate::app::{nothing_amiss, now_ms, session};
use crate::check::{Fault, Kind, Opened, corrupt};
use crate::world::Side;

/// Two databases, one of which lost power, sync: both come to hold everything that either had.
pub fn sync_afterwards(one: (&Side, &Opened), other: (&Side, &Opened)) -> Result<(), Fault> {
    let torn = |what: String| Fault::new(Kind::Torn, what);
    sync(one, other)?;
    let both_whole = is_whole(one.1)? && is_whole(other.1)?;
    let both = [&one.1.db, &other.1.db];
    for (at, (side, opened)) in [one, other].into_iter().enumerate() {
        // Who still loads, from somebody else, shows what is half there, and passes nothing on.
        let holders = if both_whole { &both[..] } else { &both[at..=at] };
        for db in holders {
            let compared = side.books.compare(db, opened.commits);
            compared.map_err(|what| torn(format!("after a sync, of {}: {what}", side.name)))?;
        }
    }
    // The next change has a name of its own, and gets through.
    let id = DocumentId::from_u64(7);
    let committed =
        one.1.db.commit_with(Durability::Durable, |tx| Ok(tx.open("shared", id)?.set("title", "after")?));
    let Dot { counter, .. } = committed.map_err(corrupt)?.dot.expect("something was written");
    if one.1.db.identity() == Identity::Same && counter <= one.1.left {
        let what = format!("the next change is called {counter}, and up to {} had left", one.1.left);
        return Err(Fault::new(Kind::Reused, what));
    }
    sync(one, other)?;
    for (_, opened) in [one, other] {
        let report = opened.db.check().map_err(corrupt)?;
        if !report.is_sound() {
            return Err(Fault::new(Kind::Corrupt, format!("after a sync: {:?}", report.problems)));
        }
    }
    Ok(())
}

/// No first sync is under way.
fn is_whole(opened: &Opened) -> Result<bool, Fault> {
    Ok(opened.db.loading().map_err(corrupt)?.is_none())
}

fn sync((one, here): (&Side, &Opened), (other, there): (&Side, &Opened)) -> Result<(), Fault> {
    let (caller, called) =
        if one.guarded { ((other, there), (one, here)) } else { ((one, here), (other, there)) };
    let ends = [caller, called];
    let mut sessions = [
        session(&ends[0].1.db, ends[0].0.guarded, ends[0].0.follows, true).map_err(corrupt)?,
        session(&ends[1].1.db, ends[1].0.guarded, ends[1].0.follows, false).map_err(corrupt)?,
    ];
    let failed = |error: SessionError| {
        let kind = if matches!(error, SessionError::Forked) { Kind::Reused } else { Kind::Torn };
        Fault::new(kind, format!("a sync afterwards: {error}"))
    };
    loop {
        let mut moved = false;
        for from in 0..2 {
            let to = 1 - from;
            let (sender, receiver) = (&ends[from].1.db, &ends[to].1.db);
            loop {
                let said = sender.endpoint().with(|replica| sessions[from].transmit(replica, now_ms()));
                let Some(message) = said.map_err(failed)? else { break };
                let heard =
                    receiver.endpoint().with(|replica| sessions[to].receive(replica, &message, now_ms()));
                heard.map_err(failed)?;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    for session in &mut sessions {
        nothing_amiss(session)?;
    }
    let roots = [ends[0].1.db.root().map_err(corrupt)?, ends[1].1.db.root().map_err(corrupt)?];
    let whole = is_whole(ends[0].1)? && is_whole(ends[1].1)?;
    if !sessions.iter().all(Session::is_settled) || (whole && roots[0] != roots[1]) {
        return Err(Fault::new(Kind::Torn, "two databases differ after a sync"));
    }
    Ok(())
}
