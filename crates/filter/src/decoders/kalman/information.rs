//! What a linear observation says of the intent, with its noise R behind it.

use nalgebra::{DMatrix, DVector};

use crate::cholesky::{Cholesky, dot};
use crate::model_error::ModelError;
use crate::options::KalmanUpdate;
use crate::validate::{covariance, finite};

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

    pub(crate) fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError> {
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
