//! `cargo xtask npm`: builds the npm package `rejoin` into `target/npm`, and tests it as an app would meet it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::run::{output, root, run, run_with};

const TARGET: &str = "wasm32-unknown-unknown";
/// What is written by hand and goes into the package as it is.
const SOURCES: &str = "wasm/js";
/// The version is that of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The folder of the built package.
pub fn package() -> PathBuf {
    root().join("target/npm/rejoin")
}

/// The package as it would be published.
pub fn tarball() -> PathBuf {
    root().join(format!("target/npm/rejoin-{VERSION}.tgz"))
}

/// Builds the package, checks that its module can be loaded, and packs it: once per run of this program.
pub fn build() -> Result<(), String> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    BUILT.get_or_init(build_and_pack).clone()
}

fn build_and_pack() -> Result<(), String> {
    let package = package();
    if package.exists() {
        fs::remove_dir_all(&package).map_err(|error| said(&package, &error))?;
    }
    bind(&compile()?, &package)?;
    optimise(&package.join("bindings_bg.wasm"))?;
    copy_sources(&package)?;
    // A module can be valid and still fail when it is put together: so it is loaded, and asked something.
    let entry = package.join("node.js").display().to_string();
    run("node", &["--input-type=module", "--eval", LOADS, &entry])?;
    let folder = root().join("target/npm");
    run_in(&package, "npm", ["pack", "--silent", "--pack-destination", &folder.display().to_string()])
}

const LOADS: &str = "const { protocolVersion } = await import(process.argv[1]); if (!(protocolVersion() > 0)) throw Error('no version')";

/// Compiles the module; gives its path.
fn compile() -> Result<PathBuf, String> {
    if !output("rustup", &["target", "list", "--installed"])?.lines().any(|target| target == TARGET) {
        run("rustup", &["target", "add", TARGET])?;
    }
    // No path of this machine in the module; and the same bytes wherever it is built.
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let sysroot = output("rustc", &["--print", "sysroot"])?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    let mut flags = vec![remap(&root(), "rejoin"), remap(&library, "rust")];
    flags.extend(cargo_home().map(|home| remap(&home, "cargo")));
    // Nearly as fast for the few hashes there are, and much smaller.
    flags.push("--cfg=sha2_backend_soft=\"compact\"".into());
    let build = [
        "build",
        "--package",
        "rejoin-wasm",
        "--profile",
        "npm",
        "--target",
        TARGET,
        "--target-dir",
        "target/wasm",
    ];
    run_with("cargo", &build, &[("RUSTFLAGS", &flags.join(" "))])?;
    Ok(root().join("target/wasm").join(TARGET).join("npm/rejoin_wasm.wasm"))
}

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// Writes the bound module and its JavaScript into the package.
fn bind(module: &Path, package: &Path) -> Result<(), String> {
    let (module, package) = (module.display().to_string(), package.display().to_string());
    let manifest =
        ["run", "--quiet", "--release", "--locked", "--manifest-path", "xtask/bindings/Cargo.toml"];
    let rest = ["--target-dir", "target/bindings", "--", &module, &package];
    run("cargo", &[manifest.as_slice(), &rest].concat())
}

/// Tried for what comes out smallest with brotli. No module of Rust has anything in the first kilobyte of its memory,
/// where the stack ends. Large functions with one caller repeat less of their caller's code when they stay apart.
const OPTIMISE: [&str; 4] =
    ["-Oz", "--converge", "--low-memory-unused", "--one-caller-inline-max-function-size=60"];

fn optimise(module: &Path) -> Result<(), String> {
    let tools = install("wasm/tools")?;
    let mut arguments = vec![OsStr::new("wasm-opt")];
    arguments.extend(OPTIMISE.iter().map(OsStr::new));
    arguments.extend([module.as_os_str(), OsStr::new("-o"), module.as_os_str()]);
    run_in(&tools, "npx", arguments)
}

fn copy_sources(package: &Path) -> Result<(), String> {
    copy_files(&root().join(SOURCES), package)?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(licence), &package.join(licence))?;
    }
    let manifest = package.join("package.json");
    let text = fs::read_to_string(&manifest).map_err(|error| said(&manifest, &error))?;
    let versioned = text.replace("\"version\": \"0.0.0\"", &format!("\"version\": \"{VERSION}\""));
    fs::write(&manifest, versioned).map_err(|error| said(&manifest, &error))
}

/// Builds the package, installs its tarball into a scratch app, and runs the tests and the type check there.
pub fn test() -> Result<(), String> {
    build()?;
    let app = root().join("target/npm/app");
    if app.exists() {
        fs::remove_dir_all(&app).map_err(|error| said(&app, &error))?;
    }
    copy_files(&root().join("wasm/tests"), &app)?;
    copy(&root().join("README.md"), &app.join("README.md"))?;
    let package = tarball().display().to_string();
    run_in(&app, "npm", ["install", "--silent", "--offline", "--no-package-lock", &package])?;
    run_in(&app, "node", ["--test", "."])?;
    let compiler = install("wasm/tools")?.join("node_modules/typescript/bin/tsc").display().to_string();
    for project in ["tsconfig.json", "tsconfig.bare.json"] {
        run_in(&app, "node", [&compiler, "--project", project])?;
    }
    Ok(())
}

/// Installs the npm packages that a folder's lock file lists, once; gives the folder under `target` where they are.
pub fn install(folder: &str) -> Result<PathBuf, String> {
    let from = root().join(folder);
    let to = root().join("target/npm-tools").join(from.file_name().unwrap_or_default());
    let lock = |folder: &Path| fs::read(folder.join("package-lock.json")).ok();
    if lock(&from) != lock(&to) || !to.join("node_modules/.package-lock.json").exists() {
        copy_files(&from, &to)?;
        run_in(&to, "npm", ["ci", "--silent", "--ignore-scripts"])?;
    }
    Ok(to)
}

/// Copies the files of a folder, without the folders within.
pub fn copy_files(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|error| said(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| said(from, &error))? {
        let path = entry.map_err(|error| said(from, &error))?.path();
        if path.is_file() {
            copy(&path, &to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(|_| ()).map_err(|error| said(from, &error))
}

fn said(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Runs a program in a folder.
pub fn run_in<A: AsRef<OsStr>>(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    // Not to the standard output: that may be somebody's JSON.
    eprintln!("$ {command:?}");
    let status = command.status().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{command:?}` failed: {status}")) }
}
