//! What figures are without any decoding: of a decoder whose output has lost its place in time, and of an answer that does
//! not depend on the features.
//!
//! **Shifted truth.** Neighbouring rows are alike, so decoded rows are not to be compared with truth in random order: that
//! null is far too narrow. The truth is shifted in circles instead, which keeps both autocorrelations and takes away what
//! links them (Theiler et al. 1992 on surrogates; Harris 2020 on its limits: a slow trend that both share remains). The
//! shifts are spread evenly over the rows, at least [`LEAST_SHIFT`] of them from where they were.
//!
//! Pure functions for the slow side. Cost: one pass over the rows a shift.

use kalmind_types::Intent;
use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::accuracy;

/// Shifts that are tried.
pub const SHIFTS: usize = 199;
/// The shortest shift, as a part of all rows; the longest is as far from the end.
pub const LEAST_SHIFT: f64 = 0.05;

/// The figures that are compared with chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// See [`accuracy::nrmse`].
    pub nrmse: f64,
    /// See [`accuracy::r_squared`].
    pub r_squared: f64,
    /// Mean of [`accuracy::correlation`] over the components.
    pub correlation: f64,
    /// See [`accuracy::maae`].
    pub maae: f64,
}

impl Scores {
    /// Of estimates of these rows.
    #[must_use]
    pub fn of(truth: &DMatrix<f64>, estimates: &[Intent]) -> Self {
        Self {
            nrmse: accuracy::nrmse(truth, estimates),
            r_squared: accuracy::r_squared(truth, estimates),
            correlation: mean(&accuracy::correlation(truth, estimates)),
            maae: accuracy::maae(truth, estimates).mean,
        }
    }

    /// The figures in one fixed order: nRMSE, R squared, correlation, MAAE.
    #[must_use]
    pub fn values(&self) -> [f64; 4] {
        [self.nrmse, self.r_squared, self.correlation, self.maae]
    }

    /// The inverse of [`values`](Self::values).
    #[must_use]
    pub fn from_values([nrmse, r_squared, correlation, maae]: [f64; 4]) -> Self {
        Self { nrmse, r_squared, correlation, maae }
    }

    /// The mean of each.
    #[must_use]
    pub fn mean(scores: &[Self]) -> Self {
        let figure = |figure: usize| mean(&scores.iter().map(|of| of.values()[figure]).collect::<Vec<_>>());
        Self::from_values([0, 1, 2, 3].map(figure))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The rows by which each of [`SHIFTS`] shifts moves a truth of `rows` rows; fewer than that where there are few rows.
#[must_use]
pub fn shifts(rows: usize) -> Vec<usize> {
    let least = (LEAST_SHIFT * rows as f64).ceil().max(1.0);
    let room = rows as f64 - 2.0 * least;
    (0..SHIFTS)
        .map(|shift| (least + room * shift as f64 / (SHIFTS - 1) as f64).round() as usize)
        .filter(|shift| (1..rows).contains(shift))
        .collect()
}

/// The figures of the same estimates against the truth shifted by each of [`shifts`].
#[must_use]
pub fn shifted_scores(truth: &DMatrix<f64>, estimates: &[Intent]) -> Vec<Scores> {
    let rows = truth.nrows();
    shifts(rows)
        .into_par_iter()
        .map(|shift| {
            let shifted =
                DMatrix::from_fn(rows, truth.ncols(), |row, column| truth[((row + shift) % rows, column)]);
            Scores::of(&shifted, estimates)
        })
        .collect()
}

/// The figures of the same answer in every row, such as the mean of the training rows' states; it correlates with nothing.
#[must_use]
pub fn constant_scores(truth: &DMatrix<f64>, answer: &[f64]) -> Scores {
    let mut intent = Intent::zero(answer.len());
    intent.mean_mut().copy_from_slice(answer);
    // what is left of a mean that was rounded is no correlation
    Scores { correlation: f64::NAN, ..Scores::of(truth, &vec![intent; truth.nrows()]) }
}

/// The chance level that shifted truths give: their median, and the figure that 5 % of them reach or better. Less is better
/// for errors and angles, more for R squared and correlation.
#[must_use]
pub fn level(shifted: &[Scores]) -> [Scores; 2] {
    let quantile = |figure: usize, probability: f64| {
        let mut values: Vec<f64> = shifted.iter().map(|scores| scores.values()[figure]).collect();
        accuracy::quantile(&mut values, probability)
    };
    [
        Scores::from_values([0, 1, 2, 3].map(|figure| quantile(figure, 0.5))),
        Scores::from_values(
            [(0, 0.05), (1, 0.95), (2, 0.95), (3, 0.05)].map(|(figure, at)| quantile(figure, at)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intents(rows: &[[f64; 2]]) -> Vec<Intent> {
        rows.iter()
            .map(|row| {
                let mut intent = Intent::zero(2);
                intent.mean_mut().copy_from_slice(row);
                intent
            })
            .collect()
    }

    #[test]
    fn shifts_keep_their_distance_and_are_spread_over_the_rows() {
        let all = shifts(1000);
        assert_eq!((all.len(), all[0], all[SHIFTS - 1], all[99]), (SHIFTS, 50, 950, 500));
        assert!(shifts(5).iter().all(|shift| (1..5).contains(shift)));
        assert!(shifts(1).is_empty() && shifts(0).is_empty());
    }

    #[test]
    fn a_shifted_truth_is_rolled_like_numpys() {
        // shifts of four rows are 1, 2 and 3; numpy.roll(truth, -shift, axis=0)
        let truth = DMatrix::from_row_slice(4, 2, &[1.0, 0.0, 2.0, 1.0, 0.0, 3.0, -1.0, -2.0]);
        let same = intents(&[[1.0, 0.0], [2.0, 1.0], [0.0, 3.0], [-1.0, -2.0]]);
        let scores = shifted_scores(&truth, &same);
        assert_eq!(scores.len(), shifts(4).len());
        // squared errors of a roll by one: 1 + 1, 4 + 4, 1 + 25, 4 + 4; squared truth: 20
        assert!((scores[0].nrmse - (44.0_f64 / 20.0).sqrt()).abs() < 1e-12, "{scores:?}");
    }

    #[test]
    fn a_constant_answer_has_the_error_of_its_distance_to_the_mean() {
        let truth = DMatrix::from_row_slice(2, 2, &[1.0, 0.0, 3.0, 2.0]);
        let scores = constant_scores(&truth, &[2.0, 1.0]);
        // four errors of 1 over 1 + 9 + 4
        assert!((scores.nrmse - (4.0_f64 / 14.0).sqrt()).abs() < 1e-12);
        assert!(scores.r_squared.abs() < 1e-12, "the mean of the rows explains nothing");
        assert!(constant_scores(&truth, &[0.1, 0.7]).correlation.is_nan());
    }

    #[test]
    fn the_level_is_the_median_and_what_five_percent_reach() {
        let scores: Vec<Scores> =
            (0..=100).map(|value| Scores::from_values([f64::from(value) / 100.0; 4])).collect();
        let [median, reached] = level(&scores);
        let close = |found: [f64; 4], expected: [f64; 4]| {
            assert!(found.iter().zip(expected).all(|(found, of)| (found - of).abs() < 1e-12), "{found:?}");
        };
        close(median.values(), [0.5; 4]);
        close(reached.values(), [0.05, 0.95, 0.95, 0.05]);
    }
}
