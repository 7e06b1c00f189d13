//! Fits of the kernel decoders on rows that make trouble, and on any number of threads.
#![expect(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share fail like tests")]

use kalmind_filter::{DecoderSpec, GaussianProcessRegressor, Parameters, Regressor, TrainingData};
use kalmind_fitting::{Budget, EarlierFit, FitError, FitReport, FitSettings, Fitted, fit};
use nalgebra::DMatrix;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

const SPECS: [&str; 4] = [
    "dkf-gp:kernel=se,steps=8",
    "dkf-gp:kernel=se-ard,lags=2,steps=5",
    "dkf-gp:exact=100,inducing=40,steps=5",
    "dkf-nw:kernel=se-ard,steps=5",
];

/// Features that bend with a smooth velocity of `components` components.
fn simulated(rows: usize, features: usize, components: usize, seed: u64) -> TrainingData {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let tuning = DMatrix::from_fn(features, components, |_, _| normal());
    let mut states = DMatrix::zeros(rows, components);
    let mut table = DMatrix::zeros(rows, features);
    for row in 0..rows {
        for column in 0..components {
            let before = if row > 0 { states[(row - 1, column)] } else { 0.0 };
            states[(row, column)] = 0.95 * before + 0.3 * normal();
        }
        for feature in 0..features {
            let drive: f64 =
                (0..components).map(|column| tuning[(feature, column)] * states[(row, column)]).sum();
            table[(row, feature)] = drive.tanh() * 3.0 + 0.5 * normal() + 1.0;
        }
    }
    TrainingData::new(table, states)
}

fn fitted(spec: &str, data: &TrainingData) -> Result<Fitted, FitError> {
    fit(&spec.parse::<DecoderSpec>().unwrap(), data, &FitSettings::default(), &mut |_progress| ())
}

fn regressor(fitted: &Fitted) -> &Regressor {
    let Parameters::Dkf(dkf) = &fitted.parameters else { panic!("a discriminative filter") };
    &dkf.regressor
}

fn held_out_error(spec: &str, data: &TrainingData) -> f64 {
    fitted(spec, data).unwrap().report.held_out_error.unwrap()
}

#[test]
fn features_that_bend_are_decoded_better_than_by_a_line() {
    let data = simulated(600, 8, 2, 1);
    let linear = held_out_error("dkf-linear", &data);
    for spec in ["dkf-gp", "dkf-gp:exact=200,inducing=150"] {
        let error = held_out_error(spec, &data);
        assert!(error < 0.97 * linear, "{spec}: {error} {linear}");
    }
}

#[test]
fn repeated_and_constant_features_change_little() {
    let plain = simulated(300, 5, 2, 2);
    let mut troubled = plain.features.clone().resize_horizontally(8, 7.0);
    let copy = plain.features.column(1).into_owned();
    troubled.set_column(6, &copy);
    let data = TrainingData::new(troubled, plain.states.clone());
    for spec in SPECS {
        let (with, without) = (held_out_error(spec, &data), held_out_error(spec, &plain));
        assert!(with < 1.1 * without, "{spec}: {with} {without}");
    }
}

#[test]
fn repeated_windows_are_no_trouble_and_repeated_rows_are_refused() {
    let plain = simulated(300, 4, 2, 3);
    let rows: Vec<usize> = (0..300).map(|row| row % 150).collect();
    let windows = TrainingData::new(plain.features.select_rows(&rows), plain.states.clone());
    let rows = TrainingData::new(plain.features.select_rows(&rows), plain.states.select_rows(&rows));
    for spec in SPECS {
        assert!(held_out_error(spec, &windows).is_finite(), "{spec}");
        // the other copy says it all, so that nothing can be learnt of the noise
        assert!(matches!(fitted(spec, &rows), Ok(_) | Err(FitError::NoResiduals { .. })), "{spec}");
    }
}

#[test]
fn one_channel_one_state_gaps_and_masked_rows_are_fitted() {
    let mut data = simulated(250, 1, 1, 4);
    data.segment_starts = vec![40, 41, 200];
    data.measurement = Some((0..250).map(|row| row % 5 != 0).collect());
    for spec in SPECS {
        let fitted = fitted(spec, &data).unwrap();
        assert!(fitted.report.held_out_error.unwrap() < 1.0, "{spec}");
        assert_eq!(fitted.report.measurement_rows, 200);
    }
}

#[test]
fn four_hundred_features_and_few_rows_are_fitted() {
    let data = simulated(500, 400, 2, 5);
    for spec in ["dkf-gp:kernel=se,steps=5", "dkf-gp:steps=5", "dkf-nw:kernel=se-ard,steps=5"] {
        let error = held_out_error(spec, &data);
        assert!(error < 0.5, "{spec}: {error}");
    }
}

#[test]
fn the_least_number_of_rows_is_enough() {
    let data = simulated(20, 3, 1, 6);
    for spec in SPECS {
        assert!(fitted(spec, &data).is_ok(), "{spec}");
    }
}

#[test]
fn as_many_points_are_kept_as_were_asked_for() {
    let data = simulated(300, 4, 2, 7);
    for (spec, count) in [("dkf-gp:steps=3", 300), ("dkf-gp:exact=100,inducing=40,steps=3", 40)] {
        let fitted = fitted(spec, &data).unwrap();
        let Regressor::GaussianProcess(GaussianProcessRegressor { points, .. }) = regressor(&fitted) else {
            panic!("{spec}")
        };
        assert_eq!(points.nrows(), count);
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let data = simulated(420, 6, 2, 8);
    for spec in SPECS {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fitted(spec, &data).unwrap())
        };
        assert_eq!(on(1), on(3), "{spec}");
    }
}

fn keeping(spec: &str, data: &TrainingData, earlier: &FitReport) -> Result<Fitted, FitError> {
    let earlier = EarlierFit { report: earlier.clone(), covariance_scale: None, reduction: None };
    let settings = FitSettings { keep: Some(Box::new(earlier)), ..FitSettings::default() };
    fit(&spec.parse().unwrap(), data, &settings, &mut |_| ())
}

#[test]
fn a_fit_that_keeps_hyperparameters_is_the_whole_fit_that_found_them() {
    let data = simulated(420, 6, 2, 10);
    let open =
        ["dkf-nw:kernel=se", "dkf-nw:bandwidth=2.5", "dkf-gp:steps=3,lags=auto,direction=auto,q-scale=auto"];
    for spec in SPECS.into_iter().chain(open) {
        let whole = fitted(spec, &data).unwrap();
        // as a model's header has it
        let report: FitReport = serde_json::from_str(&serde_json::to_string(&whole.report).unwrap()).unwrap();
        let kept = keeping(spec, &data, &report).unwrap();
        assert_eq!(kept.parameters, whole.parameters, "{spec}");
        assert_eq!((&kept.guard, &kept.held_out), (&whole.guard, &whole.held_out), "{spec}");
        assert_eq!(kept.report.decoder, whole.report.decoder);
        assert!(kept.report.tried.len() == 1 && kept.report.tried.len() < whole.report.tried.len(), "{spec}");
        // a chain of them forgets nothing
        let again = keeping(spec, &data, &kept.report).unwrap();
        assert_eq!((again.parameters, again.report), (kept.parameters, kept.report), "{spec}");
    }
}

#[test]
fn kept_hyperparameters_serve_other_rows() {
    let data = simulated(500, 6, 2, 11);
    let first =
        TrainingData::new(data.features.rows(0, 300).into_owned(), data.states.rows(0, 300).into_owned());
    let spec = "dkf-gp:steps=5";
    let earlier = fitted(spec, &first).unwrap();
    let later = keeping(spec, &data, &earlier.report).unwrap();
    let (Regressor::GaussianProcess(before), Regressor::GaussianProcess(after)) =
        (regressor(&earlier), regressor(&later))
    else {
        panic!()
    };
    assert_eq!((after.points.nrows(), &after.scales), (500, &before.scales));
    let (fresh, kept) = (fitted(spec, &data).unwrap().report, later.report);
    assert!(kept.held_out_error.unwrap() < 1.2 * fresh.held_out_error.unwrap(), "{kept:?}");
    for name in ["signal", "noise", "form", "state-order", "q-scale"] {
        assert_eq!(kept.hyperparameters[name], earlier.report.hyperparameters[name], "{name}");
    }
}

#[test]
fn hyperparameters_of_another_decoder_or_of_other_features_are_refused() {
    let data = simulated(200, 4, 2, 12);
    let earlier = fitted("dkf-gp:steps=2", &data).unwrap().report;
    let refused = |spec: &str, data: &TrainingData, earlier: &FitReport| {
        matches!(keeping(spec, data, earlier), Err(FitError::OtherHyperparameters { .. }))
    };
    assert!(refused("dkf-nw", &data, &earlier));
    assert!(refused("dkf-gp:steps=2", &simulated(200, 5, 2, 12), &earlier));
    let mut changed = earlier.clone();
    changed.hyperparameters.insert("noise".to_owned(), "much".into());
    assert!(refused("dkf-gp:steps=2", &data, &changed));
    changed.hyperparameters.insert("noise".to_owned(), (-1.0).into());
    assert!(refused("dkf-gp:steps=2", &data, &changed));
}

#[test]
fn a_budget_that_is_used_up_ends_the_search_and_is_reported() {
    let data = simulated(200, 4, 2, 9);
    let settings = FitSettings { budget: Some(Budget { end: 1.0, clock: || 2.0 }), ..FitSettings::default() };
    for spec in SPECS {
        let fitted = fit(&spec.parse().unwrap(), &data, &settings, &mut |_| ()).unwrap();
        assert!(fitted.report.budget_used_up, "{spec}");
    }
}
