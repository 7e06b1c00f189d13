//! What channels say of each other: a factor model (Spearman 1904; Rubin and Thayer, Psychometrika 47, 1982).
//!
//! `x = L f + e` with k factors f ~ N(0, I) and independent noise e ~ N(0, diag psi). Its precision matrix is diagonal plus
//! rank k, so that the expectation of each channel given all others costs 2 k multiplications a channel, without an n x n
//! matrix: with `f' = M L' psi^-1 x`, `M = (I + L' psi^-1 L)^-1`, the residual of channel j given the others is
//! `(x_j - l_j' f') / (1 - l_j' M l_j / psi_j)`.

use nalgebra::DMatrix;

use crate::small_matrix::{Square, Vector, apply, inverse};

/// Most factors.
pub const FACTORS: usize = 8;

/// A factor model at work; channels that say nothing sensible are left out. Real-time.
#[derive(Clone, Debug)]
pub struct Factors {
    /// Row j of L, padded with zeros.
    loadings: Vec<Vector<FACTORS>>,
    precision: Vec<f64>,
    included: Vec<bool>,
    changed: bool,
    /// M.
    posterior: Square<FACTORS>,
    /// `1 / (1 - l_j' M l_j / psi_j)`.
    gains: Vec<f64>,
}

impl Factors {
    /// `loadings` n x k, variances of the noise > 0; columns past the eighth are not used.
    pub fn new(loadings: &DMatrix<f64>, uniqueness: &[f64]) -> Self {
        let rows =
            (0..loadings.nrows())
                .map(|row| {
                    core::array::from_fn(|column| {
                        if column < loadings.ncols() { loadings[(row, column)] } else { 0.0 }
                    })
                })
                .collect();
        let mut factors = Self {
            loadings: rows,
            precision: uniqueness.iter().map(|variance| 1.0 / variance).collect(),
            included: vec![true; uniqueness.len()],
            changed: false,
            posterior: [[0.0; FACTORS]; FACTORS],
            gains: vec![1.0; uniqueness.len()],
        };
        factors.condition();
        factors
    }

    /// All channels speak.
    pub fn include_all(&mut self) {
        for at in 0..self.included.len() {
            self.include(at, true);
        }
    }

    /// Whether channel `at` speaks.
    pub fn include(&mut self, at: usize, included: bool) {
        if self.included[at] != included {
            self.included[at] = included;
            self.changed = true;
        }
    }

    /// The expectation of each channel given all others that speak. Real-time.
    pub fn predict(&mut self, values: &[f64], predicted: &mut [f64]) {
        if core::mem::take(&mut self.changed) {
            self.condition();
        }
        let mut sums = [0.0; FACTORS];
        for (at, loadings) in self.loadings.iter().enumerate() {
            if self.included[at] {
                let weighted = values[at] * self.precision[at];
                for (sum, loading) in sums.iter_mut().zip(loadings) {
                    *sum += weighted * loading;
                }
            }
        }
        let factors = apply(&self.posterior, &sums);
        for (at, (predicted, loadings)) in predicted.iter_mut().zip(&self.loadings).enumerate() {
            let explained: f64 =
                loadings.iter().zip(&factors).map(|(loading, factor)| loading * factor).sum();
            *predicted = if self.included[at] {
                values[at] - (values[at] - explained) * self.gains[at]
            } else {
                explained
            };
        }
    }

    /// M and the gains for the channels that speak. Real-time, n k^2 / 2 multiplications.
    fn condition(&mut self) {
        let mut precision = [[0.0; FACTORS]; FACTORS];
        for (row, entries) in precision.iter_mut().enumerate() {
            entries[row] = 1.0;
        }
        for (at, loadings) in self.loadings.iter().enumerate() {
            if self.included[at] {
                for row in 0..FACTORS {
                    for column in 0..FACTORS {
                        precision[row][column] += self.precision[at] * loadings[row] * loadings[column];
                    }
                }
            }
        }
        // the identity is part of it, so it has an inverse
        self.posterior = inverse(&precision).unwrap_or([[0.0; FACTORS]; FACTORS]);
        for (at, loadings) in self.loadings.iter().enumerate() {
            let variance: f64 =
                apply(&self.posterior, loadings).iter().zip(loadings).map(|(left, right)| left * right).sum();
            self.gains[at] = 1.0 / (1.0 - variance * self.precision[at]).max(1e-6);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_conditional_expectations() {
        let number = |at: usize| libm::sin((at * at * 7 + 3 * at) as f64 * 0.37);
        let loadings = DMatrix::from_fn(6, 2, |row, column| number(row * 2 + column));
        let uniqueness: Vec<f64> = (0..6).map(|row| 0.3 + 0.1 * f64::from(row)).collect();
        let covariance = &loadings * loadings.transpose()
            + DMatrix::from_diagonal(&nalgebra::DVector::from_vec(uniqueness.clone()));
        let values: Vec<f64> = (0..6).map(|at| number(at + 40)).collect();
        let mut factors = Factors::new(&loadings, &uniqueness);
        for left_out in [None, Some(4)] {
            if let Some(channel) = left_out {
                factors.include(channel, false);
            }
            let mut predicted = vec![0.0; 6];
            factors.predict(&values, &mut predicted);
            for (channel, predicted) in predicted.iter().enumerate() {
                let others: Vec<usize> =
                    (0..6).filter(|other| *other != channel && Some(*other) != left_out).collect();
                let inner = covariance.select_rows(&others).select_columns(&others);
                let given = DMatrix::from_fn(others.len(), 1, |row, _| values[others[row]]);
                let cross = covariance.select_rows(&[channel]).select_columns(&others);
                let expected = (cross * inner.lu().solve(&given).unwrap())[(0, 0)];
                assert!((predicted - expected).abs() < 1e-10, "{channel}");
            }
        }
    }
}
