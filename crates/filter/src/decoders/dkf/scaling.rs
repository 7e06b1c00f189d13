//! How windows become what networks take, and what networks give becomes the mean.

use crate::model_error::ModelError;
use crate::tensors::{ParametersError, TensorReader, TensorWriter};
use crate::validate::{as_column, shape};

/// A network g sees `(x - input_mean) * input_scale`, and the mean is `output_scale * g`.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkScaling {
    /// n l.
    pub input_mean: Vec<f64>,
    /// n l.
    pub input_scale: Vec<f64>,
    /// Factor of each output, d.
    pub output_scale: Vec<f64>,
}

impl NetworkScaling {
    pub(crate) fn read(
        tensors: &mut dyn TensorReader,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, ParametersError> {
        Ok(Self {
            input_mean: tensors.vector("input_mean", inputs)?,
            input_scale: tensors.vector("input_scale", inputs)?,
            output_scale: tensors.vector("output_scale", outputs)?,
        })
    }

    pub(crate) fn validate(&self, inputs: usize, outputs: usize) -> Result<(), ModelError> {
        shape("input_mean", &as_column(&self.input_mean), inputs, 1)?;
        shape("input_scale", &as_column(&self.input_scale), inputs, 1)?;
        shape("output_scale", &as_column(&self.output_scale), outputs, 1)
    }

    pub(crate) fn write(&self, writer: &mut dyn TensorWriter) {
        writer.vector("input_mean", &self.input_mean);
        writer.vector("input_scale", &self.input_scale);
        writer.vector("output_scale", &self.output_scale);
    }
}
