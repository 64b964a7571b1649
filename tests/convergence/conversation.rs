//! Sessions of the protocol over a bad connection, with commits while they run.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use crate::failure::{Failure, Property};
use crate::history::Sync;
use crate::machine::{Heard, Machine};
use crate::oracle::Seen;
use crate::random::Random;
use crate::run::{Checked, FOUND_OUT, Run};

/// One end of a connection: who sits there, its session, and what is on its way to it.
struct End<M: Machine> {
    at: usize,
    talk: M::Talk,
    arriving: VecDeque<Vec<u8>>,
}

/// What a connection does to messages.
struct Connection {
    random: Random,
    /// In so many of a hundred cases each: a message is lost, repeated, damaged.
    lost: usize,
    repeated: usize,
    damaged: usize,
    /// It is cut after so many messages.
    messages: usize,
    /// Something was done to a message that ends a session.
    broke: bool,
}

impl Connection {
    fn some(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let bad = random.chance(40);
        let mut percent = |most: usize| if bad { random.below(most) } else { 0 };
        let (lost, repeated, damaged) = (percent(12), percent(30), percent(6));
        let messages = if random.chance(30) { random.below(14) } else { usize::MAX };
        Self { random, lost, repeated, damaged, messages, broke: false }
    }

    /// What of a message arrives.
    fn carry(&mut self, mut message: Vec<u8>) -> Vec<Vec<u8>> {
        if self.random.chance(self.lost) {
            self.broke = true;
            return Vec::new();
        }
        if self.random.chance(self.damaged) {
            let at = self.random.below(message.len());
            message[at] ^= 1 << self.random.below(8);
            self.broke = true;
        }
        let copies = if self.random.chance(self.repeated) { 2 } else { 1 };
        vec![message; copies]
    }
}

impl<M: Machine> Run<'_, M> {
    /// A session, both ways. False when the machines have none. It may end anywhere, so what either side has seen is
    /// asked of it after each message, and has to be a causal past between what it had seen and what both had.
    pub fn converse(&mut self, sync: &Sync, seed: u64) -> Checked<bool> {
        let mut connection = Connection::some(seed);
        let mut nonces = Random::new(!seed);
        let mut ends = Vec::new();
        for at in [sync.from, sync.to] {
            let spare = self.new_identity();
            let Some(talk) = self.machines[at].greet(nonces.next(), spare) else { return Ok(false) };
            ends.push(End::<M> { at, talk, arriving: VecDeque::new() });
        }
        let mut between = sync.between.iter();
        loop {
            let turn = connection.random.below(2);
            let moved = self.turn(&mut ends, turn, &mut connection)?
                || self.turn(&mut ends, 1 - turn, &mut connection)?;
            let over = connection.messages == 0 || (connection.broke && !moved);
            if over {
                // The next session begins with what this one left staged.
                return Ok(true);
            }
            if !moved || connection.random.chance(30) {
                match between.next() {
                    Some(commit) => self.meanwhile(commit, [sync.from, sync.to])?,
                    None if !moved => break,
                    None => {}
                }
            }
        }
        self.check_settled(&ends)?;
        Ok(true)
    }

    /// One end says something, or hears something. False when it has nothing to do, or cannot go on.
    fn turn(&mut self, ends: &mut [End<M>], turn: usize, connection: &mut Connection) -> Checked<bool> {
        if connection.messages == 0 {
            return Ok(false);
        }
        let at = ends[turn].at;
        let hears_first = connection.random.chance(50);
        if hears_first && let Some(message) = ends[turn].arriving.pop_front() {
            return self.hear(ends, turn, &message, connection);
        }
        if let Some(message) = self.machines[at].say(&mut ends[turn].talk)? {
            connection.messages = connection.messages.saturating_sub(1);
            ends[1 - turn].arriving.extend(connection.carry(message));
            return Ok(true);
        }
        match ends[turn].arriving.pop_front() {
            Some(message) => self.hear(ends, turn, &message, connection),
            None => Ok(false),
        }
    }

    fn hear(
        &mut self,
        ends: &mut [End<M>],
        turn: usize,
        message: &[u8],
        connection: &mut Connection,
    ) -> Checked<bool> {
        let at = ends[turn].at;
        let before = self.watch(at)?;
        let mut union = self.books[at].seen.clone();
        union.extend(&self.books[ends[1 - turn].at].seen);
        let identity = self.machines[at].head()?.identity;
        let heard = self.machines[at].hear(&mut ends[turn].talk, message)?;
        if self.machines[at].head()?.identity.replica != identity.replica {
            FOUND_OUT.fetch_add(1, Ordering::Relaxed);
            self.renamed(at)?;
        }
        let changed = self.adopt(at, &union)?;
        self.check_events(at, before, changed)?;
        let Heard::Broken(why) = heard else { return Ok(true) };
        if !connection.broke {
            let what = format!("the session broke over a good connection: {why}");
            return Err(Failure::new(Property::NoError, what));
        }
        connection.messages = 0;
        Ok(false)
    }

    /// Takes over what a replica says that it has seen. True when that is more than before.
    fn adopt(&mut self, at: usize, union: &Seen) -> Checked<bool> {
        let vector = self.machines[at].seen()?;
        let claimed = self.oracle.named_by(&vector, |number, replica, counter| {
            self.is_of_other_branch(at, number, replica, counter)
        });
        let seen = claimed.filter(|seen| union.covers(seen) && seen.covers(&self.books[at].seen));
        let Some(seen) = seen else {
            let what = "within the session it claims what it cannot have seen, or less than before";
            return Err(Failure::new(Property::Claims, what));
        };
        let changed = seen != self.books[at].seen;
        self.books[at].seen = seen;
        Ok(changed)
    }

    /// Nothing is left to say, over a connection that lost nothing: both have everything.
    fn check_settled(&self, ends: &[End<M>]) -> Checked {
        let [one, other] = [&self.books[ends[0].at].seen, &self.books[ends[1].at].seen];
        if !(one.covers(other) && other.covers(one)) {
            return Err(Failure::new(
                Property::NothingLost,
                "the session came to rest, and one side lacks something",
            ));
        }
        if ends.iter().any(|end| !M::is_settled(&end.talk)) {
            return Err(Failure::new(Property::NoError, "the session came to rest and does not say so"));
        }
        Ok(())
    }
}
