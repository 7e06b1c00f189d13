//! Simulated calibrations, with and without anything to decode: three minutes of Radial-8 in open loop, 20 ms a tick, no input
//! or output.
#![allow(dead_code, unreachable_pub, reason = "the tests and the bench use different parts")]

use kalmind_filter::{LabelLaw, TrainingData};
use kalmind_session::{
    Calibration, CalibrationOptions, CalibrationTick, ChanceResult, ChanceTest, Participant,
    ParticipantOptions, TASKS, Task, TaskStep, TaskTick,
};
use kalmind_types::{
    Command, CursorDrive, EventBody, LslTime, OutputState, Position, Seconds, TaskBlock, TaskState,
    TickOutput, Velocity,
};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

pub const BIN_S: f64 = 0.02;
/// Seconds between two fits.
pub const REFIT_S: f64 = 3.0;

/// What the features of a calibration are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// Normal noise without memory.
    WhiteNoise,
    /// Noise that remembers: of each feature a quarter of the variance is white, the others have time constants of 1 and 30 s and a
    /// random walk; all features share a bump that is locked to the start of each trial, and a slow trend.
    SlowNoise,
    /// The participant, who does what the task asks, with this modulation.
    Participant(f64),
    /// The participant in another calibration, with targets of its own: the targets it aims at have nothing to do with those
    /// that calibration is told of.
    OtherTargets(f64),
    /// The participant with other targets, who sees this calibration's cursor.
    OtherTargetsSameCursor(f64),
}

/// A participant in front of an open-loop task.
struct Room {
    task: Box<dyn Task>,
    tick: u64,
    position: Position,
    in_force: TaskState,
    pending: Vec<Command>,
    told: Vec<(LslTime, Option<kalmind_types::Target>)>,
    trial_start: u64,
}

impl Room {
    fn new(seed: u64, seconds: f64) -> Self {
        let mut task = TASKS[0].build(seed, &[]).unwrap();
        let step = task.start(TaskBlock::OpenLoop, Seconds(seconds), LslTime(0.0));
        let position = Position([0.5, 0.5]);
        let mut room = Self {
            task,
            tick: 0,
            position,
            in_force: TaskState::default(),
            pending: Vec::new(),
            told: Vec::new(),
            trial_start: 0,
        };
        room.follow(step);
        room
    }

    fn time(&self) -> LslTime {
        LslTime(self.tick as f64 * BIN_S)
    }

    fn follow(&mut self, step: TaskStep) {
        for event in step.events {
            if let EventBody::Target(target) = event.content {
                self.told.push((event.time, target));
                self.trial_start = self.tick;
            }
        }
        self.pending.extend(step.commands);
    }

    /// The tick begins: the task's commands are in force.
    fn begin(&mut self) {
        for command in self.pending.drain(..) {
            match command {
                Command::PlaceCursor(place) => self.position = place,
                Command::Task(state) => self.in_force = state,
                other => unreachable!("the task asked for {other:?}"),
            }
        }
        self.tick += 1;
    }

    /// The tick ends: the cursor has moved by the label.
    fn end(&mut self) {
        if let Some(target) = self.in_force.target {
            let Velocity([x, y]) = LabelLaw::default().label(self.position, target.position);
            let [at_x, at_y] = self.position.0;
            self.position = Position([at_x + x * BIN_S, at_y + y * BIN_S]);
        }
        let state = OutputState::Calibrating;
        let step =
            self.task.step(TaskTick { time: self.time(), position: self.position, state, click: None });
        self.follow(step);
    }
}

/// Calls `refit` every [`REFIT_S`] of a calibration of `seconds`: with the time, the trials begun and all rows so far; goes on while the
/// answer is true.
pub fn calibrate(
    source: Source,
    seed: u64,
    seconds: f64,
    width: usize,
    mut refit: impl FnMut(f64, u64, &Calibration) -> bool,
) {
    let mut room = Room::new(seed, seconds);
    let mut other = Room::new(seed ^ 0x5eed_0000, f64::INFINITY);
    let modulation = match source {
        Source::Participant(modulation)
        | Source::OtherTargets(modulation)
        | Source::OtherTargetsSameCursor(modulation) => modulation,
        Source::WhiteNoise | Source::SlowNoise => 0.0,
    };
    let options = ParticipantOptions { seed, units: width, modulation, ..ParticipantOptions::default() };
    let mut participant = Participant::new(options).unwrap();
    let mut noise = SlowNoise::new(seed, width);
    let mut calibration = Calibration::new(CalibrationOptions::default(), width);
    let mut values = vec![0.0; width];
    let mut next_refit = REFIT_S;
    while room.task.block().is_some() {
        let trial = room.task.trial();
        room.begin();
        other.begin();
        let time = room.time();
        let seen = if matches!(source, Source::Participant(_)) { &mut room } else { &mut other };
        for (at, target) in seen.told.drain(..) {
            participant.observe_target(at, target);
        }
        match source {
            Source::WhiteNoise => values.fill_with(|| noise.normal()),
            Source::SlowNoise => noise.step(room.tick - room.trial_start, &mut values),
            _ => participant.counts(time, &mut values),
        }
        room.end();
        other.end();
        calibration.observe(CalibrationTick {
            output: &TickOutput {
                state: OutputState::Calibrating,
                position: room.position,
                ..TickOutput::neutral(room.tick, time)
            },
            features: &values,
            target: room.in_force.target,
            trial,
            drive: CursorDrive::Label,
        });
        let shown = if matches!(source, Source::OtherTargets(_)) { other.position } else { room.position };
        participant.observe_state(time, shown);
        if time.0 >= next_refit {
            next_refit += REFIT_S;
            let begun = room.task.trial().map_or(u64::MAX, |trial| trial + 1);
            if !refit(time.0, begun, &calibration) {
                return;
            }
        }
    }
}

/// What the test says over a calibration of `seconds` with a look at each refit, until it passes: when it did, and the newest
/// result.
pub fn tested(source: Source, seed: u64, seconds: f64, width: usize) -> (Option<f64>, Option<ChanceResult>) {
    let mut test = ChanceTest::repeatedly(seed);
    let mut passed = None;
    calibrate(source, seed, seconds, width, |time, begun, calibration| {
        // without it a look gives what it gave before
        if begun >= test.next_look() as u64
            && let Ok(data) = calibration.data(true)
        {
            passed = test.look(&data.training, None).better_than_chance.then_some(time);
        }
        passed.is_none()
    });
    (passed, test.result().cloned())
}

/// All rows of a calibration.
pub fn rows(source: Source, seed: u64, seconds: f64, width: usize) -> TrainingData {
    let mut newest = None;
    calibrate(source, seed, seconds, width, |_, _, calibration| {
        newest = Some(calibration.clone());
        true
    });
    newest.unwrap().data(true).unwrap().training
}

struct SlowNoise {
    generator: ChaCha8Rng,
    second: Vec<f64>,
    half_minute: Vec<f64>,
    walk: Vec<f64>,
    bump: Vec<f64>,
    trend: Vec<f64>,
    ticks: f64,
}

impl SlowNoise {
    fn new(seed: u64, width: usize) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(7);
        let mut draw = || (0..width).map(|_| StandardNormal.sample(&mut generator)).collect::<Vec<f64>>();
        let (second, half_minute, bump, trend) = (draw(), draw(), draw(), draw());
        Self { generator, second, half_minute, walk: vec![0.0; width], bump, trend, ticks: 0.0 }
    }

    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.generator)
    }

    fn step(&mut self, since_trial_start: u64, values: &mut [f64]) {
        self.ticks += 1.0;
        let since = since_trial_start as f64 * BIN_S;
        for (unit, value) in values.iter_mut().enumerate() {
            let step = |value: f64, constant: f64, normal: f64| -> f64 {
                let keep = (-BIN_S / constant).exp();
                keep * value + (1.0 - keep * keep).sqrt() * normal
            };
            let normals = [(); 4].map(|()| StandardNormal.sample(&mut self.generator));
            self.second[unit] = step(self.second[unit], 1.0, normals[0]);
            self.half_minute[unit] = step(self.half_minute[unit], 30.0, normals[1]);
            self.walk[unit] += 0.02 * normals[2];
            *value = normals[3]
                + self.second[unit]
                + self.half_minute[unit]
                + self.walk[unit]
                + self.bump[unit] * (-(since - 0.4).powi(2) / 0.02).exp()
                + self.trend[unit] * self.ticks * BIN_S / 60.0;
        }
    }
}
