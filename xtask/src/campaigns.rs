//! Campaigns: the tests that are programs, run for longer and in release.

use std::process::Command;

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

/// What a small sync costs after many replicas have written; `--instructions` counts those instead of the time.
pub fn writers(arguments: &[String]) -> Result<(), String> {
    if arguments == ["--instructions"] { instructions_of_a_sync() } else { bench("writers", arguments) }
}

/// The worlds of which the instructions are counted: the plain one, then what the others differ in.
const WORLDS: [&[&str]; 5] = [
    &["--writers", "2"],
    &["--writers", "10000"],
    &["--writers", "10000", "--documents", "50"],
    &["--documents", "100000", "--changes", "100000"],
    &["--peers", "10000"],
];

/// Instructions of one sync in each world, by callgrind.
fn instructions_of_a_sync() -> Result<(), String> {
    // The first rounds are not measured by time; callgrind counts them all.
    const ROUNDS: u64 = 40 + 10;
    const RUNNER: &str = "target.'cfg(all())'.runner=['valgrind', '--tool=callgrind', '--collect-atstart=no', \
                          '--toggle-collect=*measured_sync*', '--callgrind-out-file=/dev/null']";
    let manifest = root().join("bench").join("Cargo.toml");
    let mut plain = None;
    for world in WORLDS {
        let mut cargo = Command::new("cargo");
        cargo.args([
            "run",
            "--release",
            "--quiet",
            "--config",
            RUNNER,
            "--bin",
            "writers",
            "--manifest-path",
        ]);
        cargo.arg(&manifest).args(["--", "--alone", "--rounds", "40"]).args(world);
        let output = cargo.output().map_err(|error| format!("cargo did not start: {error}"))?;
        let told = String::from_utf8_lossy(&output.stderr);
        let counted =
            told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
        let counted =
            counted.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind failed:\n{told}"))?;
        let per_sync = counted / ROUNDS;
        let plain = *plain.get_or_insert(per_sync);
        let permille = per_sync * 1000 / plain;
        println!("{per_sync:>10} {:>4}.{} %  {}", permille / 10, permille % 10, world.join(" "));
    }
    Ok(())
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
