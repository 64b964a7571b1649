//! Bundles: changes in a file, for devices that never meet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crdt_core::{Replica, VersionVector};
use sync_protocol::bundle::{self, ExportError, Exported, For, ImportError, Imported};

use crate::database::now_ms;
use crate::sync::{Shared, draw_spare};
use crate::{Database, Error};

impl Database {
    /// Writes changes into a file, to be carried to other devices and [imported](Database::import_changes) there: on a
    /// stick, by mail. The file is there when it is complete and durable; one of the same name is replaced only then.
    ///
    /// The file is checked against damage when it is imported. It is not encrypted.
    ///
    /// ```
    /// # use rejoin::{Database, For};
    /// # fn main() -> Result<(), rejoin::Error> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (boat, office) = (Database::open(folder.path().join("boat.db"))?, Database::open(folder.path().join("office.db"))?);
    /// # let stick = folder.path().join("boat.changes");
    /// boat.export_changes(&stick, &For::Anyone)?;
    /// // ... a week later, in the office:
    /// let imported = office.import_changes(&stick)?;
    /// if let Some(missing) = imported.missing {
    ///     println!("another bundle should come first: {missing}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Export`]; the file is as it was.
    pub fn export_changes(&self, path: impl AsRef<Path>, audience: &For) -> Result<Exported, Error> {
        let unfinished = Unfinished::create(path.as_ref()).map_err(ExportError::from)?;
        let exported = self.export_changes_to(BufWriter::new(&unfinished.file), audience)?;
        unfinished.finish(path.as_ref()).map_err(ExportError::from)?;
        Ok(exported)
    }

    /// As [`Database::export_changes`], to anything that can be written to. Others can use the database meanwhile.
    ///
    /// # Errors
    /// [`Error::Export`]; an import refuses what was written until then.
    pub fn export_changes_to(&self, out: impl Write, audience: &For) -> Result<Exported, Error> {
        Ok(bundle::export(&mut Shared(self), audience, out, now_ms())?)
    }

    /// Takes in the changes of a file that [`Database::export_changes`] wrote: all of them or, on an error, none. To
    /// import a file twice, late, or before those that were written earlier is harmless.
    ///
    /// # Errors
    /// [`Error::Import`]; nothing was changed.
    pub fn import_changes(&self, path: impl AsRef<Path>) -> Result<Imported, Error> {
        let import = || self.import_changes_from(File::open(path.as_ref()).map_err(ImportError::from)?);
        match import() {
            // Only its end has told that this file is a copy.
            Err(Error::Import(ImportError::Renewed(renewal))) => {
                import().map(|imported| Imported { renewed: Some(renewal), ..imported })
            }
            imported => imported,
        }
    }

    /// As [`Database::import_changes`], from anything that can be read. The database is locked meanwhile, so let it be
    /// something that does not make it wait.
    ///
    /// # Errors
    /// As [`Database::import_changes`], and [`ImportError::Renewed`]: then import it once more.
    pub fn import_changes_from(&self, source: impl Read) -> Result<Imported, Error> {
        Ok(bundle::import_or_heal(&mut Shared(self), source, draw_spare(), now_ms())?)
    }

    /// All that this database has seen: who knows it can export exactly what is missing here, [`For::Holder`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn seen(&self) -> Result<VersionVector, Error> {
        self.with(Replica::seen)
    }
}

/// A file under another name until it is whole; removed if it never is.
struct Unfinished {
    file: File,
    path: PathBuf,
}

impl Unfinished {
    fn create(target: &Path) -> io::Result<Self> {
        let mut name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
        let path = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }

    fn finish(mut self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, target)?;
        // Nothing is left to remove.
        self.path = PathBuf::new();
        sync_folder(target)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // It says so in its name that it is not finished; the error that led here is told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the new name durable, where folders can be synced.
fn sync_folder(target: &Path) -> io::Result<()> {
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
