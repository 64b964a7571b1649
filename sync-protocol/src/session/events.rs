//! The events of a session until the app takes them. One that does not look loses details, not the sums.

use alloc::collections::VecDeque;

use super::status::SessionEvent;

/// So many events wait. Beyond it those that count are added up, and of others only the number is kept.
pub(super) const MAX_EVENTS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Events {
    waiting: VecDeque<SessionEvent>,
    /// Those that were not kept, since the last that was.
    missed: u64,
    /// Kept apart: it must not be missed, and nothing comes after it.
    ended: Option<SessionEvent>,
}

impl Events {
    pub(super) fn push_back(&mut self, event: SessionEvent) {
        if matches!(event, SessionEvent::Ended(_)) {
            self.ended = Some(event);
        } else if self.missed == 0 && self.waiting.len() < MAX_EVENTS {
            self.waiting.push_back(event);
        } else if !self.waiting.iter_mut().rev().any(|earlier| absorbs(earlier, &event)) {
            self.missed += 1;
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<SessionEvent> {
        self.waiting.pop_front().or_else(|| {
            let missed = core::mem::take(&mut self.missed);
            if missed > 0 { Some(SessionEvent::Missed { events: missed }) } else { self.ended.take() }
        })
    }
}

/// Makes an event say what a later one of its kind says, too.
fn absorbs(earlier: &mut SessionEvent, later: &SessionEvent) -> bool {
    match (earlier, later) {
        (
            SessionEvent::Applied { cells, checkpoint },
            SessionEvent::Applied { cells: more, checkpoint: also },
        ) if *checkpoint == *also => *cells = cells.saturating_add(*more),
        (SessionEvent::Acknowledged { sequence }, SessionEvent::Acknowledged { sequence: later }) => {
            *sequence = *later;
        }
        (
            SessionEvent::Progress { documents, of },
            SessionEvent::Progress { documents: later, of: of_later },
        ) => (*documents, *of) = (*later, *of_later),
        (SessionEvent::Evicted { documents }, SessionEvent::Evicted { documents: more }) => {
            *documents = documents.saturating_add(*more);
        }
        (SessionEvent::Refusing { last }, SessionEvent::Refusing { last: later }) => *last = *later,
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EndReason;
    use crate::under_miri::or_under_miri;

    #[test]
    fn who_does_not_look_loses_details_but_not_the_sums() {
        let mut events = Events::default();
        // Under Miri a few more than are kept, as each is looked for among all.
        let sequences = or_under_miri(100_000, 1_030);
        for sequence in 1..=sequences {
            events.push_back(SessionEvent::Applied { cells: 3, checkpoint: false });
            events.push_back(SessionEvent::Acknowledged { sequence });
            events.push_back(SessionEvent::RootsDiffer { repairing: false });
            assert!(events.waiting.len() <= MAX_EVENTS);
        }
        events.push_back(SessionEvent::Ended(EndReason::Done));
        let (mut cells, mut acknowledged, mut differ, mut missed, mut ended) = (0, 0, 0, 0, 0);
        while let Some(event) = events.pop_front() {
            assert_eq!(ended, 0, "{event:?} after the end");
            match event {
                SessionEvent::Applied { cells: more, .. } => cells += more,
                SessionEvent::Acknowledged { sequence } => acknowledged = sequence.max(acknowledged),
                SessionEvent::RootsDiffer { .. } => differ += 1,
                SessionEvent::Missed { events } => missed += events,
                SessionEvent::Ended(_) => ended += 1,
                _ => unreachable!(),
            }
        }
        assert_eq!((cells, acknowledged, differ + missed, ended), (3 * sequences, sequences, sequences, 1));
        // Afterwards there is room again.
        events.push_back(SessionEvent::RootsDiffer { repairing: false });
        assert_eq!(events.pop_front(), Some(SessionEvent::RootsDiffer { repairing: false }));
        assert_eq!(events.pop_front(), None);
    }

    #[test]
    fn what_counts_is_added_up_each_kind_for_itself() {
        let mut events = Events::default();
        let applied = |cells, checkpoint| SessionEvent::Applied { cells, checkpoint };
        let first = [
            applied(1, true),
            applied(2, false),
            SessionEvent::Progress { documents: 1, of: 9 },
            SessionEvent::Evicted { documents: 1 },
            SessionEvent::Refusing { last: 1 },
        ];
        let last = [
            applied(10, true),
            applied(20, false),
            SessionEvent::Progress { documents: 5, of: 8 },
            SessionEvent::Evicted { documents: 5 },
            SessionEvent::Refusing { last: 5 },
        ];
        let sums = [
            applied(11, true),
            applied(22, false),
            SessionEvent::Progress { documents: 5, of: 8 },
            SessionEvent::Evicted { documents: 6 },
            SessionEvent::Refusing { last: 5 },
        ];
        let others = MAX_EVENTS - first.len();
        let between = core::iter::repeat_n(SessionEvent::Sending(crate::Way::Full), others);
        for event in first.into_iter().chain(between).chain(last) {
            events.push_back(event);
        }
        assert_eq!(core::array::from_fn(|_| events.pop_front().unwrap()), sums);
        (0..others).for_each(|_| assert!(matches!(events.pop_front(), Some(SessionEvent::Sending(_)))));
        assert_eq!(events.pop_front(), None, "nothing was missed");
    }
}
