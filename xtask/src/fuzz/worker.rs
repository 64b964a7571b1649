//! Runs one target, and reads what libFuzzer says of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use super::targets::Target;
use crate::run::root;

/// An input that takes longer is a failure, in seconds.
const TIMEOUT_S: u32 = 10;
/// Memory of the process. What one input may take is capped by the targets themselves, see `fuzz/src/memory.rs`.
const RSS_LIMIT_MB: u32 = 2048;
/// One allocation; counts with a sanitizer only.
const MALLOC_LIMIT_MB: u32 = 256;
/// Of the time of a target, for short inputs.
const SHORT_PERCENT: u32 = 80;

/// What a target came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub target: Target,
    pub executions: u64,
    pub seconds: f64,
    /// Edges covered by what was there at the start, and at the end.
    pub edges: [u64; 2],
    pub features: u64,
    /// Executions, and the edges and features covered by then: whenever the executions had doubled, and at the end.
    pub growth: Vec<[u64; 3]>,
    /// Inputs kept, and how many of them are new.
    pub corpus: u64,
    pub new_inputs: u64,
    /// After how many seconds the last new edge was found.
    pub last_edge_s: f64,
    pub peak_mb: u64,
    pub failure: Option<String>,
}

/// Runs a target for a time: most of it with short inputs.
pub fn run(target: &Target, binaries: &str, time: Duration) -> Outcome {
    let mut outcome = Outcome {
        target: *target,
        executions: 0,
        seconds: 0.0,
        edges: [0; 2],
        features: 0,
        growth: Vec::new(),
        corpus: 0,
        new_inputs: 0,
        last_edge_s: 0.0,
        peak_mb: 0,
        failure: None,
    };
    let short = time * SHORT_PERCENT / 100;
    for (bytes, time) in target.bytes.into_iter().zip([short, time.saturating_sub(short)]) {
        if outcome.failure.is_none()
            && let Err(failure) = phase(&mut outcome, binaries, bytes, time)
        {
            outcome.failure = Some(failure);
        }
    }
    outcome
}

fn phase(outcome: &mut Outcome, binaries: &str, bytes: usize, time: Duration) -> Result<(), String> {
    let name = outcome.target.name;
    let folder = |kind: &str| root().join("fuzz").join(kind).join(name);
    for kind in ["corpus", "artifacts"] {
        fs::create_dir_all(folder(kind)).map_err(|error| format!("{}: {error}", folder(kind).display()))?;
    }
    let mut command = Command::new(format!("{binaries}/{name}"));
    command.arg(folder("corpus"));
    // Read along; what is new goes into the first folder.
    command.args(["seeds", "regressions"].map(folder).into_iter().filter(|folder| folder.exists()));
    command.arg(format!("-artifact_prefix={}/", folder("artifacts").display()));
    command.arg(format!("-max_total_time={}", time.as_secs().max(1)));
    command.arg(format!("-max_len={bytes}"));
    command.arg(format!("-timeout={TIMEOUT_S}"));
    command.arg(format!("-rss_limit_mb={RSS_LIMIT_MB}"));
    command.arg(format!("-malloc_limit_mb={MALLOC_LIMIT_MB}"));
    command.arg("-print_final_stats=1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))?;
    let last_words = listen(outcome, child.stderr.take().expect("piped"), started);
    let status = child.wait().map_err(|error| error.to_string())?;
    outcome.seconds += started.elapsed().as_secs_f64();
    if status.success() { Ok(()) } else { Err(advice(name, &last_words)) }
}

/// Reads along until the target ends; gives the lines that are no statistics.
fn listen(outcome: &mut Outcome, said: ChildStderr, started: Instant) -> Vec<String> {
    let (before_s, executed, mut words) = (outcome.seconds, outcome.executions, Vec::new());
    let mut latest = [0; 3];
    for line in BufReader::new(said).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some((what, number)) = line.strip_prefix("stat::").and_then(|stat| stat.split_once(':')) {
            let number = number.trim().parse().unwrap_or(0);
            match what {
                "number_of_executed_units" => outcome.executions += number,
                "new_units_added" => outcome.new_inputs += number,
                "peak_rss_mb" => outcome.peak_mb = outcome.peak_mb.max(number),
                _ => {}
            }
        } else if let Some(edges) = number_after(&line, " cov: ") {
            if outcome.edges[0] == 0 && line.contains("INITED") {
                outcome.edges[0] = edges;
            }
            if edges > outcome.edges[1] {
                outcome.edges[1] = edges;
                outcome.last_edge_s = before_s + started.elapsed().as_secs_f64();
            }
            outcome.features = outcome.features.max(number_after(&line, " ft: ").unwrap_or(0));
            outcome.corpus = number_after(&line, " corp: ").unwrap_or(outcome.corpus);
            let executions = executed + number_after(&line, "#").unwrap_or(0);
            latest = [executions, outcome.edges[1], outcome.features];
            if outcome.growth.last().is_none_or(|[before, ..]| executions >= 2 * before) {
                outcome.growth.push(latest);
            }
        } else if !line.starts_with(['"', '#']) {
            words.push(line);
        }
    }
    if outcome.growth.last().is_some_and(|last| *last != latest) {
        outcome.growth.push(latest);
    }
    words
}

fn number_after(line: &str, label: &str) -> Option<u64> {
    let (_, rest) = line.split_once(label)?;
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What failed, and how to see it again.
fn advice(name: &str, words: &[String]) -> String {
    let start = words.iter().position(|line| line.contains("panicked at") || line.contains("ERROR: "));
    let said =
        words[start.unwrap_or(0)..].iter().take(6).map(String::as_str).collect::<Vec<_>>().join("\n  ");
    let file = words.iter().find_map(|line| line.split_once("Test unit written to ").map(|(_, file)| file));
    let file = file.unwrap_or("the file in fuzz/artifacts");
    format!(
        "{said}\n  see it again: cargo +nightly fuzz run --sanitizer none {name} {file}\n  \
         make it small: cargo +nightly fuzz tmin --sanitizer none {name} {file}\n  \
         once mended, keep it: fuzz/regressions/{name}"
    )
}
