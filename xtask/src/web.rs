//! The package in Chromium, and beside native replicas.

use std::path::{Path, PathBuf};

use crate::npm;
use crate::run::{output, root, run, run_with};

const BROWSER: &str = "wasm/tests/browser";
const ROOTS: &str = "wasm/tests/roots";

/// Two tabs with the page of the example `web`, and its hub between them.
pub fn browser_test() -> Result<(), String> {
    let chromium = chromium()?;
    npm::build()?;
    run("cargo", &["build", "--example", "web", "--features", "websocket"])?;
    let folder = npm::install(BROWSER)?;
    npm::copy_files(&root().join(BROWSER), &folder)?;
    let hub = target().join("debug/examples").join(format!("web{}", std::env::consts::EXE_SUFFIX));
    let test = folder.join("page.test.mjs");
    let environment = [("CHROMIUM", text(&chromium)?), ("HUB", text(&hub)?), ("SCREENSHOTS", text(&folder)?)];
    run_with("node", &["--test", "--test-reporter=spec", text(&test)?], &environment)
}

/// Random histories on native replicas and on those of the package; `--histories N --seed N`.
pub fn roots(arguments: &[String]) -> Result<(), String> {
    npm::build()?;
    let folder = root().join("target/npm-tools/roots");
    npm::copy_files(&root().join(ROOTS), &folder)?;
    npm::copy_files(&npm::package(), &folder.join("node_modules/rejoin"))?;
    let (file, replay) = (folder.join("histories.jsonl"), folder.join("replay.mjs"));
    let mut all =
        vec!["test", "--quiet", "--test", "wasm_roots", "--", "--histories", "1000", "--to", text(&file)?];
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all)?;
    run("node", &[text(&replay)?, text(&file)?])
}

/// The program given by `CHROMIUM`, or one in the path. Debian's is installed where we may.
fn chromium() -> Result<PathBuf, String> {
    const DEBIAN: &[(&str, &str)] = &[("DEBIAN_FRONTEND", "noninteractive")];
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    if let Some(found) = in_path() {
        return Ok(found);
    }
    let debian = Path::new("/etc/debian_version").exists();
    if debian && output("id", &["-u"])?.trim() == "0" {
        run_with("apt-get", &["update"], DEBIAN)?;
        run_with("apt-get", &["install", "--yes", "chromium"], DEBIAN)?;
    }
    in_path().ok_or_else(|| {
        "there is no Chromium: install it (Debian: `apt-get install chromium`) or name it in CHROMIUM".into()
    })
}

fn in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not a path that can be passed on", path.display()))
}
