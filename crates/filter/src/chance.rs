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
