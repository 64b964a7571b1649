//! What cargo cannot say in one word. `cargo xtask` lists the commands.

mod campaigns;
mod checks;
mod fuzz;
mod miri;
mod mutants;
mod npm;
mod run;
mod sizes;
mod web;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test                 everything that has to hold: format, lints, docs, all tests, examples, wasm
cargo xtask converge [arguments] random histories against the oracle; --histories N --steps N --seed N
cargo xtask simulate [arguments] a whole network under virtual time; --histories N --seed S --without FAULT --json
cargo xtask kill [arguments]     kill -9 while it commits and syncs; --rounds N --seed N
cargo xtask reconcile [arguments]
                                 what it costs to find a difference; --cells N --differ N --json
cargo xtask writers [arguments]  what a small sync, a commit and an opening cost after many replicas have written;
                                 --writers N --changes N --documents N --peers N --rounds N --alone --json; or
                                 --instructions: counted by valgrind
cargo xtask fuzz [arguments]     every decoder and whole sessions, fed by a fuzzer; --seconds N --workers N --target T --sanitizer S --json;
                                 --seeds: makes fuzz/seeds anew
cargo xtask powerloss [arguments]
                                 power fails and disks that are full; --images N --seed N --workload N --json
cargo xtask miri [crates]        the tests of crdt-core and sync-protocol under Miri
cargo xtask mutants [arguments]  changes one line after the other of these crates and wants a test to fail; --shard k/n
cargo xtask browser              two tabs of Chromium with the page of the example `web`, and its hub between them
cargo xtask roots [arguments]    random histories, native and in wasm, to the same end; --histories N --seed N
cargo xtask figures              the table of docs/figures.md, measured here
cargo xtask bench [arguments]    docs/benchmarks.md: beside other libraries, half an hour; --short: sees in minutes that it works
cargo xtask instructions [--update]
                                 instructions of the hot paths, counted by valgrind, against benches/instructions.txt
cargo xtask npm [--test]         the npm package, built into target/npm; --test installs and tests it as an app would
cargo xtask sizes [--json] [--against]
                                 what a browser loads of the npm package; --against: beside other libraries";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let result = match (command.as_str(), rest.as_slice()) {
        ("test", []) => checks::all(),
        ("converge", rest) => campaigns::converge(rest),
        ("simulate", rest) => campaigns::simulate(rest),
        ("kill", rest) => campaigns::kill(rest),
        ("reconcile", rest) => campaigns::reconcile(rest),
        ("writers", rest) => campaigns::writers(rest),
        ("fuzz", rest) => fuzz::fuzz(rest),
        ("powerloss", rest) => campaigns::powerloss(rest),
        ("miri", rest) => miri::miri(rest),
        ("mutants", rest) => mutants::mutants(rest),
        ("browser", []) => web::browser_test(),
        ("roots", rest) => web::roots(rest),
        ("figures", []) => campaigns::figures(),
        ("bench", rest) => campaigns::benchmarks(rest),
        ("instructions", rest) => campaigns::instructions(rest),
        ("npm", []) => npm::build(),
        ("npm", [test]) if test == "--test" => npm::test(),
        ("sizes", rest) if rest.iter().all(|flag| flag == "--json" || flag == "--against") => {
            sizes::sizes(rest)
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("xtask: {failed}");
            ExitCode::FAILURE
        }
    }
}
