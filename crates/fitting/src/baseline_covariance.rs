//! The factor on the covariance of the baselines, and how good they are, from rows that they were not fitted to.
//!
//! A discriminative filter comes with held-out estimates, since its f is cross-fitted. A baseline is fitted once more without
//! each of five blocks of consecutive trials, or rows where there are none, and decodes the block from its first row; what it errs there makes the factor
//! ([`covariance_calibration`]), which the decoder of all rows then has. Cost: five fits, on both cores.

use core::ops::Range;

use kalmind_types::Intent;
use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::accuracy;
use crate::covariance_calibration::{self, HeldOutError};
use crate::decoders::{parameters, what_it_decodes};
use crate::held_out::HeldOut;
use crate::learner::Examples;
use crate::windows::folds_of;
use crate::{FitError, FitReport, FitSettings};
use kalmind_filter::published_covariance::Measure;
use kalmind_filter::{
    Choice, CovarianceScale, DecoderSpec, FitQuality, Folds, KernelPath, Parameters, TrainingData,
};

/// Gives `parameters`, fitted to `data`, the factor that `covariance-scale` asks for, and notes the coverage.
///
/// Where there are too few rows to hold some out, the factor stays one, with a warning.
pub(crate) fn calibrate(
    parameters: &mut Parameters,
    spec: &DecoderSpec,
    data: &TrainingData,
    background: &[f64],
    settings: &FitSettings,
    report: &mut FitReport,
) {
    let wanted = spec.options.covariance_scale.unwrap_or(Choice::Auto);
    let scale = match held_out_errors(parameters, spec, data, background, settings) {
        Ok((errors, held_out)) => {
            report.held_out = Some(held_out);
            let (scale, distances) = match wanted {
                Choice::Given(factor) => (
                    CovarianceScale::constant(factor),
                    covariance_calibration::scaled(&errors, |_row| factor),
                ),
                Choice::Auto => {
                    covariance_calibration::covariance_scale(&errors, &Examples { data, background, lags: 1 })
                }
            };
            report.covers(&distances, parameters.dimension());
            scale
        }
        Err(problem) => {
            report.warnings.push(format!(
                "whether the covariance holds what it says could not be told from held-out rows: {problem}"
            ));
            CovarianceScale::constant(wanted.given().unwrap_or(1.0))
        }
    };
    let [least, greatest] = scale.limits;
    report.covariance_scale = Some(libm::exp(0.5 * (least + greatest)));
    *parameters.covariance_scale_mut() = scale;
}

/// Gives `parameters` the factor of an `earlier` fit, and the report what was found then on held-out rows: none are held out.
///
/// # Errors
/// A factor that depends on another number of features than `n`.
pub(crate) fn keep(
    parameters: &mut Parameters,
    earlier: &FitReport,
    scale: &CovarianceScale,
    n: usize,
    report: &mut FitReport,
) -> Result<(), FitError> {
    if !scale.window.len().is_multiple_of(n) {
        let problem = format!("the factor on its covariance is not one of {n} features");
        return Err(FitError::OtherHyperparameters { problem });
    }
    report.covariance_scale = earlier.covariance_scale;
    report.held_out_coverage = earlier.held_out_coverage;
    report.quality = earlier.quality.clone().map(|quality| FitQuality { of_earlier_fit: true, ..quality });
    *parameters.covariance_scale_mut() = scale.clone();
    Ok(())
}

/// What the decoder errs and says in rows that it was not fitted to, in time order.
fn held_out_errors(
    parameters: &Parameters,
    spec: &DecoderSpec,
    data: &TrainingData,
    background: &[f64],
    settings: &FitSettings,
) -> Result<(Vec<HeldOutError>, HeldOut), String> {
    let truth = &*what_it_decodes(spec.decoder, data);
    let measure = Measure::new(&parameters.marginal_covariance()).map_err(|error| error.to_string())?;
    let all: Vec<usize> = (0..data.rows()).collect();
    let (of, folds) = folds_of(data, &all);
    let count = folds.len();
    let blocks: Result<Vec<Block>, String> = folds
        .into_par_iter()
        .map(|block| held_out_block(&block, spec, data, truth, background, settings, &measure))
        .collect();
    let mut whole = Block::default();
    for block in blocks? {
        whole.errors.extend(block.errors);
        whole.rows.extend(block.rows);
        whole.means.extend(block.means);
        whole.steps += block.steps;
        whole.fallback_steps += block.fallback_steps;
    }
    if whole.errors.is_empty() {
        return Err("no row may be judged".to_owned());
    }
    let held_out = HeldOut {
        folds: Folds { of, count },
        means: DMatrix::from_row_slice(whole.rows.len(), data.states.ncols(), &whole.means),
        rows: whole.rows,
        steps: whole.steps,
        fallback_steps: whole.fallback_steps,
    };
    Ok((whole.errors, held_out))
}

/// What one block, or all, showed.
#[derive(Default)]
struct Block {
    errors: Vec<HeldOutError>,
    /// Rows scored, and what was decoded at each.
    rows: Vec<usize>,
    means: Vec<f64>,
    steps: usize,
    fallback_steps: usize,
}

fn held_out_block(
    block: &Range<usize>,
    spec: &DecoderSpec,
    data: &TrainingData,
    truth: &TrainingData,
    background: &[f64],
    settings: &FitSettings,
    measure: &Measure,
) -> Result<Block, String> {
    let mut unseen = FitReport::default();
    let others = data.without(block);
    let fitted = parameters(spec, &others, background, settings, &mut unseen, &mut |_| ())
        .map_err(|error| error.to_string())?;
    let mut decoder = spec
        .decoder
        .decoder(&fitted, &spec.options, background, KernelPath::detect())
        .map_err(|error| error.to_string())?;
    // the factor is applied to the intent less the mean at which it rests, where the state model has one
    let rest = fitted.state_model().and_then(|state| state.mean.clone());
    let mut found = Block::default();
    let mut intent = Intent::zero(fitted.dimension());
    let mut before: Option<Vec<f64>> = None;
    let features: DMatrix<f64> = data.features.rows_range(block.clone()).transpose();
    let states: DMatrix<f64> = truth.states.rows_range(block.clone()).transpose();
    for (at, row) in block.clone().enumerate() {
        if data.starts_segment(row) {
            decoder.restart();
            before = None;
        }
        if decoder.takes_cursor()
            && let Some(sample) = data.task.as_ref().and_then(|task| task.get(row))
        {
            decoder.observe_cursor(sample.cursor);
        }
        let report = decoder.step(Some(features.column(at).as_slice()), &mut intent);
        found.steps += 1;
        found.fallback_steps += usize::from(report.fallback);
        if !report.valid {
            continue;
        }
        if truth.may_train_measurement(row) {
            found.rows.push(row);
            found.means.extend_from_slice(intent.mean());
        }
        let mut mean = intent.mean().to_vec();
        if let Some(rest) = &rest {
            mean.iter_mut().zip(rest.iter()).for_each(|(value, rest)| *value -= rest);
        }
        let before = before.get_or_insert_with(|| mean.clone());
        if !report.unused
            && truth.may_train_measurement(row)
            && let Some(squared_distance) = accuracy::squared_distance(states.column(at).as_slice(), &intent)
        {
            found.errors.push(HeldOutError {
                row,
                log_size: measure.log_size(&mean),
                log_surprise: measure.log_surprise(before, &mean),
                squared_distance,
            });
        }
        before.copy_from_slice(&mean);
    }
    Ok(found)
}
