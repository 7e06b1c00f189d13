//! Defaults that help and documentation state are those that fitting takes: written or left out, the model is the same.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

use kalmind_filter::{
    DecoderName, DecoderSpec, KalmanUpdate, Parameters, RunningZScore, TaskSample, TrainingData,
};
use kalmind_fitting::{FitSettings, fit};
use kalmind_types::Position;
use nalgebra::DMatrix;

/// Options that make fits short; each is left out where its own default is tried.
const SHORT: [(&str, &str); 6] = [
    ("epochs", "2"),
    ("hidden", "4"),
    ("layers", "1"),
    ("networks", "2"),
    ("steps", "2"),
    ("inducing", "20"),
];

/// Two values of an option that have to make different models: else the test of defaults could not fail.
const DIFFERENT: [(&str, &str, &str); 17] = [
    ("lags", "1", "2"),
    ("direction", "off", "on"),
    ("form", "standard", "robust"),
    ("q", "constant", "kernel"),
    ("q-scale", "1", "3"),
    ("residuals", "cross-fitted", "held-out"),
    ("state-order", "1", "3"),
    ("stationary", "training", "lyapunov"),
    ("start", "first", "prior"),
    ("dynamics", "linear", "ekf"),
    ("intercept", "off", "on"),
    ("ridge", "0.1", "0.5"),
    ("degree", "2", "3"),
    ("kernel", "se", "se-ard"),
    ("bandwidth", "1", "1.5"),
    ("covariance-scale", "1", "2"),
    ("cell", "gru", "lstm"),
];

/// Four fifths of them are enough for the default window of `wiener`; few enough for short fits.
const ROWS: usize = 180;

fn data() -> TrainingData {
    let wave = |row: usize, column: usize| ((row * row * 7 + column * 13 * row + column) as f64).sin();
    let states = DMatrix::from_fn(ROWS, 2, |row, column| {
        0.4 + (0..8).map(|back| wave((row + 8 - back) / 2, column)).sum::<f64>()
    });
    let features = DMatrix::from_fn(ROWS, 3, |row, column| {
        states[(row, column % 2)] + wave(row, column + 5) + 0.2 * states[(row, 0)].powi(2) + column as f64
    });
    let task = (0..ROWS as u64)
        .map(|row| TaskSample {
            trial: row / 20,
            target: Some(Position([0.9, (row / 20) as f64 / 9.0])),
            cursor: Position([0.5 + 0.4 * wave(row as usize, 0), 0.5 + 0.4 * wave(row as usize, 1)]),
            hold: false,
        })
        .collect();
    TrainingData { task: Some(task), ..TrainingData::new(features, states) }
}

fn fitted(spec: &DecoderSpec, data: &TrainingData) -> Parameters {
    fit(spec, data, &FitSettings::default(), &mut |_| ())
        .unwrap_or_else(|error| panic!("{spec}: {error}"))
        .parameters
}

/// The decoder with options that make its fit short, but `without` this one.
fn short(decoder: DecoderName, without: &str) -> DecoderSpec {
    let mut spec = DecoderSpec::new(decoder);
    for (option, value) in SHORT {
        if option != without && decoder.option_names().contains(&option) {
            spec.set(option, value).unwrap();
        }
    }
    spec
}

#[test]
fn an_option_left_out_is_the_default_that_is_documented() {
    let data = data();
    for decoder in DecoderName::ALL {
        // its candidates are other decoders, and take minutes
        if decoder == DecoderName::Auto {
            continue;
        }
        for option in decoder.options() {
            let (name, default) = (option.info.name, option.default);
            let left_out = short(decoder, name);
            let mut written = left_out;
            written.set(name, default).unwrap();
            match name {
                // not the fit's business
                "guard" => assert_eq!(left_out.is_guarded(), written.is_guarded(), "{decoder}"),
                "running-zscore" => assert_eq!(written.options.running_zscore, Some(RunningZScore::Off)),
                "update" => assert_eq!(written.options.update, Some(KalmanUpdate::default())),
                _ => assert!(
                    fitted(&left_out, &data) == fitted(&written, &data),
                    "{decoder} is not the same with and without `{name}={default}`: correct its default in catalogue.rs"
                ),
            }
        }
    }
}

#[test]
fn different_values_make_different_models() {
    let data = data();
    for decoder in
        [DecoderName::WienerCascade, DecoderName::DkfNw, DecoderName::DkfGru, DecoderName::DkfLinear]
    {
        for (option, one, other) in DIFFERENT {
            if decoder.option_names().contains(&option) {
                let [one, other] = [one, other].map(|value| {
                    let mut spec = short(decoder, option);
                    spec.set(option, value).unwrap();
                    fitted(&spec, &data)
                });
                assert!(one != other, "{decoder}: the values of `{option}` make no difference");
            }
        }
    }
}
