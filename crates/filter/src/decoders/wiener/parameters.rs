//! The tensors of a linear regression on a window of bins.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use crate::covariance_scale::CovarianceScale;
use crate::decoders::kind::DecoderTensors;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, Source, TensorWriter, factor, one_bin};
use crate::validate::{as_column, covariance, shape, validate_lags, validate_scale};

/// `z_t = W [x_t, .., x_{t-l+1}] + intercept`.
#[derive(Clone, Debug, PartialEq)]
pub struct WienerParameters {
    /// Bins in the window l >= 1, the current one included.
    pub lags: usize,
    /// W, d x (n l).
    pub weights: DMatrix<f64>,
    /// Intercept, d.
    pub intercept: DVector<f64>,
    /// Covariance of held-out residuals, d x d: what is published with every measured bin.
    pub residual_covariance: DMatrix<f64>,
    /// Covariance of the training states about their mean, d x d: what is published with a bin without features.
    pub state_covariance: DMatrix<f64>,
    /// Factor on the covariance that is published with a bin that has features.
    pub covariance_scale: CovarianceScale,
}

/// The header's `parameters`, of `wiener-cascade` too.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    #[serde(default = "one_bin")]
    pub(crate) lags: usize,
}

impl WienerParameters {
    pub(crate) fn write(&self, writer: &mut dyn TensorWriter) {
        writer.matrix("weights", &self.weights);
        writer.vector("intercept", self.intercept.as_slice());
        writer.matrix("residual_covariance", &self.residual_covariance);
        writer.matrix("state_covariance", &self.state_covariance);
    }

    pub(crate) fn read(lags: usize, source: &mut Source<'_>) -> Result<Self, ParametersError> {
        let (n, d) = (source.features, source.dimension);
        let inputs = n * factor("lags", lags)?;
        Ok(Self {
            lags,
            weights: source.tensors.matrix("weights", d, inputs)?,
            intercept: source.tensors.vector_or_zeros("intercept", d)?,
            residual_covariance: source.tensors.matrix("residual_covariance", d, d)?,
            state_covariance: source.tensors.matrix("state_covariance", d, d)?,
            covariance_scale: CovarianceScale::constant(1.0),
        })
    }
}

impl DecoderTensors for WienerParameters {
    fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError> {
        validate_lags(self.lags)?;
        shape("weights", &self.weights, dimension, features * self.lags)?;
        shape("intercept", &as_column(self.intercept.as_slice()), dimension, 1)?;
        covariance("residual_covariance", &self.residual_covariance, dimension, false)?;
        covariance("state_covariance", &self.state_covariance, dimension, false)?;
        validate_scale(&self.covariance_scale, features)
    }

    fn dimension(&self) -> usize {
        self.weights.nrows()
    }

    fn features(&self) -> usize {
        self.weights.ncols() / self.lags.max(1)
    }

    fn marginal_covariance(&self) -> DMatrix<f64> {
        self.state_covariance.clone()
    }

    fn covariance_scale(&self) -> &CovarianceScale {
        &self.covariance_scale
    }

    fn covariance_scale_mut(&mut self) -> &mut CovarianceScale {
        &mut self.covariance_scale
    }

    /// Without a state model the mean is part of the intercept.
    fn add_mean(&mut self, mean: DVector<f64>) {
        self.intercept += mean;
    }
}
