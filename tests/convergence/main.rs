//! Random histories of replicas that commit, sync in every way, crash and come back, against a causal-history oracle.
//!
//! ```text
//! cargo test -p rejoin --test convergence                                              a short run, and all mutants
//! cargo test --release -p rejoin --test convergence -- --histories 10000 --steps 200   a long one
//! ```
//!
//! | file | subject |
//! |---|---|
//! | `../histories/words.rs` | what a history is made of, as plain data: edits, schemas, what is shown |
//! | `../histories/random.rs`, `../histories/schemas.rs`, `history.rs` | histories from a seed |
//! | `../histories/oracle` | what every replica ought to show, from the causal history alone |
//! | `machine.rs` | what is asked of a replica under test |
//! | `library.rs`, `any_store.rs`, `sqlite_file.rs`, `../histories/translate.rs` | the library as a machine, over any store |
//! | `model.rs` | a second implementation as a machine, and its mutants |
//! | `run.rs` | a history on machines beside the oracle: every step, every check |
//! | `sync.rs`, `conversation.rs` | every way of syncing |
//! | `../histories/failure.rs`, `shrink.rs` | which property broke, and the smallest story of it |
//! | `campaign.rs`, `mutants.rs` | many histories; the wrong turns that have to be caught |

mod any_store;
mod arguments;
mod campaign;
mod conversation;
mod history;
mod library;
mod machine;
mod model;
mod mutants;
mod run;
mod shrink;
mod sqlite_file;
mod sync;

// What is shared with `tests/simulation`.
#[path = "../histories/failure.rs"]
mod failure;
#[path = "../histories/folder.rs"]
mod folder;
#[path = "../histories/oracle/mod.rs"]
mod oracle;
#[path = "../histories/random.rs"]
mod random;
#[path = "../histories/schemas.rs"]
mod schemas;
#[path = "../histories/translate.rs"]
mod translate;
#[path = "../histories/words.rs"]
mod words;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arguments::{Arguments, Wish};

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(Wish::Run(arguments)) => arguments,
        Ok(Wish::Nothing(say)) => {
            println!("{say}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    run::catch_panics();
    let Arguments { histories, steps, seed, twins, mutants } = arguments;
    let began = Instant::now();
    println!("{histories} histories of {steps} steps from seed {seed}");
    let mut count = campaign::histories(histories, steps, seed);
    let found_out = run::FOUND_OUT.load(Ordering::Relaxed);
    println!("{found_out} times a replica found out in a session that its file had been set back");
    if found_out == 0 && histories >= 100 && steps >= 100 {
        println!("FAILED: that should happen in every tenth history");
        count.add(campaign::Count { passed: 0, failed: 1 });
    }
    if twins > 0 {
        println!("{twins} histories on the library and the model, cell by cell");
        count.add(campaign::each_seed(twins, seed, |seed| mutants::twins(seed, steps)));
    }
    if let Some(histories) = mutants {
        count.add(mutants::catch_all(histories));
    }
    println!("\nin {:.1} s", began.elapsed().as_secs_f64());
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
