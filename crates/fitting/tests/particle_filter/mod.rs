//! A bootstrap particle filter (Gordon, Salmond and Smith 1993): the posterior mean of any state-space model, slowly.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Equally weighted draws from what is known of the state.
#[derive(Clone, Debug)]
pub(crate) struct ParticleFilter {
    dimension: usize,
    /// One particle after the other.
    particles: Vec<f64>,
    scratch: Vec<f64>,
    weights: Vec<f64>,
    random: ChaCha8Rng,
}

impl ParticleFilter {
    /// `count` particles of `dimension` entries, each written by `draw`.
    pub(crate) fn new(
        count: usize,
        dimension: usize,
        seed: u64,
        mut draw: impl FnMut(&mut [f64], &mut ChaCha8Rng),
    ) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut particles = vec![0.0; count * dimension];
        for particle in particles.chunks_exact_mut(dimension) {
            draw(particle, &mut random);
        }
        Self { dimension, scratch: particles.clone(), particles, weights: vec![0.0; count], random }
    }

    /// Time update: `advance` writes a draw of the next state, given the one before.
    pub(crate) fn advance(&mut self, mut advance: impl FnMut(&[f64], &mut [f64], &mut ChaCha8Rng)) {
        let d = self.dimension;
        for (before, after) in self.particles.chunks_exact(d).zip(self.scratch.chunks_exact_mut(d)) {
            advance(before, after, &mut self.random);
        }
        core::mem::swap(&mut self.particles, &mut self.scratch);
    }

    /// Measurement update: weighs every particle by its likelihood (given as a logarithm, up to a constant), returns the
    /// posterior mean, and resamples systematically.
    pub(crate) fn observe(&mut self, log_likelihood: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let d = self.dimension;
        for (weight, particle) in self.weights.iter_mut().zip(self.particles.chunks_exact(d)) {
            *weight = log_likelihood(particle);
        }
        let most = self.weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut total = 0.0;
        for weight in &mut self.weights {
            *weight = (*weight - most).exp();
            total += *weight;
        }
        let mut mean = vec![0.0; d];
        for (weight, particle) in self.weights.iter_mut().zip(self.particles.chunks_exact(d)) {
            *weight /= total;
            for (mean, value) in mean.iter_mut().zip(particle) {
                *mean += *weight * value;
            }
        }
        self.resample();
        mean
    }

    /// One uniform draw places an evenly spaced comb over the cumulative weights.
    fn resample(&mut self) {
        let d = self.dimension;
        let count = self.weights.len();
        let offset: f64 = self.random.random_range(0.0..1.0);
        let (mut source, mut reached) = (0, self.weights[0]);
        for (place, chosen) in self.scratch.chunks_exact_mut(d).enumerate() {
            let wanted = (place as f64 + offset) / count as f64;
            while reached < wanted && source + 1 < count {
                source += 1;
                reached += self.weights[source];
            }
            chosen.copy_from_slice(&self.particles[source * d..(source + 1) * d]);
        }
        core::mem::swap(&mut self.particles, &mut self.scratch);
    }
}
