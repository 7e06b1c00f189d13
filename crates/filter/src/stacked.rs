//! The belief of an autoregressive state of order p: p stacked blocks, the newest first, in companion form.
//!
//! The process noise of the stacked state is singular, so its inverses do not exist. With E = `[I 0 .. 0]`, P = E M E'
//! and information J, h about the newest block,
//!
//! ```text
//! K = M E' (I + J P)^-1        mu' = A mu + K (h - J E A mu)        Sigma' = M - K J E M
//! ```
//!
//! The covariance is computed in Joseph's form, `(I - K J E) M (I - K J E)' + K J K'`, which is the same and cannot
//! become indefinite by rounding. Order 1 equals the plain belief.
#![expect(clippy::needless_range_loop, reason = "matrix algebra reads best by row and column")]

use crate::belief::{Belief, Correction, square_of};
use crate::small_matrix::{
    Square, Vector, add_scaled, apply, identity, inverse, product, solve_general, zeros,
};
use crate::{FilterState, StateModel};

/// A belief over p stacked blocks of D components. All buffers are allocated at construction.
#[derive(Clone, Debug)]
pub(crate) struct StackedBelief<const D: usize> {
    order: usize,
    /// `A_1 .. A_p`.
    transition: Vec<Square<D>>,
    process_noise: Square<D>,
    /// The stacked stationary covariance, (D p)^2, row-major.
    stationary: Vec<f64>,
    /// Regression of every block on the newest one under the stationary distribution, p blocks.
    regression: Vec<Square<D>>,
    /// Stationary covariance left when the newest block is known, (D p)^2.
    left_over: Vec<f64>,
    mean: Vec<f64>,
    covariance: Vec<f64>,
    scratch: Vec<f64>,
    /// K, K J and K N, N the noise's part, each D p rows of D.
    gain: Vec<Vector<D>>,
    weighted_gain: Vec<Vector<D>>,
    noise_gain: Vec<Vector<D>>,
}

impl<const D: usize> StackedBelief<D> {
    /// At the stationary distribution of `state`, whose dimension is D and whose marginal covariance is positive
    /// definite; `None` where it is not.
    pub(crate) fn new(state: &StateModel) -> Option<Self> {
        let order = state.order;
        let size = D * order;
        let mut stationary = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..size {
                stationary[row * size + column] = state.stationary_covariance[(row, column)];
            }
        }
        let marginal_inverse = inverse(&square_of::<D>(&state.stationary_covariance))?;
        let block_of = |matrix: &nalgebra::DMatrix<f64>, row: usize, column: usize| {
            square_of::<D>(&matrix.view((row * D, column * D), (D, D)).into_owned())
        };
        let mut regression: Vec<Square<D>> = (0..order)
            .map(|block| product(&block_of(&state.stationary_covariance, block, 0), &marginal_inverse))
            .collect();
        regression[0] = identity();
        let mut left_over = vec![0.0; size * size];
        for row in D..size {
            for column in D..size {
                // (B S)_{row, :} is the stacked covariance's own first block column.
                let explained: f64 = (0..D)
                    .map(|inner| stationary[row * size + inner] * regression[column / D][column % D][inner])
                    .sum();
                left_over[row * size + column] = stationary[row * size + column] - explained;
            }
        }
        make_symmetric(&mut left_over, size);
        Some(Self {
            order,
            transition: (0..order).map(|block| block_of(&state.transition, 0, block)).collect(),
            process_noise: square_of(&state.process_noise),
            covariance: stationary.clone(),
            stationary,
            regression,
            left_over,
            mean: vec![0.0; size],
            scratch: vec![0.0; size * size],
            gain: vec![[0.0; D]; size],
            weighted_gain: vec![[0.0; D]; size],
            noise_gain: vec![[0.0; D]; size],
        })
    }

    fn size(&self) -> usize {
        D * self.order
    }

    /// `mu' = mu + K innovation`, `Sigma' = (I - K J E) M (I - K J E)' + K N K'`.
    fn apply_gain(&mut self, innovation: &Vector<D>) {
        let size = self.size();
        for (mean, gain) in self.mean.iter_mut().zip(&self.gain) {
            for (gain, innovation) in gain.iter().zip(innovation) {
                *mean += gain * innovation;
            }
        }
        // scratch = (I - K J E) M; then Sigma' = scratch - scratch E' (K J)' + K N K'
        for row in 0..size {
            for column in 0..size {
                let mut value = self.covariance[row * size + column];
                for inner in 0..D {
                    value -= self.weighted_gain[row][inner] * self.covariance[inner * size + column];
                }
                self.scratch[row * size + column] = value;
            }
        }
        for row in 0..size {
            for column in 0..size {
                let mut value = self.scratch[row * size + column];
                for inner in 0..D {
                    value -= self.scratch[row * size + inner] * self.weighted_gain[column][inner];
                    value += self.noise_gain[row][inner] * self.gain[column][inner];
                }
                self.covariance[row * size + column] = value;
            }
        }
        make_symmetric(&mut self.covariance, size);
    }

    /// `sum_b A_b value_b`, where `value` gives entry `inner` of block b.
    fn through_transition(&self, row: usize, value: impl Fn(usize) -> f64) -> f64 {
        let mut sum = 0.0;
        for (block, coefficients) in self.transition.iter().enumerate() {
            for inner in 0..D {
                sum += coefficients[row][inner] * value(block * D + inner);
            }
        }
        sum
    }
}

impl<const D: usize> Belief<D> for StackedBelief<D> {
    fn start_at(&mut self, mean: &Vector<D>, covariance: &Square<D>) {
        let size = self.size();
        for block in 0..self.order {
            self.mean[block * D..(block + 1) * D].copy_from_slice(&apply(&self.regression[block], mean));
        }
        for row_block in 0..self.order {
            let left = product(&self.regression[row_block], covariance);
            for column_block in 0..self.order {
                for row in 0..D {
                    for column in 0..D {
                        let mut value = 0.0;
                        for inner in 0..D {
                            value += left[row][inner] * self.regression[column_block][column][inner];
                        }
                        let at = (row_block * D + row) * size + column_block * D + column;
                        self.covariance[at] = value + self.left_over[at];
                    }
                }
            }
        }
        make_symmetric(&mut self.covariance, size);
    }

    fn start_stationary(&mut self) {
        self.mean.fill(0.0);
        self.covariance.copy_from_slice(&self.stationary);
    }

    fn predict(&mut self) {
        let size = self.size();
        let mut newest = [0.0; D];
        for (row, value) in newest.iter_mut().enumerate() {
            *value = self.through_transition(row, |at| self.mean[at]);
        }
        self.mean.copy_within(..size - D, D);
        self.mean[..D].copy_from_slice(&newest);

        // `scratch` receives A Sigma in its first D rows, then the whole prediction.
        for row in 0..D {
            for column in 0..size {
                self.scratch[row * size + column] =
                    self.through_transition(row, |at| self.covariance[at * size + column]);
            }
        }
        let mut newest = self.process_noise;
        for row in 0..D {
            for column in 0..D {
                newest[row][column] += self.through_transition(column, |at| self.scratch[row * size + at]);
            }
        }
        for row in (D..size).rev() {
            for column in (D..size).rev() {
                self.covariance[row * size + column] = self.covariance[(row - D) * size + column - D];
            }
        }
        for row in 0..D {
            for column in D..size {
                let value = self.scratch[row * size + column - D];
                self.covariance[row * size + column] = value;
                self.covariance[column * size + row] = value;
            }
            for column in 0..D {
                self.covariance[row * size + column] = 0.5 * (newest[row][column] + newest[column][row]);
            }
        }
    }

    fn update(&mut self, information: &Square<D>, vector: &Vector<D>) {
        let size = self.size();
        let predicted = self.newest_covariance();
        let weight = add_scaled(&identity(), 1.0, &product(information, &predicted));
        let Some(inverse) = solve_general(&weight, &identity()) else { return };
        for row in 0..size {
            let mut gain = [0.0; D];
            for (inner, weights) in inverse.iter().enumerate() {
                let entry = self.covariance[row * size + inner];
                for column in 0..D {
                    gain[column] += entry * weights[column];
                }
            }
            let mut weighted = [0.0; D];
            for (inner, weights) in information.iter().enumerate() {
                for column in 0..D {
                    weighted[column] += gain[inner] * weights[column];
                }
            }
            self.gain[row] = gain;
            self.weighted_gain[row] = weighted;
            self.noise_gain[row] = weighted;
        }
        let mut innovation = apply(information, &self.newest_mean());
        for (entry, value) in innovation.iter_mut().zip(vector) {
            *entry = value - *entry;
        }
        self.apply_gain(&innovation);
    }

    fn correct(&mut self, correction: &Correction<D>) {
        // here K = M E' and J = W H, N = W R W'
        let size = self.size();
        for row in 0..size {
            let mut gain = [0.0; D];
            gain.copy_from_slice(&self.covariance[row * size..row * size + D]);
            let mut weighted = [0.0; D];
            let mut noise = [0.0; D];
            for inner in 0..D {
                for column in 0..D {
                    weighted[column] += gain[inner] * correction.weight[inner][column];
                    noise[column] += gain[inner] * correction.noise[inner][column];
                }
            }
            self.gain[row] = gain;
            self.weighted_gain[row] = weighted;
            self.noise_gain[row] = noise;
        }
        self.apply_gain(&correction.innovation);
    }

    fn newest_mean(&self) -> Vector<D> {
        let mut mean = [0.0; D];
        mean.copy_from_slice(&self.mean[..D]);
        mean
    }

    fn newest_covariance(&self) -> Square<D> {
        let size = self.size();
        let mut block = zeros();
        for row in 0..D {
            block[row].copy_from_slice(&self.covariance[row * size..row * size + D]);
        }
        block
    }

    fn state(&self) -> FilterState<'_> {
        FilterState { dimension: D, order: self.order, mean: &self.mean, covariance: &self.covariance }
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        if state.dimension != D
            || state.order != self.order
            || state.mean.len() != self.mean.len()
            || state.covariance.len() != self.covariance.len()
        {
            return false;
        }
        self.mean.copy_from_slice(state.mean);
        self.covariance.copy_from_slice(state.covariance);
        true
    }
}

fn make_symmetric(matrix: &mut [f64], size: usize) {
    for row in 0..size {
        for column in 0..row {
            let mean = 0.5 * (matrix[row * size + column] + matrix[column * size + row]);
            matrix[row * size + column] = mean;
            matrix[column * size + row] = mean;
        }
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;
    use crate::StationarySource;
    use crate::belief::PlainBelief;
    use crate::small_matrix::{cholesky, gram};

    fn state(order: usize) -> StateModel {
        let transition = match order {
            1 => DMatrix::from_row_slice(2, 2, &[0.9, 0.05, -0.1, 0.85]),
            _ => DMatrix::from_row_slice(2, 4, &[1.1, 0.05, -0.3, 0.0, -0.1, 1.0, 0.0, -0.25]),
        };
        let process_noise = DMatrix::from_row_slice(2, 2, &[0.2, 0.03, 0.03, 0.1]);
        let size = 2 * order;
        let companion = DMatrix::from_fn(size, size, |row, column| {
            if row < 2 { transition[(row, column)] } else { f64::from(u8::from(column + 2 == row)) }
        });
        let mut noise = DMatrix::zeros(size, size);
        noise.view_mut((0, 0), (2, 2)).copy_from(&process_noise);
        let mut stationary_covariance = noise.clone();
        for _ in 0..4000 {
            stationary_covariance = &companion * &stationary_covariance * companion.transpose() + &noise;
        }
        StateModel {
            order,
            transition,
            process_noise,
            stationary_covariance,
            stationary_source: StationarySource::Lyapunov,
            mean: None,
        }
    }

    fn random_information(random: &mut impl rand::Rng) -> (Square<2>, Vector<2>) {
        let mut half = zeros();
        for value in half.as_flattened_mut() {
            *value = random.random_range(-2.0..2.0);
        }
        (gram::<2>(&half), [random.random_range(-3.0..3.0), random.random_range(-3.0..3.0)])
    }

    fn largest_difference(left: FilterState<'_>, right: FilterState<'_>) -> f64 {
        let means = left.mean.iter().zip(right.mean);
        means
            .chain(left.covariance.iter().zip(right.covariance))
            .map(|(l, r)| (l - r).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn order_one_equals_the_plain_belief() {
        let state = state(1);
        let mut plain = PlainBelief::<2>::new(&state);
        let mut stacked = StackedBelief::<2>::new(&state).unwrap();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        let start = ([0.4, -0.2], [[0.3, 0.1], [0.1, 0.4]]);
        plain.start_at(&start.0, &start.1);
        stacked.start_at(&start.0, &start.1);
        for step in 0..2000 {
            plain.predict();
            stacked.predict();
            if step % 7 != 0 {
                let (information, vector) = random_information(&mut random);
                plain.update(&information, &vector);
                stacked.update(&information, &vector);
            }
            assert!(largest_difference(plain.state(), stacked.state()) < 1e-12);
        }
    }

    /// The same with the dense formulas of the module's documentation, nalgebra's inverse and no Joseph form.
    #[test]
    fn order_two_equals_the_dense_formulas() {
        let state = state(2);
        let mut stacked = StackedBelief::<2>::new(&state).unwrap();
        stacked.start_stationary();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let companion = DMatrix::from_fn(4, 4, |row, column| {
            if row < 2 { state.transition[(row, column)] } else { f64::from(u8::from(column + 2 == row)) }
        });
        let mut noise = DMatrix::zeros(4, 4);
        noise.view_mut((0, 0), (2, 2)).copy_from(&state.process_noise);
        let newest = DMatrix::<f64>::identity(2, 4);
        let mut mean = DMatrix::zeros(4, 1);
        let mut covariance = state.stationary_covariance.clone();
        for _ in 0..500 {
            let (information, vector) = random_information(&mut random);
            stacked.predict();
            stacked.update(&information, &vector);
            let j = DMatrix::from_row_slice(2, 2, information.as_flattened());
            mean = &companion * mean;
            covariance = &companion * covariance * companion.transpose() + &noise;
            let p = &newest * &covariance * newest.transpose();
            let gain =
                &covariance * newest.transpose() * (DMatrix::identity(2, 2) + &j * p).try_inverse().unwrap();
            let h = DMatrix::from_column_slice(2, 1, &vector);
            mean = &mean + &gain * (h - &j * &newest * &mean);
            covariance = &covariance - &gain * &j * &newest * &covariance;
            let expected = FilterState {
                dimension: 2,
                order: 2,
                mean: mean.as_slice(),
                covariance: covariance.as_slice(),
            };
            assert!(largest_difference(stacked.state(), expected) < 1e-11);
        }
    }

    #[test]
    fn a_start_at_the_newest_block_gives_older_ones_their_stationary_distribution() {
        let state = state(2);
        let mut stacked = StackedBelief::<2>::new(&state).unwrap();
        let marginal = square_of::<2>(&state.stationary_covariance);
        stacked.start_at(&[0.0, 0.0], &marginal);
        let at_marginal = stacked.state().covariance.to_vec();
        for (entry, expected) in at_marginal.iter().zip(state.stationary_covariance.transpose().iter()) {
            assert!((entry - expected).abs() < 1e-12);
        }
        let sharp = [[1e-6, 0.0], [0.0, 1e-6]];
        stacked.start_at(&[1.0, 2.0], &sharp);
        let mean = stacked.newest_mean();
        assert!((mean[0] - 1.0).abs() < 1e-15 && (mean[1] - 2.0).abs() < 1e-15);
        assert!(cholesky(&stacked.newest_covariance()).is_some());
    }
}
