//! What each kind of conditional mean f brings along for the discriminative filters.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dkf::regression::Regression;
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, TensorReader, TensorWriter, factor};

/// A kind of f by its name.
pub(crate) trait MeanKind: ConditionalMean + Sized {
    /// What the header calls it.
    const KIND: &'static str;

    /// Its keys in the header.
    const KEYS: &'static [&'static str];

    /// Reads f from its keys and tensors.
    fn read(header: Value, source: &mut MeanSource<'_>) -> Result<Self, ParametersError>;
}

/// What an f is read from.
pub(crate) struct MeanSource<'a> {
    pub(crate) tensors: &'a mut dyn TensorReader,
    /// Features n of one bin.
    pub(crate) features: usize,
    /// Bins in the windows that it takes.
    pub(crate) lags: usize,
    pub(crate) outputs: usize,
}

impl MeanSource<'_> {
    /// Length n l of a window.
    pub(crate) fn inputs(&self) -> Result<usize, ParametersError> {
        Ok(self.features * factor("lags", self.lags)?)
    }
}

/// The tensors of an f.
pub(crate) trait ConditionalMean {
    /// Length n l of the window it takes.
    fn inputs(&self) -> usize;

    /// f at work.
    fn regression(&self, path: KernelPath) -> Box<dyn Regression>;

    /// Checks it over windows of `inputs` values, bins of `features`.
    fn validate(&self, inputs: usize, features: usize, outputs: usize) -> Result<(), ModelError>;

    /// Writes the tensors; gives its keys in the header.
    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error>;

    /// Whether f depends on the past beyond the window.
    fn remembers(&self) -> bool {
        false
    }

    /// Points that a bin is compared with, and their scales, for a Q with the same.
    fn compared_points(&self) -> Option<(&DMatrix<f64>, Option<&[f64]>)> {
        None
    }
}

/// The part of a header that has no keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::empty_structs_with_brackets, reason = "one without would be null in the header")]
pub(crate) struct NoKeys {}
