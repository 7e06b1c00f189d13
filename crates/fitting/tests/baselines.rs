//! The baselines on data at the edge of what can be fitted: a clear error, or a decoder that gives finite numbers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share fail like tests")]

use kalmind_filter::{DecoderSpec, Model, Parameters, TaskSample, TrainingData};
use kalmind_fitting::{FitError, FitReport, FitSettings, Fitted, fit};
use kalmind_types::{Intent, Position};
use nalgebra::DMatrix;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

const BASELINES: [&str; 7] = [
    "kalman:update=covariance",
    "kalman-steady",
    "wiener-cascade:lags=1",
    "ole",
    "ole:intercept=off",
    "refit-kalman",
    "refit-kalman:feedback=position,state-order=2",
];

/// Velocities toward targets with errors, and features of `compress(velocity)` with noise.
fn data(rows: usize, features: usize, dimension: usize, compress: fn(f64) -> f64) -> TrainingData {
    let mut random = ChaCha8Rng::seed_from_u64(71);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let tuning = DMatrix::from_fn(features, dimension, |_, _| normal());
    let mut states = DMatrix::zeros(rows, dimension);
    let mut table = DMatrix::zeros(rows, features);
    let mut task = Vec::new();
    for row in 0..rows {
        for column in 0..dimension {
            let before = if row > 0 { states[(row - 1, column)] } else { 0.0 };
            states[(row, column)] = 0.9 * before + 0.3 * normal();
        }
        for feature in 0..features {
            let mean: f64 = (0..dimension)
                .map(|column| tuning[(feature, column)] * compress(states[(row, column)]))
                .sum();
            table[(row, feature)] = mean + 0.5 * normal() + 2.0;
        }
        let target = (row % 50 > 4).then_some(Position([0.5 + 0.3 * normal(), 0.5 + 0.3 * normal()]));
        let cursor = Position([0.5 + 0.1 * normal(), 0.5 + 0.1 * normal()]);
        task.push(TaskSample { trial: (row / 50) as u64, target, cursor, hold: row % 50 > 45 });
    }
    TrainingData { task: Some(task), ..TrainingData::new(table, states) }
}

fn fitted(spec: &str, data: &TrainingData) -> Result<Fitted, FitError> {
    fit(&spec.parse::<DecoderSpec>().unwrap(), data, &FitSettings::default(), &mut |_| ())
}

#[test]
fn the_noise_of_the_state_is_scaled_and_nothing_else() {
    let data = data(400, 6, 2, |value| value);
    let kalman = |options: &str| match fitted(&format!("kalman-steady:{options}"), &data).unwrap().parameters
    {
        Parameters::KalmanSteady(kalman) => kalman,
        other => panic!("{other:?}"),
    };
    let (mut plain, scaled) = (kalman("covariance-scale=1"), kalman("covariance-scale=1,process-noise=6"));
    plain.state.process_noise *= 6.0;
    assert_eq!(plain, scaled);
}

/// Fits, runs over the first rows with a gap, and asks for finite numbers and covariances.
fn runs(spec: &str, data: &TrainingData) -> FitReport {
    let Fitted { parameters, report, guard, .. } =
        fitted(spec, data).unwrap_or_else(|error| panic!("{spec}: {error}"));
    let model = Model {
        guard: Some(guard),
        click: None,
        ..Model::plain(
            spec.parse().unwrap(),
            data.features.row_mean().iter().copied().collect(),
            data.states.ncols(),
            parameters,
        )
    };
    let mut decoder = model.decoder().unwrap_or_else(|error| panic!("{spec}: {error}"));
    let mut intent = Intent::zero(data.states.ncols());
    for at in 0..20 {
        let features: Vec<f64> = data.features.row(at).iter().copied().collect();
        decoder.observe_cursor(Position([0.1, 0.7]));
        let report = decoder.step((at != 9).then_some(&features), &mut intent);
        assert!(
            report.valid && intent.is_finite() && intent.covariance()[0] > 0.0,
            "{spec} {at}: {intent:?}"
        );
    }
    report
}

fn linear(value: f64) -> f64 {
    value
}

#[test]
fn one_channel_is_enough() {
    for spec in BASELINES {
        runs(spec, &data(300, 1, 2, linear));
    }
}

#[test]
fn one_state_is_enough_except_to_turn_it() {
    let line = data(300, 5, 1, linear);
    for spec in BASELINES {
        if spec.starts_with("refit") {
            assert_eq!(fitted(spec, &line).unwrap_err(), FitError::NoPlane { found: 1 });
        } else {
            runs(spec, &line);
        }
    }
}

#[test]
fn eight_states_are_decoded_and_only_the_first_two_are_turned() {
    let data = data(600, 30, 8, linear);
    for spec in BASELINES {
        runs(spec, &data);
    }
}

#[test]
fn four_hundred_features_work_with_rows_enough_and_are_refused_with_too_few() {
    let wide = data(640, 400, 2, linear);
    let short = TrainingData {
        task: wide.task.as_ref().map(|task| task[..300].to_vec()),
        ..TrainingData::new(wide.features.rows(0, 300).into_owned(), wide.states.rows(0, 300).into_owned())
    };
    for spec in BASELINES {
        runs(spec, &wide);
        if spec.starts_with("wiener") {
            runs(spec, &short);
        } else {
            assert!(matches!(fitted(spec, &short), Err(FitError::TooFewRows { .. })), "{spec}");
        }
    }
}

#[test]
fn a_channel_that_never_moves_is_left_aside_and_a_repeated_one_is_decoded_and_named() {
    let good = data(400, 5, 2, linear);
    let mut still = good.clone();
    still.features.column_mut(1).fill(4.0);
    let mut repeated = good.clone();
    let copy = good.features.column(0).into_owned();
    repeated.features.set_column(3, &copy);
    for spec in BASELINES {
        let (of_still, of_repeated) = (runs(spec, &still), runs(spec, &repeated));
        // of `wiener` the ridge settles it
        if !spec.starts_with("wiener") {
            assert!(of_still.warnings[0].ends_with(": 1"), "{spec}: {:?}", of_still.warnings);
            assert!(
                of_repeated.warnings[0].contains("column 3 repeats"),
                "{spec}: {:?}",
                of_repeated.warnings
            );
        }
    }
}

#[test]
fn rows_outside_the_mask_and_across_gaps_do_not_train_the_measurement_model() {
    for spec in BASELINES {
        // the factor on the covariance follows what a decoder errs that sees every bin, as in a run
        let separator = if spec.contains(':') { ',' } else { ':' };
        let spec = &format!("{spec}{separator}covariance-scale=1");
        let mask: Vec<bool> = (0..400).map(|row| row >= 150).collect();
        let gaps = (0..400).step_by(20).collect();
        let mut data =
            TrainingData { measurement: Some(mask), segment_starts: gaps, ..data(400, 5, 2, linear) };
        let before = fitted(spec, &data).unwrap();
        runs(spec, &data);
        for row in 0..150 {
            data.features.row_mut(row).fill(1e3);
        }
        assert_eq!(before.parameters, fitted(spec, &data).unwrap().parameters, "{spec}");
        data.measurement = Some((0..400).map(|row| (5..10).contains(&row)).collect());
        assert!(matches!(fitted(spec, &data), Err(FitError::TooFewRows { .. })), "{spec}");
    }
}

#[test]
fn a_task_of_another_length_or_with_a_cursor_that_is_no_number_is_refused() {
    let good = data(200, 4, 2, linear);
    let mut short = good.clone();
    short.task.as_mut().unwrap().pop();
    assert_eq!(fitted("refit-kalman", &short).unwrap_err(), FitError::TaskRows { task: 199, rows: 200 });
    let mut lost = good;
    lost.task.as_mut().unwrap()[17].cursor = Position([0.5, f64::NAN]);
    assert!(matches!(
        fitted("refit-kalman", &lost),
        Err(FitError::NotFinite { table: "task", row: 17, column: 3, .. })
    ));
}

/// Features saturate with speed, so the regression gives too little at high speed, and the cubic gives it back.
#[test]
fn the_cascade_undoes_what_saturates_and_its_covariance_is_that_of_other_rows() {
    let train = data(4000, 20, 2, f64::tanh);
    let report = runs("wiener-cascade:lags=1", &train);
    assert!(report.tried[1].error < 0.97 * report.tried[0].error, "{:?}", report.tried);
    let Parameters::WienerCascade(cascade) = fitted("wiener-cascade:lags=1", &train).unwrap().parameters
    else {
        panic!("a cascade")
    };
    let Parameters::Wiener(wiener) = fitted("wiener:lags=1", &train).unwrap().parameters else {
        panic!("a Wiener filter")
    };
    assert_eq!(cascade.wiener.weights, wiener.weights);
    assert!(cascade.wiener.residual_covariance.trace() < 0.95 * wiener.residual_covariance.trace());
    assert!(cascade.polynomial.column(3).min() > 0.0, "{}", cascade.polynomial);

    // a cascade fitted to noise promises nothing: its residuals are as large as the states
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut noise = data(300, 20, 2, linear);
    noise.features.as_mut_slice().fill_with(|| random.random_range(-1.0..1.0));
    let Parameters::WienerCascade(cascade) =
        fitted("wiener-cascade:lags=3,degree=7", &noise).unwrap().parameters
    else {
        panic!("a cascade")
    };
    let promised = &cascade.wiener.residual_covariance;
    assert!(promised.trace() > cascade.wiener.state_covariance.trace(), "{promised}");
}
