//! The wrong turns that the design names, each as a mutant of the model. Checks that do not fail on every one of them
//! check too little.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::campaign::Count;
use crate::failure::{Failure, Property};
use crate::history::History;
use crate::library::Library;
use crate::model::{Model, Mutant};
use crate::run::{Watch, play};

/// The wrong turns in the words of the design.
const WRONG_TURNS: [(Mutant, &str); 14] = [
    (Mutant::ProductElement, "a set element as a product cell"),
    (Mutant::RemovalByAbsence, "removal by absence from a context"),
    (Mutant::CausalLength, "causal length"),
    (Mutant::ReplacedDots, "siblings keep only the dots they replaced"),
    (Mutant::ResetByMinusTotal, "a counter reset by adding -total"),
    (Mutant::LwwAsSiblings, "lww kept as siblings"),
    (Mutant::RecreateByAbsent, "re-create by writing a newer \"absent\""),
    (Mutant::NoRecreate, "editing a dead document without clearing"),
    (Mutant::ObservedBefore, "\"observed\" taken before the transaction"),
    (Mutant::TouchSkipped, "no touch while the own one is live"),
    (Mutant::VisibleChunks, "chunks visible before their checkpoint"),
    (Mutant::ClaimsByPart, "a part claims its whole transaction"),
    (Mutant::ParkedOutside, "parking outside the state"),
    (Mutant::Redotted, "re-dotting what seemed unsent"),
];

/// Seeds of the mutants' histories; fixed, so that a mutant that is caught is always caught.
const FIRST_SEED: u64 = 1_000_000;

/// A mutant that survives so many histories has won.
const PATIENCE: u64 = 400;

/// Steps of a mutant's history.
const STEPS: usize = 100;

/// Plays each mutant until it is caught, and then on until so many histories were played.
pub fn catch_all(histories: u64) -> Count {
    println!("\n  {:<42} {:>12} {:>10}  broken property", "mutant", "caught after", "caught in");
    let rows = crate::campaign::parallel(WRONG_TURNS.len() as u64, |index| {
        let (mutant, name) = WRONG_TURNS[usize::try_from(index).expect("less than the number of mutants")];
        catch(mutant, name, histories)
    });
    let caught = rows.iter().filter(|(caught, row)| {
        println!("{row}");
        *caught
    });
    let passed = caught.count() as u64;
    Count { passed, failed: rows.len() as u64 - passed }
}

fn catch(mutant: Mutant, name: &str, histories: u64) -> (bool, String) {
    let mut broken: BTreeMap<Property, u64> = BTreeMap::new();
    let (mut first, mut played) = (None, 0);
    while played < histories || (first.is_none() && played < PATIENCE) {
        let history = History::generate(FIRST_SEED + played, STEPS);
        played += 1;
        if let Err(failure) = play::<Model>(&history, mutant, Watch::Sampled) {
            first = first.or(Some(played));
            *broken.entry(failure.property).or_default() += 1;
        }
    }
    let Some(first) = first else {
        return (false, format!("  {name:<42} SURVIVED {played} histories"));
    };
    let total: u64 = broken.values().sum();
    let mut broken: Vec<(Property, u64)> = broken.into_iter().collect();
    broken.sort_by_key(|(_, count)| Reverse(*count));
    let broken: Vec<String> = broken.iter().map(|(property, count)| format!("{property} {count}")).collect();
    (true, format!("  {name:<42} {first:>12} {:>10}  {}", format!("{total}/{played}"), broken.join(", ")))
}

/// Plays one history on the model without a wrong turn and on the library: both have to pass, and to end with the same
/// cells.
pub fn twins(seed: u64, steps: usize) -> Result<(), Failure> {
    let history = History::generate(seed, steps).comparable();
    let model = play::<Model>(&history, Mutant::None, Watch::Sampled);
    let model = model.map_err(|failure| failure.at("the model"))?;
    let library = play::<Library>(&history, (), Watch::Sampled)?;
    let only = |mine: &[String], others: &[String]| {
        let only: Vec<&str> = mine.iter().filter(|cell| !others.contains(cell)).map(String::as_str).collect();
        only.join("\n    ")
    };
    if model == library {
        return Ok(());
    }
    let (here, there) = (only(&library, &model), only(&model, &library));
    Err(Failure::new(
        Property::SameCells,
        format!("only in the library:\n    {here}\n  only in the model:\n    {there}"),
    ))
}
