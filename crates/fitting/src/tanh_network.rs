//! Networks with one hidden layer of tanh units in training: values and gradients of a batch of examples.
//!
//! `y = W_2 tanh(W_1 x + b_1) + b_2`. Examples stand in columns. The weights are one vector, for optimizers that treat
//! all of them alike: `[W_1 | b_1 | W_2 | b_2]`, the first matrix input by input and the second output by output, so
//! that the units always follow each other.

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, DVector, RealField};
use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};

use kalmind_filter::TanhNetwork;
use kalmind_filter::exponential::{hyperbolic_tangents, hyperbolic_tangents_32};

/// Numbers that activations are computed at a time.
const LANES: usize = 16;

/// Single or double precision.
pub(crate) trait Number: RealField + Copy + Send + Sync {
    fn tangents(values: &[Self; LANES]) -> [Self; LANES];
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
}

impl Number for f32 {
    fn tangents(values: &[Self; LANES]) -> [Self; LANES] {
        hyperbolic_tangents_32(values)
    }

    fn of(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Number for f64 {
    fn tangents(values: &[Self; LANES]) -> [Self; LANES] {
        hyperbolic_tangents(values)
    }

    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

/// How many inputs, units and outputs a network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    pub(crate) outputs: usize,
}

impl Shape {
    /// How many weights, biases included.
    pub(crate) fn weights(&self) -> usize {
        self.hidden * (self.inputs + 1) + self.outputs * (self.hidden + 1)
    }

    /// Where `b_1`, `W_2` and `b_2` begin.
    pub(crate) fn offsets(&self) -> [usize; 3] {
        let bias = self.hidden * self.inputs;
        let output = bias + self.hidden;
        [bias, output, output + self.outputs * self.hidden]
    }

    /// First weights for inputs and targets of unit variance: sums of unit variance, so that units are neither linear
    /// nor saturated; outputs small.
    pub(crate) fn initial<T: Number>(&self, random: &mut impl Rng) -> Vec<T> {
        let [bias, output, output_bias] = self.offsets();
        let mut normal = |deviation: f64| -> T {
            let value: f64 = StandardNormal.sample(&mut *random);
            T::of(deviation * value)
        };
        let mut weights = Vec::with_capacity(self.weights());
        weights.extend((0..bias).map(|_| normal((self.inputs as f64).sqrt().recip())));
        weights.extend((bias..output).map(|_| normal(0.5)));
        weights.extend((output..output_bias).map(|_| normal(0.3 * (self.hidden as f64).sqrt().recip())));
        weights.resize(self.weights(), T::zero());
        weights
    }

    /// The tensors of these weights.
    pub(crate) fn network<T: Number>(&self, weights: &[T]) -> TanhNetwork {
        let [bias, output, output_bias] = self.offsets();
        let wide = |range: core::ops::Range<usize>| weights[range].iter().map(|weight| weight.wide());
        TanhNetwork {
            hidden_weights: DMatrix::from_iterator(self.hidden, self.inputs, wide(0..bias)),
            hidden_bias: DVector::from_iterator(self.hidden, wide(bias..output)),
            output_weights: DMatrix::from_row_iterator(self.outputs, self.hidden, wide(output..output_bias)),
            output_bias: DVector::from_iterator(self.outputs, wide(output_bias..self.weights())),
        }
    }
}

/// Values of a batch on the way through a network; buffers for as many examples as a batch has.
#[derive(Clone, Debug)]
pub(crate) struct Pass<T: Number> {
    shape: Shape,
    /// tanh of the units, hidden x batch.
    pub(crate) activations: DMatrix<T>,
    /// y, outputs x batch.
    pub(crate) outputs: DMatrix<T>,
    /// Derivative of the loss by the units' sums, hidden x batch.
    sensitivity: DMatrix<T>,
    /// batch x inputs.
    inputs_transposed: DMatrix<T>,
}

impl<T: Number> Pass<T> {
    pub(crate) fn new(shape: Shape, batch: usize) -> Self {
        Self {
            shape,
            activations: DMatrix::zeros(shape.hidden, batch),
            outputs: DMatrix::zeros(shape.outputs, batch),
            sensitivity: DMatrix::zeros(shape.hidden, batch),
            inputs_transposed: DMatrix::zeros(batch, shape.inputs),
        }
    }

    /// Activations and outputs of `inputs`, inputs x batch.
    pub(crate) fn forward(&mut self, weights: &[T], inputs: &DMatrix<T>) {
        let Shape { hidden, inputs: input_count, .. } = self.shape;
        let [bias, output, output_bias] = self.shape.offsets();
        for mut column in self.activations.column_iter_mut() {
            column.as_mut_slice().copy_from_slice(&weights[bias..output]);
        }
        let hidden_weights = DMatrixView::from_slice(&weights[..bias], hidden, input_count);
        self.activations.gemm(T::one(), &hidden_weights, inputs, T::one());
        tangents_in_place(self.activations.as_mut_slice());
        let activations = self.activations.as_slice().chunks_exact(hidden);
        for (outputs, units) in
            self.outputs.as_mut_slice().chunks_exact_mut(self.shape.outputs).zip(activations)
        {
            let rows = weights[output..output_bias].chunks_exact(hidden).zip(&weights[output_bias..]);
            for (value, (row, bias)) in outputs.iter_mut().zip(rows) {
                *value = inner(row, units) + *bias;
            }
        }
    }

    /// The mean over the batch of `|y - target|^2 / 2`.
    pub(crate) fn error(&mut self, weights: &[T], inputs: &DMatrix<T>, targets: &DMatrix<T>) -> f64 {
        self.forward(weights, inputs);
        let squares = self.outputs.iter().zip(targets.iter()).map(|(value, target)| {
            let difference = (*value - *target).wide();
            difference * difference
        });
        0.5 * squares.sum::<f64>() / inputs.ncols() as f64
    }

    /// The mean over the batch of `|y - target|^2 / 2`; its gradient is written to `gradient`.
    pub(crate) fn gradient(
        &mut self,
        weights: &[T],
        inputs: &DMatrix<T>,
        targets: &DMatrix<T>,
        gradient: &mut [T],
    ) -> f64 {
        self.forward(weights, inputs);
        let Shape { hidden, outputs, inputs: input_count } = self.shape;
        let [bias, output, output_bias] = self.shape.offsets();
        let share = T::of(1.0 / inputs.ncols() as f64);
        gradient[bias..].fill(T::zero());
        let (hidden_gradient, rest) = gradient.split_at_mut(bias);
        let (bias_gradient, rest) = rest.split_at_mut(output - bias);
        let (output_gradient, output_bias_gradient) = rest.split_at_mut(output_bias - output);
        let mut loss = 0.0;
        let examples = self
            .outputs
            .as_slice()
            .chunks_exact(outputs)
            .zip(targets.as_slice().chunks_exact(outputs))
            .zip(self.activations.as_slice().chunks_exact(hidden))
            .zip(self.sensitivity.as_mut_slice().chunks_exact_mut(hidden));
        for (((values, targets), units), sensitivity) in examples {
            sensitivity.fill(T::zero());
            for (at, (value, target)) in values.iter().zip(targets).enumerate() {
                let error = *value - *target;
                loss += error.wide() * error.wide();
                let error = error * share;
                let own = at * hidden..(at + 1) * hidden;
                add_multiple(sensitivity, error, &weights[output..output_bias][own.clone()]);
                add_multiple(&mut output_gradient[own], error, units);
                output_bias_gradient[at] += error;
            }
            for (sensitivity, value) in sensitivity.iter_mut().zip(units) {
                *sensitivity *= T::one() - *value * *value;
            }
            add_multiple(bias_gradient, T::one(), sensitivity);
        }
        inputs.transpose_to(&mut self.inputs_transposed);
        DMatrixViewMut::from_slice(hidden_gradient, hidden, input_count).gemm(
            T::one(),
            &self.sensitivity,
            &self.inputs_transposed,
            T::zero(),
        );
        0.5 * loss / inputs.ncols() as f64
    }
}

/// `to += factor from`
fn add_multiple<T: Number>(to: &mut [T], factor: T, from: &[T]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * *from;
    }
}

/// The inner product, summed in eight lanes.
fn inner<T: Number>(left: &[T], right: &[T]) -> T {
    let mut lanes = [T::zero(); 8];
    let (left_chunks, left_rest) = left.as_chunks::<8>();
    let (right_chunks, right_rest) = right.as_chunks::<8>();
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let mut sum = T::zero();
    for (left, right) in left_rest.iter().zip(right_rest) {
        sum += *left * *right;
    }
    lanes.into_iter().fold(sum, |sum, lane| sum + lane)
}

fn tangents_in_place<T: Number>(values: &mut [T]) {
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        *chunk = T::tangents(chunk);
    }
    let mut last = [T::zero(); LANES];
    last[..rest.len()].copy_from_slice(rest);
    rest.copy_from_slice(&T::tangents(&last)[..rest.len()]);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn gradients_are_those_of_central_differences() {
        for shape in [
            Shape { inputs: 3, hidden: 4, outputs: 2 },
            Shape { inputs: 8, hidden: 9, outputs: 7 },
            Shape { inputs: 1, hidden: 1, outputs: 1 },
        ] {
            let mut random = ChaCha8Rng::seed_from_u64(3);
            let weights: Vec<f64> = shape.initial(&mut random);
            let mut draw = |rows| -> DMatrix<f64> {
                DMatrix::from_fn(rows, 17, |_, _| StandardNormal.sample(&mut random))
            };
            let (inputs, targets) = (draw(shape.inputs), draw(shape.outputs));
            let mut pass = Pass::new(shape, 17);
            let mut gradient = vec![0.0; shape.weights()];
            let mut unused = gradient.clone();
            pass.gradient(&weights, &inputs, &targets, &mut gradient);
            for at in 0..weights.len() {
                let mut loss = |step: f64| {
                    let mut moved = weights.clone();
                    moved[at] += step;
                    pass.gradient(&moved, &inputs, &targets, &mut unused)
                };
                let difference = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                assert!(
                    (gradient[at] - difference).abs() < 1e-9,
                    "{shape:?} {at}: {} {difference}",
                    gradient[at]
                );
            }
        }
    }

    #[test]
    fn outputs_are_those_of_the_tensors() {
        let shape = Shape { inputs: 5, hidden: 20, outputs: 3 };
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let weights: Vec<f64> = shape.initial(&mut random);
        let inputs = DMatrix::from_fn(5, 9, |row, column| ((row * 7 + column * 3) as f64).sin());
        let mut pass = Pass::new(shape, 9);
        pass.forward(&weights, &inputs);
        let network = shape.network(&weights);
        for (column, output) in inputs.column_iter().zip(pass.outputs.column_iter()) {
            let units = (&network.hidden_weights * column + &network.hidden_bias).map(libm::tanh);
            let expected = &network.output_weights * units + &network.output_bias;
            assert!((output - expected).amax() < 1e-13);
        }
    }
}
