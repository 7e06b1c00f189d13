//! A scale for every entry of a window, for kernel regression: by the gradient of the error at rows that are predicted
//! without themselves and without their neighbours in time (which saw nearly the same window and know the answer).
//!
//! With weights `w_ij = exp(-|(x_i - x_j) * scales|^2 / 2)` over the rows j that are not left out, `f_i = sum_j w_ij z_j /
//! sum_j w_ij` and residuals `r_i = f_i - z_i`, the error `sum_i |r_i|^2` has the derivative by ln `scales_p`
//!
//! ```text
//! -sum_ij G_ij (x_ip - x_jp)^2 scales_p^2        G_ij = 2 r_i' (z_j - f_i) w_ij / sum_k w_ik
//! ```
//!
//! that is one matrix product for all entries together.

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::kernel_matrix::{exponentiate, half_squared_norms, scaled, squared_difference_sums};
use crate::matrix_product::{plain, product, transposed};
use crate::quasi_newton::minimise;
use crate::windows::column_means;

/// Rows that are predicted: every k-th.
const PREDICTED_ROWS: usize = 1250;
/// Rows predicted at a time, which bounds memory.
const CHUNK: usize = 256;
/// Scales stay within a factor of e^6 of where they start.
const FURTHEST: f64 = 6.0;

/// The error of rows from rows at a distance in time.
#[derive(Debug)]
pub(crate) struct LeaveOut<'a> {
    inputs: &'a DMatrix<f64>,
    values: &'a DMatrix<f64>,
    centre: Vec<f64>,
    predicted: Vec<usize>,
    /// Rows to either side that are left out with the one that is predicted.
    neighbours: usize,
}

impl<'a> LeaveOut<'a> {
    pub(crate) fn new(inputs: &'a DMatrix<f64>, values: &'a DMatrix<f64>, neighbours: usize) -> Self {
        let rows = inputs.nrows();
        let predicted = (0..rows).step_by(rows.div_ceil(PREDICTED_ROWS).max(1)).collect();
        Self { inputs, values, centre: column_means(inputs), predicted, neighbours }
    }

    /// Scales of less error than those of `start`, after at most `steps` steps; `None` where no error can be computed.
    pub(crate) fn minimise(
        &self,
        start: &[f64],
        steps: usize,
        proceed: impl FnMut(usize) -> bool,
    ) -> Option<Vec<f64>> {
        let of = |logarithms: &[f64]| -> Vec<f64> {
            let factors = logarithms.iter().map(|logarithm| logarithm.clamp(-FURTHEST, FURTHEST).exp());
            start.iter().zip(factors).map(|(scale, factor)| scale * factor).collect()
        };
        let found = minimise(vec![0.0; start.len()], steps, |at| self.error(&of(at)), proceed)?;
        Some(of(&found.parameters))
    }

    /// Squared error over squared values, and its gradient by the logarithms of `scales`.
    pub(crate) fn error(&self, scales: &[f64]) -> Option<(f64, Vec<f64>)> {
        let points = scaled(self.inputs, &self.centre, scales);
        let norms = half_squared_norms(&points);
        let (mut error, mut power, mut gradient) = (0.0, 0.0, vec![0.0; scales.len()]);
        for chunk in self.predicted.chunks(CHUNK) {
            let queries = points.select_rows(chunk);
            // a column a predicted row: first similarities, then G
            let mut columns = product(plain(&points), transposed(&queries));
            let squares: Vec<(f64, f64)> = columns
                .as_mut_slice()
                .par_chunks_mut(norms.len())
                .zip(chunk)
                .map(|(column, &row)| self.predict(column, &norms, row))
                .collect();
            for (square, of) in squares {
                error += square;
                power += of;
            }
            for (entry, sum) in gradient.iter_mut().zip(squared_difference_sums(&columns, &points, &queries))
            {
                *entry -= sum;
            }
        }
        for entry in &mut gradient {
            *entry /= power;
        }
        error /= power;
        (error.is_finite() && gradient.iter().all(|entry| entry.is_finite())).then_some((error, gradient))
    }

    /// Turns the products of `row` with all points into its column of G; gives its squared error and squared value.
    fn predict(&self, column: &mut [f64], norms: &[f64], row: usize) -> (f64, f64) {
        let left_out = row.saturating_sub(self.neighbours)..(row + self.neighbours + 1).min(column.len());
        for (similarity, norm) in column.iter_mut().zip(norms) {
            *similarity -= norm;
        }
        column[left_out].fill(f64::NEG_INFINITY);
        let greatest = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if greatest == f64::NEG_INFINITY {
            column.fill(0.0);
            return (0.0, 0.0);
        }
        for similarity in &mut *column {
            *similarity -= greatest;
        }
        exponentiate(column);
        let sum: f64 = column.iter().sum();
        let (mut square, mut power, mut along) = (0.0, 0.0, 0.0);
        let mut residuals = Vec::with_capacity(self.values.ncols());
        for values in self.values.column_iter() {
            let mean =
                values.as_slice().iter().zip(&*column).map(|(value, weight)| value * weight).sum::<f64>()
                    / sum;
            let residual = mean - values[row];
            residuals.push(residual);
            along += residual * mean;
            square += residual * residual;
            power += values[row] * values[row];
        }
        for (other, weight) in column.iter_mut().enumerate() {
            let toward: f64 = residuals
                .iter()
                .enumerate()
                .map(|(column, residual)| residual * self.values[(other, column)])
                .sum();
            *weight *= 2.0 * (toward - along) / sum;
        }
        (square, power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (DMatrix<f64>, DMatrix<f64>) {
        let inputs = DMatrix::from_fn(90, 3, |row, column| ((row * row * 3 + column * 7 * row) as f64).sin());
        let values = DMatrix::from_fn(90, 2, |row, column| {
            if column == 0 { inputs[(row, 0)] * inputs[(row, 1)] } else { inputs[(row, 1)] + 0.5 }
        });
        (inputs, values)
    }

    #[test]
    fn the_error_is_that_of_the_formula_and_its_gradient_that_of_finite_differences() {
        let (inputs, values) = example();
        let leave_out = LeaveOut::new(&inputs, &values, 2);
        let scales = [2.0, 1.5, 0.7];
        let (mut expected, mut power) = (0.0, 0.0);
        for row in 0..90_usize {
            let (mut sum, mut weights) = (values.row(0) * 0.0, 0.0);
            for other in (0..90).filter(|other: &usize| other.abs_diff(row) > 2) {
                let squared = (0..3).map(|p| ((inputs[(row, p)] - inputs[(other, p)]) * scales[p]).powi(2));
                let weight = (-0.5 * squared.sum::<f64>()).exp();
                sum += values.row(other) * weight;
                weights += weight;
            }
            expected += (sum / weights - values.row(row)).norm_squared();
            power += values.row(row).norm_squared();
        }
        let (error, gradient) = leave_out.error(&scales).unwrap();
        assert!((error - expected / power).abs() < 1e-12);
        for (parameter, entry) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = scales;
                moved[parameter] *= by.exp();
                leave_out.error(&moved).unwrap().0
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((difference - entry).abs() < 1e-7, "{difference} {entry}");
        }
    }

    #[test]
    fn inputs_without_influence_are_scaled_down() {
        let (inputs, values) = example();
        let leave_out = LeaveOut::new(&inputs, &values, 0);
        let scales = leave_out.minimise(&[2.0; 3], 20, |_| true).unwrap();
        assert!(scales[2] < 0.3 * scales[0].min(scales[1]), "{scales:?}");
        assert!(leave_out.error(&scales).unwrap().0 < leave_out.error(&[2.0; 3]).unwrap().0);
    }

    #[test]
    fn nothing_is_found_where_everything_is_left_out() {
        let (inputs, values) = example();
        assert_eq!(LeaveOut::new(&inputs, &values, 90).minimise(&[1.0; 3], 5, |_| true), None);
    }
}
