//! What each type promises in words, and what lies under the types: chains and sets of dots.

#![allow(clippy::needless_pass_by_value)] // quickcheck calls its properties by value

mod tries;

use std::collections::BTreeSet;
use std::fmt::Debug;

use crdt_core::cells::{Base, Cells, Chain, Mark, Tally, Written};
use crdt_core::{
    CausalContext, Change, Clock, Dot, Flag, GCounter, GSet, Hlc, Lattice, LwwRegister, MvRegister, OrSet,
    PNCounter, ReplicaId, Stamp, VersionVector,
};
use quickcheck::{Arbitrary, Gen};

/// Merges both ways; the two must agree.
fn exchanged<T: Lattice + Debug>(mut a: T, mut b: T) -> T {
    let before = b.clone();
    b.merge(a.clone());
    a.merge(before);
    assert_eq!(a, b);
    a
}

fn two_clocks() -> (Clock, Clock) {
    (Clock::new(ReplicaId::from_u64(1)), Clock::new(ReplicaId::from_u64(2)))
}

#[test]
fn an_add_wins_over_a_concurrent_remove_and_clear() {
    fn property(at_a_ms: u16, at_b_ms: u16, clear: bool) -> bool {
        let (mut at_a, mut at_b) = two_clocks();
        let mut a = OrSet::new();
        a.add(at_a.tick(0).unwrap(), "milk");
        let mut b = a.clone();
        let removal = at_a.tick(at_a_ms.into()).unwrap();
        let removed = if clear { a.clear(removal) } else { a.remove(removal, &"milk") };
        b.add(at_b.tick(at_b_ms.into()).unwrap(), "milk");
        !a.contains(&"milk") && removed.iter().next().is_none() && exchanged(a, b).contains(&"milk")
    }
    tries::usually().quickcheck(property as fn(u16, u16, bool) -> bool);
}

#[test]
fn an_enable_wins_over_a_concurrent_disable() {
    fn property(at_a_ms: u16, at_b_ms: u16, enabled_before: bool) -> bool {
        let (mut at_a, mut at_b) = two_clocks();
        let mut a = Flag::new();
        if enabled_before {
            a.enable(at_a.tick(0).unwrap());
        }
        let mut b = a.clone();
        a.disable(at_a.tick(at_a_ms.into()).unwrap());
        b.enable(at_b.tick(at_b_ms.into()).unwrap());
        !a.is_enabled() && exchanged(a, b).is_enabled()
    }
    tries::usually().quickcheck(property as fn(u16, u16, bool) -> bool);
}

#[test]
fn a_reset_keeps_concurrent_steps_and_two_concurrent_resets_are_one() {
    fn property(before: i64, at_a_step: i64, at_b_step: i64, both_reset: bool) -> bool {
        let (mut at_a, mut at_b) = two_clocks();
        let mut a = PNCounter::new();
        a.add(at_a.tick(0).unwrap(), before).unwrap();
        let mut b = a.clone();
        a.reset(at_a.tick(0).unwrap());
        if both_reset {
            b.reset(at_b.tick(0).unwrap());
        }
        // Half of 64 bits each, so that a total never overflows.
        let (at_a_step, at_b_step) = (at_a_step / 2, at_b_step / 2);
        let fits = a.add(at_a.tick(0).unwrap(), at_a_step).is_ok()
            && b.add(at_b.tick(0).unwrap(), at_b_step).is_ok();
        fits && exchanged(a, b).value() == i128::from(at_a_step) + i128::from(at_b_step)
    }
    tries::usually().quickcheck(property as fn(i64, i64, i64, bool) -> bool);
}

#[test]
fn a_reset_that_overtakes_the_steps_it_saw_shows_nothing_below_zero() {
    let (mut at_a, mut at_b) = two_clocks();
    let mut a = PNCounter::new();
    let first = a.add(at_a.tick(0).unwrap(), 3).unwrap();
    let second = a.add(at_a.tick(0).unwrap(), 4).unwrap();
    let reset = a.reset(at_b.tick(0).unwrap());
    let mut elsewhere = first;
    elsewhere.merge(reset);
    assert_eq!(elsewhere.value(), 0, "it saw 7, and only 3 of them are here yet");
    assert_eq!(exchanged(elsewhere, second).value(), 0);
}

#[test]
fn a_counter_that_would_overflow_says_so_and_is_untouched() {
    let (mut clock, _) = two_clocks();
    let mut counter = PNCounter::new();
    counter.add(clock.tick(0).unwrap(), i64::MIN).unwrap();
    counter.add(clock.tick(0).unwrap(), -i64::MAX).unwrap();
    let before = counter.clone();
    let overflow = counter.add(clock.tick(0).unwrap(), -1).unwrap_err();
    assert_eq!((overflow.total, overflow.step), (u64::MAX, 1));
    assert_eq!(counter, before);

    let mut growing = GCounter::new();
    growing.increment(ReplicaId::from_u64(1), u64::MAX).unwrap();
    assert!(growing.increment(ReplicaId::from_u64(1), 1).is_err());
    growing.increment(ReplicaId::from_u64(2), u64::MAX).unwrap();
    assert_eq!(growing.value(), 2 * u128::from(u64::MAX), "no merge of valid counts overflows the sum");
}

/// An empty delta is not sent, and the document asks whether a counter counted before it resets it.
#[test]
fn a_reset_of_what_was_not_counted_since_the_last_one_writes_nothing() {
    let (mut at_a, mut at_b) = two_clocks();
    let mut counter = PNCounter::new();
    assert!(counter.is_empty() && !counter.has_counted());
    assert!(counter.reset(at_a.tick(0).unwrap()).is_empty() && counter.is_empty());
    counter.add(at_a.tick(0).unwrap(), 3).unwrap();
    counter.add(at_b.tick(0).unwrap(), -3).unwrap();
    assert!(counter.has_counted() && !counter.is_empty(), "although it shows 0");
    assert!(!counter.reset(at_b.tick(0).unwrap()).is_empty());
    assert!(!counter.has_counted() && !counter.is_empty());
    assert!(counter.reset(at_b.tick(0).unwrap()).is_empty());
    assert!(counter.add(at_b.tick(0).unwrap(), 0).unwrap().is_empty());
    counter.add(at_b.tick(0).unwrap(), 1).unwrap();
    assert!(counter.has_counted());
}

#[test]
fn a_register_that_was_cleared_shows_nothing_and_is_not_empty() {
    let (mut clock, _) = two_clocks();
    let mut register = MvRegister::new();
    assert!(register.is_empty() && register.clear(clock.tick(0).unwrap()).is_empty());
    register.write(clock.tick(0).unwrap(), 1);
    assert!(!register.is_empty());
    let mut elsewhere = register.clone();
    elsewhere.merge(register.clear(clock.tick(0).unwrap()));
    assert_eq!((elsewhere.siblings().len(), elsewhere.is_empty()), (0, false));
}

#[test]
fn a_write_beats_what_it_saw_even_from_a_slow_clock() {
    fn property(fast_ms: u32, slow_ms: u32) -> bool {
        let (mut fast, mut slow) = two_clocks();
        let mut a = LwwRegister::new();
        a.write(fast.tick(fast_ms.into()).unwrap(), "old");
        let mut b = a.clone();
        let mut change = slow.tick(slow_ms.into()).unwrap();
        change.exceed(&b.written().unwrap().stamp).unwrap();
        b.write(change, "new");
        exchanged(a, b).get() == Some(&"new")
    }
    tries::usually().quickcheck(property as fn(u32, u32) -> bool);
}

#[test]
fn siblings_are_listed_by_stamp_and_equal_ones_once() {
    let (mut at_a, mut at_b) = two_clocks();
    let mut at_c = Clock::new(ReplicaId::from_u64(3));
    let (mut a, mut b, mut c) = (MvRegister::new(), MvRegister::new(), MvRegister::new());
    a.write(at_a.tick(30).unwrap(), "same");
    b.write(at_b.tick(20).unwrap(), "other");
    c.write(at_c.tick(10).unwrap(), "same");
    let all = exchanged(exchanged(a, b), c);
    let shown: Vec<_> = all.siblings().iter().map(|s| (*s.value, s.by.stamp.hlc.ms())).collect();
    assert_eq!(shown, [("other", 20), ("same", 30)]);
}

/// Two writers under one id, the same transaction counter, the same time, different values.
#[test]
fn a_fork_with_equal_stamps_still_converges() {
    let change = Clock::new(ReplicaId::from_u64(1)).tick(5).unwrap();
    let (mut a, mut b) = (LwwRegister::new(), LwwRegister::new());
    a.write(change, 1);
    b.write(change, 2);
    exchanged(a, b);
    let (mut a, mut b) = (MvRegister::new(), MvRegister::new());
    a.write(change, 1);
    b.write(change, 2);
    exchanged(a, b);
    let (mut a, mut b) = (PNCounter::new(), PNCounter::new());
    a.add(change, 1).unwrap();
    b.add(change, -1).unwrap();
    exchanged(a, b);
}

/// A change out of so few that equal ones, and equal dots with different stamps, are common.
fn change(random: &mut Gen) -> Change {
    let mut one_of = |values: &[u64]| *random.choose(values).unwrap();
    let (epoch, hlc, replica) = (u32::try_from(one_of(&[0, 1])).unwrap(), one_of(&[0, 7]), one_of(&[1, 2]));
    let stamp = Stamp { epoch, hlc: Hlc::from_bits(hlc), replica: ReplicaId::from_u64(replica) };
    Change { stamp, counter: one_of(&[1, 2]) }
}

/// A cell with any content, also such as no replica writes: what a hostile or forked peer may send.
#[derive(Clone, Debug)]
struct Any<C>(C);

macro_rules! any_cell {
    ($cell:ty, $random:ident => $any:expr) => {
        impl Arbitrary for Any<$cell> {
            fn arbitrary($random: &mut Gen) -> Self {
                Self($any)
            }
        }
    };
}

fn few(random: &mut Gen) -> u64 {
    *random.choose(&[1, 2]).unwrap()
}

any_cell!(Mark<u64>, random => if bool::arbitrary(random) {
    Mark::Live { by: change(random), content: few(random) }
} else {
    Mark::Dead { n: few(random), by: change(random) }
});
any_cell!(Written<u64>, random => if bool::arbitrary(random) {
    Written::Open { by: change(random), content: few(random) }
} else {
    Written::Closed { written: change(random), by: change(random) }
});
any_cell!(Tally, random => Tally { by: change(random), p: few(random), m: few(random) });
any_cell!(Base, random => Base { n: few(random), p: few(random), m: few(random), by: change(random) });

/// The chain rule: a total order, `Equal` for equal cells only.
fn is_a_chain<C: Chain + Debug>(Any(x): Any<C>, Any(y): Any<C>, Any(z): Any<C>) -> bool {
    let (forth, back) = (x.order(&y), y.order(&x));
    let transitive = x.order(&y).is_gt() || y.order(&z).is_gt() || x.order(&z).is_le();
    forth == back.reverse() && forth.is_eq() == (x == y) && transitive
}

#[test]
fn every_cell_is_a_chain() {
    let check = || tries::times(5_000);
    check().quickcheck(is_a_chain::<Mark<u64>> as fn(_, _, _) -> bool);
    check().quickcheck(is_a_chain::<Written<u64>> as fn(_, _, _) -> bool);
    check().quickcheck(is_a_chain::<Tally> as fn(_, _, _) -> bool);
    check().quickcheck(is_a_chain::<Base> as fn(_, _, _) -> bool);
}

#[test]
fn cells_are_taken_out_in_the_order_of_their_keys() {
    let (mut clock, _) = two_clocks();
    let by = clock.tick(1).unwrap();
    let tallies = [(2, 7), (1, 5), (3, 9)].map(|(key, p)| (key, Tally { by, p, m: 0 }));
    let cells: Cells<u8, Tally> = tallies.into_iter().collect();
    let seen: Vec<_> = cells.iter().map(|(key, cell)| (*key, *cell)).collect();
    assert_eq!(seen.iter().map(|(key, cell)| (*key, cell.p)).collect::<Vec<_>>(), [(1, 5), (2, 7), (3, 9)]);
    assert_eq!(cells.into_iter().collect::<Vec<_>>(), seen);
}

/// Dots as (replica, counter), few enough that gaps open and close.
fn dots(from: &[(u8, u8)]) -> BTreeSet<Dot> {
    from.iter().map(|(r, n)| Dot::new(ReplicaId::from_u64((r % 3).into()), u64::from(n % 6) + 1)).collect()
}

fn context(dots: &BTreeSet<Dot>) -> CausalContext {
    let mut context = CausalContext::new();
    for dot in dots {
        assert!(context.insert(*dot), "new");
        assert!(!context.insert(*dot), "known");
    }
    context
}

#[test]
fn a_causal_context_is_a_set_of_dots() {
    fn property(x: Vec<(u8, u8)>, y: Vec<(u8, u8)>) -> bool {
        let (x, y) = (dots(&x), dots(&y));
        let union: BTreeSet<Dot> = x.union(&y).copied().collect();
        let mut merged = context(&x);
        let changed = merged.merge(&context(&y));
        let mut other_way = context(&y);
        other_way.merge(&context(&x));
        let any_dot = (0..3).flat_map(|r| (1..8).map(move |n| Dot::new(ReplicaId::from_u64(r), n)));
        changed == (union != x)
            && merged == other_way
            && merged == context(&union)
            && any_dot.into_iter().all(|dot| merged.contains(dot) == union.contains(&dot))
            && merged.beyond().all(|dot| merged.vector().get(dot.replica) + 1 < dot.counter)
            && merged.vector().iter().map(|last| last.counter).sum::<u64>() + merged.beyond().len() as u64
                == union.len() as u64
    }
    tries::times(1_000).quickcheck(property as fn(Vec<(u8, u8)>, Vec<(u8, u8)>) -> bool);
}

#[test]
fn nothing_is_seen_by_a_dot_that_is_before_the_first() {
    let mut vector = VersionVector::new();
    assert!(!vector.raise(Dot::new(ReplicaId::from_u64(1), 0)));
    assert!(vector.is_empty() && vector == VersionVector::new());
}

/// A copied file has the same clock as its original, so stamps can be equal; the later write still has to win.
#[test]
fn an_equal_stamp_is_exceeded() {
    let mut change = Clock::new(ReplicaId::from_u64(1)).tick(5).unwrap();
    let overwritten = change.stamp;
    change.exceed(&overwritten).unwrap();
    assert!(change.stamp > overwritten);
}

/// Otherwise the replica's next change would be older than the one before.
#[test]
fn a_clock_goes_on_from_a_change_that_was_raised() {
    let (mut slow, mut fast) = two_clocks();
    let mut change = slow.tick(5).unwrap();
    change.exceed(&fast.tick(9_000).unwrap().stamp).unwrap();
    slow.adopt(&change);
    let next = slow.tick(6).unwrap();
    assert!(next.stamp > change.stamp && next.counter == 2);
    slow.adopt(&change);
    assert!(slow.tick(7).unwrap().stamp > next.stamp, "never back");
}

#[test]
fn sets_say_what_is_in_them() {
    let (mut at_a, _) = two_clocks();
    let (mut grows, mut set) = (GSet::new(), OrSet::new());
    assert!(!grows.contains(&"a") && !set.contains(&"a") && set.is_empty());
    grows.add(at_a.tick(0).unwrap(), "a");
    set.add(at_a.tick(0).unwrap(), "a");
    assert!(grows.contains(&"a") && !grows.contains(&"b"));
    assert!(set.contains(&"a") && !set.contains(&"b") && !set.is_empty());
    set.remove(at_a.tick(0).unwrap(), &"a");
    assert!(!set.contains(&"a") && set.iter().next().is_none());
}

#[test]
fn a_version_vector_is_a_lattice() {
    fn property(x: Vec<(u8, u8)>, y: Vec<(u8, u8)>, z: Vec<(u8, u8)>) -> bool {
        let vector = |from: &[(u8, u8)]| dots(from).into_iter().collect::<VersionVector>();
        let join = |x: &VersionVector, y: &VersionVector| {
            let mut joined = x.clone();
            assert_eq!(joined.merge(y), joined != *x);
            joined
        };
        let (x, y, z) = (vector(&x), vector(&y), vector(&z));
        let both = join(&x, &y);
        join(&x, &x) == x
            && both == join(&y, &x)
            && join(&both, &z) == join(&x, &join(&y, &z))
            && both.covers(&x)
            && both.covers(&y)
            && x.covers(&y) == (both == x)
            && both.len() == both.iter().map(|dot| dot.replica).collect::<BTreeSet<_>>().len()
            && both.is_empty() == (x.is_empty() && y.is_empty())
    }
    tries::usually().quickcheck(property as fn(Vec<(u8, u8)>, Vec<(u8, u8)>, Vec<(u8, u8)>) -> bool);
}
