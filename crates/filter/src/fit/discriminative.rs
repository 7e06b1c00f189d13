//! f, Q and their scales for the discriminative filters, all judged on rows that f was not fitted to.

use kalmind_types::Intent;
use nalgebra::DMatrix;

use super::linear::fit_linear;
use super::nadaraya_watson::{LeaveOneOut, cross_fitted};
use super::state_model::fit_state_model;
use super::windows::{second_moment, states_at, windows};
use super::{FitError, FitReport};
use crate::accuracy;
use crate::cholesky::Cholesky;
use crate::discriminative::DiscriminativeFilter;
use crate::spec::{Choice, DecoderName, NoiseKind};
use crate::wiener::triangle;
use crate::{
    DecoderSpec, DkfParameters, FitProgress, Form, ModelError, Noise, Regressor, Start, StateModel,
    TrainingData,
};

/// Pivots of Q below this part of their diagonal entry mean that residuals follow from each other.
const COLLINEAR: f64 = 1e-12;
/// Factors on Q that `q-scale=auto` tries.
const NOISE_SCALES: [f64; 11] = [0.25, 0.35, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0, 2.8];
/// Default `ridge` of `dkf-linear`, relative to the mean variance of an input.
const RIDGE: f64 = 1e-4;

/// f with what it says of held-out rows, and Q.
struct Measurement {
    regressor: Regressor,
    /// f of each measurement row by folds that it is not in.
    held_out: DMatrix<f64>,
    noise: Noise,
    /// Q of each measurement row without its own residual, as lower triangles.
    held_out_noise: Vec<Vec<f64>>,
}

/// Fits `dkf-linear` and `dkf-nw`.
pub(crate) fn fit_discriminative(
    spec: &DecoderSpec,
    data: &TrainingData,
    background: &[f64],
    report: &mut FitReport,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<DkfParameters, FitError> {
    let options = &spec.options;
    progress(FitProgress { stage: "state model", done: 0.0 });
    let state = fit_state_model(
        data,
        options.state_order.unwrap_or(1),
        options.stationary.unwrap_or_default(),
        report,
    )?;
    let rows = data.measurement_rows();
    let needed = 20.max(2 * data.states.ncols());
    if rows.len() < needed {
        return Err(FitError::TooFewRows {
            what: "rows for the measurement model",
            found: rows.len(),
            needed,
        });
    }
    let lags = options.lags.unwrap_or(1);
    let inputs = windows(data, &rows, lags, background);
    let states = states_at(data, &rows);
    let measurement = fit_measurement(spec, inputs, &states, report, progress)?;
    progress(FitProgress { stage: "scales", done: 0.9 });
    let form = options.form.unwrap_or(Form::Standard);
    let start = options.start.unwrap_or(Start::First);
    let run = |scale: f64| held_out_run(data, &rows, &state, &measurement, form, start, scale);
    let unfit = |_error: ModelError| FitError::NoResiduals { column: 0 };
    let noise_scale = match options.noise_scale.unwrap_or(Choice::Given(1.0)) {
        Choice::Given(scale) => scale,
        Choice::Auto => {
            let mut best = (f64::INFINITY, 1.0);
            for scale in NOISE_SCALES {
                let error = run(scale).map_err(unfit)?.squared_error;
                if error < best.0 {
                    best = (error, scale);
                }
            }
            best.1
        }
    };
    let held_out = run(noise_scale).map_err(unfit)?;
    let covariance_scale = match options.covariance_scale.unwrap_or(Choice::Auto) {
        Choice::Given(scale) => scale,
        Choice::Auto => accuracy::covariance_scale(&held_out.squared_distances, state.dimension()),
    };
    report.noise_scale = Some(noise_scale);
    report.covariance_scale = Some(covariance_scale);
    report.fallback_steps = Some(held_out.fallbacks);
    Ok(DkfParameters {
        state,
        form,
        start,
        lags,
        regressor: measurement.regressor,
        noise: measurement.noise,
        noise_scale,
        covariance_scale,
    })
}

fn fit_measurement(
    spec: &DecoderSpec,
    inputs: DMatrix<f64>,
    states: &DMatrix<f64>,
    report: &mut FitReport,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Measurement, FitError> {
    let options = &spec.options;
    let (regressor, held_out) = if spec.decoder == DecoderName::DkfLinear {
        progress(FitProgress { stage: "regression", done: 0.1 });
        let fit =
            fit_linear(&inputs, states, options.ridge.unwrap_or(RIDGE), options.intercept.unwrap_or(true))?;
        (Regressor::Linear { weights: fit.weights, intercept: fit.intercept }, fit.held_out)
    } else {
        progress(FitProgress { stage: "bandwidth", done: 0.1 });
        let kernel = LeaveOneOut::new(&inputs, states);
        let (bandwidth, error) = match options.bandwidth.unwrap_or(Choice::Auto) {
            Choice::Given(bandwidth) => (bandwidth, kernel.errors(&[bandwidth])[0]),
            Choice::Auto => kernel.best_bandwidth()?,
        };
        report.bandwidth = Some(bandwidth);
        report.leave_one_out_error = Some(error);
        progress(FitProgress { stage: "cross-fitting", done: 0.6 });
        let held_out = cross_fitted(&inputs, states, bandwidth);
        let regressor = Regressor::NadarayaWatson {
            points: inputs.clone(),
            values: states.clone(),
            bandwidth,
            scales: None,
        };
        (regressor, held_out)
    };
    let residuals = states - &held_out;
    let constant = second_moment(&residuals);
    Cholesky::new(&constant, COLLINEAR).map_err(|column| FitError::NoResiduals { column })?;
    if options.noise.unwrap_or(NoiseKind::Constant) == NoiseKind::Constant {
        let held_out_noise = vec![triangle(&constant)];
        let noise = Noise::Constant { covariance: constant };
        return Ok(Measurement { regressor, held_out, noise, held_out_noise });
    }
    progress(FitProgress { stage: "kernel of the noise", done: 0.7 });
    let d = states.ncols();
    let entries: Vec<(usize, usize)> =
        (0..d).flat_map(|row| (0..=row).map(move |column| (row, column))).collect();
    let residual_products = DMatrix::from_fn(residuals.nrows(), entries.len(), |row, entry| {
        let (left, right) = entries[entry];
        residuals[(row, left)] * residuals[(row, right)]
    });
    let kernel = LeaveOneOut::new(&inputs, &residual_products);
    let (bandwidth, _error) = kernel.best_bandwidth()?;
    report.noise_bandwidth = Some(bandwidth);
    let prior = triangle(&constant);
    let prior_samples = (d + 1) as f64;
    let held_out_noise = kernel
        .predictions(bandwidth)
        .into_iter()
        .map(|(products, effective)| {
            let all = effective + prior_samples;
            products
                .iter()
                .zip(&prior)
                .map(|(product, prior)| (effective * product + prior_samples * prior) / all)
                .collect()
        })
        .collect();
    let noise = Noise::Kernel {
        residual_products,
        bandwidth,
        scales: None,
        prior_covariance: constant,
        prior_samples,
        points: inputs,
    };
    Ok(Measurement { regressor, held_out, noise, held_out_noise })
}

/// What the filter makes of the training rows with f and Q of rows that it was not fitted to.
struct HeldOutRun {
    squared_error: f64,
    /// `(z - mu)' Sigma^-1 (z - mu)` of each measured row.
    squared_distances: Vec<f64>,
    fallbacks: usize,
}

fn held_out_run(
    data: &TrainingData,
    measurement_rows: &[usize],
    state: &StateModel,
    measurement: &Measurement,
    form: Form,
    start: Start,
    noise_scale: f64,
) -> Result<HeldOutRun, ModelError> {
    let d = state.dimension();
    let mut run = HeldOutRun { squared_error: 0.0, squared_distances: Vec::new(), fallbacks: 0 };
    let mut at = 0;
    let mut intent = Intent::zero(d);
    for segment in data.segments() {
        let mut filter = DiscriminativeFilter::new(state, form, start)?;
        for row in segment {
            if measurement_rows.get(at) != Some(&row) {
                filter.step(None, &mut intent);
                continue;
            }
            let f: Vec<f64> = measurement.held_out.row(at).iter().copied().collect();
            let noise = measurement.held_out_noise.get(at).unwrap_or(&measurement.held_out_noise[0]);
            let q: Vec<f64> = noise.iter().map(|entry| noise_scale * entry).collect();
            let report = filter.step(Some((&f, &q)), &mut intent);
            at += 1;
            run.fallbacks += usize::from(report.fallback);
            if !report.valid {
                continue;
            }
            let truth: Vec<f64> = data.states.row(row).iter().copied().collect();
            run.squared_error +=
                truth.iter().zip(intent.mean()).map(|(truth, mean)| (truth - mean).powi(2)).sum::<f64>();
            if let Some(distance) = accuracy::squared_distance(&truth, &intent) {
                run.squared_distances.push(distance);
            }
        }
    }
    Ok(run)
}
