//! Training rows, checked before anything is computed from them.

use kalmind_filter::TrainingData;

use crate::FitError;

/// Refuses what nothing can be learnt from, naming the place.
pub(crate) fn check(data: &TrainingData) -> Result<(), FitError> {
    let rows = data.rows();
    if rows != data.states.nrows() {
        return Err(FitError::RowsDiffer { features: rows, states: data.states.nrows() });
    }
    if let Some(mask) = &data.measurement
        && mask.len() != rows
    {
        return Err(FitError::MaskLength { mask: mask.len(), rows });
    }
    if let Some(task) = &data.task {
        if task.len() != rows {
            return Err(FitError::TaskRows { task: task.len(), rows });
        }
        for (row, sample) in task.iter().enumerate() {
            let target = sample.target.map_or([0.0; 2], |target| target.0);
            let values = [target[0], target[1], sample.cursor.0[0], sample.cursor.0[1]];
            if let Some(column) = values.iter().position(|value| !value.is_finite()) {
                return Err(FitError::NotFinite { table: "task", row, column, value: values[column] });
            }
        }
    }
    let dimension = data.states.ncols();
    if dimension == 0 || dimension > kalmind_types::MAX_COMPONENTS {
        return Err(FitError::Dimension { found: dimension });
    }
    if data.features.ncols() == 0 {
        return Err(FitError::NoFeatures);
    }
    for (table, matrix) in [("features", &data.features), ("states", &data.states)] {
        for row in 0..rows {
            if let Some(column) = (0..matrix.ncols()).find(|&column| !matrix[(row, column)].is_finite()) {
                return Err(FitError::NotFinite { table, row, column, value: matrix[(row, column)] });
            }
        }
    }
    Ok(())
}
