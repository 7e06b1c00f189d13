//! What a filter believes of the intent: a Gaussian that moves by the state model and sharpens by measurements.
//!
//! Every measurement arrives as information: a positive semidefinite d x d matrix J and a vector h, the factor
//! `exp(-z' J z / 2 + z' h)` on the density of the newest state z. A Kalman filter has `J = H' R^-1 H`,
//! `h = H' R^-1 (x - offset)`; the discriminative filter has `J = Q^-1 - S^-1`, `h = Q^-1 f` (see
//! [`Form`](crate::Form)). So one update serves all, costs d^3 whatever the number of features, and inverts neither the
//! belief nor J: with the (semidefinite) Cholesky factor L of the predicted covariance M,
//!
//! ```text
//! Sigma' = (J + M^-1)^-1 = L (I + L' J L)^-1 L'        mu' = mu + Sigma' (h - J mu)
//! ```
//!
//! which is symmetric by construction, and defined where M is singular (a component without noise).

use crate::small_matrix::{
    Square, Vector, add_scaled, apply, cholesky, cholesky_semidefinite, from_slice, gram, identity, product,
    propagated, solve_lower, transposed, zeros,
};
use crate::{FilterState, StateModel};

/// A belief over the state of D components, stacked or not.
pub(crate) trait Belief<const D: usize>: Send + core::fmt::Debug {
    /// Starts at a newest state of this mean and covariance; older ones follow from the stationary distribution.
    fn start_at(&mut self, mean: &Vector<D>, covariance: &Square<D>);

    /// Starts at the stationary distribution.
    fn start_stationary(&mut self);

    /// Time update: `mu = A mu`, `Sigma = M = A Sigma A' + G`.
    fn predict(&mut self);

    /// Measurement update by information J, h about the newest state.
    fn update(&mut self, information: &Square<D>, vector: &Vector<D>);

    /// Measurement update by a gain that was computed from [`newest_covariance`](Self::newest_covariance).
    fn correct(&mut self, correction: &Correction<D>);

    /// Mean of the newest state.
    fn newest_mean(&self) -> Vector<D>;

    /// Covariance of the newest state.
    fn newest_covariance(&self) -> Square<D>;

    /// The whole belief.
    fn state(&self) -> FilterState<'_>;

    /// Takes over a belief of the same dimension and order; false where they differ.
    fn adopt(&mut self, state: FilterState<'_>) -> bool;
}

/// A measurement update of a Kalman filter in covariance form, made small: with the innovation covariance
/// `V = H P H' + R`, P the predicted covariance M of the newest state, and `W = H' V^-1`,
///
/// ```text
/// mu' = mu + M W (x - offset - H mu)        Sigma' = (I - M W H) M (I - M W H)' + M W R W' M
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Correction<const D: usize> {
    /// W H.
    pub(crate) weight: Square<D>,
    /// W R W'.
    pub(crate) noise: Square<D>,
    /// W (x - offset - H mu).
    pub(crate) innovation: Vector<D>,
}

/// The belief of a first-order state model.
#[derive(Clone, Debug)]
pub(crate) struct PlainBelief<const D: usize> {
    transition: Square<D>,
    process_noise: Square<D>,
    stationary: Square<D>,
    mean: Vector<D>,
    covariance: Square<D>,
}

impl<const D: usize> PlainBelief<D> {
    /// At the stationary distribution of a model of order 1 and dimension D.
    pub(crate) fn new(state: &StateModel) -> Self {
        let stationary = square_of(&state.stationary_covariance);
        Self {
            transition: square_of(&state.transition),
            process_noise: square_of(&state.process_noise),
            stationary,
            mean: [0.0; D],
            covariance: stationary,
        }
    }

    /// G.
    pub(crate) fn process_noise(&self) -> &Square<D> {
        &self.process_noise
    }

    /// S.
    pub(crate) fn stationary(&self) -> &Square<D> {
        &self.stationary
    }
}

/// The leading D x D block of a matrix.
pub(crate) fn square_of<const D: usize>(matrix: &nalgebra::DMatrix<f64>) -> Square<D> {
    let mut square = zeros();
    for row in 0..D {
        for column in 0..D {
            square[row][column] = matrix[(row, column)];
        }
    }
    square
}

/// `(J + M^-1)^-1` for positive semidefinite J and M.
pub(crate) fn sharpened<const D: usize>(predicted: &Square<D>, information: &Square<D>) -> Square<D> {
    let lower = cholesky_semidefinite(predicted);
    let upper = transposed(&lower);
    let inner = add_scaled(&identity(), 1.0, &product(&product(&upper, information), &lower));
    // I + L' J L has no eigenvalue below 1, so its factor exists unless J is not finite; then nothing is learnt.
    match cholesky(&inner) {
        Some(factor) => gram(&solve_lower(&factor, &upper)),
        None => *predicted,
    }
}

impl<const D: usize> Belief<D> for PlainBelief<D> {
    fn start_at(&mut self, mean: &Vector<D>, covariance: &Square<D>) {
        self.mean = *mean;
        self.covariance = *covariance;
    }

    fn start_stationary(&mut self) {
        self.mean = [0.0; D];
        self.covariance = self.stationary;
    }

    fn predict(&mut self) {
        self.mean = apply(&self.transition, &self.mean);
        self.covariance = propagated(&self.transition, &self.covariance, &self.process_noise);
    }

    fn update(&mut self, information: &Square<D>, vector: &Vector<D>) {
        self.covariance = sharpened(&self.covariance, information);
        let mut innovation = apply(information, &self.mean);
        for (entry, value) in innovation.iter_mut().zip(vector) {
            *entry = value - *entry;
        }
        let correction = apply(&self.covariance, &innovation);
        for (mean, correction) in self.mean.iter_mut().zip(&correction) {
            *mean += correction;
        }
    }

    fn correct(&mut self, correction: &Correction<D>) {
        let step = apply(&self.covariance, &correction.innovation);
        for (mean, step) in self.mean.iter_mut().zip(&step) {
            *mean += step;
        }
        let keep = add_scaled(&identity(), -1.0, &product(&self.covariance, &correction.weight));
        let noise = product(&product(&self.covariance, &correction.noise), &self.covariance);
        self.covariance = propagated(&keep, &self.covariance, &noise);
    }

    fn newest_mean(&self) -> Vector<D> {
        self.mean
    }

    fn newest_covariance(&self) -> Square<D> {
        self.covariance
    }

    fn state(&self) -> FilterState<'_> {
        FilterState { dimension: D, order: 1, mean: &self.mean, covariance: self.covariance.as_flattened() }
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        if state.dimension != D
            || state.order != 1
            || state.mean.len() != D
            || state.covariance.len() != D * D
        {
            return false;
        }
        self.mean.copy_from_slice(state.mean);
        self.covariance = from_slice(state.covariance);
        true
    }
}
