//! The fit of `wiener`: ridge regression of intents on windows.

use nalgebra::DMatrix;

use crate::decoders::kind::DecoderFit;
use crate::linear::{choose_ridge, cross_fitted, fit_linear};
use crate::windows::{column_means, second_moment, states_at, windows};
use crate::{FitError, FitReport};
use kalmind_filter::{Choice, CovarianceScale, DecoderSpec, Parameters, TrainingData, WienerParameters};

/// Default `lags`, as far as there are rows for their weights.
const LAGS: usize = 9;
/// Rows to each input of the default window.
const ROWS_AN_INPUT: usize = 5;
/// Default `ridge`, relative to the variance of each input.
const RIDGE: f64 = 1e-3;

/// See the module.
pub(super) const FIT: DecoderFit = DecoderFit::of(|job| {
    Ok(Parameters::Wiener(regress(job.spec, job.data, job.background, job.report)?.parameters))
});

/// A Wiener filter and what it gave for rows that it was not fitted to, rows x d.
pub(super) struct Regression {
    pub(super) parameters: WienerParameters,
    pub(super) held_out: DMatrix<f64>,
    pub(super) states: DMatrix<f64>,
}

pub(super) fn regress(
    spec: &DecoderSpec,
    data: &TrainingData,
    background: &[f64],
    report: &mut FitReport,
) -> Result<Regression, FitError> {
    let options = &spec.options;
    let rows = data.measurement_rows();
    let affordable = rows.len() / (ROWS_AN_INPUT * data.features.ncols());
    let lags = options.lags.and_then(Choice::given).unwrap_or(LAGS.min(affordable).max(1));
    report.uses("lags", lags);
    let needed = 20.max(2 * data.states.ncols());
    if rows.len() < needed {
        return Err(FitError::TooFewRows {
            what: "rows for the measurement model",
            found: rows.len(),
            needed,
        });
    }
    let inputs = windows(data, &rows, lags, background);
    let states = states_at(data, &rows);
    let intercept = options.intercept.unwrap_or(true);
    let ridge = options.ridge.unwrap_or(Choice::Given(RIDGE));
    let ridge = choose_ridge(ridge, &inputs, &states, intercept, report)?;
    let fit = fit_linear(&inputs, &states, ridge, intercept)?;
    let held_out = cross_fitted(&inputs, &states, ridge, intercept)?;
    let parameters = WienerParameters {
        lags,
        weights: fit.weights,
        intercept: fit.intercept,
        residual_covariance: second_moment(&(&states - &held_out)),
        state_covariance: state_covariance(&states)?,
        covariance_scale: CovarianceScale::constant(1.0),
    };
    Ok(Regression { parameters, held_out, states })
}

/// Covariance of the states about their mean; an error where one never moves.
pub(crate) fn state_covariance(states: &DMatrix<f64>) -> Result<DMatrix<f64>, FitError> {
    let mut centred = states.clone();
    for (mut column, mean) in centred.column_iter_mut().zip(column_means(states)) {
        column.add_scalar_mut(-mean);
    }
    match centred.column_iter().position(|column| column.amax() == 0.0) {
        Some(column) => Err(FitError::CollinearStates { column }),
        None => Ok(second_moment(&centred)),
    }
}
