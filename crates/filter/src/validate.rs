//! Checks of shapes, numbers and covariances that the tensors of several decoders share.

use nalgebra::DMatrix;

use crate::cholesky::Cholesky;
use crate::covariance_scale::CovarianceScale;
use crate::model_error::ModelError;

/// Pivots below this part of their diagonal entry count as zero.
const SINGULAR: f64 = 1e-14;
/// Beyond this a factor on a covariance would be lost in rounding.
const LARGEST_LOG_FACTOR: f64 = 50.0;

pub(crate) fn validate_scale(scale: &CovarianceScale, features: usize) -> Result<(), ModelError> {
    let CovarianceScale { bias, size, size_squared, surprise, window, limits: [least, greatest] } = scale;
    for number in [bias, size, size_squared, surprise, least, greatest] {
        if !number.is_finite() {
            return out_of_range("a coefficient of covariance_scale", *number, "finite");
        }
    }
    if least > greatest || least.abs() > LARGEST_LOG_FACTOR || greatest.abs() > LARGEST_LOG_FACTOR {
        return out_of_range("a limit of covariance_scale", *greatest, "from -50 to 50, the least first");
    }
    if window.len() % features != 0 || window.len() > 100 * features {
        return out_of_range(
            "the length of covariance_scale_window",
            window.len() as f64,
            "n times 0 to 100",
        );
    }
    shape("covariance_scale_window", &as_column(window), window.len(), 1)
}

pub(crate) fn validate_lags(lags: usize) -> Result<(), ModelError> {
    if (1..=100).contains(&lags) { Ok(()) } else { out_of_range("lags", lags as f64, "1 to 100") }
}

pub(crate) fn validate_points(
    tensor: &'static str,
    points: &DMatrix<f64>,
    inputs: usize,
) -> Result<(), ModelError> {
    if points.nrows() == 0 {
        return out_of_range("the number of points", 0.0, "at least 1");
    }
    shape(tensor, points, points.nrows(), inputs)
}

pub(crate) fn validate_kernel(
    bandwidth: f64,
    scales: Option<&[f64]>,
    inputs: usize,
) -> Result<(), ModelError> {
    positive("bandwidth", bandwidth)?;
    if let Some(scales) = scales {
        shape("scales", &as_column(scales), inputs, 1)?;
        if let Some(&negative) = scales.iter().find(|&&scale| scale < 0.0) {
            return out_of_range("a scale", negative, "0 or more");
        }
    }
    Ok(())
}

pub(crate) fn positive(name: &'static str, value: f64) -> Result<(), ModelError> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { out_of_range(name, value, "above 0") }
}

pub(crate) fn out_of_range<T>(
    name: &'static str,
    value: f64,
    expected: &'static str,
) -> Result<T, ModelError> {
    Err(ModelError::OutOfRange { name, value, expected })
}

pub(crate) fn as_column(values: &[f64]) -> DMatrix<f64> {
    DMatrix::from_column_slice(values.len(), 1, values)
}

pub(crate) fn shape(
    tensor: &'static str,
    matrix: &DMatrix<f64>,
    rows: usize,
    columns: usize,
) -> Result<(), ModelError> {
    if matrix.shape() != (rows, columns) {
        return Err(ModelError::Shape {
            tensor,
            found: format!("{} x {}", matrix.nrows(), matrix.ncols()),
            expected: format!("{rows} x {columns}"),
        });
    }
    for row in 0..rows {
        if let Some(column) = (0..columns).find(|&column| !matrix[(row, column)].is_finite()) {
            return Err(ModelError::NotFinite { tensor, row, column, value: matrix[(row, column)] });
        }
    }
    Ok(())
}

pub(crate) fn covariance(
    tensor: &'static str,
    matrix: &DMatrix<f64>,
    size: usize,
    strict: bool,
) -> Result<(), ModelError> {
    shape(tensor, matrix, size, size)?;
    let not_positive = || ModelError::NotPositive { tensor, strict };
    let largest = matrix.amax();
    for row in 0..size {
        for column in 0..row {
            if (matrix[(row, column)] - matrix[(column, row)]).abs() > 1e-9 * largest {
                return Err(not_positive());
            }
        }
    }
    if strict {
        return Cholesky::new(matrix, SINGULAR).map(|_factor| ()).map_err(|_column| not_positive());
    }
    let mut raised = matrix.clone();
    for entry in 0..size {
        raised[(entry, entry)] += 1e-9 * largest + f64::MIN_POSITIVE;
    }
    Cholesky::new(&raised, 0.0).map(|_factor| ()).map_err(|_column| not_positive())
}

pub(crate) fn finite(tensor: &'static str, values: &[f64]) -> Result<(), ModelError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(ModelError::NotFinite { tensor, row, column: 0, value: values[row] }),
        None => Ok(()),
    }
}
