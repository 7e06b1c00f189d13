//! The tick thread allocates and frees nothing: counted by a global allocator over 10,000 ticks of every decoder and of
//! streams of every binning, with stops, requests, targets, model swaps and windows at events in between.
#![expect(clippy::expect_used, reason = "a test that cannot build its subject has failed")]

mod counting_allocator;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arrayvec::ArrayVec;
use counting_allocator::{IS_WATCHED, WATCHED};
use kalmind::tick::{
    QueuedCommand, RecordLane, StopLatch, StreamInput, TickCounts, TickQueues, TickRecord, TickThread, lane,
};
use kalmind_acquisition::{
    StreamMonitor, Waker, clock,
    pool::{PoolReader, pool},
    ring::ring,
};
use kalmind_engine::{
    Binner, BinnerSettings, CursorSettings, Engine, EngineSettings, History, StreamBinning, WindowSettings,
};
use kalmind_filter::{
    ClickParameters, ClickSettings, DecoderSpec, KernelPath, LabelLaw, Model, READERS, TrainingData, ZScore,
};
use kalmind_fitting::{FitSettings, fit};
use kalmind_offline::model::IdentifiedModel;
use kalmind_output::PublicationSource as _;
use kalmind_types::{
    Actor, Binning, ChannelMask, Command, Component, CursorDrive, EventMarker, MAX_STREAMS, Mode,
    NumberFormat, Position, SampleBlock, Samples, Seconds, StreamFeatures, StreamHealth, StreamOutput,
    StreamTime, Target, TaskState,
};
use nalgebra::DMatrix;

const FEATURES: usize = 24;
const TICKS: u64 = 10_000;
const PERIOD: f64 = 0.02;
/// A marker comes at every so many bins, and its window is so many samples long: several overlap.
const MARKED: u64 = 3;
const WINDOW: u32 = 10;

/// A stream that is sent: so many samples a bin, in every so-manieth bin.
struct Sent {
    features: StreamFeatures,
    format: NumberFormat,
    in_a_bin: u64,
    every: u64,
}

impl Sent {
    fn rate_hz(&self) -> f64 {
        self.in_a_bin as f64 / self.every as f64 / PERIOD
    }

    /// The standard deviation of its features, as a part of that of [`noise`].
    fn scale(&self) -> f64 {
        let samples = self.in_a_bin as f64;
        let unit = if self.format == NumberFormat::Int16 { 100.0 } else { 1.0 };
        match self.features.binning {
            Binning::Mean => unit / samples.sqrt(),
            Binning::Sum => unit * samples.sqrt(),
            _ => unit,
        }
    }

    /// What is sent in a bin that begins at `begin`: samples in the middle of their periods, one in forty channels broken.
    fn fill(&self, block: &mut SampleBlock, number: u64, begin: f64, state: &mut u64) {
        block.first_index = number / self.every * self.in_a_bin;
        block.health = StreamHealth::Live;
        block.received = clock::now();
        block.stamps.clear();
        block.values.clear();
        for sample in 0..self.in_a_bin {
            block.stamps.push(StreamTime(begin + (sample as f64 + 0.5) * PERIOD / self.in_a_bin as f64));
            for feature in 0..self.features.width() {
                let broken =
                    number.is_multiple_of(31) && feature < 3 || number.is_multiple_of(331) && feature < 20;
                let value = if broken { f64::NAN } else { noise(state) };
                match &mut block.values {
                    Samples::Float32(values) => values.push(value as f32),
                    Samples::Double64(values) => values.push(value),
                    Samples::Int16(values) => values.push((100.0 * value) as i16),
                    _ => unreachable!("no stream of this test has another format"),
                }
            }
        }
    }
}

/// Numbers between -1 and 1 from a 64-bit congruential generator.
fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// One stream whose samples are bins.
fn alone() -> Vec<Sent> {
    let features = StreamFeatures::of_channels(Binning::Sample, FEATURES, None);
    vec![Sent { features, format: NumberFormat::Float32, in_a_bin: 1, every: 1 }]
}

/// A derived stream, counts, and a stream slower than the bins.
fn together() -> Vec<Sent> {
    let output = |at: usize| StreamOutput {
        name: at.to_string(),
        unit: String::new(),
        channel: Some(at / 2),
        sources: Vec::new(),
    };
    let derived = StreamFeatures {
        outputs: Some((0..16).map(output).collect()),
        ..StreamFeatures::of_channels(Binning::Mean, 8, None)
    };
    let plain = |binning, channels| StreamFeatures::of_channels(binning, channels, None);
    vec![
        Sent { features: derived, format: NumberFormat::Double64, in_a_bin: 10, every: 1 },
        Sent { features: plain(Binning::Sum, 6), format: NumberFormat::Int16, in_a_bin: 4, every: 1 },
        Sent { features: plain(Binning::Latest, 2), format: NumberFormat::Float32, in_a_bin: 1, every: 5 },
    ]
}

fn window(sent: &[Sent]) -> WindowSettings {
    WindowSettings {
        name: "flash".to_owned(),
        texts: vec!["flash".to_owned()],
        stream: 0,
        channels: (0..sent[0].features.width()).map(|channel| channel.to_string()).collect(),
        offset: Seconds(0.0),
        count: WINDOW,
        reader: (READERS[0].example)(),
    }
}

fn features(sent: &[Sent]) -> Vec<StreamFeatures> {
    sent.iter().map(|sent| sent.features.clone()).collect()
}

fn model(decoder: &str, sent: &[Sent]) -> IdentifiedModel {
    let spec: DecoderSpec = decoder.parse().expect("a decoder");
    let mut state = 1;
    let mut velocity = [0.0_f64; 2];
    // as far as the monitor of the input can tell, what is sent is what was trained on: otherwise nothing would be decoded
    let scales: Vec<f64> =
        sent.iter().flat_map(|sent| std::iter::repeat_n(sent.scale(), sent.features.width())).collect();
    let (mut x, mut z) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        velocity = velocity.map(|value| 0.9 * value + 0.1 * noise(&mut state));
        z.extend(velocity);
        for feature in 0..FEATURES {
            let tuned = 0.1 * velocity[feature % 2] * (1.0 + feature as f64 / 10.0);
            x.push(scales[feature] * (tuned + noise(&mut state)));
        }
    }
    let data =
        TrainingData::new(DMatrix::from_row_slice(400, FEATURES, &x), DMatrix::from_row_slice(400, 2, &z));
    let fitted = fit(&spec, &data, &FitSettings::default(), &mut |_| {}).expect("a fit");
    let component = |name: &str| Component { name: name.to_owned(), unit: String::new() };
    IdentifiedModel::of(Model {
        components: vec![component("vx"), component("vy")],
        streams: features(sent),
        guard: Some(fitted.guard),
        reduction: fitted.reduction,
        click: Some(ClickParameters {
            weights: (0..FEATURES)
                .map(|feature| if feature < 4 { 3.0 / scales[feature] } else { 0.0 })
                .collect(),
            intercept: -2.0,
            settings: ClickSettings {
                begin: 0.05,
                end: 0.1,
                threshold: 0.9,
                release: 0.5,
                hold_ms: 20.0,
                refractory_ms: 100.0,
            },
        }),
        zscore: spec
            .options
            .running_zscore
            .map(|_| ZScore { mean: vec![0.0; FEATURES], standard_deviation: vec![1.0; FEATURES] }),
        ..Model::plain(spec, vec![0.0; FEATURES], 2, fitted.parameters)
    })
    .expect("a model")
}

/// A command that no stop is newer than.
fn now(command: Command) -> QueuedCommand {
    QueuedCommand { command, stops: u64::MAX }
}

/// Takes ticks into the history and gives their records back; notes the end of the newest, and how many presses there were.
fn drain(records: &mut PoolReader<TickRecord>, history: &mut History, (end, presses): &mut (f64, u64)) {
    while let Some(record) = records.receive() {
        history.follow(&record.row(), record.adaptive.as_deref());
        *end = record.input.time.0;
        *presses = record.published.output.click.map_or(*presses, |click| click.presses);
        records.give_back(record);
    }
}

#[expect(clippy::too_many_lines, reason = "one run from wiring to count, in the order in which it happens")]
/// Runs the tick thread over [`TICKS`] bins and says how often it touched the heap after its start.
fn heap_touches(decoder: &str, sent: &[Sent]) -> u64 {
    let model = model(decoder, sent);
    let engine = Engine::new(EngineSettings {
        features: features(sent),
        max_masked: 0.25,
        restart_after: Seconds(0.5),
        stale_after: Seconds(0.1),
        auto_resume: Seconds(2.0),
        start: Mode::Control,
        cursor: CursorSettings { smoothing: Seconds(0.05), ..CursorSettings::default() },
        label_law: LabelLaw::default(),
        plausibility: true,
        fallback_stale: Seconds(0.3),
        doubted_calibrates: true,
    })
    .expect("an engine")
    .with_windows(&[window(sent)])
    .expect("a reader");
    let mut examiner = engine.examiner();
    let stream = |sent: &Sent| StreamBinning {
        binning: sent.features.binning,
        rate_hz: Some(sent.rate_hz()),
        required: true,
        max_age: Seconds(0.5),
        blocks: 64,
        block_samples: 16,
    };
    let binner = BinnerSettings {
        width: Seconds(PERIOD),
        max_wait: Seconds(10.0),
        epoch_jump: Seconds(1.0),
        streams: sent.iter().map(stream).collect(),
    };
    let mut masked = ChannelMask::default();
    assert!(masked.mask(0, 5));
    let binner = Binner::new(binner, masked).expect("a binner");
    let binner = binner.with_windows(vec![window(sent).cut()], |stream| sent[stream].features.width());
    let (mut blocks_in, streams): (Vec<_>, ArrayVec<_, MAX_STREAMS>) = sent
        .iter()
        .map(|sent| {
            let block = || SampleBlock::with_capacity(sent.format, sent.features.width(), 16);
            let (blocks_in, blocks) = pool(64, block);
            (blocks_in, StreamInput { blocks, monitor: Arc::new(StreamMonitor::new("features")) })
        })
        .unzip();
    // more than can be closed of the blocks that may wait: it is never full
    let (desk_lane, mut desk_records) = RecordLane::new(256, FEATURES, FEATURES, Waker::new());
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
        streams,
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
    let before = WATCHED.load(Ordering::Relaxed);
    let tick = std::thread::spawn({
        let waker = waker.clone();
        move || {
            assert!(waker.attach());
            // the first park of a thread may set something up; that is the start, not the tick
            std::thread::park_timeout(std::time::Duration::from_millis(1));
            IS_WATCHED.set(true);
            thread.run();
        }
    });

    let mut history = History::new(FEATURES, 250);
    let mut drained = (f64::NEG_INFINITY, 0);
    let mut state = 7;
    let mut marked = 0;
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
                // a bin's time is that of the sample in its middle, where that makes the bin
                while drained.0 < start + (number as f64 - 0.6) * PERIOD {
                    drain(&mut desk_records, &mut history, &mut drained);
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
                let task =
                    TaskState { target: Some(target), drive: CursorDrive::Label, ..TaskState::default() };
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
            let marker = EventMarker { window: 0, text: 0, stamp, offset: Seconds(0.0) };
            marked += u64::from(markers_in.push(marker).is_ok());
        }
        // a sample goes missing now and then, and a quarter of a second often enough that windows meet it, however the threads run
        let skipped = if number % 250 == 249 || number == 300 { 0.25 } else { 0.0 };
        for (sent, blocks_in) in sent.iter().zip(&mut blocks_in) {
            if !number.is_multiple_of(sent.every) {
                continue;
            }
            let mut block = loop {
                match blocks_in.claim() {
                    Some(block) => break block,
                    None => std::thread::yield_now(),
                }
            };
            sent.fill(&mut block, number, start + number as f64 * PERIOD + skipped, &mut state);
            blocks_in.send(block);
        }
        waker.wake();
        drain(&mut desk_records, &mut history, &mut drained);
        while first_source.next().is_some() {}
        while second_source.next().is_some() {}
        while retired_out.pop().is_some() {}
    }
    while counts.ticks.load(Ordering::Relaxed) < TICKS {
        while first_source.next().is_some() {}
        std::thread::yield_now();
    }
    let touched = WATCHED.load(Ordering::Relaxed) - before;
    end.store(true, Ordering::Release);
    waker.wake();
    tick.join().expect("the tick thread does not panic");
    assert_eq!(counts.panics.load(Ordering::Relaxed), 0);
    assert!(drained.1 > TICKS / 1000, "presses came: {}", drained.1);
    assert!(unrecorded.load(Ordering::Relaxed) > 0, "the lane that nobody reads was full");
    assert_eq!(counts.models_late.load(Ordering::Relaxed), TICKS / 1000, "one in three came late");
    for (name, _, value) in counts.windows.named() {
        assert!(value > 0 || !["read", "late", "gap", "not_finite"].contains(&name), "no window was {name}");
    }
    let told: u64 = counts.windows.named().map(|(.., value)| value).sum();
    assert_eq!(told, marked, "something is said of every window, of those under way at the end as well");
    assert!(counts.incomplete.load(Ordering::Relaxed) > 0, "some bins were incomplete");
    assert!(counts.masked_features.load(Ordering::Relaxed) > 0, "some features were masked");
    assert!(counts.nonfinite_values.load(Ordering::Relaxed) > 0, "some values were not finite");
    touched
}

#[test]
fn no_decoder_makes_the_tick_thread_touch_the_heap() {
    // one test: the counter is one for the process
    IS_WATCHED.set(true);
    drop(std::hint::black_box(Box::new(1)));
    IS_WATCHED.set(false);
    assert_eq!(WATCHED.load(Ordering::Relaxed), 2, "the allocator counts");
    for decoder in [
        "kalman",
        "kalman-steady",
        "wiener:lags=3",
        "dkf-linear",
        "dkf-nw",
        "dkf-nw:lags=2,state-order=2,q=kernel,form=robust",
        "dkf-nw:form=clipped",
        "dkf-nw:form=augmented,q=kernel",
        "wiener:lags=3,guard=on,running-zscore=5",
        "wiener:lags=3,guard=on,select=5",
        "kalman:select=6,pca=3,running-zscore=5",
    ] {
        assert_eq!(heap_touches(decoder, &alone()), 0, "{decoder}");
    }
    for decoder in ["kalman-steady", "wiener:lags=15", "dkf-nw:lags=2"] {
        assert_eq!(heap_touches(decoder, &together()), 0, "{decoder} of several streams");
    }
}
