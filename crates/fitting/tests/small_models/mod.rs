//! A small model of every decoder, fitted in no time, for what has to hold for all of them.

use kalmind_filter::{DecoderName, DecoderSpec, Model, TaskSample, TrainingData};
use kalmind_fitting::{Budget, FitSettings, fit};
use kalmind_types::{Component, Position};
use nalgebra::DMatrix;

/// Options that make fits short, where a decoder takes them.
const SHORT: [(&str, &str); 6] = [
    ("epochs", "2"),
    ("hidden", "4"),
    ("layers", "1"),
    ("networks", "2"),
    ("steps", "2"),
    ("inducing", "20"),
];

/// Options that let other code run, where a decoder takes them.
const VARIANTS: [(&str, &str); 16] = [
    ("state-order", "3"),
    ("q", "kernel"),
    ("lags", "3"),
    ("form", "robust"),
    ("form", "clipped"),
    ("form", "augmented"),
    ("start", "prior"),
    ("kernel", "se-ard"),
    ("cell", "lstm"),
    ("update", "covariance"),
    ("feedback", "position"),
    ("dynamics", "ekf"),
    ("dynamics", "ukf"),
    ("guard", "on"),
    ("select", "3"),
    ("pca", "2"),
];

/// `decoder`, short to fit, as it stands and with every variant of its options.
pub(crate) fn variants(decoder: DecoderName) -> Vec<DecoderSpec> {
    let has = |option: &str| decoder.option_names().contains(&option);
    let mut plain = DecoderSpec::new(decoder);
    for (option, value) in SHORT.into_iter().filter(|(option, _)| has(option)) {
        plain.set(option, value).unwrap();
    }
    let mut specs = vec![plain];
    for (option, value) in VARIANTS.into_iter().filter(|(option, _)| has(option)) {
        let mut spec = plain;
        spec.set(option, value).unwrap();
        specs.push(spec);
    }
    specs
}

/// Two states that wander, and features that follow them with structure of their own; a target every 40 rows.
pub(crate) fn training_data(rows: usize, features: usize) -> TrainingData {
    let wave = |row: usize, column: usize| ((row * row * 7 + column * 13 * row + column) as f64).sin();
    let states = DMatrix::from_fn(rows, 2, |row, column| {
        (0..8).map(|back| wave((row + 8 - back) / 2, column)).sum::<f64>()
    });
    let table = DMatrix::from_fn(rows, features, |row, column| {
        states[(row, column % 2)] + 2.0 * wave(row, column + 5) + (column % 3) as f64
    });
    let task = (0..rows)
        .map(|row| TaskSample {
            trial: (row / 40) as u64,
            target: Some(Position([0.9, (row / 40 % 7) as f64 / 7.0])),
            cursor: Position([0.5 + 0.4 * wave(row, 0), 0.5 + 0.4 * wave(row, 1)]),
            hold: false,
        })
        .collect();
    TrainingData { task: Some(task), ..TrainingData::new(table, states) }
}

/// `spec` fitted to `data` with a budget that is used up at once, so that `auto` takes what is cheapest.
pub(crate) fn model(spec: &DecoderSpec, data: &TrainingData) -> Model {
    let settings = FitSettings { budget: Some(Budget { end: 0.0, clock: || 0.0 }), ..FitSettings::default() };
    let fitted = fit(spec, data, &settings, &mut |_| ()).unwrap_or_else(|error| panic!("{spec}: {error}"));
    Model {
        components: ["vx", "vy"]
            .map(|name| Component { name: name.to_owned(), unit: String::new() })
            .to_vec(),
        guard: Some(fitted.guard),
        reduction: fitted.reduction,
        click: None,
        ..Model::plain(*spec, data.features.row_mean().iter().copied().collect(), 2, fitted.parameters)
    }
}
