//! The discriminative filters as decoders.

use serde_json::Value;

use super::discriminative::Discriminative;
use super::parameters::DkfParameters;
use super::runtime::DkfDecoder;
use crate::decoder::Decoder;
use crate::decoders::kind::{DecoderKind, Setup, Taken};
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, Source, TensorWriter};

impl<K: Discriminative> DecoderKind for K {
    type Tensors = DkfParameters;

    const NAME: &'static str = <K as Discriminative>::NAME;
    const SUMMARY: &'static str = <K as Discriminative>::SUMMARY;
    const OPTIONS: &'static [Taken] = <K as Discriminative>::OPTIONS;
    const GUARDED: bool = <K as Discriminative>::GUARDED;

    fn holds(dkf: &DkfParameters) -> bool {
        // one of any kind keeps its name whatever was chosen
        Self::REGRESSOR.is_none_or(|kind| kind == dkf.regressor.kind())
    }

    fn called() -> String {
        let name = <K as Discriminative>::NAME;
        if Self::REGRESSOR.is_some() { format!("`{name}`") } else { format!("an ensemble (`{name}`)") }
    }

    fn decoder(dkf: &DkfParameters, setup: &Setup<'_>) -> Result<Box<dyn Decoder>, ModelError> {
        Ok(Box::new(DkfDecoder::new(dkf, setup.background, setup.path)?))
    }

    fn write(dkf: &DkfParameters, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        dkf.write(Self::REGRESSOR, writer)
    }

    fn read(header: Value, source: &mut Source<'_>) -> Result<DkfParameters, ParametersError> {
        DkfParameters::read(header, Self::REGRESSOR, source)
    }
}
