//! The mean of a Gaussian process from many rows through few points of them: deterministic training conditional, that is
//! regression on the subspace of the inducing points (Quinonero-Candela and Rasmussen, JMLR 2005, sec. 5; Rasmussen and
//! Williams 2006, eq. 8.14), which are chosen one by one where the ones before them explain least (Burt, Rasmussen, van
//! der Wilk, JMLR 2020, sec. 4.2).
//!
//! A pivoted Cholesky factor C (n x m) of the kernel, `K ~ C C'`, gives both: its pivots are the points, and with
//! `f = C w`, `w = (C' C + noise)^-1 C' y` the coefficients at the points are `L^-T w`, L the rows of C at the points.
//! Cost: n m^2.

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::kernel_matrix::kernel_matrix;
use crate::blocked_cholesky::BlockedCholesky;
use crate::matrix_product::{plain, product, transposed};

/// No more points once all rows are explained to this part of the variance.
const EXPLAINED: f64 = 1e-9;
/// Rows that a thread computes at a time.
const CHUNK: usize = 512;

/// Coefficients at some of the rows.
#[derive(Clone, Debug)]
pub(crate) struct InducingFit {
    /// The rows that are inducing points, in the order of their choice.
    pub(crate) rows: Vec<usize>,
    /// One row of coefficients a point, to be multiplied with kernels of variance one.
    pub(crate) coefficients: DMatrix<f64>,
}

/// Fits `outputs` (centred) at the rows of `points` (scaled), noise relative to the signal, through at most `most` points.
/// `None` where no number comes out.
pub(crate) fn fit_inducing(
    points: &DMatrix<f64>,
    outputs: &DMatrix<f64>,
    noise: f64,
    most: usize,
) -> Option<InducingFit> {
    let (chosen, factor) = pivoted_cholesky(points, most);
    let mut moments = product(transposed(&factor), plain(&factor));
    for entry in 0..moments.nrows() {
        moments[(entry, entry)] += noise;
    }
    let mut coefficients = product(transposed(&factor), plain(outputs));
    BlockedCholesky::new(moments).ok()?.solve(&mut coefficients);
    let lower = factor.select_rows(&chosen);
    lower.tr_solve_lower_triangular_mut(&mut coefficients).then_some(())?;
    coefficients.iter().all(|value| value.is_finite()).then_some(InducingFit { rows: chosen, coefficients })
}

/// Pivots and factor of the kernel of `points`: each pivot is the row that the ones before it explain least.
pub(crate) fn pivoted_cholesky(points: &DMatrix<f64>, most: usize) -> (Vec<usize>, DMatrix<f64>) {
    let rows = points.nrows();
    let mut unexplained = vec![1.0_f64; rows];
    let mut chosen = Vec::new();
    // row-major: one chunk of `most` numbers a row
    let mut factor = vec![0.0; rows * most];
    for column in 0..most.min(rows) {
        let (pivot, &left) = unexplained
            .iter()
            .enumerate()
            .fold((0, &f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best });
        if left < EXPLAINED {
            break;
        }
        let kernel = kernel_matrix(points, &points.rows(pivot, 1).into_owned());
        let pivot_row = factor[pivot * most..pivot * most + column].to_vec();
        let root = left.sqrt();
        factor
            .par_chunks_mut(most * CHUNK)
            .zip(unexplained.par_chunks_mut(CHUNK))
            .zip(kernel.as_slice().par_chunks(CHUNK))
            .for_each(|((factor, unexplained), kernel)| {
                for ((row, left), kernel) in factor.chunks_exact_mut(most).zip(unexplained).zip(kernel) {
                    let value = (kernel - crate::cholesky::dot(&row[..column], &pivot_row)) / root;
                    row[column] = value;
                    *left -= value * value;
                }
            });
        // rounding must not choose it again
        unexplained[pivot] = 0.0;
        chosen.push(pivot);
    }
    let count = chosen.len();
    // exactly zero above the diagonal at the points, as in exact arithmetic
    for (at, &row) in chosen.iter().enumerate() {
        factor[row * most + at + 1..row * most + count].fill(0.0);
    }
    let factor = DMatrix::from_fn(rows, count, |row, column| factor[row * most + column]);
    (chosen, factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> DMatrix<f64> {
        DMatrix::from_fn(300, 2, |row, column| ((row * row * 3 + column * 7 * row) as f64).sin() * 2.0)
    }

    fn predicted(at: &DMatrix<f64>, points: &DMatrix<f64>, coefficients: &DMatrix<f64>) -> DMatrix<f64> {
        kernel_matrix(at, points) * coefficients
    }

    #[test]
    fn more_points_approach_the_exact_mean() {
        let points = points();
        let outputs = DMatrix::from_fn(300, 2, |row, column| {
            (points[(row, 0)] * 1.3).sin() + points[(row, 1)] * column as f64
        });
        let noise = 0.05;
        let exact = (kernel_matrix(&points, &points) + DMatrix::identity(300, 300) * noise)
            .lu()
            .solve(&outputs)
            .unwrap();
        let queries = DMatrix::from_fn(50, 2, |row, column| ((row * 5 + column * 3) as f64).cos() * 1.5);
        let expected = predicted(&queries, &points, &exact);
        let mut last = f64::INFINITY;
        for (most, within) in [(10, 1.0), (30, 0.1), (80, 2e-3), (300, 1e-5)] {
            let fit = fit_inducing(&points, &outputs, noise, most).unwrap();
            let sparse = predicted(&queries, &points.select_rows(&fit.rows), &fit.coefficients);
            let error = (sparse - &expected).amax();
            assert!(error < within && error <= last, "{most} points: {error}");
            last = error;
        }
    }

    #[test]
    fn repeated_rows_are_chosen_once() {
        let points = points().select_rows(&(0..300).map(|row| row % 5).collect::<Vec<_>>());
        let outputs = DMatrix::from_fn(300, 1, |row, _| (row % 5) as f64 - 2.0);
        let fit = fit_inducing(&points, &outputs, 1e-3, 50).unwrap();
        assert_eq!(fit.rows.len(), 5);
        let mean = predicted(&points, &points.select_rows(&fit.rows), &fit.coefficients);
        assert!((mean - outputs).amax() < 1e-2);
    }
}
