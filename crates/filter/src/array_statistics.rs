//! What training shows of the array as a whole, and what bins show of it: what fitting and the monitor share.

use serde::{Deserialize, Serialize};

/// Bins in the running means.
pub const SPANS: [usize; 2] = [4, 16];
/// Squared deviations count up to this.
const LARGEST_SQUARE: f64 = 9.0;
/// Most surprise of one channel that counts in the array's.
pub(crate) const MOST: f64 = 6.0;
/// The part of the channels that has to stand still for the array to be taken for dead.
pub(crate) const PART: f64 = 0.25;
/// A surprise at which an array whose every channel stands still is taken for dead, in nats.
pub(crate) const STILL: f64 = 22.0;
/// Bins in the running means by which channels are named, and the factor of the array's typical value that names them.
const NAMING_SPAN: f64 = 16.0;
/// The part of values that are taken to repeat the one before, where training did not tell.
const ASSUMED_STAYING: f64 = 0.05;
/// Where values drift, a mode is within so many times the greatest change that is none.
pub const REACH: f64 = 8.0;
/// What of the array is watched; the order is that of the statistics.
pub const MEASURES: usize = 4;

/// What training shows of the array as a whole; see the module. Values in standard deviations from the training mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlausibilityStatistics {
    /// The most frequent value of each channel, n.
    pub mode: Vec<f64>,
    /// A change up to this is none, n, >= 0.
    pub tolerance: Vec<f64>,
    /// How near to its mode a value is at it where repeated values drift, as a count does whose mean is followed, n, >= 0; 0 for a
    /// channel whose mode stands still. Empty where every channel's does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<f64>,
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
            reach: Vec::new(),
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
        let lengths = lengths.chain((!self.reach.is_empty()).then_some((&self.reach, n)));
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
            && self.tolerance.iter().chain(&self.longest).chain(&self.reach).all(|value| *value >= 0.0)
            && self.lowest.iter().zip(&self.highest).all(|(low, high)| low <= high)
            && (1.0..1e9).contains(&self.greatest_stillness)
            && (0.0..1e9).contains(&self.greatest_still);
        let expected = "probabilities in 0..1, tolerances of 0 or more, least values below greatest";
        (!sound).then(|| ("guard plausibility", "out of range".to_owned(), expected.to_owned()))
    }
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
    /// Where the mode is: where it was in training, or has drifted to since.
    mode: Vec<f64>,
    /// A value as near to the mode is at it.
    reach: Vec<f64>,
    /// Whether the mode is followed, where values drift.
    follows: Vec<bool>,
    tolerance: Vec<f64>,
    at_mode: Vec<f64>,
    elsewhere: Vec<f64>,
    /// Surprise at a bin away from the mode that follows another.
    away: Vec<f64>,
    last: Vec<f64>,
    /// Surprise at the run of each channel: positive while it stays, negative while it changes and stays away from the mode.
    pub runs: Vec<f64>,
    /// Running means of each channel: squared deviations and halved squared changes; squared residuals.
    pub(crate) activity: Vec<f64>,
    pub(crate) unexplained: Vec<f64>,
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
        let reaches = statistics.reach.iter().copied().chain(core::iter::repeat(0.0));
        let (reach, follows) = tolerance
            .iter()
            .zip(reaches)
            .map(|(most, reach)| if reach > 0.0 { (reach, true) } else { (*most, false) })
            .unzip();
        let tolerance = tolerance.iter().enumerate();
        Self {
            mode: mode.clone(),
            reach,
            follows,
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

    /// Back to the first bin; modes that have drifted stay where they are, as the means do that they drift with.
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
        let modes = self.mode.iter_mut().zip(&self.reach).zip(&self.follows);
        let parameters = modes.zip(&self.tolerance).zip(surprises);
        let means = self.activity.iter_mut().zip(&mut self.unexplained);
        let memories = self.last.iter_mut().zip(&mut self.runs).zip(means);
        let weights = present.iter().zip(unmasked).zip(healthy);
        let inputs = values.iter().zip(residuals).zip(weights);
        for ((parameters, memories), ((value, residual), ((present, unmasked), healthy))) in
            parameters.zip(memories).zip(inputs)
        {
            let ((((mode, reach), follows), tolerance), ((at_mode, elsewhere), surprise_away)) = parameters;
            let ((last, run), (activity, unexplained)) = memories;
            let before = if first { *value } else { *last };
            let change = value - before;
            let stays = change.abs() <= *tolerance;
            let said = if (before - *mode).abs() <= *reach { *at_mode } else { *elsewhere };
            let said = if first { 0.0 } else { said };
            let away = (*value - *mode).abs() > *reach;
            let longer = match (stays, away) {
                (true, _) => run.max(0.0) + said,
                (false, true) => run.min(0.0) - surprise_away,
                (false, false) => 0.0,
            };
            let looked_at = *present > 0.0;
            if *follows && looked_at && stays && !away {
                *mode = *value;
            }
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
