//! Figures beside what they would be by chance.

use kalmind_fitting::{
    accuracy,
    chance_level::{Scores, constant_scores, level, shifted_scores},
};
use kalmind_types::Intent;
use nalgebra::DMatrix;

use super::comparison::Compared;

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

impl Compared {
    fn chances(&self) -> impl Iterator<Item = &Chance> {
        self.runs.iter().filter_map(|run| run.chance.as_ref())
    }

    /// Figures as they are compared with chance, means over the runs; `None` where they were not asked for.
    #[must_use]
    pub fn scores(&self) -> Option<Scores> {
        let scores: Vec<Scores> = self.chances().map(|chance| chance.scores).collect();
        (!scores.is_empty()).then(|| Scores::mean(&scores))
    }

    /// R squared of each component, means over the runs.
    #[must_use]
    pub fn r_squared(&self) -> Vec<f64> {
        let runs: Vec<&Vec<f64>> = self.chances().map(|chance| &chance.r_squared).collect();
        let components = runs.first().map_or(0, |run| run.len());
        (0..components)
            .map(|component| runs.iter().map(|run| run[component]).sum::<f64>() / runs.len() as f64)
            .collect()
    }

    /// The chance level of the means over the runs: every shift is made in all runs at once, so that the spread is that of
    /// the means.
    #[must_use]
    pub fn chance_level(&self) -> Option<[Scores; 2]> {
        let runs: Vec<&[Scores]> = self.chances().map(|chance| chance.shifted.as_slice()).collect();
        let shifts = runs.iter().map(|run| run.len()).min().filter(|shifts| *shifts > 0)?;
        let means: Vec<Scores> = (0..shifts)
            .map(|shift| Scores::mean(&runs.iter().map(|run| run[shift]).collect::<Vec<_>>()))
            .collect();
        Some(level(&means))
    }

    /// Figures of the training mean as the only answer, means over the runs.
    #[must_use]
    pub fn constant(&self) -> Option<Scores> {
        let scores: Option<Vec<Scores>> = self.chances().map(|chance| chance.constant).collect();
        scores.filter(|scores| !scores.is_empty()).map(|scores| Scores::mean(&scores))
    }
}
