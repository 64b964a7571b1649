//! The world's part in sessions: it drives them as an app does, by the contract of [`Session`], and carries what they say.

use crdt_core::{Life, ReplicaId, Spare};
use sync_protocol::{Config, Session, SessionError, SessionEvent};

use crate::checker::{Checked, Promise, Violation};
use crate::faults::Fault;
use crate::guard;
use crate::link::{End, Link};
use crate::planted::Bug;
use crate::plot::{Meet, Who};
use crate::world::{Due, World, tell};

impl World<'_> {
    /// A peer of a newer protocol says hello, and has to be told that this is the matter.
    pub fn stranger(&mut self, at: usize) -> Checked {
        self.strike(Fault::Versions);
        let nonce = self.random.next();
        let now_ms = self.devices[at].clock.shows(self.now_ms);
        let replica = self.devices[at].replica(self.now_ms);
        let root = replica.head().map_err(|error| error.to_string())?;
        let mut its = Session::new(Config::new(nonce), now_ms);
        let mut hello = its.transmit(replica, now_ms).ok().flatten().unwrap_or_default();
        // The version follows the two letters of the protocol.
        hello[3] = hello[3].wrapping_add(1);
        let mut ours = Session::new(Config::new(!nonce), now_ms);
        let mut refused = ours.receive(replica, &hello, now_ms);
        if self.bug == Some(Bug::NewerIsDamage) {
            refused = refused.map_err(|_| SessionError::Damaged);
        }
        if !matches!(refused, Err(SessionError::Version { .. })) {
            let what = format!("{} answers a newer protocol with {refused:?}", Who(at));
            return Err(Violation::new(Promise::Refusal, what));
        }
        if replica.head().map_err(|error| error.to_string())? != root {
            return Err(Violation::new(Promise::Refusal, "a refused hello changed the store"));
        }
        Ok(())
    }

    fn parted(&self, one: usize, other: usize) -> bool {
        self.partitions.iter().any(|side| (side >> one ^ side >> other) & 1 == 1)
    }

    /// Connects two devices.
    pub fn meet(&mut self, meet: &Meet) -> Checked {
        self.tally.steps += 1;
        let [one, other] = meet.ends;
        if one == other || self.parted(one, other) {
            return Ok(());
        }
        let ends = meet.ends.map(|at| {
            let now_ms = self.devices[at].clock.shows(self.now_ms);
            let number = self.next_identity();
            let spare = Spare { replica: ReplicaId::from_u64(number), life: Life(number) };
            let session = Session::new(Config::new(self.random.next()).spare(spare), now_ms);
            let guarded = self.plot.guarded;
            let session = if guarded { guard::session_at(at, session, self.bug) } else { session };
            End::new(at, self.devices[at].run, self.files[at], session)
        });
        let link = self.links.len();
        let mut connection = Link::new(meet, ends);
        connection.must_settle = self.faultless;
        self.links.push(connection);
        self.due(self.now_ms + meet.for_ms, Due::HangUp { link });
        self.speak(link, 0)?;
        self.speak(link, 1)
    }

    /// The device at an end is still in the run in which the session began.
    fn is_alive(&self, link: usize, end: usize) -> bool {
        let end = &self.links[link].ends[end];
        let device = &self.devices[end.at];
        device.up && device.run == end.run
    }

    /// A device's sessions vanish with its process; nobody tells the other end.
    pub fn abandon(&mut self, at: usize) {
        for link in &mut self.links {
            if link.ends.iter().any(|end| end.at == at) {
                link.disturbed = true;
            }
        }
    }

    /// New changes of a device go out over all its connections.
    pub fn push(&mut self, at: usize) -> Checked {
        for link in 0..self.links.len() {
            for end in 0..2 {
                if self.links[link].open && self.links[link].ends[end].at == at {
                    self.speak(link, end)?;
                }
            }
        }
        Ok(())
    }

    /// An end sends what it has to say, as far as there is room.
    fn speak(&mut self, link: usize, end: usize) -> Checked {
        let to = 1 - end;
        while self.links[link].open && self.is_alive(link, end) && self.links[link].has_room(to) {
            let at = self.links[link].ends[end].at;
            let now_ms = self.devices[at].clock.shows(self.now_ms);
            let replica = self.devices[at].replica(self.now_ms);
            let said = self.links[link].ends[end].session.transmit(replica, now_ms);
            self.hear_events(link, end)?;
            match said {
                Ok(Some(message)) => self.send(link, to, message),
                Ok(None) => break,
                Err(error) => return self.broken(link, end, &error),
            }
        }
        if self.links[link].ends[end].session.ended().is_some() && self.is_alive(link, end) {
            self.close(link);
        }
        self.set_timer(link, end);
        Ok(())
    }

    fn send(&mut self, link: usize, to: usize, message: Vec<u8>) {
        let ends = &self.links[link].ends;
        let (from, receiver, length) = (Who(ends[1 - to].at), Who(ends[to].at), message.len());
        if self.parted(ends[0].at, ends[1].at) {
            self.links[link].disturbed = true;
            tell!(self, "{from} sends {length} bytes to {receiver}, who is cut off");
            return;
        }
        let carried = self.links[link].carry(to, message, self.now_ms, &mut self.tally.strikes);
        if !carried.accident.is_empty() {
            tell!(self, "{from} sends {length} bytes to {receiver}{}", carried.accident);
        }
        for (at_ms, message) in carried.arrivals {
            self.due(at_ms, Due::Arrival { link, end: to, message });
        }
        if carried.cut {
            tell!(self, "the connection of {from} and {receiver} is cut");
            self.close(link);
        }
    }

    pub fn arrives(&mut self, link: usize, end: usize, message: &[u8]) -> Checked {
        self.links[link].ends[end].arriving -= 1;
        if !self.links[link].open {
            return Ok(());
        }
        if !self.is_alive(link, end) {
            // Nobody is there: whoever sent it will hear of that, or not.
            self.links[link].disturbed = true;
            return Ok(());
        }
        self.tally.steps += 1;
        let at = self.links[link].ends[end].at;
        let now_ms = self.devices[at].clock.shows(self.now_ms);
        let replica = self.devices[at].replica(self.now_ms);
        let heard = self.links[link].ends[end].session.receive(replica, message, now_ms);
        if self.bug == Some(Bug::TrustsBytes) && matches!(heard, Err(SessionError::Damaged)) {
            heard.as_ref().expect("nobody damages messages");
        }
        let issued = self.devices[at].issued(self.now_ms)?;
        if !issued.is_empty() {
            tell!(self, "{} writes again what its clock spoiled", Who(at));
            self.checker.issued(&issued);
        }
        let applied = self.hear_events(link, end)?;
        if let Err(error) = heard {
            return self.broken(link, end, &error);
        }
        // A chunk must not show, so it is looked at too.
        if applied || message.len() > 1_000 {
            self.sees(at)?;
        }
        if applied {
            self.checker.is_durable(at);
            self.push(at)?;
        } else {
            self.speak(link, end)?;
        }
        // There is room again for who sent it.
        self.speak(link, 1 - end)
    }

    /// What a session tells. True when something was applied.
    fn hear_events(&mut self, link: usize, end: usize) -> Checked<bool> {
        let mut applied = false;
        while let Some(event) = self.links[link].ends[end].session.poll_event() {
            match event {
                SessionEvent::Applied { .. } => applied = true,
                SessionEvent::Acknowledged { sequence } => {
                    let [of, by] = [end, 1 - end]
                        .map(|end| (self.links[link].ends[end].at, &self.links[link].ends[end]));
                    if self.files[by.0] == by.1.file {
                        self.checker.acknowledged(by.0, of.0, sequence)?;
                    }
                }
                SessionEvent::IdentityRenewed { was, now, reissued, .. } => {
                    let at = self.links[link].ends[end].at;
                    tell!(self, "{} heals: {was:?} goes on as {now:?}, {reissued} issued again", Who(at));
                    self.sees(at)?;
                }
                SessionEvent::ChangeRefused { .. } => {
                    self.strike(Fault::Guard);
                    self.sees(self.links[link].ends[end].at)?;
                }
                _ => {}
            }
        }
        Ok(applied)
    }

    /// A session failed. What an app does then: it repairs what it is told to repair, and connects again another time.
    fn broken(&mut self, link: usize, end: usize, error: &SessionError) -> Checked {
        let at = self.links[link].ends[end].at;
        tell!(self, "the session ends at {}: {error}", Who(at));
        match error {
            SessionError::Forked | SessionError::SameLife => {
                tell!(self, "{} takes a new identity", Who(at));
                let number = self.next_identity();
                self.devices[at].renew_identity(number)?;
                self.sees(at)?;
            }
            // In the last case the other end failed, and said so.
            SessionError::Superseded | SessionError::IdentityChanged | SessionError::Ended(_) => {}
            _ if self.links[link].disturbed => {}
            error => {
                let what = format!("the session of {} failed over a good connection: {error}", Who(at));
                return Err(Violation::new(Promise::NoError, what));
            }
        }
        self.close(link);
        Ok(())
    }

    /// A connection ends: what is on its way is lost.
    fn close(&mut self, link: usize) {
        self.links[link].open = false;
    }

    /// A connection ends by itself. If nothing happened to it, both ends have said all, or why not.
    pub fn hang_up(&mut self, link: usize) -> Checked {
        let connection = &mut self.links[link];
        let rests = connection.ends.iter().all(|end| end.session.is_settled());
        if connection.open && connection.must_settle && !connection.disturbed && !rests {
            let [one, other] = [Who(connection.ends[0].at), Who(connection.ends[1].at)];
            let what = format!("the session of {one} and {other} comes to no end over a good connection");
            return Err(Violation::new(Promise::Progress, what));
        }
        self.close(link);
        Ok(())
    }

    fn set_timer(&mut self, link: usize, end: usize) {
        if self.links[link].ends[end].timer || !self.links[link].open {
            return;
        }
        let at = self.links[link].ends[end].at;
        let Some(deadline_ms) = self.links[link].ends[end].session.next_timeout_ms() else { return };
        let shows_ms = self.devices[at].clock.shows(self.now_ms);
        let wait_ms = deadline_ms.saturating_sub(shows_ms).clamp(1, 60_000);
        self.links[link].ends[end].timer = true;
        self.due(self.now_ms + wait_ms, Due::Timer { link, end });
    }

    pub fn timer(&mut self, link: usize, end: usize) -> Checked {
        self.links[link].ends[end].timer = false;
        if !self.links[link].open || !self.is_alive(link, end) {
            return Ok(());
        }
        let at = self.links[link].ends[end].at;
        let now_ms = self.devices[at].clock.shows(self.now_ms);
        let session = &mut self.links[link].ends[end].session;
        let patient = self.bug == Some(Bug::WaitsForEver);
        if !patient && session.expire(now_ms) {
            tell!(self, "{} has waited long enough", Who(at));
            self.close(link);
            return Ok(());
        }
        if session.next_timeout_ms().is_some_and(|deadline_ms| deadline_ms + 90_000 < now_ms) {
            let what = format!("{} waits for ever", Who(at));
            return Err(Violation::new(Promise::Progress, what));
        }
        self.set_timer(link, end);
        Ok(())
    }
}
