//! A raw feature vector, made into what a decoder takes.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use kalmind_types::FeatureSet;

use crate::FeatureStatistics;

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
    zscore: Option<ZScore>,
    prepared: Vec<f64>,
    missing: FeatureSet,
}

#[derive(Clone, Debug, PartialEq)]
struct ZScore {
    mean: Vec<f64>,
    divisor: Vec<f64>,
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
            None => None,
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
                    deviation.into_iter().map(|value| if value == 0.0 { 1.0 } else { value }).collect();
                Some(ZScore { mean, divisor })
            }
        };
        let missing = FeatureSet::none_of(features);
        Ok(Self { prepared: vec![0.0; features], missing, training_mean, zscore })
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.training_mean.len()
    }

    /// The feature vector of a bin, from its raw one: features that are switched off, not finite or larger than 1e60, raw or
    /// z-scored (or that `raw` is too short to hold), take the training mean; all are z-scored.
    pub fn prepare(&mut self, raw: &[f64], switched_off: &FeatureSet) -> Prepared<'_> {
        let Self { training_mean, zscore, prepared, missing } = self;
        missing.clear();
        let raw = raw.iter().copied().chain(core::iter::repeat(f64::NAN));
        let usable = |value: f64| value.abs() <= LARGEST;
        let features = prepared.iter_mut().zip(&*training_mean).zip(raw).enumerate();
        match zscore {
            None => {
                for (index, ((prepared, training_mean), value)) in features {
                    *prepared = if usable(value) && !switched_off.contains(index) {
                        value
                    } else {
                        missing.insert(index);
                        *training_mean
                    };
                }
            }
            Some(zscore) => {
                let statistics = zscore.mean.iter().zip(&zscore.divisor);
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
