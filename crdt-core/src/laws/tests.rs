//! The checks must be able to fail: toy types, each wrong in one way, and the law that finds it.

use super::*;
use crate::tries::or_under_miri;
use crate::{Dot, ReplicaId};
use alloc::collections::BTreeMap;
use alloc::vec;

/// Per replica its last transaction and what that wrote; wrong in the way that the parameter says.
#[derive(Clone, Debug, Default, PartialEq)]
struct Toy<const FAULT: u8>(BTreeMap<ReplicaId, (u64, u8)>);

const RIGHT: u8 = 0;
const ADDS: u8 = 1;
const KEEPS_MINE: u8 = 2;
const ALWAYS_CHANGED: u8 = 3;
const FORGETS_THE_DELTA: u8 = 4;
const LOSES_A_PART: u8 = 5;
const REPEATS_A_PART: u8 = 6;
const ONE_PART: u8 = 7;
const SENDS_NOTHING: u8 = 8;
const SENDS_ALL: u8 = 9;
const PANICS: u8 = 10;
const LOWERS: u8 = 11;
const NOT_NEUTRAL: u8 = 12;

impl<const FAULT: u8> Lattice for Toy<FAULT> {
    fn merge(&mut self, other: Self) -> bool {
        let before = self.clone();
        assert!(FAULT != PANICS || self.0.len() + other.0.len() < 3, "three is a crowd");
        for (replica, theirs) in other.0 {
            let mine = self.0.entry(replica).or_default();
            match FAULT {
                ADDS => *mine = (mine.0.max(theirs.0), mine.1.wrapping_add(theirs.1)),
                KEEPS_MINE if mine.0 > 0 => (),
                // The mean of two is commutative and idempotent, and depends on the order of three.
                LOWERS if mine.0 > 0 => *mine = (mine.0.max(theirs.0), mine.1.midpoint(theirs.1)),
                _ => *mine = theirs.max(*mine),
            }
        }
        if FAULT == NOT_NEUTRAL {
            self.0.entry(ReplicaId::from_u64(9)).or_default();
        }
        FAULT == ALWAYS_CHANGED || *self != before
    }

    fn decompose(&self) -> Vec<Self> {
        let mut parts: Vec<Self> = self.0.iter().map(|(r, n)| Self([(*r, *n)].into())).collect();
        match FAULT {
            LOSES_A_PART => drop(parts.pop()),
            REPEATS_A_PART => parts.extend(parts.last().cloned()),
            ONE_PART if !parts.is_empty() => parts = vec![self.clone(), Self::default()],
            _ => (),
        }
        parts
    }

    fn difference(&self, seen: &CausalContext) -> Self {
        match FAULT {
            SENDS_NOTHING => Self::default(),
            SENDS_ALL => self.clone(),
            _ => {
                let unseen = self.0.iter().filter(|(r, (n, _))| !seen.contains(Dot::new(**r, *n)));
                Self(unseen.map(|(r, n)| (*r, *n)).collect())
            }
        }
    }
}

impl<const FAULT: u8> Subject for Toy<FAULT> {
    type State = Self;
    type Operation = u8;

    fn mutate(state: &mut Self, operation: &u8, change: Change) -> Self {
        let entry = (change.counter, *operation);
        state.0.insert(change.replica(), entry);
        if FAULT == FORGETS_THE_DELTA && change.counter > 1 {
            return Self::default();
        }
        Self([(change.replica(), entry)].into())
    }
}

/// Under Miri a few, of right types only: to make the history of a fault smaller, thousands of others are played.
const SEEDS: u64 = or_under_miri(100, 2);

/// What the check says when it only asks the laws that `asked` names.
fn outcome<const FAULT: u8>(asked: impl Fn(&str) -> bool, first_seed: u64) -> Result<(), String> {
    let laws: Vec<Law<Toy<FAULT>>> = law::all().into_iter().filter(|law| asked(law.name)).collect();
    assert!(!laws.is_empty(), "no such law");
    examine(Mode::Distinct, &laws, &(first_seed..first_seed + SEEDS).collect::<Vec<_>>())
}

#[track_caller]
fn finds<const FAULT: u8>(law: &str) {
    let failure = outcome::<FAULT>(|name| name == law, 0).unwrap_err();
    assert!(failure.starts_with(&format!("broken law: {law}\n")) && failure.contains("Toy<"), "{failure}");
}

#[test]
fn a_right_type_passes() {
    assert_eq!(outcome::<RIGHT>(|_| true, 0), Ok(()));
}

#[test]
#[cfg_attr(miri, ignore = "a fault is made smaller in thousands of histories: hours under Miri")]
fn every_law_finds_its_fault() {
    finds::<ADDS>("merge is idempotent");
    finds::<ADDS>("merge is an upper bound");
    finds::<KEEPS_MINE>("merge is commutative");
    finds::<KEEPS_MINE>("replicas converge");
    finds::<LOWERS>("merge is associative");
    finds::<ALWAYS_CHANGED>("merge answers whether it changed anything");
    finds::<NOT_NEUTRAL>("the empty state is neutral");
    finds::<FORGETS_THE_DELTA>("a mutation has the effect of merging its delta");
    finds::<LOSES_A_PART>("the parts join to the state");
    finds::<REPEATS_A_PART>("no part is redundant");
    finds::<ONE_PART>("a part cannot be taken apart");
    finds::<SENDS_NOTHING>("the difference is complete");
    finds::<SENDS_ALL>("the difference is minimal");
}

#[test]
#[cfg_attr(miri, ignore = "a fault is made smaller in thousands of histories: hours under Miri")]
fn a_panic_is_a_broken_law() {
    let failure = outcome::<PANICS>(|_| true, 0).unwrap_err();
    assert!(failure.contains("it panicked: three is a crowd"), "{failure}");
}

#[test]
#[cfg_attr(miri, ignore = "a fault is made smaller in thousands of histories: hours under Miri")]
fn a_failure_is_small_and_its_seed_replays_it() {
    let failure = (0..10).find_map(|round| outcome::<SENDS_ALL>(|_| true, round * 100).err()).unwrap();
    assert_eq!(failure.matches("Mutate {").count(), 1, "one write is enough: {failure}");
    let seed = failure.split("REJOIN_LAWS_SEED=").nth(1).unwrap().split(' ').next().unwrap();
    let again = examine::<Toy<SENDS_ALL>>(Mode::Distinct, &law::all(), &[seed.parse().unwrap()]);
    assert_eq!(again, Err(failure));
}

type Right = Toy<RIGHT>;

fn total(toy: &Right) -> u64 {
    toy.0.values().map(|(_, number)| u64::from(*number)).sum()
}

#[test]
fn a_meaning_is_held_against_every_state() {
    let law = law::meaning::<Right, u64>(total, |visible| {
        let last = |commit: &Visible<'_, Right>| {
            !visible
                .iter()
                .any(|later| later.saw(commit) && later.change.replica() == commit.change.replica())
        };
        visible.iter().filter(|commit| last(commit)).map(|commit| u64::from(*commit.operation)).sum()
    });
    assert_eq!(examine(Mode::Causal, &[law], &(0..SEEDS).collect::<Vec<_>>()), Ok(()));
}

#[test]
#[cfg_attr(miri, ignore = "a fault is made smaller in thousands of histories: hours under Miri")]
fn a_wrong_meaning_is_found() {
    let wrong =
        law::meaning::<Right, u64>(total, |visible| visible.iter().map(|c| u64::from(*c.operation)).sum());
    assert!(
        examine(Mode::Causal, &[wrong], &(0..SEEDS).collect::<Vec<_>>()).unwrap_err().contains("expected: ")
    );
}
