//! What single channels mean to a decoder: signal-to-noise ratios, saturation, and summaries of runs in which one channel
//! after the other was changed. Pure functions for the slow side; the runs themselves are made by the caller.

use kalmind_types::Intent;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

/// How many channels of highest signal-to-noise ratio are summed up (Brandman, Burkhart et al. 2018 perturb the best).
pub const TOP_CHANNELS: usize = 10;

/// Signal-to-noise ratio of each feature column: `R^2 / (1 - R^2)` of its linear regression, with intercept, on the
/// states of the same rows. 0 for a column that never moves, infinite for one that the states give exactly.
#[must_use]
pub fn signal_to_noise(features: &DMatrix<f64>, states: &DMatrix<f64>) -> Vec<f64> {
    let centred = |matrix: &DMatrix<f64>| {
        let mut centred = matrix.clone();
        for mut column in centred.column_iter_mut() {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
        }
        centred
    };
    let basis = orthonormal_columns(&centred(states));
    centred(features)
        .column_iter()
        .zip(features.column_iter())
        .map(|(column, raw)| {
            let total = column.norm_squared();
            // what rounding leaves of a constant column is no variance
            if total <= 1e-24 * raw.norm_squared() {
                return 0.0;
            }
            let explained: f64 = basis.iter().map(|direction| column.dot(direction).powi(2)).sum();
            let share = (explained / total).min(1.0);
            share / (1.0 - share)
        })
        .collect()
}

/// An orthonormal basis of the columns (Gram-Schmidt, twice); a column that follows from those before it adds nothing.
fn orthonormal_columns(matrix: &DMatrix<f64>) -> Vec<nalgebra::DVector<f64>> {
    let mut basis: Vec<nalgebra::DVector<f64>> = Vec::with_capacity(matrix.ncols());
    for column in matrix.column_iter() {
        let mut rest = column.clone_owned();
        let before = rest.norm();
        for _twice in 0..2 {
            for direction in &basis {
                let along = rest.dot(direction);
                rest.axpy(-along, direction, 1.0);
            }
        }
        let after = rest.norm();
        if after > 1e-12 * before {
            basis.push(rest / after);
        }
    }
    basis
}

/// The [`TOP_CHANNELS`] (or fewer) channels of highest ratio, best first; equal ones in channel order.
#[must_use]
pub fn top_channels(signal_to_noise: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..signal_to_noise.len()).collect();
    order.sort_by(|&left, &right| signal_to_noise[right].total_cmp(&signal_to_noise[left]));
    order.truncate(TOP_CHANNELS);
    order
}

/// A figure over runs in each of which another channel was changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelSummary {
    /// Mean over the channels that were changed.
    pub mean: f64,
    /// Mean over those of them that are among the [`top_channels`]; `None` without any.
    pub top: Option<f64>,
    /// The largest.
    pub worst: f64,
    /// Its channel.
    pub worst_channel: usize,
}

/// Sums up a figure by channel (channel, figure); `top` are the channels of highest signal-to-noise ratio. `None` without
/// channels.
#[must_use]
pub fn summarize_channels(figures: &[(usize, f64)], top: &[usize]) -> Option<ChannelSummary> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let all: Vec<f64> = figures.iter().map(|(_, figure)| *figure).collect();
    let best: Vec<f64> =
        figures.iter().filter(|(channel, _)| top.contains(channel)).map(|(_, figure)| *figure).collect();
    // of equal ones the first channel
    let &(worst_channel, worst) = figures.iter().rev().max_by(|left, right| left.1.total_cmp(&right.1))?;
    Some(ChannelSummary {
        mean: mean(&all),
        top: (!best.is_empty()).then(|| mean(&best)),
        worst,
        worst_channel,
    })
}

/// Features kept within `limit` standard deviations of the mean, each by its own statistics. A channel that never moved in
/// training stays at its mean.
pub fn saturate(features: &mut [f64], mean: &[f64], deviation: &[f64], limit: f64) {
    for (value, (mean, deviation)) in features.iter_mut().zip(mean.iter().zip(deviation)) {
        // `clamp` keeps NaN, which the caller has to see
        *value = value.clamp(mean - limit * deviation, mean + limit * deviation);
    }
}

/// Root mean square of the distance between two courses of intents, relative to the root mean square of the truth: how
/// much the output changes.
#[must_use]
pub fn relative_change(truth: &DMatrix<f64>, reference: &[Intent], changed: &[Intent]) -> f64 {
    let squares: f64 = reference
        .iter()
        .zip(changed)
        .flat_map(|(reference, changed)| reference.mean().iter().zip(changed.mean()))
        .map(|(reference, changed)| (reference - changed).powi(2))
        .sum();
    (squares / truth.norm_squared()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_least_squares() {
        // numpy.linalg.lstsq on the same formulas, with intercept
        let states = DMatrix::from_fn(40, 2, |row, column| {
            let t = row as f64;
            if column == 0 { t.sin() } else { (1.3 * t).cos() + 0.2 }
        });
        let features = DMatrix::from_fn(40, 4, |row, column| {
            let t = row as f64;
            let (x, y) = (states[(row, 0)], states[(row, 1)]);
            match column {
                0 => 2.0 * x - y + 0.5 * (7.0 * t * t).sin() + 3.0,
                1 => (t * t).cos(),
                2 => 1.0,
                _ => 0.1 * x + (3.0 * t).sin(),
            }
        });
        let found = signal_to_noise(&features, &states);
        let expected = [24.496_235_576_8, 0.002_012_063_694_22, 0.0, 0.006_348_945_433_47];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-9 * (1.0 + expected), "{found} instead of {expected}");
        }
        assert_eq!(top_channels(&found), [0, 3, 1, 2]);
    }

    #[test]
    fn a_state_that_repeats_another_changes_no_ratio() {
        let once = DMatrix::from_fn(30, 1, |row, _| (row as f64).sin());
        let twice = DMatrix::from_fn(30, 2, |row, _| (row as f64).sin());
        let features = DMatrix::from_fn(30, 1, |row, _| (row as f64).sin() + (2.0 * row as f64).cos());
        let (once, twice) = (signal_to_noise(&features, &once)[0], signal_to_noise(&features, &twice)[0]);
        assert!((once / twice - 1.0).abs() < 1e-9);
    }

    #[test]
    fn summaries_name_the_worst_channel_and_average_the_best() {
        let summary = summarize_channels(&[(2, 0.5), (4, 0.9), (7, 0.7)], &[7, 2, 0]).unwrap();
        assert!((summary.mean - 0.7).abs() < 1e-15 && (summary.top.unwrap() - 0.6).abs() < 1e-15);
        assert_eq!((summary.worst, summary.worst_channel), (0.9, 4));
        assert_eq!(summarize_channels(&[(3, 0.4)], &[0]).unwrap().top, None);
        assert_eq!(summarize_channels(&[], &[0]), None);
    }

    #[test]
    fn saturation_keeps_features_within_their_deviations() {
        let mut features = [9.0, 1.0, -4.0, 5.0];
        saturate(&mut features, &[1.0, 1.0, 1.0, 2.0], &[2.0, 2.0, 2.0, 0.0], 2.0);
        for (found, expected) in features.iter().zip([5.0, 1.0, -3.0, 2.0]) {
            assert!((found - expected).abs() < 1e-15, "{features:?}");
        }
    }

    #[test]
    fn a_change_is_relative_to_the_truth() {
        let truth = DMatrix::from_row_slice(2, 2, &[3.0, 0.0, 0.0, 4.0]);
        let intents = |means: [[f64; 2]; 2]| {
            means.map(|mean| {
                let mut intent = Intent::zero(2);
                intent.mean_mut().copy_from_slice(&mean);
                intent
            })
        };
        let (reference, changed) = (intents([[1.0, 1.0], [0.0, 0.0]]), intents([[1.0, 2.0], [2.0, 0.0]]));
        assert!((relative_change(&truth, &reference, &changed) - (5.0_f64 / 25.0).sqrt()).abs() < 1e-15);
    }
}
