//! `ole`: the optimal linear estimate from one bin (l = 1) under a linear model of the features.

use serde_json::Value;

use super::kind::{DecoderKind, GUARD, SCALE, Setup, Taken};
use super::mean::NoKeys;
use super::wiener::parameters::WienerParameters;
use super::wiener::runtime::WienerDecoder;
use crate::decoder::Decoder;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, Source, TensorWriter, parse};

/// See the module.
pub(crate) struct Ole;

impl DecoderKind for Ole {
    type Tensors = WienerParameters;

    const NAME: &'static str = "ole";
    const SUMMARY: &'static str = "optimal linear estimate from one bin";
    const OPTIONS: &'static [Taken] = &[("intercept", "on", ""), SCALE, GUARD];

    fn decoder(wiener: &WienerParameters, setup: &Setup<'_>) -> Result<Box<dyn Decoder>, ModelError> {
        Ok(Box::new(WienerDecoder::new(wiener, setup.background)))
    }

    fn write(wiener: &WienerParameters, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        wiener.write(writer);
        serde_json::to_value(NoKeys {})
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<WienerParameters, ParametersError> {
        let NoKeys {} = parse(header)?;
        WienerParameters::read(1, source)
    }
}
