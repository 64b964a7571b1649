//! The types on their own, without documents or a database: what two devices send each other, and why it may be lost,
//! repeated and turned around.
//!
//! `cargo run --example counters_and_sets`

use std::error::Error;
use std::fmt::Debug;

use rejoin::ReplicaId;
use rejoin::core::{Clock, Dot, GCounter, GSet, Lattice, LwwRegister, OrSet, PNCounter, VersionVector};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn main() -> Result<(), Box<dyn Error>> {
    println!("What two devices did, delivered in every order and twice; it comes to the same each time.");
    let (phone, laptop) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
    let (mut at_phone, mut at_laptop) = (Clock::new(phone), Clock::new(laptop));

    // A counter that only grows. Every mutation returns a delta: the small part that changed, of the same type.
    let mut visits = GCounter::new();
    let here = [visits.increment(phone, 2)?, visits.increment(phone, 1)?];
    let mut elsewhere = GCounter::new();
    let there = [elsewhere.increment(laptop, 4)?];
    let visits = deliver(&here, &there)?;
    assert_eq!(visits.value(), 7);
    println!("GCounter: 2 and 1 visits counted on the phone, 4 on the laptop, make {}.", visits.value());
    stored(&visits)?;

    // A counter that goes both ways. A reset takes back what it saw, and no more.
    let mut stock = PNCounter::new();
    let first = stock.add(at_phone.tick(1_000)?, 10)?;
    let mut seen = stock.clone(); // the laptop has this
    let here = [first, stock.add(at_phone.tick(2_000)?, -3)?];
    let there = [seen.reset(at_laptop.tick(2_000)?), seen.add(at_laptop.tick(3_000)?, 1)?];
    let stock = deliver(&here, &there)?;
    assert_eq!(stock.value(), -2, "10 was reset; the −3 that the laptop had not seen and its own 1 count");
    println!(
        "PNCounter: +10, then −3 here and, without knowing of it, a reset and +1 there, make {}.",
        stock.value()
    );
    stored(&stock)?;

    // A set that only grows.
    let mut opened = GSet::new();
    let here = [opened.add(at_phone.tick(4_000)?, "intro".to_owned())];
    let mut opened = GSet::new();
    let there = [
        opened.add(at_laptop.tick(4_000)?, "intro".to_owned()),
        opened.add(at_laptop.tick(4_001)?, "end".to_owned()),
    ];
    let opened = deliver(&here, &there)?;
    assert_eq!(opened.iter().collect::<Vec<_>>(), ["end", "intro"]);
    println!("GSet: intro opened here, intro and end there: {}.", list(opened.iter()));
    stored(&opened)?;

    // A set with removal: an add that the removal did not see wins.
    let mut shopping = OrSet::new();
    let milk = shopping.add(at_phone.tick(5_000)?, "milk".to_owned());
    let rice = shopping.add(at_phone.tick(5_001)?, "rice".to_owned());
    let mut seen = shopping.clone();
    let removed = shopping.remove(at_phone.tick(6_000)?, &"milk".to_owned());
    let there = [
        seen.add(at_laptop.tick(5_500)?, "milk".to_owned()), // bought up already, wanted again
        seen.remove(at_laptop.tick(5_501)?, &"rice".to_owned()),
    ];
    let here = [milk, rice, removed];
    let shopping = deliver(&here, &there)?;
    assert_eq!(shopping.iter().collect::<Vec<_>>(), ["milk"]);
    println!(
        "OrSet: milk and rice; here milk is removed, there it is added again and rice removed: {}.",
        list(shopping.iter())
    );
    stored(&shopping)?;

    // Who has been away says what it has seen, here all of the phone's changes, and gets what it misses and nothing else.
    let mut away = OrSet::new();
    for delta in here {
        away.merge(delta);
    }
    let seen = VersionVector::from_iter([Dot::new(phone, at_phone.counter())]).into();
    let missing = shopping.difference(&seen);
    let (some, all) = (missing.decompose().len(), shopping.decompose().len());
    assert!(some < all);
    println!("  who has seen all of the phone's changes is sent {some} of its {all} parts");
    away.merge(missing);
    assert_eq!(away, shopping);

    // A register: the latest write wins; of equal times, the higher replica id.
    let mut title = LwwRegister::new();
    let here = [title.write(at_phone.tick(7_000)?, "draft".to_owned())];
    let mut title = LwwRegister::new();
    let there = [title.write(at_laptop.tick(7_000)?, "final".to_owned())];
    let title = deliver(&here, &there)?;
    let shown = title.get().map(String::as_str);
    assert_eq!(shown, Some("final"));
    println!(
        "LwwRegister: \"draft\" here and \"final\" there at the same millisecond: {}.",
        shown.unwrap_or("nothing")
    );
    stored(&title)?;
    Ok(())
}

/// Merges all deltas, as JSON, in every order and twice, into a state of nothing. They come to the same.
fn deliver<T>(here: &[T], there: &[T]) -> Result<T, Box<dyn Error>>
where
    T: Lattice + Default + Debug + Serialize + DeserializeOwned,
{
    let sent: Vec<String> = here.iter().chain(there).map(serde_json::to_string).collect::<Result<_, _>>()?;
    let mut results = Vec::new();
    for order in orders(sent.len()) {
        let mut state = T::default();
        for delta in order.iter().chain(&order) {
            state.merge(serde_json::from_str(&sent[*delta])?);
            let again = state.merge(serde_json::from_str(&sent[*delta])?);
            assert!(!again, "what is there already changes nothing: that stops echoes");
        }
        results.push(state);
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}");
    results.pop().ok_or_else(|| "there is at least one order".into())
}

/// Shows the JSON of a state: what an app would keep, or send to who has nothing yet.
fn stored(state: &impl Serialize) -> Result<(), Box<dyn Error>> {
    println!("  stored as {}", serde_json::to_string(state)?);
    Ok(())
}

fn list<'s>(elements: impl Iterator<Item = &'s String>) -> String {
    elements.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = orders(last);
    let insert = |order: &Vec<usize>, at: usize| [&order[..at], &[last], &order[at..]].concat();
    shorter.iter().flat_map(|order| (0..=last).map(move |at| insert(order, at))).collect()
}
