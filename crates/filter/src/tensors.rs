//! What a decoder's parameters are written to and read from: named tensors and a JSON header, in a file or in memory.

use nalgebra::{DMatrix, DVector};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest window and highest order that shapes are computed for; the model's own check has the exact limits.
const LARGEST_FACTOR: usize = 100;

/// Why parameters cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParametersError {
    /// Their part of the header is wrong.
    #[error("model header: {problem}")]
    Header {
        /// What is wrong.
        problem: String,
    },
    /// A tensor is missing.
    #[error("no tensor `{tensor}`; expected F64 {expected}")]
    MissingTensor {
        /// Its name.
        tensor: String,
        /// Its shape.
        expected: String,
    },
    /// A tensor has another number type or shape.
    #[error("tensor `{tensor}` is {found}; expected {expected}")]
    WrongTensor {
        /// Its name.
        tensor: String,
        /// Its type and shape.
        found: String,
        /// What they should be.
        expected: String,
    },
    /// The state model grows without bound.
    #[error(
        "the transition is unstable (spectral radius {radius}, which has to be below 1); fit it on more data, or \
         shrink it"
    )]
    Unstable {
        /// Its spectral radius.
        radius: f64,
    },
}

/// Takes tensors, by name.
pub trait TensorWriter {
    /// A tensor of one axis.
    fn vector(&mut self, name: &str, values: &[f64]);

    /// A tensor of two axes.
    fn matrix(&mut self, name: &str, matrix: &DMatrix<f64>);
}

/// Gives tensors, each once.
pub trait TensorReader {
    /// Whether there is a tensor of this name that nobody took.
    fn has(&self, name: &str) -> bool;

    /// Takes a tensor; axes of `None` may have any length. Gives its shape and its values, row by row.
    ///
    /// # Errors
    /// Where it is not there or does not fit.
    fn take(
        &mut self,
        name: &str,
        expected: &[Option<usize>],
    ) -> Result<(Vec<usize>, Vec<f64>), ParametersError>;

    /// `length` values.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f64>, ParametersError> {
        Ok(self.take(name, &[Some(length)])?.1)
    }

    /// `length` values; zeros where the tensor is not there.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    fn vector_or_zeros(&mut self, name: &str, length: usize) -> Result<DVector<f64>, ParametersError> {
        Ok(self.optional_vector(name, length)?.map_or_else(|| DVector::zeros(length), DVector::from_vec))
    }

    /// `length` values, or none where the tensor is not there.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    fn optional_vector(&mut self, name: &str, length: usize) -> Result<Option<Vec<f64>>, ParametersError> {
        self.has(name).then(|| self.vector(name, length)).transpose()
    }

    /// A vector of any length.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    fn any_vector(&mut self, name: &str) -> Result<Vec<f64>, ParametersError> {
        Ok(self.take(name, &[None])?.1)
    }

    /// A matrix of this shape.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<DMatrix<f64>, ParametersError> {
        let (_, values) = self.take(name, &[Some(rows), Some(columns)])?;
        Ok(DMatrix::from_row_slice(rows, columns, &values))
    }

    /// A matrix of any number of rows.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    fn rows(&mut self, name: &str, columns: usize) -> Result<DMatrix<f64>, ParametersError> {
        let (shape, values) = self.take(name, &[None, Some(columns)])?;
        Ok(DMatrix::from_row_slice(shape[0], columns, &values))
    }

    /// A matrix of any number of columns.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    fn columns(&mut self, name: &str, rows: usize) -> Result<DMatrix<f64>, ParametersError> {
        let (shape, values) = self.take(name, &[Some(rows), None])?;
        Ok(DMatrix::from_row_slice(rows, shape[1], &values))
    }
}

/// Tensors whose names begin with a prefix, which nobody who reads or writes them has to know.
pub(crate) struct Prefixed<'a, T: ?Sized> {
    pub(crate) prefix: String,
    pub(crate) tensors: &'a mut T,
}

impl TensorWriter for Prefixed<'_, dyn TensorWriter + '_> {
    fn vector(&mut self, name: &str, values: &[f64]) {
        self.tensors.vector(&format!("{}{name}", self.prefix), values);
    }

    fn matrix(&mut self, name: &str, matrix: &DMatrix<f64>) {
        self.tensors.matrix(&format!("{}{name}", self.prefix), matrix);
    }
}

impl TensorReader for Prefixed<'_, dyn TensorReader + '_> {
    fn has(&self, name: &str) -> bool {
        self.tensors.has(&format!("{}{name}", self.prefix))
    }

    fn take(
        &mut self,
        name: &str,
        expected: &[Option<usize>],
    ) -> Result<(Vec<usize>, Vec<f64>), ParametersError> {
        self.tensors.take(&format!("{}{name}", self.prefix), expected)
    }
}

/// What parameters are read from.
#[expect(missing_debug_implementations, reason = "a reader is whatever holds the tensors")]
pub struct Source<'a> {
    /// The tensors.
    pub tensors: &'a mut dyn TensorReader,
    /// Features n of one bin.
    pub features: usize,
    /// Components d of the intent.
    pub dimension: usize,
}

/// `value` where it is a number of bins, orders, networks or layers that a model can have.
pub(crate) fn factor(name: &str, value: usize) -> Result<usize, ParametersError> {
    if (1..=LARGEST_FACTOR).contains(&value) {
        return Ok(value);
    }
    Err(problem(format!("parameters: {name} is {value}, but has to be 1 to {LARGEST_FACTOR}")))
}

/// Reads a part of the header.
pub(crate) fn parse<T: DeserializeOwned>(header: Value) -> Result<T, ParametersError> {
    serde_json::from_value(header).map_err(|error| problem(format!("parameters: {error}")))
}

pub(crate) fn problem(problem: impl Into<String>) -> ParametersError {
    ParametersError::Header { problem: problem.into() }
}

/// One, where a header does not say how many bins a window or an order has.
pub(crate) fn one_bin() -> usize {
    1
}
