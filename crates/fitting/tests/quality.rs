//! How good a fit says its decoder is: figures of held-out rows, the test against shifted states, and what follows.
#![expect(clippy::unwrap_used, reason = "a test that cannot fit its decoder has failed")]

use kalmind_filter::{AgainstChance, DecoderSpec, FitQuality, Folds, FoldsOf, TrainingData};
use kalmind_fitting::{FitSettings, Fitted, HeldOut, fit, held_out_quality, judge};
use kalmind_types::Cause;
use nalgebra::DMatrix;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// One decoder of each kind of fit.
const DECODERS: [&str; 7] =
    ["kalman", "kalman-steady", "wiener:lags=3", "wiener-cascade", "ole", "dkf-linear:lags=2", "dkf-nw"];

/// Velocities that change slowly, and features that are tuned to them with this gain.
fn simulated(rows: usize, gain: f64, seed: u64) -> TrainingData {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let mut states = DMatrix::zeros(rows, 2);
    for row in 1..rows {
        for column in 0..2 {
            states[(row, column)] = 0.95 * states[(row - 1, column)] + 0.3 * normal();
        }
    }
    let tuning = DMatrix::from_fn(2, 8, |_, _| gain * normal());
    let features = &states * tuning + DMatrix::from_fn(rows, 8, |_, _| normal());
    TrainingData::new(features, states)
}

fn judged(decoder: &str, data: &TrainingData) -> (Fitted, FitQuality) {
    let spec: DecoderSpec = decoder.parse().unwrap();
    let settings = FitSettings::default();
    let mut fitted = fit(&spec, data, &settings, &mut |_| {}).unwrap();
    judge(&spec, data, None, &mut fitted);
    let quality = fitted.report.quality.clone().unwrap();
    (fitted, quality)
}

#[test]
fn every_decoder_of_noise_is_found_to_be_no_better_than_chance() {
    let data = simulated(6000, 0.0, 1);
    for decoder in DECODERS {
        let (fitted, quality) = judged(decoder, &data);
        assert_eq!(quality.doubt(), Some(Cause::DecoderAtChance), "{decoder}: {quality:?}");
        let warned = fitted.report.warnings.iter().any(|warning| warning.contains("no better than chance"));
        assert!(warned, "{decoder}: {:?}", fitted.report.warnings);
        assert!((quality.maae.unwrap() - core::f64::consts::FRAC_PI_2).abs() < 0.3, "{decoder}: {quality:?}");
    }
}

#[test]
fn every_decoder_of_tuned_features_is_better_and_nothing_speaks_against_it() {
    let data = simulated(6000, 1.0, 2);
    for decoder in DECODERS {
        let (fitted, quality) = judged(decoder, &data);
        assert!(matches!(quality.chance, AgainstChance::Better(_)), "{decoder}: {quality:?}");
        assert_eq!((quality.doubt(), quality.warnings()), (None, Vec::new()), "{decoder}: {quality:?}");
        assert!(quality.r2 > 0.5 && quality.nrmse < 0.7 * quality.nrmse_of_mean, "{decoder}: {quality:?}");
        assert_eq!(quality.held_out, Folds { of: FoldsOf::Rows, count: 5 }, "{decoder}");
        // what the model's file says is what was found
        let report = serde_json::to_value(&fitted.report).unwrap();
        let read: FitQuality = serde_json::from_value(report["quality"].clone()).unwrap();
        assert_eq!(read.rows, quality.rows);
    }
}

#[test]
fn a_filter_that_mostly_falls_back_is_in_doubt_although_it_is_better_than_chance() {
    let quality = FitQuality { fallback_steps: 3001, ..judged("dkf-linear", &simulated(6000, 1.0, 2)).1 };
    assert!(matches!(quality.chance, AgainstChance::Better(_)));
    assert_eq!(quality.steps, 6000);
    assert_eq!(quality.doubt(), Some(Cause::DecoderMostlyFallsBack));
    assert!(quality.warnings()[0].contains("fallback update"), "{:?}", quality.warnings());
    // features that say next to nothing are what it comes of
    let weak = judged("dkf-linear:form=standard", &simulated(6000, 0.02, 3)).1;
    assert!(weak.fallback_steps > weak.steps / 2, "{weak:?}");
}

#[test]
fn figures_are_those_of_numpy() {
    // z = [[3, 0], [0, 4], [-1, 2], [2, -2], [1, 1], [-3, 1]]; m = [[2, 1], [0, 3], [-1, 1], [1, -1], [0, 1], [-2, 0]]
    // see the formulas of `held_out_quality`
    let truth = DMatrix::from_row_slice(6, 2, &[3., 0., 0., 4., -1., 2., 2., -2., 1., 1., -3., 1.]);
    let means = DMatrix::from_row_slice(6, 2, &[2., 1., 0., 3., -1., 1., 1., -1., 0., 1., -2., 0.]);
    let data = TrainingData::new(DMatrix::zeros(6, 1), truth);
    let held = HeldOut {
        folds: Folds { of: FoldsOf::Rows, count: 2 },
        rows: (0..6).collect(),
        means,
        steps: 6,
        fallback_steps: 0,
    };
    let quality = held_out_quality(&data, &held, AgainstChance::NotTested { why: String::new() });
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    close(quality.nrmse, 0.424_264_068_711_928_5);
    close(quality.nrmse_of_mean, 0.930_949_336_251_262_7);
    close(quality.r2, 0.792_307_692_307_692_3);
    close(quality.correlation[0].unwrap(), 0.981_980_506_061_965_6);
    close(quality.correlation[1].unwrap(), 0.902_825_752_635_934_6);
    // two of the angles are 0, where the arc cosine keeps half the digits
    assert!((quality.maae.unwrap() - 0.315_424_482_682_116_76).abs() < 1e-7);
}
