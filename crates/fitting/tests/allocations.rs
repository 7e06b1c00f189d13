//! Ten thousand ticks of every decoder allocate nothing.
#![expect(unsafe_code, reason = "a global allocator that counts is unsafe by its nature")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "functions that tests share fail like tests")]

mod small_models;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kalmind_filter::DecoderName;
use kalmind_types::{Intent, Position};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches a thread-local number alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise about pointer and layout is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

#[test]
fn ten_thousand_ticks_of_every_decoder_allocate_nothing() {
    let before = count();
    drop(std::hint::black_box(vec![1_u8]));
    assert_eq!(count() - before, 2, "the allocator counts");

    let data = small_models::training_data(300, 20);
    let rows: Vec<Vec<f64>> = data.features.row_iter().map(|row| row.iter().copied().collect()).collect();
    for decoder in DecoderName::ALL {
        for (at, spec) in small_models::variants(decoder).into_iter().enumerate() {
            let mut decoder = small_models::model(&spec, &data).decoder().unwrap();
            let mut intent = Intent::zero(2);
            let before = count();
            for tick in 0..if at == 0 { 10_000 } else { 1_000 } {
                if tick % 500 == 499 {
                    decoder.restart();
                }
                let features = (tick % 7 != 3).then_some(rows[tick % rows.len()].as_slice());
                decoder.observe_cursor(Position([0.1, 0.9]));
                std::hint::black_box(decoder.step(features, &mut intent));
                std::hint::black_box(decoder.unfiltered());
            }
            assert_eq!(count() - before, 0, "{spec}");
        }
    }
}
