//! `ole`: the optimal linear estimator of the intent from one bin (Salinas and Abbott 1994, Journal of Computational
//! Neuroscience 1, 89-107).
//!
//! With the model of the features that a Kalman filter has, `x = H z + offset + N(0, R)`, and intents of mean m and
//! covariance S, the linear estimate of least mean squared error is
//!
//! ```text
//! z = m + S H' (H S H' + R)^-1 (x - offset - H m)  =  m + (S^-1 + J)^-1 H' R^-1 (x - offset - H m),    J = H' R^-1 H
//! ```
//!
//! (in their terms `sum_i D_i r_i` with `D = Q^-1 L`: Q the second moment of the features, `H S H' + R`, and L their
//! products with the intent, `H S`). It differs from the unbiased `J^-1 H' R^-1 (x - offset)` by the shrinkage toward m,
//! which is what makes its error least, and is what the Kalman filter would say of a bin if it knew nothing of the bins
//! before: what the state model adds is the difference between the two decoders. With R estimated in full it equals the
//! regression of intents on features without ridge. It runs as `wiener` with one bin, for n d multiplications.
//!
//! When to use it: as the floor of a comparison. When not: for control, since its output is as noisy as a bin.

use nalgebra::DMatrix;

use crate::decoders::kalman::{ObservationFit, fit_observation};
use crate::decoders::kind::DecoderFit;
use crate::decoders::wiener::state_covariance;
use crate::windows::{column_means, folds, outside, second_moment, states_at};
use crate::{FitError, FitReport};
use kalmind_filter::cholesky::Cholesky;
use kalmind_filter::decoders::kalman::information::ObservationInformation;
use kalmind_filter::{CovarianceScale, Options, Parameters, TrainingData, WienerParameters};

/// See the module.
pub(super) const FIT: DecoderFit =
    DecoderFit::of(|job| Ok(Parameters::Ole(fit_ole(job.data, &job.spec.options, job.report)?)));

/// Fits `ole`. Cost: rows n^2 + n^3 / 6 for each fold.
pub(crate) fn fit_ole(
    data: &TrainingData,
    options: &Options,
    report: &mut FitReport,
) -> Result<WienerParameters, FitError> {
    let rows = data.measurement_rows();
    let intercept = options.intercept.unwrap_or(true);
    let fit = estimate(data, &rows, intercept, report)?;
    let states = states_at(data, &rows);
    let mut held_out = DMatrix::zeros(rows.len(), states.ncols());
    for fold in folds(rows.len()) {
        let others: Vec<usize> = outside(&fold, rows.len()).into_iter().map(|at| rows[at]).collect();
        let fit = estimate(data, &others, intercept, &mut FitReport::default())?;
        let features = data.features.select_rows(&rows[fold.clone()]);
        let mut estimated = features * fit.weights.transpose();
        for mut row in estimated.row_iter_mut() {
            row += fit.intercept.transpose();
        }
        held_out.rows_range_mut(fold).copy_from(&estimated);
    }
    let residuals = &states - held_out;
    report.held_out_error = Some(residuals.norm() / states.norm());
    Ok(WienerParameters { residual_covariance: second_moment(&residuals), ..fit })
}

/// The estimator from `rows`, with S in place of the covariance of held-out residuals.
fn estimate(
    data: &TrainingData,
    rows: &[usize],
    intercept: bool,
    report: &mut FitReport,
) -> Result<WienerParameters, FitError> {
    let ObservationFit { observation, offset, noise, .. } =
        fit_observation(data, rows, None, intercept, report)?;
    let mut states = states_at(data, rows);
    let state_covariance = state_covariance(&states)?;
    let mean = if intercept { column_means(&states) } else { vec![0.0; states.ncols()] };
    for (mut column, mean) in states.column_iter_mut().zip(&mean) {
        column.add_scalar_mut(-mean);
    }
    let mean = nalgebra::DVector::from_vec(mean);
    let dimension = states.ncols();
    let unit = DMatrix::identity(dimension, dimension);
    let observed = ObservationInformation::of(&observation, &offset, &noise)
        .map_err(|column| FitError::SingularObservationNoise { column })?;
    let prior = Cholesky::new(&second_moment(&states), 0.0)
        .map_err(|column| FitError::CollinearStates { column })?
        .solve_columns(&unit);
    let information = DMatrix::from_row_slice(dimension, dimension, &observed.information);
    let weighted = DMatrix::from_row_slice(dimension, observation.nrows(), &observed.weights);
    let weights = Cholesky::new(&(prior + information), 0.0)
        .map_err(|column| FitError::CollinearStates { column })?
        .solve_columns(&weighted);
    let intercept = &mean - &weights * (offset + observation * &mean);
    Ok(WienerParameters {
        lags: 1,
        weights,
        intercept,
        residual_covariance: state_covariance.clone(),
        state_covariance,
        covariance_scale: CovarianceScale::constant(1.0),
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::linear::fit_linear;

    fn data(rows: usize) -> TrainingData {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(21);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let tuning = DMatrix::from_fn(6, 2, |_, _| normal());
        let states = DMatrix::from_fn(rows, 2, |_, column| normal() + column as f64);
        let mixing = DMatrix::from_fn(6, 6, |_, _| 0.5 * normal());
        let noise = DMatrix::from_fn(rows, 6, |_, _| normal());
        let features = &states * tuning.transpose() + noise * mixing;
        TrainingData::new(features.add_scalar(3.0), states)
    }

    #[test]
    fn with_full_noise_the_estimate_is_the_regression_of_intents_on_features() {
        let data = data(500);
        for intercept in [true, false] {
            let options = Options { intercept: Some(intercept), ..Options::default() };
            let ole = fit_ole(&data, &options, &mut FitReport::default()).unwrap();
            let regression = fit_linear(&data.features, &data.states, 0.0, intercept).unwrap();
            assert!((&ole.weights - &regression.weights).amax() < 1e-10, "{}", ole.weights);
            assert!((&ole.intercept - &regression.intercept).amax() < 1e-9, "{}", ole.intercept);
        }
    }

    /// `S H' (H S H' + R)^-1` with dense matrices.
    #[test]
    fn the_estimate_is_the_covariance_form_of_salinas_and_abbott() {
        let data = data(400);
        let rows: Vec<usize> = (0..400).collect();
        let mut report = FitReport::default();
        let fit = fit_observation(&data, &rows, None, true, &mut report).unwrap();
        let ole = fit_ole(&data, &Options::default(), &mut report).unwrap();
        let s = state_covariance(&data.states).unwrap();
        let h = &fit.observation;
        let second = h * &s * h.transpose() + &fit.noise;
        let expected = &s * h.transpose() * second.try_inverse().unwrap();
        assert!((&ole.weights - expected).amax() < 1e-10);
    }
}
