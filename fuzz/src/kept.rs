//! The inputs that are kept in the repository, for the tests of the crates.

use std::fs;
use std::path::Path;

/// Gives a target all its seeds, and every input that ever failed.
///
/// # Panics
/// When one fails, or when there are none.
pub fn each(target: &str, mut run: impl FnMut(&[u8])) {
    let mut files = Vec::new();
    for folder in ["seeds", "regressions"] {
        // Every crate that has this test lies beside `fuzz`.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder).join(target);
        let Ok(entries) = fs::read_dir(folder) else { continue };
        files.extend(entries.map(|entry| entry.expect("a readable folder").path()));
    }
    assert!(!files.is_empty(), "there are seeds at least");
    files.sort();
    for file in files {
        // Shown when it fails.
        println!("{}", file.display());
        run(&fs::read(&file).expect("a readable file"));
    }
}
