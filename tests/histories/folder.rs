//! [`Folder`]: a place for files, removed at its end.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Memory that looks like a disk, where there is one: what a crash leaves is simulated anyway.
const QUICK: &str = "/dev/shm";

pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let quick = Path::new(QUICK);
        let made = if quick.is_dir() { tempfile::tempdir_in(quick) } else { tempfile::tempdir() };
        Self(made.or_else(|_| tempfile::tempdir()).expect("there is room for temporary files"))
    }

    /// A file by its number.
    pub fn file(&self, number: u64) -> PathBuf {
        self.0.path().join(format!("{number}.db"))
    }
}
