//! Ranges of what few rows showed, or rows that hardly say more than one: a few seconds of a slow signal do not show how far it goes.

use nalgebra::DMatrix;

use crate::plausibility::wider_array;
use kalmind_filter::{GuardStatistics, TrainingData};

/// With as many independent rows ranges are those of the rows; with fewer they are wider.
const ENOUGH: f64 = 100.0;

/// The statistics of these rows with wider ranges, the fewer rows are independent.
pub(crate) fn widened_for_few(
    statistics: GuardStatistics,
    data: &TrainingData,
    standardised: &DMatrix<f64>,
) -> GuardStatistics {
    widened(statistics, (ENOUGH / independent_rows(data, standardised)).sqrt())
}

/// How many rows as many independent ones would say as much as these: those of a first-order autoregression with the channels'
/// mean correlation from row to row (Bayley and Hammersley, Suppl. J. Royal Statistical Society 8, 1946).
fn independent_rows(data: &TrainingData, standardised: &DMatrix<f64>) -> f64 {
    let (mut products, mut squares) = (0.0, 0.0);
    for segment in data.segments() {
        for row in segment.skip(1) {
            for column in standardised.column_iter() {
                products += column[row] * column[row - 1];
                squares += column[row] * column[row];
            }
        }
    }
    let correlation = if squares > 0.0 { (products / squares).clamp(0.0, 0.999) } else { 0.0 };
    (data.rows() as f64 * (1.0 - correlation) / (1.0 + correlation)).max(1.0)
}

/// The same with ranges so much wider, above 1.
fn widened(statistics: GuardStatistics, factor: f64) -> GuardStatistics {
    if factor.is_nan() || factor <= 1.0 {
        return statistics;
    }
    let wider = |matrix: DMatrix<f64>| matrix * factor;
    let changes =
        |changes: Vec<f64>, factor: f64| changes.into_iter().map(|change| change * factor).collect();
    let middles = statistics.least.iter().zip(&statistics.greatest);
    let ranges = middles.map(|(least, greatest)| {
        let (middle, half) = (f64::midpoint(*least, *greatest), 0.5 * (greatest - least));
        (middle - factor * half, middle + factor * half)
    });
    let (least, greatest) = ranges.unzip();
    GuardStatistics {
        least,
        greatest,
        lowest_mean: wider(statistics.lowest_mean),
        highest_mean: wider(statistics.highest_mean),
        lowest_residual: wider(statistics.lowest_residual),
        highest_residual: wider(statistics.highest_residual),
        lowest_change: changes(statistics.lowest_change, 1.0 / (factor * factor)),
        highest_change: changes(statistics.highest_change, factor * factor),
        plausibility: statistics.plausibility.map(|plausibility| wider_array(plausibility, factor)),
        ..statistics
    }
}
