//! A decoder's parameters, from the header's `parameters` and the tensors, and back.

use kalmind_filter::{
    CovarianceScale, DecoderName, DkfParameters, KalmanParameters, Linearization, Noise, NonlinearDynamics,
    NonlinearKalmanParameters, Parameters, RefitKalmanParameters, StateModel, StationarySource,
    WienerCascadeParameters, WienerParameters,
};
use nalgebra::{DMatrix, DVector};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ModelFileError;
use crate::header::{
    CovarianceLawHeader, CovarianceScaleHeader, DkfHeader, KalmanHeader, NoiseHeader, NonlinearHeader,
    OleHeader, WienerHeader,
};
use crate::regressor_parameters::{self, RegressorHeader};
use crate::tensors::{TensorReader, TensorWriter};

/// Keys of a regressor that stand among the others where the decoder is named after it.
const REGRESSOR_KEYS: [&str; 4] = ["bandwidth", "cell", "networks", "layers"];
/// The key of the factor on the published covariance, which every decoder may have; one where it is absent.
const COVARIANCE_SCALE: &str = "covariance_scale";
/// The longest window and highest order that shapes are computed for; the model's own check has the exact limits.
const LARGEST_FACTOR: usize = 100;

/// Writes the tensors; gives the header's `parameters`.
pub(crate) fn write(
    parameters: &Parameters,
    decoder: DecoderName,
    tensors: &mut TensorWriter,
) -> Result<Value, serde_json::Error> {
    let mut header = write_tensors(parameters, decoder, tensors)?;
    let scale = parameters.covariance_scale();
    if let Value::Object(header) = &mut header
        && *scale != CovarianceScale::constant(1.0)
    {
        let scale = serde_json::to_value(write_covariance_scale(scale, tensors))?;
        header.insert(COVARIANCE_SCALE.to_owned(), scale);
    }
    Ok(header)
}

fn write_tensors(
    parameters: &Parameters,
    decoder: DecoderName,
    tensors: &mut TensorWriter,
) -> Result<Value, serde_json::Error> {
    match parameters {
        Parameters::Kalman(kalman) | Parameters::KalmanSteady(kalman) => {
            serde_json::to_value(write_kalman(kalman, tensors))
        }
        Parameters::Wiener(wiener) => {
            write_wiener(wiener, tensors);
            serde_json::to_value(WienerHeader { lags: wiener.lags })
        }
        Parameters::WienerCascade(cascade) => {
            write_wiener(&cascade.wiener, tensors);
            tensors.matrix("polynomial", &cascade.polynomial);
            tensors.matrix("range", &cascade.range);
            serde_json::to_value(WienerHeader { lags: cascade.wiener.lags })
        }
        Parameters::Ole(wiener) => {
            write_wiener(wiener, tensors);
            serde_json::to_value(OleHeader {})
        }
        Parameters::RefitKalman(refit) => {
            if let Some(feedback) = &refit.feedback {
                tensors.matrix("feedback", feedback);
            }
            serde_json::to_value(write_kalman(&refit.kalman, tensors))
        }
        Parameters::NonlinearKalman(nonlinear) => {
            write_state(&nonlinear.state, tensors);
            regressor_parameters::write_network(&nonlinear.observation, "observation.", tensors);
            tensors.matrix("observation_noise", &nonlinear.observation_noise);
            serde_json::to_value(NonlinearHeader { stationary_source: nonlinear.state.stationary_source })
        }
        Parameters::Dkf(dkf) => write_dkf(dkf, decoder, tensors),
    }
}

fn write_kalman(kalman: &KalmanParameters, tensors: &mut TensorWriter) -> KalmanHeader {
    write_state(&kalman.state, tensors);
    tensors.matrix("observation", &kalman.observation);
    tensors.vector("observation_offset", kalman.observation_offset.as_slice());
    tensors.matrix("observation_noise", &kalman.observation_noise);
    KalmanHeader {
        state_order: kalman.state.order,
        stationary_source: kalman.state.stationary_source,
        start: kalman.start,
    }
}

fn write_wiener(wiener: &WienerParameters, tensors: &mut TensorWriter) {
    tensors.matrix("weights", &wiener.weights);
    tensors.vector("intercept", wiener.intercept.as_slice());
    tensors.matrix("residual_covariance", &wiener.residual_covariance);
    tensors.matrix("state_covariance", &wiener.state_covariance);
}

fn write_state(state: &StateModel, tensors: &mut TensorWriter) {
    tensors.matrix("transition", &state.transition);
    tensors.matrix("process_noise", &state.process_noise);
    tensors.matrix("stationary_covariance", &state.stationary_covariance);
    if let Some(mean) = &state.mean {
        tensors.vector("state_mean", mean.as_slice());
    }
}

fn write_dkf(
    dkf: &DkfParameters,
    decoder: DecoderName,
    tensors: &mut TensorWriter,
) -> Result<Value, serde_json::Error> {
    write_state(&dkf.state, tensors);
    if let Some(dynamics) = &dkf.dynamics {
        regressor_parameters::write_network(&dynamics.network, "dynamics.", tensors);
    }
    let noise = match &dkf.noise {
        Noise::Constant { covariance } => {
            tensors.matrix("noise_covariance", covariance);
            NoiseHeader::Constant {}
        }
        Noise::Kernel { points, residual_products, bandwidth, scales, prior_covariance, prior_samples } => {
            tensors.matrix("noise_points", points);
            tensors.matrix("residual_products", residual_products);
            tensors.matrix("prior_covariance", prior_covariance);
            if let Some(scales) = scales {
                tensors.vector("noise_scales", scales);
            }
            NoiseHeader::Kernel { bandwidth: *bandwidth, prior_samples: *prior_samples }
        }
    };
    let mut header = serde_json::to_value(DkfHeader {
        state_order: dkf.state.order,
        stationary_source: dkf.state.stationary_source,
        start: dkf.start,
        form: dkf.form,
        lags: dkf.lags,
        direction: dkf.direction,
        dynamics: dkf.dynamics.as_ref().map(|dynamics| dynamics.linearization),
        noise,
        noise_scale: dkf.noise_scale,
    })?;
    let mut regressor = serde_json::to_value(regressor_parameters::write(&dkf.regressor, "", tensors))?;
    if let (Value::Object(header), Value::Object(regressor)) = (&mut header, &mut regressor) {
        if regressor_parameters::kind_of(decoder).is_some() {
            regressor.remove("kind");
            header.append(regressor);
        } else {
            header.insert("regressor".to_owned(), Value::Object(core::mem::take(regressor)));
        }
    }
    Ok(header)
}

/// Reads the parameters of `decoder` for n features and d components. Shapes are checked here, what the numbers have to
/// be by the model's own check.
pub(crate) fn read(
    decoder: DecoderName,
    mut header: Value,
    tensors: &mut TensorReader<'_>,
    n: usize,
    d: usize,
) -> Result<Parameters, ModelFileError> {
    let scale = match header.as_object_mut().and_then(|header| header.remove(COVARIANCE_SCALE)) {
        Some(scale) => read_covariance_scale(&parse(scale)?, tensors)?,
        None => CovarianceScale::constant(1.0),
    };
    let mut parameters = read_tensors(decoder, header, tensors, n, d)?;
    *parameters.covariance_scale_mut() = scale;
    Ok(parameters)
}

fn read_tensors(
    decoder: DecoderName,
    header: Value,
    tensors: &mut TensorReader<'_>,
    n: usize,
    d: usize,
) -> Result<Parameters, ModelFileError> {
    match decoder {
        DecoderName::Kalman => Ok(Parameters::Kalman(read_kalman(header, tensors, n, d)?)),
        DecoderName::KalmanSteady => Ok(Parameters::KalmanSteady(read_kalman(header, tensors, n, d)?)),
        DecoderName::RefitKalman => {
            let feedback = tensors.has("feedback").then(|| tensors.matrix("feedback", n, 2)).transpose()?;
            Ok(Parameters::RefitKalman(RefitKalmanParameters {
                kalman: read_kalman(header, tensors, n, d)?,
                feedback,
            }))
        }
        DecoderName::Wiener => {
            let WienerHeader { lags } = parse(header)?;
            Ok(Parameters::Wiener(read_wiener(lags, tensors, n, d)?))
        }
        DecoderName::WienerCascade => {
            let WienerHeader { lags } = parse(header)?;
            Ok(Parameters::WienerCascade(WienerCascadeParameters {
                wiener: read_wiener(lags, tensors, n, d)?,
                polynomial: tensors.columns("polynomial", d)?,
                range: tensors.matrix("range", d, 2)?,
            }))
        }
        DecoderName::Ole => {
            let OleHeader {} = parse(header)?;
            Ok(Parameters::Ole(read_wiener(1, tensors, n, d)?))
        }
        DecoderName::Ekf | DecoderName::Ukf => {
            let NonlinearHeader { stationary_source } = parse(header)?;
            Ok(Parameters::NonlinearKalman(NonlinearKalmanParameters {
                state: read_state(1, stationary_source, tensors, d)?,
                observation: regressor_parameters::read_network("observation.", tensors, d, n)?,
                observation_noise: tensors.matrix("observation_noise", n, n)?,
                linearization: if decoder == DecoderName::Ekf {
                    Linearization::Extended
                } else {
                    Linearization::Unscented
                },
                covariance_scale: CovarianceScale::constant(1.0),
            }))
        }
        DecoderName::DkfLinear
        | DecoderName::DkfNw
        | DecoderName::DkfGp
        | DecoderName::DkfMk
        | DecoderName::DkfNn
        | DecoderName::DkfGru
        | DecoderName::Auto => Ok(Parameters::Dkf(read_dkf(decoder, header, tensors, n, d)?)),
    }
}

fn read_dkf(
    decoder: DecoderName,
    header: Value,
    tensors: &mut TensorReader<'_>,
    n: usize,
    d: usize,
) -> Result<DkfParameters, ModelFileError> {
    let (header, regressor) = split_dkf(decoder, header)?;
    let inputs = n * factor("lags", header.lags)?;
    let state = read_state(header.state_order, header.stationary_source, tensors, d)?;
    let outputs = if header.direction { 2 * d } else { d };
    let dynamics = match header.dynamics {
        Some(linearization) => Some(NonlinearDynamics {
            network: regressor_parameters::read_network("dynamics.", tensors, d, d)?,
            linearization,
        }),
        None => None,
    };
    let noise = match header.noise {
        NoiseHeader::Constant {} => Noise::Constant { covariance: tensors.matrix("noise_covariance", d, d)? },
        NoiseHeader::Kernel { bandwidth, prior_samples } => Noise::Kernel {
            points: tensors.rows("noise_points", inputs)?,
            residual_products: tensors.rows("residual_products", d * (d + 1) / 2)?,
            bandwidth,
            scales: tensors.optional_vector("noise_scales", inputs)?,
            prior_covariance: tensors.matrix("prior_covariance", d, d)?,
            prior_samples,
        },
    };
    Ok(DkfParameters {
        state,
        dynamics,
        form: header.form,
        start: header.start,
        lags: header.lags,
        regressor: regressor_parameters::read(regressor, "", tensors, n, header.lags, outputs)?,
        direction: header.direction,
        noise,
        noise_scale: header.noise_scale,
        covariance_scale: CovarianceScale::constant(1.0),
    })
}

fn write_covariance_scale(scale: &CovarianceScale, tensors: &mut TensorWriter) -> CovarianceScaleHeader {
    let CovarianceScale { bias, size, size_squared, surprise, ref window, limits } = *scale;
    if !window.is_empty() {
        tensors.vector("covariance_scale_window", window);
    }
    CovarianceScaleHeader::Law(CovarianceLawHeader { bias, size, size_squared, surprise, limits })
}

fn read_covariance_scale(
    header: &CovarianceScaleHeader,
    tensors: &mut TensorReader<'_>,
) -> Result<CovarianceScale, ModelFileError> {
    match *header {
        CovarianceScaleHeader::Constant(factor) if factor > 0.0 => Ok(CovarianceScale::constant(factor)),
        CovarianceScaleHeader::Constant(factor) => {
            Err(problem(&format!("parameters: covariance_scale is {factor}, but has to be above 0")))
        }
        CovarianceScaleHeader::Law(CovarianceLawHeader { bias, size, size_squared, surprise, limits }) => {
            let window = if tensors.has("covariance_scale_window") {
                tensors.any_vector("covariance_scale_window")?
            } else {
                Vec::new()
            };
            Ok(CovarianceScale { bias, size, size_squared, surprise, window, limits })
        }
    }
}

/// Takes the regressor's keys out of the header's `parameters`: those of the kind that the decoder is named after stand
/// among the others, those of a decoder of any kind under `regressor`.
fn split_dkf(decoder: DecoderName, header: Value) -> Result<(DkfHeader, RegressorHeader), ModelFileError> {
    let Value::Object(mut header) = header else { return Err(problem("parameters: not an object")) };
    let regressor = match regressor_parameters::kind_of(decoder) {
        Some(kind) => {
            let mut regressor = Map::new();
            for key in REGRESSOR_KEYS {
                if let Some(value) = header.remove(key) {
                    regressor.insert(key.to_owned(), value);
                }
            }
            regressor.insert("kind".to_owned(), kind.into());
            Value::Object(regressor)
        }
        None => header.remove("regressor").ok_or_else(|| problem("parameters: missing field `regressor`"))?,
    };
    Ok((parse(Value::Object(header))?, parse(regressor)?))
}

fn read_wiener(
    lags: usize,
    tensors: &mut TensorReader<'_>,
    n: usize,
    d: usize,
) -> Result<WienerParameters, ModelFileError> {
    let inputs = n * factor("lags", lags)?;
    Ok(WienerParameters {
        lags,
        weights: tensors.matrix("weights", d, inputs)?,
        intercept: tensors.vector_or_zeros("intercept", d)?,
        residual_covariance: tensors.matrix("residual_covariance", d, d)?,
        state_covariance: tensors.matrix("state_covariance", d, d)?,
        covariance_scale: CovarianceScale::constant(1.0),
    })
}

fn read_kalman(
    header: Value,
    tensors: &mut TensorReader<'_>,
    n: usize,
    d: usize,
) -> Result<KalmanParameters, ModelFileError> {
    let header: KalmanHeader = parse(header)?;
    Ok(KalmanParameters {
        state: read_state(header.state_order, header.stationary_source, tensors, d)?,
        observation: tensors.matrix("observation", n, d)?,
        observation_offset: tensors.vector_or_zeros("observation_offset", n)?,
        observation_noise: tensors.matrix("observation_noise", n, n)?,
        start: header.start,
        covariance_scale: CovarianceScale::constant(1.0),
    })
}

fn read_state(
    order: usize,
    stationary_source: StationarySource,
    tensors: &mut TensorReader<'_>,
    d: usize,
) -> Result<StateModel, ModelFileError> {
    let stacked = d * factor("state_order", order)?;
    let state = StateModel {
        order,
        transition: tensors.matrix("transition", d, stacked)?,
        process_noise: tensors.matrix("process_noise", d, d)?,
        stationary_covariance: tensors.matrix("stationary_covariance", stacked, stacked)?,
        stationary_source,
        mean: tensors.optional_vector("state_mean", d)?.map(DVector::from_vec),
    };
    let radius = spectral_radius(&state.transition);
    if radius >= 1.0 {
        return Err(ModelFileError::Unstable { radius });
    }
    Ok(state)
}

/// `value` where it is a number of bins, orders, networks or layers that a model can have.
pub(crate) fn factor(name: &str, value: usize) -> Result<usize, ModelFileError> {
    if (1..=LARGEST_FACTOR).contains(&value) {
        return Ok(value);
    }
    Err(problem(&format!("parameters: {name} is {value}, but has to be 1 to {LARGEST_FACTOR}")))
}

fn parse<T: DeserializeOwned>(header: Value) -> Result<T, ModelFileError> {
    serde_json::from_value(header).map_err(|error| problem(&format!("parameters: {error}")))
}

pub(crate) fn problem(text: &str) -> ModelFileError {
    ModelFileError::Header { problem: text.to_owned() }
}

/// The spectral radius of `z_t = A_1 z_{t-1} + .. + A_p z_{t-p}`, given `[A_1 .. A_p]`: the limit of |C^k|^(1/k) for the
/// companion matrix C, by repeated squaring, which no matrix can keep from ending. NaN entries give NaN.
fn spectral_radius(transition: &DMatrix<f64>) -> f64 {
    const SQUARINGS: i32 = 48;
    let (d, stacked) = transition.shape();
    let mut power = DMatrix::zeros(stacked, stacked);
    power.rows_mut(0, d).copy_from(transition);
    for row in d..stacked {
        power[(row, row - d)] = 1.0;
    }
    let mut log_norm = 0.0;
    for _ in 0..SQUARINGS {
        let norm = power.norm();
        if norm == 0.0 {
            return 0.0;
        }
        power /= norm;
        power = &power * &power;
        log_norm = 2.0 * (log_norm + norm.ln());
    }
    ((log_norm + power.norm().ln()) / 2.0_f64.powi(SQUARINGS)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spectral_radii_of_known_matrices_come_out() {
        let radius = |rows: usize, values: &[f64]| {
            spectral_radius(&DMatrix::from_row_slice(rows, values.len() / rows, values))
        };
        assert!((radius(1, &[0.95]) - 0.95).abs() < 1e-12);
        // 0.9 times a rotation
        let (sin, cos) = 0.3_f64.sin_cos();
        assert!((radius(2, &[0.9 * cos, -0.9 * sin, 0.9 * sin, 0.9 * cos]) - 0.9).abs() < 1e-12);
        // not normal: norm far above one, radius 0.5
        assert!((radius(2, &[0.5, 1e6, 0.0, 0.5]) - 0.5).abs() < 1e-9);
        // z_t = 1.2 z_{t-1} - 0.35 z_{t-2} has the roots 0.7 and 0.5
        assert!((radius(1, &[1.2, -0.35]) - 0.7).abs() < 1e-12);
        assert!((radius(1, &[-1.01]) - 1.01).abs() < 1e-12);
        assert!(radius(2, &[0.0; 4]) < f64::MIN_POSITIVE);
        assert!(radius(1, &[f64::NAN]).is_nan());
    }
}
