//! A decoder's parameters, from the header's `parameters` and the tensors, and back.

use kalmind_filter::{
    DecoderName, DkfParameters, KalmanParameters, Noise, Parameters, Regressor, StateModel, StationarySource,
    WienerParameters,
};
use nalgebra::DMatrix;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ModelFileError;
use crate::header::{DkfHeader, KalmanHeader, NoiseHeader, WienerHeader};
use crate::tensors::{TensorReader, TensorWriter};

/// The longest window and highest order that shapes are computed for; the model's own check has the exact limits.
const LARGEST_FACTOR: usize = 100;

/// Writes the tensors; gives the header's `parameters`.
pub(crate) fn write(parameters: &Parameters, tensors: &mut TensorWriter) -> Result<Value, serde_json::Error> {
    match parameters {
        Parameters::Kalman(kalman) | Parameters::KalmanSteady(kalman) => {
            write_state(&kalman.state, tensors);
            tensors.matrix("observation", &kalman.observation);
            tensors.vector("observation_offset", kalman.observation_offset.as_slice());
            tensors.matrix("observation_noise", &kalman.observation_noise);
            serde_json::to_value(KalmanHeader {
                state_order: kalman.state.order,
                stationary_source: kalman.state.stationary_source,
                start: kalman.start,
            })
        }
        Parameters::Wiener(wiener) => {
            tensors.matrix("weights", &wiener.weights);
            tensors.vector("intercept", wiener.intercept.as_slice());
            tensors.matrix("residual_covariance", &wiener.residual_covariance);
            tensors.matrix("state_covariance", &wiener.state_covariance);
            serde_json::to_value(WienerHeader { lags: wiener.lags })
        }
        Parameters::Dkf(dkf) => serde_json::to_value(write_dkf(dkf, tensors)),
        _ => serde_json::to_value(()),
    }
}

fn write_state(state: &StateModel, tensors: &mut TensorWriter) {
    tensors.matrix("transition", &state.transition);
    tensors.matrix("process_noise", &state.process_noise);
    tensors.matrix("stationary_covariance", &state.stationary_covariance);
}

fn write_dkf(dkf: &DkfParameters, tensors: &mut TensorWriter) -> DkfHeader {
    write_state(&dkf.state, tensors);
    let bandwidth = match &dkf.regressor {
        Regressor::NadarayaWatson { points, values, bandwidth, scales } => {
            tensors.matrix("points", points);
            tensors.matrix("values", values);
            if let Some(scales) = scales {
                tensors.vector("scales", scales);
            }
            Some(*bandwidth)
        }
        Regressor::Linear { weights, intercept } => {
            tensors.matrix("weights", weights);
            tensors.vector("intercept", intercept.as_slice());
            None
        }
        _ => None,
    };
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
    DkfHeader {
        state_order: dkf.state.order,
        stationary_source: dkf.state.stationary_source,
        start: dkf.start,
        form: dkf.form,
        lags: dkf.lags,
        bandwidth,
        noise,
        noise_scale: dkf.noise_scale,
        covariance_scale: dkf.covariance_scale.clone().into(),
    }
}

/// Reads the parameters of `decoder` for n features and d components. Shapes are checked here, what the numbers have to
/// be by the model's own check.
pub(crate) fn read(
    decoder: DecoderName,
    header: Value,
    tensors: &mut TensorReader<'_>,
    n: usize,
    d: usize,
) -> Result<Parameters, ModelFileError> {
    match decoder {
        DecoderName::Kalman => Ok(Parameters::Kalman(read_kalman(header, tensors, n, d)?)),
        DecoderName::KalmanSteady => Ok(Parameters::KalmanSteady(read_kalman(header, tensors, n, d)?)),
        DecoderName::Wiener => {
            let WienerHeader { lags } = parse(header)?;
            let inputs = n * factor("lags", lags)?;
            Ok(Parameters::Wiener(WienerParameters {
                lags,
                weights: tensors.matrix("weights", d, inputs)?,
                intercept: tensors.vector_or_zeros("intercept", d)?,
                residual_covariance: tensors.matrix("residual_covariance", d, d)?,
                state_covariance: tensors.matrix("state_covariance", d, d)?,
            }))
        }
        DecoderName::DkfLinear | DecoderName::DkfNw => {
            let header: DkfHeader = parse(header)?;
            let inputs = n * factor("lags", header.lags)?;
            let state = read_state(header.state_order, header.stationary_source, tensors, d)?;
            let regressor = match (decoder, header.bandwidth) {
                (DecoderName::DkfNw, Some(bandwidth)) => Regressor::NadarayaWatson {
                    points: tensors.rows("points", inputs)?,
                    values: tensors.rows("values", d)?,
                    bandwidth,
                    scales: tensors.optional_vector("scales", inputs)?,
                },
                (DecoderName::DkfNw, None) => return Err(problem("parameters: missing field `bandwidth`")),
                (_, Some(_)) => {
                    return Err(problem("parameters: `bandwidth` is of `dkf-nw`, not of `dkf-linear`"));
                }
                (_, None) => Regressor::Linear {
                    weights: tensors.matrix("weights", d, inputs)?,
                    intercept: tensors.vector_or_zeros("intercept", d)?,
                },
            };
            let noise = match header.noise {
                NoiseHeader::Constant {} => {
                    Noise::Constant { covariance: tensors.matrix("noise_covariance", d, d)? }
                }
                NoiseHeader::Kernel { bandwidth, prior_samples } => Noise::Kernel {
                    points: tensors.rows("noise_points", inputs)?,
                    residual_products: tensors.rows("residual_products", d * (d + 1) / 2)?,
                    bandwidth,
                    scales: tensors.optional_vector("noise_scales", inputs)?,
                    prior_covariance: tensors.matrix("prior_covariance", d, d)?,
                    prior_samples,
                },
            };
            Ok(Parameters::Dkf(DkfParameters {
                state,
                dynamics: None,
                form: header.form,
                start: header.start,
                lags: header.lags,
                regressor,
                noise,
                noise_scale: header.noise_scale,
                covariance_scale: header.covariance_scale.into(),
            }))
        }
        _ => Err(problem("parameters: this decoder has no file format yet")),
    }
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
    };
    let radius = spectral_radius(&state.transition);
    if radius >= 1.0 {
        return Err(ModelFileError::Unstable { radius });
    }
    Ok(state)
}

fn factor(name: &str, value: usize) -> Result<usize, ModelFileError> {
    if (1..=LARGEST_FACTOR).contains(&value) {
        return Ok(value);
    }
    Err(problem(&format!("parameters: {name} is {value}, but has to be 1 to {LARGEST_FACTOR}")))
}

fn parse<T: DeserializeOwned>(header: Value) -> Result<T, ModelFileError> {
    serde_json::from_value(header).map_err(|error| problem(&format!("parameters: {error}")))
}

fn problem(text: &str) -> ModelFileError {
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
