//! Runs a case: a fresh process for each measurement, the libraries in turn.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::plan::Case;
use super::results::Outcome;
use crate::measured::Measured;

/// A run that takes longer is ended: the library has not finished in time.
const LIMIT: Duration = Duration::from_secs(90);
/// What takes longer than this is run once more and no oftener.
const LONG: Duration = Duration::from_secs(15);

/// Builds the programs beside this one: `reconcile` is one of them.
///
/// # Errors
/// When that fails.
pub fn build() -> Result<(), String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--bins", "--manifest-path", manifest])
        .status();
    let built = built.map_err(|error| format!("cargo: {error}"))?;
    if built.success() { Ok(()) } else { Err("the programs cannot be built".to_owned()) }
}

/// All runs of a case; libraries that were too slow for less are not tried.
///
/// # Errors
/// When processes cannot be started.
pub fn case(case: &Case, rounds: usize, too_slow: &[String]) -> Result<Vec<(String, Outcome)>, String> {
    let rounds = rounds.min(case.at_most_rounds);
    let mut outcomes: Vec<(String, Outcome)> =
        case.libraries.iter().map(|library| ((*library).to_owned(), Outcome::default())).collect();
    for (_, outcome) in outcomes.iter_mut().filter(|(library, _)| too_slow.contains(library)) {
        outcome.failed = Some("not finished with less".to_owned());
    }
    for round in 0..rounds {
        for (library, outcome) in &mut outcomes {
            if !outcome.goes_on(round) {
                continue;
            }
            let began = Instant::now();
            match once(case, library, false)? {
                Ok(measured) => outcome.timed.push(measured),
                Err(failed) => outcome.failed = Some(failed),
            }
            outcome.is_long |= began.elapsed() > LONG;
        }
        eprintln!("{} {}: round {} of {rounds}", case.workload, case.size, round + 1);
    }
    for (library, outcome) in &mut outcomes {
        if outcome.failed.is_none()
            && !matches!(case.workload, "reconcile" | "growth" | "growth-writers" | "open")
        {
            match once(case, library, true)? {
                Ok(measured) => outcome.counted = Some(measured),
                Err(_) => eprintln!("{library} did not finish while its memory was counted"),
            }
        }
        if let Some(failed) = &outcome.failed {
            eprintln!("{} {} {library}: {failed}", case.workload, case.size);
        }
    }
    Ok(outcomes)
}

fn once(case: &Case, library: &str, counted: bool) -> Result<Result<Measured, String>, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let size = case.size.to_string();
    let mut command = Command::new(this);
    command.args(["run", case.workload, library, &size]);
    if counted {
        command.arg("--count");
    }
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let began = Instant::now();
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(_) => break,
            None if began.elapsed() > LIMIT => {
                child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
                return Ok(Err(format!("not finished after {} s", LIMIT.as_secs())));
            }
            None => sleep(Duration::from_millis(5)),
        }
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
        return Ok(Err(format!("failed: {}", said.join(" "))));
    }
    let line = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(line.trim()).map(Ok).map_err(|error| format!("{line}: {error}"))
}
