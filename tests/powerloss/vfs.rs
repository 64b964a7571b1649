//! SQLite's file system, with everything written down: a VFS that wraps the default one and becomes the default itself.
//!
//! The only file with unsafe code, because SQLite's interface is one of C. What is written down, and what becomes of it,
//! is safe code in `record.rs`. Shared memory, locks and reads go through untouched, so that write-ahead logging works as
//! it does without this. Syncs do not go through: the disk that could fail is the one in `disk.rs`, and not to wait for
//! the real one is most of the speed.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::Once;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use crate::record::{self, FileId};

/// An open file. The file of the VFS below follows it in memory.
#[repr(C)]
struct Recorded {
    base: sqlite3_file,
    /// What it is called in the record; `None` for files that are not recorded.
    id: Option<FileId>,
}

/// A multiple of the alignment of everything that SQLite puts there.
const OWN_BYTES: usize = size_of::<Recorded>().next_multiple_of(16);

/// Makes it the VFS of every connection that this process opens from now on.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: null asks for the default VFS, which exists as long as the process.
        let below = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!below.is_null(), "SQLite has a default VFS on every platform with files");
        // SAFETY: `below` was just found, and a VFS is plain data. Its functions that are kept as they are look at nothing
        // of the VFS that they are given but `mxPathname`, which is copied too.
        let mut vfs = unsafe { *below };
        vfs.szOsFile += c_int::try_from(OWN_BYTES).expect("a few bytes");
        vfs.zName = c"recorded".as_ptr();
        vfs.pAppData = below.cast();
        vfs.pNext = ptr::null_mut();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        // SAFETY: the VFS is leaked, so it lives as long as the process, as SQLite demands.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1) };
        assert_eq!(code, ffi::SQLITE_OK, "a VFS can be registered");
    });
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // The version without memory-mapped files, whose writes would go past this.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The VFS below ours.
fn below(vfs: *mut sqlite3_vfs) -> *mut sqlite3_vfs {
    // SAFETY: SQLite calls us with the VFS that `install` registered, whose `pAppData` is the one below.
    unsafe { (*vfs).pAppData.cast() }
}

/// The file of the VFS below.
fn under(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `install` has asked for `OWN_BYTES` more than the VFS below needs, so both are in one allocation.
    unsafe { file.cast::<u8>().add(OWN_BYTES).cast() }
}

/// The methods of the file below.
fn methods(file: *mut sqlite3_file) -> &'static sqlite3_io_methods {
    // SAFETY: only called for files whose opening succeeded; their methods are static in the VFS below.
    unsafe { &*(*under(file)).pMethods }
}

fn id(file: *mut sqlite3_file) -> Option<FileId> {
    // SAFETY: every file with our methods was made by `open`, which has written a `Recorded` there.
    unsafe { (*file.cast::<Recorded>()).id }
}

fn path<'p>(name: *const c_char) -> Option<&'p Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite's names end in a zero and live for the time of the call.
    unsafe { CStr::from_ptr(name) }.to_str().ok().map(Path::new)
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let below = below(vfs);
    // SAFETY: the call as it came, to the VFS below, for the file that lies in the memory behind ours.
    let code = unsafe { ((*below).xOpen.expect("mandatory"))(below, name, under(file), flags, out_flags) };
    let kinds = ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL;
    let id = match path(name) {
        Some(path) if code == ffi::SQLITE_OK && flags & kinds != 0 => record::opened(path),
        _ => None,
    };
    // SAFETY: SQLite gives us `szOsFile` bytes; null methods tell it not to call `close`.
    unsafe {
        let opened = code == ffi::SQLITE_OK;
        let base = sqlite3_file { pMethods: if opened { &raw const METHODS } else { ptr::null() } };
        file.cast::<Recorded>().write(Recorded { base, id });
    }
    code
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    let below = below(vfs);
    // SAFETY: the call as it came, to the VFS below. The folder is not synced, as nothing is.
    let code = unsafe { ((*below).xDelete.expect("mandatory"))(below, name, 0) };
    if let Some(path) = path(name).filter(|_| code == ffi::SQLITE_OK) {
        record::deleted(path, sync_folder != 0);
    }
    code
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: passed on to the file below.
    unsafe { (methods(file).xClose.expect("mandatory"))(under(file)) }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, n: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: passed on to the file below.
    unsafe { (methods(file).xRead.expect("mandatory"))(under(file), to, n, at) }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    n: c_int,
    at: sqlite3_int64,
) -> c_int {
    let Some(id) = id(file) else {
        // SAFETY: passed on to the file below.
        return unsafe { (methods(file).xWrite.expect("mandatory"))(under(file), from, n, at) };
    };
    if !record::has_room() {
        return ffi::SQLITE_FULL;
    }
    // SAFETY: passed on to the file below.
    let code = unsafe { (methods(file).xWrite.expect("mandatory"))(under(file), from, n, at) };
    if code == ffi::SQLITE_OK {
        let length = usize::try_from(n).expect("a length");
        // SAFETY: SQLite gives `n` bytes to be written, which stay as they are during the call.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
        record::written(id, u64::try_from(at).expect("an offset"), bytes);
    }
    code
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: passed on to the file below.
    let code = unsafe { (methods(file).xTruncate.expect("mandatory"))(under(file), size) };
    if let Some(id) = id(file).filter(|_| code == ffi::SQLITE_OK) {
        record::truncated(id, u64::try_from(size).expect("a size"));
    }
    code
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    match id(file) {
        Some(id) => {
            record::synced(id);
            ffi::SQLITE_OK
        }
        // SAFETY: passed on to the file below.
        None => unsafe { (methods(file).xSync.expect("mandatory"))(under(file), flags) },
    }
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, what: c_int, with: *mut c_void) -> c_int {
    if what == ffi::SQLITE_FCNTL_PRAGMA {
        // SAFETY: for a pragma SQLite gives an array of three texts: a result, the name, and the argument or null.
        let (name, value) = unsafe {
            let texts = with.cast::<*const c_char>();
            (CStr::from_ptr(*texts.add(1)), (*texts.add(2)).as_ref().map(|text| CStr::from_ptr(text)))
        };
        if record::swallows(name.to_str().unwrap_or_default(), value.and_then(|value| value.to_str().ok())) {
            return ffi::SQLITE_OK;
        }
    }
    // SAFETY: passed on to the file below.
    unsafe { (methods(file).xFileControl.expect("mandatory"))(under(file), what, with) }
}

/// Functions that only pass the call on to the file below.
macro_rules! passed_on {
    ($($name:ident as $method:ident ($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $type)*) $(-> $result)? {
            // SAFETY: passed on to the file below, which has this method because its VFS is of files.
            unsafe { (methods(file).$method.expect("a VFS of files has it"))(under(file) $(, $argument)*) }
        }
    )*};
}

passed_on! {
    file_size as xFileSize(size: *mut sqlite3_int64) -> c_int;
    lock as xLock(level: c_int) -> c_int;
    unlock as xUnlock(level: c_int) -> c_int;
    check_reserved_lock as xCheckReservedLock(out: *mut c_int) -> c_int;
    sector_size as xSectorSize() -> c_int;
    device_characteristics as xDeviceCharacteristics() -> c_int;
    shm_map as xShmMap(page: c_int, bytes: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock as xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int;
    shm_barrier as xShmBarrier();
    shm_unmap as xShmUnmap(delete: c_int) -> c_int;
}
