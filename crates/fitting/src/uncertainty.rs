//! Whether a decoder knows when it is unsure: errors beside the covariance that was published with them, and coverage that
//! is far from what the covariance says.
//!
//! Pure functions for the slow side.

use kalmind_types::Intent;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::accuracy;
use crate::correlation::pearson;

/// Rows below which deciles say nothing.
const FEWEST_ROWS: usize = 20;
/// Logarithms of determinants that differ by less are the same but for rounding.
const SAME: f64 = 1e-9;
/// Nominal probability of an ellipsoid, and the coverage at which its covariance is still worth something.
const ACCEPTED: [(f64, [f64; 2]); 3] = [(0.5, [0.42, 0.58]), (0.9, [0.84, 0.95]), (0.99, [0.95, 1.0])];
/// Blocks of consecutive rows whose coverages tell how sure a coverage is.
const BLOCKS: usize = 20;
/// 99.5 % quantile of Student's t with as many degrees of freedom as there are blocks, less one.
const STUDENT: f64 = 2.861;

/// How errors go with the published uncertainty, the determinant of the covariance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorByUncertainty {
    /// Root mean squared error of the tenth of the rows that the decoder was least sure of, over that of the tenth that it
    /// was surest of: 1 where it knows nothing of its errors.
    pub decile_ratio: f64,
    /// Spearman's correlation of determinant and squared error.
    pub rank_correlation: f64,
}

impl ErrorByUncertainty {
    /// Of the rows of `truth`; `None` for fewer than 20 rows, where a covariance is not positive definite, and where the
    /// surest tenth is as sure as the least sure one. Rows as sure as the last of a tenth belong to it.
    #[must_use]
    pub fn of(truth: &DMatrix<f64>, estimates: &[Intent]) -> Option<Self> {
        let mut determinants = Vec::with_capacity(estimates.len());
        let mut errors = Vec::with_capacity(estimates.len());
        for (truth, estimate) in truth.row_iter().zip(estimates) {
            let truth: Vec<f64> = truth.iter().copied().collect();
            let (_distance, determinant) = accuracy::distance_and_log_determinant(&truth, estimate)?;
            determinants.push(determinant);
            errors.push(
                truth.iter().zip(estimate.mean()).map(|(truth, mean)| (truth - mean).powi(2)).sum::<f64>(),
            );
        }
        let rows = determinants.len();
        if rows < FEWEST_ROWS {
            return None;
        }
        let mut sorted = determinants.clone();
        sorted.sort_by(f64::total_cmp);
        let (surest, least_sure) = (sorted[rows / 10 - 1], sorted[rows - rows / 10]);
        if least_sure - surest < SAME {
            return None;
        }
        let mean_error = |belongs: &dyn Fn(f64) -> bool| {
            let of: Vec<f64> = determinants
                .iter()
                .zip(&errors)
                .filter(|(determinant, _)| belongs(**determinant))
                .map(|(_, error)| *error)
                .collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        let above = mean_error(&|determinant| determinant >= least_sure);
        let below = mean_error(&|determinant| determinant <= surest);
        Some(Self {
            decile_ratio: (above / below).sqrt(),
            rank_correlation: pearson(&ranks(&determinants), &ranks(&errors)),
        })
    }
}

/// Places in ascending order from 1; values that are the same share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&left, &right| values[left].total_cmp(&values[right]));
    let mut ranks = vec![0.0; values.len()];
    let mut place = 0;
    for same in order.chunk_by(|&left, &right| values[left].to_bits() == values[right].to_bits()) {
        let rank = place as f64 + 0.5 * (same.len() + 1) as f64;
        for &row in same {
            ranks[row] = rank;
        }
        place += same.len();
    }
    ranks
}

/// A sentence on the 50, 90 and 99 % ellipsoids that hold so little of the truth that chance does not explain it, and one on
/// those that hold so much; `rows` says what the rows are, the squared distances `e' Sigma^-1 e` are those of their d
/// components, in time order.
///
/// Accepted are .42 to .58, .84 to .95 and .95 to 1. Neighbouring rows err together, so a coverage is as sure as the
/// coverages of 20 blocks of consecutive rows agree, and at best as sure as of the independent rows that they are worth: the
/// whole 99 % interval that follows has to lie outside.
#[must_use]
pub fn coverage_warnings(squared_distances: &[f64], dimension: usize, rows: &str) -> Vec<String> {
    if squared_distances.len() < 2 * BLOCKS {
        return Vec::new();
    }
    let independent_rows =
        squared_distances.len() as f64 / rows_that_err_together(squared_distances, dimension);
    let (mut too_little, mut too_much) = (Vec::new(), Vec::new());
    for (nominal, [least, greatest]) in ACCEPTED {
        let [coverage, low, high] =
            coverage_interval(squared_distances, dimension, nominal, independent_rows);
        let [percent, found, from, to] = [nominal, coverage, low, high].map(|part| 100.0 * part);
        let part = format!("its {percent:.0} % ellipsoid contains {found:.0} % ({from:.0} to {to:.0})");
        if high < least {
            too_little.push(part);
        } else if low > greatest {
            too_much.push(part);
        }
    }
    [(too_little, "overconfident"), (too_much, "underconfident")]
        .into_iter()
        .filter(|(parts, _)| !parts.is_empty())
        .map(|(parts, what)| {
            format!(
                "of the {rows}, {}: the decoder is {what}, so do not rely on its covariance",
                parts.join(", ")
            )
        })
        .collect()
}

/// Means over the 20 blocks, and over all rows.
fn block_means(values: &[f64]) -> ([f64; BLOCKS], f64) {
    let count = values.len();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let blocks =
        core::array::from_fn(|block| mean(&values[block * count / BLOCKS..(block + 1) * count / BLOCKS]));
    (blocks, mean(values))
}

/// The variance of the mean of all rows, by how much the blocks differ.
fn variance_of_mean((blocks, mean): ([f64; BLOCKS], f64)) -> f64 {
    blocks.iter().map(|block| (block - mean).powi(2)).sum::<f64>() / (BLOCKS * (BLOCKS - 1)) as f64
}

/// How many rows are worth one independent row, at least 1: by how much the blocks' mean errors differ more than those of
/// independent rows would. Errors on a bounded scale, so that a few large ones do not decide, and not the rows within one
/// ellipsoid, which tell nothing of this where all are.
fn rows_that_err_together(squared_distances: &[f64], dimension: usize) -> f64 {
    let scale = dimension as f64;
    let errors: Vec<f64> =
        squared_distances.iter().map(|distance| 1.0 - scale / (distance + scale)).collect();
    let means = block_means(&errors);
    let spread = errors.iter().map(|error| (error - means.1).powi(2)).sum::<f64>();
    let of_independent = spread / (errors.len() as f64).powi(2);
    if of_independent > 0.0 { (variance_of_mean(means) / of_independent).max(1.0) } else { 1.0 }
}

/// The part of the rows within an ellipsoid, and its 99 % interval.
fn coverage_interval(
    squared_distances: &[f64],
    dimension: usize,
    nominal: f64,
    independent_rows: f64,
) -> [f64; 3] {
    let limit = accuracy::chi_square_quantile(dimension, nominal);
    let within: Vec<f64> =
        squared_distances.iter().map(|distance| f64::from(u8::from(*distance <= limit))).collect();
    let means = block_means(&within);
    let coverage = means.1;
    let independent = nominal * (1.0 - nominal) / independent_rows;
    let tolerance = STUDENT * variance_of_mean(means).max(independent).sqrt();
    [coverage, (coverage - tolerance).max(0.0), (coverage + tolerance).min(1.0)]
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn intent(mean: f64, variance: f64) -> Intent {
        let mut intent = Intent::zero(1);
        intent.mean_mut()[0] = mean;
        intent.covariance_mut()[0] = variance;
        intent
    }

    /// 30 rows with variances `1 + 7 k % 23` and errors `(5 k % 13) / 10 + (7 k % 23) / 20`, the truth zero.
    fn rows() -> (DMatrix<f64>, Vec<Intent>) {
        let estimates = (0..30).map(|at| {
            let [variance, noise] = [(7 * at) % 23, (5 * at) % 13].map(f64::from);
            intent(noise / 10.0 + variance / 20.0, 1.0 + variance)
        });
        (DMatrix::zeros(30, 1), estimates.collect())
    }

    #[test]
    fn deciles_and_ranks_are_those_of_numpy_and_scipy() {
        // k = numpy.arange(30); v = 1 + 7*k % 23; e = (5*k % 13) / 10 + (7*k % 23) / 20
        // s = numpy.sort(v); top, low = v >= s[27], v <= s[2]
        // numpy.sqrt((e[top]**2).mean() / (e[low]**2).mean()), scipy.stats.spearmanr(v, e**2).statistic
        let (truth, estimates) = rows();
        let found = ErrorByUncertainty::of(&truth, &estimates).unwrap();
        assert!((found.decile_ratio - 1.236_975_581_145_978_4).abs() < 1e-12, "{found:?}");
        assert!((found.rank_correlation - 0.491_482_093_759_959_4).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_covariance_that_does_not_change_has_no_deciles() {
        let (truth, estimates) = rows();
        let constant: Vec<Intent> =
            estimates.iter().map(|estimate| intent(estimate.mean()[0], 2.0)).collect();
        assert_eq!(ErrorByUncertainty::of(&truth, &constant), None);
        assert_eq!(ErrorByUncertainty::of(&truth.rows(0, 19).into_owned(), &estimates[..19]), None);
    }

    /// Squared distances of one component, each repeated `runs` times: 1 within the 50 % ellipsoid, 2 within that of 90 %,
    /// 4 within that of 99 %, 9 outside all.
    fn distances(count: usize, parts: [f64; 3], runs: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
        let draw = |chance: f64| match parts.iter().position(|part| chance < *part) {
            Some(0) => 0.1,
            Some(1) => 2.0,
            Some(_) => 4.0,
            None => 9.0,
        };
        (0..count / runs).flat_map(|_| vec![draw(random.random()); runs]).collect()
    }

    #[test]
    fn an_honest_covariance_is_warned_of_hardly_ever_and_a_wrong_one_always() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut warned = |count, parts, runs| {
            (0..400)
                .filter(|_| {
                    !coverage_warnings(&distances(count, parts, runs, &mut random), 1, "rows").is_empty()
                })
                .count()
        };
        // right, at the edge of what is accepted, and right with rows that err twenty at a time
        assert_eq!(warned(500, [0.5, 0.9, 0.99], 1), 0);
        assert!(warned(500, [0.42, 0.84, 0.95], 1) <= 8);
        assert!(warned(500, [0.5, 0.9, 0.99], 20) <= 8);
        // a 99 % ellipsoid that holds 73 %
        assert_eq!(warned(1000, [0.3, 0.55, 0.73], 1), 400);
        assert_eq!(warned(1000, [0.8, 0.97, 0.999], 1), 400);
    }

    #[test]
    fn a_warning_says_which_ellipsoid_and_how_far_off() {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let found = coverage_warnings(&distances(1000, [0.5, 0.73, 0.73], 1, &mut random), 1, "test rows");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("of the test rows, its 90 % ellipsoid contains 7"), "{found:?}");
        assert!(found[0].contains("its 99 % ellipsoid contains 7"), "{found:?}");
        assert!(found[0].ends_with("overconfident, so do not rely on its covariance"), "{found:?}");
    }
}
