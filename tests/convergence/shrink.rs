//! [`shrink`]: the same failure with less around it.

use crate::failure::Failure;
use crate::history::{Commit, Fault, History, Step};
use crate::machine::Machine;
use crate::run::{Watch, play};

/// How many histories are tried before what is left has to do.
const TRIES: usize = 3_000;

/// Leaves out steps, commits, edits and faults for as long as the same property fails.
pub fn shrink<M: Machine>(history: History, settings: M::Settings, failure: Failure) -> (History, Failure) {
    // Watched all the time it may fail earlier, and then in another way.
    let failure = play::<M>(&history, settings, Watch::Always).err().unwrap_or(failure);
    let mut shrinker = Shrinker::<M> { history, failure, settings, tries: TRIES };
    loop {
        let before = shrinker.tries;
        let fewer = shrinker.drop_steps();
        if !(fewer | shrinker.simplify_steps()) || shrinker.tries == 0 || before == shrinker.tries {
            return (shrinker.history, shrinker.failure);
        }
    }
}

struct Shrinker<M: Machine> {
    history: History,
    failure: Failure,
    settings: M::Settings,
    tries: usize,
}

impl<M: Machine> Shrinker<M> {
    /// Keeps other steps if they fail in the same way.
    fn adopt(&mut self, steps: Vec<Step>) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let history = History { steps, ..self.history.clone() };
        match play::<M>(&history, self.settings, Watch::Always) {
            Err(failure) if failure.property == self.failure.property => {
                (self.history, self.failure) = (history, failure);
                true
            }
            _ => false,
        }
    }

    /// Leaves out runs of steps, long ones first.
    fn drop_steps(&mut self) -> bool {
        let mut any = false;
        let mut length = self.history.steps.len().div_ceil(2);
        while length > 0 {
            // From the end: what comes after the failure is the first to go.
            let mut end = self.history.steps.len();
            while end > 0 {
                let start = end.saturating_sub(length);
                let mut steps = self.history.steps.clone();
                steps.drain(start..end);
                any |= self.adopt(steps);
                end = start;
            }
            length = if length == 1 { 0 } else { length.div_ceil(2) };
        }
        any
    }

    fn simplify_steps(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.history.steps.len() {
            for simpler in simpler(&self.history.steps[at]) {
                let mut steps = self.history.steps.clone();
                steps[at] = simpler;
                any |= self.adopt(steps);
            }
        }
        any
    }
}

/// Steps with one thing less.
fn simpler(step: &Step) -> Vec<Step> {
    match step {
        Step::Commit(commit) => fewer_edits(commit).map(Step::Commit).collect(),
        Step::Sync(sync) => {
            let mut simpler = Vec::new();
            if sync.fault != Fault::None {
                simpler.push(Step::Sync(crate::history::Sync { fault: Fault::None, ..sync.clone() }));
            }
            for at in 0..sync.between.len() {
                let mut less = sync.clone();
                less.between.remove(at);
                simpler.push(Step::Sync(less));
                for commit in fewer_edits(&sync.between[at]) {
                    let mut less = sync.clone();
                    less.between[at] = commit;
                    simpler.push(Step::Sync(less));
                }
            }
            simpler
        }
        _ => Vec::new(),
    }
}

fn fewer_edits(commit: &Commit) -> impl Iterator<Item = Commit> {
    let several = commit.edits.len() > 1;
    (0..commit.edits.len()).filter(move |_| several).map(|at| {
        let mut less = commit.clone();
        less.edits.remove(at);
        less
    })
}
