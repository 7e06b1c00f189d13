//! Row-major Cholesky factors of any size in plain loops, mostly for what is computed once when a decoder is built:
//! the same bits on every machine, which a matrix product that picks its kernel by processor would not give.
#![expect(clippy::needless_range_loop, reason = "matrix algebra reads best by row and column")]

use nalgebra::DMatrix;

/// A lower-triangular factor L of a symmetric positive definite matrix L L'.
#[derive(Clone, Debug)]
pub struct Cholesky {
    size: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors the lower triangle of `matrix`.
    ///
    /// # Errors
    /// The first column that depends on the ones before it (its pivot is below `tolerance` times its diagonal entry).
    pub fn new(matrix: &DMatrix<f64>, tolerance: f64) -> Result<Self, usize> {
        let mut factor = Self::identity(matrix.nrows());
        factor.refactor(|row, column| matrix[(row, column)], tolerance)?;
        Ok(factor)
    }

    /// The factor of the unit matrix: room for others of its size.
    pub fn identity(size: usize) -> Self {
        let mut lower = vec![0.0; size * size];
        for row in 0..size {
            lower[row * size + row] = 1.0;
        }
        Self { size, lower }
    }

    /// As [`new`](Self::new), of a matrix of this size given by the entries of its lower triangle; allocates nothing.
    /// After an error the factor is of no use.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn refactor(&mut self, matrix: impl Fn(usize, usize) -> f64, tolerance: f64) -> Result<(), usize> {
        let size = self.size;
        for row in 0..size {
            for column in 0..=row {
                let entry = matrix(row, column);
                let (before, current) = self.lower.split_at(row * size);
                let left = &current[..column];
                let right = if column == row { left } else { &before[column * size..column * size + column] };
                let reduced = entry - dot(left, right);
                if row == column {
                    if reduced.is_nan() || reduced <= tolerance * entry.abs() {
                        return Err(row);
                    }
                    self.lower[row * size + row] = reduced.sqrt();
                } else {
                    self.lower[row * size + column] = reduced / self.lower[column * size + column];
                }
            }
        }
        Ok(())
    }

    /// `ln |L L'|`.
    pub fn log_determinant(&self) -> f64 {
        (0..self.size).map(|row| 2.0 * libm::log(self.lower[row * self.size + row])).sum()
    }

    /// Solves L L' x = b in place.
    pub fn solve(&self, values: &mut [f64]) {
        let size = self.size;
        for row in 0..size {
            let known = dot(&self.lower[row * size..row * size + row], &values[..row]);
            values[row] = (values[row] - known) / self.lower[row * size + row];
        }
        for row in (0..size).rev() {
            values[row] /= self.lower[row * size + row];
            let value = values[row];
            for column in 0..row {
                values[column] -= self.lower[row * size + column] * value;
            }
        }
    }

    /// The trace of the inverse of L L', which is the sum of squares of the entries of L^-1.
    pub fn inverse_trace(&self) -> f64 {
        let size = self.size;
        let mut column = vec![0.0; size];
        let mut trace = 0.0;
        for first in 0..size {
            column[first] = self.lower[first * size + first].recip();
            trace += column[first] * column[first];
            for row in first + 1..size {
                let known = dot(&self.lower[row * size + first..row * size + row], &column[first..row]);
                column[row] = -known / self.lower[row * size + row];
                trace += column[row] * column[row];
            }
        }
        trace
    }

    /// Solves for every column of `right`.
    pub fn solve_columns(&self, right: &DMatrix<f64>) -> DMatrix<f64> {
        let mut solved = right.clone();
        for mut column in solved.column_iter_mut() {
            self.solve(column.as_mut_slice());
        }
        solved
    }
}

/// The inner product, summed in eight lanes.
pub fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (left_chunks, left_rest) = left.as_chunks::<8>();
    let (right_chunks, right_rest) = right.as_chunks::<8>();
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    let pairs = [lanes[0] + lanes[4], lanes[1] + lanes[5], lanes[2] + lanes[6], lanes[3] + lanes[7]];
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solving_gives_back_what_was_multiplied() {
        let half = DMatrix::from_fn(7, 9, |row, column| {
            ((row * row * 5 + column * column * 3 + row * column) as f64).sin()
        });
        let matrix = &half * half.transpose();
        let truth = DMatrix::from_fn(7, 2, |row, column| row as f64 - 2.5 * column as f64);
        let solved = Cholesky::new(&matrix, 1e-14).unwrap().solve_columns(&(&matrix * &truth));
        assert!((solved - truth).amax() < 1e-8);
        let inverse = matrix.clone().try_inverse().unwrap();
        let trace = Cholesky::new(&matrix, 1e-14).unwrap().inverse_trace();
        assert!((trace / inverse.trace() - 1.0).abs() < 1e-8);
    }

    #[test]
    fn a_repeated_column_is_named() {
        let half = DMatrix::from_fn(5, 8, |row, column| {
            let row = if row == 3 { 1 } else { row };
            ((row * row * 5 + column * column * 3 + row * column) as f64).sin()
        });
        assert_eq!(Cholesky::new(&(&half * half.transpose()), 1e-12).unwrap_err(), 3);
    }
}
