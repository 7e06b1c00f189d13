//! The simulated participant: spike counts that mean to move the cursor to the target.

use core::f64::consts::{PI, TAU};

use kalmind_types::{LslTime, Phase, Position, Seconds, Target, TaskBlock, Velocity};
use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Poisson, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::history::{CAPACITY, History};

/// Mean of the units' baseline rates (of their logarithms), in Hz.
const BASELINE_HZ: f64 = 8.0;
/// Standard deviation of the logarithms of the baseline rates.
const BASELINE_SPREAD: f64 = 0.6;
/// One unit in so many is not tuned.
const UNTUNED_ONE_IN: usize = 4;
/// Standard deviation and time constant of the common drift of log rates.
const COMMON_DEVIATION: f64 = 0.1;
const COMMON_TIME_CONSTANT_S: f64 = 1.0;
/// Standard deviation and time constant of the wander of the intended direction.
const WANDER_DEVIATION: f64 = PI / 18.0;
const WANDER_TIME_CONSTANT_S: f64 = 0.3;
/// Seconds in which the participant means to cover the error, and the speed it does not exceed.
const ERROR_TIME_CONSTANT_S: f64 = 0.4;
const MAX_SPEED: f64 = 0.6;
/// Of a mismatched participant, each drawn anew for a trial: when it reacts, in how many seconds it means to cover the error,
/// how often it lapses, from which moment, and for how long; and how long its movements in an open loop are.
const REACTION_S: [f64; 2] = [0.15, 0.45];
const TIME_CONSTANTS_S: [f64; 2] = [0.25, 0.7];
const LAPSES: f64 = 0.02;
const LAPSE_WITHIN_S: [f64; 2] = [0.0, 1.5];
const LAPSE_S: f64 = 1.0;
const MINIMUM_JERK_S: f64 = 0.9;
/// Counts of a bin are capped here, far above anything that the law gives with sensible options.
const MAX_RATE_PER_BIN: f64 = 1e4;

/// What a participant does in a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// It moves as the labels assume.
    #[default]
    Default,
    /// It does not, so that no decoder is flattered: reaction time (150 to 450 ms) and time constant (0.25 to 0.7 s) are
    /// other ones in each trial, in an open loop it makes a minimum-jerk movement of 0.9 s and rests, and in 2 % of trials it
    /// means nothing for a second.
    Mismatch,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Default, Self::Mismatch];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Mismatch => "mismatch",
        }
    }
}

/// Slow changes of the neurons, linear in time; 0 and 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// Standard deviation over units of how far a preferred direction turns in a minute, in degrees.
    pub rotation_deg_per_min: f64,
    /// Standard deviation over units of how far a log baseline rate moves in a minute.
    pub baseline_per_min: f64,
    /// Whether they begin with the end of the first open loop and not with the first bin.
    pub after_calibration: bool,
}

impl Drift {
    /// The standard drift, by which decoders that adapt are compared with those that do not.
    pub const STANDARD: Self =
        Self { rotation_deg_per_min: 1.0, baseline_per_min: 0.02, after_calibration: true };
}

/// A constant added to one unit's counts, as a broken electrode would.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offset {
    /// The unit, from 0.
    pub unit: usize,
    /// How much, in standard deviations of its count at rest. The stream then carries fractions.
    pub deviations: f64,
}

/// The participant's settings. The default is the yardstick and stays as it is; the other values make it harder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParticipantOptions {
    /// Seed of everything random.
    pub seed: u64,
    /// What it does in a trial.
    pub profile: Profile,
    /// Number of units.
    pub units: usize,
    /// Bin width, in seconds.
    pub bin: Seconds,
    /// Scale m of the modulation: that of a tuned unit is m |N(0,1)|.
    pub modulation: f64,
    /// How old a `state` message is before the participant acts on it, in seconds.
    pub state_delay: Seconds,
    /// How old a `target` event is before the participant acts on it, in seconds.
    pub target_delay: Seconds,
    /// Standard deviation of further independent noise on every log rate in every bin.
    pub noise: f64,
    /// Slow changes.
    pub drift: Drift,
    /// Units, drawn by the seed, that fire no spike.
    pub drop: usize,
    /// Constants added to counts.
    pub offsets: Vec<Offset>,
}

impl Default for ParticipantOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            profile: Profile::Default,
            units: 96,
            bin: Seconds(0.02),
            modulation: 0.5,
            state_delay: Seconds(0.2),
            target_delay: Seconds(0.25),
            noise: 0.0,
            drift: Drift::default(),
            drop: 0,
            offsets: Vec::new(),
        }
    }
}

/// Why there is no such participant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParticipantError {
    /// A setting is out of range.
    #[error("{setting} is {value}; {expected}")]
    OutOfRange {
        /// Which.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// An offset names a unit that there is not.
    #[error("offset on unit {unit}, but units are numbered 0 to {last}")]
    NoSuchUnit {
        /// The unit named.
        unit: usize,
        /// The last there is.
        last: usize,
    },
}

/// One neuron.
#[derive(Clone, Copy, Debug)]
struct Unit {
    log_baseline: f64,
    /// Preferred direction, in radians.
    direction: f64,
    modulation: f64,
    common_loading: f64,
    rotation_per_min: f64,
    baseline_per_min: f64,
    silent: bool,
    /// Added to its counts.
    offset: f64,
}

/// A participant with `units` neurons whose counts follow what it means to do: move the cursor that it sees (as it was
/// `state_delay` ago) to the target that it knows of (as of `target_delay` ago).
///
/// The log rate of unit i is `b_i + m_i p_i . (v / v_max) + l_i c(t)`, counts are Poisson. The intent v points to the
/// target at |error| / 0.4 s, at most 0.6 workspace widths a second, and its direction wanders by 10 degrees. Without
/// a target, or before the first state, v = 0.
///
/// A deterministic function of the seed, of the messages' stamps and contents, and of the bin times: when and in which
/// order messages arrived does not matter, as long as one is there before the bin that it is in force for. Every bin
/// draws from a generator of its own, so what was drawn in one bin never shifts the next.
#[derive(Clone, Debug)]
pub struct Participant {
    options: ParticipantOptions,
    units: Vec<Unit>,
    states: History<Position>,
    targets: History<Option<Target>>,
    blocks: History<(TaskBlock, Phase)>,
    /// The trial that it is at, and where it saw the cursor when it began to move.
    trial: Option<(Trial, Position)>,
    calibrated: Option<LslTime>,
    generator: ChaCha8Rng,
    bins: u64,
    first_bin: Option<LslTime>,
    common: f64,
    wander: f64,
    intent: Velocity,
}

impl Participant {
    /// A participant drawn by `options.seed`.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(options: ParticipantOptions) -> Result<Self, ParticipantError> {
        check(&options)?;
        let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
        let units = draw_units(&options, &mut generator);
        let common = COMMON_DEVIATION * normal(&mut generator);
        let wander = WANDER_DEVIATION * normal(&mut generator);
        Ok(Self {
            options,
            units,
            states: History::new(CAPACITY),
            targets: History::new(CAPACITY),
            blocks: History::new(CAPACITY),
            trial: None,
            calibrated: None,
            generator,
            bins: 0,
            first_bin: None,
            common,
            wander,
            intent: Velocity::default(),
        })
    }

    /// The settings.
    pub fn options(&self) -> &ParticipantOptions {
        &self.options
    }

    /// Sees the cursor of a `state` message with its stamp. One that is not finite is ignored.
    pub fn observe_state(&mut self, time: LslTime, position: Position) {
        if position.0.iter().all(|value| value.is_finite()) {
            self.states.insert(time, position);
        }
    }

    /// Sees a `target` event with its stamp; `None` takes the target away. One that is not finite is ignored.
    pub fn observe_target(&mut self, time: LslTime, target: Option<Target>) {
        if target.is_none_or(|target| target.position.0.iter().all(|value| value.is_finite())) {
            self.targets.insert(time, target);
        }
    }

    /// Knows of a block of the task: in an open loop a mismatched one moves by itself, and drift may wait for its end.
    pub fn observe_block(&mut self, time: LslTime, block: TaskBlock, phase: Phase) {
        self.blocks.insert(time, (block, phase));
        if (block, phase) == (TaskBlock::OpenLoop, Phase::End) && time.0.is_finite() {
            self.calibrated =
                Some(self.calibrated.map_or(time, |known| if time < known { time } else { known }));
        }
    }

    /// The velocity that it meant in the newest bin, in workspace widths per second: what a perfect decoder would give.
    pub fn intent(&self) -> Velocity {
        self.intent
    }

    /// The counts of the next bin, stamped `bin_time`, one a unit (as many as `out` takes). Bin times must not fall.
    pub fn counts(&mut self, bin_time: LslTime, out: &mut [f64]) {
        self.bins += 1;
        // 0 is the stream that the units were drawn from
        self.generator.set_stream(self.bins);
        self.generator.set_word_pos(0);
        let bin = self.options.bin.0;
        self.common = self.wandered(self.common, COMMON_DEVIATION, COMMON_TIME_CONSTANT_S);
        self.wander = self.wandered(self.wander, WANDER_DEVIATION, WANDER_TIME_CONSTANT_S);
        self.intent = self.intend(bin_time);
        let first = *self.first_bin.get_or_insert(bin_time);
        let since =
            if self.options.drift.after_calibration { self.calibrated.unwrap_or(bin_time) } else { first };
        let minutes = (bin_time - since).0.max(0.0) / 60.0;
        let [x, y] = [self.intent.0[0] / MAX_SPEED, self.intent.0[1] / MAX_SPEED];
        for (unit, count) in self.units.iter().zip(out) {
            let (sin, cos) = (unit.direction + unit.rotation_per_min * minutes).sin_cos();
            let mut log_rate = unit.log_baseline + unit.baseline_per_min * minutes;
            log_rate += unit.modulation * (cos * x + sin * y) + unit.common_loading * self.common;
            if self.options.noise > 0.0 {
                log_rate += self.options.noise * normal(&mut self.generator);
            }
            *count = unit.offset;
            if !unit.silent {
                *count += poisson((log_rate.exp() * bin).min(MAX_RATE_PER_BIN), &mut self.generator);
            }
        }
    }

    /// One step of an AR(1) process with this stationary deviation.
    fn wandered(&mut self, value: f64, deviation: f64, time_constant_s: f64) -> f64 {
        let keep = (-self.options.bin.0 / time_constant_s).exp();
        keep * value + (1.0 - keep * keep).sqrt() * deviation * normal(&mut self.generator)
    }

    fn intend(&mut self, bin_time: LslTime) -> Velocity {
        let position = self.states.in_force(bin_time - self.options.state_delay);
        let meant = match self.options.profile {
            Profile::Default => {
                let target = self.targets.in_force(bin_time - self.options.target_delay).flatten();
                position.zip(target).map(|(position, target)| toward(position, target, ERROR_TIME_CONSTANT_S))
            }
            Profile::Mismatch => position.and_then(|position| self.mismatched(bin_time, position)),
        };
        let Velocity([x, y]) = meant.unwrap_or_default().limited(MAX_SPEED);
        let (sin, cos) = self.wander.sin_cos();
        Velocity([cos * x - sin * y, sin * x + cos * y])
    }

    /// What it means in a bin as one whose movements are not those that labels assume, where it sees the cursor at `position`.
    fn mismatched(&mut self, bin_time: LslTime, position: Position) -> Option<Velocity> {
        let ParticipantOptions { seed, target_delay, .. } = self.options;
        let slower = Seconds(target_delay.0 - ParticipantOptions::default().target_delay.0);
        let (mut newest, mut lapses) = (None, false);
        for (told, target) in self.targets.iter().take_while(|(told, _)| *told <= bin_time) {
            let trial = Trial::draw(seed, told, target, slower);
            if trial.reacts <= bin_time {
                newest = Some(trial);
            }
            lapses |= trial.lapse.is_some_and(|from| bin_time >= from && (bin_time - from).0 < LAPSE_S);
        }
        let newest = newest?;
        self.targets.forget(newest.told);
        let (trial, start) = match self.trial {
            Some((trial, start)) if trial.told == newest.told => (trial, start),
            _ => (newest, position),
        };
        self.trial = Some((trial, start));
        if lapses {
            return None;
        }
        let target = trial.target?;
        if self.blocks.at(trial.told) != Some((TaskBlock::OpenLoop, Phase::Start)) {
            return Some(toward(position, target, trial.time_constant));
        }
        let part = (bin_time - trial.reacts).0 / MINIMUM_JERK_S;
        let speed = if part < 1.0 { 30.0 * (part * (1.0 - part)).powi(2) / MINIMUM_JERK_S } else { 0.0 };
        let [x, y] = start.to(target.position);
        Some(Velocity([x * speed, y * speed]))
    }
}

/// The velocity that covers the error in so many seconds.
fn toward(position: Position, target: Target, seconds: f64) -> Velocity {
    let [x, y] = position.to(target.position);
    Velocity([x / seconds, y / seconds])
}

/// What a mismatched participant does in a trial, drawn by its seed and the stamp of the target.
#[derive(Clone, Copy, Debug)]
struct Trial {
    told: LslTime,
    target: Option<Target>,
    /// When it begins to move.
    reacts: LslTime,
    time_constant: f64,
    /// When it stops meaning anything for a while, if it does.
    lapse: Option<LslTime>,
}

impl Trial {
    fn draw(seed: u64, told: LslTime, target: Option<Target>, slower: Seconds) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        // no bin has a stream of these
        generator.set_stream(told.0.to_bits() | 1 << 63);
        let mut uniform = |[low, high]: [f64; 2]| low + (high - low) * generator.random::<f64>();
        let reacts = told + Seconds(uniform(REACTION_S)) + slower;
        let time_constant = uniform(TIME_CONSTANTS_S);
        let lapses = uniform([0.0, 1.0]) < LAPSES;
        let lapse = told + Seconds(uniform(LAPSE_WITHIN_S));
        Self { told, target, reacts, time_constant, lapse: lapses.then_some(lapse) }
    }
}

fn draw_units(options: &ParticipantOptions, generator: &mut ChaCha8Rng) -> Vec<Unit> {
    let mut units: Vec<Unit> = (0..options.units)
        .map(|_| Unit {
            log_baseline: BASELINE_HZ.ln() + BASELINE_SPREAD * normal(generator),
            direction: TAU * generator.random::<f64>(),
            modulation: options.modulation * normal(generator).abs(),
            common_loading: normal(generator),
            rotation_per_min: options.drift.rotation_deg_per_min.to_radians() * normal(generator),
            baseline_per_min: options.drift.baseline_per_min * normal(generator),
            silent: false,
            offset: 0.0,
        })
        .collect();
    let mut order: Vec<usize> = (0..options.units).collect();
    order.shuffle(generator);
    for &index in &order[..options.units / UNTUNED_ONE_IN] {
        units[index].modulation = 0.0;
    }
    order.shuffle(generator);
    for &index in &order[..options.drop] {
        units[index].silent = true;
    }
    for offset in &options.offsets {
        let unit = &mut units[offset.unit];
        unit.offset += offset.deviations * (unit.log_baseline.exp() * options.bin.0).sqrt();
    }
    units
}

fn normal(generator: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(generator)
}

fn poisson(rate: f64, generator: &mut ChaCha8Rng) -> f64 {
    // a rate too small to be a distribution's gives no spike
    Poisson::new(rate).map_or(0.0, |distribution| distribution.sample(generator))
}

fn check(options: &ParticipantOptions) -> Result<(), ParticipantError> {
    let within = |setting, value: f64, least: f64, most: f64, expected| {
        if value >= least && value <= most {
            Ok(())
        } else {
            Err(ParticipantError::OutOfRange { setting, value, expected })
        }
    };
    within("units", options.units as f64, 1.0, 1024.0, "from 1 to 1024 is possible")?;
    within("bin", options.bin.0, 1e-3, 0.2, "a bin is 0.001 to 0.2 s wide")?;
    within("modulation", options.modulation, 0.0, 10.0, "from 0 to 10 is possible (standard: 0.5)")?;
    within("state_delay", options.state_delay.0, 0.0, 10.0, "from 0 to 10 s is possible (standard: 0.2)")?;
    within("target_delay", options.target_delay.0, 0.0, 10.0, "from 0 to 10 s is possible (standard: 0.25)")?;
    within("noise", options.noise, 0.0, 10.0, "from 0 to 10 is possible")?;
    within(
        "drift.rotation_deg_per_min",
        options.drift.rotation_deg_per_min,
        0.0,
        360.0,
        "from 0 to 360 is possible",
    )?;
    within("drift.baseline_per_min", options.drift.baseline_per_min, 0.0, 10.0, "from 0 to 10 is possible")?;
    within("drop", options.drop as f64, 0.0, options.units as f64, "at most all units can be dropped")?;
    for offset in &options.offsets {
        if offset.unit >= options.units {
            return Err(ParticipantError::NoSuchUnit { unit: offset.unit, last: options.units - 1 });
        }
        within("offset", offset.deviations, -1e3, 1e3, "from -1000 to 1000 deviations is possible")?;
    }
    Ok(())
}
