//! A raw feature vector, made into what a decoder takes.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use kalmind_types::FeatureSet;

use crate::{AdaptiveState, FeatureStatistics, running_zscore::RunningZScore};

/// Why a preparation cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PreparationError {
    /// The z-score's statistics are for another number of features than the training mean.
    #[error("{statistics} z-score statistics for {features} features")]
    Width {
        /// Features, by the training mean.
        features: usize,
        /// Entries of the z-score's mean and deviation.
        statistics: usize,
    },
    /// A statistic is not finite, or a deviation is negative.
    #[error("the {what} of feature {feature} is {value}, which is no usable number")]
    Unusable {
        /// Which statistic.
        what: &'static str,
        /// Which feature, from 0.
        feature: usize,
        /// Its value.
        value: f64,
    },
}

/// A feature vector, ready for a decoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prepared<'a> {
    /// One finite value a feature (save where z-scoring a training mean overflows).
    pub features: &'a [f64],
    /// Features that took their training mean: switched off by the operator, or without a value that can be decoded.
    pub missing: &'a FeatureSet,
}

/// Larger values are none: no amplifier and no count gives them, and sums of their squares overflow.
const LARGEST: f64 = 1e60;

/// Fills the holes of a raw feature vector with training means and z-scores it where the model asks for it.
///
/// Lives on the tick thread; one pass, no allocation after it was built, the same bits for the same arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Preparation {
    training_mean: Vec<f64>,
    zscore: ZScore,
    prepared: Vec<f64>,
    missing: FeatureSet,
}

#[derive(Clone, Debug, PartialEq)]
enum ZScore {
    None,
    /// By the statistics of the training rows.
    Training(FeatureStatistics, Vec<f64>),
    /// By statistics that start as those and follow the signal.
    Running(Box<RunningZScore>),
}

impl Preparation {
    /// A preparation with the training means of the raw features and, to z-score, the statistics to do it with. The two
    /// differ where another block's statistics are used. A deviation of zero (a constant feature) divides by one.
    ///
    /// # Errors
    /// When the lengths differ or a statistic is not finite.
    pub fn new(training_mean: Vec<f64>, zscore: Option<FeatureStatistics>) -> Result<Self, PreparationError> {
        check_finite("training mean", &training_mean)?;
        let features = training_mean.len();
        let zscore = match zscore {
            None => ZScore::None,
            Some(FeatureStatistics { mean, deviation }) => {
                for statistics in [mean.len(), deviation.len()] {
                    if statistics != features {
                        return Err(PreparationError::Width { features, statistics });
                    }
                }
                check_finite("z-score mean", &mean)?;
                check_finite("z-score deviation", &deviation)?;
                if let Some((feature, value)) = deviation.iter().enumerate().find(|(_, value)| **value < 0.0)
                {
                    return Err(PreparationError::Unusable {
                        what: "z-score deviation",
                        feature,
                        value: *value,
                    });
                }
                let divisor =
                    deviation.iter().map(|value| if *value == 0.0 { 1.0 } else { *value }).collect();
                ZScore::Training(FeatureStatistics { mean, deviation }, divisor)
            }
        };
        let missing = FeatureSet::none_of(features);
        Ok(Self { prepared: vec![0.0; features], missing, training_mean, zscore })
    }

    /// Lets mean and scale follow the signal, the newest value having this weight (above 0, at most 1); without a weight or
    /// a z-score nothing changes. See [`Self::adapt`].
    #[must_use]
    pub fn running(self, weight: Option<f64>) -> Self {
        match (weight, self.zscore) {
            (Some(weight), ZScore::Training(statistics, _)) => {
                let running = RunningZScore::new(statistics, &self.training_mean, weight);
                Self { zscore: ZScore::Running(Box::new(running)), ..self }
            }
            (_, zscore) => Self { zscore, ..self },
        }
    }

    /// The state that follows the signal, after the newest bin; none where nothing does.
    pub fn adaptive(&self) -> Option<&AdaptiveState> {
        self.running_zscore().map(RunningZScore::state)
    }

    /// The weight of a bin in that state; 0 where there is none.
    pub fn weight(&self) -> f64 {
        self.running_zscore().map_or(0.0, RunningZScore::weight)
    }

    /// Features that moved the state in the newest bin.
    pub fn moved(&self) -> Option<&FeatureSet> {
        self.running_zscore().map(RunningZScore::moved)
    }

    /// Goes on from the state of another one; `false` where there is none here, or that is of another name or shape.
    /// Real-time.
    pub fn carry(&mut self, from: &AdaptiveState) -> bool {
        match &mut self.zscore {
            ZScore::Running(running) => running.carry(from),
            _ => false,
        }
    }

    /// Starts from the training statistics again.
    pub fn reset(&mut self) {
        if let ZScore::Running(running) = &mut self.zscore {
            running.reset();
        }
    }

    /// Lets the statistics follow the bin that was prepared last, whose raw features these are: where it is complete, by all
    /// features but those that were missing and the `hidden` ones, of which something else says that they show nothing.
    /// Real-time.
    pub fn adapt(&mut self, raw: &[f64], complete: bool, hidden: &FeatureSet) {
        let Self { zscore, missing, .. } = self;
        match zscore {
            ZScore::Running(running) if complete => running.take_all_but(raw, missing, hidden),
            ZScore::Running(running) => running.take_nothing(),
            _ => {}
        }
    }

    /// Lets the statistics follow a bin as those of the model that decoded it did. Real-time.
    pub fn follow(&mut self, raw: &[f64], moved: &FeatureSet, weight: f64) {
        if let ZScore::Running(running) = &mut self.zscore {
            running.take(raw, moved, weight);
        }
    }

    /// Rows of raw features, one after the other, as the decoder sees them where it runs over them: what a fit of a model with
    /// statistics that follow the signal needs. For the slow side.
    pub fn over(&mut self, rows: impl Iterator<Item: AsRef<[f64]>>, mut take: impl FnMut(usize, &[f64])) {
        let none = FeatureSet::none_of(self.width());
        for (at, row) in rows.enumerate() {
            let row = row.as_ref();
            take(at, self.prepare(row, &none).features);
            self.adapt(row, true, &none);
        }
    }

    fn running_zscore(&self) -> Option<&RunningZScore> {
        match &self.zscore {
            ZScore::Running(running) => Some(running),
            _ => None,
        }
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.training_mean.len()
    }

    /// The feature vector of a bin, from its raw one: features that are switched off, not finite or larger than 1e60, raw or
    /// z-scored (or that `raw` is too short to hold), take the training mean; all are z-scored. With statistics that follow the
    /// signal the place of the training mean does so as well: such features are what they would be in training.
    pub fn prepare(&mut self, raw: &[f64], switched_off: &FeatureSet) -> Prepared<'_> {
        let Self { training_mean, zscore, prepared, missing } = self;
        missing.clear();
        let raw = raw.iter().copied().chain(core::iter::repeat(f64::NAN));
        let usable = |value: f64| value.abs() <= LARGEST;
        let features = prepared.iter_mut().zip(&*training_mean).zip(raw).enumerate();
        match zscore {
            ZScore::None => {
                for (index, ((prepared, training_mean), value)) in features {
                    *prepared = if usable(value) && !switched_off.contains(index) {
                        value
                    } else {
                        missing.insert(index);
                        *training_mean
                    };
                }
            }
            ZScore::Training(FeatureStatistics { mean, .. }, divisor) => {
                let statistics = mean.iter().zip(&*divisor);
                for ((index, ((prepared, training_mean), value)), (mean, divisor)) in features.zip(statistics)
                {
                    let scored = (value - mean) / divisor;
                    *prepared = if usable(value) && usable(scored) && !switched_off.contains(index) {
                        scored
                    } else {
                        missing.insert(index);
                        (training_mean - mean) / divisor
                    };
                }
            }
            ZScore::Running(running) => {
                let statistics = running.scales().zip(&running.background);
                for ((index, ((prepared, _), value)), ((mean, divisor), background)) in
                    features.zip(statistics)
                {
                    let scored = (value - mean) / divisor;
                    *prepared = if usable(value) && usable(scored) && !switched_off.contains(index) {
                        scored
                    } else {
                        missing.insert(index);
                        *background
                    };
                }
            }
        }
        Prepared { features: prepared, missing }
    }
}

fn check_finite(what: &'static str, values: &[f64]) -> Result<(), PreparationError> {
    match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((feature, value)) => Err(PreparationError::Unusable { what, feature, value: *value }),
    }
}
