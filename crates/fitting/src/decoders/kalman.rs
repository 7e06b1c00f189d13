//! H and R of a Kalman filter by least squares of features on intents.

use nalgebra::{DMatrix, DVector};

use crate::decoders::kind::DecoderFit;
use crate::state_model::fit_state_model;
use crate::windows::{column_means, second_moment, states_at};
use crate::{FitError, FitReport};
use kalmind_filter::cholesky::Cholesky;
use kalmind_filter::{
    Choice, CovarianceScale, KalmanParameters, Options, Parameters, Start, StationarySource, TrainingData,
};

/// See the module.
pub(super) const FIT: DecoderFit =
    DecoderFit::of(|job| Ok(Parameters::Kalman(fit_kalman(job.data, &job.spec.options, job.report)?)));

/// Pivots below this part of their diagonal entry mean that a column follows from others.
const COLLINEAR: f64 = 1e-11;
/// What is added to the noise of features that leave none, as a part of their variance.
const LEAST_NOISE: f64 = 1e-8;

/// Fits `kalman` and `kalman-steady`.
pub(crate) fn fit_kalman(
    data: &TrainingData,
    options: &Options,
    report: &mut FitReport,
) -> Result<KalmanParameters, FitError> {
    Ok(fit_kalman_given(data, None, options, report)?.0)
}

/// Fits a Kalman filter to features that also depend on `known`, rows x k: `x_t = H z_t + F k_t + offset + noise`. Gives
/// F, n x k, where there is something known.
pub(crate) fn fit_kalman_given(
    data: &TrainingData,
    known: Option<&DMatrix<f64>>,
    options: &Options,
    report: &mut FitReport,
) -> Result<(KalmanParameters, Option<DMatrix<f64>>), FitError> {
    let mut state = fit_state_model(
        data,
        options.state_order.and_then(Choice::given).unwrap_or(1),
        options.stationary.unwrap_or_default(),
        report,
    )?;
    if let Some(factor) = options.process_noise {
        state.process_noise *= factor;
        if state.stationary_source == StationarySource::Lyapunov {
            // linear in the noise
            state.stationary_covariance *= factor;
        }
    }
    let intercept = options.intercept.unwrap_or(true);
    let fit = fit_observation(data, &data.measurement_rows(), known, intercept, report)?;
    let kalman = KalmanParameters {
        state,
        observation: fit.observation,
        observation_offset: fit.offset,
        observation_noise: fit.noise,
        information: None,
        start: options.start.unwrap_or(Start::Prior),
        covariance_scale: CovarianceScale::constant(1.0),
    };
    Ok((kalman, fit.known))
}

/// A linear Gaussian model of the features.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObservationFit {
    /// H, n x d.
    pub(crate) observation: DMatrix<f64>,
    /// F, n x k.
    pub(crate) known: Option<DMatrix<f64>>,
    /// n; zeros without intercept.
    pub(crate) offset: DVector<f64>,
    /// R, n x n.
    pub(crate) noise: DMatrix<f64>,
}

/// Least squares of the features at `rows` on intents, on what is `known` (of all rows, rows x k), and on one.
///
/// A feature that never moved over the rows says nothing of the intent: its row of H is zero and its noise one, apart
/// from all others, with a warning. Cost: rows (n + d)^2.
pub(crate) fn fit_observation(
    data: &TrainingData,
    rows: &[usize],
    known: Option<&DMatrix<f64>>,
    intercept: bool,
    report: &mut FitReport,
) -> Result<ObservationFit, FitError> {
    let (n, d) = (data.features.ncols(), data.states.ncols());
    let known_columns = known.map_or(0, DMatrix::ncols);
    let needed = n + d + known_columns + 2;
    if rows.len() < needed {
        return Err(FitError::TooFewRows {
            what: "rows for the measurement model",
            found: rows.len(),
            needed,
        });
    }
    let mut features = data.features.select_rows(rows);
    let mut inputs = states_at(data, rows).resize_horizontally(d + known_columns, 0.0);
    if let Some(known) = known {
        inputs.columns_mut(d, known_columns).copy_from(&known.select_rows(rows));
    }
    let still: Vec<Option<f64>> = features
        .column_iter()
        .map(|column| column.iter().all(|value| value.to_bits() == column[0].to_bits()).then_some(column[0]))
        .collect();
    let (feature_means, input_means) = (column_means(&features), column_means(&inputs));
    if intercept {
        subtract(&mut features, &feature_means);
        subtract(&mut inputs, &input_means);
    }
    let factor = Cholesky::new(&inputs.tr_mul(&inputs), COLLINEAR).map_err(|column| {
        if column < d { FitError::CollinearStates { column } } else { FitError::CollinearCursor }
    })?;
    let mut coefficients = factor.solve_columns(&inputs.tr_mul(&features)).transpose();
    let mut noise = second_moment(&(&features - &inputs * coefficients.transpose()));
    let mut offset = if intercept {
        DVector::from_vec(feature_means) - &coefficients * DVector::from_vec(input_means)
    } else {
        DVector::zeros(n)
    };
    for (feature, value) in still.iter().enumerate() {
        if let Some(value) = value {
            coefficients.row_mut(feature).fill(0.0);
            noise.row_mut(feature).fill(0.0);
            noise.column_mut(feature).fill(0.0);
            noise[(feature, feature)] = 1.0;
            offset[feature] = *value;
        }
    }
    let still_columns: Vec<String> = still
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_some())
        .map(|(feature, _)| feature.to_string())
        .collect();
    if !still_columns.is_empty() {
        report.warnings.push(format!(
            "feature columns that never moved, and so say nothing: {}",
            still_columns.join(", ")
        ));
    }
    make_positive(&mut noise, &data.features.select_rows(rows), report)?;
    Ok(ObservationFit {
        known: known.map(|_| coefficients.columns(d, known_columns).into_owned()),
        observation: coefficients.columns(0, d).into_owned(),
        offset,
        noise,
    })
}

/// Adds a little noise to every feature where some leave none (they repeat others, their sum is zero as with a common average
/// reference, or they follow from the states exactly), so that R can be inverted; a warning says so.
pub(crate) fn make_positive(
    noise: &mut DMatrix<f64>,
    features: &DMatrix<f64>,
    report: &mut FitReport,
) -> Result<(), FitError> {
    let Err(column) = Cholesky::new(noise, COLLINEAR) else { return Ok(()) };
    for (feature, values) in features.column_iter().enumerate() {
        noise[(feature, feature)] += LEAST_NOISE * values.variance();
    }
    Cholesky::new(noise, COLLINEAR).map_err(|column| FitError::SingularObservationNoise { column })?;
    report.warnings.push(format!(
        "feature column {column} repeats others, adds up with them to a constant, or follows from the states without noise: a \
         noise of {LEAST_NOISE:e} of its variance is assumed for every feature; leave repeated columns out where you can"
    ));
    Ok(())
}

fn subtract(matrix: &mut DMatrix<f64>, means: &[f64]) {
    for (mut column, mean) in matrix.column_iter_mut().zip(means) {
        column.add_scalar_mut(-mean);
    }
}
