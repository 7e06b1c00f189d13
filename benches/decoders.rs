//! What a step of a decoder costs, and how far it is from the textbook.
//!
//! `cargo bench --bench decoders [-- FILTER]`
#![expect(clippy::expect_used, reason = "a benchmark whose models do not build has nothing to measure")]

#[path = "speed_table/measured.rs"]
mod measured;
mod speed_table;
mod textbook;

use std::hint::black_box;

use criterion::Criterion;
use kalmind_filter::{
    CovarianceScale, Decoder, DecoderSpec, DiscriminativeFilter, DkfParameters, Form, KalmanParameters,
    Model, NadarayaWatsonRegressor, Noise, Parameters, Regressor, Start, StateModel, StationarySource,
};
use kalmind_types::Intent;
use nalgebra::{DMatrix, DVector};
use speed_table::Row;
use textbook::{TextbookDkf, TextbookKalman, difference, nadaraya_watson, symmetric};

/// Feature vectors that a benchmark goes through over and over.
const ROWS: usize = 64;

fn main() {
    let mut criterion = measured::criterion();
    let mut rows = kalman(&mut criterion);
    rows.extend(discriminative(&mut criterion));
    rows.extend(kernel_regression(&mut criterion));
    let title = format!(
        "Decoders: median time of a step; largest relative difference from the textbook over {ROWS} steps; kernel path {}",
        kalmind_filter::kernel_path()
    );
    speed_table::print(&title, &rows);
}

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
        mean: None,
    }
}

fn decoder(name: &str, n: usize, d: usize, parameters: Parameters) -> Box<dyn Decoder> {
    let model =
        Model::plain(name.parse::<DecoderSpec>().expect("a known decoder"), vec![0.0; n], d, parameters);
    model.decoder().expect("a valid model")
}

/// Feature vectors like those that the models were made for.
fn feature_rows(n: usize) -> Vec<Vec<f64>> {
    noise(ROWS, n, 3).row_iter().map(|row| row.iter().map(|value| value * 1.7).collect()).collect()
}

fn row(what: &str, goal: &str, accuracy: f64) -> Row {
    Row {
        what: what.to_owned(),
        measured: measured::shown(measured::median_us(what)),
        goal: goal.to_owned(),
        accuracy: format!("{accuracy:.1e}"),
    }
}

/// Times the steps of `decoder`.
fn time(criterion: &mut Criterion, name: &str, mut decoder: Box<dyn Decoder>) {
    let rows = feature_rows(decoder.features());
    let mut intent = Intent::zero(decoder.dimension());
    let mut at = 0;
    measured::forget(name);
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            at = (at + 1) % rows.len();
            decoder.step(Some(black_box(&rows[at])), &mut intent);
            black_box(intent.mean()[0])
        });
    });
}

fn kalman(criterion: &mut Criterion) -> Vec<Row> {
    let (n, d) = (192, 5);
    let half = noise(n, n, 2);
    let parameters = KalmanParameters {
        state: state(d, 1),
        observation: noise(n, d, 1),
        observation_offset: DVector::from_column_slice(noise(n, 1, 4).as_slice()),
        observation_noise: DMatrix::identity(n, n) * 4.0 + &half * half.transpose() / n as f64,
        information: None,
        start: Start::Prior,
        covariance_scale: CovarianceScale::constant(1.0),
    };
    let mut rows = Vec::new();
    for (name, steady, goal) in [("kalman", false, "1 µs"), ("kalman-steady", true, "0.3 µs")] {
        let tensors = if steady {
            Parameters::KalmanSteady(parameters.clone())
        } else {
            Parameters::Kalman(parameters.clone())
        };
        let mut fast = decoder(name, n, d, tensors.clone());
        let mut slow = TextbookKalman::new(&parameters, steady).expect("matrices with an inverse");
        let mut intent = Intent::zero(d);
        let mut most = 0.0_f64;
        for features in feature_rows(n) {
            fast.step(Some(&features), &mut intent);
            slow.step(Some(&features)).expect("matrices with an inverse");
            most = most.max(difference(&intent, &slow.mean, &slow.covariance));
        }
        let what = format!("{name}, {n} features, {d} states");
        time(criterion, &what, decoder(name, n, d, tensors));
        rows.push(row(&what, goal, most));
    }
    rows
}

fn discriminative(criterion: &mut Criterion) -> Vec<Row> {
    let mut rows = Vec::new();
    for order in [1, 2] {
        let state = state(2, order);
        let filter =
            || DiscriminativeFilter::new(&state, Form::Standard, Start::Prior).expect("a valid state");
        let measurements: Vec<([f64; 2], [f64; 3])> =
            noise(ROWS, 3, 5).row_iter().map(|row| ([row[0], row[1]], [0.4, 0.1 * row[2], 0.3])).collect();
        let (mut fast, mut slow) = (filter(), TextbookDkf::new(&state).expect("S has an inverse"));
        let mut intent = Intent::zero(2);
        let mut most = 0.0_f64;
        for (f, q) in &measurements {
            fast.step(Some((f, q)), &mut intent);
            slow.step(f, &symmetric(q, 2)).expect("matrices with an inverse");
            most = most.max(difference(&intent, &slow.mean, &slow.covariance));
        }
        let what = format!("dkf update, d = 2, f and Q given, state order {order}");
        let mut timed = filter();
        let mut at = 0;
        measured::forget(&what);
        criterion.bench_function(&what, |bencher| {
            bencher.iter(|| {
                at = (at + 1) % measurements.len();
                let (f, q) = &measurements[at];
                timed.step(Some((black_box(f), black_box(q))), &mut intent);
                black_box(intent.mean()[0])
            });
        });
        rows.push(row(&what, if order == 1 { "0.3 µs" } else { "" }, most));
    }
    rows
}

fn kernel_regression(criterion: &mut Criterion) -> Vec<Row> {
    let mut rows = Vec::new();
    for (m, n, bandwidth, goal) in [(5000, 10, 0.8, "10 µs"), (20_000, 96, 3.0, "120 µs")] {
        let points = noise(m, n, 7) * 1.7;
        let values = noise(m, 2, 9);
        let residuals = noise(m, 2, 8);
        let residual_products = DMatrix::from_fn(m, 3, |row, entry| {
            let (left, right) = [(0, 0), (1, 0), (1, 1)][entry];
            residuals[(row, left)] * residuals[(row, right)]
        });
        let prior = DMatrix::identity(2, 2) * 0.5;
        let (noise_bandwidth, prior_samples) = (1.2 * bandwidth, 3.0);
        for (kind, noise_model) in [
            ("constant", Noise::Constant { covariance: prior.clone() }),
            (
                "kernel",
                Noise::Kernel {
                    points: points.clone(),
                    residual_products: residual_products.clone(),
                    bandwidth: noise_bandwidth,
                    scales: None,
                    prior_covariance: prior.clone(),
                    prior_samples,
                },
            ),
        ] {
            let parameters = DkfParameters {
                state: state(2, 1),
                dynamics: None,
                direction: false,
                form: Form::Standard,
                start: Start::Prior,
                lags: 1,
                regressor: Regressor::NadarayaWatson(NadarayaWatsonRegressor {
                    points: points.clone(),
                    values: values.clone(),
                    bandwidth,
                    scales: None,
                }),
                noise: noise_model,
                noise_scale: 1.0,
                covariance_scale: CovarianceScale::constant(1.0),
            };
            let mut fast = decoder("dkf-nw", n, 2, Parameters::Dkf(parameters.clone()));
            let mut slow = TextbookDkf::new(&parameters.state).expect("S has an inverse");
            let mut intent = Intent::zero(2);
            let mut most = 0.0_f64;
            for features in feature_rows(n) {
                let (f, _) = nadaraya_watson(&points, &values, bandwidth, &features);
                let q = if kind == "kernel" {
                    let (near, effective) =
                        nadaraya_watson(&points, &residual_products, noise_bandwidth, &features);
                    (symmetric(&near, 2) * effective + &prior * prior_samples) / (effective + prior_samples)
                } else {
                    prior.clone()
                };
                fast.step(Some(&features), &mut intent);
                slow.step(&f, &q).expect("matrices with an inverse");
                most = most.max(difference(&intent, &slow.mean, &slow.covariance));
            }
            let what = format!("dkf-nw, {m} points, {n} features, {kind} Q");
            time(criterion, &what, decoder("dkf-nw", n, 2, Parameters::Dkf(parameters)));
            rows.push(row(&what, goal, most));
        }
    }
    rows
}
