//! `kalman-steady`: the Kalman filter run with the gain that it converges to.

pub mod riccati;
pub mod runtime;

use serde_json::Value;

use super::kalman::parameters::KalmanParameters;
use super::kind::{DecoderKind, DecoderTensors as _, GUARD, MEAN, PROCESS_NOISE, SCALE, Setup, Taken};
use crate::decoder::Decoder;
use crate::model_error::ModelError;
use crate::options::{KalmanUpdate, Options};
use crate::tensors::{ParametersError, Source, TensorWriter};
use crate::validate::out_of_range;

/// See the module.
pub(crate) struct KalmanSteady;

impl DecoderKind for KalmanSteady {
    type Tensors = KalmanParameters;

    const NAME: &'static str = "kalman-steady";
    const SUMMARY: &'static str = "Kalman filter with the gain that it converges to";
    const OPTIONS: &'static [Taken] =
        &[MEAN, ("stationary", "training", ""), ("intercept", "on", ""), PROCESS_NOISE, SCALE, GUARD];

    fn validate(kalman: &KalmanParameters, features: usize, dimension: usize) -> Result<(), ModelError> {
        kalman.validate(features, dimension)?;
        if kalman.state.order != 1 {
            return out_of_range("order of a steady-state Kalman filter", kalman.state.order as f64, "1");
        }
        Ok(())
    }

    fn decoder(kalman: &KalmanParameters, _setup: &Setup<'_>) -> Result<Box<dyn Decoder>, ModelError> {
        runtime::steady_decoder(kalman)
    }

    fn runtime_tensors(kalman: &KalmanParameters, _options: &Options) -> Option<KalmanParameters> {
        kalman.without_noise(KalmanUpdate::Auto)
    }

    fn write(kalman: &KalmanParameters, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        kalman.write(writer)
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<KalmanParameters, ParametersError> {
        KalmanParameters::read(header, source)
    }
}
