//! Weights of a regression reference, against regressions that numpy solves one by one.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use kalmind_fitting::{RegressionReferenceError, regression_reference};

fn numbers(line: &str) -> Vec<f64> {
    line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect()
}

/// Rows of `channels` numbers between -1 and 1, by index alone.
fn noise(rows: usize, channels: usize) -> Vec<f64> {
    let number = |at: usize| {
        let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..rows * channels).map(number).collect()
}

#[test]
fn each_channel_is_regressed_on_the_others_of_its_array() {
    let mut lines = include_str!("regression_reference/by_numpy.txt").lines();
    let (rows, expected) = (numbers(lines.next().unwrap()), numbers(lines.next().unwrap()));
    let found = regression_reference(&rows, 9, &[(0..4).collect(), (4..9).collect()], &[6], 0.01).unwrap();
    for (at, (found, expected)) in found.weights.iter().flatten().zip(&expected).enumerate() {
        assert!((found - expected).abs() <= 1e-9, "{at}: {found} {expected}");
    }
}

#[test]
fn a_channel_that_leans_on_one_neighbour_is_named() {
    let (channels, mut rows) = (6, noise(3000, 6));
    for row in rows.chunks_exact_mut(channels) {
        row[2] = row[1] + 0.3 * row[2];
    }
    let all = vec![(0..channels).collect()];
    let found = regression_reference(&rows, channels, &all, &[], 1e-3).unwrap();
    let pairs: Vec<_> = found.leaning.iter().map(|leaning| (leaning.channel, leaning.neighbour)).collect();
    assert!(pairs.contains(&(1, 2)) && pairs.contains(&(2, 1)), "{:?}", found.leaning);
    assert!(found.leaning.iter().all(|leaning| leaning.share > 0.5 && leaning.share <= 1.0));
    assert!(found.leaning[0].to_string().contains("use a common average"));
}

#[test]
fn a_dead_channel_has_no_weight_and_what_cannot_be_learnt_is_refused() {
    let mut rows = noise(200, 4);
    rows.iter_mut().skip(3).step_by(4).for_each(|value| *value = 7.0);
    let all = vec![(0..4).collect()];
    let found = regression_reference(&rows, 4, &all, &[], 1e-3).unwrap();
    assert!(
        found.weights.iter().all(|row| row[3].abs() < 1e-9)
            && found.weights[3].iter().all(|w| w.abs() < 1e-9)
    );
    let refused = |rows: &[f64], ridge| regression_reference(rows, 4, &all, &[], ridge).unwrap_err();
    assert!(matches!(refused(&rows, 0.0), RegressionReferenceError::Singular { .. }));
    assert!(matches!(refused(&rows[..7], 1e-3), RegressionReferenceError::Rows { values: 7, channels: 4 }));
    rows[5] = f64::NAN;
    assert!(matches!(refused(&rows, 1e-3), RegressionReferenceError::Singular { .. }));
    let outside = vec![(2..5).collect()];
    let error = regression_reference(&noise(9, 4), 4, &outside, &[], 0.1).unwrap_err();
    assert_eq!(error.to_string(), "there are 4 channels, so 2..5 is no array of them");
}
