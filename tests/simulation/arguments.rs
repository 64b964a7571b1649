//! What can be asked for. `cargo test` hands every argument to every test program, so those of the usual harness are
//! taken too, and a filter that does not mean this program is heeded.

use crate::draw::Taste;
use crate::faults::{Fault, Faults};
use crate::planted::Bug;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    pub histories: u64,
    pub seed: u64,
    pub taste: Taste,
    /// Print one line of JSON and nothing else, unless something fails.
    pub json: bool,
    /// Whether planted bugs are played, and how many histories each at least.
    pub planted: Option<u64>,
    /// One bug for all histories, to see its story.
    pub bug: Option<Bug>,
    /// Tell the story of every history.
    pub tell: bool,
}

pub enum Wish {
    Run(Box<Arguments>),
    /// Only to say something.
    Nothing(String),
}

pub const USAGE: &str = "arguments: --histories N   how many; then no planted bugs, unless asked for
           --seed N        of the first (1)
           --without FAULT leave a class of faults out; may be repeated
           --with FAULT    also one that the library does not promise to stand yet
           --sqlite N      in so many of 1,000 histories some devices have real files (4)
           --planted N     play every planted bug, N histories each or until it is caught
           --bug NAME      plant this one in all histories
           --tell          tell what happens
           --json          one line of JSON";

/// A short run, for every `cargo test`.
fn short() -> Arguments {
    Arguments {
        histories: 100,
        seed: 1,
        taste: Taste { faults: Faults::promised(), sqlite_per_mille: 4 },
        json: false,
        planted: Some(6),
        bug: None,
        tell: false,
    }
}

impl Arguments {
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
        let mut wish = short();
        let mut filters = Vec::new();
        let mut arguments = arguments.flat_map(|argument| match argument.split_once('=') {
            Some((name, value)) => vec![name.to_owned(), value.to_owned()],
            None => vec![argument],
        });
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs something after it"));
            match argument.as_str() {
                "--histories" => {
                    (wish.histories, wish.planted) = (number(&value()?)?, None);
                }
                "--seed" => wish.seed = number(&value()?)?,
                "--without" => wish.taste.faults.remove(fault(&value()?)?),
                "--with" => wish.taste.faults.insert(fault(&value()?)?),
                "--sqlite" => {
                    wish.taste.sqlite_per_mille =
                        usize::try_from(number(&value()?)?).map_err(|_| "too many files")?;
                }
                "--planted" => wish.planted = Some(number(&value()?)?),
                "--bug" => wish.bug = Some(bug(&value()?)?),
                "--tell" => wish.tell = true,
                "--json" => wish.json = true,
                "--list" => return Ok(Wish::Nothing("simulation: test".into())),
                "--ignored" => return Ok(Wish::Nothing("0 passed, 0 failed".into())),
                "--test-threads" | "--color" | "--format" | "--skip" => {
                    arguments.next();
                }
                "--nocapture" | "--no-capture" | "--show-output" | "--quiet" | "-q" | "--exact"
                | "--include-ignored" => {}
                unknown if unknown.starts_with('-') => return Err(format!("unknown argument {unknown}")),
                filter => filters.push(filter.to_owned()),
            }
        }
        if !filters.is_empty() && !filters.iter().any(|filter| "simulation".contains(filter)) {
            return Ok(Wish::Nothing("0 passed, 0 failed".into()));
        }
        Ok(Wish::Run(Box::new(wish)))
    }
}

fn number(value: &str) -> Result<u64, String> {
    value.replace('_', "").parse().map_err(|_| format!("a number was expected, not {value:?}"))
}

fn fault(name: &str) -> Result<Fault, String> {
    Fault::named(name).ok_or_else(|| {
        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        format!("there is no fault {name:?}; there are {}", names.join(", "))
    })
}

fn bug(name: &str) -> Result<Bug, String> {
    let found = Bug::ALL.iter().find(|(bug, _, _)| format!("{bug:?}") == name);
    found.map(|(bug, _, _)| *bug).ok_or_else(|| {
        let names: Vec<String> = Bug::ALL.iter().map(|(bug, _, _)| format!("{bug:?}")).collect();
        format!("there is no bug {name:?}; there are {}", names.join(", "))
    })
}
