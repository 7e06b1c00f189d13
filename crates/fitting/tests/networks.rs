//! Decoders with networks: what comes out for odd data, on other threads, and against their equations.
#![expect(clippy::unwrap_used, reason = "functions that several tests share fail like tests")]

use kalmind_filter::{
    CovarianceScale, DecoderSpec, DkfParameters, Form, Linearization, Model, NetworkScaling,
    NetworksRegressor, Noise, NonlinearDynamics, Parameters, Regressor, Start, StateModel, StationarySource,
    TanhNetwork, TrainingData,
};
use kalmind_fitting::{FitError, FitSettings, fit};
use kalmind_types::{Intent, lower_triangle_index};
use nalgebra::{DMatrix, DVector};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

const SPECS: [&str; 6] = [
    "dkf-nn:hidden=8,networks=2,epochs=5,state-order=1",
    "dkf-nn:hidden=3,networks=2,epochs=5,state-order=1,optimizer=levenberg-marquardt",
    "dkf-nn:hidden=8,networks=1,epochs=5,lags=3,form=robust,gradient-noise=0.1,dynamics=ekf",
    "dkf-linear:dynamics=ukf,ridge=0.01,form=standard,q-scale=1",
    "ekf:hidden=6,epochs=20",
    "ukf:hidden=6,epochs=20",
];

/// Features that saturate over a first-order state.
fn simulated(rows: usize, features: usize, d: usize, seed: u64) -> TrainingData {
    tuned(rows, features, d, seed, f64::tanh)
}

/// Features of a first-order state, each through `bend` after a projection.
fn tuned(rows: usize, features: usize, d: usize, seed: u64, bend: fn(f64) -> f64) -> TrainingData {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let tuning = DMatrix::from_fn(features, d, |_, _| normal());
    let mut states = DMatrix::zeros(rows, d);
    let mut table = DMatrix::zeros(rows, features);
    for row in 0..rows {
        for column in 0..d {
            let before = if row > 0 { states[(row - 1, column)] } else { 0.0 };
            states[(row, column)] = 0.9 * before + 0.4 * normal();
        }
        for feature in 0..features {
            let sum: f64 = (0..d).map(|column| tuning[(feature, column)] * states[(row, column)]).sum();
            table[(row, feature)] = bend(1.5 * sum) + 0.3 * normal() + 2.0;
        }
    }
    TrainingData::new(table, states)
}

fn model(spec: &str, data: &TrainingData, parameters: Parameters) -> Model {
    Model::plain(
        spec.parse().unwrap(),
        data.features.row_mean().iter().copied().collect(),
        data.states.ncols(),
        parameters,
    )
}

fn fitted(spec: &str, data: &TrainingData, seed: u64) -> Result<Model, FitError> {
    let parsed: DecoderSpec = spec.parse().unwrap();
    let settings = FitSettings { seed, ..FitSettings::default() };
    Ok(model(spec, data, fit(&parsed, data, &settings, &mut |_| ())?.parameters))
}

/// Root of the squared error over the squared truth, through all rows of `data`; every intent has to be finite.
fn error(model: &Model, data: &TrainingData) -> f64 {
    let mut decoder = model.decoder().unwrap();
    let mut intent = Intent::zero(data.states.ncols());
    let (mut squared, mut power) = (0.0, 0.0);
    for row in 0..data.rows() {
        let features: Vec<f64> = data.features.row(row).iter().copied().collect();
        assert!(decoder.step(Some(&features), &mut intent).valid && intent.is_finite());
        for (mean, truth) in intent.mean().iter().zip(data.states.row(row).iter()) {
            squared += (mean - truth) * (mean - truth);
            power += truth * truth;
        }
    }
    (squared / power).sqrt()
}

#[test]
fn odd_data_give_a_decoder_that_runs() {
    let plain = simulated(400, 6, 2, 1);
    let mut constant = plain.clone();
    constant.features.column_mut(3).fill(5.0);
    let gaps = TrainingData { segment_starts: vec![50, 51, 200], ..plain.clone() };
    let masked =
        TrainingData { measurement: Some((0..400).map(|row| row % 3 > 0).collect()), ..plain.clone() };
    let mut spike = plain.clone();
    spike.features[(100, 2)] = 1e3;
    for (name, data) in [
        ("plain", plain),
        ("a feature that never moves", constant),
        ("gaps in time", gaps),
        ("masked rows", masked),
        ("a spike", spike),
        ("one channel", simulated(400, 1, 1, 2)),
        ("one state", simulated(400, 6, 1, 3)),
        ("eight states", simulated(400, 20, 8, 4)),
    ] {
        for spec in SPECS {
            let model = fitted(spec, &data, 0).unwrap_or_else(|error| panic!("{name} {spec}: {error}"));
            let error = error(&model, &data);
            assert!(error < 1.0, "{name} {spec}: {error}");
        }
    }
}

#[test]
fn four_hundred_features_are_as_good_as_any_number() {
    let data = simulated(1500, 400, 2, 5);
    for spec in ["dkf-nn:hidden=8,networks=2,epochs=10", "ekf:epochs=20", "ukf:epochs=20"] {
        let error = error(&fitted(spec, &data, 0).unwrap(), &data);
        assert!(error < 0.5, "{spec}: {error}");
    }
}

#[test]
fn what_cannot_be_fitted_says_what_to_do() {
    let fails = |spec: &str, data: &TrainingData| fitted(spec, data, 0).unwrap_err();
    let wide = simulated(300, 400, 2, 6);
    for spec in ["ekf", "ukf"] {
        assert!(matches!(fails(spec, &wide), FitError::TooFewRows { found: 300, .. }));
    }
    assert_eq!(
        fails("dkf-nn:optimizer=levenberg-marquardt,hidden=8", &wide),
        FitError::TooManyWeights { weights: 8 * 401 + 2 * 9, most: 2000 }
    );
    let data = simulated(300, 4, 2, 7);
    assert_eq!(fails("dkf-nn:state-order=2,dynamics=ekf", &data), FitError::DynamicsOrder { order: 2 });
    let mut still = data.clone();
    still.features.fill(1.0);
    let mut repeated = data.clone();
    let copy = data.features.column(1).into_owned();
    repeated.features.set_column(2, &copy);
    let short = TrainingData::new(data.features.rows(0, 5).into_owned(), data.states.rows(0, 5).into_owned());
    for spec in SPECS {
        assert_eq!(fails(spec, &still), FitError::NothingMoves, "{spec}");
        assert!(matches!(fails(spec, &short), FitError::TooFewRows { .. }), "{spec}");
        let repeated = error(&fitted(spec, &repeated, 0).unwrap(), &repeated);
        assert!(repeated < 1.0, "{spec}: {repeated}");
    }
}

#[test]
fn the_same_seed_gives_the_same_networks_on_any_number_of_threads() {
    let data = simulated(300, 5, 2, 8);
    for spec in SPECS {
        let on = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fitted(spec, &data, seed)).unwrap().parameters
        };
        assert_eq!(on(1, 3), on(3, 3), "{spec}");
        assert!(on(1, 3) != on(1, 4), "{spec}");
    }
}

/// A decoder, how features bend, and the part of the Kalman filter's error that it has to stay below.
type Case = (&'static str, fn(f64) -> f64, f64);

#[test]
fn what_bends_is_decoded_better_by_networks_than_by_a_line() {
    let halves = |bend: fn(f64) -> f64| {
        let all = tuned(3000, 8, 2, 9, bend);
        let part = |first: usize, count: usize| {
            TrainingData::new(
                all.features.rows(first, count).into_owned(),
                all.states.rows(first, count).into_owned(),
            )
        };
        (part(0, 2000), part(2000, 1000))
    };
    // peaks beside the middle: no line says much, but each intent has features of its own
    let (training, fresh) = halves(|sum| (sum - 1.0).cos());
    let of = |spec: &str| error(&fitted(spec, &training, 0).unwrap(), &fresh);
    let linear = of("dkf-linear");
    for spec in ["dkf-nn:networks=2", "dkf-nn:networks=2,optimizer=levenberg-marquardt"] {
        let error = of(spec);
        assert!(error < 0.9 * linear, "{spec}: {error} {linear}");
    }
    // sigma points see that features saturate; a slope at the mean only where they do so gently
    let cases: [Case; 2] = [("ukf", f64::tanh, 0.97), ("ekf", |sum| 2.0 * (0.4 * sum).tanh(), 1.02)];
    for (spec, bend, share) in cases {
        let (training, fresh) = halves(bend);
        let of = |spec: &str| error(&fitted(spec, &training, 0).unwrap(), &fresh);
        let (own, kalman) = (of(spec), of("kalman:intercept=on"));
        assert!(own < share * kalman, "{spec}: {own} {kalman}");
    }
}

fn uniform(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> DMatrix<f64> {
    DMatrix::from_fn(rows, columns, |_, _| random.random_range(-1.0..1.0))
}

fn network(inputs: usize, hidden: usize, outputs: usize, random: &mut ChaCha8Rng) -> TanhNetwork {
    TanhNetwork {
        hidden_weights: uniform(hidden, inputs, random),
        hidden_bias: uniform(hidden, 1, random).column(0).into_owned(),
        output_weights: uniform(outputs, hidden, random),
        output_bias: uniform(outputs, 1, random).column(0).into_owned(),
    }
}

fn value(network: &TanhNetwork, x: &DVector<f64>) -> DVector<f64> {
    &network.output_weights * (&network.hidden_weights * x + &network.hidden_bias).map(libm::tanh)
        + &network.output_bias
}

fn slopes(network: &TanhNetwork, x: &DVector<f64>) -> DMatrix<f64> {
    let units = (&network.hidden_weights * x + &network.hidden_bias).map(libm::tanh);
    &network.output_weights
        * DMatrix::from_diagonal(&units.map(|value| 1.0 - value * value))
        * &network.hidden_weights
}

/// `f(w) = output_scale * mean_k g_k((w - input_mean) * input_scale)` over three lags, the prediction by the Jacobian of
/// another network, and the standard form, all with dense matrices and explicit inverses.
#[test]
fn networks_with_an_extended_prediction_follow_their_equations() {
    let mut random = ChaCha8Rng::seed_from_u64(10);
    let (n, lags, d) = (4, 3, 2);
    let input_mean: Vec<f64> = (0..n * lags).map(|_| random.random_range(-1.0..1.0)).collect();
    let input_scale: Vec<f64> =
        (0..n * lags).map(|at| if at == 5 { 0.0 } else { random.random_range(0.5..2.0) }).collect();
    let output_scale = vec![0.7, 1.9];
    let networks = vec![network(n * lags, 7, d, &mut random), network(n * lags, 20, d, &mut random)];
    let dynamics = network(d, 6, d, &mut random);
    let q = DMatrix::from_row_slice(2, 2, &[0.4, 0.1, 0.1, 0.3]);
    let process_noise = DMatrix::from_row_slice(2, 2, &[0.2, -0.05, -0.05, 0.3]);
    let marginal = DMatrix::from_row_slice(2, 2, &[1.5, 0.2, 0.2, 1.8]);
    let parameters = DkfParameters {
        state: StateModel {
            order: 1,
            transition: DMatrix::identity(2, 2) * 0.5,
            process_noise: process_noise.clone(),
            stationary_covariance: marginal.clone(),
            stationary_source: StationarySource::Training,
            mean: None,
        },
        dynamics: Some(NonlinearDynamics {
            network: dynamics.clone(),
            linearization: Linearization::Extended,
        }),
        form: Form::Standard,
        direction: false,
        start: Start::First,
        lags,
        regressor: Regressor::Networks(NetworksRegressor {
            scaling: NetworkScaling {
                input_mean: input_mean.clone(),
                input_scale: input_scale.clone(),
                output_scale: output_scale.clone(),
            },
            networks: networks.clone(),
        }),
        noise: Noise::Constant { covariance: q.clone() },
        noise_scale: 1.0,
        covariance_scale: CovarianceScale::constant(1.0),
    };
    let background = [0.3, -0.4, 0.1, 0.9];
    let data = TrainingData::new(DMatrix::from_row_slice(1, n, &background), DMatrix::zeros(1, d));
    let mut decoder = model("dkf-nn:lags=3", &data, Parameters::Dkf(parameters)).decoder().unwrap();
    let inverse = |matrix: &DMatrix<f64>| matrix.clone().try_inverse().unwrap();
    let mut window: Vec<f64> = background.repeat(lags);
    let (mut mean, mut covariance) = (DVector::zeros(d), DMatrix::zeros(d, d));
    let mut intent = Intent::zero(d);
    for row in 0..200 {
        let x: Vec<f64> = (0..n).map(|_| random.random_range(-2.0..2.0)).collect();
        decoder.step(Some(&x), &mut intent);
        window.rotate_right(n);
        window[..n].copy_from_slice(&x);
        let standard = DVector::from_fn(n * lags, |at, _| (window[at] - input_mean[at]) * input_scale[at]);
        let f = (value(&networks[0], &standard) + value(&networks[1], &standard)) / 2.0;
        let f = DVector::from_fn(d, |at, _| output_scale[at] * f[at]);
        for (unfiltered, f) in decoder.unfiltered().unwrap().iter().zip(f.iter()) {
            assert!((unfiltered - f).abs() < 1e-13);
        }
        if row == 0 {
            (mean, covariance) = (f, q.clone());
        } else {
            let jacobian = slopes(&dynamics, &mean);
            let predicted = value(&dynamics, &mean);
            let m = &jacobian * &covariance * jacobian.transpose() + &process_noise;
            covariance = inverse(&(inverse(&q) + inverse(&m) - inverse(&marginal)));
            mean = &covariance * (inverse(&q) * f + inverse(&m) * predicted);
        }
        for at in 0..d {
            assert!((intent.mean()[at] - mean[at]).abs() < 1e-10, "{row}");
            for other in 0..=at {
                let entry = intent.covariance()[lower_triangle_index(at, other)];
                assert!((entry - covariance[(at, other)]).abs() < 1e-10, "{row}");
            }
        }
    }
}
