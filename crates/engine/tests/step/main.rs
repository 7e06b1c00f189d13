//! The pure step: what a tick input and its samples become.
#![expect(clippy::expect_used, reason = "a test that cannot build its subject has failed")]
#![expect(clippy::float_cmp, reason = "the values compared are copied, not computed, or are zero")]

use arrayvec::ArrayVec;
use kalmind_engine::{CursorSettings, Engine, EngineError, EngineSettings, SampleSource, StagedModel};
use kalmind_filter::{Decoder, FilterState, LabelLaw, LookBack, Screen, StepReport};
use kalmind_signal::Preparation;
use kalmind_types::{
    Actor, BinClose, Binning, Cause, ChannelMask, Command, CursorDrive, IndexRange, InputArrival, Intent,
    LslTime, Mode, ModelId, OutputState, Position, SampleRows, Seconds, StreamFeatures, StreamHealth,
    StreamTick, StreamTime, Target, TaskState, TickInput, TickOutput, Velocity,
};

mod clicks;
mod models;
mod states;

const WIDTH: f64 = 0.02;

const CHANNELS: usize = 4;

/// A decoder whose answer is plain to see: the mean is the first two features times `gain`, the covariance counts
/// steps since row one. NaN in, NaN out.
#[derive(Debug)]
struct Plain {
    gain: f64,
    steps: Option<u32>,
    state: [f64; 6],
}

impl Plain {
    fn new(gain: f64) -> Self {
        Self { gain, steps: None, state: [0.0; 6] }
    }
}

impl Decoder for Plain {
    fn features(&self) -> usize {
        CHANNELS
    }

    fn dimension(&self) -> usize {
        2
    }

    fn restart(&mut self) {
        self.steps = None;
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let row_one = self.steps.is_none();
        match (features, self.steps) {
            (Some(features), steps) => {
                self.state[0] = self.gain * features[0];
                self.state[1] = self.gain * features[1];
                self.steps = Some(steps.map_or(1, |steps| steps + 1));
            }
            (None, None) => return StepReport::default(),
            (None, Some(_)) => {}
        }
        assert!((self.state[0] - 666.0).abs() > 0.5, "the number that makes this decoder panic");
        intent.mean_mut().copy_from_slice(&self.state[..2]);
        let steps = f64::from(self.steps.unwrap_or_default());
        intent.covariance_mut().copy_from_slice(&[steps, 0.0, steps]);
        StepReport { valid: true, row_one, fallback: false, ..StepReport::default() }
    }

    fn look_back(&self) -> LookBack {
        LookBack { bins: 3, fades: false }
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.steps?;
        Some(FilterState { dimension: 2, order: 1, mean: &self.state[..2], covariance: &self.state[2..] })
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        assert_ne!(
            self.gain.to_bits(),
            600.0_f64.to_bits(),
            "the gain that makes this decoder fail to take over"
        );
        self.state[..2].copy_from_slice(state.mean);
        self.steps = Some(100);
        true
    }
}

/// A decoder that means to go where it was told that the cursor is.
#[derive(Debug, Default)]
struct Watcher {
    cursor: [f64; 2],
}

impl Decoder for Watcher {
    fn features(&self) -> usize {
        CHANNELS
    }

    fn dimension(&self) -> usize {
        2
    }

    fn restart(&mut self) {
        self.cursor = [f64::NAN; 2];
    }

    fn step(&mut self, _features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        intent.mean_mut().copy_from_slice(&self.cursor);
        intent.covariance_mut().copy_from_slice(&[1.0, 0.0, 1.0]);
        StepReport { valid: true, ..StepReport::default() }
    }

    fn look_back(&self) -> LookBack {
        LookBack { bins: 1, fades: false }
    }

    fn takes_cursor(&self) -> bool {
        true
    }

    fn observe_cursor(&mut self, cursor: Position) {
        self.cursor = cursor.0;
    }

    fn state(&self) -> Option<FilterState<'_>> {
        None
    }

    fn adopt(&mut self, _state: FilterState<'_>) -> bool {
        false
    }
}

/// One row of samples a tick; the index is the row.
#[derive(Default)]
struct Rows(Vec<[f64; CHANNELS]>);

impl SampleSource for Rows {
    fn rows(&self, _stream: usize, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        for row in range.first..range.end {
            visit(SampleRows::Double64(&self.0[row as usize]));
        }
    }

    fn stamp(&self, _stream: usize, index: u64) -> Option<StreamTime> {
        Some(StreamTime(index as f64 * WIDTH))
    }
}

/// An engine with its rows, fed tick by tick.
struct Bench {
    engine: Engine,
    rows: Rows,
    time: f64,
    seq: u64,
}

fn settings(start: Mode) -> EngineSettings {
    EngineSettings {
        features: vec![StreamFeatures::of_channels(Binning::Sample, CHANNELS, None)],
        max_masked: 0.25,
        restart_after: Seconds(0.5),
        stale_after: Seconds(0.1),
        auto_resume: Seconds(2.0),
        start,
        cursor: CursorSettings { ramp: Seconds(0.1), ..CursorSettings::default() },
        label_law: LabelLaw::default(),
        plausibility: true,
        fallback_stale: Seconds(0.3),
        doubted_calibrates: true,
    }
}

impl Bench {
    fn new(start: Mode) -> Self {
        Self::of(settings(start))
    }

    fn of(settings: EngineSettings) -> Self {
        let engine = Engine::new(settings).expect("settings are valid");
        Self { engine, rows: Rows::default(), time: 100.0, seq: 0 }
    }

    fn with_model(start: Mode) -> Self {
        let mut bench = Self::new(start);
        bench.stage(1.0, 1);
        bench
    }

    fn stage(&mut self, gain: f64, id: u8) {
        self.stage_in_doubt(gain, id, None);
    }

    fn stage_in_doubt(&mut self, gain: f64, id: u8, doubt: Option<Cause>) {
        let preparation = Preparation::new(vec![0.25; CHANNELS], None).expect("means are finite");
        let screen = Screen::open(vec![0.25; CHANNELS]);
        let decoder = Box::new(Plain::new(gain));
        let model = StagedModel::new(ModelId([id; 32]), decoder, preparation, screen, doubt);
        assert!(self.engine.stage(Box::new(model)).is_ok());
    }

    fn input(&mut self, row: Option<[f64; CHANNELS]>, commands: &[Command]) -> TickInput {
        let mut ranges = ArrayVec::new();
        if let Some(row) = row {
            let first = self.rows.0.len() as u64;
            self.rows.0.push(row);
            ranges.push(IndexRange { first, end: first + 1 });
        }
        let start = self.time;
        self.time += WIDTH;
        let seq = self.seq;
        self.seq += 1;
        TickInput {
            seq,
            epoch: 0,
            start: LslTime(start),
            time: LslTime(self.time),
            closed_by: if row.is_some() { BinClose::Sample } else { BinClose::Deadline },
            incomplete: row.is_none(),
            streams: ArrayVec::from_iter([StreamTick {
                ranges,
                offset: Seconds(0.5),
                health: StreamHealth::Live,
                lost: 0,
                late: 0,
                generation: 0,
                settling: None,
            }]),
            masked: ChannelMask::default(),
            commands: commands.iter().copied().collect(),
            windows: ArrayVec::new(),
        }
    }

    fn tick(&mut self, row: Option<[f64; CHANNELS]>, commands: &[Command]) -> TickOutput {
        let input = self.input(row, commands);
        self.engine.step(&input, &self.rows)
    }

    /// Ticks without samples for `seconds`.
    fn silence(&mut self, seconds: f64) -> TickOutput {
        let ticks = (seconds / WIDTH).round() as usize;
        (0..ticks).map(|_| self.tick(None, &[])).last().expect("some ticks")
    }
}

const SWAP: Command = Command::SwapModel(ModelId([1; 32]));

const ROW: [f64; CHANNELS] = [0.2, -0.1, 0.0, 0.0];

fn mean(output: &TickOutput) -> Option<Vec<f64>> {
    output.intent.map(|intent| intent.mean().to_vec())
}

/// Steps since row one, which the plain decoder shows as its covariance.
fn steps(output: &TickOutput) -> Option<f64> {
    output.intent.map(|intent| intent.covariance()[0])
}

#[test]
fn intent_is_published_in_every_state_and_only_control_moves_by_it() {
    let mut bench = Bench::with_model(Mode::Idle);
    let idle = bench.tick(Some(ROW), &[SWAP]);
    assert_eq!((idle.state, mean(&idle)), (OutputState::Idle, Some(vec![0.2, -0.1])));
    assert_eq!((idle.velocity.0, idle.position), ([0.0, 0.0], Position([0.5, 0.5])));
    let request = Command::Request { mode: Mode::Control, resume: false, by: Actor::Operator };
    let first = bench.tick(Some(ROW), &[request]);
    assert_eq!(first.state, OutputState::Control);
    // the gain ramps up over 0.1 s: one fifth in the first bin
    assert!((first.velocity.0[0] - 0.04).abs() < 1e-12);
    let full = (0..5).map(|_| bench.tick(Some(ROW), &[])).last().expect("ticks");
    assert!((full.velocity.0[0] - 0.2).abs() < 1e-12 && (full.velocity.0[1] + 0.1).abs() < 1e-12);
}

#[test]
fn the_newest_stamp_is_the_last_samples_with_the_offset_in_force() {
    let mut bench = Bench::with_model(Mode::Idle);
    bench.tick(Some(ROW), &[SWAP]);
    let output = bench.tick(Some(ROW), &[]);
    assert_eq!(output.newest, Some(LslTime(WIDTH + 0.5)));
    assert_eq!(bench.tick(None, &[]).newest, None);
}

#[test]
fn a_masked_channel_takes_its_training_mean_and_more_than_a_quarter_is_an_incomplete_bin() {
    let mut bench = Bench::with_model(Mode::Idle);
    bench.tick(Some(ROW), &[SWAP]);
    let one = bench.tick(Some([f64::NAN, 0.3, 0.0, 0.0]), &[]);
    assert_eq!((one.masked_features, one.nonfinite_values, one.incomplete), (1, 1, false));
    assert_eq!(mean(&one), Some(vec![0.25, 0.3]));
    let two = bench.tick(Some([f64::INFINITY, f64::NAN, 0.0, 0.0]), &[]);
    assert_eq!((two.masked_features, two.incomplete), (2, true));
    assert_eq!(mean(&two), Some(vec![0.25, 0.3]), "a time update: the plain decoder keeps its mean");
    let mut input = bench.input(Some(ROW), &[]);
    input.masked.mask(0, 1);
    let operator = bench.engine.step(&input, &bench.rows);
    assert_eq!((operator.masked_features, mean(&operator)), (1, Some(vec![0.2, 0.25])));
    let mut input = bench.input(Some(ROW), &[]);
    (1..4).for_each(|channel| assert!(input.masked.mask(0, channel)));
    let most_off = bench.engine.step(&input, &bench.rows);
    assert_eq!((most_off.masked_features, most_off.incomplete), (3, false), "switched off is not missing");
}

#[test]
fn decoding_starts_at_row_one_again_after_a_long_gap_and_the_gain_ramps_up() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    for _ in 0..9 {
        bench.tick(Some(ROW), &[]);
    }
    bench.silence(0.3);
    let short = bench.tick(Some(ROW), &[]);
    assert_eq!((short.row_one, steps(&short)), (false, Some(11.0)));
    // long enough for the next silence to stand alone
    for _ in 0..120 {
        bench.tick(Some(ROW), &[Command::PlaceCursor(Position([0.5, 0.5]))]);
    }
    bench.silence(0.6);
    let long = bench.tick(Some(ROW), &[]);
    assert_eq!((long.row_one, steps(&long)), (true, Some(1.0)));
    assert_eq!(long.state, OutputState::Control, "stale for less than two seconds: it returns by itself");
    assert!((long.velocity.0[0] - 0.04).abs() < 1e-12);
}

#[test]
fn open_loop_moves_the_cursor_by_the_label_law() {
    let mut bench = Bench::new(Mode::Calibrating);
    let target = Target { position: Position([0.8, 0.5]), radius: 0.06 };
    let task =
        Command::Task(TaskState { target: Some(target), drive: CursorDrive::Label, ..TaskState::default() });
    let output = bench.tick(Some(ROW), &[task]);
    assert_eq!(output.velocity.0, [0.6, 0.0], "the error over 0.4 s is above the limit of 0.6");
    assert!((output.position.0[0] - 0.512).abs() < 1e-12);
    let placed = bench.tick(Some(ROW), &[Command::PlaceCursor(Position([0.7, 0.5]))]);
    assert!((placed.velocity.0[0] - 0.25).abs() < 1e-12);
}

#[test]
fn the_same_inputs_give_the_same_bits_twice() {
    let run = || {
        let mut bench = Bench::with_model(Mode::Control);
        let mut outputs = vec![bench.tick(Some(ROW), &[SWAP])];
        for number in 0..500_u32 {
            let value = f64::from(number).sin();
            let row = (number % 7 != 3).then_some([value, 1.0 - value, 0.1, value * value]);
            outputs.push(bench.tick(row, &[]));
        }
        outputs
    };
    assert_eq!(run(), run());
}

#[test]
fn a_decoder_that_asks_is_told_where_the_cursor_was_displayed_during_the_bin() {
    let mut bench = Bench::new(Mode::Control);
    let preparation = Preparation::new(vec![0.0; CHANNELS], None).expect("means are finite");
    let screen = Screen::open(vec![0.0; CHANNELS]);
    let decoder = Box::new(Watcher::default());
    let model = StagedModel::new(ModelId([1; 32]), decoder, preparation, screen, None);
    assert!(bench.engine.stage(Box::new(model)).is_ok());
    let mut displayed = Position([0.5, 0.5]);
    for tick in 0..60 {
        let placed = Position([0.1, f64::from(tick) / 60.0]);
        let commands: &[Command] = match tick {
            0 => &[SWAP],
            // a jump in this tick is seen in the next bin
            20 => &[Command::PlaceCursor(placed)],
            _ => &[],
        };
        // a gap of more than half a second, after which the decoder starts anew
        let row = (!(25..55).contains(&tick)).then_some(ROW);
        let output = bench.tick(row, commands);
        assert_eq!(mean(&output), Some(displayed.0.to_vec()), "tick {tick}");
        displayed = output.position;
    }
    assert!(displayed.0[0] > 0.1, "the cursor moved");
}
