//! The tensors of a Kalman filter.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::information::ObservationInformation;
use crate::covariance_scale::CovarianceScale;
use crate::decoders::kind::{DecoderTensors, say_of_state};
use crate::model_error::ModelError;
use crate::options::{KalmanUpdate, Start, StationarySource};
use crate::state_model::StateModel;
use crate::tensors::{ParametersError, Source, TensorWriter, one_bin, parse};
use crate::validate::{as_column, covariance, shape, validate_scale};

/// A linear Gaussian model of the features: `x_t = H z_t + offset + noise`, noise ~ N(0, R).
#[derive(Clone, Debug, PartialEq)]
pub struct KalmanParameters {
    /// How the intent moves.
    pub state: StateModel,
    /// H, n x d.
    pub observation: DMatrix<f64>,
    /// Features at the intent's mean, n; zeros without intercept.
    pub observation_offset: DVector<f64>,
    /// R, n x n, positive definite; empty where `information` stands for it.
    pub observation_noise: DMatrix<f64>,
    /// What a step needs of R, where the tensors hold no more than that.
    pub information: Option<ObservationInformation>,
    /// The belief at row one.
    pub start: Start,
    /// Factor on the published covariance; the filter itself never sees it.
    pub covariance_scale: CovarianceScale,
}

/// The header's `parameters`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default = "one_bin")]
    state_order: usize,
    #[serde(default)]
    stationary_source: StationarySource,
    #[serde(default)]
    start: Start,
}

/// The tensors that stand for R where it is left out.
const WEIGHTS: &str = "observation_weights";
const INFORMATION: &str = "observation_information";

impl KalmanParameters {
    /// The same filter without R, with what a step needs of it; none where the covariance form of the gain needs R itself,
    /// or there is none.
    pub(crate) fn without_noise(&self, update: KalmanUpdate) -> Option<Self> {
        if self.information.is_some() || update.takes_noise(self.observation.shape()) {
            return None;
        }
        Some(Self {
            information: Some(self.observation_information().ok()?),
            observation_noise: DMatrix::zeros(0, 0),
            ..self.clone()
        })
    }

    /// What a step needs of R.
    ///
    /// # Errors
    /// Where R is not positive definite.
    pub fn observation_information(&self) -> Result<ObservationInformation, ModelError> {
        if let Some(given) = &self.information {
            return Ok(given.clone());
        }
        ObservationInformation::of(&self.observation, &self.observation_offset, &self.observation_noise)
            .map_err(|_column| ModelError::NotPositive { tensor: "observation_noise", strict: true })
    }

    pub(crate) fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        self.state.write(writer);
        writer.matrix("observation", &self.observation);
        writer.vector("observation_offset", self.observation_offset.as_slice());
        match &self.information {
            Some(ObservationInformation { dimension, features, weights, information, .. }) => {
                writer.matrix(WEIGHTS, &DMatrix::from_row_slice(*dimension, *features, weights));
                writer.matrix(INFORMATION, &DMatrix::from_row_slice(*dimension, *dimension, information));
            }
            None => writer.matrix("observation_noise", &self.observation_noise),
        }
        let StateModel { order: state_order, stationary_source, .. } = self.state;
        serde_json::to_value(Header { state_order, stationary_source, start: self.start })
    }

    pub(crate) fn read(header: Value, source: &mut Source<'_>) -> Result<Self, ParametersError> {
        let Header { state_order, stationary_source, start } = parse(header)?;
        let (n, d) = (source.features, source.dimension);
        let state = StateModel::read(state_order, stationary_source, source)?;
        let observation_offset = source.tensors.vector_or_zeros("observation_offset", n)?;
        let information = if source.tensors.has(WEIGHTS) {
            let (_, weights) = source.tensors.take(WEIGHTS, &[Some(d), Some(n)])?;
            let (_, information) = source.tensors.take(INFORMATION, &[Some(d), Some(d)])?;
            Some(ObservationInformation::given(n, weights, information, observation_offset.as_slice()))
        } else {
            None
        };
        Ok(Self {
            state,
            observation: source.tensors.matrix("observation", n, d)?,
            observation_noise: match &information {
                Some(_) => DMatrix::zeros(0, 0),
                None => source.tensors.matrix("observation_noise", n, n)?,
            },
            observation_offset,
            information,
            start,
            covariance_scale: CovarianceScale::constant(1.0),
        })
    }
}

impl DecoderTensors for KalmanParameters {
    fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError> {
        self.state.validate(dimension)?;
        shape("observation", &self.observation, features, dimension)?;
        shape("observation_offset", &as_column(self.observation_offset.as_slice()), features, 1)?;
        match &self.information {
            Some(given) => {
                given.validate(features, dimension)?;
                shape("observation_noise", &self.observation_noise, 0, 0)?;
            }
            None => covariance("observation_noise", &self.observation_noise, features, true)?,
        }
        validate_scale(&self.covariance_scale, features)
    }

    say_of_state!();

    fn features(&self) -> usize {
        self.observation.nrows()
    }
}
