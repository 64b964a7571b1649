//! Reconciling: what the program `reconcile` measures, as a case of the report.

use std::process::Command;

use crate::measured::Measured;

const CELLS: &str = "1000000";

/// Two files of a million cells, of which so many differ; beside it negentropy, under names that begin with it.
///
/// # Panics
/// When the program `reconcile` was not built beside this one.
pub fn run(measured: &mut Measured, differ: u64) {
    let program = std::env::current_exe().expect("this program").with_file_name("reconcile");
    let differ = differ.to_string();
    let output = Command::new(program).args(["--cells", CELLS, "--differ", &differ, "--json"]).output();
    let output = output.expect("`cargo build --release --bins` builds it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    for (prefix, of) in [("", &told), ("negentropy ", &told["negentropy"])] {
        for name in ["bytes", "round_trips", "peak_bytes"] {
            measured.figure(&format!("{prefix}{name}"), of[name].as_f64().expect("a number"));
        }
        measured.figure(&format!("{prefix}ms"), of["seconds"].as_f64().expect("a number") * 1e3);
    }
}
