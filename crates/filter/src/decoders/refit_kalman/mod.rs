//! `refit-kalman`: a Kalman filter fitted anew to intentions turned toward the targets.

pub mod runtime;

use nalgebra::{DMatrix, DVector};
use serde_json::Value;

use super::kalman::parameters::KalmanParameters;
use super::kind::{DecoderKind, DecoderTensors, GUARD, PROCESS_NOISE, SCALE, Setup, Taken, say_of_state};
use crate::covariance_scale::CovarianceScale;
use crate::decoder::Decoder;
use crate::model_error::ModelError;
use crate::options::{KalmanUpdate, Options};
use crate::state_model::StateModel;
use crate::tensors::{ParametersError, Source, TensorWriter};
use crate::validate::shape;

/// See the module.
pub(crate) struct RefitKalman;

/// A Kalman filter after a refit; with position feedback, `x_t = H z_t + F (p_{t-1} - c) + offset + noise`, where the
/// cursor position p of the tick before is known without uncertainty and c = (0.5, 0.5), both in workspace widths.
#[derive(Clone, Debug, PartialEq)]
pub struct RefitKalmanParameters {
    /// The filter.
    pub kalman: KalmanParameters,
    /// F, n x 2, where position feeds back.
    pub feedback: Option<DMatrix<f64>>,
}

impl DecoderKind for RefitKalman {
    type Tensors = RefitKalmanParameters;

    const NAME: &'static str = "refit-kalman";
    const SUMMARY: &'static str = "Kalman filter learnt from intentions turned toward the targets";
    const OPTIONS: &'static [Taken] = &[
        ("state-order", "1", ""),
        ("stationary", "training", ""),
        ("start", "prior", ""),
        ("intercept", "on", ""),
        ("feedback", "none", ""),
        PROCESS_NOISE,
        SCALE,
        GUARD,
    ];

    fn decoder(refit: &RefitKalmanParameters, _setup: &Setup<'_>) -> Result<Box<dyn Decoder>, ModelError> {
        Ok(Box::new(runtime::RefitKalmanDecoder::new(&refit.kalman, refit.feedback.as_ref())?))
    }

    fn runtime_tensors(refit: &RefitKalmanParameters, _options: &Options) -> Option<RefitKalmanParameters> {
        let kalman = refit.kalman.without_noise(KalmanUpdate::Auto)?;
        Some(RefitKalmanParameters { kalman, feedback: refit.feedback.clone() })
    }

    fn write(
        refit: &RefitKalmanParameters,
        writer: &mut dyn TensorWriter,
    ) -> Result<Value, serde_json::Error> {
        if let Some(feedback) = &refit.feedback {
            writer.matrix("feedback", feedback);
        }
        refit.kalman.write(writer)
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<RefitKalmanParameters, ParametersError> {
        let n = source.features;
        let feedback =
            source.tensors.has("feedback").then(|| source.tensors.matrix("feedback", n, 2)).transpose()?;
        Ok(RefitKalmanParameters { kalman: KalmanParameters::read(header, source)?, feedback })
    }
}

impl DecoderTensors for RefitKalmanParameters {
    say_of_state!(kalman.);

    fn features(&self) -> usize {
        self.kalman.features()
    }

    fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError> {
        self.kalman.validate(features, dimension)?;
        self.feedback.as_ref().map_or(Ok(()), |feedback| shape("feedback", feedback, features, 2))
    }
}
