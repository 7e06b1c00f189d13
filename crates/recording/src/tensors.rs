//! The tensors of a model file: f64, row-major, checked by name and shape.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::ModelFileError;

/// Tensors to be written, by name.
#[derive(Debug, Default)]
pub(crate) struct TensorWriter {
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl TensorWriter {
    pub(crate) fn vector(&mut self, name: &str, values: &[f64]) {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.insert(name.to_owned(), (vec![values.len()], data));
    }

    pub(crate) fn matrix(&mut self, name: &str, matrix: &DMatrix<f64>) {
        let mut data = Vec::with_capacity(matrix.len() * 8);
        for row in matrix.row_iter() {
            data.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        }
        self.tensors.insert(name.to_owned(), (vec![matrix.nrows(), matrix.ncols()], data));
    }

    /// The file's bytes. safetensors orders tensors by name, and there is one metadata key, so equal models give equal
    /// bytes.
    pub(crate) fn into_bytes(self, metadata_key: &str, header: String) -> Result<Vec<u8>, ModelFileError> {
        let foreign = |error: safetensors::SafeTensorError| ModelFileError::NotSafetensors {
            problem: error.to_string(),
        };
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, (shape, data)) in &self.tensors {
            views.push((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), data).map_err(foreign)?));
        }
        safetensors::serialize(views, Some([(metadata_key.to_owned(), header)].into())).map_err(foreign)
    }
}

/// Tensors that were read; each may be taken once, and at the end none may be left.
#[derive(Debug)]
pub(crate) struct TensorReader<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
}

impl<'a> TensorReader<'a> {
    pub(crate) fn new(file: &SafeTensors<'a>) -> Self {
        Self { tensors: file.tensors().into_iter().collect() }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// `length` values.
    pub(crate) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f64>, ModelFileError> {
        let view = self.take(name, &[Some(length)])?;
        Ok(values(view.data()))
    }

    /// `length` values; zeros where the tensor is not there.
    pub(crate) fn vector_or_zeros(
        &mut self,
        name: &str,
        length: usize,
    ) -> Result<DVector<f64>, ModelFileError> {
        if self.has(name) {
            return Ok(DVector::from_vec(self.vector(name, length)?));
        }
        Ok(DVector::zeros(length))
    }

    /// `length` values, or none where the tensor is not there.
    pub(crate) fn optional_vector(
        &mut self,
        name: &str,
        length: usize,
    ) -> Result<Option<Vec<f64>>, ModelFileError> {
        self.has(name).then(|| self.vector(name, length)).transpose()
    }

    /// A vector of any length.
    pub(crate) fn any_vector(&mut self, name: &str) -> Result<Vec<f64>, ModelFileError> {
        let view = self.take(name, &[None])?;
        Ok(values(view.data()))
    }

    /// A matrix of this shape.
    pub(crate) fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<DMatrix<f64>, ModelFileError> {
        let view = self.take(name, &[Some(rows), Some(columns)])?;
        Ok(DMatrix::from_row_slice(rows, columns, &values(view.data())))
    }

    /// A matrix of any number of rows.
    pub(crate) fn rows(&mut self, name: &str, columns: usize) -> Result<DMatrix<f64>, ModelFileError> {
        let view = self.take(name, &[None, Some(columns)])?;
        Ok(DMatrix::from_row_slice(view.shape()[0], columns, &values(view.data())))
    }

    /// A matrix of any number of columns.
    pub(crate) fn columns(&mut self, name: &str, rows: usize) -> Result<DMatrix<f64>, ModelFileError> {
        let view = self.take(name, &[Some(rows), None])?;
        Ok(DMatrix::from_row_slice(rows, view.shape()[1], &values(view.data())))
    }

    /// Refuses tensors that nobody asked for: most likely a name written wrong.
    pub(crate) fn finish(self) -> Result<(), ModelFileError> {
        match self.tensors.into_keys().next() {
            None => Ok(()),
            Some(tensor) => Err(ModelFileError::UnknownTensor { tensor: tensor.chars().take(60).collect() }),
        }
    }

    fn take(&mut self, tensor: &str, expected: &[Option<usize>]) -> Result<TensorView<'a>, ModelFileError> {
        let shape = || shape_text(expected);
        let view = self
            .tensors
            .remove(tensor)
            .ok_or_else(|| ModelFileError::MissingTensor { tensor: tensor.to_owned(), expected: shape() })?;
        let fits = view.shape().len() == expected.len()
            && view
                .shape()
                .iter()
                .zip(expected)
                .all(|(found, expected)| expected.is_none_or(|value| value == *found));
        if view.dtype() != Dtype::F64 || !fits {
            let found: Vec<_> = view.shape().iter().map(|size| Some(*size)).collect();
            let found = format!("{:?} {}", view.dtype(), shape_text(&found));
            return Err(ModelFileError::WrongTensor {
                tensor: tensor.to_owned(),
                found,
                expected: format!("F64 {}", shape()),
            });
        }
        Ok(view)
    }
}

fn shape_text(shape: &[Option<usize>]) -> String {
    let sizes: Vec<_> =
        shape.iter().map(|size| size.map_or("m".to_owned(), |size| size.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

fn values(data: &[u8]) -> Vec<f64> {
    let (chunks, _whole) = data.as_chunks::<8>();
    chunks.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}
