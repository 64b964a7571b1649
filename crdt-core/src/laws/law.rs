//! The laws, one function each.

use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec::Vec;

use core::fmt::Debug;

use super::Subject;
use super::history::{Mode, Reached, Run};
use crate::Lattice;

/// A statement about all states that a history reached.
pub(super) struct Law<S: Subject> {
    pub(super) name: &'static str,
    pub(super) holds: Statement<S>,
}

type Statement<S> = Box<dyn Fn(&Run<S>) -> Result<(), String>>;

fn law<S: Subject>(name: &'static str, holds: fn(&Run<S>) -> Result<(), String>) -> Law<S> {
    Law { name, holds: Box::new(holds) }
}

/// Every law.
pub(super) fn all<S: Subject>() -> Vec<Law<S>> {
    let mut laws = of_forks();
    laws.extend([
        law("a mutation has the effect of merging its delta", mutation_merges_its_delta),
        law("the difference is complete", difference_is_complete),
        law("the difference is minimal", difference_is_minimal),
    ]);
    laws
}

/// The laws that hold whatever the dots say.
pub(super) fn of_forks<S: Subject>() -> Vec<Law<S>> {
    [
        law("merge is idempotent", idempotent),
        law("merge answers whether it changed anything", answers),
        law("the empty state is neutral", neutral),
        law("merge is commutative", commutative),
        law("merge is an upper bound", upper_bound),
        law("merge is associative", associative),
        law("the parts join to the state", parts_join),
        law("no part is redundant", no_part_is_redundant),
        law("a part cannot be taken apart", parts_are_irreducible),
        law("replicas converge", converge),
    ]
    .into()
}

/// What a state shows is what the commits that it has seen mean.
pub(super) fn meaning<S: Subject, V: PartialEq + Debug + 'static>(
    shown: fn(&S::State) -> V,
    expected: fn(&[super::Visible<'_, S>]) -> V,
) -> Law<S> {
    let holds = move |run: &Run<S>| {
        run.reached.iter().try_for_each(|at| {
            let (shown, expected) = (shown(&at.state), expected(&run.visible(at)));
            if shown == expected {
                return Ok(());
            }
            let state = &at.state;
            Err(format!("shown:    {shown:?}\n  expected: {expected:?}\n  state:    {state:?}"))
        })
    };
    Law { name: "a state shows what its history means", holds: Box::new(holds) }
}

fn join<T: Lattice>(x: &T, y: &T) -> T {
    let mut joined = x.clone();
    joined.merge(y.clone());
    joined
}

/// `Ok` when both sides are equal, or else what they are.
fn equal<T: PartialEq + Debug>(left: &T, right: &T, sides: &str, of: &dyn Debug) -> Result<(), String> {
    if left == right {
        return Ok(());
    }
    Err(format!("not equal: {sides}\n  left:  {left:?}\n  right: {right:?}\n  of {of:?}"))
}

/// Asks about every reached state with every replica's last state.
fn pairs<S: Subject>(
    run: &Run<S>,
    holds: impl Fn(&Reached<S::State>, &Reached<S::State>) -> Result<(), String>,
) -> Result<(), String> {
    run.reached
        .iter()
        .try_for_each(|x| run.last.iter().try_for_each(|y| holds(x, y).and_then(|()| holds(y, x))))
}

fn idempotent<S: Subject>(run: &Run<S>) -> Result<(), String> {
    run.reached.iter().try_for_each(|Reached { state: x, .. }| equal(&join(x, x), x, "x ⊔ x = x", x))
}

fn answers<S: Subject>(run: &Run<S>) -> Result<(), String> {
    pairs(run, |Reached { state: x, .. }, Reached { state: y, .. }| {
        let mut joined = x.clone();
        let answer = joined.merge(y.clone());
        equal(&answer, &(joined != *x), "the answer = (x ⊔ y ≠ x)", &(x, y))
    })
}

fn neutral<S: Subject>(run: &Run<S>) -> Result<(), String> {
    let empty = S::State::default();
    run.reached.iter().try_for_each(|Reached { state: x, .. }| {
        equal(&join(x, &empty), x, "x ⊔ ⊥ = x", x)?;
        equal(&join(&empty, x), x, "⊥ ⊔ x = x", x)
    })
}

fn commutative<S: Subject>(run: &Run<S>) -> Result<(), String> {
    pairs(run, |Reached { state: x, .. }, Reached { state: y, .. }| {
        equal(&join(x, y), &join(y, x), "x ⊔ y = y ⊔ x", &(x, y))
    })
}

fn upper_bound<S: Subject>(run: &Run<S>) -> Result<(), String> {
    pairs(run, |Reached { state: x, .. }, Reached { state: y, .. }| {
        let joined = join(x, y);
        equal(&join(&joined, x), &joined, "(x ⊔ y) ⊔ x = x ⊔ y", &(x, y))?;
        equal(&join(&joined, y), &joined, "(x ⊔ y) ⊔ y = x ⊔ y", &(x, y))
    })
}

fn associative<S: Subject>(run: &Run<S>) -> Result<(), String> {
    for (index, Reached { state: x, .. }) in run.last.iter().enumerate() {
        for Reached { state: y, .. } in &run.last[index + 1..] {
            for Reached { state: z, .. } in &run.reached {
                let (left, right) = (join(&join(x, y), z), join(x, &join(y, z)));
                equal(&left, &right, "(x ⊔ y) ⊔ z = x ⊔ (y ⊔ z)", &(x, y, z))?;
            }
        }
    }
    Ok(())
}

fn joined<'a, T: Lattice + Default + 'a>(parts: impl IntoIterator<Item = &'a T>) -> T {
    parts.into_iter().fold(T::default(), |all, part| join(&all, part))
}

fn parts_join<S: Subject>(run: &Run<S>) -> Result<(), String> {
    run.reached
        .iter()
        .try_for_each(|Reached { state: x, .. }| equal(&joined(&x.decompose()), x, "⊔ decompose(x) = x", x))
}

fn no_part_is_redundant<S: Subject>(run: &Run<S>) -> Result<(), String> {
    // The last states have the most parts; a redundant one stays redundant in most of what follows.
    run.last.iter().try_for_each(|Reached { state: x, .. }| {
        let parts = x.decompose();
        for (index, part) in parts.iter().enumerate() {
            let others = parts.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, part)| part);
            if joined(others) == *x {
                return Err(format!("the others join to the state without {part:?}\n  of {x:?}"));
            }
        }
        Ok(())
    })
}

fn parts_are_irreducible<S: Subject>(run: &Run<S>) -> Result<(), String> {
    run.last.iter().try_for_each(|Reached { state: x, .. }| {
        x.decompose()
            .into_iter()
            .try_for_each(|part| equal(&part.decompose(), &std::vec![part], "decompose(part) = [part]", x))
    })
}

fn mutation_merges_its_delta<S: Subject>(run: &Run<S>) -> Result<(), String> {
    run.mutations.iter().try_for_each(|done| {
        let merged = join(&done.before, &done.delta);
        equal(&done.after, &merged, "after = before ⊔ delta", &(&done.before, &done.delta))
    })
}

fn difference_is_complete<S: Subject>(run: &Run<S>) -> Result<(), String> {
    pairs(run, |Reached { state: x, .. }, Reached { state: y, seen, .. }| {
        let difference = x.difference(seen);
        equal(&join(y, &difference), &join(y, x), "y ⊔ difference(x, seen by y) = y ⊔ x", &(x, y, seen))
    })
}

fn difference_is_minimal<S: Subject>(run: &Run<S>) -> Result<(), String> {
    let empty = S::State::default();
    run.reached.iter().try_for_each(|Reached { state: x, seen, .. }| {
        equal(&x.difference(seen), &empty, "difference(x, seen by x) = ⊥", &(x, seen))
    })?;
    pairs(run, |Reached { state: x, .. }, Reached { seen, .. }| {
        x.difference(seen).decompose().iter().try_for_each(|part| {
            equal(&part.difference(seen), part, "every part of a difference is unseen", &(x, seen))
        })
    })
}

/// Everybody receives everything, directly, in random order; and somebody else receives only the deltas.
fn converge<S: Subject>(run: &Run<S>) -> Result<(), String> {
    let forked = run.mode == Mode::Forked;
    let all = joined(run.last.iter().map(|replica| &replica.state));
    let mut random = Shuffle(run.exchange);
    let mut replicas = run.last.clone();
    let indices = 0..replicas.len();
    let ways = indices.clone().flat_map(|from| indices.clone().map(move |into| (from, into)));
    for (from, into) in random.shuffled(ways.filter(|(from, into)| from != into)) {
        let sender = replicas[from].clone();
        let to = &mut replicas[into];
        // After a fork a context claims more than was received; then only whole states are safe to send.
        let whole = forked || random.next() & 1 == 0;
        to.state.merge(if whole { sender.state } else { sender.state.difference(&to.seen) });
        to.seen.merge(&sender.seen);
    }
    for replica in &replicas {
        equal(
            &replica.state,
            &all,
            "a replica that received everything = the join of all",
            &run_states(run),
        )?;
    }
    if forked {
        return Ok(()); // writes that hide each other under one id need not leave what their deltas say
    }
    let deltas = random.shuffled(run.commits.iter().map(|commit| &commit.delta));
    equal(&joined(deltas), &all, "the join of all deltas = the join of all states", &run_states(run))
}

fn run_states<S: Subject>(run: &Run<S>) -> Vec<&S::State> {
    run.last.iter().map(|replica| &replica.state).collect()
}

/// A small generator (splitmix64) for the order of things, where quickcheck's would not shrink.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn shuffled<T>(&mut self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut keyed: Vec<(u64, T)> = items.into_iter().map(|item| (self.next(), item)).collect();
        keyed.sort_by_key(|(key, _)| *key);
        keyed.into_iter().map(|(_, item)| item).collect()
    }
}
