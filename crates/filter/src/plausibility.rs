//! Whether a feature vector still looks like training at all: what tells a dead array from a quiet one.
//!
//! The [guard](crate::Guarded) looks at channels one by one over seconds. This monitor looks at the array, over a few bins,
//! as process monitoring does (Jackson, A User's Guide to Principal Components, 1991, ch. 2 and 6):
//!
//! - *Standing still.* A value that stays where it was says, under the training probability p of staying there, -log p. The
//!   sum over a run is how surprising it is that a channel stands still: a unit of 8 Hz may be silent for half a second, an
//!   amplifier's channel may not repeat a value three times. A channel alone is taken for dead at [`DEAD`]; the array where
//!   the mean over channels, each counted up to [`MOST`], says that a quarter of them stopped, or where not one channel
//!   changed in a run that is less probable than [`STILL`] says.
//! - *Out of range.* A value far outside the training range is none.
//! - *Variance.* Means over channels of squared deviations from the training mean, and of halved squared changes from bin to
//!   bin, each limited, as running means over [`SPANS`] bins.
//! - *Pattern.* The same of what the other channels do not explain of each (the Q statistic), which grows where channels no
//!   longer belong together.
//!
//! Channels that are known to be bad are left out of the means. Thresholds lie twice as far from the typical value as
//! anything in training, and never nearer than a factor of [`FACTOR`], so that drift is not taken for a fault. What it
//! cannot see: noise of the same variances on channels that share little and are white.
//!
//! Cost: about 30 operations a channel in every bin; no allocation.

use kalmind_types::ChannelMask;
use serde::{Deserialize, Serialize};

/// Bins in the running means.
pub(crate) const SPANS: [usize; 2] = [4, 16];
/// Squared deviations count up to this.
const LARGEST_SQUARE: f64 = 9.0;
/// A surprise at which one channel alone is taken for dead, in nats; more where training had nearly as much.
const DEAD: f64 = 40.0;
/// Most surprise of one channel that counts in the array's.
const MOST: f64 = 6.0;
/// The part of the channels that has to stand still for the array to be taken for dead.
const PART: f64 = 0.25;
/// A surprise at which an array whose every channel stands still is taken for dead, in nats.
const STILL: f64 = 22.0;
/// Bins that an array stands still at least before it is taken for dead.
const FEWEST_BINS: u32 = 3;
/// How far beyond training a threshold lies, as a factor of the training extreme's distance from the typical value.
const WIDENING: f64 = 2.0;
/// A running mean within this factor of the typical value is plausible, whatever training had.
const FACTOR: f64 = 2.0;
/// A value is none where it lies outside the training range by so many widths of it, and by so many standard deviations.
const RANGE_WIDTHS: f64 = 4.0;
const RANGE_DEVIATIONS: f64 = 10.0;

/// What of the array is watched; the order is that of the statistics.
pub(crate) const MEASURES: usize = 3;

/// What training shows of the array as a whole; see the module. Values in standard deviations from the training mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlausibilityStatistics {
    /// The most frequent value of each channel, n.
    pub mode: Vec<f64>,
    /// A change up to this is none, n, >= 0.
    pub tolerance: Vec<f64>,
    /// Training probability of staying, at the mode and elsewhere, n each, in 0..1.
    pub stay_at_mode: Vec<f64>,
    /// See `stay_at_mode`.
    pub stay_elsewhere: Vec<f64>,
    /// The greatest surprise at one run of each channel, n, in nats.
    pub longest: Vec<f64>,
    /// The greatest mean of the channels' surprises, each limited.
    pub greatest_stillness: f64,
    /// The greatest surprise at a run in which no channel changed, in nats.
    pub greatest_still: f64,
    /// Typical means over channels: squared deviations, halved squared changes, squared residuals; 3 values.
    pub typical: Vec<f64>,
    /// The lowest running means, 3 x 2 (over 4 and 16 bins), row by row.
    pub lowest: Vec<f64>,
    /// The highest.
    pub highest: Vec<f64>,
}

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

/// What one bin showed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shown {
    /// Means over channels; `None` where none is left.
    pub(crate) means: Option<[f64; MEASURES]>,
    pub(crate) stillness: f64,
    pub(crate) still: f64,
    pub(crate) still_bins: u32,
}

/// The part that fitting and monitoring share: surprises and means, without thresholds.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    mode: Vec<f64>,
    tolerance: Vec<f64>,
    at_mode: Vec<f64>,
    elsewhere: Vec<f64>,
    last: Vec<f64>,
    /// Surprise at the run of each channel.
    pub(crate) runs: Vec<f64>,
    still: f64,
    still_bins: u32,
    started: bool,
}

impl Observer {
    /// Of channels that moved in training (`moves`), with the probabilities of staying.
    pub(crate) fn new(
        mode: &[f64],
        tolerance: &[f64],
        stay_at_mode: &[f64],
        stay_elsewhere: &[f64],
        moves: impl Fn(usize) -> bool,
    ) -> Self {
        let surprise = |stay: &[f64]| {
            let all = stay.iter().enumerate();
            all.map(|(at, stay)| if moves(at) { -libm::log(stay.clamp(1e-6, 1.0)) } else { 0.0 }).collect()
        };
        let n = mode.len();
        let tolerance = tolerance.iter().enumerate();
        Self {
            mode: mode.to_vec(),
            // a channel that never moved tells nothing by moving
            tolerance: tolerance.map(|(at, most)| if moves(at) { *most } else { f64::INFINITY }).collect(),
            at_mode: surprise(stay_at_mode),
            elsewhere: surprise(stay_elsewhere),
            last: vec![0.0; n],
            runs: vec![0.0; n],
            still: 0.0,
            still_bins: 0,
            started: false,
        }
    }

    pub(crate) fn restart(&mut self) {
        self.runs.fill(0.0);
        self.still = 0.0;
        self.still_bins = 0;
        self.started = false;
    }

    /// Takes a bin in. `weights` are 1 for channels to look at and 0 for others (which keep their runs); `residuals` is what
    /// the other channels do not explain of each.
    pub(crate) fn observe(&mut self, values: &[f64], residuals: &[f64], weights: &[f64]) -> Shown {
        let first = !core::mem::replace(&mut self.started, true);
        let mut sums = [0.0; MEASURES];
        let (mut channels, mut stillness, mut surprise, mut moving) = (0.0, 0.0, 0.0, 0.0);
        let parameters = self.mode.iter().zip(&self.tolerance).zip(&self.at_mode).zip(&self.elsewhere);
        let memories = self.last.iter_mut().zip(&mut self.runs);
        let inputs = values.iter().zip(residuals).zip(weights);
        for (((((mode, tolerance), at_mode), elsewhere), (last, run)), ((value, residual), weight)) in
            parameters.zip(memories).zip(inputs)
        {
            let before = if first { *value } else { *last };
            let change = value - before;
            let stays = change.abs() <= *tolerance;
            let said = if (before - mode).abs() <= *tolerance { *at_mode } else { *elsewhere };
            let said = if first { 0.0 } else { said };
            let longer = if stays { *run + said } else { 0.0 };
            let looked_at = *weight > 0.0;
            *run = if looked_at { longer } else { *run };
            *last = if looked_at { *value } else { before };
            sums[0] += weight * (value * value).min(LARGEST_SQUARE);
            sums[1] += weight * (0.5 * change * change).min(LARGEST_SQUARE);
            sums[2] += weight * (residual * residual).min(LARGEST_SQUARE);
            channels += weight;
            stillness += weight * run.min(MOST);
            surprise += weight * said;
            moving += if stays { 0.0 } else { *weight };
        }
        if moving > 0.0 || channels == 0.0 {
            (self.still, self.still_bins) = (0.0, 0);
        } else {
            self.still += surprise;
            self.still_bins = self.still_bins.saturating_add(u32::from(!first));
        }
        let part = if channels > 0.0 { 1.0 / channels } else { 0.0 };
        Shown {
            means: (channels > 0.0 && !first).then(|| sums.map(|sum| sum * part)),
            stillness: stillness * part,
            still: self.still,
            still_bins: self.still_bins,
        }
    }
}

/// The monitor at work. Real-time.
#[derive(Clone, Debug)]
pub(crate) struct Plausibility {
    observer: Observer,
    bounds: [[Bounded; SPANS.len()]; MEASURES],
    dead: Vec<f64>,
    stillness: f64,
    still: f64,
    nearest: Vec<f64>,
    farthest: Vec<f64>,
    weights: Vec<f64>,
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
        let PlausibilityStatistics { mode, tolerance, stay_at_mode, stay_elsewhere, .. } = statistics;
        let observer =
            Observer::new(mode, tolerance, stay_at_mode, stay_elsewhere, |channel| moves[channel]);
        let beyond = |typical: f64, extreme: f64| typical + WIDENING * (extreme - typical);
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
                    // a pattern cannot be too good
                    lowest: if measure == 2 {
                        f64::NEG_INFINITY
                    } else {
                        beyond(typical, lowest).min(typical / FACTOR)
                    },
                    highest: beyond(typical, highest).max(typical * FACTOR),
                }
            })
        });
        let margin = |at: usize| RANGE_WIDTHS * (greatest[at] - least[at]) + RANGE_DEVIATIONS;
        let n = mode.len();
        Self {
            observer,
            bounds,
            dead: statistics.longest.iter().map(|longest| (WIDENING * longest).max(DEAD)).collect(),
            stillness: beyond(1.0, statistics.greatest_stillness).max(1.0 + PART * (MOST - 1.0)),
            still: (WIDENING * statistics.greatest_still).max(STILL),
            nearest: (0..n).map(|at| least[at] - margin(at)).collect(),
            farthest: (0..n).map(|at| greatest[at] + margin(at)).collect(),
            weights: vec![0.0; n],
        }
    }

    pub(crate) fn restart(&mut self) {
        self.observer.restart();
        for bounded in self.bounds.iter_mut().flatten() {
            bounded.mean = bounded.start;
        }
    }

    /// Takes a bin in; says how the array differs from training and adds channels to `suspects`. Channels that are
    /// `missing`, or suspects already, are left out of the means.
    pub(crate) fn observe(
        &mut self,
        values: &[f64],
        residuals: &[f64],
        missing: &ChannelMask,
        suspects: &mut ChannelMask,
    ) -> Option<Implausible> {
        let ranges = self.nearest.iter().zip(&self.farthest);
        for (channel, ((value, (nearest, farthest)), weight)) in
            values.iter().zip(ranges).zip(&mut self.weights).enumerate()
        {
            if value < nearest || value > farthest {
                suspects.mask(channel);
            }
            *weight = if missing.is_masked(channel) || suspects.is_masked(channel) { 0.0 } else { 1.0 };
        }
        let shown = self.observer.observe(values, residuals, &self.weights);
        let mut implausible = None;
        if let Some(means) = shown.means {
            for (measure, (mean, bounds)) in means.iter().zip(&mut self.bounds).enumerate() {
                for bounded in bounds {
                    // what lies far out is forgotten no slower than what lies just out
                    let limited = mean.min(2.0 * bounded.highest);
                    bounded.mean += bounded.gain * (limited - bounded.mean);
                    if bounded.mean < bounded.lowest || bounded.mean > bounded.highest {
                        let what = if measure == 2 { Implausible::Pattern } else { Implausible::Variance };
                        implausible = implausible.or(Some(what));
                    }
                }
            }
        }
        let all_still = shown.still > self.still && shown.still_bins >= FEWEST_BINS;
        let array = all_still || shown.stillness > self.stillness;
        if array {
            implausible = Some(Implausible::Constant);
        }
        let runs = self.observer.runs.iter().zip(&self.dead).zip(&self.weights).enumerate();
        for (channel, ((run, dead), weight)) in runs {
            let stopped = if all_still { *weight > 0.0 } else { array && *run >= 0.5 * MOST };
            if run > dead || stopped {
                suspects.mask(channel);
            }
        }
        implausible
    }
}
