//! The tick thread allocates and frees nothing: counted by a global allocator over 10,000 ticks of every decoder, with
//! stops, requests, targets, model swaps and windows at events in between.
#![expect(unsafe_code, reason = "a global allocator that counts can only be written with it")]
#![expect(clippy::expect_used, reason = "a test that cannot build its subject has failed")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arrayvec::ArrayVec;
use kalmind::tick::{
    QueuedCommand, RecordLane, StopLatch, StreamInput, TickCounts, TickQueues, TickRecord, TickThread, lane,
};
use kalmind_acquisition::{
    StreamMonitor, Waker, clock,
    pool::{PoolReader, pool},
    ring::ring,
};
use kalmind_engine::{
    Binner, BinnerSettings, CursorSettings, Engine, EngineSettings, History, HistoryRow, StreamBinning,
    WindowSettings,
};
use kalmind_filter::{DecoderSpec, KernelPath, LabelLaw, Model, READERS, TrainingData};
use kalmind_fitting::{FitSettings, fit};
use kalmind_offline::model::IdentifiedModel;
use kalmind_output::PublicationSource as _;
use kalmind_types::{
    Actor, Binning, ChannelMask, Command, Component, CursorDrive, EventMarker, Mode, NumberFormat, Position,
    SampleBlock, Samples, Seconds, StreamFeatures, StreamHealth, StreamTime, Target, TaskState,
};
use nalgebra::DMatrix;

const FEATURES: usize = 24;
const TICKS: u64 = 10_000;
const PERIOD: f64 = 0.02;
/// A marker comes at every so many samples, and its window is so many long: several overlap.
const MARKED: u64 = 3;
const WINDOW: u32 = 10;

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}
static TOUCHED: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count() {
    // a thread that is ending has no flag any more, and is not the one that counts
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        TOUCHED.fetch_add(1, Ordering::Relaxed);
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

/// Numbers between -1 and 1 from a 64-bit congruential generator.
fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn features() -> Vec<StreamFeatures> {
    vec![StreamFeatures::of_channels(Binning::Sample, FEATURES, None)]
}

fn window() -> WindowSettings {
    WindowSettings {
        name: "flash".to_owned(),
        texts: vec!["flash".to_owned()],
        stream: 0,
        channels: (0..FEATURES).map(|channel| channel.to_string()).collect(),
        offset: Seconds(0.0),
        count: WINDOW,
        reader: (READERS[0].example)(),
    }
}

fn model(decoder: &str) -> IdentifiedModel {
    let spec: DecoderSpec = decoder.parse().expect("a decoder");
    let mut state = 1;
    let mut velocity = [0.0_f64; 2];
    let (mut x, mut z) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        velocity = velocity.map(|value| 0.9 * value + 0.1 * noise(&mut state));
        z.extend(velocity);
        for feature in 0..FEATURES {
            x.push(velocity[feature % 2] * (1.0 + feature as f64 / 10.0) + 0.3 * noise(&mut state));
        }
    }
    let data =
        TrainingData::new(DMatrix::from_row_slice(400, FEATURES, &x), DMatrix::from_row_slice(400, 2, &z));
    let fitted = fit(&spec, &data, &FitSettings::default(), &mut |_| {}).expect("a fit");
    let component = |name: &str| Component { name: name.to_owned(), unit: String::new() };
    IdentifiedModel::of(Model {
        components: vec![component("vx"), component("vy")],
        streams: features(),
        guard: Some(fitted.guard),
        ..Model::plain(spec, vec![0.0; FEATURES], 2, fitted.parameters)
    })
    .expect("a model")
}

/// A command that no stop is newer than.
fn now(command: Command) -> QueuedCommand {
    QueuedCommand { command, stops: u64::MAX }
}

/// Takes ticks into the history and gives their records back.
fn drain(records: &mut PoolReader<TickRecord>, history: &mut History, end: &mut f64) {
    while let Some(record) = records.receive() {
        history.push(&HistoryRow::of(&record.input, record.bin, &record.features));
        *end = record.input.time.0;
        records.give_back(record);
    }
}

#[expect(clippy::too_many_lines, reason = "one run from wiring to count, in the order in which it happens")]
/// Runs the tick thread over [`TICKS`] samples and says how often it touched the heap after its start.
fn heap_touches(decoder: &str) -> u64 {
    let model = model(decoder);
    let engine = Engine::new(EngineSettings {
        features: features(),
        max_masked: 0.25,
        restart_after: Seconds(0.5),
        stale_after: Seconds(0.1),
        auto_resume: Seconds(2.0),
        start: Mode::Control,
        cursor: CursorSettings { smoothing: Seconds(0.05), ..CursorSettings::default() },
        label_law: LabelLaw::default(),
        plausibility: true,
        fallback_stale: Seconds(0.3),
    })
    .expect("an engine")
    .with_windows(&[window()])
    .expect("a reader");
    let mut examiner = engine.examiner();
    let stream = StreamBinning {
        binning: Binning::Sample,
        rate_hz: Some(1.0 / PERIOD),
        required: true,
        max_age: Seconds(0.0),
        blocks: 64,
        block_samples: 4,
    };
    let binner = BinnerSettings {
        width: Seconds(PERIOD),
        max_wait: Seconds(10.0),
        epoch_jump: Seconds(1.0),
        streams: vec![stream],
    };
    let binner = Binner::new(binner, ChannelMask::default()).expect("a binner");
    let binner = binner.with_windows(vec![window().cut()], |_| FEATURES);
    let (mut blocks_in, blocks) = pool(64, || SampleBlock::with_capacity(NumberFormat::Float32, FEATURES, 4));
    let (desk_lane, mut desk_records) = RecordLane::new(64, FEATURES, FEATURES, Waker::new());
    // one reader that never reads: its lane is full for most of the run
    let (recorder_lane, _recorder_records) = RecordLane::new(64, FEATURES, FEATURES, Waker::new());
    let unrecorded = recorder_lane.lost();
    let (mut commands_in, commands) = ring(64);
    let (mut markers_in, markers) = ring(64);
    let (mut models_in, models) = ring(8);
    let (retired, mut retired_out) = ring(8);
    let (first_lane, mut first_source) = lane(256);
    let (second_lane, mut second_source) = lane(256);
    let waker = Waker::new();
    let counts = Arc::new(TickCounts::default());
    let end = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(StopLatch::new(Waker::new()));
    let thread = TickThread {
        engine,
        binner,
        streams: [StreamInput { blocks, monitor: Arc::new(StreamMonitor::new("features")) }]
            .into_iter()
            .collect(),
        queues: TickQueues {
            commands,
            models,
            retired,
            markers: Some(markers),
            records: ArrayVec::from_iter([desk_lane, recorder_lane]),
            lanes: ArrayVec::from_iter([first_lane, second_lane]),
        },
        stop: Arc::clone(&stop),
        counts: Arc::clone(&counts),
        width: Seconds(PERIOD),
        end: Arc::clone(&end),
    };
    TOUCHED.store(0, Ordering::Relaxed);
    let tick = std::thread::spawn({
        let waker = waker.clone();
        move || {
            assert!(waker.attach());
            // the first park of a thread may set something up; that is the start, not the tick
            std::thread::park_timeout(std::time::Duration::from_millis(1));
            COUNTED.set(true);
            thread.run();
        }
    });

    let mut history = History::new(FEATURES, 250);
    let mut history_end = f64::NEG_INFINITY;
    let mut state = 7;
    let start = clock::now().0;
    for number in 0..TICKS {
        match number % 1000 {
            0 | 500 => {
                // the same model again under its own name: staged, swapped in, the one before handed back
                let staged = model.stage(false, KernelPath::detect()).expect("builds");
                if models_in.push(staged).is_ok() {
                    commands_in.push(now(Command::SwapModel(model.id))).expect("room");
                }
            }
            // warmed over what came before, to its end, two bins short of it, and too late
            600 | 650 | 700 => {
                let newest = StreamTime(start + (number - 1) as f64 * PERIOD);
                while history_end < newest.0 - 1e-9 {
                    drain(&mut desk_records, &mut history, &mut history_end);
                    while first_source.next().is_some() {}
                    std::thread::yield_now();
                }
                let behind = [0, 2, 5][(number % 1000 - 600) as usize / 50];
                let mut staged = model.stage(false, KernelPath::detect()).expect("builds");
                let (from, last) = history.held().expect("ticks were before");
                let through = last - behind;
                for row in (from..=through).filter_map(|seq| history.row(seq)) {
                    staged.warm(&row, &mut examiner);
                }
                if models_in.push(staged).is_ok() {
                    let swap = Command::SwapWarmed { model: model.id, from, through };
                    commands_in.push(now(swap)).expect("room");
                }
            }
            200 => stop.set(Actor::Client),
            210 => {
                let request = Command::Request { mode: Mode::Calibrating, resume: true, by: Actor::Operator };
                commands_in.push(now(request)).expect("room");
                let target = Target { position: Position([0.8, 0.2]), radius: 0.06 };
                let task = TaskState { target: Some(target), drive: CursorDrive::Label };
                commands_in.push(now(Command::Task(task))).expect("room");
            }
            300 => {
                let request = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
                commands_in.push(now(request)).expect("room");
                commands_in.push(now(Command::PlaceCursor(Position([0.5, 0.5])))).expect("room");
            }
            _ => {}
        }
        if number % MARKED == 0 {
            // now and then it comes too late
            let early = if number % 1000 == 0 { 60.0 } else { 0.0 };
            let stamp = StreamTime(start + number as f64 * PERIOD - early);
            let _full = markers_in.push(EventMarker { window: 0, text: 0, stamp, offset: Seconds(0.0) });
        }
        let mut block = loop {
            match blocks_in.claim() {
                Some(block) => break block,
                None => std::thread::yield_now(),
            }
        };
        block.first_index = number;
        block.health = StreamHealth::Live;
        block.received = clock::now();
        block.stamps.clear();
        // a sample goes missing now and then, and a quarter of a second every thousand, and early on
        let skipped = if number % 1000 == 999 || number == 300 { 0.25 } else { 0.0 };
        block.stamps.push(StreamTime(start + number as f64 * PERIOD + skipped));
        block.values.clear();
        if let Samples::Float32(values) = &mut block.values {
            for feature in 0..FEATURES {
                let broken = number % 97 == 0 && feature < 3 || number % 331 == 0 && feature < 20;
                values.push(if broken { f32::NAN } else { noise(&mut state) as f32 });
            }
        }
        blocks_in.send(block);
        waker.wake();
        drain(&mut desk_records, &mut history, &mut history_end);
        while first_source.next().is_some() {}
        while second_source.next().is_some() {}
        while retired_out.pop().is_some() {}
    }
    while counts.ticks.load(Ordering::Relaxed) < TICKS {
        while first_source.next().is_some() {}
        std::thread::yield_now();
    }
    let touched = TOUCHED.load(Ordering::Relaxed);
    end.store(true, Ordering::Release);
    waker.wake();
    tick.join().expect("the tick thread does not panic");
    assert_eq!(counts.panics.load(Ordering::Relaxed), 0);
    assert!(unrecorded.load(Ordering::Relaxed) > 0, "the lane that nobody reads was full");
    assert_eq!(counts.models_late.load(Ordering::Relaxed), TICKS / 1000, "one in three came late");
    for (name, _, value) in counts.windows.named() {
        assert!(value > 0 || !["read", "late", "gap", "not_finite"].contains(&name), "no window was {name}");
    }
    assert!(counts.incomplete.load(Ordering::Relaxed) > 0, "some bins were incomplete");
    assert!(counts.masked_features.load(Ordering::Relaxed) > 0, "some features were masked");
    touched
}

#[test]
fn no_decoder_makes_the_tick_thread_touch_the_heap() {
    // one test: the counter is one for the process
    COUNTED.set(true);
    drop(std::hint::black_box(Box::new(1)));
    COUNTED.set(false);
    assert_eq!(TOUCHED.load(Ordering::Relaxed), 2, "the allocator counts");
    for decoder in [
        "kalman",
        "kalman-steady",
        "wiener:lags=3",
        "dkf-linear",
        "dkf-nw",
        "dkf-nw:lags=2,state-order=2,q=kernel,form=robust",
        "dkf-nw:form=clipped",
        "dkf-nw:form=augmented,q=kernel",
    ] {
        assert_eq!(heap_touches(decoder), 0, "{decoder}");
    }
}
