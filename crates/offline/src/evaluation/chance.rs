//! Figures beside what they would be by chance.

use kalmind_fitting::{
    accuracy,
    chance_level::{Scores, constant_scores, level, shifted_scores},
};
use kalmind_types::Intent;
use nalgebra::DMatrix;

/// Figures of one run, and of the same rows without what was decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Chance {
    /// Of the run.
    pub scores: Scores,
    /// R squared of each component.
    pub r_squared: Vec<f64>,
    /// Against the truth shifted in circles, a shift each; empty where too few rows are tested.
    pub shifted: Vec<Scores>,
    /// Of the mean of the training rows' states as the answer in every row; `None` without training rows.
    pub constant: Option<Scores>,
}

impl Chance {
    /// Of a run over the rows of `truth`, fitted to rows with the states `trained`.
    #[must_use]
    pub fn of(truth: &DMatrix<f64>, intents: &[Intent], trained: Option<&DMatrix<f64>>) -> Self {
        let mean = trained.map(|states| states.column_iter().map(|column| column.mean()).collect::<Vec<_>>());
        Self {
            scores: Scores::of(truth, intents),
            r_squared: accuracy::r_squared_of_components(truth, intents),
            shifted: shifted_scores(truth, intents),
            constant: mean.map(|mean| constant_scores(truth, &mean)),
        }
    }

    /// The median of the shifted truths, and what 5 % of them reach; `None` where there are none.
    #[must_use]
    pub fn level(&self) -> Option<[Scores; 2]> {
        (!self.shifted.is_empty()).then(|| level(&self.shifted))
    }
}
