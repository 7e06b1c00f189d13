//! The covariance form of the Kalman gain: from the n x n covariance of the innovation.
//!
//! Costs n^3 / 6 + 2 n^2 d multiplications a step, against n d + d^3 of the information form, so it pays for fewer
//! features than components alone. It needs no inverse of R, and gives the same to rounding.

use crate::KalmanParameters;
use crate::belief::Correction;
use crate::cholesky::{Cholesky, dot};
use crate::small_matrix::{Square, Vector, apply, zeros};

/// H, R and everything that a step writes to, allocated at construction.
#[derive(Clone, Debug)]
pub(crate) struct Innovation<const D: usize> {
    features: usize,
    /// H, n rows.
    observation: Vec<Vector<D>>,
    offset: Vec<f64>,
    /// R, row-major.
    noise: Vec<f64>,
    /// Of `V = H P H' + R`.
    factor: Cholesky,
    /// H P, n rows.
    projected: Vec<Vector<D>>,
    /// `W = H' V^-1`, D rows of n.
    weights: Vec<f64>,
    /// x - offset - H mu, then R W' column by column.
    scratch: Vec<f64>,
}

impl<const D: usize> Innovation<D> {
    pub(crate) fn new(kalman: &KalmanParameters) -> Self {
        let features = kalman.observation.nrows();
        let row = |row: usize| core::array::from_fn(|column| kalman.observation[(row, column)]);
        Self {
            features,
            observation: (0..features).map(row).collect(),
            offset: kalman.observation_offset.as_slice().to_vec(),
            noise: kalman.observation_noise.transpose().as_slice().to_vec(),
            factor: Cholesky::identity(features),
            projected: vec![[0.0; D]; features],
            weights: vec![0.0; D * features],
            scratch: vec![0.0; features],
        }
    }

    /// What features say, given the predicted mean and covariance P of the newest state; `None` where V is not positive
    /// definite in floating point. Real-time.
    pub(crate) fn correction(
        &mut self,
        features: &[f64],
        mean: &Vector<D>,
        predicted: &Square<D>,
    ) -> Option<Correction<D>> {
        let n = self.features;
        for (projected, observation) in self.projected.iter_mut().zip(&self.observation) {
            *projected = apply(predicted, observation);
        }
        let (projected, observation, noise) = (&self.projected, &self.observation, &self.noise);
        self.factor
            .refactor(|row, column| noise[row * n + column] + dot(&projected[row], &observation[column]), 0.0)
            .ok()?;
        for (column, weights) in self.weights.chunks_exact_mut(n).enumerate() {
            for (weight, observation) in weights.iter_mut().zip(&self.observation) {
                *weight = observation[column];
            }
            self.factor.solve(weights);
        }
        let mut correction = Correction { weight: zeros(), noise: zeros(), innovation: [0.0; D] };
        for (feature, left) in self.scratch.iter_mut().enumerate() {
            *left = features.get(feature)? - self.offset[feature] - dot(&self.observation[feature], mean);
        }
        for (entry, weights) in correction.innovation.iter_mut().zip(self.weights.chunks_exact(n)) {
            *entry = dot(weights, &self.scratch);
        }
        for row in 0..D {
            let weights = &self.weights[row * n..(row + 1) * n];
            for (scratch, noise) in self.scratch.iter_mut().zip(self.noise.chunks_exact(n)) {
                *scratch = dot(noise, weights);
            }
            for column in 0..=row {
                let other = &self.weights[column * n..(column + 1) * n];
                let noise = dot(other, &self.scratch);
                let weight: f64 = other
                    .iter()
                    .zip(&self.observation)
                    .map(|(weight, observation)| weight * observation[row])
                    .sum();
                correction.noise[row][column] = noise;
                correction.noise[column][row] = noise;
                correction.weight[row][column] = weight;
                correction.weight[column][row] = weight;
            }
        }
        Some(correction)
    }
}
