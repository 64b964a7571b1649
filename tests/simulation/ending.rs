//! How a history ends: the faults stop, everybody who is left meets until all is quiet, and everything is looked at.

use crdt_core::{ReplicaId, Value};

use crate::checker::{BOUND_MS, Checked, Promise, Violation};
use crate::guard::SERVER;
use crate::oracle::Seen;
use crate::plot::{Commit, Meet, Weather, Who};
use crate::random::Random;
use crate::words::{Action, COLLECTIONS, Doc, Edit, Reading};
use crate::world::{World, tell};

/// How often they all meet at most. Once is enough, unless somebody first has to take a new identity.
const ROUNDS: usize = 4;

/// Longer than any session waits for an answer.
const MEETING_MS: u64 = 60_000;

/// After so long, what somebody's clock said counts no more.
const FORGOTTEN_MS: u64 = 25 * 60 * 60 * 1_000;

/// More than clocks that are right may differ by.
const BETWEEN_WRITES_MS: u64 = 600_000;

/// Ends a history.
pub fn end(world: &mut World<'_>) -> Checked {
    world.calm();
    let left: Vec<usize> = (0..world.devices.len()).filter(|at| world.devices[*at].present).collect();
    for at in &left {
        world.sees(*at)?;
    }
    let everything = world.checker.everything(&left);
    let mut random = Random::new(world.plot.seed ^ 0xe4d);
    all_become_equal(world, &left, &everything, &mut random)?;
    nothing_more(world, &left, &mut random)?;
    if world.plot.has_copies() {
        everybody_writes(world, &left, &mut random)?;
    }
    if world.plot.tests_clocks {
        clocks_are_right(world, &left, &mut random)?;
    }
    Ok(())
}

/// They meet until all is quiet, and are looked at.
fn all_become_equal(
    world: &mut World<'_>,
    left: &[usize],
    everything: &Seen,
    random: &mut Random,
) -> Checked {
    for round in 0.. {
        everybody_meets(world, left, random)?;
        if round == 1 {
            nobody_waits(world, left)?;
        }
        let misled = misled(world, left)?;
        if misled.is_empty() && is_quiet(world, left)? && !copies_meet(world, left, random)? {
            break;
        }
        if round == ROUNDS {
            let what = format!("after {ROUNDS} rounds in which all met, not all are equal");
            return Err(Violation::new(Promise::Progress, what));
        }
        if round > 0 && !misled.is_empty() {
            // Those who said so have left; what they said is forgotten after a day.
            world.now_ms += FORGOTTEN_MS;
        }
        for one in misled {
            for other in left.iter().filter(|other| **other != one) {
                meet_if_they_do(world, one, *other, random)?;
            }
        }
    }
    let mut sights = Vec::new();
    for at in left {
        sights.push((*at, world.looks(*at, true)?));
    }
    world.checker.finished(everything, &sights)
}

/// All who are left have met, so what somebody still waits for is gone: he gives up.
fn nobody_waits(world: &mut World<'_>, left: &[usize]) -> Checked {
    for at in left {
        if world.devices[*at].stops_loading(world.now_ms)? {
            tell!(world, "{} waits no longer for the rest of its first sync", Who(*at));
            let sight = world.devices[*at].sight(world.now_ms)?;
            world.checker.gave_up(*at, &sight);
        }
    }
    Ok(())
}

/// Who still believes what others said of a clock before it was put right. Somebody whom it has not met before cannot change
/// that alone: it has to hear again from those who said so, and may meet only one device along the tree.
fn misled(world: &mut World<'_>, left: &[usize]) -> Checked<Vec<usize>> {
    let mut misled = Vec::new();
    // Nobody tells the last one.
    for at in left.iter().filter(|_| left.len() > 1) {
        if world.devices[*at].sight(world.now_ms)?.wrong_ms > BOUND_MS {
            misled.push(*at);
        }
    }
    Ok(misled)
}

/// Whatever was copied has its own id by now, so what all write now reaches all.
fn everybody_writes(world: &mut World<'_>, left: &[usize], random: &mut Random) -> Checked {
    world.checker.healed();
    tell!(world, "everybody writes once more");
    for at in left {
        world.commit(&Commit { at: *at, edits: Vec::new(), durable: true, abort: false })?;
    }
    let everything = world.checker.everything(left);
    all_become_equal(world, left, &everything, random)
}

/// A device whose clock was ahead, and is right now, writes; later, somebody else does, who has not heard of it. The later
/// one counts, for it is the later one by clocks that are right.
fn clocks_are_right(world: &mut World<'_>, left: &[usize], random: &mut Random) -> Checked {
    let Some(early) = left.iter().copied().find(|at| world.was_ahead[*at]) else { return Ok(()) };
    let others: Vec<usize> = left.iter().copied().filter(|at| *at != early).collect();
    if others.is_empty() {
        return Ok(());
    }
    let late = random.pick(&others);
    let doc = Doc { collection: COLLECTIONS[2], id: 99 };
    for (at, value) in [(early, 1), (late, 2)] {
        world.now_ms += BETWEEN_WRITES_MS;
        tell!(world, "{} writes {value} to {doc}.a", Who(at));
        let edits = vec![Edit { doc, at: &[], action: Action::Set("a", Value::Int(value)) }];
        world.commit(&Commit { at, edits, durable: true, abort: false })?;
    }
    let everything = world.checker.everything(left);
    all_become_equal(world, left, &everything, random)?;
    for at in left {
        let shown = world.devices[*at].shown(doc, world.now_ms)?;
        let reading = shown.and_then(|fields| fields.get("a").map(|field| field.reading.clone()));
        if reading != Some(Reading::Value(Value::Int(2))) {
            let (early, late, at) = (Who(early), Who(late), Who(*at));
            let what = format!(
                "the clock of {early} was ahead and is right; what {late} wrote {} min after it does not show at {at}",
                BETWEEN_WRITES_MS / 60_000
            );
            return Err(Violation::new(Promise::Clocks, what));
        }
    }
    Ok(())
}

/// Along a random tree: towards its root, and back. So most of what a device gets has come by way of others.
fn everybody_meets(world: &mut World<'_>, left: &[usize], random: &mut Random) -> Checked {
    let parent = |at: usize| if world.plot.guarded { 0 } else { random.below(at.max(1)) };
    let parents: Vec<usize> = (0..left.len()).map(parent).collect();
    let down = (1..left.len()).map(|at| (parents[at], at));
    let up = (1..left.len()).rev().map(|at| (at, parents[at]));
    for (one, other) in up.chain(down) {
        meet(world, left[one], left[other], random)?;
    }
    Ok(())
}

/// Those who write under one id meet: two copies part when one meets the other, or somebody who has met both. True when there
/// were any.
fn copies_meet(world: &mut World<'_>, left: &[usize], random: &mut Random) -> Checked<bool> {
    let mut any = false;
    for (index, one) in left.iter().enumerate() {
        for other in &left[index + 1..] {
            if identity(world, *one)? == identity(world, *other)? {
                any = true;
                meet(world, *one, *other, random)?;
            }
        }
    }
    Ok(any)
}

fn identity(world: &mut World<'_>, at: usize) -> Checked<ReplicaId> {
    Ok(world.devices[at].head(world.now_ms)?.replica)
}

/// Where one of them judges, the others do not meet each other.
fn meet_if_they_do(world: &mut World<'_>, one: usize, other: usize, random: &mut Random) -> Checked {
    if world.plot.guarded && ![one, other].contains(&SERVER) {
        return Ok(());
    }
    meet(world, one, other, random)
}

fn meet(world: &mut World<'_>, one: usize, other: usize, random: &mut Random) -> Checked {
    let meet = Meet { ends: [one, other], weather: Weather::FAIR, for_ms: MEETING_MS, seed: random.next() };
    world.meet(&meet)?;
    world.run()
}

/// All have equal roots, and nobody waits for the rest of a first sync.
fn is_quiet(world: &mut World<'_>, left: &[usize]) -> Checked<bool> {
    let mut roots = Vec::new();
    for at in left {
        if world.devices[*at].sight(world.now_ms)?.loads {
            return Ok(false);
        }
        roots.push(world.devices[*at].head(world.now_ms)?.root);
    }
    Ok(roots.windows(2).all(|pair| pair[0] == pair[1]))
}

/// Two who are equal meet once more: nothing may change by that. Only where one of them hears for the first time that it was
/// set back, it takes a new identity; then they meet again.
fn nothing_more(world: &mut World<'_>, left: &[usize], random: &mut Random) -> Checked {
    if left.len() < 2 {
        return Ok(());
    }
    let one = if world.plot.guarded { 0 } else { random.below(left.len()) };
    let pair = [left[one], left[(one + 1) % left.len()]];
    let mut before = standing(world, pair)?;
    meet(world, pair[0], pair[1], random)?;
    let mut after = standing(world, pair)?;
    if before.map(|(id, _)| id) != after.map(|(id, _)| id) {
        before = after;
        meet(world, pair[0], pair[1], random)?;
        after = standing(world, pair)?;
    }
    if before != after {
        let what = format!("{} and {} had the same, met, and something changed", Who(pair[0]), Who(pair[1]));
        return Err(Violation::new(Promise::Progress, what));
    }
    Ok(())
}

/// Under which id each of two writes, and how far its change order is.
fn standing(world: &mut World<'_>, pair: [usize; 2]) -> Checked<[(ReplicaId, u64); 2]> {
    let mut standing = [(ReplicaId::from_u64(0), 0); 2];
    for (one, at) in standing.iter_mut().zip(pair) {
        let head = world.devices[at].head(world.now_ms)?;
        *one = (head.replica, head.sequence);
    }
    Ok(standing)
}
