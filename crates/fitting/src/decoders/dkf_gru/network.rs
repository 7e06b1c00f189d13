//! Recurrent networks in training: a minibatch of sequences forward, and its gradient backward through time.
//!
//! Columns are sequences at one time, column-major, time after time: a "panel" of u units, T bins and B sequences is
//! u x (T B), and the block of one bin lies in one piece. Equations: see [`RecurrentLayer`].
//! Cost of a pass forward and backward: 3 g h (inputs + h) multiplications a layer, bin and sequence.

use nalgebra::DMatrix;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::decoders::dkf_gru::cell::{gru_backward, gru_forward, lstm_backward, lstm_forward};
use crate::decoders::dkf_gru::product::{Matrix, multiply};
use kalmind_filter::kernel_path::KernelPath;
use kalmind_filter::{Cell, RecurrentLayer, RecurrentNetwork};

/// The size of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) cell: Cell,
    pub(super) inputs: usize,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) outputs: usize,
}

/// Sequences side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch<'a> {
    /// inputs x (T B).
    pub(super) inputs: &'a [f32],
    /// B.
    pub(super) sequences: usize,
    /// Factors on every layer's output, h x (T B) each; empty where nothing is dropped.
    pub(super) dropout: &'a [Vec<f32>],
}

/// Where one layer's tensors lie among all weights.
#[derive(Clone, Copy, Debug)]
struct LayerPlace {
    inputs: usize,
    input_weights: usize,
    input_bias: usize,
    recurrent_weights: usize,
    recurrent_bias: usize,
}

/// What a layer computed on the way forward, kept for the way back.
#[derive(Clone, Debug, Default)]
struct LayerTrace {
    /// Activated gates, (g h) x (T B); on the way back their gradient.
    gates: Vec<f32>,
    /// GRU: `U_n h + c_n`; LSTM: `tanh(k')`; h x (T B).
    inner: Vec<f32>,
    /// h x (T + 1) B: zero, then the output of every bin.
    hidden: Vec<f32>,
    /// LSTM: k, as `hidden`.
    memory: Vec<f32>,
    /// `hidden` of every bin after dropout.
    output: Vec<f32>,
    /// Gradient by `U h + c`, where it differs from that by the gates (GRU).
    recurrent_gradient: Vec<f32>,
    /// Gradient by the output.
    output_gradient: Vec<f32>,
}

/// A network's workspace, kept from minibatch to minibatch.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    layers: Vec<LayerTrace>,
    /// One block of `U h + c`.
    block: Vec<f32>,
    carry: Vec<f32>,
    memory_carry: Vec<f32>,
    /// outputs x (T B).
    pub(super) outputs: Vec<f32>,
}

impl Shape {
    pub(super) fn gates(self) -> usize {
        match self.cell {
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    fn layer(self, layer: usize) -> LayerPlace {
        let (gates, hidden) = (self.gates() * self.hidden, self.hidden);
        let size = |inputs: usize| gates * (inputs + hidden + 2);
        let (start, inputs) = match layer.checked_sub(1) {
            None => (0, self.inputs),
            Some(before) => (size(self.inputs) + before * size(hidden), hidden),
        };
        let input_bias = start + gates * inputs;
        let recurrent_weights = input_bias + gates;
        let recurrent_bias = recurrent_weights + gates * hidden;
        LayerPlace { inputs, input_weights: start, input_bias, recurrent_weights, recurrent_bias }
    }

    fn output_weights(self) -> usize {
        self.layer(self.layers).input_weights
    }

    /// How many weights there are.
    pub(super) fn weights(self) -> usize {
        self.output_weights() + self.outputs * (self.hidden + 1)
    }

    /// First weights: uniform within `1 / sqrt(h)`, an LSTM's forget gate open.
    pub(super) fn first_weights(self, random: &mut ChaCha8Rng) -> Vec<f32> {
        let bound = 1.0 / (self.hidden as f32).sqrt();
        let mut weights: Vec<f32> =
            (0..self.weights()).map(|_| random.random_range(-bound..=bound)).collect();
        if self.cell == Cell::Lstm {
            for layer in 0..self.layers {
                let forget = self.layer(layer).input_bias + self.hidden;
                weights[forget..forget + self.hidden].fill(1.0);
            }
        }
        weights
    }

    /// Which weights multiply something, and so may decay: biases do not.
    pub(super) fn decaying(self) -> Vec<bool> {
        let mut decaying = vec![true; self.weights()];
        let gates = self.gates() * self.hidden;
        for layer in 0..self.layers {
            let place = self.layer(layer);
            decaying[place.input_bias..place.input_bias + gates].fill(false);
            decaying[place.recurrent_bias..place.recurrent_bias + gates].fill(false);
        }
        let bias = self.weights() - self.outputs;
        decaying[bias..].fill(false);
        decaying
    }

    /// The weights as a model holds them.
    pub(super) fn network(self, weights: &[f32]) -> RecurrentNetwork {
        let matrix = |at: usize, rows: usize, columns: usize| {
            DMatrix::from_iterator(
                rows,
                columns,
                weights[at..at + rows * columns].iter().map(|&value| f64::from(value)),
            )
        };
        let column = |at: usize, rows: usize| matrix(at, rows, 1).column(0).into_owned();
        let gates = self.gates() * self.hidden;
        let layers = (0..self.layers).map(|layer| {
            let place = self.layer(layer);
            RecurrentLayer {
                input_weights: matrix(place.input_weights, gates, place.inputs),
                input_bias: column(place.input_bias, gates),
                recurrent_weights: matrix(place.recurrent_weights, gates, self.hidden),
                recurrent_bias: column(place.recurrent_bias, gates),
            }
        });
        let output = self.output_weights();
        RecurrentNetwork {
            layers: layers.collect(),
            output_weights: matrix(output, self.outputs, self.hidden),
            output_bias: column(output + self.outputs * self.hidden, self.outputs),
        }
    }

    /// Runs the sequences of a batch from nothing remembered. The answer is `trace.outputs`.
    pub(super) fn forward(self, weights: &[f32], batch: &Batch<'_>, trace: &mut Trace) {
        let columns = batch.columns(self);
        trace.layers.resize_with(self.layers, LayerTrace::default);
        for at in 0..self.layers {
            let (before, rest) = trace.layers.split_at_mut(at);
            let below = before.last().map_or(batch.inputs, |before| &before.output);
            self.forward_layer(at, weights, batch, below, &mut rest[0], &mut trace.block);
        }
        let output = self.output_weights();
        trace.outputs.resize(self.outputs * columns, 0.0);
        fill_columns(&mut trace.outputs, &weights[output + self.outputs * self.hidden..]);
        let last = trace.layers.last().map_or(batch.inputs, |layer| &layer.output);
        multiply(
            &mut trace.outputs,
            Matrix::new(&weights[output..], self.outputs, self.hidden),
            Matrix::new(last, self.hidden, columns),
            1.0,
        );
    }

    fn forward_layer(
        self,
        at: usize,
        weights: &[f32],
        batch: &Batch<'_>,
        below: &[f32],
        layer: &mut LayerTrace,
        block: &mut Vec<f32>,
    ) {
        let (place, columns, sequences) = (self.layer(at), batch.columns(self), batch.sequences);
        let (hidden, gates) = (self.hidden, self.gates() * self.hidden);
        layer.gates.resize(gates * columns, 0.0);
        layer.inner.resize(hidden * columns, 0.0);
        layer.hidden.resize(hidden * (columns + sequences), 0.0);
        layer.hidden[..hidden * sequences].fill(0.0);
        if self.cell == Cell::Lstm {
            layer.memory.resize(hidden * (columns + sequences), 0.0);
            layer.memory[..hidden * sequences].fill(0.0);
        }
        block.resize(gates * sequences, 0.0);
        let path = KernelPath::detect();
        fill_columns(&mut layer.gates, &weights[place.input_bias..][..gates]);
        multiply(
            &mut layer.gates,
            Matrix::new(&weights[place.input_weights..], gates, place.inputs),
            Matrix::new(below, place.inputs, columns),
            1.0,
        );
        for start in (0..columns).step_by(sequences) {
            let end = start + sequences;
            let (past, now) = layer.hidden.split_at_mut(end * hidden);
            let (past, now) = (&past[start * hidden..], &mut now[..sequences * hidden]);
            fill_columns(block, &weights[place.recurrent_bias..][..gates]);
            multiply(
                block,
                Matrix::new(&weights[place.recurrent_weights..], gates, hidden),
                Matrix::new(past, hidden, sequences),
                1.0,
            );
            let gate_block = &mut layer.gates[start * gates..end * gates];
            let inner = &mut layer.inner[start * hidden..end * hidden];
            match self.cell {
                Cell::Gru => gru_forward(path, hidden, gate_block, block, inner, past, now),
                Cell::Lstm => {
                    let (old, new) = layer.memory.split_at_mut(end * hidden);
                    let (old, new) = (&old[start * hidden..], &mut new[..sequences * hidden]);
                    lstm_forward(path, hidden, gate_block, block, inner, (old, new), now);
                }
            }
        }
        layer.output.clear();
        layer.output.extend_from_slice(&layer.hidden[sequences * hidden..]);
        batch.drop_out(at, &mut layer.output);
    }

    /// Writes the gradient by every weight, given that by the outputs of the [`forward`](Self::forward) just made.
    pub(super) fn backward(
        self,
        weights: &[f32],
        batch: &Batch<'_>,
        trace: &mut Trace,
        output_gradient: &[f32],
        gradient: &mut [f32],
    ) {
        let columns = batch.columns(self);
        let output = self.output_weights();
        sum_columns(output_gradient, &mut gradient[output + self.outputs * self.hidden..]);
        let by_outputs = Matrix::new(output_gradient, self.outputs, columns);
        if let Some(last) = trace.layers.last_mut() {
            let outputs = Matrix::new(&last.output, self.hidden, columns);
            multiply(&mut gradient[output..], by_outputs, outputs.transposed(), 0.0);
            last.output_gradient.resize(self.hidden * columns, 0.0);
            let read_out = Matrix::new(&weights[output..], self.outputs, self.hidden);
            multiply(&mut last.output_gradient, read_out.transposed(), by_outputs, 0.0);
        }
        for at in (0..self.layers).rev() {
            let (before, rest) = trace.layers.split_at_mut(at);
            let layer = &mut rest[0];
            batch.drop_out(at, &mut layer.output_gradient);
            self.backward_in_time(at, weights, batch, layer, &mut trace.carry, &mut trace.memory_carry);
            let place = self.layer(at);
            let gates = self.gates() * self.hidden;
            let by_recurrent = self.recurrent_gradient(layer);
            let hidden = Matrix::new(&layer.hidden, self.hidden, columns);
            multiply(
                &mut gradient[place.recurrent_weights..],
                Matrix::new(by_recurrent, gates, columns),
                hidden.transposed(),
                0.0,
            );
            sum_columns(by_recurrent, &mut gradient[place.recurrent_bias..][..gates]);
            let by_gates = Matrix::new(&layer.gates, gates, columns);
            let below = before.last().map_or(batch.inputs, |before| &before.output);
            let below = Matrix::new(below, place.inputs, columns);
            multiply(&mut gradient[place.input_weights..], by_gates, below.transposed(), 0.0);
            sum_columns(&layer.gates, &mut gradient[place.input_bias..][..gates]);
            if let Some(before) = before.last_mut() {
                before.output_gradient.resize(self.hidden * columns, 0.0);
                let input_weights = Matrix::new(&weights[place.input_weights..], gates, place.inputs);
                multiply(&mut before.output_gradient, input_weights.transposed(), by_gates, 0.0);
            }
        }
    }

    /// Turns a layer's activated gates into the gradient by them, from the last bin to the first.
    fn backward_in_time(
        self,
        at: usize,
        weights: &[f32],
        batch: &Batch<'_>,
        layer: &mut LayerTrace,
        carry: &mut Vec<f32>,
        memory_carry: &mut Vec<f32>,
    ) {
        let (columns, sequences) = (batch.columns(self), batch.sequences);
        let (hidden, gates) = (self.hidden, self.gates() * self.hidden);
        for carry in [&mut *carry, &mut *memory_carry] {
            carry.clear();
            carry.resize(hidden * sequences, 0.0);
        }
        if self.cell == Cell::Gru {
            layer.recurrent_gradient.resize(gates * columns, 0.0);
        }
        let recurrent_weights = Matrix::new(&weights[self.layer(at).recurrent_weights..], gates, hidden);
        let path = KernelPath::detect();
        for start in (0..columns).step_by(sequences).rev() {
            let of_hidden = start * hidden..(start + sequences) * hidden;
            let of_gates = start * gates..(start + sequences) * gates;
            for (carry, own) in carry.iter_mut().zip(&layer.output_gradient[of_hidden.clone()]) {
                *carry += own;
            }
            let gate_block = &mut layer.gates[of_gates.clone()];
            let inner = &layer.inner[of_hidden.clone()];
            match self.cell {
                Cell::Gru => {
                    let recurrent = &mut layer.recurrent_gradient[of_gates.clone()];
                    let past = &layer.hidden[of_hidden];
                    gru_backward(path, hidden, gate_block, recurrent, inner, past, carry);
                }
                Cell::Lstm => {
                    let old = &layer.memory[of_hidden];
                    lstm_backward(path, hidden, gate_block, inner, old, carry, memory_carry);
                }
            }
            let by_recurrent = Matrix::new(&self.recurrent_gradient(layer)[of_gates], gates, sequences);
            multiply(carry, recurrent_weights.transposed(), by_recurrent, 1.0);
        }
    }

    /// The gradient by `U h + c` once it is known: an LSTM's is that by the gates.
    fn recurrent_gradient(self, layer: &LayerTrace) -> &[f32] {
        match self.cell {
            Cell::Gru => &layer.recurrent_gradient,
            Cell::Lstm => &layer.gates,
        }
    }
}

impl Batch<'_> {
    /// T B.
    fn columns(&self, shape: Shape) -> usize {
        self.inputs.len() / shape.inputs
    }

    /// Multiplies the outputs of layer `at`, or the gradient by them, by their factors.
    fn drop_out(&self, at: usize, outputs: &mut [f32]) {
        if let Some(factors) = self.dropout.get(at) {
            for (output, factor) in outputs.iter_mut().zip(factors) {
                *output *= factor;
            }
        }
    }
}

fn fill_columns(matrix: &mut [f32], column: &[f32]) {
    for to in matrix.chunks_exact_mut(column.len()) {
        to.copy_from_slice(column);
    }
}

fn sum_columns(matrix: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    for column in matrix.chunks_exact(sum.len()) {
        for (sum, value) in sum.iter_mut().zip(column) {
            *sum += value;
        }
    }
}

#[cfg(test)]
mod tests;
