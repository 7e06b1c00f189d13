//! H and R of a Kalman filter by least squares of features on intents.

use nalgebra::{DMatrix, DVector};

use super::state_model::fit_state_model;
use super::windows::{column_means, second_moment, states_at};
use super::{FitError, FitReport};
use crate::cholesky::Cholesky;
use crate::{Choice, KalmanParameters, Options, Start, TrainingData};

/// Pivots below this part of their diagonal entry mean that a column follows from others.
const COLLINEAR: f64 = 1e-11;

/// Fits `kalman` and `kalman-steady`.
///
/// A feature that never moved over the rows says nothing of the intent: its row of H is zero and its noise one, apart
/// from all others, with a warning.
pub(crate) fn fit_kalman(
    data: &TrainingData,
    options: &Options,
    report: &mut FitReport,
) -> Result<KalmanParameters, FitError> {
    let state = fit_state_model(
        data,
        options.state_order.and_then(Choice::given).unwrap_or(1),
        options.stationary.unwrap_or_default(),
        report,
    )?;
    let rows = data.measurement_rows();
    let (n, d) = (data.features.ncols(), data.states.ncols());
    let needed = n + d + 2;
    if rows.len() < needed {
        return Err(FitError::TooFewRows {
            what: "rows for the measurement model",
            found: rows.len(),
            needed,
        });
    }
    let intercept = options.intercept.unwrap_or(false);
    let mut features = data.features.select_rows(&rows);
    let mut states = states_at(data, &rows);
    let still: Vec<Option<f64>> = features
        .column_iter()
        .map(|column| column.iter().all(|value| value.to_bits() == column[0].to_bits()).then_some(column[0]))
        .collect();
    let (feature_means, state_means) = (column_means(&features), column_means(&states));
    if intercept {
        subtract(&mut features, &feature_means);
        subtract(&mut states, &state_means);
    }
    let factor = Cholesky::new(&states.tr_mul(&states), COLLINEAR)
        .map_err(|column| FitError::CollinearStates { column })?;
    let mut observation = factor.solve_columns(&states.tr_mul(&features)).transpose();
    let mut noise = second_moment(&(&features - &states * observation.transpose()));
    let mut offset = if intercept {
        DVector::from_vec(feature_means) - &observation * DVector::from_vec(state_means)
    } else {
        DVector::zeros(n)
    };
    for (feature, value) in still.iter().enumerate() {
        if let Some(value) = value {
            observation.row_mut(feature).fill(0.0);
            noise.row_mut(feature).fill(0.0);
            noise.column_mut(feature).fill(0.0);
            noise[(feature, feature)] = 1.0;
            offset[feature] = *value;
        }
    }
    let still_columns: Vec<String> = still
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_some())
        .map(|(feature, _)| feature.to_string())
        .collect();
    if !still_columns.is_empty() {
        report.warnings.push(format!(
            "feature columns that never moved, and so say nothing: {}",
            still_columns.join(", ")
        ));
    }
    Cholesky::new(&noise, COLLINEAR).map_err(|column| FitError::SingularObservationNoise { column })?;
    Ok(KalmanParameters {
        state,
        observation,
        observation_offset: offset,
        observation_noise: noise,
        start: options.start.unwrap_or(Start::Prior),
    })
}

fn subtract(matrix: &mut DMatrix<f64>, means: &[f64]) {
    for (mut column, mean) in matrix.column_iter_mut().zip(means) {
        column.add_scalar_mut(-mean);
    }
}
