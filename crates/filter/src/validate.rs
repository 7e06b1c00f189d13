//! Whether tensors fit together: every shape, number and covariance, checked before a decoder is built.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::DMatrix;

use crate::cholesky::Cholesky;
use crate::{
    Cell, CovarianceScale, DecoderName, DkfParameters, JointKernel, KalmanParameters, Linearization,
    ModelError, Noise, Parameters, RecurrentNetwork, Regressor, StateModel, TanhNetwork,
    WienerCascadeParameters, WienerParameters,
};

/// Pivots below this part of their diagonal entry count as zero.
const SINGULAR: f64 = 1e-14;
/// Beyond this a factor on a covariance would be lost in rounding.
const LARGEST_LOG_FACTOR: f64 = 50.0;

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
        Parameters::Wiener(wiener) | Parameters::Ole(wiener) => validate_wiener(wiener, features, dimension),
        Parameters::WienerCascade(cascade) => validate_cascade(cascade, features, dimension),
        Parameters::RefitKalman(refit) => {
            validate_kalman(&refit.kalman, features, dimension)?;
            match &refit.feedback {
                Some(feedback) => shape("feedback", feedback, features, 2),
                None => Ok(()),
            }
        }
        Parameters::NonlinearKalman(nonlinear) => {
            validate_first_order(&nonlinear.state, dimension)?;
            validate_network(&nonlinear.observation, dimension, features)?;
            covariance("observation_noise", &nonlinear.observation_noise, features, true)?;
            validate_scale(&nonlinear.covariance_scale, features)
        }
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
    if let Some(mean) = &state.mean {
        shape("state_mean", &as_column(mean.as_slice()), dimension, 1)?;
    }
    covariance("stationary_covariance", &state.stationary_covariance, stacked, false)
}

fn validate_kalman(kalman: &KalmanParameters, features: usize, dimension: usize) -> Result<(), ModelError> {
    validate_state(&kalman.state, dimension)?;
    shape("observation", &kalman.observation, features, dimension)?;
    shape("observation_offset", &as_column(kalman.observation_offset.as_slice()), features, 1)?;
    covariance("observation_noise", &kalman.observation_noise, features, true)?;
    validate_scale(&kalman.covariance_scale, features)
}

fn validate_wiener(wiener: &WienerParameters, features: usize, dimension: usize) -> Result<(), ModelError> {
    validate_lags(wiener.lags)?;
    shape("weights", &wiener.weights, dimension, features * wiener.lags)?;
    shape("intercept", &as_column(wiener.intercept.as_slice()), dimension, 1)?;
    covariance("residual_covariance", &wiener.residual_covariance, dimension, false)?;
    covariance("state_covariance", &wiener.state_covariance, dimension, false)?;
    validate_scale(&wiener.covariance_scale, features)
}

fn validate_dkf(dkf: &DkfParameters, features: usize, dimension: usize) -> Result<(), ModelError> {
    validate_state(&dkf.state, dimension)?;
    covariance("stationary_covariance (newest block)", &dkf.state.marginal_covariance(), dimension, true)?;
    validate_lags(dkf.lags)?;
    if let Some(dynamics) = &dkf.dynamics {
        validate_first_order(&dkf.state, dimension)?;
        validate_network(&dynamics.network, dimension, dimension)?;
    }
    let inputs = features * dkf.lags;
    if dkf.direction && !(2..=MAX_COMPONENTS / 2).contains(&dimension) {
        return out_of_range("the number of components with a direction", dimension as f64, "2 to 4");
    }
    let outputs = if dkf.direction { 2 * dimension } else { dimension };
    validate_regressor(&dkf.regressor, inputs, features, outputs)?;
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
    validate_scale(&dkf.covariance_scale, features)
}

fn validate_scale(scale: &CovarianceScale, features: usize) -> Result<(), ModelError> {
    let CovarianceScale { bias, size, size_squared, surprise, window, limits: [least, greatest] } = scale;
    for number in [bias, size, size_squared, surprise, least, greatest] {
        if !number.is_finite() {
            return out_of_range("a coefficient of covariance_scale", *number, "finite");
        }
    }
    if least > greatest || least.abs() > LARGEST_LOG_FACTOR || greatest.abs() > LARGEST_LOG_FACTOR {
        return out_of_range("a limit of covariance_scale", *greatest, "from -50 to 50, the least first");
    }
    if window.len() % features != 0 || window.len() > 100 * features {
        return out_of_range(
            "the length of covariance_scale_window",
            window.len() as f64,
            "n times 0 to 100",
        );
    }
    shape("covariance_scale_window", &as_column(window), window.len(), 1)
}

/// Checks a state model that has to be of order 1.
pub(crate) fn validate_first_order(state: &StateModel, dimension: usize) -> Result<(), ModelError> {
    validate_state(state, dimension)?;
    if state.order == 1 {
        Ok(())
    } else {
        out_of_range("state order", state.order as f64, "1 with this decoder")
    }
}

fn validate_cascade(
    cascade: &WienerCascadeParameters,
    features: usize,
    dimension: usize,
) -> Result<(), ModelError> {
    validate_wiener(&cascade.wiener, features, dimension)?;
    let coefficients = cascade.polynomial.ncols();
    if !(1..=10).contains(&coefficients) {
        return out_of_range("the number of polynomial coefficients", coefficients as f64, "1 to 10");
    }
    shape("polynomial", &cascade.polynomial, dimension, coefficients)?;
    shape("range", &cascade.range, dimension, 2)
}

fn validate_network(network: &TanhNetwork, inputs: usize, outputs: usize) -> Result<(), ModelError> {
    let hidden = network.hidden_bias.len();
    if hidden == 0 {
        return out_of_range("the number of hidden units", 0.0, "at least 1");
    }
    shape("hidden_weights", &network.hidden_weights, hidden, inputs)?;
    shape("hidden_bias", &as_column(network.hidden_bias.as_slice()), hidden, 1)?;
    shape("output_weights", &network.output_weights, outputs, hidden)?;
    shape("output_bias", &as_column(network.output_bias.as_slice()), outputs, 1)
}

fn validate_recurrent(
    cell: Cell,
    network: &RecurrentNetwork,
    inputs: usize,
    outputs: usize,
) -> Result<(), ModelError> {
    let gates = match cell {
        Cell::Gru => 3,
        Cell::Lstm => 4,
    };
    let mut width = inputs;
    for layer in &network.layers {
        let hidden = layer.recurrent_weights.ncols();
        if hidden == 0 {
            return out_of_range("the number of hidden units", 0.0, "at least 1");
        }
        shape("input_weights", &layer.input_weights, gates * hidden, width)?;
        shape("input_bias", &as_column(layer.input_bias.as_slice()), gates * hidden, 1)?;
        shape("recurrent_weights", &layer.recurrent_weights, gates * hidden, hidden)?;
        shape("recurrent_bias", &as_column(layer.recurrent_bias.as_slice()), gates * hidden, 1)?;
        width = hidden;
    }
    if network.layers.is_empty() {
        return out_of_range("the number of recurrent layers", 0.0, "at least 1");
    }
    shape("output_weights", &network.output_weights, outputs, width)?;
    shape("output_bias", &as_column(network.output_bias.as_slice()), outputs, 1)
}

/// Checks f over windows of `inputs` values, bins of `features`.
fn validate_regressor(
    regressor: &Regressor,
    inputs: usize,
    features: usize,
    dimension: usize,
) -> Result<(), ModelError> {
    let at_least_one = |name, count: usize| {
        if count > 0 { Ok(()) } else { out_of_range(name, 0.0, "at least 1") }
    };
    let scaling = |input_mean: &[f64], input_scale: &[f64], output_scale: &[f64]| {
        shape("input_mean", &as_column(input_mean), inputs, 1)?;
        shape("input_scale", &as_column(input_scale), inputs, 1)?;
        shape("output_scale", &as_column(output_scale), dimension, 1)
    };
    match regressor {
        Regressor::NadarayaWatson { points, values, bandwidth, scales } => {
            validate_points("points", points, inputs)?;
            shape("values", values, points.nrows(), dimension)?;
            validate_kernel(*bandwidth, scales.as_deref(), inputs)
        }
        Regressor::Linear { weights, intercept } => {
            shape("weights", weights, dimension, inputs)?;
            shape("intercept", &as_column(intercept.as_slice()), dimension, 1)
        }
        Regressor::GaussianProcess { points, coefficients, scales, offset } => {
            validate_points("points", points, inputs)?;
            shape("coefficients", coefficients, points.nrows(), dimension)?;
            validate_kernel(1.0, Some(scales), inputs)?;
            shape("offset", &as_column(offset.as_slice()), dimension, 1)
        }
        Regressor::MultipleKernel { points, coefficients, scales, weights, offset, joint } => {
            if let Some(joint) = joint {
                let JointKernel { points, coefficients, scales } = &**joint;
                validate_points("joint_points", points, inputs)?;
                shape("joint_coefficients", coefficients, points.nrows(), dimension)?;
                validate_kernel(1.0, Some(scales), inputs)?;
            }
            validate_points("points", points, inputs)?;
            let own = coefficients.nrows() == points.nrows() * inputs;
            let rows = if own { coefficients.nrows() } else { points.nrows() };
            shape("coefficients", coefficients, rows, dimension)?;
            validate_kernel(1.0, Some(scales), inputs)?;
            validate_kernel(1.0, Some(weights), inputs)?;
            shape("offset", &as_column(offset.as_slice()), dimension, 1)
        }
        Regressor::Networks { input_mean, input_scale, output_scale, networks } => {
            scaling(input_mean, input_scale, output_scale)?;
            at_least_one("the number of networks", networks.len())?;
            networks.iter().try_for_each(|network| validate_network(network, inputs, dimension))
        }
        Regressor::Recurrent { cell, input_mean, input_scale, output_scale, networks } => {
            scaling(input_mean, input_scale, output_scale)?;
            at_least_one("the number of networks", networks.len())?;
            networks.iter().try_for_each(|network| validate_recurrent(*cell, network, inputs, dimension))
        }
        Regressor::Ensemble { members } => {
            at_least_one("the number of members", members.len())?;
            for member in members {
                if matches!(member.regressor, Regressor::Ensemble { .. }) {
                    return out_of_range("ensembles within an ensemble", 1.0, "0");
                }
                validate_lags(member.lags)?;
                if member.lags * features > inputs {
                    return out_of_range(
                        "lags of a member",
                        member.lags as f64,
                        "at most those of the model",
                    );
                }
                validate_regressor(&member.regressor, member.lags * features, features, dimension)?;
                shape("weight of a member", &member.weight, dimension, dimension)?;
            }
            Ok(())
        }
    }
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

pub(crate) fn shape(
    tensor: &'static str,
    matrix: &DMatrix<f64>,
    rows: usize,
    columns: usize,
) -> Result<(), ModelError> {
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
            Self::WienerCascade(_) => "`wiener-cascade`",
            Self::Ole(_) => "`ole`",
            Self::RefitKalman(_) => "`refit-kalman`",
            Self::NonlinearKalman(nonlinear) => match nonlinear.linearization {
                Linearization::Extended => "`ekf`",
                Linearization::Unscented => "`ukf`",
            },
            Self::Dkf(dkf) => match dkf.regressor {
                Regressor::Linear { .. } => "`dkf-linear`",
                Regressor::NadarayaWatson { .. } => "`dkf-nw`",
                Regressor::GaussianProcess { .. } => "`dkf-gp`",
                Regressor::MultipleKernel { .. } => "`dkf-mk`",
                Regressor::Networks { .. } => "`dkf-nn`",
                Regressor::Recurrent { .. } => "`dkf-gru`",
                Regressor::Ensemble { .. } => "an ensemble (`auto`)",
            },
        }
    }

    /// Whether they are of the decoder `name`.
    pub(crate) fn belong_to(&self, name: DecoderName) -> bool {
        match self {
            Self::Kalman(_) => name == DecoderName::Kalman,
            Self::KalmanSteady(_) => name == DecoderName::KalmanSteady,
            Self::Wiener(_) => name == DecoderName::Wiener,
            Self::WienerCascade(_) => name == DecoderName::WienerCascade,
            Self::Ole(_) => name == DecoderName::Ole,
            Self::RefitKalman(_) => name == DecoderName::RefitKalman,
            Self::NonlinearKalman(nonlinear) => {
                name == match nonlinear.linearization {
                    Linearization::Extended => DecoderName::Ekf,
                    Linearization::Unscented => DecoderName::Ukf,
                }
            }
            // `auto` keeps its name whatever it chose
            Self::Dkf(_) if name == DecoderName::Auto => true,
            Self::Dkf(dkf) => {
                name == match dkf.regressor {
                    Regressor::Linear { .. } => DecoderName::DkfLinear,
                    Regressor::NadarayaWatson { .. } => DecoderName::DkfNw,
                    Regressor::GaussianProcess { .. } => DecoderName::DkfGp,
                    Regressor::MultipleKernel { .. } => DecoderName::DkfMk,
                    Regressor::Networks { .. } => DecoderName::DkfNn,
                    Regressor::Recurrent { .. } => DecoderName::DkfGru,
                    Regressor::Ensemble { .. } => DecoderName::Auto,
                }
            }
        }
    }
}
