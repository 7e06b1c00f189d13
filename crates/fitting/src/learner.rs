//! The seam for what learns f: rows in, a regressor out; and what a learner says of rows that it was not fitted to.

use core::ops::Range;

use kalmind_types::MAX_COMPONENTS;
use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::fit_error::FitError;
use crate::windows::{folds_of, states_at, windows};
use kalmind_filter::window::Window;
use kalmind_filter::{
    KernelPath, NetworkScaling, RecurrentNetwork, RecurrentRegressor, Regressor, ResidualSource, TrainingData,
};

/// Part of the rows that f is fitted to where residuals are held out (thesis 2019, sec. 2.4).
const FITTED_PART: f64 = 0.7;

/// Rows as a learner sees them: features with `lags` bins of past, and intents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Examples<'a> {
    pub(crate) data: &'a TrainingData,
    /// What lagged bins hold before a segment, n values.
    pub(crate) background: &'a [f64],
    /// Bins in a window.
    pub(crate) lags: usize,
}

impl Examples<'_> {
    /// Windows at `rows`, one a row, rows x (n l).
    pub(crate) fn inputs(&self, rows: &[usize]) -> DMatrix<f64> {
        windows(self.data, rows, self.lags, self.background)
    }

    /// Intents at `rows`, rows x d.
    pub(crate) fn states(&self, rows: &[usize]) -> DMatrix<f64> {
        states_at(self.data, rows)
    }
}

/// A family of regressors with its hyperparameters fixed. Slow side; the same seed gives the same regressor, on any
/// number of threads.
pub(crate) trait Learner: Sync {
    /// Fits f to `rows`, ascending, of those that may train the measurement model. Rows that follow each other within a
    /// segment are a sequence.
    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError>;

    /// The same for predictions of rows left out: the mean of several networks may do with fewer of them.
    fn learn_for_held_out(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        self.learn(examples, rows)
    }

    /// f of all of `rows`, and predictions of each block of them by the others, where both together cost much less than
    /// one fit for each; `None` where they do not.
    fn cross_fit(
        &self,
        _examples: &Examples<'_>,
        _rows: &[usize],
        _blocks: &[Range<usize>],
    ) -> Option<Result<(Regressor, DMatrix<f64>), FitError>> {
        None
    }
}

/// f, and what it says of rows that it was not fitted to.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    pub(crate) regressor: Regressor,
    /// The rows with held-out predictions, ascending.
    pub(crate) held_rows: Vec<usize>,
    /// Held-out f, one a held row.
    pub(crate) held_out: DMatrix<f64>,
}

/// Fits f to `rows`, and again without each block (or once, to the first 70 %) for held-out predictions. Each fit runs on
/// all cores; `go_on` is told the part of them that is done, and ends it with [`FitError::OutOfTime`] by saying no.
pub(crate) fn learn(
    learner: &dyn Learner,
    examples: &Examples<'_>,
    rows: &[usize],
    residuals: ResidualSource,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Learned, FitError> {
    if residuals == ResidualSource::HeldOut {
        let (first, held) = rows.split_at((FITTED_PART * rows.len() as f64) as usize);
        let regressor = learner.learn(examples, first)?;
        let held_out = predict(&regressor, examples, held);
        return Ok(Learned { regressor, held_rows: held.to_vec(), held_out });
    }
    let (_, folds) = folds_of(examples.data, rows);
    if let Some(both) = learner.cross_fit(examples, rows, &folds) {
        let (regressor, held_out) = both?;
        return Ok(Learned { regressor, held_rows: rows.to_vec(), held_out });
    }
    let fits = (folds.len() + 1) as f64;
    let regressor = learner.learn(examples, rows)?;
    let mut held_out = DMatrix::zeros(rows.len(), examples.data.states.ncols());
    for (at, fold) in folds.into_iter().enumerate() {
        if !go_on((at + 1) as f64 / fits) {
            return Err(FitError::OutOfTime);
        }
        let outside: Vec<usize> = rows[..fold.start].iter().chain(&rows[fold.end..]).copied().collect();
        let without = learner.learn_for_held_out(examples, &outside)?;
        let predicted = predict(&without, examples, &rows[fold.clone()]);
        held_out.rows_range_mut(fold).copy_from(&predicted);
    }
    Ok(Learned { regressor, held_rows: rows.to_vec(), held_out })
}

/// f at `rows` (ascending), one a row, as the decoder that runs computes it: through each segment from its first bin. On
/// all cores; the same bits on any number of them.
pub(crate) fn predict(regressor: &Regressor, examples: &Examples<'_>, rows: &[usize]) -> DMatrix<f64> {
    let shape = (rows.len(), examples.data.states.ncols());
    match regressor {
        Regressor::Recurrent(RecurrentRegressor { cell, scaling, networks }) => {
            // what remembers goes through time row by row: the networks of the mean side by side
            let alone = |network: &RecurrentNetwork| {
                let share = |scale: &f64| scale / networks.len() as f64;
                let output_scale = scaling.output_scale.iter().map(share).collect();
                Regressor::Recurrent(RecurrentRegressor {
                    cell: *cell,
                    scaling: NetworkScaling { output_scale, ..scaling.clone() },
                    networks: vec![network.clone()],
                })
            };
            let parts: Vec<DMatrix<f64>> = networks
                .par_iter()
                .map(|network| predict_in_order(&alone(network), examples, rows))
                .collect();
            parts.into_iter().fold(DMatrix::zeros(shape.0, shape.1), |sum, part| sum + part)
        }
        Regressor::Ensemble(_) => predict_in_order(regressor, examples, rows),
        _ => {
            let part = rows.len().div_ceil(rayon::current_num_threads()).max(1);
            let parts: Vec<DMatrix<f64>> =
                rows.par_chunks(part).map(|rows| predict_in_order(regressor, examples, rows)).collect();
            let mut predicted = DMatrix::zeros(shape.0, shape.1);
            let mut first = 0;
            for part in parts {
                predicted.rows_mut(first, part.nrows()).copy_from(&part);
                first += part.nrows();
            }
            predicted
        }
    }
}

/// f at `rows`, on this thread.
fn predict_in_order(regressor: &Regressor, examples: &Examples<'_>, rows: &[usize]) -> DMatrix<f64> {
    let data = examples.data;
    let mut predicted = DMatrix::zeros(rows.len(), data.states.ncols());
    let mut regression = regressor.regression(KernelPath::detect());
    let mut window = Window::new(examples.background, examples.lags);
    let mut features = vec![0.0; data.features.ncols()];
    let remembers = regressor.remembers();
    let mut at = 0;
    for segment in data.segments() {
        let Some(&first) = rows.get(at).filter(|&&row| row < segment.end) else { continue };
        window.clear();
        regression.restart();
        let start = if remembers {
            segment.start
        } else {
            segment.start.max((first + 1).saturating_sub(examples.lags))
        };
        for row in start..segment.end {
            let Some(&next) = rows.get(at).filter(|&&row| row < segment.end) else { break };
            for (feature, value) in features.iter_mut().zip(data.features.row(row).iter()) {
                *feature = *value;
            }
            window.push(Some(&features));
            if !remembers && row != next {
                continue;
            }
            let mut mean = [0.0; MAX_COMPONENTS];
            let _speaking = regression.mean(window.values(), &mut mean);
            if row == next {
                for (to, from) in predicted.row_mut(at).iter_mut().zip(&mean) {
                    *to = *from;
                }
                at += 1;
            }
        }
    }
    predicted
}
