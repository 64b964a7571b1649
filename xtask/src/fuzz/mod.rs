//! `cargo xtask fuzz`: every fuzz target for its share of some time, with caps on time and memory.
//!
//! | file | subject |
//! |---|---|
//! | `mod.rs` | arguments, tools, building |
//! | `targets.rs` | the targets, and what each gets of the time |
//! | `worker.rs` | runs one target and reads what libFuzzer says |
//! | `report.rs` | the table, the JSON line |

mod report;
mod targets;
mod worker;

use std::collections::VecDeque;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::run::{output, root, run};
use targets::{TARGETS, Target};
use worker::Outcome;

/// Targets that run at a time, if nothing else is said. More would take the machine from whoever works on it.
const WORKERS: u32 = 2;

struct Arguments {
    seconds: u64,
    workers: u32,
    target: Option<String>,
    sanitizer: String,
    json: bool,
    seeds: bool,
}

impl Arguments {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut read = Self {
            seconds: 120,
            workers: WORKERS,
            target: None,
            sanitizer: "none".into(),
            json: false,
            seeds: false,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().cloned().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--seconds" => {
                    let seconds = value()?;
                    read.seconds =
                        seconds.parse().map_err(|_| format!("--seconds {seconds} is no number"))?;
                }
                "--workers" => {
                    let workers = value()?;
                    read.workers = workers
                        .parse()
                        .ok()
                        .filter(|workers| *workers > 0)
                        .ok_or(format!("--workers {workers}: at least one has to run"))?;
                }
                "--target" => read.target = Some(value()?),
                "--sanitizer" => read.sanitizer = value()?,
                "--json" => read.json = true,
                "--seeds" => read.seeds = true,
                other => return Err(format!("fuzz knows no {other}")),
            }
        }
        Ok(read)
    }

    fn targets(&self) -> Result<Vec<Target>, String> {
        let Some(name) = &self.target else { return Ok(TARGETS.to_vec()) };
        let found: Vec<Target> = TARGETS.iter().filter(|target| target.name == name).copied().collect();
        let names = || TARGETS.map(|target| target.name).join(", ");
        if found.is_empty() { Err(format!("no target {name}; there are {}", names())) } else { Ok(found) }
    }
}

/// Runs the targets; see `cargo xtask` for the arguments.
pub fn fuzz(arguments: &[String]) -> Result<(), String> {
    let arguments = Arguments::read(arguments)?;
    if arguments.seeds {
        return run("cargo", &["run", "--manifest-path", "fuzz/Cargo.toml", "--example", "seeds"]);
    }
    let targets = arguments.targets()?;
    let host = host()?;
    for target in &targets {
        build(&arguments, target)?;
    }
    let jobs = share(&targets, arguments.workers, Duration::from_secs(arguments.seconds));
    let shared = Mutex::new((jobs, Vec::<Outcome>::new()));
    thread::scope(|scope| {
        for _ in 0..arguments.workers {
            scope.spawn(|| {
                loop {
                    let next = shared.lock().expect("no worker panics").0.pop_front();
                    let Some((target, time)) = next else { return };
                    let outcome = worker::run(&target, &binaries(&target, &host), time);
                    report::progress(&outcome);
                    shared.lock().expect("no worker panics").1.push(outcome);
                }
            });
        }
    });
    let (_, mut outcomes) = shared.into_inner().expect("no worker panics");
    outcomes.sort_by_key(|outcome| TARGETS.iter().position(|target| target.name == outcome.target.name));
    report::print(&outcomes, arguments.json);
    match outcomes.iter().filter(|outcome| outcome.failure.is_some()).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} targets failed; what to do is said above")),
    }
}

/// Divides the time of all workers by the weights of the targets; the longest first, so that the workers end together.
fn share(targets: &[Target], workers: u32, time: Duration) -> VecDeque<(Target, Duration)> {
    let weights: u32 = targets.iter().map(|target| target.weight).sum();
    let workers = workers.min(u32::try_from(targets.len()).unwrap_or(workers));
    let mut jobs: Vec<_> =
        targets.iter().map(|target| (*target, time * workers * target.weight / weights)).collect();
    jobs.sort_by_key(|(_, time)| core::cmp::Reverse(*time));
    jobs.into()
}

/// The name of this machine's kind, if there is all that fuzzing needs.
fn host() -> Result<String, String> {
    let works = |given: &[&str]| {
        let tried = Command::new("cargo").args(given).output();
        tried.is_ok_and(|output| output.status.success())
    };
    if !works(&["+nightly", "--version"]) {
        return Err("fuzzing needs a nightly compiler: `rustup toolchain install nightly`".into());
    }
    if !works(&["fuzz", "--version"]) {
        return Err("fuzzing needs cargo-fuzz: `cargo install cargo-fuzz --locked`".into());
    }
    let version = output("rustc", &["+nightly", "-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say what it compiles for".into())
}

/// Decoders learn from the comparisons that they make. Messages of sessions are sealed after they were made up, so there
/// comparisons tell little, and to trace them takes half of the time.
const fn folder(target: &Target) -> &'static str {
    if target.sessions { "fuzz/target/sessions" } else { "fuzz/target" }
}

fn build(arguments: &Arguments, target: &Target) -> Result<(), String> {
    let mut command = vec!["+nightly", "fuzz", "build", "--sanitizer", &arguments.sanitizer];
    command.extend(["--target-dir", folder(target), target.name]);
    if target.sessions {
        command.push("--no-trace-compares");
    }
    run("cargo", &command)
}

fn binaries(target: &Target, host: &str) -> String {
    root().join(folder(target)).join(host).join("release").display().to_string()
}
