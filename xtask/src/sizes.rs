//! `cargo xtask sizes`: what a browser loads of the npm package, alone or beside other libraries.

use std::fs;

use crate::npm::{install, package, run_in};
use crate::run::root;

/// Weighs the package as it lies in `target/npm`.
pub fn sizes(flags: &[String]) -> Result<(), String> {
    if !package().join("package.json").exists() {
        return Err("the package is not built: `cargo xtask npm` comes first".into());
    }
    let tools = install("wasm/tools")?;
    let script = tools.join("sizes.mjs");
    fs::copy(root().join("wasm/sizes/sizes.mjs"), &script).map_err(|error| error.to_string())?;
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let others = if has("--against") { install("wasm/sizes")?.display().to_string() } else { String::new() };
    let form = if has("--json") { "json" } else { "table" };
    let arguments = [script.display().to_string(), form.into(), package().display().to_string(), others];
    run_in(&tools, "node", arguments)
}
