//! Campaigns: the tests that are programs, run for longer and in release.

use crate::run::run;

/// Random histories against the oracle.
pub fn converge(arguments: &[String]) -> Result<(), String> {
    program("convergence", arguments)
}

/// A whole network under virtual time, with everything that can go wrong.
pub fn simulate(arguments: &[String]) -> Result<(), String> {
    program("simulation", arguments)
}

/// kill -9 while it commits and syncs.
pub fn kill(arguments: &[String]) -> Result<(), String> {
    program("kill", arguments)
}

/// The table of docs/figures.md.
pub fn figures() -> Result<(), String> {
    run("cargo", &["bench", "--quiet", "--bench", "figures"])
}

fn program(test: &str, arguments: &[String]) -> Result<(), String> {
    let mut all = vec!["test", "--release", "--quiet", "--test", test, "--"];
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all)
}
