//! `cargo xtask test`: everything that has to hold.

use crate::run::{output, run, run_with};
use crate::{npm, web};

pub fn all() -> Result<(), String> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    run_with("cargo", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    run("cargo", &["test", "--workspace"])?;
    asynchronous()?;
    features()?;
    examples()?;
    npm::test()?;
    web::roots(&[])?;
    web::browser_test()?;
    core_dependencies()
}

/// The async drivers, which are features that nobody gets unasked.
fn asynchronous() -> Result<(), String> {
    let drivers = ["--test", "async_streams", "--test", "async_websockets", "--test", "fuzzed_streams"];
    run("cargo", &[&["test", "--package", "sync-protocol", "--all-features"], &drivers[..]].concat())?;
    run("cargo", &["test", "--package", "rejoin", "--all-features", "--test", "live"])?;
    run("cargo", &["test", "--package", "sync-protocol", "--package", "rejoin", "--all-features", "--doc"])
}

/// Each part of the facade also builds without the others.
fn features() -> Result<(), String> {
    for features in ["", "sqlite", "sync", "tokio", "sqlite,websocket"] {
        run("cargo", &["check", "--package", "rejoin", "--no-default-features", "--features", features])?;
    }
    Ok(())
}

fn examples() -> Result<(), String> {
    run("cargo", &["run", "--release", "--example", "offline_first", "--", "--small"])?;
    for example in ["conflicts", "counters_and_sets", "resolvers", "any_transport", "usb_stick"] {
        run("cargo", &["run", "--release", "--example", example])?;
    }
    Ok(())
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
