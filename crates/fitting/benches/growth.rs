//! How the cost of a step grows with features and with training points, for every decoder; a table at the end.
//!
//! `cargo bench -p kalmind-fitting [-- FILTER]`. Figures are the least mean of a sample, so that other programs' load shows
//! as little as can be; how right the results are is tested, and shown by the benchmark `decoders` of the root package.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for the terminal, not for users"
)]

#[expect(dead_code, reason = "the variants are for tests")]
#[path = "../tests/small_models/mod.rs"]
mod small_models;

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::{Measurement as _, WallTime};
use kalmind_filter::{
    CovarianceScale, Decoder, DecoderName, DecoderSpec, DkfParameters, Form, GaussianProcessRegressor, Model,
    NadarayaWatsonRegressor, Noise, Parameters, Regressor, Start, StateModel, StationarySource,
    WienerParameters,
};
use kalmind_types::Intent;
use nalgebra::{DMatrix, DVector};
use rand::{RngExt as _, SeedableRng as _};

const FEATURES: [usize; 4] = [10, 96, 192, 400];
const POINTS: [usize; 6] = [500, 1000, 2000, 5000, 10_000, 20_000];
/// Training points where the number of features grows.
const SOME_POINTS: usize = 5000;

/// Feature vectors that a benchmark goes through over and over.
type Bins = Vec<Vec<f64>>;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(40)
        .configure_from_args();
    let mut rows = Vec::new();
    // `auto` is one of the others
    for decoder in DecoderName::ALL.into_iter().filter(|decoder| *decoder != DecoderName::Auto) {
        let times = FEATURES.map(|features| {
            let name = format!("{decoder}/features/{features}");
            least_us(&mut criterion, &name, || model(decoder, features))
        });
        rows.push((decoder.to_string(), times.to_vec()));
    }
    print(
        "microseconds a step; 5000 points, 9 lags of `wiener`, 3 of what is fitted",
        "features",
        &FEATURES,
        &rows,
    );
    let mut rows = Vec::new();
    for (decoder, features, kernel_noise) in [
        (DecoderName::DkfNw, 10, false),
        (DecoderName::DkfNw, 10, true),
        (DecoderName::DkfNw, 96, false),
        (DecoderName::DkfNw, 96, true),
        (DecoderName::DkfGp, 10, false),
        (DecoderName::DkfGp, 50, false),
        (DecoderName::DkfGp, 96, false),
    ] {
        let what = format!("{decoder}{}, {features} features", if kernel_noise { ":q=kernel" } else { "" });
        let times = POINTS.map(|points| {
            let name = format!("{what}/points/{points}");
            least_us(&mut criterion, &name, || kernel_model(decoder, features, points, kernel_noise))
        });
        rows.push((what, times.to_vec()));
    }
    print("microseconds a step", "points", &POINTS, &rows);
}

/// Times steps of a model's decoder; `None` where criterion was told to leave `name` out.
fn least_us(criterion: &mut Criterion, name: &str, model: impl Fn() -> Model) -> Option<f64> {
    let least = Cell::new(f64::INFINITY);
    // made at the first call, of many; at none, where it is left out
    let mut made: Option<(Box<dyn Decoder>, Bins)> = None;
    criterion.bench_function(name, |bencher| {
        let (decoder, bins) = made.get_or_insert_with(|| {
            let decoder = model().decoder().unwrap();
            let bins = noise(64, decoder.features(), 3);
            (decoder, bins.row_iter().map(|row| row.iter().copied().collect()).collect())
        });
        let mut intent = Intent::zero(decoder.dimension());
        bencher.iter_custom(|iterations| {
            let start = WallTime.start();
            for iteration in 0..iterations {
                decoder.step(Some(black_box(&bins[iteration as usize % 64])), &mut intent);
                black_box(intent.mean()[0]);
            }
            let time = WallTime.end(start);
            least.set(least.get().min(time.as_secs_f64() / iterations as f64));
            time
        });
    });
    least.get().is_finite().then(|| least.get() * 1e6)
}

fn print(title: &str, what: &str, sizes: &[usize], rows: &[(String, Vec<Option<f64>>)]) {
    println!("\n{title}; kernel path {}", kalmind_filter::kernel_path());
    let heads = sizes.iter().map(|size| format!("{size:>10}")).collect::<Vec<_>>().concat();
    println!("{what:<30}{heads}");
    for (name, times) in rows {
        let cells = times
            .iter()
            .map(|time| time.map_or_else(|| format!("{:>10}", "-"), |time| format!("{time:>10.2}")))
            .collect::<Vec<_>>()
            .concat();
        println!("{name:<30}{cells}");
    }
    println!();
}

/// A model of two states: of random tensors where fitting would take long, else fitted in haste.
fn model(decoder: DecoderName, features: usize) -> Model {
    match decoder {
        DecoderName::DkfNw | DecoderName::DkfGp => {
            return kernel_model(decoder, features, SOME_POINTS, false);
        }
        DecoderName::Wiener => {
            let wiener = WienerParameters {
                lags: 9,
                weights: noise(2, 9 * features, 1),
                intercept: DVector::zeros(2),
                residual_covariance: DMatrix::identity(2, 2),
                state_covariance: DMatrix::identity(2, 2),
                covariance_scale: CovarianceScale::constant(1.0),
            };
            return of_tensors(decoder, features, Parameters::Wiener(wiener));
        }
        _ => (),
    }
    let mut spec = DecoderSpec::new(decoder);
    for (option, value) in [("epochs", "1"), ("steps", "0"), ("lags", "3"), ("ridge", "0.1")] {
        if decoder.option_names().contains(&option) {
            spec.set(option, value).unwrap();
        }
    }
    small_models::model(&spec, &small_models::training_data(3 * features.max(200), features))
}

fn of_tensors(decoder: DecoderName, features: usize, parameters: Parameters) -> Model {
    let data = small_models::training_data(3 * features.max(50), features);
    let like = small_models::model(&DecoderSpec::new(DecoderName::Kalman), &data);
    Model { decoder: DecoderSpec::new(decoder), parameters, ..like }
}

/// A filter whose points are about as far from each other as the kernel is wide, so that most of them have a weight.
fn kernel_model(decoder: DecoderName, features: usize, points: usize, kernel_noise: bool) -> Model {
    let width = 0.5 * (features as f64).sqrt();
    let (points, values) = (noise(points, features, 7), noise(points, 2, 9));
    let half = DMatrix::identity(2, 2) * 0.5;
    let noise = if kernel_noise {
        Noise::Kernel {
            points: points.clone(),
            residual_products: noise(points.nrows(), 3, 8),
            bandwidth: 1.2 * width,
            scales: None,
            prior_covariance: half,
            prior_samples: 1e9,
        }
    } else {
        Noise::Constant { covariance: half }
    };
    let regressor = if decoder == DecoderName::DkfNw {
        Regressor::NadarayaWatson(NadarayaWatsonRegressor { points, values, bandwidth: width, scales: None })
    } else {
        Regressor::GaussianProcess(GaussianProcessRegressor {
            points,
            coefficients: values,
            scales: vec![1.0 / width; features],
            offset: DVector::zeros(2),
        })
    };
    let filter = DkfParameters {
        state: StateModel {
            order: 1,
            transition: DMatrix::identity(2, 2) * 0.95,
            process_noise: DMatrix::identity(2, 2) * 0.0975,
            stationary_covariance: DMatrix::identity(2, 2),
            stationary_source: StationarySource::Training,
            mean: None,
        },
        dynamics: None,
        direction: false,
        form: Form::Standard,
        start: Start::Prior,
        lags: 1,
        regressor,
        noise,
        noise_scale: 1.0,
        covariance_scale: CovarianceScale::constant(1.0),
    };
    of_tensors(decoder, features, Parameters::Dkf(filter))
}

/// Numbers in -1.7..1.7.
fn noise(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    DMatrix::from_fn(rows, columns, |_, _| random.random_range(-1.7..1.7))
}
