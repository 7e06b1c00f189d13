//! The tensors of a model file: f64, row-major, checked by name and shape.

use std::collections::BTreeMap;

use kalmind_filter::tensors::{ParametersError, TensorReader, TensorWriter};
use nalgebra::DMatrix;
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};

/// Tensors to be written, by name.
#[derive(Debug, Default)]
pub(crate) struct ModelTensors {
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl ModelTensors {
    /// A tensor whose bytes are known.
    pub(crate) fn bytes(&mut self, name: &str, shape: Vec<usize>, data: Vec<u8>) {
        self.tensors.insert(name.to_owned(), (shape, data));
    }

    /// The file's bytes. safetensors orders tensors by name, and there is one metadata key, so equal models give equal
    /// bytes.
    pub(crate) fn into_bytes(self, metadata_key: &str, header: String) -> Result<Vec<u8>, SafeTensorError> {
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, (shape, data)) in &self.tensors {
            views.push((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), data)?));
        }
        safetensors::serialize(views, Some([(metadata_key.to_owned(), header)].into()))
    }
}

impl TensorWriter for ModelTensors {
    fn vector(&mut self, name: &str, values: &[f64]) {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.insert(name.to_owned(), (vec![values.len()], data));
    }

    fn matrix(&mut self, name: &str, matrix: &DMatrix<f64>) {
        let mut data = Vec::with_capacity(matrix.len() * 8);
        for row in matrix.row_iter() {
            data.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        }
        self.tensors.insert(name.to_owned(), (vec![matrix.nrows(), matrix.ncols()], data));
    }
}

/// Tensors that were read; each may be taken once, and at the end none may be left.
#[derive(Debug)]
pub(crate) struct ReadTensors<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
}

impl<'a> ReadTensors<'a> {
    pub(crate) fn new(file: &SafeTensors<'a>) -> Self {
        Self { tensors: file.tensors().into_iter().collect() }
    }

    /// A tensor that nobody asked for: most likely a name written wrong.
    pub(crate) fn left(self) -> Option<String> {
        self.tensors.into_keys().next()
    }
}

impl TensorReader for ReadTensors<'_> {
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn take(
        &mut self,
        tensor: &str,
        expected: &[Option<usize>],
    ) -> Result<(Vec<usize>, Vec<f64>), ParametersError> {
        let shape = || shape_text(expected);
        let view = self
            .tensors
            .remove(tensor)
            .ok_or_else(|| ParametersError::MissingTensor { tensor: tensor.to_owned(), expected: shape() })?;
        let fits = view.shape().len() == expected.len()
            && view
                .shape()
                .iter()
                .zip(expected)
                .all(|(found, expected)| expected.is_none_or(|value| value == *found));
        if view.dtype() != Dtype::F64 || !fits {
            let found: Vec<_> = view.shape().iter().map(|size| Some(*size)).collect();
            let found = format!("{:?} {}", view.dtype(), shape_text(&found));
            return Err(ParametersError::WrongTensor {
                tensor: tensor.to_owned(),
                found,
                expected: format!("F64 {}", shape()),
            });
        }
        Ok((view.shape().to_vec(), values(view.data())))
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
