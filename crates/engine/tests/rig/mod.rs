//! A closed loop in simulated time: a participant or recorded rows, and the engine as the daemon builds it.
#![allow(dead_code, unreachable_pub, reason = "the test and the example use different parts")]

use arrayvec::ArrayVec;
use kalmind_engine::{CursorSettings, Engine, EngineSettings, SampleSource, StagedModel};
use kalmind_filter::{LabelLaw, Model, TaskSample, TrainingData, ZScore};
use kalmind_fitting::{Budget, FitSettings, fit};
use kalmind_session::{Participant, ParticipantOptions};
use kalmind_signal::{FeatureStatistics, Preparation};
use kalmind_types::{
    BinClose, ChannelMask, Command, Component, IndexRange, LslTime, Mode, ModelId, Position, SampleRows,
    Seconds, StreamHealth, StreamTick, StreamTime, Target, TickInput, TickOutput, Velocity,
};
use nalgebra::DMatrix;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Rows with their intents.
pub struct Rows {
    pub features: Vec<f64>,
    pub states: Vec<f64>,
    pub width: usize,
}

impl Rows {
    pub fn new(width: usize) -> Self {
        Self { features: Vec::new(), states: Vec::new(), width }
    }

    pub fn push(&mut self, features: &[f64], state: Velocity) {
        self.features.extend_from_slice(features);
        self.states.extend_from_slice(&state.0);
    }
}

/// A model fitted on raw rows, z-scored as calibration does.
pub fn model(decoder: &str, rows: &Rows, bin_s: f64) -> Model {
    model_with_task(decoder, rows, bin_s, None)
}

/// As [`model`], for any decoder, with what the task was: fitted in no time.
pub fn model_with_task(decoder: &str, rows: &Rows, bin_s: f64, task: Option<Vec<TaskSample>>) -> Model {
    let n = rows.width;
    let FeatureStatistics { mean, deviation } = FeatureStatistics::measure(&rows.features, n);
    let count = rows.features.len() / n;
    let features = DMatrix::from_fn(count, n, |row, column| {
        let divisor = if deviation[column] > 0.0 { deviation[column] } else { 1.0 };
        (rows.features[row * n + column] - mean[column]) / divisor
    });
    let states = DMatrix::from_fn(count, 2, |row, column| rows.states[row * 2 + column]);
    let spec = decoder.parse().unwrap();
    // what would look for the best takes the cheapest
    let budget = task.is_some().then_some(Budget { end: 0.0, clock: || 0.0 });
    let settings = FitSettings { budget, ..FitSettings::default() };
    let data = TrainingData { task, ..TrainingData::new(features, states) };
    let fitted = fit(&spec, &data, &settings, &mut |_| {}).unwrap();
    Model {
        components: ["vx", "vy"]
            .map(|name| Component { name: name.into(), unit: "workspace widths/s".into() })
            .into(),
        bin_ms: bin_s * 1e3,
        zscore: Some(ZScore { mean: mean.clone(), standard_deviation: deviation }),
        guard: Some(fitted.guard),
        reduction: fitted.reduction,
        click: None,
        ..Model::plain(spec, mean, 2, fitted.parameters)
    }
}

/// The newest row, as a source of samples.
#[derive(Default)]
struct Newest(Vec<f64>);

impl SampleSource for Newest {
    fn rows(&self, _stream: usize, _range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        visit(SampleRows::Double64(&self.0));
    }

    fn stamp(&self, _stream: usize, _index: u64) -> Option<StreamTime> {
        None
    }
}

/// The engine, fed row by row.
pub struct Loop {
    pub engine: Engine,
    newest: Newest,
    seq: u64,
    bin_s: f64,
    commands: Vec<Command>,
}

impl Loop {
    pub fn new(model: &Model, bin_s: f64, guard: bool, plausibility: bool) -> Self {
        let mut engine = Engine::new(EngineSettings {
            features: model.streams.clone(),
            max_masked: 0.25,
            restart_after: Seconds(0.5),
            stale_after: Seconds((3.0 * bin_s).max(0.1)),
            auto_resume: Seconds(2.0),
            start: Mode::Control,
            cursor: CursorSettings::default(),
            label_law: LabelLaw::default(),
            plausibility,
            fallback_stale: Seconds(0.3),
            doubted_calibrates: true,
        })
        .unwrap();
        let zscore = model.zscore.as_ref().map(|zscore| FeatureStatistics {
            mean: zscore.mean.clone(),
            deviation: zscore.standard_deviation.clone(),
        });
        let staged = StagedModel::new(
            ModelId([1; 32]),
            model.decoder_with_guard(false).unwrap(),
            Preparation::new(model.training_mean.clone(), zscore).unwrap(),
            model.screen(guard),
            None,
        );
        assert!(engine.stage(Box::new(staged)).is_ok());
        let commands = vec![Command::SwapModel(ModelId([1; 32]))];
        Self { engine, newest: Newest::default(), seq: 0, bin_s, commands }
    }

    pub fn time(&self) -> LslTime {
        LslTime(100.0 + self.seq as f64 * self.bin_s)
    }

    pub fn command(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// How many of the first so many features are under suspicion.
    pub fn suspects(&self, features: usize) -> usize {
        self.engine.suspects().features().filter(|at| *at < features).count()
    }

    pub fn tick(&mut self, row: &[f64]) -> TickOutput {
        self.newest.0.clear();
        self.newest.0.extend_from_slice(row);
        let start = self.time();
        self.seq += 1;
        let input = TickInput {
            seq: self.seq - 1,
            epoch: 0,
            start,
            time: self.time(),
            closed_by: BinClose::Sample,
            incomplete: false,
            streams: ArrayVec::from_iter([StreamTick {
                ranges: ArrayVec::from_iter([IndexRange { first: self.seq, end: self.seq + 1 }]),
                offset: Seconds(0.0),
                health: StreamHealth::Live,
                lost: 0,
                late: 0,
                generation: 0,
                settling: None,
            }]),
            masked: ChannelMask::default(),
            commands: self.commands.drain(..).collect(),
            windows: ArrayVec::new(),
        };
        self.engine.step(&input, &self.newest)
    }
}

/// A participant with a target that moves every few seconds and is away now and then.
pub struct Subject {
    participant: Participant,
    random: ChaCha8Rng,
    target: Option<Target>,
    until: f64,
    /// Spikes that are kept, of each count; smoothing over so many bins.
    pub kept: f64,
    pub smoothing: f64,
    smooth: Vec<f64>,
    rests: bool,
}

impl Subject {
    pub fn new(options: ParticipantOptions) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(options.seed + 1000),
            smooth: vec![0.0; options.units],
            participant: Participant::new(options).unwrap(),
            target: None,
            until: 0.0,
            kept: 1.0,
            smoothing: 1.0,
            rests: false,
        }
    }

    /// The counts of the bin that ends at `time`, with the cursor at `position` before it.
    pub fn row(&mut self, time: LslTime, position: Position, row: &mut [f64]) {
        if time.0 >= self.until {
            let seconds: f64 = self.random.random_range(1.0..4.0);
            self.until = time.0 + seconds;
            let mut side = || self.random.random_range(0.1..0.9);
            let place = Position([side(), side()]);
            let rest = self.rests && self.random.random::<f64>() < 0.2;
            self.target = (!rest).then_some(Target { position: place, radius: 0.06 });
            self.participant.observe_target(time, self.target);
        }
        self.participant.observe_state(time, position);
        self.participant.counts(time, row);
        if self.kept < 1.0 {
            for count in row.iter_mut() {
                let spikes = *count as u64;
                *count = (0..spikes).filter(|_| self.random.random::<f64>() < self.kept).count() as f64;
            }
        }
        if self.smoothing > 1.0 {
            for (count, smooth) in row.iter_mut().zip(&mut self.smooth) {
                *smooth += (*count - *smooth) / self.smoothing;
                *count = *smooth;
            }
        }
    }

    /// Open loop: the cursor moves by the label.
    pub fn calibrate(&mut self, seconds: f64) -> Rows {
        let options = self.participant.options();
        let (bin, n) = (options.bin.0, options.units);
        let mut rows = Rows::new(n);
        let mut row = vec![0.0; n];
        let mut position = Position([0.5, 0.5]);
        let mut time = LslTime(0.0);
        while time.0 < seconds {
            time = time + Seconds(bin);
            let label = self.target.map_or_else(Velocity::default, |target| {
                LabelLaw::default().label(position, target.position)
            });
            self.row(time, position, &mut row);
            position = Position([0, 1].map(|axis| (position.0[axis] + label.0[axis] * bin).clamp(0.0, 1.0)));
            rows.push(&row, label);
        }
        self.rests = true;
        self.until = 0.0;
        rows
    }
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Zero,
    Value(f64),
    /// At the greatest value of training.
    RailWithin,
    Frozen,
    /// White noise about the training mean, with so many times the training deviation.
    Noise(f64),
    /// Every channel shows the value of another.
    Shuffled,
}

/// Breaks the first part of the channels of a row.
pub struct Breaker {
    fault: Fault,
    broken: usize,
    mean: Vec<f64>,
    deviation: Vec<f64>,
    greatest: Vec<f64>,
    frozen: Option<Vec<f64>>,
    random: ChaCha8Rng,
}

impl Breaker {
    pub fn new(fault: Fault, part: f64, rows: &Rows, seed: u64) -> Self {
        let FeatureStatistics { mean, deviation } = FeatureStatistics::measure(&rows.features, rows.width);
        let mut greatest = vec![f64::NEG_INFINITY; rows.width];
        for row in rows.features.chunks_exact(rows.width) {
            for (greatest, value) in greatest.iter_mut().zip(row) {
                *greatest = greatest.max(*value);
            }
        }
        let broken = (part * rows.width as f64).ceil() as usize;
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { fault, broken, mean, deviation, greatest, frozen: None, random }
    }

    pub fn broken(&self) -> usize {
        self.broken
    }

    pub fn apply(&mut self, row: &mut [f64]) {
        let kept = self.frozen.get_or_insert_with(|| row.to_vec());
        let whole = row.to_vec();
        for (at, value) in row.iter_mut().enumerate().take(self.broken) {
            *value = match self.fault {
                Fault::Zero => 0.0,
                Fault::Value(value) => value,
                Fault::RailWithin => self.greatest[at],
                Fault::Frozen => kept[at],
                Fault::Noise(size) => {
                    let uniform: f64 = (0..12).map(|_| self.random.random::<f64>()).sum();
                    self.mean[at] + size * self.deviation[at] * (uniform - 6.0)
                }
                Fault::Shuffled => whole[(at + self.broken / 2) % self.broken],
            };
        }
    }
}
