//! Ridge regression of the intent on windows of features.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use crate::moments::Moments;
use crate::windows::{ROUNDING, column_means, folds};
use crate::{FitError, FitReport};
use kalmind_filter::cholesky::Cholesky;
use kalmind_filter::options::Choice;

/// Pivots below this part of their diagonal entry mean that an input follows from others.
const COLLINEAR: f64 = 1e-11;
/// An input whose variance over some rows is below this part of its mean square about the mean of all does not move there.
const STILL: f64 = 1e-13;
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
    for (ridge, held_out) in RIDGES.into_iter().zip(cross_fitted_by(&RIDGES, inputs, states, intercept)) {
        match held_out {
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
        (None, None) => Ok(RIDGES[2]),
    }
}

/// Predictions of every row by a regression that its block did not train, rows x d, for each ridge. The sums over the
/// rows outside a block are those over the other blocks, so that all regressions together cost one pass over the rows,
/// and each a factor of inputs^3 / 3.
fn cross_fitted_by(
    ridges: &[f64],
    inputs: &DMatrix<f64>,
    states: &DMatrix<f64>,
    intercept: bool,
) -> Vec<Result<DMatrix<f64>, FitError>> {
    let centre = Centre::of(inputs, states, intercept);
    let (x, z) = centre.taken_from(inputs, states);
    let folds = folds(inputs.nrows());
    let blocks: Vec<Moments> = folds.iter().map(|fold| Moments::of(&x, &z, fold)).collect();
    let outside: Vec<Moments> =
        (0..folds.len()).map(|left_out| Moments::total(&blocks, Some(left_out))).collect();
    let fits: Vec<Result<LinearFit, FitError>> = (0..ridges.len() * folds.len())
        .into_par_iter()
        .map(|at| centre.fit(&outside[at % folds.len()], ridges[at / folds.len()]))
        .collect();
    fits.chunks(folds.len())
        .map(|fits| {
            let mut held_out = DMatrix::zeros(inputs.nrows(), states.ncols());
            for (fold, fit) in folds.iter().zip(fits) {
                let fit = fit.as_ref().map_err(Clone::clone)?;
                let mut predicted = inputs.rows_range(fold.clone()) * fit.weights.transpose();
                for mut row in predicted.row_iter_mut() {
                    row += fit.intercept.transpose();
                }
                held_out.rows_range_mut(fold.clone()).copy_from(&predicted);
            }
            Ok(held_out)
        })
        .collect()
}

/// As [`cross_fitted_by`], of one ridge.
pub(crate) fn cross_fitted(
    inputs: &DMatrix<f64>,
    states: &DMatrix<f64>,
    ridge: f64,
    intercept: bool,
) -> Result<DMatrix<f64>, FitError> {
    cross_fitted_by(&[ridge], inputs, states, intercept).swap_remove(0)
}

/// Minimises `sum |z - W x - b|^2 + sum_j penalty_j |W_j|^2`, where the penalty of an input is `ridge` times its (centred) sum
/// of squares, so that its unit does not matter. Cost: rows * inputs^2 + inputs^3 / 3.
pub(crate) fn fit_linear(
    inputs: &DMatrix<f64>,
    states: &DMatrix<f64>,
    ridge: f64,
    intercept: bool,
) -> Result<LinearFit, FitError> {
    let centre = Centre::of(inputs, states, intercept);
    let (x, z) = centre.taken_from(inputs, states);
    centre.fit(&Moments::of(&x, &z, &(0..x.nrows())), ridge)
}

/// What inputs and states are taken relative to: their means, so that sums of squares keep their digits; zero without an
/// intercept.
struct Centre {
    inputs: Vec<f64>,
    states: Vec<f64>,
    intercept: bool,
}

impl Centre {
    fn of(inputs: &DMatrix<f64>, states: &DMatrix<f64>, intercept: bool) -> Self {
        let means = |matrix: &DMatrix<f64>| {
            if intercept { column_means(matrix) } else { vec![0.0; matrix.ncols()] }
        };
        Self { inputs: means(inputs), states: means(states), intercept }
    }

    /// Inputs and states less the centre.
    fn taken_from(&self, inputs: &DMatrix<f64>, states: &DMatrix<f64>) -> (DMatrix<f64>, DMatrix<f64>) {
        let centred = |matrix: &DMatrix<f64>, means: &[f64]| {
            let mut centred = matrix.clone();
            for (mut column, mean) in centred.column_iter_mut().zip(means) {
                column.add_scalar_mut(-mean);
            }
            centred
        };
        (centred(inputs, &self.inputs), centred(states, &self.states))
    }

    /// The regression over the rows of `moments`, of inputs and states less this; see [`fit_linear`].
    fn fit(&self, moments: &Moments, ridge: f64) -> Result<LinearFit, FitError> {
        let columns = moments.gram.ncols();
        let (mut gram, mut cross) = (moments.gram.clone(), moments.cross.clone());
        let share = if self.intercept { 1.0 / moments.rows } else { 0.0 };
        gram.ger(-share, &moments.inputs, &moments.inputs, 1.0);
        cross.ger(-share, &moments.inputs, &moments.targets, 1.0);
        for column in 0..columns {
            let squares = gram[(column, column)];
            let mean = self.inputs[column] + share * moments.inputs[column];
            let still = squares <= STILL * moments.gram[(column, column)]
                || (squares / moments.rows).sqrt() <= ROUNDING * mean.abs();
            if self.intercept && still {
                // what does not move over these rows says nothing, what is left of it is rounding: its weight is zero
                gram.row_mut(column).fill(0.0);
                gram.column_mut(column).fill(0.0);
                cross.row_mut(column).fill(0.0);
                gram[(column, column)] = 1.0;
            }
            gram[(column, column)] *= 1.0 + ridge;
        }
        let factor =
            Cholesky::new(&gram, COLLINEAR).map_err(|column| FitError::SingularRegression { column })?;
        let weights = factor.solve_columns(&cross).transpose();
        let mean = |sums: &DVector<f64>, centre: &[f64]| {
            DVector::from_fn(centre.len(), |at, _| centre[at] + share * sums[at])
        };
        let intercept = mean(&moments.targets, &self.states) - &weights * mean(&moments.inputs, &self.inputs);
        Ok(LinearFit { weights, intercept })
    }
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
    fn predictions_of_a_block_are_those_of_a_fit_to_the_other_blocks() {
        let states = DMatrix::from_fn(200, 2, |row, column| {
            inputs()[(row, column)] * inputs()[(row, 2)] + 40.0 + row as f64 * 0.1
        });
        for (ridge, intercept) in [(0.0, true), (0.1, true), (0.1, false)] {
            let held_out = cross_fitted(&inputs(), &states, ridge, intercept).unwrap();
            for fold in folds(200) {
                let outside = crate::windows::outside(&fold, 200);
                let fit = fit_linear(
                    &inputs().select_rows(&outside),
                    &states.select_rows(&outside),
                    ridge,
                    intercept,
                )
                .unwrap();
                for row in fold {
                    let expected = &fit.weights * inputs().row(row).transpose() + &fit.intercept;
                    assert!((held_out.row(row).transpose() - expected).amax() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn an_input_that_moves_in_one_block_alone_says_nothing_without_it() {
        let mut inputs = inputs();
        for row in 0..200 {
            inputs[(row, 1)] = if (80..120).contains(&row) { row as f64 } else { 3.7 };
        }
        let states = DMatrix::from_fn(200, 1, |row, _| inputs[(row, 0)]);
        let held_out = cross_fitted(&inputs, &states, 0.0, true).unwrap();
        assert!((held_out - &states).amax() < 1e-9);
        let outside = crate::windows::outside(&(80..120), 200);
        let fit =
            fit_linear(&inputs.select_rows(&outside), &states.select_rows(&outside), 0.0, true).unwrap();
        assert_eq!(fit.weights[(0, 1)].to_bits(), 0.0_f64.to_bits());
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
