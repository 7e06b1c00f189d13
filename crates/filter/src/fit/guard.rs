//! What training shows of every channel, for the guard: its range, and how far its running means drift by themselves.

use nalgebra::DMatrix;

use super::windows::{column_means, second_moment};
use crate::cholesky::Cholesky;
use crate::guard::{CHANGE_SPAN, squared_change};
use crate::{GuardStatistics, TrainingData};

/// Bins in the running means, as far as the rows are at least so many spans.
const SPANS: [usize; 4] = [4, 16, 64, 256];
const ROWS_A_SPAN: usize = 20;
/// A combination of states that adds less than this part of its variance follows from the others.
const COLLINEAR: f64 = 1e-10;

/// The statistics of the feature columns. Cost: rows * n * (d + the number of spans).
pub(crate) fn guard_statistics(data: &TrainingData) -> GuardStatistics {
    let (rows, n) = data.features.shape();
    let spans: Vec<usize> = SPANS
        .into_iter()
        .enumerate()
        .filter(|(at, span)| *at == 0 || ROWS_A_SPAN * span <= rows)
        .map(|(_, span)| span)
        .collect();
    let mean = column_means(&data.features);
    let fitted = tuned_part(data, &mean);
    let mut statistics = GuardStatistics {
        standard_deviation: vec![0.0; n],
        least: vec![0.0; n],
        greatest: vec![0.0; n],
        lowest_mean: DMatrix::zeros(spans.len(), n),
        highest_mean: DMatrix::zeros(spans.len(), n),
        lowest_change: vec![0.0; n],
        highest_change: vec![0.0; n],
        spans,
        mean,
    };
    for channel in 0..n {
        let column = data.features.column(channel);
        let mean = statistics.mean[channel];
        let variance = column.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / rows as f64;
        let deviation = variance.sqrt();
        statistics.standard_deviation[channel] = deviation;
        (statistics.least[channel], statistics.greatest[channel]) = extremes(column.iter().copied());
        if deviation == 0.0 {
            continue;
        }
        let values: Vec<f64> = column.iter().map(|value| (value - mean) / deviation).collect();
        let tuned: Vec<f64> = fitted.column(channel).iter().map(|value| value / deviation).collect();
        let rest: Vec<f64> = values.iter().zip(&tuned).map(|(value, tuned)| value - tuned).collect();
        let held = mean_extremes(data, &tuned, statistics.spans[0]);
        for (at, &span) in statistics.spans.iter().enumerate() {
            let whole = mean_extremes(data, &values, span);
            let rest = mean_extremes(data, &rest, span);
            statistics.lowest_mean[(at, channel)] = whole.0.min(held.0 + rest.0);
            statistics.highest_mean[(at, channel)] = whole.1.max(held.1 + rest.1);
        }
        (statistics.lowest_change[channel], statistics.highest_change[channel]) =
            change_extremes(data, &values);
    }
    statistics
}

/// What the intent explains of each channel about its mean, by least squares; zero where states are collinear.
fn tuned_part(data: &TrainingData, mean: &[f64]) -> DMatrix<f64> {
    let states_mean = column_means(&data.states);
    let centred = DMatrix::from_fn(data.rows(), data.states.ncols(), |row, column| {
        data.states[(row, column)] - states_mean[column]
    });
    let features =
        DMatrix::from_fn(data.rows(), mean.len(), |row, column| data.features[(row, column)] - mean[column]);
    match Cholesky::new(&second_moment(&centred), COLLINEAR) {
        Ok(factor) => &centred * factor.solve_columns(&(centred.tr_mul(&features) / data.rows() as f64)),
        Err(_column) => DMatrix::zeros(data.rows(), mean.len()),
    }
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
