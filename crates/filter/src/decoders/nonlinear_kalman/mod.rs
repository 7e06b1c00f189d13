//! `ekf` and `ukf`: Kalman filters with networks as model of the features.

mod observation;
pub(crate) mod parameters;
pub(crate) mod runtime;

use serde_json::Value;

use self::parameters::NonlinearKalmanParameters;
use self::runtime::nonlinear_decoder;
use super::kind::{DecoderKind, GUARD, MEAN, SCALE, Setup, Taken};
use crate::decoder::Decoder;
use crate::dynamics::Linearization;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, Source, TensorWriter};

/// Makes a decoder of each way by which the measurement reaches the belief.
macro_rules! linearized {
    ($($decoder:ident, $name:literal, $summary:literal, $by:ident;)+) => {$(
        #[doc = concat!("`", $name, "`.")]
        pub(crate) struct $decoder;

        impl DecoderKind for $decoder {
            type Tensors = NonlinearKalmanParameters;

            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
            const OPTIONS: &'static [Taken] =
                &[("hidden", "8", ""), ("epochs", "40", ""), MEAN, ("stationary", "training", ""), SCALE, GUARD];

            fn holds(tensors: &Self::Tensors) -> bool {
                tensors.linearization == Linearization::$by
            }

            fn decoder(tensors: &Self::Tensors, _setup: &Setup<'_>) -> Result<Box<dyn Decoder>, ModelError> {
                nonlinear_decoder(tensors)
            }

            fn write(tensors: &Self::Tensors, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
                tensors.write(writer)
            }

            fn read(header: Value, source: &mut Source<'_>) -> Result<Self::Tensors, ParametersError> {
                NonlinearKalmanParameters::read(header, Linearization::$by, source)
            }
        }
    )+};
}

linearized! {
    Ekf, "ekf", "extended Kalman filter with networks as model of the features", Extended;
    Ukf, "ukf", "unscented Kalman filter with networks as model of the features", Unscented;
}
