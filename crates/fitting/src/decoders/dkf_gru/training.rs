//! Training of one recurrent network: sequences cut anew in every epoch, Adam, and the schedule around it.

use core::ops::Range;

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use crate::decoders::dkf_gru::network::{Batch, Shape, Trace};

/// How a network is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recipe {
    /// Passes over the rows.
    pub(super) epochs: usize,
    /// Bins of a piece that count.
    pub(super) length: usize,
    /// Bins before them that only warm the memory up.
    pub(super) burn_in: usize,
    /// Pieces in a minibatch.
    pub(super) batch: usize,
    /// Largest step of Adam.
    pub(super) learning_rate: f32,
    /// Decay of weights, a step at learning rate 1 (Loshchilov and Hutter 2019).
    pub(super) weight_decay: f32,
    /// Longest gradient.
    pub(super) clip: f32,
    /// Part of every layer's outputs that is dropped.
    pub(super) dropout: f32,
    /// Standard deviation of noise on inputs of every bin.
    pub(super) input_noise: f32,
    /// Weight of the past in the running mean of weights that becomes the network; 0 takes the last.
    pub(super) averaging: f32,
    /// First standard deviation of annealed noise on gradients (Neelakantan et al. 2015).
    pub(super) gradient_noise: f32,
}

/// Rows as a recurrent network sees them, standardised.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sequences {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// inputs x rows, column-major.
    pub(super) features: Vec<f32>,
    /// outputs x rows, column-major.
    pub(super) targets: Vec<f32>,
    /// Which rows count.
    pub(super) counts: Vec<bool>,
    /// Rows without a gap in time.
    pub(super) segments: Vec<Range<usize>>,
}

/// A piece of a segment: its bins, of which those from `counted` on count.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    rows: Range<usize>,
    counted: usize,
}

/// Pieces side by side, the shorter ones filled up at their end.
#[derive(Clone, Debug, Default)]
struct Minibatch {
    sequences: usize,
    /// inputs x (T B).
    inputs: Vec<f32>,
    /// outputs x (T B).
    targets: Vec<f32>,
    /// T B.
    counts: Vec<bool>,
}

/// The weights of a network trained on `sequences`; the same seed and stream give the same weights.
pub(super) fn train(
    shape: Shape,
    recipe: &Recipe,
    sequences: &Sequences,
    seed: u64,
    stream: u64,
) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let mut weights = shape.first_weights(&mut random);
    let mut optimizer = Adam::new(shape);
    let mut averaged = weights.clone();
    let (mut trace, mut minibatch) = (Trace::default(), Minibatch::default());
    let mut gradient = vec![0.0; weights.len()];
    let mut output_gradient = Vec::new();
    for epoch in 0..recipe.epochs {
        let pieces = sequences.pieces(recipe, &mut random);
        // few rows are parted into some minibatches all the same, so that there are steps enough
        let batches = pieces.len().div_ceil(recipe.batch).max(LEAST_BATCHES.min(pieces.len()));
        for batch in 0..batches {
            let pieces = &pieces[batch * pieces.len() / batches..(batch + 1) * pieces.len() / batches];
            sequences.fill(pieces, recipe, &mut random, &mut minibatch);
            let dropout = dropout(shape, recipe, minibatch.counts.len(), minibatch.sequences, &mut random);
            let pass = Batch { inputs: &minibatch.inputs, sequences: minibatch.sequences, dropout: &dropout };
            shape.forward(&weights, &pass, &mut trace);
            squared_error_gradient(&minibatch, shape.outputs, &trace.outputs, &mut output_gradient);
            shape.backward(&weights, &pass, &mut trace, &output_gradient, &mut gradient);
            let done = (epoch as f32 + batch as f32 / batches as f32) / recipe.epochs as f32;
            optimizer.step(recipe, done, &mut gradient, &mut weights, &mut random);
            // early on the running mean is a plain mean, so that the first weights do not linger
            let keep = recipe.averaging.min(optimizer.steps as f32 / (optimizer.steps as f32 + 10.0));
            for (averaged, weight) in averaged.iter_mut().zip(&weights) {
                *averaged = *weight + keep * (*averaged - *weight);
            }
        }
    }
    if recipe.averaging > 0.0 { averaged } else { weights }
}

impl Sequences {
    /// All rows that count in pieces, cut at random and in random order.
    fn pieces(&self, recipe: &Recipe, random: &mut ChaCha8Rng) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for segment in &self.segments {
            let mut counted = segment.start;
            let mut end = segment.start + random.random_range(1..=recipe.length);
            while counted < segment.end {
                let last = end.min(segment.end);
                if self.counts[counted..last].contains(&true) {
                    let start = segment.start.max(counted.saturating_sub(recipe.burn_in));
                    pieces.push(Piece { rows: start..last, counted: counted - start });
                }
                counted = last;
                end = last + recipe.length;
            }
        }
        pieces.shuffle(random);
        pieces
    }

    fn fill(&self, pieces: &[Piece], recipe: &Recipe, random: &mut ChaCha8Rng, to: &mut Minibatch) {
        let bins = pieces.iter().map(|piece| piece.rows.len()).max().unwrap_or_default();
        to.sequences = pieces.len();
        for (values, width) in [(&mut to.inputs, self.inputs), (&mut to.targets, self.outputs)] {
            values.clear();
            values.resize(width * bins * pieces.len(), 0.0);
        }
        to.counts.clear();
        to.counts.resize(bins * pieces.len(), false);
        for (sequence, piece) in pieces.iter().enumerate() {
            for (bin, row) in piece.rows.clone().enumerate() {
                let column = bin * pieces.len() + sequence;
                let input = &mut to.inputs[column * self.inputs..(column + 1) * self.inputs];
                input.copy_from_slice(&self.features[row * self.inputs..(row + 1) * self.inputs]);
                if recipe.input_noise > 0.0 {
                    for input in input {
                        *input += recipe.input_noise * normal(random);
                    }
                }
                to.targets[column * self.outputs..(column + 1) * self.outputs]
                    .copy_from_slice(&self.targets[row * self.outputs..(row + 1) * self.outputs]);
                to.counts[column] = bin >= piece.counted && self.counts[row];
            }
        }
    }
}

fn normal(random: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(random)
}

/// The gradient of the mean squared error over the bins that count, by the outputs.
fn squared_error_gradient(minibatch: &Minibatch, outputs: usize, answers: &[f32], gradient: &mut Vec<f32>) {
    let counted = minibatch.counts.iter().filter(|counts| **counts).count().max(1);
    let factor = 2.0 / (counted * outputs) as f32;
    gradient.clear();
    gradient
        .extend(answers.iter().zip(&minibatch.targets).map(|(answer, target)| factor * (answer - target)));
    for (gradient, counts) in gradient.chunks_exact_mut(outputs).zip(&minibatch.counts) {
        if !counts {
            gradient.fill(0.0);
        }
    }
}

/// Factors on the outputs of every layer: the same units are dropped in every bin of a sequence (Gal and Ghahramani
/// 2016); nothing where the recipe drops none.
fn dropout(
    shape: Shape,
    recipe: &Recipe,
    columns: usize,
    sequences: usize,
    random: &mut ChaCha8Rng,
) -> Vec<Vec<f32>> {
    if recipe.dropout <= 0.0 {
        return Vec::new();
    }
    let kept = 1.0 / (1.0 - recipe.dropout);
    (0..shape.layers)
        .map(|_layer| {
            let block: Vec<f32> = (0..shape.hidden * sequences)
                .map(|_unit| if random.random::<f32>() < recipe.dropout { 0.0 } else { kept })
                .collect();
            block.repeat(columns / sequences)
        })
        .collect()
}

/// Adam with decoupled decay of weights (Kingma and Ba 2015; Loshchilov and Hutter 2019), a learning rate that rises
/// over the first twentieth and falls along a cosine, and gradients of limited length.
#[derive(Clone, Debug)]
struct Adam {
    decaying: Vec<bool>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u32,
}

/// Fewest minibatches in an epoch, where there are as many pieces.
const LEAST_BATCHES: usize = 5;
/// Decay of the two running moments.
const MOMENTS: (f32, f32) = (0.9, 0.999);
/// Part of the training over which the learning rate rises.
const WARM_UP: f32 = 0.05;
/// How noise on gradients falls with the steps: half the exponent 0.55 of its variance.
const ANNEALING: f32 = 0.275;

impl Adam {
    fn new(shape: Shape) -> Self {
        let count = shape.weights();
        Self { decaying: shape.decaying(), first: vec![0.0; count], second: vec![0.0; count], steps: 0 }
    }

    fn step(
        &mut self,
        recipe: &Recipe,
        done: f32,
        gradient: &mut [f32],
        weights: &mut [f32],
        random: &mut ChaCha8Rng,
    ) {
        let length = gradient.iter().map(|entry| entry * entry).sum::<f32>().sqrt();
        if !length.is_finite() {
            return;
        }
        let shrink = if length > recipe.clip { recipe.clip / length } else { 1.0 };
        let spread = recipe.gradient_noise * libm::powf(1.0 + self.steps as f32, -ANNEALING);
        for entry in gradient.iter_mut() {
            *entry *= shrink;
            if spread > 0.0 {
                *entry += spread * normal(random);
            }
        }
        self.steps += 1;
        let rise = (done / WARM_UP).min(1.0);
        let rate =
            recipe.learning_rate * rise.max(0.01) * 0.5 * (1.0 + libm::cosf(core::f32::consts::PI * done));
        let correction = |decay: f32| 1.0 - libm::powf(decay, self.steps as f32);
        let (first_correction, second_correction) = (correction(MOMENTS.0), correction(MOMENTS.1));
        let decay = 1.0 - rate * recipe.weight_decay;
        for (at, weight) in weights.iter_mut().enumerate() {
            let entry = gradient[at];
            self.first[at] += (1.0 - MOMENTS.0) * (entry - self.first[at]);
            self.second[at] += (1.0 - MOMENTS.1) * (entry * entry - self.second[at]);
            let step =
                (self.first[at] / first_correction) / ((self.second[at] / second_correction).sqrt() + 1e-8);
            let kept = if self.decaying[at] { *weight * decay } else { *weight };
            *weight = kept - rate * step;
        }
    }
}
