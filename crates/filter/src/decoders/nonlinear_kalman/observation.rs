//! What a network says of the state, heard through the features.
#![expect(clippy::needless_range_loop, reason = "matrix algebra reads best by row and column")]

use nalgebra::DMatrix;

use super::parameters::NonlinearKalmanParameters;
use crate::belief::sharpened;
use crate::cholesky::{Cholesky, dot};
use crate::model_error::ModelError;
use crate::sigma_points::SigmaPoints;
use crate::small_matrix::{Square, Vector, apply, cholesky, identity, solve_lower, zeros};
use crate::tanh_layer::TanhLayer;

/// A network's observation in the units' space. All buffers are allocated at construction.
#[derive(Debug)]
pub(super) struct NetworkObservation {
    pub(super) features: usize,
    layer: TanhLayer,
    /// W, h rows of d.
    hidden_weights: Vec<f64>,
    /// V' R^-1, h rows of n.
    weights: Vec<f64>,
    /// V' R^-1 c, h.
    offset: Vec<f64>,
    /// C = V' R^-1 V, h rows of h.
    information: Vec<f64>,
    /// V' R^-1 (x - c) of the features heard last, h.
    evidence: Vec<f64>,
    /// Units' values at the points, then their weighted deviations T, each h.
    values: Vec<f64>,
    /// C applied to them.
    informed: Vec<f64>,
    unit_mean: Vec<f64>,
}

impl NetworkObservation {
    pub(super) fn new(nonlinear: &NonlinearKalmanParameters, points: usize) -> Result<Self, ModelError> {
        let network = &nonlinear.observation;
        let (features, units) = network.output_weights.shape();
        let factor = Cholesky::new(&nonlinear.observation_noise, 0.0)
            .map_err(|_column| ModelError::NotPositive { tensor: "observation_noise", strict: true })?;
        let weighted = factor.solve_columns(&network.output_weights);
        let column = |matrix: &DMatrix<f64>, unit: usize| -> Vec<f64> {
            matrix.column(unit).iter().copied().collect()
        };
        let mut information = vec![0.0; units * units];
        let mut offset = vec![0.0; units];
        for row in 0..units {
            let weights = column(&weighted, row);
            offset[row] = dot(&weights, network.output_bias.as_slice());
            for other in 0..=row {
                let entry = dot(&weights, &column(&network.output_weights, other));
                information[row * units + other] = entry;
                information[other * units + row] = entry;
            }
        }
        Ok(Self {
            features,
            layer: TanhLayer::of(network),
            hidden_weights: network.hidden_weights.transpose().as_slice().to_vec(),
            weights: weighted.as_slice().to_vec(),
            offset,
            information,
            evidence: vec![0.0; units],
            values: vec![0.0; points * units],
            informed: vec![0.0; points * units],
            unit_mean: vec![0.0; units],
        })
    }

    /// Takes in the features of a bin.
    pub(super) fn hear(&mut self, features: &[f64]) {
        let rows = self.weights.chunks_exact(self.features).zip(&self.offset);
        for (evidence, (weights, offset)) in self.evidence.iter_mut().zip(rows) {
            *evidence = dot(weights, features) - offset;
        }
    }

    /// Mean and covariance after the features heard, by the Jacobian at the mean; `None` where numbers overflow.
    pub(super) fn extended<const D: usize>(
        &mut self,
        mean: &Vector<D>,
        covariance: &Square<D>,
    ) -> Option<(Vector<D>, Square<D>)> {
        let units = self.evidence.len();
        let values = self.layer.activate(mean);
        // innovation V' R^-1 (x - g(m)), and the rows of diag(1 - t^2) W in place
        let mut information = zeros();
        let mut slope = [0.0; D];
        for unit in 0..units {
            let row = &self.information[unit * units..(unit + 1) * units];
            let innovation = self.evidence[unit] - dot(row, values);
            // C diag(1 - t^2) W, one row
            let mut informed = [0.0; D];
            for (other, entry) in row.iter().enumerate() {
                let factor = entry * (1.0 - values[other] * values[other]);
                for component in 0..D {
                    informed[component] += factor * self.hidden_weights[other * D + component];
                }
            }
            let own = 1.0 - values[unit] * values[unit];
            for row in 0..D {
                let derivative = own * self.hidden_weights[unit * D + row];
                slope[row] += derivative * innovation;
                for column in 0..=row {
                    information[row][column] += derivative * informed[column];
                }
            }
        }
        for row in 0..D {
            for column in 0..row {
                information[column][row] = information[row][column];
            }
        }
        let sharp = sharpened(covariance, &information);
        let mut moved = apply(&sharp, &slope);
        for (moved, mean) in moved.iter_mut().zip(mean) {
            *moved += mean;
        }
        finite(moved, sharp)
    }

    /// Mean and covariance after the features heard, by sigma points; `None` where numbers overflow.
    pub(super) fn unscented<const D: usize, const POINTS: usize>(
        &mut self,
        mean: &Vector<D>,
        covariance: &Square<D>,
    ) -> Option<(Vector<D>, Square<D>)> {
        let units = self.evidence.len();
        let sigma = SigmaPoints::<D, POINTS>::of(mean, covariance);
        self.unit_mean.fill(0.0);
        for ((point, weight), values) in
            sigma.points.iter().zip(&sigma.weights).zip(self.values.chunks_exact_mut(units))
        {
            values.copy_from_slice(self.layer.activate(point));
            for (mean, value) in self.unit_mean.iter_mut().zip(&*values) {
                *mean += weight * value;
            }
        }
        for ((weight, values), informed) in sigma
            .weights
            .iter()
            .zip(self.values.chunks_exact_mut(units))
            .zip(self.informed.chunks_exact_mut(units))
        {
            let root = weight.sqrt();
            for (value, mean) in values.iter_mut().zip(&self.unit_mean) {
                *value = root * (*value - mean);
            }
            for (informed, row) in informed.iter_mut().zip(self.information.chunks_exact(units)) {
                *informed = dot(row, values);
            }
        }
        // I + B, and Z' beside Y' R^-1 (x - y)
        let mut inner: Square<POINTS> = identity();
        let mut right: Square<POINTS> = zeros();
        for row in 0..POINTS {
            let values = &self.values[row * units..(row + 1) * units];
            let informed = &self.informed[row * units..(row + 1) * units];
            for column in 0..=row {
                let entry = dot(informed, &self.values[column * units..(column + 1) * units]);
                inner[row][column] += entry;
                if column < row {
                    inner[column][row] = inner[row][column];
                }
            }
            let root = sigma.weights[row].sqrt();
            for component in 0..D {
                right[row][component] = root * sigma.deviations[row][component];
            }
            right[row][D] = dot(values, &self.evidence) - dot(informed, &self.unit_mean);
        }
        let solved = solve_lower(&cholesky(&inner)?, &right);
        let mut moved = *mean;
        let mut sharp = zeros();
        for row in 0..D {
            for inner in &solved {
                moved[row] += inner[row] * inner[D];
            }
            for column in 0..=row {
                let mut sum = 0.0;
                for inner in &solved {
                    sum += inner[row] * inner[column];
                }
                sharp[row][column] = sum;
                sharp[column][row] = sum;
            }
        }
        finite(moved, sharp)
    }
}

fn finite<const D: usize>(mean: Vector<D>, covariance: Square<D>) -> Option<(Vector<D>, Square<D>)> {
    let all = mean.iter().chain(covariance.as_flattened());
    all.clone().all(|value| value.is_finite()).then_some((mean, covariance))
}
