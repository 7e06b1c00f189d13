//! A model of every decoder, of numbers without short decimal forms.
#![allow(dead_code, unreachable_pub, reason = "shared by several test programs, each of which uses a part")]

use kalmind_filter::{
    Cell, ClickParameters, ClickSettings, CovarianceScale, DkfParameters, EnsembleMember, EnsembleRegressor,
    Form, GaussianProcessRegressor, GuardStatistics, KalmanParameters, LabelLaw, LinearRegressor,
    Linearization, Model, MultipleKernelRegressor, NadarayaWatsonRegressor, NetworkScaling,
    NetworksRegressor, Noise, NonlinearDynamics, NonlinearKalmanParameters, Parameters,
    PlausibilityStatistics, RecurrentLayer, RecurrentNetwork, RecurrentRegressor, RefitKalmanParameters,
    Regressor, Start, StateModel, StationarySource, TanhNetwork, WienerCascadeParameters, WienerParameters,
    ZScore,
};
use kalmind_types::{Binning, Component, StreamFeatures};
use nalgebra::{DMatrix, DVector};
use serde_json::json;

/// Features of a bin.
pub const FEATURES: usize = 3;
/// Bins in a window.
pub const LAGS: usize = 2;

/// Numbers that have no short decimal form, so that a round trip through text would show.
pub fn number(seed: usize) -> f64 {
    ((seed as f64 + 1.0) * 0.731).sin()
}

pub fn matrix(rows: usize, columns: usize, seed: usize) -> DMatrix<f64> {
    DMatrix::from_fn(rows, columns, |row, column| number(seed + row * columns + column))
}

pub fn covariance(size: usize, seed: usize) -> DMatrix<f64> {
    let factor = matrix(size, size, seed);
    let product = &factor * factor.transpose() + DMatrix::identity(size, size);
    (&product + product.transpose()) * 0.5
}

fn state(order: usize) -> StateModel {
    StateModel {
        order,
        transition: matrix(2, 2 * order, 1) * 0.2,
        process_noise: covariance(2, 2),
        stationary_covariance: covariance(2 * order, 3),
        stationary_source: StationarySource::Lyapunov,
        mean: (order > 1).then(|| DVector::from_fn(2, |row, _| number(row + 7))),
    }
}

/// A factor that depends on everything that it can.
fn scale() -> CovarianceScale {
    CovarianceScale {
        bias: number(9),
        size: number(10),
        size_squared: number(11),
        surprise: number(12),
        window: (0..FEATURES * 3).map(number).collect(),
        limits: [-1.0 / 3.0, 2.5],
    }
}

pub fn kalman() -> KalmanParameters {
    KalmanParameters {
        state: state(1),
        observation: matrix(FEATURES, 2, 4),
        observation_offset: DVector::from_fn(FEATURES, |row, _| number(row)),
        observation_noise: covariance(FEATURES, 5),
        information: None,
        start: Start::Prior,
        covariance_scale: CovarianceScale::constant(1.0),
    }
}

pub fn dkf(regressor: Regressor, noise: Noise) -> Parameters {
    Parameters::Dkf(DkfParameters {
        state: state(2),
        dynamics: None,
        direction: false,
        form: Form::Augmented,
        start: Start::First,
        lags: LAGS,
        regressor,
        noise,
        noise_scale: 0.7,
        covariance_scale: scale(),
    })
}

pub fn nadaraya_watson() -> Regressor {
    Regressor::NadarayaWatson(NadarayaWatsonRegressor {
        points: matrix(7, FEATURES * LAGS, 6),
        values: matrix(7, 2, 7),
        bandwidth: 0.1 + 0.2,
        scales: Some((0..FEATURES * LAGS).map(|at| number(at).abs()).collect()),
    })
}

fn linear() -> Regressor {
    Regressor::Linear(LinearRegressor {
        weights: matrix(2, FEATURES * LAGS, 8),
        intercept: DVector::from_fn(2, |row, _| number(row)),
    })
}

pub fn kernel_noise() -> Noise {
    Noise::Kernel {
        points: matrix(4, FEATURES * LAGS, 9),
        residual_products: matrix(4, 3, 10),
        bandwidth: 1.0 / 3.0,
        scales: None,
        prior_covariance: covariance(2, 11),
        prior_samples: 2.5,
    }
}

fn wiener(lags: usize) -> WienerParameters {
    WienerParameters {
        lags,
        weights: matrix(2, FEATURES * lags, 12),
        intercept: DVector::from_fn(2, |row, _| number(row)),
        residual_covariance: covariance(2, 13),
        state_covariance: covariance(2, 14),
        covariance_scale: scale(),
    }
}

fn nonlinear(linearization: Linearization) -> Parameters {
    Parameters::NonlinearKalman(NonlinearKalmanParameters {
        state: state(1),
        observation: network(2, FEATURES, 18),
        observation_noise: covariance(FEATURES, 19),
        linearization,
        covariance_scale: scale(),
    })
}

fn with_dynamics(regressor: Regressor) -> Parameters {
    let Parameters::Dkf(parameters) = dkf(regressor, kernel_noise()) else { unreachable!() };
    Parameters::Dkf(DkfParameters {
        state: state(1),
        dynamics: Some(NonlinearDynamics {
            network: network(2, 2, 20),
            linearization: Linearization::Unscented,
        }),
        ..parameters
    })
}

fn with_direction() -> Parameters {
    let four = Regressor::Linear(LinearRegressor {
        weights: matrix(4, FEATURES * LAGS, 8),
        intercept: DVector::from_fn(4, |row, _| number(row)),
    });
    let Parameters::Dkf(parameters) = dkf(four, kernel_noise()) else { unreachable!() };
    Parameters::Dkf(DkfParameters { direction: true, ..parameters })
}

fn network(inputs: usize, outputs: usize, seed: usize) -> TanhNetwork {
    TanhNetwork {
        hidden_weights: matrix(5, inputs, seed),
        hidden_bias: DVector::from_fn(5, |row, _| number(row)),
        output_weights: matrix(outputs, 5, seed + 1),
        output_bias: DVector::from_fn(outputs, |row, _| number(row + 1)),
    }
}

fn entries() -> Vec<f64> {
    (0..FEATURES * LAGS).map(|at| number(at).abs()).collect()
}

fn offset() -> DVector<f64> {
    DVector::from_fn(2, |row, _| number(row))
}

fn gaussian_process() -> Regressor {
    Regressor::GaussianProcess(GaussianProcessRegressor {
        points: matrix(7, FEATURES * LAGS, 6),
        coefficients: matrix(7, 2, 7),
        scales: entries(),
        offset: offset(),
    })
}

fn multiple_kernel() -> Regressor {
    Regressor::MultipleKernel(MultipleKernelRegressor {
        points: matrix(7, FEATURES * LAGS, 6),
        coefficients: matrix(7, 2, 7),
        scales: entries(),
        weights: entries(),
        offset: offset(),
        joint: Some(Box::new(kalmind_filter::JointKernel {
            points: matrix(5, FEATURES * LAGS, 8),
            coefficients: matrix(5, 2, 9),
            scales: entries(),
        })),
    })
}

fn scaling() -> NetworkScaling {
    NetworkScaling { input_mean: entries(), input_scale: entries(), output_scale: vec![0.3, 0.7] }
}

fn networks() -> Regressor {
    Regressor::Networks(NetworksRegressor {
        scaling: scaling(),
        networks: vec![network(FEATURES * LAGS, 2, 21), network(FEATURES * LAGS, 2, 23)],
    })
}

fn recurrent(cell: Cell) -> Regressor {
    let gates = if cell == Cell::Gru { 3 } else { 4 };
    let layer = |inputs: usize, hidden: usize| RecurrentLayer {
        input_weights: matrix(gates * hidden, inputs, 24),
        input_bias: DVector::from_fn(gates * hidden, |row, _| number(row)),
        recurrent_weights: matrix(gates * hidden, hidden, 25),
        recurrent_bias: DVector::from_fn(gates * hidden, |row, _| number(row + 2)),
    };
    let network = RecurrentNetwork {
        layers: vec![layer(FEATURES * LAGS, 4), layer(4, 3)],
        output_weights: matrix(2, 3, 26),
        output_bias: offset(),
    };
    Regressor::Recurrent(RecurrentRegressor {
        cell,
        scaling: scaling(),
        networks: vec![network.clone(), network],
    })
}

fn ensemble() -> Regressor {
    let member = |name: &str, regressor: Regressor, seed: usize| EnsembleMember {
        name: name.to_owned(),
        lags: LAGS,
        regressor,
        weight: matrix(2, 2, seed),
    };
    Regressor::Ensemble(EnsembleRegressor {
        members: vec![
            member("dkf-gp:lags=2", gaussian_process(), 27),
            member("dkf-gru:lags=2", recurrent(Cell::Lstm), 28),
            member("dkf-nn:lags=2", networks(), 29),
        ],
    })
}

fn guard() -> GuardStatistics {
    let vector = |seed: usize| (0..FEATURES).map(|at| number(seed + at)).collect::<Vec<f64>>();
    let above = |lower: &[f64]| lower.iter().map(|value| value + 1.0 / 3.0).collect::<Vec<f64>>();
    let positive = |seed: usize| vector(seed).iter().map(|value| value.abs() + 0.1).collect::<Vec<f64>>();
    let (lowest_mean, lowest_residual) = (matrix(2, FEATURES, 30), matrix(2, FEATURES, 31));
    GuardStatistics {
        mean: vector(32),
        standard_deviation: positive(33),
        least: vector(34),
        greatest: above(&vector(34)),
        spans: vec![4, 50],
        highest_mean: lowest_mean.add_scalar(0.7),
        lowest_mean,
        loadings: matrix(FEATURES, 2, 35),
        uniqueness: positive(36),
        highest_residual: lowest_residual.add_scalar(0.3),
        lowest_residual,
        lowest_change: positive(37),
        highest_change: above(&positive(37)),
        plausibility: Some(PlausibilityStatistics {
            mode: vector(38),
            tolerance: positive(39),
            reach: vec![0.0, 0.5, 0.0],
            stay_at_mode: vec![0.5, 0.1, 0.9],
            stay_elsewhere: vec![0.1, 1.0 / 3.0, 0.02],
            stay_away: vec![0.3, 0.2, 1.0],
            longest: positive(40),
            greatest_stillness: 1.5,
            greatest_still: 3.7,
            typical: vec![1.0, 0.8, 0.6, 0.3],
            lowest: vec![0.5, 0.7, 0.4, 0.6, 0.3, 0.5, 0.1, 0.2],
            highest: vec![2.0, 1.5, 1.9, 1.3, 1.7, 1.1, 0.9, 0.6],
        }),
    }
}

/// What decodes clicks.
pub fn click() -> ClickParameters {
    ClickParameters {
        weights: (0..FEATURES).map(|at| number(at + 50)).collect(),
        intercept: number(53),
        settings: ClickSettings {
            begin: 1.0 / 300.0,
            end: 1.0 / 15.0,
            threshold: 0.1 + 0.2,
            release: 0.2,
            hold_ms: 40.0,
            refractory_ms: 500.0,
        },
    }
}

pub fn model(decoder: &str, parameters: Parameters) -> Model {
    Model {
        decoder: decoder.parse().unwrap(),
        streams: vec![
            StreamFeatures::of_channels(Binning::Sum, 2, Some(vec!["a".into(), "b \u{e4}\"".into()])),
            StreamFeatures::of_channels(Binning::Mean, 1, None),
        ],
        bin_ms: 20.0,
        components: ["vx", "vy"]
            .map(|name| Component { name: name.into(), unit: "workspace widths/s".into() })
            .into(),
        training_mean: (0..FEATURES).map(number).collect(),
        zscore: Some(ZScore {
            mean: (0..FEATURES).map(|at| number(at + 3)).collect(),
            standard_deviation: vec![0.0, 1.0, 0.1],
        }),
        label_law: Some(LabelLaw { lag_ms: 40.0, ..LabelLaw::default() }),
        participant: Some("P3".into()),
        training_hash: Some("ab".repeat(32)),
        guard: Some(guard()),
        reduction: None,
        click: None,
        report: Some(json!({"rows": 12, "bandwidth": 0.1 + 0.2, "warnings": []})),
        parameters,
    }
}

pub fn every_decoder() -> Vec<Model> {
    vec![
        model("kalman:start=prior", Parameters::Kalman(kalman())),
        Model {
            zscore: None,
            label_law: None,
            participant: None,
            training_hash: None,
            report: None,
            guard: None,
            ..model("kalman-steady", Parameters::KalmanSteady(kalman()))
        },
        model("wiener:lags=2", Parameters::Wiener(wiener(LAGS))),
        model(
            "wiener-cascade",
            Parameters::WienerCascade(WienerCascadeParameters {
                wiener: wiener(LAGS),
                polynomial: matrix(2, 4, 16),
                range: DMatrix::from_row_slice(2, 2, &[-1.0 / 3.0, 0.7, -0.1, 0.3]),
            }),
        ),
        model("ole", Parameters::Ole(wiener(1))),
        model(
            "refit-kalman",
            Parameters::RefitKalman(RefitKalmanParameters { kalman: kalman(), feedback: None }),
        ),
        model(
            "refit-kalman:feedback=position",
            Parameters::RefitKalman(RefitKalmanParameters {
                kalman: kalman(),
                feedback: Some(matrix(FEATURES, 2, 17)),
            }),
        ),
        model("ekf", nonlinear(Linearization::Extended)),
        model("ukf", nonlinear(Linearization::Unscented)),
        model("dkf-linear:lags=2", dkf(linear(), Noise::Constant { covariance: covariance(2, 15) })),
        model("dkf-linear:q=kernel", dkf(linear(), kernel_noise())),
        model(
            "dkf-nw:bandwidth=0.3",
            dkf(nadaraya_watson(), Noise::Constant { covariance: covariance(2, 15) }),
        ),
        model("dkf-nw:q=kernel,lags=2", dkf(nadaraya_watson(), kernel_noise())),
        model("dkf-nw:dynamics=ukf", with_dynamics(nadaraya_watson())),
        model("dkf-gp", dkf(gaussian_process(), kernel_noise())),
        model("dkf-linear:direction=on", with_direction()),
        model("dkf-mk", dkf(multiple_kernel(), kernel_noise())),
        model("dkf-nn", dkf(networks(), kernel_noise())),
        model("dkf-gru", dkf(recurrent(Cell::Gru), kernel_noise())),
        model("dkf-gru:cell=lstm", dkf(recurrent(Cell::Lstm), kernel_noise())),
        model("auto", dkf(gaussian_process(), kernel_noise())),
        model("auto", dkf(ensemble(), kernel_noise())),
    ]
}
