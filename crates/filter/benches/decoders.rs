//! What a step costs: the rows of the speed table that the filter answers for.
#![expect(clippy::expect_used, reason = "functions that several tests share fail like tests")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kalmind_filter::{
    Decoder, DecoderSpec, DiscriminativeFilter, DkfParameters, Form, KalmanParameters, Model, Noise,
    Parameters, Regressor, Start, StateModel, StationarySource,
};
use kalmind_types::{Binning, Component, Intent, StreamFeatures};
use nalgebra::{DMatrix, DVector};

/// Reproducible numbers in -1..1 without structure.
fn noise(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut state = seed;
    DMatrix::from_fn(rows, columns, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

fn state(d: usize, order: usize) -> StateModel {
    let mut transition = DMatrix::zeros(d, d * order);
    transition.view_mut((0, 0), (d, d)).fill_diagonal(0.95);
    StateModel {
        order,
        transition,
        process_noise: DMatrix::identity(d, d) * 0.0975,
        stationary_covariance: DMatrix::identity(d * order, d * order),
        stationary_source: StationarySource::Training,
    }
}

fn decoder(name: &str, n: usize, d: usize, parameters: Parameters) -> Box<dyn Decoder> {
    let model = Model {
        decoder: name.parse::<DecoderSpec>().expect("a known decoder"),
        streams: vec![StreamFeatures { binning: Binning::Sample, channels: n, labels: None }],
        bin_ms: 20.0,
        components: (0..d).map(|at| Component { name: format!("c{at}"), unit: String::new() }).collect(),
        training_mean: vec![0.0; n],
        zscore: None,
        label_law: None,
        participant: None,
        training_hash: None,
        report: None,
        parameters,
    };
    model.decoder().expect("a valid model")
}

fn step(criterion: &mut Criterion, name: &str, mut decoder: Box<dyn Decoder>) {
    let rows: Vec<Vec<f64>> = noise(64, decoder.features(), 3)
        .row_iter()
        .map(|row| row.iter().map(|value| value * 1.7).collect())
        .collect();
    let mut intent = Intent::zero(decoder.dimension());
    let mut at = 0;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            at = (at + 1) % rows.len();
            decoder.step(Some(black_box(&rows[at])), &mut intent);
            black_box(intent.mean()[0])
        });
    });
}

fn kalman(criterion: &mut Criterion) {
    let (n, d) = (192, 5);
    let parameters = KalmanParameters {
        state: state(d, 1),
        observation: noise(n, d, 1),
        observation_offset: DVector::zeros(n),
        observation_noise: DMatrix::identity(n, n) * 4.0,
        start: Start::Prior,
    };
    let name = "kalman, 192 features, 5 states";
    step(criterion, name, decoder("kalman", n, d, Parameters::Kalman(parameters.clone())));
    let name = "kalman-steady, 192 features, 5 states";
    step(criterion, name, decoder("kalman-steady", n, d, Parameters::KalmanSteady(parameters)));
}

fn discriminative(criterion: &mut Criterion) {
    for order in [1, 2] {
        let mut filter = DiscriminativeFilter::new(&state(2, order), Form::Standard, Start::First)
            .expect("a valid state model");
        let measurements: Vec<([f64; 2], [f64; 3])> =
            noise(64, 3, 5).row_iter().map(|row| ([row[0], row[1]], [0.4, 0.1 * row[2], 0.3])).collect();
        let mut intent = Intent::zero(2);
        let mut at = 0;
        criterion.bench_function(
            &format!("dkf update, d = 2, f and Q given, state order {order}"),
            |bencher| {
                bencher.iter(|| {
                    at = (at + 1) % measurements.len();
                    let (f, q) = &measurements[at];
                    filter.step(Some((black_box(f), black_box(q))), &mut intent);
                    black_box(intent.mean()[0])
                });
            },
        );
    }
}

fn nadaraya_watson(criterion: &mut Criterion) {
    for (m, n, bandwidth) in [(5000, 10, 0.8), (20_000, 96, 3.0)] {
        let points = noise(m, n, 7) * 1.7;
        let residuals = noise(m, 2, 8);
        let residual_products = DMatrix::from_fn(m, 3, |row, entry| {
            let (left, right) = [(0, 0), (1, 0), (1, 1)][entry];
            residuals[(row, left)] * residuals[(row, right)]
        });
        let constant = Noise::Constant { covariance: DMatrix::identity(2, 2) * 0.5 };
        let kernel = Noise::Kernel {
            points: points.clone(),
            residual_products,
            bandwidth: 1.2 * bandwidth,
            scales: None,
            prior_covariance: DMatrix::identity(2, 2) * 0.5,
            prior_samples: 3.0,
        };
        for (kind, noise_model) in [("constant", constant), ("kernel", kernel)] {
            let parameters = DkfParameters {
                state: state(2, 1),
                form: Form::Standard,
                start: Start::First,
                lags: 1,
                regressor: Regressor::NadarayaWatson {
                    points: points.clone(),
                    values: noise(m, 2, 9),
                    bandwidth,
                    scales: None,
                },
                noise: noise_model,
                noise_scale: 1.0,
                covariance_scale: 1.0,
            };
            let name = format!("dkf-nw, {m} points, {n} features, {kind} Q");
            step(criterion, &name, decoder("dkf-nw", n, 2, Parameters::Dkf(parameters)));
        }
    }
}

criterion_group!(benches, kalman, discriminative, nadaraya_watson);
criterion_main!(benches);
