//! From what calibration gathered to a model that is ready to swap in.

use kalmind_engine::StagedModel;
use kalmind_filter::{DecoderSpec, FitError, FitProgress, FitReport, FitSettings, Model, fit};
use kalmind_recording::ModelFileError;
use kalmind_session::{Calibration, CalibrationError};
use serde_json::json;

use crate::model::{BuildError, Demand, IdentifiedModel};

/// A fitted model, built.
#[derive(Debug)]
pub struct CalibrationFit {
    /// The model.
    pub model: IdentifiedModel,
    /// What the tick runs.
    pub staged: Box<StagedModel>,
    /// Training rows.
    pub rows: usize,
    /// What the fit found.
    pub report: FitReport,
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationFitError {
    /// Too little was gathered.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The fit failed.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The fitted model cannot be written down.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// The fitted model cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Labels have two components, the intent another number.
    #[error("labels from targets have 2 components (vx, vy), but [intent] names {0}")]
    Components(usize),
}

/// Fits `spec` to z-scored features and the labels that calibration made; with `shuffle` (a seed) to labels in random
/// order, as a control; with `guard` behind a guard where the decoder's options leave it open. The seed and the budget are those of `settings`. Runs in a thread of its own on the slow side.
///
/// # Errors
/// [`CalibrationFitError`].
pub fn fit_calibration(
    calibration: &Calibration,
    spec: &DecoderSpec,
    demand: &Demand,
    shuffle: Option<u64>,
    guard: bool,
    settings: &FitSettings,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<CalibrationFit, CalibrationFitError> {
    if demand.components.len() != 2 {
        return Err(CalibrationFitError::Components(demand.components.len()));
    }
    let mut data = calibration.data(true)?;
    if let Some(seed) = shuffle {
        data = data.with_shuffled_labels(seed);
    }
    let rows = data.training.rows();
    // lagged windows start from the training mean, which z-scores to zero
    let settings = FitSettings { background: Some(vec![0.0; data.training_mean.len()]), ..settings.clone() };
    let fitted = fit(spec, &data.training, &settings, progress)?;
    let model = Model {
        decoder: *spec,
        streams: demand.streams.clone(),
        bin_ms: demand.bin_ms,
        components: demand.components.clone(),
        training_mean: data.training_mean,
        zscore: data.zscore,
        label_law: Some(data.label_law),
        participant: demand.participant.clone(),
        training_hash: Some(data.training.hash()),
        report: Some(json!(fitted.report)),
        guard: Some(fitted.guard),
        parameters: fitted.parameters,
    };
    let model = IdentifiedModel::of(&model)?;
    let staged = model.stage_live(guard)?;
    Ok(CalibrationFit { model, staged, rows, report: fitted.report })
}
