//! The tensors of a Kalman filter.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::covariance_scale::CovarianceScale;
use crate::decoders::kind::{DecoderTensors, say_of_state};
use crate::model_error::ModelError;
use crate::options::{Start, StationarySource};
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
    /// R, n x n, positive definite.
    pub observation_noise: DMatrix<f64>,
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

impl KalmanParameters {
    pub(crate) fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        self.state.write(writer);
        writer.matrix("observation", &self.observation);
        writer.vector("observation_offset", self.observation_offset.as_slice());
        writer.matrix("observation_noise", &self.observation_noise);
        let StateModel { order: state_order, stationary_source, .. } = self.state;
        serde_json::to_value(Header { state_order, stationary_source, start: self.start })
    }

    pub(crate) fn read(header: Value, source: &mut Source<'_>) -> Result<Self, ParametersError> {
        let Header { state_order, stationary_source, start } = parse(header)?;
        let (n, d) = (source.features, source.dimension);
        Ok(Self {
            state: StateModel::read(state_order, stationary_source, source)?,
            observation: source.tensors.matrix("observation", n, d)?,
            observation_offset: source.tensors.vector_or_zeros("observation_offset", n)?,
            observation_noise: source.tensors.matrix("observation_noise", n, n)?,
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
        covariance("observation_noise", &self.observation_noise, features, true)?;
        validate_scale(&self.covariance_scale, features)
    }

    say_of_state!();

    fn features(&self) -> usize {
        self.observation.nrows()
    }
}
