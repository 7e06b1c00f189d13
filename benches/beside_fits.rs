//! What a fit beside a session costs its ticks: the whole tick thread, fed 50 bins a second, with and without a fit on the
//! threads that the daemon fits on, at their low priority.
//!
//! `cargo bench --bench beside_fits [-- --pairs N] [--seconds N]`
//!
//! Ten pairs of 30 s take turns, so that whatever else loads the machine hits both alike; with every fifth pair come 30 s
//! beside a program that copies memory, which shows what a busy core costs by itself. Two tick threads run all the while,
//! half a bin apart, one of each decoder. Measured is the ledger's stage `decode`; of the trials' 99th percentiles the
//! medians are compared.
#![expect(clippy::expect_used, reason = "a benchmark whose models do not build has nothing to measure")]

mod example_run;
mod speed_table;

use std::{
    hint::black_box,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use arrayvec::ArrayVec;
use example_run::{WIDTH, binner, engine, model, noise};
use kalmind::{
    configuration::Realtime,
    process::realtime::{RealtimeSettings, Role, low_priority},
    tick::{LaneSource, QueuedCommand, StopLatch, StreamInput, TickCounts, TickQueues, TickThread, lane},
};
use kalmind_acquisition::{
    StreamMonitor, Waker, clock,
    pool::{PoolWriter, pool},
    ring::ring,
};
use kalmind_filter::{KernelPath, TrainingData};
use kalmind_fitting::{Budget, FitPool, FitSettings, fit};
use kalmind_output::{Ledger, LedgerWriter, PublicationSource as _, Stage};
use kalmind_types::{
    Binning, Command, LslTime, NumberFormat, Publication, SampleBlock, Samples, Seconds, StreamHealth,
    StreamTime,
};
use nalgebra::DMatrix;
use speed_table::Row;

const DECODERS: [&str; 2] = ["kalman-steady", "dkf-nw"];
const CHANNELS: usize = 192;
/// Rows of a fit, and what is fitted.
const ROWS: usize = 3000;
const FITTED: &str = "dkf-gp";
/// A search for hyperparameters ends so long before the trial, for what comes after it.
const AFTER_SEARCH: f64 = 6.0;
/// Bytes that are copied to and fro.
const COPIED: usize = 128 << 20;
/// Samples that are sent over and over.
const SAMPLES: usize = 64;

/// What runs beside the ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Fit,
    Copies,
}

/// A tick thread that runs, and both ends of its queues.
struct Running {
    blocks: PoolWriter<SampleBlock>,
    source: LaneSource,
    waker: Waker,
    end: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    /// Of its next sample.
    index: u64,
}

impl Running {
    fn start(decoder: &str) -> Self {
        let model = model(decoder, CHANNELS, Binning::Sample);
        let block = || SampleBlock::with_capacity(NumberFormat::Float32, CHANNELS, 1);
        let (blocks, received) = pool(16, block);
        let stream = StreamInput { blocks: received, monitor: Arc::new(StreamMonitor::new("array")) };
        let (mut commands_in, commands) = ring(4);
        let (mut models_in, models) = ring(2);
        let (retired, _retired) = ring(2);
        let (to_publisher, source) = lane(256);
        let (waker, end) = (Waker::new(), Arc::new(AtomicBool::new(false)));
        let thread = TickThread {
            engine: engine(model.model.streams.clone()),
            binner: binner(Binning::Sample, 1.0 / WIDTH, (16, 1)),
            streams: ArrayVec::from_iter([stream]),
            queues: TickQueues {
                commands,
                models,
                retired,
                markers: None,
                records: ArrayVec::new(),
                lanes: ArrayVec::from_iter([to_publisher]),
            },
            stop: Arc::new(StopLatch::new(waker.clone())),
            counts: Arc::new(TickCounts::default()),
            width: Seconds(WIDTH),
            end: Arc::clone(&end),
        };
        let staged = model.stage(true, KernelPath::detect()).expect("a decoder");
        assert!(models_in.push(staged).is_ok(), "there is room");
        let swap = QueuedCommand { command: Command::SwapModel(model.id), stops: u64::MAX };
        assert!(commands_in.push(swap).is_ok(), "there is room");
        let attached = waker.clone();
        let thread = std::thread::spawn(move || {
            let realtime = RealtimeSettings::new(Realtime::default());
            realtime.apply(Role::Tick, "tick").expect("nothing is required");
            assert!(attached.attach());
            thread.run();
        });
        Self { blocks, source, waker, end, thread, index: 0 }
    }

    /// Sends a sample as an inlet does.
    fn send(&mut self, values: &[f32], time: f64) {
        let mut block = self.blocks.claim().expect("the tick thread keeps up");
        block.first_index = self.index;
        block.health = StreamHealth::Live;
        block.stamps = vec![StreamTime(time)];
        block.values = Samples::Float32(values.to_vec());
        block.received = clock::now();
        self.blocks.send(block);
        self.waker.wake();
        self.index += 1;
    }

    fn end(self) {
        self.end.store(true, Ordering::Release);
        self.waker.wake();
        self.thread.join().expect("the tick thread does not panic");
    }
}

/// What a trial showed of a decoder.
#[derive(Clone, Copy, Debug)]
struct Trial {
    beside: Beside,
    decoder: usize,
    /// In microseconds.
    p99: f64,
    p50: f64,
    ticks: u64,
    late: u64,
}

/// The tick threads and what they are sent.
struct Bench {
    running: Vec<Running>,
    samples: Vec<Vec<f32>>,
    /// When the next sample is due, and how many were sent.
    due: f64,
    sent: usize,
}

impl Bench {
    fn new() -> Self {
        let rows = noise(SAMPLES, CHANNELS, 3) * 1.7;
        let samples = rows.row_iter().map(|row| row.iter().map(|value| *value as f32).collect()).collect();
        let running = DECODERS.map(Running::start).into();
        Self { running, samples, due: clock::seconds() + WIDTH, sent: 0 }
    }

    /// Ticks for so long; what they took.
    fn trial(&mut self, beside: Beside, seconds: f64) -> Vec<Trial> {
        let ledgers = [(); DECODERS.len()].map(|()| Ledger::new().expect("histograms"));
        let mut writers: Vec<_> = ledgers.iter().map(LedgerWriter::new).collect();
        let end = self.due + seconds;
        while self.due < end {
            // half a bin for each
            loop {
                let left = self.due - clock::seconds();
                if left <= 0.0 {
                    break;
                }
                std::thread::park_timeout(Duration::from_secs_f64(left));
            }
            let (count, sent) = (self.running.len(), self.sent);
            self.running[sent % count].send(&self.samples[sent / count % SAMPLES], self.due);
            (self.sent, self.due) = (sent + 1, self.due + WIDTH / count as f64);
            // the other one has been done for long
            let other = (sent + 1) % count;
            while let Some(publication) = self.running[other].source.next() {
                if let Publication::Tick(tick) = publication {
                    writers[other].record(&tick, LslTime(clock::seconds()));
                }
            }
        }
        drop(writers);
        let found = ledgers.iter().enumerate().map(|(decoder, ledger)| {
            let found = ledger.snapshot();
            let decode = found.stages[Stage::Decode as usize];
            Trial {
                beside,
                decoder,
                p99: decode.p99,
                p50: decode.p50,
                ticks: found.ticks,
                late: found.late_ticks,
            }
        });
        found.collect()
    }
}

/// Features that say, beside noise, where two states are that wander.
fn rows_to_fit() -> TrainingData {
    let (steps, tuning, errors) = (noise(ROWS, 2, 21), noise(2, CHANNELS, 22), noise(ROWS, CHANNELS, 23));
    let mut states = DMatrix::zeros(ROWS, 2);
    for row in 1..ROWS {
        let next = states.row(row - 1) * 0.95 + steps.row(row) * 0.3;
        states.set_row(row, &next);
    }
    let features = (&states * tuning).map(f64::sin) + errors;
    TrainingData::new(features, states)
}

/// Fits one after the other until `end`, as the desk does.
fn fits(pool: &FitPool, data: &TrainingData, end: f64) -> u64 {
    let mut count = 0;
    while clock::seconds() < end - AFTER_SEARCH {
        let budget = Some(Budget { end: end - AFTER_SEARCH, clock: clock::seconds });
        let settings = FitSettings { budget, ..FitSettings::default() };
        let spec = FITTED.parse().expect("a decoder");
        let fitted = pool.run(|| fit(&spec, data, &settings, &mut |_| {}));
        black_box(fitted.expect("no panic").expect("a fit"));
        count += 1;
    }
    count
}

/// Copies memory until `end`, at the priority of fits; fits nothing.
fn copies(end: f64) -> u64 {
    low_priority();
    let (mut from, mut to) = (vec![1_u8; COPIED], vec![0_u8; COPIED]);
    while clock::seconds() < end {
        to.copy_from_slice(&from);
        core::mem::swap(&mut from, &mut to);
        black_box(&to);
    }
    0
}

fn option(name: &str, default: f64) -> f64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(default, |value| value.parse().expect("a number"))
}

fn main() {
    let (pairs, seconds) = (option("--pairs", 10.0) as usize, option("--seconds", 30.0));
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let pool = FitPool::new(cores, low_priority).expect("threads");
    let (data, mut fitted) = (rows_to_fit(), 0);
    let mut bench = Bench::new();
    // what is slow once is over
    bench.trial(Beside::Nothing, 2.0);
    let mut trials = Vec::new();
    for pair in 0..pairs {
        trials.extend(bench.trial(Beside::Nothing, seconds));
        for beside in [Beside::Fit, Beside::Copies] {
            if beside == Beside::Copies && pair % 5 != 4 {
                continue;
            }
            let end = bench.due + seconds;
            std::thread::scope(|scope| {
                let busy = scope.spawn(|| match beside {
                    Beside::Fit => fits(&pool, &data, end),
                    _ => copies(end),
                });
                trials.extend(bench.trial(beside, seconds));
                // the ticks go on while the last fit ends
                while !busy.is_finished() {
                    bench.trial(Beside::Nothing, 0.1);
                }
                fitted += busy.join().expect("a fit");
            });
        }
    }
    bench.running.into_iter().for_each(Running::end);
    let rows: Vec<Row> = (0..DECODERS.len()).flat_map(|decoder| rows(decoder, &trials)).collect();
    let title = format!(
        "Beside fits: decode of {CHANNELS} features at 50 Hz, medians of trials of {seconds} s; {fitted} fits of {FITTED} to \
         {ROWS} rows meanwhile"
    );
    speed_table::print(&title, &rows);
}

/// A row for each thing that ran beside a decoder.
fn rows(decoder: usize, trials: &[Trial]) -> Vec<Row> {
    let of = |beside| trials.iter().filter(move |trial| (trial.beside, trial.decoder) == (beside, decoder));
    let sorted = |beside, value: fn(&Trial) -> f64| {
        let mut values: Vec<f64> = of(beside).map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let median = |values: &[f64]| {
        let upper = values.len() / 2;
        let lower = values.len().saturating_sub(1) / 2;
        Some((values.get(lower)? + values.get(upper)?) / 2.0)
    };
    let alone = median(&sorted(Beside::Nothing, |trial| trial.p99)).unwrap_or(f64::NAN);
    let named = [(Beside::Nothing, "alone"), (Beside::Fit, "a fit"), (Beside::Copies, "copies of memory")];
    let row = |(beside, name): (Beside, &str)| {
        let p99 = sorted(beside, |trial| trial.p99);
        let p50 = median(&sorted(beside, |trial| trial.p50))?;
        let (ticks, late) =
            of(beside).fold((0, 0), |(ticks, late), trial| (ticks + trial.ticks, late + trial.late));
        Some(Row {
            what: format!("{}, {name}", DECODERS[decoder]),
            measured: format!(
                "p99 {:.1} us ({:.1} to {:.1}), p50 {p50:.1} us",
                median(&p99)?,
                p99.first()?,
                p99.last()?
            ),
            goal: if beside == Beside::Fit {
                format!("p99 at most {:.1} us, no late tick", alone + 20.0_f64.max(0.25 * alone))
            } else {
                String::new()
            },
            accuracy: format!("{late} of {ticks} ticks late"),
        })
    };
    named.into_iter().filter_map(row).collect()
}
