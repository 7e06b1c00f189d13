//! Ridge regression of the intent on windows of features, with residuals of rows that it was not fitted to.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::FitError;
use super::windows::{column_means, folds};
use crate::cholesky::Cholesky;

/// Pivots below this part of their diagonal entry mean that an input follows from others.
const COLLINEAR: f64 = 1e-11;

/// A linear regression and what it predicts for rows of folds that it was not fitted to.
pub(crate) struct LinearFit {
    /// d x inputs.
    pub(crate) weights: DMatrix<f64>,
    /// d.
    pub(crate) intercept: DVector<f64>,
    /// Cross-fitted predictions, rows x d.
    pub(crate) held_out: DMatrix<f64>,
}

/// Minimises `sum |z - W x - b|^2 + penalty |W|^2`, where the penalty is `ridge` times the mean sum of squares of a
/// (centred) input. Cost: rows * inputs^2 + folds * inputs^3 / 3.
pub(crate) fn fit_linear(
    inputs: &DMatrix<f64>,
    states: &DMatrix<f64>,
    ridge: f64,
    intercept: bool,
) -> Result<LinearFit, FitError> {
    let (rows, columns) = inputs.shape();
    let centre = if intercept { column_means(inputs) } else { vec![0.0; columns] };
    // The last column of ones carries the intercept; it is not penalised.
    let all = columns + usize::from(intercept);
    let design = DMatrix::from_fn(rows, all, |row, column| {
        if column < columns { inputs[(row, column)] - centre[column] } else { 1.0 }
    });
    let folds = folds(rows);
    let parts: Vec<(DMatrix<f64>, DMatrix<f64>)> = folds
        .par_iter()
        .map(|fold| {
            let design = design.rows_range(fold.clone());
            (design.tr_mul(&design), design.tr_mul(&states.rows_range(fold.clone())))
        })
        .collect();
    let solve = |without: Option<usize>| -> Result<DMatrix<f64>, FitError> {
        let mut gram = DMatrix::zeros(all, all);
        let mut cross = DMatrix::zeros(all, states.ncols());
        for (fold, (part_gram, part_cross)) in parts.iter().enumerate() {
            if Some(fold) != without {
                gram += part_gram;
                cross += part_cross;
            }
        }
        let penalty = ridge * (0..columns).map(|column| gram[(column, column)]).sum::<f64>() / columns as f64;
        for column in 0..columns {
            gram[(column, column)] += penalty;
        }
        Cholesky::new(&gram, COLLINEAR)
            .map(|factor| factor.solve_columns(&cross))
            .map_err(|column| FitError::SingularRegression { column })
    };
    let choices: Vec<Option<usize>> = core::iter::once(None).chain((0..folds.len()).map(Some)).collect();
    let solutions: Vec<DMatrix<f64>> =
        choices.into_par_iter().map(solve).collect::<Result<Vec<_>, FitError>>()?;
    let mut held_out = DMatrix::zeros(rows, states.ncols());
    for (fold, solution) in folds.iter().zip(&solutions[1..]) {
        held_out.rows_range_mut(fold.clone()).copy_from(&(design.rows_range(fold.clone()) * solution));
    }
    let weights = solutions[0].rows(0, columns).transpose();
    let constant = if intercept {
        solutions[0].row(columns).transpose() - &weights * DVector::from_vec(centre)
    } else {
        DVector::zeros(states.ncols())
    };
    Ok(LinearFit { weights, intercept: constant, held_out })
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
        assert!((fit.held_out - states).amax() < 1e-9);
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
