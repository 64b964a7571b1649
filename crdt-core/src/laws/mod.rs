//! Law checks for anything that implements [`Lattice`]: the types of this crate and yours.
//!
//! Name a type by a [`Subject`]: its operations, and how they change it. [`check`] then lets two to four replicas
//! write, merge, and send each other differences and single deltas in random order, and holds every law that
//! [`Lattice`] promises against all states that they reached:
//!
//! - merge is commutative, associative, idempotent and an upper bound, the empty state is its neutral element, and it
//!   answers whether it changed anything;
//! - a mutation has the effect of merging its delta;
//! - the parts join to the state, none is redundant, and none can be taken apart further;
//! - the difference is complete and minimal;
//! - all replicas are equal once everything was exchanged, in whatever order.
//!
//! [`check_forked`] repeats what must hold even when two replicas write under one id by mistake, and [`check_meaning`]
//! compares what a type shows with what the causal history says it should ([`Meaning`]): a type may converge and still be
//! wrong.
//!
//! [`law_suite!`](crate::law_suite) makes these checks the tests of a module, in one line.
//!
//! A failure names the law, the type and the smallest history that breaks it, and ends with the command that replays
//! it: `REJOIN_LAWS_SEED=… cargo test …`. `REJOIN_LAWS_CASES` sets how many histories are tried (200 by default).
//!
//! ```
//! use crdt_core::laws::{self, Meaning, Subject, Visible};
//! use crdt_core::{CausalContext, Change, Dot, Lattice};
//!
//! /// The best score so far, and the transaction that reached it.
//! #[derive(Clone, Debug, Default, PartialEq)]
//! struct HighScore(Option<(u32, Dot)>);
//!
//! impl Lattice for HighScore {
//!     fn merge(&mut self, other: Self) -> bool {
//!         let better = other.0 > self.0; // `None` is less than any score
//!         if better {
//!             *self = other;
//!         }
//!         better
//!     }
//!
//!     fn decompose(&self) -> Vec<Self> {
//!         self.0.map(|best| Self(Some(best))).into_iter().collect()
//!     }
//!
//!     fn difference(&self, seen: &CausalContext) -> Self {
//!         Self(self.0.filter(|(_, dot)| !seen.contains(*dot)))
//!     }
//! }
//!
//! impl Subject for HighScore {
//!     type State = Self;
//!     type Operation = u32; // a score
//!
//!     fn mutate(state: &mut Self, score: &u32, change: Change) -> Self {
//!         let delta = Self(Some((*score, change.dot())));
//!         if state.merge(delta.clone()) { delta } else { Self::default() }
//!     }
//! }
//!
//! impl Meaning for HighScore {
//!     type Shown = Option<u32>;
//!
//!     fn shown(state: &Self) -> Option<u32> {
//!         state.0.map(|(score, _)| score)
//!     }
//!
//!     /// The best of all scores that were reached.
//!     fn meant(visible: &[Visible<'_, Self>]) -> Option<u32> {
//!         visible.iter().map(|seen| *seen.operation).max()
//!     }
//! }
//!
//! crdt_core::law_suite!(HighScore, meaning);
//! # laws::check::<HighScore>(); // nobody runs the tests of a documentation example
//! # laws::check_forked::<HighScore>();
//! # laws::check_meaning::<HighScore, _>(HighScore::shown, HighScore::meant);
//! ```

mod history;
mod law;

use std::collections::hash_map::RandomState;
use std::format;
use std::hash::{BuildHasher as _, Hasher as _};
use std::string::String;
use std::vec::Vec;

use core::any::type_name;
use core::fmt::Debug;

pub use quickcheck;
use quickcheck::{Arbitrary, Gen};

use crate::{CausalContext, Change, Lattice};
pub use history::Visible;
use history::{History, Mode, Run};
use law::Law;

/// A type under test: its operations, and how they change it.
///
/// Implement it for the type itself when that is yours, or for an empty type that stands for it.
pub trait Subject: 'static {
    /// The lattice. Its default is the empty state.
    type State: Lattice + Default + Debug + 'static;

    /// What a replica may do. Keep the domain small (a few keys, a few values): conflicts are what is to be tested.
    type Operation: Arbitrary + Debug;

    /// Does one operation as the transaction `change`; returns the delta. An operation that fails or changes nothing
    /// returns the empty state; it then used up no dot.
    fn mutate(state: &mut Self::State, operation: &Self::Operation, change: Change) -> Self::State;

    /// Adds to `seen` what a replica has seen once it has the delta that `change` made. That is the dot of the change,
    /// unless the type names its dots in another way, as [`GCounter`](crate::GCounter) does.
    fn record(delta: &Self::State, change: &Change, seen: &mut CausalContext) {
        let _ = delta;
        seen.insert(change.dot());
    }
}

/// What a type should show, told from its history alone. A type may converge and still be wrong.
pub trait Meaning: Subject {
    /// What is compared: the value, without the bookkeeping.
    type Shown: PartialEq + Debug + 'static;

    /// What a state shows.
    fn shown(state: &Self::State) -> Self::Shown;

    /// What it should show, by the operations that went into it and which of them had seen which.
    fn meant(visible: &[Visible<'_, Self>]) -> Self::Shown
    where
        Self: Sized;
}

/// Checks every law on random histories of replicas with an id each.
///
/// # Panics
/// When a law is broken; the message holds the shrunk history and the command that replays it.
pub fn check<S: Subject>() {
    report(examine::<S>(Mode::Distinct, &law::all::<S>(), &seeds()));
}

/// Checks that merge still is a join, and replicas still converge, when two of them write under one id and so give the
/// same dots and stamps to different changes. What a context says is void then; a type whose merge reads no context
/// passes.
///
/// # Panics
/// As [`check`].
pub fn check_forked<S: Subject>() {
    report(examine::<S>(Mode::Forked, &law::of_forks::<S>(), &seeds()));
}

/// Checks what replicas show against what they ought to show: `expected` computes it from all operations that the replica
/// has seen and from which of them had seen which. A replica here never sees an operation without those that it saw.
///
/// Operations that changed nothing count too: an add that is left out because the element is there already is found by
/// a concurrent remove that did not see it.
///
/// # Panics
/// As [`check`].
pub fn check_meaning<S: Subject, V: PartialEq + Debug + 'static>(
    shown: fn(&S::State) -> V,
    expected: fn(&[Visible<'_, S>]) -> V,
) {
    let law = law::meaning::<S, V>(shown, expected);
    report(examine::<S>(Mode::Causal, &[law], &seeds()));
}

/// One line that makes the laws the tests of a module: [`check`](crate::laws::check) and
/// [`check_forked`](crate::laws::check_forked) of a [`Subject`](crate::laws::Subject); with the word `meaning`, also
/// [`check_meaning`](crate::laws::check_meaning) of a [`Meaning`](crate::laws::Meaning).
///
/// ```text
/// crdt_core::law_suite!(HighScore, meaning);
/// ```
#[macro_export]
macro_rules! law_suite {
    ($subject:ty) => {
        #[test]
        fn laws_hold() {
            $crate::laws::check::<$subject>();
        }

        #[test]
        fn forked_writers_converge() {
            $crate::laws::check_forked::<$subject>();
        }
    };
    ($subject:ty, meaning) => {
        $crate::law_suite!($subject);

        #[test]
        fn shows_what_its_history_means() {
            use $crate::laws::Meaning;
            $crate::laws::check_meaning::<$subject, _>(<$subject>::shown, <$subject>::meant);
        }
    };
}

/// One of a few values, each as likely as the others: what an operation's `Arbitrary` needs, because conflicts need small
/// domains.
///
/// # Panics
/// Without values.
pub fn one_of<T: Clone>(random: &mut Gen, values: &[T]) -> T {
    random.choose(values).expect("a choice among some").clone()
}

fn report(outcome: Result<(), String>) {
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// The seed of every case. One seed is one history, so that a replay begins with the case that failed.
fn seeds() -> Vec<u64> {
    let first = from_environment(SEED).unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let cases = from_environment(CASES).unwrap_or(DEFAULT_CASES);
    (0..cases).map(|case| first.wrapping_add(case)).collect()
}

const SEED: &str = "REJOIN_LAWS_SEED";
const CASES: &str = "REJOIN_LAWS_CASES";
/// Miri is a thousand times slower, and looks for something else.
const DEFAULT_CASES: u64 = if cfg!(miri) { 1 } else { 200 };

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number of 64 bits, not {text:?}")))
}

/// Holds all laws against one history per seed; the failure is a text for people.
fn examine<S: Subject>(mode: Mode, laws: &[Law<S>], seeds: &[u64]) -> Result<(), String> {
    for seed in seeds {
        let history = History::generate(&mut Gen::from_size_and_seed(GENERATOR_SIZE, *seed));
        for law in laws {
            if let Err(why) = verdict(law, mode, &history) {
                let (history, why) = shrink(law, mode, history, why);
                return Err(describe::<S>(law.name, &history, &why, *seed));
            }
        }
    }
    Ok(())
}

/// How large an operation's own collections may get, which is up to its `Arbitrary`.
const GENERATOR_SIZE: usize = 8;

/// Plays the history and asks the law. A panic on the way is a broken law too.
fn verdict<S: Subject>(law: &Law<S>, mode: Mode, history: &History<S::Operation>) -> Result<(), String> {
    let asked = std::panic::AssertUnwindSafe(|| (law.holds)(&Run::play(history, mode)));
    std::panic::catch_unwind(asked).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Err(format!("it panicked: {}", text.unwrap_or("(no message)")))
    })
}

/// Makes the history smaller for as long as it breaks the same law.
fn shrink<S: Subject>(
    law: &Law<S>,
    mode: Mode,
    mut history: History<S::Operation>,
    mut why: String,
) -> (History<S::Operation>, String) {
    let smaller = |history: &History<S::Operation>| {
        history.shrink().into_iter().find_map(|h| verdict(law, mode, &h).err().map(|why| (h, why)))
    };
    while let Some(found) = smaller(&history) {
        (history, why) = found;
    }
    (history, why)
}

fn describe<S: Subject>(law: &str, history: &History<impl Debug>, why: &str, seed: u64) -> String {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let package = if package.is_empty() { package } else { format!(" -p {package}") };
    // The test harness names the thread after the test, unless it runs on the main thread.
    let thread = std::thread::current();
    let test =
        thread.name().filter(|name| *name != "main").map_or_else(String::new, |name| format!(" {name}"));
    format!(
        "broken law: {law}\n  type: {}\n  {why}\n  shrunk {history:#?}\n  replay: {SEED}={seed} cargo test{package}{test}",
        type_name::<S::State>(),
    )
}

#[cfg(test)]
mod tests;
