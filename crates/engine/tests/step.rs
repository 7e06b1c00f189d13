//! The pure step: what a tick input and its samples become.
#![expect(clippy::expect_used, reason = "a test that cannot build its subject has failed")]
#![expect(clippy::float_cmp, reason = "the values compared are copied, not computed, or are zero")]

use arrayvec::ArrayVec;
use kalmind_engine::{CursorSettings, Engine, EngineError, EngineSettings, SampleSource, StagedModel};
use kalmind_filter::{Decoder, FilterState, LabelLaw, Screen, StepReport};
use kalmind_signal::Preparation;
use kalmind_types::{
    Actor, BinClose, Binning, Cause, ChannelMask, Command, CursorDrive, IndexRange, InputArrival, Intent,
    LslTime, Mode, ModelId, OutputState, Position, SampleRows, Seconds, StreamFeatures, StreamHealth,
    StreamTick, StreamTime, Target, TaskState, TickInput, TickOutput, Velocity,
};

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

    fn state(&self) -> Option<FilterState<'_>> {
        self.steps?;
        Some(FilterState { dimension: 2, order: 1, mean: &self.state[..2], covariance: &self.state[2..] })
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
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

impl Bench {
    fn new(start: Mode) -> Self {
        let engine = Engine::new(EngineSettings {
            features: vec![StreamFeatures { binning: Binning::Sample, channels: CHANNELS, labels: None }],
            max_masked: 0.25,
            restart_after: Seconds(0.5),
            stale_after: Seconds(0.1),
            auto_resume: Seconds(2.0),
            start,
            cursor: CursorSettings { ramp: Seconds(0.1), ..CursorSettings::default() },
            label_law: LabelLaw::default(),
            plausibility: true,
            fallback_stale: Seconds(0.3),
        })
        .expect("settings are valid");
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
        let model = StagedModel { id: ModelId([id; 32]), decoder, preparation, screen, doubt };
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
            }]),
            masked: ChannelMask::default(),
            commands: commands.iter().copied().collect(),
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
    input.masked.mask(1);
    let operator = bench.engine.step(&input, &bench.rows);
    assert_eq!((operator.masked_features, mean(&operator)), (1, Some(vec![0.2, 0.25])));
    let mut input = bench.input(Some(ROW), &[]);
    (1..4).for_each(|feature| assert!(input.masked.mask(feature)));
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
fn silence_is_stale_and_a_long_one_waits_for_the_operator() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    assert_eq!(bench.silence(0.1).state, OutputState::Control);
    let stale = bench.silence(0.04);
    assert_eq!(stale.state, OutputState::Stale);
    assert_eq!(stale.reason.map(|reason| reason.cause), Some(Cause::InputNotFresh));
    assert_eq!(stale.velocity.0, [0.0, 0.0]);
    bench.silence(3.0);
    assert_eq!(bench.tick(Some(ROW), &[]).state, OutputState::Stale);
    let task = Command::Request { mode: Mode::Control, resume: false, by: Actor::Task };
    assert_eq!(bench.tick(Some(ROW), &[task]).state, OutputState::Stale, "a task cannot resume");
    let operator = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    assert_eq!(bench.tick(Some(ROW), &[operator]).state, OutputState::Control);
}

#[test]
fn silence_on_the_local_clock_waits_for_the_operator_whatever_the_stamps_say() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    assert_eq!(bench.tick(Some(ROW), &[Command::InputWasSilent]).state, OutputState::Stale);
    bench.silence(0.12);
    assert_eq!(bench.tick(Some(ROW), &[]).state, OutputState::Stale, "a short gap does not clear it");
    let operator = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    assert_eq!(bench.tick(Some(ROW), &[operator]).state, OutputState::Control);
}

#[test]
fn whoever_resumed_before_the_signal_was_back_did_not_agree_to_its_return() {
    let operator = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    let accept = Command::AcceptInput { by: Actor::Task };
    for early in [operator, accept] {
        for commands in [[early, Command::InputWasSilent], [Command::InputWasSilent, early]] {
            let mut bench = Bench::with_model(Mode::Control);
            bench.tick(Some(ROW), &[SWAP]);
            let back = bench.tick(Some(ROW), &commands);
            assert_eq!((back.state, back.velocity.0), (OutputState::Stale, [0.0, 0.0]), "{commands:?}");
            assert_eq!(back.reason.map(|reason| reason.cause), Some(Cause::AwaitsResume));
            assert_eq!(bench.tick(Some(ROW), &[operator]).state, OutputState::Control);
        }
    }
    // a stop is cleared all the same: it was not the silence that it was for
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    bench.tick(Some(ROW), &[Command::Stop { by: Actor::Client }]);
    let back = bench.tick(Some(ROW), &[operator, Command::InputWasSilent]);
    assert_eq!(back.reason.map(|reason| reason.cause), Some(Cause::AwaitsResume));
}

#[test]
fn on_an_input_that_is_too_slow_no_decoder_moves_the_cursor_in_any_mode() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let arrival = |input| Command::Arrival { input, max_wait: Seconds(0.02), silence: Seconds(0.0) };
    let calibrate = Command::Request { mode: Mode::Calibrating, resume: true, by: Actor::Operator };
    let slow = bench.tick(Some(ROW), &[arrival(InputArrival::Slow), calibrate]);
    assert_eq!((slow.state, slow.velocity.0), (OutputState::Calibrating, [0.0, 0.0]));
    bench.tick(Some(ROW), &[arrival(InputArrival::Fit)]);
    assert!(bench.tick(Some(ROW), &[]).velocity.0[0] > 0.0, "once somebody has agreed it moves");
}

#[test]
fn a_model_in_doubt_moves_no_cursor_until_it_is_the_one_that_somebody_confirms() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.stage_in_doubt(1.0, 2, Some(Cause::DecoderAtChance));
    bench.stage_in_doubt(1.0, 3, Some(Cause::DecoderMostlyFallsBack));
    let swap = |id| Command::SwapModel(ModelId([id; 32]));
    let confirm = |id| Command::ConfirmModel { model: ModelId([id; 32]), by: Actor::Operator };
    let operator = |mode| Command::Request { mode, resume: true, by: Actor::Operator };
    let cause = |output: &TickOutput| output.reason.map(|reason| reason.cause);
    assert_eq!(bench.tick(Some(ROW), &[SWAP]).state, OutputState::Control);
    assert_eq!(bench.engine.preview(&[swap(2)]).state(), OutputState::Idle);
    let kept = bench.tick(Some(ROW), &[swap(2)]);
    assert_eq!((kept.state, cause(&kept)), (OutputState::Idle, Some(Cause::DecoderAtChance)));
    assert!(kept.intent.is_some() && kept.velocity.0 == [0.0, 0.0], "it decodes and moves nothing");
    let assisted = bench.tick(Some(ROW), &[operator(Mode::Calibrating)]);
    assert_eq!((assisted.state, assisted.velocity.0), (OutputState::Calibrating, [0.0, 0.0]));
    // nobody's request is a confirmation, and one of another model counts for that one
    let kept = bench.tick(Some(ROW), &[operator(Mode::Control), confirm(3)]);
    assert_eq!(cause(&kept), Some(Cause::DecoderAtChance));
    assert_eq!(bench.engine.preview(&[confirm(2)]).state(), OutputState::Control);
    bench.tick(Some(ROW), &[confirm(2)]);
    let moved = bench.tick(Some(ROW), &[]);
    assert!(moved.state == OutputState::Control && moved.velocity.0[0] > 0.0, "{moved:?}");
    // confirmed while it waited
    assert_eq!(bench.tick(Some(ROW), &[swap(3)]).state, OutputState::Control);
    bench.stage_in_doubt(1.0, 2, Some(Cause::DecoderAtChance));
    assert_eq!(bench.tick(Some(ROW), &[swap(2)]).state, OutputState::Idle, "staged anew, asked anew");
}

#[test]
fn a_preview_of_models_is_what_the_tick_then_shows() {
    let swap = |id| Command::SwapModel(ModelId([id; 32]));
    let confirm = |id| Command::ConfirmModel { model: ModelId([id; 32]), by: Actor::Operator };
    for commands in [
        vec![swap(9)],
        vec![swap(4)],
        vec![confirm(2), swap(9)],
        vec![swap(3), confirm(3)],
        vec![confirm(3), swap(3)],
        vec![swap(4), swap(3)],
        vec![swap(3), swap(4)],
        vec![swap(3), swap(3)],
        vec![swap(4), confirm(2)],
        vec![confirm(2), swap(4), swap(3), confirm(3)],
    ] {
        let mut bench = Bench::with_model(Mode::Control);
        bench.stage_in_doubt(1.0, 2, Some(Cause::DecoderAtChance));
        bench.tick(Some(ROW), &[SWAP]);
        assert_eq!(bench.tick(Some(ROW), &[swap(2)]).state, OutputState::Idle);
        bench.stage_in_doubt(1.0, 3, Some(Cause::DecoderMostlyFallsBack));
        bench.stage(1.0, 4);
        let shown = bench.engine.preview(&commands).shown();
        let ticked = bench.tick(Some(ROW), &commands);
        assert_eq!(shown, (ticked.state, ticked.reason), "{commands:?}");
    }
}

#[test]
fn a_confirmation_in_a_tick_that_panics_counts() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.stage_in_doubt(1.0, 2, Some(Cause::DecoderAtChance));
    let model = ModelId([2; 32]);
    bench.tick(Some(ROW), &[Command::SwapModel(model)]);
    assert_eq!(bench.engine.model_and_doubt(), Some((model, Some(Cause::DecoderAtChance))));
    let confirm = Command::ConfirmModel { model, by: Actor::Operator };
    let request = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    let input = bench.input(Some(ROW), &[confirm, request]);
    assert_eq!(bench.engine.fault(&input, Cause::Panicked).state, OutputState::Fault);
    assert_eq!(bench.engine.model_and_doubt(), Some((model, None)));
    assert_eq!(bench.tick(Some(ROW), &[request]).state, OutputState::Control);
}

#[test]
fn what_was_shown_while_there_were_no_ticks_is_what_the_next_tick_knows() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let states = |bench: &Bench, commands: &[Command]| bench.engine.preview(commands).state();
    assert_eq!(states(&bench, &[]), OutputState::Control);
    assert_eq!(states(&bench, &[Command::InputNotFresh]), OutputState::Stale);
    // a silence that stands alone ends with its first complete bin
    assert_eq!(bench.tick(Some(ROW), &[Command::InputNotFresh]).state, OutputState::Control);
    // one that follows it ends after a steady second, and what is told does not change meanwhile
    let unsteady = |output: &TickOutput| {
        (output.state, output.reason.map(|reason| reason.cause))
            == (OutputState::Stale, Some(Cause::InputUnsteady))
    };
    assert!(unsteady(&bench.tick(Some(ROW), &[Command::InputNotFresh])));
    let shown = bench.engine.preview(&[Command::InputNotFresh]).shown();
    assert_eq!(shown, bench.engine.states().shown());
    let steady = (1.0 / WIDTH).round() as usize;
    let course: Vec<TickOutput> = (0..steady + 2).map(|_| bench.tick(Some(ROW), &[])).collect();
    assert!(course[..steady - 1].iter().all(|output| unsteady(output) && output.velocity.0 == [0.0, 0.0]));
    assert_eq!(course.last().map(|output| output.state), Some(OutputState::Control));
}

#[test]
fn a_preview_knows_of_stops_of_models_and_of_their_want() {
    let mut bench = Bench::new(Mode::Control);
    assert_eq!(bench.engine.preview(&[]).state(), OutputState::Idle, "there is nothing to control with");
    assert_eq!(bench.engine.preview(&[SWAP]).state(), OutputState::Idle, "no such model was staged");
    bench.stage(1.0, 1);
    assert_eq!(bench.engine.preview(&[SWAP]).state(), OutputState::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let stop = Command::Stop { by: Actor::Client };
    let resume = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    assert_eq!(bench.engine.preview(&[stop]).state(), OutputState::Hold);
    assert_eq!(bench.engine.preview(&[stop, resume]).state(), OutputState::Control);
    assert_eq!(bench.engine.preview(&[resume, stop]).state(), OutputState::Hold);
    assert_eq!(bench.engine.states().state(), OutputState::Control, "a preview changes nothing");
}

#[test]
fn a_task_that_may_accepts_the_input_and_clears_neither_stop_nor_fault() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let awaits = bench.tick(Some(ROW), &[Command::InputWasSilent]);
    assert_eq!(awaits.reason.map(|reason| reason.cause), Some(Cause::AwaitsResume));
    let accept = Command::AcceptInput { by: Actor::Task };
    assert_eq!(bench.tick(Some(ROW), &[accept]).state, OutputState::Control);
    let stop = Command::Stop { by: Actor::Client };
    assert_eq!(bench.tick(Some(ROW), &[stop, accept]).state, OutputState::Hold);
    let fault = Command::Fault(Cause::Panicked);
    assert_eq!(bench.tick(Some(ROW), &[fault, accept]).state, OutputState::Fault);
}

#[test]
fn a_stop_holds_until_a_resume() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let held = bench.tick(Some(ROW), &[Command::Stop { by: Actor::Client }]);
    assert_eq!((held.state, held.velocity.0), (OutputState::Hold, [0.0, 0.0]));
    let task = Command::Request { mode: Mode::Control, resume: false, by: Actor::Task };
    assert_eq!(bench.tick(Some(ROW), &[task]).state, OutputState::Hold);
    let resume = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    let resumed = bench.tick(Some(ROW), &[resume]);
    assert_eq!(resumed.state, OutputState::Control);
    assert!((resumed.velocity.0[0] - 0.04).abs() < 1e-12, "the gain ramps up after a resume");
}

#[test]
fn control_without_a_model_is_idle_and_says_why() {
    let mut bench = Bench::new(Mode::Control);
    let output = bench.tick(Some(ROW), &[]);
    assert_eq!((output.state, output.intent), (OutputState::Idle, None));
    assert_eq!(output.reason.map(|reason| reason.cause), Some(Cause::NoModel));
}

#[test]
fn a_swap_carries_the_belief_over_and_hands_the_old_model_back() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    bench.tick(Some(ROW), &[]);
    bench.stage(10.0, 2);
    assert!(bench.engine.take_retired().is_none());
    let swapped = bench.tick(Some(ROW), &[Command::SwapModel(ModelId([2; 32]))]);
    assert_eq!((mean(&swapped), steps(&swapped)), (Some(vec![2.0, -1.0]), Some(101.0)));
    assert_eq!(bench.engine.take_retired().map(|model| model.id), Some(ModelId([1; 32])));
    // an earlier model, built again, is swapped in as any other
    bench.stage(1.0, 1);
    let back = bench.tick(Some(ROW), &[Command::SwapModel(ModelId([1; 32]))]);
    assert_eq!(mean(&back), Some(vec![0.2, -0.1]));
    bench.stage(2.0, 2);
    bench.stage(3.0, 3);
    let both = [2, 3].map(|id| Command::SwapModel(ModelId([id; 32])));
    bench.tick(Some(ROW), &both);
    let retired: Vec<ModelId> =
        core::iter::from_fn(|| bench.engine.take_retired()).map(|model| model.id).collect();
    assert_eq!(retired, [2, 1, 2].map(|id| ModelId([id; 32])), "every one of them, to be freed elsewhere");
    bench.tick(Some(ROW), &[Command::SwapModel(ModelId([9; 32]))]);
    assert_eq!(bench.engine.model(), Some(ModelId([3; 32])), "a model that was never staged changes nothing");
}

/// A decoder that takes one feature more.
#[derive(Debug)]
struct Wide(Plain);
impl Decoder for Wide {
    fn features(&self) -> usize {
        CHANNELS + 1
    }
    fn dimension(&self) -> usize {
        2
    }
    fn restart(&mut self) {}
    fn step(&mut self, _features: Option<&[f64]>, _intent: &mut Intent) -> StepReport {
        StepReport::default()
    }
    fn state(&self) -> Option<FilterState<'_>> {
        self.0.state()
    }
    fn adopt(&mut self, _state: FilterState<'_>) -> bool {
        false
    }
}

#[test]
fn a_model_of_another_width_is_given_back() {
    let mut bench = Bench::new(Mode::Idle);
    let preparation = Preparation::new(vec![0.0; CHANNELS], None).expect("means are finite");
    let model = StagedModel {
        id: ModelId([1; 32]),
        decoder: Box::new(Wide(Plain::new(1.0))),
        preparation,
        screen: Screen::open(vec![0.0; CHANNELS]),
        doubt: None,
    };
    let (error, _model) = bench.engine.stage(Box::new(model)).expect_err("it does not fit");
    assert_eq!(error, EngineError::FeatureCount { model: CHANNELS + 1, streams: CHANNELS });
}

#[test]
fn a_decoder_that_gives_infinity_is_a_fault_and_no_number_leaves() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let broken = bench.tick(Some([f64::MAX, f64::MAX, 0.0, 0.0]), &[]);
    assert_eq!(broken.state, OutputState::Control, "large but finite is only fast");
    assert!(broken.velocity.speed() <= 1.0 + 1e-12);
    bench.stage(f64::INFINITY, 2);
    let fault = bench.tick(Some(ROW), &[Command::SwapModel(ModelId([2; 32]))]);
    assert_eq!((fault.state, fault.intent, fault.velocity.0), (OutputState::Fault, None, [0.0, 0.0]));
    assert_eq!(fault.reason.map(|reason| reason.cause), Some(Cause::NotFinite));
    bench.stage(1.0, 1);
    let back = bench.tick(Some(ROW), &[SWAP]);
    assert_eq!(back.state, OutputState::Fault, "a fault waits for the operator");
    let resume = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    let resumed = bench.tick(Some(ROW), &[resume]);
    assert_eq!((resumed.state, resumed.row_one), (OutputState::Control, true));
}

#[test]
fn a_panic_that_was_caught_is_a_fault_and_the_next_ticks_go_on() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let input = bench.input(Some([666.0, 0.0, 0.0, 0.0]), &[Command::Stop { by: Actor::Client }]);
    let engine = &mut bench.engine;
    let rows = &bench.rows;
    let step = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| engine.step(&input, rows)));
    assert!(step.is_err());
    let fault = bench.engine.fault(&input, Cause::Panicked);
    assert_eq!((fault.seq, fault.state, fault.incomplete), (1, OutputState::Fault, true));
    let next = bench.tick(Some(ROW), &[]);
    assert_eq!((next.seq, next.state), (2, OutputState::Fault));
    let task = Command::Request { mode: Mode::Control, resume: false, by: Actor::Task };
    assert_eq!(bench.tick(Some(ROW), &[task]).state, OutputState::Fault);
}

#[test]
fn open_loop_moves_the_cursor_by_the_label_law() {
    let mut bench = Bench::new(Mode::Calibrating);
    let target = Target { position: Position([0.8, 0.5]), radius: 0.06 };
    let task = Command::Task(TaskState { target: Some(target), drive: CursorDrive::Label });
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
    let model = StagedModel {
        id: ModelId([1; 32]),
        decoder: Box::new(Watcher::default()),
        preparation,
        screen: Screen::open(vec![0.0; CHANNELS]),
        doubt: None,
    };
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

/// A decoder that takes no measurement in while `broken`.
#[derive(Debug)]
struct Unusing(Plain);

impl Decoder for Unusing {
    fn features(&self) -> usize {
        CHANNELS
    }

    fn dimension(&self) -> usize {
        2
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let broken = features.is_some_and(|features| features[3] > 0.0);
        let report = self.0.step(features, intent);
        StepReport { fallback: broken, unused: broken, ..report }
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.0.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.0.adopt(state)
    }
}

#[test]
fn a_decoder_that_uses_no_features_for_300_ms_is_stale_until_it_does() {
    for (mode, stale) in [(Mode::Control, true), (Mode::Idle, false)] {
        let mut bench = Bench::new(mode);
        let preparation = Preparation::new(vec![0.25; CHANNELS], None).expect("means are finite");
        let decoder = Box::new(Unusing(Plain::new(1.0)));
        let screen = Screen::open(vec![0.25; CHANNELS]);
        let model = StagedModel { id: ModelId([1; 32]), decoder, preparation, screen, doubt: None };
        assert!(bench.engine.stage(Box::new(model)).is_ok());
        bench.tick(Some(ROW), &[SWAP]);
        let before = bench.engine.states().state();
        for bin in 1..=20 {
            let output = bench.tick(Some([0.2, -0.1, 0.0, 1.0]), &[]);
            assert_eq!(output.state == OutputState::Stale, stale && bin >= 15, "bin {bin}");
            if output.state == OutputState::Stale {
                assert_eq!(output.reason.map(|reason| reason.cause), Some(Cause::DecoderFallsBack));
                assert_eq!(output.velocity, Velocity::default());
            }
        }
        assert_eq!(bench.tick(Some(ROW), &[]).state, before);
    }
}
