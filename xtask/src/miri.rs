//! `cargo xtask miri`: the tests of the core and of the protocol under Miri, which finds what no test asserts: undefined
//! behaviour in what they are built on, and any look at a clock or a file that they must not have.

use std::process::Command;

use crate::run::run;

/// The crates without I/O. Isolation stays on: a test that reads a clock or a file fails.
const CRATES: [&str; 2] = ["crdt-core", "sync-protocol"];

/// Runs the unit and integration tests. Those with thousands of anything are left out or made small, and say so.
pub fn miri(crates: &[String]) -> Result<(), String> {
    if let Some(other) = crates.iter().find(|name| !CRATES.contains(&name.as_str())) {
        return Err(format!("{other} does I/O; under Miri there are {}", CRATES.join(", ")));
    }
    let works = Command::new("cargo").args(["+nightly", "miri", "--version"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return Err(
            "Miri is missing: `rustup toolchain install nightly --component miri --component rust-src`"
                .into(),
        );
    }
    for name in CRATES.iter().filter(|name| crates.is_empty() || crates.iter().any(|asked| asked == *name)) {
        let arguments = ["+nightly", "miri", "test", "--package", name, "--tests"];
        run("cargo", &arguments)?;
    }
    Ok(())
}
