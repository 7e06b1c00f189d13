//! The linear discriminant of two kinds of rows.

use kalmind_filter::cholesky::Cholesky;
use nalgebra::DMatrix;

use crate::windows::second_moment;

/// What a row's features add up to is the logarithm of how much likelier it is where a click is meant.
pub(super) struct Discriminant {
    pub(super) weights: Vec<f64>,
    pub(super) intercept: f64,
    /// How far the covariance was moved toward its diagonal.
    pub(super) shrinkage: f64,
}

/// Fits it to those of `rows` that have a label; none where a kind has no row, or no feature moves. Features that do not
/// move within the kinds take no part: they would tell with certainty what they have told once.
pub(super) fn discriminant(
    features: &DMatrix<f64>,
    meant: &[Option<bool>],
    rows: &[usize],
) -> Option<Discriminant> {
    let n = features.ncols();
    let kinds = [false, true]
        .map(|kind| -> Vec<usize> { rows.iter().copied().filter(|&row| meant[row] == Some(kind)).collect() });
    let count = kinds[0].len() + kinds[1].len();
    if kinds.iter().any(Vec::is_empty) {
        return None;
    }
    let means = kinds.each_ref().map(|kind| -> Vec<f64> {
        let mean = |column| kind.iter().map(|&row| features[(row, column)]).sum::<f64>() / kind.len() as f64;
        (0..n).map(mean).collect()
    });
    let labelled = kinds.iter().zip(&means).flat_map(|(kind, mean)| kind.iter().map(move |&row| (row, mean)));
    let labelled: Vec<(usize, &Vec<f64>)> = labelled.collect();
    let mut centred =
        DMatrix::from_fn(count, n, |at, column| features[(labelled[at].0, column)] - labelled[at].1[column]);
    let mut deviations = Vec::with_capacity(n);
    for (column, mut values) in centred.column_iter_mut().enumerate() {
        let deviation = (values.norm_squared() / count as f64).sqrt();
        let size = means[0][column].abs().max(means[1][column].abs());
        // what is left of rounding is no deviation
        let moves = deviation > 1e-9 * size;
        values /= if moves { deviation } else { 1.0 };
        deviations.push(if moves { deviation } else { 0.0 });
        if !moves {
            values.fill(0.0);
        }
    }
    let moving: Vec<usize> = (0..n).filter(|&column| deviations[column] > 0.0).collect();
    if moving.is_empty() {
        return None;
    }
    let centred = centred.select_columns(&moving);
    let mut covariance = second_moment(&centred);
    let shrinkage = shrinkage(&centred, &covariance);
    covariance *= 1.0 - shrinkage;
    for entry in 0..moving.len() {
        // standardised, the mean variance that it is moved toward is one
        covariance[(entry, entry)] += shrinkage;
    }
    let standardised = |means: &[f64]| -> Vec<f64> {
        moving.iter().map(|&column| means[column] / deviations[column]).collect()
    };
    let [without, with] = means.each_ref().map(|means| standardised(means));
    let mut solved: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with - without).collect();
    Cholesky::new(&covariance, 0.0).ok()?.solve(&mut solved);
    let middle = with.iter().zip(&without).map(|(with, without)| 0.5 * (with + without));
    let intercept = -middle.zip(&solved).map(|(middle, weight)| middle * weight).sum::<f64>();
    let mut weights = vec![0.0; n];
    for (&column, weight) in moving.iter().zip(&solved) {
        weights[column] = weight / deviations[column];
    }
    Some(Discriminant { weights, intercept, shrinkage })
}

/// How far the covariance of centred rows is best moved toward its mean variance times the unit matrix (Ledoit and Wolf
/// 2004, lemmas 3.2 to 3.4).
fn shrinkage(centred: &DMatrix<f64>, covariance: &DMatrix<f64>) -> f64 {
    let (rows, n) = (centred.nrows() as f64, centred.ncols() as f64);
    let mean_variance = covariance.trace() / n;
    let square = covariance.norm_squared() / n;
    // d^2: how far the covariance is from the unit matrix; b^2: how much of that may be chance
    let distance = square - mean_variance * mean_variance;
    let fourth: f64 = centred.row_iter().map(|row| row.norm_squared().powi(2)).sum();
    let chance = (fourth / rows / n - square) / rows;
    if distance > 0.0 { chance.min(distance).max(0.0) / distance } else { 1.0 }
}
