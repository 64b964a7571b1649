//! What can be asked for. `cargo test` hands every argument to every test program, so those of the usual harness are
//! taken too, and a filter that does not mean this program is heeded.

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    /// How many images at least.
    pub images: u64,
    pub seed: u64,
    /// All images of this workload instead.
    pub workload: Option<u64>,
    /// About how many images of each workload.
    pub of_each: usize,
    /// How many workloads run side by side.
    pub jobs: usize,
    /// How many workloads on a disk that is full at each of their writes.
    pub full: u64,
    /// Whether planted faults are looked for.
    pub plants: bool,
    pub json: bool,
}

pub enum Wish {
    Run(Arguments),
    /// Only to say something.
    Nothing(String),
}

pub const USAGE: &str = "arguments: --images N    how many images; then no planted faults, unless asked for
           --seed N      of the first workload (1)
           --workload N  all images of this workload
           --jobs N      workloads side by side (2)
           --full N      workloads on a full disk (4)
           --plants      look for the planted faults
           --json        the result in one line";

/// A short run, for every `cargo test`.
const SHORT: Arguments = Arguments {
    images: 1_500,
    seed: 1,
    workload: None,
    of_each: 200,
    jobs: 2,
    full: 1,
    plants: true,
    json: false,
};

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
                "--images" => {
                    wish = Self { images: number()?, of_each: 2_500, full: 4, plants: false, ..wish }
                }
                "--seed" => wish.seed = number()?,
                "--workload" => wish = Self { workload: Some(number()?), full: 0, plants: false, ..wish },
                "--jobs" => wish.jobs = usize::try_from(number()?.clamp(1, 64)).unwrap_or(1),
                "--full" => wish.full = number()?,
                "--plants" => wish.plants = true,
                "--json" => wish.json = true,
                "--list" => return Ok(Wish::Nothing("powerloss: test".into())),
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
        if !filters.is_empty() && !filters.iter().any(|filter| "powerloss".contains(filter)) {
            return Ok(Wish::Nothing("0 passed, 0 failed".into()));
        }
        Ok(Wish::Run(wish))
    }
}
