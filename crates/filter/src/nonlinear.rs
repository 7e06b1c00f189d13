//! `ekf` and `ukf`: Kalman filters whose model of the features is a network.

use crate::{Decoder, ModelError, NonlinearKalmanParameters};

/// The decoder of validated parameters.
pub(crate) fn nonlinear_decoder(
    _nonlinear: &NonlinearKalmanParameters,
) -> Result<Box<dyn Decoder>, ModelError> {
    Err(ModelError::OutOfRange { name: "the decoder", value: f64::NAN, expected: "one that exists" })
}
