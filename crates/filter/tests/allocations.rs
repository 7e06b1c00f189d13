//! Ten thousand ticks of every decoder allocate nothing.
#![expect(unsafe_code, reason = "a global allocator that counts is unsafe by its nature")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kalmind_filter::{DecoderSpec, FitSettings, Model, TrainingData, fit};
use kalmind_types::{Binning, Component, Intent, StreamFeatures};
use nalgebra::DMatrix;

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

    let value = |row: usize, column: usize| ((row * row * 7 + column * 13 * row + column) as f64).sin();
    let states = DMatrix::from_fn(400, 2, |row, column| {
        (0..8).map(|back| value((row + 8 - back) / 2, column)).sum::<f64>()
    });
    let features =
        DMatrix::from_fn(400, 20, |row, column| states[(row, column % 2)] + 2.0 * value(row, column + 5));
    let data = TrainingData::new(features.clone(), states);
    for text in [
        "kalman",
        "kalman:state-order=2",
        "kalman-steady",
        "wiener",
        "wiener:lags=3,guard=on",
        "dkf-mk:steps=3",
        "dkf-linear:lags=3",
        "dkf-linear:q=kernel",
        "dkf-nw",
        "dkf-nw:form=robust,lags=3,state-order=3",
        "dkf-nw:form=clipped,q=kernel",
        "dkf-nw:form=augmented,q=kernel,state-order=2,start=prior",
    ] {
        let spec: DecoderSpec = text.parse().unwrap();
        let fitted = fit(&spec, &data, &FitSettings::default(), &mut |_| ()).unwrap();
        let model = Model {
            decoder: spec,
            streams: vec![StreamFeatures { binning: Binning::Sample, channels: 20, labels: None }],
            bin_ms: 20.0,
            components: ["vx", "vy"]
                .map(|name| Component { name: name.to_owned(), unit: String::new() })
                .to_vec(),
            training_mean: vec![0.0; 20],
            zscore: None,
            label_law: None,
            participant: None,
            training_hash: None,
            report: None,
            guard: Some(fitted.guard),
            parameters: fitted.parameters,
        };
        let mut decoder = model.decoder().unwrap();
        let rows: Vec<Vec<f64>> = features.row_iter().map(|row| row.iter().copied().collect()).collect();
        let mut intent = Intent::zero(2);
        let before = count();
        for tick in 0..10_000 {
            if tick % 1000 == 999 {
                decoder.restart();
            }
            let features = (tick % 7 != 3).then_some(rows[tick % rows.len()].as_slice());
            std::hint::black_box(decoder.step(features, &mut intent));
        }
        assert_eq!(count() - before, 0, "{text}");
    }
}
