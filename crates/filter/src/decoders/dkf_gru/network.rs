//! The tensors of a recurrent network.

use nalgebra::{DMatrix, DVector};

use crate::model_error::ModelError;
use crate::options::Cell;
use crate::tensors::{ParametersError, Prefixed, TensorReader, TensorWriter, factor};
use crate::validate::{as_column, out_of_range, shape};

/// One layer of a recurrent network with h units and g gates (3 of a GRU, 4 of an LSTM), gate after gate, `s` the
/// logistic function:
///
/// ```text
/// GRU    r = s(W_r x + b_r + U_r h + c_r)    u = s(W_u x + b_u + U_u h + c_u)
///        n = tanh(W_n x + b_n + r (U_n h + c_n))              h' = (1 - u) n + u h
/// LSTM   i, f, o = s(W x + b + U h + c)      k' = f k + i tanh(W_k x + b_k + U_k h + c_k)      h' = o tanh(k')
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentLayer {
    /// W, (g h) x inputs.
    pub input_weights: DMatrix<f64>,
    /// b, g h.
    pub input_bias: DVector<f64>,
    /// U, (g h) x h.
    pub recurrent_weights: DMatrix<f64>,
    /// c, g h.
    pub recurrent_bias: DVector<f64>,
}

/// Recurrent layers, each the input of the next, and a linear read-out of the last.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentNetwork {
    /// At least one.
    pub layers: Vec<RecurrentLayer>,
    /// outputs x h.
    pub output_weights: DMatrix<f64>,
    /// outputs.
    pub output_bias: DVector<f64>,
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }
}

impl RecurrentNetwork {
    pub(super) fn validate(&self, cell: Cell, inputs: usize, outputs: usize) -> Result<(), ModelError> {
        let gates = cell.gates();
        let mut width = inputs;
        for layer in &self.layers {
            let hidden = layer.recurrent_weights.ncols();
            if hidden == 0 {
                return out_of_range("the number of hidden units", 0.0, "at least 1");
            }
            shape("input_weights", &layer.input_weights, gates * hidden, width)?;
            shape("input_bias", &as_column(layer.input_bias.as_slice()), gates * hidden, 1)?;
            shape("recurrent_weights", &layer.recurrent_weights, gates * hidden, hidden)?;
            shape("recurrent_bias", &as_column(layer.recurrent_bias.as_slice()), gates * hidden, 1)?;
            width = hidden;
        }
        if self.layers.is_empty() {
            return out_of_range("the number of recurrent layers", 0.0, "at least 1");
        }
        shape("output_weights", &self.output_weights, outputs, width)?;
        shape("output_bias", &as_column(self.output_bias.as_slice()), outputs, 1)
    }

    /// Writes the tensors, each name after `prefix`.
    pub(super) fn write(&self, prefix: &str, writer: &mut dyn TensorWriter) {
        for (at, layer) in self.layers.iter().enumerate() {
            let mut writer = Prefixed { prefix: format!("{prefix}layer.{at}."), tensors: &mut *writer };
            writer.matrix("input_weights", &layer.input_weights);
            writer.vector("input_bias", layer.input_bias.as_slice());
            writer.matrix("recurrent_weights", &layer.recurrent_weights);
            writer.vector("recurrent_bias", layer.recurrent_bias.as_slice());
        }
        writer.matrix(&format!("{prefix}output_weights"), &self.output_weights);
        writer.vector(&format!("{prefix}output_bias"), self.output_bias.as_slice());
    }

    pub(super) fn read(
        prefix: &str,
        tensors: &mut dyn TensorReader,
        cell: Cell,
        layers: usize,
        (mut width, outputs): (usize, usize),
    ) -> Result<Self, ParametersError> {
        let mut read = Vec::new();
        for at in 0..factor("layers", layers)? {
            let prefix = format!("{prefix}layer.{at}.");
            let mut tensors = Prefixed { prefix, tensors: &mut *tensors };
            let input_weights = tensors.rows("input_weights", width)?;
            let gates = input_weights.nrows();
            let hidden = gates / cell.gates();
            let recurrent_weights = tensors.matrix("recurrent_weights", gates, hidden)?;
            read.push(RecurrentLayer {
                input_bias: tensors.vector("input_bias", gates)?.into(),
                recurrent_bias: tensors.vector("recurrent_bias", gates)?.into(),
                input_weights,
                recurrent_weights,
            });
            width = hidden;
        }
        Ok(Self {
            layers: read,
            output_weights: tensors.matrix(&format!("{prefix}output_weights"), outputs, width)?,
            output_bias: tensors.vector(&format!("{prefix}output_bias"), outputs)?.into(),
        })
    }
}
