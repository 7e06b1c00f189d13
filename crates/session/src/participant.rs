//! The simulated participant: spike counts that mean to move the cursor to the target.

use core::f64::consts::{PI, TAU};

use kalmind_types::{LslTime, Position, Seconds, Target, Velocity};
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
/// Counts of a bin are capped here, far above anything that the law gives with sensible options.
const MAX_RATE_PER_BIN: f64 = 1e4;

/// Slow changes of the neurons, linear in time from the first bin on; 0 and 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// Standard deviation over units of how far a preferred direction turns in a minute, in degrees.
    pub rotation_deg_per_min: f64,
    /// Standard deviation over units of how far a log baseline rate moves in a minute.
    pub baseline_per_min: f64,
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
        let minutes = (bin_time - *self.first_bin.get_or_insert(bin_time)).0 / 60.0;
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
        let target = self.targets.in_force(bin_time - self.options.target_delay).flatten();
        let (Some(position), Some(target)) = (position, target) else {
            return Velocity::default();
        };
        let [x, y] = position.to(target.position);
        let Velocity([x, y]) =
            Velocity([x / ERROR_TIME_CONSTANT_S, y / ERROR_TIME_CONSTANT_S]).limited(MAX_SPEED);
        let (sin, cos) = self.wander.sin_cos();
        Velocity([cos * x - sin * y, sin * x + cos * y])
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
