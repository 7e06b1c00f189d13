//! The simulated participant: spike counts that mean to move the cursor to the target, and to select it.

mod options;
mod selecting;
mod trial;
mod units;

use core::f64::consts::PI;

use kalmind_types::{LslTime, Phase, Position, Seconds, Target, TaskBlock, Velocity};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Poisson};

use self::{
    options::check,
    selecting::Selecting,
    trial::Trial,
    units::{Unit, draw_units, normal},
};
use crate::history::{CAPACITY, History};

pub use options::{Drift, Offset, ParticipantError, ParticipantOptions, Profile};

/// Standard deviation and time constant of the common drift of log rates.
const COMMON_DEVIATION: f64 = 0.1;
const COMMON_TIME_CONSTANT_S: f64 = 1.0;
/// Standard deviation and time constant of the wander of the intended direction.
const WANDER_DEVIATION: f64 = PI / 18.0;
const WANDER_TIME_CONSTANT_S: f64 = 0.3;
/// Seconds in which the participant means to cover the error, and the speed it does not exceed.
const ERROR_TIME_CONSTANT_S: f64 = 0.4;
pub(crate) const MAX_SPEED: f64 = 0.6;
/// How long a mismatched participant lapses, and how long its movements in an open loop are.
const LAPSE_S: f64 = 1.0;
const MINIMUM_JERK_S: f64 = 0.9;
/// How old news of a hand are before they count, so that they are here in time for their bin; and how long they hold.
const HAND_DELAY: Seconds = Seconds(0.04);
const HAND_HOLDS: Seconds = Seconds(0.2);
/// Counts of a bin are capped here, far above anything that the law gives with sensible options.
const MAX_RATE_PER_BIN: f64 = 1e4;

/// A participant with `units` neurons whose counts follow what it means to do: move the cursor that it sees (as it was
/// `state_delay` ago) to the target that it knows of (as of `target_delay` ago).
///
/// The log rate of unit i is `b_i + m_i p_i . (v / v_max) + l_i c(t)`, counts are Poisson. The intent v points to the
/// target at |error| / 0.4 s, at most 0.6 workspace widths a second, and its direction wanders by 10 degrees. Without
/// a target, or before the first state, v = 0.
///
/// With [`clicks`](ParticipantOptions::clicks) it means to select, for 300 ms at a time, once it has seen the cursor in the
/// target for 100 ms, and again where nothing came of it. Meanwhile half of the untuned units raise their log rate by 0.8; of
/// a mismatched participant a quarter of the tuned ones change theirs by as much as well, up or down.
///
/// With [`hand`](ParticipantOptions::hand) the intent is the velocity of a person's hand instead, limited likewise: the newest that
/// is 40 ms old, and none once that is older than 200 ms by then.
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
    hands: History<(LslTime, Velocity)>,
    /// The trial that it is at, and where it saw the cursor when it began to move.
    trial: Option<(Trial, Position)>,
    calibrated: Option<LslTime>,
    generator: ChaCha8Rng,
    bins: u64,
    first_bin: Option<LslTime>,
    common: f64,
    wander: f64,
    intent: Velocity,
    selecting: Selecting,
    selects: bool,
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
            hands: History::new(CAPACITY),
            trial: None,
            calibrated: None,
            generator,
            bins: 0,
            first_bin: None,
            common,
            wander,
            intent: Velocity::default(),
            selecting: Selecting::default(),
            selects: false,
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

    /// Feels how a person's hand moves, in workspace widths per second. What is not finite is ignored.
    pub fn observe_hand(&mut self, time: LslTime, velocity: Velocity) {
        if velocity.0.iter().all(|value| value.is_finite()) {
            self.hands.insert(time, (time, velocity));
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

    /// Whether it meant to select in the newest bin, by clicking: what a perfect click decoder would give.
    pub fn selects(&self) -> bool {
        self.selects
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
            if self.selects {
                log_rate += unit.click;
            }
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
        let (meant, target) = match self.options.profile {
            Profile::Default => {
                let target = self.targets.in_force(bin_time - self.options.target_delay).flatten();
                let toward = |(position, target)| toward(position, target, ERROR_TIME_CONSTANT_S);
                (position.zip(target).map(toward), target)
            }
            Profile::Mismatch => {
                let meant = position.and_then(|position| self.mismatched(bin_time, position));
                // one that lapses means to select nothing either
                let target = meant.and(self.trial).and_then(|(trial, _)| trial.target);
                (meant, target)
            }
        };
        self.selects = self.options.clicks && self.selecting.step(bin_time, position.zip(target));
        if self.options.hand {
            return self.hand(bin_time - HAND_DELAY).limited(MAX_SPEED);
        }
        let Velocity([x, y]) = meant.unwrap_or_default().limited(MAX_SPEED);
        let (sin, cos) = self.wander.sin_cos();
        Velocity([cos * x - sin * y, sin * x + cos * y])
    }

    /// How the hand moves at `time`: as it was told last, unless that was too long ago.
    fn hand(&mut self, time: LslTime) -> Velocity {
        self.hands.forget(time);
        let newest = self.hands.at(time).filter(|(told, _)| (time - *told).0 <= HAND_HOLDS.0);
        newest.map(|(_, velocity)| velocity).unwrap_or_default()
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

fn poisson(rate: f64, generator: &mut ChaCha8Rng) -> f64 {
    // a rate too small to be a distribution's gives no spike
    Poisson::new(rate).map_or(0.0, |distribution| distribution.sample(generator))
}
