//! An allocator that counts, so that memory is capped per input and to the byte. (The malloc hooks of libFuzzer work with
//! a sanitizer only, and it looks at the resident size once a second.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CAP: AtomicUsize = AtomicUsize::new(usize::MAX);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// Loads and stores instead of additions: targets run on one thread, and these are in the way of every allocation.
fn grow(bytes: usize) {
    let live = LIVE.load(Relaxed).wrapping_add(bytes);
    LIVE.store(live, Relaxed);
    if live > PEAK.load(Relaxed) {
        PEAK.store(live, Relaxed);
        if live > CAP.load(Relaxed) {
            // Without the cap, so that the report can be written. An allocator must not unwind.
            CAP.store(usize::MAX, Relaxed);
            eprintln!("{live} bytes of memory are in use, more than this input may take");
            std::process::abort();
        }
    }
}

fn shrink(bytes: usize) {
    LIVE.store(LIVE.load(Relaxed).wrapping_sub(bytes), Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        shrink(layout.size());
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrink(layout.size());
        grow(size);
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Runs a target on an input, and ends the process when it takes more than so many bytes at once.
pub fn capped(bytes: usize, target: impl FnOnce()) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    CAP.store(before.saturating_add(bytes), Relaxed);
    target();
    CAP.store(usize::MAX, Relaxed);
}
