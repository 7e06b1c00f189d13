//! Fitting a decoder: checks of the rows, its tensors, the factor on its covariance, and the guard's statistics.

use std::collections::BTreeSet;

use kalmind_filter::{DecoderSpec, TrainingData};

use crate::fit_error::FitError;
use crate::guard::guard_statistics;
use crate::learner::Examples;
use crate::reduction::{asks_for_reduction, fit_reduction, reduced};
use crate::report::{EarlierFit, FitProgress, FitReport, FitSettings, Fitted};
use crate::windows::FOLDS;
use crate::{baseline_covariance, decoders, held_out_fits, training, windows};

/// Fits where a selection is judged on held-out rows: one to all rows, and one without each fold.
const FITS: f64 = 1.0 + FOLDS as f64;

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
    let (spec, reduction) = match &settings.keep {
        Some(earlier) if earlier.reduction.is_none() && asks_for_reduction(spec) => {
            let problem = format!("`{spec}` asks for a reduction of the features, and it has none");
            return Err(FitError::OtherHyperparameters { problem });
        }
        Some(earlier) => (earlier.report.fixed(spec, &mut report)?, earlier.reduction.clone()),
        None => (*spec, fit_reduction(spec, data, &mut report)?),
    };
    let whole = Examples { data, background: &background, lags: 1 };
    let (reduced_data, reduced_background);
    let taken = match &reduction {
        None => whole,
        Some(reduction) => {
            reduced_data = reduced(reduction, data);
            reduced_background = reduction.apply(&background);
            Examples { data: &reduced_data, background: &reduced_background, lags: 1 }
        }
    };
    // what the selection has seen is held out from it in fits of their own
    let selects = reduction.as_ref().is_some_and(|reduction| reduction.selected.is_some());
    let budget = settings.budget.map(|budget| if selects { budget.part(1.0 / FITS) } else { budget });
    let own_settings = FitSettings { budget, ..settings.clone() };
    let mut parameters =
        decoders::parameters(&spec, taken.data, taken.background, &own_settings, &mut report, progress)?;
    let scales_itself = parameters.scales_itself();
    match settings.keep.as_deref() {
        Some(earlier) if scales_itself && selects => {
            held_out_fits::keep_quality(&earlier.report, &mut report);
        }
        None if scales_itself && selects => {
            let fixed = report.fixed(&spec, &mut FitReport::default())?;
            held_out_fits::judge(&parameters, &fixed, &whole, settings, &mut report, progress);
        }
        _ if scales_itself => {}
        Some(EarlierFit { report: earlier, covariance_scale: Some(scale), .. }) => {
            progress(FitProgress::new("covariance", 0.2));
            let n = taken.background.len();
            baseline_covariance::keep(&mut parameters, earlier, scale, n, &mut report)?;
        }
        _ => {
            progress(FitProgress::new("covariance", 0.2));
            baseline_covariance::calibrate(&mut parameters, &spec, &whole, &taken, settings, &mut report);
        }
    }
    // the same is found of every order and window that is tried
    let mut said = BTreeSet::new();
    report.warnings.retain(|warning| said.insert(warning.clone()));
    progress(FitProgress::new("done", 1.0));
    let held_out = report.held_out.take();
    Ok(Fitted { parameters, reduction, report, guard: guard_statistics(data), held_out })
}
