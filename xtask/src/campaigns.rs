//! Campaigns: the tests that are programs, run for longer and in release.

use crate::run::{root, run};

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

/// The power fails after every write, the disk is full at every write.
pub fn powerloss(arguments: &[String]) -> Result<(), String> {
    program("powerloss", arguments)
}

/// The table of docs/figures.md.
pub fn figures() -> Result<(), String> {
    run("cargo", &["bench", "--quiet", "--bench", "figures"])
}

/// Rejoin beside other libraries: docs/benchmarks.md.
pub fn benchmarks(arguments: &[String]) -> Result<(), String> {
    let all: Vec<String> = std::iter::once("report".to_owned()).chain(arguments.iter().cloned()).collect();
    bench("bench", &all)
}

/// Instructions of the hot paths, against those in `benches/instructions.txt`.
pub fn instructions(arguments: &[String]) -> Result<(), String> {
    let mut all = vec!["bench", "--quiet", "--bench", "instructions", "--"];
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all)
}

/// What it costs two databases that never met to find out in what they differ, beside another protocol for that.
pub fn reconcile(arguments: &[String]) -> Result<(), String> {
    bench("reconcile", arguments)
}

/// What a small sync costs after many replicas have written.
pub fn writers(arguments: &[String]) -> Result<(), String> {
    bench("writers", arguments)
}

fn bench(program: &str, arguments: &[String]) -> Result<(), String> {
    let folder = root().join("bench").join("Cargo.toml");
    let manifest = folder.to_str().ok_or("the path of the workspace is not text")?;
    let mut all = vec!["run", "--release", "--quiet", "--manifest-path", manifest, "--bin", program, "--"];
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all)
}

fn program(test: &str, arguments: &[String]) -> Result<(), String> {
    let mut all = vec!["test", "--release", "--quiet", "--test", test, "--"];
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all)
}
