//! Training by minibatches: Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019), a rate
//! that falls to zero, annealed Gaussian noise on gradients where asked for, and early stopping on a block of examples
//! that trains nothing.

use core::ops::Range;

use nalgebra::DMatrix;
use rand::Rng;
use rand::seq::SliceRandom as _;
use rand_distr::{Distribution as _, StandardNormal};

use crate::tanh_network::{Pass, Shape};

/// Decay of the means of gradients and of their squares.
const MOMENTS: (f32, f32) = (0.9, 0.999);
/// Keeps the division by the root of a square mean finite.
const EPSILON: f32 = 1e-8;
/// The power by which the variance of gradient noise falls with the step (Neelakantan et al. 2015, eq. 1).
const NOISE_DECAY: f64 = 0.55;
/// Decay a step of the running mean of weights.
const AVERAGED: f32 = 0.99;

/// How a network is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Adam {
    /// Passes over the examples at which the rate reaches zero.
    pub(crate) epochs: usize,
    /// Examples in a minibatch.
    pub(crate) batch: usize,
    /// Rate of the first step.
    pub(crate) rate: f64,
    /// Part of every weight (biases left out) that a step at rate 1 takes away.
    pub(crate) weight_decay: f64,
    /// Standard deviation of noise on standardised inputs.
    pub(crate) input_noise: f64,
    /// Standard deviation of noise on gradients at the first step; its variance falls as `(1 + t)^-0.55`.
    pub(crate) gradient_noise: f64,
    /// Epochs without a better held block after which training ends.
    pub(crate) patience: usize,
}

/// Weights of least error on the held examples, and that error: the mean of `|y - target|^2 / 2`.
///
/// `inputs` and `targets` hold standardised examples in columns; those of `held` stop the training and train nothing
/// (with an empty range the last weights are taken). What is judged and kept is a running mean of the weights, whose
/// errors vary less from epoch to epoch. Cost: 6 weights multiplications an example and epoch.
pub(crate) fn train(
    adam: &Adam,
    shape: Shape,
    inputs: &DMatrix<f32>,
    targets: &DMatrix<f32>,
    held: &Range<usize>,
    random: &mut impl Rng,
) -> (Vec<f32>, f64) {
    let mut order: Vec<usize> = (0..inputs.ncols()).filter(|example| !held.contains(example)).collect();
    let batch = adam.batch.min(order.len()).max(1);
    let batches = order.len() / batch;
    let mut examples = (DMatrix::zeros(shape.inputs, batch), DMatrix::zeros(shape.outputs, batch));
    let mut pass = Pass::new(shape, batch);
    let mut weights: Vec<f32> = shape.initial(&mut *random);
    let mut moments = Moments::new(shape.weights());
    let mut gradient = vec![0.0; weights.len()];
    let mut averaged = weights.clone();
    let held_examples =
        (inputs.columns_range(held.clone()).into_owned(), targets.columns_range(held.clone()).into_owned());
    let mut held_pass = Pass::new(shape, held.len());
    let mut best = (weights.clone(), f64::INFINITY);
    let mut since_best = 0;
    for epoch in 0..adam.epochs {
        order.shuffle(&mut *random);
        for (at, members) in order.chunks_exact(batch).enumerate() {
            for (column, &example) in members.iter().enumerate() {
                examples.0.column_mut(column).copy_from(&inputs.column(example));
                examples.1.column_mut(column).copy_from(&targets.column(example));
            }
            add_noise(examples.0.as_mut_slice(), adam.input_noise, &mut *random);
            pass.gradient(&weights, &examples.0, &examples.1, &mut gradient);
            let step = epoch * batches + at;
            let deviation = adam.gradient_noise * (1.0 + step as f64).powf(-NOISE_DECAY / 2.0);
            add_noise(&mut gradient, deviation, &mut *random);
            let rate = adam.rate * (1.0 - step as f64 / (adam.epochs * batches) as f64);
            moments.step(&mut weights, &gradient, rate as f32);
            decay(&mut weights, shape, (rate * adam.weight_decay) as f32);
            // a running mean that is not held back by its start
            let kept = AVERAGED.min(step as f32 / (step as f32 + 1.0));
            for (mean, weight) in averaged.iter_mut().zip(&weights) {
                *mean = kept * *mean + (1.0 - kept) * weight;
            }
        }
        if held.is_empty() {
            continue;
        }
        let error = held_pass.error(&averaged, &held_examples.0, &held_examples.1);
        since_best += 1;
        if error < best.1 {
            best.1 = error;
            best.0.copy_from_slice(&averaged);
            since_best = 0;
        }
        if since_best >= adam.patience {
            break;
        }
    }
    if held.is_empty() { (averaged, f64::NAN) } else { best }
}

fn add_noise(values: &mut [f32], deviation: f64, random: &mut impl Rng) {
    if deviation > 0.0 {
        for value in values {
            let noise: f32 = StandardNormal.sample(&mut *random);
            *value += deviation as f32 * noise;
        }
    }
}

/// Takes `part` away from every weight that is no bias.
fn decay(weights: &mut [f32], shape: Shape, part: f32) {
    let [bias, output, output_bias] = shape.offsets();
    for range in [0..bias, output..output_bias] {
        for weight in &mut weights[range] {
            *weight -= part * *weight;
        }
    }
}

/// Running means of gradients and of their squares.
#[derive(Clone, Debug)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
    /// Powers of the decays, for the correction of the means' start at zero.
    powers: (f32, f32),
}

impl Moments {
    fn new(weights: usize) -> Self {
        Self { first: vec![0.0; weights], second: vec![0.0; weights], powers: (1.0, 1.0) }
    }

    fn step(&mut self, weights: &mut [f32], gradient: &[f32], rate: f32) {
        self.powers = (self.powers.0 * MOMENTS.0, self.powers.1 * MOMENTS.1);
        let (first_share, second_share) = (1.0 / (1.0 - self.powers.0), 1.0 / (1.0 - self.powers.1));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
            *first = MOMENTS.0 * *first + (1.0 - MOMENTS.0) * gradient;
            *second = MOMENTS.1 * *second + (1.0 - MOMENTS.1) * gradient * gradient;
            *weight -= rate * (*first * first_share) / ((*second * second_share).sqrt() + EPSILON);
        }
    }
}
