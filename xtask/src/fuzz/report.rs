//! What the targets came to, as a table or as one line of JSON.

use super::worker::Outcome;

/// One line when a target is done.
pub fn progress(outcome: &Outcome) {
    let Outcome { target, executions, seconds, failure, .. } = outcome;
    let how = if failure.is_some() { "FAILED" } else { "ok" };
    eprintln!("{:12} {how:6} {executions:>12} executions in {seconds:.0} s", target.name);
}

pub fn print(outcomes: &[Outcome], json: bool) {
    for outcome in outcomes {
        if let Some(failure) = &outcome.failure {
            eprintln!("{} failed:\n  {failure}", outcome.target.name);
        }
    }
    if json {
        return println!("{}", line(outcomes));
    }
    println!(
        "{:12} {:>12} {:>8} {:>14} {:>9} {:>13} {:>16} {:>8}",
        "target", "executions", "a second", "edges", "features", "inputs (new)", "last new edge", "peak"
    );
    for outcome in outcomes {
        println!(
            "{:12} {:>12} {:>8.0} {:>14} {:>9} {:>13} {:>16} {:>8}",
            outcome.target.name,
            outcome.executions,
            per_second(outcome),
            format!("{} → {}", outcome.edges[0], outcome.edges[1]),
            outcome.features,
            format!("{} ({})", outcome.corpus, outcome.new_inputs),
            format!("{:.0} s of {:.0} s", outcome.last_edge_s, outcome.seconds),
            format!("{} MB", outcome.peak_mb),
        );
    }
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    println!(
        "decoders: {} executions, sessions: {} executions, {failed} failures",
        sum(outcomes, false),
        sum(outcomes, true)
    );
}

fn line(outcomes: &[Outcome]) -> String {
    let targets: Vec<String> = outcomes
        .iter()
        .map(|outcome| {
            format!(
                r#"{{"target":"{}","executions":{},"per_second":{:.0},"seconds":{:.1},"edges_at_start":{},"edges":{},"features":{},"growth":{:?},"inputs":{},"new_inputs":{},"last_new_edge_s":{:.1},"peak_mb":{},"failed":{}}}"#,
                outcome.target.name,
                outcome.executions,
                per_second(outcome),
                outcome.seconds,
                outcome.edges[0],
                outcome.edges[1],
                outcome.features,
                outcome.growth,
                outcome.corpus,
                outcome.new_inputs,
                outcome.last_edge_s,
                outcome.peak_mb,
                outcome.failure.is_some(),
            )
        })
        .collect();
    format!(
        r#"{{"decoder_executions":{},"session_executions":{},"failures":{},"targets":[{}]}}"#,
        sum(outcomes, false),
        sum(outcomes, true),
        outcomes.iter().filter(|outcome| outcome.failure.is_some()).count(),
        targets.join(",")
    )
}

fn sum(outcomes: &[Outcome], sessions: bool) -> u64 {
    let wanted = outcomes.iter().filter(|outcome| outcome.target.sessions == sessions);
    wanted.map(|outcome| outcome.executions).sum()
}

#[allow(clippy::cast_precision_loss)] // for people
fn per_second(outcome: &Outcome) -> f64 {
    outcome.executions as f64 / outcome.seconds.max(0.001)
}
