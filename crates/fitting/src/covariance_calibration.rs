//! The factor between what a filter believes and what it publishes, from held-out rows.
//!
//! Errors of real intents are far from Gaussian: the hand is still most of the time, and what starts it comes as a
//! surprise. So the logarithm of each held-out row's normalised squared error is regressed (ridge) on what is known at
//! that bin, which is Harvey's model of multiplicative heteroscedasticity; a constant then makes the ellipsoids of 50
//! and 90 % hold what they say, as nearly as both can, on rows that the regression was not fitted to.
//!
//! A. C. Harvey, Estimating regression models with multiplicative heteroscedasticity, Econometrica 44, 1976.

use nalgebra::{DMatrix, DVector};

use crate::FitReport;
use crate::learner::Examples;
use crate::windows::folds;
use crate::{accuracy, uncertainty};
use kalmind_filter::CovarianceScale;
use kalmind_filter::cholesky::Cholesky;

/// The part of the variance of the errors' logarithms that a factor has to explain in rows left out. For two components that is
/// what a ratio of 1.3 between the errors of the least and the most certain tenth comes to.
const WORTH_KNOWING: f64 = 0.01;
/// Most bins of features that the factor depends on.
const MOST_BINS: usize = 10;
/// Held-out rows to each coefficient.
const ROWS_A_COEFFICIENT: usize = 20;
/// Rows below which the factor is constant.
const FEWEST_ROWS: usize = 200;
/// Ridge on standardised columns, relative to the number of rows.
const RIDGE: f64 = 1e-3;
/// Added to squared errors before their logarithm, relative to their median.
const LEAST_ERROR: f64 = 2e-3;
/// Parts of the rows beyond the limits of the factor on either side.
const BEYOND_LIMITS: f64 = 5e-3;
/// Coefficients of the mean's size, its square and the surprise, which come before those of the window.
const SIZES: usize = 3;

/// One held-out row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeldOutError {
    /// The row.
    pub(crate) row: usize,
    /// The logarithm of the mean's size, as [`CovarianceScale`] takes it.
    pub(crate) log_size: f64,
    /// The logarithm of the surprise.
    pub(crate) log_surprise: f64,
    /// `(z - mu)' Sigma^-1 (z - mu)`, of the covariance before scaling.
    pub(crate) squared_distance: f64,
}

/// The factor at which ellipsoids of held-out rows hold what they say, and the squared distance of each row under a factor
/// that was not fitted to it.
pub(crate) fn covariance_scale(
    errors: &[HeldOutError],
    examples: &Examples<'_>,
) -> (CovarianceScale, Vec<f64>) {
    let dimension = examples.data.states.ncols();
    let mut distances: Vec<f64> = errors.iter().map(|error| error.squared_distance).collect();
    let everywhere = accuracy::covariance_scale(&distances, dimension);
    let constant = || (CovarianceScale::constant(everywhere), scaled(errors, |_row| everywhere));
    if errors.len() < FEWEST_ROWS {
        return constant();
    }
    let logs = {
        let middle = distances.len() / 2;
        let median = *distances.select_nth_unstable_by(middle, f64::total_cmp).1;
        DVector::from_iterator(
            errors.len(),
            errors
                .iter()
                .map(|error| libm::log(error.squared_distance + LEAST_ERROR * median + f64::MIN_POSITIVE)),
        )
    };
    let known = known(errors, examples);
    let mut held_out = DVector::zeros(errors.len());
    let all: Vec<usize> = (0..errors.len()).collect();
    for fold in folds(errors.len()) {
        let others: Vec<usize> = all[..fold.start].iter().chain(&all[fold.end..]).copied().collect();
        let (bias, coefficients) = regress(&known, &logs, &others);
        for row in fold {
            held_out[row] = bias + known.row(row).tr_dot(&coefficients);
        }
    }
    // what does not tell how large errors are in rows left out is noise, and would only pretend to know
    let unexplained = (&logs - &held_out).norm_squared() / logs.add_scalar(-logs.mean()).norm_squared();
    if unexplained.is_nan() || unexplained > 1.0 - WORTH_KNOWING {
        return constant();
    }
    let (bias, coefficients) = regress(&known, &logs, &all);
    let relative: Vec<f64> = errors
        .iter()
        .zip(held_out.iter())
        .map(|(error, log)| error.squared_distance / libm::exp(*log))
        .collect();
    let shift = libm::log(accuracy::covariance_scale(&relative, dimension));
    let mut sorted: Vec<f64> = held_out.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let beyond = (BEYOND_LIMITS * sorted.len() as f64) as usize;
    let scale = CovarianceScale {
        bias: bias + shift,
        size: coefficients[0],
        size_squared: coefficients[1],
        surprise: coefficients[2],
        window: coefficients.as_slice()[SIZES..].to_vec(),
        limits: [sorted[beyond] + shift, sorted[sorted.len() - 1 - beyond] + shift],
    };
    let numbers =
        [scale.bias, scale.size, scale.size_squared, scale.surprise, scale.limits[0], scale.limits[1]];
    if numbers.iter().chain(&scale.window).all(|number| number.is_finite()) {
        let [least, greatest] = scale.limits;
        let distances = scaled(errors, |row| libm::exp((held_out[row] + shift).clamp(least, greatest)));
        (scale, distances)
    } else {
        constant()
    }
}

/// Squared distances under covariances that are so much larger, row by row.
pub(crate) fn scaled(errors: &[HeldOutError], factor: impl Fn(usize) -> f64) -> Vec<f64> {
    errors.iter().enumerate().map(|(row, error)| error.squared_distance / factor(row)).collect()
}

impl FitReport {
    /// Notes how much of the truth of held-out rows lies within the published ellipsoids, given their squared distances in
    /// time order, with a warning where that is far off.
    pub(crate) fn covers(&mut self, squared_distances: &[f64], dimension: usize) {
        self.held_out_coverage = Some(accuracy::coverage_of(squared_distances, dimension));
        self.warnings.extend(uncertainty::coverage_warnings(squared_distances, dimension, "held-out rows"));
    }
}

/// What is known of each row, one column a coefficient.
fn known(errors: &[HeldOutError], examples: &Examples<'_>) -> DMatrix<f64> {
    let n = examples.data.features.ncols();
    let bins = (errors.len() / (ROWS_A_COEFFICIENT * n)).min(MOST_BINS);
    let rows: Vec<usize> = errors.iter().map(|error| error.row).collect();
    let mut known = DMatrix::zeros(errors.len(), SIZES + n * bins);
    for (row, error) in errors.iter().enumerate() {
        known[(row, 0)] = error.log_size;
        known[(row, 1)] = error.log_size * error.log_size;
        known[(row, 2)] = error.log_surprise;
    }
    if bins > 0 {
        let windows = Examples { lags: bins, ..*examples }.inputs(&rows);
        known.columns_range_mut(SIZES..).copy_from(&windows);
    }
    known
}

/// Ridge regression of `target` on standardised columns, over `rows`: the bias, and the coefficients of the columns as
/// they are.
fn regress(known: &DMatrix<f64>, target: &DVector<f64>, rows: &[usize]) -> (f64, DVector<f64>) {
    let mut inputs = known.select_rows(rows);
    let targets = target.select_rows(rows);
    let mean = targets.mean();
    let count = rows.len() as f64;
    let mut centres = DVector::zeros(inputs.ncols());
    let mut spreads = DVector::zeros(inputs.ncols());
    for (at, mut column) in inputs.column_iter_mut().enumerate() {
        centres[at] = column.mean();
        column.add_scalar_mut(-centres[at]);
        spreads[at] = libm::sqrt(column.norm_squared() / count);
        if spreads[at] > f64::MIN_POSITIVE {
            column /= spreads[at];
        }
    }
    let mut gram = inputs.tr_mul(&inputs);
    for at in 0..gram.nrows() {
        gram[(at, at)] += RIDGE * count;
    }
    let moment = inputs.tr_mul(&targets.add_scalar(-mean));
    let mut coefficients = match Cholesky::new(&gram, 0.0) {
        Ok(factor) => {
            let mut solved = moment;
            factor.solve(solved.as_mut_slice());
            solved
        }
        Err(_column) => DVector::zeros(inputs.ncols()),
    };
    for (coefficient, spread) in coefficients.iter_mut().zip(spreads.iter()) {
        // what never moves over the rows says nothing
        *coefficient = if *spread > f64::MIN_POSITIVE { *coefficient / spread } else { 0.0 };
    }
    (mean - centres.dot(&coefficients), coefficients)
}

#[cfg(test)]
mod tests {
    use kalmind_types::Intent;
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use kalmind_filter::TrainingData;
    use kalmind_filter::published_covariance::{Measure, PublishedCovariance};

    #[test]
    fn errors_that_grow_with_speed_and_with_a_feature_are_covered_whatever_these_are() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        let mut draw = || -> f64 { StandardNormal.sample(&mut random) };
        let identity = DMatrix::identity(2, 2);
        let measure = Measure::new(&identity).unwrap();
        let count = 20_000;
        let mut features = DMatrix::zeros(count, 1);
        let (mut means, mut errors) = (Vec::new(), Vec::new());
        for row in 0..count {
            let mean = [draw(), draw()];
            features[(row, 0)] = draw();
            // the filter says 1 where the standard deviation of the error is this
            let spread = (mean[0].hypot(mean[1]) + 0.1) * (0.5 * features[(row, 0)]).exp();
            let (x, y) = (spread * draw(), spread * draw());
            means.push(mean);
            errors.push(HeldOutError {
                row,
                log_size: measure.log_size(&mean),
                log_surprise: measure.log_surprise(&mean, &mean),
                squared_distance: x * x + y * y,
            });
        }
        let data = TrainingData::new(features, DMatrix::zeros(count, 2));
        let examples = Examples { data: &data, background: &[0.0], lags: 1 };
        let (scale, held_out) = covariance_scale(&errors, &examples);
        let mut published = PublishedCovariance::new(&scale, &identity).unwrap();
        let factors: Vec<f64> = (0..count)
            .map(|row| {
                let mut intent = Intent::zero(2);
                intent.mean_mut().copy_from_slice(&means[row]);
                intent.covariance_mut()[0] = 1.0;
                let feature = |bin: usize| row.checked_sub(bin).map_or(0.0, |row| data.features[(row, 0)]);
                let window: Vec<f64> = (0..MOST_BINS).map(feature).collect();
                published.scale(&means[row], &window, &mut intent);
                intent.covariance()[0]
            })
            .collect();
        let coverage = accuracy::coverage_of(&held_out, 2);
        assert!((coverage.half - 0.5).abs() < 0.02 && (coverage.ninety - 0.9).abs() < 0.02, "{coverage:?}");
        let speed = |row: usize| means[row][0].hypot(means[row][1]);
        let groups: [(&str, Vec<usize>); 4] = [
            ("slow", (0..count).filter(|&row| speed(row) < 0.7).collect()),
            ("fast", (0..count).filter(|&row| speed(row) > 1.5).collect()),
            ("low feature", (0..count).filter(|&row| data.features[(row, 0)] < -0.7).collect()),
            ("high feature", (0..count).filter(|&row| data.features[(row, 0)] > 0.7).collect()),
        ];
        for (group, rows) in groups {
            for probability in [0.5, 0.9] {
                let limit = accuracy::chi_square_quantile(2, probability);
                let within =
                    rows.iter().filter(|&&row| errors[row].squared_distance <= limit * factors[row]).count();
                let within = within as f64 / rows.len() as f64;
                assert!((within - probability).abs() < 0.05, "{group}: {within} of {probability}");
            }
        }
    }

    #[test]
    fn few_rows_give_a_constant_factor() {
        let errors: Vec<HeldOutError> = (0..50)
            .map(|row| HeldOutError { row, log_size: 0.0, log_surprise: 0.0, squared_distance: row as f64 })
            .collect();
        let data = TrainingData::new(DMatrix::zeros(50, 1), DMatrix::zeros(50, 1));
        let (scale, _) = covariance_scale(&errors, &Examples { data: &data, background: &[0.0], lags: 1 });
        assert!(scale.window.is_empty());
        assert_eq!(scale.limits[0].to_bits(), scale.limits[1].to_bits());
    }
}
