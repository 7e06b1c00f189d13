//! Matrices of the squared exponential kernel, and the sums over them that gradients by length scales need, all by way of
//! matrix products.

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::matrix_product::{StridedMut, multiply, plain, product, transposed};
use kalmind_filter::exponential::exponentials;

/// Columns of a symmetric matrix that are computed at a time.
const BLOCK: usize = 128;
/// Entries that a thread exponentiates at a time.
const ENTRIES: usize = 1 << 14;
/// Kernel values computed at a time.
const LANES: usize = 8;

/// Columns of `inputs` less `centre`, times `scales`.
pub(crate) fn scaled(inputs: &DMatrix<f64>, centre: &[f64], scales: &[f64]) -> DMatrix<f64> {
    let mut scaled = inputs.clone();
    for (mut column, (centre, scale)) in scaled.column_iter_mut().zip(centre.iter().zip(scales)) {
        column.apply(|value| *value = (*value - centre) * scale);
    }
    scaled
}

/// `exp(-|a_i - b_j|^2 / 2)` for rows of `left` and `right`, both relative to about the same centre. Cost: a product and
/// an exponential an entry.
pub(crate) fn kernel_matrix(left: &DMatrix<f64>, right: &DMatrix<f64>) -> DMatrix<f64> {
    let mut kernel = log_kernel_matrix(left, right);
    exponentiate_all(&mut kernel, 1.0);
    kernel
}

/// `-|a_i - b_j|^2 / 2` for rows of `left` and `right`.
pub(crate) fn log_kernel_matrix(left: &DMatrix<f64>, right: &DMatrix<f64>) -> DMatrix<f64> {
    let (left_norms, right_norms) = (half_squared_norms(left), half_squared_norms(right));
    let mut logarithms = product(plain(left), transposed(right));
    if left_norms.is_empty() {
        return logarithms;
    }
    let columns = logarithms.as_mut_slice().par_chunks_mut(left_norms.len());
    columns.zip(&right_norms).for_each(|(column, right)| subtract_norms(column, &left_norms, *right));
    logarithms
}

/// `-|a_i - a_j|^2 / 2` for rows of `points`, i >= j; zeros above the diagonal. Cost: half that of
/// [`log_kernel_matrix`].
pub(crate) fn lower_log_kernel_matrix(points: &DMatrix<f64>) -> DMatrix<f64> {
    let rows = points.nrows();
    let norms = half_squared_norms(points);
    let mut logarithms = DMatrix::zeros(rows, rows);
    let blocks = logarithms.as_mut_slice().par_chunks_mut((BLOCK * rows).max(1)).enumerate();
    blocks.for_each(|(block, columns)| {
        let (first, count) = (block * BLOCK, columns.len() / rows);
        let below =
            StridedMut::from_slice_with_strides_mut(&mut columns[first..], rows - first, count, 1, rows);
        let (left, right) = (plain(points), transposed(points));
        multiply(below, 0.0, 1.0, left.rows(first, rows - first), right.columns(first, count));
        for (at, column) in columns.chunks_exact_mut(rows).enumerate() {
            column[first..first + at].fill(0.0);
            subtract_norms(&mut column[first + at..], &norms[first + at..], norms[first + at]);
        }
    });
    logarithms
}

/// Products of rows less half their squared lengths.
fn subtract_norms(column: &mut [f64], norms: &[f64], norm: f64) {
    for (value, other) in column.iter_mut().zip(norms) {
        // rounding may leave a little above zero
        *value = (*value - other - norm).min(0.0);
    }
}

/// `e^(factor x)` of every entry, none above zero.
pub(crate) fn exponentiate_all(matrix: &mut DMatrix<f64>, factor: f64) {
    matrix.as_mut_slice().par_chunks_mut(ENTRIES).for_each(|values| {
        for value in &mut *values {
            *value *= factor;
        }
        exponentiate(values);
    });
}

/// e^x of every value, none above zero.
pub(crate) fn exponentiate(values: &mut [f64]) {
    let (whole, rest) = values.as_chunks_mut::<LANES>();
    for values in whole {
        *values = exponentials::<false, LANES>(values);
    }
    for value in rest {
        *value = exponentials::<false, 1>(&[*value])[0];
    }
}

/// For every column p, `sum_ij weights_ij (a_ip - b_jp)^2` over rows of `left` and `right`. Cost: a product.
pub(crate) fn squared_difference_sums(
    weights: &DMatrix<f64>,
    left: &DMatrix<f64>,
    right: &DMatrix<f64>,
) -> Vec<f64> {
    let row_sums: Vec<f64> = weights.column_sum().as_slice().to_vec();
    let column_sums: Vec<f64> = weights.row_sum().as_slice().to_vec();
    let mixed = product(plain(weights), plain(right));
    let squares = |column: &[f64], sums: &[f64]| -> f64 {
        column.iter().zip(sums).map(|(value, sum)| value * value * sum).sum()
    };
    (0..left.ncols())
        .map(|column| {
            let (a, b) = (left.column(column), right.column(column));
            squares(a.as_slice(), &row_sums) + squares(b.as_slice(), &column_sums)
                - 2.0 * a.dot(&mixed.column(column))
        })
        .collect()
}

/// `|row|^2 / 2` of every row.
pub(crate) fn half_squared_norms(matrix: &DMatrix<f64>) -> Vec<f64> {
    matrix.row_iter().map(|row| 0.5 * row.norm_squared()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(rows: usize, columns: usize, seed: usize) -> DMatrix<f64> {
        DMatrix::from_fn(rows, columns, |row, column| {
            ((row * row * 3 + column * 7 * row + seed) as f64).sin() * 1.5
        })
    }

    #[test]
    fn kernels_and_sums_are_those_of_the_formulas() {
        let (left, right) = (numbers(37, 3, 1), numbers(19, 3, 2));
        let kernel = kernel_matrix(&left, &right);
        let weights = numbers(37, 19, 3);
        let mut sums = [0.0; 3];
        for row in 0..37 {
            for other in 0..19 {
                let difference = left.row(row) - right.row(other);
                let expected = (-0.5 * difference.norm_squared()).exp();
                assert!((kernel[(row, other)] - expected).abs() < 1e-14);
                for (sum, difference) in sums.iter_mut().zip(difference.iter()) {
                    *sum += weights[(row, other)] * difference * difference;
                }
            }
        }
        for (sum, expected) in squared_difference_sums(&weights, &left, &right).iter().zip(sums) {
            assert!((sum - expected).abs() < 1e-11);
        }
    }
    #[test]
    fn the_lower_triangle_is_that_of_the_whole_matrix() {
        for rows in [1, 5, 127, 300] {
            let points = numbers(rows, 3, 4);
            let (lower, whole) = (lower_log_kernel_matrix(&points), log_kernel_matrix(&points, &points));
            for column in 0..rows {
                for row in 0..rows {
                    let expected = if row < column { 0.0 } else { whole[(row, column)] };
                    assert!((lower[(row, column)] - expected).abs() < 1e-14);
                }
            }
        }
    }
}
