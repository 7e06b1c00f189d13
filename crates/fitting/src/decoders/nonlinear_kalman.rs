//! g and R of `ekf` and `ukf`: a network of the features on the intent.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use crate::adam::{self, Adam};
use crate::decoders::dkf_nn::{Standardization, held_block, random_stream};
use crate::decoders::kalman::{fit_kalman, make_positive};
use crate::decoders::kind::{DecoderFit, Job};
use crate::tanh_network::{Pass, Shape};
use crate::windows::{folds, outside, second_moment, states_at};
use crate::{FitError, FitReport};
use kalmind_filter::{
    CovarianceScale, Linearization, NonlinearKalmanParameters, Options, Parameters, TanhNetwork, TrainingData,
};

/// `ekf`.
pub(super) const EKF: DecoderFit = DecoderFit::of(|job| fit(job, Linearization::Extended));
/// `ukf`.
pub(super) const UKF: DecoderFit = DecoderFit::of(|job| fit(job, Linearization::Unscented));

fn fit(job: &mut Job<'_>, linearization: Linearization) -> Result<Parameters, FitError> {
    let (options, seed) = (&job.spec.options, job.settings.seed);
    fit_nonlinear(options, linearization, job.data, seed, job.report).map(Parameters::NonlinearKalman)
}

/// Networks in the mean that g is.
const NETWORKS: usize = 5;
/// Default `hidden`, of each.
const HIDDEN: usize = 8;
/// Default `epochs`.
const EPOCHS: usize = 40;

/// Fits `ekf` or `ukf`: A, G and S as for `kalman`; g the mean of five networks (a slope needs a smoother function than a
/// value does), each trained by Adam on standardised intents and features and stopped by another eighth of the rows; R from
/// residuals of rows that g was not trained on, by five blocks. Cost: thirty trainings of 6 h (n + d) multiplications a row
/// and epoch.
///
/// A feature that never moved says nothing of the intent: its outputs are constant and its noise is one, apart from all
/// others, with a warning. Where features leave no noise, a little is assumed, as for `kalman`.
fn fit_nonlinear(
    options: &Options,
    linearization: Linearization,
    data: &TrainingData,
    seed: u64,
    report: &mut FitReport,
) -> Result<NonlinearKalmanParameters, FitError> {
    // the linear filter finds what neither can work with, and the features that never moved
    let linear_options =
        Options { intercept: Some(true), stationary: options.stationary, ..Options::default() };
    let linear = fit_kalman(data, &linear_options, report)?;
    let rows = data.measurement_rows();
    let (features, states) = (data.features.select_rows(&rows), states_at(data, &rows));
    let (input, output) = (Standardization::of(&states), Standardization::of(&features));
    let (inputs, targets) = (input.apply::<f32>(&states), output.apply::<f32>(&features));
    let hidden = options.hidden.unwrap_or(HIDDEN);
    let shape = Shape { inputs: states.ncols(), hidden, outputs: features.ncols() };
    let adam = Adam {
        epochs: options.epochs.unwrap_or(EPOCHS),
        batch: 64,
        rate: 5e-3,
        weight_decay: 0.0,
        input_noise: 0.0,
        gradient_noise: 0.0,
        patience: 15,
    };
    let train = |stream: usize, inputs: &DMatrix<f32>, targets: &DMatrix<f32>| -> Vec<Vec<f32>> {
        let one = |network: usize| {
            let mut random = random_stream(seed, (stream * NETWORKS + network) as u64);
            adam::train(&adam, shape, inputs, targets, &held_block(network, inputs.ncols()), &mut random).0
        };
        (0..NETWORKS).map(one).collect()
    };
    let folds = folds(rows.len());
    let trained: Vec<(Vec<Vec<f32>>, DMatrix<f64>)> = (0..=folds.len())
        .into_par_iter()
        .map(|stream| {
            let Some(fold) = stream.checked_sub(1).and_then(|fold| folds.get(fold)) else {
                return (train(stream, &inputs, &targets), DMatrix::zeros(0, 0));
            };
            let outside = outside(fold, rows.len());
            let networks = train(stream, &inputs.select_columns(&outside), &targets.select_columns(&outside));
            let held = inputs.columns_range(fold.clone()).into_owned();
            let mut pass = Pass::new(shape, held.ncols());
            let mut residuals = DMatrix::from_fn(held.ncols(), shape.outputs, |row, column| {
                f64::from(targets[(column, fold.start + row)])
            });
            for weights in &networks {
                pass.forward(weights, &held);
                residuals -= pass.outputs.transpose().map(f64::from) / NETWORKS as f64;
            }
            for (mut column, deviation) in residuals.column_iter_mut().zip(&output.deviation) {
                column *= *deviation;
            }
            (networks, residuals)
        })
        .collect();
    let mut residuals = DMatrix::zeros(rows.len(), shape.outputs);
    for (fold, (_, held)) in folds.iter().zip(trained.iter().skip(1)) {
        residuals.rows_range_mut(fold.clone()).copy_from(held);
    }
    let mut observation_noise = second_moment(&residuals);
    let networks: Vec<TanhNetwork> = trained
        .iter()
        .take(1)
        .flat_map(|(networks, _)| networks)
        .map(|weights| shape.network(weights))
        .collect();
    let mut observation = input.folded(&output, mean_network(&networks));
    for feature in (0..shape.outputs).filter(|&feature| output.deviation[feature] <= 0.0) {
        observation.output_weights.row_mut(feature).fill(0.0);
        observation.output_bias[feature] = output.mean[feature];
        observation_noise.row_mut(feature).fill(0.0);
        observation_noise.column_mut(feature).fill(0.0);
        observation_noise[(feature, feature)] = 1.0;
    }
    make_positive(&mut observation_noise, &features, report)?;
    report.uses("hidden", hidden);
    Ok(NonlinearKalmanParameters {
        state: linear.state,
        observation,
        observation_noise,
        linearization,
        covariance_scale: CovarianceScale::constant(1.0),
    })
}

/// The mean of networks of one shape as one network with all their units.
fn mean_network(networks: &[TanhNetwork]) -> TanhNetwork {
    let share = 1.0 / networks.len() as f64;
    let units: usize = networks.iter().map(|network| network.hidden_bias.len()).sum();
    let (inputs, outputs) = networks
        .first()
        .map_or((0, 0), |network| (network.hidden_weights.ncols(), network.output_bias.len()));
    let mut mean = TanhNetwork {
        hidden_weights: DMatrix::zeros(units, inputs),
        hidden_bias: DVector::zeros(units),
        output_weights: DMatrix::zeros(outputs, units),
        output_bias: DVector::zeros(outputs),
    };
    let mut first = 0;
    for network in networks {
        let own = network.hidden_bias.len();
        mean.hidden_weights.rows_mut(first, own).copy_from(&network.hidden_weights);
        mean.hidden_bias.rows_mut(first, own).copy_from(&network.hidden_bias);
        mean.output_weights.columns_mut(first, own).copy_from(&(&network.output_weights * share));
        mean.output_bias += &network.output_bias * share;
        first += own;
    }
    mean
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;

    /// Four features that bend, one of which never moves.
    fn data(rows: usize) -> TrainingData {
        let mut random = random_stream(1, 0);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let mut states = DMatrix::zeros(rows, 1);
        let mut features = DMatrix::from_element(rows, 4, 7.0);
        for row in 0..rows {
            let before = if row > 0 { states[(row - 1, 0)] } else { 0.0 };
            let z = 0.9 * before + 0.4 * normal();
            states[(row, 0)] = z;
            let noise = [0.1 * normal(), 0.3 * normal(), 0.2 * normal()];
            features[(row, 0)] = (2.0 * z).tanh() + noise[0];
            features[(row, 1)] = (1.5 * z).cos() + noise[1];
            features[(row, 3)] = 100.0 * z + 100.0 * (noise[2] + noise[1]);
        }
        TrainingData::new(features, states)
    }

    #[test]
    fn features_that_bend_are_learnt_with_their_noise() {
        let data = data(3000);
        let mut report = FitReport::default();
        let fitted =
            fit_nonlinear(&Options::default(), Linearization::Unscented, &data, 0, &mut report).unwrap();
        let mut layer = kalmind_filter::tanh_layer::TanhLayer::of(&fitted.observation);
        for step in -8_i32..=8 {
            let z = 0.2 * f64::from(step);
            let units = DVector::from_column_slice(layer.activate(&[z]));
            let g = &fitted.observation.output_weights * units + &fitted.observation.output_bias;
            assert!((g[0] - (2.0 * z).tanh()).abs() < 0.1, "{z}: {}", g[0]);
            assert!((g[1] - (1.5 * z).cos()).abs() < 0.15, "{z}: {}", g[1]);
            assert!((g[2] - 7.0).abs() < 1e-12 && (g[3] / 100.0 - z).abs() < 0.15, "{z}: {g}");
        }
        let noise = &fitted.observation_noise;
        assert!((noise[(0, 0)] - 0.01).abs() < 2e-3, "{noise}");
        assert!((noise[(1, 1)] - 0.09).abs() < 2e-2, "{noise}");
        assert!((noise[(1, 3)] - 9.0).abs() < 2.0, "{noise}");
        assert!((noise[(2, 2)] - 1.0).abs() < 1e-15);
        assert!(report.warnings[0].contains('2'));
    }

    #[test]
    fn a_repeated_feature_gets_a_little_noise_and_a_warning() {
        let mut data = data(300);
        let copy = data.features.column(0).into_owned();
        data.features.set_column(3, &copy);
        let mut report = FitReport::default();
        let fitted =
            fit_nonlinear(&Options::default(), Linearization::Extended, &data, 0, &mut report).unwrap();
        assert!(fitted.observation_noise.cholesky().is_some());
        assert!(report.warnings.iter().any(|warning| warning.contains("column 3 repeats")), "{report:?}");
    }
}
