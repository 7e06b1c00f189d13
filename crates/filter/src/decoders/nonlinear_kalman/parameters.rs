//! The tensors of a Kalman filter with a network as model of the features.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::covariance_scale::CovarianceScale;
use crate::decoders::kind::{DecoderTensors, say_of_state};
use crate::dynamics::Linearization;
use crate::model_error::ModelError;
use crate::options::StationarySource;
use crate::state_model::StateModel;
use crate::tanh_network::TanhNetwork;
use crate::tensors::{ParametersError, Source, TensorWriter, parse};
use crate::validate::{covariance, validate_scale};

/// `x_t = g(z_t) + noise`, noise ~ N(0, R), g a network.
#[derive(Clone, Debug, PartialEq)]
pub struct NonlinearKalmanParameters {
    /// How the intent moves.
    pub state: StateModel,
    /// g: d in, n out.
    pub observation: TanhNetwork,
    /// R, n x n, positive definite.
    pub observation_noise: DMatrix<f64>,
    /// How the measurement reaches the belief.
    pub linearization: Linearization,
    /// Factor on the published covariance; the filter itself never sees it.
    pub covariance_scale: CovarianceScale,
}

/// The header's `parameters`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default)]
    stationary_source: StationarySource,
}

impl NonlinearKalmanParameters {
    pub(crate) fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        self.state.write(writer);
        self.observation.write("observation.", writer);
        writer.matrix("observation_noise", &self.observation_noise);
        serde_json::to_value(Header { stationary_source: self.state.stationary_source })
    }

    pub(crate) fn read(
        header: Value,
        linearization: Linearization,
        source: &mut Source<'_>,
    ) -> Result<Self, ParametersError> {
        let Header { stationary_source } = parse(header)?;
        let (n, d) = (source.features, source.dimension);
        Ok(Self {
            state: StateModel::read(1, stationary_source, source)?,
            observation: TanhNetwork::read("observation.", source.tensors, d, n)?,
            observation_noise: source.tensors.matrix("observation_noise", n, n)?,
            linearization,
            covariance_scale: CovarianceScale::constant(1.0),
        })
    }
}

impl DecoderTensors for NonlinearKalmanParameters {
    fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError> {
        self.state.validate_first_order(dimension)?;
        self.observation.validate(dimension, features)?;
        covariance("observation_noise", &self.observation_noise, features, true)?;
        validate_scale(&self.covariance_scale, features)
    }

    say_of_state!();

    fn features(&self) -> usize {
        self.observation.output_bias.len()
    }

    /// The state passes through a network, which bends it.
    fn varies(&self) -> bool {
        true
    }
}
