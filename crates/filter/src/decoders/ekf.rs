//! `ekf`: the extended Kalman filter with networks as model of the features.

use serde_json::Value;

use super::kind::{DecoderKind, GUARD, MEAN, SCALE, Taken};
use super::nonlinear_kalman::parameters::NonlinearKalmanParameters;
use super::nonlinear_kalman::runtime::nonlinear_decoder;
use crate::decoder::Decoder;
use crate::dynamics::Linearization;
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::options::Options;
use crate::tensors::{ParametersError, Source, TensorWriter};

/// See the module.
pub(crate) struct Ekf;

impl DecoderKind for Ekf {
    type Tensors = NonlinearKalmanParameters;

    const NAME: &'static str = "ekf";
    const SUMMARY: &'static str = "extended Kalman filter with networks as model of the features";
    const OPTIONS: &'static [Taken] =
        &[("hidden", "8", ""), ("epochs", "40", ""), MEAN, ("stationary", "training", ""), SCALE, GUARD];

    fn holds(nonlinear: &NonlinearKalmanParameters) -> bool {
        nonlinear.linearization == Linearization::Extended
    }

    fn validate(
        nonlinear: &NonlinearKalmanParameters,
        features: usize,
        dimension: usize,
    ) -> Result<(), ModelError> {
        nonlinear.validate(features, dimension)
    }

    fn decoder(
        nonlinear: &NonlinearKalmanParameters,
        _options: &Options,
        _background: &[f64],
        _path: KernelPath,
    ) -> Result<Box<dyn Decoder>, ModelError> {
        nonlinear_decoder(nonlinear)
    }

    fn write(
        nonlinear: &NonlinearKalmanParameters,
        writer: &mut dyn TensorWriter,
    ) -> Result<Value, serde_json::Error> {
        nonlinear.write(writer)
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<NonlinearKalmanParameters, ParametersError> {
        NonlinearKalmanParameters::read(header, Linearization::Extended, source)
    }
}
