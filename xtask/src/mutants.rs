//! `cargo xtask mutants`: is there a test for every line? Each mutant changes one, and some test has to fail.

use std::process::Command;

use crate::run::run;

/// Runs cargo-mutants over the core and the protocol. What is changed and what is not is in `.cargo/mutants.toml`.
pub fn mutants(arguments: &[String]) -> Result<(), String> {
    let works = Command::new("cargo").args(["mutants", "--version"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return Err("cargo-mutants is missing: `cargo install cargo-mutants --locked`".into());
    }
    let mut all = vec!["mutants", "--package", "crdt-core", "--package", "sync-protocol"];
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all)
}
