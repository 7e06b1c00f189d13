//! Whatever arrives, every decoder's intent is finite and its covariance positive definite, and nothing panics: 10^5
//! ticks of numbers of any size, repeated, missing or not numbers at all, with restarts between them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "functions that tests share fail like tests")]

mod small_models;

use kalmind_filter::{Decoder, DecoderName, DecoderSpec, KernelPath};
use kalmind_types::{Intent, Position, lower_triangle_index};
use nalgebra::DMatrix;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Ticks of a decoder as it stands, and of each variant of it.
const TICKS: usize = 100_000;
const VARIANT_TICKS: usize = 5_000;

/// One bin, seldom like the one before.
fn next(features: &mut [f64], training_row: &[f64], random: &mut ChaCha8Rng) {
    match random.random_range(0..10) {
        0..4 => {
            for (feature, value) in features.iter_mut().zip(training_row) {
                *feature = value + random.random_range(-1.0..1.0);
            }
        }
        // all of one size, of sizes of their own, a single strange value, and the same again
        4 | 5 => {
            let size = 10.0_f64.powi(random.random_range(-300..301));
            features.fill_with(|| size * random.random_range(-1.0..1.0));
        }
        6 => features
            .fill_with(|| 10.0_f64.powi(random.random_range(-300..301)) * random.random_range(-1.0..1.0)),
        7 => {
            let strange = [0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, f64::NAN, f64::NEG_INFINITY, 1e60, -1e60];
            let at = random.random_range(0..features.len());
            features[at] = strange[random.random_range(0..strange.len())];
        }
        8 => features.fill([0.0, 1e59, -1e3][random.random_range(0..3)]),
        _ => (),
    }
}

fn is_positive_definite(intent: &Intent) -> bool {
    let d = intent.dimension();
    let covariance =
        DMatrix::from_fn(d, d, |row, column| intent.covariance()[lower_triangle_index(row, column)]);
    covariance.cholesky().is_some()
}

/// Largest difference of an entry of the covariance from its mirror image, relative to the largest entry.
fn asymmetry(decoder: &dyn Decoder) -> f64 {
    let Some(state) = decoder.state() else { return 0.0 };
    let size = state.dimension * state.order;
    let covariance = DMatrix::from_row_slice(size, size, state.covariance);
    (&covariance - covariance.transpose()).amax() / covariance.amax()
}

fn check(spec: &DecoderSpec, ticks: usize) {
    let data = small_models::training_data(300, 4);
    let model = small_models::model(spec, &data);
    let mut decoder = model.decoder().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut features = vec![0.0; 4];
    let mut intent = Intent::zero(2);
    let (mut started, mut valid) = (false, 0);
    for tick in 0..ticks {
        let row: Vec<f64> = data.features.row(tick % 300).iter().copied().collect();
        next(&mut features, &row, &mut random);
        if random.random_bool(0.001) {
            decoder.restart();
            started = false;
        }
        decoder.observe_cursor(Position([features[0], 0.5]));
        let measured = !random.random_bool(0.1);
        let before = intent;
        let report = decoder.step(measured.then_some(features.as_slice()), &mut intent);
        let context = || format!("{spec}, tick {tick}: {features:?} {report:?} {before:?} {intent:?}");
        let usable = measured && features.iter().all(|value| value.abs() <= 1e60);
        started |= usable;
        assert!(report.valid || !started, "{}", context());
        started = report.valid;
        // a guard may make an unusable bin usable
        let noticed = report.fallback || report.guarded_channels > 0;
        assert!(noticed || usable || !measured, "{}", context());
        if report.valid {
            assert!(intent.is_finite() && is_positive_definite(&intent), "{}", context());
            valid += 1;
        }
        if let Some(unfiltered) = decoder.unfiltered() {
            assert!(unfiltered.iter().all(|value| value.is_finite()), "{}", context());
        }
        if tick % 100 == 0 {
            assert!(asymmetry(&*decoder) < 1e-12, "{}", context());
        }
    }
    assert!(valid > ticks / 2);
}

#[test]
fn kernel_paths_agree_to_six_digits_and_each_repeats_its_bits() {
    let data = small_models::training_data(300, 4);
    for decoder in DecoderName::ALL {
        let model = small_models::model(&small_models::variants(decoder)[0], &data);
        let run = |path: KernelPath| {
            let mut decoder = model.decoder_with(model.decoder.is_guarded(), path).unwrap();
            let mut intent = Intent::zero(2);
            let mut outputs = Vec::new();
            for row in data.features.row_iter() {
                let features: Vec<f64> = row.iter().map(|value| 1.1 * value + 0.2).collect();
                assert!(decoder.step(Some(&features), &mut intent).valid);
                outputs.extend(intent.mean().iter().chain(intent.covariance()).copied());
            }
            outputs
        };
        let (fast, portable) = (run(KernelPath::detect()), run(KernelPath::PORTABLE));
        let largest = portable.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        for (fast, portable) in fast.iter().zip(&portable) {
            assert!((fast - portable).abs() <= 1e-6 * largest, "{decoder}: {fast} {portable}");
        }
        let again = run(KernelPath::detect());
        assert!(fast.iter().zip(&again).all(|(left, right)| left.to_bits() == right.to_bits()), "{decoder}");
    }
}

#[test]
fn whatever_arrives_every_intent_is_finite_and_positive_definite() {
    for decoder in DecoderName::ALL {
        for (at, spec) in small_models::variants(decoder).into_iter().enumerate() {
            check(&spec, if at == 0 { TICKS } else { VARIANT_TICKS });
        }
    }
}
