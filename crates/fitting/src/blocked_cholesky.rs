//! Cholesky factors of large matrices for fitting, on all cores: in blocks of columns, right-looking, so that nearly all
//! work is matrix products (Golub and Van Loan, Matrix Computations, sec. 4.2.9). A 5000 x 5000 matrix takes about two
//! seconds on two cores. Results do not depend on the number of threads. Slow side only; what a decoder is built from
//! uses the plain loops of [`cholesky`](kalmind_filter::cholesky).

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::matrix_product::{Strided, StridedMut, multiply, plain, transposed};

/// Columns of a block.
const BLOCK: usize = 128;
/// Columns of a panel that one thread computes at a time, and right-hand sides that are solved together.
const NARROW: usize = 32;

/// The lower-triangular factor L of a symmetric positive definite matrix L L'.
#[derive(Clone, Debug)]
pub(crate) struct BlockedCholesky {
    /// L in its lower triangle; above the diagonal whatever the matrix held.
    lower: DMatrix<f64>,
    /// The inverse of each block of L on the diagonal, zeros above the diagonal.
    inverses: Vec<DMatrix<f64>>,
}

impl BlockedCholesky {
    /// Factors the lower triangle of `matrix`; the error is the first column whose pivot is not above zero, so that the
    /// matrix is not positive definite (as far as rounding tells): add to the diagonal and try again. Cost: n^3 / 3.
    pub(crate) fn new(mut matrix: DMatrix<f64>) -> Result<Self, usize> {
        let size = matrix.nrows();
        let mut inverses = Vec::with_capacity(size.div_ceil(BLOCK));
        for start in (0..size).step_by(BLOCK) {
            let width = BLOCK.min(size - start);
            let (done, trailing) = matrix.as_mut_slice().split_at_mut((start + width) * size);
            let panel = &mut done[start * size..];
            let diagonal = factor_diagonal(panel, size, start, width).map_err(|column| start + column)?;
            let inverse = triangular_inverse(&diagonal);
            let below = start + width;
            if below < size {
                divide_panel(panel, size, below, &inverse);
                let panel = &*panel;
                trailing.par_chunks_mut(BLOCK * size).enumerate().for_each(|(block, columns)| {
                    let (from, count) = (below + block * BLOCK, columns.len() / size);
                    let left = rows_of(panel, size, from, size - from);
                    let right = transposed_rows_of(panel, size, from, count);
                    multiply(rows_of_mut(columns, size, from, size - from), 1.0, -1.0, left, right);
                });
            }
            inverses.push(inverse);
        }
        Ok(Self { lower: matrix, inverses })
    }

    /// ln |L L'|.
    pub(crate) fn log_determinant(&self) -> f64 {
        2.0 * self.lower.diagonal().iter().map(|pivot| pivot.ln()).sum::<f64>()
    }

    /// Solves L L' x = b for every column of `right`, in place. Cost: 2 n^2 a column.
    pub(crate) fn solve(&self, right: &mut DMatrix<f64>) {
        let size = self.lower.nrows();
        right.as_mut_slice().par_chunks_mut((NARROW * size).max(1)).for_each(|columns| {
            self.solve_lower(columns, 0);
            self.solve_upper(columns, 0);
        });
    }

    /// Solves L x = b for every column of `right`, in place. Cost: n^2 a column.
    pub(crate) fn solve_half(&self, right: &mut DMatrix<f64>) {
        let size = self.lower.nrows();
        right.as_mut_slice().par_chunks_mut((NARROW * size).max(1)).for_each(|columns| {
            self.solve_lower(columns, 0);
        });
    }

    /// Solves L' x = b for every column of `right`, in place. Cost: n^2 a column.
    pub(crate) fn solve_transposed_half(&self, right: &mut DMatrix<f64>) {
        let size = self.lower.nrows();
        right.as_mut_slice().par_chunks_mut((NARROW * size).max(1)).for_each(|columns| {
            self.solve_upper(columns, 0);
        });
    }

    /// (L L')^-1, exactly symmetric. Cost: 2 n^3 / 3.
    pub(crate) fn inverse(&self) -> DMatrix<f64> {
        let size = self.lower.nrows();
        let mut inverse = DMatrix::identity(size, size);
        // rows above a column's own block are not computed: they come from symmetry
        inverse.as_mut_slice().par_chunks_mut((BLOCK * size).max(1)).enumerate().for_each(
            |(block, columns)| {
                self.solve_lower(columns, block);
                self.solve_upper(columns, block);
            },
        );
        inverse.fill_upper_triangle_with_lower_triangle();
        inverse
    }

    /// Solves L x = b from block `first` on, above which b is zero.
    fn solve_lower(&self, columns: &mut [f64], first: usize) {
        let size = self.lower.nrows();
        for (block, inverse) in self.inverses.iter().enumerate().skip(first) {
            let (start, width) = (block * BLOCK, inverse.nrows());
            let below = start + width;
            let reduced = rows_of(columns, size, start, width).into_owned();
            multiply(rows_of_mut(columns, size, start, width), 0.0, 1.0, plain(inverse), plain(&reduced));
            if below < size {
                let solved = rows_of(columns, size, start, width).into_owned();
                let panel = &self.lower.as_slice()[start * size..below * size];
                let lower = rows_of(panel, size, below, size - below);
                multiply(rows_of_mut(columns, size, below, size - below), 1.0, -1.0, lower, plain(&solved));
            }
        }
    }

    /// Solves L' x = b from the last block up to block `first`.
    fn solve_upper(&self, columns: &mut [f64], first: usize) {
        let size = self.lower.nrows();
        for (block, inverse) in self.inverses.iter().enumerate().skip(first).rev() {
            let (start, width) = (block * BLOCK, inverse.nrows());
            let below = start + width;
            let mut reduced = rows_of(columns, size, start, width).into_owned();
            if below < size {
                let panel = &self.lower.as_slice()[start * size..below * size];
                let upper = transposed_rows_of(panel, size, below, size - below);
                let solved = rows_of(columns, size, below, size - below);
                let count = reduced.ncols();
                let to =
                    StridedMut::from_slice_with_strides_mut(reduced.as_mut_slice(), width, count, 1, width);
                multiply(to, 1.0, -1.0, upper, solved);
            }
            multiply(
                rows_of_mut(columns, size, start, width),
                0.0,
                1.0,
                transposed(inverse),
                plain(&reduced),
            );
        }
    }
}

/// Rows `first..first + count` of columns of `size` rows.
fn rows_of(columns: &[f64], size: usize, first: usize, count: usize) -> Strided<'_> {
    Strided::from_slice_with_strides(&columns[first..], count, columns.len() / size, 1, size)
}

/// Rows `first..first + count` of columns of `size` rows, transposed.
fn transposed_rows_of(columns: &[f64], size: usize, first: usize, count: usize) -> Strided<'_> {
    Strided::from_slice_with_strides(&columns[first..], columns.len() / size, count, size, 1)
}

/// Rows `first..first + count` of columns of `size` rows, to write.
fn rows_of_mut(columns: &mut [f64], size: usize, first: usize, count: usize) -> StridedMut<'_> {
    let width = columns.len() / size;
    StridedMut::from_slice_with_strides_mut(&mut columns[first..], count, width, 1, size)
}

/// Factors the block on the diagonal of a panel of `width` columns, whose first row is `first`, in place, and gives it
/// with zeros above the diagonal; the error is the column within the block.
fn factor_diagonal(
    panel: &mut [f64],
    size: usize,
    first: usize,
    width: usize,
) -> Result<DMatrix<f64>, usize> {
    let mut block = rows_of(panel, size, first, width).into_owned();
    for column in 0..width {
        let (before, mut from) = block.columns_range_pair_mut(..column, column..);
        let mut current = from.column_mut(0);
        for earlier in before.column_iter() {
            let factor = earlier[column];
            current.rows_range_mut(column..).axpy(-factor, &earlier.rows_range(column..), 1.0);
        }
        let pivot = current[column];
        if !(pivot.is_finite() && pivot > 0.0) {
            return Err(column);
        }
        current.rows_range_mut(column..).unscale_mut(pivot.sqrt());
    }
    block.fill_upper_triangle(0.0, 1);
    rows_of_mut(panel, size, first, width).copy_from(&block);
    Ok(block)
}

/// The inverse of a lower-triangular block.
fn triangular_inverse(lower: &DMatrix<f64>) -> DMatrix<f64> {
    let size = lower.nrows();
    let mut inverse = DMatrix::identity(size, size);
    for mut column in inverse.column_iter_mut() {
        for row in 0..size {
            let value: f64 = column[row] / lower[(row, row)];
            column[row] = value;
            column.rows_range_mut(row + 1..).axpy(-value, &lower.view_range(row + 1.., row), 1.0);
        }
    }
    inverse
}

/// Multiplies the rows of a panel from `below` on by the transpose of `inverse`.
fn divide_panel(panel: &mut [f64], size: usize, below: usize, inverse: &DMatrix<f64>) {
    let undivided = rows_of(panel, size, below, size - below).into_owned();
    panel.par_chunks_mut(NARROW * size).enumerate().for_each(|(block, columns)| {
        let count = columns.len() / size;
        let right = transposed(inverse);
        let right = right.columns(block * NARROW, count);
        multiply(rows_of_mut(columns, size, below, size - below), 0.0, 1.0, plain(&undivided), right);
    });
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    /// A random positive definite matrix with eigenvalues of about 0.1 to 4.
    fn positive(size: usize) -> DMatrix<f64> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(size as u64);
        let half = DMatrix::from_fn(size, size, |_, _| random.random_range(-1.7..1.7));
        let mut matrix = &half * half.transpose() / size as f64;
        for entry in 0..size {
            matrix[(entry, entry)] += 0.1;
        }
        matrix
    }

    #[test]
    fn factors_of_every_size_agree_with_nalgebra() {
        for size in [1, 2, 31, 127, 128, 129, 300, 515] {
            let matrix = positive(size);
            let reference = nalgebra::Cholesky::new(matrix.clone()).unwrap();
            let factor = BlockedCholesky::new(matrix.clone()).unwrap();
            assert!((factor.lower.lower_triangle() - reference.l()).amax() < 1e-11, "{size}");
            let log_determinant = reference.l().diagonal().map(f64::ln).sum() * 2.0;
            assert!((factor.log_determinant() - log_determinant).abs() < 1e-9 * size as f64);
            assert!((factor.inverse() - reference.inverse()).amax() < 1e-11, "{size}");
            let right = DMatrix::from_fn(size, 37, |row, column| ((row * 7 + column * column) as f64).sin());
            let mut solved = right.clone();
            factor.solve(&mut solved);
            assert!((&matrix * solved - &right).amax() < 1e-10, "{size}");
        }
    }

    #[test]
    fn only_the_lower_triangle_is_read() {
        let matrix = positive(200);
        let mut lower = matrix.clone();
        lower.fill_upper_triangle(f64::NAN, 1);
        assert_eq!(
            BlockedCholesky::new(lower).unwrap().inverse(),
            BlockedCholesky::new(matrix).unwrap().inverse()
        );
    }

    #[test]
    fn the_first_column_that_is_not_positive_is_named() {
        for bad in [0, 5, 127, 128, 250] {
            let mut matrix = positive(300);
            matrix[(bad, bad)] = -1.0;
            assert_eq!(BlockedCholesky::new(matrix).err(), Some(bad));
        }
        let mut matrix = positive(300);
        matrix[(210, 40)] = f64::NAN;
        assert_eq!(BlockedCholesky::new(matrix).err(), Some(210));
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let matrix = positive(700);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| BlockedCholesky::new(matrix.clone()).unwrap().inverse())
        };
        assert_eq!(on(1), on(3));
    }
}
