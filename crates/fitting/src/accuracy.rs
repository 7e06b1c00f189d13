//! How good intents are against the truth: errors, angles, correlations, and whether the covariance is honest.
//!
//! Truths are matrices of one row a bin; estimates are intents of as many components. All are pure functions of their
//! arguments, for the slow side.

use kalmind_types::Intent;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::correlation::pearson;
use kalmind_filter::cholesky::Cholesky;

/// Parts of the truth within the ellipsoids that the covariance says hold 50, 90 and 99 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Within the 50 % ellipsoid.
    #[serde(rename = "50")]
    pub half: f64,
    /// Within the 90 % ellipsoid.
    #[serde(rename = "90")]
    pub ninety: f64,
    /// Within the 99 % ellipsoid.
    #[serde(rename = "99")]
    pub ninety_nine: f64,
}

/// A mean angle and the rows behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AngularError {
    /// Mean angle in radians; NaN without rows.
    pub mean: f64,
    /// Rows that it is the mean of.
    pub rows: usize,
    /// Rows left out because the truth is zero.
    pub left_out: usize,
}

fn rows<'a>(
    truth: &'a DMatrix<f64>,
    estimates: &'a [Intent],
) -> impl Iterator<Item = (Vec<f64>, &'a Intent)> {
    truth.row_iter().map(|row| row.iter().copied().collect()).zip(estimates)
}

/// Root of the sum of squared errors over the sum of squared truth, pooled over all components.
#[must_use]
pub fn nrmse(truth: &DMatrix<f64>, estimates: &[Intent]) -> f64 {
    let (mut errors, mut power) = (0.0, 0.0);
    for (truth, estimate) in rows(truth, estimates) {
        for (truth, mean) in truth.iter().zip(estimate.mean()) {
            errors += (truth - mean) * (truth - mean);
            power += truth * truth;
        }
    }
    (errors / power).sqrt()
}

/// Mean absolute angle between estimate and truth, in radians. Rows with zero truth have no angle and are left out; an
/// estimate of zero counts as a right angle.
#[must_use]
pub fn maae(truth: &DMatrix<f64>, estimates: &[Intent]) -> AngularError {
    mean_angle(truth, estimates, 0.0)
}

/// [`maae`] over the rows whose true speed is above `least_speed`.
#[must_use]
pub fn maae_moving(truth: &DMatrix<f64>, estimates: &[Intent], least_speed: f64) -> AngularError {
    mean_angle(truth, estimates, least_speed)
}

fn mean_angle(truth: &DMatrix<f64>, estimates: &[Intent], least_speed: f64) -> AngularError {
    let mut angle = AngularError { mean: 0.0, rows: 0, left_out: 0 };
    for (truth, estimate) in rows(truth, estimates) {
        let length = norm(&truth);
        if length == 0.0 {
            angle.left_out += 1;
        } else if length > least_speed {
            angle.mean += angle_between(&truth, estimate.mean());
            angle.rows += 1;
        }
    }
    angle.mean /= angle.rows as f64;
    angle
}

/// The angle between truth and estimate in radians; `None` where the truth is zero, a right angle where the estimate is.
pub(crate) fn angle(truth: &[f64], estimate: &[f64]) -> Option<f64> {
    (norm(truth) > 0.0).then(|| angle_between(truth, estimate))
}

fn angle_between(truth: &[f64], estimate: &[f64]) -> f64 {
    let both = norm(truth) * norm(estimate);
    let inner: f64 = truth.iter().zip(estimate).map(|(truth, mean)| truth * mean).sum();
    let cosine = if both > 0.0 { (inner / both).clamp(-1.0, 1.0) } else { 0.0 };
    libm::acos(cosine)
}

/// Differences of speed that are rounding, or how few digits a table has.
const SAME_SPEED: f64 = 1e-3;

/// What [`maae_moving`] takes as least speed: the median length of the training rows. Infinite where all that are not zero have
/// the same, as directions have: rounding would pick the rows.
#[must_use]
pub fn least_speed(truth: &DMatrix<f64>) -> f64 {
    let mut speeds: Vec<f64> = truth.row_iter().map(|row| row.norm()).collect();
    let median = quantile(&mut speeds, 0.5);
    let slowest = speeds.iter().find(|speed| **speed > 0.0);
    match (slowest, speeds.last()) {
        (Some(slowest), Some(fastest)) if fastest - slowest <= SAME_SPEED * fastest => f64::INFINITY,
        _ => median,
    }
}

/// Pearson's correlation of each component; NaN where one side never moves.
#[must_use]
pub fn correlation(truth: &DMatrix<f64>, estimates: &[Intent]) -> Vec<f64> {
    (0..truth.ncols())
        .map(|component| {
            let (truths, estimates): (Vec<f64>, Vec<f64>) = rows(truth, estimates)
                .map(|(truth, estimate)| (truth[component], estimate.mean()[component]))
                .unzip();
            pearson(&truths, &estimates)
        })
        .collect()
}

/// The coefficient of determination over all components, `1 - sum (z - estimate)^2 / sum (z - mean of z)^2`: the part of the
/// truth's variance that the estimates explain, below zero where the truth's own mean would have been closer. Components
/// weigh by their variance. NaN where the truth never moves.
#[must_use]
pub fn r_squared(truth: &DMatrix<f64>, estimates: &[Intent]) -> f64 {
    let parts = squares(truth, estimates);
    let (errors, variance) = parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    determination(errors, variance)
}

/// [`r_squared`] of each component by itself.
#[must_use]
pub fn r_squared_of_components(truth: &DMatrix<f64>, estimates: &[Intent]) -> Vec<f64> {
    squares(truth, estimates).into_iter().map(|(errors, variance)| determination(errors, variance)).collect()
}

fn determination(errors: f64, variance: f64) -> f64 {
    if variance > 0.0 { 1.0 - errors / variance } else { f64::NAN }
}

/// Of each component the sums of squared errors and of squared deviations from the truth's mean.
fn squares(truth: &DMatrix<f64>, estimates: &[Intent]) -> Vec<(f64, f64)> {
    (0..truth.ncols())
        .map(|component| {
            let mean = truth.column(component).mean();
            truth.column(component).iter().zip(estimates).fold(
                (0.0, 0.0),
                |(errors, variance), (truth, estimate)| {
                    (errors + (truth - estimate.mean()[component]).powi(2), variance + (truth - mean).powi(2))
                },
            )
        })
        .collect()
}

/// Mean of `e' Sigma^-1 e / d`; rows whose covariance is not positive definite count as infinite.
#[must_use]
pub fn nees(truth: &DMatrix<f64>, estimates: &[Intent]) -> f64 {
    let distances: Vec<f64> = distances(truth, estimates);
    distances.iter().sum::<f64>() / (distances.len() * truth.ncols()) as f64
}

/// Parts of the truth within the ellipsoids of 50, 90 and 99 %.
#[must_use]
pub fn coverage(truth: &DMatrix<f64>, estimates: &[Intent]) -> Coverage {
    coverage_of(&distances(truth, estimates), truth.ncols())
}

/// [`coverage`] from the squared distances `e' Sigma^-1 e` of d components.
pub(crate) fn coverage_of(distances: &[f64], dimension: usize) -> Coverage {
    let within = |probability: f64| {
        let limit = chi_square_quantile(dimension, probability);
        distances.iter().filter(|&&distance| distance <= limit).count() as f64 / distances.len() as f64
    };
    Coverage { half: within(0.5), ninety: within(0.9), ninety_nine: within(0.99) }
}

fn distances(truth: &DMatrix<f64>, estimates: &[Intent]) -> Vec<f64> {
    rows(truth, estimates)
        .map(|(truth, estimate)| squared_distance(&truth, estimate).unwrap_or(f64::INFINITY))
        .collect()
}

/// `(z - mu)' Sigma^-1 (z - mu)`; `None` where the covariance is not positive definite.
pub(crate) fn squared_distance(truth: &[f64], estimate: &Intent) -> Option<f64> {
    distance_and_log_determinant(truth, estimate).map(|(distance, _)| distance)
}

/// `(z - mu)' Sigma^-1 (z - mu)` and `ln |Sigma|`; `None` where the covariance is not positive definite.
pub(crate) fn distance_and_log_determinant(truth: &[f64], estimate: &Intent) -> Option<(f64, f64)> {
    let d = estimate.dimension();
    let covariance = DMatrix::from_fn(d, d, |row, column| {
        estimate.covariance()[kalmind_types::lower_triangle_index(row, column)]
    });
    let error: Vec<f64> = truth.iter().zip(estimate.mean()).map(|(truth, mean)| truth - mean).collect();
    let mut solved = error.clone();
    let factor = Cholesky::new(&covariance, 0.0).ok()?;
    factor.solve(&mut solved);
    let distance = error.iter().zip(&solved).map(|(error, solved)| error * solved).sum();
    Some((distance, factor.log_determinant()))
}

/// The factor on a covariance that makes its ellipsoids hold what they say. Errors have heavier tails than a Gaussian, so no
/// factor is right at 50 and at 90 %: at this one the 50 % ellipsoid holds too much by as much as that of 90 % holds too
/// little, each relative to what is tolerated of it. 1 without rows.
pub(crate) fn covariance_scale(squared_distances: &[f64], dimension: usize) -> f64 {
    const TOLERATED: [(f64, f64); 2] = [(0.5, 0.08), (0.9, 0.06)];
    let mut distances: Vec<f64> = squared_distances.iter().copied().filter(|value| !value.is_nan()).collect();
    distances.sort_by(f64::total_cmp);
    let limits = TOLERATED.map(|(probability, _)| chi_square_quantile(dimension, probability));
    let excess = |factor: f64| -> f64 {
        let parts = TOLERATED.iter().zip(limits).map(|((probability, tolerated), limit)| {
            let within = distances.partition_point(|distance| *distance <= factor * limit) as f64;
            (within / distances.len() as f64 - probability) / tolerated
        });
        parts.sum()
    };
    // within the least factor lies no row, within the greatest lie all that are finite
    let least =
        distances.iter().copied().find(|distance| *distance > 0.0).map(|least| 0.5 * least / limits[1]);
    let greatest = distances.iter().rev().copied().find(|distance| distance.is_finite());
    let (Some(mut low), Some(greatest)) = (least.map(libm::log), greatest) else { return 1.0 };
    let mut high = libm::log(greatest / limits[0]);
    for _halving in 0..60 {
        let middle = 0.5 * (low + high);
        if excess(libm::exp(middle)) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let scale = libm::exp(high);
    if scale.is_finite() && scale > 0.0 { scale } else { 1.0 }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The value below which a part `probability` of the values lies, between neighbours; NaN without values.
pub(crate) fn quantile(values: &mut [f64], probability: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = probability * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    values[below] + (place - below as f64) * (values[above] - values[below])
}

/// The chi-square distribution's quantile for 1 to 8 (or more) degrees of freedom: the squared radius of the ellipsoid that
/// holds `probability`.
#[must_use]
pub fn chi_square_quantile(degrees: usize, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while chi_square_probability(degrees, high) < probability && high < 1e6 {
        high *= 2.0;
    }
    for _halving in 0..100 {
        let middle = 0.5 * (low + high);
        if chi_square_probability(degrees, middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// `P(chi^2_d <= x)`, by the recurrence `P_{d+2} = P_d - (x/2)^(d/2) e^(-x/2) / Gamma(d/2 + 1)`.
fn chi_square_probability(degrees: usize, x: f64) -> f64 {
    let half = 0.5 * x;
    let decay = libm::exp(-half);
    let (mut done, mut probability, mut term) = if degrees.is_multiple_of(2) {
        (2, 1.0 - decay, half * decay)
    } else {
        // Gamma(3/2) = sqrt(pi) / 2
        (1, libm::erf(half.sqrt()), half.sqrt() * decay * core::f64::consts::FRAC_2_SQRT_PI)
    };
    while done < degrees {
        probability -= term;
        done += 2;
        term *= half / (0.5 * done as f64);
    }
    probability
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intents(rows: &[[f64; 2]], variance: f64) -> Vec<Intent> {
        rows.iter()
            .map(|row| {
                let mut intent = Intent::zero(2);
                intent.mean_mut().copy_from_slice(row);
                intent.covariance_mut().copy_from_slice(&[variance, 0.0, variance]);
                intent
            })
            .collect()
    }

    #[test]
    fn chi_square_quantiles_are_the_published_ones() {
        // Abramowitz and Stegun, table 26.8.
        for (degrees, probability, expected) in [
            (1, 0.5, 0.454_936),
            (1, 0.9, 2.705_54),
            (2, 0.5, 1.386_29),
            (2, 0.9, 4.605_17),
            (2, 0.99, 9.210_34),
            (3, 0.99, 11.344_9),
            (4, 0.5, 3.356_69),
            (5, 0.9, 9.236_35),
            (8, 0.5, 7.344_12),
            (8, 0.99, 20.090_2),
        ] {
            let found = chi_square_quantile(degrees, probability);
            assert!((found / expected - 1.0).abs() < 1e-5, "{degrees} {probability}: {found}");
        }
    }

    #[test]
    fn a_scale_is_one_for_a_gaussian_and_balances_both_ellipsoids_of_heavy_tails() {
        // squared distances of two components at the quantiles of their distribution: -2 ln(1 - p)
        let at = |row: usize| -2.0 * libm::log(1.0 - (row as f64 + 0.5) / 10_000.0);
        let gaussian: Vec<f64> = (0..10_000).map(|row| 3.0 * at(row)).collect();
        assert!((covariance_scale(&gaussian, 2) / 3.0 - 1.0).abs() < 2e-3);
        let heavy: Vec<f64> = (0..10_000).map(|row| at(row).powi(2)).collect();
        let scale = covariance_scale(&heavy, 2);
        let scaled: Vec<f64> = heavy.iter().map(|distance| distance / scale).collect();
        let coverage = coverage_of(&scaled, 2);
        let (over, under) = ((coverage.half - 0.5) / 0.08, (0.9 - coverage.ninety) / 0.06);
        assert!(over > 0.1 && (over - under).abs() < 0.01, "{coverage:?}");
        assert!((covariance_scale(&[], 2) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn angles_leave_zero_truth_out_and_count_it() {
        let truth = DMatrix::from_row_slice(3, 2, &[1.0, 0.0, 0.0, 0.0, 0.0, 2.0]);
        let estimates = intents(&[[1.0, 1.0], [5.0, 5.0], [0.0, -1.0]], 1.0);
        let angle = maae(&truth, &estimates);
        let expected = f64::midpoint(core::f64::consts::FRAC_PI_4, core::f64::consts::PI);
        assert!((angle.mean - expected).abs() < 1e-12);
        assert_eq!((angle.rows, angle.left_out), (2, 1));
        let moving = maae_moving(&truth, &estimates, 1.5);
        assert!((moving.mean - core::f64::consts::PI).abs() < 1e-12 && moving.rows == 1);
    }

    #[test]
    fn directions_have_no_rows_that_move_faster() {
        let rows = |speeds: &[f64]| DMatrix::from_fn(speeds.len(), 2, |row, at| speeds[row] * [0.6, 0.8][at]);
        assert!(least_speed(&rows(&[1.0, 1.0 + 1e-12, 0.9999, 0.0])).is_infinite());
        assert!((least_speed(&rows(&[1.0, 2.0, 0.0])) - 1.0).abs() < 1e-12);
        assert!(least_speed(&rows(&[0.0, 0.0])).abs() < 1e-12, "all that is not zero is faster than nothing");
        let truth = rows(&[1.0, 1.0 + 1e-12]);
        let estimates = intents(&[[1.0, 1.0], [1.0, 1.0]], 1.0);
        assert_eq!(maae_moving(&truth, &estimates, least_speed(&truth)).rows, 0);
    }

    #[test]
    fn pooled_error_and_calibration_follow_their_definitions() {
        let truth = DMatrix::from_row_slice(2, 2, &[3.0, 0.0, 0.0, 4.0]);
        let estimates = intents(&[[3.0, 1.0], [2.0, 4.0]], 0.5);
        assert!((nrmse(&truth, &estimates) - (5.0_f64 / 25.0).sqrt()).abs() < 1e-15);
        assert!((nees(&truth, &estimates) - (2.0 + 8.0) / 4.0).abs() < 1e-12);
        // squared errors 4 and 1; squared deviations 4.5 and 8
        assert!((r_squared(&truth, &estimates) - (1.0 - 5.0 / 12.5)).abs() < 1e-12);
        let parts = r_squared_of_components(&truth, &estimates);
        assert!((parts[0] - (1.0 - 4.0 / 4.5)).abs() < 1e-12 && (parts[1] - (1.0 - 1.0 / 8.0)).abs() < 1e-12);
        let coverage = coverage(&truth, &estimates);
        assert!(coverage.half == 0.0 && (coverage.ninety - 0.5).abs() < 1e-15);
        assert!((coverage.ninety_nine - 1.0).abs() < 1e-15);
        let correlation = correlation(&truth, &estimates);
        assert!((correlation[0] - 1.0).abs() < 1e-12);
    }
}
