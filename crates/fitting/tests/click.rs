//! Click decoders: beside scikit-learn, and what is chosen on held-out rows.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use kalmind_filter::{ClickDecoder, TrainingData};
use kalmind_fitting::{ClickFitError, ClickFitSettings, FittedClick, fit_click};
use nalgebra::DMatrix;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Poisson};

/// See `click_by_scikit_learn.py`: weights, intercept, shrinkage, begin and end; then of each row its label, its features and
/// the probability after it.
const BY_SCIKIT_LEARN: &str = include_str!("click_by_scikit_learn.csv");

fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1e-3),
            "{what}: {found} {expected}"
        );
    }
}

fn data(features: DMatrix<f64>) -> TrainingData {
    let states = DMatrix::zeros(features.nrows(), 1);
    TrainingData::new(features, states)
}

#[test]
fn the_discriminant_is_that_of_scikit_learn_and_the_recursion_that_of_densities() {
    let lines: Vec<(&str, Vec<f64>)> = BY_SCIKIT_LEARN
        .lines()
        .map(|line| {
            let mut parts = line.split(',');
            (parts.next().unwrap(), parts.map(|value| value.parse().unwrap()).collect())
        })
        .collect();
    let (head, rows) = lines.split_at(4);
    let features = DMatrix::from_fn(rows.len(), 4, |row, column| rows[row].1[column]);
    let meant: Vec<Option<bool>> = rows
        .iter()
        .map(|(name, _)| match *name {
            "meant" => Some(true),
            "not" => Some(false),
            _ => None,
        })
        .collect();
    let FittedClick { parameters, report } =
        fit_click(&data(features), &meant, &ClickFitSettings::default()).unwrap();
    close(&parameters.weights, &head[0].1, 1e-10, "weights");
    close(&[parameters.intercept], &head[1].1, 1e-10, "intercept");
    close(&[report.shrinkage], &head[2].1, 1e-10, "shrinkage");
    close(&[parameters.settings.begin, parameters.settings.end], &head[3].1, 1e-15, "chain");
    assert_eq!((report.rows, report.acts), ([48, 184], 8));
    let mut decoder = ClickDecoder::new(&parameters, 20.0);
    for (row, (_, values)) in rows.iter().enumerate() {
        close(&[decoder.step(Some(&values[..4]))], &values[4..], 1e-9, &format!("row {row}"));
    }
}

/// Counts of so many units, of which the first dozen raises its log rate by `rise` in acts of 300 ms, four in ten seconds.
fn counts(seconds: u32, units: usize, rise: f64, seed: u64) -> (TrainingData, Vec<Option<bool>>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let rates: Vec<f64> = (0..units).map(|_| 0.16 * (1.2 * random.random::<f64>() - 0.6).exp()).collect();
    let rows = 50 * seconds as usize;
    let meant: Vec<bool> = (0..rows).map(|row| row % 125 >= 110).collect();
    let features = DMatrix::from_fn(rows, units, |row, unit| {
        let gain = if meant[row] && unit < 12 { rise.exp() } else { 1.0 };
        Poisson::new(gain * rates[unit]).unwrap().sample(&mut random)
    });
    (data(features), meant.into_iter().map(Some).collect())
}

#[test]
fn clicks_that_a_dozen_units_follow_are_presses_within_the_act_and_few_others_are() {
    let (data, meant) = counts(60, 96, 0.8, 1);
    let FittedClick { parameters, report } = fit_click(&data, &meant, &ClickFitSettings::default()).unwrap();
    let held_out = report.held_out;
    assert_eq!(held_out.acts, 24);
    assert!(held_out.pressed >= 22 && held_out.false_per_minute <= 1.0, "{report:?}");
    assert!((60.0..300.0).contains(&held_out.latency_ms), "{report:?}");
    assert!(report.warnings.is_empty(), "{report:?}");
    assert!((0.0..=1.0).contains(&report.shrinkage));
    let settings = parameters.settings;
    assert!((settings.end - 1.0 / 15.0).abs() < 1e-12 && (settings.begin - 1.0 / 110.0).abs() < 1e-12);
    assert!((settings.release - 0.5 * settings.threshold).abs() < 1e-15);
}

#[test]
fn where_nothing_follows_a_click_the_report_says_so() {
    let (data, meant) = counts(60, 20, 0.0, 2);
    let report = fit_click(&data, &meant, &ClickFitSettings::default()).unwrap().report;
    assert!(report.held_out.pressed < 12, "{report:?}");
    assert!(report.warnings.iter().any(|warning| warning.contains("select by dwelling")), "{report:?}");
}

#[test]
fn features_that_do_not_move_tell_nothing() {
    let (data, meant) = counts(30, 20, 1.5, 3);
    let mut still = data.clone();
    still.features.column_mut(0).fill(3.0);
    // one that moves with the label and never by itself would be certain
    for (row, label) in meant.iter().enumerate() {
        still.features[(row, 1)] = f64::from(u8::from(*label == Some(true)));
    }
    let parameters = fit_click(&still, &meant, &ClickFitSettings::default()).unwrap().parameters;
    assert!(parameters.weights[..2].iter().all(|weight| weight.abs() < f64::MIN_POSITIVE));
    assert!(parameters.weights[2] > 0.5);
}

#[test]
fn too_little_is_refused_and_says_of_what() {
    let (data, meant) = counts(30, 5, 1.0, 4);
    let fit = |data: &TrainingData, meant: &[Option<bool>]| {
        fit_click(data, meant, &ClickFitSettings::default()).map(|fitted| fitted.report).unwrap_err()
    };
    let few: Vec<_> = meant.iter().enumerate().map(|(row, label)| label.filter(|_| row < 300)).collect();
    let error = fit(&data, &few);
    assert_eq!(error, ClickFitError::TooFew { what: "acts of clicking", found: 2, needed: 4 });
    assert_eq!(
        error.to_string(),
        "2 acts of clicking, but a click decoder needs at least 4: calibrate longer"
    );
    assert_eq!(fit(&data, &meant[1..]), ClickFitError::RowsDiffer { labels: 1499, rows: 1500 });
    let mut broken = data.clone();
    broken.features[(7, 2)] = f64::NAN;
    assert!(matches!(fit(&broken, &meant), ClickFitError::NotFinite { row: 7, column: 2, .. }));
    let still = TrainingData { features: DMatrix::from_element(1500, 5, 2.0), ..data };
    assert_eq!(fit(&still, &meant), ClickFitError::NothingMoves);
}
