//! What SQLite did to its files, in order; and the ways in which the disk, or the program, can be made worse on purpose.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

/// One file, from its making to its deletion: the next one of the same name is another.
pub type FileId = usize;

/// One thing that was done to a file. Files are named without their folder.
#[derive(Debug)]
pub enum Op {
    Create {
        file: FileId,
        name: String,
    },
    Write {
        file: FileId,
        offset: u64,
        bytes: Box<[u8]>,
    },
    Truncate {
        file: FileId,
        size: u64,
    },
    /// `folder`: the names of its folder became durable, too.
    Sync {
        file: FileId,
        folder: bool,
    },
    Delete {
        name: String,
        folder: bool,
    },
}

/// A fault that is planted, to see that it is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    #[default]
    None,
    /// A connection that was once at `synchronous = NORMAL` stays there: durable commits are not synced.
    StaysNormal,
    /// A backup is written at `synchronous = FULL`: the deletion of its journal is not synced.
    ForgetsExtra,
    /// The disk says that it has synced, and has not.
    NoSync,
}

#[derive(Debug, Default)]
struct Recorder {
    ops: Vec<Op>,
    names: BTreeMap<String, FileId>,
    files: usize,
    /// Journals whose first sync is to come. SQLite's VFS for Unix syncs the folder with it, below our sight.
    young: Vec<FileId>,
    /// So many writes until the disk is full.
    room: Option<u64>,
    /// Writes that failed because it was.
    refused: u64,
    lie: Lie,
}

thread_local! {
    /// One per thread, because a workload uses no other thread, and workloads run side by side.
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

fn with<R: Default>(work: impl FnOnce(&mut Recorder) -> R) -> R {
    RECORDER.with_borrow_mut(|recorder| recorder.as_mut().map(work).unwrap_or_default())
}

/// Starts to record what this thread does.
pub fn start(lie: Lie) {
    RECORDER.set(Some(Recorder { lie, ..Recorder::default() }));
}

/// Stops, and gives what was recorded.
pub fn stop() -> Vec<Op> {
    RECORDER.take().map(|recorder| recorder.ops).unwrap_or_default()
}

/// How much was recorded so far.
pub fn now() -> usize {
    with(|recorder| recorder.ops.len())
}

/// Makes the disk full after so many more writes, or gives it room without end.
pub fn set_room(writes: Option<u64>) {
    with(|recorder| recorder.room = writes);
}

/// How many writes failed because the disk was full.
pub fn refused() -> u64 {
    with(|recorder| recorder.refused)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A file was opened; the first time under a name, it was made.
pub fn opened(path: &Path) -> Option<FileId> {
    RECORDER.with_borrow_mut(|recorder| {
        let recorder = recorder.as_mut()?;
        let name = name(path);
        if let Some(file) = recorder.names.get(&name) {
            return Some(*file);
        }
        let file = recorder.files;
        recorder.files += 1;
        if name.ends_with("-wal") || name.ends_with("-journal") {
            recorder.young.push(file);
        }
        recorder.names.insert(name.clone(), file);
        recorder.ops.push(Op::Create { file, name });
        Some(file)
    })
}

/// Whether one more write fits on the disk.
pub fn has_room() -> bool {
    RECORDER.with_borrow_mut(|recorder| {
        let Some(recorder) = recorder else { return true };
        match &mut recorder.room {
            Some(0) => {
                recorder.refused += 1;
                false
            }
            Some(room) => {
                *room -= 1;
                true
            }
            None => true,
        }
    })
}

pub fn written(file: FileId, offset: u64, bytes: &[u8]) {
    with(|recorder| recorder.ops.push(Op::Write { file, offset, bytes: bytes.into() }));
}

pub fn truncated(file: FileId, size: u64) {
    with(|recorder| recorder.ops.push(Op::Truncate { file, size }));
}

pub fn synced(file: FileId) {
    with(|recorder| {
        if recorder.lie == Lie::NoSync {
            return;
        }
        let young = recorder.young.iter().position(|young| *young == file);
        let folder = young.map(|at| recorder.young.swap_remove(at)).is_some();
        recorder.ops.push(Op::Sync { file, folder });
    });
}

pub fn deleted(path: &Path, folder: bool) {
    with(|recorder| {
        let name = name(path);
        if recorder.names.remove(&name).is_some() {
            let folder = folder && recorder.lie != Lie::NoSync;
            recorder.ops.push(Op::Delete { name, folder });
        }
    });
}

/// Whether a pragma is kept from SQLite.
pub fn swallows(name: &str, value: Option<&str>) -> bool {
    let value = value.unwrap_or_default().trim_matches(['\'', '"']).to_ascii_lowercase();
    let swallowed = |recorder: &mut Recorder| match recorder.lie {
        Lie::StaysNormal => value == "full",
        Lie::ForgetsExtra => value == "extra",
        Lie::None | Lie::NoSync => false,
    };
    name.eq_ignore_ascii_case("synchronous") && with(swallowed)
}
