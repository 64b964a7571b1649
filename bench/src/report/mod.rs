//! The report: all cases, each in fresh processes and in turn; tables, charts, and where Rejoin stands.

mod charts;
mod goals;
mod machine;
mod page;
mod plan;
mod results;
mod run;
mod sections;
mod table;

use std::path::PathBuf;

pub use results::{Outcome, Results};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Small sizes and one round: to see that everything works.
    pub short: bool,
    /// Only these workloads; all if it is empty.
    pub only: Vec<String>,
    /// Only cases of at most this size.
    pub most: u64,
    /// How often each case is timed.
    pub rounds: usize,
    /// Measures nothing, and writes the page from the last results.
    pub write_only: bool,
}

/// Measures, checks that all libraries come to the same, and writes the page.
///
/// # Errors
/// What went wrong, in words: a file that cannot be written, or libraries that do not agree.
pub fn report(options: &Options) -> Result<(), String> {
    let page = page_folder(options.short);
    let results_file = page.join("benchmarks").join("measured.json");
    let mut results = if options.short { Results::default() } else { Results::read(&results_file)? };
    if !options.write_only {
        run::build()?;
        results.machine = machine::describe();
        let cases = plan::cases(options.short).into_iter().filter(|case| case.size <= options.most);
        for case in
            cases.filter(|case| options.only.is_empty() || options.only.iter().any(|w| w == case.workload))
        {
            let measured = run::case(&case, options.rounds, &results.too_slow(&case))?;
            results.replace(&case, measured);
            results.write(&results_file)?;
        }
    }
    let wrong = results.disagreements();
    charts::draw(&results, &page.join("benchmarks"))?;
    let text = page::write(&results);
    let path = page.join("benchmarks.md");
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{} is written", path.display());
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// A short run is no measurement: it leaves the project's page alone.
fn page_folder(short: bool) -> PathBuf {
    let bench = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if short { bench.join("target").join("short-report") } else { bench.join("../docs") }
}
