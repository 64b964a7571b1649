//! Rejoin beside other libraries.
//!
//! ```text
//! cargo run --release -p bench -- report [--short] [--only W1,W2] [--most 10000] [--rounds N] [--write-only]
//! cargo run --release -p bench -- run W1 rejoin 10000 [--count]
//! ```

use std::error::Error;
use std::path::Path;

use bench::heap::{self, Counted};
use bench::report::{Options, report};
use bench::{growth, workload};

#[global_allocator]
static HEAP: Counted = Counted;

const USAGE: &str = "\
bench run WORKLOAD LIBRARY SIZE [--count]  one measurement, as a line of JSON; --count: the heap is counted, which takes time
bench report [--short] [--only W1,W2,...] [--most SIZE] [--rounds N] [--write-only]
                                           all of them, and docs/benchmarks.md; --short: small sizes, into target/short-report;
                                           --only, --most: these workloads, sizes up to this one, and the rest as it was in the
                                           last report; --write-only: measures nothing";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["run", workload, library, size, rest @ ..] if matches!(rest, [] | ["--count"]) => {
            let counted = !rest.is_empty();
            if !counted {
                heap::stop_counting();
            }
            let measured = workload::run(workload, library, size.parse()?, counted)?;
            println!("{}", serde_json::to_string(&measured)?);
        }
        // For `growth`: a file that another process fills.
        ["fill", path, documents] => growth::fill(Path::new(path), documents.parse()?)?,
        ["report", rest @ ..] => report(&options(rest)?)?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn options(arguments: &[&str]) -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { short: false, only: Vec::new(), most: u64::MAX, rounds: 5, write_only: false };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--short" => (options.short, options.rounds) = (true, 1),
            "--write-only" => options.write_only = true,
            "--only" => {
                let only = arguments.next().ok_or("--only wants workloads")?;
                options.only = only.split(',').map(str::to_owned).collect();
            }
            "--most" => options.most = arguments.next().ok_or("--most wants a size")?.parse()?,
            "--rounds" => options.rounds = arguments.next().ok_or("--rounds wants a number")?.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}
