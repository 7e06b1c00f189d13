//! Selected features and principal components: what is found, what decoders make of it, and what is refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "functions that tests share fail like tests")]

#[expect(dead_code, reason = "variants are for tests of all decoders")]
mod small_models;

use std::collections::BTreeMap;

use kalmind_filter::{DecoderSpec, Model, Reduction, TrainingData};
use kalmind_fitting::{EarlierFit, FitError, FitSettings, Fitted, fit, judge};
use kalmind_types::Intent;
use nalgebra::DMatrix;

/// See `reduction_by_numpy.py`: ratios, selected features, means, axes, the part of the variance that the components hold; then
/// of each row its features, states and scores.
const BY_NUMPY: &str = include_str!("reduction_by_numpy.csv");
const FEATURES: usize = 12;
const SELECTED: usize = 5;
const COMPONENTS: usize = 3;

fn by_numpy() -> (BTreeMap<&'static str, Vec<f64>>, Vec<Vec<f64>>) {
    let (mut named, mut rows) = (BTreeMap::new(), Vec::new());
    for line in BY_NUMPY.lines() {
        let (name, numbers) = line.split_once(',').unwrap();
        let numbers: Vec<f64> = numbers.split(',').map(|number| number.parse().unwrap()).collect();
        if name == "row" {
            rows.push(numbers);
        } else {
            named.insert(name, numbers);
        }
    }
    (named, rows)
}

fn table(rows: &[Vec<f64>], columns: core::ops::Range<usize>) -> DMatrix<f64> {
    DMatrix::from_fn(rows.len(), columns.len(), |row, column| rows[row][columns.start + column])
}

fn fitted(spec: &str, data: &TrainingData) -> Result<Fitted, FitError> {
    let spec: DecoderSpec = spec.parse().unwrap();
    fit(&spec, data, &FitSettings::default(), &mut |_| {})
}

fn reduction(spec: &str, data: &TrainingData) -> Reduction {
    fitted(spec, data).unwrap().reduction.unwrap()
}

fn assert_near(found: impl IntoIterator<Item = f64>, expected: &[f64], what: &str) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let near = (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3 * size);
        assert!(near, "{what}: {found} and {expected}");
    }
}

#[test]
fn features_and_components_are_those_of_numpy() {
    let (named, rows) = by_numpy();
    let data = TrainingData::new(table(&rows, 0..FEATURES), table(&rows, FEATURES..FEATURES + 2));
    let found = fitted("ole:select=5,pca=3", &data).unwrap();
    let both = found.reduction.unwrap();
    let selected = both.selected.clone().unwrap();
    assert_near(selected.iter().map(|place| *place as f64), &named["selected"], "selected features");
    let ratios = kalmind_fitting::sensitivity::signal_to_noise(&data.features, &data.states);
    assert_near(ratios, &named["ratio"], "signal-to-noise ratios");
    let principal = both.principal.as_ref().unwrap();
    assert_near(principal.mean.iter().copied(), &named["mean"], "means");
    for (row, expected) in principal.axes.row_iter().zip(named["axes"].chunks(SELECTED)) {
        assert_near(row.iter().copied(), expected, "axes");
    }
    let held = found.report.hyperparameters["components-hold"].as_f64().unwrap();
    assert_near([held], &named["held"], "what the components hold");
    let scores = both.rows(&data.features);
    for (row, expected) in scores.column_iter().zip(table(&rows, 14..14 + COMPONENTS).column_iter()) {
        assert_near(row.iter().copied(), expected.into_owned().as_slice(), "scores");
    }
    assert_eq!(reduction("ole:select=5", &data), Reduction { principal: None, ..both });
}

#[test]
fn a_decoder_says_what_one_of_the_reduced_features_says() {
    let data = small_models::training_data(400, 8);
    for name in ["kalman", "wiener:lags=3", "dkf-linear:lags=2", "dkf-nw:steps=2"] {
        for reduced in ["select=3", "pca=4", "select=5,pca=2"] {
            let text = format!("{name}{}{reduced}", if name.contains(':') { ',' } else { ':' });
            let whole = small_models::model(&text.parse().unwrap(), &data);
            let reduction = whole.reduction.clone().unwrap();
            let rows = TrainingData { features: reduction.rows(&data.features), ..data.clone() };
            let alone = small_models::model(&name.parse().unwrap(), &rows);
            let background = whole.background();
            let alone = Model { training_mean: reduction.apply(&background), ..alone };
            // the factors on the covariance are of other held-out rows: a selection is judged without what it has seen
            let (mut whole, mut alone) = (whole.decoder().unwrap(), alone.decoder().unwrap());
            let mut intents = [Intent::zero(2); 2];
            for row in 0..60 {
                let features: Vec<f64> = data.features.row(row).iter().copied().collect();
                let arrived = row % 7 != 3;
                let said = [
                    whole.step(arrived.then_some(&features), &mut intents[0]).valid,
                    alone.step(arrived.then_some(&reduction.apply(&features)), &mut intents[1]).valid,
                ];
                assert_eq!(said[0], said[1], "{text}");
                assert_near(intents[0].mean().iter().copied(), intents[1].mean(), &text);
            }
        }
    }
}

/// Noise that says nothing of the states, of far more features than rows can tell apart.
fn noise() -> TrainingData {
    // splitmix64
    let mut state = 11_u64;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    let mut states = DMatrix::zeros(300, 2);
    for row in 1..300 {
        for column in 0..2 {
            states[(row, column)] = 0.5 * states[(row - 1, column)] + uniform();
        }
    }
    TrainingData::new(DMatrix::from_fn(300, 200, |_, _| uniform()), states)
}

/// Features that were chosen by rows seem to say something of these.
#[test]
fn rows_that_chose_the_features_do_not_judge_them() {
    let data = noise();
    for decoder in ["wiener:lags=1,ridge=0.1", "dkf-linear"] {
        let spec: DecoderSpec = decoder.parse().unwrap();
        let chosen = reduction(&format!("{decoder},select=10").replacen("linear,", "linear:", 1), &data);
        let mut r2 = Vec::new();
        for (text, rows) in [
            (format!("{spec}{}select=10", if decoder.contains(':') { ',' } else { ':' }), data.clone()),
            (spec.to_string(), TrainingData { features: chosen.rows(&data.features), ..data.clone() }),
        ] {
            let spec: DecoderSpec = text.parse().unwrap();
            let mut fitted = fitted(&text, &rows).unwrap();
            judge(&spec, &rows, None, &mut fitted);
            r2.push(fitted.report.quality.unwrap().r2);
        }
        assert!(r2[0] < 0.01, "{decoder}: {r2:?}");
        assert!(r2[1] > 0.02, "{decoder}: {r2:?}, so that there is something to be taken in by");
    }
}

#[test]
fn hyperparameters_that_are_kept_are_those_of_the_same_features() {
    let (first, more) = (small_models::training_data(300, 8), small_models::training_data(360, 8));
    for text in ["kalman-steady:select=3", "dkf-linear:select=4,pca=2"] {
        let spec: DecoderSpec = text.parse().unwrap();
        let mut whole = fitted(text, &first).unwrap();
        judge(&spec, &first, None, &mut whole);
        let earlier = EarlierFit {
            report: whole.report.clone(),
            covariance_scale: Some(whole.parameters.covariance_scale().clone()),
            reduction: whole.reduction.clone(),
        };
        let settings = FitSettings { keep: Some(Box::new(earlier)), ..FitSettings::default() };
        let mut next = fit(&spec, &more, &settings, &mut |_| {}).unwrap();
        judge(&spec, &more, None, &mut next);
        assert_eq!(next.reduction, whole.reduction, "{text}");
        for name in ["selected", "components", "components-hold"] {
            let of = |fitted: &Fitted| fitted.report.hyperparameters.get(name).cloned();
            assert_eq!(of(&next), of(&whole), "{name} of {text}");
        }
        assert_ne!(next.parameters, whole.parameters, "{text}");
        let (kept, sought) = (next.report.quality.unwrap(), whole.report.quality.unwrap());
        assert!(kept.of_earlier_fit && kept.r2.to_bits() == sought.r2.to_bits(), "{text}");
    }
}

#[test]
fn ties_take_the_first_feature_and_components_of_repeated_ones_are_fewer() {
    let data = small_models::training_data(300, 3);
    let columns: Vec<usize> = vec![0, 1, 2, 0, 1, 2];
    let twice = TrainingData { features: data.features.select_columns(&columns), ..data };
    let selected = reduction("ole:select=2", &twice).selected.unwrap();
    let ratios = kalmind_fitting::sensitivity::signal_to_noise(&twice.features, &twice.states);
    assert_eq!(ratios[selected[0]].to_bits(), ratios[selected[1]].to_bits(), "one twice: {ratios:?}");
    assert_eq!(selected[1], selected[0] + 3);
    let first = reduction("ole:select=1", &twice).selected.unwrap();
    assert_eq!(first, selected[..1], "the first of two that are equal");
    let found = fitted("kalman:pca=5", &twice).unwrap();
    assert_eq!(found.reduction.unwrap().principal.unwrap().axes.nrows(), 3);
    let said = "the features have 3 independent components over the training rows, so these are taken for the 5 of `pca`";
    assert!(found.report.warnings.iter().any(|warning| warning == said), "{:?}", found.report.warnings);
}

#[test]
fn more_than_there_is_is_refused_with_what_there_is() {
    let data = small_models::training_data(300, 6);
    let refused = |spec: &str| fitted(spec, &data).unwrap_err().to_string();
    let said = "`select=7`, but there are 6 features to take them from: give at most 6";
    assert_eq!(refused("kalman:select=7"), said);
    let said = "`pca=4`, but there are 3 features to take them from: give at most 3";
    assert_eq!(refused("dkf-linear:select=3,pca=4"), said);
    assert!("kalman:select=0".parse::<DecoderSpec>().is_err());
}

#[test]
fn kernels_that_bound_channels_warn_of_components() {
    let data = small_models::training_data(300, 6);
    let found = fitted("dkf-mk:pca=2,steps=2,inducing=20", &data).unwrap();
    assert!(found.report.warnings.iter().any(|warning| warning.starts_with("`dkf-mk` bounds")));
    let found = fitted("dkf-mk:select=2,steps=2,inducing=20", &data).unwrap();
    assert!(!found.report.warnings.iter().any(|warning| warning.starts_with("`dkf-mk` bounds")));
}
