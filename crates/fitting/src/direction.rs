//! A regression of its own for the direction of f.
//!
//! The mean of z given the features points where fast movements would go: the squared error hardly sees the slow ones,
//! and with them most directions. With `direction=on` f learns, beside z, the target `r z / (|z| + 0.2 r)`, whose length is
//! nearly the same for all but the slowest; f then has the length of the first prediction and the direction of the second.
//! It makes sense where the components are one vector in one unit, as a cursor's velocity is.

use nalgebra::{DMatrix, DVector};

use crate::learner::Learned;
use crate::windows::states_at;
use kalmind_filter::decoders::dkf::regression::turn;
use kalmind_filter::{Choice, Regressor, TrainingData};

/// Where speed counts as slow, in root mean squares of a component.
const SLOW: f64 = 0.2;
/// What the direction may cost in squared error and has to gain in angle, as parts of either.
const WORTH: (f64, f64) = (2e-3, 1e-2);

/// Whether d components may have a direction of their own.
pub(crate) fn can_have_direction(dimension: usize) -> bool {
    dimension >= 2 && 2 * dimension <= kalmind_types::MAX_COMPONENTS
}

/// The rows with twice the states: z, and what a direction is learnt from.
pub(crate) fn with_direction(data: &TrainingData) -> TrainingData {
    let states = &data.states;
    let (rows, d) = states.shape();
    let size = libm::sqrt(states.norm_squared() / (rows * d).max(1) as f64);
    let speeds: Vec<f64> = states.row_iter().map(|row| row.norm()).collect();
    let doubled = DMatrix::from_fn(rows, 2 * d, |row, column| {
        if column < d {
            return states[(row, column)];
        }
        let slow = speeds[row] + SLOW * size;
        if slow > 0.0 { size * states[(row, column - d)] / slow } else { 0.0 }
    });
    TrainingData { states: doubled, ..data.clone() }
}

/// Held-out predictions of twice the states as those of d components, turned.
pub(crate) fn turned(doubled: &DMatrix<f64>) -> DMatrix<f64> {
    let d = doubled.ncols() / 2;
    let mut turned = doubled.columns(0, d).into_owned();
    let mut row_values = [0.0; kalmind_types::MAX_COMPONENTS];
    for row in 0..doubled.nrows() {
        for column in 0..2 * d {
            row_values[column] = doubled[(row, column)];
        }
        turn(&mut row_values, d);
        for column in 0..d {
            turned[(row, column)] = row_values[column];
        }
    }
    turned
}

/// Whether turned predictions have a better angle at no worse a squared error.
pub(crate) fn is_worth_it(doubled: &DMatrix<f64>, truth: &DMatrix<f64>) -> bool {
    let plain = doubled.columns(0, truth.ncols()).into_owned();
    let turned = turned(doubled);
    let squared = |predicted: &DMatrix<f64>| (predicted - truth).norm_squared();
    squared(&turned) <= squared(&plain) * (1.0 + 2.0 * WORTH.0)
        && mean_angle(&turned, truth) <= mean_angle(&plain, truth) * (1.0 - WORTH.1)
}

/// Mean angle between the rows of two matrices, those of zero length left out.
fn mean_angle(predicted: &DMatrix<f64>, truth: &DMatrix<f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (left, right) in predicted.row_iter().zip(truth.row_iter()) {
        let lengths = left.norm() * right.norm();
        if lengths > 0.0 {
            sum += libm::acos((left.dot(&right) / lengths).clamp(-1.0, 1.0));
            count += 1.0;
        }
    }
    sum / count
}

/// What was learnt of twice the states, as f of d components without a direction of its own.
pub(crate) fn without_direction(mut learned: Learned) -> Learned {
    let d = learned.held_out.ncols() / 2;
    keep_first_outputs(&mut learned.regressor, d);
    learned.held_out = learned.held_out.columns(0, d).into_owned();
    learned
}

/// Leaves f its first d outputs alone.
fn keep_first_outputs(regressor: &mut Regressor, d: usize) {
    let columns = |matrix: &mut DMatrix<f64>| *matrix = matrix.columns(0, d).into_owned();
    let rows = |matrix: &mut DMatrix<f64>| *matrix = matrix.rows(0, d).into_owned();
    let entries = |vector: &mut DVector<f64>| *vector = vector.rows(0, d).into_owned();
    match regressor {
        Regressor::NadarayaWatson(f) => columns(&mut f.values),
        Regressor::Linear(f) => {
            rows(&mut f.weights);
            entries(&mut f.intercept);
        }
        Regressor::GaussianProcess(f) => {
            columns(&mut f.coefficients);
            entries(&mut f.offset);
        }
        Regressor::MultipleKernel(f) => {
            columns(&mut f.coefficients);
            entries(&mut f.offset);
            if let Some(joint) = &mut f.joint {
                columns(&mut joint.coefficients);
            }
        }
        Regressor::Networks(f) => {
            f.scaling.output_scale.truncate(d);
            for network in &mut f.networks {
                rows(&mut network.output_weights);
                entries(&mut network.output_bias);
            }
        }
        Regressor::Recurrent(f) => {
            f.scaling.output_scale.truncate(d);
            for network in &mut f.networks {
                rows(&mut network.output_weights);
                entries(&mut network.output_bias);
            }
        }
        Regressor::Ensemble(f) => {
            for member in &mut f.members {
                member.weight = member.weight.view((0, 0), (d, d)).into_owned();
                keep_first_outputs(&mut member.regressor, d);
            }
        }
    }
}

/// f with its held-out predictions of d components, and whether its direction is its own.
pub(crate) struct Directed {
    pub(crate) learned: Learned,
    pub(crate) direction: bool,
}

impl Directed {
    /// Of what was learnt of twice the states where a direction is possible, or of the states themselves.
    pub(crate) fn new(learned: Learned, direction: Choice<bool>, data: &TrainingData) -> Self {
        let worth = match direction {
            Choice::Given(direction) => direction,
            Choice::Auto => is_worth_it(&learned.held_out, &states_at(data, &learned.held_rows)),
        };
        match direction {
            Choice::Given(false) => Self { learned, direction: false },
            _ if worth => {
                let held_out = turned(&learned.held_out);
                Self { learned: Learned { held_out, ..learned }, direction: true }
            }
            _ => Self { learned: without_direction(learned), direction: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_prediction_has_the_length_of_one_half_and_the_direction_of_the_other() {
        let doubled = DMatrix::from_row_slice(2, 4, &[3.0, 4.0, 0.0, -2.0, 1.0, 0.0, 0.0, 0.0]);
        let turned = turned(&doubled);
        assert!((turned[(0, 0)]).abs() < 1e-15 && (turned[(0, 1)] + 5.0).abs() < 1e-15);
        // no direction learnt: that of the prediction itself
        assert_eq!(turned.row(1), doubled.row(1).columns(0, 2));
    }

    #[test]
    fn slow_and_fast_movements_weigh_alike_in_what_a_direction_is_learnt_from() {
        let states = DMatrix::from_row_slice(3, 2, &[3.0, 4.0, -0.3, 0.4, 0.0, 0.0]);
        let doubled = with_direction(&TrainingData::new(DMatrix::zeros(3, 1), states.clone())).states;
        let size = (25.25_f64 / 6.0).sqrt();
        assert_eq!(doubled.columns(0, 2), states);
        assert!((doubled[(0, 2)] - size * 3.0 / (5.0 + 0.2 * size)).abs() < 1e-12);
        assert!((doubled[(1, 3)] - size * 0.4 / (0.5 + 0.2 * size)).abs() < 1e-12);
        assert_eq!(doubled[(2, 2)].to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_direction_is_kept_where_it_is_better_and_costs_nothing() {
        let truth = DMatrix::from_fn(100, 2, |row, column| ((row * (column + 1)) as f64).sin() + 0.1);
        let off = DMatrix::from_fn(100, 2, |row, column| truth[(row, column)] + 0.3 * (row as f64).cos());
        let join =
            |left: &DMatrix<f64>, right: &DMatrix<f64>| {
                DMatrix::from_fn(100, 4, |row, column| {
                    if column < 2 { left[(row, column)] } else { right[(row, column - 2)] }
                })
            };
        assert!(is_worth_it(&join(&off, &truth), &truth));
        assert!(!is_worth_it(&join(&truth, &off), &truth));
    }
}
