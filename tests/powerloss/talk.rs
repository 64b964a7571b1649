//! Two databases talk: to the end, or until the connection breaks.

use rejoin::ReplicaId;
use rejoin::protocol::Session;
use rejoin::protocol::drive::Endpoint as _;

use crate::app::{Trouble, nothing_amiss, now_ms, session, session_trouble, sqlite_trouble, trouble};
use crate::facts::Left;
use crate::record;
use crate::world::{Mistake, Side, World};

/// How long a sync goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    End,
    /// So many messages.
    Messages(usize),
    /// So many times something has come that waits for the rest of it: to its end if that does not happen.
    Cut {
        parts: usize,
    },
}

impl World {
    /// Where a sync is broken off.
    pub fn until(&mut self) -> Until {
        if self.random.chance(60) {
            Until::Cut { parts: 1 + self.random.below(3) }
        } else {
            Until::Messages(self.random.below(12))
        }
    }

    pub fn talk(&mut self, one: usize, until: Until) -> Result<(), Trouble> {
        let mut random = self.random.clone();
        let other = self.partner(one, &mut random);
        self.random = random;
        // A server does not call.
        let (caller, called) = if self.sides[one].guarded { (other, one) } else { (one, other) };
        let mut sessions = [
            session(&self.db(caller), false, self.sides[caller].follows, true).map_err(trouble)?,
            session(&self.db(called), self.sides[called].guarded, false, false).map_err(trouble)?,
        ];
        let sides = [caller, called];
        let (mut messages, mut parts) = (0, 0);
        loop {
            let mut moved = false;
            for from in 0..2 {
                while let Some(message) = self.transmit(sides[from], &mut sessions[from])? {
                    if until == Until::Messages(messages) {
                        return Ok(());
                    }
                    messages += 1;
                    self.receive(sides[1 - from], &mut sessions[1 - from], &message, sides[from])?;
                    moved = true;
                    parts += usize::from(matches!(until, Until::Cut { .. }) && self.is_cut(sides[1 - from])?);
                    if until == (Until::Cut { parts }) {
                        return Ok(());
                    }
                }
            }
            if !moved {
                break;
            }
        }
        let last = sides.map(|side| self.sides[side].history.last().expect("opened"));
        // Who still loads, from somebody else, passes nothing on.
        let equal = last[0].head.root == last[1].head.root || last.iter().any(|facts| facts.loading);
        if !sessions.iter().all(Session::is_settled) || !equal {
            return Err(Trouble::Fault("two databases differ after a sync".into()));
        }
        Ok(())
    }

    /// Whether a database has something that waits for the rest of it.
    fn is_cut(&self, side: usize) -> Result<bool, Trouble> {
        let Side { history, path, .. } = &self.sides[side];
        if history.last().is_some_and(|facts| facts.loading) {
            return Ok(true);
        }
        let connection = rusqlite::Connection::open(path).map_err(|error| sqlite_trouble(&error))?;
        let sql = "SELECT EXISTS (SELECT * FROM rejoin_staged)";
        connection.query_row(sql, [], |row| row.get(0)).map_err(|error| sqlite_trouble(&error))
    }

    fn transmit(&mut self, side: usize, session: &mut Session) -> Result<Option<Vec<u8>>, Trouble> {
        let message = self.db(side).endpoint().with(|replica| session.transmit(replica, now_ms()));
        let message = message.map_err(session_trouble)?;
        self.note(side, true)?;
        Ok(message)
    }

    fn receive(
        &mut self,
        side: usize,
        session: &mut Session,
        message: &[u8],
        from: usize,
    ) -> Result<(), Trouble> {
        let received = self.db(side).endpoint().with(|replica| session.receive(replica, message, now_ms()));
        received.map_err(session_trouble)?;
        nothing_amiss(session).map_err(|fault| Trouble::Fault(fault.what))?;
        self.note(side, true)?;
        if self.mistake == Mistake::ForgetsStaged {
            let connection = rusqlite::Connection::open(&self.sides[side].path);
            let deleted =
                connection.and_then(|connection| connection.execute("DELETE FROM rejoin_staged", []));
            deleted.map_err(|error| sqlite_trouble(&error))?;
        }
        self.has_left(side, from)
    }

    /// What one database has seen of another has left that.
    fn has_left(&mut self, side: usize, from: usize) -> Result<(), Trouble> {
        let replica = self.sides[from].history.last().expect("opened").head.replica;
        let counter = self.db(side).seen().map_err(trouble)?.get(replica);
        self.left(replica, counter);
        Ok(())
    }

    fn left(&mut self, replica: ReplicaId, counter: u64) {
        let known = self.left.iter().any(|left| left.replica == replica && left.counter >= counter);
        if !known && counter > 0 {
            self.left.push(Left { at: record::now(), replica, counter });
        }
    }

    /// All that was committed may have left in this moment.
    pub fn all_left(&mut self, side: usize) -> Result<(), Trouble> {
        self.note(side, true)?;
        let head = &self.sides[side].history.last().expect("opened").head;
        let (replica, counter) = (head.replica, head.counter);
        self.left(replica, counter);
        Ok(())
    }
}
