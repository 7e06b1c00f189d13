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
use nalgebra::{DMatrix, DVector};

use crate::cholesky::{Cholesky, dot};
use crate::state_filter::{Measurement, StateFilter, state_filter};
use crate::validate::{covariance, finite};
use crate::{Decoder, FilterState, KalmanParameters, KalmanUpdate, LookBack, ModelError, StepReport};

/// See the module.
#[derive(Debug)]
pub(crate) struct KalmanDecoder {
    information: ObservationInformation,
    order: usize,
    filter: Box<dyn StateFilter>,
}

/// What a linear observation says of the intent: `J = H' R^-1 H` and `h = W x - W offset`, `W = H' R^-1`.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservationInformation {
    /// Components d.
    pub dimension: usize,
    /// Features n.
    pub features: usize,
    /// W, d rows of n.
    pub weights: Vec<f64>,
    /// W offset.
    pub offset: Vec<f64>,
    /// J, row-major.
    pub information: Vec<f64>,
}

impl ObservationInformation {
    /// Of a model.
    ///
    /// # Errors
    /// Where R is not positive definite.
    pub fn new(kalman: &KalmanParameters) -> Result<Self, ModelError> {
        if let Some(given) = &kalman.information {
            return Ok(given.clone());
        }
        Self::of(&kalman.observation, &kalman.observation_offset, &kalman.observation_noise)
            .map_err(|_column| ModelError::NotPositive { tensor: "observation_noise", strict: true })
    }

    /// Of H, offset and R.
    ///
    /// # Errors
    /// The first feature whose noise follows from those before it.
    pub fn of(
        observation: &DMatrix<f64>,
        observation_offset: &DVector<f64>,
        noise: &DMatrix<f64>,
    ) -> Result<Self, usize> {
        let (features, dimension) = observation.shape();
        let factor = Cholesky::new(noise, 0.0)?;
        let weighted = factor.solve_columns(observation);
        let weights = weighted.as_slice().to_vec();
        let mut information = vec![0.0; dimension * dimension];
        for row in 0..dimension {
            let weights = &weights[row * features..(row + 1) * features];
            for column in 0..=row {
                let tuning = &observation.as_slice()[column * features..(column + 1) * features];
                let entry = dot(weights, tuning);
                information[row * dimension + column] = entry;
                information[column * dimension + row] = entry;
            }
        }
        Ok(Self::given(features, weights, information, observation_offset.as_slice()))
    }

    /// Of W, J and the offset, computed before.
    pub(super) fn given(
        features: usize,
        weights: Vec<f64>,
        information: Vec<f64>,
        observation_offset: &[f64],
    ) -> Self {
        let offset: Vec<f64> =
            weights.chunks(features.max(1)).map(|weights| dot(weights, observation_offset)).collect();
        Self { dimension: offset.len(), features, weights, offset, information }
    }

    pub(super) fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError> {
        let square = |values: &[f64]| DMatrix::from_row_slice(dimension, dimension, values);
        let expected = (features * dimension, dimension * dimension);
        if (self.weights.len(), self.information.len()) != expected || self.features != features {
            return Err(ModelError::Shape {
                tensor: "observation_weights",
                found: format!("{} x {}", self.dimension, self.features),
                expected: format!("{dimension} x {features}"),
            });
        }
        finite("observation_weights", &self.weights)?;
        covariance("observation_information", &square(&self.information), dimension, false)
    }
}

impl KalmanUpdate {
    /// Whether the gain of so many features and components is computed of R itself.
    pub(crate) fn takes_noise(self, (features, dimension): (usize, usize)) -> bool {
        match self {
            Self::Auto => features <= dimension,
            Self::Covariance => true,
            Self::Information => false,
        }
    }
}

impl KalmanDecoder {
    pub(crate) fn new(kalman: &KalmanParameters, update: KalmanUpdate) -> Result<Self, ModelError> {
        let information = ObservationInformation::new(kalman)?;
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
