//! Whether held-out estimates know anything of the states, where there are no trials whose targets could be exchanged.
//!
//! The states are shifted in a circle against the estimates, by every shift or by 2000 evenly spaced ones. Where neither
//! knows anything of the other, no shift is special, however slowly both change: the share of shifts that score at least as
//! well as none is a p-value, exact for series whose end goes on at their beginning (the group of shifts leaves their
//! distribution as it is). A few samples that happen to be correlated with themselves cannot pass, as they would in a test
//! that exchanges single rows.

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::fit::HeldOut;
use crate::{AgainstChance, ChanceFigures, TrainingData};

/// Most shifts.
const SHIFTS: usize = 2000;
/// Rows below which no share of shifts could be small enough.
const FEWEST_ROWS: usize = 400;
/// A decoder is told from chance where the p-value is at most this.
pub(crate) const SIGNIFICANT: f64 = 0.005;

/// Tests held-out estimates of rows without trials: the mean over components of the correlation with the states.
///
/// Cost: rows * components * shifts.
pub(crate) fn against_shifted_states(data: &TrainingData, held: &HeldOut) -> AgainstChance {
    let count = held.rows.len();
    if count < FEWEST_ROWS {
        let why = format!("{count} held-out rows, and shifting the states takes at least {FEWEST_ROWS}");
        return AgainstChance::NotTested { why };
    }
    let shifts = count.min(SHIFTS);
    let stride = count / shifts;
    // a multiple of the stride, so that the shifts are a group
    let count = shifts * stride;
    let truth = standardised(&data.states.select_rows(&held.rows[..count]));
    let means = standardised(&held.means.rows(0, count).into_owned());
    let scores: Vec<f64> = (0..shifts)
        .into_par_iter()
        .map(|shift| {
            let (first, rest) = (shift * stride, count - shift * stride);
            truth.rows(first, rest).dot(&means.rows(0, rest))
                + truth.rows(0, first).dot(&means.rows(rest, first))
        })
        .collect();
    let as_good = scores.iter().filter(|score| **score >= scores[0]).count();
    let p = as_good as f64 / shifts as f64;
    let figures = ChanceFigures {
        test: "held-out correlation with the states, against states shifted in time".to_owned(),
        score: scores[0],
        p,
        p_limit: SIGNIFICANT,
    };
    if p <= SIGNIFICANT { AgainstChance::Better(figures) } else { AgainstChance::NotBetter(figures) }
}

/// Columns less their mean, so scaled that the product of two such matrices is the mean of their correlations; zeros where
/// a column never moves.
fn standardised(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let mut matrix = matrix.clone();
    let columns = (matrix.ncols() as f64).sqrt();
    for mut column in matrix.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
        let norm = column.norm();
        if norm > 0.0 {
            column /= norm * columns;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::{Folds, FoldsOf};

    /// First-order autoregressions of two columns.
    fn slow(rows: usize, random: &mut rand_chacha::ChaCha8Rng) -> DMatrix<f64> {
        let mut matrix = DMatrix::zeros(rows, 2);
        for row in 1..rows {
            for column in 0..2 {
                let noise: f64 = StandardNormal.sample(random);
                matrix[(row, column)] = 0.9 * matrix[(row - 1, column)] + noise;
            }
        }
        matrix
    }

    fn tested(states: DMatrix<f64>, means: DMatrix<f64>) -> AgainstChance {
        let rows = states.nrows();
        let data = TrainingData::new(DMatrix::zeros(rows, 1), states);
        let held = HeldOut {
            folds: Folds { of: FoldsOf::Rows, count: 1 },
            rows: (0..rows).collect(),
            blocks: core::iter::once(0..rows).collect(),
            means,
            steps: rows,
            fallback_steps: 0,
        };
        against_shifted_states(&data, &held)
    }

    #[test]
    fn a_shift_is_compared_as_numpy_rolls_it() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let (states, means) = (slow(450, &mut random), slow(450, &mut random));
        // by the definition: Pearson's correlation with np.roll(states, -shift)
        let pearson = |truth: &[f64], estimate: &[f64]| {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let (truths, estimates) = (mean(truth), mean(estimate));
            let sum = |of: &dyn Fn(f64, f64) -> f64| {
                truth.iter().zip(estimate).map(|(z, m)| of(z - truths, m - estimates)).sum::<f64>()
            };
            sum(&|z, m| z * m) / (sum(&|z, _| z * z) * sum(&|_, m| m * m)).sqrt()
        };
        let score = |shift: usize| {
            let of = |column: usize| {
                let mut truth: Vec<f64> = states.column(column).iter().copied().collect();
                truth.rotate_left(shift);
                pearson(&truth, &means.column(column).iter().copied().collect::<Vec<_>>())
            };
            f64::midpoint(of(0), of(1))
        };
        let observed = score(0);
        let as_good = (0..450).filter(|&shift| score(shift) >= observed).count();
        let (AgainstChance::Better(figures) | AgainstChance::NotBetter(figures)) =
            tested(states.clone(), means.clone())
        else {
            panic!("it can be tested")
        };
        assert!((figures.score - observed).abs() < 1e-12, "{figures:?}");
        assert!((figures.p - as_good as f64 / 450.0).abs() < 1e-12, "{figures:?} {as_good}");
    }

    #[test]
    fn slow_series_that_know_nothing_of_each_other_pass_no_more_often_than_promised() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let mut below = [0, 0];
        for _ in 0..400 {
            let (states, means) = (slow(600, &mut random), slow(600, &mut random));
            match tested(states, means) {
                AgainstChance::Better(figures) | AgainstChance::NotBetter(figures) => {
                    below[0] += usize::from(figures.p <= SIGNIFICANT);
                    below[1] += usize::from(figures.p <= 0.1);
                }
                AgainstChance::NotTested { why } => panic!("{why}"),
            }
        }
        // 2 and 40 are expected; more than 8 or 60 would come once in a thousand such tests
        assert!(below[0] <= 8 && below[1] <= 60, "{below:?}");
        assert!(below[1] >= 20, "the test is blind: {below:?}");
    }

    #[test]
    fn few_rows_are_not_tested() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let states = slow(200, &mut random);
        assert!(matches!(tested(states.clone(), states), AgainstChance::NotTested { .. }));
    }
}
