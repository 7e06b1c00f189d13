//! From tensors to a decoder that runs.

use crate::{Decoder, ModelError, Parameters};

/// The decoder of `parameters`, whose lagged bins start as `background`.
pub(crate) fn decoder(parameters: &Parameters, _background: &[f64]) -> Result<Box<dyn Decoder>, ModelError> {
    Err(ModelError::OutOfRange { name: "decoder", value: parameters.dimension() as f64, expected: "built" })
}
