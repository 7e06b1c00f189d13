//! Whether held-out estimates know anything of the states, where there are no trials whose targets could be exchanged.
//!
//! The states are shifted in a circle against the estimates, by multiples of more than they remember of themselves. A score is
//! the best correlation within half their memory ahead to all of it behind, since a causal filter lags. Where neither knows
//! anything of the other, no shift is special, however slowly both change: the share of shifts that score at least as well as
//! none is a p-value, exact for series whose end goes on at their beginning (the group of shifts leaves their distribution as
//! it is). A few samples that happen to be correlated with themselves cannot pass, as they would in a test that exchanges single
//! rows.
//!
//! Rows too few for that are tested as so many independent ones as they are worth, by their correlation with themselves
//! (Bayley and Hammersley 1946): Fisher's z of each component's correlation, averaged as if all were the same one.

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::HeldOut;
use crate::correlation::of_centred;
use kalmind_filter::{AgainstChance, ChanceFigures, TrainingData};

/// Most shifts, and fewest: with fewer, no share of them could be small enough.
const SHIFTS: usize = 200;
const FEWEST_SHIFTS: usize = 100;
/// A decoder is told from chance where the p-value is at most this.
pub(crate) const SIGNIFICANT: f64 = 0.01;
/// Independent rows below which nothing is tested, and the p-value that few of them have to reach: it is approximate.
const FEWEST_INDEPENDENT: f64 = 10.0;
const SIGNIFICANT_OF_FEW: f64 = 0.001;
/// States have forgotten where their correlation with themselves falls below this.
const FORGOTTEN: f64 = 1.0 / core::f64::consts::E;

/// Tests held-out estimates of rows without trials: the mean over components of the correlation with the states.
///
/// Cost: rows^2 * components at most.
pub(crate) fn against_shifted_states(data: &TrainingData, held: &HeldOut) -> AgainstChance {
    let count = held.rows.len();
    let truth = standardised(&data.states.select_rows(&held.rows));
    let Some(memory) = (1..count / 2).find(|&lag| rolled_product(&truth, &truth, lag) < FORGOTTEN) else {
        let why = format!("over {count} held-out rows the states hardly change");
        return AgainstChance::NotTested { why };
    };
    let ahead = memory / 2;
    let stride = (ahead + memory).max(count.div_ceil(SHIFTS));
    let shifts = count / stride;
    if shifts < FEWEST_SHIFTS {
        return of_few_rows(&data.states.select_rows(&held.rows), &held.means).unwrap_or_else(|| {
            let needed = FEWEST_SHIFTS * stride;
            let why = format!(
                "{count} held-out rows of states that change over {memory} rows are too few to tell from chance: \
                 {needed} would do"
            );
            AgainstChance::NotTested { why }
        });
    }
    // a multiple of the stride, so that the shifts are a group
    let count = shifts * stride;
    let truth = standardised(&data.states.select_rows(&held.rows[..count]));
    let means = standardised(&held.means.rows(0, count).into_owned());
    let scores: Vec<f64> = (0..shifts)
        .into_par_iter()
        .map(|shift| {
            let lags = (0..ahead + memory).map(|lag| (shift * stride + count + ahead - lag) % count);
            lags.map(|shift| rolled_product(&truth, &means, shift)).fold(f64::NEG_INFINITY, f64::max)
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

/// The test of few rows; none where they are worth fewer than [`FEWEST_INDEPENDENT`].
fn of_few_rows(truth: &DMatrix<f64>, means: &DMatrix<f64>) -> Option<AgainstChance> {
    let (mut score, mut z, mut least) = (0.0, 0.0, f64::INFINITY);
    let part = 1.0 / truth.ncols() as f64;
    for (truth, means) in truth.column_iter().zip(means.column_iter()) {
        let [truth, means] = [truth, means].map(|column| column.add_scalar(-column.mean()));
        let correlation = of_centred(&truth, &means);
        let independent = independent_rows(truth.as_slice(), means.as_slice());
        if !(correlation.is_finite() && independent >= FEWEST_INDEPENDENT) {
            return None;
        }
        least = least.min(independent);
        score += part * correlation;
        z += part * libm::atanh(correlation.min(1.0 - f64::EPSILON)) * (independent - 3.0).sqrt();
    }
    let figures = ChanceFigures {
        test: format!("held-out correlation with the states, of rows worth {least:.0} independent ones"),
        score,
        p: 0.5 * libm::erfc(z / core::f64::consts::SQRT_2),
        p_limit: SIGNIFICANT_OF_FEW,
    };
    Some(if figures.p <= SIGNIFICANT_OF_FEW {
        AgainstChance::Better(figures)
    } else {
        AgainstChance::NotBetter(figures)
    })
}

/// How many independent rows the correlation of two series of mean zero is worth: lags count up to the first at which one of
/// them no longer resembles itself.
fn independent_rows(left: &[f64], right: &[f64]) -> f64 {
    let count = left.len();
    let resembles = |series: &[f64], lag: usize| -> f64 {
        let product: f64 = series.iter().zip(series.iter().skip(lag)).map(|(now, later)| now * later).sum();
        product / series.iter().map(|value| value * value).sum::<f64>()
    };
    let shared: f64 = (1..count / 2)
        .map(|lag| (resembles(left, lag), resembles(right, lag)))
        .take_while(|(left, right)| *left > 0.0 && *right > 0.0)
        .map(|(left, right)| left * right)
        .sum();
    count as f64 / (1.0 + 2.0 * shared)
}

/// The product of estimates and of states that are `shift` rows later, in a circle.
fn rolled_product(truth: &DMatrix<f64>, means: &DMatrix<f64>, shift: usize) -> f64 {
    let rest = truth.nrows() - shift;
    truth.rows(shift, rest).dot(&means.rows(0, rest)) + truth.rows(0, shift).dot(&means.rows(rest, shift))
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
    use kalmind_filter::{Folds, FoldsOf};

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
            means,
            steps: rows,
            fallback_steps: 0,
        };
        against_shifted_states(&data, &held)
    }

    #[test]
    fn shifts_are_compared_as_numpy_rolls_them() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let (states, means) = (slow(3000, &mut random), slow(3000, &mut random));
        // by the definition: Pearson's correlation with np.roll(states, -shift), best of the lags
        let pearson = |truth: &[f64], estimate: &[f64]| {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let (truths, estimates) = (mean(truth), mean(estimate));
            let sum = |of: &dyn Fn(f64, f64) -> f64| {
                truth.iter().zip(estimate).map(|(z, m)| of(z - truths, m - estimates)).sum::<f64>()
            };
            sum(&|z, m| z * m) / (sum(&|z, _| z * z) * sum(&|_, m| m * m)).sqrt()
        };
        let correlation = |left: &DMatrix<f64>, right: &DMatrix<f64>, shift: i64| {
            let of = |column: usize| {
                let mut truth: Vec<f64> = left.column(column).iter().copied().collect();
                truth.rotate_left(shift.rem_euclid(3000) as usize);
                pearson(&truth, &right.column(column).iter().copied().collect::<Vec<_>>())
            };
            f64::midpoint(of(0), of(1))
        };
        let memory = (1..1500).find(|&lag| correlation(&states, &states, lag) < FORGOTTEN).unwrap();
        assert!((5..=14).contains(&memory), "0.9^lag falls below 1/e at 10: {memory}");
        let ahead = memory / 2;
        let stride = (ahead + memory).max(15);
        // the remainder is left out, so these rows have to come out even
        assert_eq!(3000 % stride, 0, "{stride}");
        let score = |shift: i64| {
            (-memory + 1..=ahead)
                .map(|lag| correlation(&states, &means, shift * stride + lag))
                .fold(f64::NEG_INFINITY, f64::max)
        };
        let observed = score(0);
        let shifts = 3000 / stride;
        let as_good = (0..shifts).filter(|&shift| score(shift) >= observed).count();
        let (AgainstChance::Better(figures) | AgainstChance::NotBetter(figures)) =
            tested(states.clone(), means.clone())
        else {
            panic!("it can be tested")
        };
        assert!((figures.score - observed).abs() < 1e-12, "{figures:?}");
        assert!((figures.p - as_good as f64 / shifts as f64).abs() < 1e-12, "{figures:?} {as_good}");
    }

    #[test]
    fn an_estimate_that_lags_and_errs_is_better_than_chance() {
        for (seed, lag) in [(4, 0_usize), (5, 3), (6, 8)] {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let (states, noise) = (slow(3000, &mut random), slow(3000, &mut random));
            let means = DMatrix::from_fn(3000, 2, |row, column| {
                let late = row.saturating_sub(lag);
                states[(late, column)] + noise[(row, column)]
            });
            let found = tested(states, means);
            assert!(matches!(found, AgainstChance::Better(_)), "lag {lag}: {found:?}");
        }
    }

    #[test]
    fn slow_series_that_know_nothing_of_each_other_pass_no_more_often_than_promised() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let mut below = [0, 0];
        for _ in 0..200 {
            let (states, means) = (slow(3000, &mut random), slow(3000, &mut random));
            match tested(states, means) {
                AgainstChance::Better(figures) | AgainstChance::NotBetter(figures) => {
                    below[0] += usize::from(figures.p <= SIGNIFICANT);
                    below[1] += usize::from(figures.p <= 0.1);
                }
                AgainstChance::NotTested { why } => panic!("{why}"),
            }
        }
        // at most 2 and 20 are expected; more than 8 or 35 would come once in a thousand such tests
        assert!(below[0] <= 8 && below[1] <= 35, "{below:?}");
        assert!(below[1] >= 8, "the test is blind: {below:?}");
    }

    #[test]
    fn few_rows_pass_by_what_they_are_worth() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        // of white series every row counts: z = atanh(r) sqrt(n - 3)
        let left = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
        assert!((independent_rows(&left, &left) - 6.0).abs() < 1e-12);
        let mut passed = 0;
        for _ in 0..400 {
            let (states, means) = (slow(300, &mut random), slow(300, &mut random));
            match tested(states, means) {
                AgainstChance::Better(_) => passed += 1,
                AgainstChance::NotBetter(figures) => {
                    assert!(figures.test.contains("independent"), "{figures:?}");
                }
                AgainstChance::NotTested { .. } => {}
            }
        }
        assert!(passed <= 2, "{passed} of 400 that know nothing");
        let (states, noise) = (slow(300, &mut random), slow(300, &mut random));
        let found = tested(states.clone(), &states + 0.5 * noise);
        assert!(matches!(found, AgainstChance::Better(_)), "{found:?}");
        let states = slow(40, &mut random);
        assert!(matches!(tested(states.clone(), states), AgainstChance::NotTested { .. }));
    }
}
