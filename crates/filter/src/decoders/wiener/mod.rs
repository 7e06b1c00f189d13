//! `wiener`: linear regression on a window of bins, without a state model.

pub(crate) mod parameters;
pub mod runtime;

use serde_json::Value;

use self::parameters::{Header, WienerParameters};
use super::kind::{DecoderKind, GUARD, SCALE, Setup, Taken};
use crate::decoder::Decoder;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, Source, TensorWriter, parse};

/// See the module.
pub(crate) struct Wiener;

impl DecoderKind for Wiener {
    type Tensors = WienerParameters;

    const NAME: &'static str = "wiener";
    const SUMMARY: &'static str = "linear regression on a window of bins";
    const OPTIONS: &'static [Taken] = &[
        ("lags", "9", "fewer where there are few rows"),
        ("intercept", "on", ""),
        ("ridge", "0.001", ""),
        SCALE,
        GUARD,
    ];

    fn decoder(wiener: &WienerParameters, setup: &Setup<'_>) -> Result<Box<dyn Decoder>, ModelError> {
        Ok(Box::new(runtime::WienerDecoder::new(wiener, setup.background)))
    }

    fn write(wiener: &WienerParameters, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        wiener.write(writer);
        serde_json::to_value(Header { lags: wiener.lags })
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<WienerParameters, ParametersError> {
        let Header { lags } = parse(header)?;
        WienerParameters::read(lags, source)
    }
}
