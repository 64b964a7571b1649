//! `cargo xtask test`: everything that has to hold.

use crate::run::{output, run, run_with};

const WASM: &str = "wasm32-unknown-unknown";

pub fn all() -> Result<(), String> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    run_with("cargo", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    run("cargo", &["test", "--workspace"])?;
    features()?;
    examples()?;
    wasm()?;
    core_dependencies()
}

/// Each part of the facade also builds without the others.
fn features() -> Result<(), String> {
    for features in ["", "sqlite", "sync"] {
        run("cargo", &["check", "--package", "rejoin", "--no-default-features", "--features", features])?;
    }
    Ok(())
}

fn examples() -> Result<(), String> {
    run("cargo", &["run", "--release", "--example", "offline_first", "--", "--small"])?;
    for example in ["conflicts", "counters_and_sets", "resolvers"] {
        run("cargo", &["run", "--release", "--example", example])?;
    }
    Ok(())
}

/// The core and the sessions compile for browsers. The target is installed if it is not there.
fn wasm() -> Result<(), String> {
    if !output("rustup", &["target", "list", "--installed"])?.lines().any(|target| target == WASM) {
        run("rustup", &["target", "add", WASM])?;
    }
    run("cargo", &["build", "--release", "--package", "rejoin-wasm", "--target", WASM])
}

/// The core stays free of what a browser or a phone would not want: nothing beyond this list.
fn core_dependencies() -> Result<(), String> {
    const ALLOWED: [&str; 17] = [
        "crdt-core",
        "sha2",
        "siphasher",
        "thiserror",
        "uuid",
        // Of sha2:
        "cfg-if",
        "cpufeatures",
        "digest",
        "block-buffer",
        "crypto-common",
        "hybrid-array",
        "typenum",
        // Of thiserror, at compile time only:
        "thiserror-impl",
        "proc-macro2",
        "quote",
        "syn",
        "unicode-ident",
    ];
    let tree = output(
        "cargo",
        &["tree", "--package", "crdt-core", "--no-default-features", "--edges", "normal", "--prefix", "none"],
    )?;
    println!("{tree}");
    let unknown = |line: &&str| {
        let name = line.split_whitespace().next().unwrap_or_default();
        !name.is_empty() && !ALLOWED.contains(&name)
    };
    match tree.lines().find(unknown) {
        Some(line) => Err(format!("crdt-core has a new dependency: {line}")),
        None => Ok(()),
    }
}
