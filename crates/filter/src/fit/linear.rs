//! Ridge regression of the intent on windows of features.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::learner::{Examples, Learner};
use super::windows::{column_means, folds};
use super::{FitError, FitReport};
use crate::cholesky::Cholesky;
use crate::options::Choice;
use crate::{DecoderSpec, Regressor};

/// Pivots below this part of their diagonal entry mean that an input follows from others.
const COLLINEAR: f64 = 1e-11;
/// Default `ridge` of `dkf-linear`, relative to the mean variance of an input.
const RIDGE: f64 = 1e-4;
/// What `ridge=auto` tries.
const RIDGES: [f64; 9] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0];

/// A linear regression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinearFit {
    /// d x inputs.
    pub(crate) weights: DMatrix<f64>,
    /// d.
    pub(crate) intercept: DVector<f64>,
}

/// `dkf-linear`'s f.
#[derive(Debug)]
struct Ridge {
    ridge: f64,
    intercept: bool,
}

/// The learner of `dkf-linear`.
pub(crate) fn learner(
    spec: &DecoderSpec,
    examples: &Examples<'_>,
    rows: &[usize],
    report: &mut FitReport,
) -> Result<Box<dyn Learner>, FitError> {
    let intercept = spec.options.intercept.unwrap_or(true);
    let ridge = choose_ridge(
        spec.options.ridge.unwrap_or(Choice::Given(RIDGE)),
        &examples.inputs(rows),
        &examples.states(rows),
        intercept,
        report,
    )?;
    Ok(Box::new(Ridge { ridge, intercept }))
}

impl Learner for Ridge {
    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        let fit = fit_linear(&examples.inputs(rows), &examples.states(rows), self.ridge, self.intercept)?;
        Ok(Regressor::Linear { weights: fit.weights, intercept: fit.intercept })
    }
}

/// The ridge given, or that of least error on held-out blocks.
pub(crate) fn choose_ridge(
    choice: Choice<f64>,
    inputs: &DMatrix<f64>,
    states: &DMatrix<f64>,
    intercept: bool,
    report: &mut FitReport,
) -> Result<f64, FitError> {
    if let Choice::Given(ridge) = choice {
        return Ok(ridge);
    }
    let mut best: Option<(f64, f64)> = None;
    let mut refused = None;
    for ridge in RIDGES {
        match cross_fitted(inputs, states, ridge, intercept) {
            Ok(held_out) => {
                let error = (states - held_out).norm_squared() / states.norm_squared();
                report.tried(format!("ridge={ridge}"), error.sqrt());
                if best.is_none_or(|(_, least)| error < least) {
                    best = Some((ridge, error));
                }
            }
            Err(error) => refused = Some(error),
        }
    }
    match (best, refused) {
        (Some((ridge, _)), _) => Ok(ridge),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(RIDGE),
    }
}

/// Predictions of every row by a regression that its block did not train, rows x d.
pub(crate) fn cross_fitted(
    inputs: &DMatrix<f64>,
    states: &DMatrix<f64>,
    ridge: f64,
    intercept: bool,
) -> Result<DMatrix<f64>, FitError> {
    let folds = folds(inputs.nrows());
    let predictions: Vec<DMatrix<f64>> = folds
        .par_iter()
        .map(|fold| {
            let outside = super::windows::outside(fold, inputs.nrows());
            let fit =
                fit_linear(&inputs.select_rows(&outside), &states.select_rows(&outside), ridge, intercept)?;
            let mut predicted = inputs.rows_range(fold.clone()) * fit.weights.transpose();
            for mut row in predicted.row_iter_mut() {
                row += fit.intercept.transpose();
            }
            Ok(predicted)
        })
        .collect::<Result<_, FitError>>()?;
    let mut held_out = DMatrix::zeros(inputs.nrows(), states.ncols());
    for (fold, predicted) in folds.iter().zip(predictions) {
        held_out.rows_range_mut(fold.clone()).copy_from(&predicted);
    }
    Ok(held_out)
}

/// Minimises `sum |z - W x - b|^2 + penalty |W|^2`, where the penalty is `ridge` times the mean sum of squares of a
/// (centred) input. Cost: rows * inputs^2 + inputs^3 / 3.
pub(crate) fn fit_linear(
    inputs: &DMatrix<f64>,
    states: &DMatrix<f64>,
    ridge: f64,
    intercept: bool,
) -> Result<LinearFit, FitError> {
    let columns = inputs.ncols();
    let (centre, states_mean) = if intercept {
        (column_means(inputs), column_means(states))
    } else {
        (vec![0.0; columns], vec![0.0; states.ncols()])
    };
    let centred = |matrix: &DMatrix<f64>, means: &[f64]| {
        let mut centred = matrix.clone();
        for (mut column, mean) in centred.column_iter_mut().zip(means) {
            column.add_scalar_mut(-mean);
        }
        centred
    };
    let design = centred(inputs, &centre);
    let mut gram = design.tr_mul(&design);
    let penalty = ridge * gram.trace() / columns as f64;
    for column in 0..columns {
        gram[(column, column)] += penalty;
    }
    let factor = Cholesky::new(&gram, COLLINEAR).map_err(|column| FitError::SingularRegression { column })?;
    let weights = factor.solve_columns(&design.tr_mul(&centred(states, &states_mean))).transpose();
    let intercept = DVector::from_vec(states_mean) - &weights * DVector::from_vec(centre);
    Ok(LinearFit { weights, intercept })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> DMatrix<f64> {
        DMatrix::from_fn(200, 3, |row, column| {
            ((row * row * 3 + column * 7 * row + column) as f64).sin() + 5.0
        })
    }

    #[test]
    fn a_linear_law_with_intercept_is_recovered() {
        let states = DMatrix::from_fn(200, 1, |row, _| 2.0 * inputs()[(row, 0)] - inputs()[(row, 2)] + 3.0);
        let fit = fit_linear(&inputs(), &states, 0.0, true).unwrap();
        assert!((fit.weights[(0, 0)] - 2.0).abs() < 1e-10 && (fit.intercept[0] - 3.0).abs() < 1e-9);
        assert!((cross_fitted(&inputs(), &states, 0.0, true).unwrap() - states).amax() < 1e-9);
    }

    #[test]
    fn repeated_inputs_need_a_ridge() {
        let repeated = DMatrix::from_fn(200, 3, |row, column| inputs()[(row, column % 2)]);
        let states = inputs().columns(0, 1).into_owned();
        assert_eq!(
            fit_linear(&repeated, &states, 0.0, true).err(),
            Some(FitError::SingularRegression { column: 2 })
        );
        let fit = fit_linear(&repeated, &states, 1e-6, true).unwrap();
        assert!((fit.weights[(0, 0)] - fit.weights[(0, 2)]).abs() < 1e-6);
    }
}
