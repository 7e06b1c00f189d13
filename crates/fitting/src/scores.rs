//! What one row says of a decoder, and every figure as a sum over rows: so that figures of any selection of rows, with
//! repetitions, cost no second decoding.
//!
//! [`accuracy`](mod@crate::accuracy) computes the same figures of all rows at once; here they serve resampling and courses
//! over time. Pure functions for the slow side.

use kalmind_types::Intent;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::accuracy::{self, Coverage};
use crate::uncertainty::ErrorByUncertainty;

/// All figures of one decoder on one set of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Root of the sum of squared errors over the sum of squared truth, pooled over components.
    pub nrmse: f64,
    /// Mean angle between estimate and truth in radians, rows with zero truth left out.
    pub maae: f64,
    /// How many rows were left out of the angle because the truth is zero.
    pub rows_left_out: usize,
    /// The mean angle over rows whose true speed is above `least_speed` (the training median); `None` without such rows.
    pub maae_moving: Option<f64>,
    /// Correlation of each component; NaN where one side never moves.
    pub correlation: Vec<f64>,
    /// Mean normalised estimation error squared, `e' Sigma^-1 e / d`: 1 where the covariance is honest.
    pub nees: f64,
    /// How much of the truth lies within the ellipsoids of 50, 90 and 99 %.
    pub coverage: Coverage,
    /// Mean logarithm (natural) of the Gaussian density given to the truth; higher is better.
    pub log_score: f64,
    /// Whether errors are large where the covariance is; `None` where the covariance does not change.
    #[serde(default)]
    pub by_uncertainty: Option<ErrorByUncertainty>,
}

impl Accuracy {
    /// Every figure of `estimates` against the rows of `truth`; `least_speed` is the training rows' median speed.
    #[must_use]
    pub fn of(truth: &DMatrix<f64>, estimates: &[Intent], least_speed: f64) -> Self {
        let angle = accuracy::maae(truth, estimates);
        let moving = accuracy::maae_moving(truth, estimates, least_speed);
        Self {
            nrmse: accuracy::nrmse(truth, estimates),
            maae: angle.mean,
            rows_left_out: angle.left_out,
            maae_moving: (moving.rows > 0).then_some(moving.mean),
            correlation: accuracy::correlation(truth, estimates),
            nees: accuracy::nees(truth, estimates),
            coverage: accuracy::coverage(truth, estimates),
            log_score: log_score(truth, estimates),
            by_uncertainty: ErrorByUncertainty::of(truth, estimates),
        }
    }
}

/// Mean logarithm of the Gaussian density that means and covariances give the truth; minus infinity where a covariance is
/// not positive definite.
#[must_use]
pub fn log_score(truth: &DMatrix<f64>, estimates: &[Intent]) -> f64 {
    let scores = row_scores(truth, estimates);
    scores.iter().map(|row| row.log_score).sum::<f64>() / scores.len() as f64
}

/// How well one row was decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowScore {
    /// Squared error, summed over the components.
    pub squared_error: f64,
    /// Squared truth, summed over the components.
    pub power: f64,
    /// Angle between estimate and truth in radians, 0..=pi; `None` where the truth is zero.
    pub angle: Option<f64>,
    /// `e' Sigma^-1 e`; infinite where the covariance is not positive definite.
    pub squared_distance: f64,
    /// Logarithm (natural) of the Gaussian density that mean and covariance give the truth; minus infinity where the
    /// covariance is not positive definite.
    pub log_score: f64,
}

/// The figures of a selection of rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// See [`accuracy::nrmse`].
    pub nrmse: f64,
    /// See [`accuracy::maae`]; NaN where every truth is zero.
    pub maae: f64,
    /// See [`accuracy::nees`].
    pub nees: f64,
    /// See [`accuracy::coverage`].
    pub coverage: Coverage,
    /// Mean of [`RowScore::log_score`]: higher is better; it rewards both accuracy and honesty.
    pub log_score: f64,
}

/// The score of every row.
#[must_use]
pub fn row_scores(truth: &DMatrix<f64>, estimates: &[Intent]) -> Vec<RowScore> {
    truth
        .row_iter()
        .zip(estimates)
        .map(|(row, estimate)| {
            let truth: Vec<f64> = row.iter().copied().collect();
            let error = truth.iter().zip(estimate.mean()).map(|(truth, mean)| (truth - mean).powi(2)).sum();
            let (squared_distance, log_determinant) =
                accuracy::distance_and_log_determinant(&truth, estimate).unwrap_or((f64::INFINITY, 0.0));
            let log_two_pi = libm::log(core::f64::consts::TAU);
            RowScore {
                squared_error: error,
                power: truth.iter().map(|value| value * value).sum(),
                angle: accuracy::angle(&truth, estimate.mean()),
                squared_distance,
                log_score: -0.5 * (squared_distance + log_determinant + truth.len() as f64 * log_two_pi),
            }
        })
        .collect()
}

/// Squared radii of the ellipsoids of 50, 90 and 99 % for d components.
#[must_use]
pub fn coverage_limits(dimension: usize) -> [f64; 3] {
    [0.5, 0.9, 0.99].map(|probability| accuracy::chi_square_quantile(dimension, probability))
}

impl Figures {
    /// The figures of the rows given, each as often as it is given; `limits` are [`coverage_limits`].
    #[must_use]
    pub fn of(rows: impl IntoIterator<Item = RowScore>, dimension: usize, limits: &[f64; 3]) -> Self {
        let (mut error, mut power, mut angles, mut with_angle) = (0.0, 0.0, 0.0, 0_u32);
        let (mut count, mut distances, mut log_scores) = (0_u32, 0.0, 0.0);
        let mut within = [0_u32; 3];
        for row in rows {
            count += 1;
            error += row.squared_error;
            power += row.power;
            if let Some(angle) = row.angle {
                angles += angle;
                with_angle += 1;
            }
            distances += row.squared_distance;
            log_scores += row.log_score;
            for (within, limit) in within.iter_mut().zip(limits) {
                *within += u32::from(row.squared_distance <= *limit);
            }
        }
        let count = f64::from(count);
        let [half, ninety, ninety_nine] = within.map(|within| f64::from(within) / count);
        Self {
            nrmse: (error / power).sqrt(),
            maae: angles / f64::from(with_angle),
            nees: distances / (count * dimension as f64),
            coverage: Coverage { half, ninety, ninety_nine },
            log_score: log_scores / count,
        }
    }

    /// The figures in one fixed order: nRMSE, MAAE, NEES, coverage of 50, 90 and 99 %, log score.
    #[must_use]
    pub fn values(&self) -> [f64; 7] {
        let Coverage { half, ninety, ninety_nine } = self.coverage;
        [self.nrmse, self.maae, self.nees, half, ninety, ninety_nine, self.log_score]
    }

    /// The inverse of [`values`](Self::values).
    #[must_use]
    pub fn from_values([nrmse, maae, nees, half, ninety, ninety_nine, log_score]: [f64; 7]) -> Self {
        Self { nrmse, maae, nees, coverage: Coverage { half, ninety, ninety_nine }, log_score }
    }

    /// The mean of each figure.
    #[must_use]
    pub fn mean(figures: &[Self]) -> Self {
        let mut sums = [0.0; 7];
        for figures in figures {
            for (sum, value) in sums.iter_mut().zip(figures.values()) {
                *sum += value;
            }
        }
        Self::from_values(sums.map(|sum| sum / figures.len() as f64))
    }
}

/// Part of the truth within the ellipsoid of each nominal probability: the curve that lies on the diagonal where the
/// covariance is honest.
#[must_use]
pub fn coverage_curve(rows: &[RowScore], dimension: usize, nominal: &[f64]) -> Vec<f64> {
    nominal
        .iter()
        .map(|&probability| {
            let limit = accuracy::chi_square_quantile(dimension, probability);
            rows.iter().filter(|row| row.squared_distance <= limit).count() as f64 / rows.len() as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(mean: &[f64], covariance: &[f64]) -> Intent {
        let mut intent = Intent::zero(mean.len());
        intent.mean_mut().copy_from_slice(mean);
        intent.covariance_mut().copy_from_slice(covariance);
        intent
    }

    #[test]
    fn log_scores_are_those_of_scipy() {
        // scipy.stats.multivariate_normal([0.3, -0.2], [[0.5, 0.1], [0.1, 0.8]]).logpdf([1.0, 0.4])
        // scipy.stats.multivariate_normal([0.1, 0.2, 0.3], [[2, .3, .1], [.3, 1, -.2], [.1, -.2, .5]])
        //     .logpdf([0, 1, -1])
        let truth = DMatrix::from_row_slice(1, 2, &[1.0, 0.4]);
        let score = row_scores(&truth, &[intent(&[0.3, -0.2], &[0.5, 0.1, 0.8])])[0];
        assert!((score.log_score + 1.992_713_822_121_149).abs() < 1e-12, "{}", score.log_score);
        let truth = DMatrix::from_row_slice(1, 3, &[0.0, 1.0, -1.0]);
        let score = row_scores(&truth, &[intent(&[0.1, 0.2, 0.3], &[2.0, 0.3, 1.0, 0.1, -0.2, 0.5])])[0];
        assert!((score.log_score + 4.410_787_839_378_749).abs() < 1e-12, "{}", score.log_score);
    }

    #[test]
    fn figures_of_all_rows_are_those_of_the_accuracy_module() {
        let truth = DMatrix::from_row_slice(4, 2, &[3.0, 0.0, 0.0, 4.0, 0.0, 0.0, 1.0, -1.0]);
        let estimates =
            [[3.0, 1.0], [2.0, 4.0], [0.2, 0.1], [-1.0, 1.0]].map(|mean| intent(&mean, &[0.5, 0.1, 0.7]));
        let figures = Figures::of(row_scores(&truth, &estimates), 2, &coverage_limits(2));
        let accuracy = Accuracy::of(&truth, &estimates, 0.0);
        assert!((figures.nrmse - accuracy.nrmse).abs() < 1e-15);
        assert!((figures.maae - accuracy.maae).abs() < 1e-15);
        assert!((figures.nees - accuracy.nees).abs() < 1e-12);
        assert_eq!(figures.coverage, accuracy.coverage);
        assert!((figures.log_score - accuracy.log_score).abs() < 1e-12);
        assert_eq!(Figures::mean(&[figures, figures]), figures);
    }

    #[test]
    fn a_covariance_that_is_none_scores_worst() {
        let truth = DMatrix::from_row_slice(1, 2, &[1.0, 0.0]);
        let score = row_scores(&truth, &[intent(&[1.0, 0.0], &[0.0, 0.0, 1.0])])[0];
        assert_eq!((score.squared_distance, score.log_score), (f64::INFINITY, f64::NEG_INFINITY));
    }

    #[test]
    fn the_coverage_curve_counts_the_rows_within() {
        let row = |squared_distance| RowScore {
            squared_error: 0.0,
            power: 1.0,
            angle: None,
            squared_distance,
            log_score: 0.0,
        };
        // the 50 % ellipsoid of two components has a squared radius of 1.386
        assert_eq!(
            coverage_curve(&[row(1.0), row(1.4), row(9.0), row(f64::INFINITY)], 2, &[0.5, 0.99]),
            [0.25, 0.75]
        );
    }
}
