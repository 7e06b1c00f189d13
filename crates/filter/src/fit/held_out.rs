//! What a decoder says of rows that it was not fitted to, and how good that is.
//!
//! The discriminative filters leave this behind when they are fitted: f and Q are cross-fitted anyhow. The others are fitted
//! once more without each fold and decode it, which costs five fits (least squares for most of them). Hyperparameters that
//! a fit chooses, and the state model of a discriminative filter, have seen all rows; the regression has not.

use kalmind_types::Intent;
use nalgebra::DMatrix;

use super::refit::what_it_decodes;
use super::windows::{column_means, folds_of};
use super::{FitError, FitProgress, FitReport, FitSettings, Fitted, parameters};
use crate::chance::against_shifted_states;
use crate::{AgainstChance, DecoderSpec, FitQuality, Folds, KernelPath, TrainingData, build};

/// What a decoder said of held-out rows.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// How they were held out.
    pub folds: Folds,
    /// The rows scored, ascending.
    pub rows: Vec<usize>,
    /// What was decoded at each, rows x d.
    pub means: DMatrix<f64>,
    /// Steps with features.
    pub steps: usize,
    /// Those in which the filter took another form, or no measurement.
    pub fallback_steps: usize,
}

/// How good a fit is, put into its report with what speaks against it: run it once after [`fit`](super::fit), with the same
/// arguments. `trials` is the result of a test against chance that exchanges the targets of trials; without one the states
/// are shifted in time.
///
/// Cost: nothing to speak of for the discriminative filters, five more fits for the others; without trials a product of rows
/// and components for each of up to 2000 shifts.
pub fn judge(
    spec: &DecoderSpec,
    data: &TrainingData,
    settings: &FitSettings,
    trials: Option<AgainstChance>,
    fitted: &mut Fitted,
    progress: &mut dyn FnMut(FitProgress),
) {
    let held = match fitted.held_out.take() {
        Some(held) => Ok(held),
        None => cross_fit(spec, data, settings, progress),
    };
    match held {
        Ok(held) if held.rows.is_empty() => fitted.report.warnings.push(NOT_JUDGED.to_owned()),
        Ok(held) => {
            let truth = what_it_decodes(spec, data);
            let chance = trials.unwrap_or_else(|| against_shifted_states(&truth, &held));
            let quality = FitQuality::of(&truth, &held, chance);
            fitted.report.warnings.extend(quality.warnings());
            fitted.report.quality = Some(quality);
        }
        Err(error) => fitted.report.warnings.push(format!("{NOT_JUDGED}: {error}")),
    }
}

const NOT_JUDGED: &str = "how good the decoder is could not be told from held-out rows";

/// Fits the decoder without each fold, and decodes the fold from its first row.
fn cross_fit(
    spec: &DecoderSpec,
    data: &TrainingData,
    settings: &FitSettings,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<HeldOut, FitError> {
    let truth = what_it_decodes(spec, data);
    let all: Vec<usize> = (0..data.rows()).collect();
    let (of, blocks) = folds_of(data, &all);
    let mut held = HeldOut {
        folds: Folds { of, count: blocks.len() },
        rows: Vec::new(),
        means: DMatrix::zeros(0, data.states.ncols()),
        steps: 0,
        fallback_steps: 0,
    };
    let mut means = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        progress(FitProgress::new("judging", at as f64 / blocks.len() as f64));
        let others = data.without(block);
        let background = settings.background.clone().unwrap_or_else(|| column_means(&others.features));
        let mut report = FitReport::default();
        let parameters = parameters(spec, &others, &background, settings, &mut report, &mut |_| {})?;
        let mut decoder = build::decoder(&parameters, &spec.options, &background, KernelPath::detect())
            .map_err(|error| FitError::FoldCannotRun(error.to_string()))?;
        let mut intent = Intent::zero(data.states.ncols());
        let mut features = vec![0.0; data.features.ncols()];
        for row in block.clone() {
            if data.starts_segment(row) {
                decoder.restart();
            }
            if decoder.takes_cursor()
                && let Some(sample) = data.task.as_ref().and_then(|task| task.get(row))
            {
                decoder.observe_cursor(sample.cursor);
            }
            for (feature, value) in features.iter_mut().zip(data.features.row(row).iter()) {
                *feature = *value;
            }
            let report = decoder.step(Some(&features), &mut intent);
            held.steps += 1;
            held.fallback_steps += usize::from(report.fallback);
            if report.valid && truth.may_train_measurement(row) {
                held.rows.push(row);
                means.extend_from_slice(intent.mean());
            }
        }
    }
    held.means = DMatrix::from_row_slice(held.rows.len(), data.states.ncols(), &means);
    Ok(held)
}
