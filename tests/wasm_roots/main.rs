//! Random histories with what came of them here, for another build of the same code to come to the same: the wasm
//! package, driven by `wasm/tests/roots/replay.mjs`.
//!
//! ```text
//! cargo xtask roots --histories 1000 --seed 1                                builds the package, and compares
//! cargo test --test wasm_roots -- --histories 1000 --seed 1 --to file.jsonl  writes the histories only
//! ```
//!
//! | file | subject |
//! |---|---|
//! | `history.rs` | a history from a seed; the words, schemas and edits are those of `tests/convergence` |
//! | `values.rs` | values of every kind, and how they stand in the file |
//! | `names.rs` | what fields and documents are called |
//! | `replay.rs` | a history on native replicas: roots, outcomes, bytes of the sessions, views |
//! | `file.rs` | one history with its results as a line of JSON |

mod file;
mod history;
mod names;
mod replay;
mod values;

#[path = "../histories/random.rs"]
mod random;
#[path = "../histories/schemas.rs"]
mod schemas;
#[expect(dead_code, reason = "the other readers of these words use more of them")]
#[path = "../histories/words.rs"]
mod words;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use history::History;

const USAGE: &str = "wasm_roots [--histories N] [--seed N] [--to FILE]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<String, Box<dyn std::error::Error>> {
    let (mut histories, mut seed, mut to) = (25, 1, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--histories" => histories = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            "--to" => to = Some(value()?),
            // What cargo passes on to every test program.
            "--list" => return Ok("wasm_roots: test".into()),
            "--nocapture" | "--no-capture" | "--show-output" | "--quiet" | "-q" => {}
            unknown => return Err(format!("unknown argument {unknown}").into()),
        }
    }
    let mut out = to.as_ref().map(File::create).transpose()?.map(BufWriter::new);
    let mut edits = 0;
    for seed in seed..seed + histories {
        let history = History::generate(seed);
        let results = replay::replay(&history).map_err(|error| format!("seed {seed}: {error}"))?;
        edits += results.edits;
        if let Some(out) = &mut out {
            writeln!(out, "{}", file::line(&history, &results))?;
        }
    }
    if let Some(mut out) = out {
        out.flush()?;
    }
    let to = to.map(|to| format!(", written to {to}")).unwrap_or_default();
    Ok(format!(
        "{histories} histories from seed {seed} with {edits} edits: replicas that met hold the same{to}"
    ))
}
