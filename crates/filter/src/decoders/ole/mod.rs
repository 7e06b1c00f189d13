//! `ole`: the optimal linear estimate from one bin (l = 1) under a linear model of the features.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{DecoderKind, GUARD, SCALE, Taken};
use super::wiener::parameters::WienerParameters;
use super::wiener::runtime::WienerDecoder;
use crate::decoder::Decoder;
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::options::Options;
use crate::tensors::{ParametersError, Source, TensorWriter, parse};

/// See the module.
pub(crate) struct Ole;

/// The header's `parameters`: none.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::empty_structs_with_brackets, reason = "one without would be null in the header")]
struct Header {}

impl DecoderKind for Ole {
    type Tensors = WienerParameters;

    const NAME: &'static str = "ole";
    const SUMMARY: &'static str = "optimal linear estimate from one bin";
    const OPTIONS: &'static [Taken] = &[("intercept", "on", ""), SCALE, GUARD];

    fn validate(wiener: &WienerParameters, features: usize, dimension: usize) -> Result<(), ModelError> {
        wiener.validate(features, dimension)
    }

    fn decoder(
        wiener: &WienerParameters,
        _options: &Options,
        background: &[f64],
        _path: KernelPath,
    ) -> Result<Box<dyn Decoder>, ModelError> {
        Ok(Box::new(WienerDecoder::new(wiener, background)))
    }

    fn write(wiener: &WienerParameters, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        wiener.write(writer);
        serde_json::to_value(Header {})
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<WienerParameters, ParametersError> {
        let Header {} = parse(header)?;
        WienerParameters::read(1, source)
    }
}
