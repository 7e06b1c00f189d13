//! The mean of a Gaussian process from many rows through few points of them: deterministic training conditional, that is
//! regression on the subspace of the inducing points (Quinonero-Candela and Rasmussen, JMLR 2005, sec. 5; Rasmussen and
//! Williams 2006, eq. 8.14), which [`inducing_rows`](crate::inducing_points::inducing_rows) chooses.
//!
//! With features phi of the [points](JointBasis), `f = phi' w`, `w = (Phi' Phi + noise)^-1 Phi' y`. Predictions of a block by
//! the other rows go through the same points: which rows those are says nothing of the intents, and sums over the other
//! blocks are all that a further fit needs.

use core::ops::Range;

use nalgebra::{DMatrix, DVector};

use crate::blocked_cholesky::BlockedCholesky;
use crate::kernel_features::JointBasis;
use crate::moments::Moments;
use kalmind_filter::{GaussianProcessRegressor, Regressor};

/// A kernel matrix that is not positive definite gets ten times the noise, at most so often.
const NOISIER: usize = 8;

/// The mean of `states` at `points` through at most `most` of them, by one over the length scales and noise relative to
/// the signal; beside it what the rows outside each of `blocks` (all rows in order; or none) say of those within. `None`
/// where no number comes out. Cost: rows most (inputs + most).
pub(crate) fn sparse_mean(
    points: &DMatrix<f64>,
    states: &DMatrix<f64>,
    scales: Vec<f64>,
    noise: f64,
    most: usize,
    blocks: &[Range<usize>],
) -> Option<(Regressor, DMatrix<f64>)> {
    let basis = JointBasis::new(points, scales, most)?;
    let features = basis.features(points);
    let whole = 0..states.nrows();
    let parts = if blocks.is_empty() { core::slice::from_ref(&whole) } else { blocks };
    let moments: Vec<Moments> = parts.iter().map(|part| Moments::of(&features, states, part)).collect();
    let mut held_out = DMatrix::zeros(states.nrows(), states.ncols());
    for (left_out, block) in blocks.iter().enumerate() {
        let (weights, offset) = weights(&Moments::total(&moments, Some(left_out)), noise)?;
        let mut predicted = features.rows_range(block.clone()) * weights;
        for mut row in predicted.row_iter_mut() {
            row += offset.transpose();
        }
        held_out.rows_range_mut(block.clone()).copy_from(&predicted);
    }
    let (weights, offset) = weights(&Moments::total(&moments, None), noise)?;
    let coefficients = basis.coefficients(&weights);
    let JointBasis { points, scales, .. } = basis;
    Some((
        Regressor::GaussianProcess(GaussianProcessRegressor { points, coefficients, scales, offset }),
        held_out,
    ))
}

/// Weights of the features, and the offset, which is the states' mean.
fn weights(moments: &Moments, noise: f64) -> Option<(DMatrix<f64>, DVector<f64>)> {
    let cross = moments.cross_of_centred_targets();
    let weights = positive_definite(noise, |noise| {
        let mut gram = moments.gram.clone();
        for entry in 0..gram.nrows() {
            gram[(entry, entry)] += noise;
        }
        let mut weights = cross.clone();
        BlockedCholesky::new(gram).ok()?.solve(&mut weights);
        weights.iter().all(|value| value.is_finite()).then_some(weights)
    })?;
    Some((weights, &moments.targets / moments.rows))
}

/// What `solve` gives at the least noise, from `noise` on, at which the kernel matrix is positive definite to rounding.
pub(crate) fn positive_definite<T>(noise: f64, solve: impl Fn(f64) -> Option<T>) -> Option<T> {
    let mut noise = noise;
    for _noisier in 0..NOISIER {
        if let Some(solved) = solve(noise) {
            return Some(solved);
        }
        noise = noise.max(f64::EPSILON) * 10.0;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_matrix::kernel_matrix;
    use crate::windows::{folds, outside};

    const NOISE: f64 = 0.05;

    fn bent() -> (DMatrix<f64>, DMatrix<f64>) {
        let points =
            DMatrix::from_fn(300, 2, |row, column| ((row * row * 3 + column * 7 * row) as f64).sin() * 2.0);
        let outputs = DMatrix::from_fn(300, 2, |row, column| {
            (points[(row, 0)] * 1.3).sin() + points[(row, 1)] * column as f64
        });
        (points, outputs)
    }

    /// The exact mean at `queries`, by an LU factor.
    fn exact(points: &DMatrix<f64>, outputs: &DMatrix<f64>, queries: &DMatrix<f64>) -> DMatrix<f64> {
        let rows = points.nrows();
        let mean = outputs.row_mean();
        let centred =
            DMatrix::from_fn(rows, outputs.ncols(), |row, column| outputs[(row, column)] - mean[column]);
        let kernel = kernel_matrix(points, points) + DMatrix::identity(rows, rows) * NOISE;
        let mut predicted = kernel_matrix(queries, points) * kernel.lu().solve(&centred).unwrap();
        for mut row in predicted.row_iter_mut() {
            row += &mean;
        }
        predicted
    }

    #[test]
    fn more_points_approach_the_exact_mean() {
        let (points, outputs) = bent();
        let queries = DMatrix::from_fn(50, 2, |row, column| ((row * 5 + column * 3) as f64).cos() * 1.5);
        let expected = exact(&points, &outputs, &queries);
        let mut last = f64::INFINITY;
        for (most, within) in [(10, 1.0), (30, 0.1), (80, 2e-3), (300, 1e-5)] {
            let (regressor, _) = sparse_mean(&points, &outputs, vec![1.0; 2], NOISE, most, &[]).unwrap();
            let Regressor::GaussianProcess(GaussianProcessRegressor { points, coefficients, offset, .. }) =
                regressor
            else {
                panic!()
            };
            let mut sparse = kernel_matrix(&queries, &points) * coefficients;
            for mut row in sparse.row_iter_mut() {
                row += offset.transpose();
            }
            let error = (sparse - &expected).amax();
            assert!(error < within && error <= last, "{most} points: {error}");
            last = error;
        }
    }

    #[test]
    fn blocks_are_predicted_by_the_rows_outside_them() {
        let (points, outputs) = bent();
        let blocks = folds(300);
        let (_, held_out) = sparse_mean(&points, &outputs, vec![1.0; 2], NOISE, 300, &blocks).unwrap();
        for block in blocks {
            let outside = outside(&block, 300);
            let expected = exact(
                &points.select_rows(&outside),
                &outputs.select_rows(&outside),
                &points.rows_range(block.clone()).into_owned(),
            );
            assert!((held_out.rows_range(block) - expected).amax() < 1e-5);
        }
    }
}
