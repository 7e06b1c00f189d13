//! Fitting a decoder: checks of the rows, its tensors, the factor on its covariance, and the guard's statistics.

use std::collections::BTreeSet;

use kalmind_filter::{DecoderSpec, TrainingData};

use crate::fit_error::FitError;
use crate::guard::guard_statistics;
use crate::report::{EarlierFit, FitProgress, FitReport, FitSettings, Fitted};
use crate::{baseline_covariance, decoders, training, windows};

/// Fits a decoder to training rows.
///
/// `progress` is called from this thread. Cost by decoder: see the modules of the decoders.
///
/// # Errors
/// Each [`FitError`] says what to do.
pub fn fit(
    spec: &DecoderSpec,
    data: &TrainingData,
    settings: &FitSettings,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Fitted, FitError> {
    training::check(data)?;
    let moves = |column: nalgebra::DVectorView<'_, f64>| {
        column.iter().any(|value| value.to_bits() != column[0].to_bits())
    };
    if data.rows() > 1 && !data.features.column_iter().any(moves) {
        return Err(FitError::NothingMoves);
    }
    let n = data.features.ncols();
    let background = match &settings.background {
        Some(background) if background.len() != n => {
            return Err(FitError::Background { found: background.len(), features: n });
        }
        Some(background) => background.clone(),
        None => windows::column_means(&data.features.select_rows(&data.measurement_rows())),
    };
    let mut report = FitReport {
        decoder: spec.to_string(),
        rows: data.rows(),
        measurement_rows: data.measurement_rows().len(),
        ..FitReport::default()
    };
    progress(FitProgress::new("start", 0.0));
    let spec = &match &settings.keep {
        Some(earlier) => earlier.report.fixed(spec, &mut report)?,
        None => *spec,
    };
    let mut parameters = decoders::parameters(spec, data, &background, settings, &mut report, progress)?;
    if !parameters.scales_itself() {
        progress(FitProgress::new("covariance", 0.2));
        match settings.keep.as_deref() {
            Some(EarlierFit { report: earlier, covariance_scale: Some(scale) }) => {
                baseline_covariance::keep(&mut parameters, earlier, scale, n, &mut report)?;
            }
            _ => baseline_covariance::calibrate(
                &mut parameters,
                spec,
                data,
                &background,
                settings,
                &mut report,
            ),
        }
    }
    // the same is found of every order and window that is tried
    let mut said = BTreeSet::new();
    report.warnings.retain(|warning| said.insert(warning.clone()));
    progress(FitProgress::new("done", 1.0));
    let held_out = report.held_out.take();
    Ok(Fitted { parameters, report, guard: guard_statistics(data), held_out })
}
