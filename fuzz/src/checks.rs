//! What has to hold in a [`World`], whatever happened.

use std::collections::BTreeSet;

use crdt_core::{DocumentId, Dot, Lattice as _};
use sync_protocol::drive::pump;

use super::apart::With;
use super::audit::{Stored, audit_loaded, cells_of, nothing_is_lost, stored};
use super::decoders::Batch;
use super::hostile::COLLECTIONS;
use super::link::{Role, config};
use super::session::World;
use super::shown::{Views, nothing_is_withheld_without_a_reason};

impl World<'_> {
    /// Does something with the victim, and looks what became of it besides.
    pub(super) fn watching<T>(&mut self, with: With, act: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.apart.is_part().then(|| stored(&mut self.victim));
        let done = self.watching_identity(with, act);
        if let Some(before) = before {
            self.note_let_go(before, with);
        }
        self.note_loaded();
        done
    }

    /// Looks whether it went on under another id.
    fn watching_identity<T>(&mut self, with: With, act: impl FnOnce(&mut Self) -> T) -> T {
        if !self.heals {
            let before = self.victim.head().expect("memory").counter;
            let done = act(self);
            self.note_what_was_written_again(with, before);
            return done;
        }
        // What is due is shown now, and not meanwhile.
        self.victim.tick(self.now_ms).expect("memory");
        let counter = self.victim.head().expect("memory").counter;
        let before = Views::of(&mut self.victim, self.views.take());
        let rejected = self.rejected();
        let done = act(self);
        if let Some(fork) = before.compare(&mut self.victim) {
            self.reached.healed += 1;
            self.renamed(fork, &rejected);
        } else {
            self.note_what_was_written_again(with, counter);
        }
        self.views = Some(before);
        done
    }

    /// What it wrote since the fork is noted under the dots that it has now. What was `rejected` before keeps its name, as
    /// far as it was taken back: a server names the documents, and need not name all.
    fn renamed(&mut self, fork: Dot, rejected: &BTreeSet<Dot>) {
        let is_old = |dot: &Dot| dot.replica == fork.replica && dot.counter > fork.counter;
        let is_gone = |dot: &Dot| is_old(dot) && !rejected.contains(dot);
        self.written.retain(|dot, _| !is_gone(dot));
        self.apart.renamed(is_gone);
        for of_change in self.victim.rejected().expect("memory").into_iter().filter(|of| is_old(&of.dot)) {
            let Some(written) = self.written.get_mut(&of_change.dot) else { continue };
            written.retain(|(address, cells)| {
                let mut kept = of_change.documents.iter().filter(|(kept, _)| kept == address);
                kept.any(|(_, kept)| !kept.clone().merge(cells.clone()))
            });
        }
        let head = self.victim.head().expect("memory");
        for counter in 1..=head.counter {
            let dot = Dot::new(head.replica, counter);
            self.written.insert(dot, cells_of(&mut self.victim, dot));
        }
        self.note_untouchable();
        self.input.victim = head.replica;
    }

    /// A replica that finds out that its clock was wrong writes again what that spoiled.
    fn note_what_was_written_again(&mut self, with: With, before: u64) {
        let head = self.victim.head().expect("memory");
        let new = before + 1..=head.counter;
        if new.is_empty() {
            return;
        }
        for counter in new.clone() {
            let dot = Dot::new(head.replica, counter);
            self.written.insert(dot, cells_of(&mut self.victim, dot));
        }
        // The third may give back what it was given under another id.
        if self.role == Role::Guarded && with == With::Peer {
            let now = self.forbidden();
            let old = core::mem::replace(&mut self.untouchable, now.clone());
            for (address, document) in now {
                let others =
                    document.select(|dot| dot.replica != head.replica || !new.contains(&dot.counter));
                let known = old.iter().find(|(known, _)| *known == address);
                let mut known = known.map(|(_, document)| (**document).clone()).unwrap_or_default();
                assert!(!known.merge(others), "the adversary wrote what it may not write, in {address:?}");
            }
        }
    }

    pub(super) fn rejected(&mut self) -> BTreeSet<Dot> {
        self.victim.rejected().expect("memory").into_iter().map(|rejected| rejected.dot).collect()
    }

    /// Nobody but those who may wrote there.
    pub(super) fn note_untouchable(&mut self) {
        if self.role == Role::Guarded {
            self.untouchable = self.forbidden();
        }
    }

    /// What the victim holds where the adversary may not write.
    fn forbidden(&mut self) -> Stored {
        let mut all = stored(&mut self.victim);
        all.retain(|(address, document)| {
            !document.is_empty() && matches!(&*address.collection, "wages" | "secret")
        });
        all
    }

    /// Whatever others wrote, at whatever time: what is written here now shows.
    pub(super) fn write_everywhere(&mut self) {
        let places: Vec<_> = COLLECTIONS
            .into_iter()
            .flat_map(|collection| (1..=3).map(move |id| (collection, DocumentId::from_u64(id))))
            .collect();
        // At the end of all epochs nothing can be written over: then each on its own.
        if !self.write_last(&places) {
            for place in places {
                self.write_last(&[place]);
            }
        }
    }

    /// False when they cannot be written.
    fn write_last(&mut self, places: &[(&str, DocumentId)]) -> bool {
        let mut is_done = false;
        let counter = self.victim.head().expect("memory").counter;
        self.commit(|tx| {
            for (collection, id) in places {
                tx.document(*collection, *id)?.set("x", "written last")?;
            }
            is_done = true;
            Ok(())
        });
        // Refused by the clock, after all was said.
        is_done &= self.victim.head().expect("memory").counter > counter;
        for (collection, id) in places.iter().filter(|_| is_done) {
            let view = self.victim.read(*collection, *id).expect("memory");
            assert_eq!(
                view.get("x").expect("no manual field").as_deref(),
                Some(&"written last".into()),
                "what was written last does not show in {collection:?} {id:?}"
            );
        }
        is_done
    }

    /// Somebody syncs with the victim as if nothing had been.
    pub(super) fn meet_third(&mut self) {
        // For a follower, who has one server only, that is one too many.
        self.honest = false;
        self.nothing_was_written_where_it_may_not_be();
        // What one server refuses the other may have taken: that shows when roots are compared, in the next session at the
        // latest.
        let sessions = if self.rejected().is_empty() { 1 } else { 2 };
        for _ in 0..sessions {
            self.sync_with_third();
        }
        self.agrees_with_third();
    }

    fn sync_with_third(&mut self) {
        let nonces = [self.fresh(), self.fresh()];
        let configs = [config(nonces[0], self.spare()), config(nonces[1], None)];
        let (mut mine, mut theirs) = self.role.trusted(configs, self.now_ms);
        self.watching(With::Third, |world| {
            pump(&mut theirs, &mut world.third, &mut mine, &mut world.victim, world.now_ms)
                .expect("an honest sync");
        });
        assert!(mine.is_settled() && theirs.is_settled(), "an honest sync comes to its end");
    }

    fn nothing_was_written_where_it_may_not_be(&mut self) {
        if self.role == Role::Guarded {
            assert_eq!(self.forbidden(), self.untouchable, "the adversary wrote what it may not write");
        }
    }

    pub(super) fn check(&mut self) {
        audit_loaded(&mut self.victim, self.apart.loaded());
        let rejected = self.victim.rejected().expect("memory");
        assert!(rejected.is_empty() || self.role == Role::Following, "only followers obey");
        if self.honest {
            // What was taken back has left no hole: all that was not is in the state.
            let mut kept = self.written.clone();
            kept.retain(|dot, _| rejected.iter().all(|rejected| rejected.dot != *dot));
            nothing_is_lost(&mut self.victim, &kept, &Batch::new());
        }
        let beside = rejected.into_iter().flat_map(|rejected| rejected.documents).collect();
        nothing_is_lost(&mut self.victim, &self.written, &beside);
        self.nothing_was_written_where_it_may_not_be();
        for collection in COLLECTIONS {
            for (_, view) in self.victim.list(collection, None, 8).expect("memory") {
                let _ = view.to_value();
            }
        }
        if self.keeps_time {
            // It looks at what is due once a second.
            self.now_ms = self.now_ms.saturating_add(1_000);
            self.victim.tick(self.now_ms).expect("memory");
            self.reached.parked += u32::from(self.victim.parked_count().expect("memory") > 0);
        }
        nothing_is_withheld_without_a_reason(&mut self.victim);
    }
}
