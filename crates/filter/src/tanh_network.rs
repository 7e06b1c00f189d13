//! A network with one hidden layer: tensors that several decoders have.

use nalgebra::{DMatrix, DVector};

use crate::model_error::ModelError;
use crate::tensors::{ParametersError, TensorReader, TensorWriter};
use crate::validate::{as_column, out_of_range, shape};

/// A network with one hidden layer of tanh units:
/// `output_weights tanh(hidden_weights x + hidden_bias) + output_bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct TanhNetwork {
    /// h x inputs.
    pub hidden_weights: DMatrix<f64>,
    /// h.
    pub hidden_bias: DVector<f64>,
    /// outputs x h.
    pub output_weights: DMatrix<f64>,
    /// outputs.
    pub output_bias: DVector<f64>,
}

impl TanhNetwork {
    pub(crate) fn validate(&self, inputs: usize, outputs: usize) -> Result<(), ModelError> {
        let hidden = self.hidden_bias.len();
        if hidden == 0 {
            return out_of_range("the number of hidden units", 0.0, "at least 1");
        }
        shape("hidden_weights", &self.hidden_weights, hidden, inputs)?;
        shape("hidden_bias", &as_column(self.hidden_bias.as_slice()), hidden, 1)?;
        shape("output_weights", &self.output_weights, outputs, hidden)?;
        shape("output_bias", &as_column(self.output_bias.as_slice()), outputs, 1)
    }

    /// Writes the tensors, each name after `prefix`.
    pub(crate) fn write(&self, prefix: &str, writer: &mut dyn TensorWriter) {
        writer.matrix(&format!("{prefix}hidden_weights"), &self.hidden_weights);
        writer.vector(&format!("{prefix}hidden_bias"), self.hidden_bias.as_slice());
        writer.matrix(&format!("{prefix}output_weights"), &self.output_weights);
        writer.vector(&format!("{prefix}output_bias"), self.output_bias.as_slice());
    }

    /// Reads a network of any number of hidden units.
    pub(crate) fn read(
        prefix: &str,
        tensors: &mut dyn TensorReader,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, ParametersError> {
        let hidden_weights = tensors.rows(&format!("{prefix}hidden_weights"), inputs)?;
        let hidden = hidden_weights.nrows();
        Ok(Self {
            hidden_bias: tensors.vector(&format!("{prefix}hidden_bias"), hidden)?.into(),
            output_weights: tensors.matrix(&format!("{prefix}output_weights"), outputs, hidden)?,
            output_bias: tensors.vector(&format!("{prefix}output_bias"), outputs)?.into(),
            hidden_weights,
        })
    }
}
