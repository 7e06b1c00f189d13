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

use kalmind_types::ChannelMask;
use serde::{Deserialize, Serialize};

/// Bins in the running means.
pub const SPANS: [usize; 2] = [4, 16];
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
/// Bins in the running means by which channels are named, and the factor of the array's typical value that names them.
const NAMING_SPAN: f64 = 16.0;
const NAMING_FACTOR: f64 = 2.0;
/// The part of values that are taken to repeat the one before, where training did not tell.
const ASSUMED_STAYING: f64 = 0.05;
/// A value is none where it lies outside the training range by so many widths of it, and by so many standard deviations.
const RANGE_WIDTHS: f64 = 4.0;
const RANGE_DEVIATIONS: f64 = 10.0;

/// What of the array is watched; the order is that of the statistics.
pub const MEASURES: usize = 4;
const PATTERN: usize = 2;
const STAYING: usize = 3;

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
    /// Training probability that a value away from the mode is followed by another, n, in 0..1; 1 without a mode.
    pub stay_away: Vec<f64>,
    /// The greatest surprise at one run of each channel, n, in nats.
    pub longest: Vec<f64>,
    /// The greatest mean of the channels' surprises, each limited.
    pub greatest_stillness: f64,
    /// The greatest surprise at a run in which no channel changed, in nats.
    pub greatest_still: f64,
    /// Typical means over channels: squared deviations, halved squared changes, squared residuals, each limited to 9, and
    /// the part that stays; 4 values.
    pub typical: Vec<f64>,
    /// The lowest running means, 4 x 2 (over 4 and 16 bins), row by row.
    pub lowest: Vec<f64>,
    /// The highest.
    pub highest: Vec<f64>,
}

impl PlausibilityStatistics {
    /// What of the array is watched: the length of `typical`.
    pub const MEASURES: usize = MEASURES;
    /// Running means of each: `lowest` and `highest` have so many values a measure.
    pub const SPANS: usize = SPANS.len();

    /// What can be said of channels of which only the raw training mean is known, and perhaps the standard deviation; they
    /// are standardised. Counts are taken for Poisson counts; other channels for ones that seldom repeat a value.
    pub(crate) fn assumed(mean: &[f64], deviation: Option<&[f64]>) -> Self {
        let n = mean.len();
        let mut assumed = Self {
            mode: vec![0.0; n],
            tolerance: vec![1e-9; n],
            stay_at_mode: vec![ASSUMED_STAYING; n],
            stay_elsewhere: vec![ASSUMED_STAYING; n],
            stay_away: vec![1.0; n],
            longest: vec![0.0; n],
            // nothing was seen, so that margins are wide
            greatest_stillness: 1.0 + PART * (MOST - 1.0),
            greatest_still: STILL,
            typical: vec![1.0, 1.0, 1.0, 0.0],
            lowest: vec![0.0; MEASURES * SPANS.len()],
            highest: vec![
                if deviation.is_some() { 4.0 } else { f64::from(u16::MAX) };
                MEASURES * SPANS.len()
            ],
        };
        for (channel, mean) in mean.iter().enumerate() {
            let variance = deviation.map_or(*mean, |deviation| deviation[channel] * deviation[channel]);
            let counts = *mean > 0.0 && *mean < 5.0 && variance > 0.5 * mean && variance < 2.0 * mean;
            if counts {
                let most = mean.floor();
                let factorial: f64 = (1..=most as u32).map(f64::from).product();
                assumed.mode[channel] = (most - mean) / variance.sqrt();
                assumed.stay_at_mode[channel] = libm::exp(-mean) * libm::pow(*mean, most) / factorial;
                assumed.stay_elsewhere[channel] = assumed.stay_at_mode[channel];
            }
        }
        assumed
    }

    /// Checks them for `n` channels; what is wrong, as part, found, expected.
    pub(crate) fn problem(&self, n: usize) -> Option<(&'static str, String, String)> {
        let stays = [&self.stay_at_mode, &self.stay_elsewhere, &self.stay_away];
        let channels = [&self.mode, &self.tolerance, &self.longest].into_iter().chain(stays);
        let array = [&self.lowest, &self.highest];
        let lengths = channels.map(|vector| (vector, n));
        let lengths = lengths.chain(array.into_iter().map(|vector| (vector, MEASURES * SPANS.len())));
        for (vector, expected) in lengths.chain([(&self.typical, MEASURES)]) {
            if vector.len() != expected {
                return Some(("guard plausibility", vector.len().to_string(), expected.to_string()));
            }
            if let Some(value) = vector.iter().find(|value| !value.is_finite()) {
                return Some(("guard plausibility", value.to_string(), "finite numbers".to_owned()));
            }
        }
        let probability = |value: &f64| (0.0..=1.0).contains(value);
        let sound = stays.into_iter().flatten().all(probability)
            && self.tolerance.iter().chain(&self.longest).all(|value| *value >= 0.0)
            && self.lowest.iter().zip(&self.highest).all(|(low, high)| low <= high)
            && (1.0..1e9).contains(&self.greatest_stillness)
            && (0.0..1e9).contains(&self.greatest_still);
        let expected = "probabilities in 0..1, tolerances of 0 or more, least values below greatest";
        (!sound).then(|| ("guard plausibility", "out of range".to_owned(), expected.to_owned()))
    }
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
pub struct Shown {
    /// Means over channels; `None` where none is left.
    pub means: [Option<f64>; MEASURES],
    /// Mean surprise at the runs of channels that stay.
    pub stillness: f64,
    /// Surprise at the bins for which every channel has stayed.
    pub still: f64,
    /// How many those are.
    pub still_bins: u32,
}

/// The part that fitting and monitoring share: surprises and means, without thresholds.
#[derive(Clone, Debug)]
pub struct Observer {
    mode: Vec<f64>,
    tolerance: Vec<f64>,
    at_mode: Vec<f64>,
    elsewhere: Vec<f64>,
    /// Surprise at a bin away from the mode that follows another.
    away: Vec<f64>,
    last: Vec<f64>,
    /// Surprise at the run of each channel: positive while it stays, negative while it changes and stays away from the mode.
    pub runs: Vec<f64>,
    /// Running means of each channel: squared deviations and halved squared changes; squared residuals.
    activity: Vec<f64>,
    unexplained: Vec<f64>,
    still: f64,
    still_bins: u32,
    started: bool,
}

impl Observer {
    /// Of channels that moved in training (`moves`), with the probabilities of staying.
    pub fn new(statistics: &PlausibilityStatistics, moves: impl Fn(usize) -> bool) -> Self {
        let PlausibilityStatistics { mode, tolerance, stay_at_mode, stay_elsewhere, .. } = statistics;
        let surprise = |stay: &[f64]| {
            let all = stay.iter().enumerate();
            all.map(|(at, stay)| if moves(at) { -libm::log(stay.clamp(1e-6, 1.0)) } else { 0.0 }).collect()
        };
        let n = mode.len();
        let tolerance = tolerance.iter().enumerate();
        Self {
            mode: mode.clone(),
            // a channel that never moved tells nothing by moving
            tolerance: tolerance.map(|(at, most)| if moves(at) { *most } else { f64::INFINITY }).collect(),
            at_mode: surprise(stay_at_mode),
            elsewhere: surprise(stay_elsewhere),
            away: surprise(&statistics.stay_away),
            last: vec![0.0; n],
            runs: vec![0.0; n],
            activity: vec![0.0; n],
            unexplained: vec![0.0; n],
            still: 0.0,
            still_bins: 0,
            started: false,
        }
    }

    /// Back to the first bin.
    pub fn restart(&mut self) {
        self.runs.fill(0.0);
        self.activity.fill(0.0);
        self.unexplained.fill(0.0);
        self.still = 0.0;
        self.still_bins = 0;
        self.started = false;
    }

    /// Takes a bin in. `present` is 1 for channels with a value and 0 for others (which keep their runs), `unmasked` 1 for
    /// those of them that are not masked, whose changes tell something, and `healthy` 1 for those whose values do;
    /// `residuals` is what the other channels do not explain of each.
    pub fn observe(
        &mut self,
        values: &[f64],
        residuals: &[f64],
        present: &[f64],
        unmasked: &[f64],
        healthy: &[f64],
    ) -> Shown {
        let first = !core::mem::replace(&mut self.started, true);
        let mut sums = [0.0; MEASURES];
        let mut weighed = [0.0; MEASURES];
        let (mut channels, mut stillness, mut surprise, mut moving) = (0.0, 0.0, 0.0, 0.0);
        let surprises = self.at_mode.iter().zip(&self.elsewhere).zip(&self.away);
        let parameters = self.mode.iter().zip(&self.tolerance).zip(surprises);
        let means = self.activity.iter_mut().zip(&mut self.unexplained);
        let memories = self.last.iter_mut().zip(&mut self.runs).zip(means);
        let weights = present.iter().zip(unmasked).zip(healthy);
        let inputs = values.iter().zip(residuals).zip(weights);
        for ((parameters, memories), ((value, residual), ((present, unmasked), healthy))) in
            parameters.zip(memories).zip(inputs)
        {
            let ((mode, tolerance), ((at_mode, elsewhere), surprise_away)) = parameters;
            let ((last, run), (activity, unexplained)) = memories;
            let before = if first { *value } else { *last };
            let change = value - before;
            let stays = change.abs() <= *tolerance;
            let said = if (before - mode).abs() <= *tolerance { *at_mode } else { *elsewhere };
            let said = if first { 0.0 } else { said };
            let away = (*value - mode).abs() > *tolerance;
            let longer = match (stays, away) {
                (true, _) => run.max(0.0) + said,
                (false, true) => run.min(0.0) - surprise_away,
                (false, false) => 0.0,
            };
            let looked_at = *present > 0.0;
            *run = if looked_at { longer } else { *run };
            *last = if looked_at { *value } else { before };
            let squares = [value * value, 0.5 * change * change, residual * residual];
            let squares = squares.map(|square| square.min(LARGEST_SQUARE));
            *activity += (present * (squares[0] + squares[1]) - *activity) / NAMING_SPAN;
            *unexplained += (present * squares[2] - *unexplained) / NAMING_SPAN;
            let stay = if stays { 1.0 } else { 0.0 };
            let weights = [healthy, unmasked, healthy, unmasked];
            let shown = [squares[0], squares[1], squares[2], stay];
            for (((sum, all), weight), shown) in sums.iter_mut().zip(&mut weighed).zip(weights).zip(shown) {
                *sum += weight * shown;
                *all += weight;
            }
            channels += present;
            stillness += present * run.clamp(0.0, MOST);
            surprise += present * said;
            moving += if stays { 0.0 } else { *present };
        }
        if moving > 0.0 || channels == 0.0 {
            (self.still, self.still_bins) = (0.0, 0);
        } else {
            self.still += surprise;
            self.still_bins = self.still_bins.saturating_add(u32::from(!first));
        }
        let part = if channels > 0.0 { 1.0 / channels } else { 0.0 };
        Shown {
            means: core::array::from_fn(|measure| {
                (weighed[measure] > 0.0 && !first).then(|| sums[measure] / weighed[measure])
            }),
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

    /// Takes a bin in; says which channels are dead or out of range, or stand behind an array that differs from training, and
    /// how it differs. Channels that are `missing`, or known to be `bad`, are left out of the means (of
    /// changes: those of the bad that are `masked`); the values of those out of range become 0. `residual`
    /// writes what others do not explain of each value.
    pub(crate) fn observe(
        &mut self,
        values: &mut [f64],
        mut residual: impl FnMut(&[f64], &mut [f64]),
        missing: &ChannelMask,
        bad: &ChannelMask,
        masked: &ChannelMask,
    ) -> (ChannelMask, Option<Implausible>) {
        let mut found = ChannelMask::default();
        let ranges = self.nearest.iter().zip(&self.farthest);
        let weights = self.present.iter_mut().zip(&mut self.unmasked).zip(&mut self.healthy);
        for (channel, ((value, (nearest, farthest)), ((present, unmasked), healthy))) in
            values.iter_mut().zip(ranges).zip(weights).enumerate()
        {
            let inside = *value >= *nearest && *value <= *farthest;
            if !inside {
                found.mask(channel);
                *value = 0.0;
            }
            *present = if inside && !missing.is_masked(channel) { 1.0 } else { 0.0 };
            *unmasked = if masked.is_masked(channel) { 0.0 } else { *present };
            *healthy = if bad.is_masked(channel) { 0.0 } else { *present };
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
                found.mask(channel);
            }
        }
        match implausible {
            Some(Implausible::Variance) => {
                name(&mut found, &self.observer.activity, self.typical_activity, more);
            }
            Some(Implausible::Pattern) => {
                name(&mut found, &self.observer.unexplained, self.typical_unexplained, true);
            }
            Some(Implausible::Constant) | None => {}
        }
        (found, implausible)
    }
}

/// Names the channels whose running mean is far above the typical one, or far below where there is not `more`.
fn name(suspects: &mut ChannelMask, means: &[f64], typical: f64, more: bool) {
    for (channel, mean) in means.iter().enumerate() {
        if (more && *mean > NAMING_FACTOR * typical) || (!more && *mean < typical / NAMING_FACTOR) {
            suspects.mask(channel);
        }
    }
}
