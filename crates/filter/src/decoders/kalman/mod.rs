//! `kalman`: a Kalman filter with a gain computed in every step.

pub mod information;
pub(crate) mod parameters;
pub mod runtime;

use serde_json::Value;

use self::parameters::KalmanParameters;
use super::kind::{DecoderKind, GUARD, MEAN, PROCESS_NOISE, SCALE, Setup, Taken};
use crate::decoder::Decoder;
use crate::model_error::ModelError;
use crate::options::Options;
use crate::tensors::{ParametersError, Source, TensorWriter};

/// See the module.
pub(crate) struct Kalman;

impl DecoderKind for Kalman {
    type Tensors = KalmanParameters;

    const NAME: &'static str = "kalman";
    const SUMMARY: &'static str = "Kalman filter, gain computed in every step";
    const OPTIONS: &'static [Taken] = &[
        ("state-order", "1", ""),
        MEAN,
        ("stationary", "training", ""),
        ("start", "prior", ""),
        ("intercept", "on", ""),
        ("update", "auto", ""),
        PROCESS_NOISE,
        SCALE,
        GUARD,
    ];

    fn decoder(kalman: &KalmanParameters, setup: &Setup<'_>) -> Result<Box<dyn Decoder>, ModelError> {
        Ok(Box::new(runtime::KalmanDecoder::new(kalman, setup.options.update.unwrap_or_default())?))
    }

    fn runtime_tensors(kalman: &KalmanParameters, options: &Options) -> Option<KalmanParameters> {
        kalman.without_noise(options.update.unwrap_or_default())
    }

    fn write(kalman: &KalmanParameters, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        kalman.write(writer)
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<KalmanParameters, ParametersError> {
        KalmanParameters::read(header, source)
    }
}
