//! Whether a feature vector still looks like training at all: what tells a dead array from a quiet one.
//!
//! The [guard](crate::Guarded) looks at channels one by one over seconds. This monitor looks at the array, over a few bins,
//! as process monitoring does (Jackson, A User's Guide to Principal Components, 1991, ch. 2 and 6):
//!
//! - *Standing still.* A value that stays where it was says, under the training probability p of staying there, -log p. The
//!   sum over a run is how surprising it is that a channel stands still: a unit of 8 Hz may be silent for half a second, an
//!   amplifier's channel may not repeat a value three times, and counts do not stay away from zero. A channel alone is
//!   taken for dead, or for noise, at `DEAD`; the array where
//!   the mean over channels, each counted up to `MOST`, says that a quarter of them stopped, or where not one channel
//!   changed in a run that is less probable than `STILL` says.
//! - *Out of range.* A value far outside the training range is none.
//! - *Variance.* Means over channels of squared deviations from the training mean, and of halved squared changes from bin to
//!   bin, each limited, as running means over [`SPANS`] bins; and the part of the channels that stay where they were, which
//!   noise in place of counts does not.
//! - *Pattern.* The same of what the other channels do not explain of each (the Q statistic), which grows where channels no
//!   longer belong together.
//!
//! Channels that are known to be bad are left out of the means. Thresholds lie three times as far from the typical value as
//! anything in training, and never nearer than a factor (2, and more for few channels), so that drift is not taken for a
//! fault. What it cannot see: noise of the same variances on channels without a grid that share little and are white.
//!
//! Cost: about 50 operations a channel in every bin; no allocation.

use kalmind_types::FeatureSet;

use crate::array_statistics::{MEASURES, MOST, Observer, PART, PlausibilityStatistics, SPANS, STILL};

/// A surprise at which one channel alone is taken for dead, in nats; more where training had nearly as much.
const DEAD: f64 = 40.0;
/// Bins that an array stands still at least before it is taken for dead.
const FEWEST_BINS: u32 = 3;
/// How far beyond training a threshold lies, as a factor of the training extreme's distance from the typical value.
const WIDENING: f64 = 3.0;
/// A running mean within a factor of the typical value is plausible, whatever training had: this, and so much more of n
/// channels over the root of n.
const FACTOR: f64 = 2.0;
const FACTOR_OF_FEW: f64 = 4.0;
/// So much more over the shorter span, above the typical value: a movement or a discharge lasts as long.
const BURSTS: f64 = 3.5;
/// What others do not explain, as a part of the variance, up to which channels belong together.
const UNEXPLAINED: f64 = 0.5;
/// The same for the part of channels that stay, which varies less; where fewer than the least part do, it tells nothing.
const STAYING_FACTOR: f64 = 1.4;
const LEAST_STAYING: f64 = 0.1;
const NAMING_FACTOR: f64 = 2.0;
/// A value is none where it lies outside the training range by so many widths of it, and by so many standard deviations.
const RANGE_WIDTHS: f64 = 4.0;
const RANGE_DEVIATIONS: f64 = 10.0;

const PATTERN: usize = 2;
const STAYING: usize = 3;

/// How the array differs from training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implausible {
    /// Channels stand still.
    Constant,
    /// The variance is another.
    Variance,
    /// Channels no longer belong together.
    Pattern,
}

/// A running mean of the array and where it may be.
#[derive(Clone, Copy, Debug)]
struct Bounded {
    gain: f64,
    start: f64,
    mean: f64,
    lowest: f64,
    highest: f64,
}

/// The monitor at work. Real-time.
#[derive(Clone, Debug)]
pub(crate) struct Plausibility {
    observer: Observer,
    bounds: [[Bounded; SPANS.len()]; MEASURES],
    /// Typical squares by which channels are named.
    typical_activity: f64,
    typical_unexplained: f64,
    dead: Vec<f64>,
    stillness: f64,
    still: f64,
    residuals: Vec<f64>,
    nearest: Vec<f64>,
    farthest: Vec<f64>,
    present: Vec<f64>,
    unmasked: Vec<f64>,
    healthy: Vec<f64>,
}

impl Plausibility {
    /// Of channels with these statistics; `least` and `greatest` are their training ranges, `moves` whether they moved, all
    /// in standard deviations from the mean.
    pub(crate) fn new(
        statistics: &PlausibilityStatistics,
        least: &[f64],
        greatest: &[f64],
        moves: &[bool],
    ) -> Self {
        let observer = Observer::new(statistics, |channel| moves[channel]);
        let beyond = |typical: f64, extreme: f64| typical + WIDENING * (extreme - typical);
        let n = statistics.mode.len();
        let factor = FACTOR + FACTOR_OF_FEW / (n.max(1) as f64).sqrt();
        let bounds = core::array::from_fn(|measure| {
            let typical = statistics.typical[measure];
            core::array::from_fn(|span| {
                let (lowest, highest) = (
                    statistics.lowest[measure * SPANS.len() + span],
                    statistics.highest[measure * SPANS.len() + span],
                );
                Bounded {
                    gain: 1.0 / SPANS[span] as f64,
                    start: typical,
                    mean: typical,
                    lowest: match measure {
                        // a pattern cannot be too good
                        PATTERN => f64::NEG_INFINITY,
                        STAYING if typical < LEAST_STAYING => f64::NEG_INFINITY,
                        STAYING => beyond(typical, lowest).min(typical / STAYING_FACTOR),
                        // a variance cannot fall below zero: as far again in its logarithm
                        _ => (lowest * lowest / typical.max(f64::MIN_POSITIVE)).min(typical / factor),
                    },
                    highest: match measure {
                        // without a pattern, nothing is explained: all of the variance, which is 1
                        PATTERN => {
                            let factor = if span == 0 { factor + BURSTS } else { factor };
                            let least = (typical * factor).max(typical.sqrt()).max(UNEXPLAINED);
                            beyond(typical, highest).max(least)
                        }
                        // that is what stillness is for
                        STAYING => f64::INFINITY,
                        _ if span == 0 => beyond(typical, highest).max(typical * (factor + BURSTS)),
                        _ => beyond(typical, highest).max(typical * factor),
                    },
                }
            })
        });
        let margin = |at: usize| RANGE_WIDTHS * (greatest[at] - least[at]) + RANGE_DEVIATIONS;
        Self {
            observer,
            bounds,
            dead: statistics.longest.iter().map(|longest| (WIDENING * longest).max(DEAD)).collect(),
            stillness: beyond(1.0, statistics.greatest_stillness).max(1.0 + PART * (MOST - 1.0)),
            still: (WIDENING * statistics.greatest_still).max(STILL),
            nearest: (0..n).map(|at| least[at] - margin(at)).collect(),
            farthest: (0..n).map(|at| greatest[at] + margin(at)).collect(),
            residuals: vec![0.0; n],
            present: vec![0.0; n],
            unmasked: vec![0.0; n],
            healthy: vec![0.0; n],
            typical_activity: statistics.typical[0] + statistics.typical[1],
            typical_unexplained: statistics.typical[PATTERN],
        }
    }

    pub(crate) fn restart(&mut self) {
        self.observer.restart();
        for bounded in self.bounds.iter_mut().flatten() {
            bounded.mean = bounded.start;
        }
    }

    /// Takes a bin in; says how the array differs from training, and makes `found` the channels that are dead or out of range,
    /// or stand behind it. Channels that are `missing`, or known to be `bad`, are left out of the means (of
    /// changes: those of the bad that are `hidden`); the values of those out of range become 0. `residual`
    /// writes what others do not explain of each value.
    pub(crate) fn observe(
        &mut self,
        values: &mut [f64],
        mut residual: impl FnMut(&[f64], &mut [f64]),
        [missing, bad, hidden]: [&FeatureSet; 3],
        found: &mut FeatureSet,
    ) -> Option<Implausible> {
        found.clear();
        let ranges = self.nearest.iter().zip(&self.farthest);
        let weights = self.present.iter_mut().zip(&mut self.unmasked).zip(&mut self.healthy);
        for (channel, ((value, (nearest, farthest)), ((present, unmasked), healthy))) in
            values.iter_mut().zip(ranges).zip(weights).enumerate()
        {
            let inside = *value >= *nearest && *value <= *farthest;
            if !inside {
                found.insert(channel);
                *value = 0.0;
            }
            *present = if inside && !missing.contains(channel) { 1.0 } else { 0.0 };
            *unmasked = if hidden.contains(channel) { 0.0 } else { *present };
            *healthy = if bad.contains(channel) { 0.0 } else { *present };
        }
        residual(values, &mut self.residuals);
        let shown =
            self.observer.observe(values, &self.residuals, &self.present, &self.unmasked, &self.healthy);
        let (mut implausible, mut more) = (None, false);
        for (measure, (mean, bounds)) in shown.means.iter().zip(&mut self.bounds).enumerate() {
            if let Some(mean) = mean {
                for bounded in bounds {
                    // what lies far out is forgotten no slower than what lies just out
                    let limited = mean.min(2.0 * bounded.highest);
                    bounded.mean += bounded.gain * (limited - bounded.mean);
                    if implausible.is_none()
                        && (bounded.mean < bounded.lowest || bounded.mean > bounded.highest)
                    {
                        let pattern = measure == PATTERN;
                        implausible =
                            Some(if pattern { Implausible::Pattern } else { Implausible::Variance });
                        more = bounded.mean > bounded.highest || measure == STAYING;
                    }
                }
            }
        }
        let all_still = shown.still > self.still && shown.still_bins >= FEWEST_BINS;
        let array = all_still || shown.stillness > self.stillness;
        if array {
            implausible = Some(Implausible::Constant);
        }
        let runs = self.observer.runs.iter().zip(&self.dead).zip(&self.present).enumerate();
        for (channel, ((run, dead), present)) in runs {
            let stopped = if all_still { *present > 0.0 } else { array && *run >= 0.5 * MOST };
            if run.abs() > *dead || stopped {
                found.insert(channel);
            }
        }
        match implausible {
            Some(Implausible::Variance) => {
                name(found, &self.observer.activity, self.typical_activity, more);
            }
            Some(Implausible::Pattern) => {
                name(found, &self.observer.unexplained, self.typical_unexplained, true);
            }
            Some(Implausible::Constant) | None => {}
        }
        implausible
    }
}

/// Names the channels whose running mean is far above the typical one, or far below where there is not `more`.
fn name(suspects: &mut FeatureSet, means: &[f64], typical: f64, more: bool) {
    for (channel, mean) in means.iter().enumerate() {
        if (more && *mean > NAMING_FACTOR * typical) || (!more && *mean < typical / NAMING_FACTOR) {
            suspects.insert(channel);
        }
    }
}
