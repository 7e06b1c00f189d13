//! How good a decoder is, by fits that leave rows out: once more without each of five blocks of consecutive trials, or rows where
//! there are none, each of which decodes its block from the first row. Cost: five fits, on all cores. Which features a decoder takes is
//! found in each of them anew: rows that chose them would speak well of them.

use core::ops::Range;
use std::borrow::Cow;

use kalmind_types::Intent;
use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::accuracy;
use crate::covariance_calibration::{self, HeldOutError};
use crate::decoders::{parameters, what_it_decodes};
use crate::held_out::HeldOut;
use crate::learner::Examples;
use crate::reduction::{fit_reduction, reduced};
use crate::windows::folds_of;
use crate::{FitProgress, FitReport, FitSettings};
use kalmind_filter::published_covariance::Measure;
use kalmind_filter::{DecoderSpec, FitQuality, Folds, KernelPath, Parameters, TrainingData};

/// Finds what a decoder with a factor on its covariance says of held-out rows, and how much of them that covers.
pub(crate) fn judge(
    parameters: &Parameters,
    spec: &DecoderSpec,
    whole: &Examples<'_>,
    settings: &FitSettings,
    report: &mut FitReport,
    progress: &mut dyn FnMut(FitProgress),
) {
    match held_out_errors(parameters, spec, whole, settings, Some(progress)) {
        Ok((errors, held_out)) => {
            report.covers(&covariance_calibration::scaled(&errors, |_row| 1.0), parameters.dimension());
            report.held_out = Some(held_out);
        }
        Err(problem) => {
            report.held_out = None;
            report.warnings.push(format!(
                "how good the selected features are could not be told from held-out rows: {problem}"
            ));
        }
    }
}

/// Takes over what an earlier fit found on held-out rows: none are held out now.
pub(crate) fn keep_quality(earlier: &FitReport, report: &mut FitReport) {
    report.held_out = None;
    report.quality = earlier.quality.clone().map(|quality| FitQuality { of_earlier_fit: true, ..quality });
}

/// What the decoder errs and says in rows that it was not fitted to, in time order. With `progress` one fit follows the other,
/// each on all cores by itself and with its part of the budget, so that a long one can be watched and given up.
pub(crate) fn held_out_errors(
    parameters: &Parameters,
    spec: &DecoderSpec,
    whole: &Examples<'_>,
    settings: &FitSettings,
    progress: Option<&mut dyn FnMut(FitProgress)>,
) -> Result<(Vec<HeldOutError>, HeldOut), String> {
    let data = whole.data;
    let truth = &*what_it_decodes(spec.decoder, data);
    let measure = Measure::new(&parameters.marginal_covariance()).map_err(|error| error.to_string())?;
    let all: Vec<usize> = (0..data.rows()).collect();
    let (of, folds) = folds_of(data, &all);
    let count = folds.len();
    let fit_without = |block: &Range<usize>, settings: &FitSettings, told: &mut dyn FnMut(FitProgress)| {
        held_out_block(block, spec, whole, truth, settings, &measure, told)
    };
    let blocks: Result<Vec<Block>, String> = match progress {
        None => folds.into_par_iter().map(|block| fit_without(&block, settings, &mut |_| ())).collect(),
        Some(progress) => {
            let one_by_one = folds.iter().enumerate().map(|(at, block)| {
                let budget = settings.budget.map(|budget| budget.part(1.0 / (count - at) as f64));
                let settings = FitSettings { budget, ..settings.clone() };
                let done = 0.9 + 0.1 * at as f64 / count as f64;
                fit_without(block, &settings, &mut |_| progress(FitProgress::new("held-out selection", done)))
            });
            one_by_one.collect()
        }
    };
    let mut found = Block::default();
    for block in blocks? {
        found.errors.extend(block.errors);
        found.rows.extend(block.rows);
        found.means.extend(block.means);
        found.steps += block.steps;
        found.fallback_steps += block.fallback_steps;
    }
    if found.errors.is_empty() {
        return Err("no row may be judged".to_owned());
    }
    let held_out = HeldOut {
        folds: Folds { of, count },
        means: DMatrix::from_row_slice(found.rows.len(), data.states.ncols(), &found.means),
        rows: found.rows,
        steps: found.steps,
        fallback_steps: found.fallback_steps,
    };
    Ok((found.errors, held_out))
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
    whole: &Examples<'_>,
    truth: &TrainingData,
    settings: &FitSettings,
    measure: &Measure,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Block, String> {
    let mut unseen = FitReport::default();
    let Examples { data, background, .. } = *whole;
    let mut others = data.without(block);
    let mut features: DMatrix<f64> = data.features.rows_range(block.clone()).into_owned();
    let mut background = Cow::Borrowed(background);
    // what decides which features are taken has not seen the block either
    if let Some(reduction) = fit_reduction(spec, &others, &mut unseen).map_err(|error| error.to_string())? {
        others = reduced(&reduction, &others);
        features = reduction.rows(&features);
        background = reduction.apply(&background).into();
    }
    let features = features.transpose();
    let fitted = parameters(spec, &others, &background, settings, &mut unseen, progress)
        .map_err(|error| error.to_string())?;
    let mut decoder = spec
        .decoder
        .decoder(&fitted, &spec.options, &background, KernelPath::detect())
        .map_err(|error| error.to_string())?;
    // the factor is applied to the intent less the mean at which it rests, where the state model has one
    let rest = fitted.state_model().and_then(|state| state.mean.clone());
    let mut found = Block::default();
    let mut intent = Intent::zero(fitted.dimension());
    let mut before: Option<Vec<f64>> = None;
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
