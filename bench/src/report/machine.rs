//! On what it was measured, and which versions.

use std::collections::BTreeMap;
use std::process::Command;

/// Cores, processor, memory, kernel, compiler, load, versions.
pub fn describe() -> BTreeMap<String, String> {
    let mut about = BTreeMap::new();
    let mut say = |name: &str, value: String| about.insert(name.to_owned(), value);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    say("cores", cores.to_string());
    say(
        "processor",
        field_of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
    );
    if let Some(memory) = field_of("/proc/meminfo", "MemTotal") {
        say("memory", memory);
    }
    say(
        "kernel",
        first_line("/proc/sys/kernel/osrelease").unwrap_or_else(|| std::env::consts::OS.to_owned()),
    );
    if let Some(load) = first_line("/proc/loadavg") {
        say("load when it began", load.split(' ').next().unwrap_or_default().to_owned());
    }
    let rustc = Command::new("rustc").arg("--version").output().ok();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    say("compiler", rustc.unwrap_or_default());
    for library in ["automerge", "yrs", "loro", "crdts", "rusqlite", "negentropy"] {
        say(library, version(library));
    }
    say("rejoin", version("rejoin"));
    say("SQLite", rusqlite::version().to_owned());
    about
}

fn first_line(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

fn field_of(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// As it was built.
fn version(library: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{library}\"\n")));
    let line = entry.and_then(|entry| entry.lines().find_map(|line| line.strip_prefix("version = ")));
    line.map(|version| version.trim_matches('"').to_owned()).unwrap_or_default()
}
