//! Which decoders know when they are unsure: by how they are built, and by what they give.
#![expect(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share fail like tests")]

mod small_models;

use kalmind_filter::{CovarianceScale, Decoder, DecoderName, TrainingData};
use kalmind_fitting::{FitSettings, fit};
use kalmind_types::{CovarianceKind, Intent};
use nalgebra::DMatrix;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use small_models::{model, training_data, variants};

/// Rows after which the covariance of a filter without data stands still.
const SETTLED: usize = 150;

fn features(data: &TrainingData, row: usize) -> Vec<f64> {
    data.features.row(row).iter().copied().collect()
}

/// How far the covariance of rows past the start goes up and down, relative to itself.
fn range(decoder: &mut dyn Decoder, data: &TrainingData) -> f64 {
    let mut intent = Intent::zero(2);
    let (mut least, mut greatest) = (f64::INFINITY, 0.0_f64);
    for row in 0..data.rows() {
        decoder.step(Some(&features(data, row)), &mut intent);
        if row >= SETTLED {
            least = least.min(intent.covariance()[0]);
            greatest = greatest.max(intent.covariance()[0]);
        }
    }
    greatest / least - 1.0
}

#[test]
fn what_a_decoder_says_of_its_covariance_is_what_it_gives_and_the_factor_leaves_the_mean_as_it_is() {
    let data = training_data(400, 6);
    for spec in DecoderName::ALL.into_iter().flat_map(variants) {
        let calibrated = model(&spec, &data);
        let mut plain = calibrated.clone();
        *plain.parameters.covariance_scale_mut() = CovarianceScale::constant(1.7);
        for model in [&calibrated, &plain] {
            let found = range(&mut *model.decoder().unwrap(), &data);
            match model.parameters.covariance() {
                CovarianceKind::Varying => assert!(found > 1e-3, "{spec}: {found}"),
                CovarianceKind::Constant => assert!(found < 1e-9, "{spec}: {found}"),
            }
        }
        let (mut scaled, mut plain) = (calibrated.decoder().unwrap(), plain.decoder().unwrap());
        let (mut with, mut without) = (Intent::zero(2), Intent::zero(2));
        for row in 0..100 {
            let shown = (row % 30 != 29).then(|| features(&data, row));
            scaled.step(shown.as_deref(), &mut with);
            plain.step(shown.as_deref(), &mut without);
            assert_eq!(with.mean(), without.mean(), "{spec} {row}");
        }
    }
}

/// A state that wanders, seen through noise whose size the last feature tells.
fn noise_that_comes_and_goes(rows: usize) -> TrainingData {
    let mut random = ChaCha8Rng::seed_from_u64(23);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let (mut states, mut table) = (DMatrix::zeros(rows, 2), DMatrix::zeros(rows, 5));
    for row in 0..rows {
        let loud = (row / 40) % 2 == 1;
        for column in 0..2 {
            let before = if row > 0 { states[(row - 1, column)] } else { 0.0 };
            states[(row, column)] = 0.9 * before + 0.4 * normal();
        }
        for feature in 0..4 {
            let noise = if loud { 3.0 } else { 0.5 };
            table[(row, feature)] = states[(row, feature % 2)] + noise * normal();
        }
        table[(row, 4)] = f64::from(u8::from(loud)) + 0.1 * normal();
    }
    TrainingData::new(table, states)
}

#[test]
fn linear_decoders_learn_when_they_are_unsure() {
    let data = noise_that_comes_and_goes(4000);
    let part = |first: usize, count: usize| {
        TrainingData::new(
            data.features.rows(first, count).into_owned(),
            data.states.rows(first, count).into_owned(),
        )
    };
    let (train, test) = (part(0, 3000), part(3000, 1000));
    for spec in ["kalman", "kalman:state-order=2", "kalman-steady", "wiener:lags=2", "wiener-cascade", "ole"]
    {
        let spec = spec.parse().unwrap();
        let fitted = fit(&spec, &train, &FitSettings::default(), &mut |_| ()).unwrap();
        assert!(fitted.report.warnings.is_empty(), "{spec}: {:?}", fitted.report.warnings);
        let mut decoder = model(&spec, &train).decoder().unwrap();
        let estimates: Vec<Intent> = (0..test.rows())
            .map(|row| {
                let mut intent = Intent::zero(2);
                decoder.step(Some(&features(&test, row)), &mut intent);
                intent
            })
            .collect();
        let found = kalmind_fitting::scores::Accuracy::of(&test.states, &estimates, 0.0);
        let by = found.by_uncertainty.unwrap();
        assert!(by.decile_ratio > 1.5 && by.rank_correlation > 0.2, "{spec}: {by:?}");
        let coverage = found.coverage;
        assert!((0.42..=0.58).contains(&coverage.half), "{spec}: {coverage:?}");
        assert!((0.84..=0.95).contains(&coverage.ninety), "{spec}: {coverage:?}");
        let held_out = fitted.report.held_out_coverage.unwrap();
        assert!(
            (held_out.half - 0.5).abs() < 0.04 && (held_out.ninety - 0.9).abs() < 0.03,
            "{spec}: {held_out:?}"
        );
    }
}

#[test]
fn a_covariance_that_is_far_off_is_a_warning_of_the_fit() {
    let data = noise_that_comes_and_goes(2000);
    for (scale, said) in [("0.1", "overconfident"), ("20", "underconfident")] {
        for decoder in ["kalman-steady", "dkf-linear"] {
            let spec = format!("{decoder}:covariance-scale={scale}").parse().unwrap();
            let report = fit(&spec, &data, &FitSettings::default(), &mut |_| ()).unwrap().report;
            assert!(
                report.warnings.iter().any(|warning| warning.contains(said)),
                "{spec}: {:?}",
                report.warnings
            );
        }
    }
}

#[test]
fn too_few_rows_to_hold_some_out_leave_the_covariance_as_it_is_and_say_so() {
    let data = noise_that_comes_and_goes(11);
    let spec = "kalman".parse().unwrap();
    let fitted = fit(&spec, &data, &FitSettings::default(), &mut |_| ()).unwrap();
    assert_eq!(fitted.parameters.covariance(), CovarianceKind::Constant);
    assert_eq!(fitted.parameters.covariance_scale(), &CovarianceScale::constant(1.0));
    assert!(fitted.report.warnings[0].contains("could not be told"), "{:?}", fitted.report.warnings);
}

/// The law of docs/model.md, written down once more: the factor of each bin from the means without it.
#[test]
fn the_factor_of_a_baseline_is_that_of_the_law() {
    let data = training_data(400, 6);
    let law = CovarianceScale {
        bias: 0.3,
        size: 0.7,
        size_squared: -0.1,
        surprise: 0.2,
        window: (0..12).map(|at| 0.03 * f64::from(at - 5)).collect(),
        limits: [-0.6, 1.1],
    };
    for name in ["kalman", "kalman-steady", "wiener:lags=3", "ole", "ekf:epochs=2,hidden=4"] {
        let mut scaled = model(&name.parse().unwrap(), &data);
        *scaled.parameters.covariance_scale_mut() = law.clone();
        let mut plain = scaled.clone();
        *plain.parameters.covariance_scale_mut() = CovarianceScale::constant(1.0);
        let inverse = plain.parameters.marginal_covariance().try_inverse().unwrap();
        let size = |of: [f64; 2]| {
            let of = nalgebra::Vector2::from(of);
            ((of.transpose() * &inverse * of)[(0, 0)] / 2.0).sqrt()
        };
        // the factor takes the intent less the mean at which it rests
        let rest = plain.parameters.state_model().and_then(|state| state.mean.clone());
        let rest = rest.map_or([0.0; 2], |mean| [mean[0], mean[1]]);
        let background = scaled.background();
        let predicts = scaled.parameters.state_model().is_some();
        let (mut scaled, mut plain) = (scaled.decoder().unwrap(), plain.decoder().unwrap());
        let (mut with, mut without) = (Intent::zero(2), Intent::zero(2));
        let (mut before, mut window, mut factor) = (None::<[f64; 2]>, background.repeat(2), 1.0_f64);
        for row in 0..60 {
            if row == 40 {
                scaled.restart();
                plain.restart();
                (before, window) = (None, background.repeat(2));
            }
            let shown = (row % 7 != 3).then(|| features(&data, row));
            window.truncate(6);
            window.splice(0..0, shown.clone().unwrap_or_else(|| background.clone()));
            scaled.step(shown.as_deref(), &mut with);
            plain.step(shown.as_deref(), &mut without);
            let mean = [without.mean()[0] - rest[0], without.mean()[1] - rest[1]];
            let moved = before.unwrap_or(mean);
            before = Some(mean);
            if shown.is_some() {
                let size_of = (size(mean) + 0.05).ln();
                let surprise = (size([moved[0] - mean[0], moved[1] - mean[1]]) + 0.01).ln();
                let log = law.bias + law.size * size_of + law.size_squared * size_of * size_of;
                let log = log + law.surprise * surprise;
                let log =
                    log + window.iter().zip(&law.window).map(|(value, weight)| value * weight).sum::<f64>();
                factor = log.clamp(-0.6, 1.1).exp();
            }
            let factor = if shown.is_none() && !predicts { 1.0 } else { factor };
            for (with, without) in with.covariance().iter().zip(without.covariance()) {
                assert!(
                    (with - factor * without).abs() <= 1e-12 * with.abs(),
                    "{name} {row}: {with} {without}"
                );
            }
        }
    }
}
