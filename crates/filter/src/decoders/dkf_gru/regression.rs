//! f as the mean of recurrent networks.
//!
//! One tick steps every network by one bin, so that it costs the same however long the past is:
//! g h (inputs + h) multiplications a layer. Weights and what the layers remember are in single precision (fitting
//! computes in it too), sums run in the order of the inputs, in lanes of units. As with the kernels there is a
//! compilation for AVX2 and FMA beside that for any processor (see [`kernel_path`](crate::kernel_path())).
//!
//! What the layers remember starts at zero at row one. A bin without features after it is stepped through with the training
//! mean, as lagged bins hold it, so that the memory ages with the time that passes.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::{DMatrix, DVector};

use crate::activation::{hyperbolic_tangent, logistic};
use crate::decoders::dkf::regression::Regression;
use crate::decoders::dkf::scaling::NetworkScaling;
use crate::kernel_path::{KernelPath, compiled_for_each_path};
use crate::{Cell, RecurrentLayer, RecurrentNetwork};

/// Rows in one panel of a matrix: as many sums as fit a processor's registers.
const PANEL: usize = 32;
/// Inputs beyond so many standard deviations count as this many, so that single precision holds them.
pub const INPUT_LIMIT: f64 = 1e4;

/// See [`RecurrentRegressor`](crate::RecurrentRegressor).
#[derive(Debug)]
pub(crate) struct Recurrent {
    input_mean: Vec<f64>,
    input_scale: Vec<f64>,
    /// `output_scale` over the number of networks.
    output_scale: Vec<f64>,
    networks: Vec<Network>,
    input: Vec<f32>,
    /// The input of a bin without features: the training mean.
    background: Vec<f32>,
    /// Whether row one has been.
    started: bool,
}

#[derive(Debug)]
struct Network {
    layers: Vec<Layer>,
    output: Panels,
    answer: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    cell: Cell,
    input: Panels,
    recurrent: Panels,
    hidden: Vec<f32>,
    /// k of an LSTM.
    memory: Vec<f32>,
    /// `W x + b` and `U h + c`, a whole number of panels.
    by_input: Vec<f32>,
    by_recurrent: Vec<f32>,
}

impl Recurrent {
    pub(crate) fn new(
        cell: Cell,
        scaling: &NetworkScaling,
        networks: &[RecurrentNetwork],
        path: KernelPath,
    ) -> Self {
        let NetworkScaling { input_mean, input_scale, output_scale } = scaling;
        let count = networks.len() as f64;
        Self {
            input_mean: input_mean.clone(),
            input_scale: input_scale.clone(),
            output_scale: output_scale.iter().map(|scale| scale / count).collect(),
            networks: networks.iter().map(|network| Network::new(cell, network, path)).collect(),
            input: vec![0.0; input_mean.len()],
            background: vec![0.0; input_mean.len()],
            started: false,
        }
    }
}

impl Regression for Recurrent {
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        let scaling = self.input_mean.iter().zip(&self.input_scale);
        for ((input, value), (centre, scale)) in self.input.iter_mut().zip(window).zip(scaling) {
            *input = ((value - centre) * scale).clamp(-INPUT_LIMIT, INPUT_LIMIT) as f32;
        }
        self.started = true;
        mean.fill(0.0);
        for network in &mut self.networks {
            network.step(&self.input);
            for ((mean, answer), scale) in mean.iter_mut().zip(&network.answer).zip(&self.output_scale) {
                *mean += scale * f64::from(*answer);
            }
        }
        None
    }

    fn miss(&mut self) {
        if !self.started {
            return;
        }
        for network in &mut self.networks {
            network.step(&self.background);
        }
    }

    fn restart(&mut self) {
        self.started = false;
        for layer in self.networks.iter_mut().flat_map(|network| &mut network.layers) {
            layer.hidden.fill(0.0);
            layer.memory.fill(0.0);
        }
    }
}

impl Network {
    fn new(cell: Cell, network: &RecurrentNetwork, path: KernelPath) -> Self {
        let output = Panels::new(&network.output_weights, &network.output_bias, path);
        Self {
            layers: network.layers.iter().map(|layer| Layer::new(cell, layer, path)).collect(),
            answer: vec![0.0; output.padded()],
            output,
        }
    }

    fn step(&mut self, input: &[f32]) {
        let mut below = input;
        for layer in &mut self.layers {
            layer.step(below);
            below = &layer.hidden;
        }
        self.output.apply(below, &mut self.answer);
    }
}

impl Layer {
    fn new(cell: Cell, layer: &RecurrentLayer, path: KernelPath) -> Self {
        let hidden = layer.recurrent_weights.ncols();
        let input = Panels::new(&layer.input_weights, &layer.input_bias, path);
        let padded = input.padded();
        Self {
            cell,
            input,
            recurrent: Panels::new(&layer.recurrent_weights, &layer.recurrent_bias, path),
            hidden: vec![0.0; hidden],
            memory: vec![0.0; if cell == Cell::Lstm { hidden } else { 0 }],
            by_input: vec![0.0; padded],
            by_recurrent: vec![0.0; padded],
        }
    }

    fn step(&mut self, input: &[f32]) {
        self.input.apply(input, &mut self.by_input);
        self.recurrent.apply(&self.hidden, &mut self.by_recurrent);
        match self.cell {
            Cell::Gru => self.gru(),
            Cell::Lstm => self.lstm(),
        }
    }

    fn gru(&mut self) {
        let units = self.hidden.len();
        let (reset_update, new) = self.by_input.split_at_mut(2 * units);
        let (by_reset_update, by_new) = self.by_recurrent.split_at(2 * units);
        for (gate, by) in reset_update.iter_mut().zip(by_reset_update) {
            *gate = logistic(*gate + by);
        }
        let (reset, update) = reset_update.split_at(units);
        for (new, (by_new, reset)) in new.iter_mut().zip(by_new.iter().zip(reset)) {
            *new = hyperbolic_tangent(*new + reset * by_new);
        }
        for (hidden, (new, update)) in self.hidden.iter_mut().zip(new.iter().zip(update)) {
            *hidden = new + update * (*hidden - new);
        }
    }

    fn lstm(&mut self) {
        let units = self.hidden.len();
        for (gate, by) in self.by_input.iter_mut().zip(&self.by_recurrent) {
            *gate += by;
        }
        let (input_forget, rest) = self.by_input.split_at_mut(2 * units);
        let (cell, output) = rest.split_at_mut(units);
        for gate in input_forget.iter_mut() {
            *gate = logistic(*gate);
        }
        let (input, forget) = input_forget.split_at(units);
        for (memory, ((cell, input), forget)) in
            self.memory.iter_mut().zip(cell.iter().zip(input).zip(forget))
        {
            *memory = forget * *memory + input * hyperbolic_tangent(*cell);
        }
        for (hidden, (memory, output)) in self.hidden.iter_mut().zip(self.memory.iter().zip(&*output)) {
            *hidden = logistic(*output) * hyperbolic_tangent(*memory);
        }
    }
}

/// A matrix and a bias, 32 rows at a time: `matrix x + bias`.
#[derive(Debug)]
struct Panels {
    path: KernelPath,
    columns: usize,
    /// Panel by panel: 32 biases, then column by column, 32 entries; zeros after the last row.
    entries: Vec<[f32; PANEL]>,
}

impl Panels {
    fn new(matrix: &DMatrix<f64>, bias: &DVector<f64>, path: KernelPath) -> Self {
        let (rows, columns) = matrix.shape();
        let mut entries = vec![[0.0; PANEL]; rows.div_ceil(PANEL) * (columns + 1)];
        for row in 0..rows {
            let first = row / PANEL * (columns + 1);
            entries[first][row % PANEL] = bias[row] as f32;
            for column in 0..columns {
                entries[first + 1 + column][row % PANEL] = matrix[(row, column)] as f32;
            }
        }
        Self { path, columns, entries }
    }

    /// Rows, filled up to whole panels.
    fn padded(&self) -> usize {
        self.entries.len() / (self.columns + 1) * PANEL
    }

    /// Writes `matrix vector + bias`, and zeros after the last row. Real-time.
    fn apply(&self, vector: &[f32], to: &mut [f32]) {
        multiply(self.path, &self.entries, self.columns, vector, to);
    }
}

compiled_for_each_path! {
    /// Writes bias and weights times `vector` to `to`.
    fn multiply(panels: &[[f32; PANEL]], columns: usize, vector: &[f32], to: &mut [f32]) = multiply_loops
}

#[expect(clippy::inline_always, reason = "the loop has to be compiled into each path")]
#[inline(always)]
fn multiply_loops<const FUSED: bool>(
    panels: &[[f32; PANEL]],
    columns: usize,
    vector: &[f32],
    to: &mut [f32],
) {
    let (blocks, _rest) = to.as_chunks_mut::<PANEL>();
    for (panel, to) in panels.chunks_exact(columns + 1).zip(blocks) {
        let [bias, entries @ ..] = panel else { continue };
        let mut sums = *bias;
        for (entries, &value) in entries.iter().zip(vector) {
            for lane in 0..PANEL {
                sums[lane] = if FUSED {
                    entries[lane].mul_add(value, sums[lane])
                } else {
                    entries[lane] * value + sums[lane]
                };
            }
        }
        *to = sums;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights that the generator of the references repeats: 0.9 sin(1), 0.9 sin(2), .. in the order W, b, U, c of each
    /// layer, then the read-out, matrices row by row.
    fn network(gates: usize) -> RecurrentNetwork {
        let mut count = 0.0;
        let mut matrix = |rows: usize, columns: usize| {
            DMatrix::from_row_iterator(
                rows,
                columns,
                (0..rows * columns).map(|_| {
                    count += 1.0;
                    0.9 * libm::sin(count)
                }),
            )
        };
        let mut layers = Vec::new();
        for inputs in [2, 3] {
            layers.push(RecurrentLayer {
                input_weights: matrix(gates * 3, inputs),
                input_bias: matrix(gates * 3, 1).column(0).into_owned(),
                recurrent_weights: matrix(gates * 3, 3),
                recurrent_bias: matrix(gates * 3, 1).column(0).into_owned(),
            });
        }
        RecurrentNetwork {
            layers,
            output_weights: matrix(2, 3),
            output_bias: matrix(2, 1).column(0).into_owned(),
        }
    }

    fn decoder(cell: Cell, path: KernelPath) -> Recurrent {
        let gates = if cell == Cell::Gru { 3 } else { 4 };
        Recurrent::new(cell, &scaling(), &[network(gates)], path)
    }

    fn scaling() -> NetworkScaling {
        NetworkScaling {
            input_mean: vec![0.5, -1.0],
            input_scale: vec![2.0, 0.5],
            output_scale: vec![3.0, 0.1],
        }
    }

    fn step_bits(decoder: &mut Recurrent, bin: usize) -> [u64; 2] {
        step(decoder, bin).map(f64::to_bits)
    }

    fn step(decoder: &mut Recurrent, bin: usize) -> [f64; 2] {
        let time = bin as f64;
        let mut mean = [0.0; MAX_COMPONENTS];
        decoder.mean(&[libm::sin(0.7 * time), libm::cos(1.3 * time)], &mut mean);
        [mean[0], mean[1]]
    }

    // numpy, in double precision, with `mat` the next r * c of the weights, h and m zero, g gates:
    //   s = lambda x: 1 / (1 + np.exp(-x))
    //   L = [(mat(g*3, i), mat(g*3, 1)[:, 0], mat(g*3, 3), mat(g*3, 1)[:, 0]) for i in (2, 3)]
    //   V, v = mat(2, 3), mat(2, 1)[:, 0]
    //   for t in range(5):
    //     x = (np.array([np.sin(.7*t), np.cos(1.3*t)]) - [.5, -1]) * [2, .5]
    //     for l, (W, b, U, d) in enumerate(L):
    //       a = np.split(W @ x + b, g); e = np.split(U @ h[l] + d, g)
    //       GRU:  r = s(a[0]+e[0]); u = s(a[1]+e[1]); n = np.tanh(a[2] + r*e[2]); h[l] = (1-u)*n + u*h[l]
    //       LSTM: i, f, o = s(a[0]+e[0]), s(a[1]+e[1]), s(a[3]+e[3])
    //             m[l] = f*m[l] + i*np.tanh(a[2]+e[2]); h[l] = o*np.tanh(m[l])
    //       x = h[l]
    //     print((V @ x + v) * [3, .1])
    const GRU: [[f64; 2]; 5] = [
        [-2.319_443_820, -0.072_685_444],
        [-2.472_247_644, -0.069_500_895],
        [-2.460_121_087, -0.071_089_133],
        [-2.357_195_903, -0.075_405_117],
        [-2.559_191_277, -0.068_177_997],
    ];
    const LSTM: [[f64; 2]; 5] = [
        [-2.601_252_578, -0.043_259_878],
        [-2.759_614_619, -0.036_705_989],
        [-2.831_451_817, -0.033_984_341],
        [-2.853_119_944, -0.033_151_689],
        [-2.846_420_422, -0.033_331_710],
    ];

    #[test]
    fn answers_are_those_of_numpy() {
        for (cell, expected) in [(Cell::Gru, GRU), (Cell::Lstm, LSTM)] {
            for path in [KernelPath::detect(), KernelPath::PORTABLE] {
                let mut decoder = decoder(cell, path);
                for (bin, expected) in expected.iter().enumerate() {
                    let answer = step(&mut decoder, bin);
                    for (answer, expected) in answer.iter().zip(expected) {
                        assert!((answer - expected).abs() < 3e-6, "{cell:?} {bin}: {answer} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_restart_forgets_everything() {
        for cell in [Cell::Gru, Cell::Lstm] {
            let mut fresh = decoder(cell, KernelPath::detect());
            let mut used = decoder(cell, KernelPath::detect());
            for bin in 0..5 {
                step(&mut used, bin);
            }
            used.miss();
            used.restart();
            // bins without features before row one leave nothing behind
            used.miss();
            for bin in 0..5 {
                assert_eq!(step_bits(&mut used, bin), step_bits(&mut fresh, bin));
            }
        }
    }

    #[test]
    fn a_bin_without_features_counts_as_the_training_mean() {
        let mut missed = decoder(Cell::Lstm, KernelPath::detect());
        let mut given = decoder(Cell::Lstm, KernelPath::detect());
        for bin in 0..3 {
            step(&mut missed, bin);
            step(&mut given, bin);
        }
        missed.miss();
        given.mean(&[0.5, -1.0], &mut [0.0; MAX_COMPONENTS]);
        assert_eq!(step_bits(&mut missed, 9), step_bits(&mut given, 9));
    }

    #[test]
    fn features_of_any_size_leave_a_finite_answer() {
        for cell in [Cell::Gru, Cell::Lstm] {
            let mut decoder = decoder(cell, KernelPath::detect());
            let mut mean = [0.0; MAX_COMPONENTS];
            decoder.mean(&[f64::MAX, f64::MIN], &mut mean);
            assert!(mean.iter().all(|value| value.is_finite()));
            assert!(step(&mut decoder, 1).iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn the_mean_of_equal_networks_is_each() {
        let mut one = decoder(Cell::Gru, KernelPath::detect());
        let twice = [network(3), network(3)];
        let mut two = Recurrent::new(Cell::Gru, &scaling(), &twice, KernelPath::detect());
        for bin in 0..4 {
            assert_eq!(step_bits(&mut one, bin), step_bits(&mut two, bin));
        }
    }
}
