//! Whether tensors fit together: every shape, number and covariance, checked before a decoder is built.

use nalgebra::DMatrix;

use crate::cholesky::Cholesky;
use crate::{
    DkfParameters, KalmanParameters, ModelError, Noise, Parameters, Regressor, StateModel, WienerParameters,
};

/// Pivots below this part of their diagonal entry count as zero.
const SINGULAR: f64 = 1e-14;

/// Checks the tensors of a decoder of `features` features a bin and `dimension` components.
pub(crate) fn validate_parameters(
    parameters: &Parameters,
    features: usize,
    dimension: usize,
) -> Result<(), ModelError> {
    match parameters {
        Parameters::Kalman(kalman) | Parameters::KalmanSteady(kalman) => {
            validate_kalman(kalman, features, dimension)?;
            if matches!(parameters, Parameters::KalmanSteady(_)) && kalman.state.order != 1 {
                return out_of_range("order of a steady-state Kalman filter", kalman.state.order as f64, "1");
            }
            Ok(())
        }
        Parameters::Wiener(wiener) => validate_wiener(wiener, features, dimension),
        Parameters::Dkf(dkf) => validate_dkf(dkf, features, dimension),
    }
}

/// Checks a state model of `dimension` components.
pub(crate) fn validate_state(state: &StateModel, dimension: usize) -> Result<(), ModelError> {
    if !(1..=10).contains(&state.order) {
        return out_of_range("state order", state.order as f64, "1 to 10");
    }
    let stacked = dimension * state.order;
    shape("transition", &state.transition, dimension, stacked)?;
    covariance("process_noise", &state.process_noise, dimension, false)?;
    covariance("stationary_covariance", &state.stationary_covariance, stacked, false)
}

fn validate_kalman(kalman: &KalmanParameters, features: usize, dimension: usize) -> Result<(), ModelError> {
    validate_state(&kalman.state, dimension)?;
    shape("observation", &kalman.observation, features, dimension)?;
    shape("observation_offset", &as_column(kalman.observation_offset.as_slice()), features, 1)?;
    covariance("observation_noise", &kalman.observation_noise, features, true)
}

fn validate_wiener(wiener: &WienerParameters, features: usize, dimension: usize) -> Result<(), ModelError> {
    validate_lags(wiener.lags)?;
    shape("weights", &wiener.weights, dimension, features * wiener.lags)?;
    shape("intercept", &as_column(wiener.intercept.as_slice()), dimension, 1)?;
    covariance("residual_covariance", &wiener.residual_covariance, dimension, false)?;
    covariance("state_covariance", &wiener.state_covariance, dimension, false)
}

fn validate_dkf(dkf: &DkfParameters, features: usize, dimension: usize) -> Result<(), ModelError> {
    validate_state(&dkf.state, dimension)?;
    covariance("stationary_covariance (newest block)", &dkf.state.marginal_covariance(), dimension, true)?;
    validate_lags(dkf.lags)?;
    let inputs = features * dkf.lags;
    match &dkf.regressor {
        Regressor::NadarayaWatson { points, values, bandwidth, scales } => {
            validate_points("points", points, inputs)?;
            shape("values", values, points.nrows(), dimension)?;
            validate_kernel(*bandwidth, scales.as_deref(), inputs)?;
        }
        Regressor::Linear { weights, intercept } => {
            shape("weights", weights, dimension, inputs)?;
            shape("intercept", &as_column(intercept.as_slice()), dimension, 1)?;
        }
    }
    match &dkf.noise {
        Noise::Constant { covariance: q } => covariance("noise_covariance", q, dimension, true)?,
        Noise::Kernel { points, residual_products, bandwidth, scales, prior_covariance, prior_samples } => {
            validate_points("noise_points", points, inputs)?;
            let triangle = dimension * (dimension + 1) / 2;
            shape("residual_products", residual_products, points.nrows(), triangle)?;
            validate_kernel(*bandwidth, scales.as_deref(), inputs)?;
            covariance("prior_covariance", prior_covariance, dimension, true)?;
            if !(prior_samples.is_finite() && *prior_samples >= 0.0) {
                return out_of_range("prior_samples", *prior_samples, "0 or more");
            }
        }
    }
    positive("noise_scale", dkf.noise_scale)?;
    positive("covariance_scale", dkf.covariance_scale)
}

fn validate_lags(lags: usize) -> Result<(), ModelError> {
    if (1..=100).contains(&lags) { Ok(()) } else { out_of_range("lags", lags as f64, "1 to 100") }
}

fn validate_points(tensor: &'static str, points: &DMatrix<f64>, inputs: usize) -> Result<(), ModelError> {
    if points.nrows() == 0 {
        return out_of_range("the number of points", 0.0, "at least 1");
    }
    shape(tensor, points, points.nrows(), inputs)
}

fn validate_kernel(bandwidth: f64, scales: Option<&[f64]>, inputs: usize) -> Result<(), ModelError> {
    positive("bandwidth", bandwidth)?;
    if let Some(scales) = scales {
        shape("scales", &as_column(scales), inputs, 1)?;
        if let Some(&negative) = scales.iter().find(|&&scale| scale < 0.0) {
            return out_of_range("a scale", negative, "0 or more");
        }
    }
    Ok(())
}

fn positive(name: &'static str, value: f64) -> Result<(), ModelError> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { out_of_range(name, value, "above 0") }
}

fn out_of_range<T>(name: &'static str, value: f64, expected: &'static str) -> Result<T, ModelError> {
    Err(ModelError::OutOfRange { name, value, expected })
}

fn as_column(values: &[f64]) -> DMatrix<f64> {
    DMatrix::from_column_slice(values.len(), 1, values)
}

fn shape(tensor: &'static str, matrix: &DMatrix<f64>, rows: usize, columns: usize) -> Result<(), ModelError> {
    if matrix.shape() != (rows, columns) {
        return Err(ModelError::Shape {
            tensor,
            found: format!("{} x {}", matrix.nrows(), matrix.ncols()),
            expected: format!("{rows} x {columns}"),
        });
    }
    for row in 0..rows {
        if let Some(column) = (0..columns).find(|&column| !matrix[(row, column)].is_finite()) {
            return Err(ModelError::NotFinite { tensor, row, column, value: matrix[(row, column)] });
        }
    }
    Ok(())
}

fn covariance(
    tensor: &'static str,
    matrix: &DMatrix<f64>,
    size: usize,
    strict: bool,
) -> Result<(), ModelError> {
    shape(tensor, matrix, size, size)?;
    let not_positive = || ModelError::NotPositive { tensor, strict };
    let largest = matrix.amax();
    for row in 0..size {
        for column in 0..row {
            if (matrix[(row, column)] - matrix[(column, row)]).abs() > 1e-9 * largest {
                return Err(not_positive());
            }
        }
    }
    if strict {
        return Cholesky::new(matrix, SINGULAR).map(|_factor| ()).map_err(|_column| not_positive());
    }
    let mut raised = matrix.clone();
    for entry in 0..size {
        raised[(entry, entry)] += 1e-9 * largest + f64::MIN_POSITIVE;
    }
    Cholesky::new(&raised, 0.0).map(|_factor| ()).map_err(|_column| not_positive())
}

impl Parameters {
    /// What to call them in an error.
    pub(crate) fn family(&self) -> &'static str {
        match self {
            Self::Kalman(_) => "`kalman`",
            Self::KalmanSteady(_) => "`kalman-steady`",
            Self::Wiener(_) => "`wiener`",
            Self::Dkf(DkfParameters { regressor: Regressor::Linear { .. }, .. }) => "`dkf-linear`",
            Self::Dkf(DkfParameters { regressor: Regressor::NadarayaWatson { .. }, .. }) => "`dkf-nw`",
        }
    }
}
