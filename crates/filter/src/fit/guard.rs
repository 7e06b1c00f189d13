//! What training shows of every channel, for the guard: its range, and how far its running means drift by themselves.

use nalgebra::{DMatrix, DVectorView};

use super::plausibility::plausibility_statistics;
use super::windows::{column_means, deviations, second_moment};
use crate::cholesky::Cholesky;
use crate::factors::{FACTORS, Factors};
use crate::guard::{CHANGE_SPAN, squared_change};
use crate::matrix_product::{plain, product, transposed};
use crate::{GuardStatistics, TrainingData};

/// Bins in the running means, as far as the rows are at least so many spans.
const SPANS: [usize; 4] = [4, 16, 64, 256];
const ROWS_A_SPAN: usize = 20;
/// A combination of states that adds less than this part of its variance follows from the others.
const COLLINEAR: f64 = 1e-10;
/// Bins in the running means that the factor model is of.
const FACTOR_SPAN: f64 = 16.0;
/// Steps of the factor model, and of the search for its start.
const STEPS: usize = 50;
/// No channel follows from others better than this, as a part of its variance.
const LEAST_UNIQUENESS: f64 = 0.01;

/// The statistics of the feature columns. Cost: rows * n * (k + d + the number of spans), and n^2 k for each step of the
/// factor model.
pub(crate) fn guard_statistics(data: &TrainingData) -> GuardStatistics {
    let rows = data.rows();
    let first = SPANS.len().min(1);
    let spans: Vec<usize> = SPANS
        .into_iter()
        .enumerate()
        .filter(|(at, span)| *at < first || ROWS_A_SPAN * span <= rows)
        .map(|(_, span)| span)
        .collect();
    let mean = column_means(&data.features);
    let mut standardised = data.features.clone();
    let standard_deviation = deviations(&data.features);
    for ((mut column, mean), deviation) in standardised.column_iter_mut().zip(&mean).zip(&standard_deviation)
    {
        column.add_scalar_mut(-mean);
        column /= if *deviation > 0.0 { *deviation } else { 1.0 };
    }
    let (loadings, uniqueness) = factors_of_means(data, &standardised);
    let residuals = residuals(&standardised, &loadings, &uniqueness);
    let (lowest_mean, highest_mean) = mean_ranges(data, &standardised, &spans);
    let (lowest_residual, highest_residual) = mean_ranges(data, &residuals, &spans);
    let column_extremes = |column: DVectorView<'_, f64>| extremes(column.iter().copied());
    let (least, greatest) = data.features.column_iter().map(column_extremes).unzip();
    let (lowest_change, highest_change) =
        standardised.column_iter().map(|column| change_extremes(data, column.as_slice())).unzip();
    let plausibility = plausibility_statistics(data, &standardised, &residuals);
    GuardStatistics {
        mean,
        standard_deviation,
        least,
        greatest,
        spans,
        lowest_mean,
        highest_mean,
        loadings,
        uniqueness,
        lowest_residual,
        highest_residual,
        lowest_change,
        highest_change,
        plausibility: Some(plausibility),
    }
}

/// The lowest and highest running mean of each column, spans x n: that of the rows, or what an intent that is held and the
/// rest of the column could add up to, if farther out.
fn mean_ranges(data: &TrainingData, columns: &DMatrix<f64>, spans: &[usize]) -> (DMatrix<f64>, DMatrix<f64>) {
    let tuned = tuned_part(data, columns);
    let mut lowest = DMatrix::zeros(spans.len(), columns.ncols());
    let mut highest = lowest.clone();
    for (channel, (column, tuned)) in columns.column_iter().zip(tuned.column_iter()).enumerate() {
        let rest: Vec<f64> = column.iter().zip(&tuned).map(|(value, tuned)| value - tuned).collect();
        let held = mean_extremes(data, tuned.as_slice(), spans[0]);
        for (at, &span) in spans.iter().enumerate() {
            let whole = mean_extremes(data, column.as_slice(), span);
            let rest = mean_extremes(data, &rest, span);
            lowest[(at, channel)] = whole.0.min(held.0 + rest.0);
            highest[(at, channel)] = whole.1.max(held.1 + rest.1);
        }
    }
    (lowest, highest)
}

/// What the intent explains of each column, by least squares on its components, their squares and products (rates are not
/// linear in it); zero where these are collinear.
fn tuned_part(data: &TrainingData, columns: &DMatrix<f64>) -> DMatrix<f64> {
    let d = data.states.ncols();
    let pairs = (0..d).flat_map(|left| (0..=left).map(move |right| (left, right)));
    let terms: Vec<(usize, Option<usize>)> = (0..d)
        .map(|component| (component, None))
        .chain(pairs.map(|(left, right)| (left, Some(right))))
        .collect();
    // about their means and in units of their own: squares far from zero would repeat the components
    let mut states = data.states.clone();
    for mut column in states.column_iter_mut() {
        column.add_scalar_mut(-column.mean());
        let size = column.amax();
        column /= if size > 0.0 { size } else { 1.0 };
    }
    let mut design = DMatrix::from_fn(data.rows(), terms.len(), |row, column| {
        let (left, right) = terms[column];
        states[(row, left)] * right.map_or(1.0, |right| states[(row, right)])
    });
    for mut column in design.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    match Cholesky::new(&second_moment(&design), COLLINEAR) {
        Ok(factor) => {
            let moments = product(transposed(&design), plain(columns)) / data.rows() as f64;
            product(plain(&design), plain(&factor.solve_columns(&moments)))
        }
        Err(_column) => columns * 0.0,
    }
}

/// The factor model of running means, over which an intent shows above the noise of single bins: what is left of a channel
/// then depends little on the intent.
fn factors_of_means(data: &TrainingData, standardised: &DMatrix<f64>) -> (DMatrix<f64>, Vec<f64>) {
    let mut smoothed = standardised.clone();
    for mut column in smoothed.column_iter_mut() {
        for segment in data.segments() {
            let mut mean = 0.0;
            for row in segment {
                mean += (column[row] - mean) / FACTOR_SPAN;
                column[row] = mean;
            }
        }
    }
    let mut deviations = Vec::with_capacity(smoothed.ncols());
    for mut column in smoothed.column_iter_mut() {
        let deviation = (column.norm_squared() / data.rows() as f64).sqrt();
        // a channel that never moved follows from nothing
        deviations.push(if deviation > 0.0 { deviation } else { 1.0 });
        column /= if deviation > 0.0 { deviation } else { 1.0 };
    }
    let (mut loadings, mut uniqueness) = factor_model(&smoothed);
    for ((mut row, variance), deviation) in loadings.row_iter_mut().zip(&mut uniqueness).zip(&deviations) {
        row *= *deviation;
        *variance *= deviation * deviation;
    }
    (loadings, uniqueness)
}

/// Loadings and variances of the noise, by expectation maximisation from the leading principal axes (Rubin and Thayer
/// 1982, eqs. 5 to 8).
fn factor_model(standardised: &DMatrix<f64>) -> (DMatrix<f64>, Vec<f64>) {
    let (rows, n) = standardised.shape();
    let k = FACTORS.min(n.saturating_sub(1) / 2);
    let mut correlation = product(transposed(standardised), plain(standardised)) / rows as f64;
    for channel in 0..n {
        // a channel that never moved
        if correlation[(channel, channel)] == 0.0 {
            correlation[(channel, channel)] = 1.0;
        }
    }
    let mut loadings = principal_axes(&correlation, k);
    let mut uniqueness: Vec<f64> =
        loadings.row_iter().map(|row| (1.0 - row.norm_squared()).max(LEAST_UNIQUENESS)).collect();
    for _step in 0..STEPS {
        let mut weighted = loadings.clone();
        for (mut row, variance) in weighted.row_iter_mut().zip(&uniqueness) {
            row /= *variance;
        }
        let precision = DMatrix::identity(k, k) + loadings.tr_mul(&weighted);
        let Some(posterior) = precision.cholesky() else { break };
        // beta' = psi^-1 L M, n x k
        let regression = posterior.solve(&weighted.transpose()).transpose();
        let moments = product(plain(&correlation), plain(&regression));
        let second = DMatrix::identity(k, k) - regression.tr_mul(&loadings) + regression.tr_mul(&moments);
        let Some(second) = second.cholesky() else { break };
        loadings = second.solve(&moments.transpose()).transpose();
        for (channel, variance) in uniqueness.iter_mut().enumerate() {
            let explained = loadings.row(channel).dot(&moments.row(channel));
            *variance = (correlation[(channel, channel)] - explained).max(LEAST_UNIQUENESS);
        }
    }
    (loadings, uniqueness)
}

/// The `k` leading eigenvectors, each as long as the root of its eigenvalue, less one for noise, by subspace iteration.
fn principal_axes(correlation: &DMatrix<f64>, k: usize) -> DMatrix<f64> {
    let n = correlation.nrows();
    let mut axes = DMatrix::from_fn(n, k, |row, column| {
        libm::cos(core::f64::consts::PI * (row as f64 + 0.5) * column as f64 / n as f64 + row as f64)
    });
    let mut sizes = vec![0.0; k];
    for _step in 0..STEPS {
        axes = product(plain(correlation), plain(&axes));
        for (column, size) in sizes.iter_mut().enumerate() {
            for before in 0..column {
                let along = axes.column(before).dot(&axes.column(column));
                let axis = axes.column(before).into_owned();
                axes.column_mut(column).axpy(-along, &axis, 1.0);
            }
            *size = axes.column(column).norm();
            if *size > 0.0 {
                axes.column_mut(column).unscale_mut(*size);
            }
        }
    }
    for (mut axis, size) in axes.column_iter_mut().zip(&sizes) {
        axis *= (size - 1.0).max(0.01).sqrt();
    }
    axes
}

/// What the other channels do not explain of each.
fn residuals(standardised: &DMatrix<f64>, loadings: &DMatrix<f64>, uniqueness: &[f64]) -> DMatrix<f64> {
    let n = standardised.ncols();
    let mut factors = Factors::new(loadings, uniqueness);
    let (mut values, mut predicted) = (vec![0.0; n], vec![0.0; n]);
    let mut residuals = standardised.clone();
    for mut row in residuals.row_iter_mut() {
        for (to, from) in values.iter_mut().zip(row.iter()) {
            *to = *from;
        }
        factors.predict(&values, &mut predicted);
        for (value, predicted) in row.iter_mut().zip(&predicted) {
            *value -= predicted;
        }
    }
    residuals
}

/// Least and greatest running mean, zero before every segment as at row one.
fn mean_extremes(data: &TrainingData, values: &[f64], span: usize) -> (f64, f64) {
    let gain = 1.0 / span as f64;
    extremes(data.segments().into_iter().flat_map(|segment| {
        values[segment].iter().scan(0.0, move |mean, value| {
            *mean += gain * (value - *mean);
            Some(*mean)
        })
    }))
}

/// Least and greatest running mean of squared changes; each segment starts at the mean of all.
fn change_extremes(data: &TrainingData, values: &[f64]) -> (f64, f64) {
    let changes: Vec<Vec<f64>> = data
        .segments()
        .into_iter()
        .map(|segment| values[segment].windows(2).map(|pair| squared_change(pair[1], pair[0])).collect())
        .collect();
    let count = changes.iter().map(Vec::len).sum::<usize>().max(1);
    let typical = changes.iter().flatten().sum::<f64>() / count as f64;
    extremes(changes.into_iter().flat_map(|changes| {
        changes.into_iter().scan(typical, |mean, change| {
            *mean += (change - *mean) / CHANGE_SPAN;
            Some(*mean)
        })
    }))
}

/// Least and greatest of the values; zeros without any.
fn extremes(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, greatest) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    });
    if least <= greatest { (least, greatest) } else { (0.0, 0.0) }
}
