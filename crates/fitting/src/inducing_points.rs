//! Which rows stand for all of them in a sparse Gaussian process: one by one that which the ones before it explain least
//! (Burt, Rasmussen, van der Wilk, JMLR 2020, sec. 4.2), which are the pivots of a Cholesky factor of the kernel.

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::kernel_matrix::{exponentiate, half_squared_norms};

/// No more points once all rows are explained to this part of the variance.
const EXPLAINED: f64 = 1e-9;
/// Of more rows than this, and than [`CANDIDATES`] for each point, every k-th may become a point.
const ALL_CANDIDATES: usize = 5000;
/// Candidates for each point.
const CANDIDATES: usize = 4;
/// Rows that a thread computes at a time.
const CHUNK: usize = 512;

/// At most `most` rows of `points` (scaled), in the order of their choice. Cost, for r candidates of p numbers:
/// r most (p + most / 2).
pub(crate) fn inducing_rows(points: &DMatrix<f64>, most: usize) -> Vec<usize> {
    let candidates = ALL_CANDIDATES.max(CANDIDATES * most);
    let step = points.nrows().div_ceil(candidates).max(1);
    let candidates: Vec<usize> = (0..points.nrows()).step_by(step).collect();
    // one candidate a column, so that its numbers lie side by side
    let columns =
        DMatrix::from_fn(points.ncols(), candidates.len(), |input, at| points[(candidates[at], input)]);
    pivots(&columns, &half_squared_norms(&points.select_rows(&candidates)), most)
        .into_iter()
        .map(|at| candidates[at])
        .collect()
}

/// The pivots of the kernel of points in columns, half of whose squared lengths are `norms`.
fn pivots(points: &DMatrix<f64>, norms: &[f64], most: usize) -> Vec<usize> {
    let rows = points.ncols();
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
        let pivot_point = points.column(pivot);
        let pivot_row = factor[pivot * most..pivot * most + column].to_vec();
        let root = left.sqrt();
        let chunks = factor.par_chunks_mut(most * CHUNK).zip(unexplained.par_chunks_mut(CHUNK));
        chunks.enumerate().for_each(|(chunk, (factor, unexplained))| {
            let first = chunk * CHUNK;
            let mut kernel: Vec<f64> = (first..first + unexplained.len())
                .map(|at| {
                    let inner =
                        kalmind_filter::cholesky::dot(points.column(at).as_slice(), pivot_point.as_slice());
                    // rounding may leave a little above zero
                    (inner - norms[at] - norms[pivot]).min(0.0)
                })
                .collect();
            exponentiate(&mut kernel);
            for ((row, left), kernel) in factor.chunks_exact_mut(most).zip(unexplained).zip(kernel) {
                let value = (kernel - kalmind_filter::cholesky::dot(&row[..column], &pivot_row)) / root;
                row[column] = value;
                *left -= value * value;
            }
        });
        // rounding must not choose it again
        unexplained[pivot] = 0.0;
        chosen.push(pivot);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_matrix::kernel_matrix;

    fn points() -> DMatrix<f64> {
        DMatrix::from_fn(300, 2, |row, column| ((row * row * 3 + column * 7 * row) as f64).sin() * 2.0)
    }

    #[test]
    fn each_point_is_the_row_that_the_ones_before_it_explain_least() {
        let points = points();
        let chosen = inducing_rows(&points, 12);
        let kernel = kernel_matrix(&points, &points);
        for count in 1..12 {
            let before = &chosen[..count];
            let among = kernel.select_rows(before).select_columns(before).try_inverse().unwrap();
            let to = kernel.select_columns(before);
            let unexplained: Vec<f64> =
                to.row_iter().map(|row| 1.0 - (row * &among * row.transpose())[(0, 0)]).collect();
            let most = unexplained.iter().copied().fold(0.0, f64::max);
            assert!((unexplained[chosen[count]] - most).abs() < 1e-9, "{count}");
        }
    }

    #[test]
    fn repeated_rows_are_chosen_once() {
        let points = points().select_rows(&(0..300).map(|row| row % 5).collect::<Vec<_>>());
        assert_eq!(inducing_rows(&points, 50).len(), 5);
    }

    #[test]
    fn of_many_rows_every_kth_may_be_chosen() {
        let points = DMatrix::from_fn(12_000, 1, |row, _| row as f64);
        let chosen = inducing_rows(&points, 10);
        assert!(chosen.len() == 10 && chosen.iter().all(|row| row % 3 == 0), "{chosen:?}");
    }
}
