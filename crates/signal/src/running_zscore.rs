//! Mean and variance of each feature that follow the signal slowly.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use kalmind_types::FeatureSet;

use crate::{AdaptiveState, FeatureStatistics};

/// Name of its adaptive state: n means, then n variances.
const NAME: &str = "running_zscore";
/// The least scale, as a part of the training deviation.
const LEAST_SCALE: f64 = 0.1;

/// A z-score whose mean m and variance v are running ones, of weight w for the newest value x (West, Communications of the
/// ACM 22, 1979; the adaptive normaliser of Wolpaw and McFarland, PNAS 101, 2004, is of this kind):
///
/// `m' = m + w (x - m)`, `v' = (1 - w) (v + w (x - m)^2)`
///
/// They start as the training mean and variance. A bin is scored by what the bins before it gave, so it takes no part in
/// its own scale. The scale is the root of v, but never less than a tenth of the training deviation: a feature that falls
/// silent does not blow up its first values afterwards. One that never moved in training is divided by at least one.
///
/// Lives on the tick thread: allocates at construction only. Costs a root and four multiplications a feature more in every bin
/// than a fixed z-score, about as much as that again (`cargo bench --bench tick -- running`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunningZScore {
    start: FeatureStatistics,
    state: AdaptiveState,
    /// Of the newest value.
    weight: f64,
    divisor: Vec<f64>,
    /// What features without a value are, as the decoder sees them.
    pub(crate) background: Vec<f64>,
    /// All features.
    all: FeatureSet,
    /// Those that moved mean and variance in the newest bin.
    moved: FeatureSet,
}

impl RunningZScore {
    /// Starts from training statistics; `training_mean` is of the raw features.
    pub(crate) fn new(start: FeatureStatistics, training_mean: &[f64], weight: f64) -> Self {
        let FeatureStatistics { mean, deviation } = &start;
        let background = training_mean
            .iter()
            .zip(mean.iter().zip(deviation))
            .map(|(value, (mean, deviation))| {
                (value - mean) / if *deviation > 0.0 { *deviation } else { 1.0 }
            })
            .collect();
        let n = mean.len();
        let mut all = FeatureSet::none_of(n);
        for feature in 0..n {
            all.insert(feature);
        }
        let mut running = Self {
            state: running_state(n),
            weight,
            divisor: vec![1.0; n],
            background,
            all,
            moved: FeatureSet::none_of(n),
            start,
        };
        running.reset();
        running
    }

    /// Starts from the training statistics again.
    pub(crate) fn reset(&mut self) {
        let (mean, variance) = halves(self.state.values_mut());
        let FeatureStatistics { mean: start, deviation } = &self.start;
        mean.iter_mut().zip(start).for_each(|(mean, start)| *mean = *start);
        variance
            .iter_mut()
            .zip(deviation)
            .for_each(|(variance, deviation)| *variance = deviation * deviation);
        self.moved.clear();
        self.rescale();
    }

    /// Goes on from another one's state; `false` where that is something else.
    pub(crate) fn carry(&mut self, from: &AdaptiveState) -> bool {
        let carried = self.state.carry(from);
        if carried {
            self.rescale();
        }
        carried
    }

    pub(crate) fn state(&self) -> &AdaptiveState {
        &self.state
    }

    pub(crate) fn weight(&self) -> f64 {
        self.weight
    }

    pub(crate) fn moved(&self) -> &FeatureSet {
        &self.moved
    }

    /// Mean and divisor of each feature.
    pub(crate) fn scales(&self) -> impl Iterator<Item = (&f64, &f64)> {
        let mean = self.state.values().iter();
        mean.zip(&self.divisor)
    }

    /// Takes the values of a bin in, of all features but these.
    pub(crate) fn take_all_but(&mut self, raw: &[f64], missing: &FeatureSet, hidden: &FeatureSet) {
        self.moved.copy_from(&self.all);
        self.moved.remove(missing);
        self.moved.remove(hidden);
        follow_running_zscore(&mut self.state, raw, &self.moved, self.weight);
        self.rescale();
    }

    /// Takes the values of a bin in as the one that decoded it did.
    pub(crate) fn take(&mut self, raw: &[f64], moved: &FeatureSet, weight: f64) {
        self.moved.copy_from(moved);
        follow_running_zscore(&mut self.state, raw, moved, weight);
        self.rescale();
    }

    /// Takes nothing of a bin in.
    pub(crate) fn take_nothing(&mut self) {
        self.moved.clear();
    }

    fn rescale(&mut self) {
        let Self { start, state, divisor, .. } = self;
        let (_, variance) = halves(state.values_mut());
        for ((divisor, variance), start) in divisor.iter_mut().zip(variance).zip(&start.deviation) {
            let least = if *start > 0.0 { LEAST_SCALE * start } else { 1.0 };
            *divisor = variance.sqrt().max(least);
        }
    }
}

/// The adaptive state of a running z-score of so many features.
#[must_use]
pub fn running_state(features: usize) -> AdaptiveState {
    AdaptiveState::new(NAME, &[2, features])
}

/// Moves the state of a running z-score by the values of these features, which have the weight. Whoever knows a bin's values
/// and which of them moved the state follows it exactly. Real-time.
pub fn follow_running_zscore(state: &mut AdaptiveState, raw: &[f64], moved: &FeatureSet, weight: f64) {
    let (mean, variance) = halves(state.values_mut());
    for (feature, ((mean, variance), value)) in mean.iter_mut().zip(variance).zip(raw).enumerate() {
        if moved.contains(feature) {
            let difference = value - *mean;
            let step = weight * difference;
            *mean += step;
            *variance = (1.0 - weight) * (*variance + step * difference);
        }
    }
}

fn halves(values: &mut [f64]) -> (&mut [f64], &mut [f64]) {
    let half = values.len() / 2;
    values.split_at_mut_checked(half).unwrap_or_default()
}
