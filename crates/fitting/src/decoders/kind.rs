//! What each decoder brings along for its fit.

use std::borrow::Cow;

use kalmind_filter::{Choice, DecoderName, DecoderSpec, Parameters, TrainingData};

use crate::fit_error::FitError;
use crate::learner::{Examples, Learner};
use crate::report::{FitProgress, FitReport, FitSettings};

/// How a decoder is fitted.
pub(crate) struct DecoderFit {
    /// The tensors, of states less their mean where the intent rests there; those of a baseline without a factor on its
    /// covariance.
    pub(crate) fit: fn(&mut Job<'_>) -> Result<Parameters, FitError>,
    /// How f of a discriminative filter is learnt.
    pub(crate) mean: Option<MeanFit>,
    /// Whether the intent rests at zero whatever the states' mean.
    pub(crate) rests_at_zero: bool,
    /// The rows with the states that the decoder is meant to give.
    pub(crate) decodes: fn(&TrainingData) -> Cow<'_, TrainingData>,
}

/// How f of a discriminative filter is learnt.
#[derive(Clone, Copy)]
pub(crate) struct MeanFit {
    /// Makes the learner.
    pub(crate) learner: MakeLearner,
    /// Whether the direction of f is learnt on its own where nobody says.
    pub(crate) direction: Choice<bool>,
}

/// Makes the learner of a discriminative filter's f, its hyperparameters chosen from the rows where the options leave them
/// open.
pub(crate) type MakeLearner = fn(Lesson<'_>) -> Result<Box<dyn Learner>, FitError>;

/// What a learner is made from.
pub(crate) struct Lesson<'a> {
    pub(crate) spec: &'a DecoderSpec,
    pub(crate) examples: &'a Examples<'a>,
    /// The rows to learn from, ascending.
    pub(crate) rows: &'a [usize],
    pub(crate) settings: &'a FitSettings,
    pub(crate) report: &'a mut FitReport,
    pub(crate) progress: &'a mut dyn FnMut(FitProgress),
}

/// What is to be fitted.
pub(crate) struct Job<'a> {
    pub(crate) spec: &'a DecoderSpec,
    pub(crate) data: &'a TrainingData,
    /// What lagged bins hold before a segment, n values.
    pub(crate) background: &'a [f64],
    pub(crate) settings: &'a FitSettings,
    pub(crate) report: &'a mut FitReport,
    pub(crate) progress: &'a mut dyn FnMut(FitProgress),
    /// How f of a decoder is learnt, for a fit that tries several.
    pub(crate) mean_of: fn(DecoderName) -> Option<MeanFit>,
}

impl DecoderFit {
    /// The fit of a decoder without peculiarities.
    pub(crate) const fn of(fit: fn(&mut Job<'_>) -> Result<Parameters, FitError>) -> Self {
        Self { fit, mean: None, rests_at_zero: false, decodes: |data| Cow::Borrowed(data) }
    }
}
