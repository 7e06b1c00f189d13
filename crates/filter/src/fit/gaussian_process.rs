//! Placeholder.

use super::learner::{Examples, Learner};
use super::{FitError, FitProgress, FitReport, FitSettings};
use crate::DecoderSpec;

pub(crate) fn learner(
    _spec: &DecoderSpec,
    _examples: &Examples<'_>,
    _rows: &[usize],
    _settings: &FitSettings,
    _report: &mut FitReport,
    _progress: &mut dyn FnMut(FitProgress),
) -> Result<Box<dyn Learner>, FitError> {
    Err(FitError::NoBandwidth)
}
