//! The z-score that follows the signal, beside numpy's weighted sums over the whole past, and what does not move it.

#![expect(clippy::unwrap_used, reason = "functions that tests share fail like tests")]

use kalmind_signal::{FeatureStatistics, Preparation, follow_running_zscore};
use kalmind_types::FeatureSet;

/// See `running_zscore_by_numpy.py`: row, a score a feature, then mean and variance of each after the row.
const BY_NUMPY: &str = include_str!("running_zscore_by_numpy.csv");
const FEATURES: usize = 3;
/// 1 - exp(-0.02 / 1.5), by numpy.
const WEIGHT: f64 = 0.013_244_838_192_804_283;

fn value(row: usize, feature: usize) -> f64 {
    if (row + feature) % 9 == 4 {
        return f64::NAN;
    }
    if feature == 0 && row >= 200 {
        return 3.0;
    }
    let number = (row * row * 7 + 31 * feature * row + 13 * feature) % 257;
    let drift = if feature == 1 { row as f64 / 64.0 } else { 0.0 };
    number as f64 / 128.0 + drift + if feature == 2 && row > 150 { 8.0 } else { 0.0 }
}

fn row(at: usize) -> [f64; FEATURES] {
    core::array::from_fn(|feature| value(at, feature))
}

fn start() -> FeatureStatistics {
    FeatureStatistics { mean: vec![1.0, -2.0, 40.0], deviation: vec![0.5, 3.0, 0.0] }
}

fn running() -> Preparation {
    Preparation::new(start().mean, Some(start())).unwrap().running(Some(WEIGHT))
}

fn none() -> FeatureSet {
    FeatureSet::none_of(FEATURES)
}

fn bits(preparation: &Preparation) -> Vec<u64> {
    preparation.adaptive().unwrap().values().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn it_is_the_weighted_mean_and_deviation_of_the_past() {
    let mut preparation = running();
    let mut expected = BY_NUMPY
        .lines()
        .map(|line| -> Vec<f64> { line.split(',').map(|cell| cell.parse().unwrap()).collect() });
    let mut next = expected.next();
    let mut compared = 0;
    for at in 0..400 {
        let scores = preparation.prepare(&row(at), &none()).features.to_vec();
        preparation.adapt(&row(at), true, &none());
        let Some(line) = next.take_if(|line| line[0] as usize == at) else { continue };
        let state = preparation.adaptive().unwrap().values();
        for feature in 0..FEATURES {
            let pairs = [
                (scores[feature], line[1 + feature]),
                (state[feature], line[4 + 2 * feature]),
                (state[FEATURES + feature], line[5 + 2 * feature]),
            ];
            for (found, expected) in pairs {
                let size = expected.abs().max(1.0);
                assert!((found - expected).abs() < 1e-12 * size, "row {at}, {feature}: {found} {expected}");
            }
        }
        compared += 1;
        next = expected.next();
    }
    assert_eq!(compared, BY_NUMPY.lines().count());
}

#[test]
fn it_starts_as_the_z_score_of_training() {
    let mut fixed = Preparation::new(start().mean, Some(start())).unwrap();
    let mut running = running();
    let raw = [1.7, 9.0, 41.0];
    assert_eq!(running.prepare(&raw, &none()), fixed.prepare(&raw, &none()));
}

#[test]
fn what_says_nothing_does_not_move_it() {
    let mut preparation = running();
    let before = bits(&preparation);
    let nobody: [usize; 0] = [];
    let moves =
        |preparation: &mut Preparation, raw: &[f64], off: &[usize], complete: bool, hidden: &[usize]| {
            let [mut switched_off, mut hides] = [none(), none()];
            assert!(off.iter().all(|feature| switched_off.insert(*feature)));
            assert!(hidden.iter().all(|feature| hides.insert(*feature)));
            preparation.prepare(raw, &switched_off);
            preparation.adapt(raw, complete, &hides);
            preparation.moved().unwrap().features().collect::<Vec<_>>()
        };
    assert_eq!(moves(&mut preparation, &[9.0; 3], &[], false, &[]), nobody);
    assert_eq!(moves(&mut preparation, &[f64::NAN, f64::INFINITY, 1e61], &[], true, &[]), nobody);
    assert_eq!(moves(&mut preparation, &[9.0; 3], &[0, 2], true, &[1]), nobody);
    assert_eq!(moves(&mut preparation, &[], &[], true, &[]), nobody);
    assert_eq!(bits(&preparation), before);
    assert_eq!(moves(&mut preparation, &[9.0; 3], &[2], true, &[0]), [1]);
    let moved: Vec<usize> = before
        .iter()
        .zip(bits(&preparation))
        .enumerate()
        .filter(|(_, (a, b))| **a != *b)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(moved, [1, 4]);
}

#[test]
fn a_feature_without_a_value_is_what_it_is_in_training_however_far_the_others_have_gone() {
    let statistics = FeatureStatistics { mean: vec![2.0; 2], deviation: vec![4.0; 2] };
    let mut preparation = Preparation::new(vec![3.0; 2], Some(statistics)).unwrap().running(Some(0.5));
    for _ in 0..20 {
        preparation.prepare(&[100.0, 2.0], &FeatureSet::none_of(2));
        preparation.adapt(&[100.0, 2.0], true, &FeatureSet::none_of(2));
    }
    let prepared = preparation.prepare(&[f64::NAN, f64::NAN], &FeatureSet::none_of(2));
    assert_eq!(prepared.features, [0.25, 0.25]);
}

#[test]
fn a_feature_that_stands_still_keeps_a_tenth_of_its_scale() {
    let statistics = FeatureStatistics { mean: vec![2.0, 5.0], deviation: vec![4.0, 0.0] };
    let mut preparation = Preparation::new(vec![2.0, 5.0], Some(statistics)).unwrap().running(Some(0.5));
    for _ in 0..2000 {
        preparation.prepare(&[2.0, 5.0], &FeatureSet::none_of(2));
        preparation.adapt(&[2.0, 5.0], true, &FeatureSet::none_of(2));
    }
    let prepared = preparation.prepare(&[2.5, 5.5], &FeatureSet::none_of(2));
    assert_eq!(prepared.features, [0.5 / 0.4, 0.5]);
}

#[test]
fn it_goes_on_from_where_another_one_was_and_begins_anew_where_it_is_told_to() {
    let mut old = running();
    old.over((0..100).map(row), |_, _| {});
    let other = FeatureStatistics { mean: vec![0.0; 3], deviation: vec![1.0; 3] };
    let mut new = Preparation::new(vec![0.0; 3], Some(other)).unwrap().running(Some(0.001));
    let begun = bits(&new);
    assert!(new.carry(old.adaptive().unwrap()));
    assert_eq!(bits(&new), bits(&old));
    new.reset();
    assert_eq!(bits(&new), begun);
    let statistics = FeatureStatistics { mean: vec![0.0; 4], deviation: vec![1.0; 4] };
    let wider = Preparation::new(vec![0.0; 4], Some(statistics)).unwrap().running(Some(0.1));
    assert!(!new.carry(wider.adaptive().unwrap()), "of another shape");
    let mut fixed = Preparation::new(start().mean, Some(start())).unwrap().running(None);
    assert!(!fixed.carry(old.adaptive().unwrap()) && fixed.adaptive().is_none() && fixed.weight() == 0.0);
}

#[test]
fn whoever_knows_what_moved_it_follows_it_to_the_bit() {
    let mut preparation = running();
    let mut state = preparation.adaptive().unwrap().clone();
    for at in 0..300 {
        preparation.prepare(&row(at), &none());
        preparation.adapt(&row(at), at % 5 != 0, &none());
        follow_running_zscore(&mut state, &row(at), preparation.moved().unwrap(), preparation.weight());
        assert_eq!(preparation.adaptive().unwrap().difference(&state), None, "row {at}");
    }
}

#[test]
fn rows_to_fit_on_are_as_the_decoder_sees_them() {
    let (mut fitted, mut run) = (Vec::new(), Vec::new());
    running().over((0..50).map(row), |at, features| fitted.push((at, features.to_vec())));
    let mut preparation = running();
    for at in 0..50 {
        run.push((at, preparation.prepare(&row(at), &none()).features.to_vec()));
        preparation.adapt(&row(at), true, &none());
    }
    assert_eq!(fitted, run);
}
