//! `kalman`: the Kalman filter (Kalman 1960; Wu et al. 2006 for neural decoding).
//!
//! Model: `z_t = A z_{t-1} + N(0, G)`, `x_t = H z_t + offset + N(0, R)`, z the intent less its mean. One step with features x, exactly:
//!
//! ```text
//! J = H' R^-1 H    h = H' R^-1 (x - offset)                   (J and H' R^-1 once, at construction)
//! M = A Sigma A' + G
//! Sigma' = (J + M^-1)^-1        mu' = A mu + Sigma' (h - J A mu)
//! ```
//!
//! that is the information form of the gain: n d multiplications for h and d^3 for the rest, for any number of features.
//! The covariance form (`Innovation`), `K = M H' (H M H' + R)^-1`, `mu' = A mu +
//! K (x - offset - H A mu)`, gives the same to rounding; with `update=auto` it is taken for n <= d, where it is cheaper.
//! Row one: `prior` updates N(0, S) by x (no time update); `first` takes `Sigma = J^-1`, `mu = J^-1 h`, and is `prior`
//! where J is singular (a component that is not observed). Without features: `mu = A mu`, `Sigma = M`. An order p > 1
//! stacks p states; H sees the newest.
//!
//! When to use it: as the baseline, and where little data has to do, since it has few numbers to learn. When not: where
//! features depend on the intent in other ways than linearly, or their noise depends on it: it cannot learn those.

use kalmind_types::{Intent, MAX_COMPONENTS};

use super::information::ObservationInformation;
use crate::cholesky::dot;
use crate::state_filter::{Measurement, StateFilter, state_filter};
use crate::{Decoder, FilterState, KalmanParameters, KalmanUpdate, LookBack, ModelError, StepReport};

/// See the module.
#[derive(Debug)]
pub(crate) struct KalmanDecoder {
    information: ObservationInformation,
    order: usize,
    filter: Box<dyn StateFilter>,
}

impl KalmanDecoder {
    pub(crate) fn new(kalman: &KalmanParameters, update: KalmanUpdate) -> Result<Self, ModelError> {
        let information = kalman.observation_information()?;
        let mut filter = state_filter(&kalman.state, None, None, kalman.start)?;
        filter.set_information(&information.information);
        if update.takes_noise((information.features, information.dimension)) {
            if kalman.information.is_some() {
                return Err(ModelError::NotPositive { tensor: "observation_noise", strict: true });
            }
            filter.set_observation(kalman);
        }
        Ok(Self { information, order: kalman.state.order, filter })
    }
}

/// `weights x - offset`, for d rows of weights.
pub(crate) fn apply_rows(weights: &[f64], offset: &[f64], features: &[f64], out: &mut [f64]) {
    for ((out, weights), offset) in out.iter_mut().zip(weights.chunks_exact(features.len())).zip(offset) {
        *out = dot(weights, features) - offset;
    }
}

impl Decoder for KalmanDecoder {
    fn features(&self) -> usize {
        self.information.features
    }

    fn dimension(&self) -> usize {
        self.information.dimension
    }

    fn restart(&mut self) {
        self.filter.restart();
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let information = &self.information;
        let mut vector = [0.0; MAX_COMPONENTS];
        let vector = &mut vector[..information.dimension];
        let measurement = match features {
            Some(features) if features.len() == information.features => {
                apply_rows(&information.weights, &information.offset, features, vector);
                Some(Measurement::Information { vector, features })
            }
            _ => None,
        };
        self.filter.step(measurement, intent)
    }

    fn look_back(&self) -> LookBack {
        LookBack { bins: self.order, fades: true }
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.filter.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.filter.adopt(state)
    }
}
