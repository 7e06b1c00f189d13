//! State-space models whose features have mean zero (or one half) whatever the state is, so that only a model of the
//! state given the features learns from them: Burkhart et al., Neural Computation 2020, sec. 4.2 and 4.3.

use kalmind_filter::{DiscriminativeFilter, Form, Start, StateModel, StationarySource};
use kalmind_types::Intent;
use nalgebra::{DMatrix, DVector};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use crate::particle_filter::ParticleFilter;

/// `z_t = A z_{t-1} + noise`, stationary with covariance one.
#[derive(Clone, Debug)]
pub(crate) struct StateLaw {
    transition: DMatrix<f64>,
    process_noise: DMatrix<f64>,
    /// Lower triangular, of the process noise.
    root: DMatrix<f64>,
}

impl StateLaw {
    /// `A = keep I - pull`, where `pull` is taken from every entry, d x d.
    pub(crate) fn new(d: usize, keep: f64, pull: f64) -> Self {
        let transition = DMatrix::identity(d, d) * keep - DMatrix::from_element(d, d, pull);
        let process_noise = DMatrix::identity(d, d) - &transition * transition.transpose();
        let root = process_noise.clone().cholesky().expect("a stable transition").l();
        Self { transition, process_noise, root }
    }

    fn dimension(&self) -> usize {
        self.transition.nrows()
    }

    fn model(&self) -> StateModel {
        StateModel {
            order: 1,
            transition: self.transition.clone(),
            process_noise: self.process_noise.clone(),
            stationary_covariance: DMatrix::identity(self.dimension(), self.dimension()),
            stationary_source: StationarySource::Lyapunov,
            mean: None,
        }
    }

    /// Writes a draw of the state after `before`.
    pub(crate) fn advance(&self, before: &[f64], after: &mut [f64], random: &mut ChaCha8Rng) {
        after.fill(0.0);
        for (column, value) in before.iter().enumerate() {
            let noise: f64 = StandardNormal.sample(random);
            for (row, after) in after.iter_mut().enumerate() {
                *after += self.transition[(row, column)] * value;
                if row >= column {
                    *after += self.root[(row, column)] * noise;
                }
            }
        }
    }
}

/// What features say of a state that is N(0, I) a priori.
pub(crate) trait Observation {
    /// A draw of the features at a state.
    fn emit(&self, state: &[f64], random: &mut ChaCha8Rng) -> Vec<f64>;

    /// f and Q: mean and covariance of the state given the features alone.
    fn conditional(&self, features: &[f64]) -> (DVector<f64>, DMatrix<f64>);

    /// log p(features | state), up to a constant, as a function of the state.
    fn log_likelihood(&self, features: &[f64]) -> impl Fn(&[f64]) -> f64;
}

/// `x = H z + sqrt(l_1) noise` or `x = -H z + sqrt(l_2) noise`, either with probability one half.
#[derive(Clone, Debug)]
pub(crate) struct KalmanMixture {
    /// H, n x d.
    observation: DMatrix<f64>,
    /// H' H.
    gram: DMatrix<f64>,
    noises: [f64; 2],
    /// C = (I + H' H / l)^-1, and log of the determinant of H H' + l I.
    conditional: [(DMatrix<f64>, f64); 2],
}

impl KalmanMixture {
    /// H with independent entries N(0, 1 / d).
    pub(crate) fn new(n: usize, d: usize, noises: [f64; 2], random: &mut ChaCha8Rng) -> Self {
        let observation = DMatrix::from_fn(n, d, |_, _| {
            let entry: f64 = StandardNormal.sample(random);
            entry / (d as f64).sqrt()
        });
        let gram = observation.tr_mul(&observation);
        let conditional = noises.map(|noise| {
            let precision = DMatrix::identity(d, d) + &gram / noise;
            let factor = precision.cholesky().expect("I + H' H / l");
            // by Sylvester's theorem |H H' + l I| = l^n |I + H' H / l|
            (factor.inverse(), n as f64 * noise.ln() + factor.ln_determinant())
        });
        Self { observation, gram, noises, conditional }
    }
}

impl Observation for KalmanMixture {
    fn emit(&self, state: &[f64], random: &mut ChaCha8Rng) -> Vec<f64> {
        let component = usize::from(random.random_range(0.0..1.0) < 0.5);
        let sign = if component == 0 { 1.0 } else { -1.0 };
        let means = &self.observation * DVector::from_column_slice(state);
        means
            .iter()
            .map(|mean| {
                let noise: f64 = StandardNormal.sample(random);
                sign * mean + self.noises[component].sqrt() * noise
            })
            .collect()
    }

    /// Each component is linear and Gaussian; the mixture's moments follow from theirs.
    fn conditional(&self, features: &[f64]) -> (DVector<f64>, DMatrix<f64>) {
        let x = DVector::from_column_slice(features);
        let projected = self.observation.tr_mul(&x);
        let parts: Vec<(f64, DVector<f64>, &DMatrix<f64>)> = self
            .conditional
            .iter()
            .zip(self.noises)
            .zip([1.0, -1.0])
            .map(|(((covariance, log_determinant), noise), sign)| {
                let mean = covariance * &projected * (sign / noise);
                // x' (H H' + l I)^-1 x = (x' x - x' H m) / l, m the mean
                let distance = (x.norm_squared() - sign * projected.dot(&mean)) / noise;
                (-0.5 * (distance + log_determinant), mean, covariance)
            })
            .collect();
        moments(&parts)
    }

    fn log_likelihood(&self, features: &[f64]) -> impl Fn(&[f64]) -> f64 {
        let x = DVector::from_column_slice(features);
        let projected = self.observation.tr_mul(&x);
        let length = x.norm_squared();
        let n = features.len() as f64;
        move |state: &[f64]| {
            let mut along = 0.0;
            let mut squared = 0.0;
            for (column, value) in self.gram.column_iter().zip(state) {
                squared += value * column.iter().zip(state).map(|(entry, other)| entry * other).sum::<f64>();
            }
            for (entry, value) in projected.iter().zip(state) {
                along += entry * value;
            }
            let [first, second] = self.noises;
            let log = |distance: f64, noise: f64| -0.5 * (distance / noise + n * noise.ln());
            log_sum(log(length - 2.0 * along + squared, first), log(length + 2.0 * along + squared, second))
        }
    }
}

/// Feature k is one with probability 0.01 where component `D_k` of the state is below `c_k` and 0.99 above it, or, for
/// all features of a bin together with probability one half, the other way round.
#[derive(Clone, Debug)]
pub(crate) struct BernoulliMixture {
    dimension: usize,
    /// `D_k` and `c_k`.
    thresholds: Vec<(usize, f64)>,
    /// The thresholds of each component, rising.
    sorted: Vec<Vec<f64>>,
}

/// Probability of the rarer value.
const RARE: f64 = 0.01;

impl BernoulliMixture {
    /// `D_k` uniform, `c_k` N(0, 1).
    pub(crate) fn new(n: usize, d: usize, random: &mut ChaCha8Rng) -> Self {
        let thresholds: Vec<(usize, f64)> =
            (0..n).map(|_| (random.random_range(0..d), StandardNormal.sample(random))).collect();
        let sorted = (0..d)
            .map(|component| {
                let mut values: Vec<f64> =
                    thresholds.iter().filter(|(of, _)| *of == component).map(|(_, value)| *value).collect();
                values.sort_by(f64::total_cmp);
                values
            })
            .collect();
        Self { dimension: d, thresholds, sorted }
    }

    /// Mass, mean and second moment of one component of the state, given the features that look at it in one of the two
    /// states of the mixture: the normal density is weighed by a constant between neighbouring thresholds.
    fn component(&self, component: usize, features: &[f64], flipped: bool) -> [f64; 3] {
        let edges = &self.sorted[component];
        let edge = |at: usize| edges.get(at).copied().unwrap_or(f64::INFINITY);
        let mut moments = [0.0; 3];
        for interval in 0..=edges.len() {
            let low = if interval == 0 { f64::NEG_INFINITY } else { edge(interval - 1) };
            let high = edge(interval);
            let mut log = 0.0;
            for ((of, threshold), value) in self.thresholds.iter().zip(features) {
                if *of == component {
                    let likely_one = (*threshold <= low) != flipped;
                    log += if likely_one == (*value > 0.5) { (1.0 - RARE).ln() } else { RARE.ln() };
                }
            }
            let weight = log.exp();
            for (moment, integral) in moments.iter_mut().zip(normal_integrals(low, high)) {
                *moment += weight * integral;
            }
        }
        let [mass, first, second] = moments;
        [mass, first / mass, second / mass]
    }
}

/// Integrals of 1, z and z^2 under the standard normal density from `low` to `high`.
fn normal_integrals(low: f64, high: f64) -> [f64; 3] {
    let density =
        |z: f64| if z.is_finite() { (-0.5 * z * z).exp() / (core::f64::consts::TAU).sqrt() } else { 0.0 };
    let tail = |z: f64| 0.5 * libm::erfc(z * core::f64::consts::FRAC_1_SQRT_2);
    let times = |z: f64| if z.is_finite() { z * density(z) } else { 0.0 };
    // from the nearer tail, so that no digits cancel
    let mass = if low > 0.0 { tail(low) - tail(high) } else { tail(-high) - tail(-low) };
    [mass, density(low) - density(high), mass + times(low) - times(high)]
}

impl Observation for BernoulliMixture {
    fn emit(&self, state: &[f64], random: &mut ChaCha8Rng) -> Vec<f64> {
        let flipped = random.random_range(0.0..1.0) < 0.5;
        self.thresholds
            .iter()
            .map(|(component, threshold)| {
                let rare = random.random_range(0.0..1.0) < RARE;
                let above = state[*component] >= *threshold;
                f64::from(u8::from((above != flipped) != rare))
            })
            .collect()
    }

    fn conditional(&self, features: &[f64]) -> (DVector<f64>, DMatrix<f64>) {
        let parts: Vec<(f64, DVector<f64>, DMatrix<f64>)> = [false, true]
            .iter()
            .map(|&flipped| {
                let components: Vec<[f64; 3]> =
                    (0..self.dimension).map(|at| self.component(at, features, flipped)).collect();
                let log = components.iter().map(|[mass, ..]| mass.ln()).sum();
                let mean = DVector::from_iterator(self.dimension, components.iter().map(|entry| entry[1]));
                let variance = components.iter().map(|[_, mean, second]| second - mean * mean);
                let covariance = DMatrix::from_diagonal(&DVector::from_iterator(self.dimension, variance));
                (log, mean, covariance)
            })
            .collect();
        let borrowed: Vec<(f64, DVector<f64>, &DMatrix<f64>)> =
            parts.iter().map(|(log, mean, covariance)| (*log, mean.clone(), covariance)).collect();
        moments(&borrowed)
    }

    fn log_likelihood(&self, features: &[f64]) -> impl Fn(&[f64]) -> f64 {
        let ones: Vec<bool> = features.iter().map(|value| *value > 0.5).collect();
        let per_feature = ((1.0 - RARE) / RARE).ln();
        move |state: &[f64]| {
            let agree = self
                .thresholds
                .iter()
                .zip(&ones)
                .filter(|((component, threshold), one)| (state[*component] >= *threshold) == **one)
                .count() as f64;
            log_sum(per_feature * agree, per_feature * (ones.len() as f64 - agree))
        }
    }
}

fn log_sum(left: f64, right: f64) -> f64 {
    left.max(right) + (-(left - right).abs()).exp().ln_1p()
}

/// Mean and covariance of a mixture, from log weight, mean and covariance of its parts.
fn moments(parts: &[(f64, DVector<f64>, &DMatrix<f64>)]) -> (DVector<f64>, DMatrix<f64>) {
    let most = parts.iter().map(|(log, ..)| *log).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = parts.iter().map(|(log, ..)| (log - most).exp()).sum();
    let d = parts[0].1.len();
    let mut mean = DVector::zeros(d);
    let mut second = DMatrix::zeros(d, d);
    for (log, part, covariance) in parts {
        let weight = (log - most).exp() / total;
        mean += part * weight;
        second += (*covariance + part * part.transpose()) * weight;
    }
    let covariance = second - &mean * mean.transpose();
    (mean, (&covariance + covariance.transpose()) / 2.0)
}

/// The discriminative filter (eq. 2.7, standard form with its fallback) with dense matrices and explicit inverses, for a
/// state of any size with S = I.
#[derive(Clone, Debug)]
struct DenseFilter {
    law: StateLaw,
    belief: Option<(DVector<f64>, DMatrix<f64>)>,
}

impl DenseFilter {
    fn step(&mut self, f: &DVector<f64>, q: &DMatrix<f64>) -> DVector<f64> {
        let inverse = |matrix: &DMatrix<f64>| matrix.clone().cholesky().expect("a covariance").inverse();
        let updated = match &self.belief {
            None => (f.clone(), q.clone()),
            Some((mean, covariance)) => {
                let a = &self.law.transition;
                let prior = inverse(&(a * covariance * a.transpose() + &self.law.process_noise));
                let precision = inverse(q);
                let reduced = &precision - DMatrix::identity(f.len(), f.len());
                let information =
                    if reduced.clone().cholesky().is_some() { reduced } else { precision.clone() };
                let covariance = inverse(&(information + &prior));
                (&covariance * (precision * f + prior * a * mean), covariance)
            }
        };
        self.belief = Some(updated.clone());
        updated.0
    }
}

/// Root mean squared errors of one run, over steps and components; zero knowledge has one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Errors {
    /// Of always saying zero: what a Kalman filter does, since the features' mean is the same at every state.
    pub(crate) zero: f64,
    /// Of f alone.
    pub(crate) unfiltered: f64,
    /// Of the discriminative filter, dense.
    pub(crate) dense: f64,
    /// Of the library's filter, where the state has at most eight components.
    pub(crate) library: Option<f64>,
    /// Of the particle filter.
    pub(crate) particle: f64,
}

/// Draws a path of `steps` states with their features, and runs everything over it.
pub(crate) fn run(
    law: &StateLaw,
    observation: &impl Observation,
    steps: usize,
    particles: usize,
    seed: u64,
) -> Errors {
    let d = law.dimension();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let stationary = |state: &mut [f64], random: &mut ChaCha8Rng| {
        state.fill_with(|| StandardNormal.sample(random));
    };
    let mut library = (d <= kalmind_types::MAX_COMPONENTS)
        .then(|| DiscriminativeFilter::new(&law.model(), Form::Standard, Start::First).expect("a model"));
    let mut dense = DenseFilter { law: law.clone(), belief: None };
    let mut filter = ParticleFilter::new(particles, d, seed ^ 0x5eed, stationary);
    let mut state = vec![0.0; d];
    stationary(&mut state, &mut random);
    let mut sums = Errors::default();
    for step in 0..steps {
        if step > 0 {
            let before = state.clone();
            law.advance(&before, &mut state, &mut random);
            filter.advance(|before, after, random| law.advance(before, after, random));
        }
        let features = observation.emit(&state, &mut random);
        let (f, q) = observation.conditional(&features);
        let squared = |estimate: &[f64]| -> f64 {
            estimate.iter().zip(&state).map(|(estimate, truth)| (estimate - truth).powi(2)).sum()
        };
        sums.zero += squared(&vec![0.0; d]);
        sums.unfiltered += squared(f.as_slice());
        sums.dense += squared(dense.step(&f, &q).as_slice());
        if let Some(library) = &mut library {
            let triangle: Vec<f64> =
                (0..d).flat_map(|row| (0..=row).map(|column| q[(row, column)]).collect::<Vec<_>>()).collect();
            let mut intent = Intent::zero(d);
            library.step(Some((f.as_slice(), &triangle)), &mut intent);
            *sums.library.get_or_insert(0.0) += squared(intent.mean());
        }
        sums.particle += squared(&filter.observe(observation.log_likelihood(&features)));
    }
    let root = |sum: f64| (sum / (steps * d) as f64).sqrt();
    Errors {
        zero: root(sums.zero),
        unfiltered: root(sums.unfiltered),
        dense: root(sums.dense),
        library: sums.library.map(root),
        particle: root(sums.particle),
    }
}
