//! [`History`]: what replicas did, made at random; and [`Run`]: what they reached by it.

use std::boxed::Box;
use std::collections::BTreeSet;
use std::vec::Vec;

use quickcheck::{Arbitrary, Gen};

use super::Subject;
use crate::{CausalContext, Change, Clock, Lattice as _, ReplicaId};

/// What two to four replicas did, one after the other.
#[derive(Clone, Debug)]
pub(super) struct History<O> {
    pub(super) replicas: usize,
    pub(super) steps: Vec<Step<O>>,
    /// Seeds the order in which everything is exchanged at the end.
    pub(super) exchange: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Step<O> {
    /// A replica does something while its wall clock shows this time.
    Mutate { at: usize, now_ms: u64, operation: O },
    /// A replica merges another's whole state.
    Merge { into: usize, from: usize },
    /// A replica merges what it misses of another's state.
    Difference { into: usize, from: usize },
    /// A replica merges a single earlier delta, whether or not it has what came before.
    Deliver { into: usize, commit: usize },
}

/// Long enough for a conflict about a conflict, short enough to check some hundred of them in a second.
const MAX_STEPS: usize = if cfg!(miri) { 5 } else { 20 };

impl<O: Arbitrary> History<O> {
    pub(super) fn generate(random: &mut Gen) -> Self {
        let replicas = pick(random, &[2, 3, 4]);
        let length = below(random, MAX_STEPS + 1);
        let steps = (0..length).map(|_| Step::generate(random, replicas)).collect();
        Self { replicas, steps, exchange: u64::arbitrary(random) }
    }

    /// Smaller histories, the smallest first.
    pub(super) fn shrink(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut length = self.steps.len();
        while length > 0 {
            for start in (0..self.steps.len()).step_by(length) {
                let mut history = self.clone();
                history.steps.drain(start..(start + length).min(self.steps.len()));
                smaller.push(history);
            }
            length /= 2;
        }
        if self.replicas > 2 && self.steps.iter().all(|step| step.last_replica() < self.replicas - 1) {
            smaller.push(Self { replicas: self.replicas - 1, ..self.clone() });
        }
        if self.exchange > 0 {
            smaller.push(Self { exchange: 0, ..self.clone() });
        }
        for (at, step) in self.steps.iter().enumerate() {
            smaller.extend(step.shrink().map(|step| {
                let mut history = self.clone();
                history.steps[at] = step;
                history
            }));
        }
        smaller
    }
}

impl<O: Arbitrary> Step<O> {
    fn generate(random: &mut Gen, replicas: usize) -> Self {
        let into = below(random, replicas);
        let from = (into + 1 + below(random, replicas - 1)) % replicas;
        match below(random, 8) {
            0 => Self::Merge { into, from },
            1 | 2 => Self::Difference { into, from },
            3 => Self::Deliver { into, commit: below(random, MAX_STEPS) },
            // Few different times, so that stamps are often equal but for the replica, and clocks go back.
            _ => Self::Mutate {
                at: into,
                now_ms: pick(random, &[0, 0, 1, 9]),
                operation: O::arbitrary(random),
            },
        }
    }

    fn last_replica(&self) -> usize {
        match self {
            Self::Mutate { at, .. } => *at,
            Self::Merge { into, from } | Self::Difference { into, from } => *into.max(from),
            Self::Deliver { into, .. } => *into,
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match self.clone() {
            Self::Mutate { at, now_ms, operation } => {
                let earlier =
                    (now_ms > 0).then(|| Self::Mutate { at, now_ms: 0, operation: operation.clone() });
                let simpler = operation.shrink().map(move |operation| Self::Mutate { at, now_ms, operation });
                Box::new(earlier.into_iter().chain(simpler))
            }
            Self::Deliver { into, commit } => {
                Box::new((0..commit).map(move |commit| Self::Deliver { into, commit }))
            }
            Self::Merge { .. } | Self::Difference { .. } => Box::new(core::iter::empty()),
        }
    }
}

fn below(random: &mut Gen, end: usize) -> usize {
    // `usize::arbitrary` prefers extreme numbers; a choice among equals is wanted here.
    *random.choose(&(0..end).collect::<Vec<_>>()).unwrap_or(&0)
}

fn pick<T: Copy>(random: &mut Gen, from: &[T]) -> T {
    from[below(random, from.len())]
}

/// Which histories are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Every replica has its own id; anything may arrive in any order.
    Distinct,
    /// The same, but a replica never receives a commit without those that it had seen.
    Causal,
    /// The first two replicas share an id.
    Forked,
}

/// A state, and what went into it.
#[derive(Clone, Debug)]
pub(super) struct Reached<T> {
    pub(super) state: T,
    pub(super) seen: CausalContext,
    /// Indices of commits.
    pub(super) past: BTreeSet<usize>,
}

/// What one operation did.
pub(super) struct Mutation<T> {
    pub(super) before: T,
    pub(super) delta: T,
    pub(super) after: T,
}

/// An operation, as others see it.
pub(super) struct Commit<S: Subject> {
    pub(super) operation: S::Operation,
    pub(super) change: Change,
    pub(super) delta: S::State,
    past: BTreeSet<usize>,
}

/// An operation that a replica has seen; see [`check_meaning`](super::check_meaning).
pub struct Visible<'a, S: Subject> {
    /// What was done.
    pub operation: &'a S::Operation,
    /// What it added to the state; empty when it failed or changed nothing.
    pub delta: &'a S::State,
    /// The change it was given.
    pub change: Change,
    index: usize,
    past: &'a BTreeSet<usize>,
}

impl<S: Subject> Visible<'_, S> {
    /// True when this commit was made by a replica that had seen `other`.
    pub fn saw(&self, other: &Self) -> bool {
        self.past.contains(&other.index)
    }

    /// True when some visible commit whose operation `takes_away` says yes to had seen this one.
    pub fn is_taken_away(&self, visible: &[Self], takes_away: impl Fn(&S::Operation) -> bool) -> bool {
        visible.iter().any(|later| takes_away(later.operation) && later.saw(self))
    }
}

impl<S: Subject> Clone for Visible<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Subject> Copy for Visible<'_, S> {}

/// What the replicas of a history reached.
pub(super) struct Run<S: Subject> {
    /// The last state of every replica.
    pub(super) last: Vec<Reached<S::State>>,
    /// Every state of every replica, from the empty one on.
    pub(super) reached: Vec<Reached<S::State>>,
    pub(super) mutations: Vec<Mutation<S::State>>,
    pub(super) commits: Vec<Commit<S>>,
    pub(super) mode: Mode,
    pub(super) exchange: u64,
}

impl<S: Subject> Run<S> {
    pub(super) fn play(history: &History<S::Operation>, mode: Mode) -> Self {
        let empty = Reached { state: S::State::default(), seen: CausalContext::new(), past: BTreeSet::new() };
        let mut run = Self {
            last: std::vec![empty.clone(); history.replicas],
            reached: std::vec![empty],
            mutations: Vec::new(),
            commits: Vec::new(),
            mode,
            exchange: history.exchange,
        };
        let mut clocks: Vec<Clock> = (0..history.replicas).map(|index| Clock::new(id(index, mode))).collect();
        for step in &history.steps {
            let at = run.step(&mut clocks, step);
            run.reached.push(run.last[at].clone());
        }
        run
    }

    /// Does one step; says whose.
    fn step(&mut self, clocks: &mut [Clock], step: &Step<S::Operation>) -> usize {
        match step {
            Step::Mutate { at, now_ms, operation } => {
                self.mutate(*at, &mut clocks[*at], *now_ms, operation);
                *at
            }
            Step::Merge { into, from } => {
                let whole = self.last[*from].state.clone();
                self.receive(*into, *from, whole);
                *into
            }
            Step::Difference { into, from } => {
                let missing = self.last[*from].state.difference(&self.last[*into].seen);
                self.receive(*into, *from, missing);
                *into
            }
            Step::Deliver { into, commit } => {
                if self.mode != Mode::Causal && !self.commits.is_empty() {
                    self.deliver(*into, commit % self.commits.len());
                }
                *into
            }
        }
    }

    fn mutate(&mut self, at: usize, clock: &mut Clock, now_ms: u64, operation: &S::Operation) {
        let replica = &mut self.last[at];
        let before = replica.state.clone();
        let mut ticked = clock.clone();
        let change = ticked.tick(now_ms).expect("a history is far shorter than 2^64 changes");
        let delta = S::mutate(&mut replica.state, operation, change);
        self.mutations.push(Mutation { before, delta: delta.clone(), after: replica.state.clone() });
        if delta != S::State::default() {
            *clock = ticked; // an empty transaction takes no dot
            S::record(&delta, &change, &mut replica.seen);
        }
        // It is remembered all the same: that it changed nothing must not be noticed later either.
        let past = replica.past.clone();
        replica.past.insert(self.commits.len());
        self.commits.push(Commit { operation: operation.clone(), change, delta, past });
    }

    fn deliver(&mut self, into: usize, index: usize) {
        let Commit { delta, change, .. } = &self.commits[index];
        let to = &mut self.last[into];
        if *delta != S::State::default() {
            to.state.merge(delta.clone());
            S::record(delta, change, &mut to.seen);
            to.past.insert(index);
        }
    }

    fn receive(&mut self, into: usize, from: usize, part: S::State) {
        let sender = self.last[from].clone();
        let to = &mut self.last[into];
        to.state.merge(part);
        to.seen.merge(&sender.seen);
        to.past.extend(sender.past);
    }

    /// The commits that went into a state.
    pub(super) fn visible(&self, at: &Reached<S::State>) -> Vec<Visible<'_, S>> {
        let visible = at.past.iter().map(|&index| {
            let Commit { operation, change, delta, past } = &self.commits[index];
            Visible { operation, delta, change: *change, index, past }
        });
        visible.collect()
    }
}

fn id(index: usize, mode: Mode) -> ReplicaId {
    let shared = mode == Mode::Forked && index == 1;
    ReplicaId::from_u64(if shared { 1 } else { index as u64 + 1 })
}
