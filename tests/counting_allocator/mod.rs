//! A global allocator that counts how often each thread takes memory or gives it back: shared by tests of what runs on the
//! tick or on an inlet's thread.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "some tests count on their own thread, some on another"
)]
#![expect(unsafe_code, reason = "a global allocator that counts can only be written with it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

thread_local! {
    /// Allocations and frees of this thread so far.
    pub(crate) static TOUCHED: Cell<u64> = const { Cell::new(0) };
    /// Whether those of this thread are in [`WATCHED`] too.
    pub(crate) static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Allocations and frees of watched threads so far, for tests that look on from another thread.
pub(crate) static WATCHED: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count() {
    // a thread that is ending has no counter any more
    let _ending = TOUCHED.try_with(|touched| touched.set(touched.get() + 1));
    if IS_WATCHED.try_with(Cell::get).unwrap_or(false) {
        WATCHED.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` hold for the system's allocator as well.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the pointer came from `alloc` above, so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
