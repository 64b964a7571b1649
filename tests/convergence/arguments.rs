//! What can be asked for. `cargo test` hands every argument to every test program, so those of the usual harness are
//! taken too, and a filter that does not mean this program is heeded.

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    pub histories: u64,
    pub steps: usize,
    pub seed: u64,
    /// How many histories are played on the library and the model, and compared.
    pub twins: u64,
    /// Whether mutants are played, and how many histories each at least.
    pub mutants: Option<u64>,
}

pub enum Wish {
    Run(Arguments),
    /// Only to say something.
    Nothing(String),
}

pub const USAGE: &str = "arguments: --histories N  how many; then no mutants, unless asked for
           --steps N      of each (200)
           --seed N       of the first (1)
           --twins N      how many are also played on the model, and compared
           --mutants N    play the mutants, N histories each or until they are caught";

/// A short run, for every `cargo test`.
const SHORT: Arguments = Arguments { histories: 150, steps: 200, seed: 1, twins: 20, mutants: Some(20) };

impl Arguments {
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
        let mut wish = SHORT;
        let mut filters = Vec::new();
        let mut arguments = arguments.flat_map(|argument| match argument.split_once('=') {
            Some((name, value)) => vec![name.to_owned(), value.to_owned()],
            None => vec![argument],
        });
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
                value.parse::<u64>().map_err(|_| format!("{argument} needs a number, not {value:?}"))
            };
            match argument.as_str() {
                "--histories" => {
                    wish = Self { histories: number()?, twins: 0, mutants: None, ..wish };
                }
                "--steps" => wish.steps = usize::try_from(number()?).map_err(|_| "too many steps")?,
                "--seed" => wish.seed = number()?,
                "--twins" => wish.twins = number()?,
                "--mutants" => wish.mutants = Some(number()?),
                "--list" => return Ok(Wish::Nothing("convergence: test".into())),
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
        if !filters.is_empty() && !filters.iter().any(|filter| "convergence".contains(filter)) {
            return Ok(Wish::Nothing("0 passed, 0 failed".into()));
        }
        Ok(Wish::Run(wish))
    }
}
