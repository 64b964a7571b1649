//! `cargo xtask miri`: the tests of the core and of the protocol under Miri, which finds what no test asserts: undefined
//! behaviour in what they are built on, and any look at a clock or a file that they must not have.

use std::process::Command;
use std::time::Instant;

use crate::run::{run, run_with};

/// A crate without I/O, and those of its tests that read the inputs which are kept for the fuzz targets. Whole sessions are
/// not among them: there are hundreds.
struct Crate {
    name: &'static str,
    kept_inputs: &'static [&'static str],
}

const CRATES: [Crate; 2] = [
    Crate { name: "crdt-core", kept_inputs: &["--test", "fuzzed", "--", "--ignored"] },
    Crate {
        name: "sync-protocol",
        kept_inputs: &[
            "--lib",
            "--test",
            "fuzzed",
            "--",
            "--ignored",
            "messages_that_failed_once",
            "bundles_that_failed_once",
        ],
    },
];

/// Runs the unit, integration and documentation tests. Isolation stays on, so that a test which reads a clock or a file
/// fails; only for the kept inputs it is lifted. What is made smaller under Miri says so where it is (`or_under_miri`).
pub fn miri(asked: &[String]) -> Result<(), String> {
    let known = CRATES.map(|of| of.name);
    if let Some(other) = asked.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("{other} does I/O; under Miri there are {}", known.join(", ")));
    }
    let works = Command::new("cargo").args(["+nightly", "miri", "--version"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return Err(
            "Miri is missing: `rustup toolchain install nightly --component miri --component rust-src`"
                .into(),
        );
    }
    for Crate { name, kept_inputs } in CRATES {
        if !asked.is_empty() && !asked.iter().any(|asked| asked == name) {
            continue;
        }
        let began = Instant::now();
        let test = ["+nightly", "miri", "test", "--package", name];
        run("cargo", &[&test[..], &["--tests"]].concat())?;
        run("cargo", &[&test[..], &["--doc"]].concat())?;
        let without_isolation = ("MIRIFLAGS", "-Zmiri-disable-isolation");
        run_with("cargo", &[&test[..], kept_inputs].concat(), &[without_isolation])?;
        // The times that tests print are those of Miri's own clock.
        println!("{name}: {} s", began.elapsed().as_secs());
    }
    Ok(())
}
